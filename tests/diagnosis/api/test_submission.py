"""A submission exists whole or not at all, once for each key, and an answer says what was wrong with it."""

import io
import json
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import ClientHandler
from django.utils import timezone
from PIL import Image

from diagnosis.api import cases, parsers
from diagnosis.models import AnalysisState, Case, CaseImage, ConsentScope, Patient
from diagnosis.services.errors import Refusal
from diagnosis.services.files import open_sealed
from skincare.accounts.models import User
from tests import factories
from tests.diagnosis.api.conftest import Stored
from tests.diagnosis.api.requests import CASES, PHOTOGRAPH, ApiClient, new_case
from tests.diagnosis.classifier.images import (
    BAD_UPLOADS,
    COMMENT,
    MAKER,
    ODD_UPLOADS,
    SCRIPT,
    BadUpload,
    OddUpload,
    jpeg,
)

TOMORROW = (timezone.now() + timedelta(days=1)).isoformat()


def test_a_submission_is_stored_whole_and_says_where_to_look_next(api: ApiClient, clinician: User) -> None:
    key = uuid4()

    answer = api.submit(key=key)

    assert answer.status_code == 201
    shown = answer.json()
    assert shown["id"] == str(key)
    assert shown["state"] == "waiting"
    assert answer["Location"] == shown["links"]["self"] == f"http://testserver{CASES}{key}/"
    assert shown["poll_after_ms"] <= 500
    assert answer["Retry-After"] == "1"
    case = Case.objects.with_everything().get(pk=key)
    assert case.submitted_by == clinician
    assert case.patient.name == "Maria Lindqvist"
    assert case.note == "Noticed by her partner in spring."
    assert (case.change_in_size, case.growth, case.family_hx_mm, case.age_approx) == (True, True, None, 60)
    assert case.analysis.state == AnalysisState.WAITING


