"""The Celery app of a worker in which certain photographs are poison: `celery --app=tests.faults.poisoned worker …`.

The poison is in the network's view: a photograph of one even colour (see `photograph_of`) does what that colour stands
for, at the very place where a real one would: inside the forward pass.
"""

import os
import time
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from skincare.celery import app

__all__ = ["app"]

#: Colour of the photograph, and what the process does that reads it. Noise keeps it from being turned away as uniform.
KILLS: Final = (250, 30, 30)
HANGS: Final = (30, 250, 30)
EATS_MEMORY: Final = (250, 250, 30)
_TOLERANCE: Final = 25


def photograph_of(colour: tuple[int, int, int]) -> bytes:
    """A JPEG of 600×450 with sharp noise around one colour, which passes the checks of quality."""
    noise = np.random.default_rng(1).integers(-60, 60, (450, 600, 1))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def poison_in(views: npt.NDArray[np.uint8]) -> set[tuple[int, int, int]]:
    """The poisons among views, uint8 [n, side, side, 3]."""
    means = views.reshape(len(views), -1, 3).mean(axis=1)
    return {
        poison
        for poison in (KILLS, HANGS, EATS_MEMORY)
        if (np.abs(means - np.array(poison)).max(axis=1) < _TOLERANCE).any()
    }


def _poisoned(read: Any) -> Any:
    def act(self: Any, views: npt.NDArray[np.uint8]) -> Any:
        found = poison_in(views)
        if KILLS in found:
            os.kill(os.getpid(), 9)
        if HANGS in found:
            time.sleep(3600)
        if EATS_MEMORY in found:
            raise MemoryError("the forward pass found no memory")
        return read(self, views)

    return act


@app.on_after_finalize.connect
def poison(**_: Any) -> None:
    """Put the poison into the network of every process of this worker."""
    from diagnosis.classifier.network import Network

    Network.read = _poisoned(Network.read)  # type: ignore[method-assign]
