"""Requests as a client sends them: with a token, and a submission as one form."""

import copy
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import ClientHandler

from diagnosis.api.submission import EXAMPLE_CASE
from skincare.accounts.models import ApiToken, TokenScope, User
from tests import factories

CASES = "/api/v1/cases/"
PHOTOGRAPH = factories.PHOTOGRAPH.read_bytes()


def token_for(user: User, *scopes: TokenScope) -> str:
    """A fresh token of the user, for reading and writing unless told otherwise."""
    _, plain = ApiToken.objects.create(user=user, expiry=timedelta(hours=1), scopes=list(scopes or TokenScope.values))
    return str(plain)


#: One for all clients: loading the middleware, which looks for every static file, takes longer than most requests.
_handler = ClientHandler(enforce_csrf_checks=False)


class ApiClient(Client):
    """A client that sends a token, JSON by default, and whole submissions."""

    def __init__(self, token: str = "") -> None:
        headers = {"Authorization": f"Token {token}"} if token else {}
        super().__init__(headers=headers, raise_request_exception=False)
        self.handler = _handler

    def send(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        """POST JSON."""
        return self.post(path, json.dumps(data), content_type="application/json", **kwargs)

    def submit(
        self,
        case: Any = None,
        images: list[bytes] | None = None,
        key: UUID | str | None = None,
        **parts: Any,
    ) -> Any:
        """POST a submission."""
        form: dict[str, Any] = {"case": json.dumps(new_case() if case is None else case), **parts}
        files = [PHOTOGRAPH] if images is None else images
        form["images"] = [SimpleUploadedFile(f"photo {n}.jpg", data, "image/jpeg") for n, data in enumerate(files)]
        return self.post(CASES, form, headers={"Idempotency-Key": str(key or uuid4())})


def new_case(**changes: Any) -> dict[str, Any]:
    """The JSON of a submission as the API's own example has it, with a policy and a record number of its own."""
    case = copy.deepcopy(EXAMPLE_CASE)
    case["patient"]["record_number"] = str(uuid4())
    for consent in case["consents"]:
        consent["policy_version"] = factories.policy().version
        consent["captured_at"] = "2026-01-02T03:04:05Z"
    case["seen_at"] = "2026-01-02T03:04:05Z"
    case.update(changes)
    return {name: value for name, value in case.items() if value is not ...}
