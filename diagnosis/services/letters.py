"""Documents about a referral as PDF: the answer to the clinician, the referral itself, the patient's leaflet.

None of them holds anything of the network's answer: they travel, and whoever reads next is to read for themselves
(docs/decisions/0151). Each is made anew from what is stored, kept nowhere, and recorded in the audit record.
"""

from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language, get_language_bidi, gettext, ngettext, override

from diagnosis.models import Assessment, Case, ConsentEvent, Referral, ReferralState
from diagnosis.models.cases import ImageKind
from diagnosis.models.diagnosis_names import levels_of, name_of
from diagnosis.models.patients import organisations_of_clinician
from diagnosis.models.sealed import PatientErased
from diagnosis.services.assessments import current_assessment
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.files import open_sealed
from diagnosis.services.first_reads import must_read_first
from diagnosis.services.leaflet_words import COME_BACK, PLANS, SITES, SKIN_CARE, how_sure, in_plain_words
from diagnosis.services.referral_states import person
from diagnosis.services.typesetting import Sheet, shrink
from diagnosis.services.wording import CHECKLIST
from skincare.accounts.models import User
from skincare.audit.record import record

MOST_PICTURES: Final = 6
_LEAFLET_SIZE: Final = 11.5


def languages() -> list[str]:
    """Languages that documents can be had in."""
    return [code for code, _name in settings.LANGUAGES]


@transaction.atomic
def answer_letter(*, user: User, referral_id: UUID, language: str = "") -> bytes:
    """The dermatologist's answer to the clinician, with the photographs.

    Args:
        user: a clinician of the clinic, or a dermatologist who may see the referral; these get no name in it.
        language: one of ``languages()``; the user's own where empty.

    Raises:
        Refusal: there is no such referral of the user's (``not_found``), or no such language.
        Conflict: it is not signed yet, or the user is still to read the case blind.
        PatientErased: there is nothing left to write about.
    """
    referral = _referral(user, referral_id)
    signed = _signed(user, referral)
    with override(_language(language)):
        sheet = _Letter(user, referral).answer(signed)
    _note("referral.letter_made", user, referral, {"assessment": str(signed.pk)})
    return sheet


@transaction.atomic
def referral_letter(*, user: User, referral_id: UUID, language: str = "") -> bytes:
    """What the clinician asks, with history and photographs: for whoever is to see the patient elsewhere too.

    Raises:
        Refusal, PatientErased: as for the answer.
    """
    referral = _referral(user, referral_id)
    with override(_language(language)):
        sheet = _Letter(user, referral).question()
    _note("referral.referral_letter_made", user, referral, {})
    return sheet


@transaction.atomic
def leaflet(*, user: User, case_id: UUID, language: str = "") -> bytes:
    """What the answer means, in plain words for the patient.

    Args:
        language: one of ``languages()``; where empty, the one in which the patient's consent was spoken of, or the
            user's own where no document can be had in that.

    Raises:
        Conflict: no answer is signed yet, or the user is still to read the case blind.
        Refusal, PatientErased: as for the answer.
    """
    referred = Case.objects.filter(Exists(Referral.objects.for_reader(user).filter(case=OuterRef("pk"))))
    case = (Case.objects.for_user(user) | referred).filter(pk=case_id).first()
    if case is None:
        raise Refusal("not_found", "there is no such case, or you may not see it")
    referrals = Referral.objects.for_user(user).filter(case=case, answered_at__isnull=False).with_everything()
    referral = referrals.order_by("-answered_at").first()
    if referral is None:
        raise Conflict("not_signed", "no dermatologist has signed an answer to this case yet; the leaflet follows it")
    signed = _signed(user, referral)
    with override(_language(language or _spoken_with(case))):
        sheet = _leaflet(user, referral, signed)
    _note("referral.leaflet_made", user, referral, {"assessment": str(signed.pk)})
    return sheet


def _referral(user: User, pk: UUID) -> Referral:
    referral = Referral.objects.for_user(user).with_everything().filter(pk=pk).first()
    if referral is None:
        raise Refusal("not_found", "there is no such referral, or you may not see it")
    if referral.case.patient.erased:
        raise PatientErased(f"patient {referral.case.patient_id} was erased")
    return referral


def _signed(user: User, referral: Referral) -> Assessment:
    if referral.case.patient.erased:
        raise PatientErased(f"patient {referral.case.patient_id} was erased")
    clinician = _clinician(user, referral)
    if not clinician and must_read_first(user, referral):
        raise Conflict("read_first", "record your own read first (first-read/); the letter follows it")
    signed = current_assessment(referral)
    if signed is None:
        raise Conflict("not_signed", "the referral has no signed answer yet; the letter follows it", field="state")
    signed.referral = referral
    return signed


def _clinician(user: User, referral: Referral) -> bool:
    return organisations_of_clinician(user).filter(pk=referral.case.organisation_id).exists()


