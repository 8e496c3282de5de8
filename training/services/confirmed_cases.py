"""Training data from the platform: photographs whose diagnosis is confirmed and whose patients consent to research.

What counts as confirmed, and who has to agree, is written in ``docs/retraining.md``. The manifest names photographs and
holds no picture: views stay sealed under the patients' keys and are opened in memory, by the process that trains.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from numpy.typing import NDArray

from diagnosis.classifier.diagnoses import agree, diagnoses
from diagnosis.classifier.view import decode_view
from diagnosis.models import (
    AnalysisState,
    Assessment,
    Case,
    CaseImage,
    ConsentScope,
    ImageKind,
    Outcome,
    OutcomeKind,
    Patient,
    ReadRole,
)
from diagnosis.services.consented import with_consent
from diagnosis.services.files import open_sealed
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from skincare.audit.record import record
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import Entry, Findings, Manifest, sha256_of_view
from training.datasets.splits import split_of
from training.models import Dataset, DatasetImage, DatasetKind
from training.services.people import require_steward
from training.services.registration import replace_others, return_to
from training.services.suspicious_labels import suspicious_labels

NAME: Final = "Confirmed cases"
LICENCE: Final = "Consent to research of each patient; not to be passed on"
#: So many photographs are opened while their patients are locked; a withdrawal waits for that long, under a second.
_OPENED_AT_ONCE: Final = 100


class NothingConfirmed(ValueError):
    """No photograph may be learnt from. Says what is missing."""


@dataclass(frozen=True)
class Label:
    """One of ``taxonomy.CLASSES``, how it is known (``histo``, ``follow_up``, ``readers``), and by whom."""

    code: str
    confirmed_by: str
    contributor: str


def label_of(case: Case) -> Label | str:
    """The confirmed diagnosis of a case, or why it has none: a code.

    Histology, or else follow-up, of the lesion. Without either a signed assessment counts when nobody disagrees with
    it, the network's answer included, or when a second reader's opinion agrees with it.
    """
    outcomes = [each for each in case.lesion.outcomes.all() if not hasattr(each, "corrected_by")]
    for kind, how in ((OutcomeKind.HISTOLOGY, "histo"), (OutcomeKind.FOLLOW_UP, "follow_up")):
        found = [each for each in outcomes if each.kind == kind]
        if found:
            return _labelled(max(found, key=_latest).diagnosis, how, found[0].recorded_by_id)
    signed = [each for each in _assessments(case) if not hasattr(each, "amended_by")]
    if not signed:
        return "not_confirmed"
    assessment = max(signed, key=lambda each: each.signed_at)
    others = [read for read in assessment.referral.reads.all() if read.reader_id != assessment.author_id]
    seconded = any(
        agree(read.diagnosis, assessment.diagnosis) for read in others if read.role in (ReadRole.SECOND, ReadRole.THIRD)
    )
    opposed = any(not agree(read.diagnosis, assessment.diagnosis) for read in others)
    analysis = case.analysis
    if analysis.state == AnalysisState.ANSWERED:
        opposed = opposed or analysis.predicted != diagnoses()[assessment.diagnosis].network_class
    if opposed and not seconded:
        return "needs_second_reader"
    return _labelled(assessment.diagnosis, "readers", assessment.author_id)


def _latest(outcome: Outcome) -> Any:
    return outcome.determined_on, outcome.recorded_at


def _assessments(case: Case) -> Iterable[Assessment]:
    return [assessment for referral in case.referrals.all() for assessment in referral.assessments.all()]


def _labelled(diagnosis: str, how: str, by: UUID | None) -> Label | str:
    code = diagnoses()[diagnosis].network_class
    return Label(code, how, str(by or "import")) if code else "no_class"


def build_confirmed_cases(*, user: User | None) -> Dataset:
    """Make the manifest of today's confirmed cases; it takes the place of the one before.

    Whoever withdrew consent to research since, or was erased, is not in it any more.

    Args:
        user: the steward who asks; nobody for the command line.

    Raises:
        NothingConfirmed: there is nothing to learn from.
    """
    if user is not None:
        require_steward(user)
    left_out: dict[str, str] = {}
    chosen: list[tuple[CaseImage, Label]] = []
    cases = _candidates()
    for case in cases:
        label = label_of(case)
        for image in case.images.all():
            if image.kind != ImageKind.DERMOSCOPIC or image.quality_problems:
                left_out[str(image.pk)] = "not_dermoscopic" if image.kind != ImageKind.DERMOSCOPIC else "poor_image"
            elif isinstance(label, str):
                left_out[str(image.pk)] = label
            else:
                chosen.append((image, label))
    chosen = _capped(chosen, left_out)
    if not chosen:
        raise NothingConfirmed(
            "no dermoscopic photograph has a confirmed diagnosis and a consent to research in force: "
            f"{dict(Counter(left_out.values())) or 'no case has that consent'}"
        )
    views = {image.pk: decode_view(open_sealed(image.case.patient, image.view_file)) for image, _ in chosen}
    suspicious = suspicious_labels([_entry(image, label, views[image.pk]) for image, label in chosen], views)
    return _registered(chosen, left_out, views, suspicious, user)


def _candidates() -> list[Case]:
    return list(
        _may_be_learnt_from()
        .select_related("patient__data_key_row", "analysis", "lesion")
        .prefetch_related(
            "images",
            "lesion__outcomes__corrected_by",
            "referrals__reads",
            "referrals__assessments__amended_by",
        )
    )


def _capped(chosen: list[tuple[CaseImage, Label]], left_out: dict[str, str]) -> list[tuple[CaseImage, Label]]:
    """At most so many photographs of one contributor, chosen by a hash, so that the choice does not move."""
    of: dict[str, list[tuple[CaseImage, Label]]] = defaultdict(list)
    for image, label in chosen:
        of[label.contributor].append((image, label))
    kept = []
    for rows in of.values():
        rows.sort(key=lambda row: sha256(row[0].pk.bytes).digest())
        kept += rows[: settings.TRAINING_MOST_PER_CONTRIBUTOR]
        left_out |= {str(image.pk): "contributor_cap" for image, _ in rows[settings.TRAINING_MOST_PER_CONTRIBUTOR :]}
    return kept


def _entry(image: CaseImage, label: Label, view: NDArray[np.uint8]) -> Entry:
    case = image.case
    # By patient: two lesions of one patient are more alike than those of two.
    group = f"patient:{case.patient_id}"
    split = split_of(group)
    picture = LabelledImage(
        image_id=str(image.pk),
        lesion_id=str(case.lesion_id),
        diagnosis=label.code,
        confirmed_by=label.confirmed_by,
        age=None if case.age_approx is None else float(case.age_approx),
        sex=case.sex or "unknown",
        site=case.anatom_site_general,
    )
    splits = {"lesion": split, "image": split}
    return Entry(picture, group, sha256_of_view(view), splits, NAME, label.contributor)  # type: ignore[arg-type]


@transaction.atomic
def _registered(
    chosen: list[tuple[CaseImage, Label]],
    left_out: dict[str, str],
    views: dict[UUID, NDArray[np.uint8]],
    suspicious: list[dict[str, Any]],
    user: User | None,
) -> Dataset:
    """Write the manifest and its rows, without those whose consent ended while the photographs were looked through."""
    allowed = _allowed_and_locked([image.pk for image, _ in chosen])
    chosen = [row for row in chosen if row[0].pk in allowed]
    if not chosen:
        raise NothingConfirmed("every consent to research ended while the manifest was made: start again later")
    entries = tuple(
        _entry(image, label, views[image.pk]) for image, label in sorted(chosen, key=lambda row: str(row[0].pk))
    )
    suspicious = [row for row in suspicious if UUID(row["image"]) in allowed]
    manifest = Manifest(NAME, LICENCE, "", entries, Findings(left_out=left_out, notes=[str(row) for row in suspicious]))
    folder = manifest.folder_below(Path(settings.DATASETS_ROOT))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest.save(folder)
    known = Dataset.objects.filter(fingerprint=manifest.identity).first()
    if known is not None:
        if return_to(known, user=user):
            record_use("training.included", known, (image.case for image, _ in chosen), user)
        return known
    dataset = Dataset.objects.create(
        name=NAME,
        kind=DatasetKind.CONFIRMED_CASES,
        fingerprint=manifest.identity,
        folder=folder.name,
        images=len(chosen),
        lesions=manifest.lesions,
        counts=manifest.counts("lesion"),
        licence=LICENCE,
        split_fingerprint=manifest.split_fingerprint("lesion"),
        findings={
            "left_out": dict(Counter(manifest.findings.left_out.values())),
            "suspicious": suspicious,
        },
    )
    DatasetImage.objects.bulk_create(
        DatasetImage(dataset=dataset, image=image, label=label.code) for image, label in chosen
    )
    replace_others(dataset)
    record("dataset.built", dataset, actor=user, details={"fingerprint": dataset.fingerprint, "images": len(chosen)})
    record_use("training.included", dataset, (image.case for image, _ in chosen), user)
    return dataset


def record_use(action: str, subject: Any, cases: Iterable[Case], user: User | None = None) -> None:
    """Record that patients' photographs were used for learning: one event for each patient."""
    patients = dict.fromkeys((case.organisation_id, case.patient_id) for case in cases)
    AuditEvent.objects.bulk_create(
        AuditEvent(
            actor=user,
            action=action,
            organisation_id=organisation,
            patient_id=patient,
            object_type=subject._meta.model_name,
            object_id=str(subject.pk),
        )
        for organisation, patient in patients
    )


