"""The stewards' pages and the same through the API: start, watch, cancel, and what is refused."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from diagnosis.classifier.shipped import SHIPPED_BUNDLE
from diagnosis.services.model_versions import register_shipped
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.training.test_models import dataset, run
from training.evaluation import leakage_page
from training.models import Dataset, RunState, TrainingRun
from training.services import run_queue

pytestmark = pytest.mark.django_db
RUNS = "/api/v1/training-runs/"


@pytest.fixture
def steward() -> User:
    register_shipped()
    return factories.user(is_model_steward=True)


@pytest.fixture
def browser(steward: User) -> Client:
    client = Client()
    client.force_login(steward)
    return client


@pytest.fixture
def api(steward: User) -> ApiClient:
    return ApiClient(token_for(steward))


def form(of: Dataset, **changes: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "recipe": "house", "datasets": str(of.pk), "init_weights": "champion"} | changes


def test_a_form_that_is_sent_twice_starts_one_run(browser: Client, steward: User) -> None:
    wanted = form(dataset(), epochs="3")
    first, second = (browser.post("/training/", wanted) for _ in range(2))
    made = TrainingRun.objects.get()
    assert (first.status_code, first["Location"]) == (303, f"/training/runs/{made.pk}/")
    assert second["Location"] == first["Location"]
    assert made.options == {"init_weights": "champion", "epochs": 3, "initial_version": SHIPPED_BUNDLE}
    started = AuditEvent.objects.get(action="training_run.started")
    assert (started.actor, started.details["recipe"]) == (steward, "house")


def test_the_same_thing_is_not_run_twice_at_a_time(browser: Client) -> None:
    of = dataset()
    browser.post("/training/", form(of))
    again = browser.post("/training/", form(of))
    assert again.status_code == 422
    assert "A run of the same recipe".lower() in again.content.decode().lower()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datasets": []}, "Choose at least one dataset"),
        ({"epochs": "1000"}, "epochs is a number from 1 to 100"),
        ({"epochs": "0"}, "greater than or equal to 1"),
        ({"recipe": "first"}, "Select a valid choice"),
        ({"init_weights": "/etc/passwd"}, "Select a valid choice"),
    ],
)
def test_what_will_not_do_is_said_beside_the_form(browser: Client, changes: dict[str, Any], said: str) -> None:
    answer = browser.post("/training/", form(dataset(), **changes))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not TrainingRun.objects.exists()


def test_progress_is_polled_with_an_etag_and_changes_when_something_has_changed(browser: Client) -> None:
    made = run(epochs=4, state=RunState.QUEUED)
    held = run_queue.claim()
    assert held is not None
    address = f"/training/runs/{made.pk}/progress/"
    first = browser.get(address)
    assert first["X-Poll-After-Ms"] == "1000"
    run_queue.beat(held)
    assert browser.get(address, headers={"If-None-Match": first["ETag"]}).status_code == 304
    row = {"epoch": 1, "loss": 1.25, "balanced_accuracy": 0.5}
    run_queue.beat(held, {"epoch": 1, "seconds_left": 7200.0}, row)
    second = browser.get(address, headers={"If-None-Match": first["ETag"]})
    assert second.status_code == 200
    shown = second.content.decode()
    for text in ("1 of 4 epochs done", "about 2 h 0 min left", "<polyline", "<td>1.250</td>", "Cancel the run"):
        assert text in shown, text


def test_a_page_holds_no_script_and_no_style_of_its_own(browser: Client) -> None:
    made = run()
    version = register_shipped()
    for address in ("/training/", f"/training/runs/{made.pk}/", f"/training/versions/{version.pk}/"):
        answer = browser.get(address)
        shown = answer.content.decode()
        assert answer.status_code == 200
        assert "style=" not in shown
        assert shown.count("<script") == shown.count('<script type="module" src=')
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert answer["Cache-Control"] == "private, no-store"


def test_without_a_frozen_test_the_page_says_that_nothing_can_be_released(browser: Client) -> None:
    dataset(frozen_test=False)
    assert "No frozen test has been imported." in browser.get("/training/").content.decode()


def test_the_api_starts_shows_and_cancels(api: ApiClient) -> None:
    of = dataset()
    started = api.send(RUNS, {"recipe": "house", "datasets": [str(of.pk)], "options": {"init_weights": "none"}})
    assert started.status_code == 201, started.content
    address = started["Location"].partition("testserver")[2]
    shown = api.get(address)
    assert (shown.json()["state"], shown.json()["datasets"]) == ("queued", [str(of.pk)])
    assert api.get(address, headers={"If-None-Match": shown["ETag"]}).status_code == 304
    assert api.send(f"{address}cancel/", {}).json()["state"] == "cancelled"
    assert api.send(f"{address}cancel/", {}).status_code == 409
    assert AuditEvent.objects.filter(action="training_run.cancel_asked").count() == 1


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"recipe": "nothing"}, 422, "unknown_recipe"),
        ({"datasets": []}, 400, "invalid"),
        ({"datasets": ["752bf5d6-1db4-43b0-944c-e14155aa25af"]}, 400, "invalid"),
        ({"options": {"init_weights": "../x"}}, 400, "invalid"),
        ({"options": {"epochs": 101}}, 422, "unknown_option"),
        ({"options": {"rate": 1}}, 400, "invalid"),
    ],
)
def test_the_api_refuses_what_will_not_do(api: ApiClient, wanted: dict[str, Any], status: int, code: str) -> None:
    answer = api.send(RUNS, {"recipe": "house", "datasets": [str(dataset().pk)]} | wanted)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_dataset_that_was_replaced_is_not_learnt_from(api: ApiClient) -> None:
    newer = dataset(fingerprint="b" * 64)
    older = dataset(replaced_by=newer)
    answer = api.send(RUNS, {"recipe": "house", "datasets": [str(older.pk)]})
    assert answer.json()["code"] == "dataset_replaced"


def test_a_version_that_was_never_trained_here_can_be_judged_by_a_run_of_its_own(api: ApiClient) -> None:
    version = register_shipped()
    assert api.send(f"/api/v1/model-versions/{version.pk}/judge/", {}).json()["code"] == "no_challenger"
    type(version).objects.filter(pk=version.pk).update(state="challenger", released_at=None)
    answer = api.send(f"/api/v1/model-versions/{version.pk}/judge/", {})
    assert (answer.status_code, answer.json()["recipe"]) == (202, "")
    assert TrainingRun.objects.get().model_version == version


def test_a_release_over_a_session_wants_a_fresh_proof(browser: Client) -> None:
    version = register_shipped()
    answer = browser.post(f"/training/versions/{version.pk}/", {"action": "roll-back"})
    assert answer.status_code == 302
    assert "/account/confirm/" in answer["Location"]


def test_a_run_that_ended_asks_for_no_more_polls(browser: Client) -> None:
    made = run(state=RunState.FAILED, reason="x", reason_text="It failed.", finished_at=timezone.now())
    answer = browser.get(f"/training/runs/{made.pk}/progress/")
    assert answer["X-Poll-After-Ms"] == ""
    assert "It failed." in answer.content.decode()


def test_what_splits_leak_is_shown_as_it_ships_and_then_as_it_was_measured_here(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    administrator = factories.member(Role.ADMINISTRATOR)
    client.force_login(administrator)
    settings.STUDIES_ROOT = tmp_path
    shown = client.get("/training/leakage/").content.decode()
    assert "Measured before this version" in shown
    assert "10015 images of 7466 lesions" in shown
    assert shown.count('<svg class="chart"') == 3

    report = leakage_page.shipped_report() | {"images": 4321}
    leakage_page.kept_at().parent.mkdir()
    leakage_page.kept_at().write_text(json.dumps(report))
    shown = client.get("/training/leakage/").content.decode()
    assert "Measured on this platform" in shown
    assert "4321 images" in shown

    leakage_page.kept_at().write_text('{"ways": {}}')
    shown = client.get("/training/leakage/").content.decode()
    assert "run manage.py leakage again" in shown
    assert "10015 images of 7466 lesions" in shown


def test_a_dataset_shows_what_was_left_out_and_which_labels_somebody_should_check(browser: Client) -> None:
    found = dataset(
        counts={"training": {"mel": 20}, "validation": {"mel": 4}, "test": {"nv": 6}},
        findings={
            "left_out": {"contributor_cap": 3},
            "suspicious": [{"image": "photograph-7", "label": "nv", "others_say": "mel", "chance_of_label": 0.021}],
        },
    )
    run(model_version=register_shipped(), state="done", stage="finished", finished_at=timezone.now()).datasets.add(
        found
    )

    assert f"/training/datasets/{found.pk}/" in browser.get("/training/").content.decode()
    shown = browser.get(f"/training/datasets/{found.pk}/").content.decode()

    for part in ("contributor_cap", "photograph-7", "2.1 %", "Melanoma", SHIPPED_BUNDLE):
        assert part in shown


def test_an_import_says_how_many_pairs_were_joined_and_that_its_labels_were_not_checked(browser: Client) -> None:
    found = dataset(findings={"identical": 2, "near_duplicates": 4, "left_out": 7, "notes": []})

    shown = browser.get(f"/training/datasets/{found.pk}/").content.decode()

    for part in ("same pixels: 2", "joined into one lesion: 4", "7 images.", "Not looked for"):
        assert part in shown
