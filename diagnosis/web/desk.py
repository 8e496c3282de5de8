"""What the pages around the reading room share: signed in, kept by no cache, refusals shown in place."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.views.generic import View

from diagnosis.services.errors import Conflict, Refusal
from diagnosis.web.refusals import in_words
from skincare.accounts.models import User


class DeskPage(AccessMixin, View):
    """Shown to whoever has one of ``roles``; to everybody who is signed in where there are none."""

    roles: ClassVar[frozenset[str]] = frozenset()
    template: ClassVar[str] = ""
    user: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.user = request.user
        if self.roles and not self.roles & self.user.roles:
            raise PermissionDenied(f"this is for those who are {' or '.join(sorted(self.roles))} somewhere")
        response = super().dispatch(request, *args, **kwargs)
        response.setdefault("Cache-Control", "private, no-store")
        return response

    def page(self, request: HttpRequest, context: Mapping[str, object], refusal: Refusal | None = None) -> HttpResponse:
        """The page; with a refusal also what was sent, so that nobody types it again."""
        posted: object = request.POST if refusal is not None else MultiValueDict()
        status = 200 if refusal is None else (409 if isinstance(refusal, Conflict) else 422)
        said = None if refusal is None else in_words(refusal)
        return render(request, self.template, {**context, "refusal": said, "posted": posted}, status=status)


def whole_number(request: HttpRequest, field: str, *, needed: bool = True) -> int | None:
    """A number from a form.

    Raises:
        Refusal: it is none, or missing where it is needed.
    """
    text = request.POST.get(field, "").strip()
    if not text and not needed:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise Refusal(
            "not_a_number", _("%(field)s: %(text)s is not a whole number") % {"field": field, "text": text}, field=field
        )
    return int(text)
