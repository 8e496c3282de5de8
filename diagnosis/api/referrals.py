"""referrals/ and worklist/: bringing a case before a service, moving it, and what a service has to do."""

import base64
import binascii
import hashlib
from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from diagnosis.api import image_links
from diagnosis.api.access import Access, clinics_of, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.referral_documents import (
    EXAMPLE_LISTED,
    EXAMPLE_SUMMARY,
    EXAMPLE_WHOLE,
    listed_for_clinic,
    listed_for_reader,
    summary,
    whole,
)
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Case, DeclineReason, Referral, Urgency
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services import referrals as services
from diagnosis.services.errors import Refusal
from diagnosis.services.first_reads import answer_withheld
from diagnosis.services.notifications import with_news
from diagnosis.services.referral_states import Action
from diagnosis.services.worklist import STATES, WHOSE, filters_of, worklist
from diagnosis.services.worklist_order import policy_of
from skincare.accounts.models import Organisation
from skincare.audit.record import record_reads

_BODY = OpenApiTypes.OBJECT
_ROWS = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}


class ReferralForm(StrictSerializer):
    """A case for a service."""

    id = serializers.UUIDField(required=False, help_text="Your own UUID, so that sending twice refers once.")
    case = serializers.UUIDField()
    service = serializers.UUIDField(help_text="From referral-services/.")
    urgency = OneOf(choices=Urgency.choices)
    question = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")


class ActionForm(StrictSerializer):
    """What is to be done."""

    action = OneOf(
        choices=[(a.value, a.value) for a in (Action.ACCEPT, Action.TAKE_OVER, Action.RELEASE, Action.DECLINE,
                                             Action.WITHDRAW, Action.CLOSE)]
    )  # fmt: skip
    reason = OneOf(choices=DeclineReason.choices, required=False, help_text="Needed to decline.")
    explanation = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")


class NewestReferralFirst(NewestFirst):
    """Referrals, as their index has them."""

    time_field = "sent_at"
    id_falls = True


def visible(request: Request, pk: Any) -> Referral:
    """A referral that the user may see.

    Raises:
        Http404: there is none.
    """
    found: Referral = get_object_or_404(
        Referral.objects.for_user(signed_in(request)).with_everything().prefetch_related("case__images"), pk=pk
    )
    return found


def shown(request: Request, pk: Any, status: int = 200) -> Response:
    """The referral as it is now, and that it was read."""
    referral = visible(request, pk)
    record_reads(signed_in(request), [(referral.case.organisation_id, referral.case.patient_id)])
    return Response(whole(referral, request), status=status)


class ReferralsView(ApiView):
    """Referrals of the clinics where the user is a clinician."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}
    pagination_class = NewestReferralFirst
    filter_backends = []
    queryset = Referral.objects.none()

    @extend_schema(
        operation_id="referral_list",
        summary="List the referrals of your clinics, the newest first",
        description="`news` says that something happened that you have not seen (see referrals/{id}/seen/).",
        tags=["Referrals"],
        parameters=[
            OpenApiParameter("open", OpenApiTypes.STR, enum=["true"], description="Only those still to be answered."),
            OpenApiParameter("news", OpenApiTypes.STR, enum=["true"], description="Only those with something unseen."),
            OpenApiParameter("case", OpenApiTypes.UUID),
            OpenApiParameter("lesion", OpenApiTypes.UUID),
        ],
        responses={200: _BODY, **problem_examples(400, 401, 403)},
        examples=[OpenApiExample("A page", value={"next": None, "results": [EXAMPLE_LISTED]}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        refuse_unknown_parameters(request, {"cursor", "page_size", "open", "news", "case", "lesion"})
        user = signed_in(request)
        rows = Referral.objects.for_clinician(user).select_related("case__organisation", "claimed_by", "service")
        if _flag(request, "open"):
            rows = rows.open()
        if _flag(request, "news"):
            rows = rows.filter(with_news(user))
        for name, field in (("case", "case"), ("lesion", "case__lesion")):
            if name in request.query_params:
                rows = rows.filter(**{field: _uuid(request, name)})
        page = self.paginate_queryset(rows)
        assert page is not None
        record_reads(user, [(row.case.organisation_id, row.case.patient_id) for row in page])
        return self.get_paginated_response(listed_for_clinic(user, page))

    @extend_schema(
        operation_id="referral_create",
        summary="Refer a case to a dermatology service",
        description="Needs the patient's consent to teledermatology. A case is before one service at a time.",
        tags=["Referrals"],
        request=ReferralForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample("Sent", value=EXAMPLE_WHOLE, response_only=True, status_codes=["201"]),
            OpenApiExample(
                "Refer",
                value={
                    "case": EXAMPLE_SUMMARY["case"],
                    "service": EXAMPLE_SUMMARY["service"],
                    "urgency": "soon",
                    "question": "Melanoma?",
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Refer."""
        form = ReferralForm(data=request.data)
        form.is_valid(raise_exception=True)
        referral = services.refer_case(user=signed_in(request), new=services.NewReferral(**form.validated_data))
        return shown(request, referral.pk, 201)


