"""Answers a supervisor's or a load balancer's question in JSON."""

from django.http import HttpRequest, JsonResponse


def alive(_request: HttpRequest) -> JsonResponse:
    """Tells that the process lives; touches no disk, database or broker."""
    return JsonResponse({"alive": True})
