"""Imports: from labelled pictures as they were published to a manifest with decoded views.

Nothing is taken on trust: what is missing, unreadable, unlabelled or labelled twice is named. An import that was killed
goes on where it was, and one that is repeated finds its dataset there.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from diagnosis.classifier.photograph import MAX_KEPT_PIXELS, PhotographRefused
from diagnosis.classifier.view import SIDE, make_view
from training.datasets import near_duplicates
from training.datasets.cleaning import artefact, contact_sheet
from training.datasets.frozen import Splits, split_records
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import MANIFEST, VIEWS, Entry, Findings, Manifest, SplitBy, sha256_of_view
from training.datasets.splits import Split, split_by_image
from training.evaluation.labelled import Picture, Problems

OnDone = Callable[[str, int, int], None]
#: So many images are decoded between two notes of how far it is.
_CHUNK: Final = 100
CONTACT_SHEET: Final = "near-duplicates.jpg"


class ImportRefused(ValueError):
    """The pictures and labels do not fit together. Names what is wrong, and how to go on without it."""


@dataclass(frozen=True)
class Collection:
    """What an import was given. `joined`: pairs of image ids known to show one lesion.

    `splits`: the committed lesion split of a known collection, which what is found here never changes. `search`: look
    for near-duplicates, and join what is found. `report_only`: for nobody's training, so all is test.
    """

    name: str
    licence: str
    attribution: str
    records: list[LabelledImage]
    pictures: Mapping[str, Picture]
    problems: Problems
    joined: list[tuple[str, str]] = field(default_factory=list)
    search: bool = True
    report_only: bool = False
    splits: Callable[[tuple[LabelledImage, ...]], Splits] | None = None
    notes: list[str] = field(default_factory=list)


_WHAT: Final = {
    "missing": "labelled, but there is no such image",
    "unlabelled": "there is an image, but no label",
    "labelled_twice": "labelled twice",
    "labels_contradict": "labelled twice, and differently",
    "no_known_diagnosis": "no known diagnosis",
    "found_twice": "there twice",
    "images_contradict": "there twice, and differently",
    "unreadable": "not a usable picture",
}


def named(problems: Problems, at_most: int = 20) -> list[str]:
    """A line for each kind of problem with the names it concerns, `at_most` of them."""
    lines = []
    for kind, what in _WHAT.items():
        concerned = getattr(problems, kind)
        if not concerned:
            continue
        items = [f"{name} ({why})" for name, why in concerned.items()] if isinstance(concerned, dict) else concerned
        more = f" and {len(items) - at_most} more" if len(items) > at_most else ""
        lines.append(f"{what} ({len(items)}): {', '.join(items[:at_most])}{more}")
    return lines


def _refuse(problems: Problems, name: str) -> None:
    lines = named(problems)
    if lines:
        raise ImportRefused(f"{name} was not imported. " + "; ".join(lines) + ". --leave-out imports all the others.")


def decoded(content: bytes) -> NDArray[np.uint8]:
    """The view of one picture (JPEG, PNG or BMP), upright, the whole frame squashed: uint8 [224, 224, 3].

    Raises `PhotographRefused` for what cannot be decoded as a whole, is smaller than the view, or too large.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG", "BMP"]) as image:
            if image.width * image.height > MAX_KEPT_PIXELS:
                raise PhotographRefused("too_many_pixels", f"{image.width}x{image.height} pixels are too many")
            if min(image.size) < SIDE:
                raise PhotographRefused("too_small", f"{image.width}x{image.height} pixels, {SIDE}x{SIDE} are needed")
            return make_view(ImageOps.exif_transpose(image).convert("RGB"))
    except PhotographRefused:
        raise
    except Exception as damaged:  # Pillow's parsers raise whatever the bytes lead them to
        raise PhotographRefused("damaged", "damaged, incomplete, or not JPEG, PNG or BMP") from damaged


