"""Public reference sets: importing them, and letting the version in service see them.

A set is public, so nothing of it is sealed. What a version of the network makes of its photographs is one small matrix;
a new version sees the sets anew, by the clock.
"""

import csv
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
import structlog
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.classifier.photograph import PhotographRefused, receive
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import decode_view
from diagnosis.models import Confirmation, ModelVersion, ReferenceEmbeddings, ReferenceImage, ReferenceSet
from diagnosis.services.errors import Refusal
from diagnosis.services.files import open_public
from diagnosis.services.model_versions import NoVersionServes, champion
from diagnosis.services.reading import network_in_service
from skincare.audit.record import record

#: A whole HAM10000. A web process holds what a version sees in it, 2.6 MB for a thousand images.
MOST_IMAGES: Final = 12_000
#: A turn of seeing ends after this, and the next goes on: less than the time limit of its task.
TURN_SECONDS: Final = 10.0
#: Rows of a set by whose pairs its scale is taken: of all pairs of 10,000 there are fifty million.
ROWS_FOR_SCALE: Final = 1500
#: Rows compared at once, so that not the whole set stands in memory in twice its width.
BLOCK: Final = 1024
#: Shares of the pairs of a set that lie nearer than ``near``, ``close`` and ``alike``.
SCALE: Final = (0.01, 0.05, 0.25)
ABOUT: Final = "set.json"
LABELS: Final = "labels.csv"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class About:
    """Whom to thank for a set, and what may be done with it."""

    name: str
    licence: str
    licence_address: str
    attribution: str


@dataclass(frozen=True)
class NewReferenceImage:
    """One photograph to be imported."""

    name: str
    network_class: str
    confirmed_by: str
    photograph: bytes


