"""Whatever the OpenAPI document allows, and much that it does not, is answered as it says and never with a 500."""

from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from skincare.wsgi import application
from tests import factories
from tests.diagnosis.api.requests import token_for
from tests.diagnosis.api.test_pictures import case_with_a_map

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

document: Any = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
schema = schemathesis.openapi.from_dict(document)
schema.app = application


@pytest.fixture
def token(transactional_db: None) -> str:
    """A token of a clinician who has a case."""
    clinician = factories.clinician()
    case_with_a_map(clinician)
    return token_for(clinician)


@schema.exclude(path_regex="logout-all").parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_api(case: Any, token: str) -> None:
    case.call_and_validate(
        headers={"Authorization": f"Token {token}"},
        checks=[not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance],
    )
