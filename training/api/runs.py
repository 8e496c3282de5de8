"""training-runs/: starting, watching and cancelling runs."""

from typing import Any, ClassVar, Final

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from training.models import Dataset, TrainingRun
from training.services.runs import INIT_WEIGHTS, cancel_run, start_run
from training.services.watching import etag_of, poll_after_ms


class RunOptions(StrictSerializer):
    """What departs from the recipe."""

    init_weights = OneOf(
        choices=[(name, name) for name in INIT_WEIGHTS],
        default="champion",
        help_text="What the network starts from: the version in service, the one that ships, ImageNet, or nothing.",
    )
    epochs = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="As many as the recipe has, unless told."
    )


class RunForm(StrictSerializer):
    """A run to start."""

    id = serializers.UUIDField(
        required=False, help_text="Chosen by you: the same request sent again starts nothing new."
    )
    recipe = serializers.CharField(max_length=50)
    datasets = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=20)
    options = RunOptions(required=False)


class TrainingRunDocument(serializers.ModelSerializer[TrainingRun]):
    """A run: what was asked for, how far it is, and what it made."""

    state_text = serializers.CharField(source="get_state_display")
    stage_text = serializers.CharField(source="get_stage_display")
    curves = serializers.ListField(
        child=serializers.DictField(child=serializers.FloatField()), help_text="One object an epoch."
    )
    poll_after_ms = serializers.SerializerMethodField(help_text="When to ask again; null once the run has ended.")

    class Meta:
        model = TrainingRun
        fields: ClassVar = [
            "id",
            "recipe",
            "datasets",
            "options",
            "started_by",
            "created_at",
            "state",
            "state_text",
            "stage",
            "stage_text",
            "epoch",
            "epochs",
            "step",
            "steps",
            "seconds_left",
            "attempts",
            "heartbeat_at",
            "started_at",
            "finished_at",
            "curves",
            "metrics",
            "model_version",
            "reason",
            "reason_text",
            "poll_after_ms",
        ]

    def get_poll_after_ms(self, run: TrainingRun) -> int | None:
        """Milliseconds."""
        return poll_after_ms(run)


EXAMPLE_RUN: Final = {
    "id": "5b2f6a0a-8f0e-4f2a-bb07-6f3f2f7f0a55",
    "recipe": "house",
    "datasets": ["7c0a1c0e-98a7-4f2e-8d53-3f1f6a0b2c11"],
    "options": {"init_weights": "champion", "initial_version": "mobilenetv2-ham10000-3"},
    "started_by": "3f1d8f0a-52f5-4d0c-8a5e-5a4b7f0e9d10",
    "created_at": "2026-11-23T09:00:00Z",
    "state": "running",
    "state_text": "Running",
    "stage": "training",
    "stage_text": "Training",
    "epoch": 3,
    "epochs": 10,
    "step": 120,
    "steps": 251,
    "seconds_left": 2410.0,
    "attempts": 1,
    "heartbeat_at": "2026-11-23T09:20:00Z",
    "started_at": "2026-11-23T09:00:02Z",
    "finished_at": None,
    "curves": [{"epoch": 1, "loss": 1.31, "balanced_accuracy": 0.61, "malignant_auc": 0.88, "seconds": 340}],
    "metrics": {},
    "model_version": None,
    "reason": "",
    "reason_text": "",
    "poll_after_ms": 2000,
}
_RUNNING: Final = OpenApiExample("Running", value=EXAMPLE_RUN, response_only=True)


