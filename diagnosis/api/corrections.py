"""patients/{id}/correct/: a clinician writes down what is right about who a patient is."""

from datetime import date
from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.patients import EXAMPLE_PATIENT, PatientDocument
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import CorrectionReason, FitzpatrickSkinType, Patient, Sex
from diagnosis.services.corrections import Corrected, correct_patient
from skincare.audit.record import record_reads


class CorrectionForm(StrictSerializer):
    """What is right, and why it is corrected. What is not sent stays; an empty value takes away what was recorded."""

    reason = OneOf(choices=CorrectionReason.choices, help_text="Kept in the audit record.")
    record_number = serializers.CharField(max_length=100, required=False)
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    birth_date = serializers.DateField(required=False, allow_null=True)
    sex = OneOf(choices=Sex.choices, required=False, allow_blank=True)
    fitzpatrick_skin_type = OneOf(choices=FitzpatrickSkinType.choices, required=False, allow_blank=True)


def _corrected(fields: dict[str, Any]) -> Corrected:
    said = {name: value for name, value in fields.items() if name != "reason"}
    if "birth_date" in said:
        born: date | None = said["birth_date"]
        said["birth_date"] = born.isoformat() if born else ""
    return Corrected(**said)


EXAMPLE_CORRECTION: Final = {"reason": "changed", "name": "Maria Lindqvist-Berg"}


class PatientCorrectView(ApiView):
    """Correcting a patient."""

    access: ClassVar = {"POST": Access.CLINICIAN}

    @extend_schema(
        operation_id="patient_correct",
        summary="Correct a patient's record number, name, birth date, sex or skin type",
        description="Send what is right and a reason; what is not sent stays. The patient is found by the new values "
        "at once. What stood there before stays sealed in the record and is part of the patient's export. Snapshots "
        "of age band, sex and skin type in the patient's cases follow; answers that were given stay as they are.",
        tags=["Patients"],
        request=CorrectionForm,
        responses={200: PatientDocument, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample(
                "Corrected", value=EXAMPLE_PATIENT | {"name": EXAMPLE_CORRECTION["name"]}, response_only=True
            ),
            OpenApiExample("Correct", value=EXAMPLE_CORRECTION, request_only=True),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Correct."""
        user = signed_in(request)
        patient = get_object_or_404(Patient.objects.for_user(user), pk=pk)
        form = CorrectionForm(data=request.data)
        form.is_valid(raise_exception=True)
        reason = CorrectionReason(form.validated_data["reason"])
        corrected = correct_patient(user=user, patient=patient, reason=reason, right=_corrected(form.validated_data))
        record_reads(user, [(corrected.organisation_id, corrected.pk)])
        return Response(PatientDocument(corrected).data)
