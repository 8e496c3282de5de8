"""datasets/: what can be learnt from."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from training.models import Dataset


class DatasetDocument(serializers.ModelSerializer[Dataset]):
    """A fixed set of labelled images, named by its fingerprint."""

    counts = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()), help_text="Images by split and diagnosis."
    )

    findings = serializers.JSONField(help_text="What was left out and why, and labels that somebody should check.")

    class Meta:
        model = Dataset
        fields: ClassVar = [
            "id",
            "name",
            "kind",
            "fingerprint",
            "split_fingerprint",
            "images",
            "lesions",
            "counts",
            "frozen_test",
            "licence",
            "attribution",
            "findings",
            "replaced_by",
            "created_at",
        ]


EXAMPLE_DATASET: Final = {
    "id": "7c0a1c0e-98a7-4f2e-8d53-3f1f6a0b2c11",
    "name": "HAM10000",
    "kind": "imported",
    "fingerprint": "9b1f…",
    "split_fingerprint": "52ac…",
    "images": 10015,
    "lesions": 7470,
    "counts": {"training": {"mel": 902}, "validation": {"mel": 101}, "test": {"mel": 110}},
    "frozen_test": True,
    "licence": "CC BY-NC 4.0",
    "attribution": "Tschandl P., Rosendahl C. & Kittler H., Sci. Data 5:180161 (2018).",
    "findings": {"left_out": {}, "suspicious": []},
    "replaced_by": None,
    "created_at": "2026-11-23T08:00:00Z",
}


class DatasetsView(ApiView):
    """All datasets."""

    access: ClassVar = {"GET": Access.MODEL_STEWARD}
    queryset = Dataset.objects.none()
    serializer_class = DatasetDocument
    pagination_class = NewestFirst

    @extend_schema(
        operation_id="dataset_list",
        summary="List the datasets that runs may learn from",
        description="For model stewards. No images, only counts and fingerprints.",
        tags=["Training"],
        responses={200: DatasetDocument(many=True), **problem_examples(400, 401, 403)},
        examples=[OpenApiExample("HAM10000", value=EXAMPLE_DATASET, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List datasets."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        page = self.paginate_queryset(Dataset.objects.all())
        return self.get_paginated_response(DatasetDocument(page, many=True).data)


class DatasetView(ApiView):
    """One dataset."""

    access: ClassVar = {"GET": Access.MODEL_STEWARD}

    @extend_schema(
        operation_id="dataset_retrieve",
        summary="Show a dataset",
        tags=["Training"],
        responses={200: DatasetDocument, **problem_examples(401, 403, 404)},
        examples=[OpenApiExample("HAM10000", value=EXAMPLE_DATASET, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show a dataset."""
        return Response(DatasetDocument(get_object_or_404(Dataset, pk=pk)).data)
