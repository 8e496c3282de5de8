"""Nobody ever lists, opens, counts, filters, searches or infers what is not theirs, in whatever world there is."""

import inspect
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import models, transaction
from hypothesis import HealthCheck, Phase, given, settings

from diagnosis.models import cases, emergency, patients, referrals, service_policies
from tests.isolation.attacker import Leak
from tests.isolation.probe import Prober, probe
from tests.isolation.world import DESCRIPTIONS, EVERY_RELATION, SERVICES, Description, World, build, end_consents

pytestmark = [pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of requests: a log of two lines for each takes as long as answering them."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def make(description: Description) -> World:
    """A world to attack."""
    cache.clear()
    world = build(description)
    end_consents(world)
    return world


# Eleven people ask for everything: two minutes on a machine that does something else beside.
@pytest.mark.timeout(900)
def test_nobody_learns_of_anything_foreign_where_every_relation_exists() -> None:
    world = make(EVERY_RELATION)
    assert probe(world) == len(EVERY_RELATION.people) + 2 + 2 * len(SERVICES)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(description=DESCRIPTIONS)
def test_nobody_learns_of_anything_foreign_in_any_world(description: Description) -> None:
    with transaction.atomic():
        probe(make(description))
        transaction.set_rollback(True)


#: By this a method of a queryset says that it narrows to what somebody may see.
NARROWING = ("for_", "referred_to")


def filters() -> Iterator[tuple[type, str]]:
    """Every method of a queryset that keeps people apart."""
    for module in (patients, cases, referrals, emergency):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, models.QuerySet) and found.__module__ == module.__name__:
                yield from ((found, name) for name in vars(found) if name.startswith(NARROWING))


FILTERS = list(filters())


def test_the_filters_that_are_taken_away_below_are_the_ones_there_are() -> None:
    assert {(found.__name__, name) for found, name in FILTERS} >= {
        ("PatientQuerySet", "for_user"),
        ("PatientQuerySet", "for_administrator"),
        ("LesionQuerySet", "for_user"),
        ("CaseQuerySet", "for_user"),
        ("CaseQuerySet", "referred_to"),
        ("ReferralQuerySet", "for_user"),
        ("ReferralQuerySet", "for_reader"),
        ("ReferralQuerySet", "for_clinician"),
        ("ReferralQuerySet", "for_dermatologist"),
        ("ReferralQuerySet", "for_second_reader"),
        ("SecondOpinionQuerySet", "for_reader"),
        ("EmergencyAccessQuerySet", "for_administrator"),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("queryset", "name"), FILTERS, ids=[f"{found.__name__}.{name}" for found, name in FILTERS])
def test_a_filter_that_is_taken_away_is_noticed(queryset: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(EVERY_RELATION)
    monkeypatch.setattr(queryset, name, lambda self, *_: self.all())
    with pytest.raises(Leak):
        probe(world)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [
        patients.organisations_of_clinician,
        patients.organisations_of_administrator,
        service_policies.services_of_dermatologist,
    ],
    ids=lambda function: function.__name__,
)
def test_a_role_that_is_taken_for_granted_is_noticed(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(EVERY_RELATION)
    everywhere = lambda _user: patients.Organisation.objects.all()  # noqa: E731
    for module in list(sys.modules.values()):
        if getattr(module, function.__name__, None) is function:
            monkeypatch.setattr(module, function.__name__, everywhere)
    with pytest.raises(Leak):
        probe(world)


def test_what_is_ones_own_and_missing_is_noticed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(EVERY_RELATION)
    monkeypatch.setattr(cases.CaseQuerySet, "for_user", lambda self, *_: self.none())
    user, places = world.people[0]
    with pytest.raises(Leak, match="instead of"):
        Prober(world, user, places).everything()
