"""Broken photographs from whole ones: segments of JPEG and chunks of PNG altered one by one, and plain bytes.

Everything follows from a seed, so that a case that was found can be made again from its number.
"""

import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from PIL import Image

from tests.diagnosis.classifier import images

#: In everything that must not survive: metadata, comments, what trails behind.
CANARY: Final = b"Canary-Jane-Doe-1961"

Random = random.Random
#: Bytes of an input, and of what one mutation adds to it.
_LARGEST: Final = 3_000_000
_HAM10000: Final = Path(__file__).parent.parent / "data" / "ham10000"


@cache
def samples() -> list[bytes]:
    """Real photographs of HAM10000 cut to 240x230, as phones, cameras and programs write them, and in forms of PNG."""
    real = [Image.open(path).convert("RGB").resize((240, 230)) for path in sorted(_HAM10000.glob("*.jpg"))[:4]]
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = CANARY.decode(), 6
    exif.get_ifd(0x8825).update({1: "N", 2: images.GPS_LATITUDE})
    profile = images.matrix_profile(*images.DISPLAY_P3)
    one, two, three, four = real
    jpegs = [
        images.saved(one, quality=90, exif=exif, comment=CANARY, icc_profile=profile),
        images.saved(two, quality=95, subsampling=0),
        images.saved(three, quality=85, progressive=True),
        images.saved(four, "MPO", save_all=True, append_images=[one]),
        images.saved(one.convert("L")),
        images.saved(two.convert("CMYK")),
        images.saved(three, quality=80, restart_marker_blocks=4),
    ]
    pngs = [
        images.saved(one, "PNG", exif=exif, icc_profile=profile),
        images.saved(two.convert("RGBA"), "PNG"),
        images.saved(three.quantize(64), "PNG", transparency=3),
        images.saved(four.convert("LA"), "PNG"),
        images.saved(one.convert("L"), "PNG"),
        images.saved(two, "PNG", save_all=True, append_images=[three]),
    ]
    return [*jpegs, *pngs]


def mutated(seed: int) -> bytes:
    """The broken photograph of this number."""
    chance = Random(seed)
    data = chance.choice(samples())
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        structural = chance.random() < 0.7
        if structural and data.startswith(b"\xff\xd8"):
            data = _jpeg(data, chance)
        elif structural and data.startswith(_SIGNATURE):
            data = _png(data, chance)
        else:
            data = chance.choice(BYTES)(data, chance)
        data = data[:_LARGEST]  # a large part repeated two hundred times, six times over, is no upload
    return data


