"""Intervals that respect that several images show one lesion: the bootstrap draws lesion groups, not images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DRAWS: Final = 2000
LEVEL: Final = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """For a manifest, to four decimals."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def resampled_positions(groups: NDArray[np.str_], draws: int = DRAWS, seed: int = 0) -> list[NDArray[np.int64]]:
    """For each draw, the positions of the images of as many lesion groups as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    members = np.split(order, starts[1:])
    return [
        np.concatenate([members[each] for each in rng.integers(len(members), size=len(members))]) for _ in range(draws)
    ]


def clustered_interval(
    figure: Callable[[NDArray[np.int64]], float], groups: NDArray[np.str_], draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """A figure on all images with its percentile interval over resampled lesion groups.

    `figure` takes positions of images; draws on which it is nan (a class was not drawn) are left out.
    """
    values = np.array([figure(positions) for positions in resampled_positions(groups, draws, seed)])
    values = values[~np.isnan(values)]
    tail = (1.0 - LEVEL) / 2.0
    value = figure(np.arange(len(groups)))
    if not len(values):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Estimate(value, float(low), float(high))


def share_interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of `count` out of `of` independent ones: low and high, 0..1; (0, 1) of none."""
    if not of:
        return 0.0, 1.0
    z = 1.959964
    share = count / of
    middle = share + z * z / (2 * of)
    reach = z * float(np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)))
    return (middle - reach) / (1 + z * z / of), (middle + reach) / (1 + z * z / of)
