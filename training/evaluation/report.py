"""The figures of one network on one set of labelled images, with lesion-clustered intervals, ready for a manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnosis.classifier.taxonomy import CLASSES
from training.datasets.ham10000 import LabelledImage
from training.evaluation import metrics
from training.evaluation.calibration import expected_calibration_error
from training.evaluation.statistics import DRAWS, clustered_interval


@dataclass(frozen=True)
class Answers:
    """A network's answers: labels int64 [n], calibrated probabilities float64 [n, 7], the lesion group of each image.

    `priors` [7] are those that the decision corrects for.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: NDArray[np.str_]
    priors: NDArray[np.float64]

    def at(self, positions: NDArray[np.int64]) -> "Answers":
        """Those of some of the images."""
        return Answers(self.labels[positions], self.probabilities[positions], self.groups[positions], self.priors)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The prior-corrected decisions."""
        return metrics.decided(self.probabilities, self.priors)

    @property
    def risks(self) -> NDArray[np.float64]:
        """The malignancy risks."""
        return metrics.malignancy_risk(self.probabilities)


def _interval(answers: Answers, figure: Callable[[Answers], float], draws: int) -> dict[str, float]:
    return clustered_interval(lambda positions: figure(answers.at(positions)), answers.groups, draws).as_dict()


def overall(answers: Answers, thresholds: dict[str, float], draws: int = DRAWS) -> dict[str, Any]:
    """The headline figures: accuracies, AUCs, calibration, and sensitivity and specificity at each of `thresholds`."""
    melanoma = CLASSES.index("mel")
    figures: dict[str, Callable[[Answers], float]] = {
        "accuracy": lambda a: metrics.accuracy(a.labels, a.predicted),
        "accuracy_uncorrected": lambda a: metrics.accuracy(a.labels, a.probabilities.argmax(axis=1)),
        "balanced_accuracy": lambda a: metrics.balanced_accuracy(a.labels, a.predicted),
        "malignant_auc": lambda a: metrics.malignant_auc(a.labels, a.probabilities),
        "melanoma_auc": lambda a: metrics.auc(a.labels == melanoma, a.probabilities[:, melanoma]),
        "calibration_error": lambda a: expected_calibration_error(
            a.probabilities.max(axis=1), a.probabilities.argmax(axis=1) == a.labels
        ),
        "calibration_error_malignant": lambda a: expected_calibration_error(a.risks, metrics.is_malignant(a.labels)),
    }
    for name, risk in thresholds.items():
        figures[f"sensitivity_{name}"] = lambda a, risk=risk: metrics.sensitivity(  # type: ignore[misc]
            metrics.is_malignant(a.labels), a.risks >= risk
        )
        figures[f"specificity_{name}"] = lambda a, risk=risk: metrics.specificity(  # type: ignore[misc]
            metrics.is_malignant(a.labels), a.risks >= risk
        )
    return {
        "images": len(answers.labels),
        "lesion_groups": len(np.unique(answers.groups)),
        **{name: _interval(answers, figure, draws) for name, figure in figures.items()},
    }


def by_class(answers: Answers, draws: int = DRAWS) -> dict[str, Any]:
    """For each class that occurs: number of images, recall, precision, F1 and one-against-rest AUC."""
    table: dict[str, Any] = {}
    for code in np.unique(answers.labels):

        def recall(a: Answers, code: int = code) -> float:
            return metrics.sensitivity(a.labels == code, a.predicted == code)

        def precision(a: Answers, code: int = code) -> float:
            return metrics.sensitivity(a.predicted == code, a.labels == code)

        def f1(a: Answers, code: int = code) -> float:
            both = int(np.sum(a.labels == code) + np.sum(a.predicted == code))
            return 2.0 * float(np.sum((a.labels == code) & (a.predicted == code))) / both if both else float("nan")

        def area(a: Answers, code: int = code) -> float:
            return metrics.auc(a.labels == code, a.probabilities[:, code])

        table[CLASSES[code]] = {
            "images": int(np.sum(answers.labels == code)),
            "recall": _interval(answers, recall, draws),
            "precision": _interval(answers, precision, draws),
            "f1": _interval(answers, f1, draws),
            "auc": _interval(answers, area, draws),
        }
    return table


def confusion(answers: Answers) -> list[list[int]]:
    """Rows: the truth; columns: the decision; both in the order of `CLASSES`."""
    table = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    np.add.at(table, (answers.labels, answers.predicted), 1)
    return [[int(count) for count in row] for row in table]


def age_band(age: float | None) -> str:
    """The band of ages, in years, that a patient belongs to."""
    if age is None:
        return "unknown"
    if age < 30:
        return "under 30"
    return "30 to 49" if age < 50 else "50 to 69" if age < 70 else "70 and over"


def subgroups(
    answers: Answers, records: list[LabelledImage], refer: float, least: int = 30, draws: int = DRAWS // 2
) -> dict[str, dict[str, Any]]:
    """Malignant AUC, and sensitivity and specificity at the `refer` threshold, by sex, age band and site.

    Groups of fewer than `least` images get their size only: an interval would say nothing.
    """
    kinds: dict[str, Callable[[LabelledImage], str]] = {
        "sex": lambda record: record.sex,
        "age": lambda record: age_band(record.age),
        "site": lambda record: record.site,
    }
    table: dict[str, dict[str, Any]] = {}
    for kind, of in kinds.items():
        belongs = np.array([of(record) for record in records])
        table[kind] = {}
        for name in np.unique(belongs):
            inside = answers.at(np.flatnonzero(belongs == name))
            truth = metrics.is_malignant(inside.labels)
            row: dict[str, Any] = {"images": len(truth), "malignant": int(truth.sum())}
            if len(truth) >= least and truth.any() and not truth.all():
                row["malignant_auc"] = _interval(
                    inside, lambda a: metrics.malignant_auc(a.labels, a.probabilities), draws
                )
                row["sensitivity"] = _interval(
                    inside, lambda a: metrics.sensitivity(metrics.is_malignant(a.labels), a.risks >= refer), draws
                )
                row["specificity"] = _interval(
                    inside, lambda a: metrics.specificity(metrics.is_malignant(a.labels), a.risks >= refer), draws
                )
            table[kind][str(name)] = row
    return table
