"""Pictures that are no skin lesions, to set and to test the distance beyond which the network abstains.

Photographs that come with scikit-image and scikit-learn, drawn pages and textures, and skin beside the lesion.
"""

import csv
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from diagnosis.classifier.view import SIDE, make_view
from training.datasets.splits import Split

Views = NDArray[np.uint8]

_PHOTOGRAPHS: Final = {
    "skimage.data": (
        "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "chessboard_RGB.png", "clock_motion.png",
        "coffee.png", "coins.png", "color.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
        "logo.png", "moon.png", "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg",
        "text.png",
    ),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}  # fmt: skip

#: Skin crops are at least so wide, as a share of the frame: smaller ones are only blur.
_LEAST_SKIN: Final = 0.25

_SPLITS: Final[tuple[Split, ...]] = ("training", "validation", "test")

_WORDS: Final = "letter date patient referral clinic summary of findings invoice total amount due please return signed"


def photographs(rng: np.random.Generator, crops: int, split: Split) -> Views:
    """The bundled photographs of one split, each whole and in `crops` random crops, uint8 [n, 224, 224, 3].

    Every third belongs to each split, so that what is judged by a photograph never learned from it.
    """
    views = []
    for package, names in _PHOTOGRAPHS.items():
        for name in names[_SPLITS.index(split) :: len(_SPLITS)]:
            with files(package).joinpath(name).open("rb") as content, Image.open(content) as opened:
                image = opened.convert("RGB")
            views.append(make_view(image))
            for _ in range(crops):
                share = rng.uniform(0.3, 0.9)
                width, height = max(32, int(image.width * share)), max(32, int(image.height * share))
                left = int(rng.integers(image.width - width + 1))
                top = int(rng.integers(image.height - height + 1))
                views.append(make_view(image.crop((left, top, left + width, top + height))))
    return np.stack(views)


def pages(rng: np.random.Generator, count: int) -> Views:
    """Drawn pages of text and tables in dark ink on pale paper, uint8 [count, 224, 224, 3]."""
    words = _WORDS.split()
    views = []
    for _ in range(count):
        paper = tuple(int(value) for value in rng.integers(190, 256, size=3))
        ink = tuple(int(value) for value in rng.integers(0, 90, size=3))
        page = Image.new("RGB", (600, 450), paper)
        draw = ImageDraw.Draw(page)
        size = int(rng.integers(12, 40))
        for top in range(10, 440, int(size * rng.uniform(1.2, 2.0))):
            line = " ".join(words[each] for each in rng.integers(len(words), size=int(rng.integers(2, 12))))
            draw.text((int(rng.integers(5, 60)), top), line, fill=ink, font_size=size)
        if rng.random() < 0.4:
            for left in range(40, 600, int(rng.integers(60, 200))):
                draw.line((left, 0, left, 450), fill=ink, width=int(rng.integers(1, 5)))
        views.append(make_view(page.rotate(float(rng.uniform(-15, 15)), fillcolor=paper)))
    return np.stack(views)


def textures(rng: np.random.Generator, count: int) -> Views:
    """Noise from fine to coarse, gradients, stripes and checks in random colours, uint8 [count, 224, 224, 3]."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    views = []
    for index in range(count):
        one, other = rng.uniform(0, 255, size=(2, 3))
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(3, 40)
        along = np.cos(angle) * rows + np.sin(angle) * columns
        match index % 5:
            case 0:
                noise = rng.normal(size=(SIDE, SIDE, 3))
                mixture = 0.5 + 0.25 * noise
            case 1:
                smooth = gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(1, 20))
                mixture = ((smooth - smooth.min()) / np.ptp(smooth))[..., None]
            case 2:
                mixture = ((along - along.min()) / np.ptp(along))[..., None]
            case 3:
                mixture = (np.sin(along * pitch * 2 * np.pi) > 0)[..., None].astype(np.float64)
            case _:
                mixture = ((np.floor(rows * pitch) + np.floor(columns * pitch)) % 2)[..., None]
        views.append(np.clip(one + (other - one) * mixture, 0, 255).astype(np.uint8))
    return np.stack(views)


def lesion_boxes(path: Path) -> dict[str, tuple[float, float, float, float]]:
    """For each image id the lesion's box as fractions of the frame: left, top, right, bottom."""
    with path.open(newline="", encoding="utf-8") as lines:
        return {
            row["image_id"]: (float(row["x_min"]), float(row["y_min"]), float(row["x_max"]), float(row["y_max"]))
            for row in csv.DictReader(lines)
        }


def _largest_corner(left: float, top: float, right: float, bottom: float) -> tuple[tuple[int, int], float]:
    """The corner (down, across) with the largest square that a lesion's box leaves free, and its side, 0..1."""
    # A square touches the box neither across nor down if its side fits beside or above it.
    sides = {
        (0, 0): max(left, top), (0, 1): max(1 - right, top),
        (1, 0): max(left, 1 - bottom), (1, 1): max(1 - right, 1 - bottom),
    }  # fmt: skip
    return max(sides.items(), key=lambda item: item[1])


def enlarged_lesions(views: Views, boxes: list[tuple[float, float, float, float]]) -> Views:
    """Squares around each lesion's middle, enlarged as much as the skin beside it would be: [n, 224, 224, 3].

    No foreign pictures: what learns to tell `skin_beside` from lesions needs them, or it learns to tell enlargement.
    """
    found = []
    for view, (left, top, right, bottom) in zip(views, boxes, strict=True):
        side = int(min(max(_largest_corner(left, top, right, bottom)[1], _LEAST_SKIN), 0.9) * SIDE)
        row, column = (
            int(np.clip(centre * SIDE - side / 2, 0, SIDE - side))
            for centre in ((top + bottom) / 2, (left + right) / 2)
        )
        found.append(make_view(Image.fromarray(view[row : row + side, column : column + side])))
    return np.stack(found) if found else np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)


def skin_beside(views: Views, boxes: list[tuple[float, float, float, float]]) -> Views:
    """The largest square of skin in a corner of each frame that the lesion's box leaves free, where one is left."""
    found = []
    for view, (left, top, right, bottom) in zip(views, boxes, strict=True):
        (down, across), share = _largest_corner(left, top, right, bottom)
        if share < _LEAST_SKIN:
            continue
        side = int(share * SIDE)
        top_row, left_column = down * (SIDE - side), across * (SIDE - side)
        found.append(make_view(Image.fromarray(view[top_row : top_row + side, left_column : left_column + side])))
    return np.stack(found) if found else np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)
