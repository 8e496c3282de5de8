"""Correcting what was recorded about who a patient is (GDPR Art. 16): found anew by it, and what stood there kept."""

from dataclasses import asdict, dataclass
from datetime import date

from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import Case, CorrectionReason, FitzpatrickSkinType, Patient, PatientCorrection, Sex
from diagnosis.services.consents import lock_patient
from diagnosis.services.errors import Conflict, Refusal, constraint_of
from diagnosis.services.patients import check_birth_date, taken_under_another_key
from diagnosis.services.submission import age_band
from skincare.accounts.models import User
from skincare.audit.record import record


@dataclass(frozen=True)
class Corrected:
    """What is right; nothing (``None``) where it is right already. An empty text takes away what was recorded."""

    record_number: str | None = None
    name: str | None = None
    #: ISO 8601.
    birth_date: str | None = None
    sex: Sex | str | None = None
    fitzpatrick_skin_type: FitzpatrickSkinType | str | None = None


@transaction.atomic
def correct_patient(*, user: User, patient: Patient, reason: CorrectionReason, right: Corrected) -> Patient:
    """Write down what is right, and keep sealed what stood there before. The cases' snapshots for statistics follow.

    Args:
        patient: whom ``user`` sees as a clinician (the caller has made sure).

    Returns:
        The patient as corrected.

    Raises:
        Refusal: nothing differs from what is recorded, the record number would be empty, or nobody living can have
            that birth date.
        Conflict: the record number belongs to another patient of the organisation.
        PatientErased: there is nothing left to correct.
    """
    patient = lock_patient(patient.pk)
    patient.data_key()
    said = {name: value.strip() for name, value in asdict(right).items() if value is not None}
    before = {name: getattr(patient, name) for name, value in said.items() if getattr(patient, name) != value}
    if not before:
        raise Refusal("nothing_to_correct", "all of that is recorded already; nothing was changed")
    if "record_number" in before and not said["record_number"]:
        raise Refusal("record_number_missing", "a patient needs a record number", field="record_number")
    if said.get("birth_date") and "birth_date" in before:
        check_birth_date(date.fromisoformat(said["birth_date"]))
    for name in before:
        setattr(patient, name, said[name])
    patient.index()
    _save(patient, renumbered="record_number" in before)
    correction = PatientCorrection(
        patient=patient, corrected_by=user, corrected_at=timezone.now(), reason=CorrectionReason(reason)
    )
    correction.before = before
    correction.save(force_insert=True)
    _correct_snapshots(patient, before)
    record(
        "patient.corrected",
        patient,
        actor=user,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"fields": sorted(before), "reason": str(reason)},
    )
    return patient


def _save(patient: Patient, *, renumbered: bool) -> None:
    """The database decides who has a record number when two ask for it at once."""
    if renumbered and taken_under_another_key(patient.organisation, patient.record_number, but=patient):
        raise _number_taken(patient)
    try:
        with transaction.atomic():
            patient.save()
    except IntegrityError as error:
        if constraint_of(error) != "patient_record_number_once":
            raise
        raise _number_taken(patient) from error


def _number_taken(patient: Patient) -> Conflict:
    others = Patient.objects.filter(organisation=patient.organisation).exclude(pk=patient.pk)
    holder = others.with_record_number(patient.record_number, [patient.organisation]).first()
    whose = f"patient {holder.pk}" if holder else "another patient"  # erased within these milliseconds
    said = f"this record number belongs to {whose} of the same organisation; nothing was changed"
    return Conflict("record_number_taken", said, field="record_number")


def _correct_snapshots(patient: Patient, before: dict[str, str]) -> None:
    """What statistics count by is what was right, and not what was typed."""
    if not before.keys() & {"birth_date", "sex", "fitzpatrick_skin_type"}:
        return
    for case in Case.objects.filter(patient=patient).only("pk", "seen_at"):
        Case.objects.filter(pk=case.pk).update(
            age_approx=age_band(patient.birth_date, case.seen_at.date()),
            sex=patient.sex,
            fitzpatrick_skin_type=patient.fitzpatrick_skin_type,
        )