def test_the_case_may_be_sent_as_a_file_as_curl_does(api: ApiClient) -> None:
    form = {
        "case": SimpleUploadedFile("case.json", json.dumps(new_case()).encode(), "application/json"),
        "images": SimpleUploadedFile("photo.jpg", PHOTOGRAPH, "image/jpeg"),
    }
    answer = api.post(CASES, form, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == 201


def test_a_known_patient_and_lesion_are_named_by_id(api: ApiClient, clinician: User) -> None:
    patient = factories.patient(clinician)
    lesion = factories.lesion(patient, clinician)

    answer = api.submit(new_case(patient=str(patient.pk), lesion=str(lesion.pk)))

    assert answer.status_code == 201
    case = Case.objects.get(pk=answer.json()["id"])
    assert (case.patient, case.lesion) == (patient, lesion)


def test_without_consent_to_analysis_the_case_is_stored_and_not_read(api: ApiClient) -> None:
    answer = api.submit(new_case(consents=[]))

    assert answer.status_code == 201
    shown = answer.json()
    assert shown["state"] == "stored"
    assert shown["poll_after_ms"] is None
    assert "Retry-After" not in answer
    assert shown["analysis"]["reason"] == "no_consent"
    assert shown["links"]["retry"].endswith("/retry/")


def test_photographs_keep_their_order_and_kind(api: ApiClient) -> None:
    kinds = ["overview", "close_up", "dermoscopic"]
    images = [jpeg(640, 480), jpeg(650, 480), jpeg(660, 480)]

    answer = api.submit(new_case(images=[{"kind": kind} for kind in kinds]), images)

    shown = answer.json()["images"]
    assert [(image["kind"], image["width"]) for image in shown] == list(zip(kinds, [640, 650, 660], strict=True))


def test_a_twin_request_returns_the_same_case(api: ApiClient, stored: Callable[[], Stored]) -> None:
    key, case = uuid4(), new_case()
    first = api.submit(case, key=key)
    before = stored()

    # The same fields in another order are the same request.
    second = api.submit(dict(reversed(case.items())), key=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert second.json()["id"] == first.json()["id"]
    assert second["Location"] == first["Location"]
    rows, files = stored()
    # The answer showed the patient's data, which is on record; nothing else was written.
    assert {**rows, "AuditEvent": 0} == {**before[0], "AuditEvent": 0}
    assert files == before[1]


@pytest.mark.parametrize("change", ["field", "photograph", "kind"])
def test_the_same_key_with_other_content_is_refused(api: ApiClient, stored: Callable[[], Stored], change: str) -> None:
    key, case = uuid4(), new_case()
    assert api.submit(case, key=key).status_code == 201
    before = stored()
    other, images = dict(case), [PHOTOGRAPH]
    if change == "field":
        other["bleeding"] = True
    elif change == "kind":
        other["images"] = [{"kind": "close_up"}]
    else:
        images = [jpeg()]

    answer = api.submit(other, images, key=key)

    assert answer.status_code == 422
    assert answer.json()["code"] == "key_reused"
    assert stored() == before


def test_another_users_key_is_taken_and_shows_nothing(api: ApiClient) -> None:
    other = factories.clinician()
    theirs = factories.submit(other).case

    answer = api.submit(key=theirs.pk)

    assert answer.status_code == 409
    assert answer.json()["code"] == "id_taken"


def without(field: str) -> dict[str, Any]:
    """A case that lacks one field."""
    return new_case(**{field: ...})


def with_in(outer: str, **changes: Any) -> Callable[[], dict[str, Any]]:
    """A case whose object ``outer`` has changed fields; ``...`` removes one."""

    def make() -> dict[str, Any]:
        case = new_case()
        inner = case[outer][0] if isinstance(case[outer], list) else case[outer]
        inner.update(changes)
        for name in [name for name, value in changes.items() if value is ...]:
            del inner[name]
        return case

    return make


REFUSED: list[tuple[str, Callable[[], Any], int, str, str]] = [
    ("unknown-field", lambda: new_case(age=300), 400, "age", "unknown_field"),
    ("unknown-in-patient", with_in("patient", age=300), 400, "patient.age", "unknown_field"),
    ("unknown-in-lesion", with_in("lesion", size=3), 400, "lesion.size", "unknown_field"),
    ("unknown-in-consent", with_in("consents", by="me"), 400, "consents[0].by", "unknown_field"),
    ("unknown-in-checklist", with_in("checklist", bleding=True), 400, "checklist.bleding", "unknown_field"),
    ("unknown-in-image", with_in("images", zoom=2), 400, "images[0].zoom", "unknown_field"),
    ("no-suspicion", lambda: without("suspicion"), 400, "suspicion", "required"),
    ("no-patient", lambda: without("patient"), 400, "patient", "required"),
    ("no-checklist", lambda: without("checklist"), 400, "checklist", "required"),
    ("checklist-with-a-gap", with_in("checklist", oozing=...), 400, "checklist.oozing", "required"),
    ("checklist-as-text", with_in("checklist", oozing="no"), 400, "checklist.oozing", "invalid"),
    ("bleeding-as-number", lambda: new_case(bleeding=1), 400, "bleeding", "invalid"),
    (
        "unknown-site",
        with_in("lesion", anatom_site_general="elbow"),
        400,
        "lesion.anatom_site_general",
        "invalid_choice",
    ),
    (
        "skin-type-7",
        with_in("patient", fitzpatrick_skin_type="VII"),
        400,
        "patient.fitzpatrick_skin_type",
        "invalid_choice",
    ),
    ("patient-as-number", lambda: new_case(patient=7), 400, "patient", "neither"),
    ("patient-not-a-uuid", lambda: new_case(patient="Maria"), 400, "patient", "invalid"),
    ("time-without-offset", lambda: new_case(seen_at="2026-01-02T03:04:05"), 400, "seen_at", "offset_missing"),
    ("date-for-time", lambda: new_case(seen_at="yesterday"), 400, "seen_at", "invalid"),
    ("nul-in-text", lambda: new_case(note="a\0b"), 400, "note", "null_characters_not_allowed"),
    ("lone-surrogate", lambda: new_case(note="\ud800"), 400, "note", "surrogate_characters_not_allowed"),
    ("surrogate-in-name", lambda: new_case(**{"\ud800": 1}), 400, "\ud800", "unknown_field"),
    ("other-id-than-the-key", lambda: new_case(id=str(uuid4())), 400, "id", "invalid"),
    ("a-list", lambda: [new_case()], 400, "case", "malformed_json"),
    ("seen-tomorrow", lambda: new_case(seen_at=TOMORROW), 422, "seen_at", "in_the_future"),
    ("born-tomorrow", with_in("patient", birth_date=TOMORROW[:10]), 422, "patient.birth_date", "in_the_future"),
    ("aged-300", with_in("patient", birth_date="1726-01-01"), 422, "patient.birth_date", "impossible_age"),
    ("consent-tomorrow", with_in("consents", captured_at=TOMORROW), 422, "consents[0].captured_at", "in_the_future"),
    ("no-such-policy", with_in("consents", policy_version="0"), 422, "consents[0].policy_version", "no_such_policy"),
    ("spoken-without-witness", with_in("consents", method="spoken"), 422, "consents[0].witness", "witness_missing"),
    ("half-a-point", with_in("lesion", body_map_y=None), 422, "lesion.body_map_side", "point_not_whole"),
    ("described-twice", lambda: new_case(images=[{"kind": "overview"}] * 2), 422, "images", "number_of_photographs"),
    ("foreign-patient", lambda: new_case(patient=str(uuid4())), 404, "patient", "not_found"),
    ("foreign-lesion", lambda: new_case(lesion=str(uuid4())), 404, "lesion", "not_found"),
    ("foreign-organisation", lambda: new_case(organisation=str(uuid4())), 404, "organisation", "not_found"),
]


@pytest.mark.parametrize(
    ("make", "status", "field", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_case_that_is_not_acceptable_is_refused_by_name_and_nothing_is_stored(
    api: ApiClient, stored: Callable[[], Stored], make: Callable[[], Any], status: int, field: str, code: str
) -> None:
    case = make()
    before = stored()

    answer = api.submit(case)

    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (field, code) in [(fault["field"], fault["code"]) for fault in problem["errors"]], problem
    assert problem["status"] == status
    assert problem["detail"]
    assert stored() == before


@pytest.mark.parametrize("bad", BAD_UPLOADS, ids=lambda bad: bad.id)
def test_a_bad_upload_is_named_and_nothing_is_stored(
    api: ApiClient, stored: Callable[[], Stored], bad: BadUpload
) -> None:
    case = new_case(images=[{"kind": "overview"}, {"kind": "dermoscopic"}])
    before = stored()

    answer = api.submit(case, [PHOTOGRAPH, bad.make()])

    assert answer.status_code == (413 if bad.code == "too_many_bytes" else 422), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == bad.code
    assert problem["detail"].startswith("photograph 2: ")
    assert [fault["field"] for fault in problem["errors"]] == ["images[1]"]
    assert stored() == before


@pytest.mark.parametrize("odd", ODD_UPLOADS, ids=lambda odd: odd.id)
def test_an_odd_upload_is_stored_as_a_clean_jpeg_alone(api: ApiClient, odd: OddUpload) -> None:
    answer = api.submit(images=[odd.make()])

    assert answer.status_code == 201, answer.content
    image = CaseImage.objects.select_related("case__patient__data_key_row").get(case_id=answer.json()["id"])
    kept = open_sealed(image.case.patient, image.photograph_file)
    for unwanted in (SCRIPT, b"script", MAKER.encode(), COMMENT, b"Exif", b"http://ns.adobe.com", b"ICC_PROFILE"):
        assert unwanted not in kept
    assert kept.startswith(b"\xff\xd8\xff")
    assert kept.endswith(b"\xff\xd9")
    with Image.open(io.BytesIO(kept)) as opened:
        assert opened.format == "JPEG"
        assert not opened.getexif()
        assert opened.size == (image.width, image.height)
    assert image.received_format == odd.received_format
    assert odd.filename not in image.photograph_file


@pytest.mark.parametrize(("number", "said"), [(0, 0), (0, 1), (11, 11), (11, 1)])
def test_none_and_eleven_photographs_are_refused(
    api: ApiClient, stored: Callable[[], Stored], number: int, said: int
) -> None:
    case = new_case(images=[{"kind": "dermoscopic"}] * said)
    before = stored()

    answer = api.submit(case, [PHOTOGRAPH] * number)

    assert answer.status_code == 422
    assert answer.json()["code"] == "number_of_photographs"
    assert answer.json()["detail"].startswith(f"{number} photographs were sent; a case needs 1 to 10")
    assert stored() == before


def test_ten_photographs_are_taken(api: ApiClient) -> None:
    answer = api.submit(new_case(images=[{"kind": "dermoscopic"}] * 10), [jpeg(300, 300)] * 10)
    assert answer.status_code == 201
    assert len(answer.json()["images"]) == 10


@pytest.mark.parametrize("key", ["", "1", "not-a-uuid", "4f0e1f9e"])
def test_a_submission_without_a_uuid_as_key_is_refused(api: ApiClient, key: str) -> None:
    form = {"case": json.dumps(new_case()), "images": SimpleUploadedFile("p.jpg", PHOTOGRAPH)}
    answer = api.post(CASES, form, headers={"Idempotency-Key": key} if key else {})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        ("nonsense", "malformed_json"),
        ('{"bleeding": NaN}', "malformed_json"),
        ('{"bleeding": true, "bleeding": false}', "malformed_json"),
        ("[" * 100_000, "malformed_json"),
        ("9" * 5000, "malformed_json"),
        ("null", "malformed_json"),
    ],
)
def test_a_case_that_is_not_json_is_refused(api: ApiClient, text: str, code: str) -> None:
    form = {"case": text, "images": SimpleUploadedFile("p.jpg", PHOTOGRAPH)}
    answer = api.post(CASES, form, headers={"Idempotency-Key": str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_photographs_are_never_in_a_file_that_outlives_the_request(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[list[Path]] = []

    def look(**_: object) -> None:
        seen.append(list(tmp_path.rglob("*")))
        raise Refusal("seen", "enough")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cases, "submit_case", look)

    # 4 MB do not stay in memory.
    assert api.submit(images=[jpeg() + bytes(4_000_000)]).json()["code"] == "seen"

    assert seen == [[]]


def test_a_browsers_session_submits_with_its_csrf_token_alone(clinician: User) -> None:
    browser = ApiClient()
    browser.handler = ClientHandler(enforce_csrf_checks=True)
    browser.force_login(clinician)
    assert browser.submit().status_code == 403
    browser.cookies["csrftoken"] = "a" * 32
    browser.defaults["HTTP_X_CSRFTOKEN"] = "a" * 32
    assert browser.submit().status_code == 201
    broken = browser.post(CASES, b"--b", content_type="multipart/form-data; boundary=b")
    assert (broken.status_code, broken.json()["code"]) == (400, "body_incomplete")


def test_a_case_that_is_too_large_is_refused(api: ApiClient) -> None:
    long = json.dumps(new_case(note="x" * parsers.MOST_JSON_BYTES))
    as_file = {"case": SimpleUploadedFile("case.json", long.encode()), "images": SimpleUploadedFile("p.jpg", b"")}
    as_text = {"case": long * 3, "images": SimpleUploadedFile("p.jpg", PHOTOGRAPH)}
    for form in (as_file, as_text):
        answer = api.post(CASES, form, headers={"Idempotency-Key": str(uuid4())})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_an_unknown_part_is_refused_by_name(api: ApiClient) -> None:
    answer = api.submit(foto=SimpleUploadedFile("p.jpg", PHOTOGRAPH))
    assert answer.status_code == 400
    assert answer.json()["errors"][0] == {
        "field": "foto",
        "code": "unknown_field",
        "detail": "unknown part 'foto'; the parts are 'case' (JSON) and 'images' (files)",
    }


def test_photographs_sent_as_text_are_refused(api: ApiClient) -> None:
    form = {"case": json.dumps(new_case()), "images": "photo.jpg"}
    answer = api.post(CASES, form, headers={"Idempotency-Key": str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (400, "not_a_file")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (PHOTOGRAPH, "image/jpeg", 415, "unsupported_media_type"),
        (b"nonsense", "multipart/form-data", 400, "parse_error"),
        (b"nonsense", "multipart/form-data; boundary=b", 400, "body_incomplete"),
        (b"--b\r\nnonsense\r\n--b--\r\n", "multipart/form-data; boundary=b", 400, "part_missing"),
        (b"", "multipart/form-data; boundary=b", 400, "part_missing"),
    ],
)
def test_what_is_not_a_multipart_form_is_refused(
    api: ApiClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = api.post(CASES, body, content_type=content_type, headers={"Idempotency-Key": str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_form_that_breaks_off_is_refused_even_where_the_photograph_is_whole(
    api: ApiClient, stored: Callable[[], Stored]
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="case"\r\n\r\n' + json.dumps(new_case()).encode()
    photograph = b'\r\n--b\r\nContent-Disposition: form-data; name="images"; filename="p.jpg"\r\n\r\n' + PHOTOGRAPH
    before = stored()

    answer = api.post(
        CASES,
        head + photograph,
        content_type="multipart/form-data; boundary=b",
        headers={"Idempotency-Key": str(uuid4())},
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "body_incomplete")
    assert stored() == before


def test_a_request_that_is_too_large_is_refused_unread(api: ApiClient) -> None:
    class Unread(io.BytesIO):
        """A body that must not be touched."""

        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    answer = api.generic(
        "POST",
        CASES,
        headers={"Idempotency-Key": str(uuid4())},
        CONTENT_TYPE="multipart/form-data; boundary=b",
        CONTENT_LENGTH=str(parsers.MOST_BODY_BYTES + 1),
        **{"wsgi.input": Unread()},
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_clinician_of_two_clinics_says_which(api: ApiClient, clinician: User) -> None:
    second = factories.organisation()
    clinician.memberships.create(organisation=second, role="clinician")

    silent, said = api.submit(), api.submit(new_case(organisation=str(second.pk)))

    assert (silent.status_code, silent.json()["code"]) == (422, "organisation_missing")
    assert str(second.pk) in silent.json()["detail"]
    assert (said.status_code, said.json()["organisation"]) == (201, str(second.pk))


def test_a_record_number_that_is_taken_leads_to_its_patient(api: ApiClient, clinician: User) -> None:
    case = new_case()
    first = api.submit(case).json()

    answer = api.submit(case)

    assert (answer.status_code, answer.json()["code"]) == (409, "record_number_taken")
    assert first["patient"] in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "patient.record_number"
    assert Patient.objects.count() == 1


def test_a_withdrawal_in_the_same_request_wins(api: ApiClient) -> None:
    case = new_case()
    withdrawal = {**case["consents"][0], "change": "withdrawn", "captured_at": "2026-01-02T03:04:00Z"}
    case["consents"].append(withdrawal)

    answer = api.submit(case)

    assert answer.json()["state"] == "stored"
    assert case["consents"][0]["scope"] == ConsentScope.ANALYSIS
