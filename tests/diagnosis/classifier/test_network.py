"""From raw outputs to readings: calibrated, prior-corrected, the same bits each time and in any company."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from diagnosis.classifier.backends import Forward
from diagnosis.classifier.bundle import Bundle, BundleRefused
from diagnosis.classifier.network import Network, Reading, interpret
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from tests.diagnosis.classifier.networks import SAMPLES, sample_views, shipped_bundle, shipped_network


def forward(logits: np.ndarray) -> Forward:
    rows = len(logits)
    return Forward(logits.astype(np.float32), np.zeros((rows, 7, 7, 7), np.float32), np.zeros((rows, 1280), np.float32))


def same(one: Reading, other: Reading) -> bool:
    """Bit for bit."""
    return (
        np.array_equal(one.probabilities, other.probabilities)
        and np.array_equal(one.map, other.map)
        and np.array_equal(one.embedding, other.embedding)
        and (one.risk, one.predicted, one.distance, one.novel)
        == (other.risk, other.predicted, other.distance, other.novel)
    )


logits = arrays.arrays(np.float32, (3, 7), elements=st.floats(-80, 80, width=32))


@given(logits)
def test_probabilities_sum_to_one_and_risk_is_the_malignant_share(values: np.ndarray) -> None:
    for reading in interpret(forward(values), np.zeros(3), shipped_bundle()):
        assert reading.probabilities.sum() == pytest.approx(1)
        assert (reading.probabilities >= 0).all()
        assert 0 <= reading.risk <= 1
        assert reading.risk == pytest.approx(sum(reading.probabilities[CLASSES.index(name)] for name in MALIGNANT))


@given(logits, st.floats(-50, 50, width=32))
def test_a_constant_added_to_all_logits_changes_nothing(values: np.ndarray, constant: float) -> None:
    plain = interpret(forward(values), np.zeros(3), shipped_bundle())
    shifted = interpret(forward(values + np.float32(constant)), np.zeros(3), shipped_bundle())

    for one, other in zip(plain, shifted, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_the_decision_is_corrected_for_the_prior() -> None:
    bundle = shipped_bundle()
    priors_as_logits = bundle.temperature * np.log(bundle.class_priors)
    slightly_for_df = priors_as_logits + 0.1 * np.eye(7)[CLASSES.index("df")]

    (reading,) = interpret(forward(slightly_for_df[np.newaxis]), np.zeros(1), bundle)

    assert CLASSES[int(reading.probabilities.argmax())] == "nv"
    assert reading.predicted == "df"


def test_the_temperature_calibrates() -> None:
    bundle = replace(shipped_bundle(), temperature=2.5)
    values = np.array([[2.0, 0, 0, 0, 0, 0, 0]])

    (reading,) = interpret(forward(values), np.zeros(1), bundle)

    expected = np.exp(2 / 2.5) / (np.exp(2 / 2.5) + 6)
    assert reading.probabilities[0] == pytest.approx(expected)


def test_only_what_lies_beyond_the_threshold_is_novel() -> None:
    threshold = shipped_bundle().novelty_threshold
    distances = np.array([0.0, threshold, np.nextafter(threshold, 2 * threshold)])

    readings = interpret(forward(np.zeros((3, 7))), distances, shipped_bundle())

    assert [reading.novel for reading in readings] == [False, False, True]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_no_number_is_an_error_and_no_answer(value: float) -> None:
    values = np.zeros((2, 7))
    values[1, 3] = value

    with pytest.raises(ValueError, match="not a number"):
        interpret(forward(values), np.zeros(2), shipped_bundle())
    with pytest.raises(ValueError, match="not a number"):
        interpret(forward(np.zeros((2, 7))), np.array([0.0, value]), shipped_bundle())


@pytest.mark.parametrize(
    "views",
    [
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 224, 224), np.uint8),
        np.zeros((1, 256, 256, 3), np.uint8),
        np.zeros((1, 224, 224, 3), np.float32),
    ],
    ids=["no batch", "no colour", "another size", "another type"],
)
def test_what_is_no_stack_of_views_is_refused(views: np.ndarray) -> None:
    with pytest.raises(ValueError, match="views are uint8"):
        shipped_network().read(views)


def test_no_views_give_no_readings() -> None:
    assert shipped_network().read(np.zeros((0, 224, 224, 3), np.uint8)) == []


def test_the_same_view_gives_the_same_bits_each_time_and_in_any_company() -> None:
    views = sample_views()[:6]

    together = shipped_network().read(views)
    reversed_company = shipped_network().read(views[::-1])[::-1]
    alone = [shipped_network().read(view[np.newaxis])[0] for view in views]

    assert all(map(same, together, reversed_company))
    assert all(map(same, together, alone))


def test_another_process_gives_the_same_bits() -> None:
    code = """
import hashlib
from tests.diagnosis.classifier.networks import sample_views, shipped_network
reading, = shipped_network().read(sample_views()[:1])
print(hashlib.sha256(reading.probabilities.tobytes() + reading.map.tobytes() + reading.embedding.tobytes()).hexdigest())
import sys; print("tensorflow" in sys.modules, "keras" in sys.modules)
"""
    (here,) = shipped_network().read(sample_views()[:1])

    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    digest = hashlib.sha256(here.probabilities.tobytes() + here.map.tobytes() + here.embedding.tobytes()).hexdigest()
    assert there == [digest, "False", "False"]


def test_the_mean_of_a_map_is_its_logit() -> None:
    reading = shipped_network().read(sample_views()[:1])[0]
    scaled = reading.map.mean(axis=(0, 1)).astype(float) / shipped_bundle().temperature

    expected = np.exp(scaled) / np.exp(scaled).sum()
    assert reading.probabilities == pytest.approx(expected, abs=1e-4)


def test_real_images_are_told_apart_far_better_than_by_chance() -> None:
    with (SAMPLES[0].parent / "labels.csv").open() as table:
        truth = {row["file"]: row["dx"] for row in csv.DictReader(table)}

    readings = shipped_network().read(sample_views())

    right = sum(reading.predicted == truth[path.name] for reading, path in zip(readings, SAMPLES, strict=True))
    assert right >= len(SAMPLES) // 3
    # Of the frozen test 6 % are turned away; here rare classes have as many images as the common one.
    assert sum(reading.novel for reading in readings) <= len(SAMPLES) // 4


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_noise_is_unlike_the_training_data(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)

    assert shipped_network().read(noise)[0].novel


def test_a_backend_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="choose litert or compiled"):
        Network.open(shipped_bundle(), backend="onnx")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.tflite", "novelty.npz"])
def test_a_released_file_of_another_format_is_refused_by_name(tmp_path: Path, name: str) -> None:
    source = shipped_bundle().folder
    for path in source.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / name).write_bytes(b"something else")
    manifest = json.loads((tmp_path / "bundle.json").read_text())
    manifest["files"][name] = hashlib.sha256(b"something else").hexdigest()
    text = json.dumps(manifest).encode()
    (tmp_path / "bundle.json").write_bytes(text)
    bundle = Bundle.open(tmp_path, hashlib.sha256(text).hexdigest())

    with pytest.raises(BundleRefused, match=name):
        Network.open(bundle)
