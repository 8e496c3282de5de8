"""The language and the colours of pages: as the browser asks for them, or as a person chose, kept in two cookies."""

from typing import Final, TypedDict

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, get_language_bidi, get_language_info
from django.views.generic import View

#: Empty: as the system has it.
THEMES: Final = ("", "light", "dark")
THEME_COOKIE: Final = "skincare_theme"
#: Both choices are kept for a year.
KEPT_SECONDS: Final = 365 * 24 * 3600


class Language(TypedDict):
    """A language that pages are written in, named in itself."""

    code: str
    name: str


class Appearance(TypedDict):
    """What templates need for their first line and for the menu."""

    language: str
    direction: str
    theme: str
    languages: list[Language]


def appearance(request: HttpRequest) -> dict[str, Appearance]:
    """Context processor: ``appearance`` in every template."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "appearance": {
            "language": get_language() or settings.LANGUAGE_CODE,
            "direction": "rtl" if get_language_bidi() else "ltr",
            "theme": theme if theme in THEMES else "",
            "languages": [
                {"code": code, "name": get_language_info(code.split("-")[0])["name_local"]}
                for code, _ in settings.LANGUAGES
            ],
        }
    }


class AppearanceView(View):
    """POST appearance/: choose a language or a theme, and go back to where one was. For everybody."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep the choice."""
        language, theme = request.POST.get("language"), request.POST.get("theme")
        if language not in (None, *dict(settings.LANGUAGES)) or theme not in (None, *THEMES):
            raise BadRequest("there is no such language or appearance")
        back = request.POST.get("next") or request.headers.get("Referer", "")
        if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
            back = "/"
        response = HttpResponseRedirect(back, status=303)
        for name, value in ((settings.LANGUAGE_COOKIE_NAME, language), (THEME_COOKIE, theme)):
            if value is not None:
                response.set_cookie(
                    name, value, max_age=KEPT_SECONDS, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
                )
        return response
