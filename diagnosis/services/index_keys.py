"""Rotating the index key: every patient is made findable under the current one, and is found under both meanwhile."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from diagnosis.models import Patient
from diagnosis.services.data_keys import Rotation
from skincare.audit.record import record
from skincare.encryption import MasterKeyMissing, SealBroken, index_key_id

#: Patients indexed in one transaction. Their rows are locked meanwhile: whoever writes about them waits that long.
BATCH: Final = 500


class PatientsNotIndexed(ValueError):
    """Some patients could not be indexed anew; they are found as before."""


def superseded() -> list[int]:
    """Which of the configured index keys, counted from 1, no patient needs any more."""
    living = Patient.objects.filter(data_key_row__isnull=False).order_by("index_key_id")
    used = set(living.values_list("index_key_id", flat=True).distinct())
    if "" in used:
        return []
    return [
        number
        for number, key in enumerate(settings.SKINCARE_INDEX_KEYS, start=1)
        if number > 1 and index_key_id(key) not in used
    ]


def rotate(*, batch: int = BATCH) -> Iterator[Rotation]:
    """Index all patients under the current index key, a batch in each transaction, and tell after each how far it is.

    It can be stopped anywhere, also by a power cut, and begun again: a patient stands under one key or the other, and
    whoever has both looks under both. Several at once do no harm either. What is indexed is what the patient's own key
    opens, so it also heals the loss of an index key.

    Raises:
        PatientsNotIndexed: at the end, after all others were indexed.
    """
    total, done = _others().count(), 0
    left: dict[str, str] = {}
    yield Rotation(done, total)
    last = None
    while True:
        others = _others().exclude(pk__in=left)
        ids = list((others.filter(pk__gt=last) if last else others).order_by("pk").values_list("pk", flat=True)[:batch])
        if not ids and last is None:
            break
        # Who was entered behind the last one by a process that does not know the current key first comes in another
        # round.
        last = ids[-1] if ids else None
        if ids:
            done += _index(ids, left)
            yield Rotation(done, max(done, total))
    if left:
        named = "; ".join(f"{patient}: {why}" for patient, why in list(left.items())[:10])
        raise PatientsNotIndexed(
            f"{len(left)} patients could not be indexed anew and are found as before, by the index key that they stand "
            f"under: {named}"
        )


def _others() -> QuerySet[Patient]:
    return Patient.objects.filter(data_key_row__isnull=False).exclude(index_key_id=index_key_id())


def _index(ids: list[UUID], left: dict[str, str]) -> int:
    """Index some; one by one, where two of them have the same record number."""
    try:
        return _index_together(ids, left)
    except IntegrityError:
        if len(ids) == 1:
            left[str(ids[0])] = "another patient of the organisation has the same record number; correct one of them"
            return 0
        return sum(_index([each], left) for each in ids)


@transaction.atomic
def _index_together(ids: list[UUID], left: dict[str, str]) -> int:
    # Locked, so that nobody is corrected or erased between what is read here and what is written.
    rows = _others().filter(pk__in=ids).select_for_update(of=("self",)).select_related("data_key_row").order_by("pk")
    indexed = []
    for patient in rows:
        try:
            patient.index()
        except (MasterKeyMissing, SealBroken) as error:
            left[str(patient.pk)] = f"what is sealed does not open ({type(error).__name__})"
            continue
        indexed.append(patient)
    if not indexed:
        return 0
    # One statement over arrays: bulk_update's CASE takes seven times as long.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE diagnosis_patient AS p SET index_key_id = %s, record_number_index = v.number, name_index = v.name "
            "FROM unnest(%s::uuid[], %s::bytea[], %s::bytea[]) AS v(id, number, name) WHERE p.id = v.id",
            [
                index_key_id(),
                [str(patient.pk) for patient in indexed],
                [patient.record_number_index for patient in indexed],
                [patient.name_index for patient in indexed],
            ],
        )
    details = {"to": index_key_id(), "number": len(indexed)}
    record("index_key.rotated", indexed[-1], actor=None, details=details)
    return len(indexed)
