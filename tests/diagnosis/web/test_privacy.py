"""The privacy officer's pages and the same in the API: who saw a patient, for their organisation's administrators."""

from typing import Any

import pytest
from django.test import Client

from diagnosis.models import Case
from skincare.accounts.models import Membership, Organisation, Role, User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record_reads
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for

pytestmark = pytest.mark.django_db
API = "/api/v1/"


@pytest.fixture
def case(clinician: User) -> Case:
    return factories.case(clinician)


@pytest.fixture
def officer(clinician: User) -> User:
    """An administrator of the clinician's clinic."""
    return factories.member(Role.ADMINISTRATOR, factories.organisation_of(clinician))


@pytest.fixture
def browser(officer: User) -> Client:
    """The officer's."""
    client = Client(enforce_csrf_checks=False)
    client.force_login(officer)
    return client


def page_of(case: Case) -> str:
    return f"/privacy/patients/{case.patient_id}/"


def test_the_page_shows_who_did_what_when_and_from_where(browser: Client, case: Case, clinician: User) -> None:
    ApiClient(token_for(clinician)).get(f"{API}cases/{case.pk}/")
    answer = browser.get(page_of(case))
    shown = answer.content.decode()
    read = AuditEvent.objects.get(action="patient.read")
    assert answer.status_code == 200
    for text in (
        f"<td>{read.pk}</td>",
        f"{read.at:%Y-%m-%d %H:%M:%S}",
        clinician.email,
        "Saw the patient&#x27;s data",
        "Submitted a case",
        f"case {case.pk}",
        "127.0.0.1",
    ):
        assert text in shown, text
    assert case.patient.record_number not in shown
    assert answer["Cache-Control"] == "private, no-store"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert shown.count("<script") == shown.count('<script type="module" src=')
    assert "style=" not in shown


def test_why_is_shown_where_a_reason_was_recorded(browser: Client, case: Case, clinician: User) -> None:
    factories.withdraw(case.patient, clinician)
    shown = browser.get(page_of(case)).content.decode()
    assert "<td>consent_withdrawn</td>" in shown
    assert "the platform itself" in shown


def test_to_look_is_recorded_as_well_each_time(browser: Client, case: Case, officer: User) -> None:
    browser.get(page_of(case))
    second = browser.get(page_of(case)).content.decode()
    looks = AuditEvent.objects.filter(action="accesses.read", actor=officer, patient_id=case.patient_id)
    assert [look.organisation_id for look in looks] == [case.organisation_id] * 2
    assert second.count("Looked who saw") == 2


def test_what_another_organisation_saw_of_the_patient_is_shown_too(browser: Client, case: Case) -> None:
    dermatologist = factories.member(Role.DERMATOLOGIST, factories.organisation(Organisation.Kind.DERMATOLOGY_SERVICE))
    record_reads(dermatologist, [(case.organisation_id, case.patient_id)])
    assert dermatologist.email in browser.get(page_of(case)).content.decode()


@pytest.mark.parametrize("wanted", ["HRS 20-481", " hrs  20-481 ", "id"])
def test_a_patient_is_found_by_record_number_or_id(browser: Client, clinician: User, wanted: str) -> None:
    patient = factories.patient(clinician, record_number="HRS 20-481")
    wanted = str(patient.pk) if wanted == "id" else wanted
    answer = browser.post("/privacy/", {"patient": wanted})
    assert (answer.status_code, answer["Location"]) == (303, f"/privacy/patients/{patient.pk}/")


@pytest.mark.parametrize(
    "wanted",
    ["no such number", "752bf5d6-1db4-43b0-944c-e14155aa25af", "", "   ", "<script>alert(1)</script>", "x" * 101],
)
def test_who_is_not_found_is_said_and_nothing_is_echoed_as_markup(browser: Client, case: Case, wanted: str) -> None:
    answer = browser.post("/privacy/", {"patient": wanted})
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in shown
    assert shown.count("<script") == shown.count('<script type="module" src=')
    assert not AuditEvent.objects.filter(action="accesses.read").exists()


