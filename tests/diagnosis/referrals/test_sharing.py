"""What a dermatology service sees ends with the consent: no answer that was asked for afterwards holds anything."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from diagnosis.models import ConsentScope, MessageImage, Referral
from diagnosis.services.assessments import NewAssessment, sign_assessment
from diagnosis.services.consents import record_consent
from diagnosis.services.errors import Conflict
from diagnosis.services.first_reads import NewRead, record_first_read
from diagnosis.services.referral_messages import send_message
from diagnosis.services.signing import SESSION, Proof
from skincare.accounts.models import User
from tests import factories

TELEDERMATOLOGY = ConsentScope.TELEDERMATOLOGY
#: Each round asks for everything at once while the patient withdraws.
ROUNDS = 6


class Shared:
    """An answered referral with a photograph, a message with another, and a signed answer."""

    def __init__(self) -> None:
        self.by = factories.clinician()
        self.reader = factories.dermatologist(first_name="Ada")
        self.client = Client(raise_request_exception=False)
        self.client.force_login(self.reader)
        self.refer()

    def refer(self) -> None:
        self.referral = factories.accepted_referral(self.by, self.reader)
        self.patient = self.referral.case.patient
        photograph = factories.PHOTOGRAPH.read_bytes()
        send_message(user=self.by, referral_id=self.referral.pk, text="Closer", images=[photograph])
        read = NewRead(diagnosis="nevus", confidence=60)
        record_first_read(user=self.reader, referral_id=self.referral.pk, new=read)
        answer = NewAssessment(diagnosis="nevus", confidence=80, plan="reassure")
        sign_assessment(
            user=self.reader, referral_id=self.referral.pk, new=answer, proof=Proof(timezone.now(), SESSION)
        )
        case = self.client.get(f"/api/v1/referrals/{self.referral.pk}/").json()["case"]
        link = case["images"][0]["content"] if isinstance(case, dict) else ""
        sent = MessageImage.objects.get(message__referral=self.referral)
        page, api = f"/worklist/{self.referral.pk}", f"/api/v1/referrals/{self.referral.pk}"
        image = self.referral.case.images.get()
        self.addresses = [
            f"{page}/",
            f"{page}/revision/",
            f"{page}/photographs/{image.pk}/",
            f"{page}/message-photographs/{sent.pk}/",
            f"{page}/documents/letter/",
            f"{page}/documents/referral-letter/",
            f"{page}/documents/leaflet/",
            f"{api}/",
            f"{api}/messages/",
            f"{api}/letter/",
            f"{api}/referral-letter/",
            f"{api}/visits/",
            f"/api/v1/cases/{self.referral.case_id}/leaflet/",
            *([f"{urlsplit(link).path}?{urlsplit(link).query}"] if link else []),
        ]

    def status(self, address: str) -> int:
        return self.client.get(address).status_code

    def in_lists(self) -> bool:
        pk = str(self.referral.pk)
        every = "state=answered&state=sent&state=accepted&state=closed"
        page = self.client.get(f"/worklist/?{every}").content.decode()
        return pk in page or pk in self.client.get("/api/v1/worklist/").content.decode()


@pytest.fixture
def shared(transactional_db: None, settings: Any, tmp_path: Any) -> Shared:
    settings.MEDIA_ROOT = str(tmp_path)
    return Shared()


def test_before_it_ends_everything_is_there(shared: Shared) -> None:
    found = {address: shared.status(address) for address in shared.addresses}
    assert {address for address, status in found.items() if status not in (200, 304)} == set()


def test_nothing_that_is_asked_for_after_a_withdrawal_is_answered(shared: Shared) -> None:
    """Readers ask for everything again and again while the patient withdraws: 404 from then on, never a failure."""
    seen: set[int] = set()
    for turn in range(ROUNDS):
        begun, withdrawn = Event(), Event()

        def ask(
            addresses: list[str], user: User, begun: Event = begun, withdrawn: Event = withdrawn
        ) -> list[tuple[str, bool, int]]:
            client = Client(raise_request_exception=False)
            client.force_login(user)
            found = []
            try:
                while True:
                    over = withdrawn.is_set()
                    for address in addresses:
                        found.append((address, over, client.get(address).status_code))
                        begun.set()
                    if over:
                        return found
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            parts = [shared.addresses[start::3] for start in range(3)]
            asked = [pool.submit(ask, part, shared.reader) for part in parts]

            def withdraw(begun: Event = begun, withdrawn: Event = withdrawn) -> None:
                try:
                    assert begun.wait(60)
                    factories.withdraw(shared.patient, shared.by, TELEDERMATOLOGY)
                    withdrawn.set()
                finally:
                    connection.close()

            pool.submit(withdraw).result()
            answers = [answer for each in asked for answer in each.result()]
        assert {(address, status) for address, over, status in answers if over and status != 404} == set()
        assert [(address, status) for address, _, status in answers if status not in (200, 304, 404)] == []
        seen |= {status for _, over, status in answers if not over}
        assert not shared.in_lists()
        if turn < ROUNDS - 1:
            shared.refer()
    assert 200 in seen


def test_from_the_end_by_the_clock_on_nothing_is_seen_though_nobody_has_written_it_down(shared: Shared) -> None:
    factories.withdraw(shared.patient, shared.by, TELEDERMATOLOGY)
    case = shared.referral.case
    said = factories.statement(scope=TELEDERMATOLOGY, captured_at=timezone.now())
    ends = timezone.now() + timedelta(hours=1)
    record_consent(user=shared.by, patient=shared.patient, statement=replace(said, expires_at=ends))
    referral = factories.referral(shared.by, factories.organisation_of(shared.reader), of=case)
    assert Referral.objects.get(pk=referral.pk).consent_ends_at == ends
    assert shared.status(f"/worklist/{referral.pk}/") == 200
    assert str(referral.pk) in shared.client.get("/api/v1/worklist/").content.decode()

    factories.let_consents_end(shared.patient)

    referral.refresh_from_db()
    assert referral.stopped_at is None
    shared.referral = referral
    assert shared.status(f"/worklist/{referral.pk}/") == 404
    assert shared.status(f"/api/v1/referrals/{referral.pk}/referral-letter/") == 404
    assert not shared.in_lists()
    with pytest.raises(Conflict, match="has ended"):
        send_message(user=shared.reader, referral_id=referral.pk, text="How is he?")
    accepted = Referral.objects.filter(pk=referral.pk)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        accepted.update(state="accepted", claimed_by=shared.reader, claimed_at=timezone.now())
        cursor.execute("SET session_replication_role = origin")
    with pytest.raises(Conflict, match="has ended"):
        record_first_read(user=shared.reader, referral_id=referral.pk, new=NewRead(diagnosis="nevus", confidence=60))


def test_renewed_in_time_it_goes_on(shared: Shared) -> None:
    said = factories.statement(scope=TELEDERMATOLOGY, captured_at=timezone.now())
    first, second = (timezone.now() + timedelta(hours=hours) for hours in (1, 2))
    for ends in (first, second, None):
        new = replace(said, captured_at=timezone.now(), expires_at=ends)
        record_consent(user=shared.by, patient=shared.patient, statement=new)
        assert Referral.objects.get(pk=shared.referral.pk).consent_ends_at == ends
    assert shared.status(shared.addresses[0]) == 200
