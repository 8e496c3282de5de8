"""What allauth and Django tell of by signals, written to the audit record in the transaction that does it."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from skincare.accounts import sessions
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record

#: Stands for an account where there is none of the address that was tried.
NOBODY: Final = UUID(int=0)


def record_failure(email: str, *, step: str) -> None:
    """Record a sign-in that failed. What was typed is not kept: only whose account it was, if there is one.

    Args:
        step: ``password`` or ``code``.
    """
    user = User.objects.filter(email=email.strip().lower()).first() if "\0" not in email else None
    with transaction.atomic():
        record("session.refused", user or User(pk=NOBODY), actor=None, details={"step": step})


def refused_since(user: User, *, step: str, seconds: int, address: str | None = None) -> int:
    """How many wrong tries of the user the record holds, of so long: known also where the counters do not answer.

    Args:
        step: ``password`` or ``code``.
        address: only those from there.
    """
    since = timezone.now() - timedelta(seconds=seconds)
    refused = AuditEvent.objects.filter(
        object_type="user", object_id=str(user.pk), action="session.refused", details__step=step, at__gte=since
    )
    return (refused.filter(address=address) if address else refused).count()


def _actor(of: Authenticator) -> User:
    request: HttpRequest | None = context.request
    person = getattr(request, "user", None)
    return person if isinstance(person, User) else of.user


@receiver(post_save, sender=Authenticator)
def _factor_saved(instance: Authenticator, created: bool, **_: Any) -> None:
    if created:
        codes = instance.type == Authenticator.Type.RECOVERY_CODES
        action = "recovery_codes.generated" if codes else "second_factor.added"
        with transaction.atomic():
            record(action, instance.user, actor=_actor(instance), details={"type": instance.type})


@receiver(post_delete, sender=Authenticator)
def _factor_deleted(instance: Authenticator, **_: Any) -> None:
    if instance.type != Authenticator.Type.RECOVERY_CODES:
        with transaction.atomic():
            details = {"type": instance.type}
            record("second_factor.removed", instance.user, actor=_actor(instance), details=details)


@receiver(authenticator_added)
def _factor_was_shown(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Whoever sets a factor up has just used it: the session needs no other proof."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(request, user, "mfa", id=authenticator.pk, type=authenticator.type)


@receiver(user_logged_out)
def _signed_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    session = getattr(request, "session", None)
    if session is not None and isinstance(user, User):
        with transaction.atomic():
            record("session.ended", user, actor=user)
            sessions.ended(session.session_key)
