"""Asking a colleague or another service to read too, showing where they disagree, and settling it by a third reader."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.classifier.diagnoses import agree
from diagnosis.models import FirstRead, OpinionKind, OpinionState, ReadRole, Referral, SecondOpinion
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.referral_moves import note, touch
from diagnosis.services.referral_states import IllegalTransition, Who, parts_of, person
from diagnosis.services.referrals import check_text, is_dermatologist, lock_referral
from skincare.accounts.models import Organisation, Role, User


@dataclass(frozen=True)
class Consensus:
    """Where the readers of a referral stand."""

    awaited: str
    """Who was asked and has not read yet; empty if nobody."""
    disagree: bool
    """Whether the first and the second reader differ."""
    settled_as: str
    """The third reader's diagnosis, which counts; empty without one."""

    @property
    def unsettled(self) -> bool:
        """Whether nobody has settled a disagreement yet."""
        return self.disagree and not self.settled_as


def consensus_of(referral: Referral) -> Consensus:
    """Compare the reads that count: the first reader's, the second's and the third's.

    First reader is who has the referral, once they have read it as such. Until then, and where they read it as the
    second or third before they took it over, it is the latest first reader before them: a disagreement does not end by
    one of the two leaving.
    """
    asked = referral.opinions.filter(state=OpinionState.ASKED).select_related("reader", "service").first()
    reads = {read.role: read for read in _reads_that_count(referral)}
    first, second, third = (reads.get(role) for role in (ReadRole.FIRST, ReadRole.SECOND, ReadRole.THIRD))
    return Consensus(
        awaited="" if asked is None else person(asked.reader) or asked.service.name,
        disagree=first is not None and second is not None and not agree(first.diagnosis, second.diagnosis),
        settled_as=third.diagnosis if third is not None else "",
    )


def _reads_that_count(referral: Referral) -> list[FirstRead]:
    reads = list(FirstRead.objects.filter(referral=referral).order_by("recorded_at", "pk"))
    first = [read for read in reads if read.role == ReadRole.FIRST]
    own = [read for read in first if read.reader_id == referral.claimed_by_id]
    return [*(own or first[-1:]), *(read for read in reads if read.role != ReadRole.FIRST)]


def asked_of(user: User) -> QuerySet[SecondOpinion]:
    """What waits for the user to read, or for anybody of a service of theirs; the first asked first."""
    waiting = SecondOpinion.objects.for_reader(user).filter(state=OpinionState.ASKED)
    seen = waiting.filter(referral__in=Referral.objects.for_reader(user))
    return seen.select_related(
        "asked_by", "reader", "service", "referral__case__organisation", "referral__case__patient__data_key_row"
    ).order_by("asked_at", "pk")


def colleagues(user: User, referral: Referral) -> list[User]:
    """Whom of the referral's service the user may ask: who works there and has not read it."""
    if not is_dermatologist(user, referral.service_id):
        return []
    read = FirstRead.objects.filter(referral=referral).values("reader")
    found = User.objects.filter(
        is_active=True, memberships__organisation=referral.service_id, memberships__role=Role.DERMATOLOGIST
    )
    return list(found.exclude(pk=user.pk).exclude(pk__in=read).distinct().order_by("last_name", "email"))


def other_services(referral: Referral) -> list[Organisation]:
    """Dermatology services that could be asked instead."""
    services = Organisation.objects.filter(kind=Organisation.Kind.DERMATOLOGY_SERVICE)
    return list(services.exclude(pk=referral.service_id).order_by("name"))


