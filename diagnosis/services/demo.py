"""A clinic to try things with: invented people, real dermoscopic photographs of HAM10000."""

import csv
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from django.contrib.auth.hashers import check_password, make_password
from django.db.models import Q
from django.utils import timezone

from diagnosis.models import (
    AnatomicalSite,
    Case,
    ConsentChange,
    ConsentPolicy,
    ConsentScope,
    EvidenceMethod,
    FitzpatrickSkinType,
    ImageKind,
    Referral,
    Sex,
    Suspicion,
    Urgency,
)
from diagnosis.services.consents import ConsentStatement, consent_in_force
from diagnosis.services.patients import NewLesion, NewPatient
from diagnosis.services.reference_sets import import_reference_set, read_folder
from diagnosis.services.referrals import NewReferral, accept_referral, refer_case
from diagnosis.services.submission import ClinicalData, NewCase, NewImage, digest_of, submit_case
from skincare.accounts.models import Membership, Organisation, Role, User

#: Photographs with their attribution and licence, and ``labels.csv`` beside them.
PHOTOGRAPHS: Final = Path(__file__).resolve().parent.parent / "demo"

#: Ids of the demo are derived from this, so that loading it again finds what is there.
_NAMESPACE: Final = UUID("6f0d6ad4-3f0b-4f6e-9a53-7d0d6c1f4a10")

POLICY_VERSION: Final = "2026-1"
POLICY_TITLE: Final = "Photographs of your skin"
POLICY_TEXT: Final = """\
Your clinician would like to photograph a spot on your skin. You decide, separately, about three things:

1. Analysis. A computer program looks at the photographs and tells your clinician what the spot may be. It can be \
wrong. It does not decide anything: the diagnosis is always made by a doctor.
2. Teledermatology. The photographs and what you told your clinician are sent to skin specialists, who answer your \
clinician.
3. Research. The photographs, without your name, help to improve the program and to study skin diseases.

The photographs are stored encrypted. You may say no to any of these, and you may change your mind at any time, \
without giving a reason and without any disadvantage for your treatment. From then on the photographs are no longer \
used for that purpose.
"""

POLICY_TITLE_ARABIC: Final = "صور جلدك"
POLICY_TEXT_ARABIC: Final = """\
يود طبيبك تصوير بقعة على جلدك. القرار لك، على حدة، في ثلاثة أمور:

1. التحليل. ينظر برنامج حاسوبي إلى الصور ويخبر طبيبك بما قد تكون البقعة. قد يخطئ البرنامج. هو لا يقرر شيئًا: \
التشخيص دائمًا للطبيب.
2. طب الجلد عن بُعد. تُرسل الصور وما قلته لطبيبك إلى أطباء جلد يجيبون طبيبك.
3. البحث العلمي. تساعد الصور، دون اسمك، على تحسين البرنامج ودراسة أمراض الجلد.

تُحفظ الصور مشفّرة. يمكنك أن ترفض أيًا من هذه الأمور، وأن تغيّر رأيك في أي وقت، دون ذكر سبب ودون أي ضرر لعلاجك. \
ومنذ ذلك الحين لا تُستخدم الصور لذلك الغرض.
"""


@dataclass(frozen=True)
class DemoPerson:
    """Somebody who can log in to the demo."""

    email: str
    first_name: str
    last_name: str
    role: Role | None


CLINIC_NAME: Final = "Riverside Surgery (demo)"
SERVICE_NAME: Final = "Skin Clinic at the Park (demo)"
CLINICIAN: Final = DemoPerson("clinician@demo.example", "Nadia", "Haddad", Role.CLINICIAN)
ADMINISTRATOR: Final = DemoPerson("administrator@demo.example", "Tom", "Okafor", Role.ADMINISTRATOR)
DERMATOLOGIST: Final = DemoPerson("dermatologist@demo.example", "Ingrid", "Solberg", Role.DERMATOLOGIST)
STEWARD: Final = DemoPerson("steward@demo.example", "Mei", "Tanaka", None)
#: A release takes two of them.
SECOND_STEWARD: Final = DemoPerson("second-steward@demo.example", "Jonas", "Lindqvist", None)
OPERATOR: Final = DemoPerson("operator@demo.example", "Sam", "Iyer", None)

#: Name, birth year, sex, skin type, for the invented patients; one photograph each.
_PATIENTS: Final = (
    ("Ruth Almeida", 1948, Sex.FEMALE, FitzpatrickSkinType.II),
    ("George Whitcombe", 1955, Sex.MALE, FitzpatrickSkinType.II),
    ("Leila Mansour", 1979, Sex.FEMALE, FitzpatrickSkinType.IV),
    ("Piotr Zielinski", 1962, Sex.MALE, FitzpatrickSkinType.III),
    ("Hannah Vogt", 1990, Sex.FEMALE, FitzpatrickSkinType.I),
    ("Samuel Adeyemi", 1984, Sex.MALE, FitzpatrickSkinType.V),
)

#: Number of the case, urgency, and question of the invented referrals; one of them is accepted.
_REFERRALS: Final = (
    (1, Urgency.URGENT_SUSPECTED_CANCER, "Growing for three months. Melanoma?"),
    (2, Urgency.SOON, "Irregular colour, the patient is worried. Observe or excise?"),
    (3, Urgency.ROUTINE, "Seborrhoeic keratosis?"),
)
_ACCEPTED: Final = 2


def id_of(kind: str, number: int) -> UUID:
    """The id of the demo's case, patient, lesion or referral of this number, from 1."""
    return uuid5(_NAMESPACE, f"{kind} {number}")


