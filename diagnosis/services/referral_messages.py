"""Messages between clinician and dermatologist on a referral, with photographs through the same checks as a case's."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from diagnosis.classifier.photograph import Photograph
from diagnosis.models import Message, MessageImage, MessageKind, MessagesSeen, Referral
from diagnosis.services.errors import Refusal
from diagnosis.services.files import kept_only_on_success, store_sealed
from diagnosis.services.photographs import check_photograph
from diagnosis.services.referral_moves import move, note, touch
from diagnosis.services.referral_states import Action, IllegalTransition, Who, check, insist_on_consent, parts_of
from diagnosis.services.referrals import check_text, lock_referral
from skincare.accounts.models import User

MOST_IMAGES: Final = 5


def ask_clinician(*, user: User, referral_id: UUID, text: str, images: Sequence[bytes] = ()) -> Message:
    """Ask the clinician for more; the referral waits for the reply.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``; no text, or a photograph that is not acceptable.
    """
    return _write(user, referral_id, text, images, Action.ASK)


def reply_to_question(*, user: User, referral_id: UUID, text: str, images: Sequence[bytes] = ()) -> Message:
    """Reply to what the dermatologist asked; the referral goes on.

    Raises:
        IllegalTransition, Refusal: see ``referral_states.check``; no text, or a photograph that is not acceptable.
    """
    return _write(user, referral_id, text, images, Action.REPLY)


def send_message(*, user: User, referral_id: UUID, text: str, images: Sequence[bytes] = ()) -> Message:
    """Write to the other side; the state stays.

    Raises:
        IllegalTransition: the referral is over.
        Refusal: no part in it, no text, or a photograph that is not acceptable.
    """
    return _write(user, referral_id, text, images, None)


def _write(user: User, referral_id: UUID, text: str, uploads: Sequence[bytes], action: Action | None) -> Message:
    check_text(text, "text", needed=True)
    if len(uploads) > MOST_IMAGES:
        raise Refusal(
            "number_of_photographs",
            f"{len(uploads)} photographs were sent; a message takes at most {MOST_IMAGES}",
            field="images",
        )
    photographs = [check_photograph(position, upload) for position, upload in enumerate(uploads, start=1)]
    with kept_only_on_success() as files, transaction.atomic():
        referral = lock_referral(referral_id)
        from_clinic = _side(user, referral, action)
        kinds = {Action.ASK: MessageKind.QUESTION, Action.REPLY: MessageKind.REPLY}
        message = Message(
            referral=referral,
            author=user,
            from_clinic=from_clinic,
            kind=kinds.get(action, MessageKind.NOTE) if action else MessageKind.NOTE,
            sent_at=timezone.now(),
        )
        message.text = text.strip()
        message.save(force_insert=True)
        _keep(message, referral, photographs, files)
        if action is None:
            touch(referral)
            note(referral, "message", user, {"message": str(message.pk), "images": len(photographs)})
        else:
            move(referral, action, user)
    return message


def _side(user: User, referral: Referral, action: Action | None) -> bool:
    """Whether it is written for the clinic."""
    if action is not None:
        check(action, referral, user)
        return action is Action.REPLY
    parts = parts_of(user, referral)
    if not parts & {Who.CLINICIAN, Who.DERMATOLOGIST}:
        raise Refusal("not_your_part", "only the clinic and the service of a referral write to one another")
    if referral.stopped_at is not None or not (referral.open or referral.answered_at):
        raise IllegalTransition("illegal_transition", f"the referral is {referral.state}; it is over", field="state")
    insist_on_consent(referral)
    return Who.DERMATOLOGIST not in parts


def _keep(message: Message, referral: Referral, photographs: Sequence[Photograph], files: list[str]) -> None:
    images = []
    for position, photograph in enumerate(photographs, start=1):
        files.append(stored := store_sealed(referral.case.patient, photograph.jpeg))
        images.append(
            MessageImage(
                message=message,
                position=position,
                sha256=photograph.sha256,
                width=photograph.width,
                height=photograph.height,
                quality=photograph.quality.as_dict(),
                photograph_file=stored,
            )
        )
    MessageImage.objects.bulk_create(images)


def mark_seen(*, user: User, referral: Referral) -> None:
    """The user has seen the messages that there are now."""
    MessagesSeen.objects.update_or_create(referral=referral, user=user, defaults={"seen_at": timezone.now()})


def unread_counts(user: User, referrals: Sequence[Referral]) -> dict[UUID, int]:
    """How many messages of others the user has not seen, by referral; those without are left out."""
    seen = dict(MessagesSeen.objects.filter(user=user, referral__in=referrals).values_list("referral_id", "seen_at"))
    unread = Q()
    for referral in referrals:
        behind = Q(referral=referral.pk)
        unread |= behind & Q(sent_at__gt=seen[referral.pk]) if referral.pk in seen else behind
    if not referrals:
        return {}
    counted: QuerySet[Message] = Message.objects.filter(unread).exclude(author=user)
    rows = counted.order_by().values(key=F("referral_id")).annotate(number=Count("pk"))
    return {row["key"]: row["number"] for row in rows}
