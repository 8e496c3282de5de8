"""What is done on a referral: the blind read, the signed assessment, messages; and the dictionary of diagnoses."""

from typing import Any, ClassVar

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.fields import OneOf, StrictSerializer
from diagnosis.api.images import JpegRenderer
from diagnosis.api.parsers import BoundedJSONParser, SubmissionParser
from diagnosis.api.problems import Problem
from diagnosis.api.referral_documents import EXAMPLE_WHOLE, message
from diagnosis.api.referrals import shown, visible
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import MessageImage, MessageKind, Plan, Referral
from diagnosis.models.diagnosis_names import name_of
from diagnosis.services import notifications, referral_messages
from diagnosis.services.assessments import NewAssessment, amend_assessment, sign_assessment
from diagnosis.services.files import open_sealed
from diagnosis.services.first_reads import NewRead, asked_opinion, own_read, record_first_read
from diagnosis.services.signing import SESSION, TOKEN, Proof
from skincare.accounts.models import ApiToken, TokenScope
from skincare.audit.record import record_reads

_BODY = OpenApiTypes.OBJECT
_ROWS = {"type": "array", "items": {"type": "object", "additionalProperties": {}}}


class ReadForm(StrictSerializer):
    """What you think before you see the network's answer."""

    diagnosis = serializers.CharField(max_length=60, help_text="A code from diagnoses/.")
    confidence = serializers.IntegerField(min_value=0, max_value=100, help_text="Per cent.")
    comment = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")


class AssessmentForm(StrictSerializer):
    """Your answer."""

    diagnosis = serializers.CharField(max_length=60, help_text="A code from diagnoses/.")
    confidence = serializers.IntegerField(min_value=0, max_value=100, help_text="Per cent.")
    plan = OneOf(choices=Plan.choices)
    months = serializers.IntegerField(min_value=1, max_value=36, required=False, help_text="For observe.")
    text = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")
    amend = serializers.BooleanField(required=False, default=False, help_text="Replace the answer that counts.")


class MessageForm(StrictSerializer):
    """A message; as a question or a reply it moves the referral."""

    kind = OneOf(choices=MessageKind.choices, default=MessageKind.NOTE)
    text = serializers.CharField(max_length=5000, help_text="Kept encrypted.")
    images = serializers.ListField(
        child=serializers.FileField(),
        required=False,
        max_length=referral_messages.MOST_IMAGES,
        help_text="Photographs, JPEG or PNG; only as multipart/form-data. Kept encrypted, without metadata.",
    )


