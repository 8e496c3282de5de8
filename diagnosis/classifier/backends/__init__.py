"""Ways to run the network. Each gives the same answer within the tolerance that tests/diagnosis/classifier states."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Forward(NamedTuple):
    """What one forward pass gives for n views, all float32."""

    logits: Floats
    """[n, 7], for the natural prior, before the temperature."""
    maps: Floats
    """[n, 7, 7, 7]: row, column, class. The mean over the places is the class's logit."""
    embeddings: Floats
    """[n, 1280]."""


class Backend(Protocol):
    """A loaded network. Not for several threads at once."""

    name: str
    """`litert` or `compiled`, with the version of what runs it: a stored answer names it."""

    def forward(self, views: npt.NDArray[np.uint8]) -> Forward:
        """Run uint8 [n, 224, 224, 3], n >= 1. The same view gives the same bits, whatever it is run together with."""
        ...
