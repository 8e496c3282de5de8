"""Emergency access: opening a record by saying why, for a while, told to the clinic at once, every look recorded."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.models import (
    Case,
    CaseImage,
    EmergencyAccess,
    EmergencyPolicy,
    EmergencyReason,
    Patient,
)
from diagnosis.models.emergency import LONGEST_MINUTES, SHORTEST_MINUTES
from diagnosis.services.bell import ring
from diagnosis.services.consents import lock_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.export import describe_care
from diagnosis.services.files import open_sealed
from diagnosis.services.notifications import tell_of_emergency
from skincare.accounts.models import Organisation, Role, User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record

SHORTEST_EXPLANATION: Final = 15
LONGEST_EXPLANATION: Final = 1000
#: Look-ups that found nobody, by one person: who mistypes stays below, who goes fishing does not.
MOST_MISSES: Final = 10
MISSES_COUNT_FOR: Final = timedelta(hours=1)
#: Of a case, what people saw and said. The network's answer is left out: it would spoil a first read that is to come.
_LEFT_OUT_OF_CASES: Final = ("analysis", "read_in_shadow")
_LEFT_OUT_OF_REFERRALS: Final = ("messages", "reads", "opinions")


@dataclass(frozen=True)
class Wanted:
    """Whose record: a record number, or a name with a birth date, at one organisation."""

    organisation: UUID
    record_number: str = ""
    name: str = ""
    birth_date: date | None = None


@transaction.atomic
def set_policy(
    *, user: User, organisation: Organisation, enabled: bool, minutes: int, open_to: list[Organisation]
) -> EmergencyPolicy:
    """Switch emergency access to an organisation's patients on or off. What is open stays until its time is over,
    unless it is switched off: that ends it.

    Raises:
        Refusal: not 15 minutes to 8 hours.
    """
    if not SHORTEST_MINUTES <= minutes <= LONGEST_MINUTES:
        raise Refusal(
            "impossible_period", f"{minutes} minutes: {SHORTEST_MINUTES} to {LONGEST_MINUTES} are possible", "minutes"
        )
    policy, _ = EmergencyPolicy.objects.update_or_create(
        organisation=organisation, defaults={"enabled": enabled, "minutes": minutes}
    )
    others = [each for each in open_to if each.pk != organisation.pk]
    policy.open_to.set(others)
    if not enabled:
        for access in EmergencyAccess.objects.in_force().filter(organisation=organisation):
            end_access(user=user, access=access)
    record(
        "emergency.policy_set",
        policy,
        actor=user,
        organisation_id=organisation.pk,
        details={"enabled": enabled, "minutes": minutes, "open_to": sorted(str(each.pk) for each in others)},
    )
    return policy


def open_access(*, user: User, wanted: Wanted, reason: EmergencyReason, explanation: str) -> EmergencyAccess:
    """Open a patient's record. While it is open, asking again answers with the same.

    Raises:
        Refusal: the organisation does not allow it to the user, too little is said, nobody or several are found, or
            too many looked for were not found.
        Conflict: the user sees the patient anyway.
    """
    policy = EmergencyPolicy.objects.open_to(user).filter(pk=wanted.organisation).select_related("organisation").first()
    if policy is None:
        raise Refusal(
            "not_found", "no such organisation allows you emergency access; telephone the clinic", field="organisation"
        )
    said = explanation.strip()
    if not SHORTEST_EXPLANATION <= len(said) <= LONGEST_EXPLANATION:
        raise Refusal(
            "explanation_length",
            f"say why in {SHORTEST_EXPLANATION} to {LONGEST_EXPLANATION} characters; there are {len(said)}",
            field="explanation",
        )
    patient = _find(user, policy, wanted)
    if (
        Patient.objects.for_user(user).filter(pk=patient.pk).exists()
        or Case.objects.referred_to(user).filter(patient=patient).exists()
    ):
        raise Conflict("already_visible", "you see this patient without emergency access; open the case as usual")
    return _open(user, policy, patient, reason, said)


def _find(user: User, policy: EmergencyPolicy, wanted: Wanted) -> Patient:
    since = timezone.now() - MISSES_COUNT_FOR
    misses = AuditEvent.objects.filter(
        action="emergency.refused", object_type="emergencypolicy", actor=user, at__gte=since
    )
    if misses.count() >= MOST_MISSES:
        raise Refusal(
            "too_many_attempts",
            f"{MOST_MISSES} patients that you looked for within an hour were not found; telephone the clinic",
        )
    patients = Patient.objects.filter(data_key_row__isnull=False).select_related("data_key_row", "organisation")
    places = [policy.organisation]
    if wanted.record_number:
        found = list(patients.with_record_number(wanted.record_number, places)[:2])
    elif wanted.name and wanted.birth_date:
        found = list(patients.with_name(wanted.name, wanted.birth_date, places)[:2])
    else:
        raise Refusal("one_way_needed", "say the record number, or the name and the birth date", field="record_number")
    if len(found) == 1:
        return found[0]
    with transaction.atomic():
        record(
            "emergency.refused",
            policy,
            actor=user,
            organisation_id=policy.pk,
            details={"found": len(found), "by": "record_number" if wanted.record_number else "name"},
        )
    if found:
        raise Refusal("several_found", "several patients have this name and birth date; say the record number", "name")
    raise Refusal("no_such_patient", f"{policy.organisation.name} has no such patient", field="record_number")


@transaction.atomic
def _open(
    user: User, policy: EmergencyPolicy, patient: Patient, reason: EmergencyReason, explanation: str
) -> EmergencyAccess:
    patient = lock_patient(patient.pk)
    patient.data_key()  # erased meanwhile: PatientErased
    standing = EmergencyAccess.objects.in_force().filter(patient=patient, opened_by=user).first()
    if standing is not None:
        return standing
    now = timezone.now()
    access = EmergencyAccess(
        patient=patient,
        organisation=policy.organisation,
        opened_by=user,
        opened_at=now,
        ends_at=now + timedelta(minutes=policy.minutes),
        reason=reason,
    )
    access.explanation = explanation
    access.save(force_insert=True)
    _note("emergency.opened", access, user)
    others = User.objects.filter(is_active=True).exclude(pk=user.pk)
    officers = others.filter(memberships__organisation=policy.organisation, memberships__role=Role.ADMINISTRATOR)
    # Whoever opens it and is the only one to be told would be telling themselves.
    tell_of_emergency(officers if officers.exists() else others.filter(is_superuser=True), access)
    # The mail goes out now and not with the next minute's; lost, that one still sends it.
    transaction.on_commit(lambda: ring("diagnosis.send_notifications", queue="default"), robust=True)
    return access


@transaction.atomic
def end_access(*, user: User, access: EmergencyAccess) -> EmergencyAccess:
    """End it before its time: by whoever opened it, or by an administrator of the patient's organisation. Once over,
    it stays as it is.

    Args:
        access: one that ``user`` may end (the caller has made sure).
    """
    access = _locked(access.pk)
    if not access.in_force:
        return access
    access.ended_at, access.ended_by = timezone.now(), user
    access.save(update_fields=["ended_at", "ended_by"])
    _note("emergency.ended", access, user)
    return access


@transaction.atomic
def read_record(*, user: User, access_id: UUID) -> tuple[EmergencyAccess, dict[str, Any]]:
    """The record, as people wrote it; that it was read is recorded, each time, with the reason.

    Returns:
        The access and, in the shape of ``services.export``, patient, consents, lesions, cases, referrals and outcomes.

    Raises:
        EmergencyAccess.DoesNotExist: it is not the user's.
        Conflict: it is over.
        PatientErased: there is nothing left to see.
    """
    access = _in_force(user, access_id)
    cases = list(Case.objects.with_everything().filter(patient=access.patient).order_by("seen_at", "pk"))
    described = describe_care(access.patient, cases)
    for case, shown in zip(cases, described["cases"], strict=True):
        for name in _LEFT_OUT_OF_CASES:
            shown.pop(name)
        for image, entry in zip(case.images.all(), shown["images"], strict=True):
            entry.pop("file")
            entry["id"] = image.pk
    for referral in described["referrals"]:
        for name in _LEFT_OUT_OF_REFERRALS:
            referral.pop(name)
    for consent in described["consents"]:
        consent.pop("signature")
    _note("emergency.read", access, user, subject=access.patient)
    return access, described


@transaction.atomic
def read_photograph(*, user: User, access_id: UUID, image_id: UUID) -> bytes:
    """One photograph of the patient's cases, JPEG; recorded as the record itself is.

    Raises:
        EmergencyAccess.DoesNotExist, CaseImage.DoesNotExist: it is not the user's, or not the patient's.
        Conflict: it is over.
        PatientErased, OSError, SealBroken: the photograph cannot be given.
    """
    access = _in_force(user, access_id)
    image = CaseImage.objects.get(case__patient=access.patient, pk=image_id)
    content = open_sealed(access.patient, image.photograph_file)
    _note("emergency.read", access, user, subject=image)
    return content


def accesses_of(user: User) -> QuerySet[EmergencyAccess]:
    """Those that the user opened."""
    return EmergencyAccess.objects.filter(opened_by=user).select_related("organisation")


def _in_force(user: User, access_id: UUID) -> EmergencyAccess:
    """Locked, so that it does not end between the look at the clock and the record of what was read."""
    access = _locked(access_id, opened_by=user)
    access.patient.data_key()  # erased: PatientErased
    if not access.in_force:
        raise Conflict("access_over", "this emergency access is over; open another one if the emergency goes on")
    if not EmergencyPolicy.objects.open_to(user).filter(pk=access.organisation_id).exists():
        raise Conflict("access_over", "you do not work any more where this emergency access was allowed")
    return access


def _locked(access_id: UUID, **also: Any) -> EmergencyAccess:
    accesses = EmergencyAccess.objects.select_for_update(of=("self",)).filter(**also)
    return accesses.select_related("patient__data_key_row", "patient__organisation", "organisation").get(pk=access_id)


def _note(action: str, access: EmergencyAccess, user: User, subject: Any = None) -> None:
    record(
        action,
        subject or access,
        actor=user,
        patient_id=access.patient_id,
        organisation_id=access.organisation_id,
        details={"access": str(access.pk), "reason": str(access.reason)},
    )
