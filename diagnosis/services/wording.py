"""Plain words for what the network and the clinical rule concluded; every sentence about a result comes from here."""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from diagnosis.classifier.recommendation import Decider, Level, Notice
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import Analysis, AnalysisState
from diagnosis.models.diagnosis_names import class_name

RECOMMENDATIONS: Final[dict[str, Promise]] = {
    Level.CLINICAL_JUDGEMENT: gettext_lazy("Nothing found here asks for more than your own clinical judgement."),
    Level.HUMAN_REVIEW: gettext_lazy("A doctor with training in skin lesions should look at this."),
    Level.REFER: gettext_lazy("Refer to dermatology."),
    Level.REFER_URGENTLY: gettext_lazy("Refer urgently, on the suspected skin cancer pathway."),
}

DECIDERS: Final[dict[str, Promise]] = {
    Decider.CHECKLIST: gettext_lazy("The weighted 7-point checklist scores 3 or more (NICE NG12)."),
    Decider.CLINICIAN: gettext_lazy("You suspect malignancy yourself."),
    Decider.BLEEDING: gettext_lazy("The lesion bleeds."),
    Decider.GROWTH: gettext_lazy("The lesion grows."),
    Decider.NETWORK: gettext_lazy(
        "The network's malignancy risk is above the threshold, or its decision falls on a malignant diagnosis."
    ),
    Decider.ABSTENTION: gettext_lazy("The network has no valid result."),
    Decider.PLAIN_PHOTOGRAPHS: gettext_lazy(
        "The network has read plain photographs only, which are not trusted to settle anything."
    ),
    Decider.NONE: gettext_lazy("Neither the clinical rule nor the network asks for more."),
}

NOTICES: Final[dict[str, Promise]] = {
    Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS: gettext_lazy(
        "Not validated on plain photographs: the network was trained on dermoscopic images. It may raise concern here, "
        "never lower it."
    ),
    Notice.SOME_PHOTOGRAPHS_NOT_READ: gettext_lazy(
        "Some photographs were not read: their quality was poor, or they are unlike what the network was trained on."
    ),
    Notice.NOT_MEASURED_ON_SKIN_TYPE: gettext_lazy("Never measured on Fitzpatrick skin types V and VI."),
    Notice.NOT_MEASURED_ON_SITE: gettext_lazy("Never measured on mucosa."),
    Notice.NOT_MEASURED_ON_CHILDREN: gettext_lazy("Never measured on children."),
}


@dataclass(frozen=True)
class Reason:
    """Why the network has no answer, and what the clinician can do about it."""

    what: Promise | str
    way_out: Promise | str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.way_out}".strip()


ASK_AGAIN: Final = gettext_lazy("Ask again, or refer.")
REASONS: Final[dict[str, Reason]] = {
    "no_consent": Reason(gettext_lazy("The patient has not agreed to the analysis.")),
    "consent_withdrawn": Reason(gettext_lazy("The patient withdrew the consent before the network had answered.")),
    "consent_expired": Reason(gettext_lazy("The patient’s consent ended before the network had answered.")),
    "overview_only": Reason(
        gettext_lazy("Only an overview was sent."),
        gettext_lazy("Add a close-up or a dermoscopic photograph, or refer."),
    ),
    "poor_image": Reason(
        gettext_lazy("The photographs are not good enough to be read."), gettext_lazy("Take them again, or refer.")
    ),
    "unlike_training_data": Reason(
        gettext_lazy("The photographs are unlike anything that the network was trained on.")
    ),
    "worker_lost": Reason(
        gettext_lazy("The program that reads the photographs stopped each time it tried."), ASK_AGAIN
    ),
    "reading_failed": Reason(gettext_lazy("The network could not read the photographs."), ASK_AGAIN),
    "photograph_damaged": Reason(
        gettext_lazy("A stored photograph is damaged and cannot be opened."), gettext_lazy("Take it again, or refer.")
    ),
    "store_unavailable": Reason(gettext_lazy("The stored photographs could not be fetched."), ASK_AGAIN),
    "network_unavailable": Reason(gettext_lazy("The network could not be loaded."), ASK_AGAIN),
    "patient_erased": Reason(gettext_lazy("The patient was erased.")),
}

