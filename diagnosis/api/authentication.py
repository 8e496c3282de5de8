"""Finding the user behind a token, in one query, and turning away who lacks a second factor that they need."""

from functools import cache
from typing import Any

from django.utils import timezone
from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from skincare.accounts.middleware import lacks_second_factor
from skincare.accounts.models import ApiToken, User
from skincare.accounts.second_factor import has_factor, organisation_requires, required_of


@cache
def _tokens() -> Any:
    """Tokens with their users and how these stand to the second factor. Made once: each request narrows a copy."""
    rows = ApiToken.objects.select_related("user")
    return rows.annotate(required=organisation_requires("user"), with_factor=has_factor("user")).order_by()


class ApiTokenAuthentication(TokenAuthentication):
    """``Authorization: Token …``. Looked up by the token's digest, which is the row's key.

    Knox's own look-up reads all of the user's tokens on each request, to delete the expired; here that happens when
    the user logs in (see ``tokens``).
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        """Find the token's row.

        Raises:
            AuthenticationFailed: it is unknown, has expired, or its user may not log in any more.
        """
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError:
            raise AuthenticationFailed("the token is not valid; log in again at auth/token/") from None
        row = _tokens().filter(pk=digest, expiry__gt=timezone.now()).first()
        if row is None or not row.user.is_active:
            raise AuthenticationFailed("the token is not valid or has expired; log in again at auth/token/")
        with_second_factor = row.second_factor and row.with_factor
        if not with_second_factor and required_of(row.user, by_organisation=row.required):
            raise AuthenticationFailed(
                "a second factor is required of you by now, and this token was issued without one; log in again at "
                "auth/token/ with a code",
                code="second_factor_needed",
            )
        return row.user, row


class BrowserAuthentication(SessionAuthentication):
    """A browser's session, with a second factor where its user needs one (see ``skincare.accounts.middleware``)."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """Find the session's user.

        Raises:
            PermissionDenied: a second factor is required, and the session was begun without.
        """
        found = super().authenticate(request)
        if found is not None and lacks_second_factor(request._request):
            raise PermissionDenied(
                "a second factor is required of you; set it up or show it at /account/, then send this again",
                code="second_factor_needed",
            )
        return found


class BrowserScheme(SessionScheme):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes a session: as it is, a cookie."""

    target_class = BrowserAuthentication  # type: ignore[assignment]


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes the token."""

    target_class = ApiTokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the security scheme."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Authorization: Token <token>`, with a token from POST auth/token/.",
        }
