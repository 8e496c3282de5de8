"""Rotation of the index key: everybody is found at every moment of it, also when it is killed, and the old key goes."""

import base64
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from diagnosis.models import CorrectionReason, DataKey, ErasureReason, Patient
from diagnosis.services import index_keys
from diagnosis.services.corrections import Corrected, correct_patient
from diagnosis.services.erasure import erase_patient
from diagnosis.services.errors import Conflict
from diagnosis.services.patients import NewPatient, create_patient
from skincare.accounts.models import Organisation, User
from skincare.audit.models import AuditEvent
from skincare.encryption import index_key_id
from tests import factories

OLD, NEW = os.urandom(32), os.urandom(32)
FIRST_BIRTH = date(1930, 1, 1)


def make_patients(clinician: User, number: int) -> dict[UUID, tuple[str, str, date]]:
    """Patients with number, name and birth date."""
    clinic = factories.organisation_of(clinician)
    rows, keys = [], []
    for each in range(number):
        patient = Patient(id=uuid4(), organisation=clinic, created_by=clinician)
        patient.data_key_row = DataKey.generate(patient.pk)
        patient.record_number, patient.name = f"NUMBER-{each:05}", f"Ada Example{each}"
        patient.birth_date = (FIRST_BIRTH + timedelta(days=each)).isoformat()
        patient.index()
        keys.append(patient.data_key_row)
        rows.append(patient)
    DataKey.objects.bulk_create(keys)
    Patient.objects.bulk_create(rows)
    return {row.pk: (row.record_number, row.name, date.fromisoformat(row.birth_date)) for row in rows}


def not_found(everybody: dict[UUID, tuple[str, str, date]], clinic: Organisation) -> list[UUID]:
    """Who is not found by number, or not by name and birth date."""
    missed = []
    for pk, (number, name, born) in everybody.items():
        by_number = Patient.objects.with_record_number(number, [clinic]).values_list("pk", flat=True)
        by_name = Patient.objects.with_name(name, born, [clinic]).values_list("pk", flat=True)
        if list(by_number) != [pk] or list(by_name) != [pk]:
            missed.append(pk)
    return missed


def rotate(**options: Any) -> str:
    said = StringIO()
    call_command("rotate_keys", stdout=said, **options)
    return said.getvalue()


