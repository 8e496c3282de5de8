"""What a network starts from: ImageNet, the shipped bundle, a file, or nothing."""

import json
from pathlib import Path
from typing import Final

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from diagnosis.classifier.architecture import WeightsUnavailable, build_network
from diagnosis.classifier.bundle import BUNDLES, MANIFEST, WEIGHTS
from diagnosis.classifier.shipped import SHIPPED_BUNDLE

IMAGENET: Final = "imagenet"
SHIPPED: Final = "shipped"
NOTHING: Final = "none"
#: For help texts.
CHOICES: Final = (
    f'"{IMAGENET}" (fetched), "{SHIPPED}" (the bundle that ships), "{NOTHING}", the folder of a bundle, a weights '
    "file of a whole network (epochNN.weights.h5), or one of MobileNetV2 1.0 224 without top"
)


def weights_from(start: str) -> list[NDArray[np.float32]] | None:
    """The weights of a whole network to start from, in the order of `get_weights`; None for random ones.

    Where they are served with natural logits, the prior is taken out of the last bias again, as the loss expects.
    Raises `WeightsUnavailable`, saying what to give instead.
    """
    if start == NOTHING:
        return None
    if start == IMAGENET:
        try:
            return list(build_network(IMAGENET).get_weights())
        except WeightsUnavailable as problem:
            raise WeightsUnavailable(f"{problem}; --init-weights takes {CHOICES}") from problem
    if start == SHIPPED:
        return _of_bundle(BUNDLES / SHIPPED_BUNDLE)
    path = Path(start)
    if path.is_dir():
        return _of_bundle(path)
    if not path.is_file():
        raise WeightsUnavailable(f"{path} is not there: --init-weights takes {CHOICES}")
    return list((_whole(path) if _has_top(path) else build_network(path)).get_weights())


def learnt_lesions(start: str) -> bool:
    """Whether it is a whole network, which has learnt to tell lesions, maybe those that somebody wants to judge by."""
    path = Path(start)
    return start == SHIPPED or path.is_dir() or (path.is_file() and _has_top(path))


def _has_top(path: Path) -> bool:
    """Whether a weights file holds the last dense layer beside the body. A file that is no HDF5 has none."""
    try:
        with h5py.File(path) as content:
            return "class_activation" in content.get("layers", ())
    except OSError:
        return False


def _whole(path: Path) -> keras.Model:
    network = build_network()
    try:
        network.load_weights(path)
    except (ValueError, OSError) as problem:
        raise WeightsUnavailable(f"{path} does not hold a network of this program: {problem}") from problem
    return network


def _of_bundle(folder: Path) -> list[NDArray[np.float32]]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        shares = np.array(manifest["class_shares_in_training"], dtype=np.float64)
        adjustment = float(manifest["training"]["prior_adjustment"])
    except (OSError, ValueError, KeyError) as problem:
        raise WeightsUnavailable(f"{folder} does not hold a bundle that was trained here: {problem!r}") from problem
    network = _whole(folder / WEIGHTS)
    classify = network.get_layer("classify")
    bias = keras.ops.convert_to_numpy(classify.bias) - adjustment * np.log(shares)
    classify.bias.assign(bias.astype(np.float32))
    return list(network.get_weights())
