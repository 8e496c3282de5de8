"""The page on which a clinician sees what a patient allows, and records that it is withdrawn."""

import re
from typing import Any

import pytest
from django.test import Client

from diagnosis.models import AnalysisState, Case, ConsentChange, ConsentScope, Patient
from diagnosis.services.consents import consent_in_force
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinician(settings: Any, tmp_path: Any) -> User:
    settings.MEDIA_ROOT = str(tmp_path)
    return factories.clinician()


@pytest.fixture
def browser(clinician: User) -> Client:
    client = Client()
    client.force_login(clinician)
    return client


def test_what_is_allowed_by_which_event_and_the_signature_are_shown(
    clinician: User, case: Case, browser: Client
) -> None:
    signed = factories.signed(case.patient, clinician)
    page = browser.get(f"/consents/{case.patient_id}/").content.decode()
    for shown in (
        "Analysis by the network",
        "test-1 (en)",
        "Signed on paper",
        f"/api/v1/consents/{signed.pk}/signature/",
    ):
        assert shown in page
    assert page.count("Withdraw</summary>") == 3


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"scope": "analysis"}, "Choose how"),
        ({"scope": "analysis", "method": "spoken", "witness": " "}, "witness"),
        ({"scope": "analysis", "method": "signature"}, "Choose how"),
        ({"scope": "research", "method": "paper"}, "not in force"),
        ({"scope": "everything", "method": "paper"}, "not in force"),
        ({}, "not in force"),
    ],
)
def test_half_a_withdrawal_is_refused_with_what_is_missing(
    case: Case, browser: Client, said: dict[str, str], problem: str
) -> None:
    answer = browser.post(f"/consents/{case.patient_id}/", said)
    assert answer.status_code == 422
    assert problem in answer.content.decode()
    assert not case.patient.consent_events.filter(change=ConsentChange.WITHDRAWN).exists()


@pytest.mark.parametrize("how", [{"method": "paper"}, {"method": "spoken", "witness": "B. Hale, nurse"}])
def test_a_withdrawal_is_in_effect_at_once_and_stands_in_the_history(
    case: Case, browser: Client, how: dict[str, str]
) -> None:
    answer = browser.post(f"/consents/{case.patient_id}/", {"scope": "analysis", **how}, follow=True)
    page = answer.content.decode()
    assert "The withdrawal is recorded and in effect." in page
    assert "Analysis by the network: withdrawn" in page
    assert how.get("witness", "") in page
    assert consent_in_force(case.patient, ConsentScope.ANALYSIS) is None
    assert consent_in_force(case.patient, ConsentScope.TELEDERMATOLOGY) is not None
    case.analysis.refresh_from_db()
    assert case.analysis.state == AnalysisState.NOT_REQUESTED


def grant(browser: Client, case: Case, **said: Any) -> Any:
    """Post the form as the page has it, with what is said."""
    page = browser.get(f"/consents/{case.patient_id}/").content.decode()
    fields = {"change": "granted", "form": re.findall(r'name="form" value="([^"]+)"', page)[0], "language": "en"}
    return browser.post(f"/consents/{case.patient_id}/", fields | {"policy": factories.policy().pk} | said, follow=True)


