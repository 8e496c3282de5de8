"""The forms by which a person proves who they are: each attempt is counted before it is tried."""

from typing import Any

from allauth.account.forms import ChangePasswordForm, ReauthenticateForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as ReauthenticateCodeForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from diagnosis.api.throttles import Attempts, CodeAttempts, LogInAttempts
from skincare.accounts import tokens
from skincare.accounts.events import record_failure
from skincare.accounts.models import Organisation, TokenScope, User
from skincare.accounts.second_factor import accept_code
from skincare.audit.middleware import client_address
from skincare.signing_in.pages import TooMany, count


def _count(attempts: Attempts) -> None:
    try:
        count(attempts)
    except TooMany as too_many:
        raise ValidationError(str(too_many), code="throttled") from None


class _Counted:
    """Checks a code of the form's user, whichever of allauth's forms asks for it."""

    user: User
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        """Accept it once, and not again."""
        code: str = self.cleaned_data["code"]
        attempts = CodeAttempts(self.user, client_address(context.request))
        _count(attempts)
        factor = accept_code(self.user, code)
        if factor is None:
            record_failure(self.user.email, step="code")
            raise ValidationError(gettext("This code is wrong or was used already. Wait for the next one."))
        attempts.take_back()
        factor.user = self.user
        self.authenticator = factor
        return code


class CodeForm(_Counted, AuthenticateForm):
    """A code, after the password."""


class ConfirmingCodeForm(_Counted, ReauthenticateCodeForm):
    """A code, to confirm that it is still the same person."""


def _check_password(user: User, password: str) -> None:
    """Raises ValidationError where it is not the user's, or too many were tried."""
    attempts = LogInAttempts(user.email, client_address(context.request))
    _count(attempts)
    if not user.check_password(password):
        record_failure(user.email, step="password")
        raise ValidationError(gettext("This is not your password."))
    attempts.take_back()


class ConfirmingPasswordForm(ReauthenticateForm):
    """The password, to confirm that it is still the same person."""

    def clean_password(self) -> str:
        """Check it."""
        password: str = self.cleaned_data["password"]
        _check_password(self.user, password)
        return password


class NewPasswordForm(ChangePasswordForm):
    """The old password, and twice a new one that is hard to guess."""

    def clean_oldpassword(self) -> str:
        """Check it."""
        password: str = self.cleaned_data["oldpassword"]
        assert isinstance(self.user, User)
        _check_password(self.user, password)
        return password


class NewPasskeyForm(AddWebAuthnForm):
    """A passkey or a security key, with a name to tell it by."""

    name = forms.CharField(max_length=60, required=False)


class NewTokenForm(forms.Form):
    """A token for a program."""

    name = forms.CharField(max_length=100, label=gettext_lazy("What it is for"))
    scopes = forms.MultipleChoiceField(choices=TokenScope.choices, label=gettext_lazy("What it may do"))
    hours = forms.TypedChoiceField(
        coerce=int,
        choices=[
            (tokens.DEFAULT_HOURS, gettext_lazy("12 hours")),
            (7 * 24, gettext_lazy("a week")),
            (30 * 24, gettext_lazy("30 days")),
            (tokens.MOST_HOURS, gettext_lazy("90 days")),
        ],
        label=gettext_lazy("How long it lasts"),
    )


class RequirementForm(forms.Form):
    """From which day on an organisation's members need a second factor."""

    required = forms.BooleanField(required=False)
    required_from = forms.DateField(required=False)

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        self.organisation = organisation
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        """A day is needed where it is required."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("required") and not cleaned.get("required_from") and "required_from" not in self.errors:
            self.add_error("required_from", gettext("Choose the day from which it is required."))
        return cleaned
