"""Consent as evidence: the texts that were shown, and what a patient granted or withdrew, when and how."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import F, Q

from diagnosis.models.patients import Patient
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import User


class ConsentScope(models.TextChoices):
    """What a patient may consent to, each by itself."""

    ANALYSIS = "analysis", "Reading of the photographs by the network"
    TELEDERMATOLOGY = "teledermatology", "Sending the case to a dermatology service"
    RESEARCH = "research", "Use of the photographs for research and training"


class ConsentPolicy(models.Model):
    """One version of the text that patients consent to. The database refuses to change or delete it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    version = models.CharField(max_length=40)
    language = models.CharField(max_length=10, default="en")
    title = models.CharField(max_length=200)
    text = models.TextField()
    published_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-published_at", "version"]
        verbose_name_plural = "consent policies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "language"], name="consent_policy_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.language})"


class ConsentChange(models.TextChoices):
    """What happened to a consent."""

    GRANTED = "granted", "Granted"
    WITHDRAWN = "withdrawn", "Withdrawn"


class EvidenceMethod(models.TextChoices):
    """How a consent or its withdrawal was given."""

    SIGNATURE = "signature", "Signature on screen"
    PAPER = "paper", "Signed on paper"
    SPOKEN = "spoken", "Spoken, with a witness"


class ConsentEvent(models.Model):
    """A consent granted or withdrawn, for one scope. Append-only: the database refuses changes."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="consent_events")
    policy = models.ForeignKey(ConsentPolicy, on_delete=models.PROTECT, related_name="+")
    scope = models.CharField(max_length=20, choices=ConsentScope)
    change = models.CharField(max_length=10, choices=ConsentChange)
    captured_at = models.DateTimeField(help_text="When the patient said so.")
    recorded_at = models.DateTimeField(help_text="When the platform learnt of it.")
    #: From when the event counts: a grant from its capture, a withdrawal from its recording.
    effective_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    method = models.CharField(max_length=10, choices=EvidenceMethod)
    #: The witness's name, or the signature as the client sent it.
    sealed_evidence = models.BinaryField(null=True)

    evidence = SealedText("evidence")

    class Meta:
        ordering: ClassVar = ["effective_at", "recorded_at", "id"]
        indexes: ClassVar = [models.Index(fields=["patient", "scope", "-effective_at"], name="consent_in_force")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(scope__in=ConsentScope.values), name="consent_scope_is_known"),
            models.CheckConstraint(condition=Q(change__in=ConsentChange.values), name="consent_change_is_known"),
            models.CheckConstraint(condition=Q(method__in=EvidenceMethod.values), name="consent_method_is_known"),
            models.CheckConstraint(condition=Q(captured_at__lte=F("recorded_at")), name="consent_not_in_the_future"),
            models.CheckConstraint(
                condition=Q(change="granted", effective_at=F("captured_at"))
                | Q(change="withdrawn", effective_at=F("recorded_at")),
                name="consent_counts_from_capture_withdrawal_from_recording",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.change} by patient {self.patient_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.patient.data_key()
