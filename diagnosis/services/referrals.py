"""Referring a case, and moving a referral from state to state. Every change locks the patient, then the referral."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from diagnosis.models import (
    Case,
    ConsentScope,
    DeclineReason,
    Referral,
    ReferralState,
    Urgency,
)
from diagnosis.models.sealed import PatientErased
from diagnosis.services.consents import consent_in_force, lock_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.referral_moves import move, note
from diagnosis.services.referral_states import Action, check
from diagnosis.services.worklist_order import place, policy_of
from skincare.accounts.models import Organisation, Role, User

LONGEST_TEXT: Final = 5000


@dataclass(frozen=True)
class NewReferral:
    """What a clinician asks of a service. The id may be the client's own, so that sending twice refers once."""

    case: UUID
    service: UUID
    urgency: Urgency | str
    question: str = ""
    id: UUID | None = None


def services_for(clinic: Organisation) -> list[Organisation]:
    """The dermatology services that take referrals of this clinic."""
    services = Organisation.objects.filter(kind=Organisation.Kind.DERMATOLOGY_SERVICE).select_related("service_policy")
    closed = services.filter(service_policy__open_to_all_clinics=False).exclude(service_policy__clinics=clinic)
    return list(services.exclude(pk__in=closed.values("pk")).order_by("name"))


@transaction.atomic
def refer_case(*, user: User, new: NewReferral) -> Referral:
    """Bring a case before a dermatology service.

    Args:
        new: its case must be one that ``user`` may see as a clinician.

    Raises:
        Refusal: no such case or service, the service does not take the clinic's referrals, or a text is too long.
        Conflict: no consent to teledermatology is in force, or the case is before a service already.
        PatientErased: there is nobody left to refer.
    """
    case = Case.objects.for_user(user).filter(pk=new.case).first()
    if case is None:
        raise Refusal("not_found", "there is no such case of yours", field="case")
    patient = lock_patient(case.patient_id)
    if patient.erased:
        raise PatientErased(f"patient {patient.pk} was erased")
    case = Case.objects.select_related("organisation", "analysis").get(pk=case.pk)
    case.patient = patient
    referral_id = new.id or uuid4()
    twin = Referral.objects.with_everything().filter(pk=referral_id).first()
    if twin is not None:
        if (twin.case_id, twin.service_id, twin.urgency) != (new.case, new.service, new.urgency):
            raise Conflict("id_taken", f"the id {referral_id} is taken; choose another UUID", field="id")
        return twin
    service = next((each for each in services_for(case.organisation) if each.pk == new.service), None)
    if service is None:
        raise Refusal(
            "no_such_service",
            f"{new.service} is no dermatology service that takes referrals of {case.organisation.name}; "
            "see referral-services/",
            field="service",
        )
    check_text(new.question, "question")
    if consent_in_force(patient, ConsentScope.TELEDERMATOLOGY) is None:
        raise Conflict(
            "no_consent",
            "the patient's consent to teledermatology is not in force; record it first (patients/{id}/consents/)",
        )
    standing = Referral.objects.filter(case=case).open().select_related("service").first()
    if standing is not None:
        raise Conflict(
            "already_referred",
            f"the case is before {standing.service.name} since {standing.sent_at:%Y-%m-%d %H:%M} UTC "
            f"(referral {standing.pk}); withdraw that one first",
            field="case",
        )
    policy = policy_of(service)
    now = timezone.now()
    due_at = now + policy.time_for(new.urgency)
    referral = Referral(
        id=referral_id,
        case=case,
        service=service,
        clinic=case.organisation,
        anatom_site_general=case.anatom_site_general,
        referred_by=user,
        changed_by=user,
        urgency=new.urgency,
        state=ReferralState.SENT,
        sent_at=now,
        state_since=now,
        due_at=due_at,
        expires_at=due_at + timedelta(hours=policy.expire_after_hours),
    )
    referral.question = new.question.strip()
    referral.sort_key = place(referral, policy)
    referral.save(force_insert=True)
    note(referral, "sent", user)
    return referral


