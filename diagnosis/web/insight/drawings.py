"""Tables of the insight page as SVG: places for the template, no library, no inline style."""

from dataclasses import dataclass, field
from typing import Final

from diagnosis.services.insight.figures import Cell, Share, Table

WIDTH: Final = 760
_LEFT: Final = 66
_RIGHT: Final = 26
_TOP: Final = 14
_BOTTOM: Final = 40
_HEIGHT: Final = 220
#: Of ``intervals``: one row's height, with its words above the line, and the margin before it.
_ROW: Final = 46
_MARGIN: Final = 26
#: Labels under the axis, at most.
_MOST_LABELS: Final = 6


@dataclass
class Series:
    """One column of the table: bars, or a line with its marks."""

    title: str
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    """x, y, width, height, what it says."""
    marks: list[tuple[float, float, str]] = field(default_factory=list)
    """x, y, what it says."""
    lines: list[str] = field(default_factory=list)
    """Points of each unbroken stretch."""


@dataclass
class Interval:
    """One estimate with its interval."""

    y: float
    words: str
    said: str
    x: float
    low: float
    high: float
    series: int


@dataclass
class Picture:
    """What the template draws."""

    kind: str
    title: str
    height: int
    series: list[Series] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    across: list[tuple[float, str]] = field(default_factory=list)
    up: list[tuple[float, str]] = field(default_factory=list)
    bottom: int = 0
    right: int = WIDTH - _RIGHT


def drawn(table: Table) -> Picture | None:
    """The picture of a table; none where there is nothing to draw."""
    if table.drawing is None:
        return None
    titles = {column.key: column.title for column in table.columns}
    if table.drawing.kind == "intervals":
        return _intervals(table, titles)
    return _along(table, titles)


def _along(table: Table, titles: dict[str, str]) -> Picture | None:
    assert table.drawing is not None  # asked before
    values = [[_number(row[key]) for row in table.rows] for key in table.drawing.columns]
    known = [value for each in values for value in each if value is not None]
    if not known:
        return None
    top = table.drawing.top or _nice(max(known))
    count = len(table.rows)
    step = (WIDTH - _LEFT - _RIGHT) / count
    picture = Picture(table.drawing.kind, table.title, _HEIGHT, bottom=_HEIGHT - _BOTTOM)
    for part in range(5):
        mark = top * part / 4
        picture.up.append((_y(mark, top), f"{mark:.0%}" if table.drawing.top == 1.0 else f"{mark:g}"))
    first = table.columns[0].key
    for place in range(0, count, max(1, -(-count // _MOST_LABELS))):
        picture.across.append((round(_LEFT + step * (place + 0.5), 1), str(table.rows[place][first])[5:]))
    for number, (key, column) in enumerate(zip(table.drawing.columns, values, strict=True)):
        series = Series(titles[key])
        stretch: list[str] = []
        for place, value in enumerate(column):
            if value is None:
                series.lines += [" ".join(stretch)] if len(stretch) > 1 else []
                stretch = []
                continue
            said = f"{table.rows[place][first]}: {titles[key]} {_said(table.rows[place][key])}"
            if table.drawing.kind == "bars":
                width = step * 0.8 / len(values)
                x = _LEFT + step * (place + 0.1) + width * number
                y = _y(value, top)
                series.bars.append(
                    (round(x, 1), y, round(max(1.0, width - 1), 1), round(_HEIGHT - _BOTTOM - y, 1), said)
                )
            else:
                at = (round(_LEFT + step * (place + 0.5), 1), _y(value, top))
                series.marks.append((*at, said))
                stretch.append(f"{at[0]},{at[1]}")
        series.lines += [" ".join(stretch)] if len(stretch) > 1 else []
        picture.series.append(series)
    return picture


def _y(value: float, top: float) -> float:
    return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(1.0, value / top), 1)


def _intervals(table: Table, titles: dict[str, str]) -> Picture | None:
    assert table.drawing is not None  # asked before
    found: list[Interval] = []
    words = [column.key for column in table.columns if column.key not in table.drawing.columns][:2]
    across = WIDTH - _MARGIN - _RIGHT
    for row in table.rows:
        for number, key in enumerate(table.drawing.columns):
            share = row[key]
            if not isinstance(share, Share):
                continue
            # The second word is a text only where the table is of groups, or of pairs on questions.
            says = [str(row[word]) for word in words if isinstance(row[word], str)]
            if len(table.drawing.columns) > 1:
                says.append(titles[key].partition(":")[0])
            x, low, high = (
                round(_MARGIN + across * max(0.0, each), 1) for each in (share.value, share.low, share.high)
            )
            y = _TOP + _ROW * len(found) + 32
            found.append(Interval(y, ", ".join(says), _said(share), x, low, high, number))
    if not found:
        return None
    bottom = _TOP + _ROW * len(found)
    ticks = [(round(_MARGIN + across * part / 4, 1), f"{part / 4:.0%}") for part in range(5)]
    return Picture(
        "intervals",
        table.title,
        bottom + _BOTTOM,
        series=[Series(titles[key]) for key in table.drawing.columns],
        intervals=found,
        across=ticks,
        bottom=bottom,
    )


def _number(cell: Cell) -> float | None:
    if isinstance(cell, Share):
        return cell.value
    return float(cell) if isinstance(cell, int | float) else None


def _said(cell: Cell) -> str:
    if isinstance(cell, Share):
        return f"{cell.value:.0%} ({cell.low:.0%}–{cell.high:.0%})"
    return str(cell)


def _nice(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power < value:
        power *= 10
    return float(next(step for step in (power / 10, power / 5, power / 2.5, power / 1.25, power) if step >= value))
