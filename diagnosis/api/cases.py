"""cases/: submitting, listing and polling cases, and asking for an analysis again."""

import hashlib
from typing import Any, ClassVar, Final

import django_filters
from django.db.models import QuerySet, prefetch_related_objects
from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api import image_links
from diagnosis.api.access import Access, clinics_of, signed_in
from diagnosis.api.case_documents import CaseDocument, CaseSummaryDocument, poll_after_ms
from diagnosis.api.examples import EXAMPLE_ANSWERED, EXAMPLE_SUMMARY, EXAMPLE_WAITING
from diagnosis.api.fields import MomentFilter
from diagnosis.api.pagination import NewestSubmissionFirst, refuse_unknown_parameters
from diagnosis.api.parsers import SubmissionParser
from diagnosis.api.reused import Reused
from diagnosis.api.schema import problem_examples
from diagnosis.api.submission import EXAMPLE_CASE, SubmissionParts, read_submission
from diagnosis.api.views import ApiView
from diagnosis.models import AnatomicalSite, Case, CaseState
from diagnosis.services.analysis_queue import retry
from diagnosis.services.submission import submit_case
from skincare.audit.record import record_reads


class CaseFilter(django_filters.FilterSet):  # type: ignore[misc]
    """What cases can be listed by."""

    state = django_filters.ChoiceFilter(choices=CaseState.choices, method="in_state")
    patient = django_filters.UUIDFilter(field_name="patient_id")
    lesion = django_filters.UUIDFilter(field_name="lesion_id")
    anatom_site_general = django_filters.ChoiceFilter(choices=AnatomicalSite.choices)
    submitted_after = MomentFilter(field_name="submitted_at", lookup_expr="gte")
    submitted_before = MomentFilter(field_name="submitted_at", lookup_expr="lt")
    answered_after = MomentFilter(field_name="analysis__finished_at", lookup_expr="gte")
    risk_min = django_filters.NumberFilter(
        field_name="analysis__malignancy_risk", lookup_expr="gte", min_value=0, max_value=1
    )
    risk_max = django_filters.NumberFilter(
        field_name="analysis__malignancy_risk", lookup_expr="lte", min_value=0, max_value=1
    )

    class Meta:
        model = Case
        fields: ClassVar[list[str]] = []

    def in_state(self, cases: Any, _name: str, value: str) -> Any:
        """Those in one state."""
        return cases.in_state(CaseState(value))


_case_document = Reused(CaseDocument)

_ETAG_NOTE = (
    "Answers carry an `ETag`; send it back as `If-None-Match` while you poll and an unchanged case answers 304 with no "
    "body. `poll_after_ms` says when to ask again."
)


