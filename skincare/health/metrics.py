"""What Prometheus fetches: what this machine's processes counted, and what database and broker hold at the moment.

Counters and histograms live beside what they count. With PROMETHEUS_MULTIPROC_DIR set (a folder on this machine,
emptied before a start) every process writes its own there and any of them tells the sum. What is held is asked of the
database at each fetch, so that it is true whichever process is asked, and also after all of them were started again.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
#: Of each question to the database: watching must not become the load that it watches.
PATIENCE_MS: Final = 1000

log = structlog.get_logger(__name__)


class _Held(Collector):
    """Asks everything in settings.METRICS; a part that does not answer is told as 0 and takes no other with it."""

    def collect(self) -> Iterator[Metric]:
        told = GaugeMetricFamily(
            "skincare_metrics_told",
            "Whether this part could be asked: 1, or 0 where it did not answer",
            labels=["part"],
        )
        for part, path in settings.METRICS.items():
            try:
                found = _ask(path)
            except Exception as error:  # whatever a server or its driver throws, the other parts are told
                log.warning("metrics_not_told", part=part, error=type(error).__name__)
                told.add_metric([part], 0)
            else:
                yield from found
                told.add_metric([part], 1)
        yield told


def _ask(path: str) -> list[Metric]:
    ask: Callable[[], Iterable[Metric]] = import_string(path)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        return list(ask())


def counted() -> CollectorRegistry:
    """What processes counted: all those of this machine where they share a folder, otherwise this one."""
    if not os.environ.get(FOLDER):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    held = CollectorRegistry()
    held.register(_Held())
    return generate_latest(counted()) + generate_latest(held)


def serve_what_workers_counted() -> None:
    """Answer Prometheus at settings.WORKER_METRICS (host:port), on a machine without a web process; empty: nowhere.

    Raises ValueError where the processes of the worker share no folder: the answer would be always empty.
    """
    if not settings.WORKER_METRICS:
        return
    if not os.environ.get(FOLDER):
        raise ValueError(f"SKINCARE_WORKER_METRICS needs {FOLDER}: a folder on this machine, emptied before each start")
    host, _, port = settings.WORKER_METRICS.rpartition(":")
    start_http_server(int(port), addr=host, registry=counted())
