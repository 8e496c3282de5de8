"""emergency-accesses/: opening a stranger's record in an emergency, by saying why, for a while."""

from typing import Any, ClassVar, Final

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.images import JpegRenderer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import CaseImage, EmergencyAccess, EmergencyPolicy, EmergencyReason
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services import emergency
from skincare.accounts.models import TokenScope


class EmergencyForm(StrictSerializer):
    """Whose record, and why."""

    organisation = serializers.UUIDField(help_text="The patient's; which there are: `GET emergency-organisations/`.")
    record_number = serializers.CharField(max_length=100, required=False)
    name = serializers.CharField(max_length=200, required=False)
    birth_date = serializers.DateField(required=False)
    reason = OneOf(choices=EmergencyReason.choices)
    explanation = serializers.CharField(
        max_length=emergency.LONGEST_EXPLANATION,
        help_text="In your own words, at least 15 characters. The clinic's administrators read it.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take one way of looking, whole."""
        if {"record_number", "name", "birth_date"} & set(attrs) not in ({"record_number"}, {"name", "birth_date"}):
            raise serializers.ValidationError(
                "send record_number, or name and birth_date together", code="one_way_needed"
            )
        return attrs


class EmergencyDocument(serializers.ModelSerializer[EmergencyAccess]):
    """One emergency access."""

    in_force = serializers.BooleanField()

    class Meta:
        model = EmergencyAccess
        fields: ClassVar = ["id", "organisation", "opened_at", "ends_at", "ended_at", "in_force", "reason"]


class EmergencyOrganisationDocument(serializers.ModelSerializer[EmergencyPolicy]):
    """An organisation that allows you emergency access."""

    organisation = serializers.UUIDField(source="organisation_id")
    name = serializers.CharField(source="organisation.name")

    class Meta:
        model = EmergencyPolicy
        fields: ClassVar = ["organisation", "name", "minutes"]


class EmergencyRecordDocument(serializers.Serializer[Any]):
    """A record as people wrote it: without the network's answers, messages and the signatures' pictures."""

    access = EmergencyDocument()
    patient = serializers.DictField()
    allowed_now = serializers.DictField(child=serializers.BooleanField())
    consents = serializers.ListField(child=serializers.DictField())
    lesions = serializers.ListField(child=serializers.DictField())
    referrals = serializers.ListField(child=serializers.DictField())
    outcomes = serializers.ListField(child=serializers.DictField())
    cases = serializers.ListField(child=serializers.DictField())


EXAMPLE_ACCESS: Final = {
    "id": "5b4d8a5e-1f2f-4b0f-8a3f-0d9d8f5f1a10",
    "organisation": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77",
    "opened_at": "2026-11-26T16:12:44.120000Z",
    "ends_at": "2026-11-26T17:12:44.120000Z",
    "ended_at": None,
    "in_force": True,
    "reason": "acute",
}
EXAMPLE_RECORD: Final[dict[str, Any]] = {
    "access": EXAMPLE_ACCESS,
    "patient": {
        "id": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
        "organisation": "Harbour Skin Clinic",
        "record_number": "HRS-20481",
        "name": "Ruth Almeida",
        "birth_date": "1948-02-11",
        "sex": "female",
        "fitzpatrick_skin_type": "II",
        "created_at": "2026-05-04T09:02:10Z",
    },
    "allowed_now": {"analysis": True, "teledermatology": True, "research": False},
    "consents": [
        {
            "scope": "analysis",
            "change": "granted",
            "captured_at": "2026-05-04T09:05:00Z",
            "recorded_at": "2026-05-04T09:12:31Z",
            "expires_at": None,
            "method": "paper",
            "language": "en",
            "witness": "",
            "policy": "2026-1 (en)",
            "policy_text": "Your clinician would like to photograph a spot on your skin. …",
        }
    ],
    "lesions": [
        {
            "id": "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01",
            "anatom_site_general": "posterior torso",
            "body_map_side": "back",
            "body_map_x": 0.46,
            "body_map_y": 0.31,
            "description": "Below the left shoulder blade",
            "created_at": "2026-05-04T09:12:31Z",
        }
    ],
    "referrals": [
        {
            "id": "f0a3c9de-6d0a-4ff5-8d0b-6f6b1b0f6d10",
            "case_id": "5a4f2c2e-6d0e-4b0a-9a4f-1f8a2f5d7c11",
            "service": "Skin Centre",
            "urgency": "soon",
            "state": "answered",
            "sent_at": "2026-05-04T09:20:00Z",
            "due_at": "2026-05-07T09:20:00Z",
            "question": "Melanoma?",
            "decline_reason": "",
            "explanation": "",
            "assessments": [
                {
                    "id": "3c8e5b0a-4a1d-4c43-8f9a-2b7d1e6f0c22",
                    "amends": None,
                    "signed_at": "2026-05-05T14:03:09Z",
                    "signature": "Ingrid Solberg",
                    "diagnosis": "Melanoma in situ",
                    "confidence": 80,
                    "plan": "excise",
                    "months": None,
                    "text": "Atypical network, veil.",
                }
            ],
        }
    ],
    "outcomes": [
        {
            "id": "7b1f9d34-5e2c-4f18-9a60-8c3d2e1f4a33",
            "lesion_id": "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01",
            "kind": "histology",
            "diagnosis": "Melanoma in situ",
            "determined_on": "2026-05-20",
            "recorded_at": "2026-05-22T08:40:00Z",
            "corrects": None,
            "note": "Completely excised.",
        }
    ],
    "cases": [
        {
            "id": "5a4f2c2e-6d0e-4b0a-9a4f-1f8a2f5d7c11",
            "lesion_id": "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01",
            "submitted_at": "2026-05-04T09:12:31Z",
            "seen_at": "2026-05-04T09:12:00Z",
            "age_approx": 80,
            "sex": "female",
            "anatom_site_general": "posterior torso",
            "fitzpatrick_skin_type": "II",
            **dict.fromkeys(CHECKLIST_POINTS, False),
            "change_in_size": True,
            "checklist_score": 2,
            "bleeding": False,
            "growth": True,
            "personal_hx_mm": False,
            "family_hx_mm": False,
            "personal_hx_skin_cancer": False,
            "sun_damage": True,
            "immunosuppression": False,
            "suspicion": "malignant",
            "impression": "mel",
            "note": "Darker since spring.",
            "images": [
                {
                    "kind": "dermoscopic",
                    "width": 1600,
                    "height": 1200,
                    "sha256": "9f2c61d0a7b84e3f5c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d",
                    "quality": {"problems": [], "warnings": []},
                    "id": "0b6f6f0e-8f0c-4e8e-9a57-3b0a4f6d2c11",
                }
            ],
            "decisions": [
                {
                    "decided_at": "2026-05-04T09:19:00Z",
                    "kind": "observe",
                    "remind_on": "2026-08-04",
                    "reason": "",
                    "note": "",
                }
            ],
        }
    ],
}
_SHOWN: Final = [OpenApiExample("An emergency access", value=EXAMPLE_ACCESS, response_only=True)]
_MINE: Final = Access.CLINICIAN_OR_DERMATOLOGIST


class NewestAccessFirst(NewestFirst):
    """Emergency accesses, as their index has them."""

    time_field = "opened_at"


class EmergencyAccessesView(ApiView):
    """The user's emergency accesses."""

    access: ClassVar = {"GET": _MINE, "POST": _MINE}
    confirmed: ClassVar = {"POST"}
    queryset = EmergencyAccess.objects.none()
    serializer_class = EmergencyDocument
    pagination_class = NewestAccessFirst

    @extend_schema(
        operation_id="emergency_access_list",
        summary="List your emergency accesses, the newest first",
        tags=["Emergency access"],
        responses={200: EmergencyDocument(many=True), **problem_examples(400, 401, 403)},
        examples=_SHOWN,
    )
    def get(self, request: Request) -> Response:
        """List them."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        page = self.paginate_queryset(emergency.accesses_of(signed_in(request)))
        assert page is not None
        return self.get_paginated_response(EmergencyDocument(page, many=True).data)

    @extend_schema(
        operation_id="emergency_access_open",
        summary="Open a patient's record in an emergency",
        description="For clinicians and dermatologists of organisations that the patient's organisation has named. The "
        "organisation's administrators are told at once, everything that you read is recorded with your reason, and "
        "it ends by itself. While it is open, asking again answers with the same. A browser's session needs a fresh "
        "proof of who you are. Ten look-ups in an hour that find nobody are the limit.",
        tags=["Emergency access"],
        request=EmergencyForm,
        responses={201: EmergencyDocument, **problem_examples(400, 401, 403, 404, 409, 422, 429)},
        examples=[
            *_SHOWN,
            OpenApiExample(
                "Open",
                value={
                    "organisation": EXAMPLE_ACCESS["organisation"],
                    "record_number": "HRS-20481",
                    "reason": "acute",
                    "explanation": "Brought in unconscious; a wound on the back bleeds.",
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Open it."""
        form = EmergencyForm(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        reason, explanation = EmergencyReason(fields.pop("reason")), fields.pop("explanation")
        opened = emergency.open_access(
            user=signed_in(request), wanted=emergency.Wanted(**fields), reason=reason, explanation=explanation
        )
        return Response(EmergencyDocument(opened).data, status=201)


class EmergencyAccessView(ApiView):
    """One emergency access."""

    access: ClassVar = {"GET": _MINE}

    @extend_schema(
        operation_id="emergency_access_retrieve",
        summary="Show an emergency access of yours",
        tags=["Emergency access"],
        responses={200: EmergencyDocument, **problem_examples(401, 403, 404)},
        examples=_SHOWN,
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show it."""
        found = get_object_or_404(emergency.accesses_of(signed_in(request)), pk=pk)
        return Response(EmergencyDocument(found).data)


class EndView(ApiView):
    """Ending an emergency access before its time."""

    access: ClassVar = {"POST": _MINE}

    @extend_schema(
        operation_id="emergency_access_end",
        summary="End an emergency access of yours",
        tags=["Emergency access"],
        request=None,
        responses={200: EmergencyDocument, **problem_examples(401, 403, 404)},
        examples=_SHOWN,
    )
    def post(self, request: Request, pk: Any) -> Response:
        """End it."""
        user = signed_in(request)
        found = get_object_or_404(emergency.accesses_of(user), pk=pk)
        return Response(EmergencyDocument(emergency.end_access(user=user, access=found)).data)


class RecordView(ApiView):
    """The record that an emergency access opens."""

    access: ClassVar = {"GET": _MINE}

    @extend_schema(
        operation_id="emergency_record",
        summary="Read the record",
        description="As people wrote it, without the network's answers. Each reading is recorded with your reason.",
        tags=["Emergency access"],
        responses={200: EmergencyRecordDocument, **problem_examples(401, 403, 404, 409, 410)},
        examples=[OpenApiExample("A record", value=EXAMPLE_RECORD, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Read it."""
        try:
            found, described = emergency.read_record(user=signed_in(request), access_id=pk)
        except EmergencyAccess.DoesNotExist as error:
            raise Http404 from error
        return Response({"access": EmergencyDocument(found).data, **described})


class PhotographView(ApiView):
    """A photograph of that record."""

    access: ClassVar = {"GET": _MINE}
    scopes: ClassVar = {"GET": TokenScope.READ}
    renderer_classes = [JpegRenderer]

    @extend_schema(
        operation_id="emergency_photograph",
        summary="Fetch a photograph of the record",
        tags=["Emergency access"],
        responses={
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("JPEG", value="…")]),
            **problem_examples(401, 403, 404, 409, 410),
        },
    )
    def get(self, request: Request, pk: Any, image: Any) -> HttpResponse:
        """Fetch it."""
        try:
            content = emergency.read_photograph(user=signed_in(request), access_id=pk, image_id=image)
        except (EmergencyAccess.DoesNotExist, CaseImage.DoesNotExist) as error:
            raise Http404 from error
        return HttpResponse(
            content,
            content_type="image/jpeg",
            headers={
                "Content-Disposition": 'inline; filename="photograph.jpg"',
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )


class OrganisationsView(ApiView):
    """Whose patients' records the user may open in an emergency."""

    access: ClassVar = {"GET": _MINE}

    @extend_schema(
        operation_id="emergency_organisations",
        summary="Which organisations allow you emergency access",
        tags=["Emergency access"],
        responses={200: EmergencyOrganisationDocument(many=True), **problem_examples(401, 403)},
        examples=[
            OpenApiExample(
                "An organisation",
                value={"organisation": EXAMPLE_ACCESS["organisation"], "name": "Harbour Skin Clinic", "minutes": 60},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """List them."""
        policies = EmergencyPolicy.objects.open_to(signed_in(request)).select_related("organisation")
        return Response(EmergencyOrganisationDocument(policies.order_by("organisation__name"), many=True).data)
