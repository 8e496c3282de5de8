"""images/{id}/content/: a photograph itself, by a link that works for one user and a few minutes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from diagnosis.api import image_links
from diagnosis.api.access import Access, signed_in
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Case, CaseImage
from diagnosis.services.files import open_sealed
from skincare.audit.record import record_reads


class JpegRenderer(BaseRenderer):
    """Lets a client ask for image/jpeg; the bytes are passed on as they are."""

    media_type = "image/jpeg"
    format = "jpeg"
    charset = None
    render_style = "binary"

    def render(self, data: Any, media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        """Nothing to do."""
        return data


class ImageContentView(ApiView):
    """One photograph."""

    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST}
    renderer_classes = [JpegRenderer]

    @extend_schema(
        operation_id="image_content",
        summary="Fetch a photograph",
        description="Use the link in the case's `images`. It works for you alone, with your token or session, for up "
        "to 5 minutes.",
        tags=["Cases"],
        parameters=[OpenApiParameter("signature", OpenApiTypes.STR, required=True)],
        responses={
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("JPEG", value="…")]),
            **problem_examples(401, 403, 404, 410),
        },
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Fetch a photograph."""
        user = signed_in(request)
        cases = Case.objects.for_user(user) | Case.objects.referred_to(user)
        images = CaseImage.objects.filter(case__in=cases)
        image = get_object_or_404(images.select_related("case__patient__data_key_row"), pk=pk)
        image_links.check(request.query_params.get("signature", ""), image, user)
        patient = image.case.patient
        content = open_sealed(patient, image.photograph_file)
        record_reads(user, [(patient.organisation_id, patient.pk)])
        return HttpResponse(
            content,
            content_type="image/jpeg",
            headers={
                "Content-Disposition": f'inline; filename="photograph-{image.position}.jpg"',
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )
