"""patients/{id}/consents/ and consent-policies/: what a patient allowed, when and how, and the texts shown."""

from typing import Any, ClassVar, Final

import django_filters
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import Moment, OneOf, StrictSerializer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import ConsentChange, ConsentEvent, ConsentPolicy, ConsentScope, EvidenceMethod, Patient
from diagnosis.services.consents import ConsentStatement, consent_in_force, record_consent
from diagnosis.services.errors import Refusal
from skincare.audit.record import record_reads


class ConsentForm(StrictSerializer):
    """What a patient said about one scope."""

    id = serializers.UUIDField(required=False, help_text="Your own UUID, so that sending twice records it once.")
    policy_version = serializers.CharField(max_length=40, help_text="Of the text that the patient was shown.")
    policy_language = serializers.CharField(max_length=10, default="en")
    scope = OneOf(choices=ConsentScope.choices)
    change = OneOf(choices=ConsentChange.choices, default=ConsentChange.GRANTED)
    captured_at = Moment(help_text="When the patient said so.")
    method = OneOf(choices=EvidenceMethod.choices)
    evidence = serializers.CharField(
        max_length=200_000,
        required=False,
        allow_blank=True,
        help_text="Spoken: the witness's name. Signed on screen: the signature, such as SVG. Kept encrypted.",
    )


def stated(forms: list[dict[str, Any]], *, path: str) -> list[ConsentStatement]:
    """What the service takes, from validated forms; the policies are fetched in one query.

    Args:
        path: of a form's field, with ``{}`` for its index, such as ``consents[{}].policy_version``.

    Raises:
        Refusal: there is no such policy.
    """
    if not forms:
        return []
    wanted = {(form["policy_version"], form["policy_language"]) for form in forms}
    policies = {
        (policy.version, policy.language): policy
        for policy in ConsentPolicy.objects.filter(version__in={version for version, _ in wanted})
    }
    statements = []
    for index, form in enumerate(forms):
        version, language = form["policy_version"], form["policy_language"]
        policy = policies.get((version, language))
        if policy is None:
            current = ConsentPolicy.objects.filter(language=language).first()
            hint = f"the current one is {current.version!r}" if current else "see consent-policies/"
            detail = f"there is no consent policy {version!r} in language {language!r}; {hint}"
            raise Refusal("no_such_policy", detail, field=path.format(index))
        statements.append(
            ConsentStatement(
                policy=policy,
                scope=ConsentScope(form["scope"]),
                change=ConsentChange(form["change"]),
                captured_at=form["captured_at"],
                method=EvidenceMethod(form["method"]),
                evidence=form.get("evidence", ""),
                id=form.get("id"),
            )
        )
    return statements


class ConsentEventDocument(serializers.ModelSerializer[ConsentEvent]):
    """A consent granted or withdrawn. An erased patient's has no evidence any more."""

    policy_version = serializers.CharField(source="policy.version")
    policy_language = serializers.CharField(source="policy.language")
    evidence = serializers.SerializerMethodField()

    class Meta:
        model = ConsentEvent
        fields: ClassVar = [
            "id",
            "scope",
            "change",
            "policy_version",
            "policy_language",
            "captured_at",
            "recorded_at",
            "effective_at",
            "recorded_by",
            "method",
            "evidence",
        ]

    def get_evidence(self, event: ConsentEvent) -> str:
        """Decrypted."""
        return "" if event.patient.erased else event.evidence


class InForceDocument(serializers.Serializer[Any]):
    """Whether a scope is allowed now, and by which event."""

    scope = serializers.ChoiceField(choices=ConsentScope.choices)
    allowed = serializers.BooleanField()
    granted_by = serializers.UUIDField(allow_null=True, help_text="Id of the event in the history.")


class ConsentsDocument(serializers.Serializer[Any]):
    """What a patient allows now, and how it came about."""

    patient = serializers.UUIDField()
    in_force = InForceDocument(many=True)
    history = ConsentEventDocument(many=True)


EXAMPLE_CONSENT: Final = {
    "policy_version": "2026-1",
    "scope": "analysis",
    "change": "granted",
    "captured_at": "2026-11-23T09:10:00Z",
    "method": "paper",
}
EXAMPLE_EVENT: Final = {
    "id": "7a5e8a0c-3e57-4f52-8d64-0b8d1c9a6f10",
    "scope": "analysis",
    "change": "granted",
    "policy_version": "2026-1",
    "policy_language": "en",
    "captured_at": "2026-11-23T09:10:00Z",
    "recorded_at": "2026-11-23T09:12:44.160000Z",
    "effective_at": "2026-11-23T09:10:00Z",
    "recorded_by": "3f1d8f0a-52f5-4d0c-8a5e-5a4b7f0e9d10",
    "method": "paper",
    "evidence": "",
}
_SHOWN: Final = [
    OpenApiExample(
        "Consent to analysis",
        value={
            "patient": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
            "in_force": [
                {"scope": "analysis", "allowed": True, "granted_by": EXAMPLE_EVENT["id"]},
                {"scope": "teledermatology", "allowed": False, "granted_by": None},
                {"scope": "research", "allowed": False, "granted_by": None},
            ],
            "history": [EXAMPLE_EVENT],
        },
        response_only=True,
    )
]


