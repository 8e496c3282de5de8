"""`make up` as a person meets it: started, disturbed, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from skincare.launch.servers import Postgres, Valkey
from skincare.launch.up import ROOT, NotStarted, check_free, number_from
from tests.launch import waiting
from tests.launch.waiting import eventually


class Launcher:
    """One `make up` of this checkout with a `var` and a port of its own."""

    def __init__(self, var: Path) -> None:
        self.var = var
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None
        self.output = var / "output"

    def start(self) -> None:
        told = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SKINCARE_", "PYTEST_", "DJANGO_")) and name not in {"DATABASE_URL", "REDIS_URL"}
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skincare.launch.up"],
            cwd=ROOT,
            env={**told, "SKINCARE_VAR": str(self.var), "PORT": str(self.port)},
            stdout=self.output.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def said(self) -> str:
        return self.output.read_text()

    def until(self, happened: Callable[[], object]) -> None:
        """Waits for it, while the launcher lives."""
        assert self.process

        def happened_or_ended() -> object:
            return happened() or (self.process and self.process.poll() is not None)

        eventually(happened_or_ended, self.said)
        assert happened(), self.said()

    def start_and_wait(self) -> None:
        """Start it, until it calls itself ready."""
        self.start()
        self.until(lambda: "Ctrl-C stops everything" in self.said())

    def prepared_at(self) -> int:
        """When the database was prepared last, in nanoseconds."""
        return (self.var / "log" / "prepare.log").stat().st_mtime_ns

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(waiting.PATIENCE_SECONDS)

    def readiness(self) -> tuple[int, dict[str, dict[str, str]]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, {}

    def processes(self) -> list[psutil.Process]:
        """Whatever runs for this `var`: launcher, web, workers and servers."""
        found = [process for process in (Postgres(self.var).process, Valkey(self.var).process) if process]
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("SKINCARE_VAR") == str(self.var)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def named(self, part: str) -> list[psutil.Process]:
        return [process for process in self.processes() if part in " ".join(process.cmdline())]


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with tempfile.TemporaryDirectory(prefix="skincare-up-", ignore_cleanup_errors=True) as folder:
        one = Launcher(Path(folder))
        yield one
        if one.process and one.process.poll() is None:
            one.stop()
        for left in one.processes():
            left.kill()


@pytest.mark.slow
def test_everything_starts_answers_and_is_gone_after_ctrl_c_and_prepares_itself_once(
    launcher: Launcher,
) -> None:
    launcher.start_and_wait()
    launcher.until(lambda: launcher.readiness()[0] == 200)
    assert f"http://127.0.0.1:{launcher.port}/" in launcher.said()
    assert "@" in launcher.said(), "the demo's log-ins are shown"

    assert launcher.stop(signal.SIGINT) == 0
    assert launcher.said().endswith("Stopped.\n")
    assert launcher.processes() == []

    prepared = launcher.prepared_at()
    launcher.start_and_wait()
    assert launcher.prepared_at() == prepared
    assert launcher.stop(signal.SIGTERM) == 0
    assert launcher.processes() == []


@pytest.mark.slow
@pytest.mark.faults
def test_what_dies_starts_again_and_what_a_killed_launcher_left_is_ended_by_the_next_one(launcher: Launcher) -> None:
    launcher.start_and_wait()
    before = launcher.named("--queues=inference")
    assert before

    for process in before:
        process.kill()
    launcher.until(lambda: "inference was ended by SIGKILL" in launcher.said())
    launcher.until(lambda: launcher.named("--queues=inference"))
    launcher.until(lambda: launcher.readiness()[0] == 200)

    second = subprocess.run(
        [sys.executable, "-m", "skincare.launch.up"],
        cwd=ROOT,
        env={**os.environ, "SKINCARE_VAR": str(launcher.var), "PORT": "1024"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "It runs already in this folder" in second.stderr

    left = launcher.named("gunicorn")
    launcher.stop(signal.SIGKILL)
    assert all(process.is_running() for process in left)
    launcher.start_and_wait()
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in left)
    assert launcher.stop() == 0
    assert launcher.processes() == []


@pytest.mark.slow
def test_a_start_that_is_interrupted_leaves_nothing_behind(launcher: Launcher) -> None:
    launcher.start()
    launcher.until(lambda: Postgres(launcher.var).process)

    assert launcher.stop(signal.SIGINT) == 0

    assert launcher.processes() == []


def test_a_port_that_is_taken_is_named_with_another_to_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(NotStarted, match=rf"Port {port} is taken by another program.*PORT=\d+ make up"):
            check_free(port)


def test_a_port_that_a_stopped_server_has_just_left_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()

    check_free(port)


@pytest.mark.parametrize("wanted", ["0", "65536", "http", "-1", "8000.0"])
def test_a_port_that_is_no_port_is_refused_with_an_example(wanted: str) -> None:
    with pytest.raises(
        NotStarted, match=rf"PORT={wanted}: a number from 1 to 65535 is needed, as in: PORT=8000 make up"
    ):
        number_from({"PORT": wanted}, "PORT", 8000, 65535)


def test_without_a_word_the_port_is_8000() -> None:
    assert number_from({"PORT": " "}, "PORT", 8000, 65535) == 8000
