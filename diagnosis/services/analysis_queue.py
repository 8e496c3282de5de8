"""The queue of analyses: rows that wait are claimed under a lease, answered under that lease, returned or failed.

The database remembers, the broker only rings. Nothing here trusts a message to arrive, to arrive once, or in order,
nor a machine's clock: when a lease ends and when one may be tried again, the database's clock alone decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from diagnosis.models import Analysis, AnalysisState, Case, ConsentScope
from diagnosis.services import counters
from diagnosis.services.bell import ring_for_inference, ring_for_inference_on_commit
from diagnosis.services.clinical_rule import clinical_demand, demand_after_failure
from diagnosis.services.consents import CONSENT_EXPIRED, consent_in_force, lock_patient, record_expiries
from diagnosis.services.errors import Conflict, constraint_of
from diagnosis.services.worklist_order import place_again
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record

#: What waits longer than this was not heard of by any worker.
OVERDUE_SECONDS: Final = 3
#: One that came back waits 2, 4, 8… seconds, but no longer than this.
LONGEST_PAUSE_SECONDS: Final = 300


@dataclass(frozen=True)
class Fault:
    """Why an analysis came back: how often it is tried before it fails, and what a person is told then."""

    attempts: int
    text: str


#: What lies with the case is tried three times; what lies with the surroundings has some twenty minutes to pass.
FAULTS: Final = {
    "worker_lost": Fault(3, "The program that read the photographs stopped each time it tried."),
    "reading_failed": Fault(3, "The network could not read the photographs."),
    "photograph_damaged": Fault(3, "A stored photograph is damaged and cannot be opened."),
    "store_unavailable": Fault(10, "The stored photographs could not be fetched."),
    "network_unavailable": Fault(10, "The network could not be loaded."),
}


@dataclass(frozen=True)
class Lease:
    """A worker's right to answer certain analyses until it ends."""

    token: UUID
    analyses: Sequence[Analysis]


T = TypeVar("T")


def _under_consent(act: Callable[[], T]) -> T:
    """Act in a transaction; where the database refuses because a consent has ended by the clock, note that, act again.

    Nothing watches the clock for each analysis: the database does, at each step, and it refuses the whole statement.
    """
    try:
        with transaction.atomic():
            return act()
    except IntegrityError as error:
        if constraint_of(error) != "analysis_needs_consent":
            raise
    while record_expiries():
        pass
    with transaction.atomic():
        return act()


def claim(*, limit: int) -> Lease | None:
    """Take up to ``limit`` waiting analyses, the longest waiting first, or nothing.

    One that was claimed before and came back is taken alone, so that a case that kills its worker takes no other
    case with it. Rows that another worker is just claiming are passed over, never waited for.
    """
    return _under_consent(lambda: _claim(limit))


def _claim(limit: int) -> Lease | None:
    waiting = Analysis.objects.waiting().select_for_update(skip_locked=True, of=("self",))
    head = list(waiting[:1])
    if not head:
        return None
    rows = list(waiting.filter(attempts=0)[:limit]) if head[0].attempts == 0 else head
    token = uuid4()
    until = Now() + timedelta(seconds=settings.ANALYSIS_LEASE_SECONDS)
    ids = [row.pk for row in rows]
    Analysis.objects.filter(pk__in=ids).update(
        state=AnalysisState.RUNNING, lease_token=token, lease_until=until, attempts=F("attempts") + 1
    )
    claimed = (
        Analysis.objects.filter(pk__in=ids)
        .select_related("case__patient__data_key_row")
        .prefetch_related("case__images")
        .order_by("waiting_since", "id")
    )
    return Lease(token, list(claimed))


#: Columns that an answer fills, with their PostgreSQL types.
_ANSWER_COLUMNS: Final = {
    "state": "varchar",
    "reason": "varchar",
    "reason_text": "varchar",
    "model_version_id": "uuid",
    "probabilities": "float8[]",
    "predicted": "varchar",
    "malignancy_risk": "float8",
    "network_level": "varchar",
    "recommendation": "varchar",
    "decided_by": "varchar",
    "notices": "varchar[]",
    "deciding_position": "int2",
    "readings": "jsonb",
    "conditions": "jsonb",
    "timings": "jsonb",
    "sealed_map": "bytea",
    "sealed_embedding": "bytea",
}


def answer(lease: Lease, answered: Sequence[Analysis]) -> set[UUID]:
    """Write answers (or abstentions or failures) under the lease that is still one's own.

    Args:
        answered: of the lease's analyses, filled in and in a final state.

    Returns:
        Ids of those that were written. The others were withdrawn, their consent or the lease had ended.
    """
    return _under_consent(lambda: _answer(lease, answered)) if answered else set()


def _answer(lease: Lease, answered: Sequence[Analysis]) -> set[UUID]:
    fields = {field.attname: field for field in Analysis._meta.concrete_fields}
    row = ", ".join(["%s::uuid", *(f"%s::{kind}" for kind in _ANSWER_COLUMNS.values())])
    parameters: list[Any] = []
    for analysis in answered:
        parameters.append(analysis.pk)
        for name in _ANSWER_COLUMNS:
            parameters.append(fields[name].get_db_prep_save(getattr(analysis, name), connection))
    with connection.cursor() as cursor:
        # Column names from a constant, and as many placeholders as rows.
        cursor.execute(
            f"""
            UPDATE diagnosis_analysis AS a
            SET {", ".join(f"{name} = v.{name}" for name in _ANSWER_COLUMNS)},
                finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL
            FROM (VALUES {", ".join([f"({row})"] * len(answered))}) AS v(id, {", ".join(_ANSWER_COLUMNS)})
            WHERE a.id = v.id AND a.state = 'running' AND a.lease_token = %s
            RETURNING a.id
            """,  # nosec B608
            [*parameters, lease.token],
        )
        written = {row[0] for row in cursor.fetchall()}
    place_again(analysis.case_id for analysis in answered if analysis.pk in written)
    AuditEvent.objects.bulk_create(
        AuditEvent(
            action=f"analysis.{analysis.state}",
            organisation_id=analysis.case.organisation_id,
            patient_id=analysis.case.patient_id,
            object_type="analysis",
            object_id=str(analysis.pk),
            details={"model_version": str(analysis.model_version_id), "attempt": analysis.attempts},
        )
        for analysis in answered
        if analysis.pk in written
    )
    return written


