"""Photographs and what is not one, made on the spot: each way an upload can be wrong, and each oddity that is taken."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image

SCRIPT = b"<script>alert('stored')</script>"
COMMENT = b"patient Jane Doe"
GPS_LATITUDE = (52.0, 31.0, 12.25)
MAKER = "SecretCamera 9000"


class BadUpload(NamedTuple):
    """An upload that must be refused."""

    id: str
    filename: str
    make: Callable[[], bytes]
    code: str


class OddUpload(NamedTuple):
    """An upload that looks odd and is taken, by decision."""

    id: str
    filename: str
    make: Callable[[], bytes]
    received_format: str


@cache
def lesion(width: int = 640, height: int = 480) -> Image.Image:
    """A brown spot on textured skin: sharp, well exposed, in colour. Do not change it in place."""
    noise = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    inside = ((columns / width - 0.5) / 0.25) ** 2 + ((rows / height - 0.5) / 0.3) ** 2
    spot = (1 / (1 + np.exp(6 * (inside - 1))))[..., None]
    skin, brown = np.array([214, 168, 148], np.float32), np.array([110, 70, 55], np.float32)
    coarse = noise.normal(0, 1, (max(2, height // 4), max(2, width // 4))).astype(np.float32)
    texture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))[..., None]
    pixels = skin * (1 - spot) + brown * spot + 18 * texture + noise.normal(0, 3, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def jpeg(width: int = 640, height: int = 480, **options: object) -> bytes:
    """A plain photograph."""
    return saved(lesion(width, height), quality=90, **options)


def png(width: int = 640, height: int = 480) -> bytes:
    """The same as a PNG."""
    return saved(lesion(width, height), "PNG", compress_level=1)


def jpeg_with_metadata(orientation: int = 1) -> bytes:
    """What a phone writes: maker, position, orientation, comment and XMP."""
    exif = Image.Exif()
    exif[0x010F] = MAKER
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update({1: "N", 2: GPS_LATITUDE, 3: "E", 4: (13.0, 24.0, 18.5)})
    return jpeg(exif=exif, comment=COMMENT, xmp=b"<x:xmpmeta>" + COMMENT + b"</x:xmpmeta>", dpi=(300, 300))


def mpo() -> bytes:
    """The multi-picture JPEG of many phones: a photograph, and a second frame."""
    second = Image.new("RGB", (640, 480), (0, 0, 255))
    return saved(lesion(), "MPO", save_all=True, append_images=[second], quality=90)


def png_chunk(name: bytes, content: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_file(width: int, height: int, bits: int, colour_type: int, data: bytes, more: bytes = b"") -> bytes:
    """A PNG written by hand: `data` is the content of IDAT, `more` further chunks before it."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + more + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def png_bomb() -> bytes:
    """400 megapixels in 20 KB."""
    return png_file(20_000, 20_000, 8, 2, zlib.compress(bytes(20_000_000), 9))


def deep_colour_png() -> bytes:
    """16 bits a channel, RGB: the low byte of every value is noise."""
    high = np.asarray(lesion()).astype(">u2") << 8
    low = np.random.default_rng(3).integers(0, 256, high.shape).astype(">u2")
    rows = (high | low).astype(">u2").reshape(480, -1)
    return png_file(640, 480, 16, 2, zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 1))


def deep_grey_png() -> bytes:
    """16 bits of grey."""
    return saved(Image.fromarray(np.asarray(lesion().convert("L")).astype(np.uint16) << 8), "PNG")


def transparent_png() -> bytes:
    """A photograph with one corner cut out."""
    image = lesion().convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    return saved(image, "PNG")


def animated_png() -> bytes:
    """Two frames."""
    return saved(lesion(), "PNG", save_all=True, append_images=[Image.new("RGB", (640, 480))], duration=100)


def many_scans_jpeg() -> bytes:
    """A progressive JPEG whose last scan comes two hundred times over: each costs a pass over all pixels."""
    whole = jpeg(progressive=True)
    last_scan = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last_scan:-2] * 200 + whole[-2:]


def many_chunks_png() -> bytes:
    """A PNG with 50,000 chunks that say nothing."""
    plain = png()
    after_header = 8 + 25
    return plain[:after_header] + png_chunk(b"tEXt", b"a\0b") * 50_000 + plain[after_header:]


def huge_jpeg() -> bytes:
    """A small JPEG that says it has 65,000 x 65,000 pixels."""
    whole = jpeg()
    frame = whole.index(b"\xff\xc0")
    return whole[: frame + 5] + struct.pack(">HH", 65_000, 65_000) + whole[frame + 9 :]


def _middle_byte_changed(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]


