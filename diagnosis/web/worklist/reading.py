"""What the case reading page shows of a referral. Only ``network_words`` looks at the network's answer; it gets what
``first_reads.show_answer`` lets through.
"""

from dataclasses import dataclass
from typing import Final

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.classifier.recommendation import Decider, Level
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.models import Analysis, AnalysisState, Case, Message, Referral
from diagnosis.models.cases import CHECKLIST_POINTS, ImageKind
from diagnosis.models.diagnosis_names import class_name, levels_of
from diagnosis.services.first_reads import asked_opinion, own_read, sees_other_reads
from diagnosis.services.referral_states import Who, parts_of, person
from diagnosis.services.wording import CHECKLIST, DECIDERS, NOTICES, RECOMMENDATIONS, per_cent, why_none
from skincare.accounts.models import User

#: One press each: what most referrals turn out to be.
QUICK: Final = (
    "nevus",
    "nevus-atypical",
    "seborrheic-keratosis",
    "melanoma",
    "melanoma-in-situ",
    "basal-cell-carcinoma",
    "actinic-keratosis",
    "dermatofibroma",
)
#: Confidence in four words and their per cent.
CONFIDENCES: Final = (25, 50, 75, 95)
LEVEL_STYLES: Final = {
    Level.CLINICAL_JUDGEMENT: "settled",
    Level.HUMAN_REVIEW: "review",
    Level.REFER: "refer",
    Level.REFER_URGENTLY: "urgent",
}


def messages_shown(user: User, referral: Referral) -> bool:
    """Whether the user may read the messages: not a further reader before their own read (decision 0080)."""
    opinion = asked_opinion(user, referral)
    if opinion is not None and own_read(user, referral) is None:
        return False
    return Who.CLAIMANT in parts_of(user, referral) or sees_other_reads(user, referral)


@dataclass(frozen=True)
class Photograph:
    """One photograph on the page."""

    pk: str
    address: str
    position: int
    label: str
    width: int
    height: int


def photographs_of(referral: Referral, case: Case) -> list[Photograph]:
    """A case's photographs, with addresses within this referral."""
    return [
        Photograph(
            str(image.pk),
            reverse("worklist-photograph", args=[referral.pk, image.pk]),
            image.position,
            f"{ImageKind(image.kind).label}, {date_format(case.seen_at, 'j M Y')}",
            image.width,
            image.height,
        )
        for image in case.images.all()
    ]


def checklist_of(case: Case) -> list[dict[str, object]]:
    """The seven points, each with its weight and whether it is met."""
    return [
        {"name": CHECKLIST[item], "points": points, "yes": getattr(case, item)}
        for item, points in CHECKLIST_POINTS.items()
    ]


def history_of(case: Case) -> list[tuple[str, str]]:
    """What was asked of the patient, in words."""
    known = {True: _("Yes"), False: _("No"), None: _("Not known")}
    return [
        (_("Bleeds"), known[case.bleeding]),
        (_("Grows"), known[case.growth]),
        (_("Previous melanoma"), known[case.personal_hx_mm]),
        (_("Melanoma in the family"), known[case.family_hx_mm]),
        (_("Previous other skin cancer"), known[case.personal_hx_skin_cancer]),
        (_("Much sun, sunburns or sunbeds"), known[case.sun_damage]),
        (_("Immunosuppression"), known[case.immunosuppression]),
    ]


def choices_of_diagnosis() -> list[dict[str, object]]:
    """The dictionary as groups of indented choices, in its order; each with all its levels as what is searched."""
    groups: dict[str, list[dict[str, str]]] = {}
    for diagnosis in diagnoses().values():
        levels = levels_of(diagnosis.code)
        groups.setdefault(levels[0], []).append(
            {
                "code": diagnosis.code,
                "name": "\u2003" * max(0, len(levels) - 2) + levels[-1],
                # Found by the dictionary's own words too, whatever the language.
                "words": " ".join(dict.fromkeys([*levels, *diagnosis.levels])).lower(),
            }
        )
    return [{"name": name, "choices": choices} for name, choices in groups.items()]


def messages_of(referral: Referral) -> list[dict[str, object]]:
    """The thread, the oldest first."""
    messages = Message.objects.filter(referral=referral).select_related("author").prefetch_related("images")
    found = []
    for message in messages:
        message.referral = referral
        found.append(
            {
                "author": person(message.author),
                "from_clinic": message.from_clinic,
                "kind": message.kind,
                "kind_text": message.get_kind_display(),
                "sent_at": message.sent_at,
                "text": message.text,
                "images": [
                    reverse("worklist-message-photograph", args=[referral.pk, image.pk])
                    for image in message.images.all()
                ],
            }
        )
    return found


def network_words(analysis: Analysis) -> dict[str, object]:
    """The network's answer for a dermatologist: recommendation, bars, version, and what was never measured."""
    answered = analysis.state == AnalysisState.ANSWERED
    decider = (
        _("The clinician suspects malignancy.")
        if analysis.decided_by == Decider.CLINICIAN
        else str(DECIDERS.get(analysis.decided_by, ""))
    )
    shares = dict(zip(CLASSES, analysis.probabilities or [], strict=True)) if answered else {}
    return {
        "answered": answered,
        "waits": analysis.state in (AnalysisState.WAITING, AnalysisState.RUNNING),
        "style": LEVEL_STYLES.get(Level(analysis.recommendation), "review") if analysis.recommendation else "review",
        "recommendation": str(RECOMMENDATIONS.get(analysis.recommendation, "")),
        "decider": decider,
        "reason": str(why_none(analysis).what),
        "risk": per_cent(analysis.malignancy_risk or 0.0) if answered else "",
        "bars": [
            {
                "name": class_name(code),
                "malignant": code in MALIGNANT,
                "share": per_cent(share),
                "width": str(max(1, round(200 * share))),
            }
            for code, share in sorted(shares.items(), key=lambda each: -each[1])
        ],
        "predicted": class_name(analysis.predicted),
        "notices": [str(NOTICES[notice]) for notice in analysis.notices if notice in NOTICES],
        "version": analysis.model_version.name if analysis.model_version else "",
        "position": analysis.deciding_position,
        "has_map": analysis.sealed_map is not None,
    }
