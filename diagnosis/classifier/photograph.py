"""Turn an uploaded file, which may be anything, into a clean photograph and the network's view of it, or refuse it.

What is stored is never what was sent: it is decoded once, turned upright, brought to sRGB and encoded again, so that
no metadata, no further frame and no trailing byte survives.
"""

import hashlib
import io
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageCms, JpegImagePlugin

from diagnosis.classifier import container, quality, view
from diagnosis.classifier.quality import Quality

#: A 12-megapixel phone JPEG has 3 to 6 MB, one of 48 megapixels 10 to 20, a 6-megapixel PNG of a dermatoscope about 10.
MAX_BYTES: Final = 25 * 1024 * 1024

#: Announced width x height above which a file is refused before decoding. 48- and 50-megapixel phones and 61-megapixel
#: cameras pass; 108- and 200-megapixel modes do not: they show nothing more and cost a second or two each.
MAX_PIXELS: Final = 64_000_000

#: Above this, a JPEG is decoded at half its width and height. 24 megapixels (phones since 2023, most cameras) are kept
#: whole for the dermatologist. Phone sensors beyond that have four pixels under one colour filter, so half scale is
#: what they resolve. A file that must be held whole to be decoded (PNG, or JPEG in several scans) is refused above it:
#: no camera writes one. So a decoded picture never takes more than 100 MB.
MAX_KEPT_PIXELS: Final = 25_000_000

#: Width and height needed: the network's own, so that its view is never made up by enlarging.
MIN_SIDE: Final = view.SIDE

#: A progressive JPEG has about 10 scans; thousands of empty ones fit into a megabyte, each a pass over every pixel.
_MAX_SCANS: Final = 64

#: 25 MB in libpng's smallest usual chunks of 8 KB are 3,200. Each part costs Pillow some microseconds.
_MAX_PARTS: Final = 10_000

#: JPEG quality of what is stored. With the subsampling of the file received, the second encoding differs from the first
#: by 0.2 (HAM10000) to 0.5 grey levels (a camera's), PSNR above 48 dB. Files of quality 80, 90 and 95 come out 1.4, 1.0
#: and 0.8 times as long.
_JPEG_QUALITY: Final = 92

#: `JpegImagePlugin.get_sampling` answers 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, and -1 for anything else.
_FULL_COLOUR: Final = 0

