"""A dataset as it is stored: a manifest that names every image, label, lesion group and split, beside decoded views.

A manifest lies in a folder of its own, `manifest.json` with `views.npy`; changing one image, label or split makes
another one. Nothing in it depends on where the images came from.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import SIDE
from training.datasets.frozen import Splits
from training.datasets.ham10000 import LabelledImage, LabelledImages
from training.datasets.splits import Split

MANIFEST: Final = "manifest.json"
VIEWS: Final = "views.npy"
_FORMAT: Final = 1

#: `lesion`: no lesion group is in two splits, and the frozen test is in nobody's training; `image`: as the paper split.
SplitBy = Literal["lesion", "image"]
SPLITS_BY: Final[tuple[SplitBy, ...]] = ("lesion", "image")


class ManifestUnusable(ValueError):
    """There is no such dataset, or its files are not what its manifest says. Names it and the way out."""


@dataclass(frozen=True)
class Entry:
    """One image: what is known of it, its lesion `group`, the sha256 of its view, and its split by each rule.

    `origin` is the collection that it comes from, `contributor` who labelled it, where that is told.
    """

    record: LabelledImage
    group: str
    pixels: str
    splits: Mapping[SplitBy, Split]
    origin: str
    contributor: str = ""


@dataclass(frozen=True)
class Findings:
    """What the import found: image ids, or pairs of them, by kind.

    `identical`: pairs with the same pixels; `near_duplicates`: pairs that show one lesion under two lesion ids, and so
    were joined into one group; `left_out`: image id (or file) and why it is not in the dataset.
    """

    identical: Sequence[tuple[str, str]] = ()
    near_duplicates: Sequence[tuple[str, str]] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Manifest:
    """A dataset: entries sorted by image id, its licence, and what was found when it was made."""

    name: str
    licence: str
    attribution: str
    entries: tuple[Entry, ...]
    findings: Findings = field(default_factory=Findings)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        """Raises `ManifestUnusable` for an empty dataset, an image named twice, or one out of order."""
        names = [entry.record.image_id for entry in self.entries]
        if not names:
            raise ManifestUnusable(f"{self.name}: a dataset without any image")
        if names != sorted(set(names)):
            raise ManifestUnusable(f"{self.name}: its images are not in order, or one of them occurs twice")

    @property
    def records(self) -> tuple[LabelledImage, ...]:
        """What is known of each image."""
        return tuple(entry.record for entry in self.entries)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The index in `CLASSES` of each image's diagnosis, int64 [n]."""
        return np.array([CLASSES.index(record.diagnosis) for record in self.records], dtype=np.int64)

    @property
    def fingerprint(self) -> str:
        """The sha256 over every image id, lesion, diagnosis and decoded pixel, in order (`ham10000.fingerprint_of`)."""
        digest = hashlib.sha256()
        for entry in self.entries:
            record = entry.record
            digest.update(f"{record.image_id} {record.lesion_id} {record.diagnosis} {entry.pixels}\n".encode())
        return digest.hexdigest()

    def split_fingerprint(self, by: SplitBy) -> str:
        """The sha256 over which image, of which group, is in which split."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.record.image_id} {entry.group} {entry.splits[by]}\n".encode())
        return digest.hexdigest()

    @property
    def identity(self) -> str:
        """The sha256 that names exactly this set of images, labels and splits."""
        parts = [self.fingerprint, *(self.split_fingerprint(by) for by in SPLITS_BY)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def splits(self, by: SplitBy = "lesion") -> Splits:
        """The lesion group and the split of each image, in order."""
        return Splits(
            np.array([entry.group for entry in self.entries]), np.array([entry.splits[by] for entry in self.entries])
        )

    def counts(self, by: SplitBy = "lesion") -> dict[str, dict[str, int]]:
        """The number of images by split and diagnosis."""
        table = {split: dict.fromkeys(CLASSES, 0) for split in ("training", "validation", "test")}
        for entry in self.entries:
            table[entry.splits[by]][entry.record.diagnosis] += 1
        return table

    @property
    def lesions(self) -> int:
        """The number of lesion groups."""
        return len({entry.group for entry in self.entries})

    def folder_below(self, root: Path) -> Path:
        """Where this manifest belongs: a folder named after it and its identity."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "dataset"
        return root / f"{slug}-{self.identity[:16]}"

    def save(self, folder: Path) -> None:
        """Write manifest.json into `folder`, which must exist, all or nothing."""
        content = {
            "format": _FORMAT,
            "name": self.name,
            "licence": self.licence,
            "attribution": self.attribution,
            "created": self.created,
            "identity": self.identity,
            "fingerprint": self.fingerprint,
            "split_fingerprints": {by: self.split_fingerprint(by) for by in SPLITS_BY},
            "findings": asdict(self.findings),
            "images": [{**asdict(entry.record), **_beside(entry)} for entry in self.entries],
        }
        partial = folder / "manifest.partial.json"
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        partial.replace(folder / MANIFEST)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest of a folder.

        Raises `ManifestUnusable` when there is none, or when its content and its own fingerprints disagree.
        """
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls(
                name=content["name"],
                licence=content["licence"],
                attribution=content["attribution"],
                entries=tuple(_entry(row) for row in content["images"]),
                findings=_findings(content["findings"]),
                created=content["created"],
            )
            stated = content["identity"]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise ManifestUnusable(f"{path} cannot be read, import the dataset again: {problem!r}") from problem
        if manifest.identity != stated:
            raise ManifestUnusable(f"{path} was changed after it was made: import the dataset again")
        return manifest

    def views(self, folder: Path) -> NDArray[np.uint8]:
        """The decoded views of the manifest in `folder`, uint8 [n, 224, 224, 3], mapped from the file, not read.

        Raises `ManifestUnusable` when they are missing or of another shape.
        """
        path = folder / VIEWS
        try:
            views = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as problem:
            raise ManifestUnusable(f"{path} cannot be read, import the dataset again: {problem}") from problem
        if views.shape != (len(self.entries), SIDE, SIDE, 3) or views.dtype != np.uint8:
            raise ManifestUnusable(f"{path} does not hold the views of its manifest: import the dataset again")
        return np.asarray(views)

    def open(self, folder: Path) -> LabelledImages:
        """Records and views together."""
        return LabelledImages(self.name, self.records, self.views(folder), self.fingerprint)


def _beside(entry: Entry) -> dict[str, Any]:
    return {
        "group": entry.group,
        "pixels": entry.pixels,
        "splits": dict(entry.splits),
        "origin": entry.origin,
        "contributor": entry.contributor,
    }


def _entry(row: dict[str, Any]) -> Entry:
    beside = {name: row.pop(name) for name in ("group", "pixels", "splits", "origin", "contributor")}
    return Entry(record=LabelledImage(**row), **beside)


def _findings(content: dict[str, Any]) -> Findings:
    return Findings(
        identical=[(first, second) for first, second in content["identical"]],
        near_duplicates=[(first, second) for first, second in content["near_duplicates"]],
        left_out=content["left_out"],
        notes=content["notes"],
    )


def sha256_of_view(view: NDArray[np.uint8]) -> str:
    """The hexadecimal sha256 of a decoded view's pixels."""
    return hashlib.sha256(np.ascontiguousarray(view).tobytes()).hexdigest()


