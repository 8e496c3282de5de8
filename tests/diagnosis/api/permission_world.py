"""A case, the people who may or may not see it, and one request by each of them to any address."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from diagnosis.api import image_links
from diagnosis.api.sealed_cases import Content, write_content
from diagnosis.api.service_rules import RULES
from diagnosis.classifier.bundle import BUNDLES, MANIFEST
from diagnosis.classifier.shipped import SHIPPED_BUNDLE
from diagnosis.models import (
    Case,
    ConsentEvent,
    ConsentScope,
    EmergencyAccess,
    EmergencyReason,
    MessageImage,
    ModelVersion,
    Referral,
    Webhook,
    WebhookDelivery,
)
from diagnosis.services import emergency
from diagnosis.services.referral_messages import send_message
from skincare.accounts.models import Organisation, Role, TokenScope, User
from skincare.envelopes import seal_envelope
from tests import factories
from tests.diagnosis.api.permission_table import API, PAGES
from tests.diagnosis.api.requests import PHOTOGRAPH, ApiClient, new_case, token_for
from tests.diagnosis.api.test_patients import consent
from tests.diagnosis.api.test_pictures import case_with_a_map
from tests.diagnosis.services.answers import version
from tests.training.test_models import dataset, run
from training.models import Dataset, TrainingRun


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


def referrable(world: World) -> Case:
    """The world's case, with the consent that a referral needs."""
    factories.grant(world.case.patient, world.own, ConsentScope.TELEDERMATOLOGY)
    return world.case


def opened_record(world: World) -> EmergencyAccess:
    """The case's record, opened in an emergency by the clinician of the other clinic."""
    other = world.users["other"]
    assert other is not None
    allow_emergencies(world)
    wanted = emergency.Wanted(factories.organisation_of(world.own).pk, record_number=world.case.patient.record_number)
    return emergency.open_access(
        user=other, wanted=wanted, reason=EmergencyReason.ACUTE, explanation="Brought in unconscious."
    )


def allow_emergencies(world: World) -> None:
    """To the other clinic."""
    other, administrator = world.users["other"], world.users["administrator"]
    assert other is not None
    assert administrator is not None
    clinic = factories.organisation_of(world.own)
    named = [factories.organisation_of(other)]
    emergency.set_policy(user=administrator, organisation=clinic, enabled=True, minutes=60, open_to=named)


def dataset_to_learn_from() -> Dataset:
    """The one dataset."""
    return Dataset.objects.first() or dataset()


def waiting_run() -> TrainingRun:
    """The one run."""
    return TrainingRun.objects.first() or run()


def version_with_its_manifest() -> ModelVersion:
    """The version in service, with what a model card is made from."""
    made = version()
    made.manifest = json.loads((BUNDLES / SHIPPED_BUNDLE / MANIFEST).read_text())
    made.save(update_fields=["manifest"])
    return made


def elsewhere() -> Organisation:
    """A service where nobody here works."""
    kind = Organisation.Kind.DERMATOLOGY_SERVICE
    return Organisation.objects.get_or_create(name="Elsewhere", defaults={"kind": kind})[0]


def webhook_of(world: World) -> Webhook:
    """The clinic's one webhook, with one delivery that was given up."""
    clinic = factories.organisation_of(world.own)
    made = Webhook.objects.filter(organisation=clinic, url="https://1.1.1.1/hook").first()
    if made is None:
        made = Webhook.objects.create(organisation=clinic, url="https://1.1.1.1/hook", created_by=world.own)
        now = timezone.now()
        WebhookDelivery.objects.create(
            webhook=made, event="answer", payload={}, state="given_up", created_at=now, not_before=now, ended_at=now
        )
    return made


def message_photograph(world: World) -> UUID:
    """One that the clinician sent, or none where nothing was referred."""
    if world.referral is None:
        return uuid4()
    found = MessageImage.objects.filter(message__referral=world.referral).first()
    if found is None:
        photograph = factories.PHOTOGRAPH.read_bytes()
        message = send_message(user=world.own, referral_id=world.referral.pk, text="Closer.", images=[photograph])
        found = message.images.get()
    return found.pk


