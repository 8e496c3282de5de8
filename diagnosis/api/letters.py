"""Documents about a referral as PDF: the answer, the referral itself, and the patient's leaflet."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from diagnosis.api.access import Access, signed_in
from diagnosis.api.pagination import refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.services import letters

LANGUAGE: Final = OpenApiParameter(
    "language",
    OpenApiTypes.STR,
    description="In which language: `en-gb` or `ar`. Otherwise yours; a leaflet's is the one of the patient's consent.",
)


class PdfRenderer(BaseRenderer):
    """Lets a client ask for application/pdf; the bytes are passed on as they are."""

    media_type = "application/pdf"
    format = "pdf"
    charset = None
    render_style = "binary"

    def render(self, data: Any, media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        """Nothing to do."""
        return data


def pdf(content: bytes, name: str) -> HttpResponse:
    """A document as an attachment, whose name tells nothing of the patient."""
    return HttpResponse(
        content,
        content_type="application/pdf",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.pdf"',
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "private, no-store",
        },
    )


def _described(operation_id: str, summary: str, description: str, *statuses: int) -> Callable[..., Any]:
    found = (200, "application/pdf")
    example = OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("PDF", value="…")])
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=f"{description} Holds nothing of the network's answer. That it was made is recorded.",
        tags=["Referrals"],
        parameters=[LANGUAGE],
        responses={found: example, **problem_examples(400, 401, 403, 404, *statuses, 410, 422)},
    )


class _DocumentView(ApiView):
    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST}
    renderer_classes = [PdfRenderer]

    def language(self, request: Request) -> str:
        """Which language was asked for."""
        refuse_unknown_parameters(request, {"language"})
        return request.query_params.get("language", "")


class LetterView(_DocumentView):
    """The answer as a letter."""

    @_described(
        "referral_letter",
        "Fetch the dermatologist's answer as a letter",
        "The answer that counts, with the photographs; 409 until it is signed, and for who is still to read blind.",
        409,
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Make it."""
        user = signed_in(request)
        return pdf(
            letters.answer_letter(user=user, referral_id=pk, language=self.language(request)), "answer-to-referral"
        )


class ReferralLetterView(_DocumentView):
    """The referral as a letter."""

    @_described(
        "referral_referral_letter",
        "Fetch the referral as a letter",
        "Question, findings and photographs, for whoever sees the patient elsewhere.",
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Make it."""
        user = signed_in(request)
        return pdf(letters.referral_letter(user=user, referral_id=pk, language=self.language(request)), "referral")


class LeafletView(_DocumentView):
    """The answer for the patient."""

    @_described(
        "case_leaflet",
        "Fetch the patient's leaflet",
        "The latest signed answer in plain words; 409 until there is one.",
        409,
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Make it."""
        user = signed_in(request)
        return pdf(letters.leaflet(user=user, case_id=pk, language=self.language(request)), "leaflet")
