"""patients/{id}/accesses/: who saw a patient's data and who did what with it, for the organisation's administrators."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.pagination import NewestEventFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Patient
from diagnosis.services.accesses import accesses_to, in_words, reason_of
from skincare.audit.models import AuditEvent


class AccessDocument(serializers.ModelSerializer[AuditEvent]):
    """One event about a patient: ids, no content."""

    actor_email = serializers.EmailField(
        source="actor.email", allow_null=True, default=None, help_text="Null where the platform acted by itself."
    )
    action_text = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField(help_text="Empty where none was recorded.")

    class Meta:
        model = AuditEvent
        fields: ClassVar = [
            "id",
            "at",
            "actor",
            "actor_email",
            "action",
            "action_text",
            "object_type",
            "object_id",
            "address",
            "request_id",
            "reason",
        ]

    def get_action_text(self, event: AuditEvent) -> str:
        """In words."""
        return in_words(event)

    def get_reason(self, event: AuditEvent) -> str:
        """Why."""
        return reason_of(event)


EXAMPLE_ACCESS: Final = {
    "id": 48213,
    "at": "2026-11-23T09:12:44.120000Z",
    "actor": "3f1d8f0a-52f5-4d0c-8a5e-5a4b7f0e9d10",
    "actor_email": "clinician@clinic.example",
    "action": "patient.read",
    "action_text": "Saw the patient's data",
    "object_type": "patient",
    "object_id": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
    "address": "192.0.2.17",
    "request_id": "0e5d2c31-5a92-47c1-9a57-4a1c52f6a6c0",
    "reason": "",
}


class PatientAccessesView(ApiView):
    """Who saw one patient."""

    access: ClassVar = {"GET": Access.ADMINISTRATOR}
    queryset = AuditEvent.objects.none()
    serializer_class = AccessDocument
    pagination_class = NewestEventFirst

    @extend_schema(
        operation_id="patient_accesses_list",
        summary="Who saw a patient's data, the newest first",
        description="For administrators of the patient's organisation. One event stands for all that a person saw of "
        "the patient within a quarter of an hour. Asking is recorded as well.",
        tags=["Patients"],
        responses={200: AccessDocument(many=True), **problem_examples(400, 401, 403, 404)},
        examples=[OpenApiExample("An access", value=EXAMPLE_ACCESS, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show who saw the patient."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        user = signed_in(request)
        patient = get_object_or_404(Patient.objects.for_administrator(user), pk=pk)
        page = self.paginate_queryset(accesses_to(user=user, patient=patient))
        assert page is not None
        return self.get_paginated_response(AccessDocument(page, many=True).data)
