"""Opinions, outcomes, notices, saved views, ready texts, rules of services and webhooks through the API."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from diagnosis.models import (
    ConsentScope,
    Notification,
    Outcome,
    Plan,
    Referral,
    ServicePolicy,
    WebhookDelivery,
)
from diagnosis.services.webhooks import signature
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.diagnosis.referrals.walking import read, sign

API = "/api/v1/"


@pytest.fixture
def reader(db: None) -> User:
    return factories.dermatologist(first_name="Ingrid", last_name="Solberg")


@pytest.fixture
def derm(reader: User) -> Any:
    return ApiClient(token_for(reader))


@pytest.fixture
def referral(clinician: User, reader: User) -> Referral:
    return factories.accepted_referral(clinician, reader)


class TestOpinions:
    def test_two_who_disagree_are_settled_by_a_third(self, derm: Any, referral: Referral, reader: User) -> None:
        address = f"{API}referrals/{referral.pk}/opinions/"
        second, third = (factories.dermatologist(referral.service) for _ in range(2))
        asked = {"service": str(referral.service_id), "reader": str(second.pk), "question": "Streaks?"}
        refused = derm.send(address, asked)
        assert (refused.status_code, refused.json()["code"]) == (409, "read_first")

        read(reader, referral, "nevus")
        whom = {each["id"] for each in derm.get(address).json()["colleagues"]}
        assert whom == {str(second.pk), str(third.pk)}
        made = derm.send(address, asked)
        assert (made.status_code, made.json()["awaited"]) == (201, second.email)

        theirs: Any = ApiClient(token_for(second))
        (waiting,) = theirs.get(f"{API}opinions/").json()
        assert (waiting["question"], waiting["kind"]) == ("Streaks?", "second")
        assert theirs.get(address).json()["disagree"] is None
        posted = theirs.send(f"{API}referrals/{referral.pk}/first-read/", {"diagnosis": "melanoma", "confidence": 60})
        assert posted.status_code == 201
        assert theirs.get(f"{API}opinions/").json() == []

        assert derm.get(address).json()["disagree"] is True
        derm.send(address, {"service": str(referral.service_id), "reader": str(third.pk)})
        last: Any = ApiClient(token_for(third))
        assert last.get(f"{API}opinions/").json()[0]["kind"] == "third"
        last.send(f"{API}referrals/{referral.pk}/first-read/", {"diagnosis": "melanoma-in-situ", "confidence": 80})
        settled = derm.get(address).json()
        assert (settled["settled_as"], settled["awaited"]) == ("melanoma-in-situ", None)
        whole = derm.get(f"{API}referrals/{referral.pk}/").json()
        assert [(each["role"], each["blind"]) for each in whole["reads"]] == [
            ("first", True),
            ("second", True),
            ("third", True),
        ]

    @pytest.mark.parametrize(
        ("who", "action", "state"), [("asked", "decline", "declined"), ("asker", "withdraw", "withdrawn")]
    )
    def test_a_request_ends_without_a_read(
        self, derm: Any, referral: Referral, reader: User, who: str, action: str, state: str
    ) -> None:
        read(reader, referral)
        colleague = factories.dermatologist(referral.service)
        address = f"{API}referrals/{referral.pk}/opinions/"
        made = derm.send(address, {"service": str(referral.service_id), "reader": str(colleague.pk)}).json()
        client = derm if who == "asker" else ApiClient(token_for(colleague))
        ended = client.send(f"{API}opinions/{made['opinions'][0]['id']}/actions/", {"action": action})
        assert (ended.status_code, ended.json()["state"]) == (200, state)
        assert derm.get(address).json()["awaited"] is None


class TestOutcomes:
    def test_one_is_recorded_corrected_and_awaited_no_more(
        self, api: ApiClient, referral: Referral, reader: User
    ) -> None:
        read(reader, referral)
        sign(reader, referral, plan=Plan.BIOPSY)
        (due,) = api.get(f"{API}outcomes/due/").json()["results"]
        assert (due["referral"], due["overdue"]) == (str(referral.pk), False)
        today = timezone.now().date().isoformat()
        new = {"lesion": due["lesion"], "kind": "histology", "diagnosis": "nevus", "determined_on": today}
        first = api.send(f"{API}outcomes/", new).json()
        assert api.get(f"{API}outcomes/due/").json()["results"] == []
        assert api.send(f"{API}outcomes/", new).json()["id"] == first["id"]
        better = api.send(f"{API}outcomes/", {**new, "diagnosis": "melanoma", "corrects": first["id"]})
        assert better.status_code == 201
        rows = api.get(f"{API}outcomes/?lesion={due['lesion']}").json()["results"]
        assert [(row["diagnosis"], row["counts"]) for row in rows] == [("melanoma", True), ("nevus", False)]

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"diagnosis": "flu"}, 422),
            ({"determined_on": "2999-01-01"}, 422),
            ({"kind": "guess"}, 400),
            ({"x": 1}, 400),
        ],
    )
    def test_an_impossible_one_is_refused(
        self, api: ApiClient, referral: Referral, change: dict[str, Any], status: int
    ) -> None:
        new = {"lesion": str(referral.case.lesion_id), "kind": "histology", "diagnosis": "nevus"}
        refused = api.send(f"{API}outcomes/", {**new, "determined_on": "2026-01-02", **change})
        assert refused.status_code == status
        assert not Outcome.objects.exists()

    def test_a_file_says_what_it_would_do_and_does_it_when_told(self, api: ApiClient, referral: Referral) -> None:
        lines = f"lesion,kind,diagnosis,determined_on\n{referral.case.lesion_id},histology,nevus,2026-01-02\n"

        def send(text: str, **fields: Any) -> Any:
            file = SimpleUploadedFile("o.csv", text.encode("utf-8-sig"), "text/csv")
            return api.post(f"{API}outcomes/import/", {"file": file, **fields})

        dry = send(lines).json()
        assert (dry["dry_run"], dry["would_be_recorded"], Outcome.objects.count()) == (True, 1, 0)
        bad = send(lines + "nothing,histology,nevus,2026-01-02\n", apply="true").json()
        assert (bad["recorded"], bad["refused"], Outcome.objects.count()) == (0, 1, 0)
        assert send(lines, apply="true").json()["recorded"] == 1
        assert send(lines, apply="true").json()["known"] == 1
        assert send("a;b\n").status_code == 422
        assert send("\xff\xfe").status_code == 422


class TestNotices:
    def test_they_are_listed_seen_and_wanted(self, api: ApiClient, referral: Referral, clinician: User) -> None:
        rows = api.get(f"{API}notices/?unseen=true").json()["results"]
        assert [(row["kind"], row["referral"]) for row in rows] == [("accept", str(referral.pk))]
        assert api.send(f"{API}notices/seen/", {"ids": [rows[0]["id"]]}).json() == {"seen": 1}
        assert api.get(f"{API}notices/?unseen=true").json()["results"] == []
        assert api.get(f"{API}notices/").json()["results"][0]["seen_at"]
        assert api.get(f"{API}notices/preference/").json() == {"mail": "at_once"}
        put = api.put(f"{API}notices/preference/", {"mail": "daily"}, content_type="application/json")
        assert put.json() == api.get(f"{API}notices/preference/").json() == {"mail": "daily"}

    def test_nobody_marks_those_of_others(self, api: ApiClient, derm: Any, referral: Referral, reader: User) -> None:
        theirs = Notification.objects.get(user=reader, kind="sent")
        assert api.send(f"{API}notices/seen/", {"ids": [str(theirs.pk)]}).json() == {"seen": 0}
        theirs.refresh_from_db()
        assert theirs.seen_at is None
        assert derm.get(f"{API}notices/").json()["results"][0]["id"] == str(theirs.pk)


class TestReadyTexts:
    NEW = {"title": "Harmless mole", "text": "Regular network.", "diagnosis": "nevus", "plan": "observe", "months": 3}

    def test_ones_own_are_ones_own_and_the_services_are_everybodys(
        self, derm: Any, referral: Referral, reader: User
    ) -> None:
        own = derm.send(f"{API}snippets/", self.NEW)
        shared = derm.send(f"{API}snippets/", {**self.NEW, "shared": True})
        assert (own.status_code, shared.status_code) == (201, 201)
        assert derm.send(f"{API}snippets/", self.NEW).json()["code"] == "title_taken"
        colleague: Any = ApiClient(token_for(factories.dermatologist(referral.service)))
        assert [row["shared"] for row in colleague.get(f"{API}snippets/").json()] == [True]
        put = {"data": {**self.NEW, "shared": True, "text": "Changed."}, "content_type": "application/json"}
        assert colleague.put(f"{API}snippets/{own.json()['id']}/", **put).status_code == 404
        assert colleague.put(f"{API}snippets/{shared.json()['id']}/", **put).json()["text"] == "Changed."
        assert derm.delete(f"{API}snippets/{own.json()['id']}/").status_code == 204
        stranger: Any = ApiClient(token_for(factories.dermatologist()))
        assert stranger.get(f"{API}snippets/").json() == []
        assert stranger.delete(f"{API}snippets/{shared.json()['id']}/").status_code == 404

    @pytest.mark.parametrize(
        ("change", "status"),
        [({"plan": "biopsy"}, 422), ({"diagnosis": "flu"}, 422), ({"text": ""}, 400), ({"months": 40}, 400)],
    )
    def test_an_impossible_one_is_refused(self, derm: Any, change: dict[str, Any], status: int) -> None:
        assert derm.send(f"{API}snippets/", {**self.NEW, **change}).status_code == status


def test_views_are_kept_replaced_and_forgotten(derm: Any, reader: User) -> None:
    for urgency in ("soon", "routine"):
        made = derm.send(f"{API}saved-views/", {"name": "Heads", "urgency": urgency})
    (row,) = derm.get(f"{API}saved-views/").json()
    assert (row["name"], row["filters"]) == ("Heads", {"whose": "all", "urgency": "routine"})
    other: Any = ApiClient(token_for(factories.dermatologist()))
    assert other.delete(f"{API}saved-views/{made.json()['id']}/").status_code == 404
    assert derm.delete(f"{API}saved-views/{made.json()['id']}/").status_code == 204
    assert derm.get(f"{API}saved-views/").json() == []


class TestRules:
    RULES = {
        "hours_urgent_suspected_cancer": 12, "hours_soon": 48, "hours_routine": 100, "remind_before_hours": 4,
        "expire_after_hours": 100, "blind_read": False,
    }  # fmt: skip

    def test_an_administrator_of_the_service_changes_them(self, clinician: User, reader: User, derm: Any) -> None:
        service = factories.organisation_of(reader)
        referral = factories.referral(clinician, service)
        before = referral.sort_key
        lead: Any = ApiClient(token_for(factories.member(Role.ADMINISTRATOR, service)))
        address = f"{API}service-policies/{service.pk}/"
        assert derm.get(address).json()["blind_read"] is True
        put: Any = {"data": self.RULES, "content_type": "application/json"}
        assert derm.put(address, **put).status_code == 403
        changed = lead.put(address, **put)
        assert (changed.status_code, changed.json()["hours_soon"]) == (200, 48)
        referral.refresh_from_db()
        assert referral.sort_key != before  # its place no longer hides the answer
        event = AuditEvent.objects.get(action="service_policy.changed")
        assert event.details["before"]["hours_soon"] == 72

    @pytest.mark.parametrize(
        "change",
        [
            {"hours_soon": 8},
            {"hours_routine": 0},
            {"open_to_all_clinics": False},
            {"clinics": ["6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77"]},
        ],
    )
    def test_impossible_rules_are_refused(self, reader: User, change: dict[str, Any]) -> None:
        service = factories.organisation_of(reader)
        lead: Any = ApiClient(token_for(factories.member(Role.ADMINISTRATOR, service)))
        put: Any = {"data": {**self.RULES, **change}, "content_type": "application/json"}
        assert lead.put(f"{API}service-policies/{service.pk}/", **put).status_code in (400, 422)
        assert not ServicePolicy.objects.exists()


class TestWebhooks:
    @pytest.fixture
    def lead(self, clinician: User) -> Any:
        return ApiClient(token_for(factories.member(Role.ADMINISTRATOR, factories.organisation_of(clinician))))

    def test_the_secret_is_shown_once_and_can_be_renewed(self, lead: Any) -> None:
        made = lead.send(f"{API}webhooks/", {"url": "https://8.8.8.8/hook", "events": ["answer"]})
        assert made.status_code == 201
        secret = made.json()["secret"]
        assert len(secret) == 64
        assert secret not in lead.get(f"{API}webhooks/").content.decode()
        renewed = lead.send(f"{API}webhooks/{made.json()['id']}/secret/", {}).json()["secret"]
        assert renewed != secret
        assert signature(renewed, 1, b"x") != signature(secret, 1, b"x")

    @pytest.mark.parametrize(
        "url", ["http://8.8.8.8/", "https://127.0.0.1/", "https://u:p@8.8.8.8/", "https://10.1.1.1/"]
    )
    def test_addresses_inside_are_refused(self, lead: Any, url: str) -> None:
        assert lead.send(f"{API}webhooks/", {"url": url}).json()["code"] == "address_refused"

    def test_what_was_given_up_is_sent_again(self, lead: Any, clinician: User, reader: User) -> None:
        made = lead.send(f"{API}webhooks/", {"url": "https://8.8.8.8/hook"}).json()
        factories.referral(clinician, factories.organisation_of(reader))
        log = f"{API}webhooks/{made['id']}/deliveries/"
        (row,) = lead.get(log).json()["results"]
        assert (row["event"], row["state"]) == ("sent", "waiting")
        again = f"{API}webhook-deliveries/{row['id']}/resend/"
        assert lead.send(again, {}).json()["code"] == "waiting"
        WebhookDelivery.objects.update(state="given_up", attempts=10)
        answer = lead.send(again, {})
        assert (answer.json()["state"], answer.json()["attempts"]) == ("waiting", 0)
        assert lead.delete(f"{API}webhooks/{made['id']}/").status_code == 204
        WebhookDelivery.objects.update(state="given_up")
        assert lead.send(again, {}).json()["code"] == "switched_off"


def test_outcomes_of_another_clinic_are_not_seen(api: ApiClient, clinician: User) -> None:
    case = factories.referrable_case(factories.clinician())
    factories.grant(case.patient, case.submitted_by, ConsentScope.RESEARCH)
    new = {"lesion": str(case.lesion_id), "kind": "histology", "diagnosis": "nevus", "determined_on": "2026-01-02"}
    assert api.send(f"{API}outcomes/", new).status_code == 404


def test_a_patients_referrals_are_found_by_number_answered_ones_too(derm: Any, reader: User) -> None:
    clinician = factories.clinician()
    referral = factories.accepted_referral(clinician, reader)
    read(reader, referral)
    sign(reader, referral)
    number = referral.case.patient.record_number
    (row,) = derm.send(f"{API}worklist/look-up/", {"record_number": number.lower()}).json()
    assert (row["id"], row["state"]) == (str(referral.pk), "answered")
    assert AuditEvent.objects.filter(action="patient.read", patient_id=referral.case.patient_id, actor=reader).exists()
    assert derm.send(f"{API}worklist/look-up/", {"record_number": "NOBODY"}).json() == []
    assert derm.send(f"{API}worklist/look-up/", {}).status_code == 400
