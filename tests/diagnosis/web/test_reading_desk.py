"""Posts to the pages of the reading room: what is right is kept, what is wrong names its field, nothing is lost."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from diagnosis.models import Message, Referral, ReferralState, SavedView, SecondOpinion, Snippet
from diagnosis.services.worklist import Filters, key_of, page_before, worklist
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import amend, read, sign
from tests.diagnosis.web.forms import refused, tag
from tests.diagnosis.web.test_worklist import browser_of, do

pytestmark = pytest.mark.django_db


class TestReadyTexts:
    RIGHT = {"title": "Excise", "text": "Please excise.", "diagnosis": "melanoma", "plan": "observe", "months": "6"}

    def test_kept_changed_and_deleted(self, reader: User) -> None:
        browser = browser_of(reader)
        browser.post("/worklist/texts/", self.RIGHT)
        row = Snippet.objects.get()
        assert (row.owner, row.plan, row.months) == (reader, "observe", 6)
        browser.post("/worklist/texts/", {**self.RIGHT, "id": str(row.pk), "text": "Do excise.", "shared": "on"})
        row.refresh_from_db()
        assert (row.text, row.owner) == ("Do excise.", None)
        assert browser.post("/worklist/texts/", {"delete": str(row.pk)}).status_code == 303
        assert not Snippet.objects.exists()

    @pytest.mark.parametrize(
        ("field", "wrong", "says"),
        [("title", " ", "a title of"), ("text", "", "a text of"), ("months", "x", "not a whole number"),
         ("months", "99", "1 to 36"), ("diagnosis", "flu", "not a diagnosis")],
    )  # fmt: skip
    def test_what_is_wrong_names_its_field_and_loses_nothing(
        self, reader: User, field: str, wrong: str, says: str
    ) -> None:
        page = refused(browser_of(reader).post("/worklist/texts/", {**self.RIGHT, field: wrong}), field)
        assert says in page
        if field != "title":
            assert 'value="Excise"' in tag(page, "title")
        if field != "text":
            assert "Please excise.</textarea>" in page
        assert not Snippet.objects.exists()

    def test_a_name_is_taken_once(self, reader: User) -> None:
        browser = browser_of(reader)
        browser.post("/worklist/texts/", self.RIGHT)
        page = refused(browser.post("/worklist/texts/", {**self.RIGHT, "text": "Another."}), "title", status=409)
        assert "Another.</textarea>" in page


class TestFindAndKeep:
    def test_an_answered_referral_is_found_by_its_record_number_and_among_all_states(
        self, clinician: User, reader: User
    ) -> None:
        referral = factories.accepted_referral(clinician, reader)
        read(reader, referral)
        sign(reader, referral)
        waiting = factories.referral(clinician, referral.service)
        browser, number = browser_of(reader), referral.case.patient.record_number
        found = browser.post("/worklist/find/", {"record_number": number}).content.decode()
        assert f"case-{referral.pk}" in found
        assert f"1 referral with the record number {number}" in found
        assert "Answered" in found
        assert AuditEvent.objects.filter(action="patient.read", patient_id=referral.case.patient_id).exists()
        assert f"case-{referral.pk}" not in browser.get("/worklist/").content.decode()
        everything = browser.get("/worklist/?states=all").content.decode()
        assert everything.index(f"case-{waiting.pk}") < everything.index(f"case-{referral.pk}")
        assert f"claim-{referral.pk}" not in everything
        assert "states=all" in everything.partition(f'id="case-{referral.pk}" href="')[2].partition('"')[0]
        mine = browser.get("/worklist/?states=all&whose=mine").content.decode()
        assert (f"case-{referral.pk}" in mine, f"case-{waiting.pk}" in mine) == (True, False)
        stranger = browser_of(factories.dermatologist())
        assert f"case-{referral.pk}" not in stranger.post("/worklist/find/", {"record_number": number}).content.decode()
        factories.withdraw(referral.case.patient, clinician, factories.ConsentScope.TELEDERMATOLOGY)
        assert f"case-{referral.pk}" not in browser.get("/worklist/?states=all").content.decode()

    def test_all_states_page_by_key_forth_and_back(self, clinician: User, reader: User) -> None:
        service = factories.organisation_of(reader)
        made = [factories.referral(clinician, service) for _ in range(5)]
        with connection.cursor() as cursor:  # some at the same moment, past the trigger that keeps it
            cursor.execute("SET LOCAL session_replication_role = replica")
            Referral.objects.filter(pk__in=[made[1].pk, made[2].pk]).update(sent_at=made[3].sent_at)
            cursor.execute("SET LOCAL session_replication_role = origin")
        order = sorted(Referral.objects.all(), key=lambda each: (each.sent_at, each.pk), reverse=True)
        filters, seen, key = Filters(states="all"), [], None
        while True:
            page = worklist(user=reader, service=service, filters=filters, after=key, size=2)
            seen += page.referrals
            if (key := page.next_key) is None:
                break
        assert seen == order
        back = page_before(user=reader, service=service, filters=filters, before=key_of(order[3], filters), size=2)
        assert back.referrals == order[1:3]

    def test_a_view_is_kept_with_its_states_and_forgotten(self, reader: User) -> None:
        browser = browser_of(reader)
        kept = browser.post("/worklist/views/", {"name": "Answered urgent ones", "urgency": "soon", "states": "all"})
        assert "states=all" in kept["Location"]
        row = SavedView.objects.get()
        assert row.filters == {"whose": "all", "urgency": "soon", "states": "all"}
        assert browser.post("/worklist/views/", {"name": " ", "urgency": "soon"}).status_code == 404
        assert browser.post("/worklist/views/", {"name": "x", "states": "gone"}).status_code == 404
        browser.post("/worklist/views/", {"forget": str(row.pk)})
        assert not SavedView.objects.exists()

    def test_a_place_that_is_none_is_not_found(self, reader: User) -> None:
        browser = browser_of(reader)
        pk = "00000000-0000-4000-8000-000000000000"
        assert browser.get(f"/worklist/?states=all&after={'9' * 17}.{pk}").status_code == 200
        assert browser.get(f"/worklist/?states=all&after={'9' * 18}.{pk}").status_code == 404
        assert browser.get("/worklist/?states=closed").status_code == 404


class TestOnTheReadingPage:
    @pytest.fixture
    def referral(self, clinician: User, reader: User) -> Referral:
        made = factories.accepted_referral(clinician, reader)
        read(reader, made, confidence=75)
        return made

    @pytest.mark.parametrize(
        ("field", "changes", "says"),
        [
            ("plan", {"plan": ""}, "what is to be done"),
            ("months", {"plan": "observe", "months": "99"}, "1 to 36 months"),
            ("months", {"plan": "observe", "months": "x"}, "not a whole number"),
            ("diagnosis", {"diagnosis": ""}, "choose a diagnosis"),
            ("confidence", {"confidence": ""}, "how confident"),
        ],
    )
    def test_an_answer_that_is_not_whole_is_refused_in_place(
        self, referral: Referral, reader: User, field: str, changes: dict[str, str], says: str
    ) -> None:
        form = {"diagnosis": "melanoma", "confidence": "75", "plan": "excise", "text": "kept words", **changes}
        page = refused(do(browser_of(reader), referral, "sign", **form), field)
        assert says in page
        assert "kept words</textarea>" in page
        if field != "diagnosis":
            assert re.search(r'value="melanoma"[^>]* selected', page)
        referral.refresh_from_db()
        assert referral.state == ReferralState.ACCEPTED

    def test_a_message_without_words_and_one_with_what_is_no_photograph(self, referral: Referral, reader: User) -> None:
        browser = browser_of(reader)
        refused(do(browser, referral, "message", text=" "), "text")
        file = SimpleUploadedFile("x.jpg", b"nothing", "image/jpeg")
        page = refused(do(browser, referral, "message", text="kept words", images=file), "images")
        assert "kept words</textarea>" in page
        assert not Message.objects.exists()

    def test_an_amendment_begins_with_the_answer_that_counts_not_with_the_blind_read(
        self, referral: Referral, reader: User
    ) -> None:
        sign(reader, referral, diagnosis="melanoma-in-situ", confidence=95, plan="observe", months=7)
        browser = browser_of(reader)
        page = browser.get(f"/worklist/{referral.pk}/").content.decode()
        assert re.findall(r'value="([^"]*)"[^>]* (?:selected|checked)', page) == ["melanoma-in-situ", "95", "observe"]
        assert 'value="7"' in tag(page, "months")
        amend(reader, referral, diagnosis="melanoma", confidence=50, plan="urgent", text="Regression.")
        page = browser_of(factories.dermatologist(referral.service)).get(f"/worklist/{referral.pk}/").content.decode()
        assert re.findall(r'value="([^"]*)"[^>]* (?:selected|checked)', page) == ["melanoma", "50", "urgent"]
        assert "Regression.</textarea>" not in page

    @pytest.mark.parametrize("answered", [False, True])
    def test_a_refused_message_leaves_the_form_of_the_answer_as_it_was(
        self, referral: Referral, reader: User, answered: bool
    ) -> None:
        if answered:
            sign(reader, referral, diagnosis="melanoma", confidence=95, plan="excise")
        file = SimpleUploadedFile("x.jpg", b"nothing", "image/jpeg")
        form = {"text": "Please photograph again", "images": file}
        page = refused(do(browser_of(reader), referral, "message", **form), "images")
        assert page.count("Please photograph again") == 1
        assert re.search(r'id="message-text"[^>]*>Please photograph again</textarea>', page)
        chosen = re.findall(r'value="([^"]*)"[^>]* (?:selected|checked)', page)
        assert chosen == (["melanoma", "95", "excise"] if answered else ["nevus", "75"])

    def test_declining_names_what_is_missing(self, referral: Referral, reader: User) -> None:
        browser = browser_of(reader)
        page = refused(do(browser, referral, "decline", reason="", explanation="kept words"), "reason")
        assert "kept words</textarea>" in page
        page = refused(do(browser, referral, "decline", reason="no_capacity", explanation=" "), "explanation")
        assert re.search(r'value="no_capacity" selected', page)

    def test_an_opinion_is_asked_of_somebody_taken_back_and_turned_down(self, referral: Referral, reader: User) -> None:
        browser = browser_of(reader)
        page = refused(do(browser, referral, "ask-opinion", of="", question="kept words"), "of")
        assert "kept words</textarea>" in page
        colleague = factories.dermatologist(referral.service)
        assert do(browser, referral, "ask-opinion", of=f"reader:{colleague.pk}", question="").status_code == 303
        assert do(browser, referral, "end-opinion").status_code == 303
        assert SecondOpinion.objects.get().state == "withdrawn"
        do(browser, referral, "ask-opinion", of=f"service:{referral.service_id}", question="Anybody?")
        assert do(browser_of(colleague), referral, "end-opinion").status_code in (303, 409)
        assert do(browser, referral, "end-opinion").status_code in (303, 409)

    def test_who_takes_over_may_take_back_what_the_colleague_asked(self, referral: Referral, reader: User) -> None:
        asked, successor = (factories.dermatologist(referral.service) for _ in range(2))
        do(browser_of(reader), referral, "ask-opinion", of=f"reader:{asked.pk}", question="")
        browser = browser_of(successor)
        do(browser, referral, "take-over")
        do(browser, referral, "read", diagnosis="nevus", confidence="75")
        form = {"diagnosis": "nevus", "confidence": "75", "plan": "reassure"}
        assert "awaited" in do(browser, referral, "sign", **form).content.decode()
        assert "Take the request back" in browser.get(f"/worklist/{referral.pk}/").content.decode()
        earlier = browser_of(reader)
        assert "Take the request back" not in earlier.get(f"/worklist/{referral.pk}/").content.decode()
        assert do(earlier, referral, "end-opinion").status_code == 422
        assert do(browser, referral, "end-opinion").status_code == 303
        assert SecondOpinion.objects.get().state == "withdrawn"
        assert do(browser, referral, "end-opinion").status_code == 409
        assert do(browser, referral, "sign", **form).status_code == 303

    def test_a_request_to_ones_own_service_is_taken_back_by_who_asked_and_declined_by_a_colleague(
        self, referral: Referral, reader: User
    ) -> None:
        colleague = factories.dermatologist(referral.service)
        for who, state in ((reader, "withdrawn"), (colleague, "declined")):
            do(browser_of(reader), referral, "ask-opinion", of=f"service:{referral.service_id}", question="")
            assert do(browser_of(who), referral, "end-opinion").status_code == 303
            assert SecondOpinion.objects.latest("asked_at").state == state
