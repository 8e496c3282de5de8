"""Who gets what at which address: one table of route, method and person. A route that is not in it fails."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver, get_resolver, path

from diagnosis.api import image_links
from diagnosis.api.sealed_cases import Content, write_content
from diagnosis.models import Case, ConsentEvent, ConsentScope, Referral
from skincare.accounts.models import Organisation, Role, TokenScope, User
from skincare.envelopes import seal_envelope
from tests import factories
from tests.diagnosis.api.requests import PHOTOGRAPH, ApiClient, new_case, token_for
from tests.diagnosis.api.test_patients import consent
from tests.diagnosis.api.test_pictures import case_with_a_map
from tests.diagnosis.services.answers import version

#: Everything that the Django admin serves. It asks for a member of staff itself (see the last test) and has no
#: patient data (see tests of diagnosis/admin.py).
LEFT_TO_THE_ADMIN = "admin/"

PEOPLE = ("anonymous", "own", "other", "dermatologist", "administrator", "steward", "reader")
"""Nobody; a clinician of the case's clinic; one of another clinic; a dermatologist to whom nothing was referred; an
administrator of the case's clinic; a model steward; a colleague of the clinic with a token that may only read."""

ALL_200 = (200,) * 7
SIGNED_IN = (401, 200, 200, 200, 200, 200, 200)
A_LIST = (401, 200, 200, 403, 403, 403, 200)
AN_OBJECT = (401, 200, 404, 403, 403, 403, 200)
OWN_ACCOUNT = (302, 200, 200, 200, 200, 200, 200)
NOT_ONES_OWN = (302, 404, 404, 404, 404, 404, 404)
#: For clinicians, and for dermatologists to whom it was referred.
A_CASE_OF_READERS = (401, 200, 404, 404, 403, 403, 200)
A_PAGE_OF_ADMINISTRATORS = (302, 403, 403, 403, 200, 403, 403)  # 302: to the log-in

