"""Whatever the OpenAPI document allows, and much that it does not, is answered as it says and never with a 500.

The committed document against a running server, as everybody there is. Half of the ids that are asked for exist.
"""

import os
import re
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import schemathesis
import yaml
from django.conf import settings as django_settings
from django.core.cache import cache
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django.live_server_helper import LiveServer
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from skincare.accounts.models import TokenScope, User
from tests import factories
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_world import World
from tests.diagnosis.api.requests import token_for

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
world = permission_world.world

DOCUMENT: Final = yaml.safe_load((django_settings.BASE_DIR / "docs" / "openapi.yaml").read_text())
CHECKS: Final[list[Callable[..., Any]]] = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
#: SKINCARE_API_CASES=10 asks ten times as much, 0.2 a fifth.
SHARE: Final = float(os.environ.get("SKINCARE_API_CASES", "1"))
#: Cases of each operation, by who asks.
CASES: Final = {
    role: max(1, round(number * SHARE))
    for role, number in {
        "clinician": 10,
        "dermatologist": 7,
        "administrator": 5,
        "steward": 4,
        "integrator": 3,
        "anonymous": 2,
    }.items()
}
#: Ends tokens: asked with one of its own.
ENDS_TOKENS: Final = {("DELETE", "/api/v1/auth/token/"), ("POST", "/api/v1/auth/token/logout-all/")}


class Asker:
    """One person with everything that they could name."""

    def __init__(self, world: World, role: str, server: str) -> None:
        self.world, self.server = world, server
        # Now, since somebody below ends the referral, after which nothing is written any more.
        self.photograph_of_message = permission_world.message_photograph(world)
        service = world.referral.service if world.referral else None
        users: dict[str, User | None] = {
            "clinician": world.own,
            "dermatologist": factories.dermatologist(service),
            "administrator": world.users["administrator"],
            "steward": world.users["steward"],
            "integrator": world.own,
            "anonymous": None,
        }
        self.user = users[role]
        self.scopes = (TokenScope.READ,) if role == "integrator" else (TokenScope.READ, TokenScope.WRITE)
        self.token = self.new_token()
        self.asked = 0

    def new_token(self) -> str:
        """A token of the person's; none for nobody."""
        return token_for(self.user, *self.scopes) if self.user else ""

    def known(self, path: str) -> UUID | None:
        """The id of what there is at this address."""
        route = path.removeprefix("/").replace("{id}", "<uuid:pk>").replace("{pk}", "<uuid:pk>")
        address = permission_world.address_of(route, self.world, self.user)
        found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", address)
        return UUID(found[0]) if found else None

    def names(self) -> dict[str, str]:
        """Ids for bodies and filters, by the name of the field."""
        assert self.world.referral is not None
        case = self.world.case
        return {
            "case": str(case.pk),
            "patient": str(case.patient_id),
            "lesion": str(case.lesion_id),
            "service": str(self.world.referral.service_id),
        }

    def ask(self, case: Any, existing: bool) -> None:
        """Ask, and judge the answer."""
        if existing:
            names = self.names()
            for name, value in list((case.path_parameters or {}).items()):
                if name == "id":
                    case.path_parameters[name] = str(self.known(case.operation.path) or value)
                if name == "image" and "message-photographs" in case.operation.path:
                    case.path_parameters[name] = str(self.photograph_of_message)
            if isinstance(case.body, dict):
                case.body.update({name: names[name] for name in names if name in case.body})
            for name in names:
                if case.query and name in case.query:
                    case.query[name] = names[name]
        ends = (case.operation.method.upper(), case.operation.path) in ENDS_TOKENS
        token = self.new_token() if ends else self.token
        headers = {"Authorization": f"Token {token}"} if token else {}
        response = case.call(base_url=self.server, headers=headers)
        self.asked += 1
        if ends and response.status_code < 300:
            self.token = self.new_token()
        case.validate_response(response, checks=CHECKS)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", list(CASES))
def test_no_request_breaks_the_api(role: str, world: World, live_server: LiveServer) -> None:
    cache.clear()
    asker = Asker(world, role, live_server.url)
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 45
    faults = []
    for operation in operations:

        @given(case=operation.as_strategy(), existing=st.booleans())
        @settings(
            max_examples=CASES[role],
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        def attack(case: Any, existing: bool) -> None:
            asker.ask(case, existing)

        try:
            attack()
        except FailureGroup as found:
            faults += [f"{operation.label}: {fault}" for fault in found.exceptions]
        except Exception as fault:
            faults.append(f"{operation.label}: {type(fault).__name__}: {fault}")
    assert faults == [], "\n\n".join(faults)
    assert asker.asked >= CASES[role] * len(operations) // 2


def test_an_answer_that_the_document_does_not_have_is_noticed(world: World, live_server: LiveServer) -> None:
    asker = Asker(world, "clinician", live_server.url)
    poorer = yaml.safe_load(yaml.safe_dump(DOCUMENT))
    del poorer["paths"]["/api/v1/patients/{id}/"]["get"]["responses"]["404"]
    operation = schemathesis.openapi.from_dict(poorer)["/api/v1/patients/{id}/"]["GET"]
    with pytest.raises(FailureGroup, match="1 distinct failure") as found:
        asker.ask(operation.Case(path_parameters={"id": str(uuid4())}), existing=False)
    assert "Undocumented status code" in str(found.value.exceptions)
