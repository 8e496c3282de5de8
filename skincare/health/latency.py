"""Counts how long each address takes to answer, by the pattern of its path: an id never becomes a label."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

ANSWERS = Histogram(
    "skincare_http_seconds",
    "Seconds from the arrival of a request to its answer",
    ["method", "route", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1, 2, 5, 10),
)
#: Any other is told as "other": a caller could make up as many labels as it likes.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class LatencyMiddleware:
    """Measures around all middleware but the probes'."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self._get_response(request)
        route = request.resolver_match.route if request.resolver_match else ""
        method = request.method if request.method in METHODS else "other"
        ANSWERS.labels(method, route, f"{response.status_code // 100}xx").observe(time.perf_counter() - began)
        return response
