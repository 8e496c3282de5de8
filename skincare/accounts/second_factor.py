"""Second factors: of whom they are required, whether somebody has one, and whether a code is right.

The factors themselves are allauth's (`allauth.mfa`): an authenticator app (TOTP), passkeys, recovery codes.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Subquery
from django.db.models.functions import Now
from django.http import HttpRequest

from skincare.accounts.models import BrowserSession, Membership, Organisation, User
from skincare.audit.record import record
from skincare.encryption import open_text, seal_text, sealed_under_current_key

#: What one can sign in with. Recovery codes only stand in for one of these.
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_PLACE: Final = "second-factor"


# --- Of whom ------------------------------------------------------------------------------------------------------


def organisation_requires(user: str = "pk") -> Exists:
    """Whether an organisation of the outer query's user requires a second factor by now.

    Args:
        user: the outer query's field that holds the user's key.
    """
    return Exists(Membership.objects.filter(user=OuterRef(user), organisation__second_factor_required_from__lte=Now()))


def has_factor(user: str = "pk") -> Exists:
    """Whether the outer query's user has an authenticator app or a passkey."""
    return Exists(Authenticator.objects.filter(user=OuterRef(user), type__in=FACTORS))


def required_of(user: User, *, by_organisation: bool) -> bool:
    """Whether the user needs a second factor: through an organisation, or as one who rules the platform."""
    rules = user.is_staff or user.is_superuser or user.is_model_steward
    return by_organisation or (settings.SECOND_FACTOR_FOR_STAFF and rules)


@dataclass(frozen=True)
class Standing:
    """How a user stands to the requirement."""

    required: bool
    has_factor: bool
    #: When the session that was named was last noted as used.
    session_used_at: datetime | None = None


def standing_of(user: User, *, session_key: str = "") -> Standing:
    """Look it up, in one query; that of a session's last use goes along with it."""
    used = BrowserSession.objects.filter(session_key=session_key).values("last_used_at")
    row = (
        User.objects.filter(pk=user.pk)
        .annotate(by_organisation=organisation_requires(), with_factor=has_factor(), used=Subquery(used))
        .values_list("by_organisation", "with_factor", "used")
        .first()
    )
    by_organisation, with_factor, used_at = row or (False, False, None)
    return Standing(required_of(user, by_organisation=by_organisation), with_factor, used_at)


def required_from(user: User) -> datetime | None:
    """When the first organisation of the user begins to require a second factor, or began."""
    moment: datetime | None = Organisation.objects.filter(memberships__user=user).aggregate(
        first=Min("second_factor_required_from")
    )["first"]
    return moment


def was_used_in(request: HttpRequest) -> bool:
    """Whether the request's session has seen a second factor of its user."""
    return any(record.get("method") == "mfa" for record in proofs(request))


def proofs(request: HttpRequest) -> list[dict[str, Any]]:
    """How and when the session's user has proved who they are: allauth's notes, each with ``method`` and ``at``."""
    user = request.user
    return get_authentication_records(request, user) if isinstance(user, User) else []


def may_remove(user: User, factor: Authenticator) -> bool:
    """Not the last one, where one is required."""
    if factor.type not in FACTORS or not standing_of(user).required:
        return True
    return Authenticator.objects.filter(user=user, type__in=FACTORS).exclude(pk=factor.pk).exists()


@transaction.atomic
def set_requirement(organisation: Organisation, since: datetime | None, *, by: User) -> None:
    """Begin to require a second factor of all members, at once or later; or, with nothing, stop to."""
    organisation.second_factor_required_from = since
    organisation.save(update_fields=["second_factor_required_from"])
    record_requirement(organisation, by)


def record_requirement(organisation: Organisation, by: User) -> None:
    """Record what the organisation requires now. Inside the transaction that changes it."""
    since = organisation.second_factor_required_from
    record(
        "organisation.second_factor_set",
        organisation,
        actor=by,
        organisation_id=organisation.pk,
        details={"required_from": since.isoformat() if since else None},
    )


@dataclass(frozen=True)
class Members:
    """How many members an organisation has, and who of them would be led to set a second factor up."""

    number: int
    without: list[User]


def members_of(organisation: Organisation) -> Members:
    """Look at all active members, in one query."""
    members = User.objects.filter(memberships__organisation=organisation, is_active=True).distinct()
    rows = list(members.annotate(with_factor=has_factor()).order_by("email"))
    return Members(len(rows), [row for row in rows if not row.with_factor])


# --- Codes --------------------------------------------------------------------------------------------------------


@transaction.atomic
def accept_code(user: User, code: str) -> Authenticator | None:
    """Check a code of the authenticator app, or a recovery code. Either is good for one use only.

    Returns:
        The factor that it belongs to; nothing if it is wrong, or was used before.
    """
    digits = "".join(code.split()).replace("-", "")
    factors = Authenticator.objects.select_for_update().filter(user=user).exclude(type=Authenticator.Type.WEBAUTHN)
    factor: Authenticator
    for factor in factors.order_by("-type"):  # the app before the recovery codes
        right = (
            _accept_app_code(factor, digits)
            if factor.type == Authenticator.Type.TOTP
            else RecoveryCodes(factor).validate_code(digits)
        )
        if right:
            factor.refresh_from_db()
            factor.record_usage()
            return factor
    return None


def _accept_app_code(factor: Authenticator, digits: str) -> bool:
    secret = decrypt(factor.data["secret"])
    for counter in yield_hotp_counters_from_time():
        expected = format_hotp_value(hotp_value(secret, counter))
        if hmac.compare_digest(expected.encode(), digits.encode()):
            if counter <= factor.data.get("last_counter", -1):
                return False
            # In the database and not in the cache: a code is good once also while Valkey is away.
            factor.data = {**factor.data, "last_counter": counter}
            factor.save(update_fields=["data"])
            return True
    return False


def recovery_codes_left(user: User) -> int | None:
    """How many recovery codes were not used yet; nothing if there are none at all."""
    factor = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    return None if factor is None else len(RecoveryCodes(factor).get_unused_codes())


# --- How secrets are stored ---------------------------------------------------------------------------------------


def seal_secret(text: str) -> str:
    """Seal a factor's secret under the current master key: `name:base64`."""
    return seal_text(text, place=_PLACE)


def open_secret(sealed: str) -> str:
    """Open what ``seal_secret`` made.

    Raises:
        MasterKeyMissing: the master key that sealed it is not configured.
        SealBroken: it was altered.
    """
    return open_text(sealed, place=_PLACE)


def seal_anew() -> int:
    """Seal all secrets under the current master key. Returns how many were sealed under another."""
    changed = 0
    for pk in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("pk", flat=True):
        with transaction.atomic():
            factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if factor is None:
                continue
            field = "secret" if factor.type == Authenticator.Type.TOTP else "seed"
            sealed = factor.data[field]
            if not sealed_under_current_key(sealed):
                factor.data = {**factor.data, field: seal_secret(open_secret(sealed))}
                factor.save(update_fields=["data"])
                changed += 1
    return changed
