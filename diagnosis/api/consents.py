"""patients/{id}/consents/ and consent-policies/: what a patient allowed, when and how, and the texts shown."""

from typing import Any, ClassVar, Final

import django_filters
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import Moment, OneOf, StrictSerializer
from diagnosis.api.maps import PngRenderer
from diagnosis.api.pagination import NewestFirst, refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.models import ConsentChange, ConsentEvent, ConsentPolicy, ConsentScope, EvidenceMethod, Patient
from diagnosis.models.consents import LANGUAGE_TAG
from diagnosis.services import signatures
from diagnosis.services.consents import ConsentStatement, consent_in_force, record_consent
from diagnosis.services.errors import Refusal
from skincare.audit.record import record_reads

#: What a client can report; expiry is the clock's business.
SAID: Final = [choice for choice in ConsentChange.choices if choice[0] != ConsentChange.EXPIRED]
GIVEN: Final = [choice for choice in EvidenceMethod.choices if choice[0] != EvidenceMethod.CLOCK]
#: Base64 of the largest, with room for its prefix.
MOST_SIGNATURE_CHARACTERS: Final = signatures.MAX_BYTES * 4 // 3 + 100


class ConsentForm(StrictSerializer):
    """What a patient said about one scope."""

    id = serializers.UUIDField(required=False, help_text="Your own UUID, so that sending twice records it once.")
    policy_version = serializers.CharField(max_length=40, help_text="Of the text that the patient was shown.")
    policy_language = serializers.CharField(max_length=10, default="en")
    scope = OneOf(choices=ConsentScope.choices)
    change = OneOf(choices=SAID, default=ConsentChange.GRANTED)
    captured_at = Moment(help_text="When the patient said so.")
    expires_at = Moment(
        required=False,
        allow_null=True,
        help_text="Of a grant: until when. Without it as long as the text's `valid_months` say, and never longer.",
    )
    method = OneOf(choices=GIVEN)
    language = serializers.RegexField(
        LANGUAGE_TAG,
        max_length=10,
        required=False,
        error_messages={"invalid": "a language tag such as en, pt-BR or zh-Hant is needed"},
        help_text="In which language the patient was spoken with, where it is not the text's own.",
    )
    witness = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text="Who was present; needed for spoken consent. Kept encrypted.",
    )
    signature = serializers.CharField(
        max_length=MOST_SIGNATURE_CHARACTERS,
        required=False,
        allow_blank=True,
        help_text="A PNG in base64, as `canvas.toDataURL()` gives it, at most 100 KB; needed where it was signed on "
        "screen. Kept encrypted, in shades of grey.",
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
                witness=form.get("witness", ""),
                signature=form.get("signature", ""),
                language=form.get("language", ""),
                expires_at=form.get("expires_at"),
                id=form.get("id"),
            )
        )
    return statements


class ConsentEventDocument(serializers.ModelSerializer[ConsentEvent]):
    """A consent granted, withdrawn or expired. An erased patient's has no evidence any more."""

    policy_version = serializers.CharField(source="policy.version")
    policy_language = serializers.CharField(source="policy.language")
    witness = serializers.SerializerMethodField()
    signature = serializers.SerializerMethodField()

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
            "expires_at",
            "ends",
            "recorded_by",
            "method",
            "language",
            "witness",
            "signature",
        ]
        extra_kwargs: ClassVar = {
            "ends": {"help_text": "Of an expiry: the grant that ended."},
            "recorded_by": {"help_text": "Null for an expiry, which the clock brings about."},
        }

    def get_witness(self, event: ConsentEvent) -> str:
        """Decrypted."""
        return "" if event.patient.erased else event.witness

    @extend_schema_field({"type": "string", "format": "uri", "nullable": True})
    def get_signature(self, event: ConsentEvent) -> str | None:
        """Address of the picture, where there is one."""
        if event.patient.erased or event.sealed_signature is None:
            return None
        address = reverse("consent-signature", args=[event.pk])
        return str(self.context["request"].build_absolute_uri(address))


