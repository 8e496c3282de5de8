"""Rows that stand beside what a page is about show patients too: whoever saw them is in the audit record."""

import io
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from diagnosis.models import Case
from diagnosis.services.outcomes import NewOutcome, import_outcomes, record_outcome
from diagnosis.services.second_opinions import ask_opinion
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import read

pytestmark = pytest.mark.django_db
TODAY = timezone.now().date()


def seen_by(user: User) -> set[object]:
    """Whose data the record says that the user has seen."""
    return set(AuditEvent.objects.filter(actor=user, action="patient.read").values_list("patient_id", flat=True))


def looked_at(user: User, address: str) -> set[object]:
    """Whom the user has seen once that page was opened, and not before."""
    before = seen_by(user)
    browser = Client()
    browser.force_login(user)
    assert browser.get(address).status_code == 200
    return seen_by(user) - before


def test_outcomes_recorded_last(clinician: User, case: Case) -> None:
    record_outcome(user=clinician, new=NewOutcome(case.lesion_id, "histology", "melanoma", TODAY))
    colleague = factories.clinician(factories.organisation_of(clinician))
    assert looked_at(colleague, "/outcomes/") == {case.patient_id}


@pytest.mark.parametrize("known", [True, False], ids=["known already", "until now another"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_a_file_is_told_of_lesions(clinician: User, case: Case, known: bool, dry_run: bool) -> None:
    record_outcome(user=clinician, new=NewOutcome(case.lesion_id, "histology", "melanoma", TODAY - timedelta(days=9)))
    colleague = factories.clinician(factories.organisation_of(clinician))
    stranger = factories.case(factories.clinician())
    diagnosis, day = ("melanoma", TODAY - timedelta(days=9)) if known else ("nevus", TODAY)
    text = f"lesion,kind,diagnosis,determined_on\n{case.lesion_id},histology,{diagnosis},{day}\n"
    clinic = factories.organisation_of(clinician)
    for content in (text, f"{text}{stranger.lesion_id},histology,nevus,{TODAY}\n"):
        import_outcomes(file=io.StringIO(content), organisation=clinic, user=colleague, dry_run=dry_run)
    assert seen_by(colleague) == {case.patient_id}


def test_opinions_asked_of_a_reader_of_another_service(clinician: User, reader: User) -> None:
    referral = factories.accepted_referral(clinician, reader)
    read(reader, referral)
    asked = factories.dermatologist()
    ask_opinion(user=reader, referral_id=referral.pk, service=factories.organisation_of(asked).pk, reader=asked.pk)
    assert looked_at(asked, "/worklist/") == {referral.case.patient_id}


def test_what_stands_beside_the_answer(clinician: User, reader: User) -> None:
    referral = factories.accepted_referral(clinician, reader)
    read(reader, referral)
    assert looked_at(reader, f"/worklist/{referral.pk}/beside/?part=beside") == {referral.case.patient_id}
