"""Varied copies of training images: what is done to each is drawn on the host, and done on the accelerator.

The draw depends on seed, epoch and index alone, so that the same batches always come again; the pixels are changed by
`keras.ops`, on whatever backend and device the network learns.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.recipes import Augmentation

Draws = dict[str, NDArray[np.float32]]

#: What is cut out is at most so much of the height, and of the width.
CUT_OUT_MOST: Final = 0.4
_LUMA: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to grey


def generator_for(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator for one image in one epoch: the same whatever ran before, so that a resumed run repeats itself."""
    return np.random.default_rng((seed, epoch, index))


def _framing(rng: np.random.Generator, by: Augmentation, size: int) -> NDArray[np.float32]:
    """The affine map from the copy's coordinates to the image's, as eight numbers (the last two are 0)."""
    angle = math.radians(rng.uniform(-by.turn, by.turn))
    zoom = by.zoom ** rng.uniform(-1.0, 1.0)
    aspect = by.stretch ** rng.uniform(-0.5, 0.5)
    flip = 1.0 if rng.random() < 0.5 else -1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_source = turn @ np.diag([flip * aspect / zoom, 1.0 / (aspect * zoom)])
    middle = (size - 1) / 2.0
    offset = middle + size * rng.uniform(-by.shift, by.shift, size=2) - to_source @ np.array([middle, middle])
    return np.array([*to_source[0], offset[0], *to_source[1], offset[1], 0.0, 0.0], dtype=np.float32)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = -0.5, as Pillow's."""
    far = np.abs(x)
    near = (1.5 * far - 2.5) * far * far + 1.0
    return np.where(far < 1.0, near, np.where(far < 2.0, ((-0.5 * far + 2.5) * far - 4.0) * far + 2.0, 0.0))


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)


_KERNELS: Final = (_triangle, _cubic, _box, _lanczos)


def _rows_summing_to_one(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def resize_matrix(old: int, new: int, kernel: int) -> NDArray[np.float32]:
    """What resizing a line of `old` pixels to `new` does, antialiased as Pillow does it: float32 [new, old]."""
    scale = old / new
    reach = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    return _rows_summing_to_one(_KERNELS[kernel]((np.arange(old) + 0.5 - centres[:, None]) / reach))


@cache
def blur_matrix(size: int, sigma: float) -> NDArray[np.float32]:
    """What a Gaussian of `sigma` pixels does to a line: float32 [size, size]."""
    away = np.arange(size) - np.arange(size)[:, None]
    return _rows_summing_to_one(np.exp(-0.5 * (away / sigma) ** 2))


def _sharpness(rng: np.random.Generator, by: Augmentation, size: int) -> tuple[NDArray[np.float32], float]:
    """How lines are mixed, [size, size], and with which share the result takes the image's place (below 0: sharpens).

    For an image that is changed at all. Sizes and widths are drawn from a few, so that their matrices can be kept.
    """
    soften = max(by.resampled, by.blurred) > 0.0
    if not soften or rng.random() < by.sharpened / share_of_changed_sharpness(by):
        return blur_matrix(size, 1.5), -rng.uniform(0.5, 2.0)
    while True:
        resampled, blurred = rng.random() < by.resampled, rng.random() < by.blurred
        if resampled or blurred:
            break
    mixed = None
    if resampled:
        smaller = max(8, round(size * round(rng.uniform(0.35, 0.9), 2)))
        down, up = rng.integers(len(_KERNELS), size=2)
        mixed = resize_matrix(smaller, size, int(up)) @ resize_matrix(size, smaller, int(down))
    if blurred:
        blur = blur_matrix(size, round(rng.uniform(0.3, 1.5), 1))
        mixed = blur if mixed is None else blur @ mixed
    assert mixed is not None
    return mixed, 1.0


def share_of_changed_sharpness(by: Augmentation) -> float:
    """The share of images that are sharpened, or else re-sampled or blurred or both."""
    return by.sharpened + (1.0 - by.sharpened) * (1.0 - (1.0 - by.resampled) * (1.0 - by.blurred))


def draw(rng: np.random.Generator, by: Augmentation, size: int, *, sharpness: bool) -> Draws:
    """What is done to one image of `size` x `size` pixels. Only what the augmentation does at all is in it.

    `affine` [8]; with `sharpness`, `mixing` [size, size] and `mixed_share` []; `tones` [3, 256], the new value of each
    value of each channel, and `saturation` []; `cut` [4], edges (top, bottom, left, right) as shares of the frame;
    `mix_share` [], how much of the image stays when it is mixed with another.
    """
    drawn: dict[str, Any] = {"affine": _framing(rng, by, size)}
    if max(by.gain, by.gamma, by.saturation) > 0.0:
        light = 1.0 + rng.uniform(-by.gain, by.gain)
        gains = light * (1.0 + rng.uniform(-by.gain, by.gain, size=3))
        gamma = (1.0 + by.gamma) ** rng.uniform(-1.0, 1.0)
        drawn["tones"] = np.clip((np.arange(256) / 255.0) ** gamma * gains[:, None], 0.0, 1.0) * 255.0
        drawn["saturation"] = 1.0 + rng.uniform(-by.saturation, by.saturation)
    if by.cut_out:
        height, width = rng.uniform(0.1, CUT_OUT_MOST, size=2) * (rng.random() < by.cut_out)
        top, left = rng.uniform(0.0, 1.0 - height), rng.uniform(0.0, 1.0 - width)
        drawn["cut"] = np.array([top, top + height, left, left + width])
    if by.mix_up:
        drawn["mix_share"] = rng.beta(by.mix_up, by.mix_up)
    if sharpness:
        drawn["mixing"], drawn["mixed_share"] = _sharpness(rng, by, size)
    return {name: np.asarray(value, dtype=np.float32) for name, value in drawn.items()}


def draws_for(by: Augmentation, size: int, seed: int, epoch: int, start: int, count: int) -> Draws:
    """The draws for a batch of `count` images, the first of which is the epoch's image number `start`, stacked.

    The sharpness of the batch's first images is changed, as many as its share asks for. An epoch's order is random, and
    the work for all the others is saved.
    """
    changed = round(count * share_of_changed_sharpness(by))
    each = [
        draw(generator_for(seed, epoch, start + place), by, size, sharpness=place < changed) for place in range(count)
    ]
    return {name: np.stack([drawn[name] for drawn in each if name in drawn]) for name in each[0]}


def _per_image(values: Any) -> Any:
    return ops.reshape(values, (-1, 1, 1, 1))


def _mix_lines(frames: Any, mixing: Any, share: Any) -> Any:
    size = frames.shape[1]
    down = ops.matmul(mixing, ops.reshape(frames, (-1, size, size * 3)))
    turned = ops.transpose(ops.reshape(down, (-1, size, size, 3)), (0, 2, 1, 3))
    across = ops.matmul(mixing, ops.reshape(turned, (-1, size, size * 3)))
    softer = ops.transpose(ops.reshape(across, (-1, size, size, 3)), (0, 2, 1, 3))
    return ops.clip(frames + _per_image(share) * (softer - frames), 0.0, 255.0)


def _retone(views: Any, tones: Any) -> Any:
    """`views` with each value looked up in its image's and channel's row of `tones` [n, 3, 256]."""
    rows = ops.reshape(ops.arange(tones.shape[0] * 3, dtype="int32") * 256, (-1, 1, 1, 3))
    return ops.take(ops.reshape(tones, (-1,)), ops.cast(views, "int32") + rows)


def _resaturate(frames: Any, saturation: Any) -> Any:
    grey = ops.matmul(frames, ops.convert_to_tensor([[weight] for weight in _LUMA], dtype="float32"))
    return ops.clip(grey + (frames - grey) * _per_image(saturation), 0.0, 255.0)


def _cut_out(frames: Any, cut: Any) -> Any:
    size = frames.shape[1]
    at = (ops.arange(size, dtype="float32") + 0.5) / size
    rows = ops.logical_and(at >= cut[:, 0:1], at < cut[:, 1:2])
    columns = ops.logical_and(at >= cut[:, 2:3], at < cut[:, 3:4])
    gone = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
    # The mean, not black: that would change the darkest value of the stretch.
    return ops.where(gone, ops.mean(frames, axis=(1, 2), keepdims=True), frames)


def mixed(values: Any, mix_share: Any) -> Any:
    """Each item of a batch mixed with the one before it: `mix_share` [n] of itself, the rest of the other."""
    share = ops.reshape(mix_share, (-1,) + (1,) * (len(values.shape) - 1))
    return share * values + (1.0 - share) * ops.roll(values, 1, axis=0)


def vary(views: Any, draws: Mapping[str, Any]) -> Any:
    """Varied copies of `views`, uint8 [n, size, size, 3], as float32 0..255 of that shape, by `draws_for`'s draws."""
    frames = _retone(views, draws["tones"]) if "tones" in draws else ops.cast(views, "float32")
    # Reflected margins, so that turning never brings in black: it would change the darkest value of the stretch.
    frames = ops.image.affine_transform(frames, draws["affine"], interpolation="bilinear", fill_mode="reflect")
    if "saturation" in draws:
        frames = _resaturate(frames, draws["saturation"])
    if "mixing" in draws:
        changed = draws["mixing"].shape[0]
        first = _mix_lines(frames[:changed], draws["mixing"], draws["mixed_share"])
        frames = ops.concatenate([first, frames[changed:]], axis=0)
    if "cut" in draws:
        frames = _cut_out(frames, draws["cut"])
    if "mix_share" in draws:
        frames = mixed(frames, draws["mix_share"])
    return frames
