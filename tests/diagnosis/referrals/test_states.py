"""What may be done with a referral, by whom, from where; in Python and in the database alike."""

from collections.abc import Callable
from itertools import product

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import DeclineReason, Referral, ReferralState, ServicePolicy, Urgency
from diagnosis.services import referrals
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.referral_messages import ask_clinician, reply_to_question
from diagnosis.services.referral_moves import move
from diagnosis.services.referral_states import TRANSITIONS, Action, IllegalTransition, Who, allowed, check
from diagnosis.services.referrals import NewReferral, refer_case
from skincare.accounts.models import Organisation, Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import amend, read, sign

pytestmark = pytest.mark.django_db
S = ReferralState


class World:
    """A clinic, a service, and a referral between them."""

    def __init__(self) -> None:
        self.service = factories.service()
        self.clinician = factories.clinician()
        self.dermatologist = factories.dermatologist(self.service, first_name="Ingrid", last_name="Solberg")
        self.case = factories.referrable_case(self.clinician)
        self.colleague = factories.dermatologist(self.service)
        self.people: dict[Who, User] = {
            Who.CLINICIAN: self.clinician,
            Who.DERMATOLOGIST: self.colleague,
            Who.CLAIMANT: self.dermatologist,
        }

    def reach(self, state: ReferralState) -> Referral:
        """A referral in that state; one that was open before expires."""
        for standing in Referral.objects.open():
            self.do(Action.EXPIRE, standing, None)
        referral = factories.referral(self.clinician, self.service, of=self.case)
        pk, derm = referral.pk, self.dermatologist
        if state in (S.ACCEPTED, S.MORE_INFORMATION_ASKED, S.ANSWERED, S.CLOSED):
            referrals.accept_referral(user=derm, referral_id=pk)
        match state:
            case S.MORE_INFORMATION_ASKED:
                ask_clinician(user=derm, referral_id=pk, text="Does it itch?")
            case S.ANSWERED | S.CLOSED:
                read(derm, referral)
                sign(derm, referral)
                if state == S.CLOSED:
                    referrals.close_referral(user=self.clinician, referral_id=pk)
            case S.DECLINED:
                referrals.decline_referral(
                    user=derm, referral_id=pk, reason=DeclineReason.NOT_OURS, explanation="A wound."
                )
            case S.WITHDRAWN:
                referrals.withdraw_referral(user=self.clinician, referral_id=pk)
            case S.EXPIRED:
                self.do(Action.EXPIRE, referral, None)
        found = Referral.objects.get(pk=pk)
        assert found.state == state
        return found

    def do(self, action: Action, referral: Referral, user: User | None) -> None:
        """Try an action through its service."""
        pk = referral.pk
        if user is None:
            with transaction.atomic():
                locked = referrals.lock_referral(pk)
                check(action, locked, None)
                move(locked, action, None)
            return
        does: dict[Action, Callable[[], object]] = {
            Action.ACCEPT: lambda: referrals.accept_referral(user=user, referral_id=pk),
            Action.TAKE_OVER: lambda: referrals.take_over_referral(user=user, referral_id=pk),
            Action.RELEASE: lambda: referrals.release_referral(user=user, referral_id=pk),
            Action.DECLINE: lambda: referrals.decline_referral(
                user=user, referral_id=pk, reason=DeclineReason.NO_CAPACITY, explanation="Full."
            ),
            Action.ASK: lambda: ask_clinician(user=user, referral_id=pk, text="Since when?"),
            Action.REPLY: lambda: reply_to_question(user=user, referral_id=pk, text="Since May."),
            Action.ANSWER: lambda: sign(user, referral),
            Action.AMEND: lambda: amend(user, referral),
            Action.CLOSE: lambda: referrals.close_referral(user=user, referral_id=pk),
            Action.WITHDRAW: lambda: referrals.withdraw_referral(user=user, referral_id=pk),
        }
        does[action]()


@pytest.mark.parametrize("action", [action for action in Action if TRANSITIONS[action].by is not Who.PLATFORM])
def test_each_action_leads_where_the_table_says_from_its_states_and_from_no_other(action: Action) -> None:
    world = World()
    transition = TRANSITIONS[action]
    for state in ReferralState:
        referral = world.reach(state)
        user = world.people[transition.by]
        if action is Action.DECLINE and referral.claimed_by:
            user = world.dermatologist
        if state in transition.before:
            assert action in allowed(referral, user)
            if action is Action.ANSWER:
                read(user, referral)
            world.do(action, referral, user)
            referral.refresh_from_db()
            assert referral.state == (transition.after or state)
            assert referral.changed_by == user
        else:
            assert action not in allowed(referral, user)
            with pytest.raises(IllegalTransition) as refused:
                world.do(action, referral, user)
            assert state.value.replace("_", " ") in str(refused.value)
            assert Referral.objects.get(pk=referral.pk).state == state


@pytest.mark.parametrize("action", [action for action in Action if TRANSITIONS[action].by is not Who.PLATFORM])
def test_nobody_else_may(action: Action) -> None:
    world = World()
    transition = TRANSITIONS[action]
    state = sorted(transition.before)[0]
    referral = world.reach(state)
    strangers = [
        factories.clinician(),
        factories.dermatologist(),
        factories.member(Role.ADMINISTRATOR, world.service),
        world.clinician if transition.by is not Who.CLINICIAN else world.dermatologist,
    ]
    for stranger in strangers:
        with pytest.raises(Refusal, match="only"):
            world.do(action, referral, stranger)
        assert action not in allowed(referral, stranger)
    assert Referral.objects.get(pk=referral.pk).state == state


