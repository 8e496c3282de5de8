"""Fresh proof of who one is, before an act that a borrowed session must not do.

A session counts as fresh for ``RECENT_AUTHENTICATION_SECONDS`` after a password, a code or a passkey. For pages use
``recently_authenticated`` (a decorator) or ``RecentlyAuthenticatedMixin``: they lead to `/account/confirm/` and back.
Views of the API name their methods in ``confirmed`` (see ``diagnosis.api.views``).
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.generic import View

from skincare.accounts.second_factor import proofs


def is_recent(request: HttpRequest) -> bool:
    """Whether the session's user has proved who they are a short while ago."""
    newest = max((proof["at"] for proof in proofs(request)), default=0.0)
    recent: bool = time.time() - newest < settings.RECENT_AUTHENTICATION_SECONDS
    return recent


def demand_recent(request: HttpRequest) -> None:
    """Go on only with a fresh proof.

    Raises:
        ReauthenticationRequired: the middleware of allauth turns it into a redirect.
    """
    if not is_recent(request):
        raise ReauthenticationRequired


Page = Callable[..., HttpResponseBase]


def recently_authenticated(view: Page) -> Page:
    """Decorator of a page that needs a fresh proof, for reading it as well as for what it does."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        demand_recent(request)
        return view(request, *args, **kwargs)

    return guarded


class RecentlyAuthenticatedMixin(View):
    """Base of a page, put first, that needs a fresh proof."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Demand it of whoever is signed in; the page itself turns the others away."""
        if request.user.is_authenticated:
            demand_recent(request)
        return super().dispatch(request, *args, **kwargs)
