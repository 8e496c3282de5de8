"""Celery entry points: each calls a service and does nothing else."""

from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from training.services import run_queue, supervision


@shared_task(name=run_queue.RUN_WAITING, ignore_result=True, acks_late=False)
def run_waiting() -> None:
    """Look after the runs that wait; the message carries nothing, so it may come late, twice or never.

    Its worker runs it in a thread (``--pool=threads``), where Celery's time limits do not count: a run takes hours, and
    its heartbeat tells that it lives.
    """
    supervision.run_waiting()


@shared_task(name="training.sweep_runs", ignore_result=True)
def sweep_runs() -> None:
    """Return runs that dead workers held, and ring for those that nobody heard of."""
    run_queue.sweep()


@worker_shutting_down.connect
def let_go(**_: Any) -> None:
    """Give back what runs, so that the worker stops within seconds and the next one continues."""
    supervision.stopping.set()
