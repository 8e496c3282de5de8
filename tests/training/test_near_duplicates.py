"""Near-duplicates: a lesion photographed twice is found in any orientation; two that look alike are not joined."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from training.datasets.near_duplicates import Pair, candidates, exact_duplicates, same_lesion


def mole(seed: int) -> NDArray[np.uint8]:
    """A dark round spot on pale skin, uint8 [224, 224, 3]; the fine structure of both comes from the seed."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:224, 0:224] - 111.5
    spot = 1.0 / (1.0 + np.exp((np.hypot(rows, columns) - 45.0) / 4.0))
    structure = gaussian_filter(rng.normal(size=(224, 224)), 2.5) * 120.0
    return np.clip(190.0 - 110.0 * spot + structure, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def rephotographed(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    brighter = np.clip(view * 0.92 + 12.0, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(brighter).resize((200, 200)).resize((224, 224)))


def test_identical_pixels_are_exact_duplicates() -> None:
    assert exact_duplicates(np.stack([mole(1), mole(2), mole(1)])) == [Pair(0, 2, 1.0)]


def test_a_turned_and_mirrored_copy_is_found_and_confirmed() -> None:
    copy = np.ascontiguousarray(np.rot90(rephotographed(mole(1)))[:, ::-1])
    views = np.stack([mole(1), mole(2), copy])

    found = candidates(views)

    assert (0, 2) in found
    assert [(pair.first, pair.second) for pair in same_lesion(views, found)] == [(0, 2)]


def test_two_round_moles_are_not_one_lesion() -> None:
    views = np.stack([mole(seed) for seed in range(6)])
    every_pair = [(one, other) for one in range(6) for other in range(one + 1, 6)]

    assert same_lesion(views, every_pair) == []
