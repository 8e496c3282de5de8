"""saved-views/ and snippets/: what a dermatologist keeps for the next case; nothing of a patient."""

from typing import Any, ClassVar, Final
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import Flag, OneOf, StrictSerializer
from diagnosis.api.referral_documents import EXAMPLE_SUMMARY, listed_for_reader
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import AnatomicalSite, Plan, SavedView, Snippet, Urgency
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services import snippets
from diagnosis.services.errors import Refusal
from diagnosis.services.worklist import STATES, WHOSE, Filters, delete_view, filters_of, save_view, worklist
from diagnosis.services.worklist_order import policy_of
from skincare.accounts.models import Organisation, TokenScope
from skincare.audit.record import record_reads

_BODY: Final = OpenApiTypes.OBJECT
_ROWS: Final = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}
_SERVICE: Final = "7d1c2a55-5c0e-4c7a-9e57-0c1f6a2b3d44"
EXAMPLE_VIEW: Final = {
    "id": "0e9d8c7b-6a5f-4e3d-8c2b-1a0f9e8d7c66",
    "service": _SERVICE,
    "name": "Urgent heads",
    "filters": {"urgency": "urgent_suspected_cancer", "anatom_site_general": "head/neck"},
}
EXAMPLE_SNIPPET: Final = {
    "id": "8b7a6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c55",
    "service": _SERVICE,
    "title": "Harmless mole",
    "text": "Regular network, symmetrical. No follow-up needed unless it changes.",
    "diagnosis": "nevus",
    "plan": "reassure",
    "months": None,
    "shared": True,
}


def service_for(request: Request, wanted: UUID | None) -> Organisation:
    """The service that something new belongs to: the one asked for, or the only one there is.

    Raises:
        Refusal: it must be said which, or the user is no dermatologist there.
    """
    mine = {service.pk: service for service in services_of_dermatologist(signed_in(request)).order_by("name")}
    if wanted is None and len(mine) > 1:
        raise Refusal("service_missing", f"say which service: one of {', '.join(map(str, mine))}", field="service")
    pk = wanted or next(iter(mine))
    if pk not in mine:
        raise Refusal("not_found", f"you are not a dermatologist of a service {pk}", field="service")
    return mine[pk]


class WantedReferrals(StrictSerializer):
    """A record number, as the clinic has it."""

    service = serializers.UUIDField(required=False, help_text="Needed where you work at more than one.")
    record_number = serializers.CharField(max_length=100)


