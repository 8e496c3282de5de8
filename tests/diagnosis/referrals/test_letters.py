"""Letters and the leaflet: who gets them when, what is in them and what never is, in both directions of writing."""

import io
import os
import re
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pypdf import PdfReader
from reportlab.pdfbase import pdfmetrics

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import ConsentScope, ImageKind, Plan, Referral
from diagnosis.services.consents import record_consent
from diagnosis.services.leaflet_words import how_sure, in_plain_words
from diagnosis.services.letters import answer_letter, leaflet, referral_letter
from diagnosis.services.patients import NewLesion, NewPatient
from diagnosis.services.referrals import accept_referral
from diagnosis.services.second_opinions import ask_opinion
from diagnosis.services.submission import ClinicalData, NewImage
from diagnosis.services.typesetting import BOLD, TYPEFACE, lines_as_seen
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.diagnosis.referrals.walking import amend, network_answers, read, sign

API = "/api/v1/"
KINDS = (ImageKind.OVERVIEW, ImageKind.CLOSE_UP, ImageKind.DERMOSCOPIC)
NAME = "Zoë Žižek-Ångström"
#: Nothing of the network's answer: its words, its version, its risk.
TELLING = ("network's answer", "for-tests", "malignancy risk", "25%", "0.25")


@pytest.fixture
def reader(db: None) -> User:
    return factories.dermatologist(first_name="Ingrid", last_name="Solberg")


@pytest.fixture
def clinician(db: None) -> User:
    return factories.clinician()


@pytest.fixture
def referral(clinician: User, reader: User) -> Referral:
    """Three photographs, a name with accents, a note with markup; accepted, and the network has answered."""
    content = factories.PHOTOGRAPH.read_bytes()
    consents = [factories.statement(), factories.statement(scope=ConsentScope.TELEDERMATOLOGY)]
    case = factories.submit(
        clinician,
        factories.new_case(
            patient=NewPatient(record_number="HRS-7731", name=NAME, birth_date=date(1961, 4, 17)),
            lesion=NewLesion("posterior torso", description="Left scapula, <b>4 mm</b>"),
            consents=consents,
            images=[
                NewImage(kind, content) for kind in (ImageKind.OVERVIEW, ImageKind.CLOSE_UP, ImageKind.DERMOSCOPIC)
            ],
            clinical=ClinicalData(suspicion="malignant", impression="mel", growth=True, note="Grew & itches"),
        ),
    ).case
    made = factories.referral(clinician, factories.organisation_of(reader), of=case)
    network_answers()
    return accept_referral(user=reader, referral_id=made.pk)


