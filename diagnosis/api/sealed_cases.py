"""sealed-cases/ and sealing-key/: cases that a phone sealed to this server while it had no network."""

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Final

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.parsers import read_json
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.submission import idempotency_key, understood
from diagnosis.api.views import ApiView
from diagnosis.classifier.photograph import MAX_BYTES
from diagnosis.models import CaseState
from diagnosis.services.submission import submit_case
from skincare.audit.record import record_reads
from skincare.envelopes import EnvelopeUnreadable, current_public_key, open_envelope

#: Ten photographs as a phone reduces them are about 15 MB; an envelope is opened in memory.
MOST_ENVELOPE_BYTES: Final = 48 * 1024 * 1024


class EnvelopeParser(BaseParser):
    """The bytes of an envelope, bounded, and as many as were announced."""

    media_type = "application/octet-stream"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Read the body.

        Raises:
            Problem: it is too large, or broke off.
        """
        context: Mapping[str, Any] = parser_context or {}
        announced = context["request"].META.get("CONTENT_LENGTH") or "0"
        body = stream.read(MOST_ENVELOPE_BYTES + 1)
        if len(body) > MOST_ENVELOPE_BYTES:
            limit = MOST_ENVELOPE_BYTES // 1024 // 1024
            raise Problem(413, "too_large", f"an envelope has at most {limit} MB; send fewer or smaller photographs")
        if not announced.isdigit() or len(body) < int(announced):
            raise Problem(400, "body_incomplete", f"{announced} bytes were announced, {len(body)} arrived; send again")
        return body


@dataclass(frozen=True)
class Content:
    """What was in an envelope: the JSON of the case, and the photographs in its order."""

    case: dict[str, Any]
    photographs: list[bytes]


def read_content(plain: bytes) -> Content:
    """Take an opened envelope apart: four bytes of length, JSON ``{"case": {…}, "sizes": […]}``, the photographs.

    Raises:
        Problem: it is not that.
    """
    if len(plain) < 4:
        raise _malformed("it is empty")
    (length,) = struct.unpack_from(">I", plain)
    described = read_json(plain[4 : 4 + length])
    if not isinstance(described, dict) or not isinstance(described.get("case"), dict):
        raise _malformed("it describes no case")
    sizes = described.get("sizes")
    if not isinstance(sizes, list) or not all(type(size) is int and 0 < size <= MAX_BYTES for size in sizes):
        raise _malformed("the sizes of its photographs are not told")
    if 4 + length + sum(sizes) != len(plain):
        raise _malformed("its photographs are longer or shorter than told")
    photographs, at = [], 4 + length
    for size in sizes:
        photographs.append(plain[at : at + size])
        at += size
    return Content(described["case"], photographs)


def write_content(content: Content) -> bytes:
    """The inverse of ``read_content``."""
    sizes = [len(photograph) for photograph in content.photographs]
    described = json.dumps({"case": content.case, "sizes": sizes}).encode()
    return b"".join([struct.pack(">I", len(described)), described, *content.photographs])


def _malformed(why: str) -> Problem:
    return Problem(422, "envelope_malformed", f"the envelope was opened, but {why}; submit the case again")


class DeliveredDocument(serializers.Serializer[Any]):
    """That a case has arrived. Nothing of the patient: a locked phone sends, and learns no more than this."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=CaseState.choices)
    replayed = serializers.BooleanField(help_text="Whether it had arrived before.")


class SealedCasesView(ApiView):
    """Cases in envelopes."""

    access: ClassVar = {"POST": Access.CLINICIAN}
    throttle_scope_of_changes = "submissions"
    parser_classes = [EnvelopeParser]

    @extend_schema(
        operation_id="sealed_case_create",
        summary="Submit a case that was sealed on a phone",
        description=(
            "The body is an envelope (docs/capture.md): a case and its photographs, encrypted to the key of "
            "`sealing-key/`. Only the person who sealed it can send it. It is stored exactly as `POST cases/` stores "
            "it, once for each `Idempotency-Key`; the answer says nothing of the patient."
        ),
        tags=["Cases"],
        parameters=[OpenApiParameter("Idempotency-Key", OpenApiTypes.UUID, OpenApiParameter.HEADER, required=True)],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={201: DeliveredDocument, **problem_examples(400, 401, 403, 404, 409, 410, 413, 415, 422, 429)},
        examples=[
            OpenApiExample(
                "An envelope",
                value="(the bytes of the envelope)",
                request_only=True,
                media_type="application/octet-stream",
            ),
            OpenApiExample(
                "Arrived",
                value={"id": "2d5f0c1e-8f2a-4a44-9a3a-0c7b1a9e5d11", "state": "waiting", "replayed": False},
                response_only=True,
                status_codes=["201"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Open and submit."""
        user, key = signed_in(request), idempotency_key(request)
        envelope = request.data if isinstance(request.data, bytes) else b""
        try:
            plain = open_envelope(envelope, case=key, author=user.pk)
        except EnvelopeUnreadable as error:
            raise Problem(422, "envelope_unreadable", str(error)) from error
        content = read_content(plain)
        read = understood(request, key, content.case, content.photographs)
        submission = submit_case(user=user, organisation=read.organisation, new=read.new, digest=read.digest)
        if submission.replayed:
            record_reads(user, [(submission.case.organisation_id, submission.case.patient_id)])
        delivered = {"id": key, "state": submission.case.state, "replayed": submission.replayed}
        response = Response(DeliveredDocument(delivered).data, status=201)
        response["Location"] = request.build_absolute_uri(reverse("case", kwargs={"pk": key}))
        if submission.replayed:
            response["Idempotency-Replayed"] = "true"
        return response


class SealingKeyDocument(serializers.Serializer[Any]):
    """The public key to seal envelopes with."""

    name = serializers.CharField()
    curve = serializers.CharField(help_text="P-256")
    point = serializers.CharField(help_text="The uncompressed point, 65 bytes in base64.")


class SealingKeyView(ApiView):
    """The public key."""

    access: ClassVar = {"GET": Access.SIGNED_IN}

    @extend_schema(
        operation_id="sealing_key_retrieve",
        summary="The key to seal envelopes with",
        tags=["Cases"],
        responses={200: SealingKeyDocument, **problem_examples(401)},
        examples=[
            OpenApiExample("A key", value={"name": "local-1", "curve": "P-256", "point": "BHyV3q…"}, response_only=True)
        ],
    )
    def get(self, request: Request) -> Response:
        """Tell it."""
        public = current_public_key()
        point = base64.b64encode(public.point).decode()
        return Response({"name": public.name, "curve": "P-256", "point": point})
