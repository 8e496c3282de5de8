"""Webhooks as a way inside: addresses that look public, names that change, redirects, and receivers that never end."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from diagnosis.models import WebhookDelivery
from diagnosis.services import webhooks
from diagnosis.services.errors import Refusal
from skincare.accounts.models import Role
from tests import factories

#: Addresses that lead inside, or to no host of the internet, with how.
INSIDE = {
    "127.0.0.1": "loopback", "127.8.9.1": "loopback", "::1": "loopback", "0.0.0.0": "this host", "::": "this host",
    "10.0.0.1": "private", "172.16.0.1": "private", "192.168.1.1": "private", "fd00::1": "private",
    "100.64.0.1": "behind a carrier's NAT", "169.254.169.254": "a cloud's metadata", "fe80::1": "link-local",
    "fe80::1%eth0": "link-local", "fec0::1": "site-local", "::ffff:127.0.0.1": "mapped", "::ffff:a00:1": "mapped",
    "::127.0.0.1": "IPv4-compatible", "::ffff:0:10.0.0.1": "translated", "64:ff9b::7f00:1": "NAT64 to loopback",
    "64:ff9b::a9fe:a9fe": "NAT64 to metadata", "64:ff9b:1::a00:1": "NAT64 locally", "2002:7f00:1::1": "6to4",
    "2002:808:808::1": "6to4", "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo", "192.88.99.1": "6to4 relay",
    "224.0.0.1": "multicast", "ff02::1": "multicast", "255.255.255.255": "broadcast", "240.0.0.1": "reserved",
    "192.0.0.170": "reserved", "198.18.0.1": "benchmarks", "203.0.113.7": "documentation", "2001:db8::1":
    "documentation", "3fff::1": "documentation", "5f00::1": "segment routing",
}  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "::ffff:8.8.8.8")


@pytest.mark.parametrize("address", INSIDE, ids=[f"{address} {how}" for address, how in INSIDE.items()])
def test_an_address_that_is_no_host_of_the_internet_is_refused_without_telling_it(address: str) -> None:
    assert not webhooks.is_public(address)
    for found in ([address], ["1.1.1.1", address], [address, "1.1.1.1"]):
        with pytest.raises(webhooks.AddressRefused, match="not a public address") as refused:
            webhooks.public_address("h.example", 443, lambda _host, _port, found=found: found)
        assert address not in str(refused.value)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_host_of_the_internet_is_taken(address: str) -> None:
    assert webhooks.public_address("h.example", 443, lambda _host, _port: [address]) == address


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://[::1]/",
        "https://localhost/", "https://[::ffff:127.0.0.1]/", "https://127.0.0.1:6379/", "https://[64:ff9b::7f00:1]/",
    ],
)  # fmt: skip
def test_another_spelling_of_an_address_inside_is_refused_by_the_real_resolver(url: str) -> None:
    admin = factories.member(Role.ADMINISTRATOR)
    with pytest.raises(Refusal):
        webhooks.create_webhook(user=admin, organisation=factories.organisation_of(admin), url=url)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url", ["https://h.example/\r\nHost: inside", "https://h.example:99999/", "gopher://h.example/", "//h.example/",
            "https://user@h.example/", "file:///etc/passwd", "https://"],
)  # fmt: skip
def test_what_is_no_plain_https_address_is_refused(url: str) -> None:
    admin = factories.member(Role.ADMINISTRATOR)
    with pytest.raises(Refusal):
        webhooks.create_webhook(
            user=admin, organisation=factories.organisation_of(admin), url=url, resolver=lambda *_: ["127.0.0.1"]
        )


@pytest.mark.django_db
def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: the first answer is public, every later one leads inside."""
    answers = iter([["1.1.1.1"], ["1.1.1.1"]])
    admin = factories.member(Role.ADMINISTRATOR)
    clinician = factories.clinician(factories.organisation_of(admin))
    connected: list[Any] = []

    def connect(address: Any, timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError("nobody is there")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("resolved a second time"))
    rebinding = lambda _host, _port: next(answers, ["127.0.0.1"])  # noqa: E731
    webhooks.create_webhook(
        user=admin, organisation=factories.organisation_of(admin), url="https://h.example/", resolver=rebinding
    )
    factories.referral(clinician)
    assert webhooks.deliver_due(resolver=rebinding) == 0
    assert connected == [("1.1.1.1", 443)]
    assert "ConnectionRefusedError" in WebhookDelivery.objects.get().error


@pytest.fixture
def dripping() -> Iterator[int]:
    """A receiver that sends one byte of its headers every tenth of a second, for ever."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            line, _ = server.accept()
            line.recv(65536)
            line.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not over.wait(0.1):
                line.sendall(b"x")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    over.set()
    server.close()
    thread.join(5)


@pytest.mark.django_db
def test_a_receiver_that_never_ends_is_hung_up_on(
    dripping: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOKS_TO_PRIVATE = True
    monkeypatch.setattr(webhooks, "LONGEST_SECONDS", 1.0)
    monkeypatch.setattr(webhooks, "PATIENCE_SECONDS", 20.0)
    admin = factories.member(Role.ADMINISTRATOR)
    clinician = factories.clinician(factories.organisation_of(admin))
    webhooks.create_webhook(
        user=admin, organisation=factories.organisation_of(admin), url=f"http://127.0.0.1:{dripping}/"
    )
    factories.referral(clinician)
    began = time.monotonic()
    assert webhooks.deliver_due() == 0
    assert time.monotonic() - began < 20.0
    assert WebhookDelivery.objects.get().attempts == 1
