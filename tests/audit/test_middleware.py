"""Each request has an id that its answer, its logs and its audit events share, and an address that cannot be forged."""

from uuid import UUID

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings

from skincare.audit.middleware import OriginMiddleware, client_address
from skincare.audit.models import AuditEvent
from skincare.audit.record import Origin, origin
from tests import factories


def origin_seen(request: HttpRequest) -> tuple[Origin, HttpResponse]:
    """The origin while the request is answered, and the answer."""
    seen: list[Origin] = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(origin.get())
        return HttpResponse()

    answer = OriginMiddleware(view)(request)
    return seen[0], answer


def test_a_request_gets_an_id_and_its_answer_carries_it() -> None:
    seen, answer = origin_seen(RequestFactory().get("/"))
    assert answer["X-Request-ID"] == seen.request_id
    assert UUID(seen.request_id)
    assert seen.address == "127.0.0.1"


def test_the_id_of_the_client_is_kept_if_it_is_one() -> None:
    seen, answer = origin_seen(RequestFactory().get("/", headers={"X-Request-ID": "app-7.2_x"}))
    assert seen.request_id == answer["X-Request-ID"] == "app-7.2_x"


@pytest.mark.parametrize("wished", ["", "a b", "x" * 65, "a\nb", "<script>", "é", "a/../b"])
def test_what_is_no_id_is_replaced(wished: str) -> None:
    seen, _ = origin_seen(RequestFactory().get("/", headers={"X-Request-ID": wished}))
    assert UUID(seen.request_id)


def test_nothing_is_left_for_the_next_request_of_the_thread() -> None:
    def fail(_request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        OriginMiddleware(fail)(RequestFactory().get("/"))
    assert origin.get() == Origin()


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "address"),
    [
        (0, "192.0.2.1", "", "192.0.2.1"),
        (0, "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (1, "10.0.0.1", "198.51.100.7", "198.51.100.7"),
        (1, "10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (2, "10.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (1, "10.0.0.1", "nonsense", None),
        (1, "10.0.0.1", "", None),
        (0, "", "", None),
        (0, "fe80::1%eth0", "", "fe80::1"),
        (0, "2001:DB8::1", "", "2001:db8::1"),
    ],
)
def test_the_address_is_the_one_that_our_own_proxies_saw(
    settings: Settings, proxies: int, remote: str, forwarded: str, address: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)) == address


@pytest.mark.django_db
def test_logs_and_audit_carry_the_id_of_the_request() -> None:
    person = factories.clinician()
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        answer = Client().post(
            "/api/v1/auth/token/",
            {"email": person.email, "password": factories.PASSWORD},
            content_type="application/json",
            headers={"X-Request-ID": "from-the-app"},
        )
    assert answer["X-Request-ID"] == "from-the-app"
    event = AuditEvent.objects.get(action="token.created")
    assert (event.request_id, event.address) == ("from-the-app", "127.0.0.1")
    requests = [entry for entry in logged if entry["event"].startswith("request_")]
    assert {entry["request_id"] for entry in requests} == {"from-the-app"}
