"""Gives each request an id that its logs, its audit events and its answer share, and notes where it came from."""

import ipaddress
import re
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from skincare.audit.record import Origin, origin

#: What a client may choose as its request's id; anything else is replaced, so that no text ends up in logs and audit.
ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class OriginMiddleware:
    """Stands first, before the logs: they take the id from the header that is set here."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        wished = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = wished if ACCEPTED_ID.fullmatch(wished) else str(uuid4())
        request.META["HTTP_X_REQUEST_ID"] = request_id
        before = origin.set(Origin(request_id, client_address(request)))
        try:
            response = self.get_response(request)
        finally:
            origin.reset(before)
        response["X-Request-ID"] = request_id
        return response


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address, or nothing where it is not known (a Unix socket, a malformed header).

    ``settings.TRUSTED_PROXIES`` says how many proxies of ours stand in front, each of which appends the address that
    it saw to X-Forwarded-For. With none, that header is whatever the client wrote, and is not looked at.
    """
    address = request.META.get("REMOTE_ADDR", "")
    proxies: int = settings.TRUSTED_PROXIES
    if proxies:
        seen = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        address = seen[-min(proxies, len(seen))].strip()
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return None
