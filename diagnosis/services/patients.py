"""Creating patients and lesions, each once even when a client sends them twice."""

from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID, uuid4

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from diagnosis.models import AnatomicalSite, DataKey, FitzpatrickSkinType, Lesion, Patient, PatientCorrection, Sex
from diagnosis.models.sealed import PatientErased
from diagnosis.services.errors import Conflict, Refusal
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record
from skincare.encryption import record_number_indexes

#: The oldest age that was ever proven is 122 years.
OLDEST_AGE_YEARS: Final = 125


@dataclass(frozen=True)
class NewPatient:
    """A patient as a client describes one. The id may be the client's own."""

    record_number: str
    name: str = ""
    birth_date: date | None = None
    sex: Sex | str = ""
    fitzpatrick_skin_type: FitzpatrickSkinType | str = ""
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True)
class NewLesion:
    """A lesion as a client describes one. The point is given as fractions of the body map's width and height."""

    anatom_site_general: AnatomicalSite | str
    body_map_side: str = ""
    body_map_x: float | None = None
    body_map_y: float | None = None
    description: str = ""
    id: UUID = field(default_factory=uuid4)


def age_in_years(birth_date: date, on: date) -> int:
    """Completed years of life on a day."""
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))


def check_birth_date(birth_date: date) -> None:
    """Refuse a birth date that nobody living can have.

    Raises:
        Refusal: it lies in the future or more than 125 years ago.
    """
    today = timezone.now().date()
    if birth_date > today:
        raise Refusal("in_the_future", f"birth_date {birth_date} lies in the future", field="birth_date")
    age = age_in_years(birth_date, today)
    if age > OLDEST_AGE_YEARS:
        raise Refusal(
            "impossible_age",
            f"birth_date {birth_date} makes the patient {age} years old; at most {OLDEST_AGE_YEARS} is believed",
            field="birth_date",
        )


@transaction.atomic
def create_patient(*, user: User, organisation: Organisation, new: NewPatient) -> tuple[Patient, bool]:
    """Create a patient with a data key of their own, or return the one that was created by the same request before.

    Returns:
        The patient, and whether it was created now.

    Raises:
        Refusal: no record number, or an impossible birth date.
        Conflict: the id or the record number belongs to another patient.
    """
    if not new.record_number.strip():
        raise Refusal("record_number_missing", "a patient needs a record number", field="record_number")
    if new.birth_date is not None:
        check_birth_date(new.birth_date)
    if taken_under_another_key(organisation, new.record_number):
        return _existing_patient(organisation, new), False
    patient = Patient(
        id=new.id,
        organisation=organisation,
        data_key_row=DataKey.generate(new.id),
        sex=new.sex,
        fitzpatrick_skin_type=new.fitzpatrick_skin_type,
        created_by=user,
    )
    patient.record_number = new.record_number.strip()
    patient.name = new.name.strip()
    patient.birth_date = new.birth_date.isoformat() if new.birth_date else ""
    patient.index()
    try:
        with transaction.atomic():
            if patient.data_key_row is not None:
                patient.data_key_row.save(force_insert=True)
            patient.save(force_insert=True)
    except IntegrityError:
        return _existing_patient(organisation, new), False
    record("patient.created", patient, actor=user, patient_id=patient.pk, organisation_id=organisation.pk)
    return patient, True


def taken_under_another_key(organisation: Organisation, record_number: str, but: Patient | None = None) -> bool:
    """Whether somebody else has this number under an index key that is being replaced, where the database's own
    constraint sees no equals. Whoever asks for the same number meanwhile waits until this transaction ends.
    """
    digests = record_number_indexes(record_number, salt=organisation.pk)
    if len(digests) == 1:
        return False
    # Of all who know the same index keys, whichever of them is their current one, the same lock.
    lock = int.from_bytes(min(digests)[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
    others = Patient.objects.filter(organisation=organisation, record_number_index__in=digests[1:])
    return (others.exclude(pk=but.pk) if but else others).exists()


def _existing_patient(organisation: Organisation, new: NewPatient) -> Patient:
    patients = Patient.objects.select_related("data_key_row", "organisation")
    by_id = patients.filter(organisation=organisation, pk=new.id).first()
    if by_id is not None and _had_number(by_id, new.record_number):
        return by_id
    by_number = patients.filter(organisation=organisation).with_record_number(new.record_number, [organisation]).first()
    if by_number is not None:
        raise Conflict(
            "record_number_taken",
            f"this record number already belongs to patient {by_number.pk}; send that id instead",
            field="record_number",
        )
    raise Conflict("id_taken", f"the id {new.id} is taken; choose another UUID", field="id")


def _had_number(patient: Patient, record_number: str) -> bool:
    """Whether the number is the patient's, or was until it was corrected: a phone that was away may still send it."""
    if patient.erased:
        return False
    digest = record_number_indexes(record_number, salt=patient.organisation_id)[0]
    befores = [correction.before for correction in PatientCorrection.of(patient)]
    numbers = [patient.record_number, *(before["record_number"] for before in befores if "record_number" in before)]
    return any(record_number_indexes(number, salt=patient.organisation_id)[0] == digest for number in numbers)


@transaction.atomic
def create_lesion(*, user: User, patient: Patient, new: NewLesion) -> tuple[Lesion, bool]:
    """Create a lesion, or return the one that was created by the same request before.

    Returns:
        The lesion, and whether it was created now.

    Raises:
        Conflict: the id belongs to a lesion of another patient.
        Refusal: the point on the body map is not whole.
        PatientErased: nothing is added to an erased patient.
    """
    # Locked, so that an erasure does not overlook what is just being added.
    if not Patient.objects.select_for_update(of=("self",)).filter(pk=patient.pk, data_key_row__isnull=False).exists():
        raise PatientErased(f"patient {patient.pk} was erased")
    return create_lesion_of_locked(user=user, patient=patient, new=new)


def create_lesion_of_locked(*, user: User, patient: Patient, new: NewLesion) -> tuple[Lesion, bool]:
    """`create_lesion` where the caller has locked the patient's row in this transaction, or made it there."""
    point = (new.body_map_side != "", new.body_map_x is not None, new.body_map_y is not None)
    if any(point) and not all(point):
        raise Refusal(
            "point_not_whole",
            "a point on the body map needs body_map_side, body_map_x and body_map_y together",
            field="body_map_side",
        )
    lesion = Lesion(
        id=new.id,
        patient=patient,
        anatom_site_general=new.anatom_site_general,
        body_map_side=new.body_map_side,
        body_map_x=new.body_map_x,
        body_map_y=new.body_map_y,
        created_by=user,
    )
    lesion.description = new.description.strip()
    try:
        with transaction.atomic():
            lesion.save(force_insert=True)
    except IntegrityError as error:
        existing = Lesion.objects.select_related("patient__data_key_row").filter(pk=new.id).first()
        if existing is None:
            raise
        if existing.patient_id != patient.pk:
            raise Conflict("id_taken", f"the id {new.id} is taken; choose another UUID", field="id") from error
        return existing, False
    record("lesion.created", lesion, actor=user, patient_id=patient.pk, organisation_id=patient.organisation_id)
    return lesion, True
