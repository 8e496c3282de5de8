"""A patient's record leaves the house whole and readable, and that it did is recorded."""

import hashlib
import io
import json
import stat
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image

from diagnosis.models import (
    AnatomicalSite,
    Case,
    CaseImage,
    ConsentChange,
    ConsentScope,
    EmergencyReason,
    ErasureReason,
    EvidenceMethod,
    ImageKind,
)
from diagnosis.services import emergency
from diagnosis.services.consents import record_consent
from diagnosis.services.erasure import erase_patient
from diagnosis.services.export import export_patient
from diagnosis.services.patients import NewLesion, NewPatient
from diagnosis.services.submission import ClinicalData, NewImage
from diagnosis.services.typesetting import showable
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for

pytestmark = pytest.mark.django_db
NAME = "Łucja <b>Ośmiałowska</b> & 李 <img src='file:///etc/passwd'/>"


@pytest.fixture
def case(clinician: User) -> Case:
    """With two photographs, a note, a described lesion, a spoken withdrawal, and a name that is hard to set."""
    photograph, another = (path.read_bytes() for path in sorted(factories.HAM10000.glob("*_600x450.jpg"))[:2])
    new = factories.new_case(
        patient=NewPatient(record_number="HRS-20481", name=NAME),
        lesion=NewLesion(AnatomicalSite.HEAD_NECK, description="Left ear, 3 mm"),
        images=[NewImage(ImageKind.DERMOSCOPIC, photograph), NewImage(ImageKind.OVERVIEW, another)],
        clinical=ClinicalData(suspicion="unsure", note="Itches at night.\nSince May.", checklist={"oozing": True}),
    )
    case = factories.submit(clinician, new).case
    said = factories.statement(ConsentChange.WITHDRAWN)
    spoken = type(said)(**{**said.__dict__, "method": EvidenceMethod.SPOKEN, "witness": "B. Hale"})
    record_consent(user=clinician, patient=case.patient, statement=spoken)
    return case


def exported(case: Case, **who: Any) -> zipfile.ZipFile:
    output = io.BytesIO()
    export_patient(patient_id=case.patient_id, output=output, **who)
    return zipfile.ZipFile(output)


def test_the_archive_holds_record_photographs_consents_and_accesses(case: Case, clinician: User) -> None:
    ApiClient(token_for(clinician)).get(f"/api/v1/cases/{case.pk}/")
    archive = exported(case)
    record = json.loads(archive.read("record.json"))

    assert (record["patient"]["name"], record["patient"]["record_number"]) == (NAME, "HRS-20481")
    assert [(event["change"], event["witness"]) for event in record["consents"]] == [
        ("granted", ""),
        ("withdrawn", "B. Hale"),
    ]
    assert record["allowed_now"] == {"analysis": False, "teledermatology": False, "research": False}
    assert record["lesions"][0]["description"] == "Left ear, 3 mm"
    (described,) = record["cases"]
    assert (described["note"], described["oozing"], described["checklist_score"]) == (case.note, True, 1)
    assert described["analysis"]["reason"] == "consent_withdrawn"
    assert [image["kind"] for image in described["images"]] == ["dermoscopic", "overview"]
    for image in described["images"]:
        assert hashlib.sha256(archive.read(image["file"])).hexdigest() == image["sha256"]
    actions = [access["action"] for access in record["accesses"]]
    assert {"patient.created", "case.submitted", "consent.withdrawn", "patient.read"} <= set(actions)
    clinic = factories.organisation_of(clinician).name
    assert {access["by"] for access in record["accesses"]} == {clinic, "the platform itself"}
    assert clinician.email not in archive.read("record.json").decode()


def test_why_somebody_opened_the_record_in_an_emergency_is_in_the_archive(case: Case, clinician: User) -> None:
    clinic, stranger = factories.organisation_of(clinician), factories.clinician()
    hospital = factories.organisation_of(stranger)
    emergency.set_policy(user=clinician, organisation=clinic, enabled=True, minutes=60, open_to=[hospital])
    why = "Found unconscious beside her bicycle."
    opened = emergency.open_access(
        user=stranger,
        wanted=emergency.Wanted(clinic.pk, record_number="HRS-20481"),
        reason=EmergencyReason.ACUTE,
        explanation=why,
    )
    archive = exported(case)
    (told,) = json.loads(archive.read("record.json"))["emergency_accesses"]
    assert (told["by"], told["reason"], told["explanation"]) == (hospital.name, "acute", why)
    assert told["ended_at"][:16] == f"{opened.ends_at:%Y-%m-%d %H:%M}"
    assert stranger.email not in archive.read("record.json").decode()
    assert archive.read("record.pdf").startswith(b"%PDF-")