class ReferralView(ApiView):
    """One referral."""

    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_retrieve",
        summary="Show a referral with its case",
        description="For the clinic and for its readers. Until a reader has recorded a first read, `answer` is null "
        "and `answer_withheld` true, and the `ETag` does not change with the network's answer.",
        tags=["Referrals"],
        responses={200: _BODY, 304: OpenApiResponse(description="Unchanged."), **problem_examples(401, 403, 404)},
        examples=[OpenApiExample("Before the first read", value=EXAMPLE_WHOLE, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> HttpResponseBase:
        """Show."""
        user = signed_in(request)
        referral = visible(request, pk)
        withheld = answer_withheld(user, referral.case)
        state = "" if withheld else Case.objects.values_list("analysis__state", flat=True).get(pk=referral.case_id)
        parts = [pk, user.pk, referral.revision, referral.stopped_at, withheld, state, image_links.bucket()]
        etag = f'W/"{hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]}"'
        unchanged = get_conditional_response(request._request, etag=etag)
        if unchanged is not None:
            unchanged["ETag"] = etag
            return unchanged
        response = shown(request, pk)
        response["ETag"] = etag
        return response


class ReferralActionsView(ApiView):
    """Moving a referral."""

    access: ClassVar = {"POST": Access.CLINICIAN_OR_DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_act",
        summary="Accept, take over, release, decline, withdraw or close a referral",
        description="Who may do what from which state: see `allowed` of the referral. Of two who accept at once one "
        "wins; the other gets 409 `taken` with the name.",
        tags=["Referrals"],
        request=ActionForm,
        responses={200: _BODY, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample("Done", value=EXAMPLE_WHOLE | {"state": "accepted", "revision": 2}, response_only=True),
            OpenApiExample("Accept", value={"action": "accept"}, request_only=True),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Act."""
        user = signed_in(request)
        referral = visible(request, pk)
        form = ActionForm(data=request.data)
        form.is_valid(raise_exception=True)
        words = form.validated_data.get("explanation", "")
        match Action(form.validated_data["action"]):
            case Action.ACCEPT:
                services.accept_referral(user=user, referral_id=referral.pk)
            case Action.TAKE_OVER:
                services.take_over_referral(user=user, referral_id=referral.pk)
            case Action.RELEASE:
                services.release_referral(user=user, referral_id=referral.pk)
            case Action.DECLINE:
                if "reason" not in form.validated_data:
                    raise Refusal("reason_missing", "to decline, say why", field="reason")
                why = DeclineReason(form.validated_data["reason"])
                services.decline_referral(user=user, referral_id=referral.pk, reason=why, explanation=words)
                # It is out of the service's sight now.
                referral.refresh_from_db()
                record_reads(user, [(referral.case.organisation_id, referral.case.patient_id)])
                return Response(summary(referral))
            case Action.WITHDRAW:
                services.withdraw_referral(user=user, referral_id=referral.pk, explanation=words)
            case _:
                services.close_referral(user=user, referral_id=referral.pk)
        return shown(request, referral.pk)


class ServicesView(ApiView):
    """Where a case may be referred to."""

    access: ClassVar = {"GET": Access.CLINICIAN}

    @extend_schema(
        operation_id="referral_service_list",
        summary="List the dermatology services that take referrals of your clinics",
        tags=["Referrals"],
        responses={200: _ROWS, **problem_examples(401, 403)},
        examples=[
            OpenApiExample("One", value=[{"id": EXAMPLE_SUMMARY["service"], "name": "Skin Centre"}], response_only=True)
        ],
    )
    def get(self, request: Request) -> Response:
        """List."""
        found: dict[UUID, str] = {}
        for clinic in Organisation.objects.filter(pk__in=clinics_of(request)):
            found |= {service.pk: service.name for service in services.services_for(clinic)}
        return Response([{"id": pk, "name": name} for pk, name in sorted(found.items(), key=lambda item: item[1])])


class WorklistView(ApiView):
    """What a service has to do."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="worklist_list",
        summary="List the open referrals of a service in their order",
        description="By urgency, by what is known of the case, and by due time, with the reason in words. Where the "
        "service reads blind, neither order nor reason tells what the network said.",
        tags=["Referrals"],
        parameters=[
            OpenApiParameter("service", OpenApiTypes.UUID, description="Needed where you work at more than one."),
            OpenApiParameter("whose", OpenApiTypes.STR, enum=WHOSE),
            OpenApiParameter("urgency", OpenApiTypes.STR, enum=Urgency.values),
            OpenApiParameter("clinic", OpenApiTypes.UUID),
            OpenApiParameter("anatom_site_general", OpenApiTypes.STR),
            OpenApiParameter(
                "states", OpenApiTypes.STR, enum=STATES, description="All: answered ones too, newest first."
            ),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="From the `next` link of the page before."),
        ],
        responses={200: _BODY, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample(
                "A page",
                value={"next": None, "results": [EXAMPLE_SUMMARY | {"reason": "Soon; due in 2 days"}]},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """List."""
        user = signed_in(request)
        known = {"whose", "urgency", "clinic", "anatom_site_general", "states"}
        refuse_unknown_parameters(request, {*known, "service", "cursor"})
        mine = {str(service.pk): service for service in services_of_dermatologist(user)}
        wanted = request.query_params.get("service") or (next(iter(mine)) if len(mine) == 1 else "")
        if not wanted:
            raise Refusal("service_missing", f"say which service: one of {', '.join(sorted(mine))}", field="service")
        if wanted not in mine:
            raise Refusal("not_found", f"you are not a dermatologist of a service {wanted}", field="service")
        given = {name: value for name in known if (value := request.query_params.get(name))}
        page = worklist(user=user, service=mine[wanted], filters=filters_of(given), after=_cursor(request))
        record_reads(user, [(row.case.organisation_id, row.case.patient_id) for row in page.referrals])
        blind = policy_of(mine[wanted]).blind_read
        following = None
        if page.next_key is not None:
            text = base64.urlsafe_b64encode(f"{page.next_key[0]}|{page.next_key[1]}".encode()).decode()
            following = replace_query_param(request.build_absolute_uri(), "cursor", text)
        return Response({"next": following, "results": [listed_for_reader(r, blind=blind) for r in page.referrals]})


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name)
    if value not in (None, "true"):
        raise Problem(400, "invalid", f"{name} can only be true", field=name)
    return value is not None


def _uuid(request: Request, name: str) -> UUID:
    value = request.query_params[name]
    try:
        return UUID(value)
    except ValueError as error:
        raise Problem(400, "invalid", f"{value!r} is no UUID", field=name) from error


def _cursor(request: Request) -> tuple[int, UUID] | None:
    text = request.query_params.get("cursor")
    if not text:
        return None
    try:
        key, _, pk = base64.urlsafe_b64decode(text.encode("ascii")).decode("ascii").partition("|")
        if len(key) <= 18:
            return int(key), UUID(pk)
    except (ValueError, binascii.Error):
        pass
    raise Problem(400, "invalid_cursor", "the cursor is not one of this list; start without one", field="cursor")
