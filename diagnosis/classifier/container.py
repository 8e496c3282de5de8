"""What a JPEG or PNG file says about itself, read by walking its segments before any decoder is let loose on it.

A decoder trusts these numbers: 20 KB can announce 400 megapixels, and a few megabytes can hold a hundred thousand
scans or chunks that each cost milliseconds. Counting them first costs about 1 ms for each megabyte.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE: Final = b"\xff\xd8\xff"

#: A byte that 0xFF makes a marker: not stuffing (00), fill (FF) or a restart (D0-D7), which occur inside scans.
_MARKER: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
_WITHOUT_LENGTH: Final = frozenset({0x01, 0xD8, _END_OF_IMAGE})


@dataclass(frozen=True)
class Container:
    """The announced content of one file."""

    format: str
    """`JPEG` or `PNG`."""
    width: int
    height: int
    """Pixels, as announced; 0 where the file ends before it says so. Of several frames the largest counts."""
    parts: int
    """Segments of the first JPEG image, or chunks of the PNG."""
    scans: int
    """Passes over the whole picture: 1 for a baseline JPEG or a PNG, about 10 for a progressive JPEG."""
    bits: int
    """Bits per channel: 8, or 16 for a deep PNG."""


def inspect(upload: bytes) -> Container | None:
    """Walk the first image of `upload`; None where it is neither JPEG nor PNG by its first bytes. Never raises."""
    if upload.startswith(_JPEG_SIGNATURE):
        return _inspect_jpeg(upload)
    if upload.startswith(_PNG_SIGNATURE):
        return _inspect_png(upload)
    return None


def _inspect_jpeg(upload: bytes) -> Container:
    width = height = parts = scans = 0
    position = 2
    while (found := _MARKER.search(upload, position)) is not None:
        marker, position = found[1][0], found.end()
        parts += 1
        if marker == _END_OF_IMAGE:
            break
        if marker == _START_OF_SCAN:
            scans += 1
        elif marker in _START_OF_FRAME and position + 7 <= len(upload):
            rows, columns = struct.unpack_from(">HH", upload, position + 3)
            if rows * columns >= width * height:
                width, height = columns, rows
        if marker not in _WITHOUT_LENGTH and position + 2 <= len(upload):
            position += struct.unpack_from(">H", upload, position)[0]
    return Container("JPEG", width, height, parts, scans, bits=8)


def _inspect_png(upload: bytes) -> Container:
    width = height = parts = 0
    bits = 8
    position = len(_PNG_SIGNATURE)
    while position + 8 <= len(upload):
        length, name = struct.unpack_from(">I4s", upload, position)
        if name == b"IHDR" and position + 17 <= len(upload):
            columns, rows, bits = struct.unpack_from(">IIB", upload, position + 8)
            if rows * columns >= width * height:
                width, height = columns, rows
        parts += 1
        if name == b"IEND":
            break
        position += 12 + length
    return Container("PNG", width, height, parts, scans=1, bits=bits)
