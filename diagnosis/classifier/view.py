"""The network's view of a photograph: the whole frame squashed to 224x224, as the paper did, stored without loss.

Training and service both come through here, so they cannot differ in framing or resampling. The intensity stretch is
not done here; it is the first layer of the network's graph.
"""

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Width and height of the view in pixels: the input of MobileNetV2-1.0-224.
SIDE: Final = 224

#: Name of what `make_view` does, recorded with every answer. Change it with any change of the pixels made here.
PREPROCESSING: Final = "squash-224-bilinear-antialias/1"

#: zlib level of the stored view. Measured on 60 HAM10000 images: level 1 takes 4 ms and 60 KB, level 6 15 ms and 52 KB.
_COMPRESS_LEVEL: Final = 1

View = npt.NDArray[np.uint8]


def make_view(image: Image.Image) -> View:
    """Squash a whole upright RGB photograph of any size to uint8 [224, 224, 3], values 0..255.

    Pillow's bilinear filter widens with the reduction, so it antialiases. An image that is 224x224 already, as those
    of HAM10000 here are, comes back unchanged.

    Raises:
        ValueError: the image is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"the network's view is made from RGB, not from {image.mode}")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def encode_view(view: View) -> bytes:
    """Store a view, uint8 [224, 224, 3], as a PNG, bit for bit.

    Raises:
        ValueError: another shape or type.
    """
    if view.shape != (SIDE, SIDE, 3) or view.dtype != np.uint8:
        raise ValueError(f"a view is uint8 [{SIDE}, {SIDE}, 3], not {view.dtype} {list(view.shape)}")
    out = io.BytesIO()
    Image.fromarray(view).save(out, "PNG", compress_level=_COMPRESS_LEVEL)
    return out.getvalue()


def decode_view(png: bytes) -> View:
    """Read a stored view back: uint8 [224, 224, 3].

    Raises:
        ValueError: the bytes are not a view that `encode_view` wrote.
    """
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.size != (SIDE, SIDE) or image.mode != "RGB":
                raise ValueError(f"a stored view is {SIDE}x{SIDE} RGB, not {image.width}x{image.height} {image.mode}")
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"not a stored view: {error}") from error