def store(manifest: Manifest, views: NDArray[np.uint8], root: Path) -> Path:
    """Write a manifest with its views below `root` and return its folder. A dataset already stored there is kept."""
    folder = manifest.folder_below(root)
    if (folder / MANIFEST).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "views.partial.npy"
    np.save(partial, views)
    partial.replace(folder / VIEWS)
    manifest.save(folder)
    return folder


def stored(root: Path) -> dict[Path, str]:
    """The folders below `root` that hold a dataset, newest first, each with its name."""
    found = []
    for path in root.glob(f"*/{MANIFEST}"):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.append((content["created"], path.parent, content["name"]))
    return {folder: name for _, folder, name in sorted(found, reverse=True)}


def find(wanted: str, root: Path) -> Path:
    """The folder of the dataset `wanted`: a folder, a name (the newest of that name), or how its fingerprint begins.

    Raises `ManifestUnusable`, naming what there is.
    """
    if (Path(wanted) / MANIFEST).is_file():
        return Path(wanted)
    known = stored(root)
    for folder, name in known.items():
        if wanted.lower() in (name.lower(), folder.name):
            return folder
    if len(wanted) >= 6:
        beginning = [folder for folder in known if folder.name.rsplit("-", 1)[-1].startswith(wanted[:16].lower())]
        if len(beginning) == 1:
            return beginning[0]
    there = ", ".join(sorted(set(known.values()))) or "none yet: import one, as with manage.py import_ham10000 PATH"
    raise ManifestUnusable(f"no dataset {wanted!r}; there is {there}")


