"""Training: the epochs of a recipe, with checkpoints, and what the network says of many images.

A run killed at any moment goes on from its last checkpoint and sees the batches that it would have seen.
"""

import csv
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from diagnosis.classifier.architecture import WeightsUnavailable, build_network
from training.batches import Examples, batches, class_priors, drawn_priors, prepared_ahead, resized
from training.evaluation.metrics import accuracy, balanced_accuracy, malignant_auc
from training.learner import Learner, prepared
from training.recipes import Recipe

#: A checkpoint is written at least so often, so that a kill costs no more than this.
CHECKPOINT_SECONDS: Final = 120.0

#: What the curve says of one epoch; None where it cannot be said.
Row = dict[str, float | None]


class CheckpointForeign(ValueError):
    """The folder holds the checkpoint of another recipe, other images, another start or other teachers."""


class TrainingCancelled(Exception):
    """Somebody asked for the end. What was learnt is in the checkpoint, and the run can go on from there."""


class TooFewImages(ValueError):
    """A split holds fewer images than are needed."""


@dataclass(frozen=True)
class Moment:
    """How far a run is: `epoch` is the one begun, `step` the steps done in it; `seconds_left` None while not known.

    `row` is the curve's newest row, given once, when its epoch has been measured and stored.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    seconds_left: float | None
    row: Row | None = None


@dataclass(frozen=True)
class Outputs:
    """What the network says of n views: logits float32 [n, 7] and embeddings float32 [n, 1280]."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]


def outputs_of(network: keras.Model, views: NDArray[np.uint8], batch: int = 64) -> Outputs:
    """Run the network over `views`, uint8 [n, h, w, 3], as in service."""
    logits, embeddings = [], []
    for start in range(0, len(views), batch):
        frames = np.asarray(views[start : start + batch], dtype=np.float32)
        # Whole batches always: another shape would be compiled anew, and devices share a batch evenly.
        lacking = batch - len(frames)
        said = network.predict_on_batch(np.pad(frames, ((0, lacking), (0, 0), (0, 0), (0, 0))))
        logits.append(said["logits"][: batch - lacking])
        embeddings.append(said["embedding"][: batch - lacking])
    return Outputs(np.concatenate(logits), np.concatenate(embeddings))


def averaged(files: Sequence[Path]) -> keras.Model:
    """A network with the mean of several runs' weights (Wortsman et al., "Model soups", ICML 2022), or those of one.

    Raises `WeightsUnavailable` when a file does not hold them.
    """
    network = build_network()
    loaded = []
    for path in files:
        try:
            network.load_weights(path)
        except (ValueError, OSError) as problem:
            raise WeightsUnavailable(f"{path} does not hold a whole network: {problem}") from problem
        loaded.append(network.get_weights())
    network.set_weights([np.mean(each, axis=0) for each in zip(*loaded, strict=True)])
    return network


