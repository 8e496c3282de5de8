"""What time does to referrals: reminders, escalation, expiry, and outcomes that are due."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from diagnosis.models import Referral, ServicePolicy
from diagnosis.models.sealed import PatientErased
from diagnosis.services.referral_moves import move, note
from diagnosis.services.referral_states import Action, check
from diagnosis.services.referrals import lock_referral
from diagnosis.services.worklist_order import place, policy_of

#: Of each kind in one run; the next goes on.
BATCH: Final = 200


@dataclass(frozen=True)
class Ticked:
    """How many referrals were handled."""

    reminded: int
    escalated: int
    expired: int
    outcomes: int


def tick(*, now: datetime | None = None) -> Ticked:
    """Do what is due by now, each referral in a transaction of its own, under its lock and looked at again there."""
    now = now or timezone.now()
    open_ones = Referral.objects.open()
    soon = Q()
    policies = list(ServicePolicy.objects.all())
    for policy in policies:
        soon |= Q(service=policy.pk, due_at__lte=now + timedelta(hours=policy.remind_before_hours))
    usual = timedelta(hours=ServicePolicy().remind_before_hours)
    soon |= Q(due_at__lte=now + usual) & ~Q(service__in=[policy.pk for policy in policies])
    return Ticked(
        expired=_each(open_ones.filter(expires_at__lte=now), _expire),
        escalated=_each(open_ones.filter(due_at__lte=now, escalated_at__isnull=True), _escalate(now)),
        reminded=_each(open_ones.filter(soon, due_at__gt=now, reminded_at__isnull=True), _remind(now)),
        outcomes=_each(
            Referral.objects.filter(outcome_due_at__lte=now, outcome_reminded_at__isnull=True), _outcome(now)
        ),
    )


def _each(referrals: QuerySet[Referral], do: Callable[[Referral], bool]) -> int:
    done = 0
    for pk in list(referrals.order_by("due_at").values_list("pk", flat=True)[:BATCH]):
        try:
            with transaction.atomic():
                done += do(lock_referral(pk))
        except PatientErased:
            continue
    return done


def _expire(referral: Referral) -> bool:
    if not referral.open:
        return False
    check(Action.EXPIRE, referral, None)
    move(referral, Action.EXPIRE, None)
    return True


def _escalate(now: datetime) -> Callable[[Referral], bool]:
    def escalate(referral: Referral) -> bool:
        if not referral.open or referral.escalated_at is not None:
            return False
        referral.escalated_at = now
        referral.sort_key = place(referral, policy_of(referral.service_id))
        referral.revision += 1
        referral.save(update_fields=["escalated_at", "sort_key", "revision"])
        note(referral, "escalated", None)
        return True

    return escalate


def _remind(now: datetime) -> Callable[[Referral], bool]:
    def remind(referral: Referral) -> bool:
        if not referral.open or referral.reminded_at is not None:
            return False
        referral.reminded_at = now
        referral.save(update_fields=["reminded_at"])
        note(referral, "reminded", None)
        return True

    return remind


def _outcome(now: datetime) -> Callable[[Referral], bool]:
    def outcome(referral: Referral) -> bool:
        if referral.outcome_due_at is None or referral.outcome_reminded_at is not None:
            return False
        referral.outcome_reminded_at = now
        referral.save(update_fields=["outcome_reminded_at"])
        note(referral, "outcome_due", None)
        return True

    return outcome
