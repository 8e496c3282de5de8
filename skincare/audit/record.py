"""Writing to the audit record, in the transaction of what is recorded."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from skincare.accounts.models import User
from skincare.audit.models import AuditEvent


@dataclass(frozen=True)
class Origin:
    """Where a request came from: its id, which its log lines carry too, and the client's address."""

    request_id: str = ""
    address: str | None = None


#: Set by the middleware for each request; empty for what the platform does by itself.
origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 (frozen)
#: Where `record` collects what is to be written in one statement.
_together: ContextVar[list[AuditEvent] | None] = ContextVar("together", default=None)


@contextmanager
def recorded_together() -> Iterator[None]:
    """Write what is recorded within at its end, in the order recorded, by one statement; nothing if it fails.

    For one use case of many writes, inside its transaction. Nothing within may undo a part of itself and go on: the
    event of that part would stay.
    """
    events: list[AuditEvent] = []
    token = _together.set(events)
    try:
        yield
    finally:
        _together.reset(token)
    AuditEvent.objects.bulk_create(events)


def record(
    action: str,
    subject: models.Model,
    *,
    actor: User | None,
    patient_id: UUID | None = None,
    organisation_id: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> AuditEvent:
    """Record a write. Call it inside the transaction that does the write.

    Args:
        action: noun and verb, such as ``case.submitted``.
        subject: what was written.
        details: ids, states and versions only; never a name, a text or a finding in words.

    Raises:
        TransactionManagementError: there is no transaction to be part of.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{action} must be recorded in the transaction that does it")
    where = origin.get()
    event = AuditEvent(
        actor=actor,
        action=action,
        organisation_id=organisation_id,
        patient_id=patient_id,
        object_type=subject._meta.model_name or "",
        object_id=str(subject.pk),
        details=dict(details or {}),
        request_id=where.request_id,
        address=where.address,
    )
    together = _together.get()
    if together is None:
        event.save(force_insert=True)
    else:
        together.append(event)
    return event


def record_reads(actor: User, patients: Iterable[tuple[UUID, UUID]], *, action: str = "patient.read") -> None:
    """Record that ``actor`` saw data of these patients: once per user, patient and quarter of an hour.

    Args:
        patients: pairs of organisation id and patient id.
    """
    where = origin.get()
    quarter = quarter_hour(timezone.now())
    AuditEvent.objects.bulk_create(
        [
            AuditEvent(
                actor=actor,
                action=action,
                organisation_id=organisation_id,
                patient_id=patient_id,
                object_type="patient",
                object_id=str(patient_id),
                request_id=where.request_id,
                address=where.address,
                read_quarter=quarter,
            )
            for organisation_id, patient_id in dict.fromkeys(patients)
        ],
        ignore_conflicts=True,
    )


def quarter_hour(moment: datetime) -> datetime:
    """The start of the quarter of an hour that ``moment`` lies in."""
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