def read_folder(folder: Path) -> tuple[About, list[NewReferenceImage]]:
    """What lies in a folder: ``set.json`` (name, licence, licence_address, attribution), ``labels.csv`` (file,
    image_id, dx, dx_type), and the photographs.

    Raises:
        Refusal: a file is missing, or is not what it should be.
    """
    try:
        about = About(**json.loads((folder / ABOUT).read_text(encoding="utf-8")))
        with (folder / LABELS).open(newline="", encoding="utf-8") as file:
            images = [
                NewReferenceImage(row["image_id"], row["dx"], row["dx_type"], (folder / row["file"]).read_bytes())
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal(
            "no_reference_set",
            f"{folder} holds no reference set ({error}): {ABOUT} with name, licence, licence_address and attribution, "
            f"{LABELS} with file, image_id, dx and dx_type, and the photographs beside them are needed",
        ) from error
    return about, images


def import_reference_set(*, about: About, images: Iterable[NewReferenceImage]) -> ReferenceSet:
    """Take a set in; one of that name that is there stays as it is.

    Raises:
        Refusal: it is empty or too large, without a licence, or one of its images is not what it should be.
    """
    known = ReferenceSet.objects.filter(name=about.name).first()
    if known is not None:
        return known
    for field in ("name", "licence", "licence_address", "attribution"):
        if not getattr(about, field).strip():
            raise Refusal("licence_missing", f"a reference set must state its {field}", field=field)
    stored: list[str] = []
    try:
        with transaction.atomic():
            reference_set = ReferenceSet.objects.create(
                name=about.name,
                licence=about.licence,
                licence_address=about.licence_address,
                attribution=about.attribution,
                imported_at=timezone.now(),
            )
            rows = [_take_in(reference_set, image, stored) for image in images]
            if not 2 <= len(rows) <= MOST_IMAGES:
                raise Refusal("wrong_size", f"{about.name} has {len(rows)} images; 2 to {MOST_IMAGES} are taken")
            ReferenceImage.objects.bulk_create(rows)
            record("reference_set.imported", reference_set, actor=None, details={"images": len(rows)})
    except (Refusal, IntegrityError, OSError) as error:
        for name in stored:
            default_storage.delete(name)
        if isinstance(error, IntegrityError):
            raise Refusal("image_twice", f"{about.name}: {error}".splitlines()[0]) from error
        raise
    return reference_set


def _take_in(reference_set: ReferenceSet, new: NewReferenceImage, stored: list[str]) -> ReferenceImage:
    if len(stored) >= MOST_IMAGES:
        raise Refusal("wrong_size", f"{reference_set} has more than {MOST_IMAGES} images; take a part of them")
    if new.network_class not in CLASSES or new.confirmed_by not in Confirmation.values:
        raise Refusal(
            "unknown_label",
            f"{new.name}: dx {new.network_class!r} must be one of {', '.join(CLASSES)}, "
            f"dx_type {new.confirmed_by!r} one of {', '.join(Confirmation.values)}",
        )
    try:
        photograph = receive(new.photograph)
    except PhotographRefused as refused:
        raise Refusal(refused.code, f"{new.name}: {refused}") from refused
    pk = uuid4()
    name = default_storage.save(f"reference/{reference_set.pk}/{pk.hex}.jpg", ContentFile(photograph.jpeg))
    stored.append(name)
    return ReferenceImage(
        id=pk,
        set=reference_set,
        name=new.name,
        network_class=new.network_class,
        confirmed_by=new.confirmed_by,
        photograph_file=name,
        width=photograph.width,
        height=photograph.height,
    )


def see_reference_sets() -> int:
    """Let the version in service see what it has not seen yet, as much as fits into a turn. Returns how many sets it
    has seen the last of.
    """
    try:
        version = champion()
    except NoVersionServes:
        return 0
    deadline = time.monotonic() + TURN_SECONDS
    unseen = ReferenceSet.objects.exclude(
        pk__in=ReferenceEmbeddings.objects.filter(model_version=version, near__isnull=False).values("set")
    )
    return sum(_see(reference_set, version, deadline) for reference_set in unseen)


def _see(reference_set: ReferenceSet, version: ModelVersion, deadline: float) -> bool:
    serving = network_in_service()
    if serving.version.pk != version.pk:
        return False  # another version was released meanwhile; the next turn sees the sets with that one
    row, _new = ReferenceEmbeddings.objects.get_or_create(
        set=reference_set, model_version=version, defaults={"matrix": b"", "seen": 0}
    )
    images = list(reference_set.images.all())
    new = []
    for image in images[row.seen :]:
        if time.monotonic() > deadline:
            break
        view = decode_view(receive(open_public(image.photograph_file)).stored_view)
        new.append(unit(serving.network.read(view[np.newaxis])[0].embedding[np.newaxis]).astype("<f2").tobytes())
    if not new:
        return False
    seen = row.seen + len(new)
    changes: dict[str, Any] = {"matrix": b"".join([bytes(row.matrix), *new]), "seen": seen}
    if seen == len(images):
        changes["near"], changes["close"], changes["alike"] = _scale(matrix_of(changes["matrix"], seen))
    # One who was quicker has moved the count on: what they wrote stands.
    written = ReferenceEmbeddings.objects.filter(pk=row.pk, seen=row.seen, near__isnull=True).update(**changes)
    whole = bool(written) and seen == len(images)
    if whole:
        log.info("reference_set_seen", reference_set=str(reference_set.pk), images=seen, model_version=version.name)
    return whole


def matrix_of(content: bytes | memoryview, images: int) -> npt.NDArray[np.float16]:
    """[images, 1280], as it is kept."""
    return np.frombuffer(bytes(content), dtype="<f2").reshape(images, -1)


def unit(embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Each row, [n, 1280], brought to length 1."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-12), dtype=np.float32)


def cosine_distances(matrix: npt.NDArray[np.floating], own: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cosine distance, [rows], of each row from an embedding, all of length 1; never below 0, where rounding ends."""
    found: npt.NDArray[np.float32] = np.maximum(1 - matrix.astype(np.float32) @ own, 0)
    return found


def _scale(matrix: npt.NDArray[np.float16]) -> tuple[float, float, float]:
    """What share of pairs lies nearer: the words for a distance come from here. Of a large set, rows spread evenly."""
    some = matrix[:: -(-len(matrix) // ROWS_FOR_SCALE)].astype(np.float32)
    pairs = np.triu_indices(len(some), k=1)
    near, close, alike = np.quantile(1 - (some @ some.T)[pairs], SCALE)
    return float(near), float(close), float(alike)


@dataclass(frozen=True)
class Seen:
    """A set as a version sees it."""

    images: tuple[UUID, ...]
    """Ids, in the order of the rows."""
    matrix: npt.NDArray[np.float16]
    """[images, 1280], each of length 1."""
    near: float
    close: float
    alike: float

    def distances(self, own: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Cosine distance, [images], of each from an embedding of length 1."""
        blocks = range(0, len(self.matrix), BLOCK)
        return np.concatenate([cosine_distances(self.matrix[at : at + BLOCK], own) for at in blocks])


def seen_by(version: UUID) -> list[Seen]:
    """All sets that a version has seen as a whole, the largest first."""
    whole = ReferenceEmbeddings.objects.filter(model_version=version, near__isnull=False)
    return sorted((_seen(pk) for pk in whole.values_list("pk", flat=True)), key=lambda each: -len(each.images))


@lru_cache(maxsize=4)
def _seen(pk: int) -> Seen:
    """Kept in memory: what has been seen as a whole is written once, and public."""
    row = ReferenceEmbeddings.objects.get(pk=pk)
    assert row.near is not None  # asked for before
    assert row.close is not None
    assert row.alike is not None
    images = tuple(ReferenceImage.objects.filter(set=row.set_id).values_list("pk", flat=True))
    return Seen(images, matrix_of(row.matrix, row.seen), row.near, row.close, row.alike)
