"""The tables about work and accuracy: volumes, waiting, agreement, accuracy against histology, overrides."""

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import Urgency
from diagnosis.services.insight.figures import Cell, Column, Drawing, Hidden, Share, Table, agreement, kappa, share
from diagnosis.services.insight.reads import Reads, Row

#: Who calls a lesion concerning or not, in the order in which they see it.
CALLERS: Final[dict[str, Promise]] = {
    "clinician_call": gettext_lazy("Clinician"),
    "network_call": gettext_lazy("Network"),
    "read_call": gettext_lazy("Dermatologist, read blind"),
    "signed_call": gettext_lazy("Dermatologist, signed"),
    "histology_call": gettext_lazy("Histology"),
}
_NAMERS: Final[dict[str, Promise]] = {
    "network_class": gettext_lazy("Network"),
    "signed_class": gettext_lazy("Dermatologist, signed"),
    "histology_class": gettext_lazy("Histology"),
}
_MEANING: Final = gettext_lazy(
    "Concerned means: the clinician did not call it probably benign; the network asked for a referral; the "
    "dermatologist or histology named a malignant or pre-malignant diagnosis. An abstention of the network is no call."
)


def volumes(reads: Reads) -> Table:
    """Referrals by week."""
    columns = (
        ("sent", _("Sent")), ("answered", _("Answered")), ("declined", _("Declined")), ("withdrawn", _("Withdrawn")),
        ("expired", _("Expired")), ("open", _("Open")),
    )  # fmt: skip
    return Table(
        "volumes",
        _("Referrals by week"),
        _("By the week in which they were sent, and what had become of them by now."),
        (Column("week", _("Week of")), *(Column(key, title) for key, title in columns)),
        [{"week": f"{row['week']:%Y-%m-%d}", **{key: row[key] for key, _title in columns}} for row in reads.volumes()],
        Drawing("bars", ("sent", "answered")),
    )


def waiting(reads: Reads) -> Table:
    """Waiting times by urgency against the due time."""
    found = {row["urgency"]: row for row in reads.waiting()}
    rows: list[dict[str, Cell]] = []
    for urgency in Urgency:
        row = found.get(urgency.value)
        if row is None:
            continue
        hours = row["answer_hours"] or [None, None]
        rows.append(
            {
                "urgency": str(urgency.label),
                "answered": row["answered"],
                "in_time": share(row["in_time"], row["answered"]),
                "claim_median": _hours(row["claim_hours"]),
                "answer_median": _hours(hours[0]),
                "answer_ninth": _hours(hours[1]),
                "overdue": row["overdue"],
            }
        )
    return Table(
        "waiting",
        _("Waiting against the due time"),
        _("Hours from sending to the first claim and to the first signed answer."),
        (
            Column("urgency", _("Urgency")),
            Column("answered", _("Answered")),
            Column("in_time", _("Answered in time")),
            Column("claim_median", _("Hours to the claim, median")),
            Column("answer_median", _("Hours to the answer, median")),
            Column("answer_ninth", _("Hours to the answer, nine in ten")),
            Column("overdue", _("Open and overdue")),
        ),
        rows,
        Drawing("intervals", ("in_time",), 1.0),
    )


def _hours(value: float | None) -> float | Hidden:
    return Hidden.UNMEASURED if value is None else round(float(value), 1)


