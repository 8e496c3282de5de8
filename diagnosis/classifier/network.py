"""A bundle put to work: from views to calibrated probabilities, decision, malignancy risk, map, and distance."""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from diagnosis.classifier.backends import Backend, Forward
from diagnosis.classifier.bundle import NOVELTY, Bundle, BundleRefused
from diagnosis.classifier.novelty import Novelty, NoveltyUnreadable
from diagnosis.classifier.reading import Reading
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.classifier.view import SIDE

__all__ = ["BackendName", "Network", "Reading", "interpret"]

BackendName = Literal["litert", "compiled"]

_MALIGNANT: Final = [CLASSES.index(name) for name in MALIGNANT]


class Network:
    """A loaded network. One for each process; not for several threads at once."""

    def __init__(self, bundle: Bundle, backend: Backend, novelty: Novelty) -> None:
        """Use `open`, which loads the parts that belong together."""
        self.bundle = bundle
        self._backend = backend
        self._novelty = novelty

    @classmethod
    def open(cls, bundle: Bundle, backend: BackendName = "litert", threads: int = 1) -> "Network":
        """Load the network of an opened bundle.

        Args:
            backend: `litert` for a CPU (imports no TensorFlow), `compiled` for a GPU.
            threads: of LiteRT; TensorFlow finds its own.

        Raises:
            BundleRefused: the files are sound, but not a network for this program.
            ValueError: no such backend.
        """
        try:
            novelty = Novelty.load(bundle.folder / NOVELTY)
        except NoveltyUnreadable as error:
            raise BundleRefused(str(error)) from error
        return cls(bundle, _load(bundle, backend, threads), novelty)

    @property
    def backend_name(self) -> str:
        """What runs the network, with its version; stored with each answer."""
        return self._backend.name

    def read(self, views: npt.NDArray[np.uint8]) -> list[Reading]:
        """Read views, uint8 [n, 224, 224, 3], in their order. The same view gives the same bits in any company.

        Raises:
            ValueError: another shape or type.
        """
        if views.ndim != 4 or views.shape[1:] != (SIDE, SIDE, 3) or views.dtype != np.uint8:
            raise ValueError(f"views are uint8 [n, {SIDE}, {SIDE}, 3], not {views.dtype} {list(views.shape)}")
        if len(views) == 0:
            return []
        forward = self._backend.forward(views)
        # One by one: a matrix product of several rows may round its last bits otherwise than of one.
        distances = np.array([self._novelty.distance(row[np.newaxis])[0] for row in forward.embeddings])
        return interpret(forward, distances, self.bundle)


def _load(bundle: Bundle, backend: BackendName, threads: int) -> Backend:
    # Imported here, because each brings a runtime that a process with the other one must not load.
    if backend == "litert":
        from diagnosis.classifier.backends.litert import LiteRT

        return LiteRT(bundle, threads)
    if backend == "compiled":
        from diagnosis.classifier.backends.compiled import Compiled

        return Compiled(bundle)
    raise ValueError(f"no backend {backend!r}: choose litert or compiled")


def interpret(forward: Forward, distances: npt.NDArray[np.floating], bundle: Bundle) -> list[Reading]:
    """Turn raw outputs for n views into readings: p = softmax(logits / temperature), in double precision.

    Args:
        forward: of n views.
        distances: [n], of their embeddings from the training data.
        bundle: whose temperature, priors and novelty threshold hold.

    Raises:
        ValueError: an output is not finite. An answer is never made of such.
    """
    if not (np.isfinite(forward.logits).all() and np.isfinite(distances).all()):
        raise ValueError("the network gave an output that is not a number")
    scaled = forward.logits.astype(np.float64) / bundle.temperature
    log_p = scaled - scaled.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    probabilities = np.exp(log_p)
    decisions = np.argmax(log_p - np.log(bundle.class_priors), axis=1)
    return [
        Reading(
            probabilities=probabilities[row],
            predicted=CLASSES[decisions[row]],
            risk=min(1.0, float(probabilities[row, _MALIGNANT].sum())),
            map=forward.maps[row],
            embedding=forward.embeddings[row],
            distance=float(distances[row]),
            novel=bool(distances[row] > bundle.novelty_threshold),
        )
        for row in range(len(probabilities))
    ]
