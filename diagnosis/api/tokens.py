"""Logging in and out by token: POST, GET and DELETE auth/token/, and auth/token/logout-all/."""

from datetime import timedelta
from typing import Any, ClassVar, Final

from django.contrib.auth import authenticate, logout
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import StrictSerializer
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.throttles import LogInAttempts
from diagnosis.api.views import ApiView
from skincare.accounts.models import ApiToken, TokenScope, User
from skincare.audit.middleware import client_address
from skincare.audit.record import record

#: A clinician's long day by default; ninety days at most, for a program that renews its token.
DEFAULT_HOURS: Final = 12
MOST_HOURS: Final = 90 * 24
#: Hexadecimal digits of the digest by which a token is named: enough to be unique, no use to an attacker.
ID_LENGTH: Final = 16


class LogIn(StrictSerializer):
    """Who logs in, and what the token may do."""

    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})
    name = serializers.CharField(max_length=100, default="unnamed", help_text="To tell your tokens apart.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=TokenScope.choices),
        default=list(TokenScope.values),
        allow_empty=False,
        max_length=len(TokenScope),
        help_text="`read`, `write` or both.",
    )
    expires_in_hours = serializers.IntegerField(min_value=1, max_value=MOST_HOURS, default=DEFAULT_HOURS)


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
        return str(token.digest)[:ID_LENGTH]

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
        description="Gives a token for a program to act for a user. It is shown once and stored as a digest only.",
        tags=["Signing in"],
        auth=[],
        request=LogIn,
        responses={201: NewTokenDocument, **problem_examples(400, 401, 429)},
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
            detail = "the e-mail address or the password is wrong"
            raise Problem(401, "log_in_failed", detail, headers={"WWW-Authenticate": "Token"})
        attempts.take_back()
        with transaction.atomic():
            ApiToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
            row, plain = ApiToken.objects.create(  # type: ignore[no-untyped-call]
                user=user,
                expiry=timedelta(hours=asked["expires_in_hours"]),
                name=asked["name"],
                scopes=sorted(set(asked["scopes"])),
            )
            user_logged_in.send(sender=User, request=request._request, user=user)
            record("token.created", user, actor=user, details={"token": row.digest[:ID_LENGTH], "scopes": row.scopes})
        document = NewTokenDocument(row, context={"request": request, "plain": plain})
        return Response(document.data, status=201)

    @extend_schema(
        operation_id="token_list",
        summary="List your tokens",
        tags=["Signing in"],
        responses={200: TokenDocument(many=True), **problem_examples(401)},
        examples=[OpenApiExample("Tokens", value=EXAMPLE_TOKEN | {"current": True}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List the user's unexpired tokens."""
        rows = ApiToken.objects.filter(user=signed_in(request), expiry__gt=timezone.now()).order_by("-created")
        return Response(TokenDocument(rows, many=True, context={"request": request}).data)

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
                record("token.ended", user, actor=user, details={"token": request.auth.digest[:ID_LENGTH]})
                request.auth.delete()
                user_logged_out.send(sender=User, request=request._request, user=user)
            else:
                record("session.ended", user, actor=user)
                logout(request._request)
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
