"""Figures of a classification on labelled images. Labels and classes are indices in `CLASSES`."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT

_MALIGNANT: Final = np.array([code in MALIGNANT for code in CLASSES])


def is_malignant(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each label is malignant or pre-malignant, bool [n]."""
    return np.asarray(_MALIGNANT[labels], dtype=np.bool_)


def malignancy_risk(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """The summed probability of the malignant classes, float64 [n], from probabilities [n, 7]."""
    return np.asarray(probabilities[:, _MALIGNANT].sum(axis=1), dtype=np.float64)


def decided(probabilities: NDArray[np.floating], priors: NDArray[np.floating]) -> NDArray[np.int64]:
    """The prior-corrected decision, argmax of log p - log prior, int64 [n]."""
    corrected = np.log(np.maximum(probabilities, 1e-300)) - np.log(priors)
    return np.asarray(corrected.argmax(axis=1), dtype=np.int64)


def accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The share of images that were named rightly."""
    return float(np.mean(labels == predicted))


def balanced_accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The mean, over the classes that occur in `labels`, of the share of their images that were named rightly."""
    recalls = [float(np.mean(predicted[labels == code] == code)) for code in np.unique(labels)]
    return float(np.mean(recalls))


def auc(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """The area under the ROC curve of `scores` [n] for `truth` [n]; nan if only one side occurs.

    By ranks (Hanley & McNeil, Radiology 1982), ties counted half: what scikit-learn says, in a twentieth of its time,
    of which a bootstrap with thousands of draws is made.
    """
    true = int(truth.sum())
    pairs = true * (len(truth) - true)
    if not pairs:
        return float("nan")
    return float((rankdata(scores)[truth].sum() - true * (true + 1) / 2) / pairs)


def malignant_auc(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> float:
    """The area under the ROC curve of the malignancy risk; nan if only one side occurs."""
    return auc(is_malignant(labels), malignancy_risk(probabilities))


def sensitivity(truth: NDArray[np.bool_], flagged: NDArray[np.bool_]) -> float:
    """The share of the true that were flagged; nan if none is true."""
    return float(flagged[truth].mean()) if truth.any() else float("nan")


def specificity(truth: NDArray[np.bool_], flagged: NDArray[np.bool_]) -> float:
    """The share of the untrue that were not flagged; nan if all are true."""
    return sensitivity(~truth, ~flagged)
