"""`manage.py evaluate --dataset`: a split of a stored dataset, and how much of it the version has met."""

import csv
import json
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from diagnosis.classifier.bundle import BUNDLES
from diagnosis.classifier.shipped import SHIPPED_BUNDLE
from tests.factories import HAM10000
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import Entry, Manifest, sha256_of_view, store
from training.datasets.splits import split_of

#: Lesion group and split by image of each of nine photographs; by lesion, those of groups 1 to 3 are the test.
PLAN = [
    ("1", "test"), ("1", "training"), ("2", "test"), ("2", "validation"), ("3", "test"), ("3", "test"),
    ("4", "training"), ("4", "validation"), ("5", "training"),
]  # fmt: skip


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATASETS_ROOT = tmp_path / "datasets"
    with (HAM10000 / "labels.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if "_600x450" not in row["file"]][: len(PLAN)]
    entries, views = [], []
    for row, (group, split) in sorted(zip(rows, PLAN, strict=True), key=lambda pair: pair[0]["image_id"]):
        with Image.open(HAM10000 / row["file"]) as image:
            view = np.asarray(image.convert("RGB"))
        record = LabelledImage(row["image_id"], row["image_id"], row["dx"], "histo", None, "unknown", "back")
        splits = {"lesion": "test" if group <= "3" else "training", "image": split}
        entries.append(Entry(record, group, sha256_of_view(view), splits, "HAM10000"))  # type: ignore[arg-type]
        views.append(view)
    return store(Manifest("Nine", "CC BY-NC 4.0", "", tuple(entries)), np.stack(views), settings.DATASETS_ROOT)


@pytest.fixture
def by_image(folder: Path, tmp_path: Path) -> Path:
    """The shipped network, as though it had been trained on the nine, split by image."""
    copy = tmp_path / "by-image"
    shutil.copytree(BUNDLES / SHIPPED_BUNDLE, copy)
    content = json.loads((copy / "bundle.json").read_text())
    content["dataset"] |= {"fingerprint": Manifest.load(folder).fingerprint, "split": {"by": "image"}}
    (copy / "bundle.json").write_text(json.dumps(content))
    return copy


def evaluate(output: Path, *more: str) -> tuple[dict[str, Any], str]:
    said = StringIO()
    call_command("evaluate", "--output", str(output), *more, stdout=said, stderr=StringIO())
    return json.loads((output / "report.json").read_text()), said.getvalue()


def test_the_test_of_the_split_by_image_says_how_many_have_a_sibling_in_training(
    folder: Path, by_image: Path, tmp_path: Path
) -> None:
    report, said = evaluate(tmp_path, "--dataset", "Nine", "--by", "image", "--model", str(by_image))

    assert (report["images"], report["lesions"]) == (4, 3)
    assert report["known_to_the_training"] == {"training": 1, "validation": 1, "test": 2, "unknown": 0}
    assert report["dataset"]["images_in_split"] == 4
    assert report["dataset"]["version_trained_by"] == "image"
    assert "1 of them show a lesion that is in its training, 1 more one that chose its thresholds" in said


def test_strangers_are_images_of_lesions_that_the_training_has_not_met(
    folder: Path, by_image: Path, tmp_path: Path
) -> None:
    report, _ = evaluate(tmp_path, "--dataset", "Nine", "--strangers", "--model", str(by_image))

    assert report["dataset"]["images_in_split"] == 6
    assert report["dataset"]["left_out_because_in_training"] == 2
    assert report["known_to_the_training"] == {"training": 0, "validation": 2, "test": 2, "unknown": 0}


@pytest.fixture
def of_ham10000(settings: Any, tmp_path: Path) -> Path:
    """Two images with the ids of HAM10000, at other pixels than those that the shipped network's fingerprint is of."""
    settings.DATASETS_ROOT = tmp_path / "datasets"
    with (HAM10000 / "labels.csv").open(newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["image_id"])
    entries, views = [], []
    for row in [row for row in rows if "_600x450" not in row["file"]][:2]:
        with Image.open(HAM10000 / row["file"]) as image:
            views.append(np.asarray(image.convert("RGB")))
        record = LabelledImage(row["image_id"], row["lesion_id"], row["dx"], "histo", None, "unknown", "back")
        split = split_of(row["lesion_id"])
        splits = {"lesion": split, "image": "test"}
        entries.append(Entry(record, row["lesion_id"], sha256_of_view(views[-1]), splits, "HAM10000"))  # type: ignore[arg-type]
    return store(Manifest("HAM10000", "CC BY-NC 4.0", "", tuple(entries)), np.stack(views), settings.DATASETS_ROOT)


def test_ham10000_of_another_size_is_known_as_what_the_shipped_version_was_trained_on(
    of_ham10000: Path, tmp_path: Path
) -> None:
    report, _ = evaluate(tmp_path, "--dataset", "HAM10000", "--split", "validation", "--strangers")

    assert report["known_to_the_training"] == {"training": 0, "validation": 2, "test": 0, "unknown": 0}


@pytest.mark.parametrize("other", ["the version learnt a part", "the lesions are grouped otherwise", "another name"])
def test_what_only_looks_like_the_data_of_a_version_is_not_taken_for_it(
    of_ham10000: Path, tmp_path: Path, settings: Any, other: str
) -> None:
    bundle = tmp_path / "a-version"
    shutil.copytree(BUNDLES / SHIPPED_BUNDLE, bundle)
    stored = Manifest.load(of_ham10000)
    match other:
        case "the version learnt a part":
            content = json.loads((bundle / "bundle.json").read_text())
            content["dataset"]["split"]["training"] -= 1
            (bundle / "bundle.json").write_text(json.dumps(content))
        case "the lesions are grouped otherwise":
            stored = replace(stored, entries=tuple(replace(each, group="HAM_0") for each in stored.entries))
        case "another name":
            stored = replace(stored, name="Ours")
    folder = store(stored, Manifest.load(of_ham10000).views(of_ham10000), settings.DATASETS_ROOT)

    with pytest.raises(CommandError, match="was not trained on"):
        evaluate(tmp_path, "--dataset", str(folder), "--split", "validation", "--strangers", "--model", str(bundle))


def test_a_stored_view_is_answered_as_its_photograph_is(folder: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "stored", "--dataset", "Nine")
    names = sorted(path.stem for path in HAM10000.glob("*.jpg") if "_600" not in path.stem)
    call_command("analyse", *(str(HAM10000 / f"{name}.jpg") for name in names), "--json", stdout=(said := StringIO()))
    risks = {Path(each["image"]).stem: each["malignancy_risk"] for each in json.loads(said.getvalue())}

    with (tmp_path / "stored" / "predictions.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [len(rows), len({row["lesion"] for row in rows})] == [6, 3]
    for row in rows:
        if not row["abstained"]:
            assert float(row["risk"]) == pytest.approx(risks[row["image_id"]], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --images with --labels, or --dataset"),
        (["--dataset", "Nine", "--labels", "x.csv"], "either --images with --labels, or --dataset"),
        (["--images", "here"], "given together"),
        (["--dataset", "Ten"], "no dataset 'Ten'; there is Nine"),
        (["--dataset", "Nine", "--split", "validation"], "no such image for validation, split by lesion"),
        (["--dataset", "Nine", "--strangers"], "was not trained on Nine"),
        (["--images", "here", "--labels", "x.csv", "--strangers"], "--strangers needs --dataset"),
    ],
)
def test_what_does_not_go_together_is_said(folder: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("evaluate", *arguments)
