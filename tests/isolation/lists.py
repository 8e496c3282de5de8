"""Asks every list, count, filter and search, and every address without an id, for what is not one's own."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID, uuid4

from diagnosis.models import Patient
from skincare.accounts.models import Role
from tests.diagnosis.api.permission_table import API, PAGES, TABLE
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.isolation.attacker import Attacker, Leak, linked
from tests.isolation.world import OPEN, Place


class AsksLists(Attacker):
    """Lists, counts, filters and searches."""

    def expected(self) -> dict[str, list[UUID]]:
        """What each list must hold: no more, and no less."""
        cases = [case for seen, case, _ in self.world.cases if self.clinician(seen.clinic)]
        referrals = [r.pk for seen, _, r in self.world.cases if r is not None and self.clinician(seen.clinic)]
        return {
            "patients": [patient.pk for (clinic, _), patient in self.world.patients.items() if self.clinician(clinic)],
            "lesions": [lesion.pk for (clinic, *_), lesion in self.world.lesions.items() if self.clinician(clinic)],
            "cases": [case.pk for case in cases],
            "referrals": referrals,
        }

    def lists(self) -> None:
        """Page through every list; count it; narrow it to what is not one's own; go on from somebody else's cursor."""
        for name, wanted in self.expected().items():
            first = self.api.get(f"/{API}{name}/?page_size=1")
            if first.status_code == 403 and not wanted:
                continue
            shown = [UUID(row["id"]) for row in self._pages(f"/{API}{name}/?page_size=2", name)]
            if sorted(shown) != sorted(wanted):
                raise Leak(f"{self.user}: {name}/ has {shown} instead of {wanted}")
            for cursor in self._foreign_cursors(name):
                rows = self.api.get(f"/{API}{name}/?{urlencode({'cursor': cursor})}").json()["results"]
                self._only(name, rows, wanted)
            for parameter in {"lesions": ("patient",), "cases": ("patient", "lesion")}.get(name, ()):
                self._filters(name, parameter)
        self._worklists()

    def _pages(self, address: str, name: str) -> Iterator[dict[str, Any]]:
        for _ in range(50):
            page = self.api.get(address).json()
            yield from page["results"]
            if page["next"] is None:
                return
            parts = urlsplit(page["next"])
            address = f"{parts.path}?{parts.query}"
        raise Leak(f"{name}/ never ends")

    def _only(self, name: str, rows: list[dict[str, Any]], wanted: list[UUID]) -> None:
        foreign = {UUID(row["id"]) for row in rows} - set(wanted)
        if foreign:
            raise Leak(f"{self.user}: {name}/ shows {foreign}")

    def _foreign_cursors(self, name: str) -> Iterator[str]:
        for clinician in self.world.clinicians.values():
            following = ApiClient(token_for(clinician)).get(f"/{API}{name}/?page_size=1").json()["next"]
            if following:
                yield parse_qs(urlsplit(following).query)["cursor"][0]

    def _filters(self, name: str, parameter: str) -> None:
        nothing = self.api.get(f"/{API}{name}/?{parameter}={uuid4()}")
        things = self.world.patients if parameter == "patient" else self.world.lesions
        for (clinic, *_), thing in things.items():
            if not self.clinician(clinic):
                self.same(self.api.get(f"/{API}{name}/?{parameter}={thing.pk}"), nothing, f"{name}/?{parameter}=")

    def _worklists(self) -> None:
        for name, service in self.world.organisations.items():
            mine = Place(name, Role.DERMATOLOGIST) in self.places and name in self.world.dermatologists
            address = f"/{API}worklist/?service={service.pk}"
            answer = self.api.get(address)
            page = self.browser.get(f"/worklist/?service={service.pk}")
            if not mine:
                nowhere = uuid4()
                self.same(answer, self.api.get(f"/{API}worklist/?service={nowhere}"), address, service.pk, nowhere)
                nothing = self.browser.get(f"/worklist/?service={nowhere}")
                self.same(page, nothing, "/worklist/?service=", service.pk, nowhere)
                continue
            wanted = {
                referral.pk
                for seen, _, referral in self.world.cases
                if seen.referring and referral and seen.referring.service == name and seen.referring.fate in OPEN
            }
            shown = {UUID(row["id"]) for row in answer.json()["results"]}
            on_page = linked(page)
            in_list = linked(self.browser.get(f"/worklist/?service={service.pk}&part=list"))
            # Above the list, the page leads to the opinions that are asked of the reader, whatever the service.
            asked = {
                referral.pk
                for seen, _, referral in self.world.cases
                if referral and self.world.is_asked(self.user, self.places, seen, referral)
            }
            if shown != wanted or in_list != wanted or on_page != wanted | asked:
                raise Leak(
                    f"{self.user}: the worklist of {name} has {shown}, {in_list} and {on_page} instead of {wanted}, "
                    f"with {asked} on the page"
                )

    def everywhere(self) -> None:
        """Ask every address without an id for whatever it shows by itself: nothing of a patient who is unknown here."""
        foreign = list(self.foreign_words())
        for method, route in TABLE:
            if method != "GET" or "<" in route:
                continue
            client = self.browser if route.startswith((*PAGES, "training/")) else self.api
            answer = client.get(f"/{route}")
            if answer.status_code >= 500 and route != "readyz":
                raise Leak(f"{self.user}: {route} answers {answer.status_code}")
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
            shown = [word for word in foreign if word.encode() in content]
            if shown:
                raise Leak(f"{self.user}: {route} shows {shown}")

    def foreign_words(self) -> Iterator[str]:
        """Ids, numbers, names and notes of every patient with whom the person has nothing to do.

        Whose case was before the person's service once and is no more: their notices still say so, by ids.
        """
        words: dict[tuple[str, int], list[str]] = {}
        ids: dict[tuple[str, int], list[str]] = {}
        for key, patient in self.world.patients.items():
            words[key], ids[key] = [patient.record_number, patient.name], [str(patient.pk)]
        for (*owner, _), lesion in self.world.lesions.items():
            ids[owner[0], owner[1]].append(str(lesion.pk))
        for key, access in self.world.emergencies.items():
            ids[key].append(str(access.pk))
        once = set()
        for seen, case, referral in self.world.cases:
            key = (seen.clinic, seen.patient)
            words[key].append(case.note)
            ids[key] += [str(case.pk), str(case.images.get().pk)]
            if referral is not None and seen.referring is not None:
                ids[key].append(str(referral.pk))
                opinion = self.world.opinions.get(referral.pk)
                of_service = Place(seen.referring.service, Role.DERMATOLOGIST) in self.places
                if of_service or (opinion is not None and self.user in (opinion.reader, opinion.asked_by)):
                    once.add(key)
        for key in self.world.patients:
            if not self._has_to_do_with(*key):
                yield from filter(None, words[key])
                if key not in once:
                    yield from ids[key]

    def _has_to_do_with(self, clinic: str, number: int) -> bool:
        access = self.world.emergencies.get((clinic, number))
        return (
            self.clinician(clinic)
            or self.world.is_administrator(self.places, clinic)
            or (access is not None and access.opened_by == self.user)
            or any(
                (seen.clinic, seen.patient) == (clinic, number) and self.reads(seen, referral)
                for seen, _, referral in self.world.cases
            )
        )

    def look_ups(self) -> None:
        """Search for everybody's record number and id, and by every number of the other clinic."""
        administers = any(place.role is Role.ADMINISTRATOR for place in self.places)
        for (clinic, _), patient in self.world.patients.items():
            number = patient.record_number
            answer = self.api.send(f"/{API}patients/look-up/", {"record_number": number})
            if answer.status_code == 200:
                found = {UUID(row["id"]) for row in answer.json()}
                if found != ({patient.pk} if self.clinician(clinic) else set()):
                    raise Leak(f"{self.user}: looking up {number} finds {found}")
            elif self.clinician(clinic):
                raise Leak(f"{self.user} cannot look up {number}")
            self._look_up_as_a_reader(number, patient)
            if administers and not self.world.is_administrator(self.places, clinic):
                for wanted, unknown in ((number, "NOBODY-0001"), (str(patient.pk), str(uuid4()))):
                    asked, nobody = (self.browser.post("/privacy/", {"patient": text}) for text in (wanted, unknown))
                    self.same(asked, nobody, "/privacy/", wanted, unknown)

    def _look_up_as_a_reader(self, number: str, patient: Patient) -> None:
        """In the worklist of every service, through both interfaces: of one's own, and of consenting patients only."""
        for name, service in self.world.organisations.items():
            body = {"service": str(service.pk), "record_number": number}
            answer, page = self.api.send(f"/{API}worklist/look-up/", body), self.browser.post("/worklist/find/", body)
            if Place(name, Role.DERMATOLOGIST) not in self.places or name not in self.world.dermatologists:
                nowhere = body | {"service": str(uuid4())}
                nothing = self.api.send(f"/{API}worklist/look-up/", nowhere)
                self.same(answer, nothing, "worklist/look-up/", service.pk, nowhere["service"])
                nothing = self.browser.post("/worklist/find/", nowhere)
                self.same(page, nothing, "/worklist/find/", service.pk, nowhere["service"])
                continue
            theirs = {
                referral.pk
                for seen, _, referral in self.world.cases
                if seen.referring and referral and seen.referring.service == name
                and referral.case.patient_id == patient.pk and referral.stopped_at is None
            }  # fmt: skip
            found = {UUID(row["id"]) for row in answer.json()} | linked(page)
            if found - theirs:
                raise Leak(f"{self.user}: the worklist of {name} finds {found - theirs} by {number}")
