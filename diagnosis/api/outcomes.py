"""outcomes/: what lesions turned out to be, one by one and from a file; and which outcomes are due."""

import io
from typing import Any, ClassVar, Final
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, organisation_for, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import Lesion, Outcome, OutcomeKind
from diagnosis.services import outcomes as services
from diagnosis.services.errors import Refusal
from skincare.audit.record import record_reads

_BODY: Final = OpenApiTypes.OBJECT
EXAMPLE: Final = {
    "id": "9c5f3b1a-64d4-4d3e-b8c9-0a1d2e3f4a55",
    "lesion": "4e1d2c3b-5a69-4788-97a6-b5c4d3e2f100",
    "kind": "histology",
    "diagnosis": "melanoma-in-situ",
    "class": "mel",
    "determined_on": "2026-11-20",
    "note": "Breslow not applicable",
    "corrects": None,
    "counts": True,
    "recorded_at": "2026-11-23T12:00:00Z",
}
EXAMPLE_DUE: Final = {
    "referral": "f0a3c9de-6d0a-4ff5-8d0b-6f6b1b0f6d10",
    "case": "0b6f6f0e-8f0c-4e8e-9a57-3b0a4f6d2c11",
    "lesion": EXAMPLE["lesion"],
    "anatom_site_general": "upper extremity",
    "outcome_due_at": "2026-11-20T00:00:00Z",
    "overdue": True,
}
EXAMPLE_IMPORT: Final = {
    "dry_run": True,
    "recorded": 0,
    "would_be_recorded": 1,
    "known": 0,
    "refused": 1,
    "lines": [
        {"number": 2, "does": "would be recorded", "detail": "4e1d…: histology nevus of 2026-11-20"},
        {"number": 3, "does": "refused", "detail": "'flu' is not a diagnosis; see diagnoses/"},
    ],
}


class OutcomeForm(StrictSerializer):
    """One finding about one lesion."""

    lesion = serializers.UUIDField()
    kind = OneOf(choices=OutcomeKind.choices)
    diagnosis = serializers.CharField(max_length=60, help_text="A code from diagnoses/.")
    determined_on = serializers.DateField(help_text="The day of the report or of the visit.")
    note = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")
    corrects = serializers.UUIDField(required=False, help_text="The outcome that it replaces, if one was wrong.")


class OutcomeImportForm(StrictSerializer):
    """A file of outcomes."""

    file = serializers.FileField(help_text="CSV in UTF-8: lesion, kind, diagnosis, determined_on, note.")
    organisation = serializers.UUIDField(required=False, help_text="Needed where you work in more than one.")
    apply = serializers.BooleanField(
        required=False, default=False, help_text="Record them. Otherwise it is only said what would be."
    )


class NewestOutcomeFirst(NewestFirst):
    """Outcomes by when they were recorded."""

    time_field = "recorded_at"


def outcome(row: Outcome) -> dict[str, Any]:
    """One finding."""
    return {
        "id": row.pk,
        "lesion": row.lesion_id,
        "kind": row.kind,
        "diagnosis": row.diagnosis,
        "class": diagnoses()[row.diagnosis].network_class or None,
        "determined_on": row.determined_on,
        "note": "" if row.lesion.patient.erased else row.note,
        "corrects": row.corrects_id,
        "counts": not hasattr(row, "corrected_by"),
        "recorded_at": row.recorded_at,
    }


