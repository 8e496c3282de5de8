"""Around a referral: the worklist, the clock, messages, outcomes, notices, webhooks, and the patient's record."""

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import (
    DeliveryState,
    MailWanted,
    Message,
    Notification,
    Outcome,
    Plan,
    Referral,
    ReferralState,
    ServicePolicy,
    Urgency,
    WebhookDelivery,
)
from diagnosis.services import notifications, webhooks
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.export import export_patient
from diagnosis.services.outcomes import NewOutcome, awaited, current_outcome, import_outcomes, record_outcome
from diagnosis.services.referral_clock import tick
from diagnosis.services.referral_messages import (
    ask_clinician,
    mark_seen,
    reply_to_question,
    send_message,
    unread_counts,
)
from diagnosis.services.referrals import accept_referral, take_over_referral
from diagnosis.services.second_opinions import ask_opinion
from diagnosis.services.worklist import Filters, counts, reason, save_view, worklist
from skincare.accounts.models import Role, User
from tests import factories
from tests.diagnosis.referrals.walking import amend, network_answers, read, sign

pytestmark = pytest.mark.django_db


class TestWorklist:
    def test_it_goes_by_urgency_then_band_then_due_time_and_pages_by_key(
        self, clinician: User, reader: User, django_assert_max_num_queries: Any
    ) -> None:
        service = factories.organisation_of(reader)
        order = [Urgency.ROUTINE, Urgency.URGENT_SUSPECTED_CANCER, Urgency.SOON, Urgency.SOON]
        made = [factories.referral(clinician, service, urgency) for urgency in order]
        wanted = [made[1].pk, made[2].pk, made[3].pk, made[0].pk]
        with django_assert_max_num_queries(2):
            first = worklist(user=reader, service=service, filters=Filters(), size=3)
        second = worklist(user=reader, service=service, filters=Filters(), after=first.next_key, size=3)
        assert [row.pk for row in [*first.referrals, *second.referrals]] == wanted
        assert second.next_key is None

    def test_its_place_and_words_tell_a_blind_reader_nothing_of_the_answer(self, clinician: User, reader: User) -> None:
        service = factories.organisation_of(reader)
        waiting = factories.referral(clinician, service)
        before = (waiting.sort_key, reason(waiting, blind=True))
        network_answers(risk=0.9)
        high = Referral.objects.get(pk=waiting.pk)
        assert (high.sort_key, reason(high, blind=True)) == before
        assert "90%" not in reason(high, blind=True)
        assert "90%" in reason(high, blind=False)

    def test_a_service_that_does_not_read_blind_has_the_riskier_first(self, clinician: User, reader: User) -> None:
        service = factories.organisation_of(reader)
        ServicePolicy.objects.create(service=service, blind_read=False)
        low = factories.referral(clinician, service)
        network_answers(risk=0.1)
        high = factories.referral(clinician, service)
        network_answers(risk=0.9)
        rows = worklist(user=reader, service=service, filters=Filters()).referrals
        assert [row.pk for row in rows] == [high.pk, low.pk]

    def test_filters_counts_search_and_views(self, clinician: User, reader: User) -> None:
        service = factories.organisation_of(reader)
        mine = factories.accepted_referral(clinician, reader)
        free = factories.referral(clinician, service)
        asked = factories.accepted_referral(clinician, reader)
        ask_clinician(user=reader, referral_id=asked.pk, text="Since when?")
        Referral.objects.filter(pk=free.pk).update(due_at=timezone.now() - timedelta(hours=1))
        assert counts(user=reader, service=service) == {
            "all": 3, "mine": 2, "unclaimed": 1, "claimed": 1, "overdue": 1, "asked_back": 1,
        }  # fmt: skip
        number = mine.case.patient.record_number
        found = worklist(user=reader, service=service, filters=Filters(record_number=number)).referrals
        assert [row.pk for row in found] == [mine.pk]
        with pytest.raises(Refusal, match="one of"):
            worklist(user=reader, service=service, filters=Filters(urgency="asap"))
        with pytest.raises(Refusal, match="not kept"):
            save_view(user=reader, service=service, name="x", filters=Filters(record_number=number))
        assert save_view(user=reader, service=service, name="Mine", filters=Filters(whose="mine")).filters == {
            "whose": "mine"
        }