def photograph_of(number: int) -> str:
    """The file of the demo's case of this number, from 1."""
    with (PHOTOGRAPHS / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))[number - 1]["file"]


def ensure_policy() -> ConsentPolicy:
    """The demo's consent text, published once in each language; the English one."""
    policy, _ = ConsentPolicy.objects.get_or_create(
        version=POLICY_VERSION, language="en", defaults={"title": POLICY_TITLE, "text": POLICY_TEXT}
    )
    ConsentPolicy.objects.get_or_create(
        version=POLICY_VERSION, language="ar", defaults={"title": POLICY_TITLE_ARABIC, "text": POLICY_TEXT_ARABIC}
    )
    return policy


def ensure_people(password: str) -> None:
    """The demo's organisations and log-ins; the password of existing ones is set to the given one."""
    clinic, _ = Organisation.objects.get_or_create(name=CLINIC_NAME, defaults={"kind": Organisation.Kind.CLINIC})
    service, _ = Organisation.objects.get_or_create(
        name=SERVICE_NAME, defaults={"kind": Organisation.Kind.DERMATOLOGY_SERVICE}
    )
    # One hash for all of them: a hash is slow on purpose, and six would be a second of every start.
    known = User.objects.filter(email=CLINICIAN.email).values_list("password", flat=True).first()
    encoded = known if known and check_password(password, known) else make_password(password)
    for person, organisation in (
        (CLINICIAN, clinic),
        (ADMINISTRATOR, clinic),
        (DERMATOLOGIST, service),
        (STEWARD, None),
        (SECOND_STEWARD, None),
        (OPERATOR, None),
    ):
        user = User.objects.filter(email=person.email).first() or User.objects.create_user(
            person.email,
            first_name=person.first_name,
            last_name=person.last_name,
            is_model_steward=person in (STEWARD, SECOND_STEWARD),
            is_staff=person is OPERATOR,
            is_superuser=person is OPERATOR,
        )
        if user.password != encoded:
            user.password = encoded
            user.save(update_fields=["password"])
        if organisation is not None and person.role is not None:
            Membership.objects.get_or_create(user=user, organisation=organisation, role=person.role)


def ensure_reference_set() -> None:
    """The small public reference set, imported once; a worker lets the network see it."""
    about, images = read_folder(PHOTOGRAPHS / "references")
    import_reference_set(about=about, images=images)


def ensure_cases() -> int:
    """Submit the demo's cases, as the clinician would; those that are there already stay. Returns how many are new."""
    clinician = User.objects.get(email=CLINICIAN.email)
    clinic = Organisation.objects.get(name=CLINIC_NAME)
    policy = ensure_policy()
    with (PHOTOGRAPHS / "labels.csv").open(newline="") as file:
        photographs = list(csv.DictReader(file))
    new_cases = 0
    for number, ((name, year, sex, skin_type), photograph) in enumerate(
        zip(_PATIENTS, photographs, strict=False), start=1
    ):
        case_id = id_of("case", number)
        if Case.objects.filter(pk=case_id).exists():
            continue
        now = timezone.now()
        upload = (PHOTOGRAPHS / photograph["file"]).read_bytes()
        images = [NewImage(ImageKind.DERMOSCOPIC, upload)]
        new = NewCase(
            id=case_id,
            patient=NewPatient(
                id=id_of("patient", number),
                record_number=f"DEMO-{number:04}",
                name=name,
                birth_date=date(year, 1 + number, 10 + number),
                sex=sex,
                fitzpatrick_skin_type=skin_type,
            ),
            lesion=NewLesion(
                id=id_of("lesion", number),
                anatom_site_general=AnatomicalSite(photograph["anatom_site_general"]),
            ),
            consents=[
                ConsentStatement(
                    policy=policy,
                    scope=scope,
                    change=ConsentChange.GRANTED,
                    captured_at=now - timedelta(minutes=2),
                    method=EvidenceMethod.PAPER,
                )
                for scope in (ConsentScope.ANALYSIS, ConsentScope.TELEDERMATOLOGY)
            ],
            images=images,
            clinical=ClinicalData(
                suspicion=Suspicion.UNSURE,
                checklist={"change_in_size": number % 2 == 0, "irregular_colour": number % 3 == 0},
                note="Invented patient of the demonstration.",
            ),
            seen_at=now - timedelta(minutes=1),
        )
        submit_case(
            user=clinician, organisation=clinic, new=new, digest=digest_of({"demo": number, "id": str(case_id)}, images)
        )
        new_cases += 1
    return new_cases


def ensure_referrals() -> int:
    """Refer some of the demo's cases, one of them accepted; those that are there stay. Returns how many are new."""
    clinician = User.objects.get(email=CLINICIAN.email)
    dermatologist = User.objects.get(email=DERMATOLOGIST.email)
    service = Organisation.objects.get(name=SERVICE_NAME)
    new_referrals = 0
    for number, urgency, question in _REFERRALS:
        referral_id = id_of("referral", number)
        case = Case.objects.filter(pk=id_of("case", number)).first()
        if case is None or Referral.objects.filter(Q(pk=referral_id) | Q(case=case)).exists():
            continue
        if consent_in_force(case.patient, ConsentScope.TELEDERMATOLOGY) is None:
            continue
        refer_case(user=clinician, new=NewReferral(case.pk, service.pk, urgency, question, referral_id))
        if number == _ACCEPTED:
            accept_referral(user=dermatologist, referral_id=referral_id)
        new_referrals += 1
    return new_referrals
