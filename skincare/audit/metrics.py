"""How far the chain of the audit log has come, for `/metrics`."""

from collections.abc import Iterator

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from skincare.audit.models import AuditEvent, AuditSeal


def held() -> Iterator[Metric]:
    """Events recorded behind the last seal, and how long the oldest of them waits."""
    last = AuditSeal.objects.order_by("-number").values_list("highest_event", flat=True).first() or 0
    tail = AuditEvent.objects.filter(pk__gt=last).aggregate(events=Count("pk"), oldest=Min("at"))
    yield GaugeMetricFamily("skincare_audit_unsealed", "Audit events behind the last seal", tail["events"])
    age = (timezone.now() - tail["oldest"]).total_seconds() if tail["oldest"] else 0
    yield GaugeMetricFamily("skincare_audit_unsealed_seconds", "Seconds that the oldest of them waits", age)
