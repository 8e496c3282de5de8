"""What a case shows at each stage, how cheaply it is polled, and how cases are listed, filtered and paged."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from django.utils.http import urlencode

from diagnosis.api import image_links
from diagnosis.classifier.recommendation import AbstentionReason, Decider, Level, Notice
from diagnosis.models import Analysis, AnalysisState, Case, Suspicion
from diagnosis.services import wording
from diagnosis.services.analysis_queue import FAULTS, answer, claim, give_back
from diagnosis.services.submission import ClinicalData
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.requests import CASES, ApiClient, token_for
from tests.diagnosis.services.answers import answered, version


@pytest.fixture(autouse=True)
def _links_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test must not fall onto the instant when links, and with them ETags, are renewed."""
    now = image_links.bucket()
    monkeypatch.setattr(image_links, "bucket", lambda: now)


def finish(case: Case, fill: Callable[[Analysis], Analysis]) -> Case:
    """Take the case's analysis from the queue, fill it in as a worker would, and write it."""
    lease = claim(limit=1)
    assert lease is not None
    (analysis,) = lease.analyses
    assert analysis.case_id == case.pk
    assert answer(lease, [fill(analysis)]) == {analysis.pk}
    return case


def abstained(analysis: Analysis) -> Analysis:
    """The analysis with an abstention, not saved."""
    analysis.state = AnalysisState.ABSTAINED
    analysis.model_version = version()
    analysis.reason = "poor_image"
    analysis.reason_text = "The photograph is blurred."
    analysis.recommendation = Level.HUMAN_REVIEW
    analysis.decided_by = Decider.ABSTENTION
    return analysis


def answered_case(by: User, risk: float = 0.25) -> Case:
    """A case with an answer."""
    return finish(factories.case(by), lambda analysis: answered(analysis, risk))


def show(api: ApiClient, case: Case) -> Any:
    """The case as the API shows it."""
    response = api.get(f"{CASES}{case.pk}/")
    assert response.status_code == 200, response.content
    return response.json()


def test_a_waiting_case_says_so_and_when_to_ask_again(api: ApiClient, clinician: User) -> None:
    shown = show(api, factories.case(clinician))

    assert (shown["state"], shown["analysis"]["state"]) == ("waiting", "waiting")
    assert shown["poll_after_ms"] > 0
    assert shown["analysis"]["probabilities"] is None
    assert "do not wait" in shown["analysis"]["statement"]


def test_what_the_clinical_rule_asks_for_is_said_before_the_network_answers(api: ApiClient, clinician: User) -> None:
    clinical = ClinicalData(suspicion=Suspicion.UNSURE, growth=True)
    shown = show(api, factories.submit(clinician, factories.new_case(clinical=clinical)).case)

    assert shown["state"] == "waiting"
    assert (shown["analysis"]["recommendation"], shown["analysis"]["decided_by"]) == ("refer", "growth")
    assert "Refer to dermatology. The lesion grows." in shown["analysis"]["statement"]


def test_an_answered_case_shows_all_that_was_concluded(api: ApiClient, clinician: User) -> None:
    def fill(analysis: Analysis) -> Analysis:
        analysis.conditions = {"thresholds": {"refer": 0.1}}
        analysis.timings = {"forward_ms": 2.0}
        analysis.notices = [Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS]
        return answered(analysis, 0.25)

    case = finish(factories.case(clinician), fill)

    shown = show(api, case)

    analysis = shown["analysis"]
    assert shown["state"] == "answered"
    assert shown["poll_after_ms"] is None
    assert analysis["probabilities"] == {"akiec": 0, "bcc": 0, "bkl": 0, "df": 0, "mel": 0.25, "nv": 0.75, "vasc": 0}
    assert sum(analysis["probabilities"].values()) == pytest.approx(1)
    assert analysis["malignancy_risk"] == 0.25
    assert (analysis["predicted"], analysis["predicted_name"]) == ("mel", "Melanoma")
    assert (analysis["recommendation"], analysis["decided_by"]) == ("refer", "network")
    assert analysis["model_version"]["name"] == version().name
    assert analysis["conditions"] == {"thresholds": {"refer": 0.1}}
    assert analysis["timings"] == {"forward_ms": 2.0}
    assert analysis["deciding_image"] == shown["images"][0]["id"]
    assert analysis["map"].endswith(f"/api/v1/analyses/{analysis['id']}/map/")
    assert [notice["code"] for notice in analysis["notices"]] == ["not_validated_on_plain_photographs"]
    assert "not a diagnosis" in analysis["statement"]
    assert "25%" in analysis["statement"]
    assert "never lower it" in analysis["statement"]