def test_a_dermatologist_who_comes_second_is_told_who_has_it() -> None:
    world = World()
    referral = world.reach(S.ACCEPTED)
    for action in (Action.ACCEPT, Action.ANSWER, Action.ASK, Action.RELEASE, Action.DECLINE):
        with pytest.raises(Conflict, match="Ingrid Solberg") as refused:
            world.do(action, referral, world.colleague)
        assert refused.value.code == "taken"


def test_the_database_allows_the_steps_of_the_table_and_no_others() -> None:
    steps = {(before, t.after) for t in TRANSITIONS.values() if t.after for before in t.before if before != t.after}
    world = World()
    for before, after in product(ReferralState, ReferralState):
        if before == after:
            continue
        referral = world.reach(before)
        changes: dict[str, object] = {"state": after}
        if after == S.SENT:
            changes |= {"claimed_by": None, "claimed_at": None}
        elif after in (S.ACCEPTED, S.MORE_INFORMATION_ASKED, S.ANSWERED):
            changes |= {"claimed_by": world.dermatologist, "claimed_at": timezone.now()}
        elif after == S.DECLINED:
            changes |= {"decline_reason": "not_ours"}
        row = Referral.objects.filter(pk=referral.pk)
        if (before, after) in steps:
            row.update(**changes)
            continue
        with pytest.raises(IntegrityError, match="referral"), transaction.atomic():
            row.update(**changes)


def test_the_database_keeps_what_a_referral_is() -> None:
    referral = factories.referral(factories.clinician())
    row = Referral.objects.filter(pk=referral.pk)
    for change in ({"service": factories.service()}, {"sent_at": timezone.now()}):
        with pytest.raises(IntegrityError, match="stay"), transaction.atomic():
            row.update(**change)
    with pytest.raises(IntegrityError, match="not deleted"), transaction.atomic():
        row._raw_delete("default")
    row.update(state="withdrawn")
    Organisation.objects.filter(pk=referral.service_id).update(kind=Organisation.Kind.CLINIC)
    copy = Referral.objects.get(pk=referral.pk)
    copy.pk, copy.state = factories.uuid4(), ReferralState.SENT
    with pytest.raises(IntegrityError, match="no dermatology service"), transaction.atomic():
        copy.save(force_insert=True)


class TestReferring:
    def test_the_due_time_follows_the_services_policy(self) -> None:
        service = factories.service()
        ServicePolicy.objects.create(service=service, hours_urgent_suspected_cancer=4)
        referral = factories.referral(factories.clinician(), service, Urgency.URGENT_SUSPECTED_CANCER)
        assert (referral.due_at - referral.sent_at).total_seconds() == 4 * 3600
        assert referral.expires_at > referral.due_at

    def test_a_case_without_consent_to_analysis_can_be_referred(self) -> None:
        by = factories.clinician()
        statement = factories.statement(scope=factories.ConsentScope.TELEDERMATOLOGY)
        case = factories.submit(by, factories.new_case(consents=[statement])).case
        assert factories.referral(by, of=case).state == S.SENT

    def test_without_consent_to_teledermatology_it_is_refused_and_the_way_out_is_said(self) -> None:
        by = factories.clinician()
        with pytest.raises(Conflict, match="record it first"):
            factories.referral(by, of=factories.case(by))

    def test_past_the_service_the_database_refuses_it(self) -> None:
        by = factories.clinician()
        case = factories.case(by)
        now = timezone.now()
        with pytest.raises(IntegrityError, match="no consent to teledermatology"), transaction.atomic():
            Referral.objects.create(
                case=case,
                service=factories.service(),
                referred_by=by,
                urgency="soon",
                sent_at=now,
                due_at=now,
                expires_at=now,
                state_since=now,
                sort_key=1,
            )

    def test_sent_twice_it_is_referred_once_and_a_second_one_is_refused_by_name(self) -> None:
        by, service = factories.clinician(), factories.service("Skin Centre North")
        case = factories.referrable_case(by)
        new = NewReferral(case.pk, service.pk, Urgency.SOON, id=factories.uuid4())
        assert refer_case(user=by, new=new) == refer_case(user=by, new=new)
        with pytest.raises(Conflict, match="Skin Centre North"):
            factories.referral(by, service, of=case)
        assert AuditEvent.objects.filter(action="referral.sent").count() == 1

    def test_a_service_may_take_referrals_of_some_clinics_only(self) -> None:
        by, service = factories.clinician(), factories.service()
        policy = ServicePolicy.objects.create(service=service, open_to_all_clinics=False)
        with pytest.raises(Refusal, match="takes referrals of"):
            factories.referral(by, service)
        policy.clinics.add(factories.organisation_of(by))
        assert factories.referral(by, service).state == S.SENT

    def test_neither_anothers_case_nor_a_clinic_as_service(self) -> None:
        by = factories.clinician()
        with pytest.raises(Refusal, match="no such case"):
            factories.referral(factories.clinician(), of=factories.referrable_case(by))
        with pytest.raises(Refusal, match="no dermatology service"):
            factories.referral(by, factories.organisation())
