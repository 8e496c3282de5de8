"""How far answers move when the same lesion is framed, turned, focused, lit or stored otherwise."""

import io
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


def _farther(view: View) -> View:
    """The lesion at three quarters of its size, the skin around it mirrored to fill the frame."""
    margin = round(SIDE * (1.0 / 0.75 - 1.0) / 2.0)
    wider = Image.fromarray(np.pad(view, ((margin, margin), (margin, margin), (0, 0)), mode="reflect"))
    return np.asarray(wider.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def _cast(red: float, green: float, blue: float) -> Callable[[View], View]:
    gains = np.array([red, green, blue], dtype=np.float32)
    return lambda view: np.clip(np.rint(view * gains), 0, 255).astype(np.uint8)


def _white_balanced(view: View) -> View:
    """As a camera does that takes the scene's mean for grey (Buchsbaum, 1980)."""
    means = view.reshape(-1, 3).mean(axis=0)
    return _cast(*(float(means.mean() / max(mean, 1.0)) for mean in means))(view)


def _gamma(power: float) -> Callable[[View], View]:
    table = np.rint(255.0 * (np.arange(256) / 255.0) ** power).astype(np.uint8)
    return lambda view: table[view]


def _saturation(share: float) -> Callable[[View], View]:
    def change(view: View) -> View:
        colour = Image.fromarray(view)
        return np.asarray(Image.blend(colour.convert("L").convert("RGB"), colour, share), dtype=np.uint8)

    return change


def _jpeg(quality: int) -> Callable[[View], View]:
    def store(view: View) -> View:
        out = io.BytesIO()
        Image.fromarray(view).save(out, "JPEG", quality=quality)
        with Image.open(out) as stored:
            return np.asarray(stored, dtype=np.uint8)

    return store


def _noise(view: View) -> View:
    """A small sensor's noise, 8 of 255 a channel; the same for the same view."""
    rng = np.random.default_rng(int(view.sum()))
    return np.clip(np.rint(view + rng.normal(scale=8.0, size=view.shape)), 0, 255).astype(np.uint8)


#: Each takes and gives a view, uint8 [224, 224, 3].
ALTERED: Final[dict[str, Callable[[View], View]]] = {
    "mirrored": lambda view: np.ascontiguousarray(view[:, ::-1]),
    "turned_90": _turned_camera,
    "turned_180": lambda view: np.ascontiguousarray(view[::-1, ::-1]),
    "centre_90_percent": _centre(0.9),
    "centre_75_percent": _centre(0.75),
    "centre_square_instead_of_squash": _square_of_true_shape,
    "lesion_at_75_percent": _farther,
    "centre_50_percent": _centre(0.5),
    "blur_1_pixel": _blur(1.0),
    "blur_2_pixels": _blur(2.0),
    "half_resolution": _half_resolution,
    "sharpened": _sharpened,
    "warm_light": _cast(1.10, 1.0, 0.88),
    "cold_light": _cast(0.90, 1.0, 1.12),
    "green_cast": _cast(0.94, 1.06, 0.94),
    "white_balanced_to_grey": _white_balanced,
    "brighter": _gamma(0.75),
    "darker": _gamma(1.35),
    "less_saturated": _saturation(0.6),
    "more_saturated": _saturation(1.4),
    "jpeg_quality_50": _jpeg(50),
    "jpeg_quality_20": _jpeg(20),
    "sensor_noise": _noise,
}


def altered(views: NDArray[np.uint8], how: str) -> NDArray[np.uint8]:
    """All views under one of `ALTERED`."""
    return np.stack([ALTERED[how](view) for view in views])
