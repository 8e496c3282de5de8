"""Does the input pipeline keep the network busy? Step rates in one run, as ratios: `python -m bench.training`.

Three ways in turn, over and over: batches from the pipeline (read from the cache, drawn, varied on the accelerator);
the same batches already in memory; and bare steps, on images in memory that are not varied at all.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.augmentation import draws_for
from training.batches import Examples, batches, prepared_ahead
from training.fit import Training
from training.recipes import RECIPES, Recipe, Stage

#: Turned by nothing, and with none of the other changes: the least that a step can do.
PLAIN = {"turn": 0.0, "zoom": 1.0, "stretch": 1.0, "shift": 0.0, "gain": 0.0, "gamma": 0.0, "saturation": 0.0}
SHARP = {"resampled": 0.0, "blurred": 0.0, "sharpened": 0.0, "cut_out": 0.0, "mix_up": 0.0}


def seconds_a_step(run: Training, source: Iterator[tuple[dict[str, Any], Any]], steps: int) -> float:
    """The mean over `steps` steps; the first batch is waited for before the clock starts."""
    inputs, labels = next(source)
    began = time.perf_counter()
    for number in range(steps):
        run.learner.train_on_batch(inputs, labels)
        if number + 1 < steps:
            inputs, labels = next(source)
    return (time.perf_counter() - began) / steps


def training_of(recipe: Recipe, examples: Examples, folder: Path) -> Training:
    """A run whose steps are compiled."""
    run = Training(recipe, examples, folder, weights=None)
    run.learner.train_on_batch(*next(batches(examples, recipe, epoch=0)))
    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="house")
    parser.add_argument("--view", type=int, default=96, help="pixels; 224 for what is trained in earnest")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    recipe = replace(RECIPES[options.recipe], stages=(Stage(1000, options.view),), batch=options.batch)
    bare = replace(recipe, augmentation=replace(recipe.augmentation, **PLAIN, **SHARP))
    count, size = options.batch * (options.steps + 4), options.view
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "views.npy"
        np.save(path, rng.integers(0, 256, size=(count, size, size, 3), dtype=np.uint8))
        examples = Examples(np.load(path, mmap_mode="r"), rng.integers(0, 7, size=count))
        run = training_of(recipe, examples, Path(folder) / "run")
        plain = training_of(bare, examples, Path(folder) / "bare")
        draws = draws_for(bare.augmentation, size, 0, 0, 0, options.batch)
        in_memory = list(batches(examples, recipe, epoch=0))
        unvaried = [({"views": inputs["views"], **draws}, labels) for inputs, labels in in_memory]
        ratios, costs = [], []
        for number in range(options.rounds):
            piped = seconds_a_step(run, prepared_ahead(batches(examples, recipe, number + 1)), options.steps)
            held = seconds_a_step(run, iter(in_memory), options.steps)
            least = seconds_a_step(plain, iter(unvaried), options.steps)
            ratios.append(held / piped)
            costs.append(least / held)
            print(f"pipeline {piped * 1000:.0f} ms a step, in memory {held * 1000:.0f}, bare {least * 1000:.0f}")
    print(
        f"{recipe.name}, {keras.backend.backend()}, batches of {options.batch} at {size} pixels: the pipeline reaches "
        f"{statistics.median(ratios):.2f} of the step rate on the same batches in memory (budget 0.90); the changes of "
        f"images on the accelerator leaves {statistics.median(costs):.2f} of the rate of a bare step"
    )


if __name__ == "__main__":
    main()
