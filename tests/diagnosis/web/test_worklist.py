"""The dermatologist's pages: who sees what, what a blind reader is kept from, and what each press does."""

import re
from typing import Any

import pytest
from django.test import Client

from diagnosis.classifier.taxonomy import NAMES
from diagnosis.models import (
    Assessment,
    ConsentScope,
    FirstRead,
    Message,
    Plan,
    Referral,
    ReferralState,
    SecondOpinion,
    ServicePolicy,
    Urgency,
)
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.test_pictures import case_with_a_map
from tests.diagnosis.referrals.walking import network_answers, read, sign

pytestmark = pytest.mark.django_db
RISK = 0.3718281
#: What would tell a blind reader of the network's answer in the fixture below.
TELLING = (
    "37%",
    "63%",
    str(RISK),
    "for-tests",
    "Refer to dermatology",
    "network&#x27;s answer</h2>",
    f"{NAMES['mel']}<",
)


def browser_of(user: User) -> Client:
    """Signed in by the form, so that the session knows when."""
    client = Client()
    answer = client.post("/sign-in/", {"username": user.email, "password": factories.PASSWORD})
    assert answer.status_code == 302
    return client


@pytest.fixture
def browser(reader: User) -> Client:
    return browser_of(reader)


@pytest.fixture
def referral(clinician: User, reader: User) -> Referral:
    """Accepted by the reader; the network has answered."""
    made = factories.accepted_referral(clinician, reader)
    network_answers(RISK)
    return made


def page(referral: Referral) -> str:
    return f"/worklist/{referral.pk}/"


def do(client: Client, referral: Referral, action: str, **form: Any) -> Any:
    """A press of a button."""
    return client.post(f"{page(referral)}do/{action}/", form)


