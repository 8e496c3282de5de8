"""Recording consents and withdrawals, and telling what is allowed now and by which event."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Case as Choice
from django.db.models import IntegerField, Value, When
from django.utils import timezone

from diagnosis.models import (
    Analysis,
    AnalysisState,
    ConsentChange,
    ConsentEvent,
    ConsentPolicy,
    ConsentScope,
    EvidenceMethod,
    Patient,
)
from diagnosis.models.sealed import PatientErased
from diagnosis.services.errors import CLOCK_TOLERANCE_SECONDS, Conflict, Refusal
from diagnosis.services.referral_moves import stop_referrals
from skincare.accounts.models import User
from skincare.audit.record import record


@dataclass(frozen=True)
class ConsentStatement:
    """What a patient said about one scope, as a client reports it."""

    policy: ConsentPolicy
    scope: ConsentScope
    change: ConsentChange
    captured_at: datetime
    method: EvidenceMethod
    evidence: str = ""
    id: UUID | None = None


def lock_patient(patient_id: UUID) -> Patient:
    """Lock the patient's row until the transaction ends.

    Whoever grants, withdraws, submits or retries holds this lock, so that none of them acts on a consent that
    another is just changing.
    """
    return Patient.objects.select_for_update(of=("self",)).select_related("data_key_row").get(pk=patient_id)


def consent_in_force(patient: Patient, scope: ConsentScope) -> ConsentEvent | None:
    """The grant by which ``scope`` is allowed now, or nothing.

    A grant counts from when it was captured, a withdrawal from when it was recorded, and at the same instant the
    withdrawal wins: a grant that was captured offline before a withdrawal but arrives after it allows nothing.
    Of an erased patient nothing is in force.
    """
    last = (
        ConsentEvent.objects.filter(patient=patient, scope=scope, patient__data_key_row__isnull=False)
        .annotate(
            precedence=Choice(
                When(change=ConsentChange.WITHDRAWN, then=Value(1)), default=Value(0), output_field=IntegerField()
            )
        )
        .order_by("-effective_at", "-precedence", "-recorded_at")
        .first()
    )
    return last if last is not None and last.change == ConsentChange.GRANTED else None


@transaction.atomic
def record_consent(*, user: User, patient: Patient, statement: ConsentStatement) -> ConsentEvent:
    """Append what the patient said. A withdrawal stops what waits or runs under the consent, at once.

    Sent again with the same id, it is recorded once.

    Raises:
        Refusal: the time lies in the future, or spoken consent names no witness.
        Conflict: the id belongs to another event.
        PatientErased: there is nobody any more who could consent.
    """
    patient = lock_patient(patient.pk)
    if patient.erased:
        raise PatientErased(f"patient {patient.pk} was erased")
    event_id = statement.id or uuid4()
    known = ConsentEvent.objects.filter(pk=event_id).first()
    if known is not None:
        same = (known.patient_id, known.scope, known.change, known.policy_id) == (
            patient.pk,
            statement.scope,
            statement.change,
            statement.policy.pk,
        )
        if not same:
            raise Conflict("id_taken", f"the id {event_id} is taken; choose another UUID", field="id")
        return known

    now = timezone.now()
    if statement.captured_at > now + timedelta(seconds=CLOCK_TOLERANCE_SECONDS):
        raise Refusal(
            "in_the_future",
            f"captured_at {statement.captured_at.isoformat()} lies in the future; it is {now.isoformat()} here",
            field="captured_at",
        )
    if statement.method == EvidenceMethod.SPOKEN and not statement.evidence.strip():
        raise Refusal("witness_missing", "spoken consent needs the witness's name in evidence", field="evidence")
    captured_at = min(statement.captured_at, now)
    event = ConsentEvent(
        id=event_id,
        patient=patient,
        policy=statement.policy,
        scope=statement.scope,
        change=statement.change,
        captured_at=captured_at,
        recorded_at=now,
        effective_at=captured_at if statement.change == ConsentChange.GRANTED else now,
        recorded_by=user,
        method=statement.method,
    )
    event.evidence = statement.evidence
    event.save(force_insert=True)
    if statement.change == ConsentChange.WITHDRAWN and statement.scope == ConsentScope.ANALYSIS:
        stop_analyses(
            patient,
            reason="consent_withdrawn",
            text="The patient withdrew the consent to analysis before the network had answered.",
        )
    if statement.change == ConsentChange.WITHDRAWN and statement.scope == ConsentScope.TELEDERMATOLOGY:
        stop_referrals(patient, reason="consent_withdrawn")
    record(
        f"consent.{statement.change}",
        event,
        actor=user,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"scope": str(statement.scope), "policy": statement.policy.version},
    )
    return event


def stop_analyses(patient: Patient, *, reason: str, text: str) -> None:
    """Stop what waits or runs; a worker that is at it loses its lease. Call it with the patient's row locked.

    Args:
        reason: a code.
        text: a sentence for the clinician.
    """
    stopped = Analysis.objects.filter(case__patient=patient, state__in=[AnalysisState.WAITING, AnalysisState.RUNNING])
    for analysis in stopped.select_for_update(of=("self",)):
        analysis.state = AnalysisState.NOT_REQUESTED
        analysis.reason = reason
        analysis.reason_text = text
        analysis.waiting_since = analysis.lease_token = analysis.lease_until = None
        analysis.save(update_fields=["state", "reason", "reason_text", "waiting_since", "lease_token", "lease_until"])
        record(
            "analysis.stopped",
            analysis,
            actor=None,
            patient_id=patient.pk,
            organisation_id=patient.organisation_id,
            details={"reason": reason},
        )