class OutcomesView(ApiView):
    """Outcomes of the lesions of the user's clinics."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}
    pagination_class = NewestOutcomeFirst
    filter_backends = []
    queryset = Outcome.objects.none()

    @extend_schema(
        operation_id="outcome_list",
        summary="List outcomes of your lesions, the newest first",
        tags=["Outcomes"],
        parameters=[OpenApiParameter("lesion", OpenApiTypes.UUID)],
        responses={200: _BODY, **problem_examples(400, 401, 403)},
        examples=[OpenApiExample("A page", value={"next": None, "results": [EXAMPLE]}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        refuse_unknown_parameters(request, {"cursor", "page_size", "lesion"})
        user = signed_in(request)
        rows = Outcome.objects.filter(lesion__in=Lesion.objects.for_user(user)).select_related(
            "lesion__patient__data_key_row", "corrected_by"
        )
        if text := request.query_params.get("lesion"):
            try:
                rows = rows.filter(lesion=UUID(text))
            except ValueError as error:
                raise Problem(400, "invalid", f"{text!r} is not an id", field="lesion") from error
        page = self.paginate_queryset(rows)
        assert page is not None
        record_reads(user, [(row.lesion.patient.organisation_id, row.lesion.patient_id) for row in page])
        return self.get_paginated_response([outcome(row) for row in page])

    @extend_schema(
        operation_id="outcome_create",
        summary="Record what a lesion turned out to be",
        description="Sent twice it is recorded once. A wrong one is corrected by another, which names it.",
        tags=["Outcomes"],
        request=OutcomeForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample("Recorded", value=EXAMPLE, response_only=True, status_codes=["201"]),
            OpenApiExample(
                "Histology",
                value={name: EXAMPLE[name] for name in ("lesion", "kind", "diagnosis", "determined_on")},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Record."""
        form = OutcomeForm(data=request.data)
        form.is_valid(raise_exception=True)
        made = services.record_outcome(user=signed_in(request), new=services.NewOutcome(**form.validated_data))
        row = Outcome.objects.select_related("lesion__patient__data_key_row", "corrected_by").get(pk=made.pk)
        return Response(outcome(row), status=201)


class OutcomesDueView(ApiView):
    """What is awaited."""

    access: ClassVar = {"GET": Access.CLINICIAN}

    @extend_schema(
        operation_id="outcome_due_list",
        summary="List the answered referrals whose outcome is awaited, the most urgent first",
        description="At most 200.",
        tags=["Outcomes"],
        responses={200: _BODY, **problem_examples(401, 403)},
        examples=[OpenApiExample("One", value={"results": [EXAMPLE_DUE]}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        user = signed_in(request)
        rows = services.awaited(user)
        record_reads(user, [(row.case.organisation_id, row.case.patient_id) for row in rows])
        return Response(
            {
                "results": [
                    {
                        "referral": row.pk,
                        "case": row.case_id,
                        "lesion": row.case.lesion_id,
                        "anatom_site_general": row.case.anatom_site_general,
                        "outcome_due_at": row.outcome_due_at,
                        "overdue": services.is_overdue(row),
                    }
                    for row in rows
                ]
            }
        )


class OutcomeImportView(ApiView):
    """A file of outcomes."""

    access: ClassVar = {"POST": Access.CLINICIAN}
    parser_classes = [MultiPartParser, FormParser]

    @extend_schema(
        operation_id="outcome_import",
        summary="Say what a CSV file of outcomes would change, or record it",
        description="Without `apply` nothing is changed. With it, one refused line keeps all others out.",
        tags=["Outcomes"],
        request={"multipart/form-data": OutcomeImportForm},
        responses={200: _BODY, **problem_examples(400, 401, 403, 404, 415, 422)},
        examples=[
            OpenApiExample("What it would do", value=EXAMPLE_IMPORT, response_only=True),
            OpenApiExample(
                "Dry run",
                value={"file": "outcomes.csv", "apply": False},
                request_only=True,
                media_type="multipart/form-data",
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Import."""
        form = OutcomeImportForm(data=request.data)
        form.is_valid(raise_exception=True)
        file = form.validated_data["file"]
        if file.size > services.MOST_BYTES:
            raise Refusal("too_long", f"more than {services.MOST_BYTES} bytes; send the file in parts", field="file")
        done = services.import_outcomes(
            file=io.TextIOWrapper(file, encoding="utf-8-sig", newline=""),
            organisation=organisation_for(request, form.validated_data.get("organisation")),
            user=signed_in(request),
            dry_run=not form.validated_data["apply"],
        )
        return Response(imported(done))


def imported(done: services.Imported) -> dict[str, Any]:
    """What a file did, or would do."""
    return {
        "dry_run": done.dry_run,
        "recorded": done.number("recorded"),
        "would_be_recorded": done.number("would be recorded"),
        "known": done.number("known"),
        "refused": done.number("refused"),
        "lines": [{"number": line.number, "does": line.does, "detail": line.detail} for line in done.lines],
    }