@transaction.atomic
def ask_opinion(
    *, user: User, referral_id: UUID, service: UUID, reader: UUID | None = None, question: str = ""
) -> SecondOpinion:
    """Ask a colleague, or whoever of a service takes it up, to read the referral without knowing what was read.

    The one who asks has read it before. A second request, once the two disagree, is for the third reader.

    Raises:
        Refusal: not a dermatologist of that service, or one who has read it already.
        Conflict: an opinion is awaited or settled already, or one's own read is missing.
        IllegalTransition: the referral is not one's own, or not being read.
    """
    referral = lock_referral(referral_id)
    parts = parts_of(user, referral)
    if Who.CLAIMANT not in parts or not referral.open:
        raise IllegalTransition("not_yours", "only the dermatologist who has the referral may ask for an opinion")
    if not FirstRead.objects.filter(referral=referral, reader=user).exists():
        raise Conflict("read_first", "record your own read first (first-read/), so that both are independent")
    check_text(question, "question")
    consensus = consensus_of(referral)
    if consensus.awaited:
        raise Conflict("opinion_awaited", f"an opinion of {consensus.awaited} is awaited already")
    if consensus.settled_as:
        raise Conflict("settled", "a third reader has settled it")
    have_second = FirstRead.objects.filter(referral=referral, role=ReadRole.SECOND).exists()
    if have_second and not consensus.disagree:
        raise Conflict("readers_agree", "the second reader agrees; there is nothing to settle")
    asked = User.objects.filter(pk=reader).first() if reader else None
    where = Organisation.objects.filter(pk=service, kind=Organisation.Kind.DERMATOLOGY_SERVICE).first()
    if where is None:
        raise Refusal("no_such_service", f"{service} is no dermatology service", field="service")
    if reader is not None:
        if asked is None or not is_dermatologist(asked, where):
            raise Refusal("not_a_dermatologist", f"there is no dermatologist {reader} at {where.name}", field="reader")
        if FirstRead.objects.filter(referral=referral, reader=asked).exists():
            raise Refusal("has_read", f"{person(asked)} has read this referral already; ask another", field="reader")
    opinion = SecondOpinion(
        referral=referral,
        kind=OpinionKind.THIRD if have_second else OpinionKind.SECOND,
        asked_by=user,
        asked_at=timezone.now(),
        service=where,
        reader=asked,
    )
    opinion.question = question.strip()
    opinion.save(force_insert=True)
    touch(referral)
    note(referral, "opinion_asked", user, {"opinion": str(opinion.pk), "kind": str(opinion.kind), "of": str(where.pk)})
    return opinion


@transaction.atomic
def decline_opinion(*, user: User, opinion_id: UUID) -> SecondOpinion:
    """Say that one will not read; the dermatologist who asked may ask another.

    Raises:
        SecondOpinion.DoesNotExist: there is none.
        Refusal, Conflict: it was not put to the user, or is over.
    """
    return _end(user, opinion_id, OpinionState.DECLINED)


@transaction.atomic
def withdraw_opinion(*, user: User, opinion_id: UUID) -> SecondOpinion:
    """Take a request back.

    Raises:
        SecondOpinion.DoesNotExist: there is none.
        Refusal, Conflict: the referral is not the user's, or the opinion is over.
    """
    return _end(user, opinion_id, OpinionState.WITHDRAWN)


def _end(user: User, opinion_id: UUID, state: OpinionState) -> SecondOpinion:
    referral = lock_referral(SecondOpinion.objects.values_list("referral_id", flat=True).get(pk=opinion_id))
    opinion = SecondOpinion.objects.select_for_update(of=("self",)).get(pk=opinion_id)
    if state == OpinionState.WITHDRAWN:
        may = Who.CLAIMANT in parts_of(user, referral)
    else:
        may = opinion.reader_id == user.pk or (opinion.reader_id is None and is_dermatologist(user, opinion.service_id))
    if not may:
        raise Refusal("not_your_part", "this request for an opinion is not yours")
    if opinion.state != OpinionState.ASKED:
        raise Conflict("opinion_over", f"the request is {opinion.state} since {opinion.ended_at:%Y-%m-%d %H:%M} UTC")
    opinion.state, opinion.ended_at = state, timezone.now()
    opinion.save(update_fields=["state", "ended_at"])
    touch(referral)
    note(referral, f"opinion_{state.value}", user, {"opinion": str(opinion.pk)})
    return opinion
