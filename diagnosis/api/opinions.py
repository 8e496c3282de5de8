"""opinions/: asking a colleague or another service to read a referral too, and ending such a request."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.referrals import visible
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Referral, SecondOpinion
from diagnosis.services import second_opinions
from diagnosis.services.first_reads import sees_other_reads
from diagnosis.services.referral_states import Who, parts_of, person
from skincare.audit.record import record_reads

_BODY: Final = OpenApiTypes.OBJECT
_ROWS: Final = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}
EXAMPLE: Final = {
    "id": "2b1f4c1e-8a63-4d0e-9d5f-5c0a3f1b7e21",
    "referral": "f0a3c9de-6d0a-4ff5-8d0b-6f6b1b0f6d10",
    "kind": "second",
    "state": "asked",
    "asked_by": "Ingrid Solberg",
    "asked_at": "2026-11-23T10:05:00Z",
    "service": {"id": "7d1c2a55-5c0e-4c7a-9e57-0c1f6a2b3d44", "name": "Skin Centre"},
    "reader": "Jonas Weber",
    "question": "Regression in the middle?",
    "ended_at": None,
}
EXAMPLE_ALL: Final = {
    "opinions": [EXAMPLE],
    "awaited": "Jonas Weber",
    "disagree": False,
    "settled_as": None,
    "colleagues": [{"id": "5a1f9c3e-0f3d-4a52-9f6e-7b9d5a1c2e33", "name": "Mei Tanaka"}],
    "services": [{"id": "1c9b7e02-2d4f-4b7e-8a51-3e6f0d9c8b77", "name": "City Dermatology"}],
}


class OpinionForm(StrictSerializer):
    """Whom to ask."""

    service = serializers.UUIDField(help_text="The service whose dermatologist is asked.")
    reader = serializers.UUIDField(
        required=False, allow_null=True, help_text="One of its dermatologists; otherwise whoever takes it up."
    )
    question = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")


class OpinionActionForm(StrictSerializer):
    """How a request ends without a read."""

    action = OneOf(choices=[("decline", "decline"), ("withdraw", "withdraw")])


def opinion(row: SecondOpinion) -> dict[str, Any]:
    """One request."""
    return {
        "id": row.pk,
        "referral": row.referral_id,
        "kind": row.kind,
        "state": row.state,
        "asked_by": person(row.asked_by),
        "asked_at": row.asked_at,
        "service": {"id": row.service_id, "name": row.service.name},
        "reader": person(row.reader) or None,
        "question": row.question,
        "ended_at": row.ended_at,
    }


def _of(request: Request, referral: Referral, status: int = 200) -> Response:
    user = signed_in(request)
    record_reads(user, [(referral.case.organisation_id, referral.case.patient_id)])
    asked = SecondOpinion.objects.filter(referral=referral).select_related("asked_by", "reader", "service")
    if not sees_other_reads(user, referral):
        # A reader who has not read yet sees what is asked of them, and nothing of the others.
        asked = asked.filter(pk__in=SecondOpinion.objects.for_reader(user).values("pk"))
        return Response(
            {
                "opinions": _rows(referral, list(asked)),
                "awaited": None,
                "disagree": None,
                "settled_as": None,
                "colleagues": [],
                "services": [],
            },
            status=status,
        )
    consensus = second_opinions.consensus_of(referral)
    may_ask = Who.CLAIMANT in parts_of(user, referral) and referral.open
    found = second_opinions.colleagues(user, referral) if may_ask else []
    services = second_opinions.other_services(referral) if may_ask else []
    return Response(
        {
            "opinions": _rows(referral, list(asked)),
            "awaited": consensus.awaited or None,
            "disagree": consensus.disagree,
            "settled_as": consensus.settled_as or None,
            "colleagues": [{"id": each.pk, "name": person(each)} for each in found],
            "services": [{"id": each.pk, "name": each.name} for each in services],
        },
        status=status,
    )


def _rows(referral: Referral, rows: list[SecondOpinion]) -> list[dict[str, Any]]:
    for row in rows:
        row.referral = referral
    return [opinion(row) for row in rows]


class ReferralOpinionsView(ApiView):
    """The opinions asked about one referral."""

    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST, "POST": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_opinion_list",
        summary="Who else was asked to read a referral, where they disagree, and whom you may ask",
        description="Who is asked and has not read yet sees their own request only. The reads themselves, with who "
        "read blind, are the referral's `reads`.",
        tags=["Referrals"],
        responses={200: _BODY, **problem_examples(401, 403, 404)},
        examples=[OpenApiExample("Asked", value=EXAMPLE_ALL, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """List."""
        return _of(request, visible(request, pk))

    @extend_schema(
        operation_id="referral_opinion_create",
        summary="Ask a colleague or another service to read a referral too, blind",
        description="After your own read. Once the two disagree, the next whom you ask settles it as the third reader.",
        tags=["Referrals"],
        request=OpinionForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample("Asked", value=EXAMPLE_ALL, response_only=True, status_codes=["201"]),
            OpenApiExample(
                "Ask a colleague",
                value={"service": EXAMPLE["service"]["id"], "reader": EXAMPLE_ALL["colleagues"][0]["id"]},  # type: ignore[index]
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Ask."""
        referral = visible(request, pk)
        form = OpinionForm(data=request.data)
        form.is_valid(raise_exception=True)
        second_opinions.ask_opinion(user=signed_in(request), referral_id=referral.pk, **form.validated_data)
        return _of(request, visible(request, pk), 201)


class OpinionsView(ApiView):
    """What is asked of the user."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="opinion_list",
        summary="List the requests for an opinion that wait for you",
        tags=["Referrals"],
        responses={200: _ROWS, **problem_examples(401, 403)},
        examples=[OpenApiExample("One", value=[EXAMPLE], response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        user = signed_in(request)
        rows = list(second_opinions.asked_of(user))
        record_reads(user, [(row.referral.case.organisation_id, row.referral.case.patient_id) for row in rows])
        return Response([opinion(row) for row in rows])


class OpinionActionsView(ApiView):
    """Ending a request without a read."""

    access: ClassVar = {"POST": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="opinion_act",
        summary="Decline to give an opinion, or take a request back",
        tags=["Referrals"],
        request=OpinionActionForm,
        responses={200: _BODY, **problem_examples(400, 401, 403, 404, 409, 422)},
        examples=[
            OpenApiExample("Over", value=EXAMPLE | {"state": "declined"}, response_only=True),
            OpenApiExample("Decline", value={"action": "decline"}, request_only=True),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """End it."""
        user = signed_in(request)
        seen = Referral.objects.for_reader(user)
        rows = SecondOpinion.objects.filter(referral__in=seen).select_related("asked_by", "reader", "service")
        row = get_object_or_404(rows, pk=pk)
        form = OpinionActionForm(data=request.data)
        form.is_valid(raise_exception=True)
        declining = form.validated_data["action"] == "decline"
        end = second_opinions.decline_opinion if declining else second_opinions.withdraw_opinion
        end(user=user, opinion_id=row.pk)
        row.refresh_from_db(fields=["state", "ended_at"])
        return Response(opinion(row))
