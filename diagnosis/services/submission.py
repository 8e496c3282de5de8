"""Submitting a case: it is stored whole, in one transaction, once for each idempotency key, or not at all."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from diagnosis.classifier.photograph import Photograph
from diagnosis.models import (
    Analysis,
    AnalysisState,
    Case,
    CaseImage,
    ConsentScope,
    ImageKind,
    Lesion,
    Patient,
    Suspicion,
)
from diagnosis.models.sealed import PatientErased
from diagnosis.services.bell import ring_for_inference_on_commit
from diagnosis.services.clinical_rule import clinical_demand
from diagnosis.services.consents import ConsentStatement, consent_in_force, lock_patient, record_consent_of_locked
from diagnosis.services.errors import CLOCK_TOLERANCE_SECONDS, Conflict, KeyReused, Refusal
from diagnosis.services.files import kept_only_on_success, store_sealed
from diagnosis.services.patients import (
    NewLesion,
    NewPatient,
    age_in_years,
    create_lesion_of_locked,
    create_patient,
)
from diagnosis.services.photographs import check_photograph
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record, recorded_together

MOST_IMAGES: Final = 10
#: Ages are kept in bands of this width, the last one open, so that a snapshot identifies nobody.
AGE_BAND_YEARS: Final = 5
OLDEST_AGE_BAND: Final = 85


@dataclass(frozen=True)
class NewImage:
    """A photograph as it was uploaded."""

    kind: ImageKind
    upload: bytes


@dataclass(frozen=True)
class ClinicalData:
    """History, checklist and the clinician's own impression, as fields of ``Case``."""

    suspicion: Suspicion | str
    impression: str = ""
    checklist: Mapping[str, bool] = field(default_factory=dict)
    bleeding: bool = False
    growth: bool = False
    personal_hx_mm: bool | None = None
    family_hx_mm: bool | None = None
    personal_hx_skin_cancer: bool | None = None
    sun_damage: bool | None = None
    immunosuppression: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class NewCase:
    """A whole submission. ``id`` is the idempotency key."""

    id: UUID
    patient: UUID | NewPatient
    lesion: UUID | NewLesion
    consents: Sequence[ConsentStatement]
    images: Sequence[NewImage]
    clinical: ClinicalData
    seen_at: datetime


@dataclass(frozen=True)
class Submission:
    """What became of a submission: the case, and whether an earlier twin had stored it."""

    case: Case
    replayed: bool


def digest_of(fields: Mapping[str, object], images: Sequence[NewImage]) -> bytes:
    """SHA-256 over the request's fields (sorted) and the photographs' kinds and bytes, 32 bytes."""
    canonical = {
        "fields": fields,
        "images": [[image.kind, hashlib.sha256(image.upload).hexdigest()] for image in images],
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, default=str).encode()).digest()


def submit_case(*, user: User, organisation: Organisation, new: NewCase, digest: bytes) -> Submission:
    """Check, store and queue a case.

    Args:
        organisation: one where ``user`` is a clinician (the caller has made sure).
        digest: of the request as it was sent, from ``digest_of``.

    Returns:
        The stored case; sent again with the same key and content, the same case.

    Raises:
        Refusal: a photograph or a field is not acceptable; nothing is stored.
        KeyReused: the key came with other content before.
        Conflict: a client-chosen id or a record number belongs to something else.
        PatientErased: this case was stored before, and its patient has been erased since.
    """
    twin = _twin(user, new.id, digest)
    if twin is not None:
        return Submission(twin, replayed=True)
    if not 1 <= len(new.images) <= MOST_IMAGES:
        raise Refusal(
            "number_of_photographs",
            f"{len(new.images)} photographs were sent; a case needs 1 to {MOST_IMAGES}",
            field="images",
        )
    _check_seen_at(new.seen_at)
    photographs = [check_photograph(position, image.upload) for position, image in enumerate(new.images, start=1)]
    with kept_only_on_success() as files, transaction.atomic():
        # Twins that arrive at the same instant wait here for one another.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [new.id.int & 0x7FFF_FFFF_FFFF_FFFF])
        twin = _twin(user, new.id, digest)
        if twin is not None:
            return Submission(twin, replayed=True)
        with recorded_together():
            case = _store(user, organisation, new, digest, photographs, files)
        ring_for_inference_on_commit()
    return Submission(case, replayed=False)


def _twin(user: User, case_id: UUID, digest: bytes) -> Case | None:
    if not Case.objects.filter(pk=case_id).exists():  # nearly always
        return None
    case = Case.objects.get(pk=case_id)
    if case.submitted_by_id != user.pk or not Case.objects.for_user(user).filter(pk=case_id).exists():
        raise Conflict("id_taken", f"the id {case_id} is taken; choose another UUID", field="id")
    if case.patient.erased:
        raise PatientErased(f"patient {case.patient_id} was erased")
    if bytes(case.submission_digest) != digest:
        raise KeyReused(
            "key_reused",
            f"the idempotency key {case_id} was used for a case with other content; "
            "send the same content again, or choose a new key for a new case",
            field="Idempotency-Key",
        )
    return case


