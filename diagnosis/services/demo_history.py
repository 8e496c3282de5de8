"""A past for the demonstration: half a year of answered referrals with outcomes, and a few open ones, so that the
worklist, the insight page and what looks alike have something to show.

Cases go through the same service as any; the network reads them for real. What happened to their referrals lies in the
past, so those rows are written with times of their own, within what the database allows. A worker makes it after the
start, a few seconds at a time.
"""

import csv
import io
import random
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from PIL import Image, ImageEnhance

from diagnosis.classifier.taxonomy import MALIGNANT
from diagnosis.models import (
    AnatomicalSite,
    AnswerShown,
    Assessment,
    Case,
    ConsentChange,
    ConsentScope,
    EvidenceMethod,
    FirstRead,
    FitzpatrickSkinType,
    ImageKind,
    Lesion,
    Outcome,
    OutcomeKind,
    OutcomeSource,
    Plan,
    ReadRole,
    Referral,
    ReferralState,
    Sex,
    Suspicion,
    Urgency,
)
from diagnosis.services.bell import ring
from diagnosis.services.consents import ConsentStatement
from diagnosis.services.demo import (
    CLINIC_NAME,
    CLINICIAN,
    DERMATOLOGIST,
    PHOTOGRAPHS,
    SERVICE_NAME,
    ensure_policy,
    id_of,
    photograph_of,
)
from diagnosis.services.patients import NewLesion, NewPatient
from diagnosis.services.referral_states import person
from diagnosis.services.signing import SESSION
from diagnosis.services.submission import ClinicalData, NewCase, NewImage, digest_of, submit_case
from diagnosis.services.worklist_order import place, policy_of
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record

TASK: Final = "diagnosis.fill_demo"
CASES: Final = 100
#: The last of them are open still.
OPEN: Final = 9
WEEKS: Final = 25
TURN_SECONDS: Final = 3.0
SIZE: Final = (600, 450)

_NAMESPACE: Final = UUID("b7c1f0a2-2f5e-4a63-9d0c-5f0a6c1e8d20")
_FIRST: Final = ("Amara", "Ben", "Chidi", "Dora", "Elias", "Farah", "Goran", "Hilde", "Ivo", "Jana", "Kofi", "Lena")
_LAST: Final = ("Abe", "Berg", "Costa", "Diaz", "Eriksen", "Farouk", "Greco", "Horvat", "Ito", "Jensen", "Kaya", "Lund")
#: What a dermatologist calls a class, the first most often.
_NAMES: Final = {
    "nv": ("nevus", "nevus-atypical", "nevus-dermal"), "mel": ("melanoma", "melanoma-in-situ", "nevus-atypical"),
    "bkl": ("seborrheic-keratosis", "solar-lentigo", "nevus"),
    "bcc": ("basal-cell-carcinoma", "basal-cell-carcinoma-nodular"),
    "akiec": ("actinic-keratosis", "squamous-cell-carcinoma-in-situ", "seborrheic-keratosis"),
    "df": ("dermatofibroma", "nevus-dermal"), "vasc": ("angioma", "angiokeratoma"),
}  # fmt: skip
_TRUTH: Final = {
    "nv": "nevus", "mel": "melanoma", "bkl": "seborrheic-keratosis", "bcc": "basal-cell-carcinoma",
    "akiec": "actinic-keratosis", "df": "dermatofibroma", "vasc": "angioma",
}  # fmt: skip
_SITES: Final = (
    AnatomicalSite.POSTERIOR_TORSO, AnatomicalSite.POSTERIOR_TORSO, AnatomicalSite.ANTERIOR_TORSO,
    AnatomicalSite.HEAD_NECK, AnatomicalSite.LOWER_EXTREMITY, AnatomicalSite.UPPER_EXTREMITY,
)  # fmt: skip
_SKIN: Final = (*("I", "II", "II", "III", "III") * 2, "IV", "V")
_QUESTIONS: Final = (
    "Benign?",
    "Changed since last year. Excise?",
    "The patient is worried.",
    "Melanoma?",
    "Observe or refer?",
)


@dataclass(frozen=True)
class Made:
    """One invented case: chance decides once for each number, the same at each start."""

    number: int
    file: str
    network_class: str
    chance: random.Random

    def pk(self, kind: str) -> UUID:
        """Its ids."""
        return uuid5(_NAMESPACE, f"{kind} {self.number}")