@transaction.atomic
def give_back(lease: Lease, analyses: Sequence[Analysis], *, fault: str) -> None:
    """Return analyses that could not be read for a passing reason; they wait again or, used up, fail.

    Args:
        fault: what went wrong, one of ``FAULTS``.
    """
    held = Analysis.objects.filter(
        pk__in=[analysis.pk for analysis in analyses], state=AnalysisState.RUNNING, lease_token=lease.token
    )
    _return_or_fail(list(held.select_for_update(of=("self",)).select_related("case__patient")), fault=fault)


@dataclass(frozen=True)
class Swept:
    """What a sweep found: rows returned to the queue, and rows failed."""

    returned: int
    failed: int


def sweep() -> Swept:
    """Return what dead workers held, fail what has used up its attempts, ring for what waits unheard.

    Any number of sweeps may run at once: a row is handled by the one that locks it first.
    """
    with transaction.atomic():
        expired = list(
            Analysis.objects.filter(state=AnalysisState.RUNNING, lease_until__lt=Now())
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("case__patient")[:1000]
        )
        failed = _return_or_fail(expired, fault="worker_lost")
    overdue = Analysis.objects.filter(
        state=AnalysisState.WAITING, not_before__lt=Now() - timedelta(seconds=OVERDUE_SECONDS)
    ).exists()  # not how many: that would cost more the deeper the queue is
    if overdue:
        ring_for_inference()
        counters.OVERDUE.inc()
    counters.SWEPT.labels("failed").inc(failed)
    counters.SWEPT.labels("returned").inc(len(expired) - failed)
    return Swept(returned=len(expired) - failed, failed=failed)


def pause_after(attempts: int) -> timedelta:
    """How long an analysis rests that came back after that many attempts."""
    return timedelta(seconds=min(2**attempts, LONGEST_PAUSE_SECONDS))


def _return_or_fail(analyses: Sequence[Analysis], *, fault: str) -> int:
    failed = 0
    for analysis in analyses:
        analysis.lease_token = analysis.lease_until = None
        if analysis.attempts >= FAULTS[fault].attempts:
            failed += 1
            analysis.state = AnalysisState.FAILED
            analysis.reason = fault
            analysis.reason_text = f"{FAULTS[fault].text} Tried {analysis.attempts} times. Needs human review."
            level, decider = demand_after_failure(analysis.case)
            analysis.recommendation, analysis.decided_by = str(level), str(decider)
            analysis.finished_at = Now()
            action = "analysis.failed"
            transaction.on_commit(partial(counters.count_failed, analysis))
        elif consent_in_force(analysis.case.patient, ConsentScope.ANALYSIS) is None:
            analysis.state = AnalysisState.NOT_REQUESTED
            analysis.waiting_since = None
            analysis.reason = "consent_expired"
            analysis.reason_text = CONSENT_EXPIRED
            action = "analysis.stopped"
        else:
            analysis.state = AnalysisState.WAITING
            analysis.not_before = Now() + pause_after(analysis.attempts)
            action = "analysis.returned"
        analysis.save(
            update_fields=[
                "state",
                "reason",
                "reason_text",
                "recommendation",
                "decided_by",
                "finished_at",
                "waiting_since",
                "not_before",
                "lease_token",
                "lease_until",
            ]
        )
        record(
            action,
            analysis,
            actor=None,
            patient_id=analysis.case.patient_id,
            organisation_id=analysis.case.organisation_id,
            details={"fault": fault, "attempt": analysis.attempts},
        )
    if failed:
        place_again(analysis.case_id for analysis in analyses)
    return failed


@transaction.atomic
def retry(*, user: User, case: Case) -> Analysis:
    """Ask for an analysis again: of a case that failed, or of one whose patient has consented since.

    Raises:
        Conflict: the analysis is under way or has an answer, or there is no consent to it.
    """
    patient = lock_patient(case.patient_id)
    analysis = Analysis.objects.select_for_update(of=("self",)).get(case=case)
    if analysis.state not in (AnalysisState.FAILED, AnalysisState.NOT_REQUESTED):
        raise Conflict(
            "not_to_be_retried",
            f"the analysis is {analysis.state}; only one that failed or was not requested can be asked for again",
        )
    if patient.erased:
        raise Conflict("patient_erased", "the patient was erased; the photographs cannot be read any more")
    if consent_in_force(patient, ConsentScope.ANALYSIS) is None:
        raise Conflict(
            "no_consent",
            "the patient's consent to analysis is not in force; record it first (patients/{id}/consents/)",
        )
    before = analysis.state
    analysis.state = AnalysisState.WAITING
    analysis.waiting_since, analysis.not_before = timezone.now(), Now()
    analysis.attempts = 0
    analysis.reason = analysis.reason_text = ""
    level, decider = clinical_demand(case)
    analysis.recommendation, analysis.decided_by = str(level), str(decider)
    analysis.finished_at = None
    analysis.save()
    record(
        "analysis.retried",
        analysis,
        actor=user,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"was": str(before)},
    )
    ring_for_inference_on_commit()
    return analysis
