"""Correcting who a patient is: found anew, refused by name, decided by the database, kept, and on record."""

import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from diagnosis.models import Case, CorrectionReason, ErasureReason, Patient, PatientCorrection
from diagnosis.models.sealed import PatientErased
from diagnosis.services.accesses import in_words, reason_of
from diagnosis.services.corrections import Corrected, correct_patient
from diagnosis.services.erasure import erase_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.export import export_patient
from diagnosis.services.patients import NewPatient, create_patient
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, new_case, token_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def patient(clinician: User) -> Patient:
    return factories.patient(clinician, record_number="R-WRONG", name="Ada Exmaple", birth_date=date(1970, 5, 17))


def correct(
    patient: Patient, by: User, reason: CorrectionReason = CorrectionReason.RECORDED_WRONGLY, **right: str
) -> Patient:
    return correct_patient(user=by, patient=patient, reason=reason, right=Corrected(**right))


class TestTheService:
    def test_the_patient_is_found_by_what_is_right_and_no_more_by_what_was_wrong(
        self, patient: Patient, clinician: User
    ) -> None:
        correct(patient, clinician, record_number=" R-RIGHT ", name="Ada Example", birth_date="1971-05-17")

        clinics = [patient.organisation]
        found = Patient.objects.get(pk=patient.pk)
        assert (found.record_number, found.name, found.birth_date) == ("R-RIGHT", "Ada Example", "1971-05-17")
        assert list(Patient.objects.with_record_number("r-right", clinics)) == [found]
        assert list(Patient.objects.with_name("EXAMPLE ada", date(1971, 5, 17), clinics)) == [found]
        assert not Patient.objects.with_record_number("R-WRONG", clinics).exists()
        assert not Patient.objects.with_name("Ada Exmaple", date(1970, 5, 17), clinics).exists()
        assert not Patient.objects.with_name("Ada Example", date(1970, 5, 17), clinics).exists()

    def test_what_is_not_said_stays_and_an_empty_text_takes_away(self, patient: Patient, clinician: User) -> None:
        correct(patient, clinician, name="", birth_date="")
        found = Patient.objects.get(pk=patient.pk)
        assert (found.record_number, found.name, found.birth_date) == ("R-WRONG", "", "")
        assert found.name_index is None

    def test_it_is_recorded_with_fields_and_reason_and_nothing_of_the_patient(
        self, patient: Patient, clinician: User
    ) -> None:
        correct(patient, clinician, CorrectionReason.CHANGED, name="Ada Married", sex="female")
        event = AuditEvent.objects.get(action="patient.corrected")
        assert (event.actor, event.patient_id, event.organisation_id) == (
            clinician,
            patient.pk,
            patient.organisation_id,
        )
        assert event.details == {"fields": ["name", "sex"], "reason": "changed"}
        assert in_words(event) == "Corrected the patient's data"
        assert reason_of(event) == "It has changed since, such as a name by marriage"

    def test_what_stood_there_is_kept_sealed_and_goes_out_with_the_record(
        self, patient: Patient, clinician: User
    ) -> None:
        correct(patient, clinician, record_number="R-RIGHT", name="Ada Example")
        correct(patient, clinician, CorrectionReason.CHANGED, name="Ada Married")

        kept = PatientCorrection.of(patient)
        assert [each.before for each in kept] == [
            {"name": "Ada Example"},
            {"record_number": "R-WRONG", "name": "Ada Exmaple"},
        ]
        assert all(b"Ada Ex" not in bytes(each.sealed_before) for each in kept)
        archive = BytesIO()
        export_patient(patient_id=patient.pk, output=archive)
        record = json.loads(zipfile.ZipFile(archive).read("record.json"))
        assert [each["reason"] for each in record["corrections"]] == ["changed", "recorded_wrongly"]
        assert record["corrections"][1]["before"]["name"] == "Ada Exmaple"

    def test_a_record_goes_out_also_where_nothing_stood_there_before(self, patient: Patient, clinician: User) -> None:
        correct(patient, clinician, sex="female")
        archive = BytesIO()
        export_patient(patient_id=patient.pk, output=archive)
        record = json.loads(zipfile.ZipFile(archive).read("record.json"))
        assert [each["before"] for each in record["corrections"]] == [{"sex": ""}]

    def test_the_cases_snapshots_follow_each_by_its_own_day(self, clinician: User) -> None:
        case = factories.case(clinician)
        assert case.sex == ""
        born = case.seen_at.date().replace(year=case.seen_at.year - 41, day=1, month=1)
        correct(case.patient, clinician, birth_date=born.isoformat(), sex="male", fitzpatrick_skin_type="IV")
        found = Case.objects.get(pk=case.pk)
        assert (found.age_approx, found.sex, found.fitzpatrick_skin_type) == (40, "male", "IV")
        correct(case.patient, clinician, birth_date="")
        assert Case.objects.get(pk=case.pk).age_approx is None

    @pytest.mark.parametrize(
        ("right", "code", "field"),
        [
            ({"name": "Ada Exmaple ", "sex": ""}, "nothing_to_correct", ""),
            ({}, "nothing_to_correct", ""),
            ({"record_number": "  "}, "record_number_missing", "record_number"),
            ({"birth_date": "2999-01-01"}, "in_the_future", "birth_date"),
            ({"birth_date": "1850-01-01"}, "impossible_age", "birth_date"),
        ],
    )
    def test_what_cannot_be_right_is_refused_by_name_and_changes_nothing(
        self, patient: Patient, clinician: User, right: dict[str, str], code: str, field: str
    ) -> None:
        before = Patient.objects.filter(pk=patient.pk).values().get()
        with pytest.raises(Refusal) as refused:
            correct(patient, clinician, **right)
        assert (refused.value.code, refused.value.field) == (code, field)
        assert Patient.objects.filter(pk=patient.pk).values().get() == before
        assert not PatientCorrection.objects.exists()

    def test_another_patients_number_is_refused_and_another_clinics_is_not(
        self, patient: Patient, clinician: User
    ) -> None:
        holder = factories.patient(clinician, record_number="R-TAKEN")
        factories.patient(factories.clinician(), record_number="R-ELSEWHERE")
        with pytest.raises(Conflict, match=f"belongs to patient {holder.pk} of the same organisation") as refused:
            correct(patient, clinician, record_number="r-taken", name="Somebody Else")
        assert (refused.value.code, refused.value.field) == ("record_number_taken", "record_number")
        assert Patient.objects.get(pk=patient.pk).name == "Ada Exmaple"
        correct(patient, clinician, record_number="R-ELSEWHERE")

    def test_of_the_erased_nothing_is_corrected_and_the_former_is_unreadable(
        self, patient: Patient, clinician: User
    ) -> None:
        correct(patient, clinician, name="Ada Example")
        erase_patient(patient_id=patient.pk, reason=ErasureReason.PATIENT_REQUEST, user=None)
        with pytest.raises(PatientErased):
            correct(patient, clinician, name="Ada Again")
        with pytest.raises(PatientErased):
            _ = PatientCorrection.of(Patient.objects.get(pk=patient.pk))[0].before

    @pytest.mark.parametrize("how", [lambda rows: rows.update(reason="changed"), lambda rows: rows.delete()])
    def test_a_correction_is_neither_changed_nor_deleted(self, patient: Patient, clinician: User, how: Any) -> None:
        correct(patient, clinician, name="Ada Example")
        with pytest.raises(IntegrityError, match="neither changed nor deleted"), transaction.atomic():
            how(PatientCorrection.objects.all())

    def test_a_phone_that_was_away_still_sends_the_number_that_was_corrected(
        self, patient: Patient, clinician: User
    ) -> None:
        correct(patient, clinician, record_number="R-RIGHT")
        again, created = create_patient(
            user=clinician, organisation=patient.organisation, new=NewPatient(record_number="R-WRONG", id=patient.pk)
        )
        assert (again.pk, created) == (patient.pk, False)
        assert again.record_number == "R-RIGHT"
        with pytest.raises(Conflict) as refused:
            factories.patient(clinician, record_number="R-OTHER", id=patient.pk)
        assert refused.value.code == "id_taken"
        # Whoever comes new with the number that is free again is somebody else.
        assert factories.patient(clinician, record_number="R-WRONG").pk != patient.pk


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_of_two_who_take_one_number_at_once_the_database_lets_one(self, clinician: User) -> None:
        clinic = factories.organisation_of(clinician)
        patients = [factories.patient(clinician) for _ in range(4)]
        start = threading.Barrier(5)

        def renumber(patient: Patient) -> str:
            try:
                start.wait()
                correct(patient, clinician, record_number="R-WANTED")
            except Refusal as refusal:
                return refusal.code
            finally:
                connection.close()
            return "corrected"

        def enter() -> str:
            try:
                start.wait()
                create_patient(user=clinician, organisation=clinic, new=NewPatient(record_number="R-WANTED"))
            except Refusal as refusal:
                return refusal.code
            finally:
                connection.close()
            return "corrected"

        with ThreadPoolExecutor(5) as pool:
            asked = [*(pool.submit(renumber, patient) for patient in patients), pool.submit(enter)]
            answers = sorted(each.result() for each in asked)

        assert answers == ["corrected", *["record_number_taken"] * 4]
        assert Patient.objects.with_record_number("R-WANTED", [clinic]).count() == 1

    def test_two_who_correct_one_patient_at_once_lose_nothing_of_each_other(self, clinician: User) -> None:
        patient = factories.patient(clinician, name="Ada Exmaple")
        start = threading.Barrier(2)

        def right(**said: str) -> None:
            try:
                start.wait()
                correct(patient, clinician, **said)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            for each in [pool.submit(right, name="Ada Example"), pool.submit(right, birth_date="1969-01-02")]:
                each.result()

        found = Patient.objects.get(pk=patient.pk)
        assert (found.name, found.birth_date) == ("Ada Example", "1969-01-02")
        clinics = [patient.organisation]
        assert Patient.objects.with_name("Ada Example", date(1969, 1, 2), clinics).count() == 1

    def test_an_erasure_that_comes_between_wins(self, clinician: User) -> None:
        patient = factories.patient(clinician)
        start = threading.Barrier(2)

        def right() -> None:
            try:
                start.wait()
                correct(patient, clinician, record_number="R-LATE")
            except PatientErased:
                pass
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(right)
            start.wait()
            erase_patient(patient_id=patient.pk, reason=ErasureReason.PATIENT_REQUEST, user=None)
            asked.result()

        found = Patient.objects.get(pk=patient.pk)
        assert (found.record_number_index, found.sealed_record_number, found.name_index) == (None, None, None)


