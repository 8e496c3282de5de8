"""Organisations, people, patients, cases and referrals from a plain description, and who may see what by that alone.

The truth here is computed from the description with sets, in ignorance of the product's querysets, so that both can be
compared.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from hypothesis import strategies as st
from PIL import Image

from diagnosis.models import (
    Case,
    ConsentEvent,
    ConsentScope,
    DeclineReason,
    EmergencyAccess,
    EmergencyReason,
    ImageKind,
    Lesion,
    MessageImage,
    Patient,
    Referral,
    SecondOpinion,
)
from diagnosis.services import emergency
from diagnosis.services.patients import NewPatient
from diagnosis.services.referral_messages import ask_clinician
from diagnosis.services.referrals import accept_referral, decline_referral, withdraw_referral
from diagnosis.services.second_opinions import ask_opinion, decline_opinion, withdraw_opinion
from diagnosis.services.submission import ClinicalData, NewImage
from skincare.accounts.models import Membership, Organisation, Role, User
from tests import factories
from tests.diagnosis.referrals.walking import read, sign

CLINICS: Final = ("A", "B")
SERVICES: Final = ("S", "T")
#: What may have become of a referral.
FATES: Final = ("sent", "accepted", "asked", "answered", "declined", "withdrawn", "consent ended")
#: Fates in which the service still sees it.
SHOWN: Final = frozenset({"sent", "accepted", "asked", "answered"})
#: Fates in which it is in the service's worklist.
OPEN: Final = frozenset({"sent", "accepted", "asked"})
#: Further readers: a service as a whole, one person of a service, and one who declined.
OPINIONS: Final = ("", "service", "person", "declined")


class Place(NamedTuple):
    """A role in an organisation."""

    organisation: str
    role: Role


class Referring(NamedTuple):
    """Where a case was referred to, what came of it, and who else was asked."""

    service: str
    fate: str
    opinion: str


class Seen(NamedTuple):
    """A case: of which clinic's patient, of which of the patient's lesions, and its referral if there is one."""

    clinic: str
    patient: int
    lesion: int
    referring: Referring | None


@dataclass(frozen=True)
class Description:
    """A world before it is made."""

    people: tuple[frozenset[Place], ...]
    cases: tuple[Seen, ...]


PLACES = st.sampled_from(
    [
        *(Place(clinic, role) for clinic in CLINICS for role in (Role.CLINICIAN, Role.ADMINISTRATOR)),
        *(Place(service, Role.DERMATOLOGIST) for service in SERVICES),
        # Roles where they mean nothing: nobody of a service is a clinician by the word alone of its clinic.
        Place("A", Role.DERMATOLOGIST),
        Place("S", Role.ADMINISTRATOR),
    ]
)
DESCRIPTIONS = st.builds(
    Description,
    people=st.lists(st.frozensets(PLACES, max_size=3), min_size=1, max_size=4).map(tuple),
    cases=st.lists(
        st.builds(
            Seen,
            clinic=st.sampled_from(CLINICS),
            patient=st.integers(0, 1),
            lesion=st.integers(0, 1),
            referring=st.none()
            | st.builds(Referring, st.sampled_from(SERVICES), st.sampled_from(FATES), st.sampled_from(OPINIONS)),
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
)

#: Each relation there is, so that whatever filter is taken away has something to show to somebody.
EVERY_RELATION: Final = Description(
    people=(
        frozenset({Place("A", Role.CLINICIAN)}),
        frozenset({Place("B", Role.CLINICIAN), Place("A", Role.ADMINISTRATOR)}),
        frozenset({Place("T", Role.DERMATOLOGIST), Place("B", Role.CLINICIAN)}),
        frozenset({Place("S", Role.DERMATOLOGIST), Place("B", Role.ADMINISTRATOR)}),
        frozenset(),
    ),
    cases=(
        Seen("A", 0, 0, Referring("S", "accepted", "person")),
        Seen("A", 0, 1, None),
        Seen("A", 1, 0, Referring("S", "declined", "")),
        Seen("A", 1, 1, Referring("S", "withdrawn", "")),
        Seen("B", 0, 0, Referring("T", "consent ended", "")),
        Seen("B", 1, 0, Referring("T", "asked", "service")),
    ),
)


@cache
def photograph() -> bytes:
    """A small photograph: what is in it does not matter here."""
    out = io.BytesIO()
    Image.effect_noise((224, 224), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@dataclass
class World:
    """What was made, and the truth about it."""

    organisations: dict[str, Organisation] = field(default_factory=dict)
    people: list[tuple[User, frozenset[Place]]] = field(default_factory=list)
    patients: dict[tuple[str, int], Patient] = field(default_factory=dict)
    lesions: dict[tuple[str, int, int], Lesion] = field(default_factory=dict)
    cases: list[tuple[Seen, Case, Referral | None]] = field(default_factory=list)
    consents: list[tuple[str, ConsentEvent]] = field(default_factory=list)
    opinions: dict[object, SecondOpinion] = field(default_factory=dict)
    #: One to each patient, open, of the clinician who was made for the other clinic.
    emergencies: dict[tuple[str, int], EmergencyAccess] = field(default_factory=dict)
    #: Who works in each organisation, made for it: clinicians write, dermatologists read.
    clinicians: dict[str, User] = field(default_factory=dict)
    dermatologists: dict[str, tuple[User, User]] = field(default_factory=dict)

    def is_clinician(self, places: Iterable[Place], clinic: str) -> bool:
        """Whether the roles make somebody a clinician of this clinic."""
        return Place(clinic, Role.CLINICIAN) in places

    def is_administrator(self, places: Iterable[Place], clinic: str) -> bool:
        """Whether the roles make somebody an administrator of it."""
        return Place(clinic, Role.ADMINISTRATOR) in places

    def reads(self, user: User, places: frozenset[Place], seen: Seen, referral: Referral | None) -> bool:
        """Whether the user is a reader of this case's referral: of its service, or asked for an opinion."""
        if seen.referring is None or referral is None or seen.referring.fate not in SHOWN:
            return False
        if Place(seen.referring.service, Role.DERMATOLOGIST) in places:
            return True
        return self.is_asked(user, places, seen, referral)

    def is_asked(self, user: User, places: frozenset[Place], seen: Seen, referral: Referral | None) -> bool:
        """Whether an opinion on it is asked of the user, or of a service of theirs: nobody is once it is answered."""
        if seen.referring is None or referral is None or seen.referring.fate not in OPEN:
            return False
        opinion = self.opinions.get(referral.pk)
        if opinion is None or opinion.state == "declined" or opinion.reader_id not in (None, user.pk):
            return False
        name = next(name for name, each in self.organisations.items() if each.pk == opinion.service_id)
        return Place(name, Role.DERMATOLOGIST) in places


