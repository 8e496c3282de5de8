"""What can be imported: HAM10000 as published, ISIC 2018's ground truth, and a folder with a folder for each class."""

import csv
import zipfile
from pathlib import Path
from typing import Final

from diagnosis.classifier.taxonomy import CLASSES
from training.datasets import ham10000
from training.datasets.frozen import ham10000_splits, joined_images
from training.datasets.ham10000 import LabelledImage
from training.datasets.importing import Collection, ImportRefused
from training.evaluation.labelled import LabelsRefused, Picture, Problems, find_pictures, pictures_of, read_labels

_ISIC_ATTRIBUTION: Final = (
    "Codella N. et al. Skin Lesion Analysis Toward Melanoma Detection 2018: A Challenge Hosted by the International "
    "Skin Imaging Collaboration (ISIC). arXiv:1902.03368 (2019). " + ham10000.ATTRIBUTION
)


def _one(folder: Path, patterns: list[str], what: str) -> Path:
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            return path
    raise ImportRefused(f"{folder}: {what} is missing ({' or '.join(patterns)})")


def _sources(folder: Path, pattern: str) -> list[Path]:
    """Zips and folders of that name; where there are none, the folder itself."""
    found = [path for path in sorted(folder.glob(pattern)) if path.is_dir() or path.suffix == ".zip"]
    return found or [folder]


def _collected(labels: Path, sources: list[Path]) -> tuple[list[LabelledImage], dict[str, Picture], Problems]:
    problems = Problems()
    try:
        records = read_labels(labels, problems)
        pictures = find_pictures(sources, [record.image_id for record in records], problems)
    except LabelsRefused as refused:
        raise ImportRefused(str(refused)) from refused
    return records, pictures, problems


def read_ham10000(folder: Path) -> Collection:
    """HAM10000 in its official layout: HAM10000_metadata.csv, HAM10000_images_part_1 and _2, as zips or folders.

    Lesion masks (HAM10000_segmentations…) are optional; images without one are noted. Near-duplicates are the committed
    pairs, which were looked at, and the frozen test is the committed one. Raises `ImportRefused`.
    """
    labels = _one(folder, [ham10000.METADATA, "HAM10000_metadata"], "the metadata of HAM10000 (doi:10.7910/DVN/DBW86T)")
    records, pictures, problems = _collected(labels, _sources(folder, "HAM10000_images*"))
    return Collection(
        name="HAM10000",
        licence=ham10000.LICENCE,
        attribution=ham10000.ATTRIBUTION,
        records=records,
        pictures=pictures,
        problems=problems,
        joined=joined_images(),
        search=False,
        splits=ham10000_splits,
        notes=_masks(folder, records),
    )


def _masks(folder: Path, records: list[LabelledImage]) -> list[str]:
    names: set[str] = set()
    found = sorted(folder.glob("HAM10000_segmentations*"))
    if not found:
        return ["no lesion masks were given"]
    for path in found:
        listed = [each.name for each in path.rglob("*.png")] if path.is_dir() else zipfile.ZipFile(path).namelist()
        names.update(Path(each).name.removesuffix("_segmentation.png") for each in listed)
    without = [record.image_id for record in records if record.image_id not in names]
    note = f"lesion masks for {len(records) - len(without)} of {len(records)} images"
    if without:
        note += f"; none for {', '.join(without[:20])}{' …' if len(without) > 20 else ''}"
    return [note]


def read_isic2018(folder: Path, *, report_only: bool) -> Collection:
    """ISIC 2018 task 3: …GroundTruth.csv (one-hot), …Input as zip or folder, …LesionGroupings.csv where there is one.

    Without groupings each image is its own lesion, until near-duplicates join some. Raises `ImportRefused`.
    """
    labels = _one(folder, ["*GroundTruth.csv"], "the ground truth of ISIC 2018 task 3")
    records, pictures, problems = _collected(labels, _sources(folder, "*Input*"))
    lesions: dict[str, str] = {}
    for path in folder.glob("*LesionGroupings*.csv"):
        with path.open(newline="", encoding="utf-8-sig") as lines:
            lesions |= {row["image"]: row["lesion_id"] for row in csv.DictReader(lines)}
    grouped = [
        LabelledImage(**{**vars(record), "lesion_id": lesions.get(record.image_id, record.lesion_id)})
        for record in records
    ]
    return Collection(
        name=labels.stem.removesuffix("_GroundTruth").replace("_", " "),
        licence=ham10000.LICENCE,
        attribution=_ISIC_ATTRIBUTION,
        records=grouped,
        pictures=pictures,
        problems=problems,
        report_only=report_only,
    )


def read_folder(folder: Path, *, name: str, licence: str, attribution: str, report_only: bool) -> Collection:
    """A folder with a folder for each class, named by its code (mel, nv, …); every image is a lesion of its own.

    Raises `ImportRefused` for a folder of another name, which would be a class that the network does not know.
    """
    if not folder.is_dir():
        raise ImportRefused(f"{folder} is not a folder")
    problems = Problems()
    labels: dict[str, set[str]] = {}
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    unknown = [path.name for path in inside if path.name.lower() not in CLASSES]
    if unknown or not inside:
        raise ImportRefused(
            f"{folder}: {', '.join(unknown) or 'it has no folders'}; one folder for each class is needed, "
            f"named {', '.join(CLASSES)}"
        )
    for path in inside:
        for picture in pictures_of(path):
            labels.setdefault(picture.image_id, set()).add(path.name.lower())
    problems.labels_contradict += sorted(image for image, codes in labels.items() if len(codes) > 1)
    problems.unlabelled += sorted(
        path.name for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp")
    )
    records = [
        LabelledImage(image, image, min(codes), "unknown", None, "unknown", "unknown")
        for image, codes in sorted(labels.items())
        if len(codes) == 1
    ]
    pictures = find_pictures(inside, [record.image_id for record in records], problems)
    return Collection(name, licence, attribution, records, pictures, problems, report_only=report_only)