class TestTheList:
    def test_it_is_ordered_and_says_why(self, clinician: User, reader: User, browser: Client) -> None:
        service = factories.organisation_of(reader)
        routine = factories.referral(clinician, service, Urgency.ROUTINE)
        urgent = factories.referral(clinician, service, Urgency.URGENT_SUSPECTED_CANCER)
        shown = browser.get("/worklist/").content.decode()
        assert shown.index(f"case-{urgent.pk}") < shown.index(f"case-{routine.pk}")
        assert "Urgent: suspected cancer; due in" in shown
        assert re.search(r'id="tab-all"[^>]*>All <span class="number">2<', shown)
        assert "<script>" not in shown
        assert "style=" not in shown

    def test_it_tells_nothing_of_the_answer(self, referral: Referral, browser: Client) -> None:
        for address in ("/worklist/", "/worklist/?part=list"):
            shown = browser.get(address).content.decode()
            assert str(referral.pk) in shown
            for telling in TELLING:
                assert telling not in shown

    def test_to_see_it_is_recorded(self, referral: Referral, browser: Client, reader: User) -> None:
        browser.get("/worklist/")
        assert AuditEvent.objects.filter(
            action="patient.read", actor=reader, patient_id=referral.case.patient_id
        ).exists()

    def test_of_another_service_nothing_is_seen(self, referral: Referral) -> None:
        other = browser_of(factories.dermatologist())
        assert str(referral.pk) not in other.get("/worklist/").content.decode()
        assert other.get("/worklist/", {"service": str(referral.service_id)}).status_code == 404
        for address in ("", "revision/", "map/", f"photographs/{referral.case.images.get().pk}/"):
            assert other.get(page(referral) + address).status_code == 404
        assert do(other, referral, "accept").status_code == 404

    def test_it_is_asked_again_at_the_price_of_an_etag(
        self, clinician: User, referral: Referral, browser: Client
    ) -> None:
        first = browser.get("/worklist/?part=list")
        events = AuditEvent.objects.count()
        same = browser.get("/worklist/?part=list", headers={"If-None-Match": first["ETag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert AuditEvent.objects.count() == events
        new = factories.referral(clinician, referral.service)
        changed = browser.get("/worklist/?part=list", headers={"If-None-Match": first["ETag"]})
        assert changed.status_code == 200
        assert str(new.pk) in changed.content.decode()

    @pytest.mark.parametrize("query", ["whose=x", "urgency=x", "service=x", "after=x", "after=1.x", "before=-1.y"])
    def test_what_an_address_cannot_mean_is_not_found(self, browser: Client, query: str) -> None:
        assert browser.get(f"/worklist/?{query}").status_code == 404

    def test_pages_lead_on_and_back(
        self, clinician: User, reader: User, browser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = [factories.referral(clinician, factories.organisation_of(reader)) for _ in range(3)]
        order = sorted(made, key=lambda each: (each.sort_key, each.pk))
        after = f"{order[0].sort_key}.{order[0].pk}"
        second = browser.get(f"/worklist/?after={after}").content.decode()
        assert [str(each.pk) in second for each in order] == [False, True, True]
        back = second.partition('rel="prev" href="')[2].partition('"')[0].replace("&amp;", "&")
        first = browser.get(f"/worklist/{back}").content.decode()
        assert [f"case-{each.pk}" in first for each in order] == [True, False, False]
        assert 'rel="next"' in first

    def test_the_number_of_queries_does_not_grow_with_the_rows(
        self, clinician: User, reader: User, browser: Client, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(4):
            factories.referral(clinician, factories.organisation_of(reader))
        with django_assert_max_num_queries(20):
            assert browser.get("/worklist/").content.decode().count("data-row") == 4

    def test_a_dermatologist_begins_there(self, browser: Client) -> None:
        assert browser.get("/start/")["Location"] == "/worklist/"
        assert "New ones appear here by themselves" in browser.get("/worklist/").content.decode()


class TestReadingBlind:
    def test_nothing_of_the_answer_is_anywhere_before_the_read(self, referral: Referral, browser: Client) -> None:
        shown = browser.get(page(referral)).content.decode()
        for telling in (*TELLING, "map-strength", "/map/"):
            assert telling not in shown, telling
        assert browser.get(f"{page(referral)}map/").status_code == 404
        assert browser.get(f"{page(referral)}revision/").content == str(Referral.objects.get().revision).encode()

    def test_nothing_polled_moves_when_the_network_answers(
        self, clinician: User, reader: User, browser: Client
    ) -> None:
        made = factories.accepted_referral(clinician, reader)
        addresses = (f"{page(made)}revision/", "/worklist/?part=list")
        before = [browser.get(address)["ETag"] for address in addresses]
        network_answers(RISK)
        assert [browser.get(address)["ETag"] for address in addresses] == before

    def test_it_follows_the_read(self, referral: Referral, browser: Client) -> None:
        answer = do(browser, referral, "read", diagnosis="nevus", confidence="75", comment="Even network")
        assert (answer.status_code, answer["Location"]) == (303, f"{page(referral)}#answer")
        shown = browser.get(page(referral)).content.decode()
        for text in ("37%", "Refer to dermatology", "for-tests", "read blind", "Even network"):
            assert text in shown, text
        assert FirstRead.objects.get().blind

    def test_the_map_comes_after_the_read(self, clinician: User, reader: User, browser: Client) -> None:
        case = case_with_a_map(clinician)
        factories.grant(case.patient, clinician, ConsentScope.TELEDERMATOLOGY)
        made = factories.referral(clinician, factories.organisation_of(reader), of=case)
        do(browser, made, "accept")
        assert browser.get(f"{page(made)}map/").status_code == 404
        read(reader, made)
        assert browser.get(f"{page(made)}map/")["Content-Type"] == "image/png"

    def test_where_the_service_does_not_read_blind_it_is_there_at_once(
        self, referral: Referral, browser: Client
    ) -> None:
        ServicePolicy.objects.create(service=referral.service, blind_read=False)
        assert "37%" in browser.get(page(referral)).content.decode()

    def test_a_second_reader_sees_nothing_of_the_first_nor_messages(
        self, referral: Referral, reader: User, browser: Client
    ) -> None:
        read(reader, referral, "melanoma", 95)
        do(browser, referral, "message", text="Looks like a melanoma to me")
        colleague = factories.dermatologist(referral.service)
        asked = do(browser, referral, "ask-opinion", of=f"reader:{colleague.pk}", question="Streaks?")
        assert asked.status_code == 303
        second = browser_of(colleague)
        shown = second.get(page(referral)).content.decode()
        for telling in (*TELLING, "Looks like a melanoma", "Streaks at the edge"):
            assert telling not in shown, telling
        assert "Streaks?" in shown
        do(second, referral, "read", diagnosis="nevus", confidence="75")
        assert "The readers disagree" in browser.get(page(referral)).content.decode()
        assert SecondOpinion.objects.get().state == "given"


class TestPresses:
    def test_a_clear_case(self, clinician: User, reader: User, browser: Client) -> None:
        made = factories.referral(clinician, factories.organisation_of(reader))
        assert do(browser, made, "accept").status_code == 303
        do(browser, made, "read", diagnosis="nevus", confidence="95")
        do(browser, made, "sign", diagnosis="nevus", confidence="95", plan="reassure", months="", text="")
        made.refresh_from_db()
        assert made.state == ReferralState.ANSWERED
        assert Assessment.objects.get().authenticated_by == "session"

    def test_of_two_the_later_is_told_who_was_first(self, referral: Referral, reader: User) -> None:
        late = browser_of(factories.dermatologist(referral.service))
        answer = do(late, referral, "accept")
        assert answer.status_code == 409
        assert f"by {reader.email}" in answer.content.decode()

    @pytest.mark.parametrize(
        ("form", "what"),
        [
            ({"confidence": "75"}, "choose a diagnosis"),
            ({"diagnosis": "nevus"}, "how confident"),
            ({"diagnosis": "flu", "confidence": "75"}, "not a diagnosis"),
            ({"diagnosis": "nevus", "confidence": "x"}, "not a whole number"),
        ],
    )
    def test_a_read_that_is_not_whole_is_refused_in_place(
        self, referral: Referral, browser: Client, form: dict[str, str], what: str
    ) -> None:
        answer = do(browser, referral, "read", comment="kept words", **form)
        assert answer.status_code == 422
        assert what in answer.content.decode()
        assert "kept words" in answer.content.decode()
        assert not FirstRead.objects.exists()

    def test_an_old_session_does_not_sign(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        old = Client()
        old.force_login(reader)
        answer = do(old, referral, "sign", diagnosis="nevus", confidence="75", plan=Plan.BIOPSY)
        assert answer.status_code == 422
        assert "Prove who you are" in answer.content.decode()

    def test_an_amendment_stands_above_what_it_replaces(
        self, referral: Referral, reader: User, browser: Client
    ) -> None:
        read(reader, referral)
        sign(reader, referral)
        do(browser, referral, "amend", diagnosis="melanoma", confidence="75", plan="urgent", text="Regression.")
        shown = browser.get(page(referral)).content.decode()
        assert shown.index("Regression.") < shown.index("Regular network, symmetrical.")
        assert "Replaced" in shown

    def test_a_question_waits_for_the_reply(self, referral: Referral, browser: Client) -> None:
        with factories.PHOTOGRAPH.open("rb") as photograph:
            do(browser, referral, "ask", text="Since when?", images=photograph)
        referral.refresh_from_db()
        assert referral.state == ReferralState.MORE_INFORMATION_ASKED
        image = Message.objects.get().images.get()
        assert "Waiting for the clinician" in browser.get("/worklist/").content.decode()
        assert browser.get(f"{page(referral)}message-photographs/{image.pk}/")["Content-Type"] == "image/jpeg"

    def test_what_was_declined_is_seen_no_more(self, referral: Referral, browser: Client) -> None:
        answer = do(browser, referral, "decline", reason="see_in_person", explanation="Please send them.")
        assert answer["Location"] == "/worklist/"
        assert browser.get(page(referral)).status_code == 404

    def test_withdrawn_consent_ends_the_sight_at_once(
        self, referral: Referral, clinician: User, browser: Client
    ) -> None:
        factories.withdraw(referral.case.patient, clinician, ConsentScope.TELEDERMATOLOGY)
        assert browser.get(page(referral)).status_code == 404
        assert str(referral.pk) not in browser.get("/worklist/").content.decode()

    def test_what_nobody_can_do_is_not_found(self, referral: Referral, browser: Client) -> None:
        assert do(browser, referral, "erase").status_code == 404
        assert browser.get(f"{page(referral)}do/accept/").status_code == 405

    def test_a_form_from_another_site_is_refused(self, referral: Referral, reader: User) -> None:
        victim = Client(enforce_csrf_checks=True)
        victim.force_login(reader)
        assert do(victim, referral, "release").status_code == 403