class WorklistLookUpView(ApiView):
    """Finding a patient's referrals, answered ones too."""

    access: ClassVar = {"POST": Access.DERMATOLOGIST}
    #: It changes nothing. A GET would leave record numbers in the logs of every proxy on the way.
    scopes: ClassVar = {"POST": TokenScope.READ}

    @extend_schema(
        operation_id="worklist_look_up",
        summary="Find a patient's referrals by record number, answered ones too",
        description="Of the clinics that have something before the service. At most fifty, the newest first.",
        tags=["Reading room"],
        request=WantedReferrals,
        responses={200: _ROWS, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample("By record number", value={"record_number": "HRS-20481"}, request_only=True),
            OpenApiExample("Found", value=[EXAMPLE_SUMMARY | {"reason": "Soon; due in 2 days"}], response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Find them."""
        form = WantedReferrals(data=request.data)
        form.is_valid(raise_exception=True)
        user, service = signed_in(request), service_for(request, form.validated_data.get("service"))
        filters = Filters(record_number=form.validated_data["record_number"], states="all")
        found = worklist(user=user, service=service, filters=filters).referrals
        record_reads(user, [(row.case.organisation_id, row.case.patient_id) for row in found])
        blind = policy_of(service).blind_read
        return Response([listed_for_reader(row, blind=blind) for row in found])


class SavedViewForm(StrictSerializer):
    """Filters of the worklist under a name; one of that name is replaced."""

    service = serializers.UUIDField(required=False, help_text="Needed where you work at more than one.")
    name = serializers.CharField(max_length=60)
    whose = OneOf(choices=[(each, each) for each in WHOSE], required=False)
    urgency = OneOf(choices=Urgency.choices, required=False)
    clinic = serializers.UUIDField(required=False)
    anatom_site_general = OneOf(choices=AnatomicalSite.choices, required=False)
    states = OneOf(choices=[(each, each) for each in STATES], required=False)


class SnippetForm(StrictSerializer):
    """A ready text. It must hold nothing of a patient: it is not kept encrypted."""

    service = serializers.UUIDField(required=False, help_text="Needed where you work at more than one.")
    title = serializers.CharField(max_length=snippets.LONGEST_TITLE)
    text = serializers.CharField(max_length=snippets.LONGEST_TEXT)
    diagnosis = serializers.CharField(max_length=60, required=False, allow_blank=True, help_text="It fills this in.")
    plan = OneOf(choices=Plan.choices, required=False, allow_blank=True)
    months = serializers.IntegerField(min_value=1, max_value=36, required=False, allow_null=True)
    shared = Flag(required=False, default=False, help_text="Whether the whole service has it.")


def view(row: SavedView) -> dict[str, Any]:
    """A saved view."""
    return {"id": row.pk, "service": row.service_id, "name": row.name, "filters": row.filters}


def snippet(row: Snippet) -> dict[str, Any]:
    """A ready text."""
    return {
        "id": row.pk,
        "service": row.service_id,
        "title": row.title,
        "text": row.text,
        "diagnosis": row.diagnosis,
        "plan": row.plan,
        "months": row.months,
        "shared": row.owner_id is None,
    }


class SavedViewsView(ApiView):
    """The user's saved views of the worklist."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST, "POST": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="saved_view_list",
        summary="List your saved views of the worklist",
        tags=["Reading room"],
        responses={200: _ROWS, **problem_examples(401, 403)},
        examples=[OpenApiExample("One", value=[EXAMPLE_VIEW], response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        user = signed_in(request)
        rows = SavedView.objects.filter(user=user, service__in=services_of_dermatologist(user))
        return Response([view(row) for row in rows])

    @extend_schema(
        operation_id="saved_view_create",
        summary="Keep filters of the worklist under a name",
        tags=["Reading room"],
        request=SavedViewForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample("Kept", value=EXAMPLE_VIEW, response_only=True, status_codes=["201"]),
            OpenApiExample("Keep", value={"name": "Urgent heads", "whose": "unclaimed"}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Keep."""
        form = SavedViewForm(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        service, name = service_for(request, fields.pop("service", None)), fields.pop("name")
        row = save_view(user=signed_in(request), service=service, name=name, filters=filters_of(fields))
        return Response(view(row), status=201)


class SavedViewView(ApiView):
    """One saved view."""

    access: ClassVar = {"DELETE": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="saved_view_delete",
        summary="Forget a saved view",
        tags=["Reading room"],
        responses={204: OpenApiResponse(description="Forgotten."), **problem_examples(401, 403, 404)},
    )
    def delete(self, request: Request, pk: Any) -> Response:
        """Forget."""
        delete_view(user=signed_in(request), view_id=pk)
        return Response(status=204)


class SnippetsView(ApiView):
    """Ready texts."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST, "POST": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="snippet_list",
        summary="List your ready texts, and those of your services",
        tags=["Reading room"],
        responses={200: _ROWS, **problem_examples(401, 403)},
        examples=[OpenApiExample("One", value=[EXAMPLE_SNIPPET], response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        user = signed_in(request)
        found = [row for service in services_of_dermatologist(user) for row in snippets.snippets_for(user, service)]
        return Response([snippet(row) for row in found])

    @extend_schema(
        operation_id="snippet_create",
        summary="Keep a ready text",
        tags=["Reading room"],
        request=SnippetForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 409, 422)},
        examples=[
            OpenApiExample("Kept", value=EXAMPLE_SNIPPET, response_only=True, status_codes=["201"]),
            OpenApiExample(
                "Keep",
                value={"title": "Harmless mole", "text": "Regular network.", "plan": "reassure"},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Keep."""
        return Response(snippet(_save(request, None)), status=201)


class SnippetView(ApiView):
    """One ready text."""

    access: ClassVar = {"PUT": Access.DERMATOLOGIST, "DELETE": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="snippet_update",
        summary="Change a ready text",
        tags=["Reading room"],
        request=SnippetForm,
        responses={200: _BODY, **problem_examples(400, 401, 403, 404, 409, 422)},
        examples=[
            OpenApiExample("Changed", value=EXAMPLE_SNIPPET, response_only=True),
            OpenApiExample("Change", value={"title": "Harmless mole", "text": "Symmetrical."}, request_only=True),
        ],
    )
    def put(self, request: Request, pk: Any) -> Response:
        """Change."""
        snippets.find_snippet(signed_in(request), pk)
        return Response(snippet(_save(request, pk)))

    @extend_schema(
        operation_id="snippet_delete",
        summary="Delete a ready text",
        tags=["Reading room"],
        responses={204: OpenApiResponse(description="Deleted."), **problem_examples(401, 403, 404)},
    )
    def delete(self, request: Request, pk: Any) -> Response:
        """Delete."""
        snippets.delete_snippet(user=signed_in(request), snippet_id=pk)
        return Response(status=204)


def _save(request: Request, pk: UUID | None) -> Snippet:
    form = SnippetForm(data=request.data)
    form.is_valid(raise_exception=True)
    fields = dict(form.validated_data)
    user = signed_in(request)
    wanted = fields.pop("service", None)
    if pk is not None:
        wanted = snippets.find_snippet(user, pk).service_id
    service = service_for(request, wanted)
    return snippets.save_snippet(user=user, service=service, new=snippets.NewSnippet(**fields), snippet_id=pk)
