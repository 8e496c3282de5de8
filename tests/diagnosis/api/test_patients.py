"""Patients, their lesions and their consents: created once, found by record number, seen by their clinic alone."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from diagnosis.models import ConsentChange, Lesion, Patient
from skincare.accounts.models import Organisation, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for

PATIENTS = "/api/v1/patients/"
LESIONS = "/api/v1/lesions/"
NEW = {
    "record_number": "HRS-20481",
    "name": "Maria Lindqvist",
    "birth_date": "1961-04-17",
    "sex": "female",
    "fitzpatrick_skin_type": "V",
}


def consent(**changes: object) -> dict[str, Any]:
    """A grant of the consent to analysis, as JSON."""
    return {
        "policy_version": factories.policy().version,
        "scope": "analysis",
        "captured_at": (timezone.now() - timedelta(minutes=5)).isoformat(),
        "method": "paper",
        **changes,
    }


def test_a_patient_is_created_and_shown(api: ApiClient, clinician: User) -> None:
    created = api.send(PATIENTS, NEW)

    assert created.status_code == 201
    assert {name: created.json()[name] for name in NEW} == NEW
    assert created.json()["organisation"] == str(factories.organisation_of(clinician).pk)
    assert api.get(f"{PATIENTS}{created.json()['id']}/").json() == created.json()
    assert api.get(PATIENTS).json() == {"next": None, "results": [created.json()]}


def test_a_patient_with_a_record_number_alone_has_the_rest_empty(api: ApiClient) -> None:
    shown = api.send(PATIENTS, {"record_number": "7"}).json()
    assert (shown["name"], shown["birth_date"], shown["sex"], shown["fitzpatrick_skin_type"]) == ("", None, "", "")


def test_a_patient_sent_twice_under_one_id_is_one(api: ApiClient) -> None:
    new = {"id": str(uuid4()), **NEW}
    first, second = api.send(PATIENTS, new), api.send(PATIENTS, new)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Patient.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"age": 300}, 400, "age"),
        ({"record_number": ""}, 400, "record_number"),
        ({"record_number": "   "}, 400, "record_number"),
        ({"birth_date": "1726-01-01"}, 422, "birth_date"),
        ({"birth_date": "2526-01-01"}, 422, "birth_date"),
        ({"birth_date": "1961-02-30"}, 400, "birth_date"),
        ({"sex": "unknown"}, 400, "sex"),
        ({"fitzpatrick_skin_type": 5}, 400, "fitzpatrick_skin_type"),
        ({"organisation": str(uuid4())}, 404, "organisation"),
        ({"id": "1"}, 400, "id"),
    ],
)
def test_a_patient_who_cannot_be_is_refused_by_name(
    api: ApiClient, changes: dict[str, Any], status: int, field: str
) -> None:
    answer = api.send(PATIENTS, {**NEW, **changes})
    assert answer.status_code == status
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert not Patient.objects.exists()


@pytest.mark.parametrize("body", ["[]", "null", "7", '"text"', "{", ""])
def test_a_body_that_is_no_object_is_refused(api: ApiClient, body: str) -> None:
    answer = api.post(PATIENTS, body, content_type="application/json")
    assert answer.status_code == 400


def test_a_body_that_is_too_large_is_refused(api: ApiClient) -> None:
    answer = api.send(PATIENTS, {**NEW, "name": "x" * 2_000_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_patients_are_found_by_record_number_in_ones_own_clinic_only(api: ApiClient) -> None:
    mine = api.send(PATIENTS, NEW).json()
    ApiClient(token_for(factories.clinician())).send(PATIENTS, NEW)

    found = api.send(f"{PATIENTS}look-up/", {"record_number": " hrs-20481 "})

    assert [patient["id"] for patient in found.json()] == [mine["id"]]
    assert api.send(f"{PATIENTS}look-up/", {"record_number": "HRS-2048"}).json() == []


@pytest.mark.parametrize("name", ["Maria Lindqvist", "lindqvist, MARÍA", " Maria  Lindqvist"])
def test_patients_are_found_by_name_and_birth_date_in_ones_own_clinic_only(api: ApiClient, name: str) -> None:
    mine = api.send(PATIENTS, NEW).json()
    ApiClient(token_for(factories.clinician())).send(PATIENTS, NEW)
    namesake = api.send(PATIENTS, {**NEW, "record_number": "HRS-2"}).json()

    found = api.send(f"{PATIENTS}look-up/", {"name": name, "birth_date": NEW["birth_date"]}).json()

    assert {patient["id"] for patient in found} == {mine["id"], namesake["id"]}
    assert found[0]["name"] == NEW["name"]
    for other in ({"name": "Maria Lind"}, {"birth_date": "1961-04-18"}):
        assert api.send(f"{PATIENTS}look-up/", {"name": name, "birth_date": NEW["birth_date"], **other}).json() == []
    assert set(AuditEvent.objects.filter(action="patient.read").values_list("patient_id", flat=True)) == {
        UUID(mine["id"]),
        UUID(namesake["id"]),
    }


@pytest.mark.parametrize("missing", ["name", "birth_date"])
def test_a_patient_without_name_or_birth_date_is_found_by_number_alone(api: ApiClient, missing: str) -> None:
    api.send(PATIENTS, {name: value for name, value in NEW.items() if name != missing})
    wanted = {"name": NEW["name"], "birth_date": NEW["birth_date"]}
    assert api.send(f"{PATIENTS}look-up/", wanted).json() == []
    assert len(api.send(f"{PATIENTS}look-up/", {"record_number": NEW["record_number"]}).json()) == 1


@pytest.mark.parametrize(
    ("wanted", "code", "says"),
    [
        ({}, "one_way_needed", "record_number alone, or name and birth_date together"),
        ({"name": "Maria"}, "one_way_needed", "name and birth_date together"),
        ({"birth_date": "1961-04-17"}, "one_way_needed", "name and birth_date together"),
        ({"record_number": "1", "name": "M", "birth_date": "1961-04-17"}, "one_way_needed", "record_number alone"),
        ({"name": "--", "birth_date": "1961-04-17"}, "no_letters", "letters or digits"),
        ({"name": "M", "birth_date": "17.4.1961"}, "invalid", "YYYY"),
        ({"name": "", "birth_date": "1961-04-17"}, "blank", "blank"),
        ({"name": "M", "birthdate": "1961-04-17"}, "unknown_field", "birth_date"),
    ],
)
def test_half_a_look_up_is_refused_with_the_two_ways_there_are(
    api: ApiClient, wanted: dict[str, str], code: str, says: str
) -> None:
    answer = api.send(f"{PATIENTS}look-up/", wanted)
    assert answer.status_code == 400
    assert any(error["code"] == code and says in error["detail"] for error in answer.json()["errors"])


def test_a_clinician_of_two_clinics_sees_both_and_says_where(api: ApiClient, clinician: User) -> None:
    second = factories.organisation(Organisation.Kind.CLINIC)
    clinician.memberships.create(organisation=second, role="clinician")
    assert api.send(PATIENTS, NEW).status_code == 422
    for place in (second, clinician.memberships.exclude(organisation=second).get().organisation):
        assert api.send(PATIENTS, {**NEW, "organisation": str(place.pk)}).status_code == 201
    assert len(api.get(PATIENTS).json()["results"]) == 2
    assert len(api.send(f"{PATIENTS}look-up/", {"record_number": NEW["record_number"]}).json()) == 2


def test_an_erased_patient_shows_nothing_that_identifies(api: ApiClient, clinician: User) -> None:
    patient = factories.patient(clinician)
    lesion = factories.lesion(patient, clinician)
    factories.grant(patient, clinician)
    assert patient.data_key_row is not None
    patient.data_key_row.delete()

    shown = api.get(f"{PATIENTS}{patient.pk}/").json()

    assert (shown["record_number"], shown["name"], shown["birth_date"], shown["erased"]) == ("", "", None, True)
    assert api.get(f"{LESIONS}{lesion.pk}/").json()["description"] == ""
    assert api.get(f"{PATIENTS}{patient.pk}/consents/").json()["history"][0]["witness"] == ""


def test_a_lesion_is_created_listed_and_shown(api: ApiClient, clinician: User) -> None:
    patient, other = factories.patient(clinician), factories.patient(clinician)
    new = {
        "patient": str(patient.pk),
        "anatom_site_general": "palms/soles",
        "body_map_side": "front",
        "body_map_x": 0.5,
        "body_map_y": 1,
        "description": "Left sole",
    }
    created = api.send(LESIONS, new)
    api.send(LESIONS, {"patient": str(other.pk), "anatom_site_general": "head/neck"})

    assert created.status_code == 201
    assert {name: created.json()[name] for name in new} == new
    assert api.get(f"{LESIONS}{created.json()['id']}/").json() == created.json()
    assert api.get(f"{LESIONS}?patient={patient.pk}").json()["results"] == [created.json()]
    assert len(api.get(LESIONS).json()["results"]) == 2


def test_a_lesion_sent_twice_under_one_id_is_one(api: ApiClient, clinician: User) -> None:
    new = {
        "id": str(uuid4()),
        "patient": str(factories.patient(clinician).pk),
        "anatom_site_general": "lower extremity",
    }
    assert [api.send(LESIONS, new).status_code for _ in range(2)] == [201, 200]
    assert Lesion.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"patient": str(uuid4())}, 404, "patient"),
        ({"body_map_x": 0.5}, 422, "body_map_side"),
        ({"body_map_side": "front", "body_map_x": 1.5, "body_map_y": 0}, 400, "body_map_x"),
        ({"anatom_site_general": "elbow"}, 400, "anatom_site_general"),
        ({"colour": "brown"}, 400, "colour"),
    ],
)
def test_a_lesion_that_cannot_be_is_refused_by_name(
    api: ApiClient, clinician: User, changes: dict[str, Any], status: int, field: str
) -> None:
    new = {"patient": str(factories.patient(clinician).pk), "anatom_site_general": "head/neck", **changes}
    answer = api.send(LESIONS, new)
    assert answer.status_code == status
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert not Lesion.objects.exists()


def test_consent_is_granted_withdrawn_and_its_history_kept(api: ApiClient, clinician: User) -> None:
    url = f"{PATIENTS}{factories.patient(clinician).pk}/consents/"
    assert [scope["allowed"] for scope in api.get(url).json()["in_force"]] == [False, False, False]

    granted = api.send(url, consent(witness="A. Porter"))
    event = granted.json()["history"][0]
    assert granted.status_code == 201
    assert granted.json()["in_force"][0] == {
        "scope": "analysis",
        "allowed": True,
        "granted_by": event["id"],
        "expires_at": None,
    }
    assert (event["witness"], event["recorded_by"]) == ("A. Porter", str(clinician.pk))
    assert event["effective_at"] == event["captured_at"] < event["recorded_at"]

    withdrawn = api.send(url, consent(change="withdrawn", method="spoken", witness="B. Hale"))
    assert withdrawn.json()["in_force"][0] == {
        "scope": "analysis",
        "allowed": False,
        "granted_by": None,
        "expires_at": None,
    }
    assert [change["change"] for change in withdrawn.json()["history"]] == ["withdrawn", "granted"]
    assert api.get(url).json() == withdrawn.json()

    late = api.send(url, consent())  # captured before the withdrawal, and sent after it
    assert (late.status_code, late.json()["in_force"][0]["allowed"]) == (201, False)


def test_a_withdrawal_stops_a_waiting_analysis(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    api.send(f"{PATIENTS}{case.patient_id}/consents/", consent(change=ConsentChange.WITHDRAWN))
    shown = api.get(f"/api/v1/cases/{case.pk}/").json()
    assert (shown["state"], shown["analysis"]["reason"]) == ("stored", "consent_withdrawn")


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"captured_at": "2526-01-01T00:00:00Z"}, 422, "captured_at"),
        ({"captured_at": "2026-01-01T00:00:00"}, 400, "captured_at"),
        ({"captured_at": "0001-01-01T00:00:00+14:00"}, 400, "captured_at"),
        ({"policy_version": "0"}, 422, "policy_version"),
        ({"policy_language": "tlh"}, 422, "policy_version"),
        ({"method": "spoken"}, 422, "witness"),
        ({"scope": "everything"}, 400, "scope"),
        ({"recorded_at": "2026-01-01T00:00:00Z"}, 400, "recorded_at"),
    ],
)
def test_a_consent_that_cannot_be_is_refused_by_name(
    api: ApiClient, clinician: User, changes: dict[str, Any], status: int, field: str
) -> None:
    url = f"{PATIENTS}{factories.patient(clinician).pk}/consents/"
    answer = api.send(url, consent(**changes))
    assert answer.status_code == status, answer.content
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert api.get(url).json()["history"] == []


def test_policies_are_listed_with_their_text(api: ApiClient) -> None:
    policy = factories.policy("2026-1")
    (shown,) = api.get("/api/v1/consent-policies/?version=2026-1").json()["results"]
    assert (shown["version"], shown["language"], shown["text"]) == ("2026-1", "en", policy.text)
    assert api.get("/api/v1/consent-policies/?language=de").json()["results"] == []


def test_showing_patients_takes_four_queries_however_many_and_is_recorded(
    api: ApiClient, clinician: User, django_assert_num_queries: Any
) -> None:
    for _ in range(2):
        for _ in range(3):
            factories.lesion(factories.patient(clinician), clinician)
        for address in (PATIENTS, LESIONS):
            with django_assert_num_queries(4):  # the token, the roles, the page, the audit events
                api.get(address)
    assert AuditEvent.objects.filter(action="patient.read", actor=clinician).count() == 6