#: The weighted 7-point checklist, as its answers are read.
CHECKLIST: Final[dict[str, Promise]] = {
    "change_in_size": gettext_lazy("Change in size"),
    "irregular_shape": gettext_lazy("Irregular shape"),
    "irregular_colour": gettext_lazy("Irregular colour"),
    "diameter_7_mm_or_more": gettext_lazy("7 mm or more across"),
    "inflammation": gettext_lazy("Inflammation"),
    "oozing": gettext_lazy("Oozing"),
    "change_in_sensation": gettext_lazy("Change in sensation"),
}
#: What the clinician observes of a lesion: the checklist, and what alarms by itself.
OBSERVATIONS: Final[dict[str, Promise]] = {
    **CHECKLIST,
    "bleeding": gettext_lazy("Bleeding"),
    "growth": gettext_lazy("Growth"),
}

SUPPORT: Final = gettext_lazy("This supports the clinician's judgement; it is not a diagnosis, which a doctor makes.")


def statement(analysis: Analysis) -> str:
    """What a case's analysis says, in two to five sentences for the clinician who sent it."""
    sentences: list[str]
    match analysis.state:
        case AnalysisState.ANSWERED:
            sentences = [
                str(RECOMMENDATIONS[analysis.recommendation]),
                str(DECIDERS[analysis.decided_by]),
                *_what_the_network_says(analysis),
                *(str(NOTICES[notice]) for notice in analysis.notices if notice in NOTICES),
            ]
        case AnalysisState.ABSTAINED | AnalysisState.FAILED:
            sentences = [
                gettext("No AI result: human review."),
                str(why_none(analysis)),
                *_what_the_rule_says(analysis),
            ]
        case AnalysisState.NOT_REQUESTED:
            sentences = [gettext("The network was not asked."), str(why_none(analysis)), *_what_the_rule_says(analysis)]
        case _:
            sentences = [
                gettext("The network has not answered yet. If you are worried, do not wait for it: refer."),
                *_what_the_rule_says(analysis),
            ]
    return " ".join(sentence for sentence in [*sentences, str(SUPPORT)] if sentence)


def why_none(analysis: Analysis) -> Reason:
    """Why an analysis without an answer has none; in the language of now, but for a reason of an older platform."""
    return REASONS.get(analysis.reason) or Reason(analysis.reason_text)


def _what_the_rule_says(analysis: Analysis) -> list[str]:
    """The recommendation where the network is silent, if it asks for anything."""
    if analysis.recommendation in ("", Level.CLINICAL_JUDGEMENT):
        return []
    return [str(RECOMMENDATIONS[analysis.recommendation]), str(DECIDERS[analysis.decided_by])]


def _what_the_network_says(analysis: Analysis) -> list[str]:
    probabilities = dict(zip(CLASSES, analysis.probabilities or [], strict=True))
    likeliest = max(probabilities, key=lambda code: probabilities[code])
    sentences = [
        gettext("The network puts the risk of a malignant or pre-malignant lesion at %(risk)s.")
        % {"risk": per_cent(analysis.malignancy_risk or 0.0)},
        gettext("The most probable diagnosis is %(name)s, at %(share)s.")
        % {"name": class_name(likeliest), "share": per_cent(probabilities[likeliest])},
    ]
    if analysis.predicted != likeliest:
        sentences.append(
            gettext("Allowing for how common each diagnosis is, it looks most like %(name)s.")
            % {"name": class_name(analysis.predicted)}
        )
    return sentences


def per_cent(share: float) -> str:
    """A share of 0..1 in words that claim neither certainty nor impossibility: ``37%``, ``less than 1%``."""
    if share < 0.01:
        return gettext("less than 1%%") % ()
    if share > 0.99:
        return gettext("more than 99%%") % ()
    return f"{share:.0%}"
