"""Parts that the descriptions of all operations in the OpenAPI document share."""

from http import HTTPStatus
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from diagnosis.api.problems import PROBLEM_JSON
from diagnosis.classifier.taxonomy import CLASSES, NAMES

#: The seven diagnoses, as choices.
DIAGNOSES: Final = [(code, NAMES[code]) for code in CLASSES]


class Schema(AutoSchema):
    """Describes an operation; one that answers with a list, with its filters and pages."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        """Whether it answers with a list: judged by its own answer, before which its problems would come in order."""
        found: Any = self.get_response_serializers() if serializer is None else serializer
        if isinstance(found, dict):
            found = {status: body for status, body in found.items() if not isinstance(status, tuple)} or found
        return bool(super()._is_list_view(found))

    def get_filter_backends(self) -> list[Any]:
        """Only where there are filters to describe: to look for them needs a queryset."""
        return list(super().get_filter_backends()) if getattr(self.view, "filterset_class", None) else []


class FaultDocument(serializers.Serializer[Any]):
    """One thing that is wrong with one field."""

    field = serializers.CharField(help_text="Such as `images[2]` or `patient.birth_date`.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemDocument(serializers.Serializer[Any]):
    """RFC 9457 problem details."""

    type = serializers.CharField(help_text="Always `about:blank`; `code` is the stable name of the problem.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong and what is needed, for a person.")
    code = serializers.CharField(help_text="For programs.")
    errors = FaultDocument(many=True)  # type: ignore[assignment]
    request_id = serializers.CharField(help_text="Finds the request in the server's logs.")


_EXAMPLES: Final[dict[int, tuple[str, str, str]]] = {
    400: ("invalid", "checklist.oozing", "This field is required."),
    401: ("not_authenticated", "", "Authentication credentials were not provided."),
    403: ("role_missing", "", "this is for clinicians; you are not one in any organisation"),
    404: ("not_found", "", "there is no such thing, or you may not see it"),
    409: ("record_number_taken", "record_number", "this record number already belongs to patient 9b2f…; send that id"),
    410: ("patient_erased", "", "the patient was erased; what was kept of them is gone for good"),
    413: ("too_many_bytes", "images[0]", "photograph 1: more than 26 MB; send a smaller JPEG"),
    415: ("unsupported_media_type", "", 'Unsupported media type "application/json" in request.'),
    422: ("too_small", "images[1]", "photograph 2: 180x120 pixels; at least 224x224 are needed"),
    429: ("throttled", "", "too many failed log-ins; wait before the next"),
}


def problem_examples(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """Responses with an example each, for the statuses that an operation may answer with."""
    found = {}
    for status in statuses:
        code, field, detail = _EXAMPLES[status]
        title = HTTPStatus(status).phrase
        example = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": f"{field}: {detail}" if status == 400 else detail,
            "code": code,
            "errors": [{"field": field, "code": "required" if status == 400 else code, "detail": detail}]
            if field
            else [],
            "request_id": "0b6f6f0e-8f0c-4e8e-9a57-3b0a4f6d2c11",
        }
        found[(status, PROBLEM_JSON)] = OpenApiResponse(
            ProblemDocument, description=title, examples=[OpenApiExample(title, value=example)]
        )
    return found
