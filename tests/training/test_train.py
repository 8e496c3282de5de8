"""`manage.py train`: a killed process goes on and ends in a bundle that answers; what will not do is said."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from PIL import Image

from diagnosis.classifier.architecture import build_network
from diagnosis.classifier.bundle import BUNDLES, MANIFEST, Bundle
from diagnosis.classifier.shipped import SHIPPED_BUNDLE
from diagnosis.classifier.view import SIDE
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import Entry, Manifest, sha256_of_view, store
from training.fit import CheckpointForeign, TrainingCancelled
from training.folds import fold_splits
from training.learning import Material, ResourcesLacking, check_resources, fit, memory_needed
from training.recipes import FIRST, HOUSE, PAPER, SMOKE, Recipe
from training.starting import weights_from

REAL = Path(__file__).parent.parent / "data" / "ham10000"


def a_dataset(root: Path, copies: int = 3, first: int = 0) -> Path:
    """A stored dataset of real images, each three times in other orientations: two for training, one for validation.

    `first` is the orientation of each image's first copy.
    """
    with (REAL / "labels.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["file"] == f"{row['image_id']}.jpg"]
    entries, views = [], []
    for row in rows:
        with Image.open(REAL / row["file"]) as image:
            view = np.asarray(image.convert("RGB"))
        for turn in range(copies):
            turned = np.ascontiguousarray(np.rot90(view, first + turn))
            name = f"{row['image_id']}_{turn}"
            record = LabelledImage(name, name, row["dx"], "histo", None, "unknown", "unknown")
            split = "validation" if turn == copies - 1 else "training"
            entries.append(Entry(record, name, sha256_of_view(turned), {"lesion": split, "image": split}, "tests"))
            views.append(turned)
    order = sorted(range(len(entries)), key=lambda place: entries[place].record.image_id)
    manifest = Manifest("Tiny", "CC BY-NC 4.0", "HAM10000", tuple(entries[place] for place in order))
    return store(manifest, np.stack([views[place] for place in order]), root)


def environment(var: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SKINCARE_", "DJANGO_", "PYTEST_"))
    }
    return {**kept, "SKINCARE_VAR": str(var), "DJANGO_SETTINGS_MODULE": "skincare.settings.local"}


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_a_killed_process_goes_on_after_its_last_epoch_and_ends_in_a_bundle_that_answers(tmp_path: Path) -> None:
    a_dataset(tmp_path / "datasets")
    command = [sys.executable, "manage.py", "train", "--recipe", "smoke", "--dataset", "Tiny", "--epochs", "2"]
    command += ["--init-weights", "shipped", "--run", str(tmp_path / "run"), "--name", "trial"]
    first = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment(tmp_path), stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "run" / "checkpoint.npz").is_file():
            assert first.poll() is None
            time.sleep(0.05)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert not (tmp_path / "run" / "bundle").exists()

    second = subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment(tmp_path), capture_output=True, text=True, check=False
    )

    assert second.returncode == 0, second.stderr[-3000:]
    with (tmp_path / "run" / "curve.csv").open(newline="") as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2"]
    assert "epoch 1.0" not in second.stdout
    bundle = tmp_path / "run" / "bundle"
    content = json.loads((bundle / MANIFEST).read_text())
    assert (content["name"], content["training"]["started_from"]) == ("trial", "shipped")
    assert content["dataset"]["licence"] == "CC BY-NC 4.0"
    Bundle.open(bundle, hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest())
    answered = subprocess.run(
        [sys.executable, "manage.py", "analyse", "--json", "--bundle", str(bundle), str(REAL / "ISIC_0029094.jpg")],
        cwd=settings.BASE_DIR,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    (answer,) = json.loads(answered.stdout)
    assert answer["model_version"] == "trial"
    assert answer["error"] is None


def test_training_without_a_dataset_says_how_to_import_one(settings, tmp_path: Path) -> None:
    settings.DATASETS_ROOT = tmp_path

    with pytest.raises(CommandError, match=r"no dataset 'HAM10000'; there is none yet: import one"):
        call_command("train")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--epochs", "0"], "at least one is needed"),
        (["--folds", "1"], "--folds takes 2 or more"),
        (["--recipe", "paper", "--folds", "5"], "split by lesion"),
        (["--folds", "5", "--init-weights", "shipped"], "may know those that a fold holds out"),
        (["--folds", "5", "--init-weights", str(BUNDLES / SHIPPED_BUNDLE)], "may know those that a fold holds out"),
        (
            ["--folds", "5", "--init-weights", str(BUNDLES / SHIPPED_BUNDLE / "model.weights.h5")],
            "may know those that a fold holds out",
        ),
        (["--recipe", "distilled", "--folds", "5", "--teachers", "shipped"], "without teachers"),
        (["--teachers", "shipped"], "the recipe house takes no teachers"),
        (["--recipe", "distilled"], "the recipe distilled learns from teachers: name them"),
    ],
    ids=[
        "no epochs",
        "one fold",
        "folds by image",
        "shipped",
        "a bundle",
        "a whole network",
        "folds and teachers",
        "needless teachers",
        "no teachers",
    ],
)
def test_what_cannot_be_asked_for_is_said(arguments: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        call_command("train", *arguments)


@pytest.mark.parametrize("weights", ["nowhere.h5", str(REAL / "labels.csv")], ids=["missing", "no weights"])
def test_weights_that_cannot_be_read_are_named_with_what_to_give_instead(
    settings, tmp_path: Path, weights: str
) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"
    a_dataset(tmp_path / "datasets")

    with pytest.raises(CommandError, match=Path(weights).name):
        call_command("train", "--dataset", "Tiny", "--init-weights", weights, "--run", str(tmp_path / "run"))
    with pytest.raises(CommandError, match=Path(weights).name):
        call_command(
            "train", "--dataset", "Tiny", "--init-weights", "none", "--recipe", "distilled", "--teachers", weights
        )


def test_a_network_of_random_weights_teaches_nobody(settings, tmp_path: Path) -> None:
    settings.DATASETS_ROOT = tmp_path / "datasets"
    a_dataset(tmp_path / "datasets")

    with pytest.raises(CommandError, match="random weights has nothing to teach"):
        call_command(
            "train", "--dataset", "Tiny", "--init-weights", "none", "--recipe", "distilled", "--teachers", "none"
        )


def test_imagenet_weights_that_cannot_be_fetched_are_told_with_every_other_choice(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", "from training.starting import weights_from; weights_from('imagenet')"],
        cwd=settings.BASE_DIR,
        env={**environment(tmp_path), "KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )

    told = asked.stderr.strip().splitlines()[-1]
    assert "WeightsUnavailable: the ImageNet weights could not be fetched" in told
    assert '--init-weights takes "imagenet" (fetched), "shipped" (the bundle that ships), "none"' in told


def test_shipped_weights_start_where_the_loss_expects_them_and_a_whole_network_is_told_from_one_without_top(
    tmp_path: Path,
) -> None:
    shipped = BUNDLES / SHIPPED_BUNDLE
    manifest = json.loads((shipped / MANIFEST).read_text())
    served = build_network()
    served.load_weights(shipped / "model.weights.h5")
    view = np.random.default_rng(0).integers(0, 255, size=(1, SIDE, SIDE, 3)).astype(np.float32)

    started = build_network()
    started.set_weights(weights_from("shipped"))

    natural = np.asarray(served(view)["logits"])
    balanced = natural - np.log(manifest["class_shares_in_training"])
    np.testing.assert_allclose(np.asarray(started(view)["logits"]), balanced, atol=1e-4)
    whole = weights_from(str(shipped / "model.weights.h5"))
    np.testing.assert_array_equal(whole[-1], served.get_weights()[-1])
    assert weights_from("none") is None


def test_a_run_that_memory_or_disk_would_end_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = Material.of(a_dataset(tmp_path), "lesion")
    assert memory_needed(PAPER) > memory_needed(HOUSE) > memory_needed(replace(HOUSE, precision="mixed_bfloat16"))
    huge = replace(FIRST, batch=10**6)
    usage = shutil.disk_usage(tmp_path)

    with monkeypatch.context() as patched:
        patched.setattr("training.learning.shutil.disk_usage", lambda path: usage._replace(free=2**20))
        with pytest.raises(ResourcesLacking, match=r"GiB of disk are needed, 0\.0 GiB are free: make room"):
            check_resources(FIRST, material, tmp_path / "run")
    if not Path("/dev/nvidia0").exists():
        assert psutil.virtual_memory().available < memory_needed(huge) * 2**20
        with pytest.raises(ResourcesLacking, match="batches of 1000000 at 192 pixels"):
            check_resources(huge, material, tmp_path / "run")


def stopped_at_once(run: Path, material: Material, start: str) -> None:
    """Begin a run in this folder, or take it up, and stop before the first step."""
    with pytest.raises(TrainingCancelled):
        fit(
            SMOKE,
            material,
            run,
            weights=weights_from(start),
            on_progress=lambda progress: None,
            cancelled=lambda: True,
        )


def other_pixels(root: Path, material: Material) -> Material:
    return Material.of(a_dataset(root, first=1), "lesion")


def others_to_train_on(root: Path, material: Material) -> Material:
    """As many of each class, with the two copies that were trained on and chosen by exchanged."""
    split = material.splits.split.copy()
    one, other = (int(material.splits.positions(name)[0]) for name in ("training", "validation"))
    assert material.images.labels[one] == material.images.labels[other]
    split[[one, other]] = split[[other, one]]
    return replace(material, splits=replace(material.splits, split=split))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_folder_of_other_images_or_of_a_run_that_began_elsewhere_is_refused(tmp_path: Path) -> None:
    material = Material.of(a_dataset(tmp_path / "datasets"), "lesion")
    stopped_at_once(tmp_path / "run", material, "shipped")

    for change in (other_pixels, others_to_train_on):
        with pytest.raises(CheckpointForeign, match="other images"):
            stopped_at_once(tmp_path / "run", change(tmp_path / "datasets", material), "shipped")
    for start in ("none", str(BUNDLES / SHIPPED_BUNDLE / "model.weights.h5")):
        with pytest.raises(CheckpointForeign, match="another start"):
            stopped_at_once(tmp_path / "run", material, start)
    stopped_at_once(tmp_path / "run", material, "shipped")


def test_each_request_has_a_folder_of_its_own(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DATASETS_ROOT, settings.TRAINING_ROOT = tmp_path / "datasets", tmp_path / "training"
    a_dataset(tmp_path / "datasets")
    folders: list[Path] = []

    def noted(recipe: Recipe, material: Material, run: Path, *, target: Path, **_: object) -> Path:
        folders.append(run)
        return target

    monkeypatch.setattr("training.management.commands.train.train", noted)
    for start in ("shipped", "none", "shipped"):
        call_command("train", "--recipe", "smoke", "--dataset", "Tiny", "--init-weights", start)

    assert folders[0] == folders[2] != folders[1]


def test_every_lesion_outside_the_test_is_held_out_in_exactly_one_fold(tmp_path: Path) -> None:
    splits = Material.of(a_dataset(tmp_path), "lesion").splits
    splits.split[:4] = "test"

    held = [fold_splits(splits, fold, 3).positions("validation") for fold in range(3)]

    assert sorted(np.concatenate(held)) == list(range(4, len(splits.split)))
    for fold in range(3):
        assert list(fold_splits(splits, fold, 3).positions("test")) == [0, 1, 2, 3]
