"""notices/: what happened to one's referrals, and how one is told by e-mail."""

from typing import Any, ClassVar, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import MailWanted, Notification
from diagnosis.services import notifications

_BODY: Final = OpenApiTypes.OBJECT
EXAMPLE: Final = {
    "id": "6f0a1e3d-3c5b-4f1e-8d29-0b7a6c5d4e33",
    "kind": "answer",
    "text": "Your referral was answered.",
    "referral": "f0a3c9de-6d0a-4ff5-8d0b-6f6b1b0f6d10",
    "emergency_access": None,
    "case": None,
    "created_at": "2026-11-23T11:00:00Z",
    "seen_at": None,
}


class SeenForm(StrictSerializer):
    """Which notices were seen."""

    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=500, help_text="All, if left out."
    )


class PreferenceForm(StrictSerializer):
    """How to be told."""

    mail = OneOf(choices=MailWanted.choices)


class NewestNoticeFirst(NewestFirst):
    """Notices, as their index has them."""

    id_falls = True


class NoticesView(ApiView):
    """The user's notices."""

    access: ClassVar = {"GET": Access.SIGNED_IN}
    pagination_class = NewestNoticeFirst
    filter_backends = []
    queryset = Notification.objects.none()

    @extend_schema(
        operation_id="notice_list",
        summary="List your notices, the newest first",
        tags=["Notices"],
        parameters=[OpenApiParameter("unseen", OpenApiTypes.BOOL, description="`true`: only those not seen yet.")],
        responses={200: _BODY, **problem_examples(400, 401)},
        examples=[OpenApiExample("A page", value={"next": None, "results": [EXAMPLE]}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        refuse_unknown_parameters(request, {"cursor", "page_size", "unseen"})
        rows = Notification.objects.filter(user=signed_in(request))
        match request.query_params.get("unseen", "false"):
            case "true":
                rows = rows.filter(seen_at__isnull=True)
            case "false":
                pass
            case other:
                raise Problem(400, "invalid", f"{other!r} is neither true nor false", field="unseen")
        page = self.paginate_queryset(rows)
        assert page is not None
        return self.get_paginated_response([notice(row) for row in page])


def notice(row: Notification) -> dict[str, Any]:
    """One notice."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "text": str(notifications.SENTENCES[row.kind]),
        "referral": row.referral_id,
        "emergency_access": row.emergency_id,
        "case": row.case_id,
        "created_at": row.created_at,
        "seen_at": row.seen_at,
    }


class NoticesSeenView(ApiView):
    """That notices were seen."""

    access: ClassVar = {"POST": Access.SIGNED_IN}

    @extend_schema(
        operation_id="notice_seen",
        summary="Say that you have seen your notices: these, or all",
        tags=["Notices"],
        request=SeenForm,
        responses={200: _BODY, **problem_examples(400, 401, 403)},
        examples=[
            OpenApiExample("Seen", value={"seen": 1}, response_only=True),
            OpenApiExample("One", value={"ids": [EXAMPLE["id"]]}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """See."""
        form = SeenForm(data=request.data)
        form.is_valid(raise_exception=True)
        number = notifications.mark_seen(user=signed_in(request), ids=form.validated_data.get("ids"))
        return Response({"seen": number})


class NoticePreferenceView(ApiView):
    """How the user is told by e-mail."""

    access: ClassVar = {"GET": Access.SIGNED_IN, "PUT": Access.SIGNED_IN}

    @extend_schema(
        operation_id="notice_preference_retrieve",
        summary="How you are told by e-mail: at once, once a day together, or never",
        tags=["Notices"],
        responses={200: _BODY, **problem_examples(401)},
        examples=[OpenApiExample("At once", value={"mail": "at_once"}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """Tell."""
        return Response({"mail": notifications.mail_wanted(signed_in(request)).value})

    @extend_schema(
        operation_id="notice_preference_update",
        summary="Choose how you are told by e-mail",
        tags=["Notices"],
        request=PreferenceForm,
        responses={200: _BODY, **problem_examples(400, 401, 403)},
        examples=[
            OpenApiExample("Digest", value={"mail": "daily"}),
        ],
    )
    def put(self, request: Request) -> Response:
        """Choose."""
        form = PreferenceForm(data=request.data)
        form.is_valid(raise_exception=True)
        chosen = notifications.set_preference(user=signed_in(request), mail=MailWanted(form.validated_data["mail"]))
        return Response({"mail": chosen.mail})
