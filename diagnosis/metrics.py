"""What the clinic's tables and the broker hold at the moment, for `/metrics`."""

from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from diagnosis.models import (
    Analysis,
    AnalysisState,
    DeliveryState,
    ModelVersion,
    Referral,
    VersionState,
    WebhookDelivery,
)
from diagnosis.models.referrals import OPEN_STATES
from skincare.health import heartbeat


def held() -> Iterator[Metric]:
    """The queue, referrals, webhooks, the version in service and the workers that have loaded one.

    Raises whatever PostgreSQL or Redis raise when they do not answer.
    """
    yield from _queue()
    yield from _referrals()
    yield GaugeMetricFamily(
        "skincare_webhook_deliveries_waiting",
        "Webhook deliveries that wait to be made or made again",
        WebhookDelivery.objects.filter(state=DeliveryState.WAITING).count(),
    )
    yield from _network()


def _queue() -> Iterator[Metric]:
    states = (AnalysisState.WAITING, AnalysisState.RUNNING)
    rows = (
        Analysis.objects.filter(state__in=states)
        .order_by()
        .values("state")
        .annotate(analyses=Count("pk"), oldest=Min("waiting_since"))
    )
    found = {row["state"]: row for row in rows}
    depth = GaugeMetricFamily("skincare_analyses", "Analyses that are not finished", labels=["state"])
    age = GaugeMetricFamily(
        "skincare_analyses_oldest_seconds", "Seconds since the longest waiting of them was submitted", labels=["state"]
    )
    now = timezone.now()
    for state in states:
        row = found.get(state)
        depth.add_metric([str(state)], row["analyses"] if row else 0)
        age.add_metric([str(state)], (now - row["oldest"]).total_seconds() if row and row["oldest"] else 0)
    yield depth
    yield age


def _referrals() -> Iterator[Metric]:
    counts = dict(Referral.objects.open().order_by().values_list("state").annotate(Count("pk")))
    by_state = GaugeMetricFamily("skincare_referrals", "Open referrals", labels=["state"])
    for state in OPEN_STATES:
        by_state.add_metric([str(state)], counts.get(state, 0))
    yield by_state
    yield GaugeMetricFamily(
        "skincare_referrals_overdue", "Open referrals past their due time", Referral.objects.overdue().count()
    )


def _network() -> Iterator[Metric]:
    version = ModelVersion.objects.filter(state=VersionState.CHAMPION).first()
    yield InfoMetricFamily("skincare_network", "The version in service", {"version": version.name if version else ""})
    with heartbeat.connect(settings.REDIS_URL) as client:
        loaded = [process.model_version for process in heartbeat.living(client)]
    workers = GaugeMetricFamily(
        "skincare_inference_workers",
        "Inference processes that live, by the version they have loaded",
        labels=["version"],
    )
    for name in sorted({*loaded, version.name if version else ""}):
        workers.add_metric([name], loaded.count(name))
    yield workers
