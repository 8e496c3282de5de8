"""A patient's whole record as a readable archive, for the patient's right of access."""

import json
import zipfile
from typing import IO, Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from diagnosis.models import (
    Case,
    CaseImage,
    ConsentEvent,
    ConsentScope,
    Decision,
    EmergencyAccess,
    Lesion,
    Patient,
    PatientCorrection,
)
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.models.sealed import PatientErased
from diagnosis.services import wording
from diagnosis.services.consents import consent_in_force
from diagnosis.services.export_referrals import message_file_of, messages_of, outcomes_of, referrals_of
from diagnosis.services.files import open_sealed
from diagnosis.services.record_pdf import PICTURE_SIDE, render
from diagnosis.services.typesetting import shrink
from skincare.accounts.models import Membership, User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record

FORMAT: Final = "skincare-patient-record/1"
ABOUT: Final = (
    "Everything that is kept about one patient: record.pdf for reading, record.json for programs, the photographs in "
    "images/, signatures in consents/. Times are UTC. The network's results support the clinician's judgement; they "
    "are not a diagnosis. Accesses name the organisation of whoever looked, and a number by which the clinic can tell "
    "you more."
)


@transaction.atomic
def export_patient(*, patient_id: UUID, output: IO[bytes], user: User | None = None) -> None:
    """Write the archive, and record who took it.

    Args:
        output: a binary file, open for writing.
        user: who exports; empty for the command line.

    Raises:
        Patient.DoesNotExist: there is no such patient.
        PatientErased: there is nothing left to give.
        OSError: a stored photograph cannot be fetched.
        SealBroken: a stored photograph or text was altered.
    """
    patient = Patient.objects.select_related("data_key_row", "organisation").get(pk=patient_id)
    if patient.erased:
        raise PatientErased(f"patient {patient_id} was erased")
    cases = list(Case.objects.with_everything().filter(patient=patient).order_by("seen_at", "pk"))
    described = describe(patient, cases)
    with zipfile.ZipFile(output, "w") as archive:
        pictures = {}
        for number, case in enumerate(cases, start=1):
            for image in case.images.all():
                content = open_sealed(patient, image.photograph_file)
                archive.writestr(file_of(number, image), content, zipfile.ZIP_STORED)
                pictures[file_of(number, image)] = shrink(content, PICTURE_SIDE)
        for message in messages_of(patient):
            for photograph in message.images.all():
                archive.writestr(
                    message_file_of(photograph), open_sealed(patient, photograph.photograph_file), zipfile.ZIP_STORED
                )
        for entry, event in zip(described["consents"], _events(patient), strict=True):
            if entry["signature"]:
                archive.writestr(entry["signature"], event.signature, zipfile.ZIP_STORED)
                pictures[entry["signature"]] = shrink(event.signature, PICTURE_SIDE)
        text = json.dumps(described, ensure_ascii=False, indent=2, default=str)
        archive.writestr("record.json", text, zipfile.ZIP_DEFLATED)
        archive.writestr("record.pdf", render(described, pictures), zipfile.ZIP_DEFLATED)
    record(
        "patient.exported",
        patient,
        actor=user,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"cases": len(cases), "images": sum(len(case.images.all()) for case in cases)},
    )


def file_of(number: int, image: CaseImage) -> str:
    """The photograph's name in the archive, from its case's number there."""
    return f"images/case-{number:02}-photograph-{image.position}-{image.kind}.jpg"


def describe(patient: Patient, cases: list[Case]) -> dict[str, Any]:
    """The record as ``record.json`` has it."""
    about = {"format": FORMAT, "about": ABOUT, "exported_at": timezone.now()}
    corrections = [
        {"corrected_at": correction.corrected_at, "reason": correction.reason, "before": correction.before}
        for correction in PatientCorrection.of(patient)
    ]
    return {
        **about,
        **describe_care(patient, cases),
        "corrections": corrections,
        "emergency_accesses": _emergency_accesses(patient),
        "accesses": _accesses(patient),
    }


def describe_care(patient: Patient, cases: list[Case]) -> dict[str, Any]:
    """What is known of the patient, apart from who looked at it."""
    return {
        "patient": {
            "id": patient.pk,
            "organisation": patient.organisation.name,
            "record_number": patient.record_number,
            "name": patient.name,
            "birth_date": patient.birth_date or None,
            "sex": patient.sex or None,
            "fitzpatrick_skin_type": patient.fitzpatrick_skin_type or None,
            "created_at": patient.created_at,
        },
        "allowed_now": {scope.value: consent_in_force(patient, scope) is not None for scope in ConsentScope},
        "consents": _consents(patient),
        "lesions": _lesions(patient),
        "referrals": referrals_of(patient),
        "outcomes": outcomes_of(patient),
        "cases": [_case(number, case) for number, case in enumerate(cases, start=1)],
    }


