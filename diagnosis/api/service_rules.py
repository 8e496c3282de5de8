"""service-policies/: how a dermatology service takes referrals."""

from typing import Any, ClassVar, Final

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import Flag, StrictSerializer
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models.service_policies import LONGEST_HOURS
from diagnosis.services.service_policies import HOURS, NewPolicy, services_led_by, services_seen_by, set_policy
from diagnosis.services.worklist_order import policy_of
from skincare.accounts.models import Organisation

_BODY: Final = OpenApiTypes.OBJECT
_ROWS: Final = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}
RULES: Final = {
    "hours_urgent_suspected_cancer": 24,
    "hours_soon": 72,
    "hours_routine": 336,
    "remind_before_hours": 8,
    "expire_after_hours": 336,
    "blind_read": True,
    "open_to_all_clinics": True,
    "clinics": [],
}
EXAMPLE: Final = {"service": {"id": "7d1c2a55-5c0e-4c7a-9e57-0c1f6a2b3d44", "name": "Skin Centre"}, **RULES}


def _hours() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LONGEST_HOURS)


class PolicyForm(StrictSerializer):
    """All rules of a service."""

    hours_urgent_suspected_cancer = _hours()
    hours_soon = _hours()
    hours_routine = _hours()
    remind_before_hours = _hours()
    expire_after_hours = _hours()
    blind_read = Flag(help_text="Whether dermatologists read before the network's answer is shown.")
    open_to_all_clinics = Flag(required=False, default=True)
    clinics = serializers.ListField(child=serializers.UUIDField(), required=False, default=list, max_length=500)


def policy(service: Organisation) -> dict[str, Any]:
    """A service's rules."""
    found = policy_of(service)
    saved = not found._state.adding
    return {
        "service": {"id": service.pk, "name": service.name},
        **{name: getattr(found, name) for name in (*HOURS, "blind_read", "open_to_all_clinics")},
        "clinics": list(found.clinics.values_list("pk", flat=True)) if saved else [],
    }


class PoliciesView(ApiView):
    """Rules of the services that the user reads for or administers."""

    access: ClassVar = {"GET": Access.SIGNED_IN}

    @extend_schema(
        operation_id="service_policy_list",
        summary="List how your services take referrals",
        tags=["Services"],
        responses={200: _ROWS, **problem_examples(401)},
        examples=[OpenApiExample("One", value=[EXAMPLE], response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """List."""
        return Response([policy(service) for service in services_seen_by(signed_in(request)).distinct()])


class PolicyView(ApiView):
    """Rules of one service."""

    access: ClassVar = {"GET": Access.SIGNED_IN, "PUT": Access.ADMINISTRATOR}
    confirmed: ClassVar = {"PUT"}

    @extend_schema(
        operation_id="service_policy_retrieve",
        summary="Show how a service takes referrals",
        tags=["Services"],
        responses={200: _BODY, **problem_examples(401, 404)},
        examples=[OpenApiExample("The defaults", value=EXAMPLE, response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show."""
        return Response(policy(get_object_or_404(services_seen_by(signed_in(request)).distinct(), pk=pk)))

    @extend_schema(
        operation_id="service_policy_update",
        summary="Change how a service takes referrals",
        description="For administrators of the service. What was sent before keeps its due time.",
        tags=["Services"],
        request=PolicyForm,
        responses={200: _BODY, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample("Changed", value=EXAMPLE, response_only=True),
            OpenApiExample("The defaults", value=RULES, request_only=True),
        ],
    )
    def put(self, request: Request, pk: Any) -> Response:
        """Change."""
        user = signed_in(request)
        service = get_object_or_404(services_led_by(user), pk=pk)
        form = PolicyForm(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        set_policy(user=user, service=service, new=NewPolicy(**{**fields, "clinics": tuple(fields["clinics"])}))
        return Response(policy(service))
