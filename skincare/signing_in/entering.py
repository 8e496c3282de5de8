"""Signing in: one form for everybody, with the same limits as a log-in through the API; then a second factor."""

from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.webauthn.views import LoginWebAuthnView
from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from diagnosis.api.throttles import LogInAttempts, PasskeyAttempts
from skincare.accounts.events import record_failure
from skincare.accounts.models import User
from skincare.audit.middleware import client_address
from skincare.signing_in.pages import TooMany, count


class SignIn(LoginView):
    """Asks for e-mail address and password, and leads to the second factor or to where the person wanted to go."""

    template_name = "sign_in.html"
    redirect_authenticated_user = True
    next_page = "start"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the attempt before it is tried; too many failed ones have to wait."""
        self.attempts = LogInAttempts(request.POST.get("username", ""), client_address(request))
        try:
            count(self.attempts)
        except TooMany as too_many:
            answer = self.render_to_response(
                self.get_context_data(form=AuthenticationForm(request), wait=str(too_many)), status=429
            )
            answer["Retry-After"] = str(too_many.seconds)
            return answer
        return super().post(request, *args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Record that it failed, if there was anything to try."""
        if form.data.get("username") and form.data.get("password"):
            record_failure(form.data["username"], step="password")
        return super().form_invalid(form)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Begin the session, or ask for the second factor first."""
        self.attempts.take_back()
        login = Login(user=form.get_user(), redirect_url=self.get_success_url())
        answer: HttpResponse = perform_password_login(self.request, {}, login)
        return answer


class CodeStep(AuthenticateView):
    """The second factor after the password: a code, or a security key."""

    template_name = "account/code.html"


class PasskeySignIn(LoginWebAuthnView):
    """A passkey instead of password and code: the device has checked who holds it."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the attempt before it is tried."""
        self.attempts = PasskeyAttempts(client_address(request))
        try:
            count(self.attempts)
        except TooMany as too_many:
            messages.error(request, str(too_many))
            return HttpResponseRedirect(reverse("sign-in"))
        answer: HttpResponse = super().post(request, *args, **kwargs)
        return answer

    def form_invalid(self, form: Form) -> HttpResponse:
        """Say it on the page that one came from."""
        messages.error(self.request, gettext("This passkey does not open any account here."))
        return HttpResponseRedirect(reverse("sign-in"))

    def form_valid(self, form: Form) -> HttpResponse:
        """Begin the session."""
        self.attempts.take_back()
        answer: HttpResponse = super().form_valid(form)
        return answer


def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The Django admin has no form of its own: staff sign in as everybody does, with the same limits."""
    user = request.user
    if isinstance(user, User) and not user.is_staff:
        raise PermissionDenied("the administration is for staff")
    wanted = request.GET.get("next", "")
    inside = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    target = wanted if inside else reverse("admin:index")
    if isinstance(user, User):
        return HttpResponseRedirect(target)
    return redirect(f"{reverse('sign-in')}?{urlencode({'next': target})}")
