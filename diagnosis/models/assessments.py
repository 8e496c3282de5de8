"""What dermatologists say of a referral: the blind read, who saw the network's answer when, the signed assessment."""

from typing import ClassVar
from uuid import uuid4

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from diagnosis.classifier.diagnoses import LONGEST_CODE
from diagnosis.models.referrals import Referral
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import Organisation, User


def _confidence() -> "models.PositiveSmallIntegerField[int, int]":
    return models.PositiveSmallIntegerField(validators=[MaxValueValidator(100)], help_text="Per cent, 0 to 100.")


class ReadRole(models.TextChoices):
    """In which part somebody read."""

    FIRST = "first", _("First reader")
    SECOND = "second", _("Second opinion")
    THIRD = "third", _("Settling a disagreement")


class FirstRead(models.Model):
    """A dermatologist's diagnosis before the network's answer was shown to them. Append-only, once for each reader."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="reads")
    reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=10, choices=ReadRole)
    #: A code of ``classifier.diagnoses``.
    diagnosis = models.CharField(max_length=LONGEST_CODE)
    confidence = _confidence()
    recorded_at = models.DateTimeField()
    #: False where the reader had, or could have had, the network's answer to the lesion before.
    blind = models.BooleanField()
    sealed_comment = models.BinaryField(null=True)

    comment = SealedText("comment")

    class Meta:
        ordering: ClassVar = ["recorded_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["referral", "reader"], name="read_once_by_each_reader"),
            models.CheckConstraint(condition=Q(confidence__range=(0, 100)), name="read_confidence_is_per_cent"),
            models.CheckConstraint(condition=Q(role__in=ReadRole.values), name="read_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.role} read of referral {self.referral_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.referral.data_key()


class AnswerShown(models.Model):
    """When the network's answer was first shown to a reader of a referral. Append-only."""

    id = models.BigAutoField(primary_key=True)
    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="answers_shown")
    reader = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    shown_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["referral", "reader"], name="answer_shown_first_to_each_reader")
        ]

    def __str__(self) -> str:
        return f"answer shown on referral {self.referral_id}"


class Plan(models.TextChoices):
    """What is to be done."""

    REASSURE = "reassure", _("Reassure; no follow-up")
    OBSERVE = "observe", _("Look again after some months")
    BIOPSY = "biopsy", _("Biopsy")
    EXCISE = "excise", _("Excise")
    SEE_IN_PERSON = "see_in_person", _("See in person")
    URGENT = "urgent", _("Urgent suspected cancer pathway")


class Assessment(models.Model):
    """A dermatologist's signed answer. Append-only; an amendment names the one that it replaces."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="assessments")
    amends = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="amended_by")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    #: A code of ``classifier.diagnoses``.
    diagnosis = models.CharField(max_length=LONGEST_CODE)
    confidence = _confidence()
    plan = models.CharField(max_length=20, choices=Plan)
    #: For ``observe``: after how many months.
    months = models.PositiveSmallIntegerField(null=True)
    signed_at = models.DateTimeField()
    #: When the author last proved who they are, and how.
    authenticated_at = models.DateTimeField()
    authenticated_by = models.CharField(max_length=20)
    sealed_text = models.BinaryField(null=True)
    #: The author's name as it was when they signed.
    sealed_signature = models.BinaryField()

    text = SealedText("text")
    signature = SealedText("signature")

    class Meta:
        ordering: ClassVar = ["signed_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["referral"], condition=Q(amends__isnull=True), name="assessment_first_is_one"
            ),
            models.CheckConstraint(condition=Q(plan__in=Plan.values), name="assessment_plan_is_known"),
            models.CheckConstraint(condition=Q(confidence__range=(0, 100)), name="assessment_confidence_is_per_cent"),
            models.CheckConstraint(
                condition=Q(plan="observe", months__isnull=False, months__range=(1, 36))
                | (~Q(plan="observe") & Q(months__isnull=True)),
                name="assessment_observes_for_months",
            ),
            models.CheckConstraint(
                condition=Q(authenticated_at__lte=F("signed_at")), name="assessment_signed_after_authentication"
            ),
        ]

    def __str__(self) -> str:
        return f"assessment of referral {self.referral_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.referral.data_key()


class Snippet(models.Model):
    """A ready text, of one user or of a whole service, for assessments and messages. It holds no patient's data."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    service = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="snippets")
    #: Whose; empty for the service's own.
    owner = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="snippets")
    title = models.CharField(max_length=80)
    text = models.CharField(max_length=4000)
    #: What the template fills in beside the text; empty where it leaves it open.
    diagnosis = models.CharField(max_length=LONGEST_CODE, blank=True)
    plan = models.CharField(max_length=20, choices=Plan, blank=True)
    months = models.PositiveSmallIntegerField(null=True)

    class Meta:
        ordering: ClassVar = ["title", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["service", "owner", "title"], nulls_distinct=False, name="snippet_title_once"
            ),
            models.CheckConstraint(condition=Q(plan__in=["", *Plan.values]), name="snippet_plan_is_known"),
        ]

    def __str__(self) -> str:
        return self.title
