"""Answers a supervisor's, a load balancer's or Prometheus' question."""

import hmac
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from skincare.health import metrics
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


@require_safe
@never_cache
def measured(request: HttpRequest) -> HttpResponse:
    """All metrics, for whoever bears settings.METRICS_TOKEN; where there is none, there is no such address."""
    if not settings.METRICS_TOKEN:
        raise Http404("no SKINCARE_METRICS_TOKEN is set")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), wanted.encode()):
        return HttpResponse(
            "Authorization: Bearer SKINCARE_METRICS_TOKEN is needed.\n",
            status=HTTPStatus.UNAUTHORIZED,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
