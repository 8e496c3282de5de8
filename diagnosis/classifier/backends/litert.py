"""The network on a CPU: LiteRT, one view after the other, without TensorFlow."""

from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from diagnosis.classifier.backends import Forward
from diagnosis.classifier.bundle import MODEL, Bundle, BundleRefused
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import SIDE

Details = dict[str, dict[str, Any]]


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
            inputs, outputs = _signature(self._interpreter)
            shape, self._dtype, self._view = (inputs["view"][key] for key in ("shape", "dtype", "index"))
            self._logits, self._maps, self._embedding = (
                outputs[name]["index"] for name in ("logits", "maps", "embedding")
            )
            if tuple(shape) != (1, SIDE, SIDE, 3):
                raise ValueError(f"its view is {tuple(shape)}")
            self._interpreter.allocate_tensors()
        except (ValueError, KeyError, RuntimeError) as error:
            raise BundleRefused(f"{bundle.folder / MODEL}: not a network that LiteRT can run here: {error}") from error

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


def _signature(interpreter: Interpreter) -> tuple[Details, Details]:
    """Inputs and outputs by name. The runner that knows them blocks the interpreter while it lives, so it ends here."""
    runner = interpreter.get_signature_runner()
    return runner.get_input_details(), runner.get_output_details()
