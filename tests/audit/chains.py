"""What the tests of the chain share: events in transactions of their own, sealing to the end, and a tampering hand."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg2
from django.db import connection, transaction

from skincare.accounts.models import Organisation
from skincare.audit.models import AuditEvent, AuditSeal
from skincare.audit.record import record
from skincare.audit.seals import oldest_running_transaction, seal_waiting

INSERT = (
    "INSERT INTO audit_auditevent (at, action, object_type, object_id, details, request_id) "
    "VALUES (clock_timestamp(), 'case.submitted', 'case', '', '{}', '') RETURNING id"
)
#: Far above what it takes: tests that run beside these have databases of their own.
PATIENCE_SECONDS = 60


def happen(count: int, subject: Organisation) -> list[int]:
    """So many events, each committed by itself; their ids."""
    ids = []
    for number in range(count):
        with transaction.atomic():
            event = record(
                "case.submitted",
                subject,
                actor=None,
                patient_id=uuid4(),
                organisation_id=uuid4(),
                details={"images": number + 1, "state": "waiting"},
            )
        ids.append(event.pk)
    return ids


def unsealed() -> int:
    """How many events are in no seal."""
    return AuditEvent.objects.count() - sum(
        len(events) for events in AuditSeal.objects.values_list("events", flat=True)
    )


def seal_all(batch: int = 5000, leave: int = 0, seconds: float = 10.0) -> None:
    """Take turns of sealing until no more than ``leave`` are left, beginning when all that is committed can be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (_can_be_sealed() and unsealed() <= leave):
        assert time.monotonic() < deadline, "nothing could be sealed"
        if _can_be_sealed():
            seal_waiting(batch=batch, seconds=seconds)
        else:
            time.sleep(0.005)


def _can_be_sealed() -> bool:
    with connection.cursor() as cursor:
        oldest = oldest_running_transaction(cursor)
        cursor.execute("SELECT coalesce(max(transaction), 0) < %s FROM audit_auditevent", [oldest])
        return bool(cursor.fetchone()[0])


@contextmanager
def another_connection(**where: str) -> Iterator[Any]:
    """A second session on the test's database, or another of its server, whose transactions are its own."""
    other = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None} | where)
    try:
        yield other
    finally:
        other.close()


def tamper(*statements: str) -> None:
    """Change what must not be changed, as a superuser who has switched the triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            for statement in statements:
                cursor.execute(statement)
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")
