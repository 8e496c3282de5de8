"""What may be said about a case: a table of situations, and rules that hold in all of them."""

import dataclasses
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diagnosis.classifier.quality import Quality
from diagnosis.classifier.reading import Reading
from diagnosis.classifier.recommendation import (
    AbstentionReason,
    Answer,
    ClinicalPicture,
    Decider,
    Kind,
    Level,
    Notice,
    ReadImage,
    Thresholds,
    conclude,
)
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT

THRESHOLDS = Thresholds(refer=0.2, refer_urgently=0.6)
LOW, SOME, HIGH = 0.05, 0.3, 0.8


def quality(*problems: str) -> Quality:
    return Quality(0.03, 0.7, 0.0, 0.0, 0.3, 0.2, 4000, 3000, problems, ())


def reading(risk: float, novel: bool = False, rest: str = "nv") -> Reading:
    """The risk lies on melanoma, the rest on one benign class."""
    probabilities = np.zeros(len(CLASSES))
    probabilities[CLASSES.index("mel")] = risk
    probabilities[CLASSES.index(rest)] = 1 - risk
    predicted = "mel" if risk > 0.14 else rest
    empty = np.zeros((7, 7, 7), np.float32), np.zeros(1280, np.float32)
    return Reading(probabilities, predicted, risk, *empty, distance=9.0 if novel else 0.1, novel=novel)


def dermoscopic(risk: float, novel: bool = False, rest: str = "nv") -> ReadImage:
    return ReadImage(Kind.DERMOSCOPIC, quality(), reading(risk, novel, rest))


def close_up(risk: float, novel: bool = False, rest: str = "nv") -> ReadImage:
    return ReadImage(Kind.CLOSE_UP, quality(), reading(risk, novel, rest))


def blurred(kind: Kind) -> ReadImage:
    return ReadImage(kind, quality("blurred"), None)


OVERVIEW = ReadImage(Kind.OVERVIEW, quality(), None)
NOTHING = ClinicalPicture()
CHECKLIST = ClinicalPicture(checklist_score=3)
SUSPICION = ClinicalPicture(clinician_suspects=True)

TABLE = [
    # images, clinical picture, recommendation, decided by, network level, abstention reason
    ([dermoscopic(LOW)], NOTHING, Level.CLINICAL_JUDGEMENT, Decider.NONE, Level.CLINICAL_JUDGEMENT, None),
    ([dermoscopic(SOME)], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    ([dermoscopic(HIGH)], NOTHING, Level.REFER_URGENTLY, Decider.NETWORK, Level.REFER_URGENTLY, None),
    # the more urgent of network and clinical rule
    ([dermoscopic(LOW)], CHECKLIST, Level.REFER_URGENTLY, Decider.CHECKLIST, Level.CLINICAL_JUDGEMENT, None),
    ([dermoscopic(SOME)], CHECKLIST, Level.REFER_URGENTLY, Decider.CHECKLIST, Level.REFER, None),
    ([dermoscopic(HIGH)], CHECKLIST, Level.REFER_URGENTLY, Decider.CHECKLIST, Level.REFER_URGENTLY, None),
    ([dermoscopic(LOW)], SUSPICION, Level.REFER, Decider.CLINICIAN, Level.CLINICAL_JUDGEMENT, None),
    ([dermoscopic(HIGH)], SUSPICION, Level.REFER_URGENTLY, Decider.NETWORK, Level.REFER_URGENTLY, None),
    (
        [dermoscopic(LOW)],
        ClinicalPicture(bleeding=True),
        Level.REFER,
        Decider.BLEEDING,
        Level.CLINICAL_JUDGEMENT,
        None,
    ),
    ([dermoscopic(LOW)], ClinicalPicture(growth=True), Level.REFER, Decider.GROWTH, Level.CLINICAL_JUDGEMENT, None),
    (
        [dermoscopic(LOW)],
        ClinicalPicture(checklist_score=2),
        Level.CLINICAL_JUDGEMENT,
        Decider.NONE,
        Level.CLINICAL_JUDGEMENT,
        None,
    ),
    # of several, the most worrying decides
    ([dermoscopic(LOW), dermoscopic(HIGH)], NOTHING, Level.REFER_URGENTLY, Decider.NETWORK, Level.REFER_URGENTLY, None),
    # a malignant decision asks for a referral, however small the risk
    ([dermoscopic(LOW, rest="bcc")], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    ([close_up(LOW, rest="bcc")], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    (
        [dermoscopic(0.12), dermoscopic(LOW, rest="akiec")],
        NOTHING,
        Level.REFER,
        Decider.NETWORK,
        Level.REFER,
        None,
    ),
    # plain photographs: concern counts, its absence does not
    ([close_up(LOW)], NOTHING, Level.HUMAN_REVIEW, Decider.PLAIN_PHOTOGRAPHS, None, None),
    ([close_up(SOME)], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    ([close_up(HIGH)], NOTHING, Level.REFER_URGENTLY, Decider.NETWORK, Level.REFER_URGENTLY, None),
    ([close_up(LOW)], CHECKLIST, Level.REFER_URGENTLY, Decider.CHECKLIST, None, None),
    ([close_up(LOW)], SUSPICION, Level.REFER, Decider.CLINICIAN, None, None),
    ([dermoscopic(SOME), close_up(LOW)], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    ([dermoscopic(LOW), close_up(SOME)], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    (
        [dermoscopic(LOW), close_up(0.1)],
        NOTHING,
        Level.CLINICAL_JUDGEMENT,
        Decider.NONE,
        Level.CLINICAL_JUDGEMENT,
        None,
    ),
    # abstentions
    ([OVERVIEW], NOTHING, Level.HUMAN_REVIEW, Decider.ABSTENTION, None, AbstentionReason.OVERVIEW_ONLY),
    ([OVERVIEW], CHECKLIST, Level.REFER_URGENTLY, Decider.CHECKLIST, None, AbstentionReason.OVERVIEW_ONLY),
    ([OVERVIEW], SUSPICION, Level.REFER, Decider.CLINICIAN, None, AbstentionReason.OVERVIEW_ONLY),
    (
        [blurred(Kind.DERMOSCOPIC)],
        NOTHING,
        Level.HUMAN_REVIEW,
        Decider.ABSTENTION,
        None,
        AbstentionReason.POOR_IMAGE,
    ),
    (
        [dermoscopic(HIGH, novel=True)],
        NOTHING,
        Level.HUMAN_REVIEW,
        Decider.ABSTENTION,
        None,
        AbstentionReason.UNLIKE_TRAINING_DATA,
    ),
    (
        [close_up(LOW, novel=True), OVERVIEW],
        NOTHING,
        Level.HUMAN_REVIEW,
        Decider.ABSTENTION,
        None,
        AbstentionReason.UNLIKE_TRAINING_DATA,
    ),
    # of two reasons, that of the dermoscopic photograph is given, for it is the one to take again
    (
        [blurred(Kind.DERMOSCOPIC), close_up(LOW, novel=True)],
        NOTHING,
        Level.HUMAN_REVIEW,
        Decider.ABSTENTION,
        None,
        AbstentionReason.POOR_IMAGE,
    ),
    # one that cannot be read leaves the say to the others
    ([dermoscopic(HIGH, novel=True), dermoscopic(SOME)], NOTHING, Level.REFER, Decider.NETWORK, Level.REFER, None),
    ([blurred(Kind.DERMOSCOPIC), close_up(LOW)], NOTHING, Level.HUMAN_REVIEW, Decider.PLAIN_PHOTOGRAPHS, None, None),
    (
        [OVERVIEW, dermoscopic(LOW)],
        NOTHING,
        Level.CLINICAL_JUDGEMENT,
        Decider.NONE,
        Level.CLINICAL_JUDGEMENT,
        None,
    ),
]


@pytest.mark.parametrize(("images", "clinical", "recommendation", "decided_by", "network_level", "reason"), TABLE)
def test_every_situation_has_its_answer(
    images: Sequence[ReadImage],
    clinical: ClinicalPicture,
    recommendation: Level,
    decided_by: Decider,
    network_level: Level | None,
    reason: AbstentionReason | None,
) -> None:
    answer = conclude(images, clinical, THRESHOLDS)

    assert answer.recommendation == recommendation
    assert answer.decided_by == decided_by
    assert answer.network_level == network_level
    assert answer.reason == reason
    assert answer.abstained == (reason is not None)


@pytest.mark.parametrize("score", range(11))
def test_a_checklist_score_of_three_or_more_is_an_urgent_referral(score: int) -> None:
    answer = conclude([dermoscopic(LOW)], ClinicalPicture(checklist_score=score), THRESHOLDS)

    assert (answer.recommendation == Level.REFER_URGENTLY) == (score >= 3)


@pytest.mark.parametrize(
    ("risk", "level"),
    [
        (0.0, Level.CLINICAL_JUDGEMENT),
        (0.1999, Level.CLINICAL_JUDGEMENT),
        (0.2, Level.REFER),
        (0.5999, Level.REFER),
        (0.6, Level.REFER_URGENTLY),
        (1.0, Level.REFER_URGENTLY),
    ],
)
def test_a_risk_at_a_threshold_counts_as_reaching_it(risk: float, level: Level) -> None:
    assert THRESHOLDS.level(dataclasses.replace(reading(risk), predicted="nv")) == level


@pytest.mark.parametrize("predicted", MALIGNANT)
def test_a_malignant_decision_asks_for_a_referral_whatever_the_risk(predicted: str) -> None:
    assert THRESHOLDS.level(dataclasses.replace(reading(0.01), predicted=predicted)) == Level.REFER


def test_the_answer_is_that_of_the_deciding_photograph() -> None:
    answer = conclude([OVERVIEW, dermoscopic(LOW), dermoscopic(SOME)], NOTHING, THRESHOLDS)

    assert answer.deciding_image == 2
    assert answer.malignancy_risk == SOME
    assert answer.predicted == "mel"
    assert answer.probabilities is not None
    assert answer.probabilities["mel"] == SOME


@pytest.mark.parametrize(
    ("images", "notices"),
    [
        ([dermoscopic(LOW)], ()),
        ([close_up(LOW)], (Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS,)),
        ([close_up(HIGH)], (Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS,)),
        ([dermoscopic(LOW), close_up(HIGH)], (Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS,)),
        ([dermoscopic(HIGH), close_up(LOW)], ()),
        ([dermoscopic(LOW), OVERVIEW], ()),
        ([dermoscopic(LOW), blurred(Kind.CLOSE_UP)], (Notice.SOME_PHOTOGRAPHS_NOT_READ,)),
        ([dermoscopic(LOW), dermoscopic(HIGH, novel=True)], (Notice.SOME_PHOTOGRAPHS_NOT_READ,)),
    ],
)
def test_the_limits_of_an_answer_are_said(images: Sequence[ReadImage], notices: tuple[Notice, ...]) -> None:
    assert conclude(images, NOTHING, THRESHOLDS).notices == notices


@pytest.mark.parametrize(
    ("clinical", "notice"),
    [
        (ClinicalPicture(fitzpatrick_skin_type="V"), Notice.NOT_MEASURED_ON_SKIN_TYPE),
        (ClinicalPicture(fitzpatrick_skin_type="VI"), Notice.NOT_MEASURED_ON_SKIN_TYPE),
        (ClinicalPicture(anatom_site_general="oral/genital"), Notice.NOT_MEASURED_ON_SITE),
        (ClinicalPicture(age=17), Notice.NOT_MEASURED_ON_CHILDREN),
        (ClinicalPicture(age=15), Notice.NOT_MEASURED_ON_CHILDREN),
    ],
)
@pytest.mark.parametrize("images", [[dermoscopic(LOW)], [OVERVIEW]], ids=["answered", "abstained"])
def test_where_nobody_has_measured_the_network_it_is_said(
    images: Sequence[ReadImage], clinical: ClinicalPicture, notice: Notice
) -> None:
    assert conclude(images, clinical, THRESHOLDS).notices == (notice,)


def test_adults_of_common_skin_types_get_no_such_notice() -> None:
    usual = ClinicalPicture(age=18, fitzpatrick_skin_type="IV", anatom_site_general="posterior torso")

    assert conclude([dermoscopic(LOW)], usual, THRESHOLDS).notices == ()


def test_a_case_without_photographs_is_an_error_and_no_answer() -> None:
    with pytest.raises(ValueError, match="at least one photograph"):
        conclude([], NOTHING, THRESHOLDS)


@pytest.mark.parametrize("kind", [Kind.CLOSE_UP, Kind.DERMOSCOPIC])
def test_a_readable_photograph_that_was_not_read_is_an_error_and_no_answer(kind: Kind) -> None:
    with pytest.raises(ValueError, match="must be read"):
        ReadImage(kind, quality(), None)


def test_an_unknown_kind_of_photograph_is_an_error() -> None:
    with pytest.raises(ValueError, match="x-ray"):
        ReadImage("x-ray", quality(), None)


@pytest.mark.parametrize(("refer", "urgently"), [(0.0, 0.5), (0.6, 0.5), (0.5, 1.0), (float("nan"), 0.5)])
def test_thresholds_that_do_not_rise_between_0_and_1_are_refused(refer: float, urgently: float) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        Thresholds(refer, urgently)


@pytest.mark.parametrize("score", [-1, 11])
def test_an_impossible_checklist_score_is_refused(score: int) -> None:
    with pytest.raises(ValueError, match="0 to 10"):
        ClinicalPicture(checklist_score=score)


# Rules that hold whatever the case is.

risks = st.floats(0, 1) | st.sampled_from([0.0, LOW, 0.2, SOME, 0.6, HIGH, 1.0])
rests = st.sampled_from(["nv", "bkl", "vasc", "bcc"])
dermoscopics = st.builds(dermoscopic, risks, st.booleans(), rests) | st.just(blurred(Kind.DERMOSCOPIC))
close_ups = st.builds(close_up, risks, st.booleans(), rests) | st.just(blurred(Kind.CLOSE_UP))
overviews = st.sampled_from([OVERVIEW, blurred(Kind.OVERVIEW)])
cases = st.lists(dermoscopics | close_ups | overviews, min_size=1, max_size=10)
pictures = st.builds(
    ClinicalPicture,
    checklist_score=st.integers(0, 10),
    bleeding=st.booleans(),
    growth=st.booleans(),
    clinician_suspects=st.booleans(),
)


def clinical_rule(clinical: ClinicalPicture) -> Level:
    """Written a second time, on purpose: what the guideline asks for without any network."""
    if clinical.checklist_score >= 3:
        return Level.REFER_URGENTLY
    if clinical.bleeding or clinical.growth or clinical.clinician_suspects:
        return Level.REFER
    return Level.CLINICAL_JUDGEMENT


def read(images: Sequence[ReadImage]) -> list[ReadImage]:
    return [
        image
        for image in images
        if image.kind != Kind.OVERVIEW and image.quality.acceptable and image.reading and not image.reading.novel
    ]


@given(cases, pictures)
def test_the_recommendation_is_never_less_urgent_than_the_clinical_rule(
    images: list[ReadImage], clinical: ClinicalPicture
) -> None:
    assert conclude(images, clinical, THRESHOLDS).recommendation.urgency >= clinical_rule(clinical).urgency


@given(cases, pictures)
def test_the_recommendation_is_never_less_urgent_than_what_the_network_asks_for(
    images: list[ReadImage], clinical: ClinicalPicture
) -> None:
    answer = conclude(images, clinical, THRESHOLDS)

    for image in read(images):
        assert image.reading is not None
        assert answer.recommendation.urgency >= THRESHOLDS.level(image.reading).urgency
    if answer.network_level:
        assert answer.recommendation.urgency >= answer.network_level.urgency


@given(cases, pictures, close_ups | overviews)
def test_one_more_plain_photograph_never_lowers_the_recommendation(
    images: list[ReadImage], clinical: ClinicalPicture, plain: ReadImage
) -> None:
    before = conclude(images, clinical, THRESHOLDS)
    after = conclude([*images, plain], clinical, THRESHOLDS)

    assert after.recommendation.urgency >= before.recommendation.urgency
    if before.malignancy_risk is not None:
        assert after.malignancy_risk is not None
        assert after.malignancy_risk >= before.malignancy_risk


@given(cases, pictures)
def test_without_a_dermoscopic_reading_a_person_looks(images: list[ReadImage], clinical: ClinicalPicture) -> None:
    assume(not any(image.kind == Kind.DERMOSCOPIC for image in read(images)))

    assert conclude(images, clinical, THRESHOLDS).recommendation != Level.CLINICAL_JUDGEMENT


@given(cases, pictures)
def test_an_abstention_gives_a_reason_and_no_figure(images: list[ReadImage], clinical: ClinicalPicture) -> None:
    answer = conclude(images, clinical, THRESHOLDS)

    assert answer.abstained == (not read(images))
    figures = (answer.probabilities, answer.malignancy_risk, answer.predicted, answer.deciding_image)
    if answer.abstained:
        assert figures == (None, None, None, None)
        assert answer.network_level is None
        assert answer.reason is not None
        assert answer.reason_text.startswith("No AI result")
        assert answer.recommendation.urgency >= Level.HUMAN_REVIEW.urgency
    else:
        assert None not in figures
        assert answer.reason is None
        assert answer.reason_text == ""


@given(cases, pictures)
def test_the_highest_risk_of_the_deciding_photographs_is_the_case_s(
    images: list[ReadImage], clinical: ClinicalPicture
) -> None:
    answer = conclude(images, clinical, THRESHOLDS)
    assume(not answer.abstained)

    risks_read = {
        kind: [image.reading.risk for image in read(images) if image.kind == kind and image.reading] for kind in Kind
    }
    worrying = [
        image.reading.risk
        for image in read(images)
        if image.kind == Kind.CLOSE_UP and image.reading and THRESHOLDS.level(image.reading) != Level.CLINICAL_JUDGEMENT
    ]
    expected = max(risks_read[Kind.DERMOSCOPIC] + worrying or risks_read[Kind.CLOSE_UP])
    assert answer.malignancy_risk == expected
    assert answer.probabilities is not None
    assert sum(answer.probabilities.values()) == pytest.approx(1)


@given(cases, pictures, st.randoms(use_true_random=False))
def test_the_order_of_the_photographs_does_not_matter(
    images: list[ReadImage], clinical: ClinicalPicture, random: Random
) -> None:
    shuffled = images.copy()
    random.shuffle(shuffled)

    def apart_from_index(answer: Answer) -> Answer:
        return dataclasses.replace(answer, deciding_image=None)

    first, second = conclude(images, clinical, THRESHOLDS), conclude(shuffled, clinical, THRESHOLDS)
    assert apart_from_index(first) == apart_from_index(second)


@given(cases, pictures)
def test_a_plain_photograph_that_decides_is_marked_as_such(images: list[ReadImage], clinical: ClinicalPicture) -> None:
    answer = conclude(images, clinical, THRESHOLDS)
    assume(answer.deciding_image is not None)

    plain = images[answer.deciding_image or 0].kind == Kind.CLOSE_UP
    if plain:
        assert Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS in answer.notices
    if plain and answer.network_level is not None:
        assert answer.network_level.urgency >= Level.REFER.urgency
