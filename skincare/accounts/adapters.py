"""What allauth is told to do differently here."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext

from skincare.accounts import second_factor, sessions
from skincare.accounts.models import User
from skincare.accounts.recently import is_recent
from skincare.audit.middleware import client_address

#: Said by the page that follows anyway; unread, they would wait in a cookie with the person's address in it.
_SILENT = {"account/messages/logged_in.txt", "account/messages/logged_out.txt"}


class AccountAdapter(DefaultAccountAdapter):
    """Log-in, fresh proofs and messages."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody registers themselves: an account is made by whoever answers for it."""
        return False

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Begin the session, and note and record it in the same transaction."""
        assert isinstance(user, User)
        with transaction.atomic():
            super().login(request, user)
            used = any(record.get("method") == "mfa" for record in get_authentication_records(request, user))
            sessions.begin(request, user, second_factor=used)

    def respond_user_inactive(self, request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
        """An account that was closed."""
        messages.error(request, gettext("This account is closed. Ask whoever administers it."))
        return HttpResponseRedirect(reverse("sign-in"))

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        """Whether the password is the user's."""
        return user.check_password(password)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """A sign-in a short while ago is as good as a confirmation."""
        return not is_recent(context.request)

    def get_reauthentication_methods(self, user: AbstractBaseUser | AnonymousUser) -> list[dict[str, Any]]:
        """Where a session without its second factor has to show one, the password alone is no way."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if getattr(context.request, "lacks_second_factor", False):
            return [method for method in methods if method["id"] != "reauthenticate"]
        return methods

    def get_client_ip(self, request: HttpRequest) -> str:
        """As our own proxies saw it."""
        return client_address(request) or ""

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Say what is worth saying."""
        if message_template not in _SILENT:
            super().add_message(request, level, message_template, *args, **kwargs)


class SecondFactorAdapter(DefaultMFAAdapter):
    """How secrets are stored, and that nobody removes what they need."""

    def encrypt(self, text: str) -> str:
        """Seal a secret under the current master key."""
        return second_factor.seal_secret(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Open a sealed secret."""
        return second_factor.open_secret(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Not the last factor of somebody who needs one."""
        return second_factor.may_remove(authenticator.user, authenticator)

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """The device that the key is added on; it can be changed before it is saved."""
        return sessions.device_of(context.request.META.get("HTTP_USER_AGENT", ""))
