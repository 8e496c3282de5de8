"""What changed of a lesion from visit to visit: the clinician's observations, and what the network said each time.

Not its size: a photograph has no scale (see docs/decisions/0173).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import Analysis, AnalysisState, Case, Referral
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services.errors import Conflict
from diagnosis.services.first_reads import show_answer
from skincare.accounts.models import User

#: Observations beside the checklist.
_MORE: Final = ("bleeding", "growth")
#: Older visits than these are not looked at.
MOST_VISITS: Final = 20


@dataclass(frozen=True)
class Visit:
    """One visit, and what is new in it against the one before."""

    case: Case
    seen_at: datetime
    before_at: datetime | None
    """When the visit before was; none at the first."""
    this: bool
    """Whether it is the one that was referred."""
    checklist_score: int
    appeared: list[str]
    """Names of observations that were not there at the visit before; none at the first."""
    went: list[str]
    risk: float | None
    """Of malignancy; none where the network gave no answer."""
    risk_change: float | None
    """Against the visit before that has an answer of the same version; none where there is none."""
    predicted: str
    rose: tuple[str, float] | None
    """The class whose probability rose most against that visit, and by how much."""
    other_version: bool
    """Whether an earlier answer is of another version, with which this one is not compared."""


def visits_of(*, user: User, referral: Referral) -> list[Visit]:
    """The visits of the referral's lesion that the reader may see, the newest first.

    Raises:
        Conflict: the network's answer is to be withheld still.
    """
    if show_answer(user=user, referral=referral) is None:
        raise Conflict("read_first", "record your own read first (first-read/); what changed follows it")
    cases = (
        Case.objects.referred_to(user)
        .filter(lesion=referral.case.lesion_id)
        .select_related("analysis")
        .defer("analysis__sealed_map", "analysis__sealed_embedding", "analysis__readings", "analysis__conditions")
        .order_by("-seen_at", "-pk")[:MOST_VISITS]
    )
    found: list[Visit] = []
    before: Case | None = None
    answered: Analysis | None = None
    for case in reversed(cases):
        found.append(_visit(case, before, answered, referral))
        before = case
        if case.analysis.state == AnalysisState.ANSWERED:
            answered = case.analysis
    return found[::-1]


def _visit(case: Case, before: Case | None, answered: Analysis | None, referral: Referral) -> Visit:
    now, then = _observed(case), _observed(before) if before else None
    analysis = case.analysis
    has_answer = analysis.state == AnalysisState.ANSWERED
    comparable = answered is not None and has_answer and answered.model_version_id == analysis.model_version_id
    earlier = answered if comparable else None
    return Visit(
        case=case,
        seen_at=case.seen_at,
        before_at=before.seen_at if before else None,
        this=case.pk == referral.case_id,
        checklist_score=case.checklist_score,
        appeared=[name for name in now if then is not None and name not in then],
        went=[name for name in then or [] if name not in now],
        risk=analysis.malignancy_risk if has_answer else None,
        risk_change=(analysis.malignancy_risk or 0.0) - (earlier.malignancy_risk or 0.0) if earlier else None,
        predicted=analysis.predicted if has_answer else "",
        rose=_rose(analysis, earlier) if earlier else None,
        other_version=answered is not None and has_answer and not comparable,
    )


def _observed(case: Case) -> list[str]:
    return [name for name in (*CHECKLIST_POINTS, *_MORE) if getattr(case, name)]


def _rose(analysis: Analysis, earlier: Analysis) -> tuple[str, float] | None:
    pairs = zip(CLASSES, analysis.probabilities or [], earlier.probabilities or [], strict=False)
    changes = {code: now - then for code, now, then in pairs}
    code = max(changes, key=lambda each: changes[each], default="")
    return (code, changes[code]) if code and changes[code] > 0 else None
