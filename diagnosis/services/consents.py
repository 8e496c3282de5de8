"""Recording consents and withdrawals, and telling what is allowed now and by which event."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from django.db import connection, transaction
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
from diagnosis.services.months import months_later
from diagnosis.services.referral_moves import stop_referrals
from diagnosis.services.signatures import read_signature
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
    witness: str = ""
    #: As the client sent it, see ``services.signatures``.
    signature: str = ""
    #: In which language the patient was spoken with; the policy's, where empty.
    language: str = ""
    #: Of a grant: until when it is to allow something, where that is sooner than the policy says.
    expires_at: datetime | None = None
    id: UUID | None = None


#: Consents whose end is written down in one transaction.
EXPIRIES_IN_A_TURN: Final = 200
CONSENT_EXPIRED: Final = "The patient's consent to analysis ended before the network had answered."


def lock_patient(patient_id: UUID) -> Patient:
    """Lock the patient's row until the transaction ends.

    Whoever grants, withdraws, submits or retries holds this lock, so that none of them acts on a consent that
    another is just changing.
    """
    return Patient.objects.select_for_update(of=("self",)).select_related("data_key_row").get(pk=patient_id)


def consent_in_force(patient: Patient, scope: ConsentScope) -> ConsentEvent | None:
    """The grant by which ``scope`` is allowed now, or nothing.

    The patient's last word decides. A grant counts from when it was captured, a withdrawal from when it was recorded,
    and at the same instant the withdrawal wins: a grant that was captured offline before a withdrawal but arrives after
    it allows nothing. A grant whose time is over allows nothing from that instant on, whether or not the platform has
    written it down. Of an erased patient nothing is in force.
    """
    said = ConsentEvent.objects.filter(patient=patient, scope=scope, patient__data_key_row__isnull=False)
    last = (
        said.exclude(change=ConsentChange.EXPIRED)
        .annotate(
            precedence=Choice(
                When(change=ConsentChange.WITHDRAWN, then=Value(1)), default=Value(0), output_field=IntegerField()
            )
        )
        .order_by("-effective_at", "-precedence", "-recorded_at")
        .first()
    )
    if last is None or last.change != ConsentChange.GRANTED:
        return None
    return last if last.expires_at is None or last.expires_at > timezone.now() else None


@transaction.atomic
def record_consent(*, user: User, patient: Patient, statement: ConsentStatement) -> ConsentEvent:
    """Append what the patient said. A withdrawal stops what waits or runs under the consent, at once.

    Sent again with the same id, it is recorded once.

    Raises:
        Refusal: the time lies in the future, spoken consent names no witness, one signed on screen has no signature,
            or the end does not follow its beginning.
        Conflict: the id belongs to another event.
        PatientErased: there is nobody any more who could consent.
    """
    return record_consent_of_locked(user=user, patient=lock_patient(patient.pk), statement=statement)


def record_consent_of_locked(*, user: User, patient: Patient, statement: ConsentStatement) -> ConsentEvent:
    """`record_consent` where the caller has locked the patient's row in this transaction, or made it there."""
    if patient.erased:
        raise PatientErased(f"patient {patient.pk} was erased")
    event_id = statement.id or uuid4()
    known = ConsentEvent.objects.filter(pk=event_id).first() if statement.id else None
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
    _check_evidence(statement)
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
        expires_at=_end(statement, captured_at),
        recorded_by=user,
        method=statement.method,
        language=statement.language or statement.policy.language,
    )
    event.witness = statement.witness.strip()
    event.signature = read_signature(statement.signature) if statement.signature else b""
    _append(event, actor=user)
    return event


def _append(event: ConsentEvent, *, actor: User | None, **details: object) -> None:
    """Keep and record what a locked patient said. A withdrawal stops what waits or runs under the consent."""
    patient = event.patient
    event.save(force_insert=True)
    if event.change == ConsentChange.WITHDRAWN and event.scope == ConsentScope.ANALYSIS:
        stop_analyses(
            patient,
            reason="consent_withdrawn",
            text="The patient withdrew the consent to analysis before the network had answered.",
        )
    if event.change == ConsentChange.WITHDRAWN and event.scope == ConsentScope.TELEDERMATOLOGY:
        stop_referrals(patient, reason="consent_withdrawn")
    record(
        f"consent.{event.change}",
        event,
        actor=actor,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"scope": str(event.scope), "policy": event.policy.version, **details},
    )


