"""The challenger in shadow: it reads live cases after the champion has answered, for comparison only.

Nothing here is shown to those who treat, nothing reaches a case's answer or recommendation. A case is read only while
the patient's consents to analysis and to research are both in force: to try a version that has not been released serves
the program and not the patient. See decision 0073.
"""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
from django.conf import settings
from django.db import transaction

from diagnosis.classifier.bundle import BundleRefused
from diagnosis.classifier.network import Network
from diagnosis.classifier.quality import Quality
from diagnosis.classifier.recommendation import ClinicalPicture, ReadImage, conclude
from diagnosis.classifier.view import decode_view
from diagnosis.models import (
    AnalysisState,
    Case,
    ConsentScope,
    ImageKind,
    ModelVersion,
    Patient,
    ShadowReading,
    ShadowState,
)
from diagnosis.models.sealed import PatientErased
from diagnosis.services.consented import with_consent
from diagnosis.services.consents import consent_in_force, lock_patient
from diagnosis.services.files import open_sealed
from diagnosis.services.model_versions import open_bundle
from skincare.audit.record import record
from skincare.encryption import SealBroken

#: So many cases are looked at in a turn; those without consent cost a query each.
_MOST: Final = 50

log = structlog.get_logger(__name__)

_opened: tuple[ModelVersion, Network] | None = None


def challenger_in_shadow() -> tuple[ModelVersion, Network] | None:
    """The challenger that reads in shadow, opened once in a process; nothing where none does.

    Raises:
        BundleRefused: its files are not those that were registered.
    """
    global _opened
    version = ModelVersion.objects.filter(shadow_since__isnull=False).first()
    if version is None:
        _opened = None
        return None
    if _opened is None or _opened[0].pk != version.pk:
        # The sweeper's process, where this runs, loads no TensorFlow.
        _opened = (version, Network.open(open_bundle(version), backend="litert", threads=1))
    return version, _opened[1]


def read_in_shadow() -> int:
    """Read what the champion answered since the challenger went into shadow, for a turn. Returns how many were read."""
    try:
        serving = challenger_in_shadow()
    except BundleRefused as error:
        log.error("shadow_network_unavailable", error=str(error))
        return 0
    if serving is None:
        return 0
    version, network = serving
    end = time.monotonic() + settings.SHADOW_SECONDS
    done = 0
    for case in _unread(version):
        if time.monotonic() > end:
            break
        done += _read(case, version, network)
    return done


def _unread(version: ModelVersion) -> list[Case]:
    """Cases that the champion has concluded on since, with both consents, the oldest first."""
    concluded = Case.objects.filter(
        analysis__state__in=[AnalysisState.ANSWERED, AnalysisState.ABSTAINED],
        analysis__finished_at__gte=version.shadow_since,
    ).exclude(shadow_readings__model_version=version)
    return list(
        with_consent(concluded, ConsentScope.ANALYSIS, ConsentScope.RESEARCH)
        .order_by("analysis__finished_at", "id")
        .select_related("patient__data_key_row")
        .prefetch_related("images")[:_MOST]
    )


def _read(case: Case, version: ModelVersion, network: Network) -> bool:
    """Read one case, if both consents are still in force. Returns whether a reading was written."""
    reading = ShadowReading(case=case, model_version=version)
    if not _allowed(case.patient):
        return False  # ended since the cases of this turn were listed
    try:
        _fill_in(reading, case, network)
    except (SealBroken, PatientErased, ValueError, OSError) as error:
        log.warning("shadow_reading_failed", case=str(case.pk), error=type(error).__name__)
        reading.state, reading.reason = ShadowState.FAILED, type(error).__name__[:40]
    with transaction.atomic():
        patient = lock_patient(case.patient_id)
        if not _allowed(patient):
            return False
        if ShadowReading.objects.filter(case=case, model_version=version).exists():
            return False  # another sweeper was faster
        reading.save(force_insert=True)
        record(
            f"shadow.{reading.state}",
            reading,
            actor=None,
            patient_id=case.patient_id,
            organisation_id=case.organisation_id,
            details={"model_version": str(version.pk)},
        )
    return True


def _allowed(patient: Patient) -> bool:
    return all(consent_in_force(patient, scope) for scope in (ConsentScope.ANALYSIS, ConsentScope.RESEARCH))


def _fill_in(reading: ShadowReading, case: Case, network: Network) -> None:
    images = list(case.images.all())
    read = [image for image in images if image.kind != ImageKind.OVERVIEW and not image.quality_problems]
    views = [decode_view(open_sealed(case.patient, image.view_file)) for image in read]
    found = dict(zip((image.position for image in read), network.read(np.stack(views)) if views else [], strict=True))
    conclusion = conclude(
        [ReadImage(image.kind, Quality.from_dict(image.quality), found.get(image.position)) for image in images],
        ClinicalPicture(),  # of the network alone: the clinical rule is the same beside either version
        network.bundle.thresholds,
    )
    if conclusion.reason is not None or conclusion.deciding_image is None:
        reading.state, reading.reason = ShadowState.ABSTAINED, str(conclusion.reason)
        return
    decided = found[images[conclusion.deciding_image].position]
    reading.state = ShadowState.ANSWERED
    reading.probabilities = [float(p) for p in decided.probabilities]
    reading.predicted = decided.predicted
    reading.malignancy_risk = float(decided.risk)
    reading.refers = bool(decided.risk >= network.bundle.thresholds.refer)


@dataclass(frozen=True)
class Compared:
    """The challenger in shadow beside the champion, on the cases that both have concluded on: counts, no case."""

    read: int
    failed: int
    both_answered: int
    same_decision: int
    both_refer: int
    only_champion_refers: int
    only_challenger_refers: int
    neither_refers: int
    champion_abstains: int
    challenger_abstains: int
    #: Mean of the challenger's malignancy risk minus the champion's, where both answered.
    mean_risk_difference: float | None


def compare_in_shadow(version: ModelVersion) -> Compared:
    """What the challenger says of live cases beside what was answered. Counts only: stewards see no cases."""
    rows = list(
        ShadowReading.objects.filter(model_version=version).values_list(
            "state",
            "predicted",
            "malignancy_risk",
            "refers",
            "case__analysis__state",
            "case__analysis__predicted",
            "case__analysis__malignancy_risk",
            "case__analysis__conditions",
        )
    )
    both = [row for row in rows if row[0] == ShadowState.ANSWERED and row[4] == AnalysisState.ANSWERED]
    differences = [row[2] - row[6] for row in both if row[2] is not None and row[6] is not None]
    referred = [(row[6] >= row[7]["thresholds"]["refer"]["risk"], row[3]) for row in both]
    return Compared(
        read=len(rows),
        failed=sum(row[0] == ShadowState.FAILED for row in rows),
        both_answered=len(both),
        same_decision=sum(row[1] == row[5] for row in both),
        both_refer=referred.count((True, True)),
        only_champion_refers=referred.count((True, False)),
        only_challenger_refers=referred.count((False, True)),
        neither_refers=referred.count((False, False)),
        champion_abstains=sum(row[4] == AnalysisState.ABSTAINED for row in rows),
        challenger_abstains=sum(row[0] == ShadowState.ABSTAINED for row in rows),
        mean_risk_difference=round(sum(differences) / len(differences), 4) if differences else None,
    )
