"""How a referral is shown to its clinic and to its readers: never with an answer that is to be read blind first."""

from typing import Any, Final

from rest_framework.request import Request

from diagnosis.api.access import signed_in
from diagnosis.api.case_documents import AnalysisDocument, ImageDocument
from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import Assessment, Case, FirstRead, Message, Referral
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services import notifications
from diagnosis.services.first_reads import must_read_first, own_read, sees_other_reads, show_answer
from diagnosis.services.referral_messages import unread_counts
from diagnosis.services.referral_states import Who, allowed, parts_of, person
from diagnosis.services.second_opinions import consensus_of
from diagnosis.services.worklist import reason
from skincare.accounts.models import User


def summary(referral: Referral) -> dict[str, Any]:
    """A referral in a list: nothing that the network said."""
    case = referral.case
    return {
        "id": referral.pk,
        "case": referral.case_id,
        "clinic": {"id": case.organisation_id, "name": case.organisation.name},
        "service": referral.service_id,
        "urgency": referral.urgency,
        "state": referral.state,
        "sent_at": referral.sent_at,
        "due_at": referral.due_at,
        "claimed_by": person(referral.claimed_by) or None,
        "age_approx": case.age_approx,
        "sex": case.sex,
        "anatom_site_general": case.anatom_site_general,
        "revision": referral.revision,
    }


def listed_for_clinic(user: User, referrals: list[Referral]) -> list[dict[str, Any]]:
    """Referrals in the list of the clinic that sent them, each with what the user has not seen of it yet."""
    unread = unread_counts(user, referrals)
    news = notifications.unseen(user, referrals)
    return [
        {
            **summary(referral),
            "patient": referral.case.patient_id,
            "lesion": referral.case.lesion_id,
            "service_name": referral.service.name,
            "answered_at": referral.answered_at,
            "unread_messages": unread.get(referral.pk, 0),
            "news": referral.pk in news,
        }
        for referral in referrals
    ]


def listed_for_reader(referral: Referral, *, blind: bool) -> dict[str, Any]:
    """The same with the reason for its place in the worklist."""
    return {**summary(referral), "reason": reason(referral, blind=blind)}


def whole(referral: Referral, request: Request) -> dict[str, Any]:
    """A referral with its case, as this user may see it now. That a reader is shown the answer is recorded."""
    user = signed_in(request)
    parts = parts_of(user, referral)
    analysis = show_answer(user=user, referral=referral)
    others = sees_other_reads(user, referral)
    mine = own_read(user, referral)
    reads = list(referral.reads.select_related("reader")) if others else [mine] if mine else []
    consensus = consensus_of(referral) if others else None
    assessments = list(referral.assessments.all()) if others or Who.CLINICIAN in parts else []
    return {
        **summary(referral),
        "service_name": referral.service.name,
        "answered_at": referral.answered_at,
        "state_since": referral.state_since,
        "question": referral.question,
        "decline_reason": referral.decline_reason or None,
        "explanation": referral.explanation,
        "allowed": [action.value for action in allowed(referral, user)],
        "must_read_first": Who.CLINICIAN not in parts and must_read_first(user, referral),
        "unread_messages": unread_counts(user, [referral]).get(referral.pk, 0),
        "clinical": _clinical(referral.case, request),
        "answer_withheld": analysis is None,
        "answer": _answer(referral, analysis, request),
        "reads": [_read(referral, each) for each in reads],
        "readers_disagree": consensus.disagree if consensus else None,
        "settled_as": (consensus.settled_as or None) if consensus else None,
        "assessments": [assessment(referral, each) for each in assessments],
    }


def _answer(referral: Referral, analysis: Any, request: Request) -> Any:
    if analysis is None:
        return None
    analysis.case = referral.case
    return AnalysisDocument(analysis, context={"request": request}).data


def _clinical(case: Case, request: Request) -> dict[str, Any]:
    plain = (
        "seen_at", "age_approx", "sex", "anatom_site_general", "fitzpatrick_skin_type", "suspicion", "impression",
        *CHECKLIST_POINTS, "checklist_score", "bleeding", "growth", "personal_hx_mm", "family_hx_mm",
        "personal_hx_skin_cancer", "sun_damage",
        "immunosuppression",
    )  # fmt: skip
    return {
        **{name: getattr(case, name) for name in plain},
        "note": "" if case.patient.erased else case.note,
        "images": ImageDocument(case.images.all(), many=True, context={"request": request}).data,
    }


def _read(referral: Referral, read: FirstRead) -> dict[str, Any]:
    read.referral = referral
    return {
        "reader": person(read.reader),
        "role": read.role,
        "diagnosis": read.diagnosis,
        "confidence": read.confidence,
        "comment": read.comment,
        "recorded_at": read.recorded_at,
        "blind": read.blind,
    }


def assessment(referral: Referral, signed: Assessment) -> dict[str, Any]:
    """A signed answer."""
    signed.referral = referral
    return {
        "id": signed.pk,
        "amends": signed.amends_id,
        "diagnosis": signed.diagnosis,
        "diagnosis_levels": list(diagnoses()[signed.diagnosis].levels),
        "confidence": signed.confidence,
        "plan": signed.plan,
        "months": signed.months,
        "text": signed.text,
        "signed_by": signed.signature,
        "signed_at": signed.signed_at,
    }


def message(referral: Referral, written: Message) -> dict[str, Any]:
    """A message."""
    written.referral = referral
    photographs = [image.pk for image in sorted(written.images.all(), key=lambda image: image.position)]
    return {
        "id": written.pk,
        "author": person(written.author),
        "from_clinic": written.from_clinic,
        "kind": written.kind,
        "sent_at": written.sent_at,
        "text": written.text,
        "images": len(photographs),
        "photographs": photographs,
    }


EXAMPLE_SUMMARY: Final = {
    "id": "f0a3c9de-6d0a-4ff5-8d0b-6f6b1b0f6d10",
    "case": "0b6f6f0e-8f0c-4e8e-9a57-3b0a4f6d2c11",
    "clinic": {"id": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77", "name": "Hill Road Surgery"},
    "service": "7d1c2a55-5c0e-4c7a-9e57-0c1f6a2b3d44",
    "urgency": "soon",
    "state": "sent",
    "sent_at": "2026-11-23T09:20:00Z",
    "due_at": "2026-11-26T09:20:00Z",
    "claimed_by": None,
    "age_approx": 65,
    "sex": "female",
    "anatom_site_general": "upper extremity",
    "revision": 1,
}
EXAMPLE_LISTED: Final = {
    **EXAMPLE_SUMMARY,
    "patient": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
    "lesion": "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01",
    "service_name": "Skin Centre",
    "answered_at": None,
    "unread_messages": 0,
    "news": False,
}
EXAMPLE_WHOLE: Final = {
    **EXAMPLE_SUMMARY,
    "service_name": "Skin Centre",
    "answered_at": None,
    "state_since": "2026-11-23T09:20:00Z",
    "question": "Melanoma?",
    "decline_reason": None,
    "explanation": "",
    "allowed": ["accept", "decline"],
    "must_read_first": True,
    "unread_messages": 0,
    "clinical": {"seen_at": "2026-11-23T09:10:00Z", "suspicion": "unsure", "checklist_score": 4, "images": []},
    "answer_withheld": True,
    "answer": None,
    "reads": [],
    "readers_disagree": None,
    "settled_as": None,
    "assessments": [],
}
