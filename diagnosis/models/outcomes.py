"""What a lesion turned out to be: histology, or what became of it on follow-up."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.classifier.diagnoses import LONGEST_CODE
from diagnosis.models.patients import Lesion
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import User


class OutcomeKind(models.TextChoices):
    """How it is known."""

    HISTOLOGY = "histology", _("Histology")
    FOLLOW_UP = "follow_up", _("Clinical follow-up")


class OutcomeSource(models.TextChoices):
    """How it was entered."""

    PERSON = "person", _("By hand")
    IMPORT = "import", _("From a file")


class Outcome(models.Model):
    """One finding about one lesion. Append-only; a correction names the one that it replaces."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    lesion = models.ForeignKey(Lesion, on_delete=models.PROTECT, related_name="outcomes")
    kind = models.CharField(max_length=10, choices=OutcomeKind)
    #: A code of ``classifier.diagnoses``.
    diagnosis = models.CharField(max_length=LONGEST_CODE)
    #: The day of the report or of the visit.
    determined_on = models.DateField()
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=10, choices=OutcomeSource)
    corrects = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="corrected_by")
    sealed_note = models.BinaryField(null=True)

    note = SealedText("note")

    class Meta:
        ordering: ClassVar = ["-determined_on", "-recorded_at"]
        indexes: ClassVar = [
            models.Index(fields=["lesion", "-determined_on"], name="outcome_of_lesion"),
            models.Index(fields=["-recorded_at", "id"], name="outcome_newest"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=OutcomeKind.values), name="outcome_kind_is_known"),
            models.CheckConstraint(condition=Q(source__in=OutcomeSource.values), name="outcome_source_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of lesion {self.lesion_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.lesion.data_key()
