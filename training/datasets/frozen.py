"""The committed split of HAM10000: which lesions near-duplicates join, and which are the frozen test, for good."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.datasets.ham10000 import LabelledImage
from training.datasets.splits import Split, join_groups, split_of

FOLDER: Final = Path(__file__).parent / "ham10000_split"


class FrozenTestMoved(ValueError):
    """The split that the code makes is not the one that was frozen."""


@dataclass(frozen=True)
class Splits:
    """For each record, by position: its lesion group and its split."""

    groups: NDArray[np.str_]
    split: NDArray[np.str_]

    def positions(self, split: Split) -> NDArray[np.int64]:
        """Where the records of a split are, ascending."""
        return np.flatnonzero(self.split == split)


def joined_lesions(folder: Path = FOLDER) -> list[tuple[str, str]]:
    """The pairs of lesion ids that near-duplicate images join."""
    with (folder / "near_duplicates.csv").open(newline="", encoding="utf-8") as lines:
        return [(row["first_lesion_id"], row["second_lesion_id"]) for row in csv.DictReader(lines)]


def joined_images(folder: Path = FOLDER) -> list[tuple[str, str]]:
    """The pairs of image ids that were found, and seen by eye, to show one lesion under two lesion ids."""
    with (folder / "near_duplicates.csv").open(newline="", encoding="utf-8") as lines:
        return [(row["first_image_id"], row["second_image_id"]) for row in csv.DictReader(lines)]


def frozen_test_lesions(folder: Path = FOLDER) -> set[str]:
    """The lesion ids of the frozen test."""
    with (folder / "frozen_test_lesions.csv").open(newline="", encoding="utf-8") as lines:
        return {row["lesion_id"] for row in csv.DictReader(lines)}


def split_records(records: tuple[LabelledImage, ...], pairs: list[tuple[str, str]]) -> Splits:
    """Group the records' lesions, joined by those of `pairs` whose lesions both occur, and split the groups."""
    lesions = {record.lesion_id for record in records}
    group_of = join_groups(lesions, [pair for pair in pairs if lesions.issuperset(pair)])
    groups = [group_of[record.lesion_id] for record in records]
    return Splits(np.array(groups), np.array([split_of(group) for group in groups]))


def ham10000_splits(records: tuple[LabelledImage, ...]) -> Splits:
    """The split of HAM10000's records as committed.

    Raises `FrozenTestMoved` if a record of a frozen lesion would be trained on, or the reverse.
    """
    splits = split_records(records, joined_lesions())
    frozen = frozen_test_lesions()
    for record, split in zip(records, splits.split, strict=True):
        if (split == "test") != (record.lesion_id in frozen):
            raise FrozenTestMoved(
                f"{record.lesion_id} falls into {split}, against ham10000_split/frozen_test_lesions.csv"
            )
    return splits
