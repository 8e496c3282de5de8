"""Makes what tests start from, through the same services as the product wherever an invariant is at stake."""

import base64
import io
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.utils import timezone
from PIL import Image, ImageDraw

from diagnosis.models import (
    AnatomicalSite,
    Case,
    ConsentChange,
    ConsentEvent,
    ConsentPolicy,
    ConsentScope,
    EvidenceMethod,
    ImageKind,
    Lesion,
    Patient,
    Referral,
    Suspicion,
    Urgency,
)
from diagnosis.services.consents import ConsentStatement, record_consent
from diagnosis.services.patients import NewLesion, NewPatient, create_lesion, create_patient
from diagnosis.services.referrals import NewReferral, accept_referral, refer_case
from diagnosis.services.submission import ClinicalData, NewCase, NewImage, Submission, digest_of, submit_case
from skincare.accounts.models import Membership, Organisation, Role, User

PASSWORD = "correct horse battery staple"
HAM10000 = Path(__file__).parent / "data" / "ham10000"
#: A melanoma, 600x450.
PHOTOGRAPH = next(HAM10000.glob("*_600x450.jpg"))

_numbers = itertools.count(1)


def organisation(kind: str = Organisation.Kind.CLINIC, name: str = "") -> Organisation:
    """A new clinic, or another kind of organisation."""
    return Organisation.objects.create(name=name or f"Clinic {next(_numbers)}", kind=kind)


def user(email: str = "", **fields: Any) -> User:
    """A new user without any role; the password is ``PASSWORD``."""
    return User.objects.create_user(email or f"user{next(_numbers)}@clinic.example", PASSWORD, **fields)


def member(role: Role, of: Organisation | None = None, **fields: Any) -> User:
    """A new user with one role in an organisation (a new clinic if none is given)."""
    person = user(**fields)
    Membership.objects.create(user=person, organisation=of or organisation(), role=role)
    return person


def clinician(of: Organisation | None = None) -> User:
    """A new clinician."""
    return member(Role.CLINICIAN, of)


def organisation_of(person: User) -> Organisation:
    """The one organisation where the person has a role."""
    return person.memberships.get().organisation


def policy(version: str = "test-1", **fields: Any) -> ConsentPolicy:
    """A consent text, published once."""
    defaults = {"title": "T", "text": "T", **fields}
    language = defaults.pop("language", "en")
    return ConsentPolicy.objects.get_or_create(version=version, language=language, defaults=defaults)[0]


def signature(background: str = "#00000000") -> str:
    """A name drawn on nothing (or on a colour), as a canvas gives it."""
    picture = Image.new("RGBA", (300, 100), background)
    ImageDraw.Draw(picture).line([(20, 70), (60, 20), (90, 80), (140, 30), (260, 60)], fill="black", width=4)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def patient(by: User, **fields: object) -> Patient:
    """A new patient of the clinician's organisation."""
    new = NewPatient(record_number=f"R-{next(_numbers)}", name="Ada Example", birth_date=date(1970, 5, 17))
    return create_patient(user=by, organisation=organisation_of(by), new=replace(new, **fields))[0]  # type: ignore[arg-type]


def lesion(of: Patient, by: User) -> Lesion:
    """A new lesion on the patient's back."""
    return create_lesion(user=by, patient=of, new=NewLesion(AnatomicalSite.POSTERIOR_TORSO))[0]


def statement(
    change: ConsentChange = ConsentChange.GRANTED,
    scope: ConsentScope = ConsentScope.ANALYSIS,
    captured_at: datetime | None = None,
) -> ConsentStatement:
    """What a patient said, a minute ago unless told otherwise."""
    return ConsentStatement(
        policy=policy(),
        scope=scope,
        change=change,
        captured_at=captured_at or timezone.now() - timedelta(minutes=1),
        method=EvidenceMethod.PAPER,
    )


