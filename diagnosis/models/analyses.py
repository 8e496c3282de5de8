"""Analyses: one case read by one version of the network. Their rows are the queue."""

from typing import ClassVar
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models.cases import Case
from diagnosis.models.versions import ModelVersion


class AnalysisState(models.TextChoices):
    """The life of an analysis. The last three are final."""

    NOT_REQUESTED = "not_requested", "Not requested: no consent to analysis"
    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    ANSWERED = "answered", "Answered"
    ABSTAINED = "abstained", "Abstained: human review"
    FAILED = "failed", "Failed"


class AnalysisQuerySet(models.QuerySet["Analysis"]):
    """Reads of analyses."""

    def waiting(self) -> "AnalysisQuerySet":
        """Those that a worker may take now by the database's clock, the longest waiting first."""
        return self.filter(state=AnalysisState.WAITING, not_before__lte=Now()).order_by("waiting_since", "id")


class Analysis(models.Model):
    """What the network says of a case, or that it is to say something, or why it says nothing."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="analysis")
    state = models.CharField(max_length=13, choices=AnalysisState)
    waiting_since = models.DateTimeField(null=True)
    #: One that came back is not taken again before this, so that a passing fault has time to pass.
    not_before = models.DateTimeField(db_default=Now())

    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    #: Why it abstained, failed or was not requested: a code, and a sentence for a person.
    reason = models.CharField(max_length=40, blank=True)
    reason_text = models.CharField(max_length=500, blank=True)

    model_version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="analyses")
    #: In the order of ``taxonomy.CLASSES``; calibrated for the natural prior; sums to 1.
    probabilities = ArrayField(models.FloatField(), size=len(CLASSES), null=True)
    predicted = models.CharField(max_length=5, choices=[(code, code) for code in CLASSES], blank=True)
    malignancy_risk = models.FloatField(null=True)
    #: What the network by itself asks for; empty where it may not say so (see ``recommendation.conclude``).
    network_level = models.CharField(max_length=20, blank=True)
    #: The more urgent of the network's and the clinical rule's; the clinical rule's alone where the network is silent.
    recommendation = models.CharField(max_length=20, blank=True)
    decided_by = models.CharField(max_length=20, blank=True)
    notices = ArrayField(models.CharField(max_length=60), default=list)
    #: Position of the photograph whose reading decided.
    deciding_position = models.PositiveSmallIntegerField(null=True)
    #: Per photograph: what was read of it or why it was not.
    readings = models.JSONField(default=list)
    #: Preprocessing, thresholds, temperature and backend in force, so that the answer can be recomputed.
    conditions = models.JSONField(default=dict)
    #: Milliseconds by stage.
    timings = models.JSONField(default=dict)
    #: Sealed under the patient's key: float32 (7, 7, 7) activation map and float32 (1280,) embedding.
    sealed_map = models.BinaryField(null=True)
    sealed_embedding = models.BinaryField(null=True)

    finished_at = models.DateTimeField(null=True)

    objects = AnalysisQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "analyses"
        indexes: ClassVar = [
            models.Index(fields=["waiting_since", "id"], condition=Q(state="waiting"), name="analysis_queue"),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="analysis_leases"),
            models.Index(fields=["malignancy_risk"], name="analysis_by_risk"),
            models.Index(fields=["finished_at"], name="analysis_by_end"),
            models.Index(fields=["state"], condition=~Q(state="answered"), name="analysis_not_answered"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=AnalysisState.values), name="analysis_state_is_known"),
            models.CheckConstraint(
                condition=~Q(state="waiting") | Q(waiting_since__isnull=False), name="analysis_waits_since"
            ),
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state="running") & Q(lease_token__isnull=True, lease_until__isnull=True)),
                name="analysis_runs_under_a_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state="answered")
                | (
                    Q(
                        model_version__isnull=False,
                        malignancy_risk__isnull=False,  # a CHECK lets an unknown pass
                        malignancy_risk__range=(0, 1),
                        predicted__in=CLASSES,
                        probabilities__isnull=False,
                        probabilities__len=len(CLASSES),
                        deciding_position__isnull=False,
                    )
                    & ~Q(recommendation="")
                    & ~Q(decided_by="")
                ),
                name="analysis_answer_is_whole",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["abstained", "failed", "not_requested"])
                | (~Q(reason="") & Q(probabilities__isnull=True, malignancy_risk__isnull=True, predicted="")),
                name="analysis_silence_has_a_reason_and_no_answer",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["answered", "abstained", "failed"], finished_at__isnull=False)
                | (~Q(state__in=["answered", "abstained", "failed"]) & Q(finished_at__isnull=True)),
                name="analysis_final_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"analysis of case {self.case_id}: {self.state}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.case.patient.data_key()
