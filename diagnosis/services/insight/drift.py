"""Whether what is referred, and what the network makes of it, is as it was: by week, against a baseline.

Embeddings are sealed, and no sum of them is kept either. What is compared is their distance from the training data,
which each answer holds as one number (see docs/decisions/0162).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _
from scipy.stats import chi2

from diagnosis.services.insight.figures import Column, Drawing, Hidden, Table, share
from diagnosis.services.insight.reads import Reads, Row
from diagnosis.services.insight.scope import Period
from diagnosis.services.insight.suppression import FEWEST, patients
from skincare.accounts.models import Organisation

_COLUMNS: Final = ("risk", "distance")
#: Bins of equal shares of the baseline.
BINS: Final = 5
_FRACTIONS: Final = tuple(part / BINS for part in range(1, BINS))
#: Months before the period that make the baseline, if they hold so many answers; otherwise the period itself does.
BASELINE_MONTHS: Final = 12
FEWEST_IN_BASELINE: Final = 100
#: A week with fewer answers is not compared, nor one of fewer patients than may be shown.
FEWEST_IN_WEEK: Final = 20
#: Usual marks of the population stability index: below, steady; above the second, shifted.
STEADY: Final = 0.1
SHIFTED: Final = 0.25


@dataclass(frozen=True)
class Baseline:
    """How the answers were distributed before: bins and how many were in each."""

    own: bool
    """Whether it is the period itself, for want of answers before it."""
    edges: list[float]
    counts: npt.NDArray[np.float64]


def stability(week: npt.NDArray[np.float64], baseline: Baseline) -> tuple[float, float]:
    """Population stability index of a week against the baseline, and what 19 in 20 weeks of that size stay below where
    nothing has changed: (1/n + 1/N) times a chi-squared quantile (Yurdakul & Naranjo 2020).

    Half an answer is added to each bin, so that an empty one does not make it infinite.
    """
    now = (week + 0.5) / (week + 0.5).sum()
    then = (baseline.counts + 0.5) / (baseline.counts + 0.5).sum()
    index = float(((now - then) * np.log(now / then)).sum())
    by_chance = float((1 / week.sum() + 1 / baseline.counts.sum()) * chi2.ppf(0.95, len(week) - 1))
    return index, by_chance


def _baselines(organisation: Organisation, period: Period) -> dict[str, Baseline]:
    """Of ``risk`` and ``distance``: the months before the period, or the period itself; none of too few answers."""
    found: dict[str, Baseline] = {}
    for own, asked in ((False, period.before(BASELINE_MONTHS)), (True, period)):
        wanted = [column for column in _COLUMNS if column not in found]
        if not wanted:
            break
        reads = Reads(organisation, asked)
        row = reads.edges(_FRACTIONS)
        if row["referrals"] < FEWEST_IN_BASELINE:
            continue
        edges = {column: sorted({float(edge) for edge in row[column] or ()}) for column in _COLUMNS}
        counts = _by_week(reads, edges)
        for column in wanted:
            if row[column] is not None:
                found[column] = Baseline(own, edges[column], np.sum(list(counts[column].values()), axis=0))
    return found


def _by_week(reads: Reads, edges: dict[str, list[float]]) -> dict[str, dict[object, npt.NDArray[np.float64]]]:
    """Answers by column, by week, by bin."""
    counts: dict[str, dict[object, npt.NDArray[np.float64]]] = {column: {} for column in _COLUMNS}
    for row in reads.bins(edges):
        if row["bin"] is not None:
            size = len(edges[row["part"]]) + 1
            counts[row["part"]].setdefault(row["week"], np.zeros(size))[row["bin"]] += row["referrals"]
    return counts


def drift(organisation: Organisation, period: Period, network: list[Row]) -> Table:
    """Medians and stability by week.

    Args:
        network: ``Reads.network`` of the period.
    """
    weeks = {row["week"]: row for row in network}
    notes: set[str] = set()
    enough = {
        column: {week for week, row in weeks.items() if patients(row[f"patients_{column}"]) >= FEWEST}
        for column in _COLUMNS
    }
    stable: dict[str, dict[object, tuple[float, float]]] = {column: {} for column in _COLUMNS}
    baselines = _baselines(organisation, period)
    counts = _by_week(
        Reads(organisation, period),
        {column: baselines[column].edges if column in baselines else [] for column in _COLUMNS},
    )
    for column, found in stable.items():
        baseline = baselines.get(column)
        if baseline is None:
            notes.add(_("Fewer than %(number)d answers: nothing to compare with yet.") % {"number": FEWEST_IN_BASELINE})
            continue
        if baseline.own:
            notes.add(_("Compared with the whole period itself, for want of answers before it."))
        else:
            notes.add(_("Compared with the twelve months before the period."))
        found.update(
            {
                week: stability(each, baseline)
                for week, each in counts[column].items()
                if each.sum() >= FEWEST_IN_WEEK and week in enough[column]
            }
        )
    return Table(
        "drift",
        _("Drift by week"),
        _(
            "The population stability index says how far a week's answers are from the baseline. Shifted: above 0.25, "
            "and above what 19 in 20 weeks of that size would show by chance. Distance is that of the photographs from "
            "what the network was trained on, as it sees them."
        ),
        (
            Column("week", _("Week of")),
            Column("answers", _("Answers")),
            Column("risk", _("Malignancy risk, median")),
            Column("risk_psi", _("Stability of risk")),
            Column("risk_says", _("Risk")),
            Column("distance", _("Distance, median")),
            Column("distance_psi", _("Stability of distance")),
            Column("distance_says", _("Distance")),
        ),
        [
            {
                "week": f"{week:%Y-%m-%d}",
                "answers": Hidden.SMALL if _of_few(row) else row["answered"],
                "risk": _median(row["risk"], week in enough["risk"], 3),
                "risk_psi": _index(stable["risk"].get(week)),
                "risk_says": _says(stable["risk"].get(week)),
                "distance": _median(row["distance"], week in enough["distance"], 2),
                "distance_psi": _index(stable["distance"].get(week)),
                "distance_says": _says(stable["distance"].get(week)),
            }
            for week, row in weeks.items()
        ],
        Drawing("lines", ("risk_psi", "distance_psi")),
        (*sorted(notes), _left_out()),
    )


def _left_out() -> str:
    return _(
        "Left out are cases that a dermatologist is still to read, since a figure could tell what the network said of "
        "them. In a week of fewer than %(fewest)d patients the network's figures are hidden."
    ) % {"fewest": FEWEST}


def _of_few(row: Row) -> bool:
    """Whether what the network made of a week is of too few patients to be shown."""
    return 0 < patients(row["patients"]) < FEWEST


def _median(value: float | None, enough: bool, digits: int) -> float | Hidden:
    if value is None:
        return Hidden.UNMEASURED
    return round(value, digits) if enough else Hidden.SMALL


def _index(found: tuple[float, float] | None) -> float | Hidden:
    return Hidden.UNMEASURED if found is None else round(found[0], 3)


def _says(found: tuple[float, float] | None) -> str:
    if found is None:
        return _("too few to say")
    index, by_chance = found
    if index <= max(STEADY, by_chance):
        return _("steady")
    return _("shifted") if index > SHIFTED else _("shifted a little")


def abstentions(network: list[Row]) -> Table:
    """How often the network kept silent, by week.

    Args:
        network: ``Reads.network`` of the period.
    """
    return Table(
        "abstentions",
        _("Abstentions by week"),
        _("Of the referred cases that the network was to read: how many it left to people, and how many it failed on."),
        (
            Column("week", _("Week of")),
            Column("read", _("Cases")),
            Column("abstained", _("Abstained")),
            Column("failed", _("Failed")),
            Column("rate", _("Share abstained")),
        ),
        [
            {
                "week": f"{row['week']:%Y-%m-%d}",
                "read": row["answered"] + row["abstained"] + row["failed"],
                "abstained": Hidden.SMALL if _of_few(row) else row["abstained"],
                "failed": row["failed"],
                "rate": Hidden.SMALL if _of_few(row) else share(row["abstained"], row["answered"] + row["abstained"]),
            }
            for row in network
        ],
        Drawing("lines", ("rate",), 1.0),
        (_left_out(),),
    )