def _allowed_and_locked(images: Iterable[UUID]) -> dict[UUID, CaseImage]:
    """Those of the photographs that may be learnt from, their patients locked until the transaction ends.

    Who withdraws waits for the lock, and who withdrew before it was taken is seen: no other moment lies between.
    """
    wanted = list(images)
    patients = CaseImage.objects.filter(pk__in=wanted).values("case__patient")
    list(Patient.objects.select_for_update(of=("self",)).filter(pk__in=patients).order_by("pk"))
    rows = CaseImage.objects.filter(pk__in=wanted, case__in=_may_be_learnt_from()).order_by("pk")
    return {image.pk: image for image in rows.select_related("case__patient__data_key_row")}


def _may_be_learnt_from() -> QuerySet[Case]:
    return with_consent(Case.objects.all(), ConsentScope.RESEARCH)


def still_allowed(images: Iterable[str]) -> bool:
    """Whether all these photographs, by id, may be learnt from at this moment."""
    wanted = list(images)
    allowed = CaseImage.objects.filter(pk__in=wanted, case__in=_may_be_learnt_from().values("pk"))
    return allowed.count() == len(wanted)


def open_views(dataset: Dataset, manifest: Manifest) -> dict[str, NDArray[np.uint8]]:
    """The views of a dataset of confirmed cases, by image id, opened in memory; each use is recorded.

    Left out is whoever withdrew consent to research since the manifest was made, or was erased, or whose consent's time
    is over: asked again for each photograph, with its patient locked, a hundred at a time.
    """
    wanted = {UUID(entry.record.image_id): entry for entry in manifest.entries}
    ids, found = sorted(wanted), {}
    for start in range(0, len(ids), _OPENED_AT_ONCE):
        with transaction.atomic():
            images = _allowed_and_locked(ids[start : start + _OPENED_AT_ONCE])
            for image in images.values():
                view = decode_view(open_sealed(image.case.patient, image.view_file))
                if sha256_of_view(view) == wanted[image.pk].pixels:
                    found[str(image.pk)] = view
            record_use("training.read", dataset, (image.case for image in images.values()))
    return found
