"""Photographs go by links that work for one user and a few minutes; maps to those who may see the case."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from PIL import Image

from diagnosis.api import image_links
from diagnosis.models import Analysis, Case
from diagnosis.models.sealed import place_of
from diagnosis.services.analysis_queue import answer, claim
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.encryption import seal
from tests import factories
from tests.diagnosis.api.requests import CASES, ApiClient, token_for
from tests.diagnosis.services.answers import answered


def link_of(api: ApiClient, case: Case) -> str:
    """The link to the case's photograph, as the API gives it to this user."""
    content: str = api.get(f"{CASES}{case.pk}/").json()["images"][0]["content"]
    return content


def test_a_link_gives_its_user_the_photograph(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)

    photograph = api.get(link_of(api, case))

    assert (photograph.status_code, photograph["Content-Type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(photograph.content)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (600, 450))
    assert photograph["X-Content-Type-Options"] == "nosniff"
    assert photograph["Cache-Control"] == "private, no-store"
    assert photograph["Content-Disposition"] == 'inline; filename="photograph-1.jpg"'


@pytest.mark.parametrize("accepted", ["*/*", "image/jpeg", "image/avif,image/webp,image/*,*/*;q=0.8"])
def test_a_browser_may_ask_for_an_image(api: ApiClient, clinician: User, accepted: str) -> None:
    link = link_of(api, factories.case(clinician))
    assert api.get(link, headers={"Accept": accepted}).status_code == 200


def test_a_link_expires(api: ApiClient, clinician: User, monkeypatch: pytest.MonkeyPatch) -> None:
    case = factories.case(clinician)
    now = image_links.time.time()
    link = link_of(api, case)

    monkeypatch.setattr(image_links.time, "time", lambda: now + image_links.VALID_SECONDS / 2 - 1)
    assert api.get(link).status_code == 200
    monkeypatch.setattr(image_links.time, "time", lambda: now + image_links.VALID_SECONDS + 60)
    late = api.get(link)
    assert (late.status_code, late.json()["code"]) == (403, "link_expired")
    assert api.get(link_of(api, case)).status_code == 200


def test_a_link_works_for_no_one_else(api: ApiClient, clinician: User) -> None:
    link = link_of(api, factories.case(clinician))
    colleague = ApiClient(token_for(factories.clinician(factories.organisation_of(clinician))))
    stranger = ApiClient(token_for(factories.clinician()))

    assert ApiClient().get(link).status_code == 401
    assert (colleague.get(link).status_code, colleague.get(link).json()["code"]) == (403, "link_invalid")
    assert stranger.get(link).status_code == 404


@pytest.mark.parametrize(
    "forge",
    [
        lambda signature: "",
        lambda signature: signature[:-1],
        lambda signature: f"9{signature}",
        lambda signature: "9" * 5000,
        lambda signature: "²-" + signature,
        lambda signature: "\x00",
    ],
)
def test_a_forged_link_is_refused(api: ApiClient, clinician: User, forge: Any) -> None:
    address, _, signature = link_of(api, factories.case(clinician)).partition("?signature=")
    answer = api.get(address, {"signature": forge(signature)})
    assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")


def test_a_photograph_that_the_store_lost_is_a_503_and_not_a_secret(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    link = link_of(api, case)
    (Path(settings.MEDIA_ROOT) / case.images.get().photograph_file).unlink()
    lost = api.get(link)
    assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
    assert "sealed" not in lost.content.decode()


def case_with_a_map(by: User) -> Case:
    """An answered case whose map says melanoma in one corner and naevus elsewhere."""
    case = factories.case(by)
    lease = claim(limit=1)
    assert lease is not None
    analysis: Analysis = answered(lease.analyses[0])
    activation = np.zeros((7, 7, 7), dtype="<f4")
    activation[..., 5] = 9.0
    activation[0, 0] = 0.0
    activation[0, 0, 4] = 9.0
    analysis.sealed_map = seal(analysis.data_key(), activation.tobytes(), place=place_of(analysis, "map"))
    analysis.conditions = {"temperature": 1.0}
    answer(lease, [analysis])
    return case


def test_a_map_shows_where_in_the_photographs_own_proportions(api: ApiClient, clinician: User) -> None:
    case = case_with_a_map(clinician)

    address = api.get(f"{CASES}{case.pk}/").json()["analysis"]["map"]
    drawn = api.get(address)

    assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/png")
    with Image.open(io.BytesIO(drawn.content)) as opened:
        assert opened.size == (448, 336)
        yellow = np.asarray(opened.convert("RGB"), dtype=float)[..., 1]
    assert yellow[5:20, 5:20].mean() > yellow[150:200, 200:250].mean()
    assert drawn.content == api.get(address).content
    assert AuditEvent.objects.filter(action="patient.read", patient_id=case.patient_id).exists()


def test_a_map_of_one_diagnosis_differs_from_that_of_another(api: ApiClient, clinician: User) -> None:
    address = f"/api/v1/analyses/{case_with_a_map(clinician).analysis.pk}/map/"
    pictures = {diagnosis: api.get(address, {"class": diagnosis}).content for diagnosis in ("mel", "nv", "bcc")}
    assert len(set(pictures.values())) == 3
    assert pictures["mel"] != api.get(address, {"class": "nv"}).content


@pytest.mark.parametrize("parameters", [{"class": "cancer"}, {"class": ""}, {"colour": "red"}])
def test_a_map_of_what_is_no_diagnosis_is_refused(api: ApiClient, clinician: User, parameters: dict[str, str]) -> None:
    answer = api.get(f"/api/v1/analyses/{case_with_a_map(clinician).analysis.pk}/map/", parameters)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_an_analysis_without_an_answer_has_no_map(api: ApiClient, clinician: User) -> None:
    answer = api.get(f"/api/v1/analyses/{factories.case(clinician).analysis.pk}/map/")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_map")


def test_after_erasure_neither_photograph_nor_map_can_be_opened(api: ApiClient, clinician: User) -> None:
    case = case_with_a_map(clinician)
    link = link_of(api, case)
    assert case.patient.data_key_row is not None
    case.patient.data_key_row.delete()
    for address in (link, f"/api/v1/analyses/{case.analysis.pk}/map/"):
        answer = api.get(address)
        assert (answer.status_code, answer.json()["code"]) == (410, "patient_erased")
