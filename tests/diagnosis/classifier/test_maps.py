"""The activation map as a picture: absolute, in the photograph's shape, readable without colour vision."""

import io

import numpy as np
import pytest
from PIL import Image

from diagnosis.classifier.maps import malignant_share, render, share
from diagnosis.classifier.taxonomy import CLASSES
from tests.diagnosis.classifier.networks import sample_views


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


def test_each_place_says_how_malignant_it_looks_by_itself() -> None:
    activation = np.zeros((7, 7, 7), np.float32)
    activation[2, 5, CLASSES.index("mel")] = 8
    activation[6, 0, CLASSES.index("nv")] = 8

    share = malignant_share(activation, temperature=1.0)

    assert share.shape == (7, 7)
    assert share[2, 5] > 0.99
    assert share[6, 0] < 0.01
    assert share[0, 0] == pytest.approx(3 / 7)


def test_the_shares_of_the_seven_classes_make_one_everywhere() -> None:
    activation = np.random.default_rng(0).normal(0, 3, (7, 7, 7))

    assert sum(share(activation, 1.5, [name]) for name in CLASSES) == pytest.approx(1)


def test_a_map_of_an_unknown_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        share(np.zeros((7, 7, 7)), 1.0, ["scc"])


def test_a_temperature_softens_the_map() -> None:
    activation = np.zeros((7, 7, 7), np.float32)
    activation[..., CLASSES.index("mel")] = 3

    assert malignant_share(activation, temperature=3.0)[0, 0] < malignant_share(activation, temperature=1.0)[0, 0]


def test_great_activations_do_not_overflow() -> None:
    assert np.isfinite(malignant_share(np.full((7, 7, 7), 1e4, np.float32), 0.1)).all()


def test_a_benign_map_stays_dark_all_over() -> None:
    picture = np.asarray(opened(render(np.full((7, 7), 0.02))).convert("L"))

    assert picture.max() < 40


def test_a_hot_place_is_bright_where_it_is() -> None:
    heat = np.zeros((7, 7))
    heat[1, 5] = 1

    picture = np.asarray(opened(render(heat, None, 700, 700)).convert("L"), int)

    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert 100 <= row < 200
    assert 500 <= column < 600


def test_more_heat_is_always_lighter_even_in_grey() -> None:
    lightness = [opened(render(np.full((7, 7), heat))).convert("L").getpixel((9, 9)) for heat in np.linspace(0, 1, 33)]

    assert lightness == sorted(lightness)
    assert len(set(lightness)) > 25


def test_the_map_has_the_size_asked_for_with_and_without_the_photograph() -> None:
    heat = np.random.default_rng(0).random((7, 7))

    assert opened(render(heat, None, 640, 480)).size == (640, 480)
    assert opened(render(heat, sample_views()[0], 640, 480)).size == (640, 480)


def test_under_the_map_the_photograph_can_be_recognised() -> None:
    view = sample_views()[0]
    grey = np.asarray(Image.fromarray(view).convert("L"), float)

    picture = np.asarray(opened(render(np.full((7, 7), 0.5), view)).convert("L"), float)

    assert np.corrcoef(grey.ravel(), picture.ravel())[0, 1] > 0.99