def test_an_abstention_shows_its_reason_and_no_numbers(api: ApiClient, clinician: User) -> None:
    shown = show(api, finish(factories.case(clinician), abstained))

    analysis = shown["analysis"]
    assert (shown["state"], analysis["reason"]) == ("human_review", "poor_image")
    assert analysis["statement"].startswith(
        "No AI result: human review. The photographs are not good enough to be read. Take them again, or refer."
    )
    assert (analysis["recommendation"], analysis["decided_by"]) == ("human_review", "abstention")
    for name in ("probabilities", "malignancy_risk", "predicted", "deciding_image", "map"):
        assert analysis[name] is None


def test_every_conclusion_has_words() -> None:
    assert set(wording.RECOMMENDATIONS) == set(Level)
    assert set(wording.DECIDERS) == set(Decider)
    assert set(wording.NOTICES) == set(Notice)
    assert set(wording.REASONS) == {
        *AbstentionReason, *FAULTS, "no_consent", "consent_withdrawn", "consent_expired", "patient_erased",
    }  # fmt: skip


def test_a_reason_of_an_older_platform_is_said_as_it_was(clinician: User) -> None:
    analysis = factories.case(clinician).analysis
    analysis.state, analysis.reason, analysis.reason_text = AnalysisState.FAILED, "of_old", "It could not be read."
    assert wording.statement(analysis).startswith("No AI result: human review. It could not be read.")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "less than 1%"),
        (0.004, "less than 1%"),
        (0.01, "1%"),
        (0.374, "37%"),
        (0.99, "99%"),
        (1.0, "more than 99%"),
    ],
)
def test_a_risk_is_never_said_to_be_none_or_certain(share: float, words: str) -> None:
    assert wording.per_cent(share) == words


def test_an_unchanged_case_answers_304_without_a_body(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    etag = api.get(f"{CASES}{case.pk}/")["ETag"]

    again = api.get(f"{CASES}{case.pk}/", headers={"If-None-Match": etag})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)


