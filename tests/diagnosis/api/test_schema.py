"""The OpenAPI document is valid, and its examples are what the API takes and gives."""

from typing import Any

import pytest
import yaml
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from diagnosis.api.cases import CaseFilter
from diagnosis.api.examples import EXAMPLE_ANSWERED, EXAMPLE_SUMMARY, EXAMPLE_WAITING
from diagnosis.api.model_versions import EXAMPLE_VERSION
from tests.diagnosis.api.requests import ApiClient, new_case


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, as the code makes it."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate_schema(document)  # type: ignore[no-untyped-call]


def test_every_operation_has_a_summary_and_an_example_for_each_body(document: dict[str, Any]) -> None:
    bare = []
    operations = [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for name, operation in operations:
        if not operation.get("summary") or not operation.get("tags"):
            bare.append(f"{name}: summary")
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for status, body in bodies.items():
            bare += [
                f"{name}: {status} {media_type}"
                for media_type, content in body.get("content", {}).items()
                if not content.get("examples")
            ]
    assert len(operations) > 20
    assert bare == []


def test_a_list_is_described_with_all_that_it_is_filtered_and_paged_by(document: dict[str, Any]) -> None:
    described = {
        path: {parameter["name"] for parameter in methods["get"].get("parameters", ())}
        for path, methods in document["paths"].items()
        if "get" in methods
    }
    assert described["/api/v1/cases/"] == {*CaseFilter.base_filters, "cursor", "page_size"}
    assert {"patient", "cursor", "page_size"} <= described["/api/v1/lesions/"]
    assert not {"cursor", "page_size"} & described["/api/v1/cases/{id}/"]


def test_every_error_is_described_as_a_problem_document(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert set(response["content"]) == {"application/problem+json"}


def test_the_examples_have_the_fields_that_answers_have(api: ApiClient) -> None:
    answer = api.submit(new_case())
    shown = answer.json()
    for example in (EXAMPLE_WAITING, EXAMPLE_ANSWERED):
        assert list(example) == list(shown)
        for part in ("analysis", "links", "checklist"):
            assert sorted(example[part]) == sorted(shown[part])
        assert list(example["images"][0]) == list(shown["images"][0])
    assert list(EXAMPLE_SUMMARY) == list(api.get("/api/v1/cases/").json()["results"][0])
    assert sum(EXAMPLE_ANSWERED["analysis"]["probabilities"].values()) == pytest.approx(1)
    assert EXAMPLE_VERSION["state"] == "champion"


def test_the_document_is_served_and_browsable_without_other_peoples_servers(db: None) -> None:
    served = ApiClient().get("/api/schema/")
    assert yaml.safe_load(served.content)["info"]["title"] == "Skincare"
    page = ApiClient().get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page
