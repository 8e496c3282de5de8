"""Ringing the workers: tell them that something waits in the database, without ever standing in the way.

The database remembers what is to be done (see ``analysis_queue``), so a ring that is lost, doubled or late does no
harm: the periodic sweep rings again. That is why a failure is counted and never raised, and why a broker that is
down costs a request at most about ``PATIENCE_SECONDS`` once in ``PAUSE_SECONDS``.
"""

import threading
import time
from typing import Any, Final

import structlog
from amqp.exceptions import ChannelError
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

    def ring(self, task: str, queue: str, *, once: bool) -> bool:
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
            if once and self._rings_already(queue):
                return True
            app.send_task(task, queue=queue, connection=self.connection, retry=False, ignore_result=True)
        except Exception as error:  # whatever the broker or its driver throws, the case is safe in the database
            FAILED_RINGS.labels(task).inc()
            log.warning("bell_not_heard", task=task, error=type(error).__name__)
            self._hang_up()
            self.silent_until = time.monotonic() + PAUSE_SECONDS
            return False
        return True

    def _rings_already(self, queue: str) -> bool:
        """Whether a ring lies there that no worker has taken: whoever takes it will see what was committed by now.

        Only Valkey and Redis are asked: RabbitMQ closes the channel where the queue was never declared.
        """
        assert self.connection is not None
        if self.connection.transport.driver_type != "redis":
            return False
        try:
            channel: Any = self.connection.default_channel
            return bool(channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # there an empty queue is none
            return False

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
    return _bell.ring(task, queue, once=False)


def ring_for_inference() -> bool:
    """Tell the inference workers that analyses wait, unless a ring waits for them already.

    Workers that are busy would hear one ring for each case, and find nothing at nearly all of them.
    """
    return _bell.ring(READ_WAITING_CASES, "inference", once=True)


def ring_for_inference_on_commit() -> None:
    """Ring once the running transaction has been committed, and only then."""
    transaction.on_commit(ring_for_inference, robust=True)
