"""Varied copies: the same for a seed, and never with a value that the photograph did not have about it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.augmentation import generator_for, vary
from training.recipes import Augmentation

#: Framing only: colour and sharpness as they are.
FRAMING = Augmentation(gain=0.0, gamma=0.0, saturation=0.0, resampled=0.0, blurred=0.0, sharpened=0.0)


def some_image(size: int = 48) -> np.ndarray:
    return np.random.default_rng(1).integers(60, 200, size=(size, size, 3), dtype=np.uint8)


def test_the_same_seed_epoch_and_index_give_the_same_copy() -> None:
    once, again = (vary(some_image(), generator_for(1, 2, 3), Augmentation()) for _ in range(2))

    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("other", [(2, 2, 3), (1, 3, 3), (1, 2, 4)])
def test_seed_epoch_and_index_each_make_another_copy(other: tuple[int, int, int]) -> None:
    copy = vary(some_image(), generator_for(1, 2, 3), Augmentation())

    assert not np.array_equal(copy, vary(some_image(), generator_for(*other), Augmentation()))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_no_framing_brings_in_black_margins(index: int) -> None:
    copy = vary(some_image(), generator_for(0, 0, index), FRAMING)

    assert copy.shape == (48, 48, 3)
    assert copy.min() >= 60
    assert copy.max() < 200


def test_without_any_change_the_image_stays_the_same_but_for_turning() -> None:
    flat = np.full((48, 48, 3), (200, 120, 90), dtype=np.uint8)

    np.testing.assert_array_equal(vary(flat, generator_for(0, 0, 0), FRAMING), flat)
