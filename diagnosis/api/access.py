"""Who may call what. Closed by default: a view that does not declare its access answers nobody."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from diagnosis.models.patients import organisations_of_administrator, organisations_of_clinician
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services.errors import Refusal
from skincare.accounts.models import ApiToken, Organisation, TokenScope, User
from skincare.accounts.recently import is_recent

if TYPE_CHECKING:
    # Not at run time: rest_framework.views asks for this module while it is being imported itself.
    from rest_framework.views import APIView


class Access(Enum):
    """Whom a method of a view answers."""

    EVERYONE = "everyone"
    SIGNED_IN = "signed in"
    #: Clinicians of at least one organisation; which rows they see is the querysets' business (``for_user``).
    CLINICIAN = "clinician"
    #: Dermatologists of at least one service; which rows they see is the querysets' business (``for_reader``).
    DERMATOLOGIST = "dermatologist"
    CLINICIAN_OR_DERMATOLOGIST = "clinician or dermatologist"
    #: Administrators of at least one organisation. They see no patients; they answer for patients' rights.
    ADMINISTRATOR = "administrator"
    CLINICIAN_OR_ADMINISTRATOR = "clinician or administrator"
    DERMATOLOGIST_OR_ADMINISTRATOR = "dermatologist or administrator"
    #: Whoever answers for the network, for all organisations: no administrator is one by that. They see no patients.
    MODEL_STEWARD = "model steward"


class DeclaredAccess(BasePermission):
    """Grants what the view declares in ``access``, within the scopes of the token that was used."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the method may be called at all."""
        method = request.method or ""
        declared: Mapping[str, Access] = getattr(view, "access", {})
        access = declared.get("GET" if method == "HEAD" else method)
        if access is Access.EVERYONE:
            return True
        if not request.user or not request.user.is_authenticated:
            return False
        if access is None:
            # A method that the view has but did not declare is closed; one it has not goes on to its 405.
            return method.lower() not in view.http_method_names or not hasattr(view, method.lower())
        _check_scope(request, view, method)
        if access is not Access.SIGNED_IN and not _has_role(request, access):
            if access is Access.MODEL_STEWARD:
                raise PermissionDenied("this is for model stewards; you are not one", code="role_missing")
            raise PermissionDenied(
                f"this is for {_PLURAL[access]}; you are not one in any organisation", code="role_missing"
            )
        _check_confirmed(request, view, method)
        return True


_PLURAL: Final = {
    Access.CLINICIAN: "clinicians",
    Access.DERMATOLOGIST: "dermatologists",
    Access.CLINICIAN_OR_DERMATOLOGIST: "clinicians and dermatologists",
    Access.ADMINISTRATOR: "administrators",
    Access.CLINICIAN_OR_ADMINISTRATOR: "clinicians and administrators",
    Access.DERMATOLOGIST_OR_ADMINISTRATOR: "dermatologists and administrators",
}


def _has_role(request: Request, access: Access) -> bool:
    if access is Access.MODEL_STEWARD:
        return signed_in(request).is_model_steward
    clinicians = (Access.CLINICIAN, Access.CLINICIAN_OR_ADMINISTRATOR, Access.CLINICIAN_OR_DERMATOLOGIST)
    if access in clinicians and clinics_of(request):
        return True
    dermatologists = (Access.DERMATOLOGIST, Access.CLINICIAN_OR_DERMATOLOGIST, Access.DERMATOLOGIST_OR_ADMINISTRATOR)
    if access in dermatologists and services_of_dermatologist(signed_in(request)).exists():
        return True
    administrators = (Access.ADMINISTRATOR, Access.CLINICIAN_OR_ADMINISTRATOR, Access.DERMATOLOGIST_OR_ADMINISTRATOR)
    return access in administrators and organisations_of_administrator(signed_in(request)).exists()


def _check_scope(request: Request, view: APIView, method: str) -> None:
    if not isinstance(request.auth, ApiToken):
        return
    exceptional: Mapping[str, TokenScope] = getattr(view, "scopes", {})
    needed = exceptional.get(method, TokenScope.READ if method in SAFE_METHODS else TokenScope.WRITE)
    if needed not in request.auth.scopes:
        raise PermissionDenied(f"the token has not the scope {needed.value!r}", code="scope_missing")


def _check_confirmed(request: Request, view: APIView, method: str) -> None:
    """A session may have been left open; a token was issued to a program, for what its scopes say."""
    if method in getattr(view, "confirmed", ()) and request.auth is None and not is_recent(request._request):
        raise PermissionDenied(
            "confirm that it is you at /account/confirm/, then send this again", code="confirmation_needed"
        )


def signed_in(request: Request) -> User:
    """The user, on views that answer only those who signed in."""
    assert isinstance(request.user, User)
    return request.user


def clinics_of(request: Request) -> list[UUID]:
    """Ids of the organisations where the user is a clinician; asked once in a request."""
    return list(_clinics(request))


def _clinics(request: Request) -> dict[UUID, Organisation]:
    known: dict[UUID, Organisation] | None = getattr(request, "_clinics", None)
    if known is None:
        known = {clinic.pk: clinic for clinic in organisations_of_clinician(signed_in(request))}
        request._clinics = known  # type: ignore[attr-defined]
    return known


def organisation_for(request: Request, wanted: UUID | None) -> Organisation:
    """The organisation that something new belongs to: the one asked for, or the only one there is.

    Raises:
        Refusal: it must be said which, or the user is no clinician there.
    """
    clinics = clinics_of(request)
    if wanted is None and len(clinics) > 1:
        choices = ", ".join(str(pk) for pk in sorted(clinics))
        raise Refusal("organisation_missing", f"say in which organisation: one of {choices}", field="organisation")
    if wanted is not None and wanted not in clinics:
        raise Refusal("not_found", f"you are not a clinician in an organisation {wanted}", field="organisation")
    return _clinics(request)[wanted or clinics[0]]
