"""Answers probes before anything else does."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from skincare.health import views


class ProbeMiddleware:
    """Takes /healthz, /readyz and /metrics past the checks of host and TLS, sessions and the request log.

    A load balancer or Prometheus asks every few seconds, by an address that is no host name of ours, and without TLS
    from inside.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._probes: dict[str, Callable[[HttpRequest], HttpResponse]] = {
            reverse("alive"): views.alive,
            reverse("ready"): views.ready,
            reverse("measured"): views.measured,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._probes.get(request.path, self._get_response)(request)
