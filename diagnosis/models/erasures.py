"""The ledger of erasures: who was erased and when, so that a restored backup does not bring them back."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class ErasureReason(models.TextChoices):
    """Why a patient was erased. A choice and no text, since a text could name the patient."""

    PATIENT_REQUEST = "patient_request", "The patient asked for it"
    RETENTION = "retention", "The retention period has passed"
    MISTAKE = "mistake", "Recorded by mistake"


class Erasure(models.Model):
    """The tombstone of one patient. Append-only: the database refuses changes.

    Plain ids without foreign keys: it is carried over into an older backup, which may not know the rows they name.
    """

    patient_id = models.UUIDField(primary_key=True)
    organisation_id = models.UUIDField()
    erased_at = models.DateTimeField()
    #: The user who did it; empty for the platform itself and for the command line.
    erased_by = models.UUIDField(null=True)
    reason = models.CharField(max_length=20, choices=ErasureReason)

    class Meta:
        ordering: ClassVar = ["erased_at", "patient_id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(reason__in=ErasureReason.values), name="erasure_reason_is_known")
        ]

    def __str__(self) -> str:
        return f"erasure of patient {self.patient_id}"
