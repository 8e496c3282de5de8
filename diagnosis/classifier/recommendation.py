"""What may be said about a case: the one place where readings, kinds of photograph and clinical signs become an answer.

The network has only ever seen dermoscopic images, and the final diagnosis is a doctor's. So everything here errs
toward concern: the most worrying reading decides, the more urgent of network and clinical rule is recommended, and
only a dermoscopic photograph that could be read can spare a case the look of a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from diagnosis.classifier.quality import Quality
from diagnosis.classifier.reading import Reading
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT

#: Weighted 7-point checklist: refer on the suspected cancer pathway from this score on (NICE NG12, 1.7.1).
URGENT_CHECKLIST_SCORE: Final = 3
MAX_CHECKLIST_SCORE: Final = 10

#: Nobody has measured the network on these: children, Fitzpatrick skin types, sites in the ISIC dictionary's words.
ADULT_AGE: Final = 18
UNMEASURED_SKIN_TYPES: Final = frozenset({"V", "VI"})
UNMEASURED_SITES: Final = frozenset({"oral/genital"})


class Kind(StrEnum):
    """How a photograph was taken."""

    OVERVIEW = "overview"
    """A region of the body: shows where the lesion is. Never read by the network."""
    CLOSE_UP = "close_up"
    """The lesion with an ordinary lens. May raise concern, never lower it."""
    DERMOSCOPIC = "dermoscopic"
    """Through a dermatoscope: what the network was trained on."""


class Level(StrEnum):
    """What is recommended. Compare by `urgency`; as strings they would sort by the alphabet."""

    CLINICAL_JUDGEMENT = "clinical_judgement"
    """Nothing here asks for more than the clinician's own judgement."""
    HUMAN_REVIEW = "human_review"
    """The network has nothing valid to say: a person must look."""
    REFER = "refer"
    REFER_URGENTLY = "refer_urgently"

    @property
    def urgency(self) -> int:
        """0 (clinical judgement) to 3 (refer urgently)."""
        return _URGENCY[self]


_URGENCY: Final = {level: urgency for urgency, level in enumerate(Level)}


class Decider(StrEnum):
    """Which rule the recommendation comes from. Where several agree, the first in this order is named."""

    CHECKLIST = "checklist"
    CLINICIAN = "clinician"
    BLEEDING = "bleeding"
    GROWTH = "growth"
    NETWORK = "network"
    ABSTENTION = "abstention"
    PLAIN_PHOTOGRAPHS = "plain_photographs"
    """Only plain photographs could be read, and they raised no concern, which they are not trusted to settle."""
    NONE = "none"
    """No rule asks for more than clinical judgement."""


