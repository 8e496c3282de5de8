"""What the insight page counts, one narrow row a referral, so that nothing wide is read for a figure.

Derived: every column follows from other tables, and ``services.insight.upkeep`` writes them (see docs/decisions).
"""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models.analyses import AnalysisState
from diagnosis.models.patients import AnatomicalSite, FitzpatrickSkinType, Sex
from diagnosis.models.referrals import Referral, ReferralState
from diagnosis.models.service_policies import Urgency

_CLASS_CHOICES = [(code, code) for code in CLASSES]


class ReferralFigures(models.Model):
    """One referral as it is counted. Where consent has ended, only the work that was done is left of it."""

    referral = models.OneToOneField(Referral, on_delete=models.CASCADE, primary_key=True, related_name="figures")
    #: Ids of organisations, without keys of their own: the referral has them.
    service_id: "models.UUIDField[UUID, UUID]" = models.UUIDField()
    clinic_id: "models.UUIDField[UUID, UUID]" = models.UUIDField()
    sent_at = models.DateTimeField()
    #: The Monday of the week in which it was sent, UTC.
    week = models.DateField()
    due_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    #: Hours from sending to the first claim, and to the first signed answer.
    claim_hours = models.FloatField(null=True)
    answer_hours = models.FloatField(null=True)
    consent_ends_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=30, choices=ReferralState)
    urgency = models.CharField(max_length=30, choices=Urgency)

    #: Whether what was found may be counted: consent was not withdrawn.
    counted = models.BooleanField()
    #: One bit of 64, by the patient's id: together the marks of rows tell of how many patients they are at least,
    #: without an id and without sorting.
    patient_mark = models.BigIntegerField(null=True)
    #: Whether an answer was signed.
    signed = models.BooleanField()
    age_approx = models.PositiveSmallIntegerField(null=True)
    sex = models.CharField(max_length=10, choices=Sex, blank=True)
    anatom_site_general = models.CharField(max_length=20, choices=AnatomicalSite, blank=True)
    fitzpatrick_skin_type = models.CharField(max_length=3, choices=FitzpatrickSkinType, blank=True)

    network_state = models.CharField(max_length=13, choices=AnalysisState, blank=True)
    risk = models.FloatField(null=True)
    #: Of the deciding photograph from the training data, as the network sees them.
    distance = models.FloatField(null=True)
    #: Concerned, or not; nothing where there is no call.
    clinician_call = models.BooleanField(null=True)
    network_call = models.BooleanField(null=True)
    read_call = models.BooleanField(null=True)
    signed_call = models.BooleanField(null=True)
    histology_call = models.BooleanField(null=True)
    network_class = models.CharField(max_length=5, choices=_CLASS_CHOICES, blank=True)
    signed_class = models.CharField(max_length=5, choices=_CLASS_CHOICES, blank=True)
    histology_class = models.CharField(max_length=5, choices=_CLASS_CHOICES, blank=True)

    class Meta:
        verbose_name_plural = "referral figures"
        indexes: ClassVar = [
            models.Index(fields=["service_id", "sent_at"], name="figures_of_service"),
            models.Index(fields=["clinic_id", "sent_at"], name="figures_of_clinic"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(counted=False) | Q(patient_mark__isnull=False), name="figures_counted_of_a_patient"
            )
        ]

    def __str__(self) -> str:
        return f"figures of referral {self.referral_id}"


class FiguresWaiting(models.Model):
    """A lesion of which something changed that is counted. The database writes it, in the transaction of the change."""

    id = models.BigAutoField(primary_key=True)
    lesion_id: "models.UUIDField[UUID, UUID]" = models.UUIDField()

    class Meta:
        verbose_name_plural = "figures waiting"

    def __str__(self) -> str:
        return f"figures of lesion {self.lesion_id} wait"
