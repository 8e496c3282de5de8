"""Signing in with a browser: to where one wanted to go, within limits, and on the record."""

from urllib.parse import quote

import pytest
from django.test import Client
from redis import Redis

from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(broker: Redis) -> User:
    return factories.member(Role.ADMINISTRATOR)


def sign_in(browser: Client, email: str, password: str = factories.PASSWORD, to: str = "") -> int:
    return browser.post("/sign-in/", {"username": email, "password": password, "next": to}).status_code


def test_an_administrator_comes_from_the_privacy_page_and_is_led_back_to_it(
    client: Client, administrator: User
) -> None:
    turned_away = client.get("/privacy/")
    assert turned_away["Location"] == f"/sign-in/?next={quote('/privacy/')}"
    answer = client.post(
        "/sign-in/", {"username": administrator.email, "password": factories.PASSWORD, "next": "/privacy/"}
    )
    assert answer["Location"] == "/privacy/"
    assert client.get("/privacy/").status_code == 200
    assert AuditEvent.objects.get(action="session.started").actor == administrator


def test_nobody_is_led_to_another_site(client: Client, administrator: User) -> None:
    form = {"username": administrator.email, "password": factories.PASSWORD, "next": "https://elsewhere.example/"}
    answer = client.post("/sign-in/", form)
    assert answer["Location"] == "/start/"


def test_a_wrong_password_and_an_unknown_address_get_the_same_page(client: Client, administrator: User) -> None:
    pages = []
    for email in (administrator.email, "nobody@clinic.example"):
        page = client.post("/sign-in/", {"username": email, "password": "wrong"})
        assert page.status_code == 200
        assert "do not belong together" in page.content.decode()
        pages.append(page.content.decode().split("csrfmiddlewaretoken")[1].split(">", 1)[1])
    assert pages[0] == pages[1]
    assert not AuditEvent.objects.filter(action="session.started").exists()


def test_too_many_failures_have_to_wait_even_with_the_right_password(client: Client, administrator: User) -> None:
    answers = [sign_in(client, administrator.email, "wrong") for _ in range(11)]
    assert answers[:10] == [200] * 10
    assert answers[10] == 429
    refused = client.post("/sign-in/", {"username": administrator.email, "password": factories.PASSWORD})
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert "Try again in" in refused.content.decode()


def test_signing_out_ends_the_session(client: Client, administrator: User) -> None:
    sign_in(client, administrator.email)
    assert client.post("/sign-out/").status_code == 302
    assert client.get("/privacy/").status_code == 302


def test_a_form_from_another_site_is_refused(administrator: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert sign_in(browser, administrator.email) == 403