def text_of(pdf: bytes) -> str:
    """What can be read in it, and copied out of it."""
    assert pdf.startswith(b"%PDF-")
    pages = PdfReader(io.BytesIO(pdf)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


def look(pdf: bytes, name: str) -> bytes:
    """Kept as pictures where SHOTS names a folder."""
    if folder := os.environ.get("SHOTS"):
        target = Path(folder) / f"{name}.pdf"
        target.write_bytes(pdf)
        subprocess.run(["pdftoppm", "-r", "70", "-png", str(target), str(target.with_suffix(""))], check=True)
    return pdf


def test_the_answer_holds_what_was_signed_and_nothing_of_the_network(
    referral: Referral, reader: User, clinician: User
) -> None:
    read(reader, referral)
    signed = sign(reader, referral, text="Regular network.\nNo regression <script>.")
    text = text_of(look(answer_letter(user=clinician, referral_id=referral.pk), "letter"))
    name = diagnoses()[signed.diagnosis].name
    for part in (
        NAME, "17 April 1961", "HRS-7731", name, "No regression <script>.", "Signed electronically by Ingrid Solberg",
        referral.question, "Left scapula, <b>4 mm</b>", f"{signed.confidence}%", "1 / ",
    ):  # fmt: skip
        assert part in text, part
    for telling in TELLING:
        assert telling not in text, telling


def test_photographs_are_in_the_letter(referral: Referral, reader: User, clinician: User) -> None:
    read(reader, referral)
    sign(reader, referral)
    # One file thrice is one picture in a PDF; each stands with its own words below.
    letter = answer_letter(user=clinician, referral_id=referral.pk)
    assert letter.count(b"/Subtype /Image") >= 1
    assert [text_of(letter).count(kind) for kind in ("Overview", "Close-up", "Dermoscopic")] == [1, 1, 1]


def test_a_dermatologist_gets_the_record_number_and_no_name(referral: Referral, reader: User) -> None:
    read(reader, referral)
    sign(reader, referral)
    for make in (answer_letter, referral_letter):
        text = text_of(make(user=reader, referral_id=referral.pk))
        assert "HRS-7731" in text
        assert "Žižek" not in text
        assert not re.search(r"\b1961\b", text)  # the reference, of eight hexadecimal digits, may hold it by chance
    assert "Žižek" not in text_of(leaflet(user=reader, case_id=referral.case_id))


def test_an_amended_answer_says_which_letter_it_replaces(referral: Referral, reader: User, clinician: User) -> None:
    read(reader, referral)
    sign(reader, referral)
    amend(reader, referral, plan=Plan.URGENT, months=None, text="Seen again: regression.")
    text = text_of(look(answer_letter(user=clinician, referral_id=referral.pk), "letter-amended"))
    assert "Please discard that one" in text
    assert "Urgent suspected cancer pathway" in text


def test_the_referral_letter_holds_findings_and_nothing_of_the_network(referral: Referral, clinician: User) -> None:
    text = text_of(look(referral_letter(user=clinician, referral_id=referral.pk), "referral"))
    for part in (
        NAME,
        referral.question,
        "Grew & itches",
        "Probably malignant: Melanoma",
        "0 of 10 points",
    ):
        assert part in text, part
    for telling in TELLING:
        assert telling not in text, telling


def test_the_leaflet_is_plain_one_page_and_without_words_of_the_trade(
    referral: Referral, reader: User, clinician: User
) -> None:
    read(reader, referral)
    sign(reader, referral, diagnosis="nevus-atypical", plan=Plan.OBSERVE, months=3, confidence=75)
    text = text_of(look(leaflet(user=clinician, case_id=referral.case_id), "leaflet"))
    for part in (NAME, "on your back", "mole with an unusual shape", "3 months", "bleeds, oozes", "1 / 1"):
        assert part in text, part
    for word in ("nevus", "Atypical", "dysplastic", "lesion", "75%", *TELLING):
        assert word not in text, word


@pytest.mark.parametrize("code", list(diagnoses()))
def test_every_diagnosis_has_plain_words_that_calm_nobody_wrongly(code: str) -> None:
    words, diagnosis = in_plain_words(code), diagnoses()[code]
    assert len(words) > 40
    if diagnosis.levels[0] == "Malignant":
        assert "cancer" in words
        assert "not cancer" not in words
        assert "harmless" not in words
    if diagnosis.levels[0] == "Benign":
        assert "may be" not in words


def test_how_sure_falls_with_confidence() -> None:
    assert len({how_sure(95), how_sure(75), how_sure(25)}) == 3
    assert "not certain" in how_sure(25)


class TestWhen:
    def test_there_is_no_letter_and_no_leaflet_before_it_is_signed(
        self, referral: Referral, reader: User, clinician: User
    ) -> None:
        read(reader, referral)
        for user in (clinician, reader):
            client: Any = ApiClient(token_for(user))
            for address in (f"referrals/{referral.pk}/letter/", f"cases/{referral.case_id}/leaflet/"):
                answer = client.get(f"{API}{address}")
                assert (answer.status_code, answer.json()["code"]) == (409, "not_signed"), address

    def test_a_reader_who_is_asked_reads_before_the_letter(
        self, referral: Referral, reader: User, clinician: User
    ) -> None:
        read(reader, referral)
        sign(reader, referral)
        amender = factories.dermatologist(referral.service)
        page = Client()
        page.force_login(amender)
        assert page.get(f"/worklist/{referral.pk}/documents/letter/").status_code == 200

    def test_a_second_reader_gets_no_letter_of_an_open_referral(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        colleague = factories.dermatologist(referral.service)
        ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=colleague.pk)
        answer = ApiClient(token_for(colleague)).get(f"{API}referrals/{referral.pk}/letter/")
        assert (answer.status_code, answer.json()["code"]) == (409, "read_first")

    def test_withdrawn_consent_ends_the_services_letters_and_not_the_clinics(
        self, referral: Referral, reader: User, clinician: User
    ) -> None:
        read(reader, referral)
        sign(reader, referral)
        factories.withdraw(referral.case.patient, clinician, ConsentScope.TELEDERMATOLOGY)
        derm, own = ApiClient(token_for(reader)), ApiClient(token_for(clinician))
        for address in (
            f"referrals/{referral.pk}/letter/", f"referrals/{referral.pk}/referral-letter/",
            f"cases/{referral.case_id}/leaflet/",
        ):  # fmt: skip
            assert derm.get(f"{API}{address}").status_code == 404, address
            assert own.get(f"{API}{address}").status_code == 200, address


def test_how_a_letter_is_served_and_recorded(referral: Referral, reader: User, clinician: User) -> None:
    read(reader, referral)
    sign(reader, referral)
    for address, name, action in (
        (f"referrals/{referral.pk}/letter/", "answer-to-referral.pdf", "referral.letter_made"),
        (f"referrals/{referral.pk}/referral-letter/", "referral.pdf", "referral.referral_letter_made"),
        (f"cases/{referral.case_id}/leaflet/", "leaflet.pdf", "referral.leaflet_made"),
    ):
        answer = ApiClient(token_for(clinician)).get(f"{API}{address}", headers={"Accept": "application/pdf"})
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/pdf"
        assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
        assert "no-store" in answer["Cache-Control"]
        event = AuditEvent.objects.get(action=action)
        assert (event.actor, event.patient_id) == (clinician, referral.case.patient_id)
    assert ApiClient(token_for(clinician)).get(f"{API}referrals/{referral.pk}/letter/?language=xx").status_code == 422


class TestArabic:
    def test_letters_join_and_a_line_begins_at_the_right(self) -> None:
        (line,) = lines_as_seen("وحمة (nevus) 75", typeface=TYPEFACE, size=10, width=400, from_right=True)
        assert line.startswith("75 ")
        assert line.endswith("\ufeed")  # isolated waw, which is read first and so stands last
        assert "(nevus)" in line
        assert re.search("[\ufe70-\ufeff]", line)

    def test_lines_are_broken_where_they_are_read_and_none_is_too_wide(self) -> None:
        text = "تنظر الطبيبة إلى الصور ثم تكتب رأيها وتوقعه " * 6 + "x" * 300
        lines = lines_as_seen(text, typeface=BOLD, size=11, width=200, from_right=True)
        assert len(lines) > 3
        assert max(pdfmetrics.stringWidth(line, BOLD, 11) for line in lines) <= 200

    def test_every_document_can_be_had(self, referral: Referral, reader: User, clinician: User) -> None:
        patient = referral.case.patient
        patient.name = "مريم الحداد"
        patient.save(update_fields=["sealed_name"])
        read(reader, referral)
        sign(reader, referral)
        for make, pk, name in (
            (answer_letter, {"referral_id": referral.pk}, "letter-ar"),
            (referral_letter, {"referral_id": referral.pk}, "referral-ar"),
            (leaflet, {"case_id": referral.case_id}, "leaflet-ar"),
        ):
            pdf = look(make(user=clinician, language="ar", **pk), name)  # type: ignore[operator]
            assert b"/Lang (ar)" in pdf
            assert "\ufffd" not in text_of(pdf)

    def test_a_leaflet_speaks_the_language_of_the_consent(
        self, referral: Referral, reader: User, clinician: User
    ) -> None:
        read(reader, referral)
        sign(reader, referral)
        assert b"/Lang (ar)" not in leaflet(user=clinician, case_id=referral.case_id)
        said = factories.statement(scope=ConsentScope.RESEARCH)
        record_consent(user=clinician, patient=referral.case.patient, statement=replace(said, language="ar"))
        assert b"/Lang (ar)" in leaflet(user=clinician, case_id=referral.case_id)
