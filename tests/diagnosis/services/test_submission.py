"""A submission exists whole or not at all, and once for each idempotency key."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from diagnosis.models import (
    Analysis,
    AnalysisState,
    Case,
    CaseImage,
    ConsentEvent,
    ImageKind,
    Lesion,
    Patient,
    Suspicion,
)
from diagnosis.services import submission
from diagnosis.services.consents import ConsentStatement
from diagnosis.services.errors import Conflict, KeyReused, Refusal
from diagnosis.services.files import open_sealed
from diagnosis.services.patients import NewPatient
from diagnosis.services.submission import ClinicalData, NewImage
from skincare.audit.models import AuditEvent
from skincare.encryption import SealBroken
from tests import factories

pytestmark = pytest.mark.django_db


def stored_files() -> set[Path]:
    return {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}


def everything() -> tuple[int, ...]:
    return tuple(
        model.objects.count() for model in (Patient, Lesion, ConsentEvent, Case, CaseImage, Analysis, AuditEvent)
    )


def test_a_case_is_stored_with_its_patient_photographs_consent_analysis_and_audit() -> None:
    by = factories.clinician()
    case = factories.submit(by).case
    assert case.analysis.state == AnalysisState.WAITING
    assert case.images.count() == 1
    assert ConsentEvent.objects.filter(patient=case.patient).count() == 1
    assert set(AuditEvent.objects.values_list("action", flat=True)) >= {
        "patient.created",
        "lesion.created",
        "consent.granted",
        "case.submitted",
    }


@pytest.mark.parametrize(
    ("clinical", "recommendation", "decided_by"),
    [
        ({"checklist": {"oozing": True, "irregular_shape": True}}, "refer_urgently", "checklist"),
        ({"growth": True}, "refer", "growth"),
        ({"suspicion": Suspicion.MALIGNANT}, "refer", "clinician"),
        ({}, "clinical_judgement", "none"),
    ],
    ids=str,
)
@pytest.mark.parametrize("consents", [None, []], ids=["consented", "no consent"])
def test_the_clinical_rule_holds_before_and_without_the_network(
    consents: list[ConsentStatement] | None, clinical: dict[str, Any], recommendation: str, decided_by: str
) -> None:
    data = ClinicalData(**{"suspicion": Suspicion.BENIGN, **clinical})
    case = factories.submit(factories.clinician(), factories.new_case(consents=consents, clinical=data)).case
    assert (case.analysis.recommendation, case.analysis.decided_by) == (recommendation, decided_by)


def test_a_stored_file_is_unreadable_without_the_patients_key_and_in_another_place() -> None:
    by = factories.clinician()
    case, other = factories.submit(by).case, factories.submit(by).case
    image = case.images.get()
    raw = (Path(settings.MEDIA_ROOT) / image.photograph_file).read_bytes()
    photograph = open_sealed(case.patient, image.photograph_file)
    assert photograph.startswith(b"\xff\xd8\xff")
    assert not any(photograph[at : at + 16] in raw for at in range(0, len(photograph), 512))
    with pytest.raises(SealBroken):
        open_sealed(other.patient, image.photograph_file)


def test_identifying_text_is_not_in_the_database() -> None:
    by = factories.clinician()
    new = factories.new_case(patient=NewPatient(record_number="NHS-99-77", name="Beatrix Needle"))
    patient = factories.submit(by, new).case.patient
    with connection.cursor() as cursor:
        cursor.execute("SELECT p::text FROM diagnosis_patient p")
        rows = "".join(row[0] for row in cursor.fetchall())
    for secret in ("NHS-99-77", "Beatrix"):
        assert secret not in rows
        assert secret.encode().hex() not in rows
    fresh = Patient.objects.get(pk=patient.pk)
    assert (fresh.record_number, fresh.name) == ("NHS-99-77", "Beatrix Needle")


def test_the_same_key_with_the_same_content_returns_the_same_case() -> None:
    by, new = factories.clinician(), factories.new_case()
    first, second = factories.submit(by, new), factories.submit(by, new)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.case.pk == second.case.pk
    assert Case.objects.count() == 1


def test_the_same_key_with_other_content_is_refused() -> None:
    by, new = factories.clinician(), factories.new_case()
    factories.submit(by, new)
    with pytest.raises(KeyReused, match=str(new.id)):
        factories.submit(by, new, digest=b"x" * 32)


def test_a_key_of_another_user_is_refused_without_showing_the_case() -> None:
    new = factories.new_case()
    factories.submit(factories.clinician(), new)
    with pytest.raises(Conflict) as refusal:
        factories.submit(factories.clinician(), new)
    assert refusal.value.code == "id_taken"


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"images": []}, "number_of_photographs", "images"),
        ({"images": [NewImage(ImageKind.CLOSE_UP, b"x")] * 11}, "number_of_photographs", "images"),
        ({"images": [NewImage(ImageKind.CLOSE_UP, b"not a picture")]}, None, "images[0]"),
        ({"seen_at": timezone.now() + timedelta(days=1)}, "in_the_future", "seen_at"),
        ({"patient": NewPatient(record_number="  ")}, "record_number_missing", "patient.record_number"),
        ({"patient": uuid4()}, "not_found", "patient"),
        ({"lesion": uuid4()}, "not_found", "lesion"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
def test_what_is_refused_leaves_no_row_and_no_file(change: dict[str, object], code: str | None, field: str) -> None:
    by = factories.clinician()
    files, rows = stored_files(), everything()
    with pytest.raises(Refusal) as refusal:
        factories.submit(by, factories.new_case(**change))  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert code is None or refusal.value.code == code
    assert everything() == rows
    assert stored_files() == files


def test_a_failure_after_the_files_were_stored_removes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    by = factories.clinician()
    files, rows = stored_files(), everything()

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the last step")

    monkeypatch.setattr(submission, "record", fail)
    with pytest.raises(RuntimeError):
        factories.submit(by)
    assert everything() == rows
    assert stored_files() == files


def test_an_offline_patient_sent_with_two_cases_is_created_once() -> None:
    by = factories.clinician()
    person = NewPatient(record_number="A-1", name="Ada")
    first = factories.submit(by, factories.new_case(patient=person)).case
    second = factories.submit(by, factories.new_case(patient=person)).case
    assert first.patient_id == second.patient_id == person.id


def test_a_record_number_in_use_is_refused_with_the_patient_that_has_it() -> None:
    by = factories.clinician()
    first = factories.submit(by, factories.new_case(patient=NewPatient(record_number="a-1 "))).case
    with pytest.raises(Conflict, match=str(first.patient_id)):
        factories.submit(by, factories.new_case(patient=NewPatient(record_number="A-1")))


def test_the_same_record_number_may_be_used_in_another_organisation_and_is_not_recognisable() -> None:
    cases = [
        factories.submit(factories.clinician(), factories.new_case(patient=NewPatient(record_number="A-1"))).case
        for _ in range(2)
    ]
    digests = {bytes(case.patient.record_number_index or b"") for case in cases}
    assert len(digests) == 2


def test_a_case_cannot_name_another_patients_lesion_even_past_the_service() -> None:
    by = factories.clinician()
    case, other = factories.submit(by).case, factories.submit(by).case
    with pytest.raises(IntegrityError, match="case_lesion_is_of_patient"):
        Case.objects.filter(pk=case.pk).update(lesion=other.lesion)


def test_a_case_cannot_move_to_another_organisation_even_past_the_service() -> None:
    case = factories.submit(factories.clinician()).case
    with pytest.raises(IntegrityError, match="case_patient_is_of_organisation"):
        Case.objects.filter(pk=case.pk).update(organisation=factories.organisation())


@pytest.mark.django_db(transaction=True)
def test_a_case_without_analysis_cannot_be_committed_even_past_the_service() -> None:
    case = factories.submit(factories.clinician()).case
    case.pk = uuid4()
    with pytest.raises(IntegrityError, match="has no analysis or no photograph"), transaction.atomic():
        case.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_twenty_twins_at_once_make_one_case() -> None:
    by, new = factories.clinician(), factories.new_case()
    files = stored_files()

    def send(_: int) -> bool:
        try:
            return factories.submit(by, new).replayed
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        replayed = list(pool.map(send, range(20)))
    assert sorted(replayed) == [False] + [True] * 19
    assert (Case.objects.count(), CaseImage.objects.count(), Patient.objects.count()) == (1, 1, 1)
    assert len(stored_files() - files) == 2


@pytest.mark.parametrize(
    ("birth_date", "band"),
    [("1960-11-24", 65), ("1960-11-23", 65), ("1961-11-24", 60), ("2026-01-01", 0), ("1920-01-01", 85), ("", None)],
)
def test_ages_are_kept_in_five_year_bands(birth_date: str, band: int | None) -> None:
    on = timezone.now().replace(year=2026, month=11, day=23).date()
    assert submission.age_band(birth_date, on) == band
