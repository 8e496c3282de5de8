"""The administration: no patient data anywhere, and a failed analysis can be asked for again."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from diagnosis.models import Analysis, AnalysisState
from diagnosis.services.analysis_queue import FAULTS, claim, give_back
from diagnosis.services.patients import NewPatient
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    user = User.objects.create_superuser("operator@clinic.example", factories.PASSWORD)
    client.force_login(user)
    return client


def fail(analysis: Analysis) -> None:
    for _ in range(FAULTS["reading_failed"].attempts):
        Analysis.objects.update(not_before=analysis.not_before)
        lease = claim(limit=1)
        assert lease is not None
        give_back(lease, lease.analyses, fault="reading_failed")


def test_a_failed_analysis_can_be_asked_for_again(operator: Client) -> None:
    analysis = factories.case(factories.clinician()).analysis
    fail(analysis)
    page = operator.post(
        reverse("admin:diagnosis_analysis_changelist"),
        {"action": "retry", "_selected_action": [str(analysis.pk)]},
        follow=True,
    )
    assert "1 asked for again." in page.content.decode()
    analysis.refresh_from_db()
    assert analysis.state == AnalysisState.WAITING
    event = AuditEvent.objects.get(action="analysis.retried")
    assert event.actor == User.objects.get(email="operator@clinic.example")


def test_one_that_waits_is_left_alone_and_the_reason_is_said(operator: Client) -> None:
    analysis = factories.case(factories.clinician()).analysis
    page = operator.post(
        reverse("admin:diagnosis_analysis_changelist"),
        {"action": "retry", "_selected_action": [str(analysis.pk)]},
        follow=True,
    )
    assert "only one that failed or was not requested" in page.content.decode()


def test_every_page_opens_and_none_shows_a_patient(operator: Client) -> None:
    by = factories.clinician()
    person = NewPatient(record_number="NHS-77-99", name="Beatrix Needle")
    case = factories.submit(by, factories.new_case(patient=person)).case
    opened = 0
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses = [reverse(f"{name}_changelist")]
        addresses += [reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()[:3]]
        for address in addresses:
            page = operator.get(address)
            assert page.status_code == 200, address
            opened += 1
            for secret in ("NHS-77-99", "Beatrix", case.patient.birth_date or "1960-01-02"):
                assert secret not in page.content.decode()
    assert opened > 10


def test_the_record_cannot_be_written_by_hand(operator: Client) -> None:
    factories.case(factories.clinician())
    event = AuditEvent.objects.latest("id")
    for verb in ("change", "delete"):
        address = reverse(f"admin:audit_auditevent_{verb}", args=[event.pk])
        assert operator.post(address, {"action": "nothing"}).status_code == 403
    assert operator.get(reverse("admin:audit_auditevent_add")).status_code == 403
