"""Cases that a phone sealed: opened only for who made them, stored exactly once, and refused with a way out."""

import json
import struct
from uuid import UUID, uuid4

import pytest
from django.test import override_settings

from diagnosis.api.sealed_cases import MOST_ENVELOPE_BYTES, Content, write_content
from diagnosis.models import Case
from skincare.accounts.models import User
from skincare.envelopes import EnvelopeUnreadable, current_public_key, open_envelope, seal_envelope
from tests import factories
from tests.diagnosis.api.requests import PHOTOGRAPH, ApiClient, new_case, token_for

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/sealed-cases/"


@pytest.fixture
def api(clinician: User) -> ApiClient:
    return ApiClient(token_for(clinician))


def sealed(author: User, key: UUID, plain: bytes | None = None) -> bytes:
    return seal_envelope(plain or write_content(Content(new_case(), [PHOTOGRAPH])), case=key, author=author.pk)


def post(api: ApiClient, key: UUID, envelope: bytes, media_type: str = "application/octet-stream"):  # type: ignore[no-untyped-def]
    return api.generic("POST", ADDRESS, envelope, media_type, headers={"Idempotency-Key": str(key)})


def test_a_sealed_case_arrives_once_however_often_it_is_sent(api: ApiClient, clinician: User) -> None:
    key = uuid4()
    plain = write_content(Content(new_case(), [PHOTOGRAPH]))
    first = post(api, key, sealed(clinician, key, plain))
    again = post(api, key, sealed(clinician, key, plain))  # another envelope, with the same content

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == {"id": str(key), "state": "waiting", "replayed": False}
    assert again.json()["replayed"] is True
    assert again["Idempotency-Replayed"] == "true"
    assert Case.objects.count() == 1
    assert Case.objects.get().images.count() == 1


def test_the_receipt_tells_nothing_of_the_patient(api: ApiClient, clinician: User) -> None:
    key = uuid4()
    answer = post(api, key, sealed(clinician, key))
    patient = Case.objects.get().patient
    for secret in (patient.record_number, patient.name, patient.birth_date, str(patient.pk)):
        assert secret.encode() not in answer.content


def test_only_who_sealed_it_can_deliver_it(clinician: User) -> None:
    colleague = factories.clinician(factories.organisation_of(clinician))
    key = uuid4()
    answer = post(ApiClient(token_for(colleague)), key, sealed(clinician, key))
    assert (answer.status_code, answer.json()["code"]) == (422, "envelope_unreadable")
    assert not Case.objects.exists()


def test_an_envelope_for_one_case_is_none_for_another(api: ApiClient, clinician: User) -> None:
    assert post(api, uuid4(), sealed(clinician, uuid4())).json()["code"] == "envelope_unreadable"


@pytest.mark.parametrize("at", [0, 4, 6, 20, 90, -1], ids=["magic", "length", "name", "point", "nonce", "tag"])
def test_one_changed_byte_makes_it_unreadable(api: ApiClient, clinician: User, at: int) -> None:
    key = uuid4()
    envelope = bytearray(sealed(clinician, key))
    envelope[at] ^= 1
    answer = post(api, key, bytes(envelope))
    assert (answer.status_code, answer.json()["code"]) == (422, "envelope_unreadable")
    assert "again" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"SKC1", b"SKC1\x07local-1", b"\xff" * 200])
def test_what_is_no_envelope_is_refused(api: ApiClient, body: bytes) -> None:
    assert post(api, uuid4(), body).status_code == 422


def described(document: object, *photographs: bytes) -> bytes:
    text = json.dumps(document).encode()
    return struct.pack(">I", len(text)) + text + b"".join(photographs)


@pytest.mark.parametrize(
    "plain",
    [
        b"\x00",
        described([]),
        described({"case": 1, "sizes": []}),
        described({"case": {}, "sizes": "x"}),
        described({"case": {}, "sizes": [True]}),
        described({"case": {}, "sizes": [-1]}),
        described({"case": {}, "sizes": [5]}, b"1234"),
        described({"case": {}, "sizes": [3]}, b"1234"),
        b"\xff\xff\xff\xff{}",
    ],
    ids=["short", "list", "no case", "no sizes", "true", "negative", "too short", "too long", "length"],
)
def test_malformed_content_is_refused_and_nothing_is_stored(api: ApiClient, clinician: User, plain: bytes) -> None:
    key = uuid4()
    assert post(api, key, sealed(clinician, key, plain)).status_code in (400, 422)
    assert not Case.objects.exists()


def test_what_the_form_refuses_is_refused_in_an_envelope_too(api: ApiClient, clinician: User) -> None:
    key = uuid4()
    case = new_case()
    case["lesion"]["anatom_site_general"] = "elbow"
    answer = post(api, key, sealed(clinician, key, write_content(Content(case, [PHOTOGRAPH]))))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "lesion.anatom_site_general"


def test_an_envelope_has_a_limit(api: ApiClient) -> None:
    assert post(api, uuid4(), bytes(MOST_ENVELOPE_BYTES + 1)).status_code == 413


def test_another_media_type_is_refused(api: ApiClient) -> None:
    assert post(api, uuid4(), b"{}", "application/json").status_code == 415


def test_the_published_key_is_the_one_that_opens(api: ApiClient) -> None:
    published = api.get("/api/v1/sealing-key/").json()
    assert published["name"] == current_public_key().name
    assert published["curve"] == "P-256"


def test_what_was_sealed_before_a_rotation_opens_as_long_as_the_old_key_is_there(settings: object) -> None:
    case, author = uuid4(), uuid4()
    envelope = seal_envelope(b"plain", case=case, author=author)
    old: list[tuple[str, bytes]] = list(settings.SKINCARE_MASTER_KEYS)  # type: ignore[attr-defined]
    with override_settings(SKINCARE_MASTER_KEYS=[("new", b"n" * 32), *old]):
        assert current_public_key().name == "new"
        assert open_envelope(envelope, case=case, author=author) == b"plain"
    with override_settings(SKINCARE_MASTER_KEYS=[("new", b"n" * 32)]), pytest.raises(EnvelopeUnreadable, match="key"):
        open_envelope(envelope, case=case, author=author)
