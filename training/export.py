"""From a trained network to a bundle: TFLite model, weights, novelty statistics, and the manifest naming them all."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from diagnosis.classifier.architecture import EMBEDDING, VIEW, build_network
from diagnosis.classifier.novelty import Novelty
from diagnosis.classifier.taxonomy import CLASSES
from training.fit import Outputs

MODEL: Final = "model.tflite"
WEIGHTS: Final = "model.weights.h5"
NOVELTY: Final = "novelty.npz"
MANIFEST: Final = "bundle.json"

#: The greatest difference between Keras' and TFLite's logits that counts as the same answer.
LOGIT_TOLERANCE: Final = 1e-3

_FRAMES: Final = tf.TensorSpec((None, VIEW, VIEW, 3), tf.float32, name="view")


class ExportDiffers(RuntimeError):
    """The exported model does not answer like the network that it was made from."""


def natural_network(trained: keras.Model, priors: NDArray[np.float64], prior_adjustment: float) -> keras.Model:
    """The network as it is served: the trained weights, with logits for the natural prior.

    Training added `prior_adjustment` x log prior to the logits in the loss; here it goes into the last bias for good
    (and so into the maps, whose mean stays the logit).
    """
    served = build_network()
    served.set_weights(trained.get_weights())
    classify = served.get_layer("classify")
    classify.bias.assign(np.asarray(classify.bias) + (prior_adjustment * np.log(priors)).astype(np.float32))
    return served


def write_balanced(bundle: Path, target: Path) -> Path:
    """Write a bundle's weights to `target` as training holds them, without the log prior, and return `target`.

    The inverse of `natural_network` for a recipe with a prior adjustment of 1.
    """
    network = build_network()
    network.load_weights(bundle / WEIGHTS)
    shares = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["class_shares_in_training"]
    classify = network.get_layer("classify")
    classify.bias.assign(np.asarray(classify.bias) - np.log(shares).astype(np.float32))
    network.save_weights(target)
    return target


def to_tflite(network: keras.Model) -> bytes:
    """The network as a float32 TFLite flatbuffer: input "view" float32 [n, 224, 224, 3], outputs by their names."""

    @tf.function(input_signature=[_FRAMES])
    def serve(view: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(network(view, training=False))

    # Frozen first: the converter leaves Keras 3's variables as references, and the answers would be NaN.
    frozen = convert_variables_to_constants_v2(serve.get_concrete_function())
    names = sorted(serve.get_concrete_function().structured_outputs)
    module = tf.Module()
    module.serve = tf.function(lambda view: dict(zip(names, frozen(view), strict=True)), input_signature=[_FRAMES])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.serve.get_concrete_function()})
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


class Exported:
    """A TFLite model, run as in service: one view at a time."""

    def __init__(self, model: bytes) -> None:
        self._forward = Interpreter(model_content=model, num_threads=2).get_signature_runner("serving_default")

    def outputs_of(self, views: NDArray[np.uint8]) -> Outputs:
        """Its outputs for views, uint8 [n, 224, 224, 3]."""
        logits = np.empty((len(views), len(CLASSES)), dtype=np.float32)
        embeddings = np.empty((len(views), EMBEDDING), dtype=np.float32)
        for index, view in enumerate(views):
            said = self._forward(view=view[None].astype(np.float32))
            logits[index], embeddings[index] = said["logits"][0], said["embedding"][0]
        return Outputs(logits, embeddings)


def check_same_answers(model: bytes, network: keras.Model, views: NDArray[np.uint8]) -> float:
    """The greatest difference of logits between the TFLite model and the network over `views` [n, 224, 224, 3].

    Raises `ExportDiffers` above `LOGIT_TOLERANCE`.
    """
    wanted = np.asarray(network(views.astype(np.float32), training=False)["logits"])
    worst = float(np.abs(Exported(model).outputs_of(views).logits - wanted).max())
    if not worst <= LOGIT_TOLERANCE:
        raise ExportDiffers(f"TFLite's logits differ by {worst:.2g} from Keras', {LOGIT_TOLERANCE:.2g} is allowed")
    return worst


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_files(folder: Path, network: keras.Model, model: bytes, novelty: Novelty) -> None:
    """Write everything but the manifest: the network's weights, its TFLite `model`, and the novelty statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(model)
    network.save_weights(folder / WEIGHTS)
    novelty.save(folder / NOVELTY)


def write_manifest(folder: Path, content: Mapping[str, Any]) -> str:
    """Write bundle.json: `content` and each file's sha256. Returns the sha256 of the manifest's bytes, to pin."""
    files = {name: sha256_of(folder / name) for name in (MODEL, WEIGHTS, NOVELTY)}
    text = json.dumps({**content, "files": files}, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return sha256_of(folder / MANIFEST)