def accept_referral(*, user: User, referral_id: UUID) -> Referral:
    """Accept for oneself. Of two at once one wins, and the other is told who.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``.
    """
    return _claim(Action.ACCEPT, user, referral_id)


def take_over_referral(*, user: User, referral_id: UUID) -> Referral:
    """Take over what a colleague accepted, as when they are ill. The colleague's read stays on record.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``; it is one's own already.
    """
    return _claim(Action.TAKE_OVER, user, referral_id)


@transaction.atomic
def _claim(action: Action, user: User, referral_id: UUID) -> Referral:
    referral = lock_referral(referral_id)
    if action is Action.TAKE_OVER and referral.claimed_by_id == user.pk:
        raise Conflict("already_yours", "you have this referral already")
    check(action, referral, user)
    referral.claimed_by, referral.claimed_at = user, timezone.now()
    return move(referral, action, user, "claimed_by", "claimed_at")


@transaction.atomic
def release_referral(*, user: User, referral_id: UUID) -> Referral:
    """Give back what one accepted; it waits for anybody again, and its due time stays.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``.
    """
    referral = lock_referral(referral_id)
    check(Action.RELEASE, referral, user)
    referral.claimed_by = referral.claimed_at = None
    return move(referral, Action.RELEASE, user, "claimed_by", "claimed_at")


@transaction.atomic
def decline_referral(*, user: User, referral_id: UUID, reason: DeclineReason, explanation: str) -> Referral:
    """Decline, with a reason from the list and words for the clinician.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``; no words.
    """
    referral = lock_referral(referral_id)
    check(Action.DECLINE, referral, user)
    check_text(explanation, "explanation", needed=True)
    referral.decline_reason = reason
    referral.explanation = explanation.strip()
    return move(referral, Action.DECLINE, user, "decline_reason", "sealed_explanation")


@transaction.atomic
def withdraw_referral(*, user: User, referral_id: UUID, explanation: str = "") -> Referral:
    """Take a referral back, as when the patient was seen elsewhere.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``.
    """
    referral = lock_referral(referral_id)
    check(Action.WITHDRAW, referral, user)
    check_text(explanation, "explanation")
    referral.explanation = explanation.strip()
    return move(referral, Action.WITHDRAW, user, "sealed_explanation")


@transaction.atomic
def close_referral(*, user: User, referral_id: UUID) -> Referral:
    """Say that the answer was read and acted upon.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``.
    """
    referral = lock_referral(referral_id)
    check(Action.CLOSE, referral, user)
    return move(referral, Action.CLOSE, user)


def lock_referral(referral_id: UUID) -> Referral:
    """Lock the patient's row and then the referral's until the transaction ends.

    Raises:
        Referral.DoesNotExist: there is none.
        PatientErased: nothing moves any more.
    """
    patient = lock_patient(Referral.objects.values_list("case__patient_id", flat=True).get(pk=referral_id))
    referral = (
        Referral.objects.select_for_update(of=("self",))
        .select_related("service", "referred_by", "claimed_by", "changed_by", "case__organisation", "case__lesion")
        .get(pk=referral_id)
    )
    referral.case.patient = patient
    if patient.erased:
        raise PatientErased(f"patient {patient.pk} was erased")
    return referral


def check_text(text: str, field: str, *, needed: bool = False) -> None:
    """Make sure that a text fits.

    Raises:
        Refusal: it is too long, or empty where words are needed.
    """
    if needed and not text.strip():
        raise Refusal("text_missing", f"{field} must say something", field=field)
    if len(text) > LONGEST_TEXT:
        raise Refusal(
            "text_too_long", f"{field} has {len(text)} characters; at most {LONGEST_TEXT} are kept", field=field
        )


def is_dermatologist(user: User, service: Organisation | UUID) -> bool:
    """Whether the user is a dermatologist of the service."""
    pk = service.pk if isinstance(service, Organisation) else service
    return user.memberships.filter(organisation=pk, role=Role.DERMATOLOGIST).exists()
