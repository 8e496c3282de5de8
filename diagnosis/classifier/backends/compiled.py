"""The network on a GPU: the Keras model as one compiled function over batches of a fixed size."""

from typing import Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from diagnosis.classifier.architecture import ARCHITECTURE, build_network
from diagnosis.classifier.backends import Forward
from diagnosis.classifier.bundle import WEIGHTS, Bundle, BundleRefused
from diagnosis.classifier.view import SIDE

#: Views in a batch; fewer are filled up. One size in service: another may choose other kernels and other last bits.
BATCH: Final = 32


class Compiled:
    """See `backends.Backend`."""

    def __init__(self, bundle: Bundle, batch: int = BATCH) -> None:
        """Load `model.weights.h5` of a bundle into the architecture, and compile for `batch` views at a time.

        Raises:
            BundleRefused: the weights are for another architecture.
        """
        self.name = f"compiled tensorflow {tf.__version__}"
        if bundle.architecture != ARCHITECTURE:
            raise BundleRefused(f"{bundle.folder}: architecture {bundle.architecture!r}; this is {ARCHITECTURE!r}")
        network = build_network()
        try:
            network.load_weights(bundle.folder / WEIGHTS)
        except (ValueError, OSError) as error:
            raise BundleRefused(f"{bundle.folder / WEIGHTS}: not weights of {ARCHITECTURE}: {error}") from error
        self._batch_size = batch
        signature = tf.TensorSpec([batch, SIDE, SIDE, 3], tf.uint8)
        self._run = tf.function(
            lambda views: network(tf.cast(views, tf.float32), training=False), input_signature=[signature]
        ).get_concrete_function()

    def forward(self, views: npt.NDArray[np.uint8]) -> Forward:
        """See `backends.Backend.forward`."""
        size = self._batch_size
        parts = [self._batch(views[start : start + size]) for start in range(0, len(views), size)]
        return Forward(*(np.concatenate(outputs) for outputs in zip(*parts, strict=True)))

    def _batch(self, views: npt.NDArray[np.uint8]) -> Forward:
        padded = np.zeros((self._batch_size, SIDE, SIDE, 3), np.uint8)
        padded[: len(views)] = views
        outputs = self._run(tf.constant(padded))
        logits, maps, embeddings = (outputs[name].numpy()[: len(views)] for name in ("logits", "maps", "embedding"))
        return Forward(logits, maps, embeddings)
