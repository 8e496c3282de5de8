"""Anybody's labelled photographs, to be judged on: a CSV of labels, and folders or zips of BMP, PNG and JPEG files.

Nothing in them is taken on trust. What cannot be used is left out and named, with the reason.
"""

import csv
import hashlib
import io
import math
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from PIL import Image

from diagnosis.classifier.photograph import MAX_BYTES, MAX_KEPT_PIXELS, Photograph, PhotographRefused, receive
from diagnosis.classifier.taxonomy import CLASSES
from training.datasets.ham10000 import LabelledImage

#: What a picture's name ends with, whatever its case.
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp"})

_HAM10000: Final = ("image_id", "dx")
_ONE_HOT: Final = ("image", *(code.upper() for code in CLASSES))


class LabelsRefused(ValueError):
    """The file of labels, or a source of images, cannot be used at all. Names it and what is needed."""


@dataclass
class Problems:
    """What was left out, by image id, or by the name of the file where there is no id; each list in order."""

    missing: list[str] = field(default_factory=list)
    """Labelled, and there is no such image."""
    unlabelled: list[str] = field(default_factory=list)
    """There is an image, and no label."""
    labelled_twice: list[str] = field(default_factory=list)
    """Labelled more than once and alike: counted once."""
    labels_contradict: list[str] = field(default_factory=list)
    """Labelled more than once with different diagnoses or lesions: left out."""
    no_known_diagnosis: dict[str, str] = field(default_factory=dict)
    """None of the seven diagnoses, or several: left out. What the file says instead."""
    found_twice: list[str] = field(default_factory=list)
    """Several files of this name that hold the same bytes: counted once."""
    images_contradict: list[str] = field(default_factory=list)
    """Several files of this name that differ: left out, because which is meant cannot be known."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Not taken as a photograph, and why."""

    masks_unreadable: dict[str, str] = field(default_factory=dict)
    """The outline of the lesion is no picture: the image is judged, its map is not."""

    @property
    def left_out(self) -> int:
        """How many labelled images are not judged."""
        return (
            len(self.missing)
            + len(self.labels_contradict)
            + len(self.no_known_diagnosis)
            + len(self.images_contradict)
            + len(self.unreadable)
        )

    def as_dict(self) -> dict[str, list[str] | dict[str, str]]:
        """For JSON; every kind, also where it is empty."""
        return dict(vars(self))


@dataclass(frozen=True)
class Picture:
    """One image file. `read` gives its bytes; raises `PhotographRefused` if it is too long or cannot be read."""

    image_id: str
    where: str
    read: Callable[[], bytes]


def read_labels(path: Path, problems: Problems) -> list[LabelledImage]:
    """Read labels in the form of HAM10000's metadata, or of ISIC 2018's one-hot ground truth, sorted by image id.

    HAM10000: `image_id`, `dx`, and where there are any `lesion_id`, `dx_type`, `age`, `sex`, `localization`. ISIC 2018:
    `image` and one column for each diagnosis. Where no lesion is named, each image is a lesion of its own.

    Raises `LabelsRefused` when the file cannot be read or is in neither form.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            names = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise LabelsRefused(f"{path}: cannot be read as a CSV file: {problem}") from problem
    if set(_HAM10000) <= set(names):
        read = _ham10000_row
    elif set(_ONE_HOT) <= set(names):
        read = _one_hot_row
    else:
        raise LabelsRefused(
            f"{path}: its columns are {', '.join(names) or 'none'}; needed are {', '.join(_HAM10000)} as in HAM10000's "
            f"metadata, or {', '.join(_ONE_HOT)} as in ISIC 2018's ground truth"
        )
    by_id: dict[str, list[LabelledImage]] = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        image_id = without_suffix((row["image_id" if read is _ham10000_row else "image"] or "").strip())
        if not image_id:
            problems.no_known_diagnosis[f"{path.name}, line {number}"] = "the row names no image"
            continue
        try:
            by_id[image_id].append(read(image_id, row))
        except ValueError as unknown:
            problems.no_known_diagnosis[image_id] = str(unknown)
    records = []
    for image_id, alike in sorted(by_id.items()):
        if image_id in problems.no_known_diagnosis:
            continue
        if len({(each.diagnosis, each.lesion_id) for each in alike}) > 1:
            problems.labels_contradict.append(image_id)
            continue
        if len(alike) > 1:
            problems.labelled_twice.append(image_id)
        records.append(alike[0])
    return records


def without_suffix(name: str) -> str:
    """The image id that a file's name, or a label, speaks of."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _ham10000_row(image_id: str, row: dict[str, str]) -> LabelledImage:
    diagnosis = (row["dx"] or "").strip().lower()
    if diagnosis not in CLASSES:
        raise ValueError(f"the diagnosis {diagnosis!r} is not one of {', '.join(CLASSES)}")
    return LabelledImage(
        image_id=image_id,
        lesion_id=_text(row, "lesion_id", image_id),
        diagnosis=diagnosis,
        confirmed_by=_text(row, "dx_type"),
        age=_age(_text(row, "age", "")),
        sex=_text(row, "sex"),
        site=_text(row, "localization"),
    )


