"""The one table of what may be done with a referral, from which state, by whom, and where it leads."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from diagnosis.models import Referral, ReferralState
from diagnosis.services.errors import Conflict, Refusal
from skincare.accounts.models import Membership, Role, User


class Who(Enum):
    """In which part somebody acts on a referral."""

    CLINICIAN = "a clinician of the clinic that referred"
    DERMATOLOGIST = "a dermatologist of the service"
    CLAIMANT = "the dermatologist who accepted it"
    PLATFORM = "the platform itself"


class Action(StrEnum):
    """What can be done with a referral."""

    ACCEPT = "accept"
    TAKE_OVER = "take_over"
    RELEASE = "release"
    DECLINE = "decline"
    ASK = "ask"
    REPLY = "reply"
    ANSWER = "answer"
    AMEND = "amend"
    CLOSE = "close"
    WITHDRAW = "withdraw"
    STOP = "stop"
    EXPIRE = "expire"


@dataclass(frozen=True)
class Transition:
    """From which states, to which, and who may."""

    before: frozenset[ReferralState]
    after: ReferralState | None
    """None where the state stays."""
    by: Who
    name: Promise
    """What is done, as it stands on a button."""


def _from(*states: ReferralState) -> frozenset[ReferralState]:
    return frozenset(states)


S: Final = ReferralState
TRANSITIONS: Final[dict[Action, Transition]] = {
    Action.ACCEPT: Transition(_from(S.SENT), S.ACCEPTED, Who.DERMATOLOGIST, gettext_lazy("Accept")),
    Action.TAKE_OVER: Transition(
        _from(S.ACCEPTED, S.MORE_INFORMATION_ASKED), None, Who.DERMATOLOGIST, gettext_lazy("Take over")
    ),
    Action.RELEASE: Transition(_from(S.ACCEPTED), S.SENT, Who.CLAIMANT, gettext_lazy("Give back")),
    Action.DECLINE: Transition(
        _from(S.SENT, S.ACCEPTED, S.MORE_INFORMATION_ASKED), S.DECLINED, Who.DERMATOLOGIST, gettext_lazy("Decline")
    ),
    Action.ASK: Transition(
        _from(S.ACCEPTED), S.MORE_INFORMATION_ASKED, Who.CLAIMANT, gettext_lazy("Ask for more information")
    ),
    Action.REPLY: Transition(_from(S.MORE_INFORMATION_ASKED), S.ACCEPTED, Who.CLINICIAN, gettext_lazy("Reply")),
    Action.ANSWER: Transition(
        _from(S.ACCEPTED, S.MORE_INFORMATION_ASKED), S.ANSWERED, Who.CLAIMANT, gettext_lazy("Sign the assessment")
    ),
    Action.AMEND: Transition(
        _from(S.ANSWERED, S.CLOSED), S.ANSWERED, Who.DERMATOLOGIST, gettext_lazy("Amend the assessment")
    ),
    Action.CLOSE: Transition(_from(S.ANSWERED), S.CLOSED, Who.CLINICIAN, gettext_lazy("Close")),
    Action.WITHDRAW: Transition(
        _from(S.SENT, S.ACCEPTED, S.MORE_INFORMATION_ASKED), S.WITHDRAWN, Who.CLINICIAN, gettext_lazy("Withdraw")
    ),
    Action.STOP: Transition(
        _from(S.SENT, S.ACCEPTED, S.MORE_INFORMATION_ASKED), S.WITHDRAWN, Who.PLATFORM, gettext_lazy("Stop")
    ),
    Action.EXPIRE: Transition(
        _from(S.SENT, S.ACCEPTED, S.MORE_INFORMATION_ASKED), S.EXPIRED, Who.PLATFORM, gettext_lazy("Expire")
    ),
}


class IllegalTransition(Conflict):
    """The referral's state does not allow it."""


def parts_of(user: User | None, referral: Referral) -> frozenset[Who]:
    """In which parts a user may act on a referral; nobody is the platform itself."""
    if user is None:
        return frozenset({Who.PLATFORM})
    roles = set(
        Membership.objects.filter(
            user=user, organisation__in=[referral.case.organisation_id, referral.service_id]
        ).values_list("organisation_id", "role")
    )
    parts = set()
    if (referral.case.organisation_id, Role.CLINICIAN) in roles:
        parts.add(Who.CLINICIAN)
    if (referral.service_id, Role.DERMATOLOGIST) in roles:
        parts.add(Who.DERMATOLOGIST)
        if referral.claimed_by_id == user.pk:
            parts.add(Who.CLAIMANT)
    return frozenset(parts)


def check(action: Action, referral: Referral, user: User | None) -> Transition:
    """Make sure that ``user`` may do this to the referral as it is now. Call it with the referral locked.

    Raises:
        IllegalTransition: the state does not allow it; the sentence says who brought the referral there.
        Refusal: the user has another part, or none.
    """
    transition = TRANSITIONS[action]
    parts = parts_of(user, referral)
    holder = person(referral.claimed_by)
    if holder and _of_another(action, parts) and referral.state in transition.before:
        raise IllegalTransition(
            "taken", f"{holder} accepted this referral; take it over first, or ask {holder}", field="state"
        )
    if referral.state not in transition.before:
        raise _illegal(action, referral)
    if transition.by not in parts:
        raise Refusal("not_your_part", f"only {transition.by.value} may {action.value.replace('_', ' ')} a referral")
    return transition


def insist_on_consent(referral: Referral) -> None:
    """Make sure, for what changes no state, that the consent was not withdrawn and has not ended by the clock.

    Raises:
        Conflict: it has, whether or not that was noted.
    """
    if referral.stopped_at is not None or referral.consent_has_ended:
        raise Conflict("no_consent", "the patient's consent to teledermatology has ended; the referral stops")


def allowed(referral: Referral, user: User) -> list[Action]:
    """What the user may do with the referral as it is now, for buttons; the check is made again when it is done."""
    parts = parts_of(user, referral)
    return [
        action
        for action, transition in TRANSITIONS.items()
        if referral.state in transition.before
        and transition.by in parts
        and not (referral.claimed_by_id and _of_another(action, parts))
        and not (action is Action.TAKE_OVER and Who.CLAIMANT in parts)
    ]


def _of_another(action: Action, parts: frozenset[Who]) -> bool:
    """Whether a dermatologist would do what is the business of the colleague who accepted."""
    claimants = TRANSITIONS[action].by is Who.CLAIMANT or action is Action.DECLINE
    return claimants and Who.DERMATOLOGIST in parts and Who.CLAIMANT not in parts


def _illegal(action: Action, referral: Referral) -> IllegalTransition:
    by = person(referral.changed_by) or gettext("the platform itself")
    since = f"{referral.state_since:%Y-%m-%d %H:%M:%S} UTC"
    state = ReferralState(referral.state)
    code = "taken" if action is Action.ACCEPT and state == ReferralState.ACCEPTED else "illegal_transition"
    before = ", ".join(sorted(TRANSITIONS[action].before))
    return IllegalTransition(
        code,
        f"{action.value.replace('_', ' ')} is not possible: the referral is {state.value.replace('_', ' ')} "
        f"since {since}, by {by}; it would have to be {before.replace('_', ' ')}",
        field="state",
    )


def person(user: User | None) -> str:
    """How a colleague is named to another: by name, or by address where there is none."""
    if user is None:
        return ""
    return user.get_full_name() or user.email
