"""What a person sees when something is wrong: what it is, what can be done, and a way on. Programs get the API's words.

Nothing of the request or of the exception is shown but the request's id, by which the logs have it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.api.problems import exception_handler, problem_response

#: Everything below answers programs.
API: Final = "/api/"


@dataclass(frozen=True)
class Said:
    """What is told of one kind of error."""

    title: Promise
    text: Promise


CANNOT_BE_READ: Final = Said(
    _("This request cannot be read"),
    _("The address or the form holds something that does not belong there. Go back and try again."),
)
NOT_ALLOWED: Final = Said(
    _("This page is not for your account"),
    _("Your account has no role that it is for. Whoever administers your organisation gives roles."),
)
FORGED: Final = Said(
    _("The form was not taken"),
    _(
        "Only forms that this site has just shown you are taken, and this one was too old or came from elsewhere. "
        "Go back, load the page anew and send it again. If that does not help, allow cookies for this site."
    ),
)
NOTHING_HERE: Final = Said(
    _("There is nothing here"),
    _("The address is mistyped, or what was here is gone, or it is not yours to see."),
)
WRONG_METHOD: Final = Said(
    _("This address only takes a form"),
    _(
        "It does something and shows nothing, so it cannot be opened. If you had to sign in again on the way here, "
        "what you sent was not done: go to its page and send it from there."
    ),
)
FAILED: Final = Said(
    _("Something failed on our side"),
    _(
        "What you sent last may not be stored: look before you send it again. If it happens once more, tell whoever "
        "looks after this platform the number below."
    ),
)
UNAVAILABLE: Final = Said(
    _("The platform does not answer at the moment"),
    _("A part of it is away. What you sent last may not be stored: look before you send it again, in a minute."),
)


def cannot_be_read(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    if request.path.startswith(API):
        return exception_handler(exception, {"request": request})
    return _page(request, 400, CANNOT_BE_READ)


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if request.path.startswith(API):
        return exception_handler(exception, {"request": request})
    return _page(request, 403, NOT_ALLOWED)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403, where a form is not one of this site's."""
    if request.path.startswith(API):
        return problem_response(403, "csrf_failed", "the CSRF token is missing or wrong", request_id=_id_of(request))
    return _page(request, 403, FORGED)


def nothing_here(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if request.path.startswith(API):
        return exception_handler(exception, {"request": request})
    return _page(request, 404, NOTHING_HERE)


def wrong_method(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """405, for which Django knows no page of ours: a middleware."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or request.path.startswith(API):
            return response
        page = _page(request, 405, WRONG_METHOD)
        page["Allow"] = response["Allow"]
        return page

    return answer


def failed(request: HttpRequest) -> HttpResponse:
    """500, or 503 where a server that the platform rests on is away. Asks neither the database nor the session."""
    error = sys.exc_info()[1]
    if request.path.startswith(API) and isinstance(error, Exception):
        return exception_handler(error, {"request": request})
    if isinstance(error, OperationalError | InterfaceError):
        answer = _page(request, 503, UNAVAILABLE)
        answer["Retry-After"] = "60"
        return answer
    return _page(request, 500, FAILED)


def _page(request: HttpRequest, status: int, said: Said) -> HttpResponse:
    template = "errors/failed.html" if status >= 500 else "errors/refused.html"
    context = {"status": status, "said": said, "request_id": _id_of(request)}
    return render(request, template, context, status=status)


def _id_of(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_X_REQUEST_ID", ""))