def _state_of(picture: Picture) -> str:
    """Where a picture lies and when that file was changed: another state is another import."""
    path = Path(picture.where)
    if not path.is_file():
        path = Path(picture.where.rsplit(":", 1)[0])
    status = path.stat()
    return f"{picture.image_id} {picture.where} {status.st_size} {status.st_mtime_ns}"


def _decode_all(collection: Collection, ids: list[str], root: Path, on_done: OnDone) -> tuple[Path, dict[str, str]]:
    """Decode the pictures into `views.npy` of a working folder, which is returned with what could not be read."""
    states = "\n".join(_state_of(collection.pictures[each]) for each in ids)
    working = root / f"importing-{hashlib.sha256(states.encode()).hexdigest()[:16]}"
    working.mkdir(parents=True, exist_ok=True)
    note, path = working / "done.json", working / VIEWS
    shape = (len(ids), SIDE, SIDE, 3)
    if note.is_file():
        kept = json.loads(note.read_text(encoding="utf-8"))
        done, unreadable = int(kept["done"]), dict(kept["unreadable"])
        views = np.lib.format.open_memmap(path, mode="r+")
    else:
        done, unreadable = 0, {}
        views = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(done, len(ids), _CHUNK):
        for place in range(start, min(start + _CHUNK, len(ids))):
            picture = collection.pictures[ids[place]]
            try:
                views[place] = decoded(picture.read())
            except PhotographRefused as refused:
                unreadable[ids[place]] = str(refused)
        views.flush()
        done = min(start + _CHUNK, len(ids))
        partial = note.with_suffix(".partial")
        partial.write_text(json.dumps({"done": done, "unreadable": unreadable}), encoding="utf-8")
        partial.replace(note)
        on_done("decoding", done, len(ids))
    return working, unreadable


def _without_artefacts(ids: list[str], views: NDArray[np.uint8], left_out: dict[str, str], on_done: OnDone) -> None:
    for place, image_id in enumerate(ids):
        if image_id not in left_out and (found := artefact(views[place])):
            left_out[image_id] = found
        if place % _CHUNK == 0 or place + 1 == len(ids):
            on_done("cleaning", place + 1, len(ids))


def _check_identical(records: list[LabelledImage], pixels: list[str], problems: Problems) -> list[tuple[str, str]]:
    """Pairs with the same pixels; two diagnoses for one picture are a problem."""
    first: dict[str, LabelledImage] = {}
    pairs = []
    for record, digest in zip(records, pixels, strict=True):
        other = first.setdefault(digest, record)
        if other is record:
            continue
        pairs.append((other.image_id, record.image_id))
        if other.diagnosis != record.diagnosis:
            problems.labels_contradict += [other.image_id, record.image_id]
    return pairs


def import_collection(
    collection: Collection,
    root: Path,
    *,
    leave_out: bool = False,
    on_done: OnDone = lambda doing, done, of: None,
) -> Path:
    """Import a collection below `root` and return its folder.

    Raises `ImportRefused`, unless `leave_out` says to go on without what is wrong; `frozen.FrozenTestMoved`.
    """
    problems = collection.problems
    if not leave_out:
        _refuse(problems, collection.name)
    ids = [record.image_id for record in collection.records if record.image_id in collection.pictures]
    if not ids:
        raise ImportRefused(f"{collection.name} was not imported: none of its images has both a label and a file")
    by_id = {record.image_id: record for record in collection.records}
    working, unreadable = _decode_all(collection, ids, root, on_done)
    problems.unreadable.update(unreadable)
    if not leave_out:
        _refuse(problems, collection.name)
    views = np.load(working / VIEWS, mmap_mode="r+")
    left_out = dict(problems.unreadable)
    _without_artefacts(ids, views, left_out, on_done)
    kept = [place for place, image_id in enumerate(ids) if image_id not in left_out]
    pixels = [sha256_of_view(views[place]) for place in kept]
    identical = _check_identical([by_id[ids[place]] for place in kept], pixels, problems)
    if not leave_out:
        _refuse(problems, collection.name)
    contradicted = set(problems.labels_contradict)
    left_out |= dict.fromkeys(sorted(contradicted & set(ids)), "the same picture has another label elsewhere")
    chosen = [(place, digest) for place, digest in zip(kept, pixels, strict=True) if ids[place] not in contradicted]
    if not chosen:
        raise ImportRefused(f"{collection.name} was not imported: no usable image is left")
    records = tuple(by_id[ids[place]] for place, _ in chosen)
    taken = views if len(chosen) == len(ids) else views[[place for place, _ in chosen]]
    pairs, sheet = _near_duplicates(collection, records, taken, on_done)
    notes = [*collection.notes, *named(problems)]
    known = [pair for pair in collection.joined if set(pair) <= by_id.keys()]
    if collection.splits is not None:
        notes += [f"alike, and not joined: {one} and {other}" for one, other in pairs if (one, other) not in known]
        pairs = []
    joins = [(by_id[one].lesion_id, by_id[other].lesion_id) for one, other in [*identical, *known, *pairs]]
    manifest = Manifest(
        name=collection.name,
        licence=collection.licence,
        attribution=collection.attribution,
        entries=_entries(collection, records, [digest for _, digest in chosen], joins),
        findings=Findings(
            identical=identical,
            near_duplicates=sorted({*known, *pairs}),
            left_out={**left_out, **dict.fromkeys(problems.missing, _WHAT["missing"])},
            notes=notes,
        ),
    )
    return _kept(manifest, taken, working, sheet, root)