def test_a_changed_case_answers_in_full(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    waiting = api.get(f"{CASES}{case.pk}/")["ETag"]
    lease = claim(limit=1)
    running = api.get(f"{CASES}{case.pk}/", headers={"If-None-Match": waiting})
    assert lease is not None
    answer(lease, [answered(lease.analyses[0])])
    done = api.get(f"{CASES}{case.pk}/", headers={"If-None-Match": running["ETag"]})
    assert (running.status_code, done.status_code) == (200, 200)
    assert len({waiting, running["ETag"], done["ETag"]}) == 3
    assert done.json()["state"] == "answered"


def test_a_case_that_a_worker_gave_back_answers_in_full(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    lease = claim(limit=1)
    assert lease is not None
    running = api.get(f"{CASES}{case.pk}/")
    give_back(lease, lease.analyses, fault="store_unavailable")
    returned = api.get(f"{CASES}{case.pk}/", headers={"If-None-Match": running["ETag"]})
    assert (running.json()["analysis"]["state"], returned.status_code) == ("running", 200)
    assert returned.json()["analysis"]["state"] == "waiting"


def test_an_etag_of_one_user_is_not_anothers(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    colleague = ApiClient(token_for(factories.clinician(factories.organisation_of(clinician))))
    etag = api.get(f"{CASES}{case.pk}/")["ETag"]
    assert colleague.get(f"{CASES}{case.pk}/", headers={"If-None-Match": etag}).status_code == 200


def test_polling_an_unchanged_case_takes_three_queries(
    api: ApiClient, clinician: User, django_assert_num_queries: Any
) -> None:
    case = factories.case(clinician)
    etag = api.get(f"{CASES}{case.pk}/")["ETag"]
    with django_assert_num_queries(3):  # the token with its user, the roles, the case's state
        again = api.get(f"{CASES}{case.pk}/", headers={"If-None-Match": etag})
    assert again.status_code == 304


def test_showing_a_case_takes_six_queries_however_many_photographs(
    api: ApiClient, clinician: User, django_assert_num_queries: Any
) -> None:
    one = factories.submit(clinician).case
    image = factories.new_case().images[0]
    ten = factories.submit(clinician, factories.new_case(images=[image] * 10)).case
    for case in (one, ten):
        with django_assert_num_queries(6):  # as above, the case, its photographs, the audit event
            show(api, case)


def test_listing_takes_four_queries_however_many_cases(
    api: ApiClient, clinician: User, django_assert_num_queries: Any
) -> None:
    for _ in range(2):
        for _ in range(3):
            factories.case(clinician)
        with django_assert_num_queries(4):  # the token, the roles, the page, the audit events
            listed = api.get(CASES)
    assert len(listed.json()["results"]) == 6


def test_seeing_a_patients_data_is_recorded_once_and_a_304_is_not(api: ApiClient, clinician: User) -> None:
    case = factories.case(clinician)
    etag = ApiClient(token_for(clinician)).get(f"{CASES}{case.pk}/")["ETag"]
    reads = AuditEvent.objects.filter(action="patient.read", patient_id=case.patient_id)
    assert reads.count() == 1
    colleague = factories.clinician(factories.organisation_of(clinician))
    other = ApiClient(token_for(colleague))

    other.get(f"{CASES}{case.pk}/", headers={"If-None-Match": "*"})
    api.get(f"{CASES}{case.pk}/", headers={"If-None-Match": etag})
    assert reads.count() == 1

    other.get(CASES)
    other.get(f"{CASES}{case.pk}/")
    assert sorted(reads.values_list("actor_id", flat=True)) == sorted([clinician.pk, colleague.pk])


def listed(api: ApiClient, **parameters: object) -> list[str]:
    """Ids of the listed cases."""
    response = api.get(f"{CASES}?{urlencode(parameters)}")
    assert response.status_code == 200, response.content
    return [case["id"] for case in response.json()["results"]]


def test_cases_are_filtered_by_state_patient_lesion_site_date_and_risk(api: ApiClient, clinician: User) -> None:
    low = answered_case(clinician, 0.1)
    high = answered_case(clinician, 0.9)
    silent = finish(factories.case(clinician), abstained)
    waiting = factories.case(clinician)
    every = {str(case.pk) for case in (low, high, silent, waiting)}
    now = timezone.now()

    assert set(listed(api)) == every
    assert set(listed(api, state="answered")) == {str(low.pk), str(high.pk)}
    assert listed(api, state="human_review") == [str(silent.pk)]
    assert listed(api, state="waiting") == [str(waiting.pk)]
    assert listed(api, state="failed") == []
    assert listed(api, patient=low.patient_id) == [str(low.pk)]
    assert listed(api, lesion=high.lesion_id) == [str(high.pk)]
    assert listed(api, risk_min=0.5) == [str(high.pk)]
    assert listed(api, risk_max=0.5) == [str(low.pk)]
    assert set(listed(api, anatom_site_general="posterior torso")) == every
    assert listed(api, anatom_site_general="head/neck") == []
    assert set(listed(api, submitted_after=(now - timedelta(hours=1)).isoformat())) == every
    assert listed(api, submitted_after=(now + timedelta(hours=1)).isoformat()) == []
    assert listed(api, submitted_before=(now - timedelta(hours=1)).isoformat()) == []
    assert listed(api, submitted_before=high.submitted_at.isoformat()) == [str(low.pk)]


def test_answers_since_a_time_are_found_page_by_page_however_old_their_cases(api: ApiClient, clinician: User) -> None:
    before = answered_case(clinician)
    since = timezone.now()
    waiting, stored = factories.case(clinician), factories.submit(clinician, factories.new_case(consents=[])).case
    Case.objects.update(submitted_at=since - timedelta(days=7))
    finish(waiting, abstained)
    new = [answered_case(clinician) for _ in range(2)]

    first = api.get(f"{CASES}?{urlencode({'answered_after': since.isoformat(), 'page_size': 2})}").json()
    second = api.get(first["next"]).json()

    found = [case["id"] for page in (first, second) for case in page["results"]]
    assert found == [str(case.pk) for case in (*reversed(new), waiting)]
    assert second["next"] is None
    assert not {str(before.pk), str(stored.pk)} & set(found)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("state", "unknown"),
        ("patient", "Maria"),
        ("risk_min", "2"),
        ("risk_min", "NaN"),
        ("risk_max", "high"),
        ("submitted_after", "yesterday"),
        ("answered_after", "yesterday"),
        ("submitted_after", "0001-01-01T00:00:00+01:00"),
        ("submitted_before", "9999-12-31T23:59:59-01:00"),
        ("anatom_site_general", "elbow"),
        ("patinet", "x"),
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_size", "²"),
        ("cursor", "nonsense"),
        ("cursor", "MjAyNnwx"),
        ("cursor", "\x00"),
        ("cursor", base64.urlsafe_b64encode(f"0001-01-01T00:00:00+01:00|{UUID(int=0)}".encode()).decode()),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_name(api: ApiClient, parameter: str, value: str) -> None:
    response = api.get(f"{CASES}?{urlencode({parameter: value})}")
    assert response.status_code == 400, response.content
    assert [fault["field"] for fault in response.json()["errors"]] == [parameter]


@pytest.mark.parametrize("moment", ["0530-05-19T12:10:07-22:07", "2026-11-28T09:30:00+23:59", "0001-01-01T00:00:00Z"])
def test_a_time_with_any_offset_is_understood(api: ApiClient, clinician: User, moment: str) -> None:
    case = factories.case(clinician)
    cursor = base64.urlsafe_b64encode(f"9999-12-31T00:00:00+23:59|{UUID(int=0)}".encode()).decode()
    for parameters in ({"submitted_after": moment}, {"cursor": cursor}):
        assert [found["id"] for found in api.get(f"{CASES}?{urlencode(parameters)}").json()["results"]] == [
            str(case.pk)
        ]


def test_pages_hold_every_case_once_also_where_times_are_equal(api: ApiClient, clinician: User) -> None:
    cases = [factories.case(clinician) for _ in range(7)]
    for case in cases[2:6]:
        Case.objects.filter(pk=case.pk).update(submitted_at=cases[2].submitted_at)
    expected = [str(pk) for pk in Case.objects.order_by("-submitted_at", "-id").values_list("pk", flat=True)]

    seen: list[str] = []
    url: str | None = f"{CASES}?page_size=2"
    while url:
        page = api.get(url).json()
        seen += [case["id"] for case in page["results"]]
        url = page["next"]
        if len(seen) == 2:
            factories.case(clinician)  # arrives while somebody pages, and disturbs nothing

    assert seen == expected


def test_a_case_of_an_erased_patient_shows_what_may_remain(api: ApiClient, clinician: User) -> None:
    case = answered_case(clinician)
    assert case.patient.data_key_row is not None
    case.patient.data_key_row.delete()

    shown = show(api, case)

    assert shown["note"] == ""
    assert [image["content"] for image in shown["images"]] == [None]
    assert shown["analysis"]["map"] is None
    assert shown["analysis"]["malignancy_risk"] == 0.25


def test_a_case_stored_without_consent_is_read_once_the_patient_consents(api: ApiClient, clinician: User) -> None:
    case = factories.submit(clinician, factories.new_case(consents=[])).case
    retry = f"{CASES}{case.pk}/retry/"

    refused = api.send(retry)
    factories.grant(case.patient, clinician)
    accepted = api.send(retry)
    again = api.send(retry)

    assert (refused.status_code, refused.json()["code"]) == (409, "no_consent")
    assert (accepted.status_code, accepted.json()["state"]) == (202, "waiting")
    assert (again.status_code, again.json()["code"]) == (409, "not_to_be_retried")
