"""A signature on screen: what a client sends is decoded, judged and encoded again before it is sealed as evidence."""

import base64
import binascii
import io
from typing import Final

from PIL import Image

from diagnosis.classifier import container
from diagnosis.services.errors import Refusal

#: A finger's stroke of a few hundred pixels takes 5 to 30 KB.
MAX_BYTES: Final = 100 * 1024
MAX_SIDE: Final = 2048
#: Smaller, or in fewer pixels than this, nobody has written a name.
MIN_SIDE: Final = 32
MIN_INK: Final = 40
_PREFIX: Final = "data:image/png;base64,"
#: Shades of grey below this count as ink on white paper.
_DARK: Final = 160


def read_signature(text: str) -> bytes:
    """Clean PNG bytes, grey on white, from a client's base64 (with or without ``data:image/png;base64,`` before it).

    Raises:
        Refusal: not base64, not a PNG, too large, or blank. Names the field ``signature``.
    """
    try:
        sent = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused("signature_malformed", "it is no PNG in base64, as canvas.toDataURL() gives it") from error
    if len(sent) > MAX_BYTES:
        raise _refused("signature_too_large", f"it has {len(sent) // 1024} KB; at most {MAX_BYTES // 1024} are kept")
    announced = container.inspect(sent)
    if announced is None or announced.format != "PNG":
        raise _refused("signature_malformed", "it is no PNG, as canvas.toDataURL() gives it")
    if not (MIN_SIDE <= announced.width <= MAX_SIDE and MIN_SIDE <= announced.height <= MAX_SIDE):
        size = f"{announced.width}x{announced.height}"
        raise _refused("signature_size", f"it has {size} pixels; {MIN_SIDE} to {MAX_SIDE} a side are needed")
    drawn = _on_white(sent)
    if sum(drawn.histogram()[:_DARK]) < MIN_INK:
        raise _refused("signature_blank", "nothing is written on it; draw dark on white or on nothing")
    clean = io.BytesIO()
    drawn.save(clean, "PNG", optimize=True)
    return clean.getvalue()


def _on_white(sent: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(sent), formats=("PNG",))
        if max(picture.size) > MAX_SIDE:
            raise ValueError("it contradicts itself about its size")
        ink = picture.convert("RGBA")
    except Exception as error:  # Pillow's parser raises whatever the bytes lead it to
        raise _refused("signature_malformed", "the PNG is damaged or incomplete; send it again") from error
    paper = Image.new("RGBA", ink.size, "white")
    paper.alpha_composite(ink)
    return paper.convert("L")


def _refused(code: str, sentence: str) -> Refusal:
    return Refusal(code, f"the signature cannot be kept: {sentence}", field="signature")