def grant(of: Patient, by: User, scope: ConsentScope = ConsentScope.ANALYSIS) -> ConsentEvent:
    """A consent in force."""
    return record_consent(user=by, patient=of, statement=statement(scope=scope, captured_at=timezone.now()))


def signed(of: Patient, by: User) -> ConsentEvent:
    """A consent to research, signed on screen."""
    said = statement(scope=ConsentScope.RESEARCH)
    on_screen = replace(said, method=EvidenceMethod.SIGNATURE, signature=signature())
    return record_consent(user=by, patient=of, statement=on_screen)


def withdraw(of: Patient, by: User, scope: ConsentScope = ConsentScope.ANALYSIS) -> ConsentEvent:
    """A consent withdrawn now."""
    return record_consent(
        user=by, patient=of, statement=statement(ConsentChange.WITHDRAWN, scope, captured_at=timezone.now())
    )


def let_consents_end(of: Patient) -> None:
    """Let the time pass until whatever the patient consented to for a time has ended: past the trigger, as only a
    superuser can.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE diagnosis_consentevent SET expires_at = statement_timestamp() "
            "WHERE patient_id = %s AND expires_at > captured_at",
            [of.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        # What the database copies from consents stood there all the time.
        cursor.execute("UPDATE diagnosis_referral SET consent_ends_at = NULL WHERE stopped_at IS NULL")


def new_case(
    consents: Sequence[ConsentStatement] | None = None,
    images: Sequence[NewImage] | None = None,
    clinical: ClinicalData | None = None,
    case_id: UUID | None = None,
    **fields: object,
) -> NewCase:
    """A submission with a new patient, a new lesion, consent to analysis and one dermoscopic photograph."""
    return NewCase(
        id=case_id or uuid4(),
        patient=fields.get("patient") or NewPatient(record_number=f"R-{next(_numbers)}", birth_date=date(1960, 1, 2)),  # type: ignore[arg-type]
        lesion=fields.get("lesion") or NewLesion(AnatomicalSite.POSTERIOR_TORSO),  # type: ignore[arg-type]
        consents=[statement()] if consents is None else consents,
        images=[NewImage(ImageKind.DERMOSCOPIC, PHOTOGRAPH.read_bytes())] if images is None else images,
        clinical=clinical or ClinicalData(suspicion=Suspicion.UNSURE),
        seen_at=fields.get("seen_at") or datetime.now(UTC) - timedelta(minutes=1),  # type: ignore[arg-type]
    )


def submit(by: User, new: NewCase | None = None, digest: bytes | None = None) -> Submission:
    """Submit a case through the service."""
    new = new or new_case()
    return submit_case(
        user=by,
        organisation=organisation_of(by),
        new=new,
        digest=digest or digest_of({"id": str(new.id)}, new.images),
    )


def case(by: User) -> Case:
    """A submitted case that waits for the network."""
    return submit(by).case


def service(name: str = "") -> Organisation:
    """A new dermatology service."""
    return organisation(Organisation.Kind.DERMATOLOGY_SERVICE, name)


def dermatologist(of: Organisation | None = None, **fields: Any) -> User:
    """A new dermatologist."""
    return member(Role.DERMATOLOGIST, of or service(), **fields)


def referrable_case(by: User) -> Case:
    """A case with consent to analysis and to teledermatology."""
    consents = [statement(), statement(scope=ConsentScope.TELEDERMATOLOGY)]
    return submit(by, new_case(consents=consents)).case


def referral(
    by: User, to: Organisation | None = None, urgency: Urgency = Urgency.SOON, of: Case | None = None
) -> Referral:
    """A case referred to a service, waiting for anybody there."""
    case = of or referrable_case(by)
    return refer_case(
        user=by, new=NewReferral(case.pk, (to or service()).pk, urgency, question="Melanoma on the back?")
    )


def accepted_referral(by: User, reader: User) -> Referral:
    """A referral that the dermatologist has accepted."""
    return accept_referral(user=reader, referral_id=referral(by, organisation_of(reader)).pk)
