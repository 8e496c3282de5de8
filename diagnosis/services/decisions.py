"""Keeping a case under observation with a reminder, or closing it with a reason."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from diagnosis.models import Case, CloseReason, Decision, DecisionKind
from diagnosis.models.sealed import PatientErased
from diagnosis.services.consents import lock_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.notifications import clinicians_of, tell, whoever_is_left
from diagnosis.services.referrals import check_text
from skincare.accounts.models import User
from skincare.audit.record import record

#: A reminder lies at most so far ahead: nobody watches a lesion for longer without a look.
LONGEST_OBSERVATION: Final = timedelta(days=3 * 366)
#: Reminders of one run; the next goes on.
BATCH: Final = 200


@dataclass(frozen=True)
class NewDecision:
    """What a clinician decides. The id may be the client's own, so that sending twice decides once."""

    case: UUID
    kind: DecisionKind | str
    remind_on: date | None = None
    reason: CloseReason | str = ""
    note: str = ""
    id: UUID | None = None


@transaction.atomic
def decide(*, user: User, new: NewDecision) -> Decision:
    """Decide on a case.

    Args:
        new: its case must be one that ``user`` may see as a clinician; ``remind_on`` for an observation, ``reason``
            for a closing.

    Raises:
        Refusal: no such case, a day that is past or too far ahead, no reason, or a note that is too long.
        Conflict: the id is taken by another decision, or the case is before a dermatologist.
        PatientErased: there is nobody left to decide about.
    """
    case = Case.objects.for_user(user).filter(pk=new.case).first()
    if case is None:
        raise Refusal("not_found", "there is no such case of yours", field="case")
    patient = lock_patient(case.patient_id)
    if patient.erased:
        raise PatientErased(f"patient {patient.pk} was erased")
    case.patient = patient
    decision_id = new.id or uuid4()
    twin = Decision.objects.filter(pk=decision_id).first()
    if twin is not None:
        if (twin.case_id, twin.kind, twin.remind_on, twin.reason) != (new.case, new.kind, new.remind_on, new.reason):
            raise Conflict("id_taken", f"the id {decision_id} is taken; choose another UUID", field="id")
        twin.case = case
        return twin
    _check(case, new)
    decision = Decision(
        id=decision_id,
        case=case,
        kind=new.kind,
        decided_by=user,
        decided_at=timezone.now(),
        remind_on=new.remind_on,
        reason=new.reason,
    )
    decision.note = new.note.strip()
    decision.save(force_insert=True)
    record(
        "case.decided",
        decision,
        actor=user,
        patient_id=patient.pk,
        organisation_id=case.organisation_id,
        details={"case": str(case.pk), "kind": str(new.kind), "reason": str(new.reason)},
    )
    return decision


def _check(case: Case, new: NewDecision) -> None:
    check_text(new.note, "note")
    standing = case.referrals.open().select_related("service").first()
    if standing is not None:
        raise Conflict(
            "already_referred",
            f"the case is before {standing.service.name}; withdraw that referral first, or wait for the answer",
            field="case",
        )
    if new.kind == DecisionKind.OBSERVE:
        today = timezone.now().date()
        if new.remind_on is None:
            raise Refusal("day_missing", "to observe, say on which day to look again", field="remind_on")
        if not today < new.remind_on <= today + LONGEST_OBSERVATION:
            raise Refusal(
                "day_out_of_range",
                f"remind_on {new.remind_on} must lie after today and at most three years ahead",
                field="remind_on",
            )
        if new.reason:
            raise Refusal("reason_unneeded", "a reason is for closing", field="reason")
    elif new.remind_on is not None:
        raise Refusal("day_unneeded", "a day to look again is for observing", field="remind_on")
    elif new.reason not in CloseReason.values:
        raise Refusal("reason_missing", f"to close, say why: one of {', '.join(CloseReason.values)}", field="reason")


def remind_due(*, now: datetime | None = None) -> int:
    """Tell whoever observes that the day has come, each decision once. Returns how many.

    Where that person has left the clinic, all its clinicians are told.
    """
    now = now or timezone.now()
    told = 0
    due = Decision.objects.due(now.date()).filter(reminded_at__isnull=True).order_by("remind_on")
    for pk in list(due.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            decision = (
                Decision.objects.select_for_update(of=("self",), skip_locked=True)
                .select_related("case", "decided_by")
                .filter(pk=pk, reminded_at__isnull=True)
                .first()
            )
            if decision is None:
                continue
            people = whoever_is_left(decision.decided_by_id, clinicians_of(decision.case.organisation_id))
            tell(people, "observation_due", case=decision.case)
            decision.reminded_at = now
            decision.save(update_fields=["reminded_at"])
            record(
                "case.reminded",
                decision,
                actor=None,
                patient_id=decision.case.patient_id,
                organisation_id=decision.case.organisation_id,
                details={"case": str(decision.case_id)},
            )
            told += 1
    return told
