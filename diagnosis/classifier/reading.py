"""What the network makes of one view of a photograph."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Reading:
    """One view, read."""

    probabilities: npt.NDArray[np.float64]
    """[7], in the order of `taxonomy.CLASSES`, calibrated for the natural prior, summing to 1."""
    predicted: str
    """The class of the prior-corrected decision: argmax(log p - log prior). Need not be the most probable one."""
    risk: float
    """p(mel) + p(bcc) + p(akiec), 0..1."""
    map: npt.NDArray[np.float32]
    """[7, 7, 7]: row, column, class; how much each place speaks for each class, in logits."""
    embedding: npt.NDArray[np.float32]
    """[1280]."""
    distance: float
    """From the training data, in embedding space."""
    novel: bool
    """Farther than the bundle's threshold: the other fields mean nothing then."""
