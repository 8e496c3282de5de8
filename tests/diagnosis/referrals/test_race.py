"""Two dermatologists and a withdrawal at one referral at once, each in a connection of their own."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from django.db import connection

from diagnosis.models import (
    Assessment,
    ConsentScope,
    Notification,
    Referral,
    ReferralState,
    Urgency,
)
from diagnosis.services.errors import Conflict
from diagnosis.services.referrals import (
    NewReferral,
    accept_referral,
    refer_case,
    take_over_referral,
    withdraw_referral,
)
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import read, sign

S = ReferralState
FAST_ROUNDS = 50
ALL_ROUNDS = 1000
#: Referrals of one patient, so that a patient's history stays as long as it is in a clinic.
ROUNDS_OF_A_PATIENT = 20

Racer = Callable[[], object]


class Race:
    """Runs three at once, again and again, and looks at what the database holds afterwards."""

    def __init__(self) -> None:
        self.clinician = factories.clinician()
        self.clinician.first_name, self.clinician.last_name = "Nadia", "Haddad"
        self.clinician.save()
        self.service = factories.service()
        self.first = factories.dermatologist(self.service, first_name="Ingrid", last_name="Solberg")
        self.second = factories.dermatologist(self.service, first_name="Amir", last_name="Rahimi")
        self.gate = Barrier(3, timeout=30)
        self.threads = ThreadPoolExecutor(3)

    def close(self) -> None:
        """End the threads' connections, so that the database can be emptied."""
        for done in [self.threads.submit(self._leave) for _ in range(3)]:
            done.result()
        self.threads.shutdown()

    def _leave(self) -> None:
        self.gate.wait()
        connection.close()

    def _run(self, racer: Racer) -> Conflict | None:
        self.gate.wait()
        try:
            racer()
        except Conflict as conflict:
            return conflict
        return None

    def at_once(self, *racers: Racer) -> list[Conflict | None]:
        """What each was told: nothing where it was done."""
        return [done.result() for done in [self.threads.submit(self._run, racer) for racer in racers]]

    def rounds(self, number: int) -> None:
        """Race that often, in turns for the claim, for the answer, and against the patient's own withdrawal."""
        kinds = (self.for_the_claim, self.for_the_answer, self.against_the_patient)
        for index in range(number):
            if index % ROUNDS_OF_A_PATIENT == 0:
                self.case = factories.referrable_case(self.clinician)
            kinds[index % 3]()

    def refer(self) -> UUID:
        """The case before the service again."""
        return refer_case(
            user=self.clinician, new=NewReferral(self.case.pk, self.service.pk, Urgency.SOON, "Melanoma?")
        ).pk

    def for_the_claim(self) -> None:
        """Two accept, and the clinic takes the referral back, which it may before and after."""
        pk = self.refer()
        told = self.at_once(
            lambda: accept_referral(user=self.first, referral_id=pk),
            lambda: accept_referral(user=self.second, referral_id=pk),
            lambda: withdraw_referral(user=self.clinician, referral_id=pk, explanation="Seen elsewhere."),
        )
        assert told[2] is None
        self._one_claim(pk, told, by_whom=("Nadia Haddad", self.clinician))

    def against_the_patient(self) -> None:
        """Two accept, and the patient withdraws consent to teledermatology, which stops the referral."""
        pk = self.refer()
        told = self.at_once(
            lambda: accept_referral(user=self.first, referral_id=pk),
            lambda: accept_referral(user=self.second, referral_id=pk),
            lambda: factories.withdraw(self.case.patient, self.clinician, ConsentScope.TELEDERMATOLOGY),
        )
        assert told[2] is None
        self._one_claim(pk, told, by_whom=("the platform itself", None))
        assert Referral.objects.get(pk=pk).stopped_at is not None
        factories.grant(self.case.patient, self.clinician, ConsentScope.TELEDERMATOLOGY)

    def _one_claim(self, pk: UUID, told: list[Conflict | None], by_whom: tuple[str, User | None]) -> None:
        row = Referral.objects.get(pk=pk)
        assert (row.state, row.changed_by) == (S.WITHDRAWN, by_whom[1])
        winners = [user for user, each in zip((self.first, self.second), told, strict=False) if each is None]
        assert len(winners) <= 1
        assert row.claimed_by == (winners[0] if winners else None)
        assert (row.claimed_at is not None) == bool(winners)
        for loser in told[:2]:
            if loser is not None:
                holders = ([_name(winners[0])] if winners else []) + [by_whom[0]]
                assert any(f"by {holder}" in loser.detail for holder in holders), loser.detail
        ends = "referral.withdraw" if by_whom[1] else "referral.stop"
        self._whole(row, ["referral.sent", *["referral.accept"] * len(winners), ends])

    def for_the_answer(self) -> None:
        """One signs, a colleague takes over, the clinic withdraws: answered or withdrawn, and never both."""
        pk = self.refer()
        accept_referral(user=self.first, referral_id=pk)
        row = Referral.objects.get(pk=pk)
        read(self.first, row)
        told = self.at_once(
            lambda: sign(self.first, row),
            lambda: take_over_referral(user=self.second, referral_id=pk),
            lambda: withdraw_referral(user=self.clinician, referral_id=pk),
        )
        signed, took, withdrew = (each is None for each in told)
        row.refresh_from_db()
        assert signed != withdrew, told
        assert row.state == (S.ANSWERED if signed else S.WITHDRAWN)
        assert Assessment.objects.filter(referral=row).count() == int(signed)
        assert (row.answered_at is not None) == signed
        assert row.claimed_by == (self.second if took else self.first)
        assert not (signed and took)
        if not signed:
            assert told[0] is not None
            assert _name(self.second if "taken" in told[0].code else self.clinician) in told[0].detail
        if not withdrew:
            assert told[2] is not None
            assert _name(self.first) in told[2].detail
        if not took:
            assert told[1] is not None
            assert _name(self.first if signed else self.clinician) in told[1].detail
        last = "referral.answer" if signed else "referral.withdraw"
        middle = ["referral.take_over"] if took else []
        self._whole(row, ["referral.sent", "referral.accept", "referral.read", *middle, last])

    def _whole(self, row: Referral, steps: list[str]) -> None:
        """Record, notices and the count of changes tell of what was done, of all of it and of nothing else."""
        events = AuditEvent.objects.filter(object_type="referral", object_id=str(row.pk)).order_by("pk")
        assert [event.action for event in events] == steps
        assert row.revision == len(steps)
        kinds = set(Notification.objects.filter(referral=row).values_list("kind", flat=True))
        assert ("accept" in kinds) == ("referral.accept" in steps)
        assert ("answer" in kinds) == ("referral.answer" in steps)


def _name(user: User) -> str:
    return user.get_full_name()


@pytest.fixture
def race(transactional_db: None) -> Iterator[Race]:
    racing = Race()
    yield racing
    racing.close()


def test_one_wins_each_time_and_no_referral_is_left_half_done(race: Race) -> None:
    race.rounds(FAST_ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a minute and a half where nothing else runs
def test_one_wins_a_thousand_times(race: Race) -> None:
    race.rounds(ALL_ROUNDS)
    assert Referral.objects.count() == ALL_ROUNDS
