"""model-versions/: what is known of the networks that answer: how good, on which data, under which licence."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import ModelVersion, VersionState

#: Entries of ``bundle.json`` that are shown; the others concern the files.
_SHOWN_OF_MANIFEST: Final = (
    "architecture",
    "taxonomy",
    "class_priors",
    "temperature",
    "decision_rule",
    "thresholds",
    "preprocessing",
    "metrics",
    "dataset",
)


class ModelVersionDocument(serializers.ModelSerializer[ModelVersion]):
    """A version of the network. What its bundle did not yet say is null."""

    architecture = serializers.CharField(source="manifest.architecture", allow_null=True)
    taxonomy = serializers.ListField(child=serializers.CharField(), source="manifest.taxonomy", allow_null=True)
    class_priors = serializers.JSONField(source="manifest.class_priors", allow_null=True)
    temperature = serializers.FloatField(source="manifest.temperature", allow_null=True)
    decision_rule = serializers.CharField(source="manifest.decision_rule", allow_null=True)
    thresholds = serializers.JSONField(
        source="manifest.thresholds", allow_null=True, help_text="And the sensitivity they aim at."
    )
    preprocessing = serializers.CharField(source="manifest.preprocessing", allow_null=True)
    metrics = serializers.JSONField(
        source="manifest.metrics", allow_null=True, help_text="With 95% intervals, and what they were measured on."
    )
    dataset = serializers.JSONField(
        source="manifest.dataset", allow_null=True, help_text="With its licence and attribution."
    )

    class Meta:
        model = ModelVersion
        fields: ClassVar = ["id", "name", "state", "created_at", "released_at", "manifest_sha256", *_SHOWN_OF_MANIFEST]


EXAMPLE_VERSION: Final = {
    "id": "0c9b0b8e-6f55-4f8b-9f3c-7a2d6a1b5e44",
    "name": "ham10000-mobilenetv2-1",
    "state": "champion",
    "created_at": "2026-11-23T08:00:00Z",
    "released_at": "2026-11-23T08:00:00Z",
    "manifest_sha256": "f1a9…",
    "architecture": "mobilenetv2-1.0-224",
    "taxonomy": ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
    "class_priors": [0.033, 0.051, 0.11, 0.011, 0.111, 0.67, 0.014],
    "temperature": 1.2,
    "decision_rule": "argmax(log p - log prior)",
    "thresholds": {"refer": {"risk": 0.12, "sensitivity_aimed": 0.95, "chosen_on": "validation"}},
    "preprocessing": "squash-224-bilinear-antialias/1",
    "metrics": {"balanced_accuracy": {"value": 0.71, "interval": [0.67, 0.75]}},
    "dataset": {"name": "HAM10000", "licence": "CC BY-NC 4.0"},
}
_SHOWN: Final = [OpenApiExample("The version in service", value=EXAMPLE_VERSION, response_only=True)]


class ModelVersionsView(ApiView):
    """Versions that serve or served."""

    access: ClassVar = {"GET": Access.SIGNED_IN}
    queryset = ModelVersion.objects.none()
    serializer_class = ModelVersionDocument
    pagination_class = NewestFirst

    @extend_schema(
        operation_id="model_version_list",
        summary="List the versions of the network",
        description="Those that serve or served; model stewards also see challengers.",
        tags=["Versions of the network"],
        responses={200: ModelVersionDocument(many=True), **problem_examples(400, 401)},
        examples=_SHOWN,
    )
    def get(self, request: Request) -> Response:
        """List versions."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        page = self.paginate_queryset(_visible(request))
        return self.get_paginated_response(ModelVersionDocument(page, many=True).data)


class ModelVersionView(ApiView):
    """One version."""

    access: ClassVar = {"GET": Access.SIGNED_IN}

    @extend_schema(
        operation_id="model_version_retrieve",
        summary="Show a version of the network",
        tags=["Versions of the network"],
        responses={200: ModelVersionDocument, **problem_examples(401, 404)},
        examples=_SHOWN,
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show a version."""
        return Response(ModelVersionDocument(get_object_or_404(_visible(request), pk=pk)).data)


def _visible(request: Request) -> Any:
    versions = ModelVersion.objects.all()
    if signed_in(request).is_model_steward:
        return versions
    return versions.exclude(state=VersionState.CHALLENGER)
