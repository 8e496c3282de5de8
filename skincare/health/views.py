"""Answers a supervisor's or a load balancer's question in JSON."""

from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from skincare.health.checks import readiness


@require_safe
@never_cache
def alive(_request: HttpRequest) -> JsonResponse:
    """Tells that the process lives; touches no disk, database or broker."""
    return JsonResponse({"alive": True})


@require_safe
@never_cache
def ready(_request: HttpRequest) -> JsonResponse:
    """200 when a case could be submitted and answered now; otherwise 503 with a sentence for each missing part."""
    found = readiness()
    missing = {part: sentence for part, sentence in found.items() if sentence}
    return JsonResponse(
        {"ready": not missing, "parts": {part: part not in missing for part in found}, "missing": missing},
        status=HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK,
    )
