"""Charts as SVG, drawn here: no script, no inline style, so that they also stand on pages with a strict policy.

Every chart has a title and a description for those who cannot see it, and belongs beside a table of its numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

#: Okabe & Ito's colours, which stay apart without colour vision; dashes tell them apart in print.
COLOURS: Final = ("#0072b2", "#b34700", "#007a5a", "#7a3b78")
_DASHES: Final = ("", "7 4", "2 3", "9 3 2 3")
_WIDTH, _HEIGHT = 420, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 46


@dataclass(frozen=True)
class Line:
    """Named points (x, y), each 0..1; `marked` also draws a dot at each."""

    name: str
    points: Sequence[tuple[float, float]]
    marked: bool = False


@dataclass(frozen=True)
class Span:
    """A named value with its interval, all in the units of the axis."""

    name: str
    value: float
    low: float
    high: float


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def unit_chart(
    identity: str, title: str, description: str, across: str, up: str, lines: Sequence[Line], diagonal: bool = True
) -> SafeString:
    """Lines over the unit square: ROC curves, reliability. `identity` is unique on the page."""
    ticks = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    grid = format_html_join(
        "",
        '<path d="M{} {}H{}M{} {}V{}" stroke="currentColor" stroke-opacity="0.15" fill="none"/>'
        '<text x="{}" y="{}" text-anchor="end">{}</text><text x="{}" y="{}" text-anchor="middle">{}</text>',
        [
            (_x(0), _y(t), _x(1), _x(t), _y(0), _y(1), _x(0) - 6, _y(t) + 4, f"{t:.1f}", _x(t), _y(0) + 16, f"{t:.1f}")
            for t in ticks
        ],
    )
    chance = (
        format_html('<path d="M{} {}L{} {}" stroke="currentColor" stroke-opacity="0.5" fill="none"/>',
                    _x(0), _y(0), _x(1), _y(1))
        if diagonal else ""
    )  # fmt: skip
    drawn = format_html_join(
        "",
        '<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>{}'
        '<path d="M{} {}h26" stroke="{}" stroke-width="2" stroke-dasharray="{}"/><text x="{}" y="{}">{}</text>',
        [
            (
                " ".join(f"{_x(x)},{_y(y)}" for x, y in line.points),
                COLOURS[index % 4],
                _DASHES[index % 4],
                _dots(line, COLOURS[index % 4]),
                _x(0.42),
                _y(0.05 + 0.07 * (len(lines) - 1 - index)),
                COLOURS[index % 4],
                _DASHES[index % 4],
                _x(0.42) + 32,
                _y(0.05 + 0.07 * (len(lines) - 1 - index)) + 4,
                line.name,
            )
            for index, line in enumerate(lines)
        ],
    )
    axes = format_html(
        '<text x="{}" y="{}" text-anchor="middle">{}</text>'
        '<text x="14" y="{}" text-anchor="middle" transform="rotate(-90 14 {})">{}</text>',
        _x(0.5), _HEIGHT - 8, across, _y(0.5), _y(0.5), up,
    )  # fmt: skip
    return _svg(identity, title, description, _WIDTH, _HEIGHT, format_html("{}{}{}{}", grid, chance, drawn, axes))


def _dots(line: Line, colour: str) -> SafeString:
    if not line.marked:
        return SafeString("")
    return format_html_join(
        "", '<circle cx="{}" cy="{}" r="3.5" fill="{}"/>', [(_x(x), _y(y), colour) for x, y in line.points]
    )


def span_chart(
    identity: str, title: str, description: str, across: str, spans: Sequence[Span], least: float, most: float
) -> SafeString:
    """One row for each value with its interval, on an axis from `least` to `most`."""
    left, row, width = 190, 30, 640
    height = row * len(spans) + 58

    def place(value: float) -> float:
        return round(left + (min(max(value, least), most) - least) / (most - least) * (width - left - 90), 1)

    ticks = [least + (most - least) * step / 4 for step in range(5)]
    grid = format_html_join(
        "",
        '<path d="M{} 8V{}" stroke="currentColor" stroke-opacity="0.15"/>'
        '<text x="{}" y="{}" text-anchor="middle">{}</text>',
        [(place(t), height - 46, place(t), height - 30, f"{t:.2f}") for t in ticks],
    )
    rows = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="end">{}</text><path d="M{} {}H{}" stroke="{}" stroke-width="3"/>'
        '<circle cx="{}" cy="{}" r="5" fill="{}"/><text x="{}" y="{}">{}</text>',
        [
            (left - 10, y + 4, span.name, place(span.low), y, place(span.high), COLOURS[0],
             place(span.value), y, COLOURS[0], width - 80, y + 4, f"{span.value:.3f}")
            for y, span in ((24 + row * index, span) for index, span in enumerate(spans))
        ],
    )  # fmt: skip
    axis = format_html(
        '<text x="{}" y="{}" text-anchor="middle">{}</text>', (left + width - 90) / 2, height - 8, across
    )
    return _svg(identity, title, description, width, height, format_html("{}{}{}", grid, rows, axis))


def _svg(identity: str, title: str, description: str, width: int, height: int, inside: SafeString) -> SafeString:
    return format_html(
        '<svg class="chart" role="img" aria-labelledby="{id}-title {id}-text" viewBox="0 0 {width} {height}" '
        'width="{width}" height="{height}" font-family="inherit" font-size="12" fill="currentColor">'
        '<title id="{id}-title">{title}</title><desc id="{id}-text">{description}</desc>{inside}</svg>',
        id=identity,
        title=title,
        description=description,
        width=width,
        height=height,
        inside=inside,
    )
