"""Logging in, out and out everywhere; what a token may do, and what is known of it."""

from datetime import timedelta
from typing import ClassVar

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from skincare.accounts.models import ApiToken, TokenScope, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, new_case, token_for

TOKEN = "/api/v1/auth/token/"
ME = "/api/v1/me/"


def log_in(clinician: User, **changes: object) -> ApiClient:
    """Log in; the client that comes back sends the token."""
    form = {"email": clinician.email, "password": factories.PASSWORD, **changes}
    answer = ApiClient().send(TOKEN, form)
    assert answer.status_code == 201, answer.content
    return ApiClient(answer.json()["token"])


def test_a_log_in_gives_a_token_that_is_shown_once_and_kept_as_a_digest(clinician: User) -> None:
    answer = ApiClient().send(
        TOKEN, {"email": clinician.email.upper(), "password": factories.PASSWORD, "name": "phone"}
    )

    shown = answer.json()
    row = ApiToken.objects.get()
    assert shown["token"].startswith("skincare_")
    assert shown["token"] not in [str(getattr(row, field.attname)) for field in row._meta.concrete_fields]
    assert (shown["name"], shown["scopes"]) == ("phone", ["read", "write"])
    assert timezone.now() + timedelta(hours=11) < row.expiry < timezone.now() + timedelta(hours=13)
    assert ApiClient(shown["token"]).get(ME).json()["email"] == clinician.email
    assert AuditEvent.objects.filter(action="token.created", actor=clinician).exists()


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(clinician: User) -> None:
    sleeper = factories.clinician()
    User.objects.filter(pk=sleeper.pk).update(is_active=False)
    answers = [
        ApiClient().send(TOKEN, {"email": email, "password": password})
        for email, password in [
            (clinician.email, "wrong"),
            ("nobody@clinic.example", factories.PASSWORD),
            (sleeper.email, factories.PASSWORD),
        ]
    ]
    assert {answer.status_code for answer in answers} == {401}
    first, *others = ({**answer.json(), "request_id": ""} for answer in answers)
    assert others == [first, first]
    assert {answer["WWW-Authenticate"] for answer in answers} == {"Token"}
    assert not ApiToken.objects.exists()


class CountingHasher(MD5PasswordHasher):
    """Counts the passwords that it hashes."""

    hashed: ClassVar[list[str]] = []

    def encode(self, password: str, salt: str) -> str:
        """Count and hash."""
        self.hashed.append(password)
        return super().encode(password, salt)


def test_an_unknown_address_costs_as_many_hashes_as_a_known_one(clinician: User, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]

    def hashes_for(email: str) -> int:
        CountingHasher.hashed.clear()
        ApiClient().send(TOKEN, {"email": email, "password": "wrong"})
        return len(CountingHasher.hashed)

    assert hashes_for(clinician.email) == hashes_for("nobody@clinic.example") >= 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scopes": ["admin"]}, "scopes[0]"),
        ({"scopes": []}, "scopes"),
        ({"expires_in_hours": 0}, "expires_in_hours"),
        ({"expires_in_hours": 90 * 24 + 1}, "expires_in_hours"),
        ({"otp": "123456"}, "otp"),
        ({"password": ...}, "password"),
        ({"password": "x" * 1001}, "password"),
        ({"email": "a\0b"}, "email"),
    ],
)
def test_a_log_in_that_asks_for_what_cannot_be_is_refused_by_name(
    clinician: User, changes: dict[str, object], field: str
) -> None:
    form = {"email": clinician.email, "password": factories.PASSWORD, **changes}
    answer = ApiClient().send(TOKEN, {name: value for name, value in form.items() if value is not ...})
    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_a_token_that_reads_may_not_write(clinician: User) -> None:
    reader = log_in(clinician, scopes=["read"])
    assert reader.get("/api/v1/patients/").status_code == 200
    refused = reader.submit(new_case())
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


