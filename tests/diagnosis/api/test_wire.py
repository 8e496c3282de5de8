"""Submissions over a real socket: twins at the same instant, and requests whose length is not what they say."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.db import connections
from pytest_django.live_server_helper import LiveServer

from diagnosis.models import Case, CaseImage, Patient
from tests import factories
from tests.diagnosis.api.conftest import Stored
from tests.diagnosis.api.requests import CASES, PHOTOGRAPH, new_case, token_for

pytestmark = pytest.mark.django_db(transaction=True)

BOUNDARY = "boundary-of-the-test"


@pytest.fixture
def token(transactional_db: None) -> str:
    """A token of a new clinician."""
    return token_for(factories.clinician())


@pytest.fixture(autouse=True)
def _close_connections() -> Iterator[None]:
    yield
    connections.close_all()


def form_of(case: object, image: bytes = PHOTOGRAPH) -> bytes:
    """A submission as bytes on the wire."""
    return b"".join(
        [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="case"\r\n\r\n'.encode(),
            json.dumps(case).encode(),
            f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="p.jpg"\r\n\r\n'.encode(),
            image,
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        ]
    )


def head_of(token: str, key: UUID, length: int | None, *more: str) -> bytes:
    """The head of a POST that announces ``length`` bytes."""
    lines = [
        f"POST {CASES} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Token {token}",
        f"Idempotency-Key: {key}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        "Connection: close",
        *([f"Content-Length: {length}"] if length is not None else []),
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def exchange(server: LiveServer, request: bytes) -> tuple[int, dict[str, object]]:
    """Send bytes, say that no more will come, and read the answer."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read() or b"{}")


def test_twenty_twins_at_once_make_one_case(live_server: LiveServer, token: str) -> None:
    key, form = uuid4(), form_of(new_case())
    request = head_of(token, key, len(form)) + form

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: exchange(live_server, request), range(20)))

    assert [status for status, _ in answers] == [201] * 20
    assert {answer["id"] for _, answer in answers} == {str(key)}
    assert len({json.dumps(answer["images"]) for _, answer in answers}) == 1
    assert Case.objects.count() == Patient.objects.count() == CaseImage.objects.count() == 1


@pytest.mark.parametrize("missing", [1, 2, 40, len(PHOTOGRAPH) // 2])
def test_a_request_shorter_than_announced_is_refused_and_nothing_is_stored(
    live_server: LiveServer, token: str, stored: Callable[[], Stored], missing: int
) -> None:
    form = form_of(new_case())
    before = stored()

    status, problem = exchange(live_server, head_of(token, uuid4(), len(form)) + form[:-missing])

    assert (status, problem["code"]) == (400, "body_incomplete")
    assert problem["detail"] == (
        f"{len(form)} bytes were announced, {len(form) - missing} arrived; send the request again"
    )
    assert stored() == before


@pytest.mark.parametrize("hidden", [4, 40, len(PHOTOGRAPH) // 2])
def test_a_request_longer_than_announced_is_refused_and_nothing_is_stored(
    live_server: LiveServer, token: str, stored: Callable[[], Stored], hidden: int
) -> None:
    form = form_of(new_case())
    before = stored()

    status, problem = exchange(live_server, head_of(token, uuid4(), len(form) - hidden) + form)

    assert (status, problem["code"]) == (400, "body_incomplete")
    assert stored() == before


def test_a_request_that_does_not_say_its_length_is_asked_for_it(live_server: LiveServer, token: str) -> None:
    form = form_of(new_case())
    chunked = f"{len(form):x}\r\n".encode() + form + b"\r\n0\r\n\r\n"

    status, problem = exchange(live_server, head_of(token, uuid4(), None, "Transfer-Encoding: chunked") + chunked)

    assert (status, problem["code"]) == (411, "length_required")


def test_without_a_token_the_answer_is_401_however_large_the_body(live_server: LiveServer) -> None:
    form = form_of(new_case(), bytes(3_000_000))
    address = urlsplit(live_server.url)
    client = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    client.request("POST", CASES, form, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = client.getresponse()
    assert answer.status == 401
    assert json.loads(answer.read())["code"] == "not_authenticated"
