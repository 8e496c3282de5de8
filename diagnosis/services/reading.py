"""Reading what waits: claim, open the photographs' views, run the network, conclude, write the answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

import numpy as np
import structlog
from django.conf import settings
from django.utils import timezone

from diagnosis.classifier.bundle import BundleRefused
from diagnosis.classifier.network import BackendName, Network
from diagnosis.classifier.quality import Quality
from diagnosis.classifier.reading import Reading
from diagnosis.classifier.recommendation import AbstentionReason, ReadImage, conclude
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import decode_view
from diagnosis.models import Analysis, AnalysisState, CaseImage, ImageKind, ModelVersion
from diagnosis.models.sealed import PatientErased, place_of
from diagnosis.services.analysis_queue import Lease, answer, claim, give_back
from diagnosis.services.bell import ring_for_inference
from diagnosis.services.clinical_rule import clinical_picture
from diagnosis.services.counters import count_finished
from diagnosis.services.files import open_sealed
from diagnosis.services.model_versions import NoVersionServes, champion, open_bundle
from skincare.encryption import SealBroken, seal

#: A worker that has read for this long lets go and rings for itself, so that a restart never waits for a full queue.
TURN_SECONDS: Final = 10.0
#: Opening the views of a lease may take so long; with a store that hangs the rest goes back before the lease ends.
OPENING_SECONDS: Final = 4.0

REASON_TEXTS: Final = {
    AbstentionReason.OVERVIEW_ONLY: "Only overview photographs were sent; the network reads close-ups and dermoscopic "
    "photographs.",
    AbstentionReason.POOR_IMAGE: "The photographs are too poor to be read (see the quality of each). Take new ones if "
    "you can.",
    AbstentionReason.UNLIKE_TRAINING_DATA: "The photographs are unlike anything the network was trained on.",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class NetworkInService:
    """The champion, opened in this process."""

    version: ModelVersion
    network: Network


_in_service: NetworkInService | None = None


def network_in_service() -> NetworkInService:
    """The champion's network, opened once in a process and again when another version is released.

    Raises:
        NoVersionServes, BundleRefused: there is none, or its files are not what was released.
    """
    global _in_service
    version = champion()
    if _in_service is None or _in_service.version.pk != version.pk:
        network = Network.open(
            open_bundle(version),
            backend=cast(BackendName, settings.INFERENCE_BACKEND),
            threads=settings.INFERENCE_THREADS,
        )
        _in_service = NetworkInService(version, network)
        log.info("network_opened", model_version=version.name, backend=settings.INFERENCE_BACKEND)
    return _in_service


def loaded_version() -> str:
    """Name of the version that this process has opened, or an empty text."""
    return "" if _in_service is None else _in_service.version.name


def read_waiting_cases() -> int:
    """Read until nothing waits or the turn is over. Returns how many analyses reached an answer or an abstention."""
    written = 0
    try:
        network_in_service()  # also where nothing waits: a worker is ready before the first case comes
    except (NoVersionServes, BundleRefused) as error:
        log.error("network_unavailable", error=str(error))
    end = time.monotonic() + TURN_SECONDS
    while time.monotonic() < end:
        lease = claim(limit=settings.ANALYSIS_BATCH)
        if lease is None:
            return written
        written += len(read_lease(lease))
    ring_for_inference()
    return written


def read_lease(lease: Lease) -> set[UUID]:
    """Read all analyses of a lease; those that cannot be read now go back or fail, each by itself.

    Returns:
        Ids of the analyses whose answer or abstention was written.
    """
    try:
        serving = network_in_service()
    except (NoVersionServes, BundleRefused) as error:
        log.error("network_unavailable", error=str(error))
        give_back(lease, lease.analyses, fault="network_unavailable")
        return set()
    opened: list[OpenedCase] = []
    end = time.monotonic() + OPENING_SECONDS
    for position, analysis in enumerate(lease.analyses):
        if time.monotonic() > end:
            log.error("store_slow", analyses=len(lease.analyses) - position)
            give_back(lease, lease.analyses[position:], fault="store_unavailable")
            break
        try:
            opened.append(open_case(analysis))
        except (SealBroken, PatientErased, ValueError) as error:
            log.error("photograph_damaged", analysis=str(analysis.pk), error=type(error).__name__)
            give_back(lease, [analysis], fault="photograph_damaged")
        except Exception as error:  # a store and its driver may throw anything; the case waits for its return
            log.error("store_unavailable", analysis=str(analysis.pk), error=type(error).__name__)
            give_back(lease, [analysis], fault="store_unavailable")
    answered = []
    for case, readings, milliseconds in _forward(serving.network, opened, lease):
        fill_in(case, readings, serving, forward_ms=milliseconds)
        answered.append(case.analysis)
    written = answer(lease, answered)
    count_finished((analysis for analysis in answered if analysis.pk in written), serving.version.name)
    return written


@dataclass(frozen=True)
class OpenedCase:
    """An analysis with the views that the network is to read, by position of their photographs."""

    analysis: Analysis
    images: Sequence[CaseImage]
    views: dict[int, np.ndarray]
    waited_ms: float
    open_ms: float


def open_case(analysis: Analysis) -> OpenedCase:
    """Fetch and decrypt the views of a case; overviews and poor photographs are not for the network."""
    start = time.perf_counter()
    assert analysis.waiting_since is not None  # it was claimed from among those that wait
    waited_ms = (timezone.now() - analysis.waiting_since).total_seconds() * 1000
    patient = analysis.case.patient
    images = list(analysis.case.images.all())
    views = {
        image.position: decode_view(open_sealed(patient, image.view_file))
        for image in images
        if image.kind != ImageKind.OVERVIEW and not image.quality_problems
    }
    return OpenedCase(analysis, images, views, waited_ms, (time.perf_counter() - start) * 1000)


def _forward(
    network: Network, cases: Sequence[OpenedCase], lease: Lease
) -> list[tuple[OpenedCase, dict[int, Reading], float]]:
    """Run all views together; if that fails, case by case, so that one bad case does not fail the others."""
    try:
        return _forward_together(network, cases)
    except Exception as error:  # whatever the backend throws, find out which case it was
        log.error("reading_failed", analyses=len(cases), error=type(error).__name__)
        if len(cases) <= 1:
            give_back(lease, [case.analysis for case in cases], fault="reading_failed")
            return []
    return [result for case in cases for result in _forward(network, [case], lease)]


def _forward_together(
    network: Network, cases: Sequence[OpenedCase]
) -> list[tuple[OpenedCase, dict[int, Reading], float]]:
    start = time.perf_counter()
    views = [view for case in cases for view in case.views.values()]
    readings = iter(network.read(np.stack(views)) if views else [])
    by_case = [{position: next(readings) for position in case.views} for case in cases]
    milliseconds = (time.perf_counter() - start) * 1000
    return [
        (case, read, milliseconds * len(read) / max(1, len(views))) for case, read in zip(cases, by_case, strict=True)
    ]


def fill_in(opened: OpenedCase, readings: dict[int, Reading], serving: NetworkInService, *, forward_ms: float) -> None:
    """Conclude from the readings and write the conclusion into the analysis (in memory)."""
    analysis, bundle = opened.analysis, serving.network.bundle
    read_images = [
        ReadImage(kind=image.kind, quality=Quality.from_dict(image.quality), reading=readings.get(image.position))
        for image in opened.images
    ]
    conclusion = conclude(read_images, clinical_picture(analysis.case), bundle.thresholds)
    analysis.model_version_id = serving.version.pk
    analysis.recommendation = str(conclusion.recommendation)
    analysis.network_level = str(conclusion.network_level or "")
    analysis.decided_by = str(conclusion.decided_by)
    analysis.notices = [str(notice) for notice in conclusion.notices]
    analysis.conditions = {
        "preprocessing": bundle.preprocessing,
        "temperature": bundle.temperature,
        "thresholds": bundle.manifest["thresholds"],
        "decision_rule": bundle.manifest["decision_rule"],
        "novelty": bundle.manifest["novelty"],
        "backend": serving.network.backend_name,
    }
    analysis.readings = [_account(image, readings.get(image.position)) for image in opened.images]
    analysis.timings = {
        "waited_ms": round(opened.waited_ms, 3),
        "open_views_ms": round(opened.open_ms, 3),
        "forward_ms": round(forward_ms, 3),
    }
    if conclusion.reason is not None:
        analysis.state = AnalysisState.ABSTAINED
        analysis.reason = str(conclusion.reason)
        analysis.reason_text = f"No AI result: human review. {REASON_TEXTS[conclusion.reason]}"
        return
    analysis.state = AnalysisState.ANSWERED
    assert conclusion.deciding_image is not None  # an answer comes from one of the photographs
    deciding = opened.images[conclusion.deciding_image]
    reading = readings[deciding.position]
    analysis.deciding_position = deciding.position
    analysis.probabilities = [float(p) for p in reading.probabilities]
    analysis.predicted = reading.predicted
    analysis.malignancy_risk = float(reading.risk)
    key = analysis.data_key()
    analysis.sealed_map = seal(key, reading.map.astype("<f4").tobytes(), place=place_of(analysis, "map"))
    analysis.sealed_embedding = seal(
        key, reading.embedding.astype("<f4").tobytes(), place=place_of(analysis, "embedding")
    )


def _account(image: CaseImage, reading: Reading | None) -> dict[str, object]:
    account: dict[str, object] = {"position": image.position, "kind": image.kind}
    if reading is None:
        account["not_read"] = image.quality_problems[0] if image.quality_problems else image.kind
    else:
        account |= {
            "malignancy_risk": float(reading.risk),
            "predicted": reading.predicted,
            "probabilities": dict(zip(CLASSES, (float(p) for p in reading.probabilities), strict=True)),
            "distance": float(reading.distance),
            "unlike_training_data": bool(reading.novel),
        }
    return account
