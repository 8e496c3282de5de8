"""Shorthand for tests: the steps of a referral, with whatever a step needs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from diagnosis.models import Assessment, FirstRead, Plan, Referral
from diagnosis.services.analysis_queue import answer, claim
from diagnosis.services.assessments import NewAssessment, amend_assessment, sign_assessment
from diagnosis.services.first_reads import NewRead, record_first_read
from diagnosis.services.signing import Proof
from skincare.accounts.models import User
from tests.diagnosis.services.answers import answered

ANSWER = NewAssessment(diagnosis="nevus", confidence=80, plan=Plan.REASSURE, text="Regular network, symmetrical.")


def proof() -> Proof:
    """Signed in a minute ago."""
    return Proof(timezone.now() - timedelta(minutes=1), "session")


def read(by: User, referral: Referral, diagnosis: str = "nevus", confidence: int = 70) -> FirstRead:
    """A first read."""
    return record_first_read(
        user=by, referral_id=referral.pk, new=NewRead(diagnosis, confidence, "Streaks at the edge")
    )


def sign(by: User, referral: Referral, **changes: Any) -> Assessment:
    """A signed answer."""
    return sign_assessment(user=by, referral_id=referral.pk, new=replace(ANSWER, **changes), proof=proof())


def amend(by: User, referral: Referral, **changes: Any) -> Assessment:
    """An amended answer."""
    return amend_assessment(user=by, referral_id=referral.pk, new=replace(ANSWER, **changes), proof=proof())


def network_answers(risk: float = 0.25) -> None:
    """The network answers whatever waits."""
    lease = claim(limit=100)
    assert lease is not None
    for analysis in lease.analyses:
        answered(analysis, risk)
    answer(lease, lease.analyses)
