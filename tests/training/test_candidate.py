"""What is made ready to serve: batch statistics as trained, or measured anew, whichever validation prefers."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from diagnosis.classifier.architecture import build_network
from diagnosis.classifier.taxonomy import CLASSES
from training.batches import Examples
from training.release import averaged_for_service
from training.starting import weights_from

REAL = Path(__file__).parent.parent / "data" / "ham10000"


@pytest.fixture(scope="module")
def real() -> Examples:
    """The sample images with their labels."""
    with (REAL / "labels.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["file"] == f"{row['image_id']}.jpg"]
    views = []
    for row in rows:
        with Image.open(REAL / row["file"]) as image:
            views.append(np.asarray(image.convert("RGB")))
    return Examples(np.stack(views), np.array([CLASSES.index(row["dx"]) for row in rows]))


def saved(network: keras.Model, folder: Path) -> list[Path]:
    path = folder / "some.weights.h5"
    network.save_weights(path)
    return [path]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_statistics_are_measured_anew_only_where_validation_gains_by_it(tmp_path: Path, real: Examples) -> None:
    network = build_network()
    network.set_weights(weights_from("shipped"))
    noise = np.random.default_rng(1).integers(0, 256, size=real.views.shape, dtype=np.uint8)

    kept, anew = averaged_for_service(saved(network, tmp_path), noise, real, np.zeros(7))
    assert not anew
    for one, other in zip(kept.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    spoiled = [
        np.full_like(each, 50.0) if weight.name == "moving_variance" else each
        for weight, each in zip(network.weights, network.get_weights(), strict=True)
    ]
    network.set_weights(spoiled)
    kept, anew = averaged_for_service(saved(network, tmp_path), real.views, real, np.zeros(7))
    assert anew
    assert not any((each == 50.0).all() for each in kept.get_weights())
