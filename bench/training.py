"""Does the input pipeline keep the network busy? Step rates in one run, as ratios: `python -m bench.training`.

Three ways in turn, over and over: batches from the pipeline (read from the cache, drawn, varied on the accelerator);
the same batches already in memory; and bare steps, on images in memory that are not varied at all.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench import page
from training.augmentation import draws_for
from training.batches import Examples, batches, prepared_ahead
from training.fit import Training
from training.recipes import RECIPES, Recipe, Stage

NAMES = {
    "pipeline": "a step on a batch from the pipeline",
    "in memory": "a step on a batch in memory",
    "bare": "a step on a batch in memory, its images not varied",
}
#: Images of HAM10000 that are trained on, by how it is split.
IMAGES = {"image": 7_010, "lesion": 8_079}
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
    before = os.getloadavg()[0]
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
        taken: dict[str, list[float]] = {"pipeline": [], "in memory": [], "bare": []}
        # The round before the first settles what the first use of a step still compiles, and is not counted.
        for number in range(-1, options.rounds):
            ways = {
                "pipeline": lambda epoch=number + 2: seconds_a_step(
                    run, prepared_ahead(batches(examples, recipe, epoch)), options.steps
                ),
                "in memory": lambda: seconds_a_step(run, iter(in_memory), options.steps),
                "bare": lambda: seconds_a_step(plain, iter(unvaried), options.steps),
            }
            # Turn about, so that a machine that grows busier or idler favours none.
            names = list(ways) if number % 2 else list(reversed(ways))
            took = {name: ways[name]() for name in names}
            if number < 0:
                continue
            ratios.append(took["in memory"] / took["pipeline"])
            costs.append(took["bare"] / took["in memory"])
            for name, seconds in took.items():
                taken[name].append(seconds)
    rows = [
        [NAMES[name], f"{spread([1000 * each for each in seconds], '.0f')} ms",
         f"{options.batch / statistics.median(seconds):.1f}"]
        for name, seconds in taken.items()
    ]  # fmt: skip
    whole = RECIPES[options.recipe]
    hours = statistics.median(taken["pipeline"]) * whole.epochs * (IMAGES[whole.split] / options.batch) / 3600
    backend = f"{recipe.name}, {keras.backend.backend()}, batches of {options.batch} at {size} pixels"
    print(page.conditions(before, backend, f"medians (quartiles) of {options.rounds} rounds of {options.steps} steps"))
    print(f"\n{page.table(['', 'measured', 'images a second'], rows)}\n")
    print(f"- The pipeline reaches {spread(ratios)} of the step rate on the same batches in memory (budget 0.90).")
    print(f"- With the changes of images, a step runs at {spread(costs)} of the rate of one without.")
    print(f"- At this step the {whole.epochs} epochs of the recipe at {size} pixels take {hours:.1f} hours here, "
          f"{IMAGES[whole.split]:,} images each, without validation.")  # fmt: skip


def spread(values: list[float], form: str = ".2f") -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    main()