def test_a_token_that_writes_may_not_read(clinician: User) -> None:
    writer = log_in(clinician, scopes=["write"])
    assert writer.submit(new_case()).status_code == 201
    assert writer.get("/api/v1/cases/").status_code == 403


@pytest.mark.parametrize("scope", list(TokenScope))
def test_logging_out_ends_this_token_only(clinician: User, scope: TokenScope) -> None:
    this, other = log_in(clinician, scopes=["read"]), log_in(clinician)
    assert this.delete(TOKEN).status_code == 204
    assert this.get(ME).status_code == 401
    assert other.get(ME).status_code == 200


def test_logging_out_everywhere_ends_all_of_ones_own_tokens(clinician: User) -> None:
    stranger = log_in(factories.clinician())
    first, second = log_in(clinician), log_in(clinician)

    assert first.send(f"{TOKEN}logout-all/").status_code == 204

    assert [client.get(ME).status_code for client in (first, second, stranger)] == [401, 401, 200]


def test_logging_out_everywhere_ends_the_sessions_of_all_browsers(clinician: User) -> None:
    browsers = [Client(), Client()]
    for browser in browsers:
        browser.force_login(clinician)
        assert browser.get(ME).status_code == 200

    assert browsers[0].post(f"{TOKEN}logout-all/").status_code == 204

    assert [browser.get(ME).status_code for browser in browsers] == [401, 401]


def test_tokens_are_listed_without_what_would_let_anybody_use_them(clinician: User) -> None:
    factories.clinician()
    token_for(factories.clinician())
    log_in(clinician, name="old phone")
    this = log_in(clinician, name="new phone")

    listed = this.get(TOKEN).json()

    assert [(token["name"], token["current"]) for token in listed] == [("new phone", True), ("old phone", False)]
    assert all("token" not in token and "digest" not in token for token in listed)


@pytest.mark.parametrize(
    "header", ["Token", "Token a b", "Token nonsense", "Token \xff", "Bearer x", "Token " + "a" * 9000]
)
def test_a_header_that_is_no_token_is_refused(db: None, header: str) -> None:
    answer = Client(headers={"Authorization": header}).get(ME)
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Token"


def test_an_expired_token_is_refused_and_cleared_away_at_the_next_log_in(clinician: User) -> None:
    client = log_in(clinician)
    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert client.get(ME).status_code == 401
    # An expired token that a client still sends does not keep it from a new one.
    answer = client.send(TOKEN, {"email": clinician.email, "password": factories.PASSWORD})
    assert answer.status_code == 201
    assert ApiToken.objects.count() == 1


def test_a_user_who_was_locked_out_keeps_no_token(clinician: User) -> None:
    client = log_in(clinician)
    User.objects.filter(pk=clinician.pk).update(is_active=False)
    assert client.get(ME).status_code == 401


def test_a_session_may_read_and_with_its_csrf_token_write(clinician: User) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(clinician)
    assert browser.get(ME).json()["token"] is None
    without = browser.post("/api/v1/patients/", {"record_number": "1"}, content_type="application/json")
    assert without.status_code == 403
    browser.cookies["csrftoken"] = "a" * 32
    with_it = browser.post(
        "/api/v1/patients/",
        {"record_number": "1"},
        content_type="application/json",
        headers={"X-CSRFToken": "a" * 32},
    )
    assert with_it.status_code == 201
    assert browser.delete(TOKEN, headers={"X-CSRFToken": "a" * 32}).status_code == 204
    assert browser.get(ME).status_code == 401


def test_me_tells_roles_and_the_token_in_use(clinician: User) -> None:
    shown = log_in(clinician, name="phone").get(ME).json()
    assert shown["memberships"] == [
        {
            "organisation": {
                "id": str(factories.organisation_of(clinician).pk),
                "name": factories.organisation_of(clinician).name,
                "kind": "clinic",
            },
            "role": "clinician",
        }
    ]
    assert (shown["token"]["name"], shown["token"]["current"]) == ("phone", True)
