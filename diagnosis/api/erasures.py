"""patients/{id}/erase/: an administrator carries out a patient's request to be erased."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Erasure, ErasureReason, Patient
from diagnosis.services.erasure import erase_on_request


class ErasureForm(StrictSerializer):
    """Why, and whom, said a second time."""

    reason = OneOf(choices=ErasureReason.choices, help_text="Kept in the ledger of erasures.")
    record_number = serializers.CharField(
        max_length=100, help_text="The patient's, so that a wrong id erases nobody. Not looked at if already erased."
    )


class ErasureDocument(serializers.ModelSerializer[Erasure]):
    """The tombstone that stays of a patient."""

    patient = serializers.UUIDField(source="patient_id")

    class Meta:
        model = Erasure
        fields: ClassVar = ["patient", "erased_at", "erased_by", "reason"]


EXAMPLE_ERASURE: Final = {
    "patient": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
    "erased_at": "2026-11-23T09:12:44.120000Z",
    "erased_by": "0c9d2c5a-6a54-49c5-b8b0-6f6c0a3f3f10",
    "reason": "patient_request",
}


class PatientEraseView(ApiView):
    """Erasing a patient."""

    access: ClassVar = {"POST": Access.ADMINISTRATOR}
    confirmed: ClassVar = {"POST"}

    @extend_schema(
        operation_id="patient_erase",
        summary="Erase a patient for good",
        description="For administrators of the patient's organisation. Destroys the patient's data key, everything "
        "that identifies the patient, and the photographs. The cases stay as a snapshot for statistics, the consents "
        "without their evidence. Nothing brings the data back. Sent again, it answers with the first erasure.",
        tags=["Patients"],
        request=ErasureForm,
        responses={200: ErasureDocument, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample("Erased", value=EXAMPLE_ERASURE, response_only=True),
            OpenApiExample(
                "Erase", value={"reason": "patient_request", "record_number": "HRS-20481"}, request_only=True
            ),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Erase."""
        user = signed_in(request)
        patients = Patient.objects.for_administrator(user).select_related("organisation")
        patient = get_object_or_404(patients, pk=pk)
        form = ErasureForm(data=request.data)
        form.is_valid(raise_exception=True)
        tombstone = erase_on_request(
            user=user,
            patient=patient,
            reason=ErasureReason(form.validated_data["reason"]),
            record_number=form.validated_data["record_number"],
        )
        return Response(ErasureDocument(tombstone).data)
