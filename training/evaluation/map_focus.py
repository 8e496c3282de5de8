"""Whether activation maps look at the lesion: energy inside its outline, and the pointing game.

Both against what an even map and a random place would give, which is the lesion's share of the frame.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.classifier.maps import share
from diagnosis.classifier.photograph import PhotographRefused
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.classifier.view import SIDE
from training.evaluation.figures import draw_weights, percentile_estimate
from training.evaluation.labelled import Picture, pictures_of
from training.evaluation.statistics import DRAWS

#: HAM10000's masks are called `<image id>_segmentation.png`.
_MASK_NAME: Final = "_segmentation"

#: A pixel of a mask belongs to the lesion from here on.
_INSIDE: Final = 128


class MaskUnreadable(ValueError):
    """A mask is no picture. Names it."""


@dataclass(frozen=True)
class Focus:
    """Of one image, all 0..1."""

    lesion: float
    """The lesion's share of the frame."""
    malignant_energy: float
    """Share of the map of malignancy, as it is shown to clinicians, that lies inside the lesion."""
    malignant_hit: bool
    """Whether the greatest value of that map lies inside."""
    decision_energy: float
    """The same for the map of the class that was decided for."""
    decision_hit: bool


def find_masks(sources: Iterable[Path]) -> dict[str, Picture]:
    """The masks in folders and zips, by the id of the image that each belongs to."""
    return {picture.image_id.removesuffix(_MASK_NAME): picture for source in sources for picture in pictures_of(source)}


def read_mask(picture: Picture) -> NDArray[np.bool_]:
    """A mask squashed like the network's view, bool [224, 224]. Raises `MaskUnreadable`."""
    try:
        with Image.open(io.BytesIO(picture.read()), formats=["PNG", "BMP", "JPEG"]) as image:
            squashed = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, PhotographRefused) as problem:
        raise MaskUnreadable(f"{picture.where}: not a mask ({problem})") from problem
    return np.asarray(squashed) >= _INSIDE


def focus_of(
    activation: NDArray[np.floating], temperature: float, decided: str, mask: NDArray[np.bool_]
) -> Focus | None:
    """Measure one reading's map [7, 7, 7] against its mask [224, 224]; None where the mask is empty."""
    if not mask.any():
        return None
    malignant = _spread(share(activation, temperature, MALIGNANT))
    decision = _spread(share(activation, temperature, (decided,)))
    return Focus(
        float(mask.mean()),
        *(_energy(malignant, mask), _hit(malignant, mask)),
        *(_energy(decision, mask), _hit(decision, mask)),
    )


def _spread(heat: NDArray[np.float64]) -> NDArray[np.float32]:
    """The map over the view, as it is drawn but between its places only linearly, so that nothing overshoots."""
    image = Image.fromarray(heat.astype(np.float32))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)


def _energy(heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    return float(heat[mask].sum() / max(float(heat.sum()), 1e-12))


def _hit(heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
    return bool(mask[np.unravel_index(int(heat.argmax()), heat.shape)])


def focus_table(
    found: Sequence[Focus], truth: Sequence[str], groups: NDArray[np.str_], draws: int = DRAWS
) -> dict[str, Any]:
    """Means with 95 % intervals over resampled lesion groups, for all images, the malignant ones and each class."""
    columns = {
        "lesion_share_of_frame": np.array([each.lesion for each in found]),
        "malignant_map_energy_inside": np.array([each.malignant_energy for each in found]),
        "malignant_map_pointing_game": np.array([float(each.malignant_hit) for each in found]),
        "decision_map_energy_inside": np.array([each.decision_energy for each in found]),
        "decision_map_pointing_game": np.array([float(each.decision_hit) for each in found]),
    }
    named = np.array(truth)
    kinds = {"all": np.ones(len(named), dtype=np.bool_), "malignant": np.isin(named, MALIGNANT)}
    kinds |= {code: named == code for code in CLASSES}
    weights = np.stack(draw_weights(groups, draws))
    table: dict[str, Any] = {}
    for kind, inside in kinds.items():
        if not inside.any():
            continue
        drawn = weights[:, inside]
        whole = np.where(drawn.sum(axis=1) > 0, drawn.sum(axis=1), np.nan)
        table[kind] = {"images": int(inside.sum())} | {
            name: percentile_estimate(float(values[inside].mean()), drawn @ values[inside] / whole).as_dict()
            for name, values in columns.items()
        }
    return table
