"""What a challenger says of live cases, unseen by anybody who treats: to compare it with the champion."""

from typing import ClassVar
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models.cases import Case
from diagnosis.models.versions import ModelVersion


class ShadowState(models.TextChoices):
    """What became of a reading in shadow."""

    ANSWERED = "answered", "Answered"
    ABSTAINED = "abstained", "Abstained"
    FAILED = "failed", "Failed"


class ShadowReading(models.Model):
    """One case read by one challenger. No page or answer for clinicians or dermatologists shows it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="shadow_readings")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="shadow_readings")
    state = models.CharField(max_length=9, choices=ShadowState)
    reason = models.CharField(max_length=40, blank=True)
    #: As in ``Analysis``, of the photograph that decided.
    probabilities = ArrayField(models.FloatField(), size=len(CLASSES), null=True)
    predicted = models.CharField(max_length=5, choices=[(code, code) for code in CLASSES], blank=True)
    malignancy_risk = models.FloatField(null=True)
    #: Whether its risk is at or above its own threshold for a referral.
    refers = models.BooleanField(null=True)
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "model_version"], name="shadow_reads_a_case_once"),
            models.CheckConstraint(condition=Q(state__in=ShadowState.values), name="shadow_state_is_known"),
            models.CheckConstraint(
                condition=Q(
                    state="answered",
                    malignancy_risk__isnull=False,
                    malignancy_risk__range=(0, 1),
                    predicted__in=CLASSES,
                    probabilities__isnull=False,
                    probabilities__len=len(CLASSES),
                    refers__isnull=False,
                )
                | (~Q(state="answered") & ~Q(reason="") & Q(probabilities__isnull=True, malignancy_risk__isnull=True)),
                name="shadow_answer_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"shadow reading of case {self.case_id} by {self.model_version_id}: {self.state}"
