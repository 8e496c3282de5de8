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
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.models import DeliveryState, Referral, Webhook, WebhookDelivery
from diagnosis.services.errors import Conflict, Refusal
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record
from skincare.encryption import open_text, seal_text, sealed_under_current_key

#: Pauses double from a minute on: after ten attempts, eight and a half hours have passed.
MOST_ATTEMPTS: Final = 10
FIRST_PAUSE_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 5.0
#: A delivery as a whole, less than the time limit of its task.
LONGEST_SECONDS: Final = 8.0
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


#: Where IPv6 has unicast addresses of the internet. Outside lie loopback, link-local, site-local ones, and those that
#: a gateway translates to IPv4 (64:ff9b::/96, ::a.b.c.d, ::ffff:0:a.b.c.d), which Python's ``is_global`` lets pass.
_UNICAST: Final = ipaddress.ip_network("2000::/3")
#: In it, but documentation (RFC 9637), tunnels to an IPv4 address (6to4), and their IPv4 relays.
_NOT_FOR_HOSTS: Final = [ipaddress.ip_network(each) for each in ("3fff::/20", "2002::/16", "192.88.99.0/24")]


def is_public(text: str) -> bool:
    """Whether an address belongs to one host of the internet."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address not in _UNICAST:
            return False
    inside = any(address in each for each in _NOT_FOR_HOSTS if each.version == address.version)
    return address.is_global and not address.is_multicast and not inside


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
        if not settings.WEBHOOKS_TO_PRIVATE and not is_public(text):
            # Which address it is stays here: whoever asks could read the inside's names that way.
            raise AddressRefused(f"what {host} leads to is not a public address")
    return addresses[0]


def secret_of(webhook: Webhook) -> str:
    """What deliveries are signed with, as the integrator was told it: 64 hexadecimal digits."""
    return open_text(webhook.sealed_secret, place=_place(webhook))


def _give_secret(webhook: Webhook, secret: str) -> str:
    webhook.sealed_secret = seal_text(secret, place=_place(webhook))
    return secret


def _place(webhook: Webhook) -> str:
    return f"webhook:{webhook.pk}"


def seal_secrets_anew() -> int:
    """Seal all secrets under the current master key; they stay the same. Returns how many were sealed under another."""
    changed = 0
    for pk in Webhook.objects.values_list("pk", flat=True):
        with transaction.atomic():
            webhook = Webhook.objects.select_for_update().filter(pk=pk).first()
            if webhook is not None and not sealed_under_current_key(webhook.sealed_secret):
                _give_secret(webhook, secret_of(webhook))
                webhook.save(update_fields=["sealed_secret"])
                changed += 1
    return changed


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
    webhook = Webhook(organisation=organisation, url=url, events=list(events), created_by=user)
    secret = _give_secret(webhook, token_hex(32))
    webhook.save(force_insert=True)
    record("webhook.created", webhook, actor=user, organisation_id=organisation.pk)
    return webhook, secret


#: Events that integrators can be told of: codes that never change, and what they mean to a person.
EVENTS: Final[dict[str, Promise]] = {
    "sent": _("A referral was sent"),
    "accept": _("A dermatologist took it on"),
    "release": _("It was given back to the list"),
    "take_over": _("Another dermatologist took it over"),
    "decline": _("The service declined it"),
    "ask": _("The dermatologist asked for more information"),
    "reply": _("The clinician replied"),
    "answer": _("The answer was signed"),
    "amend": _("The answer was amended"),
    "close": _("The clinician closed it"),
    "withdraw": _("The clinician withdrew it"),
    "stop": _("It was stopped, because consent ended"),
    "expire": _("It expired without an answer"),
    "message": _("A message was written"),
    "escalated": _("It is overdue and moved up"),
}


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
    # Each read is bounded by the socket's patience, but a receiver could drip one byte at a time for hours.
    line, over = raw.dup(), threading.Event()
    deadline = threading.Timer(LONGEST_SECONDS, _hang_up, [line, over])
    deadline.daemon = True
    deadline.start()
    try:
        secured = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if scheme == "https" else raw
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
        connection.sock = secured  # connected to the address that was looked at
        try:
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
            if over.is_set():
                raise TimeoutError(f"took longer than {LONGEST_SECONDS:g} s")
            return answer.status
        finally:
            connection.close()
    finally:
        raw.close()
        deadline.cancel()
        line.close()


def _hang_up(line: socket.socket, over: threading.Event) -> None:
    over.set()
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


@transaction.atomic
def renew_secret(*, user: User, webhook: Webhook) -> str:
    """Make a new secret; the old one signs nothing any more. For an administrator (the caller has made sure)."""
    secret = _give_secret(webhook, token_hex(32))
    webhook.save(update_fields=["sealed_secret"])
    record("webhook.renewed", webhook, actor=user, organisation_id=webhook.organisation_id)
    return secret


@transaction.atomic
def switch_off(*, user: User, webhook: Webhook) -> None:
    """Send nothing any more. For an administrator (the caller has made sure)."""
    webhook.active = False
    webhook.save(update_fields=["active"])
    record("webhook.switched_off", webhook, actor=user, organisation_id=webhook.organisation_id)


@transaction.atomic
def resend(*, user: User, delivery: WebhookDelivery) -> WebhookDelivery:
    """Send what was delivered or given up once more, with all its attempts. For an administrator (see above).

    Raises:
        Conflict: it waits already, or its webhook is switched off.
    """
    again = WebhookDelivery.objects.select_for_update(of=("self",)).select_related("webhook").get(pk=delivery.pk)
    if again.state == DeliveryState.WAITING:
        raise Conflict("waiting", "it waits to be sent already", field="state")
    if not again.webhook.active:
        raise Conflict("switched_off", "the webhook is switched off; register the address anew", field="webhook")
    again.state, again.attempts, again.not_before, again.ended_at = DeliveryState.WAITING, 0, timezone.now(), None
    again.save(update_fields=["state", "attempts", "not_before", "ended_at"])
    record(
        "webhook.resent",
        again.webhook,
        actor=user,
        organisation_id=again.webhook.organisation_id,
        details={"delivery": str(again.pk)},
    )
    return again
