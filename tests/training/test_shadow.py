"""A challenger in shadow reads what may be read, and nothing of it reaches those who treat."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from diagnosis.models import Analysis, Case, ConsentScope, ModelVersion, ShadowReading, VersionState
from diagnosis.services import reading, shadow
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.training.test_releases import challenger  # noqa: F401  (a fixture)
from training.services.releases import set_shadow

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinician() -> User:
    return factories.clinician()


@pytest.fixture
def in_shadow(challenger: ModelVersion) -> ModelVersion:  # noqa: F811
    """The challenger, reading in shadow since a minute."""
    set_shadow(user=factories.user(is_model_steward=True), version_id=challenger.pk, on=True)
    ModelVersion.objects.filter(pk=challenger.pk).update(shadow_since=timezone.now() - timedelta(minutes=1))
    return challenger


def answered(clinician: User, *scopes: ConsentScope) -> Case:
    """A case that the champion has answered; the patient consented to analysis and to the scopes."""
    case = factories.case(clinician)
    for scope in scopes:
        factories.grant(case.patient, clinician, scope)
    reading.read_waiting_cases()
    return case


def test_it_reads_what_both_consents_allow_and_changes_no_answer(in_shadow: ModelVersion, clinician: User) -> None:
    case = answered(clinician, ConsentScope.RESEARCH)
    before = Analysis.objects.filter(case=case).values().get()

    assert shadow.read_in_shadow() == 1
    assert shadow.read_in_shadow() == 0

    found = ShadowReading.objects.get()
    assert (found.case, found.model_version) == (case, in_shadow)
    # The same files under another name say the same.
    assert found.malignancy_risk == before["malignancy_risk"]
    assert Analysis.objects.filter(case=case).values().get() == before
    assert AuditEvent.objects.get(object_type="shadowreading").patient_id == case.patient_id
    compared = shadow.compare_in_shadow(in_shadow)
    assert (compared.read, compared.both_answered, compared.same_decision) == (1, 1, 1)
    shown = ApiClient(token_for(clinician)).get(f"/api/v1/cases/{case.pk}/").content.decode()
    assert in_shadow.name not in shown
    assert str(in_shadow.pk) not in shown


def test_without_consent_to_research_it_reads_nothing(in_shadow: ModelVersion, clinician: User) -> None:
    answered(clinician)
    withdrawn = answered(clinician, ConsentScope.RESEARCH)
    factories.withdraw(withdrawn.patient, clinician, ConsentScope.RESEARCH)
    no_analysis = answered(clinician, ConsentScope.RESEARCH)
    factories.withdraw(no_analysis.patient, clinician)
    assert shadow.read_in_shadow() == 0
    assert not ShadowReading.objects.exists()


def test_what_was_answered_before_is_not_read(in_shadow: ModelVersion, clinician: User) -> None:
    answered(clinician, ConsentScope.RESEARCH)
    ModelVersion.objects.filter(pk=in_shadow.pk).update(shadow_since=timezone.now())
    assert shadow.read_in_shadow() == 0


def test_where_no_challenger_is_in_shadow_nothing_is_read(challenger: ModelVersion, clinician: User) -> None:  # noqa: F811
    answered(clinician, ConsentScope.RESEARCH)
    assert shadow.read_in_shadow() == 0


def test_released_or_stopped_it_reads_no_more(in_shadow: ModelVersion, clinician: User, settings: Any) -> None:
    set_shadow(user=factories.user(is_model_steward=True), version_id=in_shadow.pk, on=False)
    answered(clinician, ConsentScope.RESEARCH)
    assert shadow.read_in_shadow() == 0
    assert ModelVersion.objects.get(pk=in_shadow.pk).state == VersionState.CHALLENGER
