"""Signing the answer to a referral, and amending it: append-only, each amendment names what it replaces."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from diagnosis.classifier.diagnoses import agree
from diagnosis.models import Assessment, Plan, Referral
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.first_reads import check_confidence, check_diagnosis, own_read
from diagnosis.services.outcomes import is_known
from diagnosis.services.referral_moves import move
from diagnosis.services.referral_states import Action, check, insist_on_consent, person
from diagnosis.services.referrals import check_text, lock_referral
from diagnosis.services.second_opinions import consensus_of
from diagnosis.services.signing import Proof, check_proof
from diagnosis.services.worklist_order import policy_of
from skincare.accounts.models import User

LONGEST_MONTHS: Final = 36
DAYS_IN_MONTH: Final = 30.44
#: After which time the histology of what was planned should be there, or a follow-up is late.
OUTCOME_DAYS: Final[dict[str, int]] = {Plan.BIOPSY: 42, Plan.EXCISE: 56, Plan.URGENT: 42, Plan.SEE_IN_PERSON: 56}
OBSERVED_GRACE_DAYS: Final = 14


@dataclass(frozen=True)
class NewAssessment:
    """An answer as the dermatologist gives it."""

    diagnosis: str
    """A code of ``classifier.diagnoses``."""
    confidence: int
    """Per cent."""
    plan: Plan | str
    months: int | None = None
    """For ``observe``: after how many months, 1 to 36."""
    text: str = ""


def current_assessment(referral: Referral) -> Assessment | None:
    """The answer that counts: the one that nobody has amended."""
    return Assessment.objects.filter(referral=referral, amended_by__isnull=True).select_related("author").first()


@transaction.atomic
def sign_assessment(*, user: User, referral_id: UUID, new: NewAssessment, proof: Proof) -> Assessment:
    """Answer a referral that one has accepted.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``; a field is impossible; the proof is too old.
        Conflict: the blind read is missing, an opinion is awaited, or readers disagree and nobody has settled it.
    """
    referral = lock_referral(referral_id)
    check(Action.ANSWER, referral, user)
    check_assessment(new)
    check_proof(proof)
    if own_read(user, referral) is None and policy_of(referral.service_id).blind_read:
        raise Conflict("read_first", "record your own read first (first-read/); the network's answer follows it")
    consensus = consensus_of(referral)
    if consensus.awaited:
        raise Conflict(
            "opinion_awaited", f"an opinion of {consensus.awaited} is awaited; wait for it, or take the request back"
        )
    if consensus.unsettled:
        raise Conflict("readers_disagree", "the readers disagree; ask a third reader to settle it")
    if consensus.settled_as and not agree(consensus.settled_as, new.diagnosis):
        raise Conflict(
            "differs_from_consensus",
            f"the third reader settled the disagreement as {consensus.settled_as}; {new.diagnosis} says something else",
            field="diagnosis",
        )
    return _sign(referral, Action.ANSWER, user, new, proof, None)


@transaction.atomic
def amend_assessment(*, user: User, referral_id: UUID, new: NewAssessment, proof: Proof) -> Assessment:
    """Replace the answer that counts by another; both stay. The clinician is to read it again.

    Raises:
        IllegalTransition, Refusal: as for signing.
        Refusal: the amendment gives no reason in its text.
        Conflict: the patient's consent has ended since the answer was signed.
    """
    referral = lock_referral(referral_id)
    check(Action.AMEND, referral, user)
    insist_on_consent(referral)
    check_assessment(new)
    check_proof(proof)
    check_text(new.text, "text", needed=True)
    return _sign(referral, Action.AMEND, user, new, proof, current_assessment(referral))


def check_assessment(new: NewAssessment) -> None:
    """Make sure that an answer is whole.

    Raises:
        Refusal: a field is impossible.
    """
    check_diagnosis(new.diagnosis)
    check_confidence(new.confidence)
    check_text(new.text, "text")
    if new.plan not in Plan.values:
        raise Refusal("unknown_plan", f"{new.plan!r} is not one of {', '.join(Plan.values)}", field="plan")
    if new.plan == Plan.OBSERVE and not (new.months and 1 <= new.months <= LONGEST_MONTHS):
        raise Refusal("months_missing", f"observe after 1 to {LONGEST_MONTHS} months: say how many", field="months")
    if new.plan != Plan.OBSERVE and new.months is not None:
        raise Refusal("months_needless", f"months belong to the plan observe, not to {new.plan}", field="months")


def _sign(
    referral: Referral, action: Action, user: User, new: NewAssessment, proof: Proof, amends: Assessment | None
) -> Assessment:
    now = timezone.now()
    assessment = Assessment(
        referral=referral,
        amends=amends,
        author=user,
        diagnosis=new.diagnosis,
        confidence=new.confidence,
        plan=new.plan,
        months=new.months,
        signed_at=now,
        authenticated_at=min(proof.at, now),
        authenticated_by=proof.how,
    )
    assessment.text = new.text.strip()
    assessment.signature = person(user)
    assessment.save(force_insert=True)
    referral.answered_at = referral.answered_at or now
    referral.outcome_due_at = None if is_known(referral, new.plan) else outcome_due(new, now)
    referral.outcome_reminded_at = None
    move(referral, action, user, "answered_at", "outcome_due_at", "outcome_reminded_at")
    return assessment


def outcome_due(new: NewAssessment, signed_at: datetime) -> datetime | None:
    """When what the plan leads to should be known; nothing where it leads to nothing."""
    if new.plan == Plan.OBSERVE:
        return signed_at + timedelta(days=(new.months or 1) * DAYS_IN_MONTH + OBSERVED_GRACE_DAYS)
    days = OUTCOME_DAYS.get(new.plan)
    return signed_at + timedelta(days=days) if days else None
