"""Creating patients and lesions, each once even when a client sends them twice."""

from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import AnatomicalSite, DataKey, FitzpatrickSkinType, Lesion, Patient, Sex
from diagnosis.models.sealed import PatientErased
from diagnosis.services.errors import Conflict, Refusal
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record
from skincare.encryption import blind_index

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
    index = blind_index(new.record_number, purpose="record-number", salt=organisation.pk)
    patient = Patient(
        id=new.id,
        organisation=organisation,
        data_key_row=DataKey.generate(new.id),
        record_number_index=index,
        sex=new.sex,
        fitzpatrick_skin_type=new.fitzpatrick_skin_type,
        created_by=user,
    )
    patient.record_number = new.record_number.strip()
    patient.name = new.name.strip()
    patient.birth_date = new.birth_date.isoformat() if new.birth_date else ""
    try:
        with transaction.atomic():
            if patient.data_key_row is not None:
                patient.data_key_row.save(force_insert=True)
            patient.save(force_insert=True)
    except IntegrityError:
        return _existing_patient(organisation, new, index), False
    record("patient.created", patient, actor=user, patient_id=patient.pk, organisation_id=organisation.pk)
    return patient, True


def _existing_patient(organisation: Organisation, new: NewPatient, index: bytes) -> Patient:
    patients = Patient.objects.select_related("data_key_row", "organisation")
    by_number = patients.filter(organisation=organisation, record_number_index=index).first()
    if by_number is not None and by_number.pk == new.id:
        return by_number
    if by_number is not None:
        raise Conflict(
            "record_number_taken",
            f"this record number already belongs to patient {by_number.pk}; send that id instead",
            field="record_number",
        )
    raise Conflict("id_taken", f"the id {new.id} is taken; choose another UUID", field="id")


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
