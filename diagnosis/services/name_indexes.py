"""Making patients findable by name and birth date who were recorded before that could be done.

The migration that brought the index calls this with the models as they were then, so it uses columns only. Whoever it
had to leave out is indexed by ``services.index_keys``.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from skincare.encryption import MasterKeyMissing, SealBroken, WrappedKey, key_ring, name_indexes, unseal

BATCH: Final = 500
#: Where ``models.sealed`` seals the two for.
_PLACE: Final = "diagnosis.patient.{attribute}:{patient}"


def index_missing_names(patients: type[Model], data_keys: type[Model]) -> tuple[int, int]:
    """Index every patient who has a name and a birth date and no index yet; done again, it finds nothing to do.

    Args:
        patients: the model ``Patient``, as it is or as it was.
        data_keys: the model ``DataKey``.

    Returns:
        How many were indexed, and how many could not be, because their master key is not configured or what is sealed
        was damaged. Run ``manage.py rotate_keys`` with all master keys to index those.
    """
    done = left = 0
    for rows in _batches(patients):
        keys = {row.pk: row for row in data_keys._default_manager.filter(pk__in=[row.pk for row in rows])}
        found: dict[UUID, bytes] = {}
        for row in rows:
            try:
                index = _index_of(row, keys[row.pk])
            except (KeyError, MasterKeyMissing, SealBroken):
                left += 1
                continue
            if index is not None:
                found[row.pk] = index
        done += _store(found)
    return done, left


def _batches(patients: type[Model]) -> Iterator[list[Any]]:
    named = patients._default_manager.filter(name_index=None, data_key_row__isnull=False)
    named = named.exclude(sealed_name=None).exclude(sealed_birth_date=None).order_by("pk")
    rows = list(named[:BATCH])
    while rows:
        yield rows
        rows = list(named.filter(pk__gt=rows[-1].pk)[:BATCH])


def _index_of(patient: Any, key: Any) -> bytes | None:
    plain_key = key_ring().unwrap(WrappedKey(key.master_key_id, bytes(key.wrapped)), owner=patient.pk)
    name, birth_date = (
        unseal(
            plain_key,
            getattr(patient, f"sealed_{attribute}"),
            place=_PLACE.format(attribute=attribute, patient=patient.pk),
        ).decode()
        for attribute in ("name", "birth_date")
    )
    return next(iter(name_indexes(name, birth_date, salt=patient.organisation_id)), None)


@transaction.atomic
def _store(found: dict[UUID, bytes]) -> int:
    if not found:
        return 0
    with connection.cursor() as cursor:
        # Whoever was erased meanwhile stays without.
        cursor.execute(
            "UPDATE diagnosis_patient AS p SET name_index = v.found "
            "FROM unnest(%s::uuid[], %s::bytea[]) AS v(id, found) "
            "WHERE p.id = v.id AND p.name_index IS NULL AND p.data_key_id IS NOT NULL",
            [[str(each) for each in found], list(found.values())],
        )
        return int(cursor.rowcount)
