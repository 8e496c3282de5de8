"""What a challenger has learnt is not what it is judged on: it is left out of training, or the gate says so."""

import dataclasses
import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from diagnosis.services.model_versions import register_shipped
from tests import factories
from tests.factories import HAM10000
from tests.training.small import store_small
from tests.training.small_settings import TRAINING_GATES
from tests.training.test_imports import official  # noqa: F401  (a fixture)
from tests.training.test_models import run
from training.bundling import make_bundle
from training.datasets.manifest import Manifest, store
from training.evaluation.model_card import card
from training.export import sha256_of
from training.learning import Material
from training.models import Dataset, TrainingRun
from training.recipes import SMOKE
from training.services import learning
from training.services.judging import judge_version

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folders_and_a_champion(settings: Any, tmp_path: Path) -> None:
    settings.DATASETS_ROOT, settings.TRAINING_ROOT = tmp_path / "datasets", tmp_path / "training"
    settings.BUNDLES_ROOT, settings.TRAINING_GATES = tmp_path / "bundles", TRAINING_GATES
    register_shipped()


@pytest.fixture
def collection(settings: Any, tmp_path: Path) -> tuple[Dataset, list[str]]:
    """Thirty images with a frozen test, and the ids of the two that show one lesion, for training."""
    folder = store_small(tmp_path / "small")
    small = Manifest.load(folder)
    pair = [entry for entry in small.entries if entry.splits["lesion"] == "training"][:2]
    entries = tuple(dataclasses.replace(each, group=pair[0].group) if each in pair else each for each in small.entries)
    made = dataclasses.replace(small, entries=entries)
    call_command("register_dataset", str(store(made, small.views(folder), settings.DATASETS_ROOT)))
    return Dataset.objects.get(), [each.record.image_id for each in pair]


def import_a_test(tmp_path: Path, image: str) -> None:
    """Import another set, of one picture, that is all test."""
    folder = tmp_path / "elsewhere" / "nv"
    folder.mkdir(parents=True)
    shutil.copy(HAM10000 / f"{image}.jpg", folder / "photograph.jpg")
    call_command("import_folder", str(folder.parent), "--licence", "own", "--report-only")


def trained(name: str, *datasets: Dataset, started_from: str = "", **told: Any) -> ModelVersion:
    """A challenger that a run made of these datasets; but for what its bundle.json tells, it is the one that ships."""
    bundle = Path(learning.settings.BUNDLES_ROOT) / name
    shutil.copytree(BUNDLES / shipped.SHIPPED_BUNDLE, bundle)
    manifest = json.loads((bundle / "bundle.json").read_text()) | {"name": name, **told}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    version = ModelVersion.objects.create(
        name=name,
        origin=VersionOrigin.TRAINED,
        state=VersionState.CHALLENGER,
        manifest_sha256=sha256_of(bundle / "bundle.json"),
        manifest=manifest,
    )
    options = {"initial_version": started_from} if started_from else {}
    made = run(model_version=version, state="done", stage="finished", finished_at=timezone.now(), options=options)
    made.datasets.set(datasets)
    return version


def verdict_on(version: ModelVersion) -> dict[str, Any]:
    return judge_version(version, TrainingRun.objects.get(model_version=version), lambda done, of: None)


def disjoint(version: ModelVersion) -> tuple[bool, str]:
    gate = next(each for each in verdict_on(version)["gates"] if each["code"] == "disjoint")
    return gate["passed"], gate["reason"]