class TestTheApi:
    def address(self, patient: Patient) -> str:
        return f"/api/v1/patients/{patient.pk}/correct/"

    def test_it_answers_with_the_patient_as_corrected(self, patient: Patient, clinician: User) -> None:
        api = ApiClient(token_for(clinician))
        answer = api.send(self.address(patient), {"reason": "changed", "name": "Ada Married", "birth_date": None})
        assert answer.status_code == 200, answer.content
        assert (answer.json()["name"], answer.json()["birth_date"]) == ("Ada Married", None)
        assert answer.json()["record_number"] == "R-WRONG"
        assert api.get(f"/api/v1/patients/{patient.pk}/").json()["name"] == "Ada Married"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"name": "Ada"}, 400, "invalid"),
            ({"reason": "because", "name": "Ada"}, 400, "invalid"),
            ({"reason": "changed", "nmae": "Ada"}, 400, "invalid"),
            ({"reason": "changed", "record_number": ""}, 400, "invalid"),
            ({"reason": "changed"}, 422, "nothing_to_correct"),
            ({"reason": "changed", "record_number": "R-TAKEN"}, 409, "record_number_taken"),
        ],
    )
    def test_what_is_refused_is_named(
        self, patient: Patient, clinician: User, body: dict[str, str], status: int, code: str
    ) -> None:
        factories.patient(clinician, record_number="R-TAKEN")
        answer = ApiClient(token_for(clinician)).send(self.address(patient), body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    def test_a_foreign_patient_and_an_erased_one(self, patient: Patient, clinician: User) -> None:
        body = {"reason": "changed", "name": "Ada"}
        stranger = ApiClient(token_for(factories.clinician()))
        assert stranger.send(self.address(patient), body).status_code == 404
        erase_patient(patient_id=patient.pk, reason=ErasureReason.PATIENT_REQUEST, user=None)
        gone = ApiClient(token_for(clinician)).send(self.address(patient), body)
        assert (gone.status_code, gone.json()["code"]) == (410, "patient_erased")

    def test_a_case_made_before_the_correction_arrives_after_it(self, patient: Patient, clinician: User) -> None:
        correct(patient, clinician, record_number="R-RIGHT")
        made_before = new_case(patient={"id": str(patient.pk), "record_number": "R-WRONG"})
        answer = ApiClient(token_for(clinician)).submit(made_before)
        assert answer.status_code == 201, answer.content
        assert answer.json()["patient"] == str(patient.pk)


class TestThePage:
    @pytest.fixture
    def browser(self, clinician: User) -> Client:
        client = Client()
        client.force_login(clinician)
        return client

    def form(self, patient: Patient, **changed: str) -> dict[str, str]:
        return {
            "record_number": patient.record_number,
            "name": patient.name,
            "birth_date": patient.birth_date,
            "sex": patient.sex,
            "fitzpatrick_skin_type": patient.fitzpatrick_skin_type,
            "reason": "recorded_wrongly",
            **changed,
        }

    def test_it_is_led_to_shows_what_is_recorded_and_corrects_it(self, patient: Patient, browser: Client) -> None:
        address = f"/patients/{patient.pk}/correct/"
        assert address in browser.get(f"/consents/{patient.pk}/").content.decode()
        shown = browser.get(address)
        assert all(text in shown.content.decode() for text in ("R-WRONG", "Ada Exmaple", "1970-05-17"))
        assert shown["Cache-Control"] == "private, no-store"

        answer = browser.post(address, self.form(patient, name="Ada Example", sex="female"), follow=True)

        assert answer.redirect_chain == [(f"/consents/{patient.pk}/", 303)]
        assert "Ada Example" in answer.content.decode()
        assert "The patient’s data are corrected." in answer.content.decode()
        again = browser.get(address).content.decode()
        assert "Ada Exmaple" in again
        assert "It was recorded wrongly" in again

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({}, "All of this is recorded already"),
            ({"reason": "", "name": "Ada"}, "Choose one."),
            ({"record_number": "R-TAKEN"}, "Another patient of this clinic has this record number"),
            ({"record_number": ""}, "Enter a record number."),
            ({"birth_date": "2999-01-01"}, "This day is yet to come."),
            ({"birth_date": "1850-01-01"}, "Nobody who lives today was born then."),
            ({"birth_date": "yesterday"}, "Enter a valid date."),
        ],
    )
    def test_what_stands_against_it_is_said_beside_what_was_typed(
        self, patient: Patient, clinician: User, browser: Client, changed: dict[str, str], said: str
    ) -> None:
        factories.patient(clinician, record_number="R-TAKEN")
        answer = browser.post(f"/patients/{patient.pk}/correct/", self.form(patient, **changed))
        assert answer.status_code == 422
        assert said in answer.content.decode()
        assert not PatientCorrection.objects.exists()

    def test_of_another_clinic_or_of_nobody_there_is_nothing(self, patient: Patient, browser: Client) -> None:
        foreign = factories.patient(factories.clinician())
        for pk in (foreign.pk, uuid4()):
            assert browser.get(f"/patients/{pk}/correct/").status_code == 404
            assert browser.post(f"/patients/{pk}/correct/", self.form(patient)).status_code == 404
