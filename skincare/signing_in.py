"""Signing in and out with a browser: one form for everybody, with the same limits as a log-in through the API."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext
from rest_framework.exceptions import Throttled

from diagnosis.api.throttles import LogInAttempts
from skincare.accounts.models import User
from skincare.audit.middleware import client_address
from skincare.audit.record import record


class SignIn(LoginView):
    """Asks for e-mail address and password, and leads to where the person wanted to go."""

    template_name = "sign_in.html"
    redirect_authenticated_user = True
    next_page = "home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Kept by no cache."""
        response = super().dispatch(request, *args, **kwargs)
        response["Cache-Control"] = "private, no-store"
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the attempt before it is tried; too many failed ones have to wait."""
        self.attempts = LogInAttempts(request.POST.get("username", ""), client_address(request))
        try:
            self.attempts.count()
        except Throttled as throttled:
            seconds: int = throttled.wait  # type: ignore[attr-defined]  # the stubs do not know it
            answer = self.render_to_response(
                self.get_context_data(
                    form=AuthenticationForm(request),
                    wait=gettext("Too many failed attempts. Try again in %(seconds)d seconds.") % {"seconds": seconds},
                ),
                status=429,
            )
            answer["Retry-After"] = str(seconds)
            return answer
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Begin the session, and record that it began."""
        self.attempts.take_back()
        user = form.get_user()
        assert isinstance(user, User)  # the only kind of user there is
        with transaction.atomic():
            record("session.started", user, actor=user)
            return super().form_valid(form)
