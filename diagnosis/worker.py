"""What an inference process does besides reading: it opens the network when it starts, and says that it lives."""

import os
import socket
from typing import Any

import structlog
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutdown
from django.conf import settings
from django.db import DatabaseError

from diagnosis.classifier.bundle import BundleRefused
from diagnosis.services import bell, reading
from diagnosis.services.model_versions import NoVersionServes
from skincare.celery import app
from skincare.health import metrics
from skincare.health.heartbeat import Heartbeat

log = structlog.get_logger(__name__)

_heartbeat: Heartbeat | None = None


@worker_init.connect
def tell_what_was_counted(**_: Any) -> None:
    """Answer Prometheus from the worker's first process, where that is asked for."""
    metrics.serve_what_workers_counted()


@worker_process_init.connect
def begin(**_: Any) -> None:
    """Open the network in the process that will use it, unless the worker listens to other queues only."""
    global _heartbeat
    if "inference" not in app.amqp.queues.consume_from:
        return
    _heartbeat = Heartbeat(settings.REDIS_URL, f"{socket.gethostname()}:{os.getpid()}")
    try:
        reading.network_in_service()
    except (DatabaseError, NoVersionServes, BundleRefused) as error:
        # The process lives on: the sweep rings for as long as no worker has the version in service.
        log.error("network_not_opened", error=str(error))
    tell_what_is_loaded()


def tell_what_is_loaded() -> None:
    """Say which version this process has opened, for ``/readyz``."""
    if _heartbeat is not None:
        _heartbeat.beat(reading.loaded_version())


@worker_process_shutdown.connect
def end(**_: Any) -> None:
    """Say farewell."""
    if _heartbeat is not None:
        _heartbeat.stop()


@worker_shutdown.connect
def ring_for_the_others(**_: Any) -> None:
    """What this worker was rung for and did not come to is not to wait for the sweep."""
    bell.ring_for_inference()
