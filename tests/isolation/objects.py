"""Opens everything with an address of its own, and names foreign things in the bodies of writes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID, uuid4

from diagnosis.api import image_links
from diagnosis.models import Referral
from skincare.accounts.models import Role, User
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_table import API, PAGES, TABLE
from tests.diagnosis.api.requests import ApiClient, new_case, token_for
from tests.isolation.attacker import Attacker, Leak
from tests.isolation.world import CLINICS, Place, Seen, World, message_image_of, photograph

#: Addresses with an id that is of no patient's.
OF_NO_PATIENT: Final = (
    "account/",
    "training/",
    "services/",
    *(
        f"{API}{name}/"
        for name in (
            "model-versions", "datasets", "training-runs", "service-policies", "saved-views", "snippets", "webhooks",
            "webhook-deliveries", "reference-images",
        )
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """An object with an address, whose clinic it belongs to, and the case and referral that it hangs on."""

    kind: str
    pk: UUID
    clinic: str
    seen: Seen | None = None
    referral: Referral | None = None
    image: UUID | None = None
    message_image: UUID | None = None
    #: Whose it is alone, whatever they and others are in the clinic.
    owner: User | None = None


class OpensObjects(Attacker):
    """One thing at a time."""

    def __init__(self, world: World, user: User, places: frozenset[Place]) -> None:
        super().__init__(world, user, places)
        self.nowhere: dict[tuple[str, str], Any] = {}

    def may(self, route: str, thing: Thing) -> bool:
        """Whether the thing may be known to the person at this address at all."""
        clinician = self.clinician(thing.clinic)
        administrator = self.world.is_administrator(self.places, thing.clinic)
        match thing.kind:
            case "patients" if route.endswith(("/accesses/", "/erase/")):
                return administrator
            case "patients" if route.endswith("/export/"):
                return administrator or clinician
            case "privacy" | "privacy/emergency" | "privacy/organisations":
                return administrator
            case "emergency" | "emergency-accesses":
                return thing.owner == self.user
            case "images" | "analyses":
                return clinician or self.reads_lesion(thing.seen)
            case "cases" if route.endswith("/leaflet/"):
                return clinician or self.reads(thing.seen, thing.referral)
            case "referrals":
                return clinician or self.reads(thing.seen, thing.referral)
            case "worklist" | "opinions":
                return self.reads(thing.seen, thing.referral)
            case _:
                return clinician

    def things(self) -> Iterator[Thing]:
        """Everything with an address of its own."""
        for (clinic, _), patient in self.world.patients.items():
            yield Thing("patients", patient.pk, clinic)
            yield Thing("privacy", patient.pk, clinic)
        for (clinic, *_), lesion in self.world.lesions.items():
            yield Thing("lesions", lesion.pk, clinic)
            yield Thing("outcomes", lesion.pk, clinic)
        for name, organisation in self.world.organisations.items():
            yield Thing("privacy/organisations", organisation.pk, name)
        for key, access in self.world.emergencies.items():
            image = next(
                case.images.get().pk for seen, case, _ in self.world.cases if (seen.clinic, seen.patient) == key
            )
            for kind in ("emergency", "emergency-accesses", "privacy/emergency"):
                yield Thing(kind, access.pk, key[0], image=image, owner=access.opened_by)
        for clinic, consent in self.world.consents:
            yield Thing("consents", consent.pk, clinic)
        for seen, case, referral in self.world.cases:
            image = case.images.get().pk
            yield Thing("cases", case.pk, seen.clinic, seen, referral)
            yield Thing("images", image, seen.clinic, seen)
            yield Thing("analyses", case.analysis.pk, seen.clinic, seen)
            if referral is not None:
                written = message_image_of(referral)
                of_message = written.pk if written else uuid4()
                for kind in ("referrals", "worklist"):
                    yield Thing(kind, referral.pk, seen.clinic, seen, referral, image, of_message)
                if referral.pk in self.world.opinions:
                    yield Thing("opinions", self.world.opinions[referral.pk].pk, seen.clinic, seen, referral)

    def objects(self) -> None:
        """At every address with an id: each foreign thing, beside one that does not exist; and each own thing."""
        things = list(self.things())
        known = {thing.kind for thing in things}
        for method, route in TABLE:
            if "<uuid:pk>" not in route or route.startswith(OF_NO_PATIENT):
                continue
            kind = route.removeprefix(API).partition("/<uuid:pk>/")[0]
            if not kind.startswith("privacy/"):
                kind = kind.partition("/")[0]
            elif kind == "privacy/patients":
                kind = "privacy"
            if kind not in {*known, "referrals", "worklist", "consents", "opinions"}:
                raise Leak(f"{route}: say in tests/isolation/objects.py which things are opened there")
            for thing in things:
                if thing.kind == kind:
                    self._open(method, route, thing)

    def _open(self, method: str, route: str, thing: Thing) -> None:
        if self.may(route, thing):
            simple = method == "GET" and route in (
                f"{API}{thing.kind}/<uuid:pk>/",
                "worklist/<uuid:pk>/revision/",
                "emergency/<uuid:pk>/",
                "privacy/organisations/<uuid:pk>/emergency/",
            )
            if simple and self._ask(method, route, thing).status_code != 200:
                raise Leak(f"{self.user} cannot open {route} of their own {thing}")
            return
        nowhere = Thing(thing.kind, uuid4(), thing.clinic, image=uuid4(), message_image=uuid4())
        if (method, route) not in self.nowhere:
            self.nowhere[method, route] = nowhere, self._ask(method, route, nowhere)
        nowhere, nothing = self.nowhere[method, route]
        if nothing.status_code >= 500 or nothing.status_code < 400:
            raise Leak(f"{self.user}: {method} {route} of nothing answers {nothing.status_code}")
        what = f"{method} {route} of {thing.kind} {thing.pk}"
        self.same(self._ask(method, route, thing), nothing, what, thing.pk, nowhere.pk)
        if method == "GET" and route == f"{API}cases/<uuid:pk>/":
            owner = ApiClient(token_for(self.world.clinicians[thing.clinic]))
            etag = owner.get(f"/{API}cases/{thing.pk}/")["ETag"]
            with_etag = self.api.get(f"/{API}cases/{thing.pk}/", headers={"If-None-Match": etag})
            self.same(with_etag, nothing, f"{what} with its owner's ETag", thing.pk, nowhere.pk)

    def _ask(self, method: str, route: str, thing: Thing) -> Any:
        parts = {
            "<uuid:pk>": thing.pk,
            "<uuid:image>": thing.message_image if "message-photographs" in route else thing.image,
            "<slug:action>": "accept",
            "<slug:kind>": "referral-letter",
        }
        address = "/" + re.sub(r"<[a-z]+:[a-z]+>", lambda found: str(parts[found[0]]), route)
        if route.startswith(PAGES):
            return self.browser.generic(method, address, "", "application/x-www-form-urlencoded")
        if thing.kind == "images":
            expires = (image_links.bucket() + 2) * image_links.BUCKET_SECONDS
            address += f"?signature={image_links._signature(thing.pk, self.user.pk, expires)}"
        if method != "POST":
            return self.api.generic(method, address)
        return self.api.send(address, self._body(route))

    def _body(self, route: str) -> Any:
        """A body that would be right."""
        patient = SimpleNamespace(record_number="SECRET-0001")
        shim: Any = SimpleNamespace(case=SimpleNamespace(patient=patient), referral=None, own=self.user)
        return permission_world.body_of(route, shim, self.user)

    def bodies(self) -> None:
        """Name foreign things in the bodies of writes, beside ones that do not exist."""
        for (clinic, number), patient in self.world.patients.items():
            if not self.clinician(clinic):
                self._named("lesions", patient.pk, lambda pk: {"patient": str(pk), "anatom_site_general": "head/neck"})
                self._submitted(patient.pk, None)
            for (other, owner, _), lesion in self.world.lesions.items():
                # A foreign lesion, or another patient's, under a patient of one's own.
                if self.clinician(clinic) and (other, owner) != (clinic, number):
                    self._submitted(patient.pk, lesion.pk)
        for name, organisation in self.world.organisations.items():
            # Only clinics allow emergencies, each to the other alone; an organisation's own people count as well.
            asks = {place.organisation for place in self.places if place.role in (Role.CLINICIAN, Role.DERMATOLOGIST)}
            if name not in CLINICS or not asks & set(CLINICS):
                self._named("emergency-accesses", organisation.pk, _in_an_emergency)
        service = str(self.world.organisations["S"].pk)
        for seen, case, _ in self.world.cases:
            if not self.clinician(seen.clinic):
                self._named("referrals", case.pk, lambda pk: {"case": str(pk), "service": service, "urgency": "soon"})

    def _named(self, name: str, pk: UUID, body: Callable[[UUID], dict[str, str]]) -> None:
        nowhere = uuid4()
        asked, nothing = (self.api.send(f"/{API}{name}/", body(each)) for each in (pk, nowhere))
        self.same(asked, nothing, f"POST {name}/ naming {pk}", pk, nowhere)

    def _submitted(self, patient: UUID, lesion: UUID | None) -> None:
        nowhere = uuid4()
        foreign = lesion or patient

        def send(pk: UUID) -> Any:
            parts = {"patient": str(patient), "lesion": str(pk)} if lesion else {"patient": str(pk)}
            return self.api.submit(new_case(**parts), images=[photograph()])

        self.same(send(foreign), send(nowhere), f"POST cases/ naming {foreign}", foreign, nowhere)


def _in_an_emergency(organisation: UUID) -> dict[str, str]:
    return {
        "organisation": str(organisation),
        "record_number": "SECRET-0001",
        "reason": "acute",
        "explanation": "Brought in unconscious.",
    }
