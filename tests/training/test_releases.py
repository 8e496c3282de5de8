"""Nothing serves without gates and two people; one click takes it back; all of it is recorded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.model_versions import champion, register_shipped
from diagnosis.services.reading import network_in_service
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.training.test_models import dataset, run
from training.models import RunState, TrainingRun
from training.models.runs import Stage
from training.services import releases
from training.services.runs import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def stewards() -> tuple[User, User]:
    return factories.user(is_model_steward=True), factories.user(is_model_steward=True)


@pytest.fixture
def challenger(settings: Any, tmp_path: Path) -> ModelVersion:
    """A judged challenger whose files are the shipped bundle's, under another name, beside the shipped champion."""
    serving = register_shipped()
    settings.BUNDLES_ROOT = tmp_path
    shutil.copytree(BUNDLES / shipped.SHIPPED_BUNDLE, tmp_path / "house-1")  # a release writes its signature
    version = ModelVersion.objects.create(
        name="house-1",
        origin=VersionOrigin.TRAINED,
        state=VersionState.CHALLENGER,
        manifest_sha256=shipped.SHIPPED_MANIFEST_SHA256,
        manifest=serving.manifest,
        gates_passed=True,
    )
    test = dataset()
    run(
        model_version=version,
        state=RunState.DONE,
        stage=Stage.FINISHED,
        finished_at=timezone.now(),
        metrics={
            "judgement": {
                "champion": {"id": str(serving.pk), "name": serving.name},
                "tests": [test.fingerprint],
                "gates": [{"code": "sensitivity", "title": "Malignant sensitivity is not inferior", "passed": True}],
            }
        },
    )
    return version


def test_two_people_release_it_the_worker_opens_it_and_one_click_rolls_back(
    challenger: ModelVersion, stewards: tuple[User, User]
) -> None:
    one, other = stewards
    before = champion()
    assert network_in_service().version == before

    releases.propose_release(user=one, version_id=challenger.pk)
    assert champion() == before
    releases.approve_release(user=other, version_id=challenger.pk)
    assert champion() == challenger
    assert network_in_service().version == challenger
    assert ModelVersion.objects.get(pk=before.pk).state == VersionState.RETIRED

    releases.roll_back(user=one, version_id=before.pk)
    assert champion() == before
    assert network_in_service().version == before
    actions = AuditEvent.objects.filter(object_type="modelversion", actor__isnull=False).values_list("action", "actor")
    assert set(actions) == {
        ("model_version.release_proposed", one.pk),
        ("model_version.released", other.pk),
        ("model_version.rolled_back_to", one.pk),
    }


def test_whoever_proposed_cannot_approve_and_nothing_is_approved_unproposed(
    challenger: ModelVersion, stewards: tuple[User, User]
) -> None:
    one, other = stewards
    with pytest.raises(Conflict, match="propose it"):
        releases.approve_release(user=other, version_id=challenger.pk)
    releases.propose_release(user=one, version_id=challenger.pk)
    with pytest.raises(Conflict, match="another model steward"):
        releases.approve_release(user=one, version_id=challenger.pk)
    releases.withdraw_proposal(user=other, version_id=challenger.pk)
    with pytest.raises(Conflict, match="propose it"):
        releases.approve_release(user=other, version_id=challenger.pk)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"gates_passed": None}, "version_serves_after_gates_and_two_people"),
        ({"gates_passed": False}, "version_serves_after_gates_and_two_people"),
        ({"approved_by": None}, "version_serves_after_gates_and_two_people"),
        ({"approved_by": "one"}, "version_is_approved_by_another_than_who_proposed"),
    ],
    ids=["not judged", "not passed", "one person", "the same person twice"],
)
def test_the_database_itself_lets_nothing_else_serve(
    challenger: ModelVersion, stewards: tuple[User, User], fields: dict[str, Any], constraint: str
) -> None:
    ModelVersion.objects.filter(state=VersionState.CHAMPION).update(state=VersionState.RETIRED)
    serving = {
        "state": VersionState.CHAMPION,
        "released_at": timezone.now(),
        "gates_passed": True,
        "proposed_by": stewards[0],
        "proposed_at": timezone.now(),
        "approved_by": stewards[1],
    }
    row = ModelVersion.objects.filter(pk=challenger.pk)
    wrong = serving | {name: stewards[0] if value == "one" else value for name, value in fields.items()}
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        row.update(**wrong)
    assert row.update(**serving) == 1


def changed(change: str, challenger: ModelVersion) -> None:
    made = TrainingRun.objects.get(model_version=challenger)
    match change:
        case "no frozen test":
            type(dataset(fingerprint="a" * 64)).objects.update(frozen_test=False)
        case "another frozen test":
            dataset(split_fingerprint="7" * 64)
        case "corrected labels in the frozen test":
            corrected = dataset()  # the same images in the same groups and splits
            type(corrected).objects.exclude(pk=corrected.pk).update(replaced_by=corrected)
        case "gates not passed":
            made.metrics["judgement"]["gates"][0]["passed"] = False
            made.save()
            ModelVersion.objects.filter(pk=challenger.pk).update(gates_passed=False)
        case "another champion":
            made.metrics["judgement"]["champion"]["id"] = "x"
            made.save()
        case "never judged":
            made.metrics = {}
            made.save()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("no frozen test", "No frozen test has been imported"),
        ("another frozen test", "The frozen tests have changed"),
        ("corrected labels in the frozen test", "The frozen tests have changed"),
        ("gates not passed", "It did not pass: Malignant sensitivity is not inferior"),
        ("another champion", "Another version serves since"),
        ("never judged", "has not been judged"),
    ],
)
def test_a_release_is_refused_with_the_reason(
    challenger: ModelVersion, stewards: tuple[User, User], change: str, reason: str
) -> None:
    changed(change, challenger)
    with pytest.raises(Conflict, match=reason):
        releases.propose_release(user=stewards[0], version_id=challenger.pk)


def gone(bundle: Path) -> None:
    shutil.rmtree(bundle)


def another_manifest(bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes((bundle / "bundle.json").read_bytes() + b"\n")


def another_network(bundle: Path) -> None:
    network = (bundle / "model.tflite").read_bytes()
    (bundle / "model.tflite").write_bytes(network[:-1] + bytes([network[-1] ^ 1]))


@pytest.mark.parametrize("change", [gone, another_manifest, another_network])
def test_files_that_are_not_those_that_were_judged_do_not_serve(
    challenger: ModelVersion, stewards: tuple[User, User], settings: Any, change: Callable[[Path], None]
) -> None:
    releases.propose_release(user=stewards[0], version_id=challenger.pk)
    change(Path(settings.BUNDLES_ROOT) / "house-1")
    with pytest.raises(Conflict, match="cannot serve"):
        releases.approve_release(user=stewards[1], version_id=challenger.pk)
    assert champion().name == shipped.SHIPPED_BUNDLE


ACTIONS: dict[str, Callable[..., object]] = {
    "propose": releases.propose_release,
    "withdraw": releases.withdraw_proposal,
    "approve": releases.approve_release,
    "roll back": releases.roll_back,
    "judge": judge,
}


@pytest.mark.parametrize("action", list(ACTIONS))
def test_nobody_but_a_steward_may(challenger: ModelVersion, action: str) -> None:
    with pytest.raises(Refusal, match="model stewards"):
        ACTIONS[action](user=factories.user(is_superuser=True), version_id=challenger.pk)
