"""Chains the committed events by hash, a batch at a time, without making anybody who writes an event wait.

Ids are given out before a transaction commits, so an event may appear behind one with a larger id. Each event
therefore carries the number of its transaction, and only events of transactions older than every running one are
sealed: nothing can appear among those any more. One long transaction delays sealing, never recording; one in another
database of the same server not even that, where the server lets this role see whose it is.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from skincare.audit.models import AuditSeal

#: Events in one seal, at most (but for the one that gathers what a restore left).
BATCH: Final = 5000
#: What the first seal follows.
BEGINNING: Final = bytes(32)
DIGEST_BYTES: Final = 32
#: Of ``pg_advisory_xact_lock``: only one sealer works at a time.
LOCK: Final = 0x5EA1_A0D1_7000_0001
LARGEST_ID: Final = 2**63 - 1

#: What is sealed of an event: all of it, in forms that depend on no setting of the session (time zone, date style).
CONTENT: Final = """
    e.id, e.transaction, encode(timestamptz_send(e.at), 'hex'), e.actor_id::text, e.action, e.organisation_id::text,
    e.patient_id::text, e.object_type, e.object_id, e.details::text, e.request_id, e.address::text,
    encode(timestamptz_send(e.read_quarter), 'hex')
"""


@dataclass(frozen=True)
class Content:
    """An event as it is sealed."""

    id: int
    transaction: int
    #: SHA-256 of everything but the id, 32 bytes.
    digest: bytes


def contents(cursor: CursorWrapper) -> Iterator[Content]:
    """Read the rows of a query that selected ``CONTENT``."""
    for pk, transaction_number, *rest in cursor:
        # JSON keeps values apart whatever they contain; details come as PostgreSQL's own form of the stored value.
        line = json.dumps([transaction_number, *rest], ensure_ascii=True, separators=(",", ":"))
        yield Content(pk, transaction_number, hashlib.sha256(line.encode()).digest())


def hash_of(seal: AuditSeal) -> bytes:
    """SHA-256 over everything in a seal but the hash itself, 32 bytes."""
    head = [
        "skincare audit seal 1",
        seal.number,
        bytes(seal.previous_hash).hex(),
        seal.at.astimezone(UTC).isoformat(timespec="microseconds"),
        seal.cluster,
        seal.floor,
        seal.horizon_transaction,
        seal.horizon_event,
        seal.next_transaction,
        seal.highest_event,
        seal.events,
    ]
    return hashlib.sha256(json.dumps(head).encode() + b"\n" + bytes(seal.digests)).digest()


def seal_waiting(*, batch: int = BATCH, seconds: float = 10.0) -> int:
    """Seal what can be sealed, for ``seconds`` at most; returns how many events were.

    Does nothing where another sealer is at work.
    """
    deadline = time.monotonic() + seconds
    sealed = 0
    while (seal := _seal_next(batch)) is not None:
        sealed += len(seal.events)
        if len(seal.events) < batch or time.monotonic() > deadline:
            break
    return sealed


@transaction.atomic
def _seal_next(batch: int) -> AuditSeal | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return None
        last = AuditSeal.objects.defer("events", "digests").order_by("-number").first()
        cluster = this_cluster(cursor)
        if last is not None and last.cluster != cluster:
            return _gather(cursor, last, cluster)
        floor, horizon, highest = 0, (0, 0), 0
        if last is not None:
            floor, highest = last.floor, last.highest_event
            horizon = (last.horizon_transaction, last.horizon_event)
        # Two statements: whatever had finished at the first is seen by the second.
        oldest_running = oldest_running_transaction(cursor)
        cursor.execute(
            f"SELECT {CONTENT} FROM audit_auditevent e "  # nosec B608
            "WHERE e.id > %s AND (e.transaction, e.id) > (%s, %s) AND e.transaction < %s "
            "ORDER BY e.transaction, e.id LIMIT %s",
            [floor, *horizon, oldest_running, batch],
        )
        found = list(contents(cursor))
        if not found:
            return None
        # This very transaction gets its number now, so every number given out so far is smaller.
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        next_transaction = cursor.fetchone()[0]
    complete = len(found) < batch
    return _append(
        last,
        found,
        cluster=cluster,
        floor=floor,
        horizon=(oldest_running - 1, LARGEST_ID) if complete else (found[-1].transaction, found[-1].id),
        next_transaction=next_transaction,
        highest=max(highest, *(event.id for event in found)),
    )


def oldest_running_transaction(cursor: CursorWrapper) -> int:
    """The number of the oldest transaction that may still write an event; where none runs, the next to be given out.

    Numbers are given out by the server, to all of its databases. A running one is passed over only where it is known to
    belong to another database: whoever shows none, or may not be seen, counts.
    """
    cursor.execute(
        "SELECT coalesce((SELECT min(running::text::bigint) FROM pg_snapshot_xip(snapshot) running"
        " WHERE NOT EXISTS (SELECT FROM pg_stat_activity elsewhere WHERE elsewhere.backend_xid = running::xid"
        " AND elsewhere.datname <> current_database())), pg_snapshot_xmax(snapshot)::text::bigint)"
        " FROM (SELECT pg_current_snapshot() AS snapshot) now"
    )
    return int(cursor.fetchone()[0])


def _gather(cursor: CursorWrapper, last: AuditSeal, cluster: str) -> AuditSeal:
    """Seal whatever is in no seal yet, while nobody writes, and begin a new stretch above it."""
    cursor.execute("SELECT skincare_hold_audit()")
    cursor.execute(
        f"SELECT {CONTENT} FROM audit_auditevent e "  # nosec B608
        "LEFT JOIN (SELECT unnest(events) AS id FROM audit_auditseal) sealed ON sealed.id = e.id "
        "WHERE sealed.id IS NULL ORDER BY e.id"
    )
    found = list(contents(cursor))
    highest = max([last.highest_event, *(event.id for event in found)])
    return _append(last, found, cluster=cluster, floor=highest, horizon=(0, 0), next_transaction=0, highest=highest)


def _append(
    last: AuditSeal | None,
    found: Iterable[Content],
    *,
    cluster: str,
    floor: int,
    horizon: tuple[int, int],
    next_transaction: int,
    highest: int,
) -> AuditSeal:
    events = list(found)
    seal = AuditSeal(
        number=last.number + 1 if last else 1,
        previous_hash=bytes(last.hash) if last else BEGINNING,
        at=timezone.now(),
        cluster=cluster,
        floor=floor,
        horizon_transaction=horizon[0],
        horizon_event=horizon[1],
        next_transaction=next_transaction,
        highest_event=highest,
        events=[event.id for event in events],
        digests=b"".join(event.digest for event in events),
    )
    seal.hash = hash_of(seal)
    seal.save(force_insert=True)
    return seal


def this_cluster(cursor: CursorWrapper) -> str:
    """The database server's system identifier, which a restore into another server does not bring along."""
    cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
    return str(cursor.fetchone()[0])
