"""Every figure of an evaluation at once, from weights of the images, so that thousands of bootstrap draws cost seconds.

A draw of lesion groups gives each image the number of times that its group was drawn; a figure of the draw is the
weighted figure of all images.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diagnosis.classifier.taxonomy import CLASSES
from training.evaluation import metrics
from training.evaluation.calibration import BINS
from training.evaluation.report import Answers
from training.evaluation.statistics import DRAWS, LEVEL, Estimate

Weights = NDArray[np.float64]

_MELANOMA: Final = CLASSES.index("mel")


def weighted_share(of: NDArray[np.bool_], among: NDArray[np.bool_], weights: Weights) -> float:
    """The weight of `of` among `among`, 0..1; nan where nothing of it has weight."""
    whole = float(weights[among].sum())
    return float(weights[among & of].sum()) / whole if whole > 0 else float("nan")


class WeightedArea:
    """The area under one ROC curve for any weights, ties counted half; the sorting is done once."""

    def __init__(self, truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> None:
        levels, self._place = np.unique(scores, return_inverse=True)
        self._levels = len(levels)
        self._truth = truth

    def __call__(self, weights: Weights) -> float:
        """0..1; nan where one side has no weight."""
        positive = np.bincount(self._place, np.where(self._truth, weights, 0.0), self._levels)
        negative = np.bincount(self._place, np.where(self._truth, 0.0, weights), self._levels)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative
        return float((positive * (below + 0.5 * negative)).sum() / pairs) if pairs > 0 else float("nan")


def _calibration_error(place: NDArray[np.int64], gap: NDArray[np.float64], weights: Weights) -> float:
    """As `calibration.expected_calibration_error`; `gap` is chance minus outcome, `place` the bin of each image."""
    return float(np.abs(np.bincount(place, weights * gap, BINS)).sum() / weights.sum())


class Figures:
    """The figures of one set of answers, at one referral threshold on the malignancy risk."""

    def __init__(self, answers: Answers, refer: float, refer_urgently: float) -> None:
        """`refer` and `refer_urgently`: of the malignancy risk, 0..1."""
        labels, self._predicted = answers.labels, answers.predicted
        self._labels = labels
        self._malignant = metrics.is_malignant(labels)
        risks = answers.risks
        self._referred, self._urgent = risks >= refer, risks >= refer_urgently
        likeliest, chance = answers.probabilities.argmax(axis=1), answers.probabilities.max(axis=1)
        self._right, self._likeliest_right = self._predicted == labels, likeliest == labels
        self._bins = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
        self._gap = chance - self._likeliest_right
        self._risk_bins = np.minimum((risks * BINS).astype(np.int64), BINS - 1)
        self._risk_gap = risks - self._malignant
        self._malignant_area = WeightedArea(self._malignant, risks)
        self._areas = [WeightedArea(labels == code, answers.probabilities[:, code]) for code in range(len(CLASSES))]

    def at(self, weights: Weights) -> dict[str, float]:
        """All figures by dotted name; nan where a figure has nothing to stand on."""
        everything = np.ones(len(weights), dtype=np.bool_)
        table = np.zeros((len(CLASSES), len(CLASSES)))
        np.add.at(table, (self._labels, self._predicted), weights)
        there, named, right = table.sum(axis=1), table.sum(axis=0), np.diag(table)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall, precision, f1 = right / there, right / named, 2.0 * right / (there + named)
        present = there > 0
        figures = {
            "accuracy": weighted_share(self._right, everything, weights),
            "accuracy_likeliest": weighted_share(self._likeliest_right, everything, weights),
            "balanced_accuracy": float(recall[present].mean()),
            "malignant.auc": self._malignant_area(weights),
            "malignant.sensitivity": weighted_share(self._referred, self._malignant, weights),
            "malignant.specificity": weighted_share(~self._referred, ~self._malignant, weights),
            "malignant.sensitivity_urgent": weighted_share(self._urgent, self._malignant, weights),
            "malignant.specificity_urgent": weighted_share(~self._urgent, ~self._malignant, weights),
            "melanoma.auc": self._areas[_MELANOMA](weights),
            "ece": _calibration_error(self._bins, self._gap, weights),
            "ece_malignant": _calibration_error(self._risk_bins, self._risk_gap, weights),
        }
        for code, name in enumerate(CLASSES):
            figures[f"per_class.{name}.recall"] = float(recall[code])
            figures[f"per_class.{name}.precision"] = float(precision[code])
            figures[f"per_class.{name}.f1"] = float(f1[code])
            figures[f"per_class.{name}.auc"] = self._areas[code](weights)
        return figures


def draw_weights(groups: NDArray[np.str_], draws: int = DRAWS, seed: int = 0) -> list[Weights]:
    """For each draw of as many lesion groups as there are, with replacement: how often each image came, float64 [n]."""
    rng = np.random.default_rng(seed)
    names, place = np.unique(groups, return_inverse=True)
    count = len(names)
    return [
        np.bincount(rng.integers(count, size=count), minlength=count)[place].astype(np.float64) for _ in range(draws)
    ]


def percentile_estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    """The 95 % percentile interval of a figure over its draws; those that are nan are left out."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"))
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Estimate(value, float(low), float(high))


def estimates(
    answers: Answers, refer: float, refer_urgently: float, draws: int = DRAWS, seed: int = 0
) -> dict[str, Estimate]:
    """Every figure with its interval over resampled lesion groups, by dotted name."""
    figures = Figures(answers, refer, refer_urgently)
    values = figures.at(np.ones(len(answers.labels)))
    drawn = [figures.at(weights) for weights in draw_weights(answers.groups, draws, seed)]
    return {
        name: percentile_estimate(value, np.array([each[name] for each in drawn])) for name, value in values.items()
    }


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"malignant.auc": x}` as `{"malignant": {"auc": x}}`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
        branch[last] = value
    return tree
