"""The network in groups of patients: who is measured, who is not, and nobody who could be told from the figures."""

from typing import Final

from django.utils.translation import gettext as _

from diagnosis.models import AnatomicalSite, FitzpatrickSkinType, Sex
from diagnosis.services.insight.figures import Cell, Column, Drawing, Hidden, Share, Table, share
from diagnosis.services.insight.reads import Row
from diagnosis.services.insight.suppression import FEWEST, ROUNDED_TO, hidden, patients, rounded

#: Bands of age by their lower ends.
AGE_BANDS: Final = (0, 18, 30, 45, 60, 75)
#: Each rate by what it is of.
_RATES: Final = {"abstention": ("abstained", "read"), "sensitivity": ("malignant_found", "malignant"),
                 "specificity": ("benign_left", "benign")}  # fmt: skip
_COLUMNS: Final = {"age": "age_approx", "sex": "sex", "site": "anatom_site_general", "skin": "fitzpatrick_skin_type"}
_COUNTS: Final = ("referrals", "read", "abstained", "malignant", "malignant_found", "benign", "benign_left")
#: Marks of the patients, by the count that they stand behind.
_MARKS: Final = {
    "referrals": "patients", "read": "patients_read", "malignant": "patients_malignant", "benign": "patients_benign",
}  # fmt: skip


def subgroups(facts: dict[str, list[Row]]) -> Table:
    """One row a group; small ones hidden, with others beside them; empty ones said to be unmeasured."""
    groups = {dimension: _groups(facts[dimension], column) for dimension, column in _COLUMNS.items()}
    rows: list[dict[str, Cell]] = []
    for dimension, title, names in (
        ("age", _("Age"), {str(low): _age(place) for place, low in enumerate(AGE_BANDS)}),
        ("sex", _("Sex"), {value: str(label) for value, label in Sex.choices}),
        ("site", _("Site"), {value: str(label) for value, label in AnatomicalSite.choices}),
        ("skin", _("Skin type (Fitzpatrick)"), {value: value for value in FitzpatrickSkinType.values}),
    ):
        names = {**names, "": _("not recorded")}
        counts = {name: groups[dimension].get(name, _nobody()) for name in names}
        away = {of: hidden({name: patients(counts[name][marks]) for name in names}) for of, marks in _MARKS.items()}
        rows += [
            {
                "dimension": title,
                "group": words,
                "referrals": _number(counts[name]["referrals"], name in away["referrals"]),
                **{
                    rate: _rate(counts[name][part], counts[name][of], name in away[of] | away["referrals"])
                    for rate, (part, of) in _RATES.items()
                },
            }
            for name, words in names.items()
            if name or counts[name]["referrals"]
        ]
    return Table(
        "subgroups",
        _("The network by groups of patients"),
        _("Answered referrals. Sensitivity and specificity are against histology."),
        (
            Column("dimension", _("By")),
            Column("group", _("Group")),
            Column("referrals", _("Referrals, about")),
            Column("abstention", _("Abstained")),
            Column("sensitivity", _("Sensitivity")),
            Column("specificity", _("Specificity")),
        ),
        rows,
        Drawing("intervals", ("sensitivity",), 1.0),
        (
            _(
                "Figures of fewer than %(fewest)d patients are hidden, and others with them, so that none can be "
                "computed from a total; numbers are rounded to %(step)d. Unmeasured: there was nobody to measure it on."
            )
            % {"fewest": FEWEST, "step": ROUNDED_TO},
        ),
    )


def _groups(found: list[Row], column: str) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for row in found:
        name = row[column]
        if column == "age_approx":
            name = "" if name is None else str(max(low for low in AGE_BANDS if low <= name))
        into = groups.setdefault(name, _nobody())
        for key in _COUNTS:
            into[key] += row[key]
        for marks in _MARKS.values():
            into[marks] |= row[marks] or 0
    return groups


def _nobody() -> dict[str, int]:
    return dict.fromkeys((*_COUNTS, *_MARKS.values()), 0)


def _age(place: int) -> str:
    low = AGE_BANDS[place]
    if place == len(AGE_BANDS) - 1:
        return _("%(low)d and older") % {"low": low}
    if low == 0:
        return _("under %(high)d") % {"high": AGE_BANDS[1]}
    return _("%(low)d to %(high)d") % {"low": low, "high": AGE_BANDS[place + 1] - 1}


def _number(count: int, away: bool) -> Cell:
    if count == 0:
        return Hidden.UNMEASURED
    return Hidden.SMALL if away else rounded(count)


def _rate(part: int, of: int, away: bool) -> Cell:
    if of == 0:
        return Hidden.UNMEASURED
    if away:
        return Hidden.SMALL
    exact = share(part, of)
    assert isinstance(exact, Share)  # there is somebody
    return Share(round(exact.value, 2), round(exact.low, 2), round(exact.high, 2), rounded(of))
