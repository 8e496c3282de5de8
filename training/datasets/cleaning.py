"""What is no usable picture of a lesion, and candidates of near-duplicates laid out for the eye."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

#: Grey values that vary by less (standard deviation, of 255) are almost uniform; HAM10000's least is 5.6.
LEAST_VARIATION: Final = 2.0
#: A mean grey value below this (of 255) is almost black; HAM10000's least is 63.6.
LEAST_MEAN: Final = 12.0

#: Of a contact sheet: so many pairs at most, each picture so many pixels wide.
SHEET_PAIRS: Final = 60
_TILE: Final = 112


def artefact(view: NDArray[np.uint8]) -> str | None:
    """Why a view, uint8 [224, 224, 3], cannot show a lesion, or None."""
    grey = view.mean(axis=2)
    if (mean := float(grey.mean())) < LEAST_MEAN:
        return f"almost black: mean {mean:.1f} of 255"
    if (variation := float(grey.std())) < LEAST_VARIATION:
        return f"almost uniform: standard deviation {variation:.1f} of 255"
    return None


def contact_sheet(
    views: NDArray[np.uint8], names: Sequence[str], pairs: Sequence[tuple[int, int]], joined: int
) -> Image.Image:
    """The first pairs of pictures side by side with their names; the first `joined` are marked as one lesion."""
    shown = pairs[:SHEET_PAIRS]
    columns = 4
    rows = -(-len(shown) // columns)
    wide, high = 2 * _TILE + 8, _TILE + 26
    sheet = Image.new("RGB", (columns * wide, rows * high), "white")
    ink = ImageDraw.Draw(sheet)
    for place, pair in enumerate(shown):
        left, top = place % columns * wide, place // columns * high
        for number, index in enumerate(pair):
            picture = Image.fromarray(views[index]).resize((_TILE, _TILE), Image.Resampling.BILINEAR)
            sheet.paste(picture, (left + number * _TILE, top))
            ink.text((left + number * _TILE, top + _TILE), names[index], fill="black", font_size=9)
        ink.text((left, top + _TILE + 11), "joined" if place < joined else "candidate only", fill="black", font_size=9)
    return sheet