class AbstentionReason(StrEnum):
    """Why there is no result of the network."""

    OVERVIEW_ONLY = "overview_only"
    POOR_IMAGE = "poor_image"
    UNLIKE_TRAINING_DATA = "unlike_training_data"

    @property
    def sentence(self) -> str:
        """For the clinician."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    AbstentionReason.OVERVIEW_ONLY: (
        "No AI result: only an overview was sent. Add a dermoscopic photograph or a close-up, or ask for human review."
    ),
    AbstentionReason.POOR_IMAGE: (
        "No AI result: the photographs are not good enough to be read. Take them again, or ask for human review."
    ),
    AbstentionReason.UNLIKE_TRAINING_DATA: (
        "No AI result: the photographs are unlike anything the network was trained on. Human review is needed."
    ),
}


class Notice(StrEnum):
    """What must be shown beside an answer."""

    NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS = "not_validated_on_plain_photographs"
    SOME_PHOTOGRAPHS_NOT_READ = "some_photographs_not_read"
    NOT_MEASURED_ON_SKIN_TYPE = "not_measured_on_skin_type"
    NOT_MEASURED_ON_SITE = "not_measured_on_site"
    NOT_MEASURED_ON_CHILDREN = "not_measured_on_children"


@dataclass(frozen=True)
class Thresholds:
    """Malignancy risk, 0..1, from which on the network says refer, and refer urgently.

    Raises:
        ValueError: not 0 < refer <= refer_urgently < 1.
    """

    refer: float
    refer_urgently: float

    def __post_init__(self) -> None:
        if not 0 < self.refer <= self.refer_urgently < 1:
            raise ValueError(f"thresholds must rise between 0 and 1: {self.refer}, {self.refer_urgently}")

    def level(self, reading: Reading) -> Level:
        """What a valid reading calls for: by its malignancy risk, and never less than a referral where the decision
        that corrects for how common each class is falls on a malignant one.
        """
        if reading.risk >= self.refer_urgently:
            return Level.REFER_URGENTLY
        if reading.risk >= self.refer or reading.predicted in MALIGNANT:
            return Level.REFER
        return Level.CLINICAL_JUDGEMENT


@dataclass(frozen=True)
class ReadImage:
    """One photograph of a case and what the network made of it."""

    kind: str
    """One of `Kind`."""
    quality: Quality
    reading: Reading | None
    """None where the network was not asked: an overview, or a photograph with quality problems.

    Raises:
        ValueError: an unknown kind, or no reading of a photograph that could have been read.
    """

    def __post_init__(self) -> None:
        Kind(self.kind)
        if self.reading is None and self.kind != Kind.OVERVIEW and self.quality.acceptable:
            raise ValueError(f"a {self.kind} photograph of acceptable quality must be read before concluding")

    @property
    def valid_reading(self) -> Reading | None:
        """The reading, where it means something."""
        if self.kind == Kind.OVERVIEW or not self.quality.acceptable or self.reading is None or self.reading.novel:
            return None
        return self.reading


@dataclass(frozen=True)
class ClinicalPicture:
    """What the clinician found, apart from the photographs.

    Raises:
        ValueError: a checklist score outside 0..10.
    """

    checklist_score: int = 0
    bleeding: bool = False
    growth: bool = False
    clinician_suspects: bool = False
    age: int | None = None
    """Years, or the lower end of an age band; None where unknown."""
    fitzpatrick_skin_type: str | None = None
    """I to VI; None where unknown."""
    anatom_site_general: str | None = None
    """In the ISIC dictionary's words; None where unknown."""

    def __post_init__(self) -> None:
        if not 0 <= self.checklist_score <= MAX_CHECKLIST_SCORE:
            raise ValueError(f"a weighted 7-point checklist scores 0 to {MAX_CHECKLIST_SCORE}: {self.checklist_score}")

    def demand(self) -> tuple[Level, Decider]:
        """What the clinical rule asks for by itself, and which part of it."""
        if self.checklist_score >= URGENT_CHECKLIST_SCORE:
            return Level.REFER_URGENTLY, Decider.CHECKLIST
        for sign, decider in (
            (self.clinician_suspects, Decider.CLINICIAN),
            (self.bleeding, Decider.BLEEDING),
            (self.growth, Decider.GROWTH),
        ):
            if sign:
                return Level.REFER, decider
        return Level.CLINICAL_JUDGEMENT, Decider.NONE


@dataclass(frozen=True)
class Answer:
    """What is said about a case."""

    abstained: bool
    """No result of the network: then everything of it below is None, and a person looks at the case."""
    reason: AbstentionReason | None
    probabilities: dict[str, float] | None
    """Of the seven classes, summing to 1, from the deciding photograph."""
    malignancy_risk: float | None
    """p(mel) + p(bcc) + p(akiec) of the deciding photograph, 0..1."""
    predicted: str | None
    """The class of the prior-corrected decision for the deciding photograph."""
    network_level: Level | None
    """What the network asks for; None also where it read only plain photographs and saw no reason to refer."""
    recommendation: Level
    decided_by: Decider
    deciding_image: int | None
    """Index into the images given."""
    notices: tuple[Notice, ...]

    @property
    def reason_text(self) -> str:
        """Why it abstained, in a sentence for the clinician; empty where it did not."""
        return "" if self.reason is None else self.reason.sentence


