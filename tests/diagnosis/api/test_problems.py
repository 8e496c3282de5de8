"""Every error is a problem document that says what is wrong, and nothing that it should not."""

import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, TooManyFilesSent
from django.db import OperationalError, connections
from django.http import Http404
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import NotAcceptable, ValidationError

from diagnosis.api.me import MeView
from diagnosis.api.problems import exception_handler, problem_response
from diagnosis.services.errors import Conflict, KeyReused, Refusal
from tests.diagnosis.api.requests import ApiClient


@pytest.mark.parametrize(
    "address",
    [
        "/api/",
        "/api/v2/cases/",
        "/api/v1/",
        "/api/v1/nowhere/",
        "/api/v1/cases",
        "/api/v1/cases/7/",
        "/api/v1/admin/",
        "/api/v1/%00/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_that_does_not_exist_is_a_problem_document(db: None, address: str, method: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, address)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "no_such_address"
    assert ("end with a slash" in answer.json()["detail"]) == (not address.endswith("/"))


def test_a_problem_carries_the_id_that_the_answer_carries(api: ApiClient) -> None:
    answer = api.get("/api/v1/cases/?state=lost", headers={"X-Request-ID": "from-the-client.1"})
    assert answer["X-Request-ID"] == answer.json()["request_id"] == "from-the-client.1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": answer.json()["detail"],
        "code": "invalid",
        "errors": answer.json()["errors"],
        "request_id": "from-the-client.1",
    }


def answer_to(error: Exception, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The answer of a view that raises ``error``."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MeView, "get", fail)
    return api.get("/api/v1/me/")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refusal("too_small", "photograph 1: 1x1 pixels", field="images[0]"), 422, "too_small"),
        (Refusal("too_many_bytes", "photograph 1: 60 MB", field="images[0]"), 413, "too_many_bytes"),
        (Refusal("not_found", "there is no patient", field="patient"), 404, "not_found"),
        (Conflict("id_taken", "taken"), 409, "id_taken"),
        (KeyReused("key_reused", "other content"), 422, "key_reused"),
        (ValidationError({"a": ["no"]}), 400, "invalid"),
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (NotAcceptable(), 406, "not_acceptable"),
        (TooManyFilesSent("too many"), 400, "malformed"),
        (OperationalError("server closed the connection"), 503, "database_unavailable"),
        (OSError("disk on fire"), 503, "store_unavailable"),
        (RuntimeError("secret of the house"), 500, "unexpected"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_a_view_raises_becomes_a_problem_document(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    answer = answer_to(error, api, monkeypatch)
    assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (
        status,
        "application/problem+json",
        code,
    )
    if status >= 500:
        assert str(error) not in answer.content.decode()
    if status == 503:
        assert answer["Retry-After"] == "2"


@pytest.mark.parametrize("accepted", ["text/html", "image/png", "application/xml"])
def test_a_format_that_is_not_spoken_is_a_406(api: ApiClient, accepted: str) -> None:
    answer = api.get("/api/v1/me/", headers={"Accept": accepted})
    assert (answer.status_code, answer["Content-Type"]) == (406, "application/problem+json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=12,
)


@given(text=st.text(st.characters(codec=None)), status=st.sampled_from([400, 404, 422]))
def test_any_text_fits_into_a_problem_document(text: str, status: int) -> None:
    answer = problem_response(status, "code", text)
    assert json.loads(answer.content)["detail"] == text


@given(detail=JSON)
def test_any_validation_error_fits_into_a_problem_document(detail: Any) -> None:
    class Request:
        """As much of a request as the handler looks at."""

        META: dict[str, str] = {}

    answer = exception_handler(ValidationError(detail), {"request": Request()})
    assert answer.status_code == 400
    assert json.loads(answer.content)["code"] == "invalid"


def test_connections_are_left_usable_after_an_error(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_to(RuntimeError(), api, monkeypatch)
    assert connections["default"].is_usable()
