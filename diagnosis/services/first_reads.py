"""Reading blind: who records a diagnosis before the network's answer is shown, and who was shown it when.

A dermatologist sees nothing of the network's answer, nor that there is one, until they have recorded a read. The same
holds for a second or third reader, who until then sees nothing of the other readers either. A service can switch
this off (``ServicePolicy.blind_read``); when each was shown the answer is kept all the same.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import (
    Analysis,
    AnswerShown,
    Case,
    FirstRead,
    OpinionKind,
    OpinionState,
    ReadRole,
    Referral,
    ReferralState,
    SecondOpinion,
)
from diagnosis.models.patients import organisations_of_clinician
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.notifications import announce
from diagnosis.services.referral_moves import note, touch
from diagnosis.services.referral_states import IllegalTransition, Who, insist_on_consent, parts_of, person
from diagnosis.services.referrals import check_text, lock_referral
from diagnosis.services.worklist_order import policy_of
from skincare.accounts.models import User


@dataclass(frozen=True)
class NewRead:
    """What a reader thinks before the network's answer."""

    diagnosis: str
    """A code of ``classifier.diagnoses``."""
    confidence: int
    """Per cent."""
    comment: str = ""


def check_diagnosis(code: str, field: str = "diagnosis") -> None:
    """Make sure that the dictionary has the code.

    Raises:
        Refusal: it has not.
    """
    if code not in diagnoses():
        raise Refusal("unknown_diagnosis", f"{code!r} is not a diagnosis; see diagnoses/", field=field)


def check_confidence(confidence: int) -> None:
    """Make sure that it is a share in per cent.

    Raises:
        Refusal: it is not 0 to 100.
    """
    if not 0 <= confidence <= 100:
        raise Refusal("impossible_confidence", f"confidence {confidence}: 0 to 100 are possible", field="confidence")


def asked_opinion(user: User, referral: Referral) -> SecondOpinion | None:
    """The opinion on this referral that waits for the user, or was given by them."""
    opinions = SecondOpinion.objects.for_reader(user).filter(referral=referral)
    return next(iter(sorted(opinions, key=lambda each: each.reader_id != user.pk)), None)


def own_read(user: User, referral: Referral) -> FirstRead | None:
    """What the user recorded."""
    return FirstRead.objects.filter(referral=referral, reader=user).first()


@transaction.atomic
def record_first_read(*, user: User, referral_id: UUID, new: NewRead) -> FirstRead:
    """Record a read: by the dermatologist who accepted, or by a reader who was asked for an opinion. Once, for good.

    Sent again with the same content it is recorded once.

    Raises:
        Refusal: the diagnosis or the confidence is impossible, or the user has no part in it.
        Conflict: the user has recorded another read before.
        IllegalTransition: the referral is not being read, or a colleague has it.
    """
    referral = lock_referral(referral_id)
    check_diagnosis(new.diagnosis)
    check_confidence(new.confidence)
    check_text(new.comment, "comment")
    known = own_read(user, referral)
    if known is not None:
        if (known.diagnosis, known.confidence) != (new.diagnosis, new.confidence):
            raise Conflict("read_already", "you have recorded your read before; it cannot be changed any more")
        return known
    role, opinion = _role(user, referral)
    insist_on_consent(referral)
    read = FirstRead(
        referral=referral,
        reader=user,
        role=role,
        diagnosis=new.diagnosis,
        confidence=new.confidence,
        recorded_at=timezone.now(),
        blind=not could_know(user, referral),
    )
    read.comment = new.comment.strip()
    read.save(force_insert=True)
    if opinion is not None:
        opinion.reader, opinion.state, opinion.ended_at = user, OpinionState.GIVEN, read.recorded_at
        opinion.save(update_fields=["reader", "state", "ended_at"])
    touch(referral)
    note(referral, "read", user, {"read": str(read.pk), "role": str(role), "blind": read.blind})
    if opinion is not None:
        announce(referral, "opinion_given", user)
    return read


def _role(user: User, referral: Referral) -> tuple[ReadRole, SecondOpinion | None]:
    parts = parts_of(user, referral)
    opinion = asked_opinion(user, referral)
    # Also where they have taken the referral over since: it would be compared with no other read otherwise.
    if opinion is not None and opinion.state == OpinionState.ASKED and referral.open:
        return (ReadRole.THIRD if opinion.kind == OpinionKind.THIRD else ReadRole.SECOND), opinion
    if Who.CLAIMANT in parts:
        if not referral.open:
            raise IllegalTransition(
                "illegal_transition", f"the referral is {referral.state}; it is read no more", field="state"
            )
        return ReadRole.FIRST, None
    if Who.DERMATOLOGIST in parts and referral.state == ReferralState.SENT:
        raise IllegalTransition("not_accepted", "accept the referral first", field="state")
    if Who.DERMATOLOGIST in parts and referral.open:
        raise IllegalTransition("taken", f"{person(referral.claimed_by)} accepted this referral", field="state")
    raise Refusal("not_your_part", "only the dermatologist who accepted, or one who was asked, may record a read")


def could_know(user: User, referral: Referral) -> bool:
    """Whether the user has had the network's answer to the lesion, on any referral, or works where it is shown."""
    return (
        AnswerShown.objects.filter(referral__case__lesion=referral.case.lesion_id, reader=user).exists()
        or organisations_of_clinician(user).filter(pk=referral.case.organisation_id).exists()
    )


def must_read_first(user: User, referral: Referral) -> bool:
    """Whether the network's answer is to be withheld from the user, as a dermatologist, on this referral.

    It is, where the service reads blind, until the user has recorded a read. Once the referral is answered a
    dermatologist of the service who is not asked to read it may see everything.
    """
    if own_read(user, referral) is not None:
        return False
    opinion = asked_opinion(user, referral)
    waits_for_user = opinion is not None and opinion.state == OpinionState.ASKED
    if not (referral.open or waits_for_user):
        return False
    return policy_of(referral.service_id).blind_read


def sees_other_reads(user: User, referral: Referral) -> bool:
    """Whether the user may see what other readers found: not before their own read where they are asked for one."""
    parts = parts_of(user, referral)
    if Who.CLINICIAN in parts:
        return not referral.open
    if not referral.open:
        return True
    return own_read(user, referral) is not None


def answer_withheld(user: User, case: Case) -> bool:
    """Whether the network's answer to a case, and that there is one, is to be kept from the user.

    A clinician of the case's clinic sees it. A dermatologist does not, as long as any referral of the same lesion
    before them is to be read first: an earlier answer would tell about the present one.
    """
    if organisations_of_clinician(user).filter(pk=case.organisation_id).exists():
        return False
    referrals = Referral.objects.for_reader(user).filter(case__lesion=case.lesion_id)
    found = list(referrals)
    return not found or any(must_read_first(user, referral) for referral in found)


@transaction.atomic
def show_answer(*, user: User, referral: Referral) -> Analysis | None:
    """What the network said of a referral's case, as far as the user may have it now; that it was shown is kept.

    Returns:
        Nothing as long as it is withheld.
    """
    case = referral.case
    if organisations_of_clinician(user).filter(pk=case.organisation_id).exists():
        return Analysis.objects.select_related("model_version").get(case=case)
    if answer_withheld(user, case):
        return None
    analysis = Analysis.objects.select_related("model_version").get(case=case)
    if not AnswerShown.objects.filter(referral=referral, reader=user).exists():
        AnswerShown.objects.bulk_create(
            [AnswerShown(referral=referral, reader=user, shown_at=timezone.now())], ignore_conflicts=True
        )
        note(referral, "answer_shown", user, {"analysis": str(analysis.pk)})
    return analysis
