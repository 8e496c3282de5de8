"""Withdrawn consent, and erasure, end a referral at once; and of those who race one wins."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, transaction

from diagnosis.models import Case, ConsentScope, ErasureReason, Message, Plan, Referral, ReferralState
from diagnosis.services.consents import consent_in_force
from diagnosis.services.erasure import erase_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.referral_messages import send_message
from diagnosis.services.referrals import accept_referral
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import amend, read, sign
from tests.launch.waiting import eventually

TELEDERMATOLOGY = ConsentScope.TELEDERMATOLOGY


@pytest.mark.django_db
class TestWithdrawal:
    @pytest.mark.parametrize("accepted", [False, True])
    def test_it_stops_what_is_open_in_the_same_transaction_and_hides_it(self, accepted: bool) -> None:
        by, reader = factories.clinician(), factories.dermatologist()
        referral = factories.referral(by, factories.organisation_of(reader))
        if accepted:
            accept_referral(user=reader, referral_id=referral.pk)
        case = referral.case
        assert Case.objects.referred_to(reader).get() == case

        factories.withdraw(case.patient, by, TELEDERMATOLOGY)

        referral.refresh_from_db()
        assert (referral.state, referral.changed_by) == (ReferralState.WITHDRAWN, None)
        assert referral.stopped_at is not None
        assert not Referral.objects.for_user(reader).exists()
        assert not Case.objects.referred_to(reader).exists()
        assert Referral.objects.for_user(by).get() == referral
        assert AuditEvent.objects.filter(action="referral.stop", actor=None).count() == 1

    def test_an_answer_stays_with_the_clinic_and_is_out_of_the_services_sight(self) -> None:
        by, reader = factories.clinician(), factories.dermatologist()
        referral = factories.accepted_referral(by, reader)
        read(reader, referral)
        sign(reader, referral)
        factories.withdraw(referral.case.patient, by, TELEDERMATOLOGY)
        referral.refresh_from_db()
        assert referral.state == ReferralState.ANSWERED
        assert not Referral.objects.for_user(reader).exists()
        with pytest.raises(Refusal):
            send_message(user=by, referral_id=referral.pk, text="One more thing")

    def test_withdrawing_another_scope_leaves_it_alone(self) -> None:
        by = factories.clinician()
        referral = factories.referral(by)
        factories.withdraw(referral.case.patient, by, ConsentScope.ANALYSIS)
        referral.refresh_from_db()
        assert referral.state == ReferralState.SENT

    def test_erasure_stops_it_and_leaves_nothing_to_read(self) -> None:
        by, reader = factories.clinician(), factories.dermatologist()
        referral = factories.accepted_referral(by, reader)
        send_message(user=by, referral_id=referral.pk, text="He asks daily", images=[factories.PHOTOGRAPH.read_bytes()])
        erase_patient(patient_id=referral.case.patient_id, reason=ErasureReason.PATIENT_REQUEST)
        referral.refresh_from_db()
        assert (referral.state, referral.sealed_question) == (ReferralState.WITHDRAWN, None)
        image = Message.objects.get().images.get()
        assert image.sha256 == ""


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees the activity that it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_an_amendment_that_waits_for_a_withdrawal_is_not_signed(self) -> None:
        by, reader = factories.clinician(), factories.dermatologist()
        referral = factories.accepted_referral(by, reader)
        read(reader, referral)
        sign(reader, referral)

        def try_it() -> str:
            try:
                amend(reader, referral, plan=Plan.EXCISE, text="Seen again: regression.")
            except Conflict as refused:
                return str(refused)
            finally:
                connection.close()
            return "signed"

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                factories.withdraw(referral.case.patient, by, TELEDERMATOLOGY)
                late = pool.submit(try_it)
                eventually(somebody_waits_for_a_lock, lambda: "the amendment did not wait for the withdrawal")
            assert "consent to teledermatology has ended" in late.result()

        referral.refresh_from_db()
        assert (referral.assessments.count(), referral.outcome_due_at) == (1, None)

    @pytest.mark.parametrize("times", [50, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
    def test_two_dermatologists_and_a_withdrawal_have_one_winner_and_leave_no_half_state(self, times: int) -> None:
        by, service = factories.clinician(), factories.service()
        first, second = (factories.dermatologist(service, first_name=name) for name in ("Ada", "Bea"))
        case = factories.referrable_case(by)
        seen: set[str] = set()
        with ThreadPoolExecutor(3) as pool:
            for turn in range(times):
                if consent_in_force(case.patient, TELEDERMATOLOGY) is None:
                    factories.grant(case.patient, by, TELEDERMATOLOGY)
                referral = factories.referral(by, service, of=case)
                barrier = Barrier(3)

                def accept(user: User, pk: object = referral.pk, barrier: Barrier = barrier) -> str:
                    barrier.wait()
                    try:
                        accept_referral(user=user, referral_id=pk)  # type: ignore[arg-type]
                    except Conflict as lost:
                        return str(lost)
                    finally:
                        connection.close()
                    return "won"

                def withdraw(barrier: Barrier = barrier) -> str:
                    barrier.wait()
                    try:
                        factories.withdraw(case.patient, by, TELEDERMATOLOGY)
                    finally:
                        connection.close()
                    return "withdrawn"

                # Every third turn nobody withdraws, so that the two race by themselves as well.
                third = pool.submit(withdraw) if turn % 3 else pool.submit(barrier.wait)
                one, two = pool.submit(accept, first), pool.submit(accept, second)
                results = [one.result(), two.result()]
                third.result()
                referral.refresh_from_db()
                winners = [user for user, said in zip((first, second), results, strict=True) if said == "won"]
                assert len(winners) <= 1
                if turn % 3:
                    assert (referral.state, referral.changed_by) == (ReferralState.WITHDRAWN, None)
                    assert referral.stopped_at is not None
                    assert [referral.claimed_by] == (winners or [None])
                else:
                    assert (referral.state, referral.claimed_by) == (ReferralState.ACCEPTED, winners[0])
                for said in results:
                    if said != "won":
                        assert "Ada" in said or "Bea" in said or "the platform itself" in said
                seen |= {"won" if said == "won" else "lost" for said in results}
                events = AuditEvent.objects.filter(object_id=str(referral.pk), action="referral.accept")
                assert events.count() == len(winners)
                if not turn % 3:
                    factories.withdraw(case.patient, by, TELEDERMATOLOGY)
        assert seen == {"won", "lost"}
