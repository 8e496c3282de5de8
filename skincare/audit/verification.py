"""Checks the audit record against its seals and names the first row where it was tampered with.

What a chain can show: that nothing sealed was removed, changed, reordered, or joined by something slipped in. What it
cannot: that whoever controls the whole database did not rebuild the chain from its beginning, or cut off its end. That
shows against a head that was kept elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from skincare.audit.models import AuditSeal
from skincare.audit.seals import BEGINNING, CONTENT, DIGEST_BYTES, Content, contents, hash_of

#: Events fetched with one query, and seals with one look: what bounds the memory.
EVENTS_AT_ONCE: Final = 5000
SEALS_AT_ONCE: Final = 500


class Tampered(Exception):
    """The record is not what was sealed; the text names the first seal and event concerned.

    ``code``: ``seal_missing``, ``seal_changed``, ``seal_replaced``, ``event_removed``, ``event_changed``,
    ``event_reordered``, ``event_inserted`` or ``head_missing``.
    """

    def __init__(self, code: str, text: str, *, seal: int | None = None, event: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.seal = seal
        self.event = event


@dataclass(frozen=True)
class Tail:
    """What is not sealed yet."""

    count: int
    #: Of the oldest of them.
    age: timedelta | None


@dataclass(frozen=True)
class Verified:
    """A record that is what was sealed."""

    seals: int
    events: int
    #: Hash of the last seal, hexadecimal; what to keep elsewhere. Empty before the first seal.
    head: str
    tail: Tail


@dataclass
class _Chain:
    """Where the walk along the seals stands."""

    seals: int = 0
    events: int = 0
    head: bytes = BEGINNING
    floor: int = 0
    horizon: tuple[int, int] = (0, 0)
    highest: int = 0
    awaited: set[bytes] = field(default_factory=set)


def verify(heads: Sequence[str] = (), progress: Callable[[int, int], None] = lambda done, total: None) -> Verified:
    """Check everything, as it stands at one moment.

    Args:
        heads: hashes of seals that were kept elsewhere, hexadecimal; each must be in the chain.
        progress: told the events checked and the events to check.

    Raises:
        Tampered: something was removed, changed, reordered or inserted.
        ValueError: a head is not 64 hexadecimal digits.
    """
    chain = _Chain(awaited={_hash_from(head) for head in heads})
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT count(*) FROM audit_auditevent")
        total: int = cursor.fetchone()[0]
        for group in _groups():
            _check_group(cursor, chain, group)
            progress(chain.events, total)
        if chain.awaited:
            lost = ", ".join(sorted(head.hex() for head in chain.awaited))
            raise Tampered(
                "head_missing",
                f"no seal has the hash {lost}, which was kept elsewhere: the end of the record was cut off, or the "
                "whole chain was built anew",
            )
        tail = _check_tail(cursor, chain, total)
        progress(total, total)
    return Verified(chain.seals, chain.events, chain.head.hex() if chain.seals else "", tail)


def _hash_from(head: str) -> bytes:
    try:
        read = bytes.fromhex(head)
    except ValueError:
        read = b""
    if len(read) != DIGEST_BYTES:
        raise ValueError(f"{head!r} is not the hash of a seal: {2 * DIGEST_BYTES} hexadecimal digits are needed")
    return read


def _groups() -> Iterator[list[AuditSeal]]:
    """The seals in order, in groups of bounded size (but for a single seal that is larger)."""
    group: list[AuditSeal] = []
    size = 0
    for seal in AuditSeal.objects.order_by("number").iterator(chunk_size=SEALS_AT_ONCE):
        if group and (len(group) == SEALS_AT_ONCE or size + len(seal.events) > EVENTS_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(seal)
        size += len(seal.events)
    if group:
        yield group


def _check_group(cursor: CursorWrapper, chain: _Chain, group: list[AuditSeal]) -> None:
    ids = [pk for seal in group for pk in seal.events]
    cursor.execute(f"SELECT {CONTENT} FROM audit_auditevent e WHERE e.id = ANY(%s)", [ids])  # nosec B608
    found = {event.id: event for event in contents(cursor)}
    for seal in group:
        _check_link(chain, seal)
        digests = bytes(seal.digests)
        sealed = {
            pk: digests[place : place + DIGEST_BYTES]
            for pk, place in zip(seal.events, range(0, len(digests), DIGEST_BYTES), strict=True)
        }
        for pk, digest in sealed.items():
            _check_event(seal, sealed, found, pk, digest)
        if seal.floor == chain.floor:
            for pk in seal.events:
                if pk < chain.highest:
                    _check_that_it_came_late(found[pk].id, found[pk].transaction, seal.floor, f"in seal {seal.number} ")
        chain.seals += 1
        chain.events += len(sealed)
        chain.head = bytes(seal.hash)
        chain.awaited.discard(chain.head)
        chain.floor = seal.floor
        chain.horizon = (seal.horizon_transaction, seal.horizon_event)
        chain.highest = seal.highest_event


def _check_link(chain: _Chain, seal: AuditSeal) -> None:
    expected = chain.seals + 1
    if seal.number != expected:
        raise Tampered(
            "seal_missing", f"seal {expected} is missing: seal {seal.number} stands in its place", seal=expected
        )
    whole = len(bytes(seal.digests)) == DIGEST_BYTES * len(seal.events)
    if not whole or bytes(seal.hash) != hash_of(seal):
        raise Tampered("seal_changed", f"seal {seal.number} was changed: its hash is not that of its contents",
                       seal=seal.number)  # fmt: skip
    if bytes(seal.previous_hash) != chain.head:
        raise Tampered(
            "seal_replaced",
            f"seal {seal.number - 1} was replaced: seal {seal.number} follows another one"
            if seal.number > 1
            else "seal 1 follows another one that is missing",
            seal=max(1, seal.number - 1),
        )


def _check_event(seal: AuditSeal, sealed: dict[int, bytes], found: dict[int, Content], pk: int, digest: bytes) -> None:
    row = found.get(pk)
    if row is not None and row.digest == digest:
        return
    elsewhere = [other for other in sealed if other != pk and other in found and found[other].digest == digest]
    if elsewhere:
        text = f"event {pk} was reordered: its content stands in event {elsewhere[0]} (seal {seal.number})"
        raise Tampered("event_reordered", text, seal=seal.number, event=pk)
    if row is None:
        raise Tampered("event_removed", f"event {pk} was removed (seal {seal.number})", seal=seal.number, event=pk)
    raise Tampered("event_changed", f"event {pk} was changed (seal {seal.number})", seal=seal.number, event=pk)


def _check_that_it_came_late(event: int, transaction_number: int, floor: int, where: str) -> None:
    """An event behind larger sealed ids is honest if its transaction was under way when those were sealed."""
    overtook = (
        AuditSeal.objects.filter(floor=floor, highest_event__gt=event, next_transaction__gt=0)
        .order_by("number")
        .values_list("number", "next_transaction")
        .first()
    )
    if overtook is not None and transaction_number >= overtook[1]:
        raise Tampered(
            "event_inserted",
            f"event {event} was inserted {where}after larger ids had been sealed (seal {overtook[0]})",
            seal=overtook[0],
            event=event,
        )


_IN_TAIL: Final = "e.id > %s AND (e.transaction, e.id) > (%s, %s)"


def _check_tail(cursor: CursorWrapper, chain: _Chain, total: int) -> Tail:
    bounds = [chain.floor, *chain.horizon]
    cursor.execute(f"SELECT count(*), min(e.at) FROM audit_auditevent e WHERE {_IN_TAIL}", bounds)  # nosec B608
    count: int
    oldest: datetime | None
    count, oldest = cursor.fetchone()
    if chain.events + count != total:
        cursor.execute(
            "SELECT min(e.id) FROM audit_auditevent e "  # nosec B608
            "LEFT JOIN (SELECT unnest(events) AS id FROM audit_auditseal) sealed ON sealed.id = e.id "
            f"WHERE sealed.id IS NULL AND NOT ({_IN_TAIL})",
            bounds,
        )
        event = cursor.fetchone()[0]
        text = f"event {event} was inserted: it lies before the end of what is sealed, and no seal has it"
        raise Tampered("event_inserted", text, event=event)
    cursor.execute(
        f"SELECT e.id, e.transaction FROM audit_auditevent e WHERE {_IN_TAIL} AND e.id < %s ORDER BY e.id",  # nosec B608
        [*bounds, chain.highest],
    )
    for pk, transaction_number in cursor.fetchall():
        _check_that_it_came_late(pk, transaction_number, chain.floor, "")
    return Tail(count, timezone.now() - oldest if oldest is not None else None)
