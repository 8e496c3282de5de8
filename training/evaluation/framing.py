"""How far answers move when the same lesion is framed, turned or focused otherwise."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from diagnosis.classifier.view import SIDE

View = NDArray[np.uint8]


def _centre(share: float) -> Callable[[View], View]:
    def crop(view: View) -> View:
        margin = round(SIDE * (1.0 - share) / 2.0)
        inner = Image.fromarray(view[margin : SIDE - margin, margin : SIDE - margin])
        return np.asarray(inner.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)

    return crop


def _blur(radius: float) -> Callable[[View], View]:
    return lambda view: np.asarray(Image.fromarray(view).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)


def _square_of_true_shape(view: View) -> View:
    """The middle square of the un-squashed 4:3 frame: what a crop instead of a squash would have shown."""
    width = round(SIDE * 4 / 3)
    frame = Image.fromarray(view).resize((width, SIDE), Image.Resampling.BILINEAR)
    left = (width - SIDE) // 2
    return np.asarray(frame.crop((left, 0, left + SIDE, SIDE)), dtype=np.uint8)


def _turned_camera(view: View) -> View:
    """The 4:3 frame turned by a quarter, as an upright phone gives it, and squashed then."""
    return np.ascontiguousarray(np.rot90(view))


def _half_resolution(view: View) -> View:
    small = Image.fromarray(view).resize((SIDE // 2, SIDE // 2), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.uint8)


def _sharpened(view: View) -> View:
    sharper = Image.fromarray(view).filter(ImageFilter.UnsharpMask(radius=1.5, percent=150, threshold=0))
    return np.asarray(sharper, dtype=np.uint8)


#: Each takes and gives a view, uint8 [224, 224, 3].
ALTERED: Final[dict[str, Callable[[View], View]]] = {
    "mirrored": lambda view: np.ascontiguousarray(view[:, ::-1]),
    "turned_90": _turned_camera,
    "turned_180": lambda view: np.ascontiguousarray(view[::-1, ::-1]),
    "centre_90_percent": _centre(0.9),
    "centre_75_percent": _centre(0.75),
    "centre_square_instead_of_squash": _square_of_true_shape,
    "blur_1_pixel": _blur(1.0),
    "blur_2_pixels": _blur(2.0),
    "half_resolution": _half_resolution,
    "sharpened": _sharpened,
}


def altered(views: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    """All views under one of `ALTERED`."""
    return np.stack([ALTERED[how](view) for view in views])
