"""The blind read, further readers, and the signed answer."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.classifier.diagnoses import agree, diagnoses
from diagnosis.models import AnswerShown, Assessment, FirstRead, Plan, Referral, ReferralState, ServicePolicy
from diagnosis.services.assessments import current_assessment, sign_assessment
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.first_reads import answer_withheld, sees_other_reads, show_answer
from diagnosis.services.referrals import (
    accept_referral,
    release_referral,
    take_over_referral,
    withdraw_referral,
)
from diagnosis.services.second_opinions import ask_opinion, consensus_of, decline_opinion, withdraw_opinion
from diagnosis.services.signing import Proof
from skincare.accounts.models import Membership, Role, User
from tests import factories
from tests.diagnosis.referrals.walking import ANSWER, amend, network_answers, read, sign

pytestmark = pytest.mark.django_db


@pytest.fixture
def referral(clinician: User, reader: User) -> Referral:
    """Accepted; the network has answered."""
    made = factories.accepted_referral(clinician, reader)
    network_answers()
    return Referral.objects.with_everything().get(pk=made.pk)


class TestTheDictionary:
    def test_each_level_has_its_parent_before_it(self) -> None:
        paths = [each.levels for each in diagnoses().values()]
        assert len(set(paths)) == len(paths)
        for path in paths:
            assert len(path) == 1 or path[:1] in paths

    def test_agreement_is_by_class_and_else_by_the_second_level(self) -> None:
        assert agree("nevus-blue", "nevus")
        assert not agree("nevus", "melanoma-in-situ")
        assert agree("cyst", "cyst")
        assert not agree("cyst", "squamous-cell-carcinoma")
        assert diagnoses()["actinic-keratosis"].malignant
        assert diagnoses()["squamous-cell-carcinoma"].network_class == ""


class TestBlindness:
    def test_the_answer_is_withheld_until_the_read_and_the_order_is_kept(
        self, referral: Referral, reader: User
    ) -> None:
        assert show_answer(user=reader, referral=referral) is None
        assert not AnswerShown.objects.exists()
        recorded = read(reader, referral)
        shown = show_answer(user=reader, referral=referral)
        assert shown is not None
        assert shown.malignancy_risk == 0.25
        assert recorded.blind
        assert AnswerShown.objects.get().shown_at > recorded.recorded_at

    def test_a_colleague_of_the_service_sees_no_answer_before_it_is_answered(
        self, referral: Referral, reader: User
    ) -> None:
        colleague = factories.dermatologist(referral.service)
        assert show_answer(user=colleague, referral=referral) is None
        read(reader, referral)
        assert show_answer(user=colleague, referral=referral) is None
        sign(reader, referral)
        assert show_answer(user=colleague, referral=Referral.objects.with_everything().get()) is not None

    def test_where_the_service_does_not_read_blind_it_is_shown_and_the_order_is_kept(
        self, referral: Referral, reader: User
    ) -> None:
        ServicePolicy.objects.create(service=referral.service, blind_read=False)
        assert show_answer(user=reader, referral=referral) is not None
        assert not read(reader, referral).blind
        assert AnswerShown.objects.count() == 1

    def test_who_also_works_at_the_clinic_may_know_and_is_not_said_to_be_blind(
        self, referral: Referral, reader: User
    ) -> None:
        Membership.objects.create(user=reader, organisation=referral.case.organisation, role=Role.CLINICIAN)
        assert not read(reader, referral).blind

    def test_the_database_refuses_to_call_a_read_blind_after_the_answer(self, referral: Referral, reader: User) -> None:
        AnswerShown.objects.create(referral=referral, reader=reader, shown_at=timezone.now())
        with pytest.raises(IntegrityError, match="seen the answer"), transaction.atomic():
            FirstRead.objects.create(
                referral=referral,
                reader=reader,
                role="first",
                diagnosis="nevus",
                confidence=1,
                recorded_at=timezone.now(),
                blind=True,
            )

    @pytest.mark.parametrize("again", ["the same case", "another visit"])
    def test_who_saw_the_answer_on_an_earlier_referral_of_the_lesion_does_not_read_it_blind(
        self, clinician: User, referral: Referral, reader: User, again: str
    ) -> None:
        case, colleague = referral.case, factories.dermatologist(referral.service)
        assert read(reader, referral).blind
        assert show_answer(user=reader, referral=referral) is not None
        withdraw_referral(user=clinician, referral_id=referral.pk)
        if again == "another visit":
            visit = factories.new_case(consents=[], patient=case.patient_id, lesion=case.lesion_id)
            case = factories.submit(clinician, visit).case
        second = factories.referral(clinician, referral.service, of=case)
        accept_referral(user=reader, referral_id=second.pk)
        with pytest.raises(IntegrityError, match="seen the answer"), transaction.atomic():
            FirstRead.objects.create(
                referral=second, reader=reader, role="first", diagnosis="nevus", confidence=1,
                recorded_at=timezone.now(), blind=True,
            )  # fmt: skip
        assert not read(reader, second).blind
        take_over_referral(user=colleague, referral_id=second.pk)
        assert read(colleague, second).blind

    def test_an_earlier_answer_of_the_same_lesion_is_withheld_as_well(
        self, clinician: User, referral: Referral, reader: User
    ) -> None:
        case = referral.case
        earlier = factories.submit(
            clinician, factories.new_case(consents=[], patient=case.patient_id, lesion=case.lesion_id)
        ).case
        assert answer_withheld(reader, earlier)
        assert not answer_withheld(clinician, earlier)
        read(reader, referral)
        assert not answer_withheld(reader, earlier)
        assert answer_withheld(factories.dermatologist(), earlier)

    def test_it_is_recorded_once_and_never_changed(self, referral: Referral, reader: User) -> None:
        first = read(reader, referral)
        assert read(reader, referral) == first
        with pytest.raises(Conflict, match="cannot be changed"):
            read(reader, referral, "melanoma")
        for rows in (FirstRead.objects.all(), AnswerShown.objects.all()):
            show_answer(user=reader, referral=referral)
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                rows._raw_delete("default")

    @pytest.mark.parametrize(
        ("diagnosis", "confidence", "what"), [("flu", 50, "not a diagnosis"), ("nevus", 101, "0 to 100")]
    )
    def test_what_is_impossible_is_refused(
        self, referral: Referral, reader: User, diagnosis: str, confidence: int, what: str
    ) -> None:
        with pytest.raises(Refusal, match=what):
            read(reader, referral, diagnosis, confidence)


class TestSigning:
    def test_the_read_comes_first_where_the_service_reads_blind(self, referral: Referral, reader: User) -> None:
        with pytest.raises(Conflict, match="own read first"):
            sign(reader, referral)

    def test_it_is_signed_with_name_time_and_proof(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        assessment = sign(reader, referral)
        assert assessment.signature == reader.email
        assert assessment.authenticated_by == "session"
        assert assessment.text.encode() not in bytes(assessment.sealed_text or b"")
        referral.refresh_from_db()
        assert (referral.state, referral.answered_at) == (ReferralState.ANSWERED, assessment.signed_at)

    def test_a_stale_proof_does_not_sign(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        old = Proof(timezone.now() - timedelta(days=2), "token")
        with pytest.raises(Refusal, match="do so again"):
            sign_assessment(user=reader, referral_id=referral.pk, new=ANSWER, proof=old)

    @pytest.mark.parametrize(
        ("plan", "months", "what"),
        [("observe", None, "say how many"), ("observe", 37, "1 to 36"), ("excise", 3, "belong"), ("wait", None, "one")],
    )
    def test_a_plan_that_is_not_whole_is_refused(
        self, referral: Referral, reader: User, plan: str, months: int | None, what: str
    ) -> None:
        read(reader, referral)
        with pytest.raises(Refusal, match=what):
            sign(reader, referral, plan=plan, months=months)

    def test_an_amendment_names_what_it_replaces_and_the_database_keeps_both(
        self, referral: Referral, reader: User
    ) -> None:
        read(reader, referral)
        first = sign(reader, referral)
        second = amend(reader, referral, diagnosis="melanoma", plan=Plan.URGENT, text="Second look: regression.")
        assert second.amends == first
        assert current_assessment(referral) == second
        third = amend(reader, referral, text="No, a naevus after all.")
        assert third.amends == second
        with pytest.raises(Refusal, match="text"):
            amend(reader, referral, text=" ")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Assessment.objects.filter(pk=first.pk).update(confidence=1)

    @pytest.mark.parametrize("plan", list(Plan))
    def test_an_outcome_is_awaited_where_the_plan_leads_to_one(
        self, referral: Referral, reader: User, plan: Plan
    ) -> None:
        read(reader, referral)
        sign(reader, referral, plan=plan, months=6 if plan == Plan.OBSERVE else None)
        referral.refresh_from_db()
        assert (referral.outcome_due_at is None) == (plan == Plan.REASSURE)

    def test_who_takes_over_reads_for_themselves(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        colleague = factories.dermatologist(referral.service)
        take_over_referral(user=colleague, referral_id=referral.pk)
        with pytest.raises(Conflict, match="own read first"):
            sign(colleague, referral)
        read(colleague, referral, "melanoma")
        assert FirstRead.objects.filter(referral=referral, role="first").count() == 2
        sign(colleague, referral)


class TestFurtherReaders:
    def test_they_read_blind_see_one_another_after_and_a_third_settles(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        other = factories.dermatologist()
        elsewhere = factories.organisation_of(other)
        ask_opinion(user=reader, referral_id=referral.pk, service=elsewhere.pk, question="Blue-white veil?")
        assert Referral.objects.for_reader(other).get() == referral
        assert show_answer(user=other, referral=referral) is None
        assert not sees_other_reads(other, referral)
        with pytest.raises(Conflict, match="awaited"):
            sign(reader, referral)

        second = read(other, referral, "melanoma")
        assert (second.role, second.blind) == ("second", True)
        assert sees_other_reads(other, referral)
        assert consensus_of(referral).unsettled
        with pytest.raises(Conflict, match="disagree"):
            sign(reader, referral)

        third = factories.dermatologist(referral.service)
        ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=third.pk)
        settled = read(third, referral, "melanoma-in-situ")
        assert settled.role == "third"
        assert consensus_of(referral).settled_as == "melanoma-in-situ"
        with pytest.raises(Conflict, match="settled the disagreement"):
            sign(reader, referral)
        sign(reader, referral, diagnosis="melanoma", plan=Plan.EXCISE)

    @pytest.mark.parametrize("hand_over", ["taken over", "given back and accepted"])
    def test_a_second_reader_to_whom_the_referral_passes_does_not_settle_the_disagreement_alone(
        self, referral: Referral, reader: User, hand_over: str
    ) -> None:
        read(reader, referral, "melanoma")
        second, third = factories.dermatologist(referral.service), factories.dermatologist(referral.service)
        ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=second.pk)
        read(second, referral, "nevus")
        if hand_over == "taken over":
            take_over_referral(user=second, referral_id=referral.pk)
        else:
            release_referral(user=reader, referral_id=referral.pk)
            accept_referral(user=second, referral_id=referral.pk)
        assert consensus_of(Referral.objects.get()).unsettled
        with pytest.raises(Conflict, match="disagree"):
            sign(second, referral)
        ask_opinion(user=second, referral_id=referral.pk, service=referral.service_id, reader=third.pk)
        read(third, referral, "melanoma-in-situ")
        with pytest.raises(Conflict, match="settled the disagreement"):
            sign(second, referral)
        sign(second, referral, diagnosis="melanoma", plan=Plan.EXCISE)

    def test_who_was_asked_and_takes_over_before_reading_gives_the_opinion_all_the_same(
        self, referral: Referral, reader: User
    ) -> None:
        read(reader, referral, "melanoma")
        second = factories.dermatologist(referral.service)
        opinion = ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=second.pk)
        take_over_referral(user=second, referral_id=referral.pk)
        assert read(second, referral, "nevus").role == "second"
        opinion.refresh_from_db()
        assert opinion.state == "given"
        with pytest.raises(Conflict, match="disagree"):
            sign(second, referral)

    def test_a_second_reader_who_agreed_may_take_over_and_sign(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        second = factories.dermatologist(referral.service)
        ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=second.pk)
        read(second, referral, "nevus-blue")
        take_over_referral(user=second, referral_id=referral.pk)
        sign(second, referral)

    def test_readers_who_agree_leave_nothing_to_settle(self, referral: Referral, reader: User) -> None:
        read(reader, referral)
        other = factories.dermatologist(referral.service)
        ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=other.pk)
        read(other, referral, "nevus-blue")
        with pytest.raises(Conflict, match="nothing to settle"):
            ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id)
        sign(reader, referral)

    def test_asking_needs_ones_own_read_and_a_dermatologist_of_that_service(
        self, referral: Referral, reader: User
    ) -> None:
        where = referral.service_id
        with pytest.raises(Conflict, match="own read"):
            ask_opinion(user=reader, referral_id=referral.pk, service=where)
        read(reader, referral)
        with pytest.raises(Refusal, match="no dermatologist"):
            ask_opinion(user=reader, referral_id=referral.pk, service=where, reader=factories.dermatologist().pk)
        with pytest.raises(Refusal, match="has read"):
            ask_opinion(user=reader, referral_id=referral.pk, service=where, reader=reader.pk)

    def test_a_request_can_be_declined_or_taken_back_and_then_the_reader_sees_nothing(
        self, referral: Referral, reader: User
    ) -> None:
        read(reader, referral)
        other = factories.dermatologist()
        where = factories.organisation_of(other).pk
        for end in (decline_opinion, withdraw_opinion):
            opinion = ask_opinion(user=reader, referral_id=referral.pk, service=where)
            end(user=other if end is decline_opinion else reader, opinion_id=opinion.pk)
            assert not Referral.objects.for_reader(other).exists()
            with pytest.raises(Conflict, match="since"):
                end(user=other if end is decline_opinion else reader, opinion_id=opinion.pk)
        sign(reader, referral)