def address_of(route: str, world: World, user: User | None) -> str:
    """The address of a route for the case of this world."""
    case = world.case
    if route.endswith("$"):
        return f"/{API}nowhere/"
    if route.startswith("worklist/"):
        referral = Referral.objects.first() or factories.referral(world.own, of=referrable(world))
        image = world.case.images.get().pk
        for part, value in (
            ("<uuid:pk>", referral.pk),
            ("<uuid:image>", image),
            ("<slug:action>", "accept"),
            ("<slug:kind>", "referral-letter"),
        ):
            route = route.replace(part, str(value))
        return f"/{route}"
    if route == "consents/<uuid:pk>/":
        return f"/consents/{case.patient_id}/"
    if "organisations/<uuid:pk>/emergency" in route:
        return f"/{route.replace('<uuid:pk>', str(factories.organisation_of(world.own).pk))}"
    if "emergency" in route and "<uuid:pk>" in route:
        route = route.replace("<uuid:pk>", str(opened_record(world).pk))
        return f"/{route.replace('<uuid:image>', str(case.images.get().pk))}"
    if route.startswith("account/"):
        # The case's clinic; somebody else's passkey, session and token.
        clinic = str(factories.organisation_of(world.own).pk)
        own = clinic if "organisations" in route else str(uuid4())
        return f"/{route.replace('<uuid:pk>', own).replace('<int:pk>', '1').replace('<slug:name>', '0' * 16)}"
    if "<uuid:pk>" not in route:
        return f"/{route}"
    if route.startswith(("services/", "outcomes/")):
        own = {"rules": elsewhere().pk, "webhooks": factories.organisation_of(world.own).pk}
        pk = next((value for part, value in own.items() if part in route), case.lesion_id)
        return f"/{route.replace('<uuid:pk>', str(pk))}"
    kind = route.removeprefix(API).removeprefix("training/").partition("/")[0]
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
        "reference-images": uuid4(),
        "referrals": world.referral.pk if world.referral else None,
        "service-policies": elsewhere().pk,
        "saved-views": uuid4(),
        "snippets": uuid4(),
        "opinions": uuid4(),
        "webhooks": webhook_of(world).pk,
        "webhook-deliveries": webhook_of(world).deliveries.order_by("created_at")[0].pk,
        "versions": version_with_its_manifest().pk,
        "datasets": dataset_to_learn_from().pk,
        "training-runs": waiting_run().pk,
        "runs": waiting_run().pk,
    }[kind]
    if "message-photographs" in route:
        route = route.replace("<uuid:image>", str(message_photograph(world)))
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
        case "patients/look-up/" | "worklist/look-up/":
            return {"record_number": world.case.patient.record_number}
        case "patients/<uuid:pk>/consents/":
            return consent()
        case "emergency-accesses/":
            allow_emergencies(world)
            return {
                "organisation": str(factories.organisation_of(world.own).pk),
                "record_number": world.case.patient.record_number,
                "reason": "acute",
                "explanation": "Brought in unconscious.",
            }
        case "patients/<uuid:pk>/correct/":
            return {"reason": "changed", "name": str(uuid4())}
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
        case "cases/<uuid:pk>/decisions/":
            return {"kind": "close", "reason": "harmless"}
        case "referrals/<uuid:pk>/messages/":
            return {"text": "Thank you"}
        case "outcomes/":
            return {
                "lesion": str(world.case.lesion_id),
                "kind": "histology",
                "diagnosis": "nevus",
                "determined_on": "2026-01-05",
            }
        case "notices/preference/":
            return {"mail": "daily"}
        case "saved-views/":
            return {"name": "Heads", "anatom_site_general": "head/neck"}
        case "snippets/" | "snippets/<uuid:pk>/":
            return {"title": "Mole", "text": "Regular network."}
        case "service-policies/<uuid:pk>/":
            return dict(RULES)
        case "webhooks/":
            return {"url": "https://8.8.8.8/hook"}
        case "opinions/<uuid:pk>/actions/":
            return {"action": "decline"}
        case "referrals/<uuid:pk>/opinions/":
            return {"service": str(world.referral.service_id) if world.referral else ""}
        case "training-runs/":
            return {
                "recipe": "house",
                "datasets": [str(dataset_to_learn_from().pk)],
                "options": {"init_weights": "none"},
            }
        case "training/":
            wanted = {"id": uuid4(), "recipe": "house", "datasets": dataset_to_learn_from().pk, "init_weights": "none"}
            return {name: str(value) for name, value in wanted.items()}
        case "training/versions/<uuid:pk>/":
            return {"action": "judge"}
        case "model-versions/<uuid:pk>/shadow/":
            return {"on": True}
        case "lesions/":
            return {"patient": str(world.case.patient_id), "anatom_site_general": "head/neck"}
    return {}


def ask(method: str, route: str, world: World, person: str) -> Any:
    """One request by one person."""
    user, client = world.users[person], world.client(person)
    address = address_of(route, world, user)
    if route.startswith("training/"):
        client = ApiClient()
        if user is not None:
            client.force_login(user)
        content = urlencode(body_of(route, world, user)) if method == "POST" else ""
        return client.generic(method, address, content, content_type="application/x-www-form-urlencoded")
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
    if route == f"{API}outcomes/import/":
        file = SimpleUploadedFile("outcomes.csv", b"lesion,kind,diagnosis,determined_on\n", "text/csv")
        return client.post(address, {"file": file})
    if method == "POST":
        return client.send(address, body_of(route, world, user))
    if method == "PUT":
        return client.put(address, json.dumps(body_of(route, world, user)), content_type="application/json")
    return client.generic(method, address)


def walk(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    """Every route, with what stands before it."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        else:
            yield route
