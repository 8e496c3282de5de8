"""The gates between a challenger and service: declared before a run, checked on frozen lesion-disjoint tests.

Every comparison is paired: both versions read the same images, as they are served, and the bootstrap draws lesion
groups, so that several photographs of one lesion do not count as several lesions.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from diagnosis.classifier.taxonomy import CLASSES
from training.evaluation import metrics
from training.evaluation.calibration import expected_calibration_error
from training.evaluation.report import Answers
from training.evaluation.statistics import Estimate, resampled_positions


@dataclass(frozen=True)
class Gates:
    """What is asked of a challenger; see ``settings.TRAINING_GATES``. Shares are of 1.

    ``sensitivity_margin``: the lower end of the 95 % interval of the difference (challenger minus champion) in
    malignant sensitivity, each at its own referral threshold, lies above minus this. ``specificity_margin``: the same
    of specificity, so that sensitivity is not bought by referring everybody. ``calibration_margin``: the challenger's
    expected calibration error exceeds the champion's by no more. ``collapse``: no class's recall and no subgroup's
    malignant sensitivity falls by more; classes and subgroups of fewer than ``least_images`` images (of malignant ones,
    for a subgroup) are shown and not judged. ``abstention_margin``: the share that is unlike the training images grows
    by no more. ``least_malignant``: with fewer malignant lesions in the tests nothing can be said.
    """

    sensitivity_margin: float
    specificity_margin: float
    calibration_margin: float
    collapse: float
    abstention_margin: float
    least_images: int
    least_malignant: int
    draws: int

    @classmethod
    def declared(cls) -> "Gates":
        """Those of the settings."""
        return cls(**settings.TRAINING_GATES)


@dataclass(frozen=True)
class Said:
    """What one version says of the tests: answers, its referral threshold, and which views it finds unlike its data."""

    answers: Answers
    refer: float
    novel: NDArray[np.bool_]

    @property
    def refers(self) -> NDArray[np.bool_]:
        """Whether the risk is at or above the referral threshold, bool [n]."""
        return np.asarray(self.answers.risks >= self.refer)


@dataclass(frozen=True)
class Gate:
    """One gate: whether it was passed, and why, for a person."""

    code: str
    title: str
    passed: bool
    reason: str


#: Names of subgroups, by kind: an array of a name for each image.
Subgroups = dict[str, NDArray[np.str_]]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points"


def paired_difference(
    figure: Callable[[Said, NDArray[np.int64]], float], champion: Said, challenger: Said, draws: int
) -> Estimate:
    """The challenger's figure minus the champion's, with its percentile interval over resampled lesion groups."""
    groups = champion.answers.groups
    everything = np.arange(len(groups))

    def difference(positions: NDArray[np.int64]) -> float:
        return figure(challenger, positions) - figure(champion, positions)

    drawn = np.array([difference(positions) for positions in resampled_positions(groups, draws)])
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (float("nan"), float("nan"))
    return Estimate(difference(everything), float(low), float(high))


def sensitivity_of(said: Said, positions: NDArray[np.int64]) -> float:
    """Of the malignant among the images, the share that is referred."""
    return metrics.sensitivity(metrics.is_malignant(said.answers.labels[positions]), said.refers[positions])


def specificity_of(said: Said, positions: NDArray[np.int64]) -> float:
    """Of the benign among the images, the share that is not referred."""
    return metrics.specificity(metrics.is_malignant(said.answers.labels[positions]), said.refers[positions])


def calibration_error_of(said: Said) -> float:
    """Expected calibration error of the likeliest class."""
    answers = said.answers
    return expected_calibration_error(
        answers.probabilities.max(axis=1), answers.probabilities.argmax(axis=1) == answers.labels
    )


def check(gates: Gates, champion: Said, challenger: Said, subgroups: Subgroups) -> list[Gate]:
    """Every gate, in the order they are shown. Both must have read the same images."""
    malignant = metrics.is_malignant(champion.answers.labels)
    lesions = len(np.unique(champion.answers.groups[malignant]))
    return [
        Gate(
            "enough_evidence",
            "Enough malignant lesions in the frozen tests",
            lesions >= gates.least_malignant,
            f"{lesions} malignant lesions; at least {gates.least_malignant} are needed.",
        ),
        _not_inferior(
            "sensitivity",
            "Malignant sensitivity is not inferior",
            paired_difference(sensitivity_of, champion, challenger, gates.draws),
            gates.sensitivity_margin,
        ),
        _not_inferior(
            "specificity",
            "Specificity is not inferior",
            paired_difference(specificity_of, champion, challenger, gates.draws),
            gates.specificity_margin,
        ),
        _calibrated(gates, champion, challenger),
        _no_class_collapses(gates, champion, challenger),
        _no_subgroup_collapses(gates, champion, challenger, subgroups),
        _does_not_fall_silent(gates, champion, challenger),
    ]


def _not_inferior(code: str, title: str, difference: Estimate, margin: float) -> Gate:
    passed = bool(difference.low > -margin)  # nan passes nothing
    return Gate(
        code,
        title,
        passed,
        f"Difference {_points(difference.value)} (95 % from {_points(difference.low)} to {_points(difference.high)}); "
        f"the lower end must lie above {_points(-margin)}.",
    )


def _calibrated(gates: Gates, champion: Said, challenger: Said) -> Gate:
    was, now = calibration_error_of(champion), calibration_error_of(challenger)
    return Gate(
        "calibration",
        "Calibration is not worse",
        now <= was + gates.calibration_margin,
        f"Expected calibration error {now:.3f}, the champion's {was:.3f}; at most {gates.calibration_margin:.3f} more.",
    )


def _no_class_collapses(gates: Gates, champion: Said, challenger: Said) -> Gate:
    labels = champion.answers.labels
    fallen, judged, too_few = [], 0, []
    for index, code in enumerate(CLASSES):
        images = int(np.sum(labels == index))
        if images < gates.least_images:
            too_few.append(f"{code} ({images})")
            continue
        judged += 1
        was, now = (
            metrics.sensitivity(labels == index, said.answers.predicted == index) for said in (champion, challenger)
        )
        if now < was - gates.collapse or (now == 0 and was > 0):
            fallen.append(f"{code} from {_percent(was)} to {_percent(now)}")
    return _collapse_gate("classes", "No class collapses", "recall", gates, fallen, judged, too_few)


def _no_subgroup_collapses(gates: Gates, champion: Said, challenger: Said, subgroups: Subgroups) -> Gate:
    malignant = metrics.is_malignant(champion.answers.labels)
    fallen, judged, too_few = [], 0, []
    for kind, belongs in subgroups.items():
        for name in np.unique(belongs):
            positions = np.flatnonzero(belongs == name)
            if malignant[positions].sum() < gates.least_images:
                too_few.append(f"{kind} {name}")
                continue
            judged += 1
            was, now = (sensitivity_of(said, positions) for said in (champion, challenger))
            if now < was - gates.collapse:
                fallen.append(f"{kind} {name} from {_percent(was)} to {_percent(now)}")
    return _collapse_gate("subgroups", "No subgroup collapses", "sensitivity", gates, fallen, judged, too_few)


def _collapse_gate(
    code: str, title: str, what: str, gates: Gates, fallen: Sequence[str], judged: int, too_few: Sequence[str]
) -> Gate:
    said = f"{judged} judged; none may lose more than {_percent(gates.collapse)} of its {what}."
    if fallen:
        said += f" Lost too much: {', '.join(fallen)}."
    if too_few:
        said += f" Too few images to judge: {', '.join(too_few)}."
    return Gate(code, title, not fallen, said)


def _does_not_fall_silent(gates: Gates, champion: Said, challenger: Said) -> Gate:
    was, now = float(champion.novel.mean()), float(challenger.novel.mean())
    return Gate(
        "abstention",
        "It does not abstain much more often",
        now <= was + gates.abstention_margin,
        f"Unlike its training images: {_percent(now)}, the champion's {_percent(was)}; "
        f"at most {_points(gates.abstention_margin)} more.",
    )


#: Figures that the comparison shows, each with its paired difference.
_COMPARED: Final[dict[str, tuple[str, Callable[[Said, NDArray[np.int64]], float]]]] = {
    "sensitivity": ("Malignant sensitivity at its own referral threshold", sensitivity_of),
    "specificity": ("Specificity there", specificity_of),
    "balanced_accuracy": (
        "Balanced accuracy",
        lambda said, positions: metrics.balanced_accuracy(
            said.answers.labels[positions], said.answers.predicted[positions]
        ),
    ),
    "malignant_auc": (
        "Malignant AUC",
        lambda said, positions: metrics.malignant_auc(
            said.answers.labels[positions], said.answers.probabilities[positions]
        ),
    ),
}


def compare(champion: Said, challenger: Said, draws: int) -> list[dict[str, Any]]:
    """For each figure both versions' values and their difference with its 95 % interval."""
    everything = np.arange(len(champion.answers.labels))
    rows: list[dict[str, Any]] = []
    for name, (title, figure) in _COMPARED.items():
        rows.append(
            {
                "figure": name,
                "title": title,
                "champion": _finite(figure(champion, everything)),
                "challenger": _finite(figure(challenger, everything)),
                "difference": {
                    key: _finite(value)
                    for key, value in asdict(paired_difference(figure, champion, challenger, draws)).items()
                },
            }
        )
    errors = calibration_error_of(champion), calibration_error_of(challenger)
    rows.append(
        {
            "figure": "calibration_error",
            "title": "Expected calibration error",
            "champion": _finite(errors[0]),
            "challenger": _finite(errors[1]),
            "difference": {"value": _finite(errors[1] - errors[0]), "low": None, "high": None},
        }
    )
    return rows


def _finite(value: float) -> float | None:
    """For JSON, to four decimals; None where there is nothing to stand on."""
    return round(float(value), 4) if np.isfinite(value) else None
