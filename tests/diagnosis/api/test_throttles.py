"""Too many requests are refused for a while; counters that do not answer refuse nobody and keep nobody waiting."""

import socket
import time
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from diagnosis.api import throttles
from skincare.accounts.models import User
from skincare.settings import environment
from tests import factories
from tests.diagnosis.api.requests import ApiClient, new_case, token_for

TOKEN = "/api/v1/auth/token/"
ME = "/api/v1/me/"


@pytest.fixture
def rates(settings: Settings) -> dict[str, str]:
    """The rates, to be changed for one test."""
    changed = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": changed}
    return changed


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test must not fall onto the instant when a window closes."""
    now = time.time()
    monkeypatch.setattr(throttles.time, "time", lambda: now)


def try_to_log_in(email: str, password: str, address: str = "192.0.2.1") -> int:
    """The status of a log-in."""
    status: int = ApiClient().send(TOKEN, {"email": email, "password": password}, REMOTE_ADDR=address).status_code
    return status


def test_reads_changes_and_submissions_are_counted_apart_and_by_user(
    api: ApiClient, clinician: User, rates: dict[str, str]
) -> None:
    rates |= {"reads": "2/min", "changes": "1/min", "submissions": "1/min"}
    other = ApiClient(token_for(factories.clinician()))

    reads = [api.get(ME) for _ in range(3)]
    changes = [api.send("/api/v1/patients/", {"record_number": str(n)}).status_code for n in range(2)]
    submissions = [api.submit(new_case()).status_code for _ in range(2)]

    assert [answer.status_code for answer in reads] == [200, 200, 429]
    assert reads[2]["Content-Type"] == "application/problem+json"
    assert 1 <= int(reads[2]["Retry-After"]) <= 60
    assert changes == [201, 429]
    assert submissions == [201, 429]
    assert other.get(ME).status_code == 200
    # A second token of the same user does not help.
    assert ApiClient(token_for(clinician)).get(ME).status_code == 429


def test_a_window_closes(api: ApiClient, rates: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    rates["reads"] = "1/min"
    assert [api.get(ME).status_code for _ in range(2)] == [200, 429]
    later = throttles.time.time() + 60
    monkeypatch.setattr(throttles.time, "time", lambda: later)
    assert api.get(ME).status_code == 200


def test_failed_log_ins_from_one_address_to_one_account_are_limited(clinician: User, rates: dict[str, str]) -> None:
    rates["login_account_and_address"] = "3/min"

    guesses = [try_to_log_in(clinician.email, f"guess {n}") for n in range(4)]

    assert guesses == [401, 401, 401, 429]
    assert try_to_log_in(clinician.email.upper(), factories.PASSWORD) == 429
    # From elsewhere the clinician still gets in: a stranger cannot lock her out so easily.
    assert try_to_log_in(clinician.email, factories.PASSWORD, address="192.0.2.2") == 201


@pytest.mark.parametrize(("scope", "vary"), [("login_account", "address"), ("login_address", "account")])
def test_guessing_from_many_addresses_or_at_many_accounts_is_limited_too(
    clinician: User, rates: dict[str, str], scope: str, vary: str
) -> None:
    rates[scope] = "3/h"
    guesses = [
        try_to_log_in(
            clinician.email if vary == "address" else f"{n}@clinic.example",
            "guess",
            f"192.0.2.{n}" if vary == "address" else "192.0.2.1",
        )
        for n in range(4)
    ]
    assert guesses == [401, 401, 401, 429]


def test_log_ins_that_succeed_are_not_counted(clinician: User, rates: dict[str, str]) -> None:
    rates["login_account_and_address"] = "2/min"
    statuses = [try_to_log_in(clinician.email, factories.PASSWORD) for _ in range(5)]
    assert statuses == [201] * 5


def unreachable(settings: Settings, address: str) -> None:
    """Put the counters where ``address`` is."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": address}}


@pytest.mark.parametrize("value", ["600", "600/", "0/min", "-1/min", "a/min", "600/minute"])
def test_a_rate_that_is_none_stops_the_start_and_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SKINCARE_RATE_READS", value)
    with pytest.raises(ImproperlyConfigured, match="SKINCARE_RATE_READS"):
        environment.rate("SKINCARE_RATE_READS", "1/s")


def test_without_the_counters_everybody_gets_through(api: ApiClient, settings: Settings, tmp_path: Path) -> None:
    unreachable(settings, f"unix://{tmp_path}/nobody.sock")
    before = throttles.UNCOUNTED._value.get()
    assert [api.get(ME).status_code for _ in range(3)] == [200] * 3
    assert throttles.UNCOUNTED._value.get() == before + 3


def test_counters_that_hang_are_waited_for_once_and_then_left_alone_for_a_while(
    api: ApiClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "PAUSE_SECONDS", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        unreachable(settings, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

        assert [api.get(ME).status_code for _ in range(4)] == [200] * 4

        silent.setblocking(False)
        silent.accept()
        with pytest.raises(BlockingIOError):  # nobody else has called
            silent.accept()


def test_the_counters_leave_nothing_behind_for_ever(api: ApiClient, rates: dict[str, str]) -> None:
    api.get(ME)
    client = cache._cache.get_client()  # type: ignore[attr-defined]
    keys = list(client.scan_iter("skincare:*"))
    assert keys
    assert all(0 < client.ttl(key) <= 3600 for key in keys)
