"""Opening an analysis's activation map and drawing it over what the network saw."""

from typing import Final

import numpy as np

from diagnosis.classifier import maps
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.classifier.view import decode_view
from diagnosis.models import Analysis
from diagnosis.models.sealed import place_of
from diagnosis.services.files import open_sealed
from skincare.encryption import unseal

#: Longer side of the drawing, in pixels. The map has 7x7 places, so more would show nothing more.
LONG_SIDE: Final = 448


class NoMap(LookupError):
    """Only an answer has a map."""


def draw_map(analysis: Analysis, diagnosis: str | None = None) -> bytes:
    """Draw where the network found what speaks for malignant, or for one diagnosis, as a PNG.

    Args:
        diagnosis: one of ``taxonomy.CLASSES``.

    Raises:
        NoMap: the analysis has no answer.
        OSError: the store does not have the view or does not answer.
        SealBroken: map or view was altered.
        PatientErased: the patient's key was destroyed.
    """
    key = analysis.data_key()
    if analysis.sealed_map is None:
        raise NoMap(f"the analysis is {analysis.state}; only an answer has a map")
    plain = unseal(key, analysis.sealed_map, place=place_of(analysis, "map"))
    side = round((len(plain) / np.dtype("<f4").itemsize / len(CLASSES)) ** 0.5)
    activation = np.frombuffer(plain, dtype="<f4").reshape(side, side, len(CLASSES))
    image = next(image for image in analysis.case.images.all() if image.position == analysis.deciding_position)
    view = decode_view(open_sealed(analysis.case.patient, image.view_file))
    scale = LONG_SIDE / max(image.width, image.height)
    return maps.render(
        maps.share(activation, analysis.conditions["temperature"], [diagnosis] if diagnosis else MALIGNANT),
        view,
        width=max(1, round(image.width * scale)),
        height=max(1, round(image.height * scale)),
    )
