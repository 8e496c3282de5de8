"""Confirmed cases and public references that look, to the network, like a case: for orientation, not evidence.

Embeddings are sealed under each patient's key, and no index of them exists: a search opens those of the newest
confirmed cases of the reader's own services, compares, and forgets them (see docs/decisions/0161).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.classifier.taxonomy import MALIGNANT
from diagnosis.models import (
    Analysis,
    AnalysisState,
    Assessment,
    Case,
    CaseImage,
    ConsentScope,
    Outcome,
    OutcomeKind,
    Patient,
    Referral,
    ReferralState,
)
from diagnosis.models.diagnosis_names import class_name, name_of
from diagnosis.models.references import Confirmation, ReferenceImage
from diagnosis.models.sealed import PatientErased, place_of
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services.consented import with_consent
from diagnosis.services.errors import Conflict
from diagnosis.services.first_reads import show_answer
from diagnosis.services.reference_sets import Seen, cosine_distances, seen_by, unit
from skincare.accounts.models import User
from skincare.audit.record import record_reads
from skincare.encryption import SealBroken, unseal

#: Answered referrals whose embeddings one search opens: the newest ones.
MOST_OPENED: Final = 500
#: Shown of each kind.
MOST_SHOWN: Final = 4


class Nearness(StrEnum):
    """A distance in words, by what share of the pairs of the largest reference set lies nearer."""

    VERY_ALIKE = "very_alike"
    ALIKE = "alike"
    SOMEWHAT_ALIKE = "somewhat_alike"
    NOT_ALIKE = "not_alike"
    #: No reference set has been imported, or this version has not seen one yet.
    UNKNOWN = "unknown"


NEARNESS: Final[dict[str, Promise]] = {
    Nearness.VERY_ALIKE: gettext_lazy("very alike to the network"),
    Nearness.ALIKE: gettext_lazy("alike to the network"),
    Nearness.SOMEWHAT_ALIKE: gettext_lazy("somewhat alike to the network"),
    Nearness.NOT_ALIKE: gettext_lazy("not alike; the nearest there is"),
    Nearness.UNKNOWN: gettext_lazy("how alike cannot be said without a reference set"),
}


class How(StrEnum):
    """How a diagnosis is known."""

    HISTOLOGY = "histology"
    FOLLOW_UP = "follow_up"
    ASSESSMENT = "assessment"
    CONSENSUS = "consensus"
    CONFOCAL = "confocal"


HOW: Final[dict[str, Promise]] = {
    How.HISTOLOGY: gettext_lazy("confirmed by histology"),
    How.FOLLOW_UP: gettext_lazy("confirmed by follow-up"),
    How.ASSESSMENT: gettext_lazy("a dermatologist's signed assessment, without histology"),
    How.CONSENSUS: gettext_lazy("consensus of experts"),
    How.CONFOCAL: gettext_lazy("confocal microscopy"),
}
_HOW_OF_REFERENCE: Final = {
    Confirmation.HISTOLOGY: How.HISTOLOGY,
    Confirmation.FOLLOW_UP: How.FOLLOW_UP,
    Confirmation.CONSENSUS: How.CONSENSUS,
    Confirmation.CONFOCAL: How.CONFOCAL,
}


@dataclass(frozen=True)
class Similar:
    """One that looks like the case: one of the service's own, or of a reference set."""

    distance: float
    """Cosine distance of the embeddings, 0 to 1."""
    nearness: Nearness
    diagnosis: str
    """In words."""
    malignant: bool
    how: How
    image: CaseImage | None = None
    reference: ReferenceImage | None = None
    site: str = ""


@dataclass(frozen=True)
class SimilarCases:
    """What a search found, and among how many."""

    cases: list[Similar]
    references: list[Similar]
    searched: int
    """Confirmed cases that were compared."""
    bounded: bool
    """Whether there are more, older ones, that were not."""


