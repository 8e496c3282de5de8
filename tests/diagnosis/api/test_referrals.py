"""A referral through the API, from the clinic to the answer; and what a blind reader does not get."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from diagnosis.models import Referral
from diagnosis.services.second_opinions import ask_opinion
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.diagnosis.referrals.walking import network_answers, read

API = "/api/v1/"


@pytest.fixture
def reader(db: None) -> User:
    """A dermatologist."""
    return factories.dermatologist(first_name="Ingrid", last_name="Solberg")


@pytest.mark.django_db
def test_from_referral_to_answer_and_nothing_of_the_networks_before_the_read(
    api: ApiClient, clinician: User, reader: User
) -> None:
    case = factories.referrable_case(clinician)
    service = factories.organisation_of(reader)
    derm: Any = ApiClient(token_for(reader))
    assert {"id": str(service.pk), "name": service.name} in api.get(f"{API}referral-services/").json()
    sent = api.send(
        f"{API}referrals/",
        {"case": str(case.pk), "service": str(service.pk), "urgency": "soon", "question": "Melanoma?"},
    )
    assert sent.status_code == 201, sent.content
    address = f"{API}referrals/{sent.json()['id']}/"
    waiting = derm.get(address)
    risk = 0.6180339  # which stands in no time and no identifier by chance
    network_answers(risk=risk)

    unchanged = derm.get(address, headers={"If-None-Match": waiting["ETag"]})
    assert unchanged.status_code == 304
    (row,) = derm.get(f"{API}worklist/").json()["results"]
    seen = derm.get(address)
    for content in (seen.content.decode(), str(row)):
        # When the service answered the clinic is said in a field of this name; below, that it has not.
        told = content.replace("answered_at", "")
        for tell in (str(risk), "62%", "for-tests", "malignancy", "answered", 'probabilities": {'):
            assert tell not in told
    assert seen.json()["answered_at"] is None
    assert (seen.json()["answer"], seen.json()["answer_withheld"], seen.json()["must_read_first"]) == (None, True, True)
    analysis_map = f"{API}analyses/{case.analysis.pk}/map/"
    assert derm.get(analysis_map).status_code == 403
    assert derm.get(f"{API}cases/{case.pk}/").status_code == 403
    photograph = seen.json()["clinical"]["images"][0]["content"]
    assert derm.get(photograph).status_code == 200

    assert derm.send(f"{address}actions/", {"action": "accept"}).json()["claimed_by"] == "Ingrid Solberg"
    late = ApiClient(token_for(factories.dermatologist(service))).send(f"{address}actions/", {"action": "accept"})
    assert (late.status_code, late.json()["code"]) == (409, "taken")
    assert "Ingrid Solberg" in late.json()["detail"]
    assert derm.send(f"{address}messages/", {"kind": "question", "text": "Since when?"}).status_code == 201
    assert api.get(address).json()["unread_messages"] == 1
    assert api.send(f"{address}messages/", {"kind": "reply", "text": "Since May."}).status_code == 201

    read = derm.send(f"{address}first-read/", {"diagnosis": "nevus-atypical", "confidence": 60})
    assert read.status_code == 201, read.content
    assert read.json()["answer"]["malignancy_risk"] == risk
    assert derm.get(analysis_map).status_code == 404  # this answer has no map
    signed = derm.send(
        f"{address}assessments/", {"diagnosis": "melanoma-in-situ", "confidence": 80, "plan": "excise", "text": "Veil."}
    )
    assert signed.status_code == 201, signed.content
    answer = api.get(address).json()
    assert (answer["state"], answer["assessments"][0]["signed_by"]) == ("answered", "Ingrid Solberg")
    assert answer["reads"][0]["blind"] is True
    assert api.send(f"{address}actions/", {"action": "close"}).json()["state"] == "closed"
    assert api.get(f"{API}referrals/").json()["results"][0]["state"] == "closed"
    assert Referral.objects.get().state == "closed"
    assert AuditEvent.objects.filter(actor=reader, action="patient.read", patient_id=case.patient_id).exists()


@pytest.mark.django_db
def test_what_cannot_be_is_refused_by_name(api: ApiClient, clinician: User, reader: User) -> None:
    referral = factories.referral(clinician, factories.organisation_of(reader))
    derm: Any = ApiClient(token_for(reader))
    address = f"{API}referrals/{referral.pk}/actions/"
    assert derm.send(address, {"action": "decline"}).json()["code"] == "reason_missing"
    assert derm.send(address, {"action": "burn"}).status_code == 400
    assert derm.get(f"{API}worklist/?cursor=x").status_code == 400
    assert derm.get(f"{API}worklist/?whose=yours").status_code == 422
    assert derm.get(f"{API}worklist/?service={factories.uuid4()}").status_code == 404
    declined = derm.send(address, {"action": "decline", "reason": "not_ours", "explanation": "A wound."})
    assert declined.json()["state"] == "declined"
    assert derm.get(f"{API}referrals/{referral.pk}/").status_code == 404
    assert api.get(f"{API}referrals/{referral.pk}/").json()["explanation"] == "A wound."
    assert len(api.get(f"{API}diagnoses/").json()) > 80


@pytest.mark.django_db
def test_a_reply_brings_a_photograph_that_readers_of_the_messages_may_fetch(
    api: ApiClient, clinician: User, reader: User
) -> None:
    referral = factories.accepted_referral(clinician, reader)
    derm: Any = ApiClient(token_for(reader))
    address = f"{API}referrals/{referral.pk}/"
    derm.send(f"{address}messages/", {"kind": "question", "text": "Closer, please?"})
    closer = SimpleUploadedFile("IMG_0001.jpg", factories.PHOTOGRAPH.read_bytes(), "image/jpeg")
    sent = api.post(f"{address}messages/", {"kind": "reply", "text": "Closer.", "images": [closer]})
    assert sent.status_code == 201, sent.content
    (photograph,) = sent.json()[-1]["photographs"]
    content = f"{address}message-photographs/{photograph}/"
    for reads in (api, derm):
        answer = reads.get(content, headers={"Accept": "image/*"})  # as the phone app asks
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
    assert b"IMG_0001" not in answer.content
    assert AuditEvent.objects.filter(actor=reader, action="patient.read").exists()

    colleague = factories.dermatologist(referral.service)
    read(reader, referral)
    ask_opinion(user=reader, referral_id=referral.pk, service=referral.service_id, reader=colleague.pk, question="?")
    second = ApiClient(token_for(colleague))
    assert second.get(content).status_code == 403  # not before their own read
    assert ApiClient(token_for(factories.clinician())).get(content).status_code == 404
    other = factories.accepted_referral(clinician, reader)
    assert api.get(f"{API}referrals/{other.pk}/message-photographs/{photograph}/").status_code == 404

    nothing = SimpleUploadedFile("x.jpg", b"nothing", "image/jpeg")
    refused = api.post(f"{address}messages/", {"text": "x", "images": [nothing]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "images[0]")
    copies = [SimpleUploadedFile("x.jpg", factories.PHOTOGRAPH.read_bytes(), "image/jpeg") for _ in range(6)]
    assert api.post(f"{address}messages/", {"text": "x", "images": copies}).status_code == 400
    assert api.send(f"{address}messages/", {"text": "x", "images": ["words"]}).status_code == 400
