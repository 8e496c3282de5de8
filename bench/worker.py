"""The worker's throughput, from waiting row to stored answer, against the bare forward pass over the same views.

Both run in this process, one after the other in each round, on a real PostgreSQL that writes to disk.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
from django.utils import timezone

from bench.stages import Timing, timing_of
from diagnosis.classifier.architecture import build_network
from diagnosis.classifier.bundle import WEIGHTS
from diagnosis.classifier.view import decode_view
from diagnosis.models import (
    Analysis,
    AnalysisState,
    AnatomicalSite,
    ConsentChange,
    ConsentScope,
    EvidenceMethod,
    ImageKind,
    Suspicion,
)
from diagnosis.services import demo, reading
from diagnosis.services.consents import ConsentStatement
from diagnosis.services.files import open_sealed
from diagnosis.services.patients import NewLesion, NewPatient
from diagnosis.services.submission import ClinicalData, NewCase, NewImage, digest_of, submit_case
from skincare.accounts.models import Organisation, User


@dataclass(frozen=True)
class WorkerTimings:
    """Milliseconds a case, over all rounds."""

    submit: Timing
    """The submission service: receive, encrypt, store, commit, ring."""
    worker: Timing
    """Claim, open, decode, forward, conclude, encrypt, write, commit."""
    bare: Timing
    """The forward pass alone, on views in memory."""
    predict: Timing
    """A loop over ``model.predict`` on the same views."""


def submit(photographs: Sequence[bytes]) -> None:
    """Submit one case for each photograph, each of a new patient."""
    clinician = User.objects.get(email=demo.CLINICIAN.email)
    clinic = Organisation.objects.get(name=demo.CLINIC_NAME)
    policy = demo.ensure_policy()
    now = timezone.now() - timedelta(minutes=1)
    for photograph in photographs:
        images = [NewImage(ImageKind.DERMOSCOPIC, photograph)]
        new = NewCase(
            id=uuid4(),
            patient=NewPatient(record_number=str(uuid4()), birth_date=date(1960, 1, 1)),
            lesion=NewLesion(AnatomicalSite.POSTERIOR_TORSO),
            consents=[
                ConsentStatement(policy, ConsentScope.ANALYSIS, ConsentChange.GRANTED, now, EvidenceMethod.PAPER)
            ],
            images=images,
            clinical=ClinicalData(suspicion=Suspicion.UNSURE),
            seen_at=now,
        )
        submit_case(user=clinician, organisation=clinic, new=new, digest=digest_of({"id": str(new.id)}, images))


def views_that_wait() -> list[np.ndarray]:
    """The network's views of all cases that wait, as the worker will open them."""
    return [
        decode_view(open_sealed(image.case.patient, image.view_file))
        for analysis in Analysis.objects.waiting().select_related("case__patient__data_key_row")
        for image in analysis.case.images.all()
    ]


def measure(folder: Path, cases: int, rounds: int) -> WorkerTimings:
    """Time ``rounds`` rounds of ``cases`` cases made of the JPEGs in ``folder``."""
    files = sorted(folder.glob("ISIC_*.jpg"))
    photographs = [files[number % len(files)].read_bytes() for number in range(cases)]
    serving = reading.network_in_service()
    model = build_network()
    model.load_weights(serving.network.bundle.folder / WEIGHTS)
    taken: dict[str, list[float]] = {"submit": [], "worker": [], "bare": [], "predict": []}
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        submit(photographs)
        taken["submit"].append(time.perf_counter() - begin)

        views = views_that_wait()
        begin = time.perf_counter()
        for view in views:
            serving.network._backend.forward(view[np.newaxis])
        taken["bare"].append(time.perf_counter() - begin)

        begin = time.perf_counter()
        while Analysis.objects.filter(state=AnalysisState.WAITING).exists():
            reading.read_waiting_cases()
        taken["worker"].append(time.perf_counter() - begin)

        begin = time.perf_counter()
        for view in views[:8]:
            model.predict(view[np.newaxis].astype(np.float32), verbose=0)
        taken["predict"].append((time.perf_counter() - begin) * cases / 8)
    # The first round warms up.
    return WorkerTimings(**{name: timing_of([s * 1000 / cases for s in times[1:]]) for name, times in taken.items()})
