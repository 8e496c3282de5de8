"""Lists stay as fast as they grow: a ceiling on queries, and plans that walk the worklist's own indexes."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench import crowd
from diagnosis.models import Case, CaseImage, Referral
from diagnosis.services.worklist import WHOSE, Filters, counts, page_before, worklist
from skincare.accounts.models import Organisation, User
from tests import factories
from tests.diagnosis.services.answers import version

pytestmark = pytest.mark.django_db

OPEN = 2000
WALKED = r"Index Scan (Backward )?using referral_worklist on diagnosis_referral.*\n\s+Index Cond: .*sort_key [<>]= "


@pytest.fixture
def people() -> crowd.Crowd:
    """A service with two thousand open referrals among five thousand cases."""
    service = factories.service()
    dermatologists = [factories.dermatologist(service) for _ in range(5)]
    clinics = [factories.organisation() for _ in range(20)]
    clinician = factories.clinician(clinics[0])
    made = crowd.Crowd(service, clinics, clinician, dermatologists, version(), factories.policy().pk)
    crowd.fill(made, first=4, cases=5000, open_referrals=OPEN, answered=1000)
    crowd.analyse_tables()
    return made


def plans_of(captured: CaptureQueriesContext) -> list[str]:
    """How PostgreSQL would run what was asked."""
    plans = []
    for query in captured.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + query["sql"].replace("%", "%%"))
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
    return plans


SEARCHES = {
    "referral_worklist ": Filters(),
    "referral_worklist_by_claim ": Filters(whose="mine"),
    "referral_worklist_by_state ": Filters(whose="claimed"),
    "referral_worklist_by_urgency ": Filters(urgency="routine"),
    "referral_worklist_by_site ": Filters(anatom_site_general="palms/soles"),
    "referral_worklist_by_clinic ": "clinic",
}


class TestPlans:
    def test_each_way_to_narrow_the_list_walks_an_index_of_its_own_however_far_down(self, people: crowd.Crowd) -> None:
        for index, search in SEARCHES.items():
            filters = Filters(clinic=people.clinics[3].pk) if search == "clinic" else search
            assert isinstance(filters, Filters)
            with CaptureQueriesContext(connection) as captured:
                found = worklist(user=people.dermatologists[0], service=people.service, filters=filters)
            (plan,) = plans_of(captured)
            assert found.referrals
            assert f"using {index}" in plan, f"{filters}:\n{plan}"
            assert not re.search(r"Seq Scan on diagnosis_(referral|case|analysis|patient)\b", plan), plan
            assert "Sort" not in plan, f"{filters}: sorts instead of walking the index\n{plan}"

        user, service = people.dermatologists[0], people.service
        key = Referral.objects.filter(service=service).open().order_by("sort_key", "pk").values_list("sort_key", "pk")
        for far in (
            lambda: worklist(user=user, service=service, filters=Filters(), after=key[OPEN // 2]),
            lambda: page_before(user=user, service=service, filters=Filters(), before=key[OPEN // 2]),
        ):
            with CaptureQueriesContext(connection) as captured:
                far()
            assert re.search(WALKED, plans_of(captured)[-1]), plans_of(captured)[-1]
        with CaptureQueriesContext(connection) as captured:
            assert counts(user=user, service=service)["all"] == 1001
        plans = plans_of(captured)
        assert len(plans) == len(WHOSE)
        assert all("Limit" in plan for plan in plans), "a count looks at more than it shows"

    @pytest.mark.parametrize("search", ["", "?open=true&page_size=50"])
    def test_what_a_clinic_sent_is_walked_the_newest_first_and_not_sorted(
        self, people: crowd.Crowd, search: str
    ) -> None:
        browser = _signed_in(people.clinician)
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(f"/api/v1/referrals/{search}").json()["results"]
        plans = [plan for plan in plans_of(captured) if "using referral_of_clinic " in plan]
        assert len(plans) == 1, "\n\n".join(plans_of(captured))
        assert "Sort" not in plans[0], plans[0]


class TestOneAmongMany:
    def test_one_referral_is_looked_up_by_its_key_whoever_asks(self, people: crowd.Crowd) -> None:
        reader = people.dermatologists[0]
        referral = Referral.objects.filter(service=people.service).open().select_related("case").first()
        assert referral is not None
        image = referral.case.images.get().pk
        for user in (reader, people.clinician):
            own = Case.objects.for_user(user) | Case.objects.referred_to(user)
            for ask in (
                lambda user=user: Referral.objects.for_user(user).filter(pk=referral.pk).first(),
                lambda user=user: (
                    Referral.objects.for_reader(user).filter(case__lesion=referral.case.lesion_id).first()
                ),
                lambda user=user: Case.objects.referred_to(user).filter(lesion=referral.case.lesion_id).first(),
                lambda own=own: CaseImage.objects.filter(case__in=own, pk=image).first(),
            ):
                with CaptureQueriesContext(connection) as captured:
                    ask()
                plan = plans_of(captured)[-1]  # before it a clinician's clinics
                assert not re.search(r"Seq Scan on diagnosis_(referral|case)\b", plan), plan


class TestQueries:
    def test_a_page_of_a_long_list_takes_no_more_queries_than_one_of_a_short_list(self, people: crowd.Crowd) -> None:
        browser, empty = _signed_in(people.dermatologists[0]), _signed_in(factories.dermatologist())
        for address in ("/worklist/", "/worklist/?part=list", "/worklist/?whose=overdue&urgency=soon"):
            assert _queries(browser, address) <= min(20, _queries(empty, address) + 3)
        assert _queries(_signed_in(people.clinician), "/api/v1/referrals/") <= 20


def _queries(browser: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(address).status_code == 200
    return len(captured)


class TestWhatTheDatabaseCopies:
    def test_clinic_and_site_follow_the_case_whatever_is_written(self) -> None:
        by = factories.clinician()
        referral = factories.referral(by)
        another: Organisation = factories.organisation()
        Referral.objects.filter(pk=referral.pk).update(clinic=another, anatom_site_general="head/neck")
        row = Referral.objects.select_related("case").get(pk=referral.pk)
        assert (row.clinic_id, row.anatom_site_general) == (row.case.organisation_id, row.case.anatom_site_general)


def _signed_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser
