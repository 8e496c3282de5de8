"""Images that show the same lesion under two lesion ids: exact copies, and near copies found by their fine detail.

Detail means local contrast: what is left of the grey image when brightness and its slow changes are taken away. With
plain pixels or a plain perceptual hash any two round brown moles on pale skin, and any two vignetted frames, are alike.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

#: Images whose coarse detail (48 pixels wide) correlates at least so much are looked at closely.
CANDIDATE_CORRELATION: Final = 0.65
#: Those whose fine detail (112 pixels wide) correlates at least so much are one lesion; set by eye on HAM10000.
SAME_LESION_CORRELATION: Final = 0.60
#: Nearly so much is enough where the mean colour agrees, too: within so many of 255 in every channel.
ALIKE_CORRELATION: Final = 0.50
ALIKE_COLOUR: Final = 20.0

_COARSE: Final = 48
_FINE: Final = 112


@dataclass(frozen=True)
class Pair:
    """Two images (by index, first < second) and the correlation of their fine detail, -1..1; 1.0 if identical."""

    first: int
    second: int
    correlation: float


def _orientations(squares: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The eight ways to lay down the last two axes."""
    turned = [np.rot90(squares, quarter, axes=(-2, -1)) for quarter in range(4)]
    return turned + [each[..., ::-1] for each in turned]


def _detail(view: NDArray[np.uint8], size: int, scale: float, smooth: float = 0.0) -> NDArray[np.float32]:
    """Local contrast of a view, grey at `size` pixels, in a central disc: mean 0, length 1, float32 [size, size].

    `scale` is the width, in pixels, of what counts as a slow change, `smooth` of what is too fine to count. The disc
    keeps dermoscopes' dark corners out.
    """
    image = Image.fromarray(view).convert("L").resize((size, size), Image.Resampling.BOX)
    grey = np.asarray(image, dtype=np.float32)
    if smooth:
        grey = gaussian_filter(grey, smooth)
    fine = grey - gaussian_filter(grey, scale)
    contrast = fine / (np.sqrt(gaussian_filter(fine * fine, 2.0 * scale)) + 2.0)
    away = np.abs(np.arange(size) - (size - 1) / 2.0) / size
    disc = np.clip((0.42 - np.hypot(away[:, None], away[None, :])) / 0.08, 0.0, 1.0)
    detail = contrast * disc
    detail -= detail.mean()
    return np.asarray(detail / max(float(np.linalg.norm(detail)), 1e-6), dtype=np.float32)


def _best_correlation(one: NDArray[np.float32], other: NDArray[np.float32], reach: int = 4) -> float:
    """The greatest correlation over the eight orientations of `other` and shifts of up to `reach` pixels."""
    spectrum = np.fft.rfft2(one)
    near = np.r_[0 : reach + 1, -reach:0]
    return max(
        float(np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(turned)), s=one.shape)[np.ix_(near, near)].max())
        for turned in _orientations(other)
    )


def exact_duplicates(views: NDArray[np.uint8]) -> list[Pair]:
    """Pairs of images whose decoded pixels are the same, by sha256."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    for index, view in enumerate(views):
        seen[hashlib.sha256(np.ascontiguousarray(view).tobytes()).digest()].append(index)
    return [Pair(same[0], other, 1.0) for same in seen.values() for other in same[1:]]


def candidates(views: NDArray[np.uint8], least: float = CANDIDATE_CORRELATION) -> list[tuple[int, int]]:
    """Pairs of images (first < second) whose coarse detail, in some orientation, correlates at least `least`."""
    coarse = np.stack([_detail(view, _COARSE, 2.0, smooth=0.6) for view in views])
    flat = coarse.reshape(len(views), -1)
    found: set[tuple[int, int]] = set()
    for turned in _orientations(coarse):
        others = np.ascontiguousarray(turned).reshape(len(views), -1).T
        for start in range(0, len(views), 1000):
            rows, columns = np.nonzero(flat[start : start + 1000] @ others >= least)
            found.update(
                (int(row) + start, int(column))
                for row, column in zip(rows, columns, strict=True)
                if row + start < column
            )
    return sorted(found)


def same_lesion(views: NDArray[np.uint8], pairs: list[tuple[int, int]]) -> list[Pair]:
    """Those of the candidate `pairs` whose fine detail and colour say that they show one lesion, most alike first."""
    involved = sorted({index for pair in pairs for index in pair})
    details = {index: _detail(views[index], _FINE, 3.0) for index in involved}
    colours = {index: views[index].mean(axis=(0, 1)) for index in involved}
    confirmed = []
    for first, second in pairs:
        alike = np.abs(colours[first] - colours[second]).max() <= ALIKE_COLOUR
        correlation = _best_correlation(details[first], details[second])
        if correlation >= (ALIKE_CORRELATION if alike else SAME_LESION_CORRELATION):
            confirmed.append(Pair(first, second, correlation))
    return sorted(confirmed, key=lambda pair: -pair.correlation)