@pytest.mark.django_db(transaction=True)
def test_killed_half_way_everybody_is_found_throughout_and_run_again_the_new_key_alone_finds_everybody(
    process_environment: dict[str, str], settings: Any
) -> None:
    settings.SKINCARE_INDEX_KEYS = [OLD]
    clinician = factories.clinician()
    clinic = factories.organisation_of(clinician)
    everybody = make_patients(clinician, 400)
    some = dict(list(everybody.items())[::40])
    environment = {
        **process_environment,
        "SKINCARE_INDEX_KEY": ",".join(base64.b64encode(key).decode() for key in (NEW, OLD)),
    }
    command = [sys.executable, "manage.py", "rotate_keys"]
    settings.SKINCARE_INDEX_KEYS = [NEW, OLD]

    process = subprocess.Popen([*command, "--batch=5"], env=environment, stderr=subprocess.PIPE)
    while not Patient.objects.filter(index_key_id=index_key_id(NEW)).exists():
        assert process.poll() is None, process.communicate()
        assert not_found(some, clinic) == []
    process.send_signal(signal.SIGKILL)
    process.communicate()

    rotated = Patient.objects.filter(index_key_id=index_key_id(NEW)).count()
    assert 0 < rotated < len(everybody)
    assert not_found(everybody, clinic) == []
    # A process that was not started anew yet has the old key first and knows the new one.
    settings.SKINCARE_INDEX_KEYS = [OLD, NEW]
    assert not_found(some, clinic) == []
    settings.SKINCARE_INDEX_KEYS = [NEW]
    assert len(not_found(everybody, clinic)) == len(everybody) - rotated

    settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
    again = subprocess.Popen(
        [*command, "--batch=20"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while again.poll() is None:
        assert not_found(some, clinic) == []
    said, complaints = again.communicate()

    assert again.returncode == 0, complaints
    assert f"{len(everybody) - rotated} patients indexed under the current index key; none is left" in said
    assert "No patient needs key 2 of SKINCARE_INDEX_KEY any more" in said
    settings.SKINCARE_INDEX_KEYS = [NEW]
    assert not_found(everybody, clinic) == []
    noted = AuditEvent.objects.filter(action="index_key.rotated")
    assert sum(event.details["number"] for event in noted) == len(everybody)


@pytest.mark.django_db
class TestRotation:
    def test_repeated_it_finds_nothing_to_do(self, settings: Any) -> None:
        settings.SKINCARE_INDEX_KEYS = [OLD]
        make_patients(factories.clinician(), 5)
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        assert "5 patients indexed" in rotate(batch=2)
        before = list(Patient.objects.order_by("pk").values("record_number_index", "name_index", "index_key_id"))
        assert "0 patients indexed" in rotate()
        after = list(Patient.objects.order_by("pk").values("record_number_index", "name_index", "index_key_id"))
        assert [[bytes(v) if isinstance(v, memoryview) else v for v in row.values()] for row in after] == [
            [bytes(v) if isinstance(v, memoryview) else v for v in row.values()] for row in before
        ]

    def test_a_lost_index_key_is_healed_since_what_is_sealed_tells_it_anew(self, settings: Any) -> None:
        settings.SKINCARE_INDEX_KEYS = [OLD]
        clinician = factories.clinician()
        everybody, clinic = make_patients(clinician, 3), factories.organisation_of(clinician)
        settings.SKINCARE_INDEX_KEYS = [NEW]
        assert len(not_found(everybody, clinic)) == 3
        rotate()
        assert not_found(everybody, clinic) == []

    def test_a_key_that_is_still_needed_is_not_called_superfluous(self, settings: Any) -> None:
        settings.SKINCARE_INDEX_KEYS = [OLD]
        make_patients(factories.clinician(), 1)
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        assert index_keys.superseded() == []
        settings.SKINCARE_INDEX_KEYS = [OLD, NEW]
        assert index_keys.superseded() == [2]
        Patient.objects.update(index_key_id="")  # as before it was noted
        assert index_keys.superseded() == []

    def test_who_was_erased_is_not_brought_back(self, settings: Any) -> None:
        settings.SKINCARE_INDEX_KEYS = [OLD]
        patient = factories.patient(factories.clinician())
        erase_patient(patient_id=patient.pk, reason=ErasureReason.MISTAKE, user=None)
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        assert "0 patients indexed" in rotate()
        erased = Patient.objects.get(pk=patient.pk)
        assert (erased.record_number_index, erased.name_index, erased.index_key_id) == (None, None, "")

    def test_what_does_not_open_is_named_and_the_others_are_indexed(self, settings: Any) -> None:
        settings.SKINCARE_INDEX_KEYS = [OLD]
        damaged, *others = make_patients(factories.clinician(), 3)
        Patient.objects.filter(pk=damaged).update(sealed_record_number=b"\x01" + bytes(60))
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        with pytest.raises(CommandError, match=rf"1 patients could not be indexed anew.*{damaged}.*SealBroken"):
            rotate(batch=1)
        assert set(Patient.objects.filter(index_key_id=index_key_id()).values_list("pk", flat=True)) == set(others)

    def test_doubles_that_two_keys_let_in_are_named(self, settings: Any) -> None:
        """Which needs processes that do not know each other's keys: against the order of things."""
        clinician = factories.clinician()
        settings.SKINCARE_INDEX_KEYS = [OLD]
        one = factories.patient(clinician, record_number="SAME", name="")
        settings.SKINCARE_INDEX_KEYS = [NEW]
        other = factories.patient(clinician, record_number="same", name="")
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        third = factories.patient(clinician, record_number="another")
        Patient.objects.filter(pk=third.pk).update(index_key_id="")
        with pytest.raises(CommandError, match=rf"{one.pk}: another patient .* has the same record number"):
            rotate()
        assert Patient.objects.get(pk=other.pk).index_key_id == index_key_id()
        assert Patient.objects.get(pk=third.pk).index_key_id == index_key_id()


@pytest.mark.django_db
class TestNobodyTwiceMeanwhile:
    """The database's constraint compares digests of one key; what stands under the other is looked for."""

    def test_a_number_under_the_old_key_is_taken(self, settings: Any) -> None:
        clinician = factories.clinician()
        settings.SKINCARE_INDEX_KEYS = [OLD]
        holder = factories.patient(clinician, record_number="R-SAME")
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        with pytest.raises(Conflict, match=str(holder.pk)):
            factories.patient(clinician, record_number="r-same")
        other = factories.patient(clinician, record_number="R-OTHER")
        with pytest.raises(Conflict, match=str(holder.pk)):
            correct_patient(
                user=clinician,
                patient=other,
                reason=CorrectionReason.CHANGED,
                right=Corrected(record_number="R-SAME"),
            )

    def test_the_same_request_again_is_the_same_patient_and_their_own_number_is_no_conflict(
        self, settings: Any
    ) -> None:
        clinician = factories.clinician()
        settings.SKINCARE_INDEX_KEYS = [OLD]
        holder = factories.patient(clinician, record_number="R-SAME")
        settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
        assert factories.patient(clinician, record_number="R-SAME", id=holder.pk).pk == holder.pk
        right = Corrected(record_number="r-same")
        corrected = correct_patient(
            user=clinician, patient=holder, reason=CorrectionReason.RECORDED_WRONGLY, right=right
        )
        assert corrected.record_number == "r-same"
        assert Patient.objects.get(pk=holder.pk).index_key_id == index_key_id()


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_for_one_number_at_once_under_different_current_keys_make_one_patient(settings: Any) -> None:
    clinician = factories.clinician()
    clinic = factories.organisation_of(clinician)
    settings.SKINCARE_INDEX_KEYS = [OLD, NEW]
    first_is_in = threading.Event()

    def second() -> str:
        first_is_in.wait()
        try:
            create_patient(user=clinician, organisation=clinic, new=NewPatient(record_number="AT-ONCE"))
        except Conflict as refusal:
            return refusal.code
        finally:
            connection.close()
        return "made"

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            create_patient(user=clinician, organisation=clinic, new=NewPatient(record_number="AT-ONCE"))
            settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
            answer = pool.submit(second)
            first_is_in.set()
            while not _somebody_waits():
                assert not answer.done(), answer.result()
        assert answer.result() == "record_number_taken"
    assert Patient.objects.count() == 1


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_the_digests_of_one_organisation_stay_single(settings: Any) -> None:
    clinician = factories.clinician()
    settings.SKINCARE_INDEX_KEYS = [NEW, OLD]
    one, other = (factories.patient(clinician) for _ in range(2))
    with pytest.raises(IntegrityError), transaction.atomic():
        Patient.objects.filter(pk=one.pk).update(record_number_index=other.record_number_index)
