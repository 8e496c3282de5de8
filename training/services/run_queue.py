"""The queue of training runs: claimed under a lease, kept by a heartbeat, continued after a death, ended once.

The database remembers, the broker only rings (see ``diagnosis.services.analysis_queue``). A run differs from an
analysis in that it takes hours: its lease is short and renewed, and whoever takes it up goes on from its checkpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from diagnosis.services.bell import ring
from skincare.audit.record import record
from training.models import RunState, TrainingRun
from training.models.runs import Stage

RUN_WAITING: Final = "training.run_waiting"

#: A run whose worker died so often is not taken up again.
MOST_ATTEMPTS: Final = 5
#: One that came back waits 10, 20, 40… seconds, but no longer than this.
LONGEST_PAUSE_SECONDS: Final = 600


class LeaseLost(Exception):
    """The run is somebody else's by now, or was ended; what was done under the lease is not written."""


@dataclass(frozen=True)
class Held:
    """A worker's right to one run."""

    run: TrainingRun
    token: UUID


def ring_for_training() -> bool:
    """Tell the training workers that a run waits."""
    return ring(RUN_WAITING, queue="training")


def _lease_end() -> Any:
    return Now() + timedelta(seconds=settings.TRAINING_LEASE_SECONDS)


@transaction.atomic
def claim() -> Held | None:
    """Take the run that waits longest, or nothing. Rows that another worker is just claiming are passed over."""
    run = TrainingRun.objects.queued().select_for_update(skip_locked=True, of=("self",)).first()
    if run is None:
        return None
    now = timezone.now()
    run.state = RunState.RUNNING
    run.lease_token = uuid4()
    run.lease_until = _lease_end()
    run.heartbeat_at = now
    run.attempts += 1
    run.started_at = run.started_at or now
    run.stage = Stage.PREPARING
    run.reason = run.reason_text = ""
    run.save()
    record("training_run.taken_up", run, actor=None, details={"attempt": run.attempts})
    return Held(run, run.lease_token)


def locked(held: Held) -> TrainingRun:
    """The row, locked, while the lease is still this one's. Raises LeaseLost."""
    run = (
        TrainingRun.objects.filter(
            pk=held.run.pk, lease_token=held.token, state__in=[RunState.RUNNING, RunState.CANCELLING]
        )
        .select_for_update(of=("self",))
        .first()
    )
    if run is None:
        raise LeaseLost(f"run {held.run.pk} is no longer held under {held.token}")
    return run


#: What a worker may tell of a run that goes on.
PROGRESS: Final = frozenset({"stage", "epoch", "epochs", "step", "steps", "seconds_left", "reason", "reason_text"})


def beat(held: Held, progress: Mapping[str, Any] | None = None, curve: Mapping[str, Any] | None = None) -> bool:
    """Renew the lease and write how far the run is.

    Args:
        progress: any of ``PROGRESS``.
        curve: an epoch's row; takes the place of an earlier one of the same epoch.

    Returns:
        Whether to go on; False when somebody has asked to cancel.

    Raises:
        LeaseLost: the run is somebody else's by now.
    """
    values: dict[str, Any] = {name: value for name, value in (progress or {}).items() if name in PROGRESS}
    with transaction.atomic():
        run = locked(held)
        if curve is not None:
            values["curves"] = [row for row in run.curves if row["epoch"] < curve["epoch"]] + [dict(curve)]
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now(), lease_until=_lease_end(), **values)
    return run.state == RunState.RUNNING


def give_back(held: Held, *, reason: str, text: str, counts: bool = True) -> None:
    """Return a run to the queue, to go on from its checkpoint; or fail it, when it came back too often.

    Args:
        reason: a code.
        text: a sentence for a person.
        counts: whether this was an attempt; not so when the worker was only told to stop.
    """
    with transaction.atomic():
        _return_or_fail(locked(held), reason=reason, text=text, counts=counts)


def fail(held: Held, *, reason: str, text: str) -> None:
    """End a run that cannot succeed by being tried again."""
    with transaction.atomic():
        _end(locked(held), RunState.FAILED, reason=reason, text=text)


def finish_cancelled(held: Held) -> None:
    """End a run that somebody asked to cancel."""
    with transaction.atomic():
        _end(locked(held), RunState.CANCELLED, reason="cancelled", text="A model steward cancelled the run.")


def finish_done(held: Held, metrics: Mapping[str, Any]) -> TrainingRun:
    """End a run that has made a version."""
    with transaction.atomic():
        run = locked(held)
        run.metrics = {**run.metrics, **metrics}
        run.state, run.stage = RunState.DONE, Stage.FINISHED
        run.seconds_left = None
        run.finished_at = timezone.now()
        run.lease_token = run.lease_until = None
        run.save()
        record("training_run.done", run, actor=None, details={"model_version": str(run.model_version_id)})
    return run


def _end(run: TrainingRun, state: RunState, *, reason: str, text: str) -> None:
    run.state = state
    run.reason, run.reason_text = reason, text[:1000]
    run.seconds_left = None
    run.finished_at = timezone.now()
    run.lease_token = run.lease_until = None
    run.save()
    record(f"training_run.{state}", run, actor=None, details={"reason": reason, "attempt": run.attempts})


def _return_or_fail(run: TrainingRun, *, reason: str, text: str, counts: bool) -> bool:
    """Returns whether the run failed."""
    if run.state == RunState.CANCELLING:
        _end(run, RunState.CANCELLED, reason="cancelled", text="A model steward cancelled the run.")
        return False
    if counts and run.attempts >= MOST_ATTEMPTS:
        _end(run, RunState.FAILED, reason=reason, text=f"{text} Tried {run.attempts} times.")
        return True
    if not counts:
        run.attempts = max(0, run.attempts - 1)
    run.state = RunState.QUEUED
    run.stage = Stage.WAITING
    run.not_before = Now() + (_pause_after(run.attempts) if counts else timedelta())
    run.reason, run.reason_text = reason, text[:1000]
    run.lease_token = run.lease_until = None
    run.save()
    record("training_run.returned", run, actor=None, details={"reason": reason, "attempt": run.attempts})
    return False


def _pause_after(attempts: int) -> timedelta:
    return timedelta(seconds=min(5 * 2**attempts, LONGEST_PAUSE_SECONDS))


@dataclass(frozen=True)
class Swept:
    """What a sweep found: runs returned to the queue, runs failed, and whether it rang for one that waits unheard."""

    returned: int
    failed: int
    rang: bool


def sweep() -> Swept:
    """Return what dead workers held, and ring for what nobody heard of. Any number of sweeps may run at once."""
    with transaction.atomic():
        expired = list(
            TrainingRun.objects.filter(
                state__in=[RunState.RUNNING, RunState.CANCELLING], lease_until__lt=Now()
            ).select_for_update(skip_locked=True, of=("self",))[:100]
        )
        failed = sum(
            _return_or_fail(
                run,
                reason="worker_lost",
                text="The training worker stopped; the run goes on from its last checkpoint.",
                counts=True,
            )
            for run in expired
        )
    # A worker that trains looks again by itself when it is done, so rings that it cannot hear need not pile up.
    unheard = TrainingRun.objects.queued().filter(rung_at__lt=Now() - timedelta(seconds=settings.TRAINING_RING_SECONDS))
    rang = bool(unheard.update(rung_at=Now())) and ring_for_training()
    return Swept(returned=len(expired) - failed, failed=failed, rang=rang)