def _language(wanted: str) -> str:
    chosen = wanted or get_language() or settings.LANGUAGE_CODE
    if chosen not in languages():
        base = chosen.partition("-")[0]
        near = next((code for code in languages() if code.partition("-")[0] == base), "")
        if not near:
            raise Refusal("unknown_language", f"{chosen!r} is not one of {', '.join(languages())}", field="language")
        return near
    return chosen


def _spoken_with(case: Case) -> str:
    """The language in which the patient's latest consent was spoken of, where documents can be had in it."""
    spoken = (
        ConsentEvent.objects.filter(patient=case.patient_id).order_by("-recorded_at").values_list("language", flat=True)
    )
    base = (spoken.first() or "").partition("-")[0]
    return next((code for code in languages() if code.partition("-")[0] == base), "")


def _note(action: str, user: User, referral: Referral, details: dict[str, object]) -> None:
    record(
        action,
        referral,
        actor=user,
        patient_id=referral.case.patient_id,
        organisation_id=referral.case.organisation_id,
        details=details,
    )


def _day(moment: datetime) -> str:
    return date_format(moment, "j F Y")


def _minute(moment: datetime) -> str:
    return f"{date_format(moment, 'j F Y, H:i')} UTC"


def _sheet(title: str, referral: Referral, **how: float) -> Sheet:
    foot = gettext(
        "Reference %(reference)s. Made %(at)s with Skincare, research software that is not a medical device; the "
        "diagnosis is a doctor's."
    ) % {"reference": str(referral.pk)[:8], "at": _day(timezone.now())}
    return Sheet(title=title, language=get_language() or "", from_right=get_language_bidi(), foot=foot, **how)


class _Letter:
    """One letter about one referral."""

    def __init__(self, user: User, referral: Referral) -> None:
        self.referral, self.case = referral, referral.case
        self.named = _clinician(user, referral)

    def answer(self, signed: Assessment) -> bytes:
        referral = self.referral
        sheet = _sheet(gettext("Answer to a referral"), referral)
        sheet.opposite(referral.service.name, _day(signed.signed_at))
        sheet.say(gettext("Answer to your referral"), sheet.title)
        sheet.facts(
            [
                (gettext("To"), f"{person(referral.referred_by)}, {self.case.organisation.name}"),
                *self._patient(),
                (gettext("Lesion"), self._lesion()),
                (gettext("Referred"), f"{_day(referral.sent_at)}, {referral.get_urgency_display()}"),
            ]
        )
        sheet.panel(
            [
                (gettext("Assessment"), sheet.quiet),
                (name_of(signed.diagnosis), sheet.large),
                (" › ".join(levels_of(signed.diagnosis)[:-1]), sheet.quiet),
                (gettext("Confidence: %(share)d%%") % {"share": signed.confidence}, sheet.body),
                (gettext("Plan: %(plan)s") % {"plan": plan_of(signed)}, sheet.strong),
            ]
        )
        sheet.say(signed.text)
        if signed.amends_id:
            sheet.say(
                gettext("This letter replaces the one of %(date)s. Please discard that one.")
                % {"date": _minute(signed.amends.signed_at)},  # type: ignore[union-attr]
                sheet.strong,
            )
        readers = referral.reads.count()
        if readers > 1:
            sheet.say(
                ngettext(
                    "%(number)d dermatologist read the photographs, independently of the network.",
                    "%(number)d dermatologists read the photographs, independently of one another.",
                    readers,
                )
                % {"number": readers}
            )
        sheet.say(
            gettext("Signed electronically by %(name)s, %(service)s, %(at)s")
            % {"name": signed.signature, "service": referral.service.name, "at": _minute(signed.signed_at)},
            sheet.strong,
        )
        sheet.say(
            gettext(
                "Assessed from photographs, without an examination. If the lesion changes, or if what you see does not "
                "fit this answer, refer the patient again or have them seen in person."
            ),
            sheet.quiet,
        )
        if referral.question:
            sheet.heading(gettext("Your question"))
            sheet.say(referral.question)
        sheet.heading(gettext("Photographs"))
        sheet.pictures(_pictures(self.case))
        return sheet.render()

    def question(self) -> bytes:
        referral, case = self.referral, self.case
        sheet = _sheet(gettext("Referral letter"), referral)
        sheet.opposite(case.organisation.name, _day(referral.sent_at))
        sheet.say(gettext("Referral to dermatology"), sheet.title)
        sheet.facts(
            [
                (gettext("To"), referral.service.name),
                (gettext("From"), f"{person(referral.referred_by)}, {case.organisation.name}"),
                *self._patient(),
                (gettext("Lesion"), self._lesion()),
                (gettext("Seen"), _day(case.seen_at)),
            ]
        )
        sheet.panel(
            [
                (gettext("Urgency"), sheet.quiet),
                (str(referral.get_urgency_display()), sheet.large),
                (referral.question or gettext("No question was written."), sheet.body),
            ]
        )
        if referral.state in (ReferralState.WITHDRAWN, ReferralState.DECLINED, ReferralState.EXPIRED):
            sheet.say(
                gettext("State of this referral: %(state)s, since %(at)s.")
                % {"state": referral.get_state_display(), "at": _minute(referral.state_since)},
                sheet.strong,
            )
        sheet.heading(gettext("Findings"))
        known = {True: gettext("Yes"), False: gettext("No"), None: gettext("Not known")}
        impression = f": {case.get_impression_display()}" if case.impression else ""
        sheet.facts(
            [
                (gettext("Clinician's impression"), f"{case.get_suspicion_display()}{impression}"),
                (gettext("Weighted 7-point checklist"), self._checklist()),
                (gettext("Bleeds"), known[case.bleeding]),
                (gettext("Grows"), known[case.growth]),
                (gettext("Previous melanoma"), known[case.personal_hx_mm]),
                (gettext("Melanoma in the family"), known[case.family_hx_mm]),
                (gettext("Previous other skin cancer"), known[case.personal_hx_skin_cancer]),
                (gettext("Much sun, sunburns or sunbeds"), known[case.sun_damage]),
                (gettext("Immunosuppression"), known[case.immunosuppression]),
                (gettext("Skin type (Fitzpatrick)"), case.fitzpatrick_skin_type),
                (gettext("Note"), case.note),
            ]
        )
        sheet.heading(gettext("Photographs"))
        sheet.pictures(_pictures(case))
        return sheet.render()

    def _patient(self) -> list[tuple[str, str]]:
        patient = self.case.patient
        rows = [(gettext("Record number"), patient.record_number)]
        if self.named:
            born = patient.birth_date
            when = gettext("born %(date)s") % {"date": date_format(date.fromisoformat(born), "j F Y")} if born else ""
            name = ", ".join(part for part in (patient.name, when) if part)
            rows.insert(0, (gettext("Patient"), name))
        else:
            age, sex = self.case.age_approx, str(self.case.get_sex_display())
            about = gettext("about %(age)d years") % {"age": age} if age is not None else ""
            rows.insert(0, (gettext("Patient"), ", ".join(part for part in (about, sex) if part)))
        return rows

    def _lesion(self) -> str:
        site, described = str(self.case.get_anatom_site_general_display()), self.case.lesion.description
        return f"{site}: {described}" if described else site

    def _checklist(self) -> str:
        names = [str(name) for item, name in CHECKLIST.items() if getattr(self.case, item)]
        score = gettext("%(score)d of 10 points") % {"score": self.case.checklist_score}
        return f"{score}: {', '.join(names)}" if names else score


