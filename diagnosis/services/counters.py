"""Counters of what the queue did, for Prometheus; see `skincare.health.metrics`."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Histogram

from diagnosis.models import Analysis, AnalysisState

FINISHED = Counter(
    "skincare_analyses_finished_total",
    "Analyses that reached a final state, by the version that read them and, where it gave no answer, why",
    ["state", "version", "reason"],
)
STAGES = Histogram(
    "skincare_analysis_stage_seconds",
    "Seconds of a finished analysis in each stage: waited, open_views, forward",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
SWEPT = Counter(
    "skincare_analyses_swept_total",
    "Analyses whose worker fell silent, by what became of them: returned or failed",
    ["to"],
)
OVERDUE = Counter("skincare_sweeps_overdue_total", "Sweeps that found analyses for which no worker had heard a ring")

_SUFFIX: Final = "_ms"


def count_finished(analyses: Iterable[Analysis], version: str) -> None:
    """Count analyses that were written in a final state by a network of that version."""
    for analysis in analyses:
        reason = analysis.reason if analysis.state != AnalysisState.ANSWERED else ""
        FINISHED.labels(str(analysis.state), version, reason).inc()
        for stage, milliseconds in analysis.timings.items():
            STAGES.labels(stage.removesuffix(_SUFFIX)).observe(milliseconds / 1000)


def count_failed(analysis: Analysis) -> None:
    """Count an analysis that used up its attempts."""
    FINISHED.labels(str(AnalysisState.FAILED), "", analysis.reason).inc()
