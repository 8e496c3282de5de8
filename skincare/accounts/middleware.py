"""Keeps a session without the second factor that its user needs from everything but getting one."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from skincare.accounts import second_factor, sessions
from skincare.accounts.models import User

#: Pages that lead to a second factor, or out.
OPEN: Final = frozenset(
    {
        "sign-in",
        "sign-out",
        "account_login",
        "account_logout",
        "account_reauthenticate",
        "second-factor-missing",
        "mfa_authenticate",
        "mfa_login_webauthn",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "appearance",
    }
)
#: Answered with problem documents, by the API's own authentication.
API: Final = "api/"


class SecondFactorMiddleware:
    """Asks once a request of a session, and costs a request with a token nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Note the session's use, and lead whoever lacks a second factor to it."""
        session: SessionBase | None = getattr(request, "session", None)
        if session is None or session.session_key is None or not isinstance(request.user, User):
            return None
        standing = second_factor.standing_of(request.user, session_key=session.session_key)
        sessions.note_use(session.session_key, standing.session_used_at)
        lacking = standing.required and not (standing.has_factor and second_factor.was_used_in(request))
        request.lacks_second_factor = lacking  # type: ignore[attr-defined]
        match = request.resolver_match
        if not lacking or match is None or match.url_name in OPEN or match.route.startswith(API):
            return None
        if not standing.has_factor:
            return HttpResponseRedirect(reverse("second-factor-missing"))
        path = request.get_full_path() if request.method == "GET" else reverse("home")
        return HttpResponseRedirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': path})}")


def lacks_second_factor(request: HttpRequest) -> bool:
    """Whether the middleware found that the request's session lacks a second factor that its user needs."""
    return bool(getattr(request, "lacks_second_factor", False))