def build(description: Description) -> World:
    """Make it through the product's own services."""
    world = World()
    for name in CLINICS:
        world.organisations[name] = factories.organisation(name=f"Clinic {name} of foreign secrets")
    for name in SERVICES:
        world.organisations[name] = factories.service(f"Service {name}")
    for name in CLINICS:
        world.clinicians[name] = _person(world, frozenset({Place(name, Role.CLINICIAN)}))
    for name in SERVICES:
        role = frozenset({Place(name, Role.DERMATOLOGIST)})
        world.dermatologists[name] = (_person(world, role), _person(world, role))
    for places in description.people:
        _person(world, places)
    for seen in description.cases:
        _case(world, seen)
    _emergencies(world)
    return world


def _person(world: World, places: frozenset[Place]) -> User:
    user = factories.user()
    for place in places:
        Membership.objects.create(user=user, organisation=world.organisations[place.organisation], role=place.role)
    world.people.append((user, places))
    return user


def _case(world: World, seen: Seen) -> None:
    by = world.clinicians[seen.clinic]
    key = (seen.clinic, seen.patient)
    known = world.patients.get(key)
    lesion = world.lesions.get((*key, seen.lesion))
    number = len(world.patients) + 1
    new = factories.new_case(
        consents=[factories.statement()],
        images=[NewImage(ImageKind.DERMOSCOPIC, photograph())],
        patient=known.pk if known else NewPatient(record_number=f"SECRET-{number:04d}", name=f"Secretname{number:04d}"),
        lesion=lesion.pk if lesion else factories.NewLesion(factories.AnatomicalSite.HEAD_NECK),
        clinical=ClinicalData(suspicion="unsure", note=f"Secretnote{len(world.cases):04d}"),
    )
    case = Case.objects.get(pk=factories.submit(by, new).case.pk)
    if known is None:
        world.patients[key] = case.patient
        world.consents.append((seen.clinic, factories.signed(case.patient, by)))
    world.lesions[(*key, seen.lesion)] = case.lesion
    world.cases.append((seen, case, _referral(world, seen, case, by)))


