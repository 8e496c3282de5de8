"""What the database itself refuses of datasets and runs."""

import hashlib
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from tests import factories
from training.models import Dataset, DatasetKind, RunState, TrainingRun

pytestmark = pytest.mark.django_db


def dataset(**fields: Any) -> Dataset:
    """A dataset of thirty images with a frozen test."""
    return Dataset.objects.create(
        **{
            "name": "HAM10000",
            "kind": DatasetKind.IMPORTED,
            "fingerprint": hashlib.sha256(uuid4().bytes).hexdigest(),
            "folder": "ham10000",
            "images": 30,
            "lesions": 28,
            "licence": "CC BY-NC 4.0",
            "frozen_test": True,
            "split_fingerprint": "5" * 64,
            **fields,
        }
    )


def run(**fields: Any) -> TrainingRun:
    """A run that waits."""
    return TrainingRun.objects.create(
        **{"recipe": "house", "request_digest": uuid4().hex * 2, "started_by": factories.user(), **fields}
    )


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("dataset_kind_is_known", {"kind": "found"}),
        ("dataset_holds_images", {"images": 0}),
        ("dataset_fingerprint_is_sha256", {"fingerprint": "none"}),
        ("dataset_frozen_test_has_a_fingerprint", {"split_fingerprint": ""}),
    ],
)
def test_a_dataset_that_is_none_is_refused(constraint: str, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        dataset(**fields)


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("run_state_is_known", {"state": "lost"}),
        ("run_stage_is_known", {"stage": "lost"}),
        ("run_runs_under_a_lease", {"state": RunState.RUNNING}),
        ("run_runs_under_a_lease", {"state": RunState.QUEUED, "lease_token": uuid4()}),
        ("run_final_has_a_time", {"state": RunState.FAILED, "reason": "x"}),
        ("run_final_has_a_time", {"state": RunState.QUEUED, "finished_at": timezone.now()}),
        ("run_done_made_a_version", {"state": RunState.DONE, "finished_at": timezone.now()}),
        ("run_failure_has_a_reason", {"state": RunState.CANCELLED, "finished_at": timezone.now()}),
    ],
)
def test_a_run_that_cannot_be_is_refused(constraint: str, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        run(**fields)


def test_the_same_thing_does_not_run_twice_at_a_time_but_may_run_again() -> None:
    first = run(request_digest="a" * 64)
    with pytest.raises(IntegrityError, match="run_same_thing_once_at_a_time"), transaction.atomic():
        run(request_digest="a" * 64)
    first.state, first.reason, first.finished_at = RunState.CANCELLED, "cancelled", timezone.now()
    first.save()
    run(request_digest="a" * 64)