API = "api/v1/"
TABLE: dict[tuple[str, str], tuple[int, ...]] = {
    ("GET", ""): ALL_200,
    ("GET", "favicon.ico"): (302,) * 7,
    ("GET", "sign-in/"): ALL_200,
    ("GET", "sign-in/code/"): (302,) * 7,  # only half-way through signing in
    ("GET", "sign-in/passkey/"): (302,) * 7,
    ("POST", "sign-out/"): (302,) * 7,
    ("POST", "appearance/"): (303,) * 7,
    ("GET", "start/"): (302,) * 7,
    ("GET", "healthz"): ALL_200,
    ("GET", "readyz"): (503,) * 7,  # no worker runs in this test
    ("GET", "api/schema/"): ALL_200,
    ("GET", "api/docs/"): ALL_200,
    ("GET", "capture/"): (302, 200, 200, 403, 403, 403, 200),
    ("GET", "capture/manifest.webmanifest"): ALL_200,
    ("GET", "capture/service-worker.js"): ALL_200,
    ("GET", "privacy/"): A_PAGE_OF_ADMINISTRATORS,
    ("POST", "privacy/"): (302, 403, 403, 403, 303, 403, 403),
    ("GET", "privacy/patients/<uuid:pk>/"): A_PAGE_OF_ADMINISTRATORS,
    ("GET", "account/"): OWN_ACCOUNT,
    ("GET", "account/confirm/"): OWN_ACCOUNT,
    ("GET", "account/confirm/code/"): (302,) * 7,  # nobody here has a second factor
    ("GET", "account/confirm/passkey/"): (302,) * 7,
    ("GET", "account/password/"): OWN_ACCOUNT,
    ("GET", "account/second-factor/"): (302,) * 7,  # nor needs one
    ("GET", "account/app/"): (302,) * 7,  # 302: confirm first that it is you
    ("GET", "account/app/remove/"): NOT_ONES_OWN,
    ("GET", "account/passkeys/"): (302,) * 7,
    ("GET", "account/passkeys/<int:pk>/remove/"): (302,) * 7,
    ("GET", "account/recovery-codes/"): NOT_ONES_OWN,
    ("GET", "account/recovery-codes/new/"): (302,) * 7,
    ("POST", "account/sessions/end-others/"): (302,) * 7,
    ("POST", "account/sessions/<uuid:pk>/end/"): NOT_ONES_OWN,
    ("GET", "account/tokens/"): (302,) * 7,
    ("POST", "account/tokens/<slug:name>/end/"): NOT_ONES_OWN,
    ("GET", "account/organisations/<uuid:pk>/"): A_PAGE_OF_ADMINISTRATORS,
    ("POST", f"{API}auth/token/"): (201,) * 7,
    ("GET", f"{API}auth/token/"): SIGNED_IN,
    ("DELETE", f"{API}auth/token/"): (401, 204, 204, 204, 204, 204, 204),
    ("POST", f"{API}auth/token/logout-all/"): (401, 204, 204, 204, 204, 204, 403),
    ("GET", f"{API}me/"): SIGNED_IN,
    ("GET", f"{API}patients/"): A_LIST,
    ("POST", f"{API}patients/"): (401, 201, 201, 403, 403, 403, 403),
    ("POST", f"{API}patients/look-up/"): A_LIST,
    ("GET", f"{API}patients/<uuid:pk>/"): AN_OBJECT,
    ("GET", f"{API}patients/<uuid:pk>/consents/"): AN_OBJECT,
    ("POST", f"{API}patients/<uuid:pk>/consents/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}patients/<uuid:pk>/accesses/"): (401, 403, 403, 403, 200, 403, 403),
    ("POST", f"{API}patients/<uuid:pk>/erase/"): (401, 403, 403, 403, 200, 403, 403),
    ("POST", f"{API}patients/<uuid:pk>/export/"): (401, 200, 404, 403, 200, 403, 403),
    ("GET", f"{API}consents/<uuid:pk>/signature/"): AN_OBJECT,
    ("GET", f"{API}consent-policies/"): SIGNED_IN,
    ("GET", f"{API}lesions/"): A_LIST,
    ("POST", f"{API}lesions/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}lesions/<uuid:pk>/"): AN_OBJECT,
    ("GET", f"{API}cases/"): A_LIST,
    ("POST", f"{API}cases/"): (401, 201, 404, 403, 403, 403, 403),
    ("POST", f"{API}sealed-cases/"): (401, 201, 404, 403, 403, 403, 403),
    ("GET", f"{API}sealing-key/"): SIGNED_IN,
    ("GET", f"{API}cases/<uuid:pk>/"): AN_OBJECT,
    ("POST", f"{API}cases/<uuid:pk>/retry/"): (401, 409, 404, 403, 403, 403, 403),  # 409: it has an answer
    ("GET", f"{API}images/<uuid:pk>/content/"): A_CASE_OF_READERS,
    ("GET", f"{API}analyses/<uuid:pk>/map/"): A_CASE_OF_READERS,
    ("GET", f"{API}diagnoses/"): SIGNED_IN,
    ("GET", f"{API}referral-services/"): A_LIST,
    ("GET", f"{API}referrals/"): A_LIST,
    ("POST", f"{API}referrals/"): (401, 409, 404, 403, 403, 403, 403),  # 409: it is before a service
    ("GET", f"{API}referrals/<uuid:pk>/"): A_CASE_OF_READERS,
    ("POST", f"{API}referrals/<uuid:pk>/actions/"): (401, 200, 404, 404, 403, 403, 403),
    ("POST", f"{API}referrals/<uuid:pk>/first-read/"): (401, 403, 403, 404, 403, 403, 403),
    ("POST", f"{API}referrals/<uuid:pk>/assessments/"): (401, 403, 403, 404, 403, 403, 403),
    ("GET", f"{API}referrals/<uuid:pk>/messages/"): A_CASE_OF_READERS,
    ("POST", f"{API}referrals/<uuid:pk>/messages/"): (401, 201, 404, 404, 403, 403, 403),
    ("GET", f"{API}worklist/"): (401, 403, 403, 200, 403, 403, 403),
    ("GET", f"{API}model-versions/"): SIGNED_IN,
    ("GET", f"{API}model-versions/<uuid:pk>/"): SIGNED_IN,
    ("GET", "^api/(?P<path>.*)$"): (404,) * 7,
}
#: Where the clinic's administrator sees who did what: ids and colleagues' addresses, but nothing of the patient.
WHO_SAW = {("GET", f"{API}patients/<uuid:pk>/accesses/"), ("GET", "privacy/patients/<uuid:pk>/")}
#: Where that administrator sees which colleagues have no second factor.
WHO_IS_HERE = {("GET", "account/organisations/<uuid:pk>/")}
#: Answered to a browser's session.
PAGES = ("privacy/", "account/", "capture/")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass
class World:
    """A case of one clinic, and the people who may or may not see it."""

    own: User
    case: Case
    signed: ConsentEvent
    users: dict[str, User | None] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    referral: Referral | None = None

    def client(self, person: str) -> ApiClient:
        """Requests by the person."""
        return ApiClient(self.tokens.get(person, ""))


