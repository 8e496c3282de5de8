"""Who gets what at which address, as the table says it. A route that is not in it fails."""

from collections.abc import Callable

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, path

from diagnosis.models.cases import CaseQuerySet
from diagnosis.models.patients import LesionQuerySet, PatientQuerySet
from diagnosis.models.referrals import ReferralQuerySet
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_table import (
    API,
    LEFT_TO_THE_ADMIN,
    METHODS,
    OPENED,
    PEOPLE,
    TABLE,
    WHO_IS_HERE,
    WHO_SAW,
)
from tests.diagnosis.api.permission_world import World, address_of, ask, walk
from tests.diagnosis.api.requests import ApiClient

world = permission_world.world


@pytest.mark.parametrize(("method", "route"), list(TABLE), ids=[" ".join(key) for key in TABLE])
def test_each_person_gets_what_the_table_says(method: str, route: str, world: World) -> None:
    patient = world.case.patient
    secrets = [
        patient.record_number,
        patient.birth_date,
        str(world.case.pk),
        str(world.case.lesion_id),
        world.own.email,
    ]
    answered: dict[str, int] = {}
    for person in PEOPLE:
        answer = ask(method, route, world, person)
        answered[person] = answer.status_code
        if person not in ("own", "reader"):
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
            ids_shown = person == "administrator" and (method, route) in WHO_SAW | WHO_IS_HERE
            if person == "other" and (method, route) in OPENED:
                continue
            for secret in secrets[:2] if ids_shown else secrets:
                assert secret.encode() not in content, (person, secret)

    assert answered == dict(zip(PEOPLE, TABLE[method, route], strict=True))


@pytest.mark.parametrize(
    ("queryset", "name", "route"),
    [
        (PatientQuerySet, "for_user", "patients/<uuid:pk>/"),
        (LesionQuerySet, "for_user", "lesions/<uuid:pk>/"),
        (CaseQuerySet, "for_user", "cases/<uuid:pk>/decisions/"),
        (ReferralQuerySet, "for_user", "referrals/<uuid:pk>/"),
    ],
    ids=["patients", "lesions", "cases", "referrals"],
)
def test_the_table_fails_where_a_filter_is_taken_away(
    queryset: type, name: str, route: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queryset, name, lambda self, *_: self.all())
    with pytest.raises(AssertionError):
        test_each_person_gets_what_the_table_says("GET", f"{API}{route}", world)


@pytest.mark.parametrize("route", sorted({route for _, route in TABLE if route.startswith(API) and "$" not in route}))
def test_a_method_that_is_not_in_the_table_is_not_there(route: str, world: World) -> None:
    for method in METHODS:
        if (method, route) in TABLE:
            continue
        for person in PEOPLE:
            answer = world.client(person).generic(method, address_of(route, world, world.users[person]))
            assert answer.status_code == (401 if person == "anonymous" else 405), (method, person)


def missing_from_table(patterns: list[URLPattern | URLResolver]) -> set[str]:
    """Routes that the table does not have."""
    known = {route for _, route in TABLE}
    return {route for route in walk(patterns) if route not in known and not route.startswith(LEFT_TO_THE_ADMIN)}


def test_every_route_is_in_the_table_and_every_row_is_a_route() -> None:
    patterns = get_resolver().url_patterns
    assert missing_from_table(patterns) == set()
    assert {route for _, route in TABLE} - set(walk(patterns)) == set()


def test_a_route_that_somebody_adds_is_missed() -> None:
    def view(*_: object) -> None:
        """Answers nothing."""

    nested = path("deep/", ([path("down/", view)], "", ""))  # type: ignore[arg-type]
    assert missing_from_table([*get_resolver().url_patterns, path("new/", view), nested]) == {"new/", "deep/down/"}  # type: ignore[arg-type]


def test_the_admin_asks_everybody_but_staff_to_log_in(world: World) -> None:
    for user in world.users.values():
        browser = ApiClient()
        if user is not None:
            browser.force_login(user)
        answer = browser.get("/admin/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_a_view_that_declares_nothing_answers_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnosis.api.me import MeView

    monkeypatch.setattr(MeView, "access", {})
    statuses: Callable[[], list[int]] = lambda: [  # noqa: E731
        world.client(person).get(f"/{API}me/").status_code for person in PEOPLE
    ]
    assert statuses() == [401, *[403] * 6]
