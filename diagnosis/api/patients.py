"""patients/: the people whose lesions an organisation looks after."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, clinics_of, organisation_for, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import FitzpatrickSkinType, Patient, Sex
from diagnosis.services.patients import NewPatient, create_patient
from skincare.accounts.models import Organisation, TokenScope
from skincare.audit.record import record_reads
from skincare.encryption import folded_name


class DescribedPatient(StrictSerializer):
    """A new patient, as a client describes one."""

    id = serializers.UUIDField(required=False, help_text="Your own UUID, so that sending twice makes one patient.")
    record_number = serializers.CharField(max_length=100, help_text="The clinic's number. Kept encrypted.")
    name = serializers.CharField(max_length=200, required=False, allow_blank=True, help_text="Kept encrypted.")
    birth_date = serializers.DateField(required=False, allow_null=True, help_text="Kept encrypted.")
    sex = OneOf(choices=Sex.choices, required=False, allow_blank=True)
    fitzpatrick_skin_type = OneOf(choices=FitzpatrickSkinType.choices, required=False, allow_blank=True)

    @staticmethod
    def described(fields: dict[str, Any]) -> NewPatient:
        """What the service takes, from validated fields."""
        return NewPatient(**{name: value for name, value in fields.items() if name != "organisation"})


class PatientForm(DescribedPatient):
    """A new patient of one of your organisations."""

    organisation = serializers.UUIDField(
        required=False, help_text="Needed only where you are a clinician in more than one organisation."
    )


class PatientDocument(serializers.ModelSerializer[Patient]):
    """A patient. What identifies an erased patient is empty."""

    record_number = serializers.SerializerMethodField()
    name = serializers.SerializerMethodField()
    birth_date = serializers.SerializerMethodField()
    erased = serializers.BooleanField()

    class Meta:
        model = Patient
        fields: ClassVar = [
            "id",
            "organisation",
            "record_number",
            "name",
            "birth_date",
            "sex",
            "fitzpatrick_skin_type",
            "created_at",
            "erased",
        ]

    def get_record_number(self, patient: Patient) -> str:
        """Decrypted."""
        return "" if patient.erased else patient.record_number

    def get_name(self, patient: Patient) -> str:
        """Decrypted."""
        return "" if patient.erased else patient.name

    def get_birth_date(self, patient: Patient) -> str | None:
        """Decrypted, ISO 8601."""
        return None if patient.erased else patient.birth_date or None


class WantedPatient(StrictSerializer):
    """Who is looked for: a record number, or a name together with a birth date."""

    record_number = serializers.CharField(max_length=100, required=False)
    name = serializers.CharField(max_length=200, required=False)
    birth_date = serializers.DateField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take one way of looking, whole."""
        if set(attrs) not in ({"record_number"}, {"name", "birth_date"}):
            raise serializers.ValidationError(
                "send record_number alone, or name and birth_date together", code="one_way_needed"
            )
        if "name" in attrs and not folded_name(attrs["name"]):
            raise serializers.ValidationError({"name": ["a name needs letters or digits"]}, code="no_letters")
        return attrs


EXAMPLE_NEW_PATIENT: Final = {
    "record_number": "HRS-20481",
    "name": "Maria Lindqvist",
    "birth_date": "1961-04-17",
    "sex": "female",
    "fitzpatrick_skin_type": "II",
}
EXAMPLE_PATIENT: Final = {
    "id": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
    "organisation": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77",
    **EXAMPLE_NEW_PATIENT,
    "created_at": "2026-11-23T09:12:44.120000Z",
    "erased": False,
}
_SHOWN: Final = [OpenApiExample("A patient", value=EXAMPLE_PATIENT, response_only=True)]


