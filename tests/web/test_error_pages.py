"""What people are shown when something is wrong: designed, in their language, with a way on, and without any data."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.test import Client
from django.utils.translation import activate, get_language

from skincare import error_pages, pages
from skincare.accounts import second_factor
from skincare.accounts.models import TokenScope
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for

pytestmark = pytest.mark.django_db

SECRET = "Ada Example, R-20481"
TITLES = {
    400: "This request cannot be read",
    403: "This page is not for your account",
    404: "There is nothing here",
    500: "Something failed on our side",
    503: "The platform does not answer at the moment",
}


@pytest.fixture(autouse=True)
def _same_language_afterwards() -> Iterator[None]:
    before = get_language() or "en-gb"
    yield
    activate(before)


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False)


def let_it_fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The first page, whatever is asked of it."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(pages.Home, "get_context_data", fail)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest(SECRET), 400),
        (PermissionDenied(SECRET), 403),
        (RuntimeError(SECRET), 500),
        (OperationalError(SECRET), 503),
    ],
)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_each_kind_has_its_page_in_both_languages_and_tells_nothing_but_its_number(
    browser: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, language: str
) -> None:
    let_it_fail(monkeypatch, error)
    answer = browser.get("/", {"name": SECRET}, headers={"accept-language": language, "x-request-id": "REQ-7"})
    shown = answer.content.decode()
    assert answer.status_code == status
    assert (TITLES[status] in shown) == (language == "en")
    assert ('dir="rtl"' in shown) == (language == "ar")
    assert "REQ-7" in shown
    for word in ("Ada Example", "R-20481", "Traceback", "RuntimeError", "OperationalError"):
        assert word not in shown
    assert 'href="/start/"' in shown or 'href="/sign-in/"' in shown
    assert "no-store" in answer["Cache-Control"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert "<style" not in shown
    assert ("Retry-After" in answer) == (status == 503)


def test_what_does_not_exist_and_what_is_not_ones_own_is_the_same_page(browser: Client) -> None:
    browser.force_login(factories.clinician())
    foreign = factories.patient(factories.clinician())
    answers = [
        browser.get(f"/consents/{pk}/", headers={"x-request-id": "REQ-7"}).content.decode()
        for pk in (foreign.pk, "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55")
    ]
    one, other = (re.sub(r'value="[^"]+"', "", answer) for answer in answers)
    assert one == other
    assert TITLES[404] in one
    assert str(foreign.pk) not in one
    assert browser.get("/no-such-place/").status_code == 404


@pytest.mark.parametrize(("theme", "attribute"), [("dark", 'data-theme="dark"'), ("light", 'data-theme="light"')])
def test_the_chosen_appearance_is_kept_also_where_everything_fails(
    browser: Client, monkeypatch: pytest.MonkeyPatch, theme: str, attribute: str
) -> None:
    browser.post("/appearance/", {"theme": theme, "language": "ar"})
    let_it_fail(monkeypatch, RuntimeError())
    shown = browser.get("/").content.decode()
    assert attribute in shown
    assert 'lang="ar"' in shown


def test_whoever_is_signed_in_is_led_back_to_their_work(browser: Client) -> None:
    assert 'href="/start/"' not in browser.get("/no-such-place/").content.decode()
    browser.force_login(factories.clinician())
    assert 'href="/start/"' in browser.get("/no-such-place/").content.decode()


def test_a_page_for_others_says_so(browser: Client) -> None:
    browser.force_login(factories.clinician())
    answer = browser.get("/privacy/")
    assert answer.status_code == 403
    assert TITLES[403] in answer.content.decode()


@pytest.mark.parametrize("signed_in", [True, False])
def test_an_address_that_only_takes_a_form_says_so_and_leads_on(browser: Client, signed_in: bool) -> None:
    if signed_in:
        browser.force_login(factories.clinician())
    answer = browser.get("/appearance/", headers={"x-request-id": "REQ-7"})
    shown = answer.content.decode()
    assert answer.status_code == 405
    assert "POST" in answer["Allow"]
    assert "This address only takes a form" in shown
    assert "REQ-7" in shown
    assert ('href="/start/"' in shown) == signed_in


def test_a_program_is_told_of_a_wrong_method_in_the_apis_words() -> None:
    answer = ApiClient(token_for(factories.clinician(), TokenScope.WRITE)).delete("/api/v1/cases/")
    assert answer.status_code == 405
    assert answer["Content-Type"].startswith("application/problem+json")


def test_a_form_that_is_not_this_sites_is_not_taken_and_says_what_to_do() -> None:
    browser = Client(enforce_csrf_checks=True)
    answer = browser.post("/sign-in/", {"username": SECRET})
    shown = answer.content.decode()
    assert answer.status_code == 403
    assert "The form was not taken" in shown
    assert "load the page anew" in shown
    assert "Ada Example" not in shown


def test_too_many_attempts_are_answered_with_the_form_and_how_long_to_wait(browser: Client) -> None:
    for _ in range(40):
        answer = browser.post("/sign-in/", {"username": "ada@clinic.example", "password": "wrong"})
        if answer.status_code == 429:
            break
    shown = answer.content.decode()
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert 'role="alert"' in shown
    assert "ada@clinic.example" not in shown


def test_a_host_that_is_not_ours_gets_a_page_and_a_program_a_document(browser: Client) -> None:
    page = browser.get("/", headers={"host": "evil.example"})
    assert (page.status_code, TITLES[400] in page.content.decode()) == (400, True)
    assert "evil" not in page.content.decode()
    document = browser.get("/api/v1/me/", headers={"host": "evil.example"})
    assert (document.status_code, document["Content-Type"]) == (400, "application/problem+json")


class TestPrograms:
    """Below /api/ everything is JSON, whatever fails and wherever."""

    def test_a_view_that_fails(self, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        from diagnosis.api.me import MeView

        def fail(*_: Any, **__: Any) -> Any:
            raise RuntimeError(SECRET)

        browser.force_login(factories.clinician())
        monkeypatch.setattr(MeView, "get", fail)
        self.is_a_document(browser.get("/api/v1/me/"), 500, "unexpected")

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (RuntimeError(SECRET), 500, "unexpected"),
            (OperationalError(SECRET), 503, "database_unavailable"),
            (PermissionDenied(SECRET), 403, "permission_denied"),
        ],
    )
    def test_what_fails_before_any_view_is_reached(
        self, browser: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
    ) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise error

        browser.force_login(factories.clinician())
        monkeypatch.setattr(second_factor, "standing_of", fail)
        self.is_a_document(browser.get("/api/v1/me/"), status, code)

    def test_a_forged_request(self) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(factories.clinician())
        answer = browser.post("/api/v1/notices/seen/", {}, content_type="application/json")
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
        request = answer.wsgi_request
        document = error_pages.forged(request)
        assert (document.status_code, document["Content-Type"]) == (403, "application/problem+json")

    def test_an_address_that_is_not_there(self, browser: Client) -> None:
        self.is_a_document(browser.get("/api/v1/nowhere/"), 404, "no_such_address")

    def is_a_document(self, answer: Any, status: int, code: str) -> None:
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
        assert answer.json()["code"] == code
        assert answer.json()["request_id"] == answer["X-Request-ID"]
        assert "Ada Example" not in answer.content.decode()
