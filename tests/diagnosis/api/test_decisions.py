"""Deciding, observations and news of referrals through the API."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from diagnosis.models import Decision
from diagnosis.services.referral_messages import ask_clinician
from diagnosis.services.referrals import accept_referral
from skincare.accounts.models import User
from tests import factories
from tests.diagnosis.api.requests import ApiClient

pytestmark = pytest.mark.django_db
API = "/api/v1/"


def in_days(days: int) -> str:
    return (timezone.now().date() + timedelta(days=days)).isoformat()


def test_a_case_is_observed_listed_and_closed(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    address = f"{API}cases/{case.pk}/decisions/"
    made = api.send(address, {"kind": "observe", "remind_on": in_days(30), "note": "The edge."})
    assert made.status_code == 201, made.content
    assert (made.json()[0]["note"], made.json()[0]["remind_on"]) == ("The edge.", in_days(30))
    (row,) = api.get(f"{API}observations/").json()
    assert (row["case"], row["lesion"], row["due"]) == (str(case.pk), str(case.lesion_id), False)
    assert api.get(f"{API}observations/?due=true").json() == []
    assert len(api.get(f"{API}observations/?lesion={case.lesion_id}").json()) == 1
    assert api.get(f"{API}observations/?lesion={case.pk}").json() == []
    assert api.send(address, {"kind": "close", "reason": "harmless"}).status_code == 201
    assert [one["kind"] for one in api.get(address).json()] == ["close", "observe"]
    assert api.get(f"{API}observations/").json() == []


def test_an_overdue_one_comes_first(api: ApiClient, clinician: User) -> None:
    early, late = factories.case(clinician), factories.case(clinician)
    for case, days in ((late, 30), (early, 1)):
        api.send(f"{API}cases/{case.pk}/decisions/", {"kind": "observe", "remind_on": in_days(days)})
    rows = api.get(f"{API}observations/").json()
    assert [row["case"] for row in rows] == [str(early.pk), str(late.pk)]


@pytest.mark.parametrize("query", ["due=false", "lesion=x", "what=1"])
def test_a_filter_that_is_none_is_refused(api: ApiClient, query: str) -> None:
    assert api.get(f"{API}observations/?{query}").status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [({"kind": "observe"}, 422), ({"kind": "burn"}, 400), ({"kind": "close", "reason": "harmless", "x": 1}, 400)],
)
def test_what_cannot_be_decided_is_refused(api: ApiClient, clinician: User, body: dict[str, Any], status: int) -> None:
    case = factories.case(clinician)
    assert api.send(f"{API}cases/{case.pk}/decisions/", body).status_code == status
    assert not Decision.objects.exists()


def test_news_of_a_referral_until_it_was_seen(api: ApiClient, clinician: User) -> None:
    reader = factories.dermatologist()
    case = factories.referrable_case(clinician)
    referral = factories.referral(clinician, factories.organisation_of(reader), of=case)
    listed = f"{API}referrals/"
    assert api.get(f"{listed}?news=true").json()["results"] == []
    accept_referral(user=reader, referral_id=referral.pk)
    ask_clinician(user=reader, referral_id=referral.pk, text="Since when?")
    (row,) = api.get(f"{listed}?news=true").json()["results"]
    assert (row["news"], row["unread_messages"], row["service_name"]) == (True, 1, referral.service.name)
    assert (row["patient"], row["lesion"]) == (str(case.patient_id), str(case.lesion_id))
    for query, found in (("open=true", 1), (f"case={case.pk}", 1), (f"lesion={case.lesion_id}", 1),
                         (f"case={referral.pk}", 0)):  # fmt: skip
        assert len(api.get(f"{listed}?{query}").json()["results"]) == found, query
    assert api.send(f"{listed}{referral.pk}/seen/", {}).status_code == 204
    (row,) = api.get(listed).json()["results"]
    assert (row["news"], row["unread_messages"]) == (False, 0)
    assert api.get(f"{listed}?news=true").json()["results"] == []
    assert api.get(f"{listed}?case=x").status_code == 400


def test_the_list_of_referrals_asks_the_same_of_the_database_however_long(
    api: ApiClient, clinician: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        factories.referral(clinician)
    with django_assert_max_num_queries(12):
        assert len(api.get(f"{API}referrals/").json()["results"]) == 5
