"""Celery entry points: each calls a service and does nothing else. Their names are what ``services.bell`` rings."""

from celery import shared_task

from diagnosis.services import analysis_queue, reading
from diagnosis.services.bell import READ_WAITING_CASES


@shared_task(name=READ_WAITING_CASES, ignore_result=True)
def read_waiting_cases() -> int:
    """Read what waits; the message carries nothing, so it may come late, twice or never."""
    return reading.read_waiting_cases()


@shared_task(name="diagnosis.sweep_analyses", ignore_result=True)
def sweep_analyses() -> None:
    """Return what dead workers held and ring for what nobody heard of."""
    analysis_queue.sweep()