def test_the_pdf_is_one_and_neither_a_name_nor_a_script_breaks_it(case: Case) -> None:
    pdf = exported(case).read("record.pdf")
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Subtype /Image") == 2
    assert NAME.encode() not in pdf


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Łódź", "Łódź"), ("Žižek", "Žižek"), ("李 Li", "[?] Li"), ("a\nb", "a\nb"), ("", "")],
)
def test_letters_that_the_typeface_lacks_are_simplified_or_marked(text: str, shown: str) -> None:
    assert showable(text) == shown


def test_signatures_language_and_end_of_a_consent_are_in_the_archive(case: Case, clinician: User) -> None:
    signed = replace(
        factories.statement(scope=ConsentScope.RESEARCH),
        method=EvidenceMethod.SIGNATURE,
        signature=factories.signature(),
        language="pt-BR",
        expires_at=timezone.now() + timedelta(days=30),
    )
    record_consent(user=clinician, patient=case.patient, statement=signed)
    archive = exported(case)
    consents = json.loads(archive.read("record.json"))["consents"]
    (event,) = [each for each in consents if each["scope"] == "research"]
    assert (event["language"], event["expires_at"][:4]) == ("pt-BR", f"{signed.expires_at:%Y}")
    with Image.open(io.BytesIO(archive.read(event["signature"]))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (300, 100))
    assert archive.read("record.pdf").count(b"/Subtype /Image") == 3


def test_it_is_recorded_who_exported(case: Case, clinician: User) -> None:
    exported(case, user=clinician)
    event = AuditEvent.objects.get(action="patient.exported")
    assert (event.actor, event.patient_id, event.details) == (clinician, case.patient_id, {"cases": 1, "images": 2})


def test_an_export_that_fails_is_not_recorded_and_leaves_no_file(case: Case, tmp_path: Path) -> None:
    CaseImage.objects.filter(case=case, position=2).update(photograph_file="sealed/00/missing")
    output = tmp_path / "record.zip"
    with pytest.raises(FileNotFoundError):
        call_command("export_patient", str(case.patient_id), f"--output={output}")
    assert not output.exists()
    assert not AuditEvent.objects.filter(action="patient.exported").exists()


class TestCommand:
    def test_it_writes_a_file_for_its_owner_only_and_never_over_another(
        self, case: Case, tmp_path: Path, capsys: Any
    ) -> None:
        output = tmp_path / "record.zip"
        call_command("export_patient", str(case.patient_id), f"--output={output}")
        assert stat.S_IMODE(output.stat().st_mode) == 0o600
        assert zipfile.ZipFile(output).testzip() is None
        with pytest.raises(CommandError, match="name a new file"):
            call_command("export_patient", str(case.patient_id), f"--output={output}")

    def test_nobody_and_the_erased_are_refused(self, case: Case, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="there is no patient"):
            call_command("export_patient", str(uuid4()), f"--output={tmp_path / 'a.zip'}")
        erase_patient(patient_id=case.patient_id, reason=ErasureReason.MISTAKE)
        with pytest.raises(CommandError, match="nothing left to export"):
            call_command("export_patient", str(case.patient_id), f"--output={tmp_path / 'a.zip'}")
        assert list(tmp_path.iterdir()) == []


class TestApi:
    @pytest.mark.parametrize("role", [Role.CLINICIAN, Role.ADMINISTRATOR])
    def test_clinician_and_administrator_get_the_archive_without_patient_data_in_its_name(
        self, case: Case, clinician: User, role: Role
    ) -> None:
        person = factories.member(role, factories.organisation_of(clinician))
        answer = ApiClient(token_for(person)).send(f"/api/v1/patients/{case.patient_id}/export/")
        assert answer.status_code == 200
        archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
        assert json.loads(archive.read("record.json"))["patient"]["name"] == NAME
        with Image.open(io.BytesIO(archive.read("images/case-01-photograph-1-dermoscopic.jpg"))) as image:
            assert image.size == (600, 450)
        headers = answer.headers
        assert headers["Content-Disposition"] == 'attachment; filename="patient-record.zip"'
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "private, no-store")
        assert AuditEvent.objects.get(action="patient.exported").actor == person

    def test_the_erased_answer_gone_and_a_foreign_patient_not_found(self, case: Case, clinician: User) -> None:
        address = f"/api/v1/patients/{case.patient_id}/export/"
        for stranger in (factories.clinician(), factories.member(Role.ADMINISTRATOR)):
            assert ApiClient(token_for(stranger)).send(address).status_code == 404
        erase_patient(patient_id=case.patient_id, reason=ErasureReason.MISTAKE)
        assert ApiClient(token_for(clinician)).send(address).status_code == 410
