"""What a clinician decided to do about a case that is not (or not only) referred: observe it, or close it."""

from datetime import date
from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from diagnosis.models.cases import Case
from diagnosis.models.patients import organisations_of_clinician
from diagnosis.models.referrals import Referral
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import User


class DecisionKind(models.TextChoices):
    """What is to be done."""

    OBSERVE = "observe", "Keep under observation"
    CLOSE = "close", "Close"


class CloseReason(models.TextChoices):
    """Why nothing more is to be done."""

    HARMLESS = "harmless", "Harmless in my judgement"
    TREATED = "treated", "Treated here"
    SENT_ELSEWHERE = "sent_elsewhere", "Referred another way"
    PATIENT_DECLINED = "patient_declined", "The patient wishes no more"
    MISTAKE = "mistake", "Entered by mistake"


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Reads of decisions."""

    def for_user(self, user: User) -> Self:
        """Those on cases of the organisations where this user is a clinician."""
        return self.filter(case__organisation__in=organisations_of_clinician(user))

    def standing(self) -> Self:
        """Observations that nothing has overtaken: no later decision, visit or referral of the same lesion.

        An erased patient's stand no more.
        """
        later = Decision.objects.filter(case__lesion=OuterRef("case__lesion"), decided_at__gt=OuterRef("decided_at"))
        visits = Case.objects.filter(lesion=OuterRef("case__lesion"), submitted_at__gt=OuterRef("decided_at"))
        referrals = Referral.objects.filter(case__lesion=OuterRef("case__lesion"), sent_at__gt=OuterRef("decided_at"))
        return self.filter(
            ~Exists(later),
            ~Exists(visits),
            ~Exists(referrals),
            kind=DecisionKind.OBSERVE,
            case__patient__data_key_row__isnull=False,
        )

    def due(self, today: date) -> Self:
        """Standing observations whose day has come."""
        return self.standing().filter(remind_on__lte=today)


class Decision(models.Model):
    """One decision on one case. Append-only; the latest counts, and so does a referral made after it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=10, choices=DecisionKind)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    #: For an observation: the day to look again.
    remind_on = models.DateField(null=True)
    #: For a closing.
    reason = models.CharField(max_length=20, choices=CloseReason, blank=True)
    sealed_note = models.BinaryField(null=True)
    #: When somebody was told that the day has come; the one thing that is written later.
    reminded_at = models.DateTimeField(null=True)

    note = SealedText("note")

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-decided_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["case", "-decided_at"], name="decision_of_case"),
            models.Index(
                fields=["remind_on"], condition=Q(kind="observe", reminded_at__isnull=True), name="decision_to_remind"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="observe", remind_on__isnull=False, reason="")
                | Q(kind="close", remind_on__isnull=True, reason__in=CloseReason.values),
                name="decision_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(reminded_at__isnull=True) | Q(remind_on__isnull=False, reminded_at__gte=F("decided_at")),
                name="decision_reminds_later",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} on case {self.case_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.case.data_key()
