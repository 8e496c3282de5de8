"""A referral's place in its service's worklist: one stored number, the smallest first.

From the left: the urgency's step (one step up once escalated), a band by what is known of the case, and the due time.
Where the service reads blind there are only two bands, and the nearer one holds high risk, abstention, a missing
answer and alarming clinical signs alike, so that a place tells a blind reader nothing of the network's answer (see
docs/decisions/0081). Where it does not, the band is the tenth of calibrated risk.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from diagnosis.classifier.recommendation import Level
from diagnosis.models import Analysis, AnalysisState, Case, Referral, ServicePolicy
from diagnosis.models.referrals import OPEN_STATES
from diagnosis.models.service_policies import URGENCY_STEPS
from diagnosis.services.clinical_rule import clinical_demand
from skincare.accounts.models import Organisation

#: Room for milliseconds since 1970 until the year 5138.
_TIMES: Final = 10**14
#: Band of what has no valid answer, where bands are tenths of risk: above anything below 0.5.
_UNANSWERED_BAND: Final = 4


def policy_of(service: Organisation | UUID) -> ServicePolicy:
    """The service's policy, or the defaults (not saved)."""
    pk = service.pk if isinstance(service, Organisation) else service
    return ServicePolicy.objects.filter(pk=pk).first() or ServicePolicy(service_id=pk)


def sort_key(*, urgency: str, escalated: bool, due_at: datetime, band: int) -> int:
    """The number; fits into 8 bytes."""
    step = max(0, URGENCY_STEPS[urgency] - int(escalated))
    return (step * 10 + band) * _TIMES + int(due_at.timestamp() * 1000)


def worrying(case: Case) -> bool:
    """Whether a case is to be looked at before others of its urgency."""
    analysis = case.analysis
    if analysis.state != AnalysisState.ANSWERED:
        return True
    alarming = (Level.REFER, Level.REFER_URGENTLY)
    return analysis.recommendation in alarming or clinical_demand(case)[0] in alarming


def band_of(case: Case, *, blind: bool) -> int:
    """0 (first) to 9."""
    if blind:
        return 0 if worrying(case) else 1
    analysis: Analysis = case.analysis
    if analysis.malignancy_risk is None:
        return _UNANSWERED_BAND
    return min(9, int((1 - analysis.malignancy_risk) * 10))


def in_nearer_band(key: int) -> bool:
    """Whether a key is of the band that is looked at before others of its urgency."""
    return key // _TIMES % 10 == 0


def place(referral: Referral, policy: ServicePolicy) -> int:
    """The key of a referral as it is now, from its case and the service's policy."""
    return sort_key(
        urgency=referral.urgency,
        escalated=referral.escalated_at is not None,
        due_at=referral.due_at,
        band=band_of(referral.case, blind=policy.blind_read),
    )


def place_again(cases: Iterable[UUID] | None = None, *, service: Organisation | None = None) -> int:
    """Give open referrals their places anew: of these cases, whose analyses changed, or of a service's new policy.

    Returns:
        How many moved.
    """
    referrals = Referral.objects.filter(state__in=OPEN_STATES)
    if cases is not None:
        referrals = referrals.filter(case__in=list(cases))
    if service is not None:
        referrals = referrals.filter(service=service)
    moved = []
    policies: dict[UUID, ServicePolicy] = {}
    for referral in referrals.select_related("case__analysis").order_by("pk").select_for_update(of=("self",)):
        policy = policies.get(referral.service_id) or policies.setdefault(
            referral.service_id, policy_of(referral.service_id)
        )
        key = place(referral, policy)
        if key != referral.sort_key:
            referral.sort_key = key
            moved.append(referral)
    Referral.objects.bulk_update(moved, ["sort_key"], batch_size=500)
    return len(moved)