def conclude(images: Sequence[ReadImage], clinical: ClinicalPicture, thresholds: Thresholds) -> Answer:
    """Say what may be said about a case.

    1. Overviews, poor photographs and those unlike the training data are not read.
    2. Of the dermoscopic photographs read, the one with the highest malignancy risk decides, and the network asks for
       the most that any of them calls for. A close-up joins them only where it alone would call for a referral;
       without dermoscopic ones, the most worrying close-up decides.
    3. A close-up that raises no concern settles nothing: without a dermoscopic reading at least a person looks.
    4. Nothing read: the network abstains, with a reason, and a person looks.
    5. The more urgent of network and clinical rule is recommended.

    The order of the images changes nothing but `deciding_image`.

    Raises:
        ValueError: no images.
    """
    if not images:
        raise ValueError("a case has at least one photograph")
    notices = [*_unmeasured(clinical)]
    readings = {index: image.valid_reading for index, image in enumerate(images)}
    read = {index: reading for index, reading in readings.items() if reading is not None}
    if not read:
        recommendation, decided_by = _more_urgent(clinical.demand(), (Level.HUMAN_REVIEW, Decider.ABSTENTION))
        return Answer(
            abstained=True,
            reason=_reason(images),
            probabilities=None,
            malignancy_risk=None,
            predicted=None,
            network_level=None,
            recommendation=recommendation,
            decided_by=decided_by,
            deciding_image=None,
            notices=tuple(notices),
        )

    dermoscopic = {index for index in read if images[index].kind == Kind.DERMOSCOPIC}
    levels = {index: thresholds.level(reading) for index, reading in read.items()}
    worrying = {index for index, level in levels.items() if level is not Level.CLINICAL_JUDGEMENT}

    candidates = dermoscopic | worrying or set(read)
    # Ties are broken by content, so that the order of upload cannot change the answer.
    deciding = max(
        candidates, key=lambda index: (read[index].risk, index in dermoscopic, tuple(read[index].probabilities))
    )
    reading = read[deciding]
    level = max((levels[index] for index in candidates), key=lambda level: level.urgency)
    asked_by_dermoscopic = any(levels[index] is level for index in dermoscopic)
    network: tuple[Level, Decider] = (level, Decider.NETWORK)
    if level is Level.CLINICAL_JUDGEMENT:
        network = (level, Decider.NONE) if dermoscopic else (Level.HUMAN_REVIEW, Decider.PLAIN_PHOTOGRAPHS)
    recommendation, decided_by = _more_urgent(clinical.demand(), network)

    if deciding not in dermoscopic or not asked_by_dermoscopic:
        notices.append(Notice.NOT_VALIDATED_ON_PLAIN_PHOTOGRAPHS)
    if any(image.kind != Kind.OVERVIEW and index not in read for index, image in enumerate(images)):
        notices.append(Notice.SOME_PHOTOGRAPHS_NOT_READ)
    return Answer(
        abstained=False,
        reason=None,
        probabilities={name: float(p) for name, p in zip(CLASSES, reading.probabilities, strict=True)},
        malignancy_risk=float(reading.risk),
        predicted=reading.predicted,
        network_level=level if dermoscopic or worrying else None,
        recommendation=recommendation,
        decided_by=decided_by,
        deciding_image=deciding,
        notices=tuple(notices),
    )


def _more_urgent(clinical: tuple[Level, Decider], network: tuple[Level, Decider]) -> tuple[Level, Decider]:
    return network if network[0].urgency > clinical[0].urgency else clinical


def _reason(images: Sequence[ReadImage]) -> AbstentionReason:
    """Why none of them could be read; the dermoscopic ones speak first, being those that count."""
    close = [image for image in images if image.kind != Kind.OVERVIEW]
    if not close:
        return AbstentionReason.OVERVIEW_ONLY
    counted = [image for image in close if image.kind == Kind.DERMOSCOPIC] or close
    if any(image.quality.acceptable for image in counted):
        return AbstentionReason.UNLIKE_TRAINING_DATA
    return AbstentionReason.POOR_IMAGE


def _unmeasured(clinical: ClinicalPicture) -> list[Notice]:
    notices = []
    if clinical.fitzpatrick_skin_type in UNMEASURED_SKIN_TYPES:
        notices.append(Notice.NOT_MEASURED_ON_SKIN_TYPE)
    if clinical.anatom_site_general in UNMEASURED_SITES:
        notices.append(Notice.NOT_MEASURED_ON_SITE)
    if clinical.age is not None and clinical.age < ADULT_AGE:
        notices.append(Notice.NOT_MEASURED_ON_CHILDREN)
    return notices
