"""Which lesion groups are for training, validation and the frozen test: by a hash of the group, so that it never moves.

A group is one lesion, or several that near-duplicate images join; its name is its smallest lesion id.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal

Split = Literal["training", "validation", "test"]

#: The frozen test takes a tenth of the groups, validation a tenth of the others.
TEST_SHARE: Final = 0.10
VALIDATION_SHARE: Final = 0.10

#: By image, as the paper did: 10,015 images become 7,010 for training, 1,502 for validation and 1,503 to test on.
IMAGE_SHARES: Final = (0.70, 0.15)

#: Names of the draws: changing one would move every group, so they are part of the data's history.
TEST_DRAW: Final = "frozen-test/1"
VALIDATION_DRAW: Final = "validation/1"
IMAGE_DRAW: Final = "by-image/1"
FOLD_DRAW: Final = "folds/1"


def join_groups(lesions: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of every lesion (union-find): lesions joined by `pairs`, directly or through others, share one.

    The group's name is its smallest lesion id. Raises `KeyError` for a pair with an unknown lesion.
    """
    parent = {lesion: lesion for lesion in lesions}

    def root(lesion: str) -> str:
        while parent[lesion] != lesion:
            parent[lesion] = parent[parent[lesion]]
            lesion = parent[lesion]
        return lesion

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return {lesion: root(lesion) for lesion in parent}


def position(group: str, draw: str) -> float:
    """A number in [0, 1) that depends on nothing but the group's name and the draw's."""
    digest = hashlib.sha256(f"{draw}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(group: str) -> Split:
    """The split that a group belongs to, whatever else the dataset holds."""
    if position(group, TEST_DRAW) < TEST_SHARE:
        return "test"
    if position(group, VALIDATION_DRAW) < VALIDATION_SHARE:
        return "validation"
    return "training"


def split_by_image(images: Iterable[str]) -> dict[str, Split]:
    """Split image by image, whatever lesion they show, as the paper did: 70 % training, 15 % validation, 15 % test.

    About a third of the test images then have a sibling in training, and results are too good: for comparison only.
    """
    order = sorted(images, key=lambda image: (position(image, IMAGE_DRAW), image))
    training, validation = (int(len(order) * share) for share in IMAGE_SHARES)
    return {
        image: "training" if place < training else "validation" if place < training + validation else "test"
        for place, image in enumerate(order)
    }


def fold_of(group: str, folds: int) -> int:
    """Which of so many folds, 0 and up, a lesion group is held out in."""
    return int(position(group, FOLD_DRAW) * folds)
