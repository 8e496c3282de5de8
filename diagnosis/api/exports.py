"""patients/{id}/export/: a patient's whole record as an archive, for the patient's right of access."""

import tempfile
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from diagnosis.api.access import Access, signed_in
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Patient
from diagnosis.services.export import export_patient

#: An archive of up to so many bytes is made in memory, a larger one on disk.
IN_MEMORY_BYTES = 8 * 2**20


class ZipRenderer(BaseRenderer):
    """Lets a client ask for application/zip; the bytes are passed on as they are."""

    media_type = "application/zip"
    format = "zip"
    charset = None
    render_style = "binary"

    def render(self, data: Any, media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        """Nothing to do."""
        return data


class PatientExportView(ApiView):
    """A patient's whole record."""

    access: ClassVar = {"POST": Access.CLINICIAN_OR_ADMINISTRATOR}
    confirmed: ClassVar = {"POST"}
    renderer_classes = [ZipRenderer]

    @extend_schema(
        operation_id="patient_export",
        summary="Export a patient's whole record",
        description="A ZIP archive with `record.pdf` for reading, `record.json` for programs, the photographs, the "
        "consents and who looked at the record. For the patient's clinicians, and for the administrators of the "
        "organisation, who answer patients' requests. Each export is recorded.",
        tags=["Patients"],
        request=None,
        responses={
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("ZIP", value="…")]),
            **problem_examples(401, 403, 404, 410),
        },
    )
    def post(self, request: Request, pk: Any) -> FileResponse:
        """Export."""
        user = signed_in(request)
        patients = Patient.objects.for_user(user) | Patient.objects.for_administrator(user)
        patient = get_object_or_404(patients.distinct(), pk=pk)
        archive = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 (the response closes it)
        try:
            export_patient(patient_id=patient.pk, output=archive, user=user)
        except BaseException:
            archive.close()
            raise
        archive.seek(0)
        return FileResponse(
            archive,
            as_attachment=True,
            filename="patient-record.zip",
            content_type="application/zip",
            headers={"X-Content-Type-Options": "nosniff"},
        )
