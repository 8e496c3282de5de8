"""Looking after runs: a process that trains, and this one, which keeps the lease and writes down how far it is.

The worker itself imports no TensorFlow: the process that it starts does. That process ends when this one dies, because
its standard input ends then, so a run is never trained twice at a time.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import structlog
from django.conf import settings
from django.db import DatabaseError, connections, transaction

from diagnosis.classifier.bundle import Bundle
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from skincare.audit.record import record
from training.models import TrainingRun
from training.services import run_queue
from training.services.run_queue import Held, LeaseLost

#: How long a process that was asked to end may take.
GRACE_SECONDS: Final = 5.0
#: How often progress is written down.
WRITE_SECONDS: Final = 1.0

#: Set when the worker is told to stop: what runs goes back to the queue and is continued by the next worker.
stopping = threading.Event()

log = structlog.get_logger(__name__)


def folder_of(run: TrainingRun) -> Path:
    """Where a run keeps its checkpoints and its log."""
    return Path(settings.TRAINING_ROOT) / str(run.pk)


def run_waiting() -> int:
    """Look after runs until none waits or the worker is told to stop. Returns how many ended."""
    ended = 0
    while not stopping.is_set():
        held = run_queue.claim()
        if held is None:
            break
        log.info("training_run_taken_up", run=str(held.run.pk), attempt=held.run.attempts)
        try:
            attend(held)
            ended += 1
        except LeaseLost as lost:
            log.warning("training_lease_lost", run=str(held.run.pk), error=str(lost))
    return ended


@dataclass
class Told:
    """What the process has told and was not written down yet."""

    progress: dict[str, Any] = field(default_factory=dict)
    curves: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, str] | None = None
    judgement: dict[str, Any] | None = None


def attend(held: Held) -> None:
    """Start the process of a run, write down what it tells, and end the run or give it back.

    Raises:
        LeaseLost: the run is somebody else's by now; the process was ended.
    """
    folder = folder_of(held.run)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "log.txt").open("ab") as notes:
        process = subprocess.Popen(
            [sys.executable, "-m", "training.child", str(held.run.pk)],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=notes,
        )
    try:
        told = Told()
        outcome = _follow(held, process, told)
    finally:
        _end(process)
    match outcome:
        case "cancelled":
            run_queue.finish_cancelled(held)
        case "stopping":
            text = "The training worker was stopped; the run goes on from its last checkpoint."
            run_queue.give_back(held, reason="worker_stopped", text=text, counts=False)
        case "silent":
            text = "The process that trains told nothing for too long."
            run_queue.give_back(held, reason="process_silent", text=text)
        case _:
            _conclude(held, process.returncode, told, folder)


def _conclude(held: Held, status: int, told: Told, folder: Path) -> None:
    if told.failure is not None:
        run_queue.fail(held, reason=told.failure["reason"], text=told.failure["text"])
    elif status == 0 and told.judgement is not None:
        _write_judgement(held, told.judgement)
    else:
        log.error("training_process_died", run=str(held.run.pk), status=status)
        hint = " It may have run out of memory." if status == -9 else ""
        text = f"The process that trains ended by itself (status {status}).{hint} Its log: {folder / 'log.txt'}."
        run_queue.give_back(held, reason="process_died", text=text)


def _follow(held: Held, process: "subprocess.Popen[bytes]", told: Told) -> str:
    """Write down what the process tells until it ends. Returns why it is over: ended, cancelled, stopping or silent."""
    assert process.stdout is not None
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_listen, args=(process.stdout, lines), daemon=True, name="training output").start()
    heard = written = time.monotonic()
    beat_seconds = settings.TRAINING_LEASE_SECONDS / 4
    while True:
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            line = b""
        if line is None:
            process.wait()
            _write(held, told)
            return "ended"
        now = time.monotonic()
        if line:
            heard = now
            _understand(held, line, told)
        if stopping.is_set():
            return "stopping"
        if now - heard > settings.TRAINING_SILENCE_SECONDS:
            return "silent"
        news = bool(told.progress or told.curves)
        if now - written >= (WRITE_SECONDS if news else min(beat_seconds, 2.0)):
            written = now
            if not _write(held, told):
                return "cancelled"


def _listen(stream: IO[bytes], lines: "queue.Queue[bytes | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _understand(held: Held, line: bytes, told: Told) -> None:
    try:
        message = json.loads(line)
    except ValueError:
        return  # a library has printed something
    match message:
        case {"progress": dict() as progress}:
            told.progress |= progress
        case {"curve": dict() as curve}:
            told.curves.append(curve)
        case {"bundle": dict() as bundle}:
            register_trained(held, name=bundle["name"], manifest_sha256=bundle["manifest_sha256"])
        case {"judgement": dict() as judgement}:
            told.judgement = judgement
        case {"failed": dict() as failure}:
            told.failure = failure


def _write(held: Held, told: Told) -> bool:
    """Renew the lease and write down what was told. Returns whether to go on; a database that is away is waited for."""
    try:
        for curve in told.curves[:-1]:
            run_queue.beat(held, curve=curve)
        go_on = run_queue.beat(held, told.progress, told.curves[-1] if told.curves else None)
    except DatabaseError as error:
        log.warning("training_progress_not_written", run=str(held.run.pk), error=type(error).__name__)
        connections.close_all()
        return True
    told.progress, told.curves = {}, []
    return go_on


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()


@transaction.atomic
def register_trained(held: Held, *, name: str, manifest_sha256: str) -> ModelVersion:
    """Put the bundle that a run has made into the register, as a challenger; from now on its digest is pinned.

    Raises:
        LeaseLost: the run is somebody else's by now.
        BundleRefused: its files are not what its manifest says.
    """
    run = run_queue.locked(held)
    bundle = Bundle.open(Path(settings.BUNDLES_ROOT) / name, manifest_sha256)
    version = ModelVersion.objects.create(
        name=name,
        origin=VersionOrigin.TRAINED,
        state=VersionState.CHALLENGER,
        manifest_sha256=manifest_sha256,
        manifest=bundle.manifest,
    )
    run.model_version = version
    run.save(update_fields=["model_version"])
    record("model_version.registered", version, actor=None, details={"run": str(run.pk), "state": "challenger"})
    return version


@transaction.atomic
def _write_judgement(held: Held, judgement: dict[str, Any]) -> None:
    """End a run with the verdict on its version. A proposal that was made on an older verdict lapses."""
    run = run_queue.finish_done(held, {"judgement": judgement})
    version = ModelVersion.objects.select_for_update(of=("self",)).get(training_run=run)
    if version.state != VersionState.CHALLENGER:
        return
    gates = judgement["gates"]
    version.gates_passed = all(gate["passed"] for gate in gates) if gates else None
    version.proposed_by = version.proposed_at = None
    version.save(update_fields=["gates_passed", "proposed_by", "proposed_at"])
    record(
        "model_version.judged",
        version,
        actor=None,
        details={
            "passed": version.gates_passed,
            "failed": [gate["code"] for gate in gates if not gate["passed"]],
            "champion": judgement.get("champion", {}).get("id"),
            "tests": judgement["tests"],
        },
    )