def _leaflet(user: User, referral: Referral, signed: Assessment) -> bytes:
    case = referral.case
    sheet = _sheet(gettext("About the spot on your skin"), referral, size=_LEAFLET_SIZE)
    sheet.opposite(case.organisation.name, _day(signed.signed_at))
    sheet.say(gettext("About the spot on your skin"), sheet.title)
    if _clinician(user, referral) and case.patient.name:
        sheet.say(gettext("For %(name)s") % {"name": case.patient.name}, sheet.strong)
    sheet.say(
        gettext("A skin doctor has looked at the photographs of the spot %(where)s that were taken on %(date)s.")
        % {"where": SITES[case.anatom_site_general], "date": _day(case.seen_at)}
    )
    sheet.heading(gettext("What the skin doctor thinks"))
    sheet.panel([(in_plain_words(signed.diagnosis), sheet.strong), (how_sure(signed.confidence), sheet.body)])
    sheet.heading(gettext("What happens now"))
    sheet.say(str(PLANS[signed.plan]))
    if signed.months:
        sheet.say(
            ngettext("Look again in: %(number)d month.", "Look again in: %(number)d months.", signed.months)
            % {"number": signed.months},
            sheet.strong,
        )
    sheet.heading(gettext("Call your clinic at once, and do not wait, if the spot"))
    sheet.points([str(text) for text in COME_BACK])
    sheet.heading(gettext("Looking after your skin"))
    sheet.points([str(text) for text in SKIN_CARE])
    sheet.heading(gettext("Questions?"))
    sheet.say(
        gettext("Ask at %(clinic)s. The doctors there know you and have the whole answer.")
        % {"clinic": case.organisation.name}
    )
    return sheet.render()


def plan_of(signed: Assessment) -> str:
    """The plan in words, with the months where it is to observe."""
    plan = str(signed.get_plan_display())
    if not signed.months:
        return plan
    months = ngettext("%(number)d month", "%(number)d months", signed.months) % {"number": signed.months}
    return f"{plan} ({months})"


def _pictures(case: Case) -> list[tuple[bytes, str]]:
    """The case's photographs, dermoscopic ones first, as a letter shows them."""
    order = [ImageKind.DERMOSCOPIC, ImageKind.CLOSE_UP, ImageKind.OVERVIEW]
    images = sorted(case.images.all(), key=lambda image: (order.index(ImageKind(image.kind)), image.position))
    return [
        (
            shrink(open_sealed(case.patient, image.photograph_file)),
            f"{ImageKind(image.kind).label}, {_day(case.seen_at)}",
        )
        for image in images[:MOST_PICTURES]
    ]
