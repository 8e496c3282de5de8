"""The stewards' pages on a phone and on a screen, light and dark: nothing runs off the side, and axe finds nothing."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext
from pytest_django.live_server_helper import LiveServer

from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from diagnosis.services.model_versions import register_shipped
from tests import factories
from tests.looking import look, sign_in
from tests.training.test_models import dataset, run
from training.models import RunState
from training.models.runs import Stage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GATES = [
    {"code": "disjoint", "title": "No tested lesion was trained on", "passed": True, "reason": "No lesion was."},
    {
        "code": "sensitivity",
        "title": "Malignant sensitivity is not inferior",
        "passed": False,
        "reason": "Difference −0.031 (95 % −0.094 to 0.012): its lower end has to be above −0.050.",
    },
]


def a_judgement(champion: ModelVersion, test: Any) -> dict[str, Any]:
    difference = {"value": -0.031, "low": -0.094, "high": 0.012}
    figures = ("Malignant sensitivity", "Specificity", "Balanced accuracy")
    return {
        "judged_at": "2026-11-26T12:00:00+00:00",
        "champion": {"id": str(champion.pk), "name": champion.name},
        "tests": [test.fingerprint],
        "images": 982,
        "lesions": 745,
        "gates": GATES,
        "comparison": [
            {"title": each, "champion": 0.942, "challenger": 0.911, "difference": difference} for each in figures
        ],
        "tests_of_difference": {
            "mcnemar": {"only_first_right": 31, "only_second_right": 52, "p_exact": 0.0275},
            "delong": {"malignant": {"first_auc": 0.921, "second_auc": 0.934, "p": 0.0004}},
        },
    }


def test_every_page_fits_and_has_no_barrier(live_server: LiveServer, browser_context: BrowserContext) -> None:
    champion, now = register_shipped(), timezone.now()
    steward = factories.user(is_model_steward=True)
    checked = [{"image": str(uuid4()), "label": "nv", "others_say": "mel", "chance_of_label": 0.02}]
    counts = {"training": {"mel": 900, "nv": 5000}, "validation": {"mel": 118}, "test": {"mel": 116, "nv": 645}}
    left_out = {"contributor_cap": 3, "needs_second_reader": 12}
    test = dataset(counts=counts, findings={"left_out": left_out, "suspicious": checked})
    challenger = ModelVersion.objects.create(
        name="house-20261126-0123abcd",
        origin=VersionOrigin.TRAINED,
        state=VersionState.CHALLENGER,
        manifest_sha256="ab" * 32,
        manifest={},
        gates_passed=False,
        shadow_since=now,
    )
    curves = [
        {
            "epoch": each,
            "loss": 1.4 / each,
            "balanced_accuracy": 0.6 + each / 40,
            "malignant_auc": 0.85,
            "seconds": 61.5,
        }
        for each in range(1, 8)
    ]
    done = run(
        state=RunState.DONE,
        stage=Stage.FINISHED,
        finished_at=now,
        started_by=steward,
        curves=curves,
        model_version=challenger,
        metrics={"judgement": a_judgement(champion, test)},
    )
    done.datasets.add(test)
    running = run(
        state=RunState.RUNNING,
        stage=Stage.TRAINING,
        started_by=steward,
        epoch=3,
        epochs=7,
        step=120,
        steps=252,
        seconds_left=5400.0,
        attempts=2,
        curves=curves[:3],
        lease_token="0123456789abcdef0123456789abcdef",
        lease_until=now + timedelta(hours=1),
        heartbeat_at=now,
        reason="consent_ended",
        reason_text="A patient's consent to research ended meanwhile: the run began anew without those photographs.",
    )
    failed = run(
        state=RunState.FAILED,
        stage=Stage.PREPARING,
        started_by=steward,
        finished_at=now,
        reason="resources_lacking",
        reason_text="about 9.1 GiB of memory are needed for batches of 64 at 224 pixels, 3.2 GiB are free: end other "
        "programs, take a recipe with smaller batches or views, or a machine with more memory or a GPU",
    )
    page = browser_context.new_page()
    sign_in(page, live_server.url, steward, to="/training/")
    page.get_by_role("heading", level=1, name="Training").wait_for()
    for name, address in {
        "overview": "",
        "leakage": "leakage/",
        "dataset": f"datasets/{test.pk}/",
        "running": f"runs/{running.pk}/",
        "done": f"runs/{done.pk}/",
        "failed": f"runs/{failed.pk}/",
        "challenger": f"versions/{challenger.pk}/",
        "champion": f"versions/{champion.pk}/",
        "card": f"versions/{champion.pk}/card/",
    }.items():
        page.goto(f"{live_server.url}/training/{address}")
        look(page, name)
