"""Releases a copy of the version in service under a new name, as two stewards do, in a platform under test.

The verdict of the gates is put in by hand: learning is tested elsewhere.
"""

import shutil
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from diagnosis.services.model_versions import champion
from tests import factories
from tests.training.test_models import dataset, run
from training.models import RunState
from training.models.runs import Stage
from training.services import releases

NAME = "released-under-load"


def release() -> None:
    """Register, judge by hand, propose, approve."""
    serving = champion()
    shutil.copytree(BUNDLES / shipped.SHIPPED_BUNDLE, Path(settings.BUNDLES_ROOT) / NAME)
    version = ModelVersion.objects.create(
        name=NAME,
        origin=VersionOrigin.TRAINED,
        state=VersionState.CHALLENGER,
        manifest_sha256=shipped.SHIPPED_MANIFEST_SHA256,
        manifest=serving.manifest,
        gates_passed=True,
    )
    judgement = {
        "champion": {"id": str(serving.pk), "name": serving.name},
        "tests": [dataset().fingerprint],
        "gates": [{"code": "sensitivity", "title": "Malignant sensitivity is not inferior", "passed": True}],
    }
    run(
        model_version=version,
        state=RunState.DONE,
        stage=Stage.FINISHED,
        finished_at=timezone.now(),
        metrics={"judgement": judgement},
    )
    one, other = (factories.user(is_model_steward=True) for _ in range(2))
    releases.propose_release(user=one, version_id=version.pk)
    releases.approve_release(user=other, version_id=version.pk)
