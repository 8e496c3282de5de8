"""What `manage.py leakage` measured, for people: its rows and charts, and where the last report lies."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from training.evaluation.charts import Span, span_chart

#: Measured on HAM10000 with the published ImageNet weights; shown until somebody measures on this platform.
SHIPPED: Final = Path(__file__).parent / "leakage_ham10000.json"

WAYS: Final = {
    "by_lesion": gettext_lazy("by lesion"),
    "by_image": gettext_lazy("by image, as the paper did"),
    "oversampled_before_the_split": gettext_lazy("rare classes filled up with copies, then by image"),
}
NAMES: Final = {
    "accuracy": gettext_lazy("accuracy"),
    "balanced_accuracy": gettext_lazy("balanced accuracy"),
    "malignant_auc": gettext_lazy("malignant AUC"),
}
_DESCRIPTION: Final = gettext_lazy("the mean and two deviations over the splits, for each way of splitting")


@dataclass(frozen=True)
class Row:
    """One way of splitting: its figures as text, and how many test images of how many were met in training."""

    name: str
    figures: list[str]
    siblings: str
    themselves: str
    images: float


def kept_at() -> Path:
    """Where the command keeps its report, and the page looks for it."""
    return Path(settings.STUDIES_ROOT) / "leakage" / "report.json"


def shipped_report() -> dict[str, Any]:
    """What was measured on HAM10000 before this version of the program came out."""
    report: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return report


def last_report() -> tuple[dict[str, Any], bool]:
    """The report that was measured here, and True; or else the one that ships, and False.

    Raises `ValueError` when what was measured here cannot be read; the text names the file and the way out.
    """
    path = kept_at()
    if not path.is_file():
        return shipped_report(), False
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows_of(report)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise ValueError(f"{path} cannot be read ({problem!r}): run manage.py leakage again, or remove it") from problem
    return report, True


def rows_of(report: dict[str, Any]) -> list[Row]:
    """A row for each way of splitting, the honest one first."""
    rows = []
    for name, title in WAYS.items():
        way = report["ways"][name]
        mean, spread, above = way["mean"], way["deviation"], way["above_by_lesion"]
        figures = [
            f"{mean[each]:.3f} ± {spread[each]:.3f}" + ("" if name == "by_lesion" else f" ({above[each]:+.3f})")
            for each in NAMES
        ]
        count = mean["test_images"]
        rows.append(
            Row(
                str(title),
                figures,
                f"{mean['with_sibling_in_training'] / count:.1%}",
                f"{mean['itself_in_training'] / count:.1%}",
                count,
            )
        )
    return rows


def charts_of(report: dict[str, Any]) -> list[SafeString]:
    """A chart for each figure: the mean and two deviations of each way of splitting."""
    return [
        span_chart(
            figure,
            str(NAMES[figure]),
            f"{NAMES[figure]}: {_DESCRIPTION}",
            str(NAMES[figure]),
            [
                Span(
                    name.replace("_", " "),
                    report["ways"][name]["mean"][figure],
                    report["ways"][name]["mean"][figure] - 2 * report["ways"][name]["deviation"][figure],
                    report["ways"][name]["mean"][figure] + 2 * report["ways"][name]["deviation"][figure],
                )
                for name in WAYS
            ],
            0.4,
            1.0,
        )
        for figure in NAMES
    ]