class TestClock:
    def test_it_reminds_escalates_and_expires_each_once(self, clinician: User, reader: User) -> None:
        referral = factories.referral(clinician, factories.organisation_of(reader))
        assert tick().reminded == 0
        before_due = referral.due_at - timedelta(hours=1)
        assert (tick(now=before_due).reminded, tick(now=before_due).reminded) == (1, 0)
        late = referral.due_at + timedelta(minutes=1)
        assert (tick(now=late).escalated, tick(now=late).escalated) == (1, 0)
        moved = Referral.objects.get(pk=referral.pk)
        assert moved.sort_key < referral.sort_key
        assert tick(now=referral.expires_at).expired == 1
        moved.refresh_from_db()
        assert (moved.state, moved.changed_by) == (ReferralState.EXPIRED, None)
        told = set(Notification.objects.filter(user=reader).values_list("kind", flat=True))
        assert told == {"sent", "reminded", "escalated", "expire"}

    def test_an_outcome_that_is_due_is_asked_for_once_and_one_that_came_is_not(
        self, clinician: User, reader: User
    ) -> None:
        referral = factories.accepted_referral(clinician, reader)
        read(reader, referral)
        sign(reader, referral, plan=Plan.BIOPSY)
        later = timezone.now() + timedelta(days=60)
        assert (tick(now=later).outcomes, tick(now=later).outcomes) == (1, 0)
        record_outcome(
            user=clinician,
            new=NewOutcome(referral.case.lesion_id, "histology", "melanoma-in-situ", timezone.now().date()),
        )
        referral.refresh_from_db()
        assert referral.outcome_due_at is None


class TestMessages:
    def test_question_and_reply_move_the_referral_and_are_counted_until_seen(
        self, clinician: User, reader: User
    ) -> None:
        referral = factories.accepted_referral(clinician, reader)
        ask_clinician(user=reader, referral_id=referral.pk, text="A closer photograph, please?")
        assert unread_counts(clinician, [referral]) == {referral.pk: 1}
        assert unread_counts(reader, [referral]) == {}
        mark_seen(user=clinician, referral=referral)
        assert unread_counts(clinician, [referral]) == {}
        photograph = factories.PHOTOGRAPH.read_bytes()
        reply = reply_to_question(user=clinician, referral_id=referral.pk, text="Here it is.", images=[photograph])
        referral.refresh_from_db()
        assert referral.state == ReferralState.ACCEPTED
        assert reply.images.get().width == 600
        send_message(user=reader, referral_id=referral.pk, text="Thank you")
        assert Message.objects.count() == 3

    def test_what_is_no_photograph_is_refused_and_nothing_is_kept(self, clinician: User, reader: User) -> None:
        referral = factories.accepted_referral(clinician, reader)
        with pytest.raises(Refusal, match="photograph 1"):
            send_message(user=reader, referral_id=referral.pk, text="Look", images=[b"GIF89a"])
        with pytest.raises(Refusal, match="only the clinic"):
            send_message(user=factories.dermatologist(), referral_id=referral.pk, text="Hello")
        assert not Message.objects.exists()


def answered_with(clinician: User, reader: User, plan: Plan) -> Referral:
    """A referral that is answered, with this plan."""
    referral = factories.accepted_referral(clinician, reader)
    read(reader, referral)
    sign(reader, referral, plan=plan, months=3 if plan == Plan.OBSERVE else None)
    return Referral.objects.get(pk=referral.pk)


#: Plans after which an outcome is waited for.
WAITED_FOR = (Plan.OBSERVE, Plan.SEE_IN_PERSON, Plan.BIOPSY, Plan.EXCISE, Plan.URGENT)


