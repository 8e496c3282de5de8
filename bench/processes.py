"""The programs of a running platform: which they are, what they use, and when they have nothing left to do."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

#: Of a processor; what beating hearts, sweeping and sealing need is a tenth of that.
AT_REST: Final = 0.25
PATIENCE_SECONDS: Final = 180


def processes_of(var: Path) -> list[psutil.Process]:
    """All processes of the platform that runs in `var`."""
    every = psutil.process_iter(["cmdline"])
    return [process for process in every if program_of(process, process.info["cmdline"] or [], var)]


def wait_until_at_rest(var: Path) -> None:
    """Wait until the platform in `var` has nothing left to do; after a first start it fills the demonstration.

    Raises:
        RuntimeError: it did not come to rest.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    quiet = 0
    while quiet < 3:
        if time.monotonic() > end:
            raise RuntimeError(f"the platform in {var} did not come to rest within {PATIENCE_SECONDS} s")
        before, begin = processor_seconds(processes_of(var)), time.monotonic()
        time.sleep(2)
        used = (processor_seconds(processes_of(var)) - before) / (time.monotonic() - begin)
        quiet = quiet + 1 if used < AT_REST else 0


def program_of(process: psutil.Process, line: list[str], var: Path) -> str:
    """Which of the programs of the platform in `var` a process with this command line belongs to, or nothing."""
    text = " ".join(line)
    try:
        if (line[:1] and line[0].startswith("postgres:") and _below(process, var)) or f"-D {var}" in text:
            return "PostgreSQL"
        if "valkey-server" in text and process.cwd().startswith(str(var)):
            return "Valkey"
        if "skincare" not in text or process.environ().get("SKINCARE_VAR") != str(var):
            return ""
    except psutil.Error:  # ended meanwhile, or is somebody else's
        return ""
    if "gunicorn" in text:
        return "web: the server and its two processes"
    if " beat " in text:
        return "clock"
    workers = [name for name in ("inference", "default", "training") if f"--hostname={name}@" in text]
    return f"worker: {workers[0]}, with what it forked" if workers else ""


def _below(process: psutil.Process, var: Path) -> bool:
    """Whether a session of PostgreSQL belongs to the server of `var`; its title tells nothing of that."""
    parent = process.parent()
    return parent is not None and str(var) in " ".join(parent.cmdline())


def processor_seconds(processes: Sequence[psutil.Process]) -> float:
    """What these have used of the processors so far. Other programs disturb it less than they disturb a time."""
    used = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used
