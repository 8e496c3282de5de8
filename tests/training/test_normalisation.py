"""The fused batch normalisation is Keras' own, only faster."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from diagnosis.classifier.architecture import build_network
from training.normalisation import FusedNormalisation


def passed(layer: Any, views: Any, pull: Any) -> dict[str, Any]:
    """What a training pass gives and leaves behind, and its gradients along `pull`."""
    with tf.GradientTape() as tape:
        tape.watch(views)
        normal = layer(views, training=True)
    gradients = tape.gradient(normal, [views, layer.gamma, layer.beta], pull)
    names = ["of the views", "of gamma", "of beta"]
    left = {"mean": layer.moving_mean, "variance": layer.moving_variance, "served": layer(views, training=False)}
    return {"normal": normal, **dict(zip(names, gradients, strict=True)), **left}


@pytest.mark.parametrize("shape", [(2, 3, 3, 4), (8, 14, 14, 24), (1, 1, 7, 960)])
def test_a_training_pass_gives_what_keras_gives(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(7)
    views, pull = (tf.constant(rng.normal(1.5, 2.0, shape), tf.float32) for _ in range(2))
    scales = [rng.uniform(0.5, 1.5, shape[-1]).astype(np.float32) for _ in range(4)]
    results = []
    for kind in (keras.layers.BatchNormalization, FusedNormalisation):
        layer = kind(momentum=0.9, epsilon=1e-3)
        layer.build(shape)
        layer.set_weights(scales)
        results.append(passed(layer, views, pull))
    for what, wanted in results[0].items():
        np.testing.assert_allclose(results[1][what], wanted, rtol=2e-3, atol=2e-4, err_msg=what)


def test_in_mixed_precision_the_statistics_stay_in_float32() -> None:
    views = np.random.default_rng(11).normal(1.5, 2.0, (8, 14, 14, 24)).astype(np.float32)
    whole, mixed = FusedNormalisation(), FusedNormalisation(dtype="mixed_bfloat16")
    normal, rounded = whole(views, training=True), mixed(views, training=True)
    assert rounded.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(rounded, "float32"), normal, atol=0.05)
    for one, other in zip(mixed.get_weights(), whole.get_weights(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=0.02)


def test_one_that_is_held_fast_uses_and_keeps_its_statistics() -> None:
    layer = FusedNormalisation()
    layer.build((4, 5, 5, 3))
    layer.trainable = False
    views = np.random.default_rng(3).normal(size=(4, 5, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(layer(views, training=True), layer(views, training=False))
    assert not np.any(layer.moving_mean)


def test_the_whole_network_has_the_same_weights_in_the_same_order() -> None:
    plain = build_network(view=None)
    fused = build_network(view=None, norm=FusedNormalisation)
    assert [weight.path for weight in fused.weights] == [weight.path for weight in plain.weights]
    fused.set_weights(plain.get_weights())
    views = np.random.default_rng(5).uniform(0, 255, (2, 96, 96, 3)).astype(np.float32)
    np.testing.assert_allclose(fused(views)["logits"], plain(views)["logits"], atol=1e-5)
    norms = [layer for layer in fused.layers[2].layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 52
    assert {type(norm) for norm in norms} == {FusedNormalisation}