def settle_normalisation(network: keras.Model, views: NDArray[np.uint8], batches: int = 30, batch: int = 32) -> None:
    """Measure the batch normalisations' means and variances anew, on the first `batches` of `views`, as served.

    Those from training belong to varied images, at another size, under weights that were still moving (Wu & Johnson,
    "Rethinking 'Batch' in BatchNorm", 2021). `network` must have no dropout; its other weights stay as they are.
    """
    norms = [
        layer
        for body in network.layers
        if isinstance(body, keras.Model)
        for layer in body.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # The moving statistics are then those of the last batch alone.
    taken = [views[start : start + batch] for start in range(0, min(len(views), batches * batch), batch)]
    sums = [[np.zeros(norm.moving_mean.shape), np.zeros(norm.moving_mean.shape)] for norm in norms]
    for frames in taken:
        network(np.asarray(frames, dtype=np.float32), training=True)
        for norm, (mean, variance) in zip(norms, sums, strict=True):
            mean += keras.ops.convert_to_numpy(norm.moving_mean)
            variance += keras.ops.convert_to_numpy(norm.moving_variance)
    for norm, (mean, variance), momentum in zip(norms, sums, momenta, strict=True):
        norm.moving_mean.assign(mean / len(taken))
        norm.moving_variance.assign(variance / len(taken))
        norm.momentum = momentum


def _fingerprint(weights: list[NDArray[np.float32]]) -> str:
    digest = hashlib.sha256()
    for each in weights:
        digest.update(each.tobytes())
    return digest.hexdigest()


class Training:
    """One run of a recipe in a folder."""

    def __init__(
        self,
        recipe: Recipe,
        examples: Examples,
        folder: Path,
        weights: list[NDArray[np.float32]] | None,
        teachers: Sequence[list[NDArray[np.float32]]] = (),
    ) -> None:
        """`weights` are those of a whole network to start from, as `starting.weights_from` gives; None: random ones.

        `teachers` are the weights of those to learn from beside the labels.

        Goes on from the checkpoint in `folder`, if there is one. Raises `CheckpointForeign`, `TooFewImages`.
        """
        if len(examples.labels) < recipe.batch:
            raise TooFewImages(
                f"{len(examples.labels)} images to train on; one batch of the recipe {recipe.name} takes {recipe.batch}"
            )
        self.recipe = recipe
        self.folder = folder
        self.examples = examples
        self.priors = class_priors(examples.labels)
        self.steps_an_epoch = len(examples.labels) // recipe.batch
        self.next_epoch = 0
        self.next_step = 0
        self.curve: list[Row] = []
        self._start = "none" if weights is None else _fingerprint(weights)
        self._teachers = [_fingerprint(each) for each in teachers]
        keras.utils.set_random_seed(recipe.seed)
        drawn = drawn_priors(examples.labels, recipe.sampling_power)
        self.learner = prepared(Learner(recipe, drawn, weights, teachers), self.steps_an_epoch)
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def _asked(self) -> str:
        asked = {
            "recipe": asdict(self.recipe),
            "examples": self.examples.fingerprint,
            "start": self._start,
            "teachers": self._teachers,
        }
        return json.dumps(asked, sort_keys=True)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    def _resume(self) -> None:
        if not self._checkpoint.is_file():
            return
        with np.load(self._checkpoint, allow_pickle=False) as saved:
            if "asked" not in saved or str(saved["asked"]) != self._asked:
                raise CheckpointForeign(
                    f"{self._checkpoint} is of another recipe, other images, another start (--init-weights) or other "
                    "teachers: give another folder or remove it"
                )
            self.next_epoch, self.next_step = int(saved["next_epoch"]), int(saved["next_step"])
            self.curve = json.loads(str(saved["curve"]))
            for number, variable in enumerate(self.learner.state()):
                variable.assign(saved[f"variable{number}"])

    def _save(self) -> None:
        state = {
            f"variable{number}": keras.ops.convert_to_numpy(variable)
            for number, variable in enumerate(self.learner.state())
        }
        partial = self.folder / "partial.npz"
        np.savez(
            partial,
            allow_pickle=False,
            asked=np.array(self._asked),
            curve=np.array(json.dumps(self.curve)),
            next_epoch=np.array(self.next_epoch),
            next_step=np.array(self.next_step),
            **state,
        )
        partial.replace(self._checkpoint)

    def weights_after(self, epoch: int) -> Path:
        """Where the kept weights after so many epochs lie."""
        return self.folder / f"epoch{epoch:02d}.weights.h5"

    @property
    def best_epoch(self) -> int:
        """The number of the epoch that the recipe keeps, from 1, among those done.

        Raises `ValueError` before one is.
        """
        if not self.curve:
            raise ValueError("no epoch is done yet")
        if self.recipe.chosen_by == "last":
            return len(self.curve)
        return 1 + int(np.argmax([row[self.recipe.chosen_by] or 0.0 for row in self.curve]))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or none got better for as long as the recipe has patience."""
        if self.next_epoch >= self.recipe.epochs:
            return True
        patience = self.recipe.patience
        return patience is not None and bool(self.curve) and len(self.curve) - self.best_epoch >= patience

    def run(
        self,
        validation: Examples,
        at_size: Callable[[int], NDArray[np.uint8]] | None = None,
        on_moment: Callable[[Moment], None] = lambda moment: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train what is left of the recipe, measuring what is kept on `validation` (views of 224) after each epoch.

        `at_size` gives the views of `examples` at another size, for the stages of a recipe; without it they are made in
        memory. `on_moment` is told of every step. Raises `TrainingCancelled` once `cancelled` says so, after saving.
        """
        saved = time.monotonic()
        pace = _Pace(self)
        compiled_for = None
        while not self.finished:
            epoch, size = self.next_epoch, self.recipe.view_in(self.next_epoch)
            if size != compiled_for:
                # Given another size, TensorFlow would compile for any size; the augmentation has to know it.
                self.learner.make_train_function(force=True)
                compiled_for = size
            views = at_size(size) if at_size is not None else resized(self.examples.views, size)
            examples = Examples(views, self.examples.labels, self.examples.positions)
            began, loss = time.monotonic(), None
            if self.next_step == 0:
                self.learner.reset_metrics()
            ahead = prepared_ahead(batches(examples, self.recipe, epoch, self.next_step))
            for inputs, labels in ahead:
                if cancelled():
                    self._save()
                    raise TrainingCancelled(f"stopped in epoch {epoch + 1} after step {self.next_step}")
                loss = float(self.learner.train_on_batch(inputs, labels))
                self.next_step += 1
                on_moment(self._moment(loss, pace.seconds_left()))
                if time.monotonic() - saved > CHECKPOINT_SECONDS and self.next_step < self.steps_an_epoch:
                    self._save()
                    saved = time.monotonic()
            row = self._measured(validation, loss, time.monotonic() - began)
            self.curve.append(row)
            self.learner.kept.save_weights(self.weights_after(epoch + 1))
            self.next_epoch, self.next_step = epoch + 1, 0
            self._save()
            self._write_curve()
            saved = time.monotonic()
            on_moment(self._moment(loss, pace.seconds_left(), row))

    def _moment(self, loss: float | None, seconds_left: float | None, row: Row | None = None) -> Moment:
        epochs, steps = self.recipe.epochs, self.steps_an_epoch
        if row is not None:
            return Moment(self.next_epoch, epochs, steps, steps, loss, seconds_left, row)
        return Moment(self.next_epoch + 1, epochs, self.next_step, steps, loss, seconds_left)

    def _measured(self, validation: Examples, loss: float | None, seconds: float) -> Row:
        every = np.arange(len(validation.labels))
        balanced = outputs_of(self.learner.kept, validation.taken(every)).logits.astype(np.float64)
        # With an adjustment of 1 the logits are for the balanced prior; with 0 they are natural as they are.
        natural = balanced + self.recipe.prior_adjustment * np.log(self.priors)
        auc = malignant_auc(validation.labels, softmax(natural, axis=1))
        return {
            "epoch": self.next_epoch + 1,
            "view": self.recipe.view_in(self.next_epoch),
            "loss": None if loss is None else round(loss, 4),
            "seconds": round(seconds, 1),
            "cross_entropy": round(float(-log_softmax(natural, axis=1)[every, validation.labels].mean()), 4),
            "accuracy": round(accuracy(validation.labels, natural.argmax(axis=1)), 4),
            "balanced_accuracy": round(
                balanced_accuracy(validation.labels, (natural - np.log(self.priors)).argmax(axis=1)), 4
            ),
            "malignant_auc": None if np.isnan(auc) else round(auc, 4),
        }

    def _write_curve(self) -> None:
        with (self.folder / "curve.csv").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(self.curve[0]))
            writer.writeheader()
            writer.writerows(self.curve)


class _Pace:
    """How long the rest of a run takes, by what its steps took so far; a step's cost goes with the area of its view."""

    def __init__(self, run: Training) -> None:
        self.run = run
        self.began = time.monotonic()
        self.before = self._done()

    def _area(self, epoch: int) -> float:
        return float(self.run.recipe.view_in(epoch)) ** 2

    def _done(self) -> float:
        whole = sum(self._area(epoch) for epoch in range(self.run.next_epoch)) * self.run.steps_an_epoch
        if self.run.next_epoch < self.run.recipe.epochs:
            whole += self._area(self.run.next_epoch) * self.run.next_step
        return whole

    def seconds_left(self) -> float | None:
        done = self._done()
        if done <= self.before:
            return None
        epochs = range(self.run.recipe.epochs)
        left = sum(self._area(epoch) for epoch in epochs) * self.run.steps_an_epoch - done
        return (time.monotonic() - self.began) * left / (done - self.before)