def _near_duplicates(
    collection: Collection, records: tuple[LabelledImage, ...], views: NDArray[np.uint8], on_done: OnDone
) -> tuple[list[tuple[str, str]], Image.Image | None]:
    """Pairs of images that show one lesion under two ids, and a sheet of the most alike candidates for the eye."""
    if not collection.search:
        return [], None
    on_done("comparing", 0, len(records))
    across = [
        (first, second)
        for first, second in near_duplicates.candidates(views)
        if records[first].lesion_id != records[second].lesion_id
    ]
    same = near_duplicates.same_lesion(views, across)
    on_done("comparing", len(records), len(records))
    certain = {(pair.first, pair.second) for pair in same}
    shown = [*((pair.first, pair.second) for pair in same), *(pair for pair in across if pair not in certain)]
    sheet = contact_sheet(views, [record.image_id for record in records], shown, len(same)) if shown else None
    return [(records[pair.first].image_id, records[pair.second].image_id) for pair in same], sheet


def _entries(
    collection: Collection, records: tuple[LabelledImage, ...], pixels: list[str], joins: list[tuple[str, str]]
) -> tuple[Entry, ...]:
    splits = collection.splits(records) if collection.splits else split_records(records, joins)
    by_image = split_by_image(record.image_id for record in records)
    entries = []
    for place, record in enumerate(records):
        split: dict[SplitBy, Split] = {"lesion": splits.split[place], "image": by_image[record.image_id]}
        if collection.report_only:
            split = {"lesion": "test", "image": "test"}
        entries.append(Entry(record, str(splits.groups[place]), pixels[place], _plain(split), collection.name))
    return tuple(entries)


def _plain(split: dict[SplitBy, Split]) -> dict[SplitBy, Split]:
    return {by: str(each) for by, each in split.items()}  # type: ignore[misc]


def _kept(manifest: Manifest, views: NDArray[np.uint8], working: Path, sheet: Image.Image | None, root: Path) -> Path:
    """Put the dataset where it belongs. The working folder stays: a repeated import finds all pictures decoded."""
    folder = manifest.folder_below(root)
    if (folder / MANIFEST).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if len(views) == len(np.load(working / VIEWS, mmap_mode="r")):
        # One file under two names, where the file system can: decoded images are never changed.
        (folder / VIEWS).unlink(missing_ok=True)
        try:
            (folder / VIEWS).hardlink_to(working / VIEWS)
        except OSError:
            shutil.copyfile(working / VIEWS, folder / VIEWS)
    else:
        np.save(folder / VIEWS, views)
    if sheet is not None:
        sheet.save(folder / CONTACT_SHEET, quality=85)
    manifest.save(folder)
    return folder
