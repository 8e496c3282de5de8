"""The demonstration's past: made once, within a turn, whole, and only where a demonstration is allowed."""

from typing import Any

import pytest
from django.core.management import call_command

from diagnosis.models import Analysis, Assessment, Case, Outcome, Referral, ReferralState
from diagnosis.services import demo_history
from diagnosis.services.demo import DERMATOLOGIST, id_of
from diagnosis.services.demo_history import CASES, OPEN, fill_demo
from diagnosis.services.insight.report import insight
from diagnosis.services.insight.scope import Period, organisations_of
from skincare.accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def test_the_past_is_made_once_and_whole(broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fill_demo() == 0  # nothing has been loaded
    call_command("load_demo", "--history", verbosity=0)
    monkeypatch.setattr(demo_history, "TURN_SECONDS", 0.0)
    few = fill_demo()
    assert 0 < few < 10
    monkeypatch.setattr(demo_history, "TURN_SECONDS", float("inf"))
    assert few + fill_demo() == CASES + 2
    assert fill_demo() == 0
    assert Analysis.objects.count() == CASES + 2 + 6
    made = Referral.objects.filter(
        pk__in=[demo_history.uuid5(demo_history._NAMESPACE, f"referral {n}") for n in range(CASES)]
    )
    states = [row.state for row in made]
    assert sum(state in (ReferralState.ANSWERED, ReferralState.CLOSED) for state in states) > 75
    assert states.count(ReferralState.SENT) == OPEN
    assert Assessment.objects.filter(referral__in=made).count() > 75
    assert Outcome.objects.count() > 20
    assert Case.objects.filter(lesion=id_of("lesion", 1)).count() == 2
    reader = User.objects.get(email=DERMATOLOGIST.email)
    tables = insight(
        user=reader, organisation=organisations_of(reader)[0], period=Period.of("", "", made[0].sent_at.date())
    )
    assert tables[0].rows


def test_nothing_where_it_is_not_allowed(settings: Any) -> None:
    call_command("load_demo", verbosity=0)
    settings.DEMO_ALLOWED = False
    assert fill_demo() == 0
