"""The processes that the launcher looks after: started, started again when they die, stopped with all they started."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0  # who lived as long starts again at once after the next death
PROBLEMS = ("[warning", "[error", "[critical")  # as structlog and gunicorn write levels, in lower case
LINES_AT_ONCE = 20
LARGEST_LOG_BYTES = 10_000_000


class Child:
    """One program with a log of its own, in a session of its own: a Ctrl-C in the terminal does not reach it."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.deaths = 0
        self._command = list(command)
        self._environment = dict(environment)
        self._log = log
        self._read = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0
        self._delay = FIRST_DELAY_SECONDS
        self._due = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the program; what it says is added to its log."""
        if self._log.exists() and self._log.stat().st_size > LARGEST_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            if self._read == 0 or log.tell() < self._read:
                self._read = log.tell()
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._born = time.monotonic()

    def tend(self) -> str:
        """Notices a death, and starts the program again when its delay is over. What a person should read, or ""."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._due:
                self.start()
            return ""
        code = self._process.poll()
        if code is None:
            return ""
        self._bury()
        self.deaths += 1
        self._delay = FIRST_DELAY_SECONDS if now - self._born > STEADY_SECONDS else self._delay
        self._due, delay = now + self._delay, self._delay
        self._delay = min(2 * self._delay, LONGEST_DELAY_SECONDS)
        manner = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{self.name} {manner}; it starts again in {delay:.0f} s. Its log: {self._log}"

    def ask_to_stop(self) -> None:
        """Asks the program to finish what it does and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stopped(self) -> bool:
        """Whether the program has ended; what it left behind in its session is ended too."""
        if self._process is None:
            return True
        if self._process.poll() is None:
            return False
        self._bury()
        return True

    def kill(self) -> None:
        """Ends the program and everything it started, at once."""
        if self._process is not None:
            self._end_session()
            self._process.wait()
            self._process = None

    def problems(self) -> list[str]:
        """The warnings and errors that were logged since the last call."""
        try:
            with self._log.open("rb") as log:
                log.seek(self._read)
                fresh = log.read()
        except OSError:
            return []
        fresh = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(fresh)
        lines = [
            line
            for line in fresh.decode(errors="replace").splitlines()
            if any(mark in line.lower() for mark in PROBLEMS)
        ]
        if len(lines) > LINES_AT_ONCE:
            lines = [*lines[:LINES_AT_ONCE], f"… and {len(lines) - LINES_AT_ONCE} more in {self._log}"]
        return lines

    def last_words(self) -> str:
        """The end of the log."""
        try:
            return self._log.read_text(errors="replace")[-1500:].strip()
        except OSError:
            return ""

    def _bury(self) -> None:
        self._end_session()
        self._process = None

    def _end_session(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # it left nothing behind
                os.killpg(self._process.pid, signal.SIGKILL)
