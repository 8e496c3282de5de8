"""Curves of a run as SVG: points for the template, no library, no inline style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_lazy

WIDTH: Final = 640
HEIGHT: Final = 220
_LEFT: Final = 52
_RIGHT: Final = 12
_TOP: Final = 12
_BOTTOM: Final = 30

#: Name in the curves, and what it is called; what shares a chart shares its axis.
_CHARTS: Final = (
    (gettext_lazy("Loss in training"), (("loss", gettext_lazy("loss")),), None),
    (
        gettext_lazy("On the validation images"),
        (
            ("balanced_accuracy", gettext_lazy("balanced accuracy")),
            ("malignant_auc", gettext_lazy("malignant AUC")),
        ),
        (0.0, 1.0),
    ),
)


@dataclass(frozen=True)
class Line:
    """One figure over the epochs: its points as SVG wants them, and each by itself."""

    name: str
    points: str
    marks: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis, with the places of its marks."""

    title: str
    lines: list[Line]
    across: list[tuple[float, int]]
    up: list[tuple[float, str]]


def charts_of(curves: Sequence[Mapping[str, float]]) -> list[Chart]:
    """The charts of a run; none before its first epoch is over."""
    return [
        _chart(str(title), [(name, str(text)) for name, text in figures], bounds, curves)
        for title, figures, bounds in _CHARTS
        if any(name in row for row in curves for name, _ in figures)
    ]


def _chart(
    title: str,
    figures: list[tuple[str, str]],
    bounds: tuple[float, float] | None,
    curves: Sequence[Mapping[str, float]],
) -> Chart:
    values = [row[name] for row in curves for name, _ in figures if name in row]
    low, high = bounds or (0.0, max(values) * 1.05 or 1.0)
    first, last = int(curves[0]["epoch"]), max(int(curves[-1]["epoch"]), int(curves[0]["epoch"]) + 1)

    def x(epoch: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (epoch - first) / (last - first), 1)

    def y(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low), 1)

    lines = []
    for name, text in figures:
        marks = [(x(row["epoch"]), y(row[name]), f"{row[name]:.3f}") for row in curves if name in row]
        lines.append(Line(text, " ".join(f"{across},{up}" for across, up, _ in marks), marks))
    stride = max(1, (last - first) // 8)
    return Chart(
        title=title,
        lines=lines,
        across=[(x(epoch), epoch) for epoch in range(first, last + 1, stride)],
        up=[(y(low + (high - low) * part / 4), f"{low + (high - low) * part / 4:.2f}") for part in range(5)],
    )