def test_a_number_that_two_of_ones_organisations_use_asks_for_the_id(browser: Client, officer: User) -> None:
    patients = []
    for _ in range(2):
        clinician = factories.clinician()
        Membership.objects.create(
            user=officer, organisation=factories.organisation_of(clinician), role=Role.ADMINISTRATOR
        )
        patients.append(factories.patient(clinician, record_number="7"))
    shown = browser.post("/privacy/", {"patient": "7"}).content.decode()
    assert all(str(patient.pk) in shown for patient in patients)


def test_an_administrator_of_another_organisation_finds_nothing(case: Case) -> None:
    other = Client()
    other.force_login(factories.member(Role.ADMINISTRATOR))
    assert other.get(page_of(case)).status_code == 404
    assert other.post("/privacy/", {"patient": str(case.patient_id)}).status_code == 422
    assert other.post("/privacy/", {"patient": case.patient.record_number}).status_code == 422
    assert not AuditEvent.objects.filter(action="accesses.read").exists()


def test_a_form_from_another_site_is_refused(officer: User, case: Case) -> None:
    victim = Client(enforce_csrf_checks=True)
    victim.force_login(officer)
    assert victim.post("/privacy/", {"patient": str(case.patient_id)}).status_code == 403


def test_pages_hold_fifty_and_lead_on(browser: Client, case: Case) -> None:
    for _ in range(60):
        browser.get(page_of(case))
    first = browser.get(page_of(case)).content.decode()
    assert first.count("<time ") == 50
    before = first.partition('href="?before=')[2].partition('"')[0]
    second = browser.get(f"{page_of(case)}?before={before}").content.decode()
    assert 10 < second.count("<time ") < 50
    assert "Submitted a case" in second
    assert f"<td>{before}</td>" in first
    assert f"<td>{before}</td>" not in second


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 19, "٣"])
def test_a_place_that_is_none_is_not_found(browser: Client, case: Case, before: str) -> None:
    assert browser.get(page_of(case), {"before": before}).status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_rows(
    browser: Client, case: Case, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        record_reads(factories.user(), [(case.organisation_id, case.patient_id)])
    with django_assert_max_num_queries(10):
        browser.get(page_of(case))


def test_the_api_gives_the_same_page_by_page_and_records_it(officer: User, case: Case, clinician: User) -> None:
    record_reads(clinician, [(case.organisation_id, case.patient_id)])
    api = ApiClient(token_for(officer))
    address: str | None = f"{API}patients/{case.patient_id}/accesses/?page_size=2"
    seen = []
    while address:
        answer = api.get(address)
        assert answer.status_code == 200, answer.content
        seen += answer.json()["results"]
        address = answer.json()["next"]
    ids = [event["id"] for event in seen]
    expected = AuditEvent.objects.filter(patient_id=case.patient_id).order_by("-at", "-id")
    assert len(ids) == len(set(ids)) > 3
    assert set(ids) <= set(expected.values_list("pk", flat=True))
    assert seen[0]["action"] == "accesses.read"
    read = next(event for event in seen if event["action"] == "patient.read")
    assert (read["actor"], read["actor_email"]) == (str(clinician.pk), clinician.email)
    assert read["action_text"] == "Saw the patient's data"
    answered = next(event for event in seen if event["action"] == "case.submitted")
    assert answered["object_id"] == str(case.pk)


@pytest.mark.parametrize(
    "cursor", ["x", "MjAyNi0xMS0yM1QwMDowMDowMCswMDowMHw5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "fHw="]
)
def test_a_cursor_of_another_list_never_breaks_the_api(officer: User, case: Case, cursor: str) -> None:
    answer = ApiClient(token_for(officer)).get(f"{API}patients/{case.patient_id}/accesses/?cursor={cursor}")
    assert answer.status_code in (200, 400)


def test_an_erased_patient_still_has_a_history(browser: Client, case: Case) -> None:
    type(case.patient).objects.filter(pk=case.patient_id).update(data_key_row=None, record_number_index=None)
    shown = browser.get(page_of(case)).content.decode()
    assert "erased" in shown
    assert "Submitted a case" in shown
