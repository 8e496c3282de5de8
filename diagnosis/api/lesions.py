"""lesions/: spots on patients' skin, followed over time."""

from typing import Any, ClassVar, Final

import django_filters
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import AnatomicalSite, Lesion, Patient
from diagnosis.services.errors import Refusal
from diagnosis.services.patients import NewLesion, create_lesion
from skincare.audit.record import record_reads


class DescribedLesion(StrictSerializer):
    """A new lesion, as a client describes one."""

    id = serializers.UUIDField(required=False, help_text="Your own UUID, so that sending twice makes one lesion.")
    anatom_site_general = OneOf(choices=AnatomicalSite.choices)
    body_map_side = OneOf(choices=[("front", "Front"), ("back", "Back")], required=False, allow_blank=True)
    body_map_x = serializers.FloatField(min_value=0, max_value=1, required=False, allow_null=True)
    body_map_y = serializers.FloatField(min_value=0, max_value=1, required=False, allow_null=True)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True, help_text="Kept encrypted.")

    @staticmethod
    def described(fields: dict[str, Any]) -> NewLesion:
        """What the service takes, from validated fields."""
        return NewLesion(**{name: value for name, value in fields.items() if name != "patient"})


class LesionForm(DescribedLesion):
    """A new lesion of a patient."""

    patient = serializers.UUIDField()


class LesionDocument(serializers.ModelSerializer[Lesion]):
    """A lesion. An erased patient's has no description any more."""

    description = serializers.SerializerMethodField()

    class Meta:
        model = Lesion
        fields: ClassVar = [
            "id",
            "patient",
            "anatom_site_general",
            "body_map_side",
            "body_map_x",
            "body_map_y",
            "description",
            "created_at",
        ]

    def get_description(self, lesion: Lesion) -> str:
        """Decrypted."""
        return "" if lesion.patient.erased else lesion.description


class LesionFilter(django_filters.FilterSet):  # type: ignore[misc]
    """What lesions can be listed by."""

    patient = django_filters.UUIDFilter(field_name="patient_id")

    class Meta:
        model = Lesion
        fields: ClassVar = ["patient"]


EXAMPLE_NEW_LESION: Final = {
    "anatom_site_general": "upper extremity",
    "body_map_side": "front",
    "body_map_x": 0.22,
    "body_map_y": 0.41,
    "description": "Left forearm, 3 cm below the elbow",
}
EXAMPLE_LESION: Final = {
    "id": "1d7e7a5c-0f3c-4a35-9d0f-3e2f6b8a9c01",
    "patient": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
    **EXAMPLE_NEW_LESION,
    "created_at": "2026-11-23T09:12:44.140000Z",
}
_SHOWN: Final = [OpenApiExample("A lesion", value=EXAMPLE_LESION, response_only=True)]


class LesionsView(ApiView):
    """Lesions of patients whom the user may see."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}
    queryset = Lesion.objects.none()
    serializer_class = LesionDocument
    pagination_class = NewestFirst
    filterset_class = LesionFilter

    @extend_schema(
        operation_id="lesion_list",
        summary="List lesions, the newest first",
        tags=["Lesions"],
        responses={200: LesionDocument(many=True), **problem_examples(400, 401, 403)},
        examples=_SHOWN,
    )
    def get(self, request: Request) -> Response:
        """List lesions."""
        refuse_unknown_parameters(request, {"cursor", "page_size", "patient"})
        page = self.paginate_queryset(self.filter_queryset(_visible(request)))
        assert page is not None
        _record(request, page)
        return self.get_paginated_response(LesionDocument(page, many=True).data)

    @extend_schema(
        operation_id="lesion_create",
        summary="Create a lesion",
        description="With an `id` of your own, sending the same again answers 200 with the lesion made before.",
        tags=["Lesions"],
        request=LesionForm,
        responses={
            201: LesionDocument,
            200: LesionDocument,
            **problem_examples(400, 401, 403, 404, 409, 410, 422),
        },
        examples=[
            *_SHOWN,
            OpenApiExample(
                "A new lesion", value={"patient": EXAMPLE_LESION["patient"], **EXAMPLE_NEW_LESION}, request_only=True
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Create a lesion."""
        form = LesionForm(data=request.data)
        form.is_valid(raise_exception=True)
        fields: dict[str, Any] = form.validated_data
        user = signed_in(request)
        patient = Patient.objects.for_user(user).select_related("data_key_row").filter(pk=fields["patient"]).first()
        if patient is None:
            raise Refusal("not_found", f"there is no patient {fields['patient']}", field="patient")
        lesion, created = create_lesion(user=user, patient=patient, new=DescribedLesion.described(fields))
        if not created:
            _record(request, [lesion])
        return Response(LesionDocument(lesion).data, status=201 if created else 200)


class LesionView(ApiView):
    """One lesion."""

    access: ClassVar = {"GET": Access.CLINICIAN}

    @extend_schema(
        operation_id="lesion_retrieve",
        summary="Show a lesion",
        tags=["Lesions"],
        responses={200: LesionDocument, **problem_examples(401, 403, 404)},
        examples=_SHOWN,
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show a lesion."""
        lesion = get_object_or_404(_visible(request), pk=pk)
        _record(request, [lesion])
        return Response(LesionDocument(lesion).data)


def _visible(request: Request) -> Any:
    return Lesion.objects.for_user(signed_in(request)).select_related("patient__data_key_row")


def _record(request: Request, lesions: list[Lesion]) -> None:
    record_reads(signed_in(request), [(lesion.patient.organisation_id, lesion.patient_id) for lesion in lesions])
