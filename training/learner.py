"""What learns: the network with its augmentation, its loss and the moving average of its weights, on any Keras backend.

Written against Keras' own API only (`train_on_batch`), so that TensorFlow and JAX run the same lines.
"""

from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from diagnosis.classifier.architecture import build_network
from diagnosis.classifier.taxonomy import CLASSES
from training.augmentation import mixed, vary
from training.normalisation import FusedNormalisation
from training.recipes import Recipe

#: Not decayed: offsets, and what batch normalisation scales by.
_UNDECAYED: Final = ["bias", "gamma", "beta"]


class Learner(keras.Model):
    """`network` learns; `average` is the moving average of its weights, a step behind, and what is kept.

    Takes {"views": uint8 [n, size, size, 3], and what `augmentation.draws_for` draws} with labels int [n]. The logits
    of all networks are for the balanced prior of the loss; training/export.py makes them natural.

    With `teachers` the network also learns what they say, on the mean, of the very copies that it is shown (Hinton,
    Vinyals & Dean, arXiv:1503.02531; the same copies: Beyer et al., CVPR 2022).
    """

    def __init__(
        self,
        recipe: Recipe,
        priors: NDArray[np.float64],
        weights: list[NDArray[np.float32]] | None,
        teachers: Sequence[list[NDArray[np.float32]]] = (),
    ) -> None:
        """`priors` [7] are those of the draw; `weights`, if given, are those of a whole network to start from.

        `teachers` are the weights of whole networks, as `starting.weights_from` gives them.
        """
        super().__init__(dtype="float32")
        self.recipe = recipe
        self.network = network_to_train(recipe)
        if weights is not None:
            self.network.set_weights(weights)
        self.average = build_network(view=None)
        self.average.set_weights(self.network.get_weights())
        self.average.trainable = False
        self.teachers = [_frozen(each) for each in teachers]
        self.done = self.add_weight(name="done", shape=(), initializer="zeros", trainable=False, autocast=False)
        self._adjustment = (recipe.prior_adjustment * np.log(priors)).astype(np.float32)

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits [n, 7], with the adjustment of the loss; in training, of varied copies.

        In training with teachers: {"logits", and "taught": their mean probabilities [n, 7] for the draw}.
        """
        if not training:
            return self.network(ops.cast(inputs["views"], "float32"), training=False)["logits"] + self._adjustment
        draws = {name: value for name, value in inputs.items() if name != "views"}
        varied = vary(inputs["views"], draws)
        logits = self.network(varied, training=True)["logits"] + self._adjustment
        self._follow()
        if not self.teachers:
            return logits
        said = [ops.softmax(teacher(varied, training=False)["logits"] + self._adjustment) for teacher in self.teachers]
        return {"logits": logits, "taught": ops.stop_gradient(ops.mean(ops.stack(said), axis=0))}

    def _follow(self) -> None:
        # Early on the average follows closely; a fixed decay would keep the starting weights for whole epochs.
        self.done.assign_add(1.0)
        keep = ops.minimum(self.recipe.average_decay, self.done / (9.0 + self.done))
        for kept, learnt in zip(self.average.weights, self.network.weights, strict=True):
            kept.assign(keep * kept + (1.0 - keep) * ops.stop_gradient(learnt))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Cross-entropy with smoothed labels, mixed where the images were; with teachers, partly with what they say."""
        count = len(CLASSES)
        smoothing = self.recipe.label_smoothing
        wanted = ops.one_hot(y, count) * (1.0 - smoothing) + smoothing / count
        if training and "mix_share" in x:
            wanted = mixed(wanted, x["mix_share"])
        if isinstance(y_pred, dict):
            share = self.recipe.taught_share
            wanted, y_pred = share * y_pred["taught"] + (1.0 - share) * wanted, y_pred["logits"]
        return ops.mean(keras.losses.categorical_crossentropy(wanted, y_pred, from_logits=True))

    @property
    def kept(self) -> keras.Model:
        """The network that is kept: the average, or where the recipe has none, what the other has learnt.

        Always the one of Keras' own layers: Keras files weights under the names of their layers' classes.
        """
        if not self.recipe.average_decay:
            self.average.set_weights(self.network.get_weights())
        return self.average

    def state(self) -> list[Any]:
        """Every variable that training changes: weights, averages, seeds of the dropout, optimiser, running loss."""
        return [*self.variables, *self.optimizer.variables]


def _frozen(weights: list[NDArray[np.float32]]) -> keras.Model:
    network = build_network(view=None)
    network.set_weights(weights)
    network.trainable = False
    return network


def network_to_train(recipe: Recipe) -> keras.Model:
    """The network in the recipe's precision, open in height and width, so that one serves the stages of every size."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        return build_network(
            view=None, dropout=recipe.dropout, norm_momentum=recipe.norm_momentum, norm=FusedNormalisation
        )
    finally:
        keras.config.set_dtype_policy(before)


def rates_of(recipe: Recipe, steps_an_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The rate at each step: warm-up and cosine, or halved every so many epochs.

    A short run warms up for half of it.
    """
    steps = max(recipe.epochs * steps_an_epoch, 2)
    if recipe.halve_every is not None:
        return keras.optimizers.schedules.ExponentialDecay(
            recipe.peak_rate, decay_steps=recipe.halve_every * steps_an_epoch, decay_rate=0.5, staircase=True
        )
    warm_up = min(recipe.warm_up_steps, steps // 2)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.peak_rate / 100,
        decay_steps=steps - warm_up,
        warmup_target=recipe.peak_rate,
        warmup_steps=warm_up,
    )


def prepared(learner: Learner, steps_an_epoch: int) -> Learner:
    """The learner with its optimiser, ready for `train_on_batch`."""
    recipe = learner.recipe
    optimizer = keras.optimizers.AdamW(rates_of(recipe, steps_an_epoch), weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=_UNDECAYED)
    if recipe.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # XLA has no kernel for TensorFlow's affine transform; JAX always compiles.
    learner.compile(optimizer=optimizer, jit_compile="auto" if keras.backend.backend() == "jax" else False)
    learner.optimizer.build(learner.trainable_variables)
    return learner