class TestOutcomes:
    def test_histology_counts_before_follow_up_and_a_correction_before_what_it_corrects(self, clinician: User) -> None:
        lesion = factories.case(clinician).lesion
        today = timezone.now().date()
        first = record_outcome(user=clinician, new=NewOutcome(lesion.pk, "histology", "nevus", today))
        record_outcome(user=clinician, new=NewOutcome(lesion.pk, "follow_up", "melanoma", today))
        assert current_outcome(lesion) == first
        right = NewOutcome(lesion.pk, "histology", "melanoma", today, "Slides mixed up", first.pk)
        second = record_outcome(user=clinician, new=right)
        assert current_outcome(lesion) == second == record_outcome(user=clinician, new=right)
        with pytest.raises(Conflict, match="corrected already"):
            record_outcome(user=clinician, new=NewOutcome(lesion.pk, "histology", "cyst", today, "", first.pk))
        with pytest.raises(Refusal, match="no such lesion"):
            record_outcome(user=factories.clinician(), new=right)
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Outcome.objects.update(diagnosis="cyst")

    def test_what_was_known_before_the_referral_does_not_end_the_wait(self, clinician: User, reader: User) -> None:
        referral = answered_with(clinician, reader, Plan.EXCISE)
        lesion, clinic = referral.case.lesion_id, factories.organisation_of(clinician)
        before = (referral.sent_at - timedelta(days=1)).date()
        file = io.StringIO(f"lesion,kind,diagnosis,determined_on\n{lesion},histology,nevus,{before}\n")
        import_outcomes(file=file, organisation=clinic, user=clinician, dry_run=False)
        assert awaited(clinician) == [referral]
        assert tick(now=timezone.now() + timedelta(days=60)).outcomes == 1
        record_outcome(user=clinician, new=NewOutcome(lesion, "histology", "nevus", referral.sent_at.date()))
        assert awaited(clinician) == []

    @pytest.mark.parametrize(
        ("plan", "kind", "ends"),
        [
            *((plan, "histology", True) for plan in WAITED_FOR),
            *((plan, "follow_up", plan in {Plan.OBSERVE, Plan.SEE_IN_PERSON}) for plan in WAITED_FOR),
        ],
    )
    def test_clinical_follow_up_ends_a_wait_only_where_no_histology_is_planned(
        self, clinician: User, reader: User, plan: Plan, kind: str, ends: bool
    ) -> None:
        referral = answered_with(clinician, reader, plan)
        assert awaited(clinician) == [referral]
        today = timezone.now().date()
        record_outcome(user=clinician, new=NewOutcome(referral.case.lesion_id, kind, "nevus", today))
        assert (awaited(clinician) == []) is ends

    def test_an_amended_plan_ends_the_wait_for_histology_that_will_not_come(
        self, clinician: User, reader: User
    ) -> None:
        referral = answered_with(clinician, reader, Plan.BIOPSY)
        amend(reader, referral, text="The patient declined the biopsy.", plan=Plan.REASSURE)
        assert awaited(clinician) == []

    def test_a_corrected_outcome_keeps_no_wait_from_beginning(self, clinician: User, reader: User) -> None:
        referral = factories.accepted_referral(clinician, reader)
        lesion, today = referral.case.lesion_id, timezone.now().date()
        wrong = record_outcome(user=clinician, new=NewOutcome(lesion, "histology", "nevus", today))
        years_ago = NewOutcome(lesion, "histology", "nevus", today - timedelta(days=700), "Wrong year", wrong.pk)
        record_outcome(user=clinician, new=years_ago)
        read(reader, referral)
        sign(reader, referral, plan=Plan.EXCISE)
        assert awaited(clinician) == [referral]

    def test_a_file_is_tried_first_and_taken_whole_or_not_at_all(self, clinician: User, tmp_path: Any) -> None:
        lesion = factories.case(clinician).lesion
        clinic = factories.organisation_of(clinician)
        head = "lesion,kind,diagnosis,determined_on,note\n"
        good = f"{lesion.pk},histology,melanoma-in-situ,2026-01-05,Breslow n/a\n"
        bad = f"{factories.uuid4()},histology,nevus,2026-01-05,\n{lesion.pk},histology,flu,2026-01-05,\n"

        def take(text: str, dry_run: bool = False) -> list[str]:
            done = import_outcomes(file=io.StringIO(text), organisation=clinic, user=clinician, dry_run=dry_run)
            return [line.does for line in done.lines]

        assert take(head + good, dry_run=True) == ["would be recorded"]
        assert take(head + good + bad) == ["would be recorded", "refused", "refused"]
        assert not Outcome.objects.exists()
        assert take(head + good) == ["recorded"]
        assert take(head + good) == ["known"]
        with pytest.raises(Refusal, match="columns"):
            take("lesion;kind\n")
        file = tmp_path / "outcomes.csv"
        file.write_text(head + bad)
        with pytest.raises(CommandError, match="2 of 2 lines are refused"):
            call_command("import_outcomes", str(file), organisation=clinic.name)


def deactivate(user: User) -> None:
    """The account is closed."""
    User.objects.filter(pk=user.pk).update(is_active=False)


def end_membership(user: User) -> None:
    """The user works elsewhere from now on."""
    user.memberships.all().delete()


def told(user: User) -> set[str]:
    """Of what the user has notices."""
    return set(Notification.objects.filter(user=user).values_list("kind", flat=True))