def _one_hot_row(image_id: str, row: dict[str, str]) -> LabelledImage:
    try:
        marked = [code for code in CLASSES if float(row[code.upper()] or 0) == 1.0]
    except (TypeError, ValueError):
        raise ValueError("a column of a diagnosis holds something else than 0 and 1") from None
    if len(marked) != 1:
        raise ValueError(f"{len(marked)} diagnoses are marked with 1, exactly one is needed")
    return LabelledImage(image_id, image_id, marked[0], "unknown", None, "unknown", "unknown")


def _text(row: dict[str, str], column: str, otherwise: str = "unknown") -> str:
    return (row.get(column) or "").strip() or otherwise


def _age(stated: str) -> float | None:
    try:
        age = float(stated)
    except ValueError:
        return None
    return age if math.isfinite(age) and 0 <= age <= 130 else None


def find_pictures(sources: Iterable[Path], wanted: Iterable[str], problems: Problems) -> dict[str, Picture]:
    """The image files of folders (with all that is below them) and zips, one for each id in `wanted`.

    Raises `LabelsRefused` for a source that is neither a folder nor a zip.
    """
    found: dict[str, list[Picture]] = defaultdict(list)
    for source in sources:
        for picture in pictures_of(source):
            found[picture.image_id].append(picture)
    labelled = set(wanted)
    known = labelled | set(problems.no_known_diagnosis) | set(problems.labels_contradict)
    problems.unlabelled += sorted(set(found) - known)
    problems.missing += sorted(labelled - set(found))
    chosen = {}
    for image_id in sorted(labelled & set(found)):
        pictures = found[image_id]
        if len(pictures) > 1:
            try:
                contents = {hashlib.sha256(picture.read()).digest() for picture in pictures}
            except PhotographRefused:
                contents = set()
            if len(contents) != 1:
                problems.images_contradict.append(image_id)
                continue
            problems.found_twice.append(image_id)
        chosen[image_id] = pictures[0]
    return chosen


def pictures_of(source: Path) -> Iterable[Picture]:
    """Every image file of a folder, with all below it, or of a zip. Raises `LabelsRefused` for anything else."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
                yield Picture(without_suffix(path.name), str(path), lambda path=path: _file(path))  # type: ignore[misc]
    elif zipfile.is_zipfile(source):
        archive = zipfile.ZipFile(source)
        for entry in archive.infolist():
            inside = PurePosixPath(entry.filename)
            if inside.suffix.lower() in SUFFIXES and not inside.name.startswith(".") and not entry.is_dir():
                yield Picture(
                    without_suffix(inside.name),
                    f"{source}:{entry.filename}",
                    lambda archive=archive, entry=entry: _member(archive, entry),  # type: ignore[misc]
                )
    else:
        raise LabelsRefused(f"{source}: neither a folder nor a zip archive of images")


def _file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PhotographRefused("too_many_bytes", f"more than {MAX_BYTES // 2**20} MiB")
        return path.read_bytes()
    except OSError as problem:
        raise PhotographRefused("damaged", f"cannot be read ({problem.strerror})") from problem


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MAX_BYTES:
        raise PhotographRefused("too_many_bytes", f"more than {MAX_BYTES // 2**20} MiB")
    try:
        return archive.read(entry)
    except (
        OSError,
        RuntimeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        EOFError,
    ) as problem:
        raise PhotographRefused("damaged", f"cannot be unpacked ({problem})") from problem


def photograph_of(content: bytes) -> Photograph:
    """Take one file as the service takes an upload. A BMP, which uploads may not be, becomes a PNG first, losslessly.

    Raises `PhotographRefused`.
    """
    return receive(_as_png(content) if content.startswith(b"BM") else content)


def _as_png(bitmap: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(bitmap), formats=["BMP"]) as image:
            if image.width * image.height > MAX_KEPT_PIXELS:
                raise PhotographRefused(
                    "too_many_pixels", f"{image.width}x{image.height} pixels; at most {MAX_KEPT_PIXELS} are accepted"
                )
            out = io.BytesIO()
            image.convert("RGB").save(out, "PNG", compress_level=1)
    except PhotographRefused:
        raise
    except Exception as damaged:  # Pillow's parsers raise whatever the bytes lead them to
        raise PhotographRefused("damaged", "the BMP file is damaged or incomplete") from damaged
    return out.getvalue()