def test_a_lesion_that_another_sets_test_holds_is_left_out_of_training_with_all_its_pictures(
    collection: tuple[Dataset, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, pair = collection
    import_a_test(tmp_path, pair[0])
    given: list[Material] = []

    def train(recipe: Any, material: Material, folder: Path, *, target: Path, **_: Any) -> None:
        given.append(material)
        target.mkdir(parents=True)
        (target / "bundle.json").write_text("{}")

    monkeypatch.setattr(learning, "train", train)
    made = run(recipe="smoke", options={"init_weights": "none"})
    made.datasets.add(dataset)
    learning._learn(made, lambda **message: None)

    (material,) = given
    images = [record.image_id for record in material.images.records]
    assert not set(pair) & set(images)
    assert len(images) == dataset.images - 2


def test_a_version_that_learnt_what_is_tested_since_does_not_pass_nor_what_starts_from_it(
    collection: tuple[Dataset, list[str]], tmp_path: Path
) -> None:
    dataset, pair = collection
    before = trained("before", dataset)
    assert disjoint(before)[0]

    import_a_test(tmp_path, pair[0])
    child, grandchild, stranger = (
        trained("child", started_from="before"),
        trained("grandchild", started_from="child"),
        trained("stranger"),
    )

    assert disjoint(before) == (False, "Tested lesions that were in its training or validation: 1.")
    for each in (child, grandchild):
        passed, reason = disjoint(each)
        assert not passed
        assert reason == (
            "Tested lesions that were in the training or validation of before, whose weights it started from: 1."
        )
    assert disjoint(stranger)[0]


def test_what_the_shipped_version_learnt_counts_for_a_version_that_starts_from_it(
    official: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    call_command("import_ham10000", str(official))
    image = Manifest.load(Path(learning.settings.DATASETS_ROOT) / Dataset.objects.get().folder).entries[0]
    version = trained("from-shipped", started_from=shipped.SHIPPED_BUNDLE)
    import_a_test(tmp_path, image.record.image_id)

    passed, reason = disjoint(version)

    assert not passed
    assert shipped.SHIPPED_BUNDLE in reason


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_version_for_which_it_was_left_out_passes(
    collection: tuple[Dataset, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is a real one; only the hours of training are left out."""
    dataset, pair = collection
    import_a_test(tmp_path, pair[0])

    def train(recipe: Any, material: Material, folder: Path, *, name: str, target: Path, told: Any, **_: Any) -> None:
        weights = BUNDLES / shipped.SHIPPED_BUNDLE / "model.weights.h5"
        request = {"name": name, "epoch": 1, "curve": [], "told": told, "target": str(target)}
        make_bundle(recipe, material, weights, request)

    monkeypatch.setattr(learning, "train", train)
    made = run(recipe=SMOKE.name, options={"init_weights": "none"})
    made.datasets.add(dataset)
    version = learning._learn(made, lambda **message: None)

    verdict = judge_version(version, made, lambda done, of: None)

    assert verdict["gates"][0]["code"] == "disjoint"
    assert verdict["gates"][0]["passed"], verdict["gates"][0]["reason"]
    bundle = json.loads((Path(learning.settings.BUNDLES_ROOT) / version.name / "bundle.json").read_text())
    assert dataset.fingerprint in bundle["dataset"]["tests_kept_out"]
    assert "## Judged on the frozen tests" in card(bundle, "d" * 64, judgement=verdict)


def test_a_verdict_tests_whether_the_two_differ_by_more_than_chance(
    collection: tuple[Dataset, list[str]], client: Client
) -> None:
    naevi = [0.94 if code == "df" else 0.01 for code in CLASSES]  # dermatofibroma is named no more
    version = trained("no-dermatofibroma", class_priors=naevi)
    client.force_login(factories.user(is_model_steward=True))

    verdict = verdict_on(version)
    TrainingRun.objects.filter(model_version=version).update(metrics={"judgement": verdict})
    shown = unescape(client.get(f"/training/versions/{version.pk}/").content.decode())

    found = verdict["tests_of_difference"]
    better, worse = found["mcnemar"]["only_first_right"], found["mcnemar"]["only_second_right"]
    assert (found["first"], found["second"]) == (version.name, shipped.SHIPPED_BUNDLE)
    assert (better, worse) != (0, 0)
    assert found["difference"]["accuracy"]["value"] == pytest.approx((better - worse) / verdict["images"], abs=1e-4)
    assert f"only the challenger is right on {better} images, only the champion on {worse}; p = " in shown
    # The priors move decisions and no probability.
    assert found["delong"]["malignant"]["p"] == 1.0
    assert "DeLong’s test, Malignant AUC: the challenger" in shown


def test_a_version_that_was_trained_here_has_a_model_card_with_what_the_frozen_tests_said(
    collection: tuple[Dataset, list[str]], client: Client
) -> None:
    measured = register_shipped().manifest["metrics"]
    version = trained("made-here", metrics={each: measured[each] for each in measured if each != "frozen_test"})
    client.force_login(factories.user(is_model_steward=True))
    address = f"/training/versions/{version.pk}/card/"
    assert address in client.get(f"/training/versions/{version.pk}/").content.decode()
    assert "Judged on the frozen tests" not in client.get(address).content.decode()

    verdict = verdict_on(version)
    TrainingRun.objects.filter(model_version=version).update(metrics={"judgement": verdict})
    shown = unescape(client.get(address).content.decode())

    for part in ("Intended use", "CC BY-NC 4.0", version.manifest_sha256, "Judged on the frozen tests"):
        assert part in shown
    assert "It passed every gate." in shown
    auc = next(row for row in verdict["comparison"] if row["figure"] == "malignant_auc")
    told = re.search(r"<td>Malignant AUC</td>\s*<td>([\d.]+)</td>", shown)
    assert told is not None
    assert float(told[1]) == pytest.approx(auc["challenger"], abs=6e-4)
    assert "style=" not in shown