class TestNotices:
    def test_a_mail_holds_a_link_and_nothing_of_the_patient_and_goes_once(self, clinician: User, reader: User) -> None:
        referral = factories.accepted_referral(clinician, reader)
        assert notifications.send_due() == 2
        assert notifications.send_due() == 0
        for message in mail.outbox:
            text = f"{message.subject} {message.body}"
            assert "http" in text
            for secret in (referral.case.patient.record_number, referral.question, str(referral.case.patient_id)):
                assert secret not in text

    def test_who_wants_a_digest_gets_one_a_day_and_who_wants_none_gets_none(
        self, clinician: User, reader: User
    ) -> None:
        notifications.set_preference(user=reader, mail=MailWanted.DAILY)
        notifications.set_preference(user=clinician, mail=MailWanted.NEVER)
        factories.accepted_referral(clinician, reader)
        assert notifications.send_due() == 1
        factories.accepted_referral(clinician, reader)
        assert notifications.send_due() == 0
        assert notifications.send_due(now=timezone.now() + timedelta(hours=25)) == 1
        assert {message.to[0] for message in mail.outbox} == {reader.email}

    @pytest.mark.parametrize("leave", [deactivate, end_membership])
    def test_where_the_sender_has_left_all_clinicians_of_the_clinic_are_told(
        self, clinician: User, reader: User, leave: Callable[[User], None]
    ) -> None:
        colleague = factories.clinician(factories.organisation_of(clinician))
        factories.clinician()
        referral = factories.accepted_referral(clinician, reader)
        assert told(colleague) == set()
        leave(clinician)
        ask_clinician(user=reader, referral_id=referral.pk, text="Since when?")
        read(reader, referral)
        sign(reader, referral, plan=Plan.URGENT)
        assert tick(now=timezone.now() + timedelta(days=60)).outcomes == 1
        assert told(colleague) == {"ask", "answer", "outcome_due"}
        assert told(clinician) == {"accept"}
        assert Referral.objects.for_clinician(colleague).get(notifications.with_news(colleague)) == referral
        assert set(Notification.objects.values_list("user", flat=True)) == {clinician.pk, colleague.pk, reader.pk}

    @pytest.mark.parametrize("leave", [deactivate, end_membership])
    def test_where_the_one_who_accepted_has_left_all_dermatologists_of_the_service_are_told(
        self, clinician: User, reader: User, leave: Callable[[User], None]
    ) -> None:
        colleague = factories.dermatologist(factories.organisation_of(reader))
        referral = factories.accepted_referral(clinician, reader)
        ask_clinician(user=reader, referral_id=referral.pk, text="Since when?")
        leave(reader)
        reply_to_question(user=clinician, referral_id=referral.pk, text="For a year.")
        send_message(user=clinician, referral_id=referral.pk, text="Or two.")
        tick(now=referral.due_at - timedelta(hours=1))
        tick(now=referral.due_at + timedelta(hours=1))
        assert told(colleague) == {"sent", "reply", "message", "reminded", "escalated"}
        assert told(reader) == {"sent"}


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it gets, and answers what it is told to."""

    got: list[tuple[dict[str, str], bytes]]
    status: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).got.append((dict(self.headers), body))
        self.send_response(type(self).status)
        self.send_header("Location", "http://127.0.0.1/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[tuple[str, type[Receiver]]]:
    settings.WEBHOOKS_TO_PRIVATE = True
    handler = type("OneReceiver", (Receiver,), {"got": [], "status": 204})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?a=1", handler
    server.shutdown()
    server.server_close()


class TestWebhooks:
    def administrator(self, of: User) -> User:
        return factories.member(Role.ADMINISTRATOR, factories.organisation_of(of))

    def test_a_delivery_is_signed_and_holds_ids_only(
        self, clinician: User, reader: User, receiver: tuple[str, type[Receiver]]
    ) -> None:
        url, handler = receiver
        admin = self.administrator(clinician)
        organisation = factories.organisation_of(clinician)
        _, secret = webhooks.create_webhook(user=admin, organisation=organisation, url=url, events=["accept"])
        referral = factories.accepted_referral(clinician, reader)
        assert webhooks.deliver_due() == 1
        ((headers, body),) = handler.got
        moment, _, signed = headers["X-Skincare-Signature"].removeprefix("t=").partition(",v1=")
        assert signed == webhooks.signature(secret, int(moment), body)
        told = json.loads(body)
        assert (told["event"], told["referral"]) == ("referral.accept", str(referral.pk))
        assert referral.case.patient.record_number not in body.decode()

    @pytest.mark.parametrize(("status", "said"), [(500, "answered 500"), (302, "redirects are not followed")])
    def test_what_fails_waits_longer_each_time_and_is_given_up(
        self, clinician: User, receiver: tuple[str, type[Receiver]], status: int, said: str
    ) -> None:
        url, handler = receiver
        handler.status = status
        admin = self.administrator(clinician)
        webhooks.create_webhook(user=admin, organisation=factories.organisation_of(clinician), url=url)
        factories.referral(clinician)
        now = timezone.now()
        for attempt in range(1, webhooks.MOST_ATTEMPTS + 1):
            assert webhooks.deliver_due(now=now) == 0
            delivery = WebhookDelivery.objects.get()
            assert (delivery.attempts, delivery.status, delivery.error) == (attempt, status, said)
            now = delivery.not_before
        assert delivery.state == DeliveryState.GIVEN_UP
        assert len(handler.got) == webhooks.MOST_ATTEMPTS

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0"],
    )
    def test_a_name_that_leads_inside_is_refused_also_when_the_answer_changes_later(
        self, clinician: User, address: str
    ) -> None:
        admin, clinic = self.administrator(clinician), factories.organisation_of(clinician)
        with pytest.raises(Refusal, match="not a public address"):
            webhooks.create_webhook(
                user=admin, organisation=clinic, url="https://h.example/", resolver=lambda *_: ["1.1.1.1", address]
            )
        webhooks.create_webhook(
            user=admin, organisation=clinic, url="https://h.example/", resolver=lambda *_: ["1.1.1.1"]
        )
        factories.referral(clinician)
        assert webhooks.deliver_due(resolver=lambda *_: [address]) == 0
        assert "not a public address" in WebhookDelivery.objects.get().error

    @pytest.mark.parametrize("url", ["http://h.example/", "https://u:p@h.example/", "ftp://h.example/", "https:///x"])
    def test_only_https_without_a_password(self, clinician: User, url: str) -> None:
        with pytest.raises(Refusal, match="https address"):
            webhooks.create_webhook(
                user=clinician, organisation=factories.organisation_of(clinician), url=url, resolver=lambda *_: []
            )


def test_the_patients_record_tells_all_of_a_referral(clinician: User, reader: User) -> None:
    referral = factories.accepted_referral(clinician, reader)
    send_message(user=clinician, referral_id=referral.pk, text="Itches", images=[factories.PHOTOGRAPH.read_bytes()])
    read(reader, referral)
    sign(reader, referral)
    lesion = referral.case.lesion_id
    record_outcome(user=clinician, new=NewOutcome(lesion, "histology", "nevus", timezone.now().date(), "Junctional"))
    output = io.BytesIO()
    export_patient(patient_id=referral.case.patient_id, output=output)
    archive = zipfile.ZipFile(output)
    told = json.loads(archive.read("record.json"))
    (described,) = told["referrals"]
    assert described["question"] == "Melanoma on the back?"
    assert described["reads"][0]["comment"] == "Streaks at the edge"
    assert described["assessments"][0]["text"] == "Regular network, symmetrical."
    assert described["messages"][0]["text"] == "Itches"
    assert archive.read(described["messages"][0]["images"][0]).startswith(b"\xff\xd8")
    assert told["outcomes"][0]["note"] == "Junctional"
    assert archive.read("record.pdf").startswith(b"%PDF-")


def test_what_was_accepted_is_told_to_the_sender_and_not_to_the_one_who_did_it(clinician: User, reader: User) -> None:
    referral = factories.referral(clinician, factories.organisation_of(reader))
    accept_referral(user=reader, referral_id=referral.pk)
    kinds = set(Notification.objects.values_list("user", "kind"))
    assert kinds == {(reader.pk, "sent"), (clinician.pk, "accept")}


def test_an_opinion_that_was_given_is_told_to_who_has_the_referral_now(clinician: User, reader: User) -> None:
    referral = factories.accepted_referral(clinician, reader)
    read(reader, referral)
    asked, successor = (factories.dermatologist(referral.service) for _ in range(2))
    ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=asked.pk)
    take_over_referral(user=successor, referral_id=referral.pk)
    read(asked, referral)
    read(successor, referral)
    told = Notification.objects.filter(kind="opinion_given")
    assert [notice.user for notice in told] == [successor]