@transaction.atomic
def replay(withdrawals: Iterable[ConsentEvent]) -> int:
    """Withdraw again what a restored backup brought back as consented to.

    Where the backup does not know the text yet, it is the one of which the patient spoke last; whoever recorded the
    withdrawal and is not known stands there by id alone, switched off.

    Args:
        withdrawals: of this database or of a newer one, without their evidence.

    Returns:
        How many were recorded anew.
    """
    told = {event.pk: event for event in withdrawals}
    for known in ConsentEvent.objects.filter(pk__in=told).values_list("pk", flat=True):
        del told[known]
    there = set(Patient.objects.filter(data_key_row__isnull=False).values_list("pk", flat=True))
    policies = set(ConsentPolicy.objects.values_list("pk", flat=True))
    replayed = 0
    for event in sorted(told.values(), key=lambda each: each.recorded_at):
        if event.patient_id not in there:
            continue
        event.patient = lock_patient(event.patient_id)
        if event.policy_id not in policies:
            said = event.patient.consent_events.filter(scope=event.scope).last()
            if said is None:  # nothing that could be withdrawn
                continue
            event.policy_id = said.policy_id
        assert event.recorded_by_id is not None
        nobody = {"email": f"{event.recorded_by_id}@restored.invalid", "is_active": False}
        User.objects.get_or_create(pk=event.recorded_by_id, defaults=nobody)
        event.change, event.effective_at = ConsentChange.WITHDRAWN, event.recorded_at
        _append(event, actor=None, replayed=True)
        replayed += 1
    return replayed


@transaction.atomic
def record_consents(*, user: User, patient: Patient, statements: list[ConsentStatement]) -> list[ConsentEvent]:
    """Append all that the patient said at once, or nothing of it; see ``record_consent``."""
    return [record_consent(user=user, patient=patient, statement=statement) for statement in statements]


def _check_evidence(statement: ConsentStatement) -> None:
    if statement.method == EvidenceMethod.SPOKEN and not statement.witness.strip():
        raise Refusal("witness_missing", "spoken consent needs the witness's name in witness", field="witness")
    if statement.method == EvidenceMethod.SIGNATURE and not statement.signature:
        raise Refusal(
            "signature_missing", "consent signed on screen needs the picture of it in signature", field="signature"
        )


def _end(statement: ConsentStatement, captured_at: datetime) -> datetime | None:
    """When a grant ends: as the policy has it or sooner, as was said."""
    if statement.change != ConsentChange.GRANTED:
        if statement.expires_at is not None:
            raise Refusal("only_a_grant_expires", "a withdrawal has no end; leave expires_at out", field="expires_at")
        return None
    if statement.expires_at is not None and statement.expires_at <= captured_at:
        raise Refusal("ends_before_it_begins", "expires_at must be later than captured_at", field="expires_at")
    months = statement.policy.valid_months
    ends = [statement.expires_at, months_later(captured_at, months) if months else None]
    return min((end for end in ends if end is not None), default=None)


def record_expiries() -> int:
    """Write down which grants have ended by the clock since, and stop what waits or runs under them.

    What is allowed does not hang on this: ``consent_in_force`` looks at the clock itself.

    Returns:
        How many were written down, at most ``EXPIRIES_IN_A_TURN``.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT grants.id, grants.patient_id FROM diagnosis_consentevent AS grants
            JOIN diagnosis_patient ON diagnosis_patient.id = grants.patient_id AND data_key_id IS NOT NULL
            WHERE grants.expires_at <= statement_timestamp()
                AND NOT EXISTS (SELECT 1 FROM diagnosis_consentevent WHERE ends_id = grants.id)
                AND grants.id = (
                    SELECT id FROM diagnosis_consentevent AS said
                    WHERE said.patient_id = grants.patient_id AND said.scope = grants.scope AND change <> 'expired'
                    ORDER BY effective_at DESC, (change = 'withdrawn') DESC, recorded_at DESC LIMIT 1
                )
            ORDER BY grants.expires_at LIMIT %s
            """,
            [EXPIRIES_IN_A_TURN],
        )
        ended = cursor.fetchall()
    return sum(_record_expiry(event_id, patient_id) for event_id, patient_id in ended)


@transaction.atomic
def _record_expiry(event_id: UUID, patient_id: UUID) -> bool:
    patient = lock_patient(patient_id)
    grant = ConsentEvent.objects.select_related("policy").get(pk=event_id)
    if patient.erased or ConsentEvent.objects.filter(ends=grant).exists():
        return False
    assert grant.expires_at is not None
    expiry = ConsentEvent.objects.create(
        patient=patient,
        policy=grant.policy,
        scope=grant.scope,
        change=ConsentChange.EXPIRED,
        captured_at=grant.expires_at,
        recorded_at=timezone.now(),
        effective_at=grant.expires_at,
        ends=grant,
        method=EvidenceMethod.CLOCK,
        language=grant.language,
    )
    if grant.scope == ConsentScope.ANALYSIS and consent_in_force(patient, ConsentScope.ANALYSIS) is None:
        stop_analyses(
            patient,
            reason="consent_expired",
            text=CONSENT_EXPIRED,
        )
    if grant.scope == ConsentScope.TELEDERMATOLOGY and consent_in_force(patient, ConsentScope.TELEDERMATOLOGY) is None:
        stop_referrals(patient, reason="consent_expired")
    record(
        "consent.expired",
        expiry,
        actor=None,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"scope": str(grant.scope), "policy": grant.policy.version, "grant": str(grant.pk)},
    )
    return True


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
