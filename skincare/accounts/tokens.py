"""Issuing and revoking the tokens by which programs act for a user."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from skincare.accounts.models import ApiToken, User
from skincare.audit.record import record

#: A clinician's long day by default; ninety days at most, for a program that renews its token.
DEFAULT_HOURS: Final = 12
MOST_HOURS: Final = 90 * 24
#: Hexadecimal digits of the digest by which a token is named: enough to be unique, no use to an attacker.
ID_LENGTH: Final = 16


def name_of(token: ApiToken) -> str:
    """What names a token without being any use to whoever reads it."""
    return str(token.digest)[:ID_LENGTH]


def living(user: User) -> QuerySet[ApiToken]:
    """The user's tokens that have not expired, the newest first."""
    tokens: QuerySet[ApiToken] = ApiToken.objects.filter(user=user, expiry__gt=timezone.now())
    return tokens.order_by("-created")


@transaction.atomic
def issue(user: User, *, name: str, scopes: Iterable[str], hours: int, second_factor: bool) -> tuple[ApiToken, str]:
    """Make a token, and clear away those that have expired.

    Args:
        hours: how long it lasts, up to ``MOST_HOURS``.
        second_factor: whether the user has just shown one.

    Returns:
        Its row, and the token itself, which is stored nowhere.
    """
    ApiToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
    row, plain = ApiToken.objects.create(  # type: ignore[no-untyped-call]
        user=user,
        expiry=timedelta(hours=hours),
        name=name,
        scopes=sorted(set(scopes)),
        second_factor=second_factor,
    )
    details = {"token": name_of(row), "scopes": row.scopes, "second_factor": second_factor}
    record("token.created", user, actor=user, details=details)
    return row, str(plain)


@transaction.atomic
def revoke(token: ApiToken, *, by: User) -> None:
    """End a token."""
    record("token.ended", token.user, actor=by, details={"token": name_of(token)})
    token.delete()