@pytest.fixture
def refused(clinician: User, case: Case) -> Case:
    """Its patient has withdrawn teledermatology, and never spoke of research."""
    factories.withdraw(case.patient, clinician, ConsentScope.TELEDERMATOLOGY)
    return case


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ({"method": "paper"}, "Signed on paper"),
        ({"method": "spoken", "witness": "B. Hale, nurse"}, "B. Hale, nurse"),
        ({"method": "signature", "signature": factories.signature()}, "Signature on screen"),
    ],
)
def test_whoever_refused_at_first_can_agree_later_with_the_evidence_of_a_case(
    clinician: User, refused: Case, browser: Client, how: dict[str, str], shown: str
) -> None:
    factories.policy("arabic-1", language="ar", title="صور جلدك")
    page = browser.get(f"/consents/{refused.patient_id}/").content.decode()
    assert page.count('name="scopes"') == 2  # what is in force is not asked again
    assert "صور جلدك" in page
    said = {"scopes": ["teledermatology", "research"], "language": "ur"}
    page = grant(browser, refused, **said, **how).content.decode()
    assert "The consent is recorded and in force." in page
    assert shown in page
    for scope in (ConsentScope.TELEDERMATOLOGY, ConsentScope.RESEARCH):
        event = consent_in_force(refused.patient, scope)
        assert event is not None
        assert (event.language, event.policy.version, event.method) == ("ur", "test-1", how["method"])
        assert bool(event.signature) == (how["method"] == "signature")
        recorded = AuditEvent.objects.get(object_id=str(event.pk), action="consent.granted")
        assert (recorded.actor, recorded.patient_id) == (clinician, refused.patient_id)
    assert 'id="grant"' not in page  # nothing is left to agree to
    assert factories.referral(clinician, of=refused).case == refused


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"method": "paper"}, "what the patient agrees to"),
        ({"scopes": "research"}, "Choose how"),
        ({"scopes": "research", "method": "clock"}, "clock"),
        ({"scopes": "research", "method": "spoken", "witness": " "}, "witness"),
        ({"scopes": "research", "method": "signature"}, "signature is missing"),
        ({"scopes": "research", "method": "signature", "signature": "no picture"}, "no PNG"),
        ({"scopes": "everything", "method": "paper"}, "everything"),
        ({"scopes": "research", "method": "paper", "policy": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55"}, "choice"),
        ({"scopes": "research", "method": "paper", "language": "tlh"}, "tlh"),
    ],
)
def test_half_a_consent_is_refused_with_what_is_missing_and_nothing_is_recorded(
    refused: Case, browser: Client, said: dict[str, str], problem: str
) -> None:
    before = refused.patient.consent_events.count()
    answer = grant(browser, refused, **said)
    assert answer.status_code == 422
    assert problem in answer.content.decode()
    assert refused.patient.consent_events.count() == before


def test_a_second_tap_records_no_second_consent(refused: Case, browser: Client) -> None:
    page = browser.get(f"/consents/{refused.patient_id}/").content.decode()
    form = re.findall(r'name="form" value="([^"]+)"', page)[0]
    for _ in range(2):
        grant(browser, refused, form=form, scopes=["research"], method="paper")
    assert refused.patient.consent_events.filter(scope="research").count() == 1


def test_the_patient_is_found_by_number_or_by_name_and_birth_date(clinician: User, browser: Client) -> None:
    patient = factories.patient(clinician, record_number="C-1", name="Ada Example")
    born = patient.birth_date
    for wanted in ({"record_number": " c-1"}, {"name": "EXAMPLE, Ada", "birth_date": born}):
        assert browser.post("/consents/", wanted)["Location"] == f"/consents/{patient.pk}/"
    factories.patient(clinician, record_number="C-2", name="Ada Example")
    page = browser.post("/consents/", {"name": "ada example", "birth_date": born}).content.decode()
    assert "C-1" in page
    assert "C-2" in page
    assert browser.post("/consents/", {"name": "Ada"}).status_code == 422
    assert "no such patient" in browser.post("/consents/", {"record_number": "nobody"}).content.decode()


def test_another_clinics_patient_and_an_erased_one_are_not_there(case: Case, browser: Client) -> None:
    foreign = factories.patient(factories.clinician())
    assert browser.get(f"/consents/{foreign.pk}/").status_code == 404
    assert browser.post(f"/consents/{foreign.pk}/", {"scope": "analysis", "method": "paper"}).status_code == 404
    granted = {"change": "granted", "scopes": "research", "method": "paper"}
    assert browser.post(f"/consents/{foreign.pk}/", granted).status_code == 404
    assert not foreign.consent_events.exists()
    assert browser.post("/consents/", {"record_number": foreign.record_number}).status_code == 422
    Patient.objects.filter(pk=case.patient_id).update(data_key_row=None, record_number_index=None)
    assert browser.get(f"/consents/{case.patient_id}/").status_code == 404
