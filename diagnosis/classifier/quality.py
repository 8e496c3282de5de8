"""Whether a photograph is good enough to be read: blur, exposure, contrast, colour, shape and size, in about 3 ms.

All but shape and size is judged on the network's own 224x224 view, so that a 12-megapixel photograph and a small one
are judged alike. docs/quality.md holds what the thresholds pass and catch; bench/quality.py measures it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Self, cast

import numpy as np
import numpy.typing as npt

from diagnosis.classifier.view import View

#: See `Quality.sharpness`. Of HAM10000's 10,015 images 72 lie under 0.0093 (24 of them vascular lesions, which are soft
#: here); blurred by 2 of 224 pixels, 791 of 796 do. The second value warns of another 1 in 17.
BLURRED_BELOW: Final = 0.0093
SLIGHTLY_BLURRED_BELOW: Final = 0.0125

#: 95th percentile of brightness, 0..1. The darkest of 3,000 HAM10000 images has 0.49; all of them show light skin. Well
#: exposed dark skin has about 0.4, so only what is darker than that is stopped.
TOO_DARK_BELOW: Final = 0.28
DARK_BELOW: Final = 0.42

#: Share of pixels with a channel at its end, so that colour is lost there: at most 0.48 in HAM10000 (flushed red skin).
TOO_BRIGHT_ABOVE: Final = 0.50
BRIGHT_ABOVE: Final = 0.25

#: Share of pixels that are plain white, as under a flash: at most 0.05 in HAM10000.
GLARE_ABOVE: Final = 0.15

#: From the 5th to the 95th percentile of brightness, 0..1. The palest of 3,000 HAM10000 images has 0.06.
LOW_CONTRAST_BELOW: Final = 0.055
SLIGHTLY_LOW_CONTRAST_BELOW: Final = 0.09

#: Mean distance of the strongest from the weakest channel, 0..1. The greyest HAM10000 image has 0.019; a grey
#: photograph has less than 0.01 even after a JPEG in colour. The network never saw one without colour.
NO_COLOUR_BELOW: Final = 0.014

#: Long over short side. The network's view squashes the whole frame into a square, as it did with 4:3 in training;
#: cameras write up to 16:9 (1.8) and phones' screens up to 2.2. Beyond, a round lesion becomes a line.
ELONGATED_ABOVE: Final = 2.3

#: Below this size (HAM10000's own) a dermatologist loses structure, though the network's view can still be filled.
ADVISED_LONG_SIDE: Final = 600
ADVISED_SHORT_SIDE: Final = 450

#: ITU-R BT.601, as a JPEG weighs its channels.
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)

_ADVICE: Final[dict[str, str]] = {
    "blurred": "the photograph is blurred: hold still, let the camera focus, and take it again",
    "slightly_blurred": "the photograph is a little blurred",
    "too_dark": "the photograph is too dark: use more light and take it again",
    "dark": "the photograph is rather dark",
    "too_bright": "the photograph is overexposed: use less light or no flash and take it again",
    "bright": "the photograph is rather bright",
    "glare": "light is reflected into the camera: tilt it, or use contact fluid, and take it again",
    "low_contrast": "hardly anything stands out in the photograph: move closer and take it again",
    "slightly_low_contrast": "the photograph has little contrast",
    "no_colour": "the photograph has no colour: take it again in colour",
    "elongated": "the photograph is a long strip: send the whole frame as the camera took it",
    "small": f"the photograph is small; {ADVISED_LONG_SIDE}x{ADVISED_SHORT_SIDE} pixels or more show more",
}


@dataclass(frozen=True)
class Quality:
    """The measures of one photograph, and what follows from them."""

    sharpness: float
    """Standard deviation of the second difference, in the direction (across or down) where it is smaller, as a share
    of the 95th percentile of brightness. About 0.03 in a sharp view, under 0.01 in a blurred one. Taking the smaller
    direction catches motion, which blurs only one; dividing by brightness makes it the same in a darker exposure."""
    exposure: float
    """95th percentile of brightness, 0..1."""
    clipped: float
    """Share of pixels with a channel at 254 or 255."""
    glare: float
    """Share of pixels with all channels at 250 or more."""
    contrast: float
    """From the 5th to the 95th percentile of brightness, 0..1."""
    colour: float
    """Mean over pixels of strongest minus weakest channel, 0..1."""
    width: int
    height: int
    """Pixels of the photograph as stored."""
    problems: tuple[str, ...]
    """Codes that stop the network: `blurred`, `too_dark`, `too_bright`, `glare`, `low_contrast`, `no_colour`,
    `elongated`."""
    warnings: tuple[str, ...]
    """Codes that are only shown: `slightly_blurred`, `dark`, `bright`, `slightly_low_contrast`, `small`."""

    @property
    def acceptable(self) -> bool:
        """Whether the network may read the photograph."""
        return not self.problems

    @property
    def advice(self) -> tuple[str, ...]:
        """One sentence for each problem and warning, problems first."""
        return tuple(_ADVICE[code] for code in (*self.problems, *self.warnings))

    def as_dict(self) -> dict[str, float | int | list[str]]:
        """For JSON; `from_dict` is its inverse."""
        return asdict(self) | {"problems": list(self.problems), "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, float | int | Sequence[str]]) -> Self:
        """Read back what `as_dict` gave.

        Raises:
            KeyError: a measure is missing.
        """
        measures = {name: float(cast(float, stored[name])) for name in _MEASURES}
        return cls(
            **measures,
            width=int(cast(int, stored["width"])),
            height=int(cast(int, stored["height"])),
            problems=tuple(cast(Sequence[str], stored["problems"])),
            warnings=tuple(cast(Sequence[str], stored["warnings"])),
        )


_MEASURES: Final = ("sharpness", "exposure", "clipped", "glare", "contrast", "colour")


def assess(view: View, width: int, height: int) -> Quality:
    """Judge a photograph of `width` x `height` pixels by its view, uint8 [224, 224, 3]."""
    grey = view.astype(np.float32) @ _LUMA
    dark, bright = (float(value) for value in np.percentile(grey, (5, 95)))
    red, green, blue = view[..., 0], view[..., 1], view[..., 2]
    # Not max(axis=2): over an axis of three that takes thirty times as long.
    strongest, weakest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    sharpness = _least_detail(grey) / max(bright, 1.0)
    exposure = bright / 255
    clipped = float(np.mean(strongest >= 254))
    glare = float(np.mean(weakest >= 250))
    contrast = (bright - dark) / 255
    colour = float(np.mean(strongest - weakest)) / 255

    small = max(width, height) < ADVISED_LONG_SIDE or min(width, height) < ADVISED_SHORT_SIDE
    problems = {
        "blurred": sharpness < BLURRED_BELOW,
        "too_dark": exposure < TOO_DARK_BELOW,
        "too_bright": clipped > TOO_BRIGHT_ABOVE,
        "glare": glare > GLARE_ABOVE,
        "low_contrast": contrast < LOW_CONTRAST_BELOW,
        "no_colour": colour < NO_COLOUR_BELOW,
        "elongated": max(width, height) > ELONGATED_ABOVE * min(width, height),
    }
    warnings = {
        "slightly_blurred": BLURRED_BELOW <= sharpness < SLIGHTLY_BLURRED_BELOW,
        "dark": TOO_DARK_BELOW <= exposure < DARK_BELOW,
        "bright": BRIGHT_ABOVE < clipped <= TOO_BRIGHT_ABOVE,
        "slightly_low_contrast": LOW_CONTRAST_BELOW <= contrast < SLIGHTLY_LOW_CONTRAST_BELOW,
        "small": small,
    }
    return Quality(
        sharpness=sharpness,
        exposure=exposure,
        clipped=clipped,
        glare=glare,
        contrast=contrast,
        colour=colour,
        width=width,
        height=height,
        problems=tuple(code for code, found in problems.items() if found),
        warnings=tuple(code for code, found in warnings.items() if found),
    )


def _least_detail(grey: npt.NDArray[np.float32]) -> float:
    """Standard deviation of the second difference across or down, whichever is smaller, in grey levels."""
    inner = grey[1:-1, 1:-1]
    across = grey[1:-1, 2:] + grey[1:-1, :-2] - 2 * inner
    down = grey[2:, 1:-1] + grey[:-2, 1:-1] - 2 * inner
    return float(min(across.std(), down.std()))
