"""Where to draw the line on the malignancy risk, for a sensitivity or a specificity that was stated beforehand."""

import numpy as np
from numpy.typing import NDArray


def risk_for_sensitivity(risks: NDArray[np.floating], malignant: NDArray[np.bool_], sensitivity: float) -> float:
    """The greatest threshold at which at least `sensitivity` (0..1) of the malignant have a risk at or above it.

    Raises `ValueError` if none is malignant.
    """
    positive = np.sort(risks[malignant])
    if not len(positive):
        raise ValueError("no malignant image to choose a threshold by")
    missed = int(np.floor((1.0 - sensitivity) * len(positive) + 1e-9))
    return float(positive[min(missed, len(positive) - 1)])


def risk_for_specificity(risks: NDArray[np.floating], malignant: NDArray[np.bool_], specificity: float) -> float:
    """The least threshold, among the observed risks, at which at least `specificity` of the benign lie below it.

    Where even the greatest risk seen would not do, a threshold just above it. Raises `ValueError` if none is benign.
    """
    negative = risks[~malignant]
    if not len(negative):
        raise ValueError("no benign image to choose a threshold by")
    for threshold in np.unique(risks):
        if float(np.mean(negative < threshold)) >= specificity:
            return float(threshold)
    return float(np.nextafter(risks.max(), np.inf))
