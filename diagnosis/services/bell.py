"""Ringing the workers: tell them that something waits in the database, without ever standing in the way.

The database remembers what is to be done (see ``analysis_queue``), so a ring that is lost, doubled or late does no
harm: the periodic sweep rings again. That is why a failure is counted and never raised, and why a broker that is
down costs a request at most about ``PATIENCE_SECONDS`` once in ``PAUSE_SECONDS``.
"""

import threading
import time
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from kombu import Connection
from prometheus_client import Counter

from skincare.celery import app

READ_WAITING_CASES: Final = "diagnosis.read_waiting_cases"

#: How long connecting and publishing may each take.
PATIENCE_SECONDS: Final = 0.1
#: After a failure nobody rings for this long; what was submitted meanwhile is found by the next ring or the sweep.
PAUSE_SECONDS: Final = 1.0

FAILED_RINGS = Counter("skincare_bell_failures_total", "Rings that could not be delivered to the broker", ["task"])

log = structlog.get_logger(__name__)


class _Bell(threading.local):
    """One broker connection for each thread, kept open between rings."""

    connection: Connection | None = None
    silent_until: float = 0.0

    def ring(self, task: str, queue: str) -> bool:
        if time.monotonic() < self.silent_until:
            FAILED_RINGS.labels(task).inc()
            return False
        try:
            if self.connection is None:
                self.connection = Connection(
                    settings.CELERY_BROKER_URL,
                    connect_timeout=PATIENCE_SECONDS,
                    transport_options={
                        "socket_connect_timeout": PATIENCE_SECONDS,
                        "socket_timeout": PATIENCE_SECONDS,
                        "retry_on_timeout": False,
                        "max_retries": 0,
                        "interval_start": 0,
                        "interval_step": 0,
                        "interval_max": 0,
                    },
                )
            app.send_task(task, queue=queue, connection=self.connection, retry=False, ignore_result=True)
        except Exception as error:  # whatever the broker or its driver throws, the case is safe in the database
            FAILED_RINGS.labels(task).inc()
            log.warning("bell_not_heard", task=task, error=type(error).__name__)
            self._hang_up()
            self.silent_until = time.monotonic() + PAUSE_SECONDS
            return False
        return True

    def _hang_up(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:  # a dead connection may fail to say goodbye
                log.debug("bell_close_failed")


_bell = _Bell()


def ring(task: str, *, queue: str) -> bool:
    """Ring now. Returns whether the broker took it; never raises."""
    return _bell.ring(task, queue)


def ring_for_inference() -> bool:
    """Tell the inference workers that analyses wait."""
    return ring(READ_WAITING_CASES, queue="inference")


def ring_for_inference_on_commit() -> None:
    """Ring once the running transaction has been committed, and only then."""
    transaction.on_commit(ring_for_inference, robust=True)
