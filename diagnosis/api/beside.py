"""referrals/{id}/similar/ and visits/: what stands beside the network's answer, after the reader's own read."""

from typing import Any, ClassVar

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api import image_links
from diagnosis.api.access import Access, signed_in
from diagnosis.api.images import JpegRenderer
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import ReferenceImage, Referral
from diagnosis.services.files import open_public
from diagnosis.services.similar import NEARNESS, Similar, similar_cases
from diagnosis.services.visits import visits_of
from skincare.audit.record import record_reads

_BODY = OpenApiTypes.OBJECT
_NOTICE = "What looks alike to the network is for orientation; it is not evidence."


def _read_by(request: Request, pk: Any) -> Referral:
    """A referral that the user may see as a dermatologist."""
    found: Referral = get_object_or_404(Referral.objects.for_reader(signed_in(request)).with_everything(), pk=pk)
    return found


class SimilarView(ApiView):
    """Confirmed cases and public references that look alike."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_similar",
        summary="Show what looks like a referral's case, after your own read",
        description="Among the newest 500 answered referrals of your services: other patients whose consents are in "
        "force, read by the same version. And among public reference sets. Distances are cosine distances of the "
        f"network's embeddings. {_NOTICE}",
        tags=["Referrals"],
        responses={200: _BODY, **problem_examples(401, 403, 404, 409, 410)},
        examples=[
            OpenApiExample(
                "Similar",
                value={
                    "notice": _NOTICE,
                    "searched": 212,
                    "bounded": False,
                    "cases": [
                        {
                            "distance": 0.18,
                            "nearness": "alike",
                            "nearness_text": "alike to the network",
                            "diagnosis": "Melanoma in situ",
                            "malignant": True,
                            "how": "histology",
                            "anatom_site_general": "Posterior torso (back)",
                            "image": "https://skincare.example/api/v1/images/6f…/content/?signature=…",
                        }
                    ],
                    "references": [
                        {
                            "distance": 0.21,
                            "nearness": "alike",
                            "nearness_text": "alike to the network",
                            "diagnosis": "Melanoma",
                            "malignant": True,
                            "how": "histology",
                            "image": "https://skincare.example/api/v1/reference-images/1b…/content/",
                            "name": "ISIC_0024310",
                            "set": "HAM10000 (sample)",
                            "licence": "CC BY-NC 4.0",
                            "attribution": "Tschandl P., Rosendahl C. & Kittler H., 2018",
                        }
                    ],
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Search."""
        found = similar_cases(user=signed_in(request), referral=_read_by(request, pk))
        return Response(
            {
                "notice": _NOTICE,
                "searched": found.searched,
                "bounded": found.bounded,
                "cases": [_document(request, each) for each in found.cases],
                "references": [_document(request, each) for each in found.references],
            }
        )


def _document(request: Request, each: Similar) -> dict[str, Any]:
    said = {
        "distance": round(each.distance, 4),
        "nearness": each.nearness,
        "nearness_text": str(NEARNESS[each.nearness]),
        "diagnosis": each.diagnosis,
        "malignant": each.malignant,
        "how": each.how,
    }
    if each.reference is not None:
        address = reverse("reference-image-content", args=[each.reference.pk])
        return said | {
            "image": request.build_absolute_uri(address),
            "name": each.reference.name,
            "set": each.reference.set.name,
            "licence": each.reference.set.licence,
            "attribution": each.reference.set.attribution,
        }
    assert each.image is not None  # one or the other
    return said | {
        "anatom_site_general": each.site,
        "image": image_links.link_to(request, each.image, signed_in(request)),
    }


class VisitsView(ApiView):
    """The visits of a referral's lesion."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_visits",
        summary="Show what changed of a lesion from visit to visit, after your own read",
        tags=["Referrals"],
        responses={
            200: {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
            **problem_examples(401, 403, 404, 409, 410),
        },
        examples=[
            OpenApiExample(
                "A visit",
                value=[
                    {
                        "case": "5a4f2c2e-6d0e-4b0a-9a4f-1f8a2f5d7c11",
                        "seen_at": "2026-05-04T09:12:00Z",
                        "this_referral": True,
                        "checklist_score": 4,
                        "appeared": ["change_in_size"],
                        "went": [],
                        "malignancy_risk": 0.41,
                        "malignancy_risk_change": 0.2,
                        "predicted": "mel",
                        "rose_most": {"class": "mel", "by": 0.19},
                        "compared_with_another_version": False,
                    }
                ],
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Compare."""
        user = signed_in(request)
        referral = _read_by(request, pk)
        visits = visits_of(user=user, referral=referral)
        record_reads(user, [(referral.case.organisation_id, referral.case.patient_id)])
        return Response(
            [
                {
                    "case": visit.case.pk,
                    "seen_at": visit.seen_at,
                    "this_referral": visit.this,
                    "checklist_score": visit.checklist_score,
                    "appeared": visit.appeared,
                    "went": visit.went,
                    "malignancy_risk": visit.risk,
                    "malignancy_risk_change": visit.risk_change,
                    "predicted": visit.predicted or None,
                    "rose_most": {"class": visit.rose[0], "by": visit.rose[1]} if visit.rose else None,
                    "compared_with_another_version": visit.other_version,
                }
                for visit in visits
            ]
        )


class ReferenceImageView(ApiView):
    """A photograph of a public reference set."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST}
    renderer_classes = [JpegRenderer]

    @extend_schema(
        operation_id="reference_image_content",
        summary="Fetch a photograph of a public reference set",
        description="Its licence and whom to thank are told where it is listed (referrals/{id}/similar/).",
        tags=["Referrals"],
        responses={
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("JPEG", value="…")]),
            **problem_examples(401, 403, 404),
        },
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Fetch."""
        image = get_object_or_404(ReferenceImage, pk=pk)
        content = open_public(image.photograph_file)
        headers = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
        return HttpResponse(content, content_type="image/jpeg", headers=headers)
