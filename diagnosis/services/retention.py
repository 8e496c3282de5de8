"""Erasing patients whom an organisation has not seen for as long as its policy says."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from diagnosis.models import Decision, ErasureReason, Patient, Referral, RetentionPolicy
from diagnosis.models.retention import LONGEST_MONTHS, SHORTEST_MONTHS
from diagnosis.services.consents import lock_patient
from diagnosis.services.erasure import erase_patient
from diagnosis.services.errors import Refusal
from diagnosis.services.months import months_later
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record

#: From when a shorter period counts, after it was set.
NOTICE: Final = timedelta(days=30)
#: One run of the scheduled task stops after this; the next goes on.
TURN_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Due:
    """A patient whose period ends, and when the organisation saw the patient last."""

    patient_id: UUID
    organisation: Organisation
    last_seen: datetime


@transaction.atomic
def set_policy(*, organisation: Organisation, months: int, user: User | None) -> RetentionPolicy:
    """Set an organisation's period. A first or a shorter one counts in 30 days, a longer one at once.

    Raises:
        Refusal: not between 12 and 600 months.
    """
    if not SHORTEST_MONTHS <= months <= LONGEST_MONTHS:
        raise Refusal(
            "impossible_period",
            f"{months} months: {SHORTEST_MONTHS} to {LONGEST_MONTHS} are possible",
            field="months_after_last_case",
        )
    now = timezone.now()
    before = RetentionPolicy.objects.select_for_update().filter(pk=organisation.pk).first()
    longer = before is not None and months >= before.months_after_last_case
    applies_from = before.applies_from if before is not None and longer else now + NOTICE
    policy, _ = RetentionPolicy.objects.update_or_create(
        organisation=organisation, defaults={"months_after_last_case": months, "applies_from": applies_from}
    )
    record(
        "retention.set",
        policy,
        actor=user,
        organisation_id=organisation.pk,
        details={
            "months": months,
            "before": before.months_after_last_case if before else None,
            "applies_from": applies_from.isoformat(),
        },
    )
    return policy


def due(*, at: datetime | None = None, patient_id: UUID | None = None) -> list[Due]:
    """Patients whose period has passed at a moment (now, unless given), who was seen longest ago first.

    Nobody of whom a referral is open, and nobody whose lesion is to be looked at again, until the period has passed
    since that day as well.

    Args:
        at: a moment to come shows who will be due by then.
        patient_id: look at this one only.
    """
    at = at or timezone.now()
    found = []
    for policy in RetentionPolicy.objects.filter(applies_from__lte=at).select_related("organisation"):
        patients = Patient.objects.filter(organisation=policy.organisation, data_key_row__isnull=False)
        if patient_id is not None:
            patients = patients.filter(pk=patient_id)
        before = months_later(at, -policy.months_after_last_case)
        observed = Decision.objects.standing().filter(remind_on__gte=before.date())
        referred = Referral.objects.open()
        seen = (
            patients.annotate(last_seen=Greatest("created_at", Coalesce(Max("cases__submitted_at"), F("created_at"))))
            .filter(last_seen__lt=before)
            .exclude(pk__in=observed.values("case__patient"))
            .exclude(pk__in=referred.values("case__patient"))
        )
        found += [Due(pk, policy.organisation, last) for pk, last in seen.values_list("pk", "last_seen")]
    return sorted(found, key=lambda each: each.last_seen)


def enforce(*, seconds: float = TURN_SECONDS) -> int:
    """Erase who is due, each in a transaction of their own, until nobody is left or the time is over.

    Returns:
        How many were erased.
    """
    end = time.monotonic() + seconds
    erased = 0
    for each in due():
        if time.monotonic() > end:
            break
        with transaction.atomic():
            # Locked as a submission locks: whoever has come back meanwhile is not erased.
            lock_patient(each.patient_id)
            if due(patient_id=each.patient_id):
                erase_patient(patient_id=each.patient_id, reason=ErasureReason.RETENTION)
                erased += 1
    return erased
