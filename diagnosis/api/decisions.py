"""cases/{id}/decisions/ and observations/: what clinicians decided about cases, and what is to be looked at again."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Case, CloseReason, Decision, DecisionKind
from diagnosis.services.decisions import NewDecision, decide
from diagnosis.services.referral_states import person
from skincare.audit.record import record_reads

#: More than anybody looks at again in a month.
MOST_OBSERVATIONS: Final = 200


class DecisionForm(StrictSerializer):
    """What you decide."""

    id = serializers.UUIDField(required=False, help_text="Your own UUID, so that sending twice decides once.")
    kind = OneOf(choices=DecisionKind.choices)
    remind_on = serializers.DateField(required=False, allow_null=True, help_text="To observe: the day to look again.")
    reason = OneOf(choices=CloseReason.choices, required=False, allow_blank=True, help_text="To close.")
    note = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")


class DecisionDocument(serializers.ModelSerializer[Decision]):
    """One decision."""

    decided_by = serializers.SerializerMethodField()
    note = serializers.SerializerMethodField()

    class Meta:
        model = Decision
        fields: ClassVar = ["id", "case", "kind", "decided_by", "decided_at", "remind_on", "reason", "note"]

    def get_decided_by(self, decision: Decision) -> str:
        """By name."""
        return person(decision.decided_by)

    def get_note(self, decision: Decision) -> str:
        """Decrypted."""
        return "" if decision.case.patient.erased else decision.note


class ObservationDocument(serializers.ModelSerializer[Decision]):
    """A lesion to be looked at again."""

    patient = serializers.UUIDField(source="case.patient_id")
    lesion = serializers.UUIDField(source="case.lesion_id")
    anatom_site_general = serializers.CharField(source="case.anatom_site_general")
    due = serializers.SerializerMethodField()

    class Meta:
        model = Decision
        fields: ClassVar = ["id", "case", "patient", "lesion", "anatom_site_general", "decided_at", "remind_on", "due"]

    def get_due(self, decision: Decision) -> bool:
        """Whether the day has come."""
        assert decision.remind_on is not None
        return decision.remind_on <= timezone.now().date()


EXAMPLE_DECISION: Final = {
    "id": "5b0c9a2e-7c0e-4e3e-8a3b-9f1d2c3b4a55",
    "case": "0b6f6f0e-8f0c-4e8e-9a57-3b0a4f6d2c11",
    "kind": "observe",
    "decided_by": "Ada Okafor",
    "decided_at": "2026-11-26T10:00:00Z",
    "remind_on": "2027-02-26",
    "reason": "",
    "note": "Compare the lower edge.",
}
EXAMPLE_OBSERVATION: Final = {
    "id": EXAMPLE_DECISION["id"],
    "case": EXAMPLE_DECISION["case"],
    "patient": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
    "lesion": "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01",
    "anatom_site_general": "upper extremity",
    "decided_at": EXAMPLE_DECISION["decided_at"],
    "remind_on": "2026-11-20",
    "due": True,
}


class DecisionsView(ApiView):
    """What was decided about one case."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}

    @extend_schema(
        operation_id="case_decision_list",
        summary="List what was decided about a case, the latest first",
        description="The latest counts. A referral made after it stands above it.",
        tags=["Cases"],
        responses={200: DecisionDocument(many=True), **problem_examples(401, 403, 404)},
        examples=[OpenApiExample("One", value=EXAMPLE_DECISION, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """List."""
        return _decisions(request, pk)

    @extend_schema(
        operation_id="case_decision_create",
        summary="Keep a case under observation with a reminder, or close it with a reason",
        description="On the day of `remind_on` whoever decided gets a notice (and an e-mail without clinical content), "
        "unless the lesion was seen, referred or decided about again.",
        tags=["Cases"],
        request=DecisionForm,
        responses={201: DecisionDocument(many=True), **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample("Decided", value=EXAMPLE_DECISION, response_only=True, status_codes=["201"]),
            OpenApiExample("Observe", value={"kind": "observe", "remind_on": "2027-02-26"}, request_only=True),
            OpenApiExample("Close", value={"kind": "close", "reason": "harmless"}, request_only=True),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Decide."""
        user = signed_in(request)
        case = get_object_or_404(Case.objects.for_user(user), pk=pk)
        form = DecisionForm(data=request.data)
        form.is_valid(raise_exception=True)
        decide(user=user, new=NewDecision(case=case.pk, **form.validated_data))
        return _decisions(request, pk, 201)


def _decisions(request: Request, pk: Any, status: int = 200) -> Response:
    user = signed_in(request)
    case = get_object_or_404(Case.objects.for_user(user).select_related("patient__data_key_row"), pk=pk)
    decisions = list(Decision.objects.filter(case=case).select_related("decided_by"))
    for decision in decisions:
        decision.case = case
    record_reads(user, [(case.organisation_id, case.patient_id)])
    return Response(DecisionDocument(decisions, many=True).data, status=status)


class ObservationsView(ApiView):
    """Lesions under observation."""

    access: ClassVar = {"GET": Access.CLINICIAN}

    @extend_schema(
        operation_id="observation_list",
        summary="List lesions under observation, the most overdue first",
        description=f"Those that were not seen, referred or decided about since; at most {MOST_OBSERVATIONS}.",
        tags=["Cases"],
        parameters=[
            OpenApiParameter("due", OpenApiTypes.STR, enum=["true"], description="Only those whose day has come."),
            OpenApiParameter("lesion", OpenApiTypes.UUID),
        ],
        responses={200: ObservationDocument(many=True), **problem_examples(400, 401, 403)},
        examples=[OpenApiExample("One", value=EXAMPLE_OBSERVATION, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        refuse_unknown_parameters(request, {"due", "lesion"})
        user = signed_in(request)
        rows = Decision.objects.for_user(user)
        due = request.query_params.get("due")
        if due not in (None, "true"):
            raise Problem(400, "invalid", "due can only be true", field="due")
        rows = rows.due(timezone.now().date()) if due else rows.standing()
        if lesion := request.query_params.get("lesion"):
            field = serializers.UUIDField()
            try:
                rows = rows.filter(case__lesion=field.run_validation(lesion))
            except serializers.ValidationError as error:
                raise Problem(400, "invalid", f"{lesion!r} is no UUID", field="lesion") from error
        found = list(rows.select_related("case").order_by("remind_on", "pk")[:MOST_OBSERVATIONS])
        record_reads(user, [(row.case.organisation_id, row.case.patient_id) for row in found])
        return Response(ObservationDocument(found, many=True).data)
