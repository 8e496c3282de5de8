"""Telling people what happened to a referral, or is due on a case: in the application, and by e-mail with a link only.

``referral_moves.note`` calls ``announce`` in the transaction of what happened, so that nothing is told that did not
happen, and nothing happens untold. A scheduled task mails what is due.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, ngettext

from diagnosis.models import (
    Case,
    EmergencyAccess,
    MailWanted,
    Message,
    MessagesSeen,
    Notification,
    NotificationPreference,
    OpinionState,
    Referral,
)
from skincare.accounts.models import Role, User

#: What a person reads; an action that is not here is not told.
SENTENCES: Final[dict[str, Promise]] = {
    "sent": gettext_lazy("A case was referred to your service."),
    "accept": gettext_lazy("Your referral was accepted."),
    "take_over": gettext_lazy("A colleague took your referral over."),
    "decline": gettext_lazy("Your referral was declined."),
    "ask": gettext_lazy("The dermatologist asks you for more information."),
    "reply": gettext_lazy("The clinician replied to your question."),
    "message": gettext_lazy("There is a new message about a referral."),
    "answer": gettext_lazy("Your referral was answered."),
    "amend": gettext_lazy("The answer to your referral was amended."),
    "withdraw": gettext_lazy("A referral that you accepted was withdrawn."),
    "stop": gettext_lazy("A referral was stopped."),
    "expire": gettext_lazy("A referral has expired without an answer."),
    "reminded": gettext_lazy("A referral is due soon."),
    "escalated": gettext_lazy("A referral is overdue."),
    "opinion_asked": gettext_lazy("You are asked for an opinion."),
    "opinion_given": gettext_lazy("Your request for an opinion was answered."),
    "opinion_declined": gettext_lazy("Your request for an opinion was declined."),
    "outcome_due": gettext_lazy("The outcome of a referral is due."),
    "emergency_opened": gettext_lazy("Somebody opened a patient's record in an emergency. See who and why."),
    "observation_due": gettext_lazy("A lesion that you keep under observation is to be looked at again."),
}
DIGEST_HOURS: Final = 24
#: Mails of one run; the next goes on.
MOST_MAILS: Final = 200
TURN_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


def clinicians_of(organisation_id: UUID) -> QuerySet[User]:
    """Who works there as a clinician."""
    return User.objects.filter(
        memberships__organisation=organisation_id, memberships__role=Role.CLINICIAN, is_active=True
    )


def whoever_is_left(person_id: UUID, colleagues: QuerySet[User]) -> QuerySet[User]:
    """The one of these colleagues whom it concerns; all of them, where that person has left."""
    same = colleagues.filter(pk=person_id)
    return same if same.exists() else colleagues


def _service(referral: Referral) -> QuerySet[User]:
    return User.objects.filter(
        memberships__organisation=referral.service_id, memberships__role=Role.DERMATOLOGIST, is_active=True
    )


def _sender(referral: Referral) -> QuerySet[User]:
    return whoever_is_left(referral.referred_by_id, clinicians_of(referral.clinic_id))


def _reader(referral: Referral) -> QuerySet[User]:
    if referral.claimed_by_id is None:
        return _service(referral)
    return whoever_is_left(referral.claimed_by_id, _service(referral))


def _both(referral: Referral) -> QuerySet[User]:
    return User.objects.filter(Q(pk__in=_reader(referral).values("pk")) | Q(pk__in=_sender(referral).values("pk")))


def _escalated_to(referral: Referral) -> QuerySet[User]:
    told = Q(pk__in=_service(referral).values("pk")) | Q(pk__in=_sender(referral).values("pk"))
    leads = Q(memberships__organisation=referral.service_id, memberships__role=Role.ADMINISTRATOR)
    return User.objects.filter(told | leads)


def _asked(referral: Referral) -> QuerySet[User]:
    opinion = referral.opinions.filter(state=OpinionState.ASKED).order_by("-asked_at").first()
    if opinion is None:
        return User.objects.none()
    if opinion.reader_id:
        return User.objects.filter(pk=opinion.reader_id)
    return User.objects.filter(memberships__organisation=opinion.service_id, memberships__role=Role.DERMATOLOGIST)


_TO: Final[dict[str, Callable[[Referral], QuerySet[User]]]] = {
    "sent": _service,
    "accept": _sender,
    "take_over": _sender,
    "decline": _sender,
    "ask": _sender,
    "reply": _reader,
    "message": _both,
    "answer": _sender,
    "amend": _sender,
    "withdraw": _reader,
    "stop": _both,
    "expire": _both,
    "reminded": _reader,
    "escalated": _escalated_to,
    "opinion_asked": _asked,
    "opinion_given": _reader,
    "opinion_declined": _reader,
    "outcome_due": _sender,
}


def announce(referral: Referral, kind: str, actor: User | None) -> None:
    """Tell those whom it concerns, but not the one who did it."""
    if kind not in SENTENCES:
        return
    people = set(_TO[kind](referral).filter(is_active=True).values_list("pk", flat=True))
    now = timezone.now()
    Notification.objects.bulk_create(
        Notification(user_id=pk, referral=referral, kind=kind, created_at=now)
        for pk in sorted(people, key=str)
        if actor is None or pk != actor.pk
    )


def tell(people: QuerySet[User], kind: str, *, case: Case) -> None:
    """Tell people of something that is due on a case."""
    now = timezone.now()
    Notification.objects.bulk_create(
        Notification(user_id=pk, case=case, kind=kind, created_at=now)
        for pk in people.filter(is_active=True).order_by("pk").values_list("pk", flat=True)
    )


def tell_of_emergency(people: QuerySet[User], access: EmergencyAccess) -> None:
    """Tell who answers for privacy that somebody opened a record; mailed at once, whatever they wish otherwise.

    Administrators of the patient's organisation see there who and why; operators, who stand in where there is nobody
    else, look it up in the audit record.
    """
    now = timezone.now()
    Notification.objects.bulk_create(
        Notification(user_id=pk, emergency=access, kind="emergency_opened", created_at=now)
        for pk in people.order_by("pk").values_list("pk", flat=True).distinct()
    )


def mark_emergencies_seen(*, user: User) -> int:
    """The user has seen who opened records. Returns how many were new."""
    mine = Notification.objects.filter(user=user, seen_at__isnull=True, emergency__isnull=False)
    return mine.update(seen_at=timezone.now())


def mark_seen(*, user: User, referral: Referral | None = None, ids: Iterable[UUID] | None = None) -> int:
    """The user has seen their notices: these, those of one referral, or all. Returns how many were new."""
    mine = Notification.objects.filter(user=user, seen_at__isnull=True)
    if ids is not None:
        mine = mine.filter(pk__in=list(ids))
    if referral is not None:
        mine = mine.filter(referral=referral)
    return mine.update(seen_at=timezone.now())


def unseen(user: User, referrals: Iterable[Referral]) -> set[UUID]:
    """Of which referrals the user has notices that they have not seen."""
    mine = Notification.objects.filter(user=user, seen_at__isnull=True, referral__in=list(referrals))
    return {pk for pk in mine.values_list("referral_id", flat=True) if pk is not None}


def with_news(user: User) -> Q:
    """A filter of referrals: those of which the user has notices or messages that they have not seen."""
    notices = Notification.objects.filter(user=user, seen_at__isnull=True, referral__isnull=False)
    seen = MessagesSeen.objects.filter(referral=OuterRef("referral"), user=user).values("seen_at")[:1]
    unread = Message.objects.exclude(author=user).annotate(seen=Subquery(seen))
    unread = unread.filter(Q(seen__isnull=True) | Q(sent_at__gt=F("seen")))
    return Q(pk__in=notices.values("referral")) | Q(pk__in=unread.values("referral"))


def mail_wanted(user: User) -> MailWanted:
    """How the user wants to be told by e-mail."""
    chosen = NotificationPreference.objects.filter(user=user).values_list("mail", flat=True).first()
    return MailWanted(chosen) if chosen else MailWanted.AT_ONCE


def set_preference(*, user: User, mail: MailWanted) -> NotificationPreference:
    """Choose how to be told by e-mail."""
    return NotificationPreference.objects.update_or_create(user=user, defaults={"mail": mail})[0]


def send_due(*, now: datetime | None = None) -> int:
    """Mail what is due: at once, or as a digest once a day. A notice that was seen meanwhile is not mailed.

    Returns:
        How many mails went out.
    """
    now = now or timezone.now()
    waiting = Notification.objects.filter(mailed_at__isnull=True)
    unwanted = Q(user__notification_preference__mail=MailWanted.NEVER, emergency__isnull=True)
    waiting.filter(Q(seen_at__isnull=False) | unwanted).update(mailed_at=now)
    recently = Q(
        user__notification_preference__mail=MailWanted.DAILY,
        user__notification_preference__last_digest_at__gt=now - timedelta(hours=DIGEST_HOURS),
        emergency__isnull=True,
    )
    people = list(waiting.exclude(recently).order_by().values_list("user", flat=True).distinct()[:MOST_MAILS])
    sent = 0
    end = time.monotonic() + TURN_SECONDS
    for user in User.objects.filter(pk__in=people):
        if time.monotonic() > end:
            break
        sent += _mail(user, now)
    return sent


@transaction.atomic
def _mail(user: User, now: datetime) -> int:
    """Mail one person all that waits. What is locked is being mailed by another worker."""
    notices = list(
        Notification.objects.filter(user=user, mailed_at__isnull=True).select_for_update(skip_locked=True, of=("self",))
    )
    if not notices:
        return 0
    Notification.objects.filter(pk__in=[notice.pk for notice in notices]).update(mailed_at=now)
    NotificationPreference.objects.filter(user=user, mail=MailWanted.DAILY).update(last_digest_at=now)
    subject = ngettext("%(n)d notice about cases", "%(n)d notices about cases", len(notices)) % {"n": len(notices)}
    lines = [str(SENTENCES[notice.kind]) for notice in reversed(notices)]
    alone = Role.ADMINISTRATOR in user.roles and all(notice.emergency_id for notice in notices)
    where = "privacy/emergency/" if alone else ""
    body = "\n".join([*dict.fromkeys(lines), "", f"{settings.PUBLIC_URL}/{where}"])
    try:
        EmailMessage(subject, body, to=[user.email], connection=get_connection()).send()
    except OSError as error:  # smtplib's errors are OSErrors: the notices wait for the next run
        log.warning("mail_not_sent", error=type(error).__name__)
        transaction.set_rollback(True)
        return 0
    return 1