def fill_demo() -> int:
    """Make what is missing, as much as fits into a turn; then ring for the rest. Returns how many cases are new.

    Does nothing where the demonstration is not allowed or has not been loaded.
    """
    service = Organisation.objects.filter(name=SERVICE_NAME).first()
    if not settings.DEMO_ALLOWED or service is None:
        return 0
    with (PHOTOGRAPHS / "history" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = list(range(CASES))
    # Neighbours in the file are of one class; the order in which they came to the clinic is another.
    random.Random("order").shuffle(numbers)  # nosec B311
    made = [
        Made(number, rows[number]["file"], rows[number]["dx"], random.Random(f"case {number}"))
        for number in numbers  # nosec B311
    ]
    known = set(Case.objects.filter(pk__in=[each.pk("case") for each in made]).values_list("pk", flat=True))
    end = time.monotonic() + TURN_SECONDS
    new = _earlier_visits()
    for place_in_time, each in enumerate(made):
        if each.pk("case") in known:
            continue
        if time.monotonic() > end:
            ring(TASK, queue="default")
            break
        _make(each, place_in_time, service)
        new += 1
    return new


def _earlier_visits() -> int:
    """An earlier photograph of the lesions of two of the demonstration's own cases, so that something has changed."""
    new = 0
    clinician = User.objects.get(email=CLINICIAN.email)
    for number in (1, 2):
        case = (
            Case.objects.filter(pk=id_of("case", number), submitted_by=clinician).select_related("organisation").first()
        )
        pk = uuid5(_NAMESPACE, f"earlier visit {number}")
        if case is None or case.patient.erased or Case.objects.filter(pk=pk).exists():
            continue
        with Image.open(PHOTOGRAPHS / photograph_of(number)) as image:
            # From a little further away, and paler.
            frame = image.resize(SIZE)
            frame.paste(image.resize((540, 405)), (30, 22))
        out = io.BytesIO()
        ImageEnhance.Contrast(frame).enhance(0.8).save(out, "JPEG", quality=90)
        images = [NewImage(ImageKind.DERMOSCOPIC, out.getvalue())]
        earlier = NewCase(
            id=pk, patient=case.patient_id, lesion=case.lesion_id, consents=[], images=images,
            clinical=ClinicalData(suspicion=Suspicion.BENIGN, note="Invented earlier visit of the demonstration."),
            seen_at=case.seen_at - timedelta(days=150),
        )  # fmt: skip
        digest = digest_of({"demo earlier": number}, images)
        submit_case(user=clinician, organisation=case.organisation, new=earlier, digest=digest)
        new += 1
    return new


@transaction.atomic
def _make(made: Made, place_in_time: int, service: Organisation) -> None:
    chance, now = made.chance, timezone.now()
    clinician = User.objects.get(email=CLINICIAN.email)
    still_open = place_in_time >= CASES - OPEN
    if still_open:
        sent = now - timedelta(hours=chance.uniform(1, 60))
    else:
        # More of them each month, in working hours.
        weeks = WEEKS * (1 - (place_in_time + 1) / (CASES - OPEN)) ** 1.3 + 0.5
        sent = now - timedelta(weeks=weeks, hours=chance.uniform(0, 30))
    case = _submit(made, clinician, sent)
    urgency = chance.choices(list(Urgency), weights=(2, 5, 1 if made.network_class not in MALIGNANT else 6), k=1)[0]
    referral = _refer(made, case, service, clinician, urgency, sent, now)
    if still_open:
        return
    if chance.random() < 0.07:
        state = chance.choice([ReferralState.DECLINED, ReferralState.WITHDRAWN])
        reason = {"decline_reason": "poor_photographs"} if state == ReferralState.DECLINED else {}
        Referral.objects.filter(pk=referral.pk).update(
            state=state, state_since=sent + timedelta(hours=20), stopped_at=None, **reason
        )
        return
    _answer(made, referral, sent, now)


def _submit(made: Made, clinician: User, sent: datetime) -> Case:
    chance = made.chance
    malignant = made.network_class in MALIGNANT
    images = [NewImage(ImageKind.DERMOSCOPIC, _photograph(made))]
    new = NewCase(
        id=made.pk("case"),
        patient=NewPatient(
            id=made.pk("patient"),
            record_number=f"DEMO-H{made.number:03}",
            name=f"{chance.choice(_FIRST)} {chance.choice(_LAST)}",
            birth_date=date(chance.randint(1938, 1965 if malignant else 2004), 6, 1 + made.number % 28),
            sex=chance.choice(list(Sex)),
            fitzpatrick_skin_type=FitzpatrickSkinType(chance.choice(_SKIN)),
        ),
        lesion=NewLesion(id=made.pk("lesion"), anatom_site_general=chance.choice(_SITES)),
        consents=[
            ConsentStatement(
                policy=ensure_policy(),
                scope=scope,
                change=ConsentChange.GRANTED,
                captured_at=sent - timedelta(minutes=20),
                method=EvidenceMethod.PAPER,
            )
            for scope in (ConsentScope.ANALYSIS, ConsentScope.TELEDERMATOLOGY)
        ],
        images=images,
        clinical=ClinicalData(
            suspicion=chance.choices(list(Suspicion), weights=(5, 4, 1) if malignant else (1, 4, 5), k=1)[0],
            checklist={"change_in_size": chance.random() < (0.6 if malignant else 0.2),
                       "irregular_colour": chance.random() < (0.5 if malignant else 0.2)},
            note="Invented patient of the demonstration.",
        ),
        seen_at=sent - timedelta(minutes=15),
    )  # fmt: skip
    digest = digest_of({"demo history": made.number}, images)
    clinic = Organisation.objects.get(name=CLINIC_NAME)
    return submit_case(user=clinician, organisation=clinic, new=new, digest=digest).case


def _photograph(made: Made) -> bytes:
    """Enlarged to what a dermatoscope's camera gives at least."""
    with Image.open(PHOTOGRAPHS / "history" / made.file) as image:
        photograph = image.resize(SIZE, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    photograph.save(out, "JPEG", quality=90)
    return out.getvalue()


def _refer(
    made: Made, case: Case, service: Organisation, clinician: User, urgency: Urgency, sent: datetime, now: datetime
) -> Referral:
    policy = policy_of(service)
    due_at = sent + policy.time_for(urgency)
    referral = Referral(
        id=made.pk("referral"), case=case, service=service, clinic=case.organisation,
        anatom_site_general=case.anatom_site_general, referred_by=clinician, changed_by=clinician, urgency=urgency,
        state=ReferralState.SENT, sent_at=sent, state_since=sent, due_at=due_at,
        expires_at=max(due_at, now) + timedelta(hours=policy.expire_after_hours),
    )  # fmt: skip
    referral.question = made.chance.choice(_QUESTIONS)
    referral.sort_key = place(referral, policy)
    referral.save(force_insert=True)
    record("referral.sent", referral, actor=clinician, patient_id=case.patient_id, organisation_id=case.organisation_id)
    return referral


def _answer(made: Made, referral: Referral, sent: datetime, now: datetime) -> None:
    chance, case = made.chance, referral.case
    reader = User.objects.get(email=DERMATOLOGIST.email)
    had = (referral.due_at - sent).total_seconds()
    answered = min(sent + timedelta(seconds=had * chance.lognormvariate(-0.9, 0.7)), now - timedelta(minutes=5))
    claimed = sent + (answered - sent) * 0.8
    rows = Referral.objects.filter(pk=referral.pk)
    rows.update(state=ReferralState.ACCEPTED, claimed_by=reader, claimed_at=claimed, changed_by=reader)
    names = _NAMES[made.network_class]
    read_as = names[0] if chance.random() < 0.75 else chance.choice(names)
    signed_as = read_as if chance.random() < 0.5 else names[0]
    read = FirstRead(
        id=made.pk("read"), referral=referral, reader=reader, role=ReadRole.FIRST, diagnosis=read_as,
        confidence=chance.choice([50, 75, 95]), recorded_at=answered - timedelta(minutes=2), blind=True,
    )  # fmt: skip
    read.save(force_insert=True)
    AnswerShown.objects.create(referral=referral, reader=reader, shown_at=answered - timedelta(minutes=2))
    malignant = made.network_class in MALIGNANT
    plan = Plan.EXCISE if malignant or chance.random() < 0.3 else Plan.REASSURE
    assessment = Assessment(
        id=made.pk("assessment"), referral=referral, author=reader, diagnosis=signed_as,
        confidence=chance.choice([75, 95]), plan=plan, signed_at=answered,
        authenticated_at=answered - timedelta(hours=1), authenticated_by=SESSION,
    )  # fmt: skip
    assessment.text = "Invented answer of the demonstration."
    assessment.signature = person(reader)
    assessment.save(force_insert=True)
    rows.update(state=ReferralState.ANSWERED, answered_at=answered, state_since=answered, revision=4)
    record("referral.answer", referral, actor=reader, patient_id=case.patient_id, organisation_id=case.organisation_id)
    if plan == Plan.EXCISE and answered + timedelta(days=21) < now:
        _record_histology(made, case.lesion, answered + timedelta(days=18))
    if chance.random() < 0.6:
        rows.update(state=ReferralState.CLOSED, state_since=answered + timedelta(hours=5))


def _record_histology(made: Made, lesion: Lesion, reported: datetime) -> None:
    outcome = Outcome(
        id=made.pk("outcome"), lesion=lesion, kind=OutcomeKind.HISTOLOGY, diagnosis=_TRUTH[made.network_class],
        determined_on=reported.date(), recorded_at=timezone.now(), source=OutcomeSource.IMPORT,
    )  # fmt: skip
    outcome.save(force_insert=True)
    record(
        "outcome.recorded", outcome, actor=None, patient_id=lesion.patient_id,
        organisation_id=lesion.patient.organisation_id, details={"kind": str(outcome.kind), "source": "import"},
    )  # fmt: skip
