"""Logging in and out by token: POST, GET and DELETE auth/token/, and auth/token/logout-all/."""

from typing import Any, ClassVar, Final

from django.contrib.auth import authenticate, logout
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import StrictSerializer
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.throttles import CodeAttempts, LogInAttempts
from diagnosis.api.views import ApiView
from skincare.accounts import second_factor, tokens
from skincare.accounts.events import record_failure
from skincare.accounts.models import ApiToken, TokenScope, User
from skincare.audit.middleware import client_address
from skincare.audit.record import record


class LogIn(StrictSerializer):
    """Who logs in, and what the token may do."""

    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})
    code = serializers.CharField(
        max_length=40,
        default="",
        allow_blank=True,
        help_text="Of your authenticator app, or a recovery code; needed if you have a second factor. Good once.",
    )
    name = serializers.CharField(max_length=100, default="unnamed", help_text="To tell your tokens apart.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=TokenScope.choices),
        default=list(TokenScope.values),
        allow_empty=False,
        max_length=len(TokenScope),
        help_text="`read`, `write` or both.",
    )
    expires_in_hours = serializers.IntegerField(min_value=1, max_value=tokens.MOST_HOURS, default=tokens.DEFAULT_HOURS)


class TokenDocument(serializers.ModelSerializer[ApiToken]):
    """A token, without what would let anybody use it."""

    id = serializers.SerializerMethodField(help_text="Names the token; not a secret.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=TokenScope.choices))
    expires_at = serializers.DateTimeField(source="expiry")
    created_at = serializers.DateTimeField(source="created")
    current = serializers.SerializerMethodField(help_text="Whether this request came with it.")

    class Meta:
        model = ApiToken
        fields: ClassVar = ["id", "name", "scopes", "created_at", "expires_at", "current"]

    def get_id(self, token: ApiToken) -> str:
        """First digits of the digest."""
        return tokens.name_of(token)

    def get_current(self, token: ApiToken) -> bool:
        """Whether it is the one in use."""
        used = self.context["request"].auth
        return isinstance(used, ApiToken) and used.pk == token.pk


class NewTokenDocument(TokenDocument):
    """A new token. This is the only time that it is shown."""

    token = serializers.SerializerMethodField(help_text="Send it as `Authorization: Token <token>`.")

    class Meta(TokenDocument.Meta):
        fields: ClassVar = ["token", *TokenDocument.Meta.fields]

    def get_token(self, token: ApiToken) -> str:
        """The token itself, which is stored nowhere."""
        return str(self.context["plain"])


def _refused(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Token"})


EXAMPLE_LOG_IN: Final = {
    "email": "clinician@example.org",
    "password": "correct horse battery staple",
    "name": "phone",
    "scopes": ["read", "write"],
    "expires_in_hours": 12,
}
EXAMPLE_TOKEN: Final = {
    "id": "5b0c9c7a1f0e4d2b",
    "name": "phone",
    "scopes": ["read", "write"],
    "created_at": "2026-11-23T09:00:00Z",
    "expires_at": "2026-11-23T21:00:00Z",
    "current": False,
}


class TokenView(ApiView):
    """The user's tokens."""

    access: ClassVar = {"POST": Access.EVERYONE, "GET": Access.SIGNED_IN, "DELETE": Access.SIGNED_IN}
    #: Whoever holds a token may end it.
    scopes: ClassVar = {"DELETE": TokenScope.READ}

    def get_authenticators(self) -> list[BaseAuthentication]:
        """None for a log-in: an expired token that a client still sends must not keep it from a new one."""
        if self.request is not None and self.request.method == "POST":
            return []
        return list(super().get_authenticators())

    @extend_schema(
        operation_id="token_create",
        summary="Log in",
        description="Gives a token for a program to act for a user. It is shown once and stored as a digest only. "
        "Whoever has a second factor sends a `code` as well; whoever needs one and has none is refused (403).",
        tags=["Signing in"],
        auth=[],
        request=LogIn,
        responses={201: NewTokenDocument, **problem_examples(400, 401, 403, 429)},
        examples=[
            OpenApiExample("Log in", value=EXAMPLE_LOG_IN, request_only=True),
            OpenApiExample(
                "Token",
                value={"token": "skincare_7f3a…", **EXAMPLE_TOKEN},
                response_only=True,
                status_codes=["201"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Log in."""
        form = LogIn(data=request.data)
        form.is_valid(raise_exception=True)
        asked: dict[str, Any] = form.validated_data
        attempts = LogInAttempts(asked["email"], client_address(request._request))
        attempts.count()
        # Django hashes the password for an unknown address too, so that both take the same time.
        user = authenticate(request._request, username=asked["email"], password=asked["password"])
        if not isinstance(user, User):
            record_failure(asked["email"], step="password")
            raise _refused("log_in_failed", "the e-mail address or the password is wrong")
        attempts.take_back()
        shown = self._second_factor_was_shown(request, user, asked["code"])
        with transaction.atomic():
            row, plain = tokens.issue(
                user,
                name=asked["name"],
                scopes=asked["scopes"],
                hours=asked["expires_in_hours"],
                second_factor=shown,
            )
            user_logged_in.send(sender=User, request=request._request, user=user)
        document = NewTokenDocument(row, context={"request": request, "plain": plain})
        return Response(document.data, status=201)

    def _second_factor_was_shown(self, request: Request, user: User, code: str) -> bool:
        """Ask whoever has a second factor for it, and refuse whoever needs one and has none.

        Raises:
            Problem: the code is missing or wrong, or there is no second factor yet.
            Throttled: too many wrong codes.
        """
        standing = second_factor.standing_of(user)
        if not standing.has_factor:
            if standing.required:
                raise Problem(
                    403,
                    "second_factor_missing",
                    "a second factor is required of you, and you have none; sign in with a browser and set it up first",
                )
            return False
        if not code:
            raise _refused("second_factor_needed", "send `code` too: of your authenticator app, or a recovery code")
        attempts = CodeAttempts(user, client_address(request._request))
        attempts.count()
        if second_factor.accept_code(user, code) is None:
            record_failure(user.email, step="code")
            raise _refused("code_wrong", "the code is wrong or was used already; wait for the next one")
        attempts.take_back()
        return True

    @extend_schema(
        operation_id="token_list",
        summary="List your tokens",
        tags=["Signing in"],
        responses={200: TokenDocument(many=True), **problem_examples(401)},
        examples=[OpenApiExample("Tokens", value=EXAMPLE_TOKEN | {"current": True}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List the user's unexpired tokens."""
        return Response(TokenDocument(tokens.living(signed_in(request)), many=True, context={"request": request}).data)

    @extend_schema(
        operation_id="token_destroy",
        summary="Log out",
        description="Ends the token (or the session) that the request came with.",
        tags=["Signing in"],
        responses={204: OpenApiResponse(description="Logged out."), **problem_examples(401)},
    )
    def delete(self, request: Request) -> Response:
        """Log out."""
        user = signed_in(request)
        with transaction.atomic():
            if isinstance(request.auth, ApiToken):
                tokens.revoke(request.auth, by=user)
            else:
                logout(request._request)  # recorded by skincare.accounts.events
        return Response(status=204)


class LogOutEverywhereView(ApiView):
    """Ending all of the user's tokens."""

    access: ClassVar = {"POST": Access.SIGNED_IN}

    @extend_schema(
        operation_id="token_logout_all",
        summary="Log out everywhere",
        description="Ends all of your tokens and all of your sessions, the one in use included.",
        tags=["Signing in"],
        request=None,
        responses={204: OpenApiResponse(description="Logged out everywhere."), **problem_examples(401, 403)},
    )
    def post(self, request: Request) -> Response:
        """Log out everywhere."""
        user = signed_in(request)
        with transaction.atomic():
            ended = user.sign_out_everywhere()
            record("token.all_ended", user, actor=user, details={"tokens": ended})
        return Response(status=204)
