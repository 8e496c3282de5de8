"""webhooks/: addresses of integrators that are told what happens to an organisation's referrals."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import Webhook, WebhookDelivery
from diagnosis.models.patients import organisations_of_administrator
from diagnosis.services import webhooks
from diagnosis.services.errors import Refusal

_BODY: Final = OpenApiTypes.OBJECT
_ROWS: Final = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}
EXAMPLE: Final = {
    "id": "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b00",
    "organisation": "6c2a7f7e-0d9f-4c65-b2f8-0f8a1e6c3b77",
    "url": "https://records.example.org/skincare",
    "events": ["answer", "amend"],
    "active": True,
    "created_at": "2026-11-23T08:00:00Z",
}
_SECRET: Final = "5f0c…64 hexadecimal digits"
EXAMPLE_DELIVERY: Final = {
    "id": "7e6d5c4b-3a2f-4e1d-9c0b-8a7f6e5d4c33",
    "event": "answer",
    "payload": {"event": "referral.answer", "referral": "f0a3c9de-6d0a-4ff5-8d0b-6f6b1b0f6d10", "state": "answered"},
    "state": "given_up",
    "attempts": 10,
    "status": 503,
    "error": "answered 503",
    "created_at": "2026-11-23T08:00:00Z",
    "not_before": "2026-11-23T16:30:00Z",
    "ended_at": "2026-11-23T16:30:01Z",
}


class WebhookForm(StrictSerializer):
    """An address to be told."""

    organisation = serializers.UUIDField(required=False, help_text="Needed where you administer more than one.")
    url = serializers.URLField(max_length=500, help_text="https, at a public address.")
    events = serializers.ListField(
        child=serializers.CharField(max_length=30),
        required=False,
        default=list,
        max_length=50,
        help_text="All, if empty.",
    )


def webhook(row: Webhook) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": row.pk,
        "organisation": row.organisation_id,
        "url": row.url,
        "events": row.events,
        "active": row.active,
        "created_at": row.created_at,
    }


def delivery(row: WebhookDelivery) -> dict[str, Any]:
    """One delivery and how it went."""
    names = (
        "event", "payload", "state", "attempts", "status", "error", "created_at", "not_before", "ended_at"
    )  # fmt: skip
    return {"id": row.pk, **{name: getattr(row, name) for name in names}}


def _mine(request: Request) -> Any:
    return Webhook.objects.filter(organisation__in=organisations_of_administrator(signed_in(request)))


class WebhooksView(ApiView):
    """Webhooks of the organisations that the user administers."""

    access: ClassVar = {"GET": Access.ADMINISTRATOR, "POST": Access.ADMINISTRATOR}
    confirmed: ClassVar = {"POST"}

    @extend_schema(
        operation_id="webhook_list",
        summary="List the webhooks of your organisations",
        tags=["Webhooks"],
        responses={200: _ROWS, **problem_examples(401, 403)},
        examples=[OpenApiExample("One", value=[EXAMPLE], response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        return Response([webhook(row) for row in _mine(request)])

    @extend_schema(
        operation_id="webhook_create",
        summary="Register an address; its secret is shown this once",
        description="Deliveries carry `X-Skincare-Signature: t=<seconds>,v1=<HMAC-SHA-256 of t.body>`.",
        tags=["Webhooks"],
        request=WebhookForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample("Registered", value=EXAMPLE | {"secret": _SECRET}, response_only=True, status_codes=["201"]),
            OpenApiExample("Register", value={"url": EXAMPLE["url"], "events": ["answer"]}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Register."""
        form = WebhookForm(data=request.data)
        form.is_valid(raise_exception=True)
        user, fields = signed_in(request), form.validated_data
        led = {each.pk: each for each in organisations_of_administrator(user)}
        wanted = fields.get("organisation")
        if wanted is None and len(led) > 1:
            raise Refusal("organisation_missing", f"say which: one of {', '.join(map(str, led))}", field="organisation")
        organisation = led.get(wanted or next(iter(led)))
        if organisation is None:
            raise Refusal("not_found", f"you do not administer an organisation {wanted}", field="organisation")
        made, secret = webhooks.create_webhook(
            user=user, organisation=organisation, url=fields["url"], events=fields["events"]
        )
        return Response({**webhook(made), "secret": secret}, status=201)


class WebhookView(ApiView):
    """One webhook."""

    access: ClassVar = {"DELETE": Access.ADMINISTRATOR}

    @extend_schema(
        operation_id="webhook_switch_off",
        summary="Send nothing to an address any more; the log of deliveries stays",
        tags=["Webhooks"],
        responses={204: OpenApiResponse(description="Switched off."), **problem_examples(401, 403, 404)},
    )
    def delete(self, request: Request, pk: Any) -> Response:
        """Switch off."""
        webhooks.switch_off(user=signed_in(request), webhook=get_object_or_404(_mine(request), pk=pk))
        return Response(status=204)


class WebhookSecretView(ApiView):
    """A webhook's secret."""

    access: ClassVar = {"POST": Access.ADMINISTRATOR}
    confirmed: ClassVar = {"POST"}

    @extend_schema(
        operation_id="webhook_renew_secret",
        summary="Make a new secret, shown this once; the old one signs nothing any more",
        tags=["Webhooks"],
        request=None,
        responses={200: _BODY, **problem_examples(401, 403, 404)},
        examples=[OpenApiExample("Renewed", value=EXAMPLE | {"secret": _SECRET}, response_only=True)],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Renew."""
        row = get_object_or_404(_mine(request), pk=pk)
        secret = webhooks.renew_secret(user=signed_in(request), webhook=row)
        return Response({**webhook(row), "secret": secret})


class NewestDeliveryFirst(NewestFirst):
    """Deliveries, as their index has them."""

    id_falls = True


class WebhookDeliveriesView(ApiView):
    """The log of one webhook."""

    access: ClassVar = {"GET": Access.ADMINISTRATOR}
    pagination_class = NewestDeliveryFirst
    filter_backends = []
    queryset = WebhookDelivery.objects.none()

    @extend_schema(
        operation_id="webhook_delivery_list",
        summary="List what was sent to an address and how it went, the newest first",
        tags=["Webhooks"],
        responses={200: _BODY, **problem_examples(400, 401, 403, 404)},
        examples=[OpenApiExample("A page", value={"next": None, "results": [EXAMPLE_DELIVERY]}, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """List."""
        refuse_unknown_parameters(request, {"cursor", "page_size"})
        rows = WebhookDelivery.objects.filter(webhook=get_object_or_404(_mine(request), pk=pk))
        page = self.paginate_queryset(rows)
        assert page is not None
        return self.get_paginated_response([delivery(row) for row in page])


class WebhookResendView(ApiView):
    """Sending once more."""

    access: ClassVar = {"POST": Access.ADMINISTRATOR}

    @extend_schema(
        operation_id="webhook_delivery_resend",
        summary="Send what was delivered or given up once more",
        tags=["Webhooks"],
        request=None,
        responses={200: _BODY, **problem_examples(401, 403, 404, 409)},
        examples=[OpenApiExample("Waits", value=EXAMPLE_DELIVERY | {"state": "waiting"}, response_only=True)],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Send again."""
        row = get_object_or_404(WebhookDelivery.objects.filter(webhook__in=_mine(request)), pk=pk)
        return Response(delivery(webhooks.resend(user=signed_in(request), delivery=row)))
