"""The permission matrix for who it has no column for: readers of the referral, former readers, nobodies, operators.

What they get follows from the matrix by a rule, so that a new address needs no further row here: a reader gets what
the table below says and otherwise what any dermatologist gets; who was a reader once gets exactly that.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import get_resolver

from diagnosis.models import Case, CaseImage, ConsentScope, DeclineReason, Referral
from diagnosis.services.referrals import accept_referral, decline_referral, withdraw_referral
from diagnosis.services.second_opinions import ask_opinion
from skincare.accounts.models import Role, TokenScope, User
from tests import factories
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_table import API, LEFT_TO_THE_ADMIN, PEOPLE, TABLE
from tests.diagnosis.api.permission_world import World
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.diagnosis.referrals.walking import read

pytestmark = pytest.mark.django_db
world = permission_world.world
DERMATOLOGIST = PEOPLE.index("dermatologist")

#: Where a dermatologist to whom the case was referred gets something else than one to whom it was not.
WHERE_REFERRED: dict[tuple[str, str], int] = {
    ("GET", f"{API}images/<uuid:pk>/content/"): 200,
    ("GET", f"{API}analyses/<uuid:pk>/map/"): 403,  # not before one's own blind read
    ("GET", f"{API}referrals/<uuid:pk>/"): 200,
    ("POST", f"{API}referrals/<uuid:pk>/actions/"): 422,  # a service does not withdraw
    ("POST", f"{API}referrals/<uuid:pk>/first-read/"): 409,  # first accept
    ("POST", f"{API}referrals/<uuid:pk>/assessments/"): 409,
    ("GET", f"{API}referrals/<uuid:pk>/messages/"): 200,
    ("GET", f"{API}referrals/<uuid:pk>/message-photographs/<uuid:image>/"): 200,
    ("POST", f"{API}referrals/<uuid:pk>/messages/"): 201,
    ("GET", f"{API}referrals/<uuid:pk>/letter/"): 409,  # nothing is signed
    ("GET", f"{API}referrals/<uuid:pk>/referral-letter/"): 200,
    ("GET", f"{API}cases/<uuid:pk>/leaflet/"): 409,
    ("GET", f"{API}referrals/<uuid:pk>/similar/"): 409,  # not before one's own blind read
    ("GET", f"{API}referrals/<uuid:pk>/visits/"): 409,
    ("GET", f"{API}referrals/<uuid:pk>/opinions/"): 200,
    ("POST", f"{API}referrals/<uuid:pk>/opinions/"): 409,  # first accept
    ("GET", "worklist/<uuid:pk>/documents/<slug:kind>/"): 200,
    ("GET", "worklist/<uuid:pk>/"): 200,
    ("GET", "worklist/<uuid:pk>/revision/"): 200,
    ("GET", "worklist/<uuid:pk>/map/"): 404,
    ("GET", "worklist/<uuid:pk>/photographs/<uuid:image>/"): 200,
    ("GET", "worklist/<uuid:pk>/message-photographs/<uuid:image>/"): 404,  # there is none
    ("POST", "worklist/<uuid:pk>/do/<slug:action>/"): 303,
}


def join(world: World, name: str, user: User, *scopes: TokenScope) -> None:
    """Let somebody ask as one of the matrix' people."""
    world.users[name] = user
    world.tokens[name] = token_for(user, *scopes)


def service_of(world: World) -> Any:
    """Which the case was referred to."""
    assert world.referral is not None
    return world.referral.service


def asked(world: World, person: str) -> dict[tuple[str, str], int]:
    """What somebody gets at every address of the matrix, in its order."""
    return {key: permission_world.ask(*key, world, person).status_code for key in TABLE if _lasting(key)}


def _lasting(key: tuple[str, str]) -> bool:
    # Ends the token with which the rest is asked.
    return key not in {("DELETE", f"{API}auth/token/"), ("POST", f"{API}auth/token/logout-all/")}


@pytest.mark.parametrize(
    ("method", "route"), list(WHERE_REFERRED), ids=[f"{method} {route}" for method, route in WHERE_REFERRED]
)
def test_a_reader_of_the_referral_gets_what_the_table_says(method: str, route: str, world: World) -> None:
    join(world, "referred", factories.dermatologist(service_of(world)))
    assert permission_world.ask(method, route, world, "referred").status_code == WHERE_REFERRED[method, route]


def test_a_reader_of_the_referral_gets_nothing_else_than_any_dermatologist(world: World) -> None:
    join(world, "referred", factories.dermatologist(service_of(world)))
    others = {key: row[DERMATOLOGIST] for key, row in TABLE.items() if key not in WHERE_REFERRED}
    got = asked(world, "referred")
    assert {key: got[key] for key in others if _lasting(key)} == {k: s for k, s in others.items() if _lasting(k)}


def _declined(world: World, reader: User) -> None:
    assert world.referral is not None
    decline_referral(
        user=reader, referral_id=world.referral.pk, reason=DeclineReason.NO_CAPACITY, explanation="Nobody here"
    )


def _withdrawn(world: World, _reader: User) -> None:
    assert world.referral is not None
    withdraw_referral(user=world.own, referral_id=world.referral.pk)


def _consent_ended(world: World, _reader: User) -> None:
    factories.withdraw(world.case.patient, world.own, ConsentScope.TELEDERMATOLOGY)


