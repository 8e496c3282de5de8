"""Telling integrators' programs: signed, retried with growing pauses, logged, and never toward an address inside.

A name is resolved once, every address that it gives must be public, and the connection goes to the very address that
was looked at, so that a DNS answer that changes in between changes nothing. Redirects are not followed.
"""

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from diagnosis.models import DeliveryState, Referral, Webhook, WebhookDelivery
from diagnosis.services.errors import Refusal
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record
from skincare.encryption import blind_index

#: Pauses double from a minute on: after ten attempts, eight and a half hours have passed.
MOST_ATTEMPTS: Final = 10
FIRST_PAUSE_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 5.0
#: One run stops after this; the next goes on.
TURN_SECONDS: Final = 10.0
LONGEST_ANSWER_BYTES: Final = 4096

log = structlog.get_logger(__name__)

Resolve = Callable[[str, int], Sequence[str]]


class AddressRefused(OSError):
    """The name leads to an address that is not public, or to none."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name.

    Raises:
        OSError: it has none.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def public_address(host: str, port: int, resolver: Resolve = resolve) -> str:
    """One address of the name, after looking at all of them.

    Raises:
        AddressRefused: one of them is private, loopback, link-local, reserved or multicast.
        OSError: the name has none.
    """
    addresses = list(resolver(host, port))
    if not addresses:
        raise AddressRefused(f"{host} has no address")
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
        if not settings.WEBHOOKS_TO_PRIVATE and (not inner.is_global or inner.is_multicast or not address.is_global):
            raise AddressRefused(f"{host} leads to {text}, which is not a public address")
    return addresses[0]


def secret_of(webhook: Webhook) -> str:
    """What deliveries are signed with, as the integrator was told it: 64 hexadecimal digits."""
    return blind_index(str(webhook.pk), purpose="webhook-secret", salt=webhook.salt).hex()


def signature(secret: str, moment: int, body: bytes) -> str:
    """HMAC-SHA-256 over ``<seconds since 1970>.<body>``, as in the header ``X-Skincare-Signature``."""
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


@transaction.atomic
def create_webhook(
    *, user: User, organisation: Organisation, url: str, events: Sequence[str] = (), resolver: Resolve = resolve
) -> tuple[Webhook, str]:
    """Register an address, for an administrator of the organisation (the caller has made sure).

    Returns:
        The webhook, and its secret.

    Raises:
        Refusal: not https, not a public address, or an unknown event.
    """
    parts = _parts(url)
    try:
        public_address(parts[1], parts[2], resolver)
    except (OSError, ValueError) as error:
        raise Refusal("address_refused", f"{url}: {error}", field="url") from error
    for event in events:
        if event not in EVENTS:
            raise Refusal("unknown_event", f"{event!r} is not one of {', '.join(EVENTS)}", field="events")
    webhook = Webhook.objects.create(organisation=organisation, url=url, events=list(events), created_by=user)
    record("webhook.created", webhook, actor=user, organisation_id=organisation.pk)
    return webhook, secret_of(webhook)


#: Events that integrators can be told of.
EVENTS: Final = (
    "sent", "accept", "release", "take_over", "decline", "ask", "reply", "answer", "amend", "close", "withdraw",
    "stop", "expire", "message", "escalated",
)  # fmt: skip


def _parts(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path.

    Raises:
        Refusal: it is not an address that is called.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refusal("address_refused", f"{url} is not an address: {error}", field="url") from error
    schemes = ("https", "http") if settings.WEBHOOKS_TO_PRIVATE else ("https",)
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.password:
        raise Refusal("address_refused", f"{url}: an https address without a password is needed", field="url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path


def enqueue(referral: Referral, event: str) -> None:
    """Queue an event for the webhooks of the clinic and of the service, in the transaction of what happened."""
    if event not in EVENTS:
        return
    now = timezone.now()
    webhooks = Webhook.objects.filter(
        organisation__in=[referral.case.organisation_id, referral.service_id], active=True
    )
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            webhook=webhook,
            event=event,
            payload={
                "event": f"referral.{event}",
                "referral": str(referral.pk),
                "case": str(referral.case_id),
                "state": str(referral.state),
                "revision": referral.revision,
                "at": now.isoformat(),
            },
            created_at=now,
            not_before=now,
        )
        for webhook in webhooks
        if not webhook.events or event in webhook.events
    )


def deliver_due(*, now: datetime | None = None, resolver: Resolve = resolve) -> int:
    """Deliver what waits; what fails waits again, longer each time, and is given up after ten attempts.

    A row is claimed by putting it off before it is sent, so that two workers never send it at once.

    Returns:
        How many were delivered.
    """
    now = now or timezone.now()
    end = time.monotonic() + TURN_SECONDS
    delivered = 0
    while time.monotonic() < end and (delivery := _claim(now)) is not None:
        delivered += _deliver(delivery, resolver)
    return delivered


def _claim(now: datetime) -> WebhookDelivery | None:
    with transaction.atomic():
        delivery = (
            WebhookDelivery.objects.filter(state=DeliveryState.WAITING, not_before__lte=now)
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("not_before")
            .select_related("webhook")
            .first()
        )
        if delivery is not None:
            delivery.attempts += 1
            delivery.not_before = now + timedelta(seconds=FIRST_PAUSE_SECONDS * 2 ** (delivery.attempts - 1))
            delivery.save(update_fields=["attempts", "not_before"])
    return delivery


def _deliver(delivery: WebhookDelivery, resolver: Resolve) -> bool:
    status, error = 0, ""
    if not delivery.webhook.active:
        error = "the webhook was switched off"
    else:
        try:
            status = _post(delivery, resolver)
            if not 200 <= status < 300:
                error = "redirects are not followed" if 300 <= status < 400 else f"answered {status}"
        except (OSError, http.client.HTTPException, Refusal, ValueError) as failed:
            error = f"{type(failed).__name__}: {failed}"[:200]
    done = not error
    over = done or delivery.attempts >= MOST_ATTEMPTS or not delivery.webhook.active
    state = DeliveryState.DELIVERED if done else DeliveryState.GIVEN_UP if over else DeliveryState.WAITING
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=state, status=status, error=error, ended_at=timezone.now() if over else None
    )
    if error:
        log.warning("webhook_failed", delivery=str(delivery.pk), status=status, attempt=delivery.attempts)
    return done


def _post(delivery: WebhookDelivery, resolver: Resolve) -> int:
    scheme, host, port, path = _parts(delivery.webhook.url)
    address = public_address(host, port, resolver)
    body = json.dumps({"id": str(delivery.pk), **delivery.payload}, sort_keys=True).encode()
    moment = int(timezone.now().timestamp())
    raw = socket.create_connection((address, port), timeout=PATIENCE_SECONDS)
    try:
        secured = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if scheme == "https" else raw
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
        connection.sock = secured  # connected to the address that was looked at
        connection.request(
            "POST",
            path,
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "skincare-webhook/1",
                "X-Skincare-Delivery": str(delivery.pk),
                "X-Skincare-Signature": f"t={moment},v1={signature(secret_of(delivery.webhook), moment, body)}",
            },
        )
        answer = connection.getresponse()
        answer.read(LONGEST_ANSWER_BYTES)
        return answer.status
    finally:
        raw.close()


@transaction.atomic
def renew_secret(*, user: User, webhook: Webhook) -> str:
    """Make a new secret; the old one signs nothing any more. For an administrator (the caller has made sure)."""
    webhook.salt = uuid4()
    webhook.save(update_fields=["salt"])
    record("webhook.renewed", webhook, actor=user, organisation_id=webhook.organisation_id)
    return secret_of(webhook)


@transaction.atomic
def switch_off(*, user: User, webhook: Webhook) -> None:
    """Send nothing any more. For an administrator (the caller has made sure)."""
    webhook.active = False
    webhook.save(update_fields=["active"])
    record("webhook.switched_off", webhook, actor=user, organisation_id=webhook.organisation_id)
