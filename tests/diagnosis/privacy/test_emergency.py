"""Emergency access: off unless allowed, told at once, recorded with its reason, over when it is over."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from diagnosis.api.emergencies import EXAMPLE_RECORD
from diagnosis.models import (
    Case,
    ConsentScope,
    EmergencyAccess,
    EmergencyPolicy,
    EmergencyReason,
    ErasureReason,
    MailWanted,
    Notification,
)
from diagnosis.services import emergency, notifications
from diagnosis.services.emergency import Wanted
from diagnosis.services.erasure import erase_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.web.capture.questions import BACKGROUND
from skincare.accounts.models import Membership, Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.diagnosis.api.test_pictures import case_with_a_map
from tests.diagnosis.services.answers import version

WHY = "Brought in unconscious, bleeding from the back."
API = "/api/v1/emergency-accesses/"


class World:
    """A case of a clinic that allows emergency access to one hospital."""

    def __init__(self) -> None:
        self.own = factories.clinician()
        self.clinic = factories.organisation_of(self.own)
        self.hospital = factories.organisation()
        self.stranger = factories.clinician(self.hospital)
        self.officer = factories.member(Role.ADMINISTRATOR, self.clinic)
        version()
        self.case: Case = case_with_a_map(self.own)
        self.patient = self.case.patient
        self.allow()

    def allow(self, **changed: Any) -> EmergencyPolicy:
        wanted: dict[str, Any] = {"enabled": True, "minutes": 60, "open_to": [self.hospital], **changed}
        return emergency.set_policy(user=self.officer, organisation=self.clinic, **wanted)

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.clinic.pk, record_number=self.patient.record_number)

    def open(self, by: User | None = None, wanted: Wanted | None = None, explanation: str = WHY) -> EmergencyAccess:
        return emergency.open_access(
            user=by or self.stranger,
            wanted=wanted or self.wanted,
            reason=EmergencyReason.ACUTE,
            explanation=explanation,
        )

    @property
    def body(self) -> dict[str, str]:
        return {
            "organisation": str(self.clinic.pk),
            "record_number": self.patient.record_number,
            "reason": "acute",
            "explanation": WHY,
        }


@pytest.fixture
def world(db: None, settings: Any, tmp_path: Any) -> World:
    settings.MEDIA_ROOT = str(tmp_path)
    return World()


class TestWhoMay:
    def test_clinicians_and_dermatologists_of_the_organisations_that_were_named(self, world: World) -> None:
        service = factories.service()
        dermatologist = factories.dermatologist(service)
        assert world.open().patient == world.patient
        with pytest.raises(Refusal, match="no such organisation allows you"):
            world.open(dermatologist)
        world.allow(open_to=[world.hospital, service])
        assert world.open(dermatologist).patient == world.patient

    @pytest.mark.parametrize(
        "who",
        ["administrator of the hospital", "officer", "clinician elsewhere", "steward", "left"],
    )
    def test_nobody_else(self, world: World, who: str) -> None:
        people: dict[str, Callable[[], User]] = {
            "administrator of the hospital": lambda: factories.member(Role.ADMINISTRATOR, world.hospital),
            "officer": lambda: world.officer,
            "clinician elsewhere": factories.clinician,
            "steward": lambda: factories.user(is_model_steward=True),
            "left": lambda: world.stranger,
        }
        user = people[who]()
        if who == "left":
            user.memberships.all().delete()
        with pytest.raises(Refusal) as refused:
            world.open(user)
        assert refused.value.code == "not_found"
        assert not EmergencyAccess.objects.exists()

    def test_it_is_off_unless_switched_on_and_switching_it_off_ends_what_is_open(self, world: World) -> None:
        opened = world.open()
        world.allow(enabled=False)
        with pytest.raises(Refusal, match="no such organisation"):
            world.open()
        with pytest.raises(Conflict, match="over"):
            emergency.read_record(user=world.stranger, access_id=opened.pk)
        EmergencyPolicy.objects.all().delete()
        with pytest.raises(Refusal, match="no such organisation"):
            world.open()

    def test_whoever_leaves_the_hospital_sees_nothing_more(self, world: World) -> None:
        opened = world.open()
        world.stranger.memberships.all().delete()
        with pytest.raises(Conflict, match="do not work any more"):
            emergency.read_record(user=world.stranger, access_id=opened.pk)

    def test_whoever_sees_the_patient_anyway_does_not_need_it(self, world: World) -> None:
        dermatologist = factories.dermatologist()
        service = factories.organisation_of(dermatologist)
        world.allow(open_to=[service])
        factories.grant(world.patient, world.own, ConsentScope.TELEDERMATOLOGY)
        factories.referral(world.own, to=service, of=world.case)
        for user in (world.own, dermatologist):
            with pytest.raises(Conflict, match="without emergency access"):
                world.open(user)


class TestFinding:
    def test_by_name_and_birth_date(self, world: World) -> None:
        patient = factories.patient(world.own, name="Ada Example", birth_date=date(1970, 5, 17))
        wanted = Wanted(world.clinic.pk, name="example ada", birth_date=date(1970, 5, 17))
        assert world.open(wanted=wanted).patient == patient
        factories.patient(world.own, name="Ada Example", birth_date=date(1970, 5, 17))
        with pytest.raises(Refusal, match="record number"):
            world.open(factories.clinician(world.hospital), wanted)

    def test_who_goes_fishing_is_stopped_and_every_miss_is_recorded(self, world: World) -> None:
        for _ in range(emergency.MOST_MISSES):
            with pytest.raises(Refusal, match="no such patient"):
                world.open(wanted=Wanted(world.clinic.pk, record_number=str(uuid4())))
        with pytest.raises(Refusal) as refused:
            world.open()
        assert refused.value.code == "too_many_attempts"
        misses = AuditEvent.objects.filter(action="emergency.refused", actor=world.stranger)
        assert misses.count() == emergency.MOST_MISSES
        assert {event.organisation_id for event in misses} == {world.clinic.pk}
        assert world.open(factories.clinician(world.hospital))

    @pytest.mark.parametrize("explanation", ["", "emergency", " " * 40, "x" * 1001])
    def test_too_few_and_too_many_words_are_refused(self, world: World, explanation: str) -> None:
        with pytest.raises(Refusal, match="15 to 1000 characters"):
            world.open(explanation=explanation)


class TestTelling:
    def test_the_clinics_administrators_are_told_in_the_app_and_by_mail_without_a_word_about_the_patient(
        self, world: World, django_capture_on_commit_callbacks: Any
    ) -> None:
        notifications.set_preference(user=world.officer, mail=MailWanted.NEVER)
        with django_capture_on_commit_callbacks(execute=True):
            opened = world.open()
        notice = Notification.objects.get(emergency=opened)
        assert (notice.user, notice.kind) == (world.officer, "emergency_opened")

        notifications.send_due()

        (sent,) = mail.outbox
        assert sent.to == [world.officer.email]
        assert "/privacy/emergency/" in sent.body
        text = f"{sent.subject} {sent.body}"
        for secret in (world.patient.record_number, str(world.patient.pk), WHY, world.stranger.email, "acute"):
            assert secret not in text
        assert world.open() == opened
        assert Notification.objects.filter(emergency=opened).count() == 1

    @pytest.mark.parametrize("last", ["opens it", "was dismissed"])
    def test_where_no_other_administrator_is_left_the_operators_are_told(self, world: World, last: str) -> None:
        operator = factories.user(is_staff=True, is_superuser=True)
        factories.user(is_staff=True, is_superuser=True, is_active=False)
        if last == "opens it":
            Membership.objects.create(user=world.officer, organisation=world.clinic, role=Role.DERMATOLOGIST)
            opened = world.open(world.officer)
        else:
            User.objects.filter(pk=world.officer.pk).update(is_active=False)
            opened = world.open()
        assert Notification.objects.get(emergency=opened).user == operator

        notifications.send_due()

        assert mail.outbox[0].to == [operator.email]
        assert "/privacy/" not in mail.outbox[0].body
        client = Client()
        client.force_login(operator)
        assert "in an emergency" in client.get("/notices/").content.decode()
        assert 'href="/privacy/emergency/"' not in client.get("/notices/").content.decode()

    def test_everything_read_is_recorded_with_the_reason(self, world: World) -> None:
        opened = world.open()
        emergency.read_record(user=world.stranger, access_id=opened.pk)
        emergency.read_record(user=world.stranger, access_id=opened.pk)
        image = world.case.images.get()
        content = emergency.read_photograph(user=world.stranger, access_id=opened.pk, image_id=image.pk)
        assert content.startswith(b"\xff\xd8\xff")
        emergency.end_access(user=world.stranger, access=opened)

        events = AuditEvent.objects.filter(action__startswith="emergency.", patient_id=world.patient.pk).order_by("pk")
        assert [(event.action.removeprefix("emergency."), event.object_type) for event in events] == [
            ("opened", "emergencyaccess"),
            ("read", "patient"),
            ("read", "patient"),
            ("read", "caseimage"),
            ("ended", "emergencyaccess"),
        ]
        assert {event.details["reason"] for event in events} == {"acute"}
        assert {event.details["access"] for event in events} == {str(opened.pk)}
        assert WHY not in str([event.details for event in AuditEvent.objects.all()])


class TestTheRecord:
    def test_it_holds_what_people_wrote_and_nothing_of_the_networks_answer(self, world: World) -> None:
        opened = world.open()
        _, shown = emergency.read_record(user=world.stranger, access_id=opened.pk)
        assert shown["patient"]["record_number"] == world.patient.record_number
        (case,) = shown["cases"]
        assert case["suspicion"] == world.case.suspicion
        assert [image["id"] for image in case["images"]] == [world.case.images.get().pk]
        text = str(shown)
        assert Case.objects.get(pk=world.case.pk).analysis.probabilities
        for word in ("probabilities", "malignancy_risk", "recommendation", "read_in_shadow", "accesses"):
            assert word not in text

    def test_photographs_of_others_do_not_come_with_it(self, world: World) -> None:
        opened = world.open()
        other = case_with_a_map(world.own).images.get()
        answer = ApiClient(token_for(world.stranger)).get(f"{API}{opened.pk}/photographs/{other.pk}/")
        assert answer.status_code == 404

    def test_it_opens_reading_only(self, world: World) -> None:
        world.open()
        api = ApiClient(token_for(world.stranger))
        for address in (f"patients/{world.patient.pk}/", f"cases/{world.case.pk}/", f"lesions/{world.case.lesion_id}/"):
            assert api.get(f"/api/v1/{address}").status_code == 404
        assert api.post(f"/api/v1/patients/{world.patient.pk}/export/").status_code == 404
        assert not Case.objects.for_user(world.stranger).exists()


class TestTheEnd:
    def test_when_the_time_is_over_it_is_over(self, world: World) -> None:
        past = timezone.now() - timedelta(minutes=61)
        opened = EmergencyAccess.objects.create(
            patient=world.patient,
            organisation=world.clinic,
            opened_by=world.stranger,
            opened_at=past,
            ends_at=past + timedelta(minutes=60),
            reason=EmergencyReason.ACUTE,
        )
        image = world.case.images.get()
        for read in (
            lambda: emergency.read_record(user=world.stranger, access_id=opened.pk),
            lambda: emergency.read_photograph(user=world.stranger, access_id=opened.pk, image_id=image.pk),
        ):
            with pytest.raises(Conflict, match="over"):
                read()
        assert world.open() != opened

    @pytest.mark.parametrize(
        "change",
        [
            {"ends_at": timezone.now() + timedelta(days=9)},
            {"reason": "clinic_unreachable"},
            {"sealed_explanation": b"something else"},
            {"opened_at": timezone.now() - timedelta(days=9)},
        ],
    )
    def test_the_database_lets_nothing_be_changed_but_the_end_once(self, world: World, change: dict[str, Any]) -> None:
        opened = world.open()
        with pytest.raises(IntegrityError, match="only its end"), transaction.atomic():
            EmergencyAccess.objects.filter(pk=opened.pk).update(**change)
        emergency.end_access(user=world.officer, access=opened)
        with pytest.raises(IntegrityError, match="only its end"), transaction.atomic():
            EmergencyAccess.objects.filter(pk=opened.pk).update(ended_at=None, ended_by=None)
        with pytest.raises(IntegrityError, match="only its end"), transaction.atomic():
            EmergencyAccess.objects.filter(pk=opened.pk).delete()

    def test_an_erased_patient_is_seen_by_nobody_and_the_words_are_gone(self, world: World) -> None:
        opened = world.open()
        erase_patient(patient_id=world.patient.pk, reason=ErasureReason.PATIENT_REQUEST)
        assert ApiClient(token_for(world.stranger)).get(f"{API}{opened.pk}/record/").status_code == 410
        assert EmergencyAccess.objects.get(pk=opened.pk).sealed_explanation is None
        client = Client()
        client.force_login(world.officer)
        assert client.get("/privacy/emergency/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_ended_while_others_read_nothing_is_read_after_the_end(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    world = World()
    opened = world.open()

    def read(_: int) -> bool:
        try:
            emergency.read_record(user=world.stranger, access_id=opened.pk)
            return True
        except Conflict:
            return False
        finally:
            connection.close()

    def end(_: int) -> bool:
        try:
            emergency.end_access(user=world.officer, access=opened)
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(read, n) for n in range(6)]
        ended = pool.submit(end, 0)
        then = [pool.submit(read, n) for n in range(6)]
        assert ended.result()
        reads = [each.result() for each in (*first, *then)]
    access = EmergencyAccess.objects.get(pk=opened.pk)
    recorded = AuditEvent.objects.filter(action__in=["emergency.read", "emergency.ended"]).order_by("transaction")
    assert [event.action for event in recorded].count("emergency.read") == sum(reads)
    assert access.ended_at is not None
    assert all(event.at <= access.ended_at for event in recorded if event.action == "emergency.read")
    with pytest.raises(Conflict):
        emergency.read_record(user=world.stranger, access_id=opened.pk)


class TestTheApi:
    def test_from_opening_to_ending(self, world: World) -> None:
        api = ApiClient(token_for(world.stranger))
        places = api.get("/api/v1/emergency-organisations/").json()
        assert places == [{"organisation": str(world.clinic.pk), "name": world.clinic.name, "minutes": 60}]

        opened = api.send(API, world.body)
        assert opened.status_code == 201
        access = f"{API}{opened.json()['id']}/"
        record = api.get(f"{access}record/").json()
        image = record["cases"][0]["images"][0]["id"]
        assert api.get(f"{access}photographs/{image}/").content.startswith(b"\xff\xd8\xff")
        assert [each["in_force"] for each in api.get(API).json()["results"]] == [True]
        assert api.post(f"{access}end/").json()["in_force"] is False
        assert api.post(f"{access}end/").status_code == 200
        assert api.get(f"{access}record/").json()["code"] == "access_over"
        assert api.get(f"{access}photographs/{image}/").status_code == 409

    def test_nobody_sees_or_ends_another_persons_access(self, world: World) -> None:
        opened = world.open()
        image = world.case.images.get()
        for user in (factories.clinician(world.hospital), world.own):
            api = ApiClient(token_for(user))
            for address in ("", "record/", f"photographs/{image.pk}/"):
                assert api.get(f"{API}{opened.pk}/{address}").status_code == 404
            assert api.post(f"{API}{opened.pk}/end/").status_code == 404
            assert api.get(API).json()["results"] == []
        assert EmergencyAccess.objects.get().in_force

    @pytest.mark.parametrize(
        ("changed", "status", "code"),
        [
            ({"organisation": str(uuid4())}, 404, "not_found"),
            ({"record_number": "nobody"}, 422, "no_such_patient"),
            ({"explanation": "x"}, 422, "explanation_length"),
            ({"reason": "curious"}, 400, "invalid"),
            ({"name": "Ada"}, 400, "invalid"),
        ],
    )
    def test_what_is_wrong_is_named(self, world: World, changed: dict[str, str], status: int, code: str) -> None:
        answer = ApiClient(token_for(world.stranger)).send(API, world.body | changed)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    def test_a_session_needs_a_fresh_proof(self, world: World) -> None:
        client = Client()
        client.force_login(world.stranger)
        answer = client.post(API, world.body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_needed")


class TestThePages:
    def test_the_officers_page_shows_who_and_why_once_as_new_and_ends_it(self, world: World) -> None:
        opened = world.open()
        client = Client()
        client.force_login(world.officer)
        page = client.get("/privacy/emergency/").content.decode()
        for shown in (world.stranger.email, WHY, str(world.patient.pk), "new"):
            assert shown in page
        assert world.patient.record_number not in page
        assert 'class="chip refer"' in page
        assert 'class="chip refer"' not in client.get("/privacy/emergency/").content.decode()
        assert "in an emergency" in client.get("/notices/").content.decode()
        assert 'href="/privacy/emergency/"' in client.get("/notices/").content.decode()
        who_saw = client.get(f"/privacy/patients/{world.patient.pk}/").content.decode()
        assert "Opened the record in an emergency" in who_saw
        assert "Acute treatment that cannot wait" in who_saw
        assert client.post(f"/privacy/emergency/{opened.pk}/end/").status_code == 303
        assert not EmergencyAccess.objects.get().in_force

    def test_the_record_shows_the_whole_history_that_was_asked(self, world: World) -> None:
        client = Client()
        client.force_login(world.stranger)
        page = client.get(f"/emergency/{world.open().pk}/").content.decode()
        for code, shown in {
            "personal_hx_mm": "Melanoma before",
            "personal_hx_skin_cancer": "Previous other skin cancer",
            "family_hx_mm": "Melanoma in the family",
            "sun_damage": "Much sun, sunburns or sunbeds",
            "immunosuppression": "Immunosuppression",
        }.items():
            assert code in {question.code for question in BACKGROUND}
            assert shown in page
        assert len(BACKGROUND) == 5

    def test_that_the_officer_read_what_happened_is_recorded(self, world: World) -> None:
        world.open()
        client = Client()
        client.force_login(world.officer)
        client.get("/privacy/emergency/")
        read = AuditEvent.objects.filter(action="patient.read", actor=world.officer)
        assert list(read.values_list("patient_id", flat=True)) == [world.patient.pk]

    def test_an_officer_of_another_clinic_sees_and_ends_nothing(self, world: World) -> None:
        opened = world.open()
        client = Client()
        client.force_login(factories.member(Role.ADMINISTRATOR, world.hospital))
        assert world.stranger.email not in client.get("/privacy/emergency/").content.decode()
        assert client.post(f"/privacy/emergency/{opened.pk}/end/").status_code == 404
        assert client.get(f"/privacy/organisations/{world.clinic.pk}/emergency/").status_code == 404
        assert EmergencyAccess.objects.get().in_force

    def test_the_form_and_changing_the_policy_want_a_fresh_proof(self, world: World) -> None:
        for user, address in (
            (world.stranger, "/emergency/"),
            (world.officer, f"/privacy/organisations/{world.clinic.pk}/emergency/"),
        ):
            client = Client()
            client.force_login(user)
            answer = client.post(address, {"minutes": 30})
            assert answer.status_code == 302
            assert "/account/confirm/" in answer["Location"]
        assert EmergencyPolicy.objects.get().minutes == 60


def test_the_example_of_a_record_has_the_fields_that_a_record_has(world: World) -> None:
    answer = ApiClient(token_for(world.stranger)).get(f"{API}{world.open().pk}/record/")
    shown, example = answer.json(), EXAMPLE_RECORD
    assert list(example) == list(shown)
    assert (list(example["access"]), list(example["patient"])) == (list(shown["access"]), list(shown["patient"]))
    for part in ("consents", "lesions", "cases"):
        assert list(example[part][0]) == list(shown[part][0]), part
    assert list(example["cases"][0]["images"][0]) == list(shown["cases"][0]["images"][0])
    assert example["allowed_now"].keys() == shown["allowed_now"].keys()