@pytest.fixture
def world(db: None) -> World:
    """The case and the people."""
    own = factories.clinician()
    clinic = factories.organisation_of(own)
    service = factories.organisation(Organisation.Kind.DERMATOLOGY_SERVICE)
    case = case_with_a_map(own)
    made = World(own, case, factories.signed(case.patient, own))
    factories.grant(made.case.patient, own, ConsentScope.TELEDERMATOLOGY)
    made.referral = factories.referral(own, of=made.case)
    made.users = {
        "anonymous": None,
        "own": own,
        "other": factories.clinician(),
        "dermatologist": factories.member(Role.DERMATOLOGIST, service),
        "administrator": factories.member(Role.ADMINISTRATOR, clinic),
        "steward": factories.user(is_model_steward=True),
        "reader": factories.clinician(clinic),
    }
    for person, user in made.users.items():
        if user is not None:
            scopes = [TokenScope.READ] if person == "reader" else [TokenScope.READ, TokenScope.WRITE]
            made.tokens[person] = token_for(user, *scopes)
    return made


def address_of(route: str, world: World, user: User | None) -> str:
    """The address of a route for the case of this world."""
    case = world.case
    if route.endswith("$"):
        return f"/{API}nowhere/"
    if route.startswith("account/"):
        # The case's clinic; somebody else's passkey, session and token.
        clinic = str(factories.organisation_of(world.own).pk)
        own = clinic if "organisations" in route else str(uuid4())
        return f"/{route.replace('<uuid:pk>', own).replace('<int:pk>', '1').replace('<slug:name>', '0' * 16)}"
    if "<uuid:pk>" not in route:
        return f"/{route}"
    kind = route.removeprefix(API).partition("/")[0]
    image = case.images.get()
    pk = {
        "patients": case.patient_id,
        "privacy": case.patient_id,
        "lesions": case.lesion_id,
        "cases": case.pk,
        "images": image.pk,
        "analyses": case.analysis.pk,
        "consents": world.signed.pk,
        "model-versions": version().pk,
        "referrals": world.referral.pk if world.referral else None,
    }[kind]
    address = f"/{route.replace('<uuid:pk>', str(pk))}"
    if kind == "images" and user is not None:
        # Each comes with a signature of their own, so that only who they are decides.
        expires = (image_links.bucket() + 2) * image_links.BUCKET_SECONDS
        address += f"?signature={image_links._signature(image.pk, user.pk, expires)}"
    return address


def body_of(route: str, world: World, user: User | None) -> Any:
    """A body that is right for the route's POST."""
    match route.removeprefix(API):
        case "auth/token/":
            return {"email": (user or world.own).email, "password": factories.PASSWORD}
        case "patients/":
            return {"record_number": str(uuid4())}
        case "patients/look-up/":
            return {"record_number": world.case.patient.record_number}
        case "patients/<uuid:pk>/consents/":
            return consent()
        case "patients/<uuid:pk>/erase/":
            return {"reason": "patient_request", "record_number": world.case.patient.record_number}
        case "referrals/":
            assert world.referral is not None
            return {"case": str(world.case.pk), "service": str(world.referral.service_id), "urgency": "soon"}
        case "referrals/<uuid:pk>/actions/":
            return {"action": "withdraw"}
        case "referrals/<uuid:pk>/first-read/":
            return {"diagnosis": "nevus", "confidence": 50}
        case "referrals/<uuid:pk>/assessments/":
            return {"diagnosis": "nevus", "confidence": 50, "plan": "reassure"}
        case "referrals/<uuid:pk>/messages/":
            return {"text": "Thank you"}
        case "lesions/":
            return {"patient": str(world.case.patient_id), "anatom_site_general": "head/neck"}
    return {}


