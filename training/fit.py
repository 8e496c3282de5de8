"""Training: batches that depend only on seed, epoch and index, a checkpoint after every epoch, and an averaged network.

A run killed at any moment goes on from its last checkpoint and sees the batches that it would have seen.
"""

import csv
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from diagnosis.classifier.architecture import build_network
from diagnosis.classifier.taxonomy import CLASSES
from training.augmentation import generator_for, vary
from training.evaluation.metrics import balanced_accuracy, malignant_auc
from training.recipes import Recipe

_READY_AHEAD: Final = 4

Item = TypeVar("Item")


class CheckpointForeign(ValueError):
    """The folder holds the checkpoint of another recipe."""


@dataclass(frozen=True)
class Examples:
    """Views uint8 [n, 224, 224, 3] with their labels int64 [n], indices in `CLASSES`."""

    views: NDArray[np.uint8]
    labels: NDArray[np.int64]


def class_priors(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each class in `labels`, float64 [7]; with one added to each, so that none is zero."""
    counts = np.bincount(labels, minlength=len(CLASSES)) + 1.0
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def resized(views: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """All views antialiased to uint8 [n, size, size, 3]."""
    if views.shape[1:3] == (size, size):
        return views
    smaller = np.empty((len(views), size, size, 3), dtype=np.uint8)
    for index, view in enumerate(views):
        smaller[index] = np.asarray(Image.fromarray(view).resize((size, size), Image.Resampling.BILINEAR))
    return smaller


def drawn_priors(labels: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """The share of each class, float64 [7], when one of n images is drawn in proportion to n ** `power`."""
    shares = class_priors(labels) ** power
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def order_of(labels: NDArray[np.int64], power: float, seed: int, epoch: int) -> NDArray[np.int64]:
    """Which examples an epoch visits, in order: as many as there are, each once if `power` is 1."""
    rng = np.random.default_rng((seed, epoch))
    count = len(labels)
    if power == 1.0:
        return rng.permutation(count)
    chances = (drawn_priors(labels, power) / np.bincount(labels, minlength=len(CLASSES)).clip(1))[labels]
    return rng.choice(count, size=count, p=chances / chances.sum())


def batches(examples: Examples, recipe: Recipe, epoch: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """The epoch's full batches of varied images, views uint8 [batch, size, size, 3] and labels; the rest is left over.

    `examples` must already have the epoch's size. The same seed and epoch give the same batches, always.
    """
    order = order_of(examples.labels, recipe.sampling_power, recipe.seed, epoch)
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[start : start + recipe.batch]
        varied = [
            vary(examples.views[index], generator_for(recipe.seed, epoch, start + place), recipe.augmentation)
            for place, index in enumerate(chosen)
        ]
        yield np.stack(varied), examples.labels[chosen]


def prepared_ahead(items: Iterator[Item], ahead: int = _READY_AHEAD) -> Iterator[Item]:
    """The same items, made in a thread of their own while the caller works on earlier ones."""
    waiting: queue.Queue[Item | Exception | None] = queue.Queue(maxsize=ahead)

    def make() -> None:
        try:
            for item in items:
                waiting.put(item)
        except Exception as problem:
            waiting.put(problem)
        else:
            waiting.put(None)

    threading.Thread(target=make, daemon=True, name="batches").start()
    while (item := waiting.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


@dataclass(frozen=True)
class Outputs:
    """What the network says of n views: logits float32 [n, 7] and embeddings float32 [n, 1280]."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]


def outputs_of(network: keras.Model, views: NDArray[np.uint8], batch: int = 64) -> Outputs:
    """Run the network over `views`, uint8 [n, h, w, 3], as in service."""

    @tf.function(reduce_retracing=True)
    def forward(frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        answer = network(tf.cast(frames, tf.float32), training=False)
        return answer["logits"], answer["embedding"]

    parts = [forward(tf.constant(views[start : start + batch])) for start in range(0, len(views), batch)]
    return Outputs(
        np.concatenate([np.asarray(logits) for logits, _ in parts]),
        np.concatenate([np.asarray(embedding) for _, embedding in parts]),
    )


def averaged(files: Sequence[Path]) -> keras.Model:
    """A network with the mean of several runs' weights (Wortsman et al., "Model soups", ICML 2022), or those of one."""
    network = build_network()
    loaded = []
    for path in files:
        network.load_weights(path)
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

    @tf.function
    def pass_batch(frames: tf.Tensor) -> tf.Tensor:
        return network(tf.cast(frames, tf.float32), training=True)["logits"]

    taken = [views[start : start + batch] for start in range(0, min(len(views), batches * batch), batch)]
    sums = [[np.zeros(norm.moving_mean.shape), np.zeros(norm.moving_mean.shape)] for norm in norms]
    for frames in taken:
        pass_batch(tf.constant(frames))
        for norm, (mean, variance) in zip(norms, sums, strict=True):
            mean += np.asarray(norm.moving_mean)
            variance += np.asarray(norm.moving_variance)
    for norm, (mean, variance), momentum in zip(norms, sums, momenta, strict=True):
        norm.moving_mean.assign(mean / len(taken))
        norm.moving_variance.assign(variance / len(taken))
        norm.momentum = momentum


class Training:
    """One run of a recipe in a folder: `network` is the one that learns, `average` the moving average of its weights.

    The logits of both are for the balanced prior of the loss; training/export.py makes them natural.
    """

    def __init__(
        self,
        recipe: Recipe,
        examples: Examples,
        folder: Path,
        weights: str | Path | None,
        continued: Path | None = None,
    ) -> None:
        """`weights` start the body as in `build_network`; `continued` is an earlier run's average to start from."""
        self.recipe = recipe
        self.folder = folder
        self.examples = examples
        self.priors = class_priors(examples.labels)
        self.steps_an_epoch = len(examples.labels) // recipe.batch
        self.next_epoch = 0
        # Open in height and width, so that one network serves the stages of every size.
        self.network = build_network(weights, view=None, dropout=recipe.dropout, norm_momentum=recipe.norm_momentum)
        if continued is not None:
            self.network.load_weights(continued)
        self.average = build_network(view=None)
        self.average.set_weights(self.network.get_weights())
        schedule = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=recipe.peak_rate / 100,
            decay_steps=recipe.epochs * self.steps_an_epoch - recipe.warm_up_steps,
            warmup_target=recipe.peak_rate,
            warmup_steps=recipe.warm_up_steps,
        )
        self.optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(self.network.trainable_variables)
        self._step = self._compiled_step()
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def _compiled_step(self) -> tf.types.experimental.PolymorphicFunction:
        recipe, network, average, optimizer = self.recipe, self.network, self.average, self.optimizer
        drawn = drawn_priors(self.examples.labels, recipe.sampling_power)
        adjustment = tf.constant(recipe.prior_adjustment * np.log(drawn), dtype=tf.float32)
        smoothing, decay = recipe.label_smoothing, recipe.average_decay
        count = len(CLASSES)

        @tf.function
        def step(views: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = network(tf.cast(views, tf.float32), training=True)["logits"] + adjustment
                wanted = tf.one_hot(labels, count) * (1.0 - smoothing) + smoothing / count
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits))
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
            # Early on the average follows closely; a fixed decay would keep the starting weights for whole epochs.
            done = tf.cast(optimizer.iterations, tf.float32)
            keep = tf.minimum(decay, (1.0 + done) / (10.0 + done))
            for kept, learnt in zip(average.weights, network.weights, strict=True):
                kept.assign(keep * kept + (1.0 - keep) * learnt)
            return loss

        return step

    @property
    def _state(self) -> Path:
        return self.folder / "checkpoint.npz"

    def _resume(self) -> None:
        if not self._state.is_file():
            return
        with np.load(self._state) as saved:
            if str(saved["recipe"]) != json.dumps(asdict(self.recipe), sort_keys=True):
                raise CheckpointForeign(f"{self._state} is of another recipe: give another folder or remove it")
            self.next_epoch = int(saved["next_epoch"])
            self.network.set_weights([saved[f"network{n}"] for n in range(len(self.network.weights))])
            self.average.set_weights([saved[f"average{n}"] for n in range(len(self.average.weights))])
            for n, variable in enumerate(self.optimizer.variables):
                variable.assign(saved[f"optimizer{n}"])

    def _save(self) -> None:
        state = {f"network{n}": np.asarray(each) for n, each in enumerate(self.network.get_weights())}
        state |= {f"average{n}": np.asarray(each) for n, each in enumerate(self.average.get_weights())}
        state |= {f"optimizer{n}": np.asarray(each) for n, each in enumerate(self.optimizer.variables)}
        partial = self.folder / "partial.npz"
        recipe = np.array(json.dumps(asdict(self.recipe), sort_keys=True))
        np.savez(partial, allow_pickle=False, recipe=recipe, next_epoch=np.array(self.next_epoch), **state)
        partial.replace(self._state)
        self.average.save_weights(self.folder / f"epoch{self.next_epoch:02d}.weights.h5")

    def run(self, validation: Examples, after_epoch: Callable[[int], None] | None = None) -> None:
        """Train what is left of the recipe, saving after each epoch and printing how the average does on `validation`.

        `after_epoch`, if given, is told the number of epochs done each time they are safely stored; what it raises ends
        the run.
        """
        at_size: dict[int, Examples] = {}
        while self.next_epoch < self.recipe.epochs:
            epoch = self.next_epoch
            view = self.recipe.view_in(epoch)
            if view not in at_size:
                at_size = {view: Examples(resized(self.examples.views, view), self.examples.labels)}
            began = time.monotonic()
            losses = []
            for done, (views, labels) in enumerate(prepared_ahead(batches(at_size[view], self.recipe, epoch)), start=1):
                losses.append(self._step(tf.constant(views), tf.constant(labels)))
                if done % 50 == 0:
                    recent = float(np.mean([float(loss) for loss in losses[-50:]]))
                    print(
                        f"epoch {epoch + 1} step {done}/{self.steps_an_epoch} loss {recent:.4f} "
                        f"{(time.monotonic() - began) / done:.2f} s a step",
                        flush=True,
                    )
            self.next_epoch = epoch + 1
            self._save()
            if after_epoch is not None:
                after_epoch(self.next_epoch)
            self._report(validation, float(np.mean([float(loss) for loss in losses])), time.monotonic() - began)

    def _report(self, validation: Examples, loss: float, seconds: float) -> None:
        natural = outputs_of(self.average, validation.views).logits + self.recipe.prior_adjustment * np.log(self.priors)
        balanced = balanced_accuracy(validation.labels, (natural - np.log(self.priors)).argmax(axis=1))
        auc = malignant_auc(validation.labels, softmax(natural, axis=1))
        row = {
            "epoch": self.next_epoch,
            "view": self.recipe.view_in(self.next_epoch - 1),
            "loss": round(loss, 4),
            "seconds": round(seconds),
            "balanced_accuracy": round(balanced, 4),
            "malignant_auc": round(auc, 4),
        }
        print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        curve = self.folder / "curve.csv"
        fresh = not curve.is_file()
        with curve.open("a", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