class InForceDocument(serializers.Serializer[Any]):
    """Whether a scope is allowed now, and by which event."""

    scope = serializers.ChoiceField(choices=ConsentScope.choices)
    allowed = serializers.BooleanField()
    granted_by = serializers.UUIDField(allow_null=True, help_text="Id of the event in the history.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="Until when; null: until it is withdrawn.")


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
    "expires_at": "2027-11-23T09:10:00Z",
    "ends": None,
    "recorded_by": "3f1d8f0a-52f5-4d0c-8a5e-5a4b7f0e9d10",
    "method": "spoken",
    "language": "pt-BR",
    "witness": "B. Hale, nurse",
    "signature": None,
}
_SHOWN: Final = [
    OpenApiExample(
        "Consent to analysis",
        value={
            "patient": "9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55",
            "in_force": [
                {
                    "scope": "analysis",
                    "allowed": True,
                    "granted_by": EXAMPLE_EVENT["id"],
                    "expires_at": EXAMPLE_EVENT["expires_at"],
                },
                {"scope": "teledermatology", "allowed": False, "granted_by": None, "expires_at": None},
                {"scope": "research", "allowed": False, "granted_by": None, "expires_at": None},
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
        return Response(_document(request, patient))

    @extend_schema(
        operation_id="patient_consents_create",
        summary="Record a consent or its withdrawal",
        description="Append-only. A grant counts from `captured_at`, a withdrawal from when it is recorded here: a "
        "withdrawal stops waiting analyses at once, and a grant captured before it but sent after it allows nothing. "
        "When a grant's time is over it allows nothing any more, and the history gets an event `expired`.",
        tags=["Consents"],
        request=ConsentForm,
        responses={201: ConsentsDocument, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            *_SHOWN,
            OpenApiExample("Grant", value=EXAMPLE_CONSENT, request_only=True),
            OpenApiExample(
                "Withdraw",
                value=EXAMPLE_CONSENT | {"change": "withdrawn", "method": "spoken", "witness": "B. Hale, nurse"},
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
        return Response(_document(request, patient), status=201)


def _patient(request: Request, pk: Any) -> Patient:
    visible = Patient.objects.for_user(signed_in(request)).select_related("data_key_row")
    return get_object_or_404(visible, pk=pk)


def _document(request: Request, patient: Patient) -> Any:
    in_force = []
    for scope in ConsentScope:
        event = consent_in_force(patient, scope)
        in_force.append(
            {
                "scope": scope,
                "allowed": event is not None,
                "granted_by": event.pk if event else None,
                "expires_at": event.expires_at if event else None,
            }
        )
    history = patient.consent_events.select_related("policy").order_by("-recorded_at", "-id")
    events = list(history)
    for event in events:
        event.patient = patient  # with the data key that is already unwrapped
    told = {"patient": patient.pk, "in_force": in_force, "history": events}
    return ConsentsDocument(told, context={"request": request}).data


class ConsentSignatureView(ApiView):
    """The signature under one consent."""

    access: ClassVar = {"GET": Access.CLINICIAN}
    renderer_classes = [PngRenderer]

    @extend_schema(
        operation_id="consent_signature",
        summary="Fetch the signature under a consent",
        tags=["Consents"],
        responses={
            (200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("PNG", value="…")]),
            **problem_examples(401, 403, 404, 410),
        },
    )
    def get(self, request: Request, pk: Any) -> HttpResponse:
        """Fetch a signature."""
        user = signed_in(request)
        events = ConsentEvent.objects.filter(patient__in=Patient.objects.for_user(user))
        event = get_object_or_404(events.select_related("patient__data_key_row"), pk=pk)
        patient = event.patient
        content = event.signature
        if not content:
            raise Problem(404, "no_signature", "this consent was not signed on screen")
        record_reads(user, [(patient.organisation_id, patient.pk)])
        return HttpResponse(
            content,
            content_type="image/png",
            headers={
                "Content-Disposition": 'inline; filename="signature.png"',
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )


class PolicyDocument(serializers.ModelSerializer[ConsentPolicy]):
    """A text that patients consent to."""

    class Meta:
        model = ConsentPolicy
        fields: ClassVar = ["id", "version", "language", "title", "text", "valid_months", "published_at"]


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
                    "valid_months": 24,
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
