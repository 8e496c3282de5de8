"""A small real dataset: thirty images of HAM10000 with splits of their own, and stewards who learn from it."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from diagnosis.classifier.view import make_view
from tests.factories import HAM10000
from training.datasets.ham10000 import ATTRIBUTION, LICENCE, LabelledImage
from training.datasets.manifest import Entry, Manifest, sha256_of_view, store


def store_small(root: Path) -> Path:
    """Store the dataset below ``root``: of each class one lesion to test on, one to choose by, the others to learn."""
    with (HAM10000 / "labels.csv").open(newline="", encoding="utf-8") as lines:
        rows = {row["image_id"]: row for row in csv.DictReader(lines) if "_600x450" not in row["file"]}
    of_class: dict[str, list[str]] = defaultdict(list)
    entries, views = [], []
    for image_id, row in sorted(rows.items()):
        lesions = of_class[row["dx"]]
        if row["lesion_id"] not in lesions:
            lesions.append(row["lesion_id"])
        split = {0: "test", 1: "validation"}.get(lesions.index(row["lesion_id"]), "training")
        with Image.open(HAM10000 / row["file"]) as image:
            view = make_view(image.convert("RGB"))
        record = LabelledImage(
            image_id,
            row["lesion_id"],
            row["dx"],
            row["dx_type"],
            float(row["age"]) if row["age"] else None,
            row["sex"],
            row["localization"],
        )
        splits = {"lesion": split, "image": split}
        entries.append(Entry(record, row["lesion_id"], sha256_of_view(view), splits, "HAM10000"))  # type: ignore[arg-type]
        views.append(view)
    root.mkdir(parents=True, exist_ok=True)
    return store(Manifest("HAM10000, thirty images", LICENCE, ATTRIBUTION, tuple(entries)), np.stack(views), root)
