"""Erasing a patient: the data key and all that identifies are destroyed, a plain snapshot stays for statistics."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from diagnosis.models import (
    Analysis,
    Case,
    CaseImage,
    DataKey,
    EmergencyAccess,
    Erasure,
    ErasureReason,
    Lesion,
    MessageImage,
    Patient,
    Referral,
    SecondOpinion,
)
from diagnosis.services.consents import lock_patient, stop_analyses
from diagnosis.services.errors import Refusal
from diagnosis.services.files import remove
from diagnosis.services.referral_moves import stop_referrals
from skincare.accounts.models import User
from skincare.audit.record import record


@transaction.atomic
def erase_patient(
    *, patient_id: UUID, reason: ErasureReason, user: User | None = None, erased_at: datetime | None = None
) -> Erasure:
    """Erase a patient for good. Done again, it only finishes what was left over, and answers with the first erasure.

    What stays: the case's snapshot (age band, sex, site, skin type), checklist and answer, the consents without their
    evidence, the audit record (ids only), and the tombstone. What waits or runs stops at once. The stored files go
    after the commit; if the store is away just then, ``remove_files_of_the_erased`` takes them later, and until then
    nobody can open them.

    Args:
        erased_at: for an erasure that a restored backup does not know of; now, unless given.

    Raises:
        Patient.DoesNotExist: there is no such patient.
    """
    patient = lock_patient(patient_id)
    transaction.on_commit(lambda: remove_files_of_the_erased(patient_id), robust=True)
    known = Erasure.objects.filter(pk=patient_id).first()
    if known is not None and patient.erased:
        return known

    stop_analyses(patient, reason="patient_erased", text="The patient was erased before the network had answered.")
    stop_referrals(patient, reason="patient_erased")
    Patient.objects.filter(pk=patient_id).update(
        data_key_row=None,
        record_number_index=None,
        name_index=None,
        index_key_id="",
        sealed_record_number=None,
        sealed_name=None,
        sealed_birth_date=None,
        sex="",
        fitzpatrick_skin_type="",
    )
    DataKey.objects.filter(pk=patient_id).delete()
    Lesion.objects.filter(patient=patient).update(
        sealed_description=None, body_map_side="", body_map_x=None, body_map_y=None
    )
    cases = Case.objects.filter(patient=patient).update(sealed_note=None, submission_digest=b"")
    images = CaseImage.objects.filter(case__patient=patient).update(sha256="")
    # The database lets an answer lose these two, once the key is gone, and nothing else.
    Analysis.objects.filter(case__patient=patient).exclude(sealed_map=None, sealed_embedding=None).update(
        sealed_map=None, sealed_embedding=None
    )
    EmergencyAccess.objects.filter(patient=patient).update(sealed_explanation=None)
    Referral.objects.filter(case__patient=patient).update(sealed_question=None, sealed_explanation=None)
    SecondOpinion.objects.filter(referral__case__patient=patient).update(sealed_question=None)
    images += MessageImage.objects.filter(message__referral__case__patient=patient).update(sha256="")
    if known is None:
        known = Erasure.objects.create(
            patient_id=patient_id,
            organisation_id=patient.organisation_id,
            erased_at=erased_at or timezone.now(),
            erased_by=user.pk if user else None,
            reason=reason,
        )
    record(
        "patient.erased",
        patient,
        actor=user,
        patient_id=patient_id,
        organisation_id=patient.organisation_id,
        details={"reason": str(reason), "cases": cases, "images": images, "replayed": erased_at is not None},
    )
    return known


def erase_on_request(*, user: User, patient: Patient, reason: ErasureReason, record_number: str) -> Erasure:
    """Erase a patient whom an administrator names twice: by id and by record number.

    Args:
        patient: of an organisation that ``user`` administers (the caller has made sure).
        record_number: not asked for again once the patient is erased, since nothing is left to compare it with.

    Raises:
        Refusal: the record number is not this patient's.
    """
    organisation = patient.organisation
    same = Patient.objects.with_record_number(record_number, [organisation]).filter(pk=patient.pk)
    if not patient.erased and not same.exists():
        raise Refusal(
            "record_number_differs",
            "this is not the patient's record number; nothing was erased. Make sure that the id is the right one",
            field="record_number",
        )
    return erase_patient(patient_id=patient.pk, reason=reason, user=user)


def remove_files_of_the_erased(patient_id: UUID | None = None) -> int:
    """Delete stored photographs and views of erased patients; of one, or of all that were left over.

    Returns:
        How many files were deleted.

    Raises:
        OSError: the store does not answer; call again later.
    """
    images = CaseImage.objects.filter(case__patient__data_key_row=None).exclude(photograph_file="", view_file="")
    if patient_id is not None:
        images = images.filter(case__patient=patient_id)
    removed = 0
    for image in images:
        for name in filter(None, (image.photograph_file, image.view_file)):
            remove(name)
            removed += 1
        CaseImage.objects.filter(pk=image.pk).update(photograph_file="", view_file="")
    sent = MessageImage.objects.filter(message__referral__case__patient__data_key_row=None).exclude(photograph_file="")
    if patient_id is not None:
        sent = sent.filter(message__referral__case__patient=patient_id)
    for photograph in sent:
        remove(photograph.photograph_file)
        removed += 1
        MessageImage.objects.filter(pk=photograph.pk).update(photograph_file="")
    return removed


def replay(ledger: Iterable[Erasure]) -> int:
    """Erase again whom a restored backup brought back.

    Args:
        ledger: tombstones of this database or of a newer one.

    Returns:
        How many patients were erased.
    """
    tombstones = {tombstone.patient_id: tombstone for tombstone in ledger}
    returned = Patient.objects.filter(pk__in=tombstones).exclude(
        Q(data_key_row=None) & Q(pk__in=Erasure.objects.values("patient_id"))
    )
    ids = list(returned.values_list("pk", flat=True))
    for patient_id in ids:
        tombstone = tombstones[patient_id]
        erase_patient(
            patient_id=patient_id, reason=ErasureReason(tombstone.reason), erased_at=tombstone.erased_at, user=None
        )
    Erasure.objects.bulk_create(tombstones.values(), ignore_conflicts=True)
    return len(ids)
