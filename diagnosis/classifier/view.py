"""The network's view of a photograph: the whole frame squashed to 224x224, as the paper did, stored without loss.

Training and service both come through here, so they cannot differ in framing or resampling. The intensity stretch is
not done here; it is the first layer of the network's graph.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Width and height of the view in pixels: the input of MobileNetV2-1.0-224.
SIDE: Final = 224

#: Name of what `make_view` does, recorded with every answer. Change it with any change of the pixels made here.
PREPROCESSING: Final = "squash-224-bilinear-antialias/1"

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
    """Store a view, uint8 [224, 224, 3], as its bare bytes, row by row: 147 KiB.

    Not as a PNG, which would be less than half as long but take 3.5 ms to write and 1.5 ms to read (measured
    2026-11-23), beside a forward pass of 7 ms.

    Raises:
        ValueError: another shape or type.
    """
    if view.shape != (SIDE, SIDE, 3) or view.dtype != np.uint8:
        raise ValueError(f"a view is uint8 [{SIDE}, {SIDE}, 3], not {view.dtype} {list(view.shape)}")
    return view.tobytes()


def decode_view(stored: bytes) -> View:
    """Read a stored view back: uint8 [224, 224, 3].

    Raises:
        ValueError: the bytes are not a view that `encode_view` wrote.
    """
    if len(stored) != SIDE * SIDE * 3:
        raise ValueError(f"a stored view has {SIDE * SIDE * 3} bytes, not {len(stored)}")
    return np.frombuffer(stored, dtype=np.uint8).reshape(SIDE, SIDE, 3)
