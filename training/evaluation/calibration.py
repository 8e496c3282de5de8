"""Whether probabilities can be taken at their word: one temperature for all logits, and how far off they still are."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS: Final = 15


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The temperature (0.1 to 10) under which `logits` [n, 7] make `labels` [n] most likely (Guo et al., ICML 2017)."""

    def surprise(log_temperature: float) -> float:
        chances = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-chances[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(surprise, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return float(np.exp(found.x))


def tempered_priors(priors: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """The priors [7] that probabilities carry once their logits were divided by `temperature`, summing to 1.

    Logits for the natural prior are a score plus log prior, and the temperature divides both. A decision that corrects
    for these priors is the same at every temperature; one that corrects for `priors` themselves leans to the frequent
    classes when the temperature is below 1.
    """
    powered = np.asarray(priors, dtype=np.float64) ** (1.0 / temperature)
    return np.asarray(powered / powered.sum(), dtype=np.float64)


def expected_calibration_error(chances: NDArray[np.floating], happened: NDArray[np.bool_], bins: int = BINS) -> float:
    """The mean distance between stated `chances` [n] and how often it `happened` [n], over equally wide bins of chance.

    For the seven classes: the chance of the likeliest class, and whether it was right; for malignancy: the risk.
    """
    place = np.minimum((chances * bins).astype(np.int64), bins - 1)
    total = 0.0
    for each in np.unique(place):
        inside = place == each
        total += float(abs(chances[inside].mean() - happened[inside].mean())) * float(inside.mean())
    return total