def similar_cases(*, user: User, referral: Referral) -> SimilarCases:
    """What looks like a referral's case, the most alike first.

    Only cases that were answered for this reader's services, of other patients whose consents are in force, and as read
    by the same version of the network. That their patients were shown is recorded.

    Raises:
        Conflict: the answer is to be withheld still, or there is none to compare by.
    """
    analysis = show_answer(user=user, referral=referral)
    if analysis is None:
        raise Conflict("read_first", "record your own read first (first-read/); what looks alike follows it")
    if analysis.state != AnalysisState.ANSWERED or analysis.sealed_embedding is None or not analysis.model_version_id:
        raise Conflict("nothing_to_compare", "the network gave no answer, so there is nothing to compare by")
    analysis.case = referral.case
    own = _embedding(analysis)
    sets = seen_by(analysis.model_version_id)
    scale = sets[0] if sets else None
    newest = _newest_answered(user, referral, analysis.model_version_id)
    opened, matrix = _open(_confirmed(newest[:MOST_OPENED]))
    distances = cosine_distances(matrix, own)
    nearest = [(float(distances[row]), *opened[int(row)]) for row in np.argsort(distances, kind="stable")[:MOST_SHOWN]]
    images = _deciding_images([case for _, case, _ in nearest])
    cases = [
        Similar(
            distance,
            _nearness(distance, scale),
            label.diagnosis,
            label.malignant,
            label.how,
            image=images[case.pk],
            site=case.get_anatom_site_general_display(),
        )
        for distance, case, label in nearest
        if case.pk in images
    ]
    record_reads(user, [(each.image.case.organisation_id, each.image.case.patient_id) for each in cases if each.image])
    return SimilarCases(cases, _references(own, sets), len(opened), len(newest) > MOST_OPENED)


def _newest_answered(user: User, referral: Referral, version: UUID) -> list[Referral]:
    """One more than are opened, so that it can be said whether there are more."""
    answered = Referral.objects.for_dermatologist(user).filter(
        state__in=[ReferralState.ANSWERED, ReferralState.CLOSED],
        answered_at__isnull=False,
        case__analysis__state=AnalysisState.ANSWERED,
        case__analysis__model_version=version,
    )
    others = answered.exclude(case__patient=referral.case.patient_id).order_by("-answered_at")
    # Service by service, so that each is served by the index of its answered referrals in their order.
    found = [
        row
        for service in services_of_dermatologist(user)
        for row in others.filter(service=service).only("pk", "case_id", "answered_at")[: MOST_OPENED + 1]
    ]
    return sorted(found, key=lambda row: str(row.answered_at), reverse=True)[: MOST_OPENED + 1]


@dataclass(frozen=True)
class Label:
    """A diagnosis in words, and how it is known."""

    diagnosis: str
    malignant: bool
    how: How


def _confirmed(referrals: Sequence[Referral]) -> list[tuple[Case, Label]]:
    """Their cases, each lesion once, with its diagnosis and how it is known; consents are looked at now."""
    asked = Case.objects.filter(pk__in=[referral.case_id for referral in referrals])
    cases = list(
        with_consent(asked, ConsentScope.ANALYSIS, ConsentScope.TELEDERMATOLOGY)
        .select_related("analysis", "patient__data_key_row")
        .defer("analysis__sealed_map", "analysis__readings", "analysis__conditions", "analysis__timings")
        .order_by("-seen_at")
    )
    outcomes: dict[UUID, Outcome] = {}
    standing = Outcome.objects.filter(lesion__in=[case.lesion_id for case in cases], corrected_by__isnull=True)
    for outcome in standing.order_by("determined_on", "recorded_at"):
        known = outcomes.get(outcome.lesion_id)
        if known is None or known.kind != OutcomeKind.HISTOLOGY or outcome.kind == OutcomeKind.HISTOLOGY:
            outcomes[outcome.lesion_id] = outcome
    signed = {
        assessment.referral.case_id: assessment
        for assessment in Assessment.objects.filter(
            referral__in=[referral.pk for referral in referrals], amended_by__isnull=True
        ).select_related("referral")
    }
    found: dict[UUID, tuple[Case, Label]] = {}
    for case in cases:
        label = _label(outcomes.get(case.lesion_id), signed.get(case.pk))
        if label is not None:
            found.setdefault(case.lesion_id, (case, label))
    return list(found.values())