class FirstReadView(ApiView):
    """The blind read."""

    access: ClassVar = {"POST": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_first_read",
        summary="Record your own read, once, before the network's answer is shown",
        tags=["Referrals"],
        request=ReadForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample(
                "Recorded",
                value=EXAMPLE_WHOLE | {"must_read_first": False, "answer_withheld": False},
                response_only=True,
                status_codes=["201"],
            ),
            OpenApiExample("Read", value={"diagnosis": "nevus-atypical", "confidence": 70}, request_only=True),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Record."""
        referral = visible(request, pk)
        form = ReadForm(data=request.data)
        form.is_valid(raise_exception=True)
        record_first_read(user=signed_in(request), referral_id=referral.pk, new=NewRead(**form.validated_data))
        return shown(request, pk, 201)


class AssessmentsView(ApiView):
    """The signed answer."""

    access: ClassVar = {"POST": Access.DERMATOLOGIST}

    @extend_schema(
        operation_id="referral_assess",
        summary="Sign the answer to a referral, or amend it",
        tags=["Referrals"],
        request=AssessmentForm,
        responses={201: _BODY, **problem_examples(400, 401, 403, 404, 409, 410, 422)},
        examples=[
            OpenApiExample(
                "Signed", value=EXAMPLE_WHOLE | {"state": "answered"}, response_only=True, status_codes=["201"]
            ),
            OpenApiExample(
                "Sign",
                value={"diagnosis": "nevus-atypical", "confidence": 80, "plan": "observe", "months": 3},
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Sign."""
        referral = visible(request, pk)
        form = AssessmentForm(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        sign = amend_assessment if fields.pop("amend") else sign_assessment
        sign(user=signed_in(request), referral_id=referral.pk, new=NewAssessment(**fields), proof=_proof(request))
        return shown(request, pk, 201)


def _proof(request: Request) -> Proof:
    """When the user proved who they are: at the token's making, or at the last signing in."""
    if isinstance(request.auth, ApiToken):
        return Proof(request.auth.created, TOKEN)
    return Proof(signed_in(request).last_login or timezone.now(), SESSION)


class MessagesView(ApiView):
    """What clinic and service write to one another."""

    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST, "POST": Access.CLINICIAN_OR_DERMATOLOGIST}
    scopes: ClassVar = {"GET": TokenScope.READ, "POST": TokenScope.WRITE}
    parser_classes = [BoundedJSONParser, SubmissionParser]

    @extend_schema(
        operation_id="referral_message_list",
        summary="Show the messages of a referral, and take them as seen",
        tags=["Referrals"],
        responses={200: _ROWS, **problem_examples(401, 403, 404)},
        examples=[OpenApiExample("One", value=[{"kind": "question", "text": "Since when?"}], response_only=True)],
    )
    def get(self, request: Request, pk: Any) -> Response:
        """List."""
        return _messages(request, visible(request, pk))

    @extend_schema(
        operation_id="referral_message_create",
        summary="Write a message, ask the clinician, or reply",
        tags=["Referrals"],
        description="As JSON, or as multipart/form-data with up to five photographs in parts named `images`.",
        request={"application/json": MessageForm, "multipart/form-data": MessageForm},
        responses={201: _ROWS, **problem_examples(400, 401, 403, 404, 409, 410, 413, 415, 422)},
        examples=[
            OpenApiExample(
                "Sent", value=[{"kind": "question", "text": "Since when?"}], response_only=True, status_codes=["201"]
            ),
            OpenApiExample("Ask", value={"kind": "question", "text": "Since when?"}, request_only=True),
            OpenApiExample(
                "With a photograph",
                value={"kind": "reply", "text": "Taken again, closer.", "images": ["closer.jpg"]},
                request_only=True,
                media_type="multipart/form-data",
            ),
        ],
    )
    def post(self, request: Request, pk: Any) -> Response:
        """Write."""
        referral = visible(request, pk)
        form = MessageForm(data=request.data)
        form.is_valid(raise_exception=True)
        write = {
            MessageKind.QUESTION: referral_messages.ask_clinician,
            MessageKind.REPLY: referral_messages.reply_to_question,
            MessageKind.NOTE: referral_messages.send_message,
        }[MessageKind(form.validated_data["kind"])]
        write(
            user=signed_in(request),
            referral_id=referral.pk,
            text=form.validated_data["text"],
            images=[upload.read() for upload in form.validated_data.get("images", ())],
        )
        return _messages(request, referral, 201)


class MessagePhotographView(ApiView):
    """A photograph that came with a message."""

    access: ClassVar = {"GET": Access.CLINICIAN_OR_DERMATOLOGIST}
    renderer_classes = [JpegRenderer]

    @extend_schema(
        operation_id="referral_message_photograph",
        summary="Fetch a photograph that came with a message",
        tags=["Referrals"],
        responses={
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY, examples=[OpenApiExample("JPEG", value="…")]),
            **problem_examples(401, 403, 404, 410),
        },
    )
    def get(self, request: Request, pk: Any, image: Any) -> HttpResponse:
        """Fetch it."""
        referral = visible(request, pk)
        _messages_may_be_seen(request, referral)
        found = get_object_or_404(MessageImage.objects.filter(message__referral=referral), pk=image)
        patient = referral.case.patient
        content = open_sealed(patient, found.photograph_file)
        record_reads(signed_in(request), [(patient.organisation_id, patient.pk)])
        return HttpResponse(
            content,
            content_type="image/jpeg",
            headers={"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"},
        )


def _messages_may_be_seen(request: Request, referral: Referral) -> None:
    user = signed_in(request)
    if asked_opinion(user, referral) is not None and own_read(user, referral) is None:
        raise Problem(403, "read_first", "record your own read first; the messages follow it")


def _messages(request: Request, referral: Referral, status: int = 200) -> Response:
    user = signed_in(request)
    _messages_may_be_seen(request, referral)
    record_reads(user, [(referral.case.organisation_id, referral.case.patient_id)])
    messages = referral.messages.select_related("author").prefetch_related("images")
    written = [message(referral, each) for each in messages]
    referral_messages.mark_seen(user=user, referral=referral)
    return Response(written, status=status)


class SeenView(ApiView):
    """That the clinician has looked at a referral."""

    access: ClassVar = {"POST": Access.CLINICIAN}

    @extend_schema(
        operation_id="referral_seen",
        summary="Say that you have seen what happened to a referral, and its messages",
        tags=["Referrals"],
        request=None,
        responses={204: OpenApiResponse(description="Seen."), **problem_examples(401, 403, 404)},
    )
    def post(self, request: Request, pk: Any) -> Response:
        """See."""
        referral = visible(request, pk)
        user = signed_in(request)
        referral_messages.mark_seen(user=user, referral=referral)
        notifications.mark_seen(user=user, referral=referral)
        return Response(status=204)


class DiagnosesView(ApiView):
    """The dictionary."""

    access: ClassVar = {"GET": Access.SIGNED_IN}

    @extend_schema(
        operation_id="diagnosis_list",
        summary="List the diagnoses that a doctor may state",
        description="`name` is in the user's language; `code` and `levels`, the ISIC dictionary's words, never change.",
        tags=["Referrals"],
        responses={200: _ROWS, **problem_examples(401)},
        examples=[
            OpenApiExample(
                "One",
                value=[
                    {
                        "code": "nevus",
                        "name": "Nevus",
                        "levels": ["Benign", "…", "Nevus"],
                        "class": "nv",
                        "malignant": False,
                    }
                ],
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """List."""
        return Response(
            [
                {
                    "code": each.code,
                    "name": name_of(each.code),
                    "levels": each.levels,
                    "class": each.network_class or None,
                    "malignant": each.malignant,
                }
                for each in diagnoses().values()
            ]
        )
