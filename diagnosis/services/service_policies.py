"""Changing how a dermatology service takes referrals. The rules themselves are ``models.ServicePolicy``."""

from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from diagnosis.models import ServicePolicy
from diagnosis.models.patients import organisations_of_administrator
from diagnosis.models.service_policies import LONGEST_HOURS, services_of_dermatologist
from diagnosis.services.errors import Refusal
from diagnosis.services.worklist_order import place_again, policy_of
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record

HOURS: Final = (
    "hours_urgent_suspected_cancer",
    "hours_soon",
    "hours_routine",
    "remind_before_hours",
    "expire_after_hours",
)


@dataclass(frozen=True)
class NewPolicy:
    """All rules of a service."""

    hours_urgent_suspected_cancer: int
    hours_soon: int
    hours_routine: int
    remind_before_hours: int
    expire_after_hours: int
    blind_read: bool
    open_to_all_clinics: bool = True
    clinics: tuple[UUID, ...] = ()
    """Who may refer where not all may."""


def services_seen_by(user: User) -> QuerySet[Organisation]:
    """Services whose rules the user may see: where they read, and those that they administer."""
    read = services_of_dermatologist(user).values("pk")
    led = organisations_of_administrator(user).filter(kind=Organisation.Kind.DERMATOLOGY_SERVICE).values("pk")
    return Organisation.objects.filter(pk__in=read) | Organisation.objects.filter(pk__in=led)


def services_led_by(user: User) -> QuerySet[Organisation]:
    """Services whose rules the user may change: those that they administer."""
    return organisations_of_administrator(user).filter(kind=Organisation.Kind.DERMATOLOGY_SERVICE)


@transaction.atomic
def set_policy(*, user: User, service: Organisation, new: NewPolicy) -> ServicePolicy:
    """Change a service's rules. Due times of what was sent before stay; places in the worklist follow at once.

    Args:
        service: one that ``user`` administers (the caller has made sure).

    Raises:
        Refusal: hours out of range or not rising as urgency falls; nobody may refer; an unknown clinic.
    """
    _check(new)
    clinics = list(Organisation.objects.filter(pk__in=new.clinics, kind=Organisation.Kind.CLINIC))
    if len(clinics) != len(set(new.clinics)):
        raise Refusal("unknown_clinic", "one of the clinics is none", field="clinics")
    policy = policy_of(service)
    before = {name: getattr(policy, name) for name in (*HOURS, "blind_read", "open_to_all_clinics")}
    after = {name: value for name, value in asdict(new).items() if name != "clinics"}
    for name, value in after.items():
        setattr(policy, name, value)
    policy.save()
    policy.clinics.set(clinics)
    if before["blind_read"] != new.blind_read:
        place_again(service=service)
    record(
        "service_policy.changed",
        policy,
        actor=user,
        organisation_id=service.pk,
        details={"before": before, "after": after, "clinics": [str(clinic.pk) for clinic in clinics]},
    )
    return policy


def _check(new: NewPolicy) -> None:
    for name in HOURS:
        if not 1 <= getattr(new, name) <= LONGEST_HOURS:
            raise Refusal("impossible_hours", f"{name}: 1 to {LONGEST_HOURS} hours are possible", field=name)
    if not new.hours_urgent_suspected_cancer <= new.hours_soon <= new.hours_routine:
        raise Refusal(
            "hours_must_rise", "what is more urgent must not have longer than what is less urgent", field="hours_soon"
        )
    if not new.open_to_all_clinics and not new.clinics:
        raise Refusal("nobody_may_refer", "name the clinics that may refer, or let all refer", field="clinics")
