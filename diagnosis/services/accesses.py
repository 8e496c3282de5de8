"""Telling an organisation's administrator who saw a patient's data, and who did what with it."""

from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from diagnosis.models import CorrectionReason, EmergencyReason, Patient
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record

#: What events about patients say; what is not here is shown by its code.
ACTIONS: Final[dict[str, Promise]] = {
    "patient.read": gettext_lazy("Saw the patient's data"),
    "patient.created": gettext_lazy("Entered the patient"),
    "patient.corrected": gettext_lazy("Corrected the patient's data"),
    "patient.exported": gettext_lazy("Took out the whole record"),
    "patient.erased": gettext_lazy("Erased the patient"),
    "accesses.read": gettext_lazy("Looked who saw the patient's data"),
    "emergency.opened": gettext_lazy("Opened the record in an emergency"),
    "emergency.read": gettext_lazy("Read the record in an emergency"),
    "emergency.ended": gettext_lazy("Ended the emergency access"),
    "lesion.created": gettext_lazy("Entered a lesion"),
    "case.submitted": gettext_lazy("Submitted a case"),
    "consent.granted": gettext_lazy("Recorded a consent"),
    "consent.withdrawn": gettext_lazy("Recorded the withdrawal of a consent"),
    "consent.expired": gettext_lazy("Noted that a consent had expired"),
    "referral.sent": gettext_lazy("Referred the case"),
    "referral.accept": gettext_lazy("Accepted the referral"),
    "referral.take_over": gettext_lazy("Took the referral over"),
    "referral.release": gettext_lazy("Gave the referral back"),
    "referral.decline": gettext_lazy("Declined the referral"),
    "referral.ask": gettext_lazy("Asked the clinician for more"),
    "referral.reply": gettext_lazy("Replied to the question"),
    "referral.answer": gettext_lazy("Signed the assessment"),
    "referral.amend": gettext_lazy("Amended the assessment"),
    "referral.close": gettext_lazy("Closed the referral"),
    "referral.withdraw": gettext_lazy("Withdrew the referral"),
    "referral.stop": gettext_lazy("The referral was stopped"),
    "referral.stopped": gettext_lazy("The service's sight of the referral ended"),
    "referral.reminded": gettext_lazy("Was reminded of the referral"),
    "referral.escalated": gettext_lazy("The referral was moved up as overdue"),
    "referral.outcome_due": gettext_lazy("Was reminded of the outcome"),
    "outcome.recorded": gettext_lazy("Recorded an outcome"),
    "referral.expire": gettext_lazy("The referral expired"),
    "referral.read": gettext_lazy("Recorded a read"),
    "referral.answer_shown": gettext_lazy("Was shown the network's answer"),
    "referral.message": gettext_lazy("Wrote a message"),
    "referral.letter_made": gettext_lazy("Took out the answer as a letter"),
    "referral.referral_letter_made": gettext_lazy("Took out the referral as a letter"),
    "referral.leaflet_made": gettext_lazy("Took out the patient's leaflet"),
    "referral.opinion_asked": gettext_lazy("Asked for another opinion"),
    "referral.opinion_declined": gettext_lazy("Declined to give an opinion"),
    "referral.opinion_withdrawn": gettext_lazy("Took back a request for an opinion"),
    "analysis.answered": gettext_lazy("The network answered"),
    "analysis.abstained": gettext_lazy("The network gave no result"),
    "analysis.failed": gettext_lazy("The network's reading failed"),
    "analysis.returned": gettext_lazy("The network's reading was put off"),
    "analysis.retried": gettext_lazy("Asked for the network's reading again"),
    "analysis.stopped": gettext_lazy("The network's reading was stopped"),
    "shadow.answered": gettext_lazy("A version on trial read the case, unseen"),
    "shadow.abstained": gettext_lazy("A version on trial gave no result, unseen"),
    "shadow.failed": gettext_lazy("A version on trial could not read the case, unseen"),
    "training.included": gettext_lazy("Took the photographs into the training data"),
    "training.read": gettext_lazy("Trained the network on the photographs"),
}


@transaction.atomic
def accesses_to(*, user: User, patient: Patient) -> QuerySet[AuditEvent]:
    """Every event about a patient, by anybody of any organisation; that ``user`` asks is recorded as one of them.

    Args:
        patient: of an organisation that ``user`` administers (the caller has made sure).
    """
    record("accesses.read", patient, actor=user, patient_id=patient.pk, organisation_id=patient.organisation_id)
    return AuditEvent.objects.filter(patient_id=patient.pk).select_related("actor").order_by("-at", "-id")


def in_words(event: AuditEvent) -> str:
    """What happened, for a person; the code of an action that has no words yet."""
    return str(ACTIONS.get(event.action, event.action))


def reason_of(event: AuditEvent) -> str:
    """Why, where a reason was recorded."""
    reason = event.details.get("reason", "")
    if event.action.startswith("emergency.") and reason in EmergencyReason.values:
        return str(EmergencyReason(reason).label)
    if event.action == "patient.corrected" and reason in CorrectionReason.values:
        return str(CorrectionReason(reason).label)
    return reason if isinstance(reason, str) else ""
