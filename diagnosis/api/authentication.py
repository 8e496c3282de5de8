"""Finding the user behind a token, in one query."""

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed

from skincare.accounts.models import ApiToken, User


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
        row = ApiToken.objects.select_related("user").filter(pk=digest, expiry__gt=timezone.now()).first()
        if row is None or not row.user.is_active:
            raise AuthenticationFailed("the token is not valid or has expired; log in again at auth/token/")
        return row.user, row


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
