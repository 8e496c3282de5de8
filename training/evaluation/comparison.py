"""Whether two ways of answering differ on the same images: McNemar, DeLong, and resampled lesions."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, chi2, norm, t

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from training.evaluation.figures import WeightedArea, draw_weights, percentile_estimate
from training.evaluation.statistics import DRAWS


class PredictionsRefused(ValueError):
    """The predictions are not a file that `evaluate` writes, or the two are not of the same images."""


@dataclass(frozen=True)
class Predictions:
    """One way's answers, in the order of the image ids: truth and decision as indices in `CLASSES`, risk 0..1."""

    model: str
    images: NDArray[np.str_]
    lesions: NDArray[np.str_]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    risks: NDArray[np.float64]
    melanoma: NDArray[np.float64]


def read(path: Path) -> Predictions:
    """Read predictions.csv, or the one in a folder that `evaluate` wrote. Raises `PredictionsRefused`."""
    file = path / "predictions.csv" if path.is_dir() else path
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = sorted(csv.DictReader(lines), key=lambda row: row["image_id"])
        return Predictions(
            model=rows[0]["model"],
            images=np.array([row["image_id"] for row in rows]),
            lesions=np.array([row["lesion"] for row in rows]),
            truth=np.array([CLASSES.index(row["truth"]) for row in rows]),
            predicted=np.array([CLASSES.index(row["predicted"]) for row in rows]),
            risks=np.array([float(row["risk"]) for row in rows]),
            melanoma=np.array([float(row["mel"]) for row in rows]),
        )
    except (OSError, KeyError, ValueError, IndexError, UnicodeDecodeError, csv.Error) as problem:
        raise PredictionsRefused(f"{file}: not predictions that `manage.py evaluate` wrote ({problem!r})") from problem


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> dict[str, float]:
    """Exact McNemar test (1947) of two ways on the same images: who alone was right how often, and p, two-sided.

    Also the chi-squared statistic with Edwards' correction, and its p. Takes images for independent.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    disagreements = only_first + only_second
    exact = min(1.0, 2.0 * float(binom.cdf(min(only_first, only_second), disagreements, 0.5))) if disagreements else 1.0
    corrected = max(abs(only_first - only_second) - 1, 0) ** 2 / disagreements if disagreements else 0.0
    return {
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_exact": exact,
        "chi_squared": corrected,
        "p_chi_squared": float(chi2.sf(corrected, 1)),
    }


def delong(truth: NDArray[np.bool_], first: NDArray[np.floating], second: NDArray[np.floating]) -> dict[str, float]:
    """DeLong's test (Biometrics 44:837, 1988) of two correlated areas under the ROC curve; p two-sided.

    Takes images for independent. Raises `ValueError` if only one side occurs.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if min(positives, negatives) < 2:
        raise ValueError("at least two malignant and two benign images are needed to compare areas")
    of_positives, of_negatives = [], []
    for scores in (first, second):
        above, below = scores[truth], np.sort(scores[~truth])
        wins = (np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")) / (2.0 * negatives)
        ordered = np.sort(above)
        losses = np.searchsorted(ordered, scores[~truth], "left") + np.searchsorted(ordered, scores[~truth], "right")
        of_positives.append(wins)
        of_negatives.append(1.0 - losses / (2.0 * positives))
    areas = [float(each.mean()) for each in of_positives]
    covariance = np.cov(of_positives) / positives + np.cov(of_negatives) / negatives
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = areas[0] - areas[1]
    z = difference / math.sqrt(variance) if variance > 0 else (0.0 if difference == 0 else math.inf)
    return {
        "first_auc": areas[0],
        "second_auc": areas[1],
        "difference": difference,
        "standard_error": math.sqrt(max(variance, 0.0)),
        "z": z,
        "p": float(2 * norm.sf(abs(z))),
    }


def two_sample_t(first: NDArray[np.floating], second: NDArray[np.floating]) -> dict[str, float]:
    """The paper's two-sample t-test on a figure over repeated splits, variances taken for equal; p two-sided.

    Its assumptions: the splits' figures are independent and normal with one variance. Splits of one dataset share most
    of their images, so they are not independent and p is too small; `p_corrected` widens the variance for that by
    Nadeau & Bengio (Machine Learning 52:239, 2003) for paired splits with 15 images tested for 70 learned from.
    """
    count, other = len(first), len(second)
    if min(count, other) < 2:
        raise ValueError("at least two splits of each are needed")
    difference = float(first.mean() - second.mean())
    pooled = float(((count - 1) * first.var(ddof=1) + (other - 1) * second.var(ddof=1)) / (count + other - 2))
    error = math.sqrt(pooled * (1 / count + 1 / other))
    statistic = difference / error if error > 0 else math.copysign(math.inf, difference) if difference else 0.0
    found = {"difference": difference, "t": statistic, "freedom": count + other - 2}
    found["p"] = float(2 * t.sf(abs(statistic), count + other - 2))
    if count == other:
        pairs = first - second
        wider = math.sqrt(float(pairs.var(ddof=1)) * (1 / count + 15 / 70))
        corrected = difference / wider if wider > 0 else math.copysign(math.inf, difference) if difference else 0.0
        found |= {"t_corrected": corrected, "p_corrected": float(2 * t.sf(abs(corrected), count - 1))}
    return found


def compare(first: Predictions, second: Predictions, draws: int = DRAWS) -> dict[str, Any]:
    """All of it for two ways' answers to the same images. Raises `PredictionsRefused` if they are not the same."""
    if not (np.array_equal(first.images, second.images) and np.array_equal(first.truth, second.truth)):
        raise PredictionsRefused("the two were not judged on the same images and labels: evaluate both on one set")
    truth = np.isin(first.truth, [CLASSES.index(code) for code in MALIGNANT])
    right = first.predicted == first.truth, second.predicted == second.truth
    melanoma = first.truth == CLASSES.index("mel")
    report: dict[str, Any] = {
        "first": first.model,
        "second": second.model,
        "images": len(first.images),
        "lesions": len(np.unique(first.lesions)),
        "mcnemar": mcnemar(*right),
        "delong": {},
        "difference": _differences(first, second, truth, draws),
        "assumptions": "McNemar's and DeLong's tests take images for independent, which several images of one lesion "
        "are not; the intervals of the differences (first minus second) draw whole lesions.",
    }
    for name, side, scores in (
        ("malignant", truth, (first.risks, second.risks)),
        ("melanoma", melanoma, (first.melanoma, second.melanoma)),
    ):
        if min(side.sum(), (~side).sum()) >= 2:
            report["delong"][name] = delong(side, *scores)
    return report


def _differences(
    first: Predictions, second: Predictions, truth: NDArray[np.bool_], draws: int
) -> dict[str, dict[str, float]]:
    areas = WeightedArea(truth, first.risks), WeightedArea(truth, second.risks)

    def at(weights: NDArray[np.float64]) -> tuple[float, float, float]:
        balanced, plain = [], []
        for each in (first, second):
            right = (each.predicted == each.truth) * weights
            named, there = (np.bincount(each.truth, w, len(CLASSES)) for w in (right, weights))
            balanced.append(float((named[there > 0] / there[there > 0]).mean()))
            plain.append(float(right.sum() / weights.sum()))
        return plain[0] - plain[1], balanced[0] - balanced[1], areas[0](weights) - areas[1](weights)

    values = at(np.ones(len(first.images)))
    drawn = np.array([at(weights) for weights in draw_weights(first.lesions, draws)])
    names = ("accuracy", "balanced_accuracy", "malignant_auc")
    return {name: percentile_estimate(values[i], drawn[:, i]).as_dict() for i, name in enumerate(names)}