def _check_seen_at(seen_at: datetime) -> None:
    now = timezone.now()
    if seen_at > now + timedelta(seconds=CLOCK_TOLERANCE_SECONDS):
        raise Refusal(
            "in_the_future",
            f"seen_at {seen_at.isoformat()} lies in the future; it is {now.isoformat()} here",
            field="seen_at",
        )


def _store(
    user: User,
    organisation: Organisation,
    new: NewCase,
    digest: bytes,
    photographs: Sequence[Photograph],
    files: list[str],
) -> Case:
    patient = _patient(user, organisation, new.patient)
    lesion = _lesion(user, patient, new.lesion)
    for index, statement in enumerate(new.consents):
        try:
            record_consent_of_locked(user=user, patient=patient, statement=statement)
        except Refusal as refusal:
            refusal.field = f"consents[{index}].{refusal.field}"
            raise
    clinical = new.clinical
    case = Case(
        id=new.id,
        organisation=organisation,
        patient=patient,
        lesion=lesion,
        submitted_by=user,
        seen_at=min(new.seen_at, timezone.now()),
        submission_digest=digest,
        age_approx=age_band(patient.birth_date, new.seen_at.date()),
        sex=patient.sex,
        anatom_site_general=lesion.anatom_site_general,
        fitzpatrick_skin_type=patient.fitzpatrick_skin_type,
        suspicion=clinical.suspicion,
        impression=clinical.impression,
        bleeding=clinical.bleeding,
        growth=clinical.growth,
        personal_hx_mm=clinical.personal_hx_mm,
        family_hx_mm=clinical.family_hx_mm,
        personal_hx_skin_cancer=clinical.personal_hx_skin_cancer,
        sun_damage=clinical.sun_damage,
        immunosuppression=clinical.immunosuppression,
        **clinical.checklist,
    )
    case.note = clinical.note.strip()
    case.save(force_insert=True)
    images = []
    for position, (image, photograph) in enumerate(zip(new.images, photographs, strict=True), start=1):
        files.append(photograph_file := store_sealed(patient, photograph.jpeg))
        files.append(view_file := store_sealed(patient, photograph.stored_view))
        images.append(
            CaseImage(
                case=case,
                position=position,
                kind=image.kind,
                sha256=photograph.sha256,
                width=photograph.width,
                height=photograph.height,
                received_format=photograph.received_format,
                quality=photograph.quality.as_dict(),
                quality_problems=list(photograph.quality.problems),
                photograph_file=photograph_file,
                view_file=view_file,
            )
        )
    CaseImage.objects.bulk_create(images)
    level, decider = clinical_demand(case)
    analysis = Analysis(case=case, recommendation=str(level), decided_by=str(decider))
    if consent_in_force(patient, ConsentScope.ANALYSIS) is not None:
        analysis.state = AnalysisState.WAITING
        analysis.waiting_since = timezone.now()
    else:
        analysis.state = AnalysisState.NOT_REQUESTED
        analysis.reason = "no_consent"
        analysis.reason_text = "The patient has not consented to the analysis of the photographs."
    analysis.save(force_insert=True)
    record(
        "case.submitted",
        case,
        actor=user,
        patient_id=patient.pk,
        organisation_id=organisation.pk,
        details={"analysis": str(analysis.pk), "state": str(analysis.state), "images": len(images)},
    )
    return case


def _patient(user: User, organisation: Organisation, patient: UUID | NewPatient) -> Patient:
    if isinstance(patient, NewPatient):
        try:
            found, created = create_patient(user=user, organisation=organisation, new=patient)
        except Refusal as refusal:
            refusal.field = f"patient.{refusal.field}"
            raise
        # One made just now, in this transaction, nobody else can see yet.
        return found if created else lock_patient(found.pk)
    if not Patient.objects.for_user(user).filter(pk=patient, organisation=organisation).exists():
        raise Refusal("not_found", f"there is no patient {patient} in this organisation", field="patient")
    locked = lock_patient(patient)
    if locked.erased:
        raise Refusal("patient_erased", f"patient {patient} was erased; no case can be added", field="patient")
    return locked


def _lesion(user: User, patient: Patient, lesion: UUID | NewLesion) -> Lesion:
    if isinstance(lesion, NewLesion):
        try:
            created, _ = create_lesion_of_locked(user=user, patient=patient, new=lesion)
        except Refusal as refusal:
            refusal.field = f"lesion.{refusal.field}"
            raise
        return created
    found = Lesion.objects.filter(pk=lesion, patient=patient).first()
    if found is None:
        raise Refusal("not_found", f"there is no lesion {lesion} of this patient", field="lesion")
    return found


def age_band(birth_date: str, on: date) -> int | None:
    """Lower end of the five-year band of the age on a day, at most 85; nothing without a birth date."""
    if not birth_date:
        return None
    age = max(0, age_in_years(date.fromisoformat(birth_date), on))
    return min(age // AGE_BAND_YEARS * AGE_BAND_YEARS, OLDEST_AGE_BAND)
