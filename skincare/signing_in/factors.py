"""Setting up, confirming and removing second factors. What they do is allauth's; how they look and read is ours."""

from typing import Any

from allauth.account.views import PasswordChangeView, ReauthenticateView
from allauth.mfa.base.views import ReauthenticateView as ReauthenticateCodeView
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView, ReauthenticateWebAuthnView, RemoveWebAuthnView
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext

from skincare.accounts import second_factor, sessions
from skincare.accounts.models import User
from skincare.audit.record import record


def missing(request: HttpRequest) -> HttpResponse:
    """Says why nothing else opens, and offers the ways to a second factor."""
    assert isinstance(request.user, User)
    standing = second_factor.standing_of(request.user)
    if not standing.required or standing.has_factor:
        return redirect("account")
    return render(request, "account/missing.html", status=200)


class NewApp(ActivateTOTPView):
    """An authenticator app, by a QR code or a key to type."""

    template_name = "account/new_app.html"


class RemoveApp(DeactivateTOTPView):
    """Without the app."""

    template_name = "account/remove.html"
    success_url = reverse_lazy("account")
    extra_context = {"what": "app"}


class NewPasskey(AddWebAuthnView):
    """A passkey or a security key."""

    template_name = "account/new_passkey.html"


class RemovePasskey(RemoveWebAuthnView):
    """Without one of the passkeys."""

    template_name = "account/remove.html"
    success_url = reverse_lazy("account")
    extra_context = {"what": "passkey"}

    def form_valid(self, form: Form) -> HttpResponse:
        """Remove it, unless it is the last factor of somebody who needs one."""
        factor = self.get_object()
        if not second_factor.may_remove(factor.user, factor):
            messages.error(self.request, gettext("A second factor is required of you. Add another one first."))
            return HttpResponseRedirect(reverse("account"))
        answer: HttpResponse = super().form_valid(form)
        return answer


class RecoveryCodesPage(ViewRecoveryCodesView):
    """The recovery codes, shown once."""

    template_name = "account/recovery_codes.html"


class NewRecoveryCodes(GenerateRecoveryCodesView):
    """New recovery codes in place of the old ones."""

    template_name = "account/new_recovery_codes.html"


class ConfirmByPassword(ReauthenticateView):
    """Is it still you? By password."""

    template_name = "account/confirm.html"
    extra_context = {"way": "password"}


class ConfirmByCode(ReauthenticateCodeView):
    """Is it still you? By a code."""

    template_name = "account/confirm.html"
    extra_context = {"way": "code"}


class ConfirmByPasskey(ReauthenticateWebAuthnView):
    """Is it still you? By a passkey."""

    template_name = "account/confirm.html"
    extra_context = {"way": "passkey"}

    def form_invalid(self, form: Form) -> HttpResponse:
        """Say it, and let it be tried again."""
        messages.error(self.request, gettext("This passkey is not one of yours."))
        return HttpResponseRedirect(self.request.get_full_path())


class NewPassword(PasswordChangeView):
    """Another password; every other session ends."""

    template_name = "account/new_password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Form) -> HttpResponse:
        """Change it."""
        request: HttpRequest = self.request
        assert isinstance(request.user, User)
        record("password.changed", request.user, actor=request.user)
        before = request.session.session_key
        answer: HttpResponse = super().form_valid(form)
        sessions.renamed(before, request.session.session_key)
        sessions.revoke_others(request.user, request.session.session_key)
        return answer

    def get_default_success_url(self) -> Any:
        """Back to the account."""
        return reverse("account")
