"""The PostgreSQL and the Valkey at hand: shared, restarted after a crash, gone after the last user."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from skincare.launch import places
from skincare.launch.servers import Postgres, ServerFailed, Servers, Valkey

pytestmark = pytest.mark.slow


@pytest.fixture
def var() -> Iterator[Path]:
    """A folder of its own; not pytest's, whose path is closed to the account that PostgreSQL runs as under root."""
    with tempfile.TemporaryDirectory(prefix="skincare-servers-") as folder:
        yield Path(folder)


def query(var: Path, sql: str) -> object:
    connection = psycopg2.connect(places.database_url(var))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
    finally:
        connection.close()
    return row[0] if row else None


def valkey(var: Path) -> redis.Redis:
    return redis.Redis.from_url(places.redis_url(var), decode_responses=True)


def running(var: Path) -> list[psutil.Process]:
    found = (Postgres(var).process, Valkey(var).process)
    return [process for process in found if process is not None]


def test_what_was_stored_is_there_after_a_stop_and_a_start(var: Path) -> None:
    with Servers(var).borrowed():
        query(var, "CREATE TABLE note (text text); INSERT INTO note VALUES ('kept')")
        valkey(var).set("note", "kept")
    assert running(var) == []

    with Servers(var).borrowed():
        assert query(var, "SELECT text FROM note") == "kept"
        assert valkey(var).get("note") == "kept"


def test_what_was_committed_survives_a_power_cut_and_the_next_start_needs_no_hand(var: Path) -> None:
    with Servers(var).borrowed():
        query(var, "CREATE TABLE note (text text); INSERT INTO note VALUES ('committed')")
        Postgres(var).kill()
        Valkey(var).kill()
        assert Postgres(var).pid_file.exists()

        with Servers(var).borrowed():
            assert query(var, "SELECT text FROM note") == "committed"
            assert valkey(var).ping()


def test_marks_of_a_dead_server_whose_number_belongs_to_another_program_by_now_do_not_stop_a_start(var: Path) -> None:
    with Servers(var, durable=False).borrowed():
        pass
    lines = ["", str(Postgres(var).data), "1700000000", "5432", "", "", "", "ready"]
    Postgres(var).pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    Valkey(var).pid_file.write_text(f"{os.getpid()}\n")

    with Servers(var, durable=False).borrowed():
        assert query(var, "SELECT 1") == 1


def test_the_last_of_several_users_stops_the_servers(var: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from skincare.launch.servers import Servers\n"
        "with Servers(Path(sys.argv[1]), durable=False).borrowed():\n    print('in', flush=True); sys.stdin.read()"
    )
    with Servers(var, durable=False).borrowed():
        other = subprocess.Popen(
            [sys.executable, "-c", program, str(var)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout
        assert other.stdout.readline() == "in\n"
    assert len(running(var)) == 2

    other.communicate()

    assert running(var) == []


def test_a_user_that_was_killed_does_not_keep_the_servers_running(var: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from skincare.launch.servers import Servers\n"
        "with Servers(Path(sys.argv[1]), durable=False).borrowed():\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(var)], check=False)
    assert len(running(var)) == 2

    with Servers(var, durable=False).borrowed():
        pass

    assert running(var) == []


def test_the_path_of_the_project_may_be_long_and_hold_blanks(var: Path) -> None:
    deep = var / ("a long name " * 8).strip() / "and another one" / "var"

    with Servers(deep, durable=False).borrowed():
        assert query(deep, "SELECT 1") == 1
        assert valkey(deep).ping()

    assert not places.socket_folder(deep).exists()


def test_nobody_else_on_the_machine_can_reach_the_servers(var: Path) -> None:
    with Servers(var, durable=False).borrowed():
        listening = [
            connection
            for process in running(var)
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]

        assert listening == []
        assert places.valkey_socket(var).stat().st_mode & 0o077 == 0
        assert places.postgres_socket_folder(var).stat().st_mode & 0o077 == 0


def test_valkey_writes_its_log_and_never_evicts_a_message(var: Path) -> None:
    with Servers(var).borrowed():
        settings = valkey(var).config_get("appendonly", "maxmemory-policy")

    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_data_of_another_postgresql_is_left_alone_with_a_sentence(var: Path) -> None:
    data = Postgres(var).data
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")

    with (
        pytest.raises(ServerFailed, match=r"made by PostgreSQL 15, this is 18\. Dump it"),
        Servers(var, durable=False).borrowed(),
    ):
        pass

    assert sorted(path.name for path in data.iterdir()) == ["PG_VERSION"]
    assert running(var) == [], "the server that did start is stopped again"


def test_making_the_data_starts_over_when_it_was_interrupted(var: Path) -> None:
    half = var / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with Servers(var, durable=False).borrowed():
        assert query(var, "SELECT 1") == 1


def test_only_the_servers_that_the_environment_does_not_name_are_started(var: Path) -> None:
    both = {"DATABASE_URL": "postgresql://db/skincare", "REDIS_URL": "redis://cache/0"}

    assert Servers.wanted(var, both).members == []
    assert Servers.wanted(var, {"DATABASE_URL": " "}).members == [Postgres(var), Valkey(var)]
    assert Servers.wanted(var, {"REDIS_URL": both["REDIS_URL"]}).members == [Postgres(var)]