def _consents(patient: Patient) -> list[dict[str, Any]]:
    return [
        {
            "scope": event.scope,
            "change": event.change,
            "captured_at": event.captured_at,
            "recorded_at": event.recorded_at,
            "expires_at": event.expires_at,
            "method": event.method,
            "language": event.language,
            "witness": event.witness,
            "signature": f"consents/signature-{number:02}.png" if event.sealed_signature else None,
            "policy": str(event.policy),
            "policy_text": event.policy.text,
        }
        for number, event in enumerate(_events(patient), start=1)
    ]


def _events(patient: Patient) -> list[ConsentEvent]:
    events = list(patient.consent_events.select_related("policy"))
    for event in events:
        event.patient = patient  # with the data key that is already unwrapped
    return events


def _lesions(patient: Patient) -> list[dict[str, Any]]:
    lesions = []
    for lesion in Lesion.objects.filter(patient=patient).order_by("created_at", "pk"):
        lesion.patient = patient
        lesions.append(
            {
                "id": lesion.pk,
                "anatom_site_general": lesion.anatom_site_general,
                "body_map_side": lesion.body_map_side,
                "body_map_x": lesion.body_map_x,
                "body_map_y": lesion.body_map_y,
                "description": lesion.description,
                "created_at": lesion.created_at,
            }
        )
    return lesions


_PLAIN: Final = (
    "id",
    "lesion_id",
    "submitted_at",
    "seen_at",
    "age_approx",
    "sex",
    "anatom_site_general",
    "fitzpatrick_skin_type",
    *CHECKLIST_POINTS,
    "checklist_score",
    "bleeding",
    "growth",
    "personal_hx_mm",
    "family_hx_mm",
    "personal_hx_skin_cancer",
    "sun_damage",
    "immunosuppression",
    "suspicion",
    "impression",
    "note",
)
_OF_ANALYSIS: Final = (
    "state",
    "reason",
    "probabilities",
    "predicted",
    "malignancy_risk",
    "recommendation",
    "decided_by",
    "notices",
    "readings",
    "conditions",
    "finished_at",
)


def _case(number: int, case: Case) -> dict[str, Any]:
    analysis = case.analysis
    version = analysis.model_version
    return {
        **{name: getattr(case, name) for name in _PLAIN},
        "images": [
            {
                "file": file_of(number, image),
                "kind": image.kind,
                "width": image.width,
                "height": image.height,
                "sha256": image.sha256,
                "quality": image.quality,
            }
            for image in case.images.all()
        ],
        "analysis": {
            "statement": wording.statement(analysis),
            "model_version": version.name if version else None,
            **{name: getattr(analysis, name) for name in _OF_ANALYSIS},
        },
        "decisions": [
            {
                "decided_at": decision.decided_at,
                "kind": decision.kind,
                "remind_on": decision.remind_on,
                "reason": decision.reason,
                "note": decision.note,
            }
            for decision in _decisions(case)
        ],
        # Of versions on trial, which no clinician has seen and no recommendation rests on.
        "read_in_shadow": [
            {
                "model_version": reading.model_version.name,
                "state": reading.state,
                "probabilities": reading.probabilities,
                "predicted": reading.predicted,
                "read_at": reading.read_at,
            }
            for reading in case.shadow_readings.select_related("model_version").order_by("read_at")
        ],
    }


def _decisions(case: Case) -> list[Decision]:
    decisions = list(case.decisions.order_by("decided_at"))
    for decision in decisions:
        decision.case = case  # with the data key that is already unwrapped
    return decisions


def _emergency_accesses(patient: Patient) -> list[dict[str, Any]]:
    accesses = list(EmergencyAccess.objects.filter(patient=patient).order_by("opened_at", "pk"))
    organisations = _organisations_of({access.opened_by_id for access in accesses})
    for access in accesses:
        access.patient = patient  # with the data key that is already unwrapped
    return [
        {
            "opened_at": access.opened_at,
            "ended_at": access.ended_at or access.ends_at,
            "by": organisations.get(access.opened_by_id, ""),
            "reason": access.reason,
            "explanation": access.explanation,
        }
        for access in accesses
    ]


def _accesses(patient: Patient) -> list[dict[str, Any]]:
    events = list(AuditEvent.objects.filter(patient_id=patient.pk).order_by("pk"))
    organisations = _organisations_of({event.actor_id for event in events if event.actor_id})
    return [
        {
            "number": event.pk,
            "at": event.at,
            "action": event.action,
            "by": organisations.get(event.actor_id, "") if event.actor_id else "the platform itself",
        }
        for event in events
    ]


def _organisations_of(people: set[UUID]) -> dict[UUID, str]:
    """By user, where they work: colleagues are not named."""
    found: dict[UUID, set[str]] = {}
    for user, name in Membership.objects.filter(user__in=people).values_list("user_id", "organisation__name"):
        found.setdefault(user, set()).add(name)
    return {user: ", ".join(sorted(names)) for user, names in found.items()}