#: EXIF tag 0x0112, and how to undo each of its values.
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final[dict[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: First bytes of files that people send by mistake, to tell them what it is instead of what it is not.
_KNOWN_OTHERS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (4, b"ftyphei", "a HEIC picture: set the phone's camera to JPEG ('most compatible')"),
    (4, b"ftyphev", "a HEIC picture: set the phone's camera to JPEG ('most compatible')"),
    (4, b"ftypmif1", "a HEIC picture: set the phone's camera to JPEG ('most compatible')"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "a video"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF or raw picture"),
    (0, b"MM\0*", "a TIFF or raw picture"),
    (0, b"%!PS", "an EPS drawing"),
    (0, b"%PDF", "a PDF document"),
    (128, b"DICM", "a DICOM file"),
)

#: One picture above 16 megapixels at a time in a process, so that a handful of them at once cannot use up its memory.
_LARGE: Final = 16_000_000
_one_large_at_a_time = threading.Lock()

_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class PhotographRefused(ValueError):
    """The upload cannot be taken. `str()` says what is wrong and what is needed, `code` names it for programs.

    Codes: `empty`, `too_many_bytes`, `not_jpeg_or_png`, `damaged`, `too_many_pixels`, `too_small`, `animated`,
    `unsupported_colour`, `transparent`, `too_many_parts`.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True)
class Photograph:
    """What is stored of one upload."""

    jpeg: bytes
    """sRGB JPEG, upright, without metadata."""
    sha256: str
    """Of `jpeg`, in hexadecimal."""
    width: int
    height: int
    """Pixels of `jpeg`."""
    received_format: str
    """`JPEG`, `MPO` (the multi-picture JPEG of many phones) or `PNG`."""
    stored_view: bytes
    """The network's view, made from the same decode; see `diagnosis.classifier.view`."""
    quality: Quality


def receive(upload: bytes) -> Photograph:
    """Judge, decode and clean one uploaded file. Bounded in time and memory whatever it holds.

    Raises:
        PhotographRefused: with a code and a sentence for the person who sent it.
    """
    contents = _check_container(upload)
    pixels = contents.width * contents.height
    with _turn_for(pixels):
        image, received_format, sampling = _decode(upload, contents)
        image = _to_srgb(_upright(image))
        network_view = view.make_view(image)
        jpeg = _encode(image, sampling)
    return Photograph(
        jpeg=jpeg,
        sha256=hashlib.sha256(jpeg).hexdigest(),
        width=image.width,
        height=image.height,
        received_format=received_format,
        stored_view=view.encode_view(network_view),
        quality=quality.assess(network_view, image.width, image.height),
    )


def check_bytes(count: int) -> None:
    """Refuse a file by its length, for callers that know it before they read the file.

    Raises:
        PhotographRefused: longer than MAX_BYTES.
    """
    if count > MAX_BYTES:
        raise PhotographRefused(
            "too_many_bytes", f"{count / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are accepted"
        )


def _check_container(upload: bytes) -> container.Container:
    """Refuse by what can be known without decoding: bytes, kind, announced pixels, number of parts."""
    if not upload:
        raise PhotographRefused("empty", "the file is empty; send a JPEG or PNG photograph")
    check_bytes(len(upload))
    contents = container.inspect(upload)
    if contents is None:
        raise PhotographRefused("not_jpeg_or_png", f"the file is {_name_other(upload)}; JPEG or PNG is needed")
    plain = contents.format == "JPEG" and contents.scans <= 1
    most = MAX_PIXELS if plain else MAX_KEPT_PIXELS
    if contents.width * contents.height > most:
        raise PhotographRefused(
            "too_many_pixels",
            f"{contents.width}x{contents.height} pixels; at most {most // 1_000_000} megapixels are accepted"
            + ("" if plain else ", or a plain (baseline) JPEG"),
        )
    if contents.scans > _MAX_SCANS or contents.parts > _MAX_PARTS:
        raise PhotographRefused(
            "too_many_parts",
            f"the file is built of {contents.parts} parts in {contents.scans} passes, as no camera does; "
            "save it again as a plain JPEG",
        )
    return contents


def _name_other(upload: bytes) -> str:
    for offset, signature, name in _KNOWN_OTHERS:
        if upload.startswith(signature, offset):
            return name
    start = upload[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith((b"<svg", b"<?xml")):
        return "an SVG drawing or other XML"
    return "of an unknown kind"


def _turn_for(pixels: int) -> AbstractContextManager[object]:
    return _one_large_at_a_time if pixels > _LARGE else nullcontext()


def _decode(upload: bytes, contents: container.Container) -> tuple[Image.Image, str, int]:
    """Open by the allow-list, decode every pixel of the first frame; return it in RGB, with its format and sampling."""
    try:
        # Pillow gives a multi-picture JPEG the format MPO by itself; "MPO" is not a name that can be asked for.
        image = Image.open(io.BytesIO(upload), formats=("JPEG", "PNG"))
        _check_header(image, contents)
        if image.width * image.height > MAX_KEPT_PIXELS:
            image.draft(None, (image.width // 2, image.height // 2))
        sampling = _FULL_COLOUR if contents.format == "PNG" else JpegImagePlugin.get_sampling(image)
        received_format = image.format or contents.format
        image.load()
        return _to_rgb(image), received_format, sampling
    except (PhotographRefused, MemoryError):
        raise
    except Exception as error:
        # Pillow's parsers raise whatever the bytes lead them to: OSError, SyntaxError, struct.error, IndexError,
        # zlib.error, ValueError. All of them mean the same to the sender.
        raise PhotographRefused(
            "damaged", f"the {contents.format} file is damaged or incomplete; send it again"
        ) from error


def _check_header(image: Image.Image, contents: container.Container) -> None:
    """Refuse by what Pillow read from the header, before any pixel is decoded."""
    if image.width * image.height > max(contents.width * contents.height, MIN_SIDE * MIN_SIDE):
        raise PhotographRefused("damaged", f"the {contents.format} file contradicts itself about its size")
    if min(image.size) < MIN_SIDE:
        raise PhotographRefused(
            "too_small", f"{image.width}x{image.height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed"
        )
    if contents.format == "PNG" and getattr(image, "is_animated", False):
        raise PhotographRefused("animated", "the PNG is animated, so which of its frames is meant cannot be known")
    if image.mode == "CMYK":
        raise PhotographRefused(
            "unsupported_colour", "the colours are CMYK, made for printing; save the photograph as RGB"
        )
    if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "PA"):
        raise PhotographRefused(
            "unsupported_colour",
            f"the pixels are {image.mode} ({contents.bits} bits a channel); an RGB photograph is needed",
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, from RGB, grey or palette. Opaque transparency is dropped; real transparency is refused: the hidden pixels
    would be read by the network and not seen by the clinician, or the other way round.
    """
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            raise PhotographRefused("transparent", "parts of the picture are transparent; send the photograph itself")
        image = rgba
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Undo the camera's orientation. EXIF that cannot be read says nothing about it."""
    try:
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF raises as variously as damaged pixels do
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert from the embedded colour profile, such as Display P3 of phones; a damaged or foreign one is ignored."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return image
        ImageCms.profileToProfile(image, source, _SRGB, inPlace=True)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        pass
    return image


def _encode(image: Image.Image, sampling: int) -> bytes:
    """A baseline JPEG of the pixels alone, with as much colour resolution as the file received had."""
    image.info.clear()  # Pillow writes a comment found there into the new file
    out = io.BytesIO()
    try:
        image.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=sampling if sampling >= 0 else _FULL_COLOUR)
    except OSError as error:
        # libjpeg reads sides of up to 65,535 pixels and writes 65,500; no camera makes such strips.
        raise PhotographRefused(
            "too_many_pixels",
            f"{image.width}x{image.height} pixels cannot be kept as a JPEG; send the photograph itself",
        ) from error
    return out.getvalue()