def matrix_profile(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float]) -> bytes:
    """A minimal ICC profile with these primaries (xy), D65 white adapted to D50, and gamma 2.2."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d65, d50 = np.array([0.95047, 1.0, 1.08883]), np.array([0.9642, 1.0, 0.8249])
    primaries = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    primaries = primaries * np.linalg.solve(primaries, d65)
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford
    columns = (adapt @ primaries).T

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))

    text = b"text\0\0\0\0test\0\0\0\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    description += bytes(-len(description) % 4)
    gamma = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    tags = [(b"desc", description), (b"cprt", text), (b"wtpt", xyz(d50))]
    tags += [(name, xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)]
    tags += [(name, gamma) for name in (b"rTRC", b"gTRC", b"bTRC")]
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    header = bytearray(128)
    struct.pack_into(">I", header, 0, offset + len(body))
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = b"mntrRGB XYZ "
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, *(round(float(value) * 65536) for value in d50))
    return bytes(header) + table + body


#: Primaries of Display P3, in which phones of one large maker write every photograph.
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


BAD_UPLOADS: list[BadUpload] = [
    BadUpload("empty", "lesion.jpg", lambda: b"", "empty"),
    BadUpload("jpeg-half", "lesion.jpg", lambda: jpeg()[:20_000], "damaged"),
    BadUpload("jpeg-header-only", "lesion.jpg", lambda: jpeg()[:200], "damaged"),
    BadUpload("jpeg-signature-only", "lesion.jpg", lambda: b"\xff\xd8\xff", "damaged"),
    BadUpload("png-half", "lesion.png", lambda: png()[:100_000], "damaged"),
    BadUpload("png-signature-only", "lesion.png", lambda: b"\x89PNG\r\n\x1a\n", "damaged"),
    BadUpload("png-wrong-checksum", "lesion.png", lambda: _middle_byte_changed(png()), "damaged"),
    BadUpload("text-named-jpg", "lesion.jpg", lambda: b"This is a photograph of a lesion.\n", "not_jpeg_or_png"),
    BadUpload(
        "html-named-jpg", "lesion.jpg", lambda: b"<!DOCTYPE html><html>" + SCRIPT + b"</html>", "not_jpeg_or_png"
    ),
    BadUpload("eps-named-jpg", "lesion.jpg", lambda: saved(lesion(), "EPS"), "not_jpeg_or_png"),
    BadUpload("gif-named-jpg", "lesion.jpg", lambda: saved(lesion(), "GIF"), "not_jpeg_or_png"),
    BadUpload(
        "svg-named-jpg",
        "lesion.jpg",
        lambda: b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>",
        "not_jpeg_or_png",
    ),
    BadUpload("webp-named-jpg", "lesion.jpg", lambda: saved(lesion(), "WEBP"), "not_jpeg_or_png"),
    BadUpload(
        "heic-named-jpg",
        "lesion.jpg",
        lambda: b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(2000),
        "not_jpeg_or_png",
    ),
    BadUpload("bmp-named-jpg", "lesion.jpg", lambda: saved(lesion(), "BMP"), "not_jpeg_or_png"),
    BadUpload("tiff-named-jpg", "lesion.jpg", lambda: saved(lesion(), "TIFF"), "not_jpeg_or_png"),
    BadUpload("pdf-named-jpg", "lesion.jpg", lambda: saved(lesion(), "PDF"), "not_jpeg_or_png"),
    BadUpload("png-bomb-400-megapixels", "lesion.png", png_bomb, "too_many_pixels"),
    BadUpload("jpeg-announcing-4225-megapixels", "lesion.jpg", huge_jpeg, "too_many_pixels"),
    BadUpload("jpeg-of-200-scans", "lesion.jpg", many_scans_jpeg, "too_many_parts"),
    BadUpload("png-of-50000-chunks", "lesion.png", many_chunks_png, "too_many_parts"),
    BadUpload("1x1-jpeg", "lesion.jpg", lambda: jpeg(1, 1), "too_small"),
    BadUpload("1x1-png", "lesion.png", lambda: png(1, 1), "too_small"),
    BadUpload("200x200", "lesion.jpg", lambda: jpeg(200, 200), "too_small"),
    BadUpload("640x223", "lesion.jpg", lambda: jpeg(640, 223), "too_small"),
    BadUpload("60-megabytes", "lesion.jpg", lambda: jpeg() + bytes(60_000_000), "too_many_bytes"),
    BadUpload("cmyk-jpeg", "lesion.jpg", lambda: saved(lesion().convert("CMYK")), "unsupported_colour"),
    BadUpload("16-bit-grey-png", "lesion.png", deep_grey_png, "unsupported_colour"),
    BadUpload("1-bit-png", "lesion.png", lambda: saved(lesion().convert("1"), "PNG"), "unsupported_colour"),
    BadUpload("animated-png", "lesion.png", animated_png, "animated"),
    BadUpload("transparent-png", "lesion.png", transparent_png, "transparent"),
]

ODD_UPLOADS: list[OddUpload] = [
    OddUpload("script-appended", "lesion.jpg", lambda: jpeg() + SCRIPT, "JPEG"),
    OddUpload("script-appended-to-png", "lesion.png", lambda: png() + SCRIPT, "PNG"),
    OddUpload("maker-position-comment-xmp", "lesion.jpg", jpeg_with_metadata, "JPEG"),
    OddUpload("mpo-of-two-frames", "lesion.jpg", mpo, "MPO"),
    OddUpload("named-png-but-jpeg", "lesion.png", jpeg, "JPEG"),
    OddUpload("progressive", "lesion.jpg", lambda: jpeg(progressive=True), "JPEG"),
    OddUpload("full-colour-resolution", "lesion.jpg", lambda: jpeg(subsampling=0), "JPEG"),
    OddUpload("display-p3", "lesion.jpg", lambda: jpeg(icc_profile=matrix_profile(*DISPLAY_P3)), "JPEG"),
    OddUpload("damaged-colour-profile", "lesion.jpg", lambda: jpeg(icc_profile=b"not a profile"), "JPEG"),
    OddUpload("damaged-exif", "lesion.jpg", lambda: jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), "JPEG"),
    OddUpload("grey-jpeg", "lesion.jpg", lambda: saved(lesion().convert("L")), "JPEG"),
    OddUpload("16-bit-colour-png", "lesion.png", deep_colour_png, "PNG"),
    OddUpload("palette-png", "lesion.png", lambda: saved(lesion().quantize(256), "PNG"), "PNG"),
    OddUpload("opaque-alpha-png", "lesion.png", lambda: saved(lesion().convert("RGBA"), "PNG"), "PNG"),
    OddUpload("224x224", "lesion.jpg", lambda: jpeg(224, 224), "JPEG"),
]
