"""What one upload must come to: a photograph that is clean in every respect, or a refusal in words. Nothing else."""

import hashlib
import io

import numpy as np
from PIL import Image

from diagnosis.classifier.photograph import MAX_KEPT_PIXELS, Photograph, PhotographRefused, receive
from diagnosis.classifier.view import SIDE, decode_view
from tests.fuzz.mutations import CANARY

CODES = frozenset(
    {"empty", "too_many_bytes", "not_jpeg_or_png", "damaged", "too_many_pixels", "too_small", "animated",
     "unsupported_colour", "transparent", "too_many_parts"}
)  # fmt: skip
#: Markers that a stored photograph is made of: no metadata (E1 to EF, FE), one frame, baseline.
_KEPT = frozenset({0xE0, 0xDB, 0xC0, 0xC4, 0xDA})


def judge(upload: bytes) -> str:
    """The refusal's code, or ``taken``.

    Raises:
        AssertionError: what would be stored is not clean, or the refusal is not one.
        Exception: whatever the reading let through.
    """
    photograph = _received(upload)
    if isinstance(photograph, PhotographRefused):
        assert photograph.code in CODES, photograph.code
        assert 10 < len(str(photograph)) < 300
        assert CANARY.decode() not in str(photograph)
        return photograph.code
    stored = photograph.jpeg
    assert CANARY not in stored
    assert photograph.sha256 == hashlib.sha256(stored).hexdigest()
    assert min(photograph.width, photograph.height) >= SIDE
    assert photograph.width * photograph.height <= MAX_KEPT_PIXELS
    assert markers(stored) <= _KEPT, markers(stored)
    with Image.open(io.BytesIO(stored), formats=("JPEG",)) as image:
        assert (image.size, image.mode, image.format) == ((photograph.width, photograph.height), "RGB", "JPEG")
        assert not image.getexif()
        image.load()
    view = decode_view(photograph.stored_view)
    assert (view.shape, view.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert all(np.isfinite(value) for value in photograph.quality.as_dict().values() if isinstance(value, float))
    return "taken"


def _received(upload: bytes) -> Photograph | PhotographRefused:
    try:
        return receive(upload)
    except PhotographRefused as refused:
        return refused


def markers(jpeg: bytes) -> set[int]:
    """The markers of a JPEG that ends where its picture ends.

    Raises:
        AssertionError: something stands behind it.
    """
    assert jpeg[:2] == b"\xff\xd8"
    position, found = 2, set()
    while jpeg[position + 1] != 0xD9:
        assert jpeg[position] == 0xFF
        found.add(jpeg[position + 1])
        scan = jpeg[position + 1] == 0xDA
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        while scan and (jpeg[position] != 0xFF or jpeg[position + 1] == 0):
            position += 1
    assert position + 2 == len(jpeg), "bytes behind the end of the picture"
    return found
