"""Whatever shows or changes a patient's data leaves an event that says who; an address that forgets it fails here."""

import pytest

from skincare.audit.models import AuditEvent
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_table import API, PEOPLE, TABLE
from tests.diagnosis.api.permission_world import World
from tests.diagnosis.api.requests import ApiClient

world = permission_world.world

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
    f"{API}worklist/look-up/": "of another service in this world; see tests/diagnosis/api/test_reading_room.py",
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
            "training/versions/<uuid:pk>/card/",
            "training/datasets/<uuid:pk>/",
            "training/leakage/",
            f"{API}datasets/",
            f"{API}datasets/<uuid:pk>/",
            f"{API}training-runs/",
            f"{API}training-runs/<uuid:pk>/",
            f"{API}training-runs/<uuid:pk>/cancel/",
        ),
        "learning: counts and fingerprints; recorded without a patient",
    ),
    **dict.fromkeys(
        (
            "services/",
            "services/<uuid:pk>/rules/",
            "services/<uuid:pk>/webhooks/",
            "services/<uuid:pk>/webhooks/<uuid:hook>/",
            f"{API}service-policies/",
            f"{API}service-policies/<uuid:pk>/",
            f"{API}webhooks/",
            f"{API}webhooks/<uuid:pk>/",
            f"{API}webhooks/<uuid:pk>/secret/",
            f"{API}webhooks/<uuid:pk>/deliveries/",
            f"{API}webhook-deliveries/<uuid:pk>/resend/",
        ),
        "a service's rules and its integrators: ids, states and times; recorded without a patient",
    ),
    **dict.fromkeys(
        (
            "worklist/texts/",
            f"{API}snippets/",
            f"{API}snippets/<uuid:pk>/",
            f"{API}saved-views/",
            f"{API}saved-views/<uuid:pk>/",
        ),
        "the reader's own texts and views",
    ),
    **dict.fromkeys(
        ("notices/", f"{API}notices/", f"{API}notices/seen/", f"{API}notices/preference/"),
        "kinds and links; what they lead to records",
    ),
    **dict.fromkeys(("insight/", f"{API}insight/"), "counts, small ones left out; see tests of insight"),
    **dict.fromkeys(
        (f"{API}emergency-accesses/", f"{API}emergency-accesses/<uuid:pk>/", f"{API}emergency-organisations/"),
        "when and for which reason the user opened a record; opening and reading it are recorded",
    ),
    "privacy/organisations/<uuid:pk>/emergency/": "who may open records in an emergency",
    "worklist/find/": "of another service in this world; see tests/diagnosis/web/test_worklist.py",
    "privacy/emergency/": "here an empty list; see tests/diagnosis/privacy/test_emergency.py",
    "outcomes/": "here an empty list; see tests of outcomes",
    "outcomes/import/": "a form",
    f"{API}outcomes/import/": "here a file that names nobody; see tests of outcomes",
    f"{API}referrals/<uuid:pk>/seen/": "notes that the user has looked; shows nothing",
    "consents/": "asks for a patient; with one named, the page that it leads to records",
    "^api/(?P<path>.*)$": "nothing",
    "capture/": "the phone app without any data; what it shows it asks the API for",
    "capture/manifest.webmanifest": "the phone app's name and icons",
    "capture/service-worker.js": "the phone app's own files",
    f"{API}sealing-key/": "a public key",
    "sign-in/": "a form",
    "worklist/": "here an empty list; see tests/diagnosis/web/test_worklist.py",
    "worklist/<uuid:pk>/revision/": "a number of changes",
    "sign-out/": "the user's own session",
    **{route: "signing in, and one's own account" for _, route in TABLE if route.startswith(SIGNING_IN)},
}
#: Lists that are empty in this world; they must stay so, or record what they show.
EMPTY_HERE = {f"{API}observations/", f"{API}opinions/", f"{API}outcomes/", f"{API}outcomes/due/"}
#: A page that did what was asked and leads on, or is shown again with what is missing.
OF_PAGES = {303, 422}
#: What creates a patient of its own.
OF_A_NEW_PATIENT = {("POST", f"{API}patients/")}


@pytest.mark.parametrize(
    ("method", "route"),
    [key for key in TABLE if key[1] not in WITHOUT_PATIENTS],
    ids=[" ".join(key) for key in TABLE if key[1] not in WITHOUT_PATIENTS],
)
@pytest.mark.django_db
def test_who_saw_or_changed_a_patient_is_recorded_with_request_and_address(
    method: str, route: str, world: World
) -> None:
    permission_world.address_of(route, world, None)  # makes what it names
    answers = dict(zip(PEOPLE, TABLE[method, route], strict=True))
    for person in PEOPLE:
        before = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True)[0]
        answer = permission_world.ask(method, route, world, person)
        if answer.streaming:
            b"".join(answer.streaming_content)
        events = AuditEvent.objects.filter(pk__gt=before, patient_id__isnull=False)
        events = events.exclude(action="emergency.opened")  # by this world, where somebody has ended it
        about_one = "<uuid:" in route and not route.startswith(API) and person != "anonymous"
        if answers[person] >= 300 and not (about_one and answers[person] in OF_PAGES):
            if answers[person] != 409:
                assert not events.exists(), person
            continue
        other_patient = person == "other" or (method, route) in OF_A_NEW_PATIENT
        mine = events.filter(actor=world.users[person])
        if (person == "other" or route in EMPTY_HERE) and not _shows_something(answer):
            continue
        assert mine.exists(), person
        if not other_patient:
            assert mine.filter(patient_id=world.case.patient_id).exists(), person
        for event in mine:
            assert event.organisation_id is not None
            assert event.request_id == answer["X-Request-ID"]
            assert event.address == "127.0.0.1"


def _shows_something(answer: object) -> bool:
    """Whether a list has rows: the clinician of another clinic gets empty ones. Pages and pictures always do."""
    if "json" not in answer["Content-Type"]:  # type: ignore[index]
        return True
    found = answer.json()  # type: ignore[attr-defined]
    return bool(found["results"] if isinstance(found, dict) and "results" in found else found)


@pytest.mark.django_db
def test_an_unchanged_case_that_is_polled_shows_nothing_and_records_nothing(world: World) -> None:
    api: ApiClient = world.client("own")
    address = f"/{API}cases/{world.case.pk}/"
    etag = api.get(address)["ETag"]
    before = AuditEvent.objects.count()
    assert api.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert AuditEvent.objects.count() == before


@pytest.mark.django_db
def test_events_hold_ids_and_nothing_of_the_patient(world: World) -> None:
    permission_world.message_photograph(world)  # sent before the referral is withdrawn
    for method, route in TABLE:
        if route.startswith(API) and route not in WITHOUT_PATIENTS and "erase" not in route:
            answer = permission_world.ask(method, route, world, "own")
            if answer.streaming:
                b"".join(answer.streaming_content)
    patient = world.case.patient
    written = str(list(AuditEvent.objects.values()))
    for secret in (patient.record_number, patient.name, patient.birth_date, world.own.email):
        assert not secret or secret not in written
