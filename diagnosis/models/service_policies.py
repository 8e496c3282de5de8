"""How a dermatology service takes referrals: in how many hours it answers, whether it reads blind, and from whom."""

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from skincare.accounts.models import Organisation

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Urgency(models.TextChoices):
    """How soon the clinician asks for an answer."""

    ROUTINE = "routine", _("Routine")
    SOON = "soon", _("Soon")
    URGENT_SUSPECTED_CANCER = "urgent_suspected_cancer", _("Urgent: suspected cancer")


#: From the most urgent to the least: the first key of the worklist's order.
URGENCY_STEPS: Final[dict[str, int]] = {
    Urgency.URGENT_SUSPECTED_CANCER: 0,
    Urgency.SOON: 1,
    Urgency.ROUTINE: 2,
}

LONGEST_HOURS: Final = 24 * 90


def _hours(default: int, text: "StrPromise") -> "models.PositiveSmallIntegerField[int, int]":
    return models.PositiveSmallIntegerField(
        default=default, validators=[MinValueValidator(1), MaxValueValidator(LONGEST_HOURS)], help_text=text
    )


class ServicePolicy(models.Model):
    """One dermatology service's rules. A service without a row has the defaults."""

    service = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.PROTECT, related_name="service_policy"
    )
    hours_urgent_suspected_cancer = _hours(24, _("Hours until an urgent suspected cancer is due."))
    hours_soon = _hours(72, _("Hours until a referral that is wanted soon is due."))
    hours_routine = _hours(14 * 24, _("Hours until a routine referral is due."))
    remind_before_hours = _hours(8, _("Hours before it is due at which the service is reminded."))
    expire_after_hours = _hours(14 * 24, _("Hours after it was due at which an unanswered referral expires."))
    blind_read = models.BooleanField(
        default=True, help_text=_("The dermatologist records a diagnosis before the network's answer is shown.")
    )
    open_to_all_clinics = models.BooleanField(
        default=True, help_text=_("Otherwise only the clinics named below may refer.")
    )
    clinics = models.ManyToManyField(Organisation, blank=True, related_name="+")

    class Meta:
        verbose_name_plural = "service policies"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(hours_urgent_suspected_cancer__gte=1)
                & Q(hours_urgent_suspected_cancer__lte=F("hours_soon"))
                & Q(hours_soon__lte=F("hours_routine"))
                & Q(hours_routine__lte=LONGEST_HOURS),
                name="service_policy_hours_rise_as_urgency_falls",
            )
        ]

    def __str__(self) -> str:
        return f"policy of {self.service}"

    def time_for(self, urgency: str) -> timedelta:
        """How long the service has for a referral."""
        hours: int = getattr(self, f"hours_{urgency}")
        return timedelta(hours=hours)


def services_of_dermatologist(user: models.Model) -> models.QuerySet[Organisation]:
    """Where the user works as a dermatologist."""
    return Organisation.objects.filter(
        kind=Organisation.Kind.DERMATOLOGY_SERVICE,
        pk__in=Organisation.objects.filter(memberships__user=user.pk, memberships__role="dermatologist").values("pk"),
    )
