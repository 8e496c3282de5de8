"""Whatever shows or changes a patient's data leaves an event that says who; an address that forgets it fails here."""

import pytest

from skincare.audit.models import AuditEvent
from tests.diagnosis.api import test_permission_matrix as matrix
from tests.diagnosis.api.requests import ApiClient

API = matrix.API
world = matrix.world

SIGNING_IN = ("sign-in/", "account/")
#: Addresses that show nothing of any patient, each with the reason.
WITHOUT_PATIENTS = {
    "": "a page about the project",
    "favicon.ico": "an icon",
    "healthz": "a probe",
    "readyz": "a probe",
    "api/schema/": "the description of the API",
    "api/docs/": "the description of the API",
    "privacy/": "asks for a patient, or leads to the page that shows and records",
    f"{API}auth/token/": "the user's own tokens; recorded without a patient",
    f"{API}auth/token/logout-all/": "the user's own tokens; recorded without a patient",
    f"{API}me/": "the user themselves",
    f"{API}consent-policies/": "published texts",
    f"{API}diagnoses/": "a dictionary",
    f"{API}referral-services/": "names of services",
    f"{API}worklist/": "of another service in this world; its reads are in tests of referrals",
    f"{API}model-versions/": "the network",
    f"{API}model-versions/<uuid:pk>/": "the network",
    **{
        f"{API}model-versions/<uuid:pk>/{action}/": "the network; recorded without a patient"
        for action in ("release", "judge", "propose", "withdraw", "approve", "roll-back", "shadow")
    },
    **dict.fromkeys(
        (
            "training/",
            "training/runs/<uuid:pk>/",
            "training/runs/<uuid:pk>/progress/",
            "training/versions/<uuid:pk>/",
            f"{API}datasets/",
            f"{API}datasets/<uuid:pk>/",
            f"{API}training-runs/",
            f"{API}training-runs/<uuid:pk>/",
            f"{API}training-runs/<uuid:pk>/cancel/",
        ),
        "learning: counts and fingerprints; recorded without a patient",
    ),
    "^api/(?P<path>.*)$": "nothing",
    "capture/": "the phone app without any data; what it shows it asks the API for",
    "capture/manifest.webmanifest": "the phone app's name and icons",
    "capture/service-worker.js": "the phone app's own files",
    f"{API}sealing-key/": "a public key",
    "sign-in/": "a form",
    "sign-out/": "the user's own session",
    **{route: "signing in, and one's own account" for _, route in matrix.TABLE if route.startswith(SIGNING_IN)},
}
#: What creates a patient of its own.
OF_A_NEW_PATIENT = {("POST", f"{API}patients/")}


@pytest.mark.parametrize(
    ("method", "route"),
    [key for key in matrix.TABLE if key[1] not in WITHOUT_PATIENTS],
    ids=[" ".join(key) for key in matrix.TABLE if key[1] not in WITHOUT_PATIENTS],
)
@pytest.mark.django_db
def test_who_saw_or_changed_a_patient_is_recorded_with_request_and_address(
    method: str, route: str, world: matrix.World
) -> None:
    answers = dict(zip(matrix.PEOPLE, matrix.TABLE[method, route], strict=True))
    for person in matrix.PEOPLE:
        before = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True)[0]
        answer = matrix.ask(method, route, world, person)
        if answer.streaming:
            b"".join(answer.streaming_content)
        events = AuditEvent.objects.filter(pk__gt=before, patient_id__isnull=False)
        if answers[person] >= 300:
            if answers[person] != 409:
                assert not events.exists(), person
            continue
        other_patient = person == "other" or (method, route) in OF_A_NEW_PATIENT
        mine = events.filter(actor=world.users[person])
        if person == "other" and not _shows_something(answer):
            continue
        assert mine.exists(), person
        if not other_patient:
            assert mine.filter(patient_id=world.case.patient_id).exists(), person
        for event in mine:
            assert event.organisation_id is not None
            assert event.request_id == answer["X-Request-ID"]
            assert event.address == "127.0.0.1"


def _shows_something(answer: object) -> bool:
    """Whether a list has rows: the clinician of another clinic gets empty ones."""
    found = answer.json()  # type: ignore[attr-defined]
    return bool(found["results"] if isinstance(found, dict) and "results" in found else found)


@pytest.mark.django_db
def test_an_unchanged_case_that_is_polled_shows_nothing_and_records_nothing(world: matrix.World) -> None:
    api: ApiClient = world.client("own")
    address = f"/{API}cases/{world.case.pk}/"
    etag = api.get(address)["ETag"]
    before = AuditEvent.objects.count()
    assert api.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert AuditEvent.objects.count() == before


@pytest.mark.django_db
def test_events_hold_ids_and_nothing_of_the_patient(world: matrix.World) -> None:
    for method, route in matrix.TABLE:
        if route.startswith(API) and route not in WITHOUT_PATIENTS and "erase" not in route:
            answer = matrix.ask(method, route, world, "own")
            if answer.streaming:
                b"".join(answer.streaming_content)
    patient = world.case.patient
    written = str(list(AuditEvent.objects.values()))
    for secret in (patient.record_number, patient.name, patient.birth_date, world.own.email):
        assert not secret or secret not in written
