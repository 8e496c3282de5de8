"""HAM10000 (Tschandl, Rosendahl & Kittler, Sci Data 5:180161, 2018): its images and labels from the official files.

The archives are read in place and decoded once into a cache of uint8 views; nothing is ever extracted.
"""

import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import SIDE, make_view

METADATA: Final = "HAM10000_metadata.csv"
ARCHIVES: Final = ("HAM10000_images_part_1.zip", "HAM10000_images_part_2.zip")

#: All of it, as published; its lesion ids start so.
IMAGES: Final = 10_015
LESION_ID: Final = "HAM_"

LICENCE: Final = "CC BY-NC 4.0"
DOI: Final = "10.1038/sdata.2018.161"
ATTRIBUTION: Final = (
    "Tschandl P., Rosendahl C. & Kittler H. The HAM10000 dataset, a large collection of multi-source dermatoscopic "
    "images of common pigmented skin lesions. Sci. Data 5:180161 (2018). "
    "Harvard Dataverse, doi:10.7910/DVN/DBW86T."
)


class DatasetIncomplete(ValueError):
    """A file or an image of the dataset is missing or not what the metadata say."""


@dataclass(frozen=True)
class LabelledImage:
    """One image and what is known of it. `age` in years, or None; `sex` and `site` as HAM10000 writes them."""

    image_id: str
    lesion_id: str
    diagnosis: str
    confirmed_by: str
    age: float | None
    sex: str
    site: str


@dataclass(frozen=True)
class LabelledImages:
    """A dataset in memory: records sorted by image id, and their views uint8 [n, 224, 224, 3] in the same order."""

    name: str
    records: tuple[LabelledImage, ...]
    views: NDArray[np.uint8]
    fingerprint: str

    @property
    def labels(self) -> NDArray[np.int64]:
        """The index in `CLASSES` of each record's diagnosis, int64 [n]."""
        return np.array([CLASSES.index(record.diagnosis) for record in self.records], dtype=np.int64)


def read_metadata(path: Path) -> tuple[LabelledImage, ...]:
    """Read the official metadata file, sorted by image id.

    Raises `DatasetIncomplete` for a missing file, an unknown diagnosis or a doubled image id.
    """
    if not path.is_file():
        raise DatasetIncomplete(f"{path} is missing: download HAM10000 (doi:10.7910/DVN/DBW86T) into {path.parent}")
    with path.open(newline="", encoding="utf-8") as lines:
        records = tuple(
            LabelledImage(
                image_id=row["image_id"],
                lesion_id=row["lesion_id"],
                diagnosis=row["dx"],
                confirmed_by=row["dx_type"],
                age=float(row["age"]) if row["age"] else None,
                sex=row["sex"],
                site=row["localization"],
            )
            for row in csv.DictReader(lines)
        )
    for record in records:
        if record.diagnosis not in CLASSES:
            raise DatasetIncomplete(f"{path}: {record.image_id} has the unknown diagnosis {record.diagnosis!r}")
    if len({record.image_id for record in records}) != len(records):
        raise DatasetIncomplete(f"{path}: an image id occurs twice")
    return tuple(sorted(records, key=lambda record: record.image_id))


def decode_view(jpeg: bytes) -> NDArray[np.uint8]:
    """Decode one image and squash its whole frame to the network's view, uint8 [224, 224, 3]."""
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return make_view(image.convert("RGB"))


def read_archives(paths: list[Path], wanted: list[str]) -> NDArray[np.uint8]:
    """Decode the images `wanted` (ids) from zip archives of `<image_id>.jpg`, uint8 [len(wanted), 224, 224, 3].

    Raises `DatasetIncomplete` when an archive or an image is missing.
    """
    views = np.zeros((len(wanted), SIDE, SIDE, 3), dtype=np.uint8)
    place = {image_id: index for index, image_id in enumerate(wanted)}
    for path in paths:
        if not path.is_file():
            raise DatasetIncomplete(f"{path} is missing")
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                index = place.pop(Path(name).stem, None) if name.endswith(".jpg") else None
                if index is not None:
                    views[index] = decode_view(archive.read(name))
    if place:
        raise DatasetIncomplete(f"{len(place)} images are in no archive, the first is {min(place)}")
    return views


def fingerprint_of(records: tuple[LabelledImage, ...], views: NDArray[np.uint8]) -> str:
    """The sha256 that names this exact dataset: every image id, lesion, diagnosis and decoded pixel, in order."""
    digest = hashlib.sha256()
    for record, view in zip(records, views, strict=True):
        pixels = hashlib.sha256(np.ascontiguousarray(view).tobytes()).hexdigest()
        digest.update(f"{record.image_id} {record.lesion_id} {record.diagnosis} {pixels}\n".encode())
    return digest.hexdigest()


def read(folder: Path, cache: Path) -> LabelledImages:
    """Read HAM10000 from `folder` (metadata and the two image archives, at any resolution).

    `cache` is a folder where the decoded views are kept, under a name made from the files' contents; a second call
    reads them from there.
    """
    records = read_metadata(folder / METADATA)
    source = hashlib.sha256()
    for name in (METADATA, *ARCHIVES):
        if not (folder / name).is_file():
            raise DatasetIncomplete(f"{folder / name} is missing: download HAM10000 (doi:10.7910/DVN/DBW86T)")
        with (folder / name).open("rb") as content:
            source.update(hashlib.file_digest(content, "sha256").digest())
    decoded = cache / f"ham10000-{source.hexdigest()[:16]}.npy"
    if not decoded.is_file():
        views = read_archives([folder / name for name in ARCHIVES], [record.image_id for record in records])
        cache.mkdir(parents=True, exist_ok=True)
        partial = decoded.with_suffix(".partial.npy")
        np.save(partial, views)
        partial.rename(decoded)
    views = np.load(decoded)
    return LabelledImages("HAM10000", records, views, fingerprint_of(records, views))
