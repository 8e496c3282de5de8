"""The ISIC 2018 task 3 validation images: other patients of HAM10000's clinics, to report on and never to train on."""

import csv
from pathlib import Path
from typing import Final

from diagnosis.classifier.taxonomy import CLASSES
from training.datasets.ham10000 import LabelledImage, LabelledImages, fingerprint_of, read_archives

TRUTH: Final = "ISIC2018_Task3_Validation_GroundTruth.csv"
ARCHIVE: Final = "ISIC2018_Task3_Validation_Input.zip"


def read(folder: Path) -> LabelledImages:
    """Read the validation images from `folder`. No lesion ids are published, so each image counts as its own lesion."""
    with (folder / TRUTH).open(newline="", encoding="utf-8") as lines:
        truth = {
            row["image"]: next(code for code in CLASSES if float(row[code.upper()]) == 1.0)
            for row in csv.DictReader(lines)
        }
    records = tuple(
        LabelledImage(image, image, diagnosis, "unknown", None, "unknown", "unknown")
        for image, diagnosis in sorted(truth.items())
    )
    views = read_archives([folder / ARCHIVE], [record.image_id for record in records])
    return LabelledImages("ISIC 2018 task 3 validation", records, views, fingerprint_of(records, views))