def _left_the_service(_world: World, reader: User) -> None:
    reader.memberships.all().delete()
    factories.Membership.objects.create(user=reader, organisation=factories.service(), role=Role.DERMATOLOGIST)


def _left_after_being_asked_by_name(world: World, reader: User) -> None:
    assert world.referral is not None
    accept_referral(user=reader, referral_id=world.referral.pk)
    read(reader, world.referral)
    colleague = factories.dermatologist(service_of(world))
    ask_opinion(user=reader, referral_id=world.referral.pk, service=world.referral.service_id, reader=colleague.pk)
    read(colleague, world.referral)
    join(world, "former", colleague)
    _left_the_service(world, colleague)


@pytest.mark.parametrize(
    "end", [_declined, _withdrawn, _consent_ended, _left_the_service, _left_after_being_asked_by_name]
)
def test_who_was_a_reader_gets_exactly_what_any_dermatologist_gets(
    end: Callable[[World, User], None], world: World
) -> None:
    reader = factories.dermatologist(service_of(world))
    join(world, "former", reader)
    permission_world.message_photograph(world)  # sent while the referral was open
    end(world, reader)
    got = {key: permission_world.ask(*key, world, "former").status_code for key in WHERE_REFERRED}
    assert got == {key: TABLE[key][DERMATOLOGIST] for key in WHERE_REFERRED}


@pytest.mark.parametrize("who", ["without any role", "an operator", "an administrator elsewhere"])
def test_nobody_else_gets_what_a_role_is_for(who: str, world: World) -> None:
    """They get a success only where everybody who signed in gets one, and never the case."""
    user = {
        "without any role": lambda: factories.user(),
        "an operator": lambda: User.objects.create_superuser("operator@clinic.example", factories.PASSWORD),
        "an administrator elsewhere": lambda: factories.member(Role.ADMINISTRATOR),
    }[who]()
    join(world, "nobody", user)
    for key, status in asked(world, "nobody").items():
        row = TABLE[key][1:]
        if len(set(row[:-1])) == 1 and row[0] < 400:
            assert status == row[0], key
        elif who == "an administrator elsewhere" and row[PEOPLE.index("administrator") - 1] < 400:
            if "<uuid:pk>" in key[1]:
                assert status in (403, 404), key
        else:
            assert status >= 300, key


# --- The Django admin -------------------------------------------------------------------------------------------------
def admin_routes() -> Iterator[str]:
    """Every address of the admin."""
    yield from (
        route for route in permission_world.walk(get_resolver().url_patterns) if route.startswith(LEFT_TO_THE_ADMIN)
    )


def admin_address(route: str, pk: object) -> str:
    """An address of the admin; a row of any table where it asks for one."""
    for part in ("<path:object_id>", "<int:content_type_id>", "<path:url>", "<id>", "<uuid:id>"):
        route = route.replace(part, str(pk) if "content_type" not in part else "1")
    return "/" + route.replace("(?P<url>.*)$", "").replace("^", "")


def test_every_address_of_the_admin_asks_everybody_but_staff_to_sign_in(world: World) -> None:
    routes = list(admin_routes())
    assert len(routes) > 60
    join(world, "referred", factories.dermatologist(service_of(world)))
    for person in ("anonymous", "own", "administrator", "steward", "referred"):
        user = world.users[person]
        browser = ApiClient()
        if user is not None:
            browser.force_login(user)
        for route in routes:
            if route in ("admin/login/", "admin/logout/"):
                continue
            for method in ("GET", "POST"):
                answer = browser.generic(method, admin_address(route, world.case.pk))
                assert answer.status_code == 302, (person, method, route)
                assert answer["Location"].startswith(("/admin/login/?next=", "/sign-in/")), (person, route)


def test_staff_without_a_right_gets_nothing_of_any_table(world: World) -> None:
    browser = ApiClient()
    browser.force_login(factories.user(is_staff=True))
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for each in (
            address,
            f"{address}add/",
            f"{address}{world.case.pk}/change/",
            f"{address}{world.case.pk}/delete/",
        ):
            assert browser.get(each).status_code in (403, 302), each
            assert browser.post(each).status_code in (403, 302), each


# --- Files ------------------------------------------------------------------------------------------------------------
def test_no_stored_file_has_an_address(world: World, client: Client) -> None:
    names = [name for image in CaseImage.objects.all() for name in (image.photograph_file, image.view_file)]
    assert names
    assert settings.MEDIA_URL in ("", "/")
    for name in names:
        assert (settings.VAR / "media").exists()
        for before in ("", "media/", "static/", "static/../media/", "static/..%2f..%2fmedia/", "var/media/", "files/"):
            for user in (None, world.own):
                browser = Client()
                if user is not None:
                    browser.force_login(user)
                assert browser.get(f"/{before}{name}").status_code in (301, 404, 400), f"/{before}{name}"


def test_static_files_are_the_committed_ones_and_nothing_beside(client: Client) -> None:
    assert client.get("/static/skincare/design.css").status_code == 200
    for name in ("../manage.py", "..%2fmanage.py", "%2e%2e/manage.py", "skincare/../../manage.py", "/etc/passwd", ""):
        answer = client.get(f"/static/{name}")
        assert answer.status_code in (301, 404), name


def test_the_world_is_the_one_that_was_referred(world: World) -> None:
    assert Referral.objects.get().case == Case.objects.get() == world.case