def agreements(calls: list[Row], classes: list[Row]) -> Table:
    """Every pair of those who said something, on concern and on the diagnosis."""
    rows: list[dict[str, Cell]] = []
    for question, raters, found, values in (
        (_("concerned or not"), CALLERS, calls, (False, True)),
        (_("which of seven diagnoses"), _NAMERS, classes, tuple(CLASSES)),
    ):
        for one, other in combinations(raters, 2):
            table = _table(found, one, other, values)
            rows.append(
                {
                    "pair": f"{raters[one]} / {raters[other]}",
                    "question": question,
                    "referrals": int(table.sum()),
                    "agree": agreement(table),
                    "kappa": kappa(table),
                }
            )
    return Table(
        "agreement",
        _("Agreement"),
        f"{_MEANING} " + _("Kappa is what agreement is above chance: 0 none, 1 full. Intervals are of 95 %."),
        (
            Column("pair", _("Who")),
            Column("question", _("Question")),
            Column("referrals", _("Referrals")),
            Column("agree", _("Agree")),
            Column("kappa", _("Cohen's kappa")),
        ),
        rows,
        Drawing("intervals", ("agree",), 1.0),
    )


def _table(found: Iterable[Row], one: str, other: str, values: tuple[object, ...]) -> npt.NDArray[np.int64]:
    table = np.zeros((len(values), len(values)), np.int64)
    for row in found:
        if row[one] in values and row[other] in values and row[one] is not None and row[other] is not None:
            table[values.index(row[one]), values.index(row[other])] += row["referrals"]
    return table


def accuracy(calls: list[Row]) -> Table:
    """Sensitivity and specificity of each against histology."""
    rows: list[dict[str, Cell]] = []
    for caller, name in CALLERS.items():
        if caller == "histology_call":
            continue

        def count(call: bool | None, truth: bool, caller: str = caller) -> int:
            return _count(calls, lambda row: row["histology_call"] is truth and row[caller] is call)

        rows.append(
            {
                "who": str(name),
                "sensitivity": share(count(True, True), count(True, True) + count(False, True)),
                "specificity": share(count(False, False), count(False, False) + count(True, False)),
                "silent": count(None, True) + count(None, False),
            }
        )
    return Table(
        "accuracy",
        _("Against histology"),
        f"{_MEANING} "
        + _("Only what was excised has histology, so these are of the suspicious lesions and not of all of them."),
        (
            Column("who", _("Who")),
            Column("sensitivity", _("Sensitivity: concerned where histology was malignant")),
            Column("specificity", _("Specificity: not concerned where it was benign")),
            Column("silent", _("No call, with histology")),
        ),
        rows,
        Drawing("intervals", ("sensitivity", "specificity"), 1.0),
    )


def overrides(calls: list[Row]) -> Table:
    """How often the signed answer differs from the network's, and from the same reader's blind read."""

    def rate(of: Callable[[Row], bool], among: Callable[[Row], bool]) -> Share | Hidden:
        return share(_count(calls, lambda row: among(row) and of(row)), _count(calls, among))

    rows: list[dict[str, Cell]] = [
        {
            "what": _("The network was concerned, the dermatologist was not"),
            "share": rate(lambda row: row["signed_call"] is False, lambda row: row["network_call"] is True),
        },
        {
            "what": _("The network was not concerned, the dermatologist was"),
            "share": rate(lambda row: row["signed_call"] is True, lambda row: row["network_call"] is False),
        },
        {
            "what": _("Blind read changed after the answer was shown, towards it"),
            "share": rate(
                lambda row: row["read_call"] != row["signed_call"] and row["signed_call"] == row["network_call"],
                lambda row: None not in (row["read_call"], row["signed_call"], row["network_call"]),
            ),
        },
        {
            "what": _("Blind read changed after the answer was shown, away from it"),
            "share": rate(
                lambda row: row["read_call"] != row["signed_call"] and row["read_call"] == row["network_call"],
                lambda row: None not in (row["read_call"], row["signed_call"], row["network_call"]),
            ),
        },
    ]
    return Table(
        "overrides",
        _("Overrides"),
        _("How often a signed answer differs from what the network said."),
        (Column("what", _("What")), Column("share", _("Share"))),
        rows,
        Drawing("intervals", ("share",), 1.0),
    )


def _count(calls: Iterable[Row], which: Callable[[Row], bool]) -> int:
    return sum(row["referrals"] for row in calls if which(row))
