"""Observing and closing: what is refused, what overtakes an observation, and who is reminded, once."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import Case, CloseReason, Decision, DecisionKind, Notification
from diagnosis.models.sealed import PatientErased
from diagnosis.services.decisions import NewDecision, decide, remind_due
from diagnosis.services.erasure import ErasureReason, erase_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.notifications import send_due
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


def today() -> date:
    return timezone.now().date()


def in_days(days: int) -> date:
    return today() + timedelta(days=days)


@pytest.fixture
def case(clinician: User) -> Case:
    return factories.referrable_case(clinician)


def observe(by: User, case: Case, days: int = 90, **fields: Any) -> Decision:
    return decide(user=by, new=NewDecision(case.pk, DecisionKind.OBSERVE, in_days(days), **fields))


def later(days: int) -> Any:
    return timezone.now() + timedelta(days=days)


def test_an_observation_is_kept_with_its_note_sealed_and_recorded(clinician: User, case: Case) -> None:
    decision = observe(clinician, case, note=" Compare the lower edge. ")
    kept = Decision.objects.get(pk=decision.pk)
    assert (kept.note, kept.remind_on, kept.decided_by) == ("Compare the lower edge.", in_days(90), clinician)
    assert b"edge" not in bytes(kept.sealed_note or b"")
    event = AuditEvent.objects.get(action="case.decided")
    assert (event.actor, event.patient_id, event.details["kind"]) == (clinician, case.patient_id, "observe")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "observe"}, "day_missing"),
        ({"kind": "observe", "remind_on": 0}, "day_out_of_range"),
        ({"kind": "observe", "remind_on": 3 * 366 + 1}, "day_out_of_range"),
        ({"kind": "observe", "remind_on": 30, "reason": "harmless"}, "reason_unneeded"),
        ({"kind": "close"}, "reason_missing"),
        ({"kind": "close", "reason": "tired"}, "reason_missing"),
        ({"kind": "close", "reason": "harmless", "remind_on": 30}, "day_unneeded"),
        ({"kind": "close", "reason": "harmless", "note": "x" * 5001}, "text_too_long"),
    ],
)
def test_what_makes_no_sense_is_refused(clinician: User, case: Case, fields: dict[str, Any], code: str) -> None:
    if "remind_on" in fields:
        fields = {**fields, "remind_on": in_days(fields["remind_on"])}
    with pytest.raises(Refusal) as refused:
        decide(user=clinician, new=NewDecision(case.pk, **fields))
    assert refused.value.code == code
    assert not Decision.objects.exists()


def test_a_case_of_another_clinic_is_not_there(case: Case) -> None:
    with pytest.raises(Refusal, match="no such case"):
        observe(factories.clinician(), case)


def test_sent_twice_it_is_decided_once_and_another_under_the_same_id_is_refused(clinician: User, case: Case) -> None:
    pk = uuid4()
    first, again = observe(clinician, case, id=pk), observe(clinician, case, id=pk)
    assert (first.pk, again.pk, Decision.objects.count()) == (pk, pk, 1)
    with pytest.raises(Conflict) as refused:
        observe(clinician, case, 60, id=pk)
    assert refused.value.code == "id_taken"


def test_what_is_before_a_dermatologist_is_not_decided_beside_them(clinician: User, case: Case) -> None:
    factories.referral(clinician, of=case)
    with pytest.raises(Conflict) as refused:
        decide(user=clinician, new=NewDecision(case.pk, "close", reason=CloseReason.HARMLESS))
    assert refused.value.code == "already_referred"


def test_nothing_is_decided_about_an_erased_patient_and_nobody_is_reminded(clinician: User, case: Case) -> None:
    observe(clinician, case)
    erase_patient(patient_id=case.patient_id, reason=ErasureReason.PATIENT_REQUEST)
    with pytest.raises(PatientErased):
        observe(clinician, case)
    assert remind_due(now=later(100)) == 0


@pytest.mark.parametrize("change", [{"remind_on": date(2030, 1, 1)}, {"kind": "close"}, {"decided_at": timezone.now()}])
def test_the_database_keeps_a_decision_as_it_was_said(clinician: User, case: Case, change: dict[str, Any]) -> None:
    decision = observe(clinician, case)
    with pytest.raises(IntegrityError, match="neither changed nor deleted"), transaction.atomic():
        Decision.objects.filter(pk=decision.pk).update(**change)
    with pytest.raises(IntegrityError, match="neither changed nor deleted"), transaction.atomic():
        Decision.objects.filter(pk=decision.pk).delete()


class TestReminders:
    def test_whoever_observes_is_told_once_on_the_day_and_the_mail_has_nothing_clinical(
        self, clinician: User, case: Case, mailoutbox: list[Any]
    ) -> None:
        observe(clinician, case, note="Compare the lower edge.")
        assert remind_due(now=later(89)) == 0
        assert (remind_due(now=later(91)), remind_due(now=later(92))) == (1, 0)
        notice = Notification.objects.get()
        assert (notice.user, notice.kind, notice.case, notice.referral) == (clinician, "observation_due", case, None)
        assert send_due() == 1
        (mail,) = mailoutbox
        assert "looked at again" in mail.body
        for secret in ("edge", case.patient.record_number, str(case.pk), "posterior"):
            assert secret not in mail.body + mail.subject

    def test_colleagues_are_told_where_that_person_has_left(self, clinician: User, case: Case) -> None:
        observe(clinician, case)
        colleague = factories.clinician(factories.organisation_of(clinician))
        clinician.memberships.all().delete()
        assert remind_due(now=later(91)) == 1
        assert Notification.objects.get().user == colleague

    @pytest.mark.parametrize("overtaken_by", ["decision", "visit", "referral"])
    def test_what_was_overtaken_reminds_nobody(self, clinician: User, case: Case, overtaken_by: str) -> None:
        observe(clinician, case)
        if overtaken_by == "decision":
            decide(user=clinician, new=NewDecision(case.pk, "close", reason=CloseReason.HARMLESS))
        elif overtaken_by == "visit":
            again = factories.new_case(patient=case.patient_id, lesion=case.lesion_id, consents=[])
            factories.submit(clinician, again)
        else:
            factories.referral(clinician, of=case)
        assert not Decision.objects.standing().exists()
        assert remind_due(now=later(91)) == 0

    def test_another_lesion_overtakes_nothing(self, clinician: User, case: Case) -> None:
        observe(clinician, case)
        decide(user=clinician, new=NewDecision(factories.case(clinician).pk, "close", reason=CloseReason.HARMLESS))
        assert Decision.objects.due(in_days(91)).count() == 1
