"""Batches that depend only on seed, epoch and index: which images, in which order, and what is drawn for each."""

import hashlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.classifier.taxonomy import CLASSES
from training.augmentation import draws_for
from training.recipes import Recipe

_READY_AHEAD: Final = 4

Item = TypeVar("Item")
#: Views uint8 [batch, size, size, 3] and what is drawn for them.
Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Examples:
    """Views uint8 [n, size, size, 3] with their labels int64 [n], indices in `CLASSES`.

    `positions`, where given, are those of the views that count, in the order of `labels`: the views can then be mapped
    from a file that holds others as well. `dataset` is the fingerprint of what the views belong to, where it has one.
    """

    views: NDArray[np.uint8]
    labels: NDArray[np.int64]
    positions: NDArray[np.int64] | None = None
    dataset: str = ""

    @property
    def fingerprint(self) -> str:
        """The sha256 that names these examples by their dataset, their places in it and their labels."""
        digest = hashlib.sha256(self.dataset.encode())
        for each in (self.positions, self.labels):
            digest.update(b"" if each is None else each.tobytes())
        return digest.hexdigest()

    def taken(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The views of some examples, read into memory."""
        places = indices if self.positions is None else self.positions[indices]
        return np.stack([self.views[place] for place in places])

    @property
    def size(self) -> int:
        """Height and width of the views in pixels."""
        return int(self.views.shape[1])


def class_priors(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each class in `labels`, float64 [7]; with one added to each, so that none is zero."""
    counts = np.bincount(labels, minlength=len(CLASSES)) + 1.0
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def resized(views: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """All views antialiased to uint8 [n, size, size, 3]."""
    if views.shape[1:3] == (size, size):
        return views
    smaller = np.empty((len(views), size, size, 3), dtype=np.uint8)
    for index, view in enumerate(views):
        smaller[index] = np.asarray(Image.fromarray(view).resize((size, size), Image.Resampling.BILINEAR))
    return smaller


def drawn_priors(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """The share of each class, float64 [7], when one of n images is drawn in proportion to n ** `power`."""
    shares = class_priors(labels) ** power
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def order_of(labels: NDArray[np.int64], power: float, seed: int, epoch: int) -> NDArray[np.int64]:
    """Which examples an epoch visits, in order: as many as there are, each once if `power` is 1."""
    rng = np.random.default_rng((seed, epoch))
    count = len(labels)
    if power == 1.0:
        return rng.permutation(count)
    chances = (drawn_priors(labels, power) / np.bincount(labels, minlength=len(CLASSES)).clip(1))[labels]
    return rng.choice(count, size=count, p=chances / chances.sum())


def batches(
    examples: Examples, recipe: Recipe, epoch: int, first: int = 0
) -> Iterator[tuple[Inputs, NDArray[np.int64]]]:
    """The epoch's full batches from number `first` on: views with what is drawn for them, and labels; the rest is left.

    `examples` must already have the epoch's size. The same seed and epoch give the same batches, always.
    """
    order = order_of(examples.labels, recipe.sampling_power, recipe.seed, epoch)
    for start in range(first * recipe.batch, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[start : start + recipe.batch]
        drawn = draws_for(recipe.augmentation, examples.size, recipe.seed, epoch, start, recipe.batch)
        yield {"views": examples.taken(chosen), **drawn}, examples.labels[chosen]


def prepared_ahead(items: Iterator[Item], ahead: int = _READY_AHEAD) -> Iterator[Item]:
    """The same items, made in a thread of their own while the caller works on earlier ones.

    When the caller stops early, so does the thread.
    """
    waiting: queue.Queue[Item | Exception | None] = queue.Queue(maxsize=ahead)
    unwanted = threading.Event()

    def put(item: Item | Exception | None) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except Exception as problem:
            put(problem)
        else:
            put(None)

    threading.Thread(target=make, daemon=True, name="batches").start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        unwanted.set()