# --- Bytes ------------------------------------------------------------------------------------------------------------
def _flip(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 64)) if changed else 0):
        changed[chance.randrange(len(changed))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(changed)


def _cut(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _drop(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.choice((1, 2, 7, 300)) :]


def _insert(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    piece = chance.choice((CANARY, b"\0" * 500, b"\xff" * 500, chance.randbytes(200), b"\xff\xd8\xff\xd9", b"\xff\xda"))
    return data[:at] + piece + data[at:]


def _repeat(data: bytes, chance: Random) -> bytes:
    at, length = chance.randrange(len(data) + 1), chance.choice((2, 50, 3000))
    return data[:at] + data[at : at + length] * chance.choice((2, 3, 40)) + data[at + length :]


def _trail(data: bytes, chance: Random) -> bytes:
    return data + CANARY + chance.choice((b"", images.SCRIPT, chance.choice(samples()), b"PK\x03\x04"))


def _splice(data: bytes, chance: Random) -> bytes:
    other = chance.choice(samples())
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]


BYTES: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (_flip, _cut, _drop, _insert, _repeat, _trail, _splice)


# --- JPEG: marker and payload of each segment, and what stands behind it ------------------------------------------
def _segments(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Marker, payload, and what stands behind it up to the next marker."""
    found, position = [], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        length = struct.unpack_from(">H", data, position + 2)[0]
        payload, position = data[position + 4 : position + 2 + length], position + 2 + length
        behind = position
        if marker == 0xDA:
            while position + 2 <= len(data) and (data[position] != 0xFF or data[position + 1] in range(0xD0, 0xD8)
                                                 or data[position + 1] == 0):  # fmt: skip
                position += 1
        found.append((marker, payload, data[behind:position]))
        if marker == 0xDA and data[position : position + 2] == b"\xff\xd9":
            found.append((0xD9, b"", data[position + 2 :]))
            break
    return found


def _joined(segments: list[tuple[int, bytes, bytes]], chance: Random) -> bytes:
    out = bytearray(b"\xff\xd8")
    for marker, payload, behind in segments:
        out += bytes((0xFF, marker))
        if marker != 0xD9:
            lie = chance.choice((0, 1, -2, 40_000)) if chance.random() < 0.03 else 0
            out += struct.pack(">H", max(0, min(0xFFFF, len(payload) + 2 + lie)))
        out += payload + behind
    return bytes(out)


def _exif(chance: Random) -> bytes:
    """A directory that may point to itself, beyond the end, or announce millions of values."""
    entries = b"".join(
        struct.pack(">HHII", chance.choice((0x0112, 0x8769, 0x8825, 0x010F, chance.randrange(65536))),
                    chance.choice((1, 2, 3, 4, 5, 7, 10, 12, 99)), chance.choice((0, 1, 5, 0xFFFFFFFF)),
                    chance.choice((0, 1, 6, 8, 9, 0x00060000, 0xFFFFFFF0)))
        for _ in range(chance.randrange(6))
    )  # fmt: skip
    count = chance.choice((len(entries) // 12, 0xFFFF))
    return b"Exif\0\0MM\0*" + struct.pack(">IH", chance.choice((8, 0, 14, 0xFFFFFFFF)), count) + entries + CANARY


def _jpeg(data: bytes, chance: Random) -> bytes:
    segments = _segments(data)
    if not segments:
        return _flip(data, chance)
    at = chance.randrange(len(segments))
    marker, payload, behind = segments[at]
    match chance.randrange(11):
        case 0:
            del segments[at]
        case 1:
            segments[at:at] = [segments[at]] * chance.choice((1, 3, 200))
        case 2:
            other = chance.randrange(len(segments))
            segments[at], segments[other] = segments[other], segments[at]
        case 3:
            segments[at] = (marker, _flip(payload, chance), behind)
        case 4:
            segments[at] = (marker, payload[: chance.randrange(len(payload) + 1)], behind)
        case 5:
            segments[at] = (
                chance.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xDA, 0xDD, 0xE0, 0xE1, 0xFE)),
                payload,
                behind,
            )
        case 6:
            segments[at] = (marker, payload, _flip(behind, chance))
        case 7:
            segments.insert(at, (chance.choice((0xE1, 0xE2, 0xED, 0xFE)), chance.choice((_exif(chance), CANARY)), b""))
        case 8:
            frames = [n for n, (each, _, _) in enumerate(segments) if 0xC0 <= each <= 0xC2]
            if frames:
                n = chance.choice(frames)
                frame = bytearray(segments[n][1])
                sizes = (0, 1, 223, 224, 230, 240, 4000, 8000, 65535)
                if len(frame) >= 6:
                    struct.pack_into(">HH", frame, 1, chance.choice(sizes), chance.choice(sizes))
                    frame[0] = chance.choice((8, 8, 8, 12, 16))
                    frame[5] = chance.choice((frame[5], 0, 1, 2, 3, 4, 255))
                segments[n] = (segments[n][0], bytes(frame), segments[n][2])
        case 9:
            scans = [each for each in segments if each[0] == 0xDA]
            segments[-1:-1] = scans * chance.choice((1, 5, 80))
        case _:
            foreign = _segments(chance.choice([each for each in samples() if each.startswith(b"\xff\xd8")]))
            segments.insert(at, chance.choice(foreign))
    return _joined(segments, chance)


# --- PNG: (name, content) for each chunk ---
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], len(_SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        found.append((name, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def _written(chunks: list[tuple[bytes, bytes]], chance: Random) -> bytes:
    out = bytearray(_SIGNATURE)
    for name, content in chunks:
        lie = chance.choice((1, -1, 100_000, 0x7FFFFFFF)) if chance.random() < 0.02 else 0
        out += struct.pack(">I", max(0, min(0xFFFFFFFF, len(content) + lie))) + name + content
        checksum = zlib.crc32(name + content) if chance.random() > 0.02 else chance.randrange(1 << 32)
        out += struct.pack(">I", checksum)
    return bytes(out)


def _header(content: bytes, chance: Random) -> bytes:
    if len(content) != 13:
        return content
    width, height, *rest = struct.unpack(">IIBBBBB", content)
    sizes = (width, height, 0, 1, 224, 5000, 8000, 0x7FFFFFFF, 0xFFFFFFFF)
    fields = [chance.choice(sizes), chance.choice(sizes), *rest]
    fields[chance.randrange(2, 7)] = chance.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return struct.pack(">IIBBBBB", *fields)


def _pixels(content: bytes, chance: Random) -> bytes:
    """The pixels packed anew: altered, too few, too many, or an enormous number of nothing."""
    try:
        raw = zlib.decompress(content)
    except zlib.error:
        return _flip(content, chance)
    altered = chance.choice((
        lambda: _flip(raw, chance),
        lambda: raw[: chance.randrange(len(raw) + 1)],
        lambda: raw + chance.randbytes(1000),
        lambda: bytes(chance.choice((1_000, 20_000_000))),
    ))()  # fmt: skip
    packed = zlib.compress(altered, 1)
    return packed if chance.random() > 0.2 else packed[: chance.randrange(len(packed) + 1)]


def _text(chance: Random) -> tuple[bytes, bytes]:
    bomb = zlib.compress(bytes(chance.choice((100, 5_000_000))) + CANARY, 9)
    return chance.choice((
        (b"tEXt", b"Comment\0" + CANARY),
        (b"zTXt", b"Comment\0\0" + bomb),
        (b"iTXt", b"Comment\0\1\0\0\0" + bomb),
        (b"iCCP", b"profile\0\0" + bomb),
        (b"eXIf", _exif(chance)[6:]),
        (b"acTL", struct.pack(">II", chance.choice((0, 2, 0xFFFFFFFF)), 0)),
        (b"fcTL", chance.randbytes(26)),
        (b"PLTE", chance.randbytes(chance.choice((3, 4, 768, 769)))),
        (b"tRNS", chance.randbytes(chance.choice((0, 1, 2, 6, 300)))),
        (b"gAMA", chance.randbytes(4)),
    ))  # fmt: skip


def _png(data: bytes, chance: Random) -> bytes:
    chunks = _chunks(data)
    if not chunks:
        return _flip(data, chance)
    at = chance.randrange(len(chunks))
    name, content = chunks[at]
    match chance.randrange(9):
        case 0:
            del chunks[at]
        case 1:
            times = chance.choice((1, 3, 200))
            chunks[at:at] = [chunks[at]] * (times if times * len(content) < _LARGEST else 1)
        case 2:
            other = chance.randrange(len(chunks))
            chunks[at], chunks[other] = chunks[other], chunks[at]
        case 3:
            chunks[at] = (name, _flip(content, chance))
        case 4:
            chunks[at] = (chance.choice((b"IHDR", b"IDAT", b"IEND", b"fdAT", b"PLTE", chance.randbytes(4))), content)
        case 5:
            chunks = [(each, _header(inner, chance) if each == b"IHDR" else inner) for each, inner in chunks]
        case 6:
            chunks = [(each, _pixels(inner, chance) if each == b"IDAT" else inner) for each, inner in chunks]
        case 7:
            chunks.insert(at, _text(chance))
        case _:
            foreign = _chunks(chance.choice([each for each in samples() if each.startswith(_SIGNATURE)]))
            chunks.insert(at, chance.choice(foreign))
    return _written(chunks, chance)
