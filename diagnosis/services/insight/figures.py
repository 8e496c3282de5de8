"""Figures with their uncertainty, and the tables that they stand in: what page, CSV file and API all show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

#: Draws of the bootstrap behind an interval of kappa.
DRAWS: Final = 1000
CONFIDENCE: Final = 0.95


class Hidden(Enum):
    """Why a cell shows no figure."""

    #: It, or one from which it could be computed, is of too few patients.
    SMALL = "small"
    #: There is nobody to measure it on.
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Share:
    """A proportion, or kappa, with its 95 % interval."""

    value: float
    low: float
    high: float
    of: int
    """Referrals behind it."""


Cell = str | int | float | Share | Hidden | None


@dataclass(frozen=True)
class Column:
    """A column by its name in files and in words."""

    key: str
    title: str


@dataclass(frozen=True)
class Drawing:
    """How a table is drawn: ``bars`` side by side or ``lines`` along its rows, or ``intervals`` one a row."""

    kind: str
    columns: tuple[str, ...]
    """Keys of what is drawn."""
    top: float | None = None
    """Upper end of the axis; none: as high as the values."""


@dataclass(frozen=True)
class Table:
    """One part of the insight page."""

    key: str
    title: str
    explanation: str
    columns: tuple[Column, ...]
    rows: Sequence[dict[str, Cell]]
    drawing: Drawing | None = None
    notes: tuple[str, ...] = field(default=())


def share(count: int, of: int) -> Share | Hidden:
    """A proportion with Wilson's interval, which holds for few and for shares near 0 and 1 too."""
    if of == 0:
        return Hidden.UNMEASURED
    interval = binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return Share(count / of, float(interval.low), float(interval.high), of)


def agreement(table: npt.NDArray[np.int64]) -> Share | Hidden:
    """Share of the diagonal of a square table of two raters."""
    return share(int(np.trace(table)), int(table.sum()))


def kappa(table: npt.NDArray[np.int64]) -> Share | Hidden:
    """Cohen's kappa (Cohen 1960) of a square table of two raters, with a bootstrap interval over its referrals.

    Where one of them says the same of everything, kappa is not defined, and says nothing.
    """
    count = int(table.sum())
    if count == 0 or max(table.sum(0).max(), table.sum(1).max()) == count:
        return Hidden.UNMEASURED
    drawn = np.random.default_rng(0).multinomial(count, table.ravel() / count, size=DRAWS)
    values = _kappas(drawn.reshape(DRAWS, *table.shape))
    low, high = np.quantile(values[np.isfinite(values)], [0.025, 0.975])
    return Share(float(_kappas(table[np.newaxis])[0]), float(low), float(high), count)


def _kappas(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """[draws] of tables [draws, k, k]; not a number where it is not defined."""
    count = tables.sum((1, 2)).astype(np.float64)
    observed = np.trace(tables, axis1=1, axis2=2) / count
    expected = (tables.sum(1) * tables.sum(2)).sum(1) / count**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((observed - expected) / (1 - expected))
