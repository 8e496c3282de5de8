"""/healthz and /readyz: what they say when all is well, and when each part is missing."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import Client

from skincare.health import checks, heartbeat
from skincare.health.heartbeat import Heartbeat, Living

Readiness = dict[str, dict[str, Any]]


def ask(client: Client) -> tuple[int, Readiness]:
    answer = client.get("/readyz")
    return answer.status_code, json.loads(answer.content)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """These parts answer, if late on a busy machine; what becomes of one that does not has a test of its own."""
    monkeypatch.setattr(checks, "DEADLINE_SECONDS", 60.0)


@pytest.fixture
def living_worker(broker: redis.Redis) -> Iterator[Heartbeat]:
    worker = Heartbeat(settings.REDIS_URL, "test-worker")
    worker.beat("mobilenet-1")
    yield worker
    worker.stop()


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    def choose(*parts: str) -> None:
        monkeypatch.setattr(
            settings, "READINESS_CHECKS", {part: settings.READINESS_CHECKS[part] for part in parts}, raising=True
        )

    return choose


def test_the_process_says_that_it_lives_without_a_database(client: Client) -> None:
    # No database mark: a query here would fail the test.
    assert client.get("/healthz").json() == {"alive": True}


@pytest.mark.django_db(transaction=True)
def test_all_is_ready_when_database_broker_and_a_worker_answer(
    client: Client, living_worker: Heartbeat, only: Any
) -> None:
    only("database", "broker", "worker")

    status, said = ask(client)

    assert status == 200
    assert said == {
        "ready": True,
        "parts": {"database": True, "broker": True, "worker": True},
        "missing": {},
    }


@pytest.mark.django_db(transaction=True)
def test_without_a_worker_the_answer_is_503_and_says_how_to_start_one(
    client: Client, broker: redis.Redis, only: Any
) -> None:
    only("database", "broker", "worker")

    status, said = ask(client)

    assert status == 503
    assert said["parts"] == {"database": True, "broker": True, "worker": False}
    assert "celery -A skincare worker -Q inference" in said["missing"]["worker"]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_says_farewell_is_missed_at_once(client: Client, living_worker: Heartbeat, only: Any) -> None:
    only("worker")

    living_worker.stop()

    assert ask(client)[0] == 503


def test_a_worker_that_falls_silent_is_forgotten(living_worker: Heartbeat, broker: redis.Redis) -> None:
    [key] = broker.keys(f"{heartbeat.PREFIX}*")

    assert 0 < broker.ttl(key) <= heartbeat.SILENT_AFTER_SECONDS


def test_the_living_are_known_with_the_network_that_each_has_loaded(
    living_worker: Heartbeat, broker: redis.Redis
) -> None:
    second = Heartbeat(settings.REDIS_URL, "another")
    second.beat("mobilenet-2")

    with heartbeat.connect(settings.REDIS_URL) as client:
        found = heartbeat.living(client)

    second.stop()
    assert found == [Living("another", "mobilenet-2"), Living("test-worker", "mobilenet-1")]


def test_a_broker_that_is_away_neither_stops_nor_delays_a_worker() -> None:
    worker = Heartbeat("redis://127.0.0.1:1/0", "lonely")

    worker.beat("mobilenet-1")
    worker.stop()


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_each_part_that_needs_it_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch, only: Any
) -> None:
    only("database", "broker", "worker")
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")

    status, said = ask(client)

    assert status == 503
    assert said["parts"] == {"database": True, "broker": False, "worker": False}
    assert "REDIS_URL" in said["missing"]["broker"]


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_not_applied_is_named(client: Client, monkeypatch: pytest.MonkeyPatch, only: Any) -> None:
    only("database")
    monkeypatch.setattr(checks, "_migrated_databases", set())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit' RETURNING app, name, applied")
        removed = cursor.fetchall()

    try:
        status, said = ask(client)
    finally:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", removed)

    assert status == 503
    assert "the first is audit." in said["missing"]["database"]


def test_a_part_that_hangs_is_reported_within_the_deadline_and_holds_nobody_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(checks, "DEADLINE_SECONDS", 0.05)
    monkeypatch.setattr(checks, "broker", release.wait)
    monkeypatch.setattr(settings, "READINESS_CHECKS", {"broker": "skincare.health.checks.broker"})

    status, said = ask(client)

    release.set()
    assert status == 503
    assert "No answer within" in said["missing"]["broker"]


def test_an_unforeseen_failure_names_its_kind_and_keeps_its_text_to_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("postgresql://skincare:secret@db")

    monkeypatch.setattr(checks, "broker", fail)
    monkeypatch.setattr(settings, "READINESS_CHECKS", {"broker": "skincare.health.checks.broker"})

    status, said = ask(client)

    assert status == 503
    assert said["missing"]["broker"] == "The check failed with RuntimeError."


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_load_balancer_may_ask_by_an_address_that_is_no_host_name_of_ours_and_without_tls(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(settings, "READINESS_CHECKS", {})
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["clinic.example"])
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", True)

    assert client.get(path, headers={"host": "10.0.0.7"}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_an_answer_about_now_is_never_cached_and_takes_no_orders(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(settings, "READINESS_CHECKS", {})

    assert "no-store" in client.get(path).headers["Cache-Control"]
    assert client.post(path).status_code == 405
