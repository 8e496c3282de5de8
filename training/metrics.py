"""What is being trained at the moment, for `/metrics`."""

from collections.abc import Iterator

from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from training.models import TrainingRun
from training.models.runs import ACTIVE


def held() -> Iterator[Metric]:
    """Runs that have not ended, and of each that has a worker how far it is and when it was last heard of."""
    counts = dict(TrainingRun.objects.active().order_by().values_list("state").annotate(Count("pk")))
    runs = GaugeMetricFamily("skincare_training_runs", "Training runs that have not ended", labels=["state"])
    for state in ACTIVE:
        runs.add_metric([str(state)], counts.get(state, 0))
    yield runs
    progress = GaugeMetricFamily("skincare_training_progress", "Share of its steps that a run has done", labels=["run"])
    silence = GaugeMetricFamily(
        "skincare_training_silence_seconds", "Seconds since the worker of a run was heard of", labels=["run"]
    )
    now = timezone.now()
    for run in TrainingRun.objects.active().filter(heartbeat_at__isnull=False):
        progress.add_metric([str(run.pk)], share_done(run))
        silence.add_metric([str(run.pk)], (now - run.heartbeat_at).total_seconds() if run.heartbeat_at else 0)
    yield progress
    yield silence


def share_done(run: TrainingRun) -> float:
    """How much of its steps a run has done, 0 to 1; epochs are counted from their beginning."""
    if not run.epochs:
        return 0.0
    begun = run.step / run.steps if run.steps else 0.0
    return min(1.0, (max(0, run.epoch - 1) + begun) / run.epochs)
