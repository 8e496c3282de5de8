"""Runs: one training each, as a leased row with a heartbeat. Their rows are the queue."""

from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from diagnosis.models import ModelVersion
from skincare.accounts.models import User
from training.models.datasets import Dataset


class RunState(models.TextChoices):
    """The life of a run. The last three are final."""

    QUEUED = "queued", "Waiting for the training worker"
    RUNNING = "running", "Running"
    CANCELLING = "cancelling", "Being cancelled"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


#: States in which the run is somebody's business still.
ACTIVE = (RunState.QUEUED, RunState.RUNNING, RunState.CANCELLING)


class Stage(models.TextChoices):
    """What a run is at."""

    WAITING = "waiting", "Waiting"
    PREPARING = "preparing", "Preparing the images"
    TRAINING = "training", "Training"
    EXPORTING = "exporting", "Calibrating and making the bundle"
    JUDGING = "judging", "Judging on the frozen tests"
    FINISHED = "finished", "Finished"


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """Reads of runs."""

    def queued(self) -> Self:
        """Those that a worker may take now by the database's clock, the longest waiting first."""
        return self.filter(state=RunState.QUEUED, not_before__lte=Now()).order_by("queued_at", "id")

    def active(self) -> Self:
        """Those that have not ended."""
        return self.filter(state__in=ACTIVE)


class TrainingRun(models.Model):
    """One training: what was asked for, how far it is, and what it made."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    #: Name of an entry of ``training.recipes.RECIPES``; empty where a version that is there is only judged.
    recipe = models.CharField(max_length=50, blank=True)
    datasets = models.ManyToManyField(Dataset, related_name="runs")
    #: ``{"init_weights": …, "epochs": …}``: what departs from the recipe.
    options = models.JSONField(default=dict)
    #: SHA-256 over recipe, datasets and options: the same thing does not run twice at a time.
    request_digest = models.CharField(max_length=64)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    state = models.CharField(max_length=10, choices=RunState, default=RunState.QUEUED)
    queued_at = models.DateTimeField(default=timezone.now)
    #: One that came back is not taken again before this.
    not_before = models.DateTimeField(db_default=Now())
    #: When the training workers were last told that it waits.
    rung_at = models.DateTimeField(db_default=Now())
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    stage = models.CharField(max_length=12, choices=Stage, default=Stage.WAITING)
    #: Epochs begun, of how many; steps done in this epoch, of how many. 0 where not known yet.
    epoch = models.PositiveIntegerField(default=0)
    epochs = models.PositiveIntegerField(default=0)
    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    seconds_left = models.FloatField(null=True)
    #: One object an epoch: ``{"epoch": 1, "loss": …, "balanced_accuracy": …, "malignant_auc": …, "seconds": …}``.
    curves = models.JSONField(default=list)
    #: What was measured at the end, on validation and on the frozen tests.
    metrics = models.JSONField(default=dict)
    model_version = models.OneToOneField(ModelVersion, null=True, on_delete=models.PROTECT, related_name="training_run")

    #: Why it failed, was cancelled, or came back: a code, and a sentence for a person.
    reason = models.CharField(max_length=40, blank=True)
    reason_text = models.CharField(max_length=1000, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["queued_at", "id"], condition=Q(state="queued"), name="run_queue"),
            models.Index(fields=["-created_at", "id"], name="run_newest_first"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state_is_known"),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="run_stage_is_known"),
            models.CheckConstraint(
                condition=Q(
                    state__in=["running", "cancelling"],
                    lease_token__isnull=False,
                    lease_until__isnull=False,
                    heartbeat_at__isnull=False,
                )
                | (~Q(state__in=["running", "cancelling"]) & Q(lease_token__isnull=True, lease_until__isnull=True)),
                name="run_runs_under_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False)
                | (~Q(state__in=["done", "failed", "cancelled"]) & Q(finished_at__isnull=True)),
                name="run_final_has_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(model_version__isnull=False), name="run_done_made_a_version"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["failed", "cancelled"]) | ~Q(reason=""), name="run_failure_has_a_reason"
            ),
            models.UniqueConstraint(
                fields=["request_digest"],
                condition=Q(state__in=["queued", "running", "cancelling"]),
                name="run_same_thing_once_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.recipe}: {self.state}"

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE
