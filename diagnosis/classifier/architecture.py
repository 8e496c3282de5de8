"""MobileNetV2 (Sandler et al., CVPR 2018) for the seven diagnoses: intensity stretch, network and activation maps.

The only module of the classifier, with backends/compiled.py, that imports Keras. Written in `keras.ops`, so that it
runs on any Keras backend.
"""

from pathlib import Path
from typing import Final

import keras
from keras import ops

from diagnosis.classifier.taxonomy import CLASSES

#: What bundle.json calls this architecture.
ARCHITECTURE: Final = "mobilenetv2-1.0-224"
#: Height and width of the network's view.
VIEW: Final = 224
#: Length of the embedding: the channels that MobileNetV2 ends with.
EMBEDDING: Final = 1280


class WeightsUnavailable(RuntimeError):
    """The starting weights could be neither fetched nor read."""


class IntensityStretch(keras.layers.Layer):
    """Stretch each image so that its darkest value becomes -1 and its brightest 1.

    The same as `skimage.exposure.rescale_intensity(image, out_range=(0, 255))` over the whole image, all channels
    together, followed by MobileNetV2's scaling `x / 127.5 - 1`. As there, an image of one single value has no range to
    stretch and is only scaled.
    """

    def call(self, views: keras.KerasTensor) -> keras.KerasTensor:
        """[n, h, w, 3] of any numeric dtype, 0..255, to float32 [n, h, w, 3] in -1..1."""
        values = ops.cast(views, "float32")
        darkest = ops.min(values, axis=(1, 2, 3), keepdims=True)
        reach = ops.max(values, axis=(1, 2, 3), keepdims=True) - darkest
        stretched = (values - darkest) / ops.maximum(reach, 1e-6) * 2.0 - 1.0
        return ops.where(reach > 0.0, stretched, values / 127.5 - 1.0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the input."""
        return input_shape


class ClassActivation(keras.layers.Layer):
    """The last dense layer, read in two ways: of the pooled features (logits) and of every place (activation maps).

    Both are linear, so the mean of a class's map over its places is that class's logit (Zhou et al., CVPR 2016).
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Make kernel [1280, 7] and bias [7]."""
        channels = input_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(channels, len(CLASSES)), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(len(CLASSES),), initializer="zeros")

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """[..., 1280] to [..., 7]."""
        if len(features.shape) == 4:
            # As a 1x1 convolution: a matrix product over four axes becomes a tangle of reshapes in TFLite.
            return ops.conv(features, self.kernel[None, None]) + self.bias
        return ops.matmul(features, self.kernel) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[..., 7]."""
        return (*input_shape[:-1], len(CLASSES))


def build_network(
    weights: str | Path | None = None,
    *,
    view: int | None = VIEW,
    dropout: float = 0.0,
    norm_momentum: float = 0.99,
    norm: type[keras.layers.BatchNormalization] = keras.layers.BatchNormalization,
) -> keras.Model:
    """The network: "view" [n, view, view, 3], values 0..255, to {"logits", "maps", "embedding"}, all float32.

    logits [n, 7], maps [n, 7, 7, 7] as row, column, class (for a view of 224), embedding [n, 1280]. The weights do not
    depend on `view` (None leaves height and width open), `dropout`, `norm_momentum` or `norm`, the kind of batch
    normalisation, which matter only in training.

    `weights`: None for random ones, "imagenet" for those that Keras fetches, or a file of MobileNetV2 without top.
    Raises `WeightsUnavailable` when they cannot be had.
    """
    body = keras.applications.MobileNetV2(input_shape=(view, view, 3), alpha=1.0, include_top=False, weights=None)
    if norm is not keras.layers.BatchNormalization:
        body = keras.models.clone_model(body, clone_function=lambda layer: _of_kind(layer, norm))
    if weights is not None:
        _load_body(body, weights)
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = norm_momentum
    frame = keras.Input((view, view, 3), name="view", dtype="float32")
    # In float32 also where the body is trained in mixed precision: eight bits of mantissa are too few for pixels.
    features = body(IntensityStretch(name="stretch", dtype="float32")(frame))
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding", dtype="float32")(features)
    classify = ClassActivation(name="classify", dtype="float32")
    logits = classify(keras.layers.Dropout(dropout, name="dropout")(embedding))
    return keras.Model(frame, {"logits": logits, "maps": classify(features), "embedding": embedding}, name=ARCHITECTURE)


def _of_kind(layer: keras.layers.Layer, norm: type[keras.layers.BatchNormalization]) -> keras.layers.Layer:
    kind = norm if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config())


def _load_body(body: keras.Model, weights: str | Path) -> None:
    if weights == "imagenet":
        try:
            fetched = keras.applications.MobileNetV2(
                input_shape=(VIEW, VIEW, 3), alpha=1.0, include_top=False, weights="imagenet"
            )
        except Exception as problem:  # Keras raises a bare Exception when a download fails.
            raise WeightsUnavailable(
                "the ImageNet weights could not be fetched: give a local file of MobileNetV2 1.0 224 without top "
                f"instead ({problem})"
            ) from problem
        body.set_weights(fetched.get_weights())
        return
    path = Path(weights)
    if not path.is_file():
        raise WeightsUnavailable(f"{path} is not there: give a weights file of MobileNetV2 1.0 224 without top")
    try:
        body.load_weights(path)
    except (ValueError, OSError) as problem:
        raise WeightsUnavailable(f"{path} does not hold MobileNetV2 1.0 224 without top: {problem}") from problem