def _label(outcome: Outcome | None, assessment: Assessment | None) -> Label | None:
    code = outcome.diagnosis if outcome else assessment.diagnosis if assessment else ""
    if not code or diagnoses()[code].undecided:
        return None
    how = How.ASSESSMENT if outcome is None else How(outcome.kind)
    return Label(name_of(code), diagnoses()[code].malignant, how)


def _open(labelled: Iterable[tuple[Case, Label]]) -> tuple[list[tuple[Case, Label]], npt.NDArray[np.float32]]:
    """Their embeddings, [n, 1280], each of length 1; one that cannot be opened is left out."""
    opened, rows = [], []
    for case, label in labelled:
        case.analysis.case = case
        if case.analysis.sealed_embedding is None:
            continue
        try:
            rows.append(_embedding(case.analysis))
        except (SealBroken, PatientErased):
            continue
        opened.append((case, label))
    return opened, np.stack(rows) if rows else np.zeros((0, 1280), np.float32)


def _embedding(analysis: Analysis) -> npt.NDArray[np.float32]:
    sealed = analysis.sealed_embedding
    assert sealed is not None  # asked for before
    plain = unseal(analysis.data_key(), sealed, place=place_of(analysis, "embedding"))
    return np.asarray(unit(np.frombuffer(plain, dtype="<f4")[np.newaxis])[0])


def _deciding_images(cases: Sequence[Case]) -> dict[UUID, CaseImage]:
    positions = {case.pk: case.analysis.deciding_position for case in cases}
    images = CaseImage.objects.filter(case__in=positions).select_related("case")
    return {image.case_id: image for image in images if image.position == positions[image.case_id]}


def _references(own: npt.NDArray[np.float32], sets: Sequence[Seen]) -> list[Similar]:
    nearest: list[tuple[float, UUID, Seen]] = []
    for seen in sets:
        distances = seen.distances(own)
        nearest += [
            (float(distances[row]), seen.images[row], seen) for row in np.argsort(distances, kind="stable")[:MOST_SHOWN]
        ]
    nearest = sorted(nearest, key=lambda each: each[0])[:MOST_SHOWN]
    images = ReferenceImage.objects.select_related("set").in_bulk([pk for _, pk, _ in nearest])
    return [
        Similar(
            distance,
            _nearness(distance, seen),
            class_name(image.network_class),
            image.network_class in MALIGNANT,
            _HOW_OF_REFERENCE[Confirmation(image.confirmed_by)],
            reference=image,
        )
        for distance, pk, seen in nearest
        if (image := images.get(pk)) is not None
    ]


def _nearness(distance: float, scale: Seen | None) -> Nearness:
    if scale is None:
        return Nearness.UNKNOWN
    for bound, nearness in (
        (scale.near, Nearness.VERY_ALIKE),
        (scale.close, Nearness.ALIKE),
        (scale.alike, Nearness.SOMEWHAT_ALIKE),
    ):
        if distance <= bound:
            return nearness
    return Nearness.NOT_ALIKE


def may_see_similar(*, user: User, referral: Referral, image: UUID) -> tuple[Patient, CaseImage] | None:
    """A photograph that such a search may have shown, with its patient; nothing where it may not be shown now."""
    if show_answer(user=user, referral=referral) is None:
        return None
    answered = Referral.objects.for_dermatologist(user).filter(state__in=[ReferralState.ANSWERED, ReferralState.CLOSED])
    cases = with_consent(
        Case.objects.filter(pk__in=CaseImage.objects.filter(pk=image).values("case"), referrals__in=answered),
        ConsentScope.ANALYSIS,
        ConsentScope.TELEDERMATOLOGY,
    )
    found = CaseImage.objects.filter(pk=image, case__in=cases).select_related("case__patient__data_key_row").first()
    return None if found is None else (found.case.patient, found)
