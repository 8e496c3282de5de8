"""Watching a run: when to ask again, and whether anything has changed."""

import hashlib
from typing import Final

from training.models import TrainingRun

_POLL_MS: Final = 1000


def poll_after_ms(run: TrainingRun) -> int | None:
    """Milliseconds after which asking again makes sense; nothing once the run has ended."""
    return _POLL_MS if run.active else None


def etag_of(run: TrainingRun) -> str:
    """A weak ETag of everything that is shown of a run; a beat of the heart alone changes nothing."""
    version = run.model_version
    parts = [
        run.pk,
        run.state,
        run.stage,
        run.epoch,
        run.epochs,
        run.step,
        run.steps,
        run.seconds_left,
        run.attempts,
        run.finished_at,
        len(run.curves),
        run.reason,
        *((version.pk, version.state, version.gates_passed, version.proposed_by_id) if version else ()),
    ]
    return f'W/"{hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]}"'
