"""Promise: whatever becomes of a web process, a case is stored whole or not at all, however often it is sent."""

import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import psycopg2.errors
import pytest
import requests

from tests.factories import PHOTOGRAPH
from tests.faults.load import Load
from tests.faults.platform import Platform, eventually, free_port

pytestmark = pytest.mark.faults


def prepared(platform: Platform, key: str) -> requests.PreparedRequest:
    """A submission, ready to be sent."""
    return requests.Request(
        "POST",
        platform.url("cases/"),
        headers={**platform.headers, "Idempotency-Key": key},
        data={"case": json.dumps(platform.case())},
        files={"images": ("photograph.jpg", PHOTOGRAPH.read_bytes(), "image/jpeg")},
    ).prepare()


def send(request: requests.PreparedRequest, seconds: float = 30) -> int:
    """Send it (again) and wait so long at most; its status."""
    with requests.Session() as session:
        return session.send(request, timeout=seconds).status_code


def stored(platform: Platform, key: str) -> int:
    """How many cases have that id."""
    return int(platform.ask("SELECT count(*) FROM diagnosis_case WHERE id = %s::uuid", key))


def everything(platform: Platform) -> list[int]:
    """How many rows of everything that a submission makes there are."""
    counts: list[int] = platform.ask(
        "SELECT ARRAY[(SELECT count(*) FROM diagnosis_patient), (SELECT count(*) FROM diagnosis_lesion),"
        " (SELECT count(*) FROM diagnosis_case), (SELECT count(*) FROM diagnosis_caseimage),"
        " (SELECT count(*) FROM diagnosis_consentevent), (SELECT count(*) FROM diagnosis_analysis),"
        " (SELECT count(*) FROM audit_auditevent WHERE action = 'case.submitted')]"
    )
    return counts


@pytest.fixture
def web_again(platform: Platform) -> Iterator[None]:
    """The web process runs when the test ends, whatever the test did to it."""
    yield
    if "web" not in platform.processes or platform.processes["web"].poll() is not None:
        platform.start_program("web")
    eventually("web is ready", platform.ready)


@pytest.mark.usefixtures("web_again")
def test_kill_9_in_the_middle_of_an_upload_leaves_nothing_and_the_phone_sends_it_again(platform: Platform) -> None:
    key, before = str(uuid4()), everything(platform)
    request = prepared(platform, key)
    assert isinstance(request.body, bytes)
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=30)
    connection.putrequest("POST", request.path_url)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders(request.body[: len(request.body) // 2])
    time.sleep(0.5)  # let it read what came; nothing that could be asked tells that it has

    platform.kill_tree("web")
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.getresponse()

    assert everything(platform) == before
    platform.start_program("web")
    eventually("web is ready", platform.ready)
    assert send(request) == 201
    platform.assert_answered_once([key])


@pytest.mark.usefixtures("web_again")
def test_kill_9_between_commit_and_ring_loses_nothing(platform: Platform) -> None:
    """A frozen broker holds the ring back for a tenth of a second: time enough to kill who would ring."""
    key = str(uuid4())
    request = prepared(platform, key)
    valkey = platform.valkey.process
    assert valkey is not None
    seen: list[int] = []

    def submit() -> None:
        try:
            seen.append(send(request))
        except requests.ConnectionError:
            seen.append(0)

    valkey.send_signal(signal.SIGSTOP)
    try:
        thread = threading.Thread(target=submit)
        thread.start()
        eventually("the case is committed", lambda: stored(platform, key) == 1)
        platform.kill_tree("web")
        thread.join()
    finally:
        valkey.send_signal(signal.SIGCONT)

    platform.start_program("web")
    eventually("web is ready", platform.ready)
    assert send(request) in {200, 201}
    assert stored(platform, key) == 1
    platform.assert_answered_once([key])


def test_a_rolling_restart_under_load_refuses_no_case(platform: Platform) -> None:
    second = free_port()
    platform.start_program("web", called="second web", port=second)
    eventually("the second web is ready", lambda: platform.ready(second))
    with Load(platform, ports=(platform.port, second)) as load:
        for name, port in (("web", platform.port), ("second web", second)):
            load.come_in(6)
            platform.stop_program(name)
            platform.start_program("web", called=name, port=port)
            eventually(f"{name} is ready again", lambda port=port: platform.ready(port))
        platform.stop_program("inference")
        platform.start_program("inference")
        load.come_in(10, "after all that")
    platform.stop_program("second web")
    eventually("ready", platform.ready)

    assert set(load.sent_again) <= {"ConnectionError"}, load.sent_again
    platform.assert_answered_once(load.accepted)


def column_added(platform: Platform) -> bool:
    """Whether a try to add a column got its lock; as a careful migration, it lets others go first after a while."""
    try:
        platform.alter("SET lock_timeout = '2s'; ALTER TABLE diagnosis_case ADD COLUMN later integer DEFAULT 0")
    except psycopg2.errors.LockNotAvailable:
        return False
    return True


def test_a_migration_that_runs_beside_old_code_under_load_refuses_no_case(platform: Platform) -> None:
    """What an additive migration does to PostgreSQL: a column with a default, and an index built beside writes."""
    with Load(platform) as load:
        load.come_in(6)
        try:
            eventually("the column is there", lambda: column_added(platform))
            platform.alter("CREATE INDEX CONCURRENTLY case_later ON diagnosis_case (later)")
            load.come_in(10, "after it")
        finally:
            platform.alter("ALTER TABLE diagnosis_case DROP COLUMN IF EXISTS later")
    assert not load.sent_again
    platform.assert_answered_once(load.accepted)
