"""The network as it is served: the stretch in its graph, maps that average to the logits, and files that agree."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from skimage.exposure import rescale_intensity

from diagnosis.classifier.architecture import IntensityStretch, WeightsUnavailable, build_network
from diagnosis.classifier.novelty import Novelty
from training.export import (
    LOGIT_TOLERANCE,
    MANIFEST,
    MODEL,
    NOVELTY,
    WEIGHTS,
    ExportDiffers,
    check_same_answers,
    natural_network,
    sha256_of,
    to_tflite,
    write_balanced,
    write_files,
    write_manifest,
)

RNG = np.random.default_rng(8)
IMAGES = {
    "wide": RNG.integers(0, 256, size=(224, 224, 3), dtype=np.uint8),
    "narrow": RNG.integers(100, 140, size=(224, 224, 3), dtype=np.uint8),
    "two values": np.where(RNG.random((224, 224, 3)) < 0.5, 7, 8).astype(np.uint8),
    "black": np.zeros((224, 224, 3), dtype=np.uint8),
    "one value": np.full((224, 224, 3), 93, dtype=np.uint8),
}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_network()


@pytest.mark.parametrize("name", IMAGES)
def test_the_stretch_in_the_graph_equals_that_of_scikit_image(name: str) -> None:
    expected = rescale_intensity(IMAGES[name].astype(np.float32), out_range=(0.0, 255.0)) / 127.5 - 1.0

    stretched = np.asarray(IntensityStretch()(IMAGES[name][None]))[0]

    np.testing.assert_allclose(stretched, expected, atol=1e-5)


def test_each_image_of_a_batch_is_stretched_by_itself() -> None:
    batch = np.stack([IMAGES["wide"], IMAGES["narrow"]])

    together = np.asarray(IntensityStretch()(batch))

    np.testing.assert_array_equal(together[1], np.asarray(IntensityStretch()(batch[1:]))[0])


@pytest.mark.parametrize(("content", "problem"), [(None, "is not there"), (b"no weights", "does not hold MobileNetV2")])
def test_starting_weights_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "start.weights.h5"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightsUnavailable, match=problem):
        build_network(path)


@pytest.mark.slow
def test_a_written_bundle_answers_like_the_network_in_every_output(network: keras.Model, tmp_path: Path) -> None:
    views = np.stack([IMAGES["wide"], IMAGES["narrow"]])
    priors = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02])
    served = natural_network(network, priors, prior_adjustment=1.0)
    novelty = Novelty.learn(RNG.normal(size=(50, 1280)).astype(np.float32), directions=8, shrinkage=0.01)

    model = to_tflite(served)
    check_same_answers(model, served, views)
    write_files(tmp_path, served, model, novelty)
    pinned = write_manifest(tmp_path, {"name": "trial"})

    balanced, wanted = (
        {name: np.asarray(value) for name, value in each(views.astype(np.float32)).items()}
        for each in (network, served)
    )
    np.testing.assert_allclose(wanted["logits"] - balanced["logits"], np.tile(np.log(priors), (2, 1)), atol=1e-4)
    forward = Interpreter(model_path=str(tmp_path / MODEL)).get_signature_runner("serving_default")
    said = forward(view=views.astype(np.float32))
    for name in ("logits", "maps", "embedding"):
        np.testing.assert_allclose(said[name], wanted[name], atol=LOGIT_TOLERANCE)
    assert said["maps"].shape == (2, 7, 7, 7)
    np.testing.assert_allclose(said["maps"].mean(axis=(1, 2)), said["logits"], atol=1e-4)

    again = build_network()
    again.load_weights(tmp_path / WEIGHTS)
    np.testing.assert_allclose(np.asarray(again(views.astype(np.float32))["logits"]), wanted["logits"], atol=1e-5)

    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["files"] == {name: sha256_of(tmp_path / name) for name in (MODEL, WEIGHTS, NOVELTY)}
    assert pinned == sha256_of(tmp_path / MANIFEST)
    with pytest.raises(ExportDiffers, match="logits differ"):
        check_same_answers(model, network, views)


def test_a_bundle_goes_on_learning_from_what_it_was_before_its_prior(network: keras.Model, tmp_path: Path) -> None:
    shares = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.68, 0.01])
    served = natural_network(network, shares, 1.0)
    served.save_weights(tmp_path / WEIGHTS)
    (tmp_path / MANIFEST).write_text(json.dumps({"class_shares_in_training": list(shares)}))

    again = build_network()
    again.load_weights(write_balanced(tmp_path, tmp_path / "start.weights.h5"))

    for before, after in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-6)
