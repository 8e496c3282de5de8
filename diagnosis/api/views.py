"""What every view of the API rests on."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from rest_framework.generics import GenericAPIView
from rest_framework.request import Request

from diagnosis.api.access import Access
from skincare.accounts.models import TokenScope


class ApiView(GenericAPIView):  # type: ignore[type-arg]
    """What every view of the API rests on: declared access, nothing kept by browsers and proxies."""

    #: OPTIONS would describe forms that docs/openapi.yaml describes better.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    access: ClassVar[Mapping[str, Access]] = {}
    #: Scopes of methods that are other than read for safe methods and write for the rest.
    scopes: ClassVar[Mapping[str, TokenScope]] = {}
    #: Methods for which a browser's session needs a fresh proof of who uses it (see ``skincare.accounts.recently``).
    confirmed: ClassVar[Collection[str]] = ()

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Forbid caches to keep any answer: it may hold patients' data."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("Cache-Control", "private, no-store")
        return response