class TrainingRunsView(ApiView):
    """All runs."""

    access: ClassVar = {"GET": Access.MODEL_STEWARD, "POST": Access.MODEL_STEWARD}
    queryset = TrainingRun.objects.none()
    serializer_class = TrainingRunDocument
    pagination_class = NewestFirst

    @extend_schema(
        operation_id="training_run_list",
        summary="List training runs, the newest first",
        tags=["Training"],
        responses={200: TrainingRunDocument(many=True), **problem_examples(400, 401, 403)},
        examples=[_RUNNING],
    )
    def get(self, request: Request) -> Response:
        """List runs."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        page = self.paginate_queryset(TrainingRun.objects.prefetch_related("datasets"))
        return self.get_paginated_response(TrainingRunDocument(page, many=True).data)

    @extend_schema(
        operation_id="training_run_create",
        summary="Start a training run",
        description="Puts a run into the queue of the training worker. The same recipe, datasets and options do not "
        "run twice at a time (409); the same `id` sent again starts nothing new. It makes a challenger, which serves "
        "nobody until it has passed the gates and two stewards have released it.",
        tags=["Training"],
        request=RunForm,
        responses={201: TrainingRunDocument, **problem_examples(400, 401, 403, 409, 422)},
        examples=[
            OpenApiExample(
                "A run",
                value={
                    "recipe": "house",
                    "datasets": ["7c0a1c0e-98a7-4f2e-8d53-3f1f6a0b2c11"],
                    "options": {"init_weights": "champion"},
                },
                request_only=True,
            ),
            OpenApiExample("Queued", value=EXAMPLE_RUN, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        """Start a run."""
        form = RunForm(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        run = start_run(
            user=signed_in(request),
            recipe=wanted["recipe"],
            datasets=datasets_by_id(wanted["datasets"]),
            options=wanted.get("options", {}),
            run_id=wanted.get("id"),
        )
        response = Response(TrainingRunDocument(run).data, status=201)
        response["Location"] = request.build_absolute_uri(reverse("training-run", kwargs={"pk": run.pk}))
        return response


def datasets_by_id(wanted: list[Any]) -> list[Dataset]:
    """The datasets. Raises ValidationError naming the one that is not there."""
    found = {dataset.pk: dataset for dataset in Dataset.objects.select_related("replaced_by").filter(pk__in=wanted)}
    for pk in wanted:
        if pk not in found:
            raise serializers.ValidationError({"datasets": [f"there is no dataset {pk}"]})
    return list(found.values())


class TrainingRunView(ApiView):
    """One run."""

    access: ClassVar = {"GET": Access.MODEL_STEWARD}

    @extend_schema(
        operation_id="training_run_retrieve",
        summary="Show a training run and how far it is",
        description="Carries an `ETag`; sent back as `If-None-Match`, it makes an unchanged run answer 304.",
        tags=["Training"],
        parameters=[
            OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The last ETag.")
        ],
        responses={
            200: TrainingRunDocument,
            304: OpenApiResponse(description="Unchanged since the ETag that was sent."),
            **problem_examples(401, 403, 404),
        },
        examples=[_RUNNING],
    )
    def get(self, request: Request, pk: Any) -> HttpResponseBase:
        """Show a run."""
        run = get_object_or_404(TrainingRun.objects.select_related("model_version"), pk=pk)
        etag = etag_of(run)
        unchanged = get_conditional_response(request._request, etag=etag)
        response = unchanged if unchanged is not None else Response(TrainingRunDocument(run).data)
        response["ETag"] = etag
        return response


class TrainingRunCancelView(ApiView):
    """Cancelling a run."""

    access: ClassVar = {"POST": Access.MODEL_STEWARD}

    @extend_schema(
        operation_id="training_run_cancel",
        summary="Cancel a training run",
        description="One that waits ends at once; one that runs, within seconds.",
        tags=["Training"],
        request=None,
        responses={202: TrainingRunDocument, **problem_examples(401, 403, 404, 409)},
        examples=[
            OpenApiExample(
                "Being cancelled",
                value={**EXAMPLE_RUN, "state": "cancelling", "state_text": "Being cancelled"},
                response_only=True,
                status_codes=["202"],
            )
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Cancel a run."""
        get_object_or_404(TrainingRun, pk=pk)
        return Response(TrainingRunDocument(cancel_run(user=signed_in(request), run_id=pk)).data, status=202)
