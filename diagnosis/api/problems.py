"""Every error of the API as an RFC 9457 problem document: what is wrong, where, and what is needed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from psycopg2 import errorcodes
from rest_framework import exceptions, serializers

from diagnosis.models.sealed import PatientErased
from diagnosis.services.errors import Conflict, Refusal

PROBLEM_JSON: Final = "application/problem+json"

#: Codes of refusals that have a status of their own; all others are 422, or 409 for a conflict.
_STATUS_OF_CODE: Final = {"not_found": 404, "too_many_bytes": 413, "too_many_attempts": 429}
#: Detail shown when a form has more faults than a sentence can hold.
_FAULTS_IN_DETAIL: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with one field, such as ``images[2]`` or ``patient.birth_date``."""

    field: str
    code: str
    detail: str


@dataclass
class Problem(Exception):
    """Raise this to answer with a problem document."""

    status: int
    code: str
    detail: str
    field: str = ""
    headers: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return self.detail


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    request_id: str = "",
) -> HttpResponse:
    """Make the document. ``type`` stays ``about:blank``: the stable name for programs is ``code``."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [{"field": fault.field, "code": fault.code, "detail": fault.detail} for fault in faults],
        "request_id": request_id,
    }
    # ASCII, because a client's own field names come back here and may hold lone surrogates.
    body = json.dumps(document, ensure_ascii=True)
    return HttpResponse(body, status=status, content_type=PROBLEM_JSON, headers=dict(headers or {}))


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Turn whatever a view raised into a problem document; the unexpected tells nothing but its request's id."""
    request_id = context["request"].META.get("HTTP_X_REQUEST_ID", "")
    status, code, detail, faults, headers = _explain(error)
    if status >= 500:
        log.error("request_failed", code=code, error=type(error).__name__, exc_info=error)
    return problem_response(status, code, detail, faults=faults, headers=headers, request_id=request_id)


Explained = tuple[int, str, str, Sequence[Fault], Mapping[str, str]]


def _only_reads(error: DatabaseError) -> bool:
    """Whether the database refused to write: a standby, or a cluster that fails over."""
    return getattr(error.__cause__, "pgcode", None) == errorcodes.READ_ONLY_SQL_TRANSACTION


def _explain(error: Exception) -> Explained:
    match error:
        case Problem():
            faults = [Fault(error.field, error.code, error.detail)] if error.field else []
            return error.status, error.code, error.detail, faults, error.headers or {}
        case Refusal():
            status = _STATUS_OF_CODE.get(error.code, 409 if isinstance(error, Conflict) else 422)
            faults = [Fault(error.field, error.code, error.detail)] if error.field else []
            return status, error.code, error.detail, faults, {}
        case PatientErased():
            return 410, "patient_erased", "the patient was erased; what was kept of them is gone for good", [], {}
        case serializers.ValidationError():
            faults = list(_faults(error.get_full_details()))
            return 400, "invalid", _summary(faults), faults, {}
        case exceptions.APIException():
            return _explain_api_exception(error)
        case Http404():
            return _explain_api_exception(exceptions.NotFound())
        case PermissionDenied():
            return _explain_api_exception(exceptions.PermissionDenied())
        case RequestDataTooBig():
            return 413, "too_large", "the fields of the form are too large; at most 1 MB are accepted", [], {}
        case UnreadablePostError():
            return 400, "body_incomplete", "the request's body broke off; send it again", [], {}
        case SuspiciousOperation():
            return 400, "malformed", f"the request cannot be read: {error}", [], {}
        case OperationalError() | InterfaceError():
            detail = "the database does not answer; send the same request again, it is stored once"
            return 503, "database_unavailable", detail, [], {"Retry-After": "2"}
        case InternalError() if _only_reads(error):
            detail = "the database takes no writes at the moment; nothing was stored; send the same request again"
            return 503, "database_unavailable", detail, [], {"Retry-After": "2"}
        case OSError():
            detail = "the store of photographs does not answer; nothing was stored; send the same request again"
            return 503, "store_unavailable", detail, [], {"Retry-After": "2"}
        case _:
            detail = "something failed on the server; the request's id finds it in the logs"
            return 500, "unexpected", detail, [], {}


def _explain_api_exception(error: exceptions.APIException) -> Explained:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(error, "wait", None)) is not None:  # of a Throttled
        headers["Retry-After"] = str(max(1, round(wait)))
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    detail = str(error.detail)
    if isinstance(error, exceptions.NotFound) and code == "not_found":
        detail = "there is no such thing, or you may not see it"
    return error.status_code, code, detail, [], headers


def _faults(details: Any, path: str = "") -> Iterator[Fault]:
    """Flatten DRF's nested error details into faults with paths such as ``consents[0].scope``."""
    if isinstance(details, list):
        for index, item in enumerate(details):
            # A list holds either the messages of one field or, for a list of objects, one entry an object.
            is_message = isinstance(item, dict) and set(item) == {"message", "code"}
            yield from _faults(item, path if is_message else f"{path}[{index}]")
    elif isinstance(details, dict):
        if set(details) == {"message", "code"} and not isinstance(details["message"], (dict, list)):
            yield Fault(path, str(details["code"]), str(details["message"]))
            return
        for name, item in details.items():
            if isinstance(name, int):
                yield from _faults(item, f"{path}[{name}]")
            elif name == "non_field_errors":
                yield from _faults(item, path)
            else:
                yield from _faults(item, f"{path}.{name}" if path else str(name))


def _summary(faults: Sequence[Fault]) -> str:
    shown = "; ".join(
        f"{fault.field}: {fault.detail}" if fault.field else fault.detail for fault in faults[:_FAULTS_IN_DETAIL]
    )
    more = len(faults) - _FAULTS_IN_DETAIL
    return f"{shown}; and {more} more" if more > 0 else shown


@csrf_exempt  # it does nothing, and the protection would answer a POST with a page of HTML
def nothing_here(request: HttpRequest, path: str = "") -> HttpResponse:
    """Answer an address under /api/ that does not exist."""
    hint = "" if request.path.endswith("/") else "; addresses end with a slash"
    return problem_response(
        404,
        "no_such_address",
        f"there is nothing at {request.path}{hint}; see /api/docs/",
        request_id=request.META.get("HTTP_X_REQUEST_ID", ""),
    )
