"""Retention: who was not seen for as long as the policy says is erased, and nobody else."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from diagnosis.models import Case, Erasure, ErasureReason, Patient, RetentionPolicy
from diagnosis.services import retention
from diagnosis.services.consents import lock_patient
from diagnosis.services.decisions import NewDecision, decide
from diagnosis.services.errors import Refusal
from diagnosis.services.months import months_later
from diagnosis.services.referrals import withdraw_referral
from skincare.accounts.models import Organisation, User
from skincare.audit.models import AuditEvent
from tests import factories


@pytest.fixture
def clinician(db: None) -> User:
    return factories.clinician()


def in_force(organisation: Organisation, months: int = 24) -> None:
    """A policy whose notice is over."""
    retention.set_policy(organisation=organisation, months=months, user=None)
    RetentionPolicy.objects.filter(pk=organisation.pk).update(applies_from=timezone.now() - timedelta(minutes=1))


def seen(by: User, months_ago: int, **fields: Any) -> Patient:
    """A patient who was recorded so long ago."""
    patient = factories.patient(by, **fields)
    when = months_later(timezone.now(), -months_ago)
    Patient.objects.filter(pk=patient.pk).update(created_at=when)
    return Patient.objects.get(pk=patient.pk)


def erased() -> set[Any]:
    return set(Patient.objects.filter(data_key_row=None).values_list("pk", flat=True))


def test_only_those_of_an_organisation_with_a_policy_who_were_not_seen_for_so_long_are_erased(clinician: User) -> None:
    in_force(factories.organisation_of(clinician))
    old, recent = seen(clinician, 25), seen(clinician, 23)
    seen(factories.clinician(), 300)
    back = seen(clinician, 25)
    lesion = factories.lesion(back, clinician)
    factories.submit(clinician, factories.new_case(patient=back.pk, lesion=lesion.pk))

    assert retention.enforce() == 1

    assert erased() == {old.pk}
    assert Erasure.objects.get().reason == ErasureReason.RETENTION
    assert AuditEvent.objects.get(action="patient.erased").details["reason"] == "retention"
    assert retention.enforce() == 0
    assert not Patient.objects.get(pk=recent.pk).erased


def test_the_last_of_several_cases_counts(clinician: User) -> None:
    in_force(factories.organisation_of(clinician))
    case = factories.case(clinician)
    Patient.objects.filter(pk=case.patient_id).update(created_at=months_later(timezone.now(), -60))
    Case.objects.filter(pk=case.pk).update(submitted_at=months_later(timezone.now(), -25))
    assert [each.patient_id for each in retention.due()] == [case.patient_id]
    factories.submit(clinician, factories.new_case(patient=case.patient_id, lesion=case.lesion_id))
    assert retention.due() == []


def last_seen(case: Case, months_ago: int) -> Case:
    """A case, and its patient, of so long ago."""
    when = months_later(timezone.now(), -months_ago)
    Patient.objects.filter(pk=case.patient_id).update(created_at=when)
    Case.objects.filter(pk=case.pk).update(submitted_at=when)
    return case


def test_whose_lesion_is_to_be_looked_at_again_is_kept_until_the_period_after_that_day(clinician: User) -> None:
    in_force(factories.organisation_of(clinician), 12)
    observed, overtaken = (last_seen(factories.case(clinician), 13) for _ in range(2))
    today = timezone.now().date()
    for case in (observed, overtaken):
        decide(user=clinician, new=NewDecision(case.pk, "observe", remind_on=today + timedelta(days=365)))
    decide(user=clinician, new=NewDecision(overtaken.pk, "close", reason="harmless"))

    assert retention.enforce() == 1

    assert erased() == {overtaken.patient_id}
    assert retention.due(at=timezone.now() + timedelta(days=365 + 364)) == []
    later = retention.due(at=timezone.now() + timedelta(days=365 + 368))
    assert [each.patient_id for each in later] == [observed.patient_id]


def test_of_whom_a_referral_is_open_is_kept_until_it_is_not(clinician: User) -> None:
    in_force(factories.organisation_of(clinician), 12)
    referral = factories.referral(clinician)
    last_seen(referral.case, 13)
    assert retention.enforce() == 0
    withdraw_referral(user=clinician, referral_id=referral.pk)
    assert retention.enforce() == 1
    assert erased() == {referral.case.patient_id}


def test_a_first_or_shorter_period_waits_a_month_and_a_longer_one_counts_at_once(clinician: User) -> None:
    organisation = factories.organisation_of(clinician)
    old = seen(clinician, 100)
    retention.set_policy(organisation=organisation, months=24, user=clinician)
    assert retention.due() == []
    assert [each.patient_id for each in retention.due(at=timezone.now() + timedelta(days=31))] == [old.pk]

    in_force(organisation, 24)
    assert len(retention.due()) == 1
    retention.set_policy(organisation=organisation, months=120, user=clinician)
    assert retention.due() == []
    retention.set_policy(organisation=organisation, months=12, user=clinician)
    assert retention.due() == []
    events = AuditEvent.objects.filter(action="retention.set", actor=clinician).order_by("pk")
    assert [(event.details["before"], event.details["months"]) for event in events] == [
        (None, 24),
        (24, 120),
        (120, 12),
    ]


@pytest.mark.parametrize("months", [0, 11, 601])
def test_an_impossible_period_is_refused_by_service_and_database(clinician: User, months: int) -> None:
    organisation = factories.organisation_of(clinician)
    with pytest.raises(Refusal, match="12 to 600"):
        retention.set_policy(organisation=organisation, months=months, user=clinician)
    with pytest.raises(IntegrityError), transaction.atomic():
        RetentionPolicy.objects.create(
            organisation=organisation, months_after_last_case=months, applies_from=timezone.now()
        )


@pytest.mark.parametrize(
    ("day", "months", "before"),
    [
        ("2026-11-23", 12, "2025-11-23"),
        ("2026-01-15", 1, "2025-12-15"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2026-03-31", 1, "2026-02-28"),
        ("2026-12-31", 600, "1976-12-31"),
    ],
)
def test_months_are_counted_by_the_calendar(day: str, months: int, before: str) -> None:
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert f"{months_later(moment, -months):%Y-%m-%d}" == before


@pytest.mark.django_db(transaction=True)
def test_whoever_comes_back_while_the_task_runs_is_not_erased() -> None:
    clinician = factories.clinician()
    in_force(factories.organisation_of(clinician))
    patient = seen(clinician, 25)
    locked = Event()

    def come_back() -> None:
        with transaction.atomic():
            lock_patient(patient.pk)
            locked.set()
            lesion = factories.lesion(patient, clinician)
            factories.submit(clinician, factories.new_case(patient=patient.pk, lesion=lesion.pk))
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        returning = pool.submit(come_back)
        assert locked.wait(60)
        erased_now = retention.enforce()
        returning.result()
    assert (erased_now, erased()) == (0, set())


def test_the_preview_names_who_is_due_and_erases_nobody(clinician: User, capsys: Any) -> None:
    call_command("retention", "--preview")
    assert "nobody is erased by time" in capsys.readouterr().out
    in_force(factories.organisation_of(clinician))
    old, soon = seen(clinician, 25), seen(clinician, 23)
    call_command("retention", "--preview")
    said = capsys.readouterr().out
    assert str(old.pk) in said
    assert str(soon.pk) not in said
    assert "1 patients due" in said
    call_command("retention", "--preview", "--days=62")
    assert str(soon.pk) in capsys.readouterr().out
    assert erased() == set()
    call_command("retention", "--enforce")
    assert "1 patients erased" in capsys.readouterr().out


def test_the_admin_sets_a_period_through_the_service(clinician: User) -> None:
    browser = Client()
    browser.force_login(factories.user(is_staff=True, is_superuser=True))
    organisation = factories.organisation_of(clinician)
    address = "/admin/diagnosis/retentionpolicy/add/"
    refused = browser.post(address, {"organisation": str(organisation.pk), "months_after_last_case": "3"})
    assert (refused.status_code, RetentionPolicy.objects.count()) == (200, 0)
    stored = browser.post(address, {"organisation": str(organisation.pk), "months_after_last_case": "120"})
    assert (stored.status_code, RetentionPolicy.objects.get().months_after_last_case) == (302, 120)
    assert AuditEvent.objects.get(action="retention.set").details["months"] == 120
