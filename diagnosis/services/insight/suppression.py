"""Hiding cells of few patients, with as many others as it takes that none of them can be computed from a total."""

from collections.abc import Mapping
from typing import Final

#: Fewer patients than this are not shown as a group.
FEWEST: Final = 10
#: Counts of groups are rounded to this, so that two periods cannot be subtracted from one another.
ROUNDED_TO: Final = 5


def patients(marks: int | None) -> int:
    """Of how many patients rows are, at least, by their marks put together.

    A patient's mark is one bit of 64, so that of ten patients mostly nine or ten are told apart, and never eleven.
    """
    return ((marks or 0) % 2**64).bit_count()


def hidden(counts: Mapping[str, int], fewest: int = FEWEST) -> set[str]:
    """Which cells of one row of counts of patients, whose total is known, are to be hidden.

    All between 1 and ``fewest`` - 1; and, while only one is hidden or the hidden ones together are fewer than
    ``fewest``, the smallest of the others: what is missing from the total is then always of several groups and of
    enough patients. Empty cells hide nobody, and are shown as unmeasured.
    """
    away = {name for name, count in counts.items() if 0 < count < fewest}
    while away and (len(away) == 1 or sum(counts[name] for name in away) < fewest):
        rest = [name for name, count in counts.items() if count and name not in away]
        if not rest:
            break
        away.add(min(rest, key=lambda name: counts[name]))
    return away


def rounded(count: int) -> int:
    """To the nearest ``ROUNDED_TO``."""
    return ROUNDED_TO * round(count / ROUNDED_TO)
