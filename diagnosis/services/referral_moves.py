"""Carrying out what happens to a referral, and ending all of a patient's at once. Apart from ``referrals``, since the
recording of consents rests on it.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import OPEN_STATES, OpinionState, Patient, Referral, SecondOpinion
from diagnosis.services.errors import Conflict, constraint_of
from diagnosis.services.notifications import announce
from diagnosis.services.referral_states import TRANSITIONS, Action, check, person
from diagnosis.services.webhooks import enqueue
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record


def move(referral: Referral, action: Action, user: User | None, *changed: str) -> Referral:
    """Carry out a transition on a locked referral, after ``check``.

    Args:
        changed: names of other fields that were set already.

    Raises:
        Conflict: the patient's consent has just ended by the clock.
    """
    from_state = referral.state
    after = TRANSITIONS[action].after
    if after is not None:
        referral.state = after
    referral.state_since = timezone.now()
    referral.changed_by = user
    referral.revision += 1
    try:
        with transaction.atomic():
            referral.save(update_fields=["state", "state_since", "changed_by", "revision", *changed])
    except IntegrityError as error:
        if constraint_of(error) != "referral_needs_consent":
            raise
        raise Conflict(
            "no_consent", "the patient's consent to teledermatology has ended; the referral stops"
        ) from error
    if from_state in OPEN_STATES and not referral.open:
        end_opinions(referral)
    note(referral, action.value, user, {"from": str(from_state), "to": str(referral.state)})
    return referral


def end_opinions(referral: Referral) -> None:
    """Nobody is asked any more about a referral that is no longer open."""
    SecondOpinion.objects.filter(referral=referral, state=OpinionState.ASKED).update(
        state=OpinionState.WITHDRAWN, ended_at=timezone.now()
    )


def stop_referrals(patient: Patient, *, reason: str) -> int:
    """End every dermatologist's sight of a patient, at once. Call it with the patient's row locked.

    What was open is withdrawn; what was answered keeps its state and its answer, which the clinic goes on seeing.

    Args:
        reason: a code, such as ``consent_withdrawn``.

    Returns:
        How many referrals were open.
    """
    now = timezone.now()
    stopped = Referral.objects.filter(case__patient=patient, stopped_at__isnull=True)
    withdrawn = 0
    for referral in stopped.select_for_update(of=("self",)).select_related("case"):
        referral.stopped_at = now
        referral.outcome_due_at = None
        if referral.open:
            withdrawn += 1
            check(Action.STOP, referral, None)
            move(referral, Action.STOP, None, "stopped_at", "outcome_due_at")
        else:
            referral.revision += 1
            referral.save(update_fields=["stopped_at", "outcome_due_at", "revision"])
            note(referral, "stopped", None, {"reason": reason})
    return withdrawn


def note(referral: Referral, action: str, user: User | None, details: dict[str, object] | None = None) -> None:
    """Record what was done with a referral, and tell whom it concerns."""
    record(
        f"referral.{action}",
        referral,
        actor=user,
        patient_id=referral.case.patient_id,
        organisation_id=referral.case.organisation_id,
        details={"service": str(referral.service_id), **(details or {})},
    )
    announce(referral, action, user)
    enqueue(referral, action)


def touch(referral: Referral) -> None:
    """Count a change of what hangs on a referral, so that those who poll see it. Call it with the referral locked."""
    referral.revision += 1
    referral.save(update_fields=["revision"])


def history(referral: Referral) -> list[tuple[datetime, str, str]]:
    """What was done with a referral, when, and by whom, the first first: from the audit record."""
    events = AuditEvent.objects.filter(object_type="referral", object_id=str(referral.pk)).select_related("actor")
    return [(event.at, event.action, person(event.actor)) for event in events.order_by("pk")]
