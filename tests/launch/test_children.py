"""The processes that the launcher looks after."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from skincare.launch import children
from skincare.launch.children import Child
from tests.launch.waiting import eventually


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    started: list[Child] = []

    def start(code: str) -> Child:
        child = Child("worker", [sys.executable, "-u", "-c", code], dict(os.environ), tmp_path / "worker.log")
        child.start()
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()


def test_a_program_that_dies_is_reported_and_starts_again_after_its_delay(
    run: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY_SECONDS", 0.01)
    child = run("import time; time.sleep(600)")
    child._delay = 0.01
    assert child.pid is not None
    first = child.pid
    os.kill(first, signal.SIGKILL)
    said: list[str] = []

    def started_again() -> bool:
        said.append(child.tend())
        return child.pid not in (None, first)

    eventually(started_again)

    assert [each for each in said if each] == [
        f"worker was ended by SIGKILL; it starts again in 0 s. Its log: {child._log}"
    ]
    assert child.deaths == 1


def test_a_program_that_keeps_dying_is_started_less_and_less_often(run: Callable[[str], Child]) -> None:
    child = run("raise SystemExit(3)")
    delays = []
    for _ in range(7):
        eventually(lambda: child.tend())
        delays.append(round(child._due - time.monotonic()))
        child._due = 0
    assert delays == [1, 2, 4, 8, 16, 30, 30]


def test_what_a_program_started_itself_ends_with_it(run: Callable[[str], Child], tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    child = run(
        "import subprocess, sys, time, pathlib\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(one.pid) + '.')\n"
        "time.sleep(600)"
    )
    eventually(lambda: note.exists() and note.read_text().endswith("."))
    grandchild = psutil.Process(int(note.read_text()[:-1]))

    child.ask_to_stop()
    eventually(child.stopped)

    eventually(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


def test_only_warnings_and_errors_are_shown_each_once_and_never_half_a_line(run: Callable[[str], Child]) -> None:
    child = run(
        "import time\n"
        "print('2026 [info     ] request_finished')\n"
        "print('2026 [warning  ] bell_not_heard')\n"
        "print('2026 [error    ] no_newline_yet', end='', flush=True)\n"
        "time.sleep(600)"
    )
    eventually(lambda: "no_newline_yet" in child._log.read_text())

    assert child.problems() == ["2026 [warning  ] bell_not_heard"]
    assert child.problems() == []