class CasesView(ApiView):
    """Cases of the organisations where the user is a clinician."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}
    throttle_scope_of_changes = "submissions"
    queryset = Case.objects.none()
    serializer_class = CaseSummaryDocument
    parser_classes = [SubmissionParser]
    pagination_class = NewestSubmissionFirst
    filterset_class = CaseFilter

    @extend_schema(
        operation_id="case_list",
        summary="List cases, the newest first",
        tags=["Cases"],
        responses={200: CaseSummaryDocument(many=True), **problem_examples(400, 401, 403)},
        examples=[OpenApiExample("A case", value=EXAMPLE_SUMMARY, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List cases."""
        refuse_unknown_parameters(request, {"cursor", "page_size", *CaseFilter.base_filters})
        cases = _visible(request).select_related("analysis").defer("sealed_note", *_NOT_LISTED)
        page = self.paginate_queryset(self.filter_queryset(cases))
        assert page is not None
        record_reads(signed_in(request), [(case.organisation_id, case.patient_id) for case in page])
        return self.get_paginated_response(CaseSummaryDocument(page, many=True, context={"request": request}).data)

    @extend_schema(
        operation_id="case_create",
        summary="Submit a case",
        description=(
            "One form with two kinds of parts: `case`, a JSON object, and `images`, one to ten JPEG or PNG files in "
            "the order of the object's `images`. Everything is stored, or nothing.\n\n"
            "The header `Idempotency-Key` is a UUID that you choose; it becomes the case's id. Send the same request "
            "again as often as you like: it makes one case, and the answer to a repetition carries "
            "`Idempotency-Replayed: true`. The same key with other content is refused with 422."
        ),
        tags=["Cases"],
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.UUID,
                OpenApiParameter.HEADER,
                required=True,
                description="A new UUID for each new case, the same when you send it again.",
            )
        ],
        request={"multipart/form-data": SubmissionParts},
        responses={201: CaseDocument, **problem_examples(400, 401, 403, 404, 409, 410, 413, 415, 422, 429)},
        examples=[
            OpenApiExample(
                "A new patient",
                value={"case": EXAMPLE_CASE, "images": ["(the bytes of a photograph)"]},
                request_only=True,
                media_type="multipart/form-data",
            ),
            OpenApiExample("Stored", value=EXAMPLE_WAITING, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        """Submit a case."""
        read = read_submission(request)
        user = signed_in(request)
        submission = submit_case(user=user, organisation=read.organisation, new=read.new, digest=read.digest)
        case = submission.case
        if submission.replayed:
            case = _whole(request).get(pk=case.pk)
            record_reads(user, [(case.organisation_id, case.patient_id)])
        else:
            prefetch_related_objects([case], "images")
        response = Response(_case_document.document(case, request=request), status=201)
        response["Location"] = request.build_absolute_uri(reverse("case", kwargs={"pk": case.pk}))
        if submission.replayed:
            response["Idempotency-Replayed"] = "true"
        return _with_poll_hint(response, case)


class CaseView(ApiView):
    """One case."""

    access: ClassVar = {"GET": Access.CLINICIAN}

    @extend_schema(
        operation_id="case_retrieve",
        summary="Show a case and its answer",
        description=_ETAG_NOTE,
        tags=["Cases"],
        parameters=[
            OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The last ETag.")
        ],
        responses={
            200: CaseDocument,
            304: OpenApiResponse(description="Unchanged since the ETag that was sent."),
            **problem_examples(401, 403, 404),
        },
        examples=[
            OpenApiExample("Answered", value=EXAMPLE_ANSWERED, response_only=True),
            OpenApiExample("Waiting", value=EXAMPLE_WAITING, response_only=True),
        ],
    )
    def get(self, request: Request, pk: Any) -> HttpResponseBase:
        """Show a case."""
        user = signed_in(request)
        etag = _etag(request, pk)
        unchanged = get_conditional_response(request._request, etag=etag)
        if unchanged is not None:
            # Nothing of the patient leaves the server, so there is no read to record.
            unchanged["ETag"] = etag
            return unchanged
        case = get_object_or_404(_whole(request), pk=pk)
        record_reads(user, [(case.organisation_id, case.patient_id)])
        response = Response(_case_document.document(case, request=request))
        response["ETag"] = etag
        return _with_poll_hint(response, case)


class CaseRetryView(ApiView):
    """Asking for an analysis again."""

    access: ClassVar = {"POST": Access.CLINICIAN}

    @extend_schema(
        operation_id="case_retry",
        summary="Ask for an analysis again",
        description="For a case whose analysis failed, or was not requested and the patient has consented since.",
        tags=["Cases"],
        request=None,
        responses={202: CaseDocument, **problem_examples(401, 403, 404, 409)},
        examples=[OpenApiExample("Waiting again", value=EXAMPLE_WAITING, response_only=True, status_codes=["202"])],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Ask again."""
        user = signed_in(request)
        case = get_object_or_404(_visible(request), pk=pk)
        retry(user=user, case=case)
        case = _whole(request).get(pk=pk)
        record_reads(user, [(case.organisation_id, case.patient_id)])
        response = Response(_case_document.document(case, request=request), status=202)
        return _with_poll_hint(response, case)


def _visible(request: Request) -> Any:
    cases: Any = Case.objects.for_user(signed_in(request))
    clinics = clinics_of(request)
    # The same rows, said so that PostgreSQL walks the index of one organisation from its newest case.
    return cases.filter(organisation_id=clinics[0]) if len(clinics) == 1 else cases


#: Kilobytes a row that no document shows, and more that a list does not.
_NOT_SHOWN: Final = ("analysis__sealed_map", "analysis__sealed_embedding")
_NOT_LISTED: Final = (*_NOT_SHOWN, "analysis__readings", "analysis__conditions", "analysis__timings")


def _whole(request: Request) -> Any:
    # Of lesion, organisation and clinician only ids are shown: PostgreSQL plans three joins fewer, which takes 2 ms.
    cases = _visible(request).select_related("patient__data_key_row", "analysis__model_version")
    return cases.prefetch_related("images").defer("analysis__model_version__manifest", *_NOT_SHOWN)


def _etag(request: Request, pk: Any) -> str:
    """A weak ETag from one row: what changes in a case's document, for whom, and while its links stay the same.

    Raises:
        Http404: there is no such case for this user.
    """
    rows: QuerySet[Any, Any] = _visible(request).values_list(
        "analysis__state",
        "analysis__attempts",
        "analysis__waiting_since",
        "analysis__finished_at",
        "patient__data_key_row",
    )
    row = rows.filter(pk=pk).first()
    if row is None:
        raise Http404
    parts = [str(pk), str(signed_in(request).pk), str(image_links.bucket()), *map(str, row)]
    return f'W/"{hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]}"'


def _with_poll_hint(response: Response, case: Case) -> Response:
    if poll_after_ms(case.analysis) is not None:
        response["Retry-After"] = "1"
    return response
