"""Runs are taken up under a lease, kept by a heartbeat, continued after a death, and end once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from skincare.audit.models import AuditEvent
from tests.training.test_models import run
from training.models import RunState, TrainingRun
from training.services import run_queue
from training.services.run_queue import LeaseLost

pytestmark = pytest.mark.django_db


def expire(held: run_queue.Held) -> None:
    TrainingRun.objects.filter(pk=held.run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def held() -> run_queue.Held:
    found = run_queue.claim()
    assert found is not None
    return found


def test_the_run_that_waits_longest_is_taken_up_once() -> None:
    first, second = run(), run()
    assert [held().run.pk, held().run.pk] == [first.pk, second.pk]
    assert run_queue.claim() is None
    assert AuditEvent.objects.filter(action="training_run.taken_up").count() == 2


def test_a_beat_renews_the_lease_and_writes_how_far_the_run_is() -> None:
    run()
    mine = held()
    expire(mine)
    assert run_queue.beat(mine, {"epoch": 2, "seconds_left": 9.5, "nonsense": 1}, {"epoch": 1, "loss": 2.0})
    assert run_queue.beat(mine, curve={"epoch": 2, "loss": 1.0})
    assert run_queue.beat(mine, curve={"epoch": 2, "loss": 1.5})  # the epoch was done again after a death
    now = TrainingRun.objects.get()
    assert now.lease_until is not None
    assert now.lease_until > timezone.now()
    assert (now.epoch, now.seconds_left) == (2, 9.5)
    assert now.curves == [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5}]


def test_what_a_dead_worker_held_goes_back_and_its_old_lease_writes_nothing() -> None:
    run()
    dead = held()
    expire(dead)
    assert run_queue.sweep().returned == 1
    waiting = TrainingRun.objects.get()
    assert (waiting.state, waiting.reason) == (RunState.QUEUED, "worker_lost")
    with pytest.raises(LeaseLost):
        run_queue.beat(dead)
    with pytest.raises(LeaseLost):
        run_queue.finish_cancelled(dead)
    TrainingRun.objects.update(not_before=timezone.now())
    assert held().run.attempts == 2
    assert run_queue.sweep().returned == 0


def test_a_run_that_kills_its_worker_each_time_fails_with_a_reason() -> None:
    run()
    for _ in range(run_queue.MOST_ATTEMPTS):
        TrainingRun.objects.update(not_before=timezone.now())
        expire(held())
        run_queue.sweep()
    ended = TrainingRun.objects.get()
    assert ended.state == RunState.FAILED
    assert "Tried 5 times" in ended.reason_text


def test_a_worker_that_was_told_to_stop_costs_no_attempt() -> None:
    run()
    run_queue.give_back(held(), reason="worker_stopped", text="Stopped.", counts=False)
    assert held().run.attempts == 1


def test_a_run_that_is_being_cancelled_when_its_worker_dies_is_cancelled() -> None:
    run()
    mine = held()
    TrainingRun.objects.update(state=RunState.CANCELLING)
    assert not run_queue.beat(mine)
    expire(mine)
    run_queue.sweep()
    assert TrainingRun.objects.get().state == RunState.CANCELLED


def test_the_sweep_rings_for_a_run_that_nobody_heard_of_but_not_all_the_time(broker: Any, settings: Any) -> None:
    run(rung_at=timezone.now() - timedelta(seconds=settings.TRAINING_RING_SECONDS + 1))
    assert run_queue.sweep().rang
    assert broker.llen("training") == 1
    assert not run_queue.sweep().rang


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_machine_whose_clock_jumps_neither_starves_runs_nor_takes_what_is_held(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    mine = held()
    other = run()
    wrong = timezone.now() + timedelta(hours=hours)
    monkeypatch.setattr("django.utils.timezone.now", lambda: wrong)

    assert run_queue.sweep().returned == 0
    assert held().run.pk == other.pk
    assert run_queue.beat(mine)
