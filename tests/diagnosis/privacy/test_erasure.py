"""Erasure: nothing that identifies stays, what waits stops, the snapshot and the record of it stay."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from diagnosis.models import (
    Analysis,
    AnalysisState,
    Case,
    CaseImage,
    ConsentScope,
    DataKey,
    Erasure,
    ErasureReason,
    Lesion,
    Patient,
)
from diagnosis.models.sealed import PatientErased
from diagnosis.services.analysis_queue import answer, claim, retry
from diagnosis.services.consents import consent_in_force, record_consent
from diagnosis.services.erasure import erase_patient, remove_files_of_the_erased, replay
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.name_indexes import index_missing_names
from diagnosis.services.patients import NewLesion, create_lesion
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from skincare.audit.verification import verify
from tests import factories
from tests.audit.chains import seal_all
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.diagnosis.services.answers import answered

REQUEST = ErasureReason.PATIENT_REQUEST


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def clinician(db: None) -> User:
    return factories.clinician()


def answered_case(by: User) -> Case:
    """A case whose answer has a map and an embedding."""
    case = factories.case(by)
    lease = claim(limit=10)
    assert lease is not None
    for analysis in lease.analyses:
        analysis.sealed_map = analysis.sealed_embedding = b"\x01sealed"
        answered(analysis)
    answer(lease, lease.analyses)
    return Case.objects.with_everything().get(pk=case.pk)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def erase(patient: Patient, capture: Callable[..., Any]) -> Erasure:
    """Erase and let happen what follows the commit."""
    with capture(execute=True):
        return erase_patient(patient_id=patient.pk, reason=REQUEST)


def test_what_identifies_is_gone_and_the_snapshot_stays(
    clinician: User, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    case = answered_case(clinician)
    Lesion.objects.filter(pk=case.lesion_id).update(body_map_side="front", body_map_x=0.1, body_map_y=0.2)
    assert len(files(tmp_path)) == 2

    erase(case.patient, django_capture_on_commit_callbacks)

    patient = Patient.objects.get(pk=case.patient_id)
    assert patient.erased
    assert (patient.record_number_index, patient.sealed_record_number, patient.sealed_name) == (None, None, None)
    assert (patient.sealed_birth_date, patient.sex, patient.fitzpatrick_skin_type) == (None, "", "")
    assert not DataKey.objects.filter(pk=patient.pk).exists()
    assert files(tmp_path) == []
    image = CaseImage.objects.get(case=case)
    assert (image.sha256, image.photograph_file, image.view_file) == ("", "", "")
    lesion = Lesion.objects.get(pk=case.lesion_id)
    assert (lesion.sealed_description, lesion.body_map_x, lesion.body_map_side) == (None, None, "")

    kept = Case.objects.with_everything().get(pk=case.pk)
    snapshot = ("age_approx", "sex", "anatom_site_general", "fitzpatrick_skin_type", "suspicion", "growth")
    assert [getattr(kept, name) for name in snapshot] == [getattr(case, name) for name in snapshot]
    assert kept.age_approx is not None
    assert (kept.sealed_note, kept.analysis.sealed_map, kept.analysis.sealed_embedding) == (None, None, None)
    assert kept.analysis.state == AnalysisState.ANSWERED
    assert kept.analysis.probabilities == case.analysis.probabilities


def test_nobody_finds_the_erased_by_name_or_number(clinician: User, django_capture_on_commit_callbacks: Any) -> None:
    patient = factories.patient(clinician, record_number="E-1", name="Ada Example", birth_date=date(1970, 5, 17))
    clinics = [patient.organisation]
    assert Patient.objects.with_name("Ada Example", date(1970, 5, 17), clinics).count() == 1

    erase(patient, django_capture_on_commit_callbacks)

    assert not Patient.objects.with_name("Ada Example", date(1970, 5, 17), clinics).exists()
    assert not Patient.objects.with_record_number("E-1", clinics).exists()
    assert Patient.objects.get(pk=patient.pk).name_index is None
    assert index_missing_names(Patient, DataKey) == (0, 0)


def test_it_is_recorded_in_the_same_transaction_with_ids_only(clinician: User) -> None:
    patient = factories.patient(clinician)
    with transaction.atomic():
        erase_patient(patient_id=patient.pk, reason=REQUEST, user=clinician)
        transaction.set_rollback(True)
    assert not Patient.objects.get(pk=patient.pk).erased
    assert not AuditEvent.objects.filter(action="patient.erased").exists()

    erase_patient(patient_id=patient.pk, reason=REQUEST, user=clinician)

    event = AuditEvent.objects.get(action="patient.erased")
    assert (event.actor, event.patient_id, event.object_id) == (clinician, patient.pk, str(patient.pk))
    assert event.details == {"reason": "patient_request", "cases": 0, "images": 0, "replayed": False}
    tombstone = Erasure.objects.get()
    assert (tombstone.patient_id, tombstone.erased_by, tombstone.reason) == (patient.pk, clinician.pk, REQUEST)


@pytest.mark.parametrize("running", [False, True])
def test_what_waits_or_runs_stops_and_a_worker_that_is_at_it_writes_nothing(clinician: User, running: bool) -> None:
    case = factories.case(clinician)
    lease = claim(limit=1) if running else None

    erase_patient(patient_id=case.patient_id, reason=REQUEST)

    analysis = Analysis.objects.get(case=case)
    assert (analysis.state, analysis.reason) == (AnalysisState.NOT_REQUESTED, "patient_erased")
    if lease is not None:
        assert answer(lease, [answered(each) for each in lease.analyses]) == set()
    with pytest.raises(Conflict, match="erased"):
        retry(user=clinician, case=case)


def test_no_consent_of_the_erased_counts_neither_here_nor_in_the_database(clinician: User) -> None:
    patient = factories.patient(clinician)
    for scope in ConsentScope:
        factories.grant(patient, clinician, scope)
    erase_patient(patient_id=patient.pk, reason=REQUEST)
    for scope in ConsentScope:
        assert consent_in_force(patient, scope) is None
        with connection.cursor() as cursor:
            cursor.execute("SELECT diagnosis_consent_in_force(%s, %s)", [patient.pk, scope])
            assert cursor.fetchone() == (False,)
    assert patient.consent_events.count() == 3


def test_nothing_can_be_added_to_the_erased(clinician: User) -> None:
    patient = factories.patient(clinician)
    lesion = factories.lesion(patient, clinician)
    erase_patient(patient_id=patient.pk, reason=REQUEST)
    with pytest.raises(PatientErased):
        create_lesion(user=clinician, patient=patient, new=NewLesion("head/neck"))
    with pytest.raises(PatientErased):
        record_consent(user=clinician, patient=patient, statement=factories.statement())
    with pytest.raises(Refusal, match="erased"):
        factories.submit(clinician, factories.new_case(patient=patient.pk, lesion=lesion.pk))
    with pytest.raises(IntegrityError, match="no data key again"), transaction.atomic():
        DataKey.generate(patient.pk).save(force_insert=True)


def test_a_submission_that_a_phone_sends_again_after_the_erasure_brings_nobody_back(clinician: User) -> None:
    new = factories.new_case()
    case = factories.submit(clinician, new).case
    erase_patient(patient_id=case.patient_id, reason=REQUEST)
    with pytest.raises(PatientErased):
        factories.submit(clinician, new)
    assert Case.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE diagnosis_erasure SET reason = 'mistake'",
        "DELETE FROM diagnosis_erasure",
        "UPDATE diagnosis_analysis SET malignancy_risk = 0.1, sealed_map = NULL, sealed_embedding = NULL",
        "UPDATE diagnosis_analysis SET malignancy_risk = 0.1",
        "DELETE FROM diagnosis_analysis",
    ],
)
def test_the_database_still_refuses_to_change_the_ledger_and_the_answers_of_the_erased(
    clinician: User, change: str
) -> None:
    erase_patient(patient_id=answered_case(clinician).patient_id, reason=REQUEST)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_the_answer_of_a_patient_who_is_not_erased_keeps_its_map(clinician: User) -> None:
    answered_case(clinician)
    with pytest.raises(IntegrityError, match="can not be changed"), transaction.atomic():
        Analysis.objects.update(sealed_map=None, sealed_embedding=None)


def test_erased_again_it_finishes_what_was_left_over_and_keeps_the_first_tombstone(
    clinician: User, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    patient = answered_case(clinician).patient
    first = erase_patient(patient_id=patient.pk, reason=REQUEST)  # nothing follows: the store was away
    assert len(files(tmp_path)) == 2

    second = erase(patient, django_capture_on_commit_callbacks)

    assert files(tmp_path) == []
    assert (second.erased_at, AuditEvent.objects.filter(action="patient.erased").count()) == (first.erased_at, 1)


def test_files_that_were_left_over_are_removed_later_and_those_of_others_stay(clinician: User, tmp_path: Path) -> None:
    erased, kept = factories.case(clinician), factories.case(clinician)
    erase_patient(patient_id=erased.patient_id, reason=REQUEST)
    assert remove_files_of_the_erased() == 2
    assert remove_files_of_the_erased() == 0
    image = CaseImage.objects.get(case=kept)
    assert {path.name for path in files(tmp_path)} == {Path(image.photograph_file).name, Path(image.view_file).name}


def test_the_ledger_replayed_erases_whom_a_backup_brought_back_and_remembers_who_is_not_there(clinician: User) -> None:
    returned, other, unknown = factories.patient(clinician), factories.patient(clinician), uuid4()
    erased_at = timezone.now() - timedelta(days=3)
    ledger = [
        Erasure(patient_id=pk, organisation_id=returned.organisation_id, erased_at=erased_at, reason=REQUEST)
        for pk in (returned.pk, unknown)
    ]
    assert [replay(ledger), replay(ledger)] == [1, 0]
    assert Patient.objects.get(pk=returned.pk).erased
    assert not Patient.objects.get(pk=other.pk).erased
    assert dict(Erasure.objects.values_list("patient_id", "erased_at")) == {returned.pk: erased_at, unknown: erased_at}


@pytest.mark.django_db(transaction=True)
def test_an_erasure_and_a_submission_at_once_leave_no_readable_case(tmp_path: Path) -> None:
    clinician = factories.clinician()
    for _ in range(4):
        patient = factories.patient(clinician)
        lesion = factories.lesion(patient, clinician)
        new = factories.new_case(patient=patient.pk, lesion=lesion.pk)

        def submit(new: Any = new) -> str:
            try:
                factories.submit(clinician, new)
            except (Refusal, PatientErased):
                return "refused"
            finally:
                connection.close()
            return "stored"

        def remove(patient: Any = patient) -> None:
            erase_patient(patient_id=patient.pk, reason=REQUEST)
            connection.close()

        with ThreadPoolExecutor(2) as pool:
            stored, removed = pool.submit(submit), pool.submit(remove)
            removed.result()
            stored.result()

        assert Patient.objects.get(pk=patient.pk).erased
        assert not Analysis.objects.filter(case__patient=patient).exclude(reason="patient_erased").exists()
    remove_files_of_the_erased()
    assert files(tmp_path) == []


@pytest.mark.django_db(transaction=True)
def test_the_audit_chain_still_verifies_after_an_erasure() -> None:
    case = factories.case(factories.clinician())
    seal_all()
    before = verify()

    erase_patient(patient_id=case.patient_id, reason=REQUEST)
    seal_all()

    after = verify([before.head])
    assert (after.seals, after.events, after.tail.count) == (2, before.events + 2, 0)


class TestCommand:
    def test_it_erases_and_can_be_repeated(self, clinician: User, capsys: Any) -> None:
        patient = factories.patient(clinician)
        for expected in ("erased at", "it was erased before"):
            call_command("erase_patient", str(patient.pk), "--reason=patient_request", "--yes")
            assert expected in capsys.readouterr().out
        assert Patient.objects.get(pk=patient.pk).erased

    def test_without_the_typed_word_nobody_is_erased(self, clinician: User, monkeypatch: pytest.MonkeyPatch) -> None:
        patient = factories.patient(clinician)
        monkeypatch.setattr("builtins.input", lambda _: "yes")
        with pytest.raises(CommandError, match="nothing was erased"):
            call_command("erase_patient", str(patient.pk), "--reason=mistake")
        assert not Patient.objects.get(pk=patient.pk).erased

    def test_an_unknown_patient_is_refused(self, db: None) -> None:
        with pytest.raises(CommandError, match="there is no patient"):
            call_command("erase_patient", str(uuid4()), "--reason=mistake", "--yes")


class TestApi:
    def test_an_administrator_erases_by_id_and_record_number_and_every_address_answers_decently(
        self, clinician: User, django_capture_on_commit_callbacks: Any
    ) -> None:
        case = answered_case(clinician)
        administrator = factories.member(Role.ADMINISTRATOR, factories.organisation_of(clinician))
        address = f"/api/v1/patients/{case.patient_id}/erase/"
        body = {"reason": "patient_request", "record_number": case.patient.record_number}
        client, reader = ApiClient(token_for(administrator)), ApiClient(token_for(clinician))
        shown = reader.get(f"/api/v1/cases/{case.pk}/").json()
        content, drawn = shown["images"][0]["content"], shown["analysis"]["map"]

        wrong = client.send(address, {**body, "record_number": "another"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "record_number_differs")
        assert not Patient.objects.get(pk=case.patient_id).erased

        with django_capture_on_commit_callbacks(execute=True):
            erased = client.send(address, body)
        assert erased.status_code == 200, erased.content
        assert erased.json()["erased_by"] == str(administrator.pk)
        assert client.send(address, body).json() == erased.json()

        patient = reader.get(f"/api/v1/patients/{case.patient_id}/").json()
        assert (patient["erased"], patient["name"], patient["record_number"]) == (True, "", "")
        assert reader.get("/api/v1/patients/").json()["results"] == [patient]
        kept = reader.get(f"/api/v1/cases/{case.pk}/").json()
        assert (kept["note"], kept["images"][0]["content"], kept["analysis"]["map"]) == ("", None, None)
        assert kept["images"][0]["sha256"] == ""
        assert [reader.get(link).status_code for link in (content, drawn)] == [410, 410]
        for path in (f"lesions/{case.lesion_id}/", "lesions/", "cases/", f"patients/{case.patient_id}/consents/"):
            assert reader.get(f"/api/v1/{path}").status_code == 200, path
        added = {"patient": str(case.patient_id), "anatom_site_general": "head/neck"}
        assert reader.send("/api/v1/lesions/", added).status_code == 410
        assert reader.send(f"/api/v1/cases/{case.pk}/retry/").status_code == 409
        assert reader.send("/api/v1/patients/look-up/", {"record_number": body["record_number"]}).json() == []

    def test_an_administrator_of_another_clinic_finds_nobody(self, clinician: User) -> None:
        patient = factories.patient(clinician)
        client = ApiClient(token_for(factories.member(Role.ADMINISTRATOR)))
        body = {"reason": "patient_request", "record_number": patient.record_number}
        assert client.send(f"/api/v1/patients/{patient.pk}/erase/", body).status_code == 404
        assert not Patient.objects.get(pk=patient.pk).erased
