"""A record that was restored into another PostgreSQL server, whose transaction numbers begin anew, goes on."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from django.conf import settings
from django.db import connection

from skincare.audit.verification import verify
from skincare.launch import places, postgres_client
from skincare.launch.servers import Servers
from tests import factories
from tests.audit.chains import INSERT, happen, seal_all

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SEAL_AND_VERIFY = """
import django; django.setup()
from skincare.audit.seals import seal_waiting
from skincare.audit.verification import verify
print(seal_waiting())
print(seal_waiting())
verified = verify({heads!r})
print(verified.seals, verified.events, verified.tail.count)
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of an empty database in another server."""
    with replace(Servers.wanted(tmp_path), durable=False).borrowed():
        yield places.database_url(tmp_path)


def seal_and_verify(url: str, environment: dict[str, str], head: str) -> list[str]:
    """What a process says that seals and verifies there."""
    done = subprocess.run(
        [sys.executable, "-c", SEAL_AND_VERIFY.format(heads=[head])],
        env=environment | {"DATABASE_URL": url},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:3]


def test_in_another_server_all_is_sealed_once_more_in_order_and_verifies(
    elsewhere: str, process_environment: dict[str, str], tmp_path: Path
) -> None:
    subject = factories.organisation()
    happen(30, subject)
    seal_all(batch=7)
    happen(2, subject)
    head = verify().head
    version = connection.cursor().connection.info.server_version // 10_000
    dump = str(tmp_path / "dump")
    parameters = connection.get_connection_params()
    postgres_client.run("pg_dump", ["--format=custom", f"--file={dump}"], parameters, server=version)
    into = ["--no-owner", "--exit-on-error", f"--dbname={elsewhere}"]
    postgres_client.run("pg_restore", [*into, dump], {}, server=version)
    other = psycopg2.connect(elsewhere)
    other.autocommit = True
    with other.cursor() as cursor:
        cursor.execute(INSERT)
        assert seal_and_verify(elsewhere, process_environment, head)[0] == "3"
        for _ in range(2):
            cursor.execute(INSERT)
        assert seal_and_verify(elsewhere, process_environment, head)[2].endswith(" 35 0")
    other.close()
