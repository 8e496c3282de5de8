"""analyses/{id}/map/: where the network looked, drawn over what it saw."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from diagnosis.api.access import Access, signed_in
from diagnosis.api.pagination import refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import Analysis, Case
from diagnosis.services.first_reads import answer_withheld
from diagnosis.services.maps import NoMap, draw_map
from skincare.audit.record import record_reads


class PngRenderer(BaseRenderer):
    """Lets a client ask for image/png; the bytes are passed on as they are."""

    media_type = "image/png"
    format = "png"
    charset = None
    render_style = "binary"

    def render(self, data: Any, media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        """Nothing to do."""
        return data


class MapView(ApiView):
    """One analysis's activation map."""

    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST}
    renderer_classes = [PngRenderer]

    @extend_schema(
        operation_id="analysis_map",
        summary="Show where the network looked",
        description="A PNG of the network's view of the deciding photograph, with the places that speak for "
        "malignant, or for one diagnosis. It is meant for orientation; it is not evidence.",
        tags=["Cases"],
        parameters=[
            OpenApiParameter(
                "class", OpenApiTypes.STR, enum=CLASSES, description="One diagnosis; all malignant ones, unless told."
            )
        ],
        responses={
            (200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("PNG", value="…")]),
            **problem_examples(400, 401, 403, 404, 410),
        },
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Draw the map."""
        user = signed_in(request)
        refuse_unknown_parameters(request, {"class"})
        cases = Case.objects.for_user(user) | Case.objects.referred_to(user)
        analyses = Analysis.objects.filter(case__in=cases).prefetch_related("case__images")
        analysis = get_object_or_404(analyses.select_related("case__patient__data_key_row"), pk=pk)
        if answer_withheld(user, analysis.case):
            raise Problem(403, "read_first", "record your own read first; the network's answer follows it")
        diagnosis = request.query_params.get("class")
        if diagnosis is not None and diagnosis not in CLASSES:
            raise Problem(400, "invalid", f"class must be one of {', '.join(CLASSES)}", field="class")
        try:
            content = draw_map(analysis, diagnosis)
        except NoMap as error:
            raise Problem(404, "no_map", str(error)) from error
        record_reads(user, [(analysis.case.organisation_id, analysis.case.patient_id)])
        return HttpResponse(
            content,
            content_type="image/png",
            headers={
                "Content-Disposition": 'inline; filename="map.png"',
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )
