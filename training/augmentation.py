"""Varied copies of training images: framing, colour and sharpness, all drawn from a generator that the caller seeds."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.recipes import Augmentation

_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX, Image.Resampling.LANCZOS)


def generator_for(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator for one image in one epoch: the same whatever ran before, so that a resumed run repeats itself."""
    return np.random.default_rng((seed, epoch, index))


def _mirrored(length: int) -> NDArray[np.int64]:
    margin = length // 2
    return np.concatenate([np.arange(margin, 0, -1), np.arange(length), np.arange(length - 2, length - 2 - margin, -1)])


def _reframe(image: NDArray[np.uint8], rng: np.random.Generator, by: Augmentation) -> Image.Image:
    height, width = image.shape[:2]
    # Mirrored margins, so that turning never brings in black: it would change the darkest value of the stretch.
    margined = Image.fromarray(image[_mirrored(height)].take(_mirrored(width), axis=1))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    zoom = by.zoom ** rng.uniform(-1.0, 1.0)
    aspect = by.stretch ** rng.uniform(-0.5, 0.5)
    flip = 1.0 if rng.random() < 0.5 else -1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_source = turn @ np.diag([flip * aspect / zoom, 1.0 / (aspect * zoom)])
    centre = np.array([width, height]) * (1.0 + rng.uniform(-by.shift, by.shift, size=2))
    offset = centre - to_source @ np.array([width / 2, height / 2])
    matrix = (*to_source[0], offset[0], *to_source[1], offset[1])
    return margined.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _change_sharpness(image: Image.Image, rng: np.random.Generator, by: Augmentation) -> Image.Image:
    size = image.size
    if rng.random() < by.resampled:
        factor = rng.uniform(0.35, 0.9)
        smaller = (max(8, round(size[0] * factor)), max(8, round(size[1] * factor)))
        down, up = rng.integers(len(_FILTERS), size=2)
        image = image.resize(smaller, _FILTERS[down]).resize(size, _FILTERS[up])
    if rng.random() < by.blurred:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    if rng.random() < by.sharpened:
        image = image.filter(ImageFilter.UnsharpMask(radius=1.5, percent=int(rng.uniform(50, 200)), threshold=0))
    return image


def _change_colour(image: Image.Image, rng: np.random.Generator, by: Augmentation) -> NDArray[np.uint8]:
    light = 1.0 + rng.uniform(-by.gain, by.gain)
    gains = light * (1.0 + rng.uniform(-by.gain, by.gain, size=3))
    gamma = (1.0 + by.gamma) ** rng.uniform(-1.0, 1.0)
    levels = np.linspace(0.0, 1.0, 256)[None, :] ** gamma * gains[:, None] * 255.0
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    toned = image.point(table.ravel().tolist())
    saturation = 1.0 + rng.uniform(-by.saturation, by.saturation)
    grey = toned.convert("L").convert("RGB")
    return np.asarray(Image.blend(grey, toned, saturation), dtype=np.uint8)


def vary(image: NDArray[np.uint8], rng: np.random.Generator, by: Augmentation) -> NDArray[np.uint8]:
    """One varied copy of `image` (uint8 [h, w, 3]), of the same size, turned by any angle and mirrored or not."""
    return _change_colour(_change_sharpness(_reframe(image, rng, by), rng, by), rng, by)
