"""An administrator hands out and erases a patient's record on pages, as through the API, with a fresh proof."""

import io
import zipfile
from typing import Any

import pytest
from django.test import Client

from diagnosis.models import Patient
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import codes, factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def patient(settings: Any, tmp_path: Any) -> Patient:
    settings.MEDIA_ROOT = str(tmp_path)
    return factories.case(factories.clinician()).patient


@pytest.fixture
def administrator(patient: Patient) -> User:
    return factories.member(Role.ADMINISTRATOR, patient.organisation)


def test_the_record_is_handed_out_whole_and_recorded(patient: Patient, administrator: User) -> None:
    browser = codes.sign_in(administrator)
    address = f"/privacy/patients/{patient.pk}/export/"
    assert address in browser.get(f"/privacy/patients/{patient.pk}/").content.decode()
    assert patient.record_number not in browser.get(address).content.decode()

    answer = browser.post(address)

    assert answer["Content-Disposition"] == 'attachment; filename="patient-record.zip"'
    assert "no-store" in answer["Cache-Control"]
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:  # type: ignore[attr-defined]
        assert {"record.pdf", "record.json"} <= set(archive.namelist())
    event = AuditEvent.objects.get(action="patient.exported")
    assert (event.actor, event.patient_id) == (administrator, patient.pk)


def test_erasing_takes_the_record_number_and_a_reason(patient: Patient, administrator: User) -> None:
    browser = codes.sign_in(administrator)
    address = f"/privacy/patients/{patient.pk}/erase/"
    assert patient.record_number not in browser.get(address).content.decode()
    for wrong in ({}, {"record_number": "another", "reason": "mistake"}, {"record_number": patient.record_number}):
        assert browser.post(address, wrong).status_code == 422
    assert "Nothing was erased" in browser.post(address, {"record_number": "x", "reason": "mistake"}).content.decode()
    assert not Patient.objects.get(pk=patient.pk).erased

    answer = browser.post(address, {"record_number": patient.record_number, "reason": "mistake"}, follow=True)

    assert answer.redirect_chain[-1][0] == f"/privacy/patients/{patient.pk}/"
    assert "The patient was erased." in answer.content.decode()
    assert Patient.objects.get(pk=patient.pk).erased
    assert browser.post(f"/privacy/patients/{patient.pk}/export/").status_code == 410


@pytest.mark.parametrize("what", ["export", "erase"])
def test_a_session_left_open_confirms_first_and_another_clinics_administrator_finds_nothing(
    patient: Patient, administrator: User, what: str
) -> None:
    address = f"/privacy/patients/{patient.pk}/{what}/"
    left_open = Client()
    left_open.force_login(administrator)
    for answer in (left_open.get(address), left_open.post(address, {"record_number": patient.record_number})):
        assert answer["Location"].startswith("/account/confirm/")
    stranger = codes.sign_in(factories.member(Role.ADMINISTRATOR))
    assert stranger.get(address).status_code == stranger.post(address).status_code == 404
    assert not Patient.objects.get(pk=patient.pk).erased
