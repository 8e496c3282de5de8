"""Corrections of what was recorded about who a patient is: what stood there before stays, sealed."""

import json
from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.patients import Patient
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import User


class CorrectionReason(models.TextChoices):
    """Why somebody's data were corrected; goes into the audit record, so it is a choice and no text."""

    PATIENT_REQUEST = "patient_request", _("The patient asked for it")
    RECORDED_WRONGLY = "recorded_wrongly", _("It was recorded wrongly")
    CHANGED = "changed", _("It has changed since, such as a name by marriage")


class PatientCorrection(models.Model):
    """One correction of one patient's data. Append-only: the database refuses changes.

    An erasure makes it unreadable, since it destroys the key.
    """

    id = models.UUIDField(primary_key=True, default=uuid4)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="corrections")
    corrected_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    corrected_at = models.DateTimeField()
    reason = models.CharField(max_length=20, choices=CorrectionReason)
    sealed_before = models.BinaryField()

    _before = SealedText("before")

    class Meta:
        ordering: ClassVar = ["-corrected_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["patient", "-corrected_at"], name="correction_of_patient")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(reason__in=CorrectionReason.values), name="correction_reason_is_known")
        ]

    def __str__(self) -> str:
        return f"correction of patient {self.patient_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.patient.data_key()

    @property
    def before(self) -> dict[str, str]:
        """What stood in the fields that were corrected, by their names."""
        found: dict[str, str] = json.loads(self._before)
        return found

    @before.setter
    def before(self, values: dict[str, str]) -> None:
        self._before = json.dumps(values, ensure_ascii=False)

    @classmethod
    def of(cls, patient: Patient) -> "list[PatientCorrection]":
        """All of one patient, the newest first."""
        found = list(cls._default_manager.filter(patient=patient).select_related("corrected_by"))
        for correction in found:
            correction.patient = patient  # with the data key that is already unwrapped
        return found
