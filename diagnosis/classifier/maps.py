"""The activation map as a picture: where in the view the network found what speaks for malignant.

Orientation, not evidence: whoever shows it says so beside it. The network reads each of 7x7 overlapping places; what it
marks need not be what a dermatologist would, and a dark map proves nothing.
"""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.classifier.view import SIDE, View

#: How strongly colour covers the photograph.
_COVER: Final = 0.5

#: Nine points of matplotlib's viridis (van der Walt & Smith, CC0), which rises evenly in lightness and reads the same
#: with red-green blindness and in grey.
_VIRIDIS: Final = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ],
    dtype=np.float64,
)


def malignant_share(activation: npt.NDArray[np.floating], temperature: float) -> npt.NDArray[np.float64]:
    """What each place says by itself: p(mel) + p(bcc) + p(akiec) of the softmax over its seven logits.

    An absolute scale, so that a benign picture stays dark instead of having its least benign corner lit up.

    Args:
        activation: [7, 7, 7], row, column, class; a reading's `map`.
        temperature: of the bundle.

    Returns:
        [7, 7], 0..1.
    """
    return share(activation, temperature, MALIGNANT)


def share(activation: npt.NDArray[np.floating], temperature: float, classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """What each place says by itself for some of the classes together; otherwise as `malignant_share`.

    Raises:
        ValueError: one of them is not a class.
    """
    scaled = activation.astype(np.float64) / temperature
    shares = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    return np.asarray(shares[:, :, [CLASSES.index(name) for name in classes]].sum(axis=2))


def render(heat: npt.NDArray[np.floating], view: View | None = None, width: int = SIDE, height: int = SIDE) -> bytes:
    """Draw a heat map [rows, columns], 0 (dark violet) to 1 (yellow), as a PNG of `width` x `height`.

    Args:
        view: the network's view, to lay the map over a grey copy of it; without it the map stands alone. Give the
            photograph's own proportions as width and height, and what was squashed comes back into shape.
    """
    size = (width, height)
    smooth = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    place = np.clip(np.asarray(smooth, dtype=np.float64), 0, 1)
    points = np.linspace(0, 1, len(_VIRIDIS))
    colours = np.stack([np.interp(place, points, _VIRIDIS[:, channel]) for channel in range(3)], axis=-1)
    if view is not None:
        grey = np.asarray(Image.fromarray(view).convert("L").resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
        colours = _COVER * colours + (1 - _COVER) * grey[..., np.newaxis]
    out = io.BytesIO()
    Image.fromarray(colours.round().astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