class PatientsView(ApiView):
    """Patients of the organisations where the user is a clinician."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}
    queryset = Patient.objects.none()
    serializer_class = PatientDocument
    pagination_class = NewestFirst

    @extend_schema(
        operation_id="patient_list",
        summary="List patients, the newest first",
        tags=["Patients"],
        responses={200: PatientDocument(many=True), **problem_examples(400, 401, 403)},
        examples=_SHOWN,
    )
    def get(self, request: Request) -> Response:
        """List patients."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        user = signed_in(request)
        page = self.paginate_queryset(_visible(request))
        assert page is not None
        record_reads(user, [(patient.organisation_id, patient.pk) for patient in page])
        return self.get_paginated_response(PatientDocument(page, many=True).data)

    @extend_schema(
        operation_id="patient_create",
        summary="Create a patient",
        description="With an `id` of your own, sending the same again answers 200 with the patient made before.",
        tags=["Patients"],
        request=PatientForm,
        responses={
            201: PatientDocument,
            200: PatientDocument,
            **problem_examples(400, 401, 403, 404, 409, 422),
        },
        examples=[*_SHOWN, OpenApiExample("A new patient", value=EXAMPLE_NEW_PATIENT, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create a patient."""
        form = PatientForm(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        organisation = organisation_for(request, fields.get("organisation"))
        patient, created = create_patient(
            user=signed_in(request), organisation=organisation, new=DescribedPatient.described(fields)
        )
        if not created:
            record_reads(signed_in(request), [(patient.organisation_id, patient.pk)])
        return Response(PatientDocument(patient).data, status=201 if created else 200)


class PatientView(ApiView):
    """One patient."""

    access: ClassVar = {"GET": Access.CLINICIAN}

    @extend_schema(
        operation_id="patient_retrieve",
        summary="Show a patient",
        tags=["Patients"],
        responses={200: PatientDocument, **problem_examples(401, 403, 404)},
        examples=_SHOWN,
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show a patient."""
        patient = get_object_or_404(_visible(request), pk=pk)
        record_reads(signed_in(request), [(patient.organisation_id, patient.pk)])
        return Response(PatientDocument(patient).data)


class PatientLookUpView(ApiView):
    """Finding patients by record number, or by name and birth date."""

    access: ClassVar = {"POST": Access.CLINICIAN}
    #: It changes nothing. A GET would leave record numbers and names in the logs of every proxy on the way.
    scopes: ClassVar = {"POST": TokenScope.READ}

    @extend_schema(
        operation_id="patient_look_up",
        summary="Find patients by record number, or by name and birth date",
        description="Send `record_number` alone, or `name` and `birth_date` together; both match by keyed indexes. "
        "A number matches whole, in any case and spacing. A name matches whole, too: its words in any order and case, "
        "with or without accents, hyphens and apostrophes (*O'Brien-Smith, José* is found as *jose obrien smith*); "
        "other spellings are not found (*Müller* is found as *Muller*, not as *Mueller*). Several patients can share a "
        "name and a birth date. All travels in the body, because addresses end up in logs.",
        tags=["Patients"],
        request=WantedPatient,
        responses={200: PatientDocument(many=True), **problem_examples(400, 401, 403)},
        examples=[
            OpenApiExample("By record number", value={"record_number": "HRS-20481"}, request_only=True),
            OpenApiExample("By name", value={"name": "Lindqvist Maria", "birth_date": "1961-04-17"}, request_only=True),
            *_SHOWN,
        ],
    )
    def post(self, request: Request) -> Response:
        """Find patients."""
        form = WantedPatient(data=request.data)
        form.is_valid(raise_exception=True)
        clinics = Organisation.objects.filter(pk__in=clinics_of(request))
        wanted: dict[str, Any] = form.validated_data
        if "record_number" in wanted:
            found = list(_visible(request).with_record_number(wanted["record_number"], clinics))
        else:
            found = list(_visible(request).with_name(wanted["name"], wanted["birth_date"], clinics))
        record_reads(signed_in(request), [(patient.organisation_id, patient.pk) for patient in found])
        return Response(PatientDocument(found, many=True).data)


def _visible(request: Request) -> Any:
    return Patient.objects.for_user(signed_in(request)).select_related("data_key_row")
