"""The network on a CPU: LiteRT, one view after the other, without TensorFlow."""

from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from diagnosis.classifier.backends import Forward
from diagnosis.classifier.bundle import MODEL, Bundle, BundleRefused
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import SIDE


class LiteRT:
    """See `backends.Backend`. Views are run one by one: on a CPU a batch gains nothing, and so cannot matter."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Load `model.tflite` of a bundle.

        Raises:
            BundleRefused: it is not a network with the inputs and outputs of `training`'s export.
        """
        self.name = f"litert {version('ai-edge-litert')}"
        try:
            self._interpreter = Interpreter(model_content=bundle.content(MODEL), num_threads=threads)
            self._interpreter.allocate_tensors()
            runner = self._interpreter.get_signature_runner()
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
            self._view = inputs["view"]["index"]
            self._dtype = inputs["view"]["dtype"]
            self._logits, self._maps, self._embedding = (
                outputs[name]["index"] for name in ("logits", "maps", "embedding")
            )
        except (ValueError, KeyError, RuntimeError) as error:
            raise BundleRefused(f"{bundle.folder / MODEL}: not a network that LiteRT can run here: {error}") from error
        self._interpreter.resize_tensor_input(self._view, [1, SIDE, SIDE, 3], strict=True)
        self._interpreter.allocate_tensors()

    def forward(self, views: npt.NDArray[np.uint8]) -> Forward:
        """See `backends.Backend.forward`."""
        results = Forward(
            np.empty((len(views), len(CLASSES)), np.float32),
            np.empty((len(views), 7, 7, len(CLASSES)), np.float32),
            np.empty((len(views), 1280), np.float32),
        )
        for row, view in enumerate(views):
            self._interpreter.set_tensor(self._view, view[np.newaxis].astype(self._dtype, copy=False))
            self._interpreter.invoke()
            results.logits[row] = self._interpreter.get_tensor(self._logits)[0]
            results.maps[row] = self._interpreter.get_tensor(self._maps)[0]
            results.embeddings[row] = self._interpreter.get_tensor(self._embedding)[0]
        return results
