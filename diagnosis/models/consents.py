"""Consent as evidence: the texts that were shown, and what a patient granted or withdrew, when and how."""

from typing import ClassVar, Final
from uuid import uuid4

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from diagnosis.models.patients import Patient
from diagnosis.models.sealed import SealedBytes, SealedText
from skincare.accounts.models import User


class ConsentScope(models.TextChoices):
    """What a patient may consent to, each by itself."""

    ANALYSIS = "analysis", "Reading of the photographs by the network"
    TELEDERMATOLOGY = "teledermatology", "Sending the case to a dermatology service"
    RESEARCH = "research", "Use of the photographs for research and training"


#: A language as BCP 47 writes it, in the one spelling that it recommends: ``en``, ``pt-BR``, ``zh-Hant``.
LANGUAGE_TAG: Final = r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$"
language_is_a_tag = RegexValidator(LANGUAGE_TAG, "a language tag such as en, pt-BR or zh-Hant is needed")

#: No text is still the one to ask by after this long.
LONGEST_VALIDITY_MONTHS: Final = 600


class ConsentPolicy(models.Model):
    """One version of the text that patients consent to, in one language. The database keeps it as it is."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    version = models.CharField(max_length=40)
    language = models.CharField(max_length=10, default="en", validators=[language_is_a_tag])
    title = models.CharField(max_length=200)
    text = models.TextField()
    valid_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_VALIDITY_MONTHS)],
        help_text="Months after which a consent to this text has to be asked for again; empty: never.",
    )
    published_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-published_at", "version"]
        verbose_name_plural = "consent policies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "language"], name="consent_policy_version_once"),
            models.CheckConstraint(condition=Q(language__regex=LANGUAGE_TAG), name="consent_policy_language_is_a_tag"),
            models.CheckConstraint(
                condition=Q(valid_months__isnull=True) | Q(valid_months__range=(1, LONGEST_VALIDITY_MONTHS)),
                name="consent_policy_validity_is_1_to_600_months",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.language})"


class ConsentChange(models.TextChoices):
    """What happened to a consent."""

    GRANTED = "granted", "Granted"
    WITHDRAWN = "withdrawn", "Withdrawn"
    #: Recorded by the platform, for the history; the grant itself tells until when it allows something.
    EXPIRED = "expired", "Expired"


class EvidenceMethod(models.TextChoices):
    """How a consent, its withdrawal or its end came about."""

    SIGNATURE = "signature", "Signature on screen"
    PAPER = "paper", "Signed on paper"
    SPOKEN = "spoken", "Spoken, with a witness"
    CLOCK = "clock", "Its time was over"


class ConsentEvent(models.Model):
    """A consent granted, withdrawn or expired, for one scope. Append-only: the database refuses changes."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="consent_events")
    policy = models.ForeignKey(ConsentPolicy, on_delete=models.PROTECT, related_name="+")
    scope = models.CharField(max_length=20, choices=ConsentScope)
    change = models.CharField(max_length=10, choices=ConsentChange)
    captured_at = models.DateTimeField(help_text="When the patient said so.")
    recorded_at = models.DateTimeField(help_text="When the platform learnt of it.")
    #: From when the event counts: a grant from its capture, a withdrawal from its recording.
    effective_at = models.DateTimeField()
    #: Of a grant: until when it allows something; for ever, where empty.
    expires_at = models.DateTimeField(null=True)
    #: Of an expiry: the grant that ended.
    ends = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="ended_by")
    #: Nobody records an expiry: the platform does.
    recorded_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    method = models.CharField(max_length=10, choices=EvidenceMethod)
    #: In which language the patient was spoken with; the text's own unless somebody interpreted.
    language = models.CharField(max_length=10, validators=[language_is_a_tag])
    sealed_evidence = models.BinaryField(null=True)
    sealed_signature = models.BinaryField(null=True)

    #: The witness's name.
    witness = SealedText("evidence")
    #: The signature on screen: a PNG in shades of grey, see ``services.signatures``.
    signature = SealedBytes("signature")

    class Meta:
        ordering: ClassVar = ["effective_at", "recorded_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["patient", "scope", "-effective_at"], name="consent_in_force"),
            models.Index(fields=["expires_at"], name="consent_expiring", condition=Q(expires_at__isnull=False)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(scope__in=ConsentScope.values), name="consent_scope_is_known"),
            models.CheckConstraint(condition=Q(change__in=ConsentChange.values), name="consent_change_is_known"),
            models.CheckConstraint(condition=Q(method__in=EvidenceMethod.values), name="consent_method_is_known"),
            models.CheckConstraint(condition=Q(captured_at__lte=F("recorded_at")), name="consent_not_in_the_future"),
            models.CheckConstraint(condition=Q(language__regex=LANGUAGE_TAG), name="consent_language_is_a_tag"),
            models.CheckConstraint(
                condition=Q(change__in=["granted", "expired"], effective_at=F("captured_at"))
                | Q(change="withdrawn", effective_at=F("recorded_at")),
                name="consent_counts_from_capture_withdrawal_from_recording",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(change="granted", expires_at__gt=F("captured_at")),
                name="consent_only_a_grant_expires_and_later",
            ),
            models.CheckConstraint(
                condition=Q(change="expired", ends__isnull=False, recorded_by__isnull=True, method="clock")
                | Q(~Q(change="expired"), ~Q(method="clock"), ends__isnull=True, recorded_by__isnull=False),
                name="consent_expiry_names_its_grant_and_nobody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.change} by patient {self.patient_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.patient.data_key()
