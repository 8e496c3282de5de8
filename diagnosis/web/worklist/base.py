"""What every page of the worklist shares: who may open it, and that no cache keeps it."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.contrib.auth.mixins import AccessMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.generic import View

from diagnosis.models import Referral
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services.signing import SESSION, Proof
from skincare.accounts.models import Organisation, User
from skincare.accounts.second_factor import proofs


class ReaderPage(AccessMixin, View):
    """Shown to dermatologists of at least one service, and kept by no cache."""

    user: User
    services: list[Organisation]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away whoever it is not for."""
        if not isinstance(request.user, User):
            return self.handle_no_permission()
        self.user = request.user
        self.services = list(services_of_dermatologist(self.user).order_by("name"))
        if not self.services:
            raise PermissionDenied("this is for dermatologists; you are not one in any service")
        response = super().dispatch(request, *args, **kwargs)
        response.setdefault("Cache-Control", "private, no-store")
        return response

    def referral_or_404(self, pk: UUID) -> Referral:
        """A referral that the user may see as a dermatologist."""
        return get_object_or_404(Referral.objects.for_reader(self.user).with_everything(), pk=pk)


def proof_of(request: HttpRequest) -> Proof:
    """When the session's user last proved who they are; long ago where the session does not say."""
    newest = max((proof["at"] for proof in proofs(request)), default=0.0)
    return Proof(datetime.fromtimestamp(newest, UTC), SESSION)


def polled(request: HttpRequest, content: str) -> tuple[HttpResponse, bool]:
    """An answer to a page that asks again and again, and whether anything is in it.

    Args:
        content: must hold nothing that the user may not see, since the ETag follows it.
    """
    etag = f'"{sha256(content.encode()).hexdigest()[:32]}"'
    changed = request.headers.get("If-None-Match") != etag
    response = HttpResponse(content) if changed else HttpResponse(status=304)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response, changed
