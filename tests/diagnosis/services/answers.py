"""Fills in an analysis as a worker would, without a network."""

from django.utils import timezone

from diagnosis.models import Analysis, AnalysisState, ModelVersion, VersionOrigin, VersionState


def version() -> ModelVersion:
    """A version in service, registered once."""
    return ModelVersion.objects.get_or_create(
        state=VersionState.CHAMPION,
        defaults={
            "name": "for-tests",
            "origin": VersionOrigin.SHIPPED,
            "manifest_sha256": "0" * 64,
            "manifest": {},
            "released_at": timezone.now(),
        },
    )[0]


def answered(analysis: Analysis, risk: float = 0.25) -> Analysis:
    """The analysis with a whole answer, not saved."""
    analysis.state = AnalysisState.ANSWERED
    analysis.model_version = version()
    analysis.probabilities = [0.0, 0.0, 0.0, 0.0, risk, 1 - risk, 0.0]
    analysis.predicted = "mel"
    analysis.malignancy_risk = risk
    analysis.recommendation = "refer"
    analysis.decided_by = "network"
    analysis.deciding_position = 1
    analysis.readings = [{"position": 1}]
    return analysis