def joined(folders: Sequence[Path], root: Path) -> Path:
    """One dataset out of several: a manifest and views of its own below `root`, each image with the splits it had.

    Raises `ManifestUnusable` when two of them hold an image of the same name, or the same pixels in different splits.
    """
    manifests = [Manifest.load(folder) for folder in folders]
    if len(manifests) == 1:
        return folders[0]
    rows = [(entry, source, index) for source, each in enumerate(manifests) for index, entry in enumerate(each.entries)]
    rows.sort(key=lambda row: row[0].record.image_id)
    where: dict[str, Entry] = {}
    for entry, _, _ in rows:
        other = where.setdefault(entry.pixels, entry)
        if (other.splits["lesion"] == "test") != (entry.splits["lesion"] == "test"):
            raise ManifestUnusable(
                f"{other.record.image_id} and {entry.record.image_id} are the same picture, "
                "in the frozen test of one dataset and in the training of another: leave one of the two out"
            )
    made = Manifest(
        name=" + ".join(manifest.name for manifest in manifests),
        licence="; ".join(dict.fromkeys(manifest.licence for manifest in manifests)),
        attribution=" ".join(dict.fromkeys(manifest.attribution for manifest in manifests)),
        entries=tuple(entry for entry, _, _ in rows),
        findings=Findings(notes=[f"joined from {manifest.name} {manifest.identity}" for manifest in manifests]),
    )
    target = made.folder_below(root)
    if (target / MANIFEST).is_file():
        return target
    target.mkdir(parents=True, exist_ok=True)
    sources = [manifest.views(folder) for manifest, folder in zip(manifests, folders, strict=True)]
    partial = target / "views.partial.npy"
    views = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(rows), SIDE, SIDE, 3))
    for place, (_, source, index) in enumerate(rows):
        views[place] = sources[source][index]
    views.flush()
    partial.replace(target / VIEWS)
    made.save(target)
    return target


def resized_views(
    folder: Path, views: NDArray[np.uint8], size: int, on_done: Callable[[int, int], None]
) -> NDArray[np.uint8]:
    """The views of a dataset's folder antialiased to uint8 [n, size, size, 3], mapped from a file beside them.

    Made on first use; `on_done` is told how many of how many are.
    """
    if size == SIDE:
        return views
    path = folder / VIEWS.replace(".npy", f"-{size}.npy")
    if not path.is_file():
        partial = path.with_suffix(".partial.npy")
        smaller = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(views), size, size, 3))
        for index, view in enumerate(views):
            smaller[index] = np.asarray(Image.fromarray(view).resize((size, size), Image.Resampling.BILINEAR))
            if index % 100 == 99 or index + 1 == len(views):
                on_done(index + 1, len(views))
        smaller.flush()
        partial.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))
