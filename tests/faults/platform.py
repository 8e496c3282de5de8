"""A whole platform in a folder of its own: real servers, web and workers, which tests may kill, freeze and empty."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import psutil
import psycopg2
import redis
import requests

from diagnosis.api.submission import EXAMPLE_CASE
from skincare.launch import places
from skincare.launch.servers import Postgres, Servers, Valkey
from skincare.launch.up import ROOT, programs
from tests.factories import PHOTOGRAPH

#: How long anything that is promised may take here; far above what it takes on two busy cores.
PATIENCE_SECONDS = 90.0


def eventually(what: str, holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Ask again and again until it holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fill(pipe: int, content: bytes) -> None:
    """Write all into a pipe that was opened, and close it. Whoever was to read it may have been killed."""
    os.set_blocking(pipe, True)
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as end:
        end.write(content)


class Platform:
    """Starts with ``start``; every program can be stopped by its own process id and started again."""

    def __init__(self, var: Path, **environment: str) -> None:
        """`environment`: settings that this platform has beside the usual ones."""
        self.var = var
        self.port = free_port()
        self.valkey = Valkey(var)
        # Durable, as in earnest: what was accepted must outlive a power cut.
        self.postgres = Postgres(var)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "SKINCARE_", "DATABASE_URL", "REDIS_URL", "DJANGO_"))
        } | {
            "SKINCARE_VAR": str(var),
            "SKINCARE_LEASE_SECONDS": "3",
            "SKINCARE_TRAINING_LEASE_SECONDS": "15",
            "SKINCARE_TRAINING_RING_SECONDS": "1",
            "SKINCARE_TRAINING_NICENESS": "0",
            # One clinician sends for a whole country here, faster on a fast machine than one may.
            "SKINCARE_RATE_SUBMISSIONS": "100000/min",
            "DJANGO_SETTINGS_MODULE": "skincare.settings.local",
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.headers: dict[str, str] = {}
        self.servers = ExitStack()

    # --- life -----------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Servers, tables, demonstration, web and workers; then somebody logs in."""
        self.servers.enter_context(Servers(self.var).borrowed())
        for command in (["migrate", "--verbosity=0"], ["load_demo"]):
            self.command(*command)
        for name in programs(self.port, 1):
            self.start_program(name)
        eventually("the platform is ready", self.ready)
        self.headers = self.headers_of("clinician@demo.example")
        eventually("the demonstration is answered", lambda: self.unfinished() == 0)

    def headers_of(self, email: str) -> dict[str, str]:
        """What requests by one of the demonstration's people carry."""
        password = (self.var / "secrets" / "demo-password").read_text().strip()
        answer = requests.post(self.url("auth/token/"), json={"email": email, "password": password}, timeout=30)
        return {"Authorization": f"Token {answer.json()['token']}"}

    def command(self, *arguments: str) -> None:
        """Run a command of ``manage.py``."""
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, check=True)

    def start_program(self, name: str, *, called: str = "", port: int = 0) -> None:
        """Start one of the programs of ``make up``.

        Args:
            called: its name here, where the same program runs twice.
            port: for a second web process.
        """
        called = called or name
        with (self.var / f"{called}.log").open("ab") as log:
            self.processes[called] = subprocess.Popen(
                programs(port or self.port, 2)[name],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop_program(self, name: str) -> None:
        """Ask a program to stop, as an update does, and wait until it has finished what it was doing."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(PATIENCE_SECONDS)

    def kill_tree(self, name: str) -> None:
        """``kill -9`` for a program and all its children."""
        main = psutil.Process(self.processes[name].pid)
        children = main.children(recursive=True)
        for process in [main, *children]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes.pop(name).wait()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        assert not alive, alive

    def children(self, name: str) -> list[psutil.Process]:
        """The processes that a program has forked."""
        found: list[psutil.Process] = psutil.Process(self.processes[name].pid).children()
        return found

    def stop(self) -> None:
        """End everything that was started here, and nothing else."""
        for name in list(self.processes):
            self.kill_tree(name)
        self.servers.close()

    # --- use ------------------------------------------------------------------------------------------------------
    def url(self, path: str) -> str:
        """Address of a resource of the API."""
        return f"http://127.0.0.1:{self.port}/api/v1/{path}"

    def ready(self, port: int = 0) -> bool:
        """What ``/readyz`` says."""
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{port or self.port}/readyz", timeout=10).status_code == 200
        return False

    def submit(self, number: int = 1, *, scopes: tuple[str, ...] = ("analysis",)) -> list[str]:
        """Submit cases with consent to `scopes` as a clinician; each must be accepted. Returns their ids."""
        ids = []
        for _ in range(number):
            key = str(uuid4())
            answer = requests.post(
                self.url("cases/"),
                headers={**self.headers, "Idempotency-Key": key},
                data={"case": json.dumps(self.case(scopes))},
                files={"images": ("photograph.jpg", PHOTOGRAPH.read_bytes(), "image/jpeg")},
                timeout=30,
            )
            assert answer.status_code == 201, answer.text
            ids.append(key)
        return ids

    def case(self, scopes: tuple[str, ...] = ("analysis",)) -> dict[str, Any]:
        """The JSON of a submission by a new patient who consents to `scopes`."""
        now = datetime.now(UTC).isoformat()
        case: dict[str, Any] = json.loads(json.dumps(EXAMPLE_CASE))
        case["patient"]["record_number"] = str(uuid4())
        case["seen_at"] = now
        (consent,) = case["consents"]
        case["consents"] = [{**consent, "scope": scope, "captured_at": now} for scope in scopes]
        return case

    def ask(self, sql: str, *parameters: object) -> Any:
        """The first column of the first row that the database answers."""
        with psycopg2.connect(places.database_url(self.var)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            row = cursor.fetchone()
            return row[0] if row else None

    def alter(self, sql: str) -> None:
        """Run statements outside any transaction, also where the database has been told to write nothing."""
        connection = psycopg2.connect(places.database_url(self.var), options="-c default_transaction_read_only=off")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in [sql] if "$$" in sql else sql.split(";"):
                    cursor.execute(statement)
        finally:
            connection.close()

    def in_state(self, state: str) -> int:
        """How many analyses are in a state."""
        return int(self.ask("SELECT count(*) FROM diagnosis_analysis WHERE state = %s", state))

    def unfinished(self) -> int:
        """How many analyses wait or run."""
        return int(self.ask("SELECT count(*) FROM diagnosis_analysis WHERE state IN ('waiting', 'running')"))

    def broker(self) -> "redis.Redis":
        """A client of the broker."""
        return redis.Redis.from_url(places.redis_url(self.var))

    # --- faults ---------------------------------------------------------------------------------------------------
    def freeze_workers(self) -> list[psutil.Process]:
        """Stop the inference processes where they stand (SIGSTOP)."""
        children = self.children("inference")
        for child in children:
            child.send_signal(signal.SIGSTOP)
        return children

    def thaw_workers(self) -> None:
        """Let frozen processes go on."""
        for child in self.children("inference"):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGCONT)

    def freeze_in_the_middle(self, cases: int) -> list[str]:
        """Submit cases and freeze the workers while one of them reads the first case's photograph. Returns the ids.

        Until then that photograph is a pipe, and whoever opens it waits. Thawed, the worker reads what was stored; a
        worker that comes after it finds the file.
        """
        self.freeze_workers()
        ids = self.submit(cases)
        path = self.photograph_of(ids[0])
        stored = path.rename(path.with_suffix(".stored"))
        os.mkfifo(path)
        self.thaw_workers()
        ends: list[int] = []

        def is_being_opened() -> bool:
            with suppress(OSError):  # without a reader it cannot be opened
                ends.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return bool(ends)

        eventually("a worker opens the photograph", is_being_opened)
        self.freeze_workers()
        content = stored.read_bytes()
        stored.replace(path)
        Thread(target=_fill, args=(ends[0], content), daemon=True).start()
        return ids

    def photograph_of(self, case: str) -> Path:
        """Where the view of a case's only photograph lies."""
        name: str = self.ask("SELECT view_file FROM diagnosis_caseimage WHERE case_id = %s::uuid", case)
        return self.var / "media" / name

    def assert_answered_once(self, ids: list[str]) -> None:
        """Each case reaches an answer (or an abstention), with exactly one audit event that says so."""
        eventually("every case is final", lambda: self.unfinished() == 0)
        for case in ids:
            state, analysis = self.ask(
                "SELECT ARRAY[state, id::text] FROM diagnosis_analysis WHERE case_id = %s::uuid", case
            )
            assert state in {"answered", "abstained"}, f"case {case} is {state}"
            events = self.ask(
                "SELECT count(*) FROM audit_auditevent WHERE object_id = %s"
                " AND action IN ('analysis.answered', 'analysis.abstained', 'analysis.failed')",
                analysis,
            )
            assert events == 1, f"case {case} was answered {events} times"
