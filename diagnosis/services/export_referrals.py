"""What a patient's record says of referrals: questions, messages, reads, signed answers and outcomes."""

from typing import Any

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import Message, MessageImage, Outcome, Patient, Referral


def messages_of(patient: Patient) -> list[Message]:
    """All messages about a patient, the first first, able to be opened."""
    messages = list(
        Message.objects.filter(referral__case__patient=patient)
        .select_related("referral__case")
        .prefetch_related("images")
        .order_by("sent_at", "pk")
    )
    for message in messages:
        message.referral.case.patient = patient
    return messages


def message_file_of(image: MessageImage) -> str:
    """The photograph's name in the archive."""
    return f"images/message-{image.message_id}-photograph-{image.position}.jpg"


def referrals_of(patient: Patient) -> list[dict[str, Any]]:
    """Referrals as ``record.json`` has them. Colleagues are named by their organisation only, as in the accesses."""
    by_referral: dict[object, list[Message]] = {}
    for message in messages_of(patient):
        by_referral.setdefault(message.referral_id, []).append(message)
    found = []
    for referral in (
        Referral.objects.filter(case__patient=patient).select_related("service", "case").order_by("sent_at", "pk")
    ):
        referral.case.patient = patient
        found.append(_referral(referral, by_referral.get(referral.pk, [])))
    return found


def _referral(referral: Referral, messages: list[Message]) -> dict[str, Any]:
    return {
        "id": referral.pk,
        "case_id": referral.case_id,
        "service": referral.service.name,
        "urgency": referral.urgency,
        "state": referral.state,
        "sent_at": referral.sent_at,
        "due_at": referral.due_at,
        "question": referral.question,
        "decline_reason": referral.decline_reason,
        "explanation": referral.explanation,
        "messages": [
            {
                "sent_at": message.sent_at,
                "kind": message.kind,
                "from": "the clinic" if message.from_clinic else "the service",
                "text": message.text,
                "images": [message_file_of(image) for image in message.images.all()],
            }
            for message in messages
        ],
        "reads": [
            {
                "recorded_at": read.recorded_at,
                "role": read.role,
                "blind": read.blind,
                "diagnosis": diagnoses()[read.diagnosis].name,
                "confidence": read.confidence,
                "comment": read.comment,
            }
            for read in _with(referral, referral.reads.all())
        ],
        "opinions": [
            {"asked_at": opinion.asked_at, "state": opinion.state, "question": opinion.question}
            for opinion in _with(referral, referral.opinions.all())
        ],
        "assessments": [
            {
                "id": assessment.pk,
                "amends": assessment.amends_id,
                "signed_at": assessment.signed_at,
                "signature": assessment.signature,
                "diagnosis": diagnoses()[assessment.diagnosis].name,
                "confidence": assessment.confidence,
                "plan": assessment.plan,
                "months": assessment.months,
                "text": assessment.text,
            }
            for assessment in _with(referral, referral.assessments.all())
        ],
    }


def _with(referral: Referral, rows: Any) -> list[Any]:
    """Rows that share the referral whose patient's key is open already."""
    found = list(rows)
    for row in found:
        row.referral = referral
    return found


def outcomes_of(patient: Patient) -> list[dict[str, Any]]:
    """What the patient's lesions turned out to be."""
    found = []
    for outcome in Outcome.objects.filter(lesion__patient=patient).select_related("lesion").order_by("recorded_at"):
        outcome.lesion.patient = patient
        found.append(
            {
                "id": outcome.pk,
                "lesion_id": outcome.lesion_id,
                "kind": outcome.kind,
                "diagnosis": diagnoses()[outcome.diagnosis].name,
                "determined_on": outcome.determined_on,
                "recorded_at": outcome.recorded_at,
                "corrects": outcome.corrects_id,
                "note": outcome.note,
            }
        )
    return found
