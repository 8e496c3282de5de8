"""What the clinical rule asks for by itself: it holds whether or not the network was asked, answers or fails."""

from diagnosis.classifier.recommendation import ClinicalPicture, Decider, Level
from diagnosis.models import Case, Suspicion


def clinical_picture(case: Case) -> ClinicalPicture:
    """What the rules look at, apart from the photographs."""
    return ClinicalPicture(
        checklist_score=case.checklist_score,
        bleeding=case.bleeding,
        growth=case.growth,
        clinician_suspects=case.suspicion == Suspicion.MALIGNANT,
        age=case.age_approx,
        fitzpatrick_skin_type=case.fitzpatrick_skin_type or None,
        anatom_site_general=case.anatom_site_general,
    )


def clinical_demand(case: Case) -> tuple[Level, Decider]:
    """What the checklist, bleeding, growth or the clinician's own suspicion call for, and which of them."""
    return clinical_picture(case).demand()


def demand_after_failure(case: Case) -> tuple[Level, Decider]:
    """The same, but at least the look of a person, since the network was asked and has nothing to say."""
    level, decider = clinical_demand(case)
    if level.urgency >= Level.HUMAN_REVIEW.urgency:
        return level, decider
    return Level.HUMAN_REVIEW, Decider.ABSTENTION
