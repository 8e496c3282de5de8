"""What a client sends to POST cases/: one form with the case as JSON and one to ten photographs."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from rest_framework import serializers
from rest_framework.request import Request

from diagnosis.api.access import organisation_for
from diagnosis.api.consents import EXAMPLE_CONSENT, ConsentForm, stated
from diagnosis.api.fields import Flag, Moment, NewOrKnown, OneOf, StrictSerializer
from diagnosis.api.lesions import EXAMPLE_NEW_LESION, DescribedLesion
from diagnosis.api.parsers import PART_CASE, PART_IMAGES, read_part_case
from diagnosis.api.patients import EXAMPLE_NEW_PATIENT, DescribedPatient
from diagnosis.api.problems import Problem
from diagnosis.api.reused import Reused
from diagnosis.api.schema import DIAGNOSES
from diagnosis.models import ImageKind, Suspicion
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services.errors import Refusal
from diagnosis.services.submission import MOST_IMAGES, ClinicalData, NewCase, NewImage, digest_of
from skincare.accounts.models import Organisation

MOST_CONSENTS: Final = 20


def _item(name: str) -> Flag:
    points = CHECKLIST_POINTS[name]
    return Flag(help_text=f"{points} point{'s' if points > 1 else ''}")


class ChecklistForm(StrictSerializer):
    """The weighted 7-point checklist. All seven must be said: one left out must not read as "no"."""

    change_in_size = _item("change_in_size")
    irregular_shape = _item("irregular_shape")
    irregular_colour = _item("irregular_colour")
    diameter_7_mm_or_more = _item("diameter_7_mm_or_more")
    inflammation = _item("inflammation")
    oozing = _item("oozing")
    change_in_sensation = _item("change_in_sensation")


assert list(ChecklistForm().fields) == list(CHECKLIST_POINTS)


class ImageForm(StrictSerializer):
    """What is said of one photograph; the files follow in the same order."""

    kind = OneOf(choices=ImageKind.choices)


class CaseForm(StrictSerializer):
    """A lesion seen on a day, with the clinician's own impression."""

    id = serializers.UUIDField(required=False, help_text="The same as the header Idempotency-Key, if given.")
    organisation = serializers.UUIDField(
        required=False, help_text="Needed only where you are a clinician in more than one organisation."
    )
    patient = NewOrKnown(DescribedPatient(), help_text="The id of a known patient, or a new one.")
    lesion = NewOrKnown(DescribedLesion(), help_text="The id of a known lesion of the patient, or a new one.")
    consents = serializers.ListField(
        child=ConsentForm(), default=list, max_length=MOST_CONSENTS, help_text="Given or withdrawn with this case."
    )
    images = serializers.ListField(child=ImageForm(), help_text="One entry for each photograph, in the same order.")
    seen_at = Moment(required=False, help_text="When the patient was seen; now, if left out.")
    suspicion = OneOf(choices=Suspicion.choices, help_text="Your own impression, before you see the network's.")
    impression = OneOf(
        choices=DIAGNOSES,
        required=False,
        allow_blank=True,
        help_text="What you think it is, if you have an opinion.",
    )
    checklist = ChecklistForm()
    bleeding = Flag()
    growth = Flag()
    personal_hx_mm = Flag(required=False, allow_null=True, help_text="Previous melanoma.")
    family_hx_mm = Flag(required=False, allow_null=True, help_text="Melanoma in a parent, sibling or child.")
    personal_hx_skin_cancer = Flag(required=False, allow_null=True, help_text="Skin cancer other than melanoma before.")
    sun_damage = Flag(
        required=False, allow_null=True, help_text="Much sun: sunburns as a child, outdoor work or sunbeds."
    )
    immunosuppression = Flag(required=False, allow_null=True)
    note = serializers.CharField(max_length=5000, required=False, allow_blank=True, help_text="Kept encrypted.")


class SubmissionParts(serializers.Serializer[Any]):
    """The parts of the form."""

    case = CaseForm()
    images = serializers.ListField(
        child=serializers.FileField(),
        min_length=1,
        max_length=MOST_IMAGES,
        help_text="JPEG or PNG, at least 224x224 pixels, at most 26 MB each.",
    )


_case_form = Reused(CaseForm)


@dataclass(frozen=True)
class ReadSubmission:
    """A submission as the service takes it."""

    organisation: Organisation
    new: NewCase
    digest: bytes


def read_submission(request: Request) -> ReadSubmission:
    """Read and check the form, as far as that needs no look at the photographs.

    Raises:
        Problem, ValidationError, Refusal: something is missing, unknown or not acceptable.
    """
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        raise Problem(411, "length_required", "say the length of the request in Content-Length")
    key = idempotency_key(request)
    if not isinstance(request.data, MultiValueDict):  # what DRF makes of an empty body
        raise Problem(400, "part_missing", "the request is empty; send the parts 'case' and 'images'", field=PART_CASE)
    parts: MultiValueDict[str, Any] = request.data
    if unknown := sorted(set(parts) - {PART_CASE, PART_IMAGES}):
        detail = f"unknown part {unknown[0]!r}; the parts are 'case' (JSON) and 'images' (files)"
        raise Problem(400, "unknown_field", detail, field=unknown[0])
    if len(parts.getlist(PART_CASE)) > 1:
        raise Problem(400, "part_repeated", "there is more than one part 'case'", field=PART_CASE)
    return understood(request, key, read_part_case(parts.get(PART_CASE)), _uploads(parts.getlist(PART_IMAGES)))


