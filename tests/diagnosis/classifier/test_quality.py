"""Good photographs pass, degraded ones are stopped for the right reason, and the judgement survives storage."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench import quality as degrade
from diagnosis.classifier.quality import Quality, assess
from diagnosis.classifier.view import View, make_view
from tests.diagnosis.classifier.images import lesion

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "ham10000").glob("ISIC_*.jpg"))

STRONG = [
    ("blurred", degrade.blur(2.5)),
    ("blurred", degrade.motion(15, axis=1)),
    ("blurred", degrade.motion(15, axis=0)),
    ("too_dark", degrade.gain(0.25)),
    ("too_bright", degrade.gain(2.2)),
    ("low_contrast", degrade.flatten(0.05)),
    ("glare", degrade.flash),
    ("no_colour", lambda image: image.convert("L").convert("RGB")),
]


def judged(image: Image.Image) -> Quality:
    return assess(make_view(image), 4000, 3000)


def test_nearly_all_real_images_pass() -> None:
    stopped = [path.name for path in SAMPLES if not judged(Image.open(path).convert("RGB")).acceptable]

    assert len(SAMPLES) >= 28
    assert len(stopped) <= 1, stopped


def test_a_good_photograph_has_neither_problem_nor_warning() -> None:
    assert judged(lesion()).advice == ()


@pytest.mark.parametrize(("problem", "degraded"), STRONG, ids=[f"{name}-{i}" for i, (name, _) in enumerate(STRONG)])
def test_a_strong_degradation_is_stopped_for_what_it_is(
    problem: str, degraded: Callable[[Image.Image], Image.Image]
) -> None:
    quality = judged(degraded(lesion(224, 224)))

    assert problem in quality.problems
    assert not quality.acceptable


@pytest.mark.parametrize(
    ("warning", "degraded"),
    [("dark", degrade.gain(0.5)), ("slightly_low_contrast", degrade.flatten(0.17)), ("bright", degrade.gain(1.22))],
    ids=["dark", "slightly_low_contrast", "bright"],
)
def test_a_mild_degradation_is_only_warned_of(warning: str, degraded: Callable[[Image.Image], Image.Image]) -> None:
    quality = judged(degraded(lesion(224, 224)))

    assert warning in quality.warnings


def test_no_real_image_stays_acceptable_when_strongly_blurred() -> None:
    acceptable = [path for path in SAMPLES if judged(degrade.blur(3)(Image.open(path).convert("RGB"))).acceptable]

    assert acceptable == []


def test_blur_is_judged_alike_at_every_size() -> None:
    small = lesion(600, 450)
    large = small.resize((2400, 1800), Image.Resampling.BICUBIC)

    assert judged(large).sharpness == pytest.approx(judged(small).sharpness, rel=0.1)


def test_a_darker_exposure_does_not_count_as_blur() -> None:
    assert judged(degrade.gain(0.6)(lesion())).sharpness == pytest.approx(judged(lesion()).sharpness, rel=0.1)


@pytest.mark.parametrize(
    ("width", "height", "small"),
    [(600, 450, False), (450, 600, False), (599, 450, True), (600, 449, True), (224, 224, True), (900, 400, True)],
)
def test_under_600x450_either_way_up_is_warned_of(width: int, height: int, small: bool) -> None:
    quality = assess(make_view(lesion()), width, height)

    assert ("small" in quality.warnings) == small
    assert quality.acceptable


@pytest.mark.parametrize(
    ("width", "height", "elongated"),
    [(4032, 3024, False), (4032, 2268, False), (1170, 2532, False), (3000, 1000, True), (1000, 3000, True)],
)
def test_a_strip_that_would_be_squashed_beyond_recognition_is_stopped(width: int, height: int, elongated: bool) -> None:
    assert ("elongated" in assess(make_view(lesion()), width, height).problems) == elongated


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_picture_of_one_colour_is_no_photograph(value: int) -> None:
    flat = np.full((224, 224, 3), value, np.uint8)

    assert {"blurred", "low_contrast", "no_colour"} <= set(assess(flat, 600, 450).problems)


views = st.binary(min_size=12, max_size=12).map(
    lambda seed: np.random.default_rng(list(seed)).integers(0, 256, (224, 224, 3), dtype=np.uint8)
)


@given(views, st.integers(224, 9000), st.integers(224, 9000))
def test_what_is_stored_is_read_back_the_same(view: View, width: int, height: int) -> None:
    quality = assess(view, width, height)

    assert Quality.from_dict(json.loads(json.dumps(quality.as_dict()))) == quality
    assert len(quality.advice) == len(quality.problems) + len(quality.warnings)


def test_a_stored_judgement_that_lacks_a_measure_is_an_error() -> None:
    stored = judged(lesion()).as_dict()
    del stored["sharpness"]

    with pytest.raises(KeyError, match="sharpness"):
        Quality.from_dict(stored)
