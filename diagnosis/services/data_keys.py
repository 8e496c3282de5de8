"""Rotating master keys: every patient's data key is wrapped anew under the current one, the data stay as they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction
from django.db.models import Count

from diagnosis.models import DataKey
from skincare.audit.record import record
from skincare.encryption import KeyRing, SealBroken, WrappedKey, key_ring

#: Keys wrapped in one transaction. Their rows are locked meanwhile: an erasure waits that long, a reader never.
BATCH: Final = 500


class MasterKeysMissing(LookupError):
    """Data keys are wrapped by master keys that are not configured, so that nothing was changed."""


class DataKeysDamaged(ValueError):
    """Some data keys do not open under the master key that they name; they were left as they are."""


@dataclass(frozen=True)
class Rotation:
    """How far a rotation has come."""

    done: int
    total: int


def keys_by_master_key() -> dict[str, int]:
    """How many data keys each master key wraps, by its name."""
    counted = DataKey.objects.order_by("master_key_id").values_list("master_key_id").annotate(Count("id"))
    return dict(counted)


def superseded(ring: KeyRing) -> list[str]:
    """Names of configured master keys, other than the current one, that wrap no data key any more."""
    used = keys_by_master_key()
    return [name for name, _ in ring.keys[1:] if name not in used]


def rotate(*, batch: int = BATCH) -> Iterator[Rotation]:
    """Wrap all data keys under the current master key, a batch in each transaction, and tell after each how far it is.

    It can be stopped anywhere, also by a power cut, and begun again: a key is wrapped by one master key or the other,
    never by none. Several at once do no harm either.

    Raises:
        MasterKeysMissing: before anything is changed.
        DataKeysDamaged: at the end, after all others were rotated.
    """
    ring = key_ring()
    current = ring.keys[0][0]
    configured = {name for name, _ in ring.keys}
    by_master_key = keys_by_master_key()
    missing = {name: number for name, number in by_master_key.items() if name not in configured}
    if missing:
        named = ", ".join(f"{name!r} ({number} data keys)" for name, number in missing.items())
        raise MasterKeysMissing(
            f"nothing was changed: data keys are wrapped by master keys that are not configured: {named}; "
            "add them to SKINCARE_MASTER_KEYS, after the current one"
        )
    total = sum(number for name, number in by_master_key.items() if name != current)
    done = 0
    damaged: list[str] = []
    yield Rotation(done, total)
    while rows := _rotate_batch(ring, batch, damaged):
        done += rows
        yield Rotation(done, max(done, total))
    if damaged:
        raise DataKeysDamaged(
            f"{len(damaged)} data keys do not open and were left as they are; restore them from a backup of the "
            f"wrapped keys: {', '.join(damaged[:10])}"
        )


@transaction.atomic
def _rotate_batch(ring: KeyRing, batch: int, damaged: list[str]) -> int:
    current = ring.keys[0][0]
    others = DataKey.objects.exclude(master_key_id=current).exclude(pk__in=damaged)
    rows = list(others.select_for_update().order_by("pk")[:batch])
    rotated = []
    for row in rows:
        try:
            plain = ring.unwrap(WrappedKey(row.master_key_id, bytes(row.wrapped)), owner=row.pk)
        except SealBroken:
            damaged.append(str(row.pk))
            continue
        wrapped = ring.wrap(plain, owner=row.pk)
        row.wrapped = wrapped.sealed
        rotated.append(row)
    if rotated:
        # One statement over two arrays: bulk_update's CASE takes seven times as long.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE diagnosis_datakey AS k SET master_key_id = %s, wrapped = v.wrapped "
                "FROM unnest(%s::uuid[], %s::bytea[]) AS v(id, wrapped) WHERE k.id = v.id",
                [current, [str(row.pk) for row in rotated], [bytes(row.wrapped) for row in rotated]],
            )
        record("data_keys.rotated", rotated[-1], actor=None, details={"to": current, "number": len(rotated)})
    return len(rows)