def ask(method: str, route: str, world: World, person: str) -> Any:
    """One request by one person."""
    user, client = world.users[person], world.client(person)
    address = address_of(route, world, user)
    if route.startswith(PAGES):
        client = ApiClient()
        if user is not None:
            client.force_login(user)
        return client.generic(
            method,
            address,
            urlencode({"patient": world.case.patient.record_number}) if method == "POST" else "",
            content_type="application/x-www-form-urlencoded",
        )
    if (method, route) == ("POST", f"{API}sealed-cases/"):
        key = uuid4()
        content = Content(new_case(patient=str(world.case.patient_id)), [PHOTOGRAPH])
        envelope = seal_envelope(write_content(content), case=key, author=(user or world.own).pk)
        return client.generic(
            "POST", address, envelope, "application/octet-stream", headers={"Idempotency-Key": str(key)}
        )
    if (method, route) == ("POST", f"{API}cases/"):
        form = {
            "case": json.dumps(new_case(patient=str(world.case.patient_id))),
            "images": SimpleUploadedFile("p.jpg", PHOTOGRAPH),
        }
        return client.post(address, form, headers={"Idempotency-Key": str(uuid4())})
    if method == "POST":
        return client.send(address, body_of(route, world, user))
    return client.generic(method, address)


@pytest.mark.parametrize(("method", "route"), list(TABLE), ids=[" ".join(key) for key in TABLE])
def test_each_person_gets_what_the_table_says(method: str, route: str, world: World) -> None:
    patient = world.case.patient
    secrets = [
        patient.record_number,
        patient.birth_date,
        str(world.case.pk),
        str(world.case.lesion_id),
        world.own.email,
    ]
    answered: dict[str, int] = {}
    for person in PEOPLE:
        answer = ask(method, route, world, person)
        answered[person] = answer.status_code
        if person not in ("own", "reader"):
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
            ids_shown = person == "administrator" and (method, route) in WHO_SAW | WHO_IS_HERE
            for secret in secrets[:2] if ids_shown else secrets:
                assert secret.encode() not in content, (person, secret)

    assert answered == dict(zip(PEOPLE, TABLE[method, route], strict=True))


@pytest.mark.parametrize("route", sorted({route for _, route in TABLE if route.startswith(API) and "$" not in route}))
def test_a_method_that_is_not_in_the_table_is_not_there(route: str, world: World) -> None:
    for method in METHODS:
        if (method, route) in TABLE:
            continue
        for person in PEOPLE:
            answer = world.client(person).generic(method, address_of(route, world, world.users[person]))
            assert answer.status_code == (401 if person == "anonymous" else 405), (method, person)


def walk(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    """Every route, with what stands before it."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        else:
            yield route


def missing_from_table(patterns: list[URLPattern | URLResolver]) -> set[str]:
    """Routes that the table does not have."""
    known = {route for _, route in TABLE}
    return {route for route in walk(patterns) if route not in known and not route.startswith(LEFT_TO_THE_ADMIN)}


def test_every_route_is_in_the_table_and_every_row_is_a_route() -> None:
    patterns = get_resolver().url_patterns
    assert missing_from_table(patterns) == set()
    assert {route for _, route in TABLE} - set(walk(patterns)) == set()


def test_a_route_that_somebody_adds_is_missed() -> None:
    def view(*_: object) -> None:
        """Answers nothing."""

    nested = path("deep/", ([path("down/", view)], "", ""))  # type: ignore[arg-type]
    assert missing_from_table([*get_resolver().url_patterns, path("new/", view), nested]) == {"new/", "deep/down/"}  # type: ignore[arg-type]


def test_the_admin_asks_everybody_but_staff_to_log_in(world: World) -> None:
    for user in world.users.values():
        browser = ApiClient()
        if user is not None:
            browser.force_login(user)
        answer = browser.get("/admin/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_a_view_that_declares_nothing_answers_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnosis.api.me import MeView

    monkeypatch.setattr(MeView, "access", {})
    statuses: Callable[[], list[int]] = lambda: [  # noqa: E731
        world.client(person).get(f"/{API}me/").status_code for person in PEOPLE
    ]
    assert statuses() == [401, *[403] * 6]
