"""Varied copies: the same for a seed, and never with a value that the photograph did not have about it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from training.augmentation import (
    blur_matrix,
    draw,
    draws_for,
    generator_for,
    mixed,
    resize_matrix,
    share_of_changed_sharpness,
    vary,
)
from training.recipes import PAPER, Augmentation

#: Framing only: colour and sharpness as they are.
FRAMING = Augmentation(gain=0.0, gamma=0.0, saturation=0.0, resampled=0.0, blurred=0.0, sharpened=0.0)
#: Nothing at all, but for mirroring.
STILL = replace(FRAMING, turn=0.0, zoom=1.0, stretch=1.0, shift=0.0)


def some_images(count: int = 2, size: int = 48) -> np.ndarray:
    return np.random.default_rng(1).integers(60, 200, size=(count, size, size, 3), dtype=np.uint8)


def copies(images: np.ndarray, by: Augmentation, seed: int = 0, epoch: int = 0, start: int = 0) -> np.ndarray:
    draws = draws_for(by, images.shape[1], seed, epoch, start, len(images))
    return np.asarray(vary(images, draws))


def test_the_same_seed_epoch_and_index_give_the_same_copies() -> None:
    by = Augmentation(cut_out=0.5, mix_up=0.4)

    np.testing.assert_array_equal(copies(some_images(4), by, 1, 2, 3), copies(some_images(4), by, 1, 2, 3))


@pytest.mark.parametrize("other", [(2, 2, 3), (1, 3, 3), (1, 2, 4)])
def test_seed_epoch_and_index_each_make_another_copy(other: tuple[int, int, int]) -> None:
    assert not np.array_equal(copies(some_images(1), FRAMING, 1, 2, 3), copies(some_images(1), FRAMING, *other))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_framing_brings_in_black_margins(start: int) -> None:
    made = copies(some_images(1), FRAMING, start=start)

    assert made.shape == (1, 48, 48, 3)
    assert made.min() >= 60.0 - 1e-3
    assert made.max() <= 199.0 + 1e-3


def test_without_any_change_an_image_is_itself_or_its_mirror_image() -> None:
    images = some_images(8)

    for image, copy in zip(images, copies(images, STILL), strict=True):
        distance = min(np.abs(copy - image).max(), np.abs(copy - image[:, ::-1]).max())
        assert distance < 0.05


def test_what_an_augmentation_does_not_do_is_not_drawn() -> None:
    assert set(draws_for(PAPER.augmentation, 48, 0, 0, 0, 4)) == {"affine"}
    assert set(draws_for(Augmentation(cut_out=0.1, mix_up=1.0), 48, 0, 0, 0, 4)) == {
        "affine", "mixing", "mixed_share", "tones", "saturation", "cut", "mix_share",
    }  # fmt: skip


@pytest.mark.parametrize(("kernel", "name"), list(enumerate(["BILINEAR", "BICUBIC", "BOX", "LANCZOS"])))
@pytest.mark.parametrize("size", [29, 48, 70])
def test_lines_are_resized_as_pillow_resizes_them(kernel: int, name: str, size: int) -> None:
    image = some_images(1)[0].astype(np.float32)[..., 0]
    across = resize_matrix(48, size, kernel)

    pillow = np.asarray(Image.fromarray(image).resize((size, size), getattr(Image.Resampling, name)))

    np.testing.assert_allclose(across @ image @ across.T, pillow, atol=0.05)


def test_as_many_images_of_a_batch_change_their_sharpness_as_their_share_asks_for() -> None:
    by = replace(STILL, resampled=0.4, blurred=0.1, sharpened=0.1)

    draws = draws_for(by, 48, 0, 0, 0, 20)

    assert share_of_changed_sharpness(by) == pytest.approx(0.1 + 0.9 * (1 - 0.6 * 0.9))
    assert draws["mixing"].shape == (10, 48, 48)
    np.testing.assert_allclose(draws["mixing"].sum(axis=2), 1.0, atol=1e-4)
    smooth = np.broadcast_to(np.arange(48, dtype=np.uint8)[:, None, None] + 100, (20, 48, 48, 3))
    np.testing.assert_allclose(np.asarray(vary(smooth, draws))[:, 8:-8], smooth[:, 8:-8], atol=1.5)


def test_softening_takes_detail_away_and_sharpening_adds_to_it() -> None:
    image = some_images(1)
    base = copies(image, STILL)
    blur = blur_matrix(48, 1.5)[None]

    def detail(share: float) -> float:
        draws = draws_for(STILL, 48, 0, 0, 0, 1) | {"mixing": blur, "mixed_share": np.float32([share])}
        return float(np.asarray(vary(image, draws)).std())

    assert detail(1.0) < base.std() < detail(-0.5)


def test_tones_and_saturation_change_colour_as_drawn() -> None:
    image = some_images(1)
    tones = np.broadcast_to(np.arange(256, dtype=np.float32) * 0.5, (1, 3, 256)).copy()
    draws = draws_for(STILL, 48, 0, 0, 0, 1) | {"tones": tones, "saturation": np.float32([0.0])}

    made = np.asarray(vary(image, draws))[0]

    np.testing.assert_allclose(made[..., 0], made[..., 2], atol=1e-3)
    grey = image[0] @ np.array([0.299, 0.587, 0.114]) * 0.5
    assert min(np.abs(made[..., 0] - grey).max(), np.abs(made[..., 0] - grey[:, ::-1]).max()) < 0.1


def test_what_is_cut_out_has_the_mean_colour_and_the_size_that_was_drawn() -> None:
    by = replace(STILL, cut_out=1.0)
    drawn = draw(generator_for(0, 0, 0), by, 48, sharpness=False)
    top, bottom, left, right = drawn["cut"]

    made = copies(some_images(1), by)[0]

    mean = copies(some_images(1), STILL)[0].mean(axis=(0, 1))
    gone = np.all(np.abs(made - mean) < 0.1, axis=-1)
    assert 0.1 <= bottom - top <= 0.4
    assert gone.mean() == pytest.approx((bottom - top) * (right - left), abs=0.05)


def test_images_and_labels_are_mixed_with_the_same_partner_and_share() -> None:
    share = np.float32([1.0, 0.75])
    images = copies(some_images(2), STILL)

    made = np.asarray(mixed(images, share))
    labels = np.asarray(mixed(np.eye(2, dtype=np.float32), share))

    np.testing.assert_allclose(made[0], images[0], atol=1e-4)
    np.testing.assert_allclose(made[1], 0.75 * images[1] + 0.25 * images[0], atol=1e-3)
    np.testing.assert_allclose(labels, [[1.0, 0.0], [0.25, 0.75]])