def _referral(world: World, seen: Seen, case: Case, by: User) -> Referral | None:
    if seen.referring is None:
        return None
    service, fate, opinion = seen.referring
    factories.grant(case.patient, by, ConsentScope.TELEDERMATOLOGY)
    reader = world.dermatologists[service][0]
    referral = factories.referral(by, world.organisations[service], of=case)
    if fate in ("accepted", "asked", "answered"):
        accept_referral(user=reader, referral_id=referral.pk)
        if opinion:
            read(reader, referral)
            world.opinions[referral.pk] = _opinion(world, referral, reader, service, opinion)
        if fate == "asked":
            ask_clinician(user=reader, referral_id=referral.pk, text="Secretmessage", images=[photograph()])
        elif fate == "answered":
            if not opinion:
                read(reader, referral)
            elif opinion != "declined":
                # Nothing is signed while an opinion is awaited.
                withdraw_opinion(user=reader, opinion_id=world.opinions[referral.pk].pk)
            sign(reader, referral)
    elif fate == "declined":
        decline_referral(
            user=reader, referral_id=referral.pk, reason=DeclineReason.NO_CAPACITY, explanation="Nobody here"
        )
    elif fate == "withdrawn":
        withdraw_referral(user=by, referral_id=referral.pk)
    return referral


def _emergencies(world: World) -> None:
    """Each clinic allows them to the other one; the other's clinician has opened every record."""
    for clinic, other in (CLINICS, CLINICS[::-1]):
        emergency.set_policy(
            user=world.clinicians[clinic],
            organisation=world.organisations[clinic],
            enabled=True,
            minutes=60,
            open_to=[world.organisations[other]],
        )
        for key, patient in world.patients.items():
            if key[0] == clinic:
                world.emergencies[key] = emergency.open_access(
                    user=world.clinicians[other],
                    wanted=emergency.Wanted(world.organisations[clinic].pk, record_number=patient.record_number),
                    reason=EmergencyReason.ACUTE,
                    explanation="Secretly brought in unconscious.",
                )


def _opinion(world: World, referral: Referral, reader: User, service: str, kind: str) -> SecondOpinion:
    other = next(name for name in SERVICES if name != service)
    asked = world.dermatologists[other][0]
    opinion = ask_opinion(
        user=reader,
        referral_id=referral.pk,
        service=world.organisations[other].pk,
        reader=None if kind == "service" else asked.pk,
    )
    return decline_opinion(user=asked, opinion_id=opinion.pk) if kind == "declined" else opinion


def end_consents(world: World) -> None:
    """Withdraw the consent of whoever is said to have withdrawn it, after everything else was made.

    It stops every referral of that patient, so all of the patient's cases have that fate from here on.
    """
    ended = {(seen.clinic, seen.patient) for seen, _, _ in world.cases if _fate(seen) == "consent ended"}
    for clinic, patient in ended:
        factories.withdraw(world.patients[clinic, patient], world.clinicians[clinic], ConsentScope.TELEDERMATOLOGY)
    world.cases = [
        (
            seen._replace(referring=seen.referring._replace(fate="consent ended"))
            if seen.referring and (seen.clinic, seen.patient) in ended
            else seen,
            case,
            referral,
        )
        for seen, case, referral in world.cases
    ]


def _fate(seen: Seen) -> str:
    return seen.referring.fate if seen.referring else ""


def message_image_of(referral: Referral) -> MessageImage | None:
    """A photograph that came with a message of it."""
    return MessageImage.objects.filter(message__referral=referral).first()