def understood(request: Request, key: UUID, sent: dict[str, Any], uploads: list[bytes]) -> ReadSubmission:
    """Check what a client says of a case, however it came here.

    Raises:
        Problem, ValidationError, Refusal: something is missing, unknown or not acceptable.
    """
    fields: dict[str, Any] = _case_form.validated(sent)
    if fields.get("id", key) != key:
        raise Problem(400, "invalid", f"id {fields['id']} differs from the Idempotency-Key {key}", field="id")
    images = _images(uploads, [ImageKind(image["kind"]) for image in fields["images"]])
    new = NewCase(
        id=key,
        patient=_described(fields["patient"], DescribedPatient),
        lesion=_described(fields["lesion"], DescribedLesion),
        consents=stated(fields["consents"], path="consents[{}].policy_version"),
        images=images,
        clinical=ClinicalData(
            suspicion=fields["suspicion"],
            impression=fields.get("impression", ""),
            checklist=dict(fields["checklist"]),
            bleeding=fields["bleeding"],
            growth=fields["growth"],
            personal_hx_mm=fields.get("personal_hx_mm"),
            family_hx_mm=fields.get("family_hx_mm"),
            personal_hx_skin_cancer=fields.get("personal_hx_skin_cancer"),
            sun_damage=fields.get("sun_damage"),
            immunosuppression=fields.get("immunosuppression"),
            note=fields.get("note", ""),
        ),
        seen_at=fields.get("seen_at") or timezone.now(),
    )
    content = {name: value for name, value in sent.items() if name != "id"}
    return ReadSubmission(
        organisation=organisation_for(request, fields.get("organisation")),
        new=new,
        digest=digest_of(content, images),
    )


def idempotency_key(request: Request) -> UUID:
    """The UUID that the client chose for the case.

    Raises:
        Problem: it is missing or not a UUID.
    """
    text = request.headers.get("Idempotency-Key", "")
    if not text:
        detail = "the header Idempotency-Key is missing: a new UUID for each new case, the same when you send it again"
        raise Problem(400, "idempotency_key_missing", detail, field="Idempotency-Key")
    try:
        return UUID(text)
    except ValueError:
        detail = "the header Idempotency-Key must be a UUID, such as uuidgen makes"
        raise Problem(400, "invalid", detail, field="Idempotency-Key") from None


def _described(value: UUID | dict[str, Any], form: type[DescribedPatient] | type[DescribedLesion]) -> Any:
    return value if isinstance(value, UUID) else form.described(value)


def _uploads(files: list[Any]) -> list[bytes]:
    for position, file in enumerate(files, start=1):
        if not isinstance(file, UploadedFile):
            detail = f"photograph {position}: sent as text; send it as a file, as in -F images=@photo.jpg"
            raise Problem(400, "not_a_file", detail, field=f"{PART_IMAGES}[{position - 1}]")
    # Not read yet where there are too many of them.
    return [file.read() for file in files] if len(files) <= MOST_IMAGES else [b""] * len(files)


def _images(uploads: list[bytes], kinds: list[ImageKind]) -> list[NewImage]:
    if not 1 <= len(uploads) <= MOST_IMAGES:
        detail = f"{len(uploads)} photographs were sent; a case needs 1 to {MOST_IMAGES}, each as a part 'images'"
        raise Refusal("number_of_photographs", detail, field=PART_IMAGES)
    if len(uploads) != len(kinds):
        detail = f"{len(uploads)} photographs were sent, the case describes {len(kinds)}; describe each, in their order"
        raise Refusal("number_of_photographs", detail, field=PART_IMAGES)
    return [NewImage(kind=kind, upload=upload) for kind, upload in zip(kinds, uploads, strict=True)]


EXAMPLE_CASE: Final = {
    "patient": EXAMPLE_NEW_PATIENT,
    "lesion": EXAMPLE_NEW_LESION,
    "consents": [EXAMPLE_CONSENT],
    "images": [{"kind": "dermoscopic"}],
    "seen_at": "2026-11-23T09:10:00Z",
    "suspicion": "unsure",
    "impression": "nv",
    "checklist": {
        "change_in_size": True,
        "irregular_shape": False,
        "irregular_colour": False,
        "diameter_7_mm_or_more": False,
        "inflammation": False,
        "oozing": False,
        "change_in_sensation": False,
    },
    "bleeding": False,
    "growth": True,
    "personal_hx_mm": False,
    "family_hx_mm": None,
    "personal_hx_skin_cancer": None,
    "sun_damage": None,
    "note": "Noticed by her partner in spring.",
}