class ConsentsView(ApiView):
    """One patient's consents."""

    access: ClassVar = {"GET": Access.CLINICIAN, "POST": Access.CLINICIAN}

    @extend_schema(
        operation_id="patient_consents_retrieve",
        summary="Show what a patient allows, and since when",
        tags=["Consents"],
        responses={200: ConsentsDocument, **problem_examples(401, 403, 404)},
        examples=_SHOWN,
    )
    def get(self, request: Request, pk: Any) -> Response:
        """Show consents."""
        patient = _patient(request, pk)
        record_reads(signed_in(request), [(patient.organisation_id, patient.pk)])
        return Response(_document(patient))

    @extend_schema(
        operation_id="patient_consents_create",
        summary="Record a consent or its withdrawal",
        description="Append-only. A grant counts from `captured_at`, a withdrawal from when it is recorded here: a "
        "withdrawal stops waiting analyses at once, and a grant captured before it but sent after it allows nothing.",
        tags=["Consents"],
        request=ConsentForm,
        responses={201: ConsentsDocument, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            *_SHOWN,
            OpenApiExample("Grant", value=EXAMPLE_CONSENT, request_only=True),
            OpenApiExample(
                "Withdraw",
                value=EXAMPLE_CONSENT | {"change": "withdrawn", "method": "spoken", "evidence": "B. Hale, nurse"},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Grant or withdraw."""
        patient = _patient(request, pk)
        form = ConsentForm(data=request.data)
        form.is_valid(raise_exception=True)
        (statement,) = stated([form.validated_data], path="policy_version")
        user = signed_in(request)
        record_consent(user=user, patient=patient, statement=statement)
        record_reads(user, [(patient.organisation_id, patient.pk)])
        return Response(_document(patient), status=201)


def _patient(request: Request, pk: Any) -> Patient:
    visible = Patient.objects.for_user(signed_in(request)).select_related("data_key_row")
    return get_object_or_404(visible, pk=pk)


def _document(patient: Patient) -> Any:
    in_force = []
    for scope in ConsentScope:
        event = consent_in_force(patient, scope)
        in_force.append({"scope": scope, "allowed": event is not None, "granted_by": event.pk if event else None})
    history = patient.consent_events.select_related("policy").order_by("-recorded_at", "-id")
    events = list(history)
    for event in events:
        event.patient = patient  # with the data key that is already unwrapped
    return ConsentsDocument({"patient": patient.pk, "in_force": in_force, "history": events}).data


class PolicyDocument(serializers.ModelSerializer[ConsentPolicy]):
    """A text that patients consent to."""

    class Meta:
        model = ConsentPolicy
        fields: ClassVar = ["id", "version", "language", "title", "text", "published_at"]


class PolicyFilter(django_filters.FilterSet):  # type: ignore[misc]
    """What policies can be listed by."""

    class Meta:
        model = ConsentPolicy
        fields: ClassVar = ["language", "version"]


class NewestPolicyFirst(NewestFirst):
    """Policies by publication."""

    time_field = "published_at"


class ConsentPoliciesView(ApiView):
    """The texts, for whoever signed in."""

    access: ClassVar = {"GET": Access.SIGNED_IN}
    queryset = ConsentPolicy.objects.all()
    serializer_class = PolicyDocument
    pagination_class = NewestPolicyFirst
    filterset_class = PolicyFilter

    @extend_schema(
        operation_id="consent_policy_list",
        summary="List consent policies, the current one of a language first",
        tags=["Consents"],
        responses={200: PolicyDocument(many=True), **problem_examples(400, 401)},
        examples=[
            OpenApiExample(
                "A policy",
                value={
                    "id": "e0a7c6de-5a2f-4b0b-9f3a-1b6f0b9f7d22",
                    "version": "2026-1",
                    "language": "en",
                    "title": "Photographs of your skin",
                    "text": "…",
                    "published_at": "2026-11-01T00:00:00Z",
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """List policies."""
        refuse_unknown_parameters(request, {"cursor", "page_size", "language", "version"})
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(PolicyDocument(page, many=True).data)
