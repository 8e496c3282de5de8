"""Recipes: everything that decides how a network is trained, as data."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Stage:
    """A run of epochs at one size of the view, in pixels. MobileNetV2 is fully convolutional: weights carry over."""

    epochs: int
    view: int


@dataclass(frozen=True)
class Augmentation:
    """How far each training image is varied. Every class alike, so that none can be told by its treatment.

    `zoom` and `stretch`: greatest factor of size and of aspect ratio; `shift`: greatest displacement as a share of the
    frame; `gain`, `gamma`, `saturation`: greatest relative change of a colour channel, of gamma and of colourfulness;
    `resampled`, `blurred`, `sharpened`: the share of images treated so (HAM10000's vascular lesions are all softer than
    the rest).
    """

    zoom: float = 1.3
    stretch: float = 1.15
    shift: float = 0.08
    gain: float = 0.08
    gamma: float = 0.2
    saturation: float = 0.3
    resampled: float = 0.4
    blurred: float = 0.1
    sharpened: float = 0.1


@dataclass(frozen=True)
class Recipe:
    """One way to train. Rates are per step of AdamW, with a linear warm-up and a cosine down to zero.

    `prior_adjustment`: how much of the log prior is added to the logits in the loss (Menon et al., ICLR 2021); 1 trains
    for balanced accuracy. `average_decay`: of the moving average of all weights, which is what is kept.
    `sampling_power`: a class of n images is drawn in proportion to n ** power; 1 visits every image once an epoch, 0
    draws all classes alike. The prior in the loss is that of the draw, so the answer does not depend on it.
    """

    name: str
    stages: tuple[Stage, ...]
    batch: int
    peak_rate: float
    warm_up_steps: int
    weight_decay: float
    label_smoothing: float
    prior_adjustment: float
    dropout: float
    norm_momentum: float
    average_decay: float
    augmentation: Augmentation
    seed: int
    sampling_power: float = 1.0

    @property
    def epochs(self) -> int:
        """Over all stages."""
        return sum(stage.epochs for stage in self.stages)

    def view_in(self, epoch: int) -> int:
        """The size of the view in an epoch, counted from 0. Raises `IndexError` past the last."""
        views = [stage.view for stage in self.stages for _ in range(stage.epochs)]
        return views[epoch]


#: The recipe of the first bundle: cheap epochs at 160 pixels first, then a size nearer to the 224 that are served. That
#: training be a little smaller than service is as it should be: random framing makes lesions look larger in training
#: (Touvron et al., NeurIPS 2019).
FIRST: Final = Recipe(
    name="first",
    stages=(Stage(epochs=7, view=160), Stage(epochs=3, view=192)),
    batch=32,
    peak_rate=8e-4,
    warm_up_steps=200,
    weight_decay=0.05,
    label_smoothing=0.05,
    prior_adjustment=1.0,
    dropout=0.3,
    norm_momentum=0.95,
    average_decay=0.997,
    augmentation=Augmentation(),
    seed=20261123,
)

#: A second run that starts where the first ended, with the rate raised once more to less than half of its peak.
FIRST_CONTINUED: Final = replace(
    FIRST,
    name="first-continued",
    stages=(Stage(epochs=3, view=192),),
    peak_rate=3.5e-4,
    warm_up_steps=60,
    seed=20261124,
)

#: Goes on from the shipped bundle, nearer to the size served. The square root of the class sizes shows a dermatofibroma
#: five times as often as before, and spends fewer steps on naevi that are long since recognised.
HOUSE: Final = replace(
    FIRST,
    name="house",
    stages=(Stage(epochs=5, view=192), Stage(epochs=2, view=224)),
    peak_rate=5e-4,
    warm_up_steps=100,
    average_decay=0.998,
    seed=20261125,
    sampling_power=0.5,
)

RECIPES: Final = {recipe.name: recipe for recipe in (FIRST, FIRST_CONTINUED, HOUSE)}
