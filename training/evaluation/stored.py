"""A split of a stored dataset to be judged on, and how much of it a version has met in its training."""

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.classifier.bundle import Bundle
from training.datasets.frozen import FrozenTestMoved, ham10000_splits
from training.datasets.ham10000 import IMAGES, LESION_ID, LabelledImage
from training.datasets.manifest import Entry, Manifest, SplitBy
from training.datasets.splits import Split
from training.evaluation.labelled import LabelsRefused, Picture


@dataclass(frozen=True)
class StoredSplit:
    """The images of one split, by their ids, ready for `judgement.review`; the lesion of each is its group.

    `known`: how many of them show a lesion (near-duplicates joined) of which an image was in the version's training,
    in its validation alone, or in neither; all are `unknown` where it was trained on something else. `told`: which
    dataset, which split, and what was left out, for the report.
    """

    records: list[LabelledImage]
    pictures: dict[str, Picture]
    known: dict[str, int]
    told: dict[str, Any]


def trained_by(told: Mapping[str, Any]) -> SplitBy:
    """The rule by which the images that a version was trained on were split from others, as its bundle.json tells."""
    by = told.get("dataset", {}).get("split", {}).get("by", "lesion")
    return "image" if by == "image" else "lesion"


def trained_on(told: Mapping[str, Any], manifest: Manifest) -> bool:
    """Whether the version with this bundle.json was trained on a stored dataset, as far as it can be shown.

    It is shown by the fingerprint of the pixels; or by the dataset's identity among those that a run has named; or, as
    HAM10000 is stored in several sizes, which decode to other pixels, by these together: the bundle learnt all 10,015
    images of HAM10000, split by lesion, and the stored dataset of that name holds its lesions by their own ids, in the
    groups and splits of the frozen lists. What the labels and pixels of the two are is not compared then.
    """
    learnt = told.get("dataset", {})
    if learnt.get("fingerprint") == manifest.fingerprint:
        return True
    if manifest.identity in told.get("training", {}).get("datasets", ()):
        return True
    split = learnt.get("split", {})
    everything = sum(split.get(each, 0) for each in ("training", "validation", "test")) == IMAGES
    same_name = learnt.get("name") == manifest.name == "HAM10000"
    return same_name and everything and trained_by(told) == "lesion" and _split_by_the_frozen_lists(manifest)


def _split_by_the_frozen_lists(manifest: Manifest) -> bool:
    if not all(record.lesion_id.startswith(LESION_ID) for record in manifest.records):
        return False
    try:
        frozen, stored = ham10000_splits(manifest.records), manifest.splits("lesion")
    except FrozenTestMoved:
        return False
    return np.array_equal(frozen.groups, stored.groups) and np.array_equal(frozen.split, stored.split)


def open_split(folder: Path, by: SplitBy, split: Split, bundle: Bundle, strangers: bool = False) -> StoredSplit:
    """Open one split of the dataset stored in `folder`; with `strangers`, without images of lesions in training.

    Raises `manifest.ManifestUnusable`, and `LabelsRefused` when nothing is left, or `strangers` is asked of a version
    that was trained on something else.
    """
    manifest = Manifest.load(folder)
    views = manifest.views(folder)
    same = trained_on(bundle.manifest, manifest)
    if strangers and not same:
        raise LabelsRefused(
            f"{bundle.name} was not trained on {manifest.name}: which lesions it has met cannot be told; leave "
            "--strangers out"
        )
    met = _met(manifest, trained_by(bundle.manifest)) if same else {}
    chosen = [(place, entry) for place, entry in enumerate(manifest.entries) if entry.splits[by] == split]
    kept = [(place, entry) for place, entry in chosen if not strangers or met.get(entry.group) != "training"]
    if not kept:
        raise LabelsRefused(f"{manifest.name} holds no such image for {split}, split by {by}")
    known = Counter(met.get(entry.group, "test") if same else "unknown" for _, entry in kept)
    return StoredSplit(
        # Figures draw whole lesions, and the import has found which of them are one.
        records=[replace(entry.record, lesion_id=entry.group) for _, entry in kept],
        pictures={entry.record.image_id: _picture(entry, views, place) for place, entry in kept},
        known={name: known.get(name, 0) for name in ("training", "validation", "test", "unknown")},
        told={
            "name": manifest.name,
            "fingerprint": manifest.fingerprint,
            "split": split,
            "by": by,
            "images_in_split": len(chosen),
            "left_out_because_in_training": len(chosen) - len(kept),
            "version_trained_by": trained_by(bundle.manifest) if same else None,
        },
    )


def _met(manifest: Manifest, by: SplitBy) -> dict[str, Split]:
    """For each lesion group of which anything was learnt: whether it was in training, or in validation alone."""
    met: dict[str, Split] = {}
    for entry in manifest.entries:
        if entry.splits[by] == "training" or (entry.splits[by] == "validation" and entry.group not in met):
            met[entry.group] = entry.splits[by]
    return met


def _picture(entry: Entry, views: NDArray[np.uint8], place: int) -> Picture:
    """The stored view as a PNG, so that it takes the road of every other photograph and arrives unchanged."""

    def read() -> bytes:
        out = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(views[place])).save(out, "PNG", compress_level=1)
        return out.getvalue()

    reader: Callable[[], bytes] = read
    return Picture(entry.record.image_id, f"{entry.origin}, stored view {place}", reader)
