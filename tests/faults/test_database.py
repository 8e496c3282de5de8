"""Promise: while PostgreSQL is away, full or read-only nothing is half stored; once it is back, all is answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import psycopg2
import pytest
import requests

from skincare.launch import places
from tests.faults.load import Load
from tests.faults.platform import Platform, eventually
from tests.faults.test_web import everything, prepared, send

pytestmark = pytest.mark.faults


def test_postgresql_restarted_under_load_loses_nothing_and_doubles_nothing(platform: Platform) -> None:
    with Load(platform) as load:
        load.come_in(6)
        platform.postgres.stop()
        load.is_told_to_send_again("while it is away")
        platform.postgres.start()
        load.come_in(10, "again")
        platform.postgres.kill()
        load.is_told_to_send_again("after its death")
        platform.postgres.start()
        load.come_in(10, "and after a power cut")
    eventually("ready", platform.ready)
    assert set(load.sent_again) == {"503"}, load.sent_again
    platform.assert_answered_once(load.accepted)


@contextmanager
def no_connections_left(platform: Platform) -> Iterator[None]:
    """PostgreSQL takes no further connection, and those that stood were cut."""
    held = []
    platform.alter(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
    )
    with suppress(psycopg2.OperationalError):
        for _ in range(200):
            held.append(psycopg2.connect(places.database_url(platform.var)))
    assert 10 < len(held) < 200
    try:
        yield
    finally:
        for connection in held:
            connection.close()


def test_without_connections_left_the_phone_is_told_to_send_again(platform: Platform) -> None:
    key = str(uuid4())
    request = prepared(platform, key)
    with no_connections_left(platform), requests.Session() as session:
        answer = session.send(request, timeout=60)
    # A connection that a thread of the web process won back meanwhile may have served it.
    if answer.status_code != 201:
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert "send the same request again" in answer.json()["detail"]
        assert answer.headers["Retry-After"]
        eventually("it is accepted", lambda: send(request) in {200, 201})
    platform.assert_answered_once([key])
    eventually("ready", platform.ready)


def test_a_transaction_that_is_killed_half_way_leaves_nothing_of_the_case(platform: Platform) -> None:
    key, before = str(uuid4()), everything(platform)
    request = prepared(platform, key)
    statuses: list[int] = []
    blocker = psycopg2.connect(places.database_url(platform.var))
    try:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE diagnosis_caseimage IN SHARE ROW EXCLUSIVE MODE")
        thread = threading.Thread(target=lambda: statuses.append(send(request)))
        thread.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%_caseimage%%'"
        eventually("the submission waits in the middle of its transaction", lambda: platform.ask(waiting) is not None)
        platform.alter(f"SELECT pg_terminate_backend({platform.ask(waiting)})")
        thread.join(30)
    finally:
        blocker.close()

    assert statuses == [503]
    assert everything(platform) == before
    assert send(request) == 201
    platform.assert_answered_once([key])


@contextmanager
def read_only(platform: Platform) -> Iterator[None]:
    """PostgreSQL refuses to write, as a standby or a cluster that fails over does."""

    def switch(to: str) -> None:
        platform.alter(f"ALTER SYSTEM SET default_transaction_read_only = {to}")
        platform.alter("SELECT pg_reload_conf()")
        # A session that begins after the reload knows it, and by then every other one has been told.
        eventually(f"read-only is {to}", lambda: platform.ask("SHOW default_transaction_read_only") == to)

    switch("on")
    try:
        yield
    finally:
        switch("off")


def test_a_database_that_only_reads_for_a_while_is_written_to_afterwards(platform: Platform) -> None:
    platform.freeze_workers()
    (waiting,) = platform.submit(1)
    key = str(uuid4())
    request = prepared(platform, key)
    with read_only(platform), requests.Session() as session:
        platform.thaw_workers()
        answer = session.send(request, timeout=30)
        read = requests.get(platform.url(f"cases/{waiting}/"), headers=platform.headers, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert read.status_code in {200, 503}
    eventually("it is accepted", lambda: send(request) in {200, 201})
    platform.assert_answered_once([waiting, key])


def test_a_disk_that_is_full_while_answers_are_written_answers_once_there_is_room(platform: Platform) -> None:
    """PostgreSQL's own error for it, raised where the answer is written."""
    platform.alter(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER full_disk BEFORE UPDATE ON diagnosis_analysis FOR EACH ROW"
        " WHEN (NEW.state IN ('answered', 'abstained')) EXECUTE FUNCTION full_disk()"
    )
    try:
        ids = platform.submit(3)
        log = platform.var / "inference.log"
        eventually("a worker failed to write an answer", lambda: "DiskFull" in log.read_text())
    finally:
        platform.alter("DROP TRIGGER full_disk ON diagnosis_analysis; DROP FUNCTION full_disk()")
    platform.assert_answered_once(ids)
