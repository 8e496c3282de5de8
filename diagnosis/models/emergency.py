"""Emergency access: who may open the record of a patient who is not theirs, for how long, and who did."""

from typing import ClassVar, Final, Self
from uuid import uuid4

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models.patients import Patient, organisations_of_administrator
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import Organisation, Role, User

SHORTEST_MINUTES: Final = 15
LONGEST_MINUTES: Final = 480


class EmergencyPolicyQuerySet(models.QuerySet["EmergencyPolicy"]):
    """Reads of policies."""

    def open_to(self, user: User) -> Self:
        """Those by which this user may ask: switched on, and for an organisation where the user treats patients.

        An organisation's own members count as well: a dermatologist there does not see its patients by that alone.
        """
        treats = Organisation.objects.filter(
            memberships__user=user, memberships__role__in=[Role.CLINICIAN, Role.DERMATOLOGIST]
        ).values("pk")
        return self.filter(Q(open_to__in=treats) | Q(organisation__in=treats), enabled=True).distinct()


class EmergencyPolicy(models.Model):
    """What one organisation allows in emergencies. Without a row, or switched off, nothing."""

    organisation = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.PROTECT, related_name="emergency_policy"
    )
    enabled = models.BooleanField(default=False)
    minutes = models.PositiveSmallIntegerField(
        default=60, validators=[MinValueValidator(SHORTEST_MINUTES), MaxValueValidator(LONGEST_MINUTES)]
    )
    #: Whose clinicians and dermatologists may ask, beside the organisation's own.
    open_to = models.ManyToManyField(Organisation, related_name="+", blank=True)

    objects = EmergencyPolicyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "emergency policies"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(minutes__range=(SHORTEST_MINUTES, LONGEST_MINUTES)),
                name="emergency_lasts_15_minutes_to_8_hours",
            )
        ]

    def __str__(self) -> str:
        return f"{self.organisation}: {'on' if self.enabled else 'off'}"


class EmergencyReason(models.TextChoices):
    """Why somebody opened a record; goes into the audit record, the person's own words do not."""

    UNABLE_TO_CONSENT = "unable_to_consent", _("The patient cannot speak for themselves")
    ACUTE = "acute", _("Acute treatment that cannot wait for a referral")
    CLINIC_UNREACHABLE = "clinic_unreachable", _("The patient's clinic cannot be reached in time")


class EmergencyAccessQuerySet(models.QuerySet["EmergencyAccess"]):
    """Reads of emergency accesses."""

    def in_force(self) -> Self:
        """Those that neither the clock nor anybody has ended."""
        return self.filter(ended_at__isnull=True, ends_at__gt=timezone.now(), patient__data_key_row__isnull=False)

    def for_administrator(self, user: User) -> Self:
        """Those to patients of the organisations that this user administers."""
        return self.filter(organisation__in=organisations_of_administrator(user))


class EmergencyAccess(models.Model):
    """One person's sight of one patient's record, for a while. The database lets it be ended once, and nothing else."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="emergency_accesses")
    #: The patient's.
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="emergency_accesses")
    opened_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=20, choices=EmergencyReason)
    sealed_explanation = models.BinaryField(null=True)

    #: Why, in the person's own words.
    explanation = SealedText("explanation")

    objects = EmergencyAccessQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-opened_at", "id"]
        verbose_name_plural = "emergency accesses"
        indexes: ClassVar = [
            models.Index(fields=["opened_by", "-opened_at", "id"], name="emergency_newest_first"),
            models.Index(fields=["organisation", "-opened_at", "id"], name="emergency_of_organisation"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("opened_at")), name="emergency_ends_after_it_begins"),
            models.CheckConstraint(condition=Q(reason__in=EmergencyReason.values), name="emergency_reason_is_known"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="emergency_is_ended_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"emergency access {self.pk}"

    @property
    def in_force(self) -> bool:
        """Whether neither the clock nor anybody has ended it."""
        return self.ended_at is None and self.ends_at > timezone.now()

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.patient.data_key()
