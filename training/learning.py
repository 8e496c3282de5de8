"""From a dataset and a recipe to a bundle: one function, which a command and the training worker call alike."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import keras
import numpy as np
import psutil
from numpy.typing import NDArray

from training.batches import Examples, resized
from training.datasets.frozen import Splits
from training.datasets.ham10000 import LabelledImages
from training.datasets.manifest import VIEWS, Manifest, SplitBy, resized_views
from training.fit import Moment, TooFewImages, Training, TrainingCancelled
from training.recipes import Recipe

#: Memory of a training step for each image at 224 pixels, in MiB: measured at 110 for this network in float32.
STEP_MIB: Final = 110
#: TensorFlow, the program and the export, in MiB.
BASE_MIB: Final = 1500
#: What a run leaves behind, in MiB: checkpoint, bundle, and the weights of each epoch.
CHECKPOINT_MIB, EPOCH_MIB, BUNDLE_MIB = 80, 10, 40

REQUEST: Final = "request.json"
BUNDLE: Final = "bundle"


class ResourcesLacking(RuntimeError):
    """Memory or disk will not do. Says what is needed, what there is, and what helps."""


class ExportFailed(RuntimeError):
    """The network is trained and kept, but its bundle could not be made."""


@dataclass(frozen=True)
class Material:
    """What is learnt from: labelled images with their groups and splits, and whose data they are.

    `folder` is that of the stored dataset, where it is stored as a whole; views of other sizes are then kept there.
    `tests_kept_out` are the identities of the stored datasets whose frozen tests were taken out of it.
    """

    images: LabelledImages
    splits: Splits
    split_by: SplitBy
    licence: str
    attribution: str
    folder: Path | None = None
    tests_kept_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, split_by: SplitBy) -> "Material":
        """The stored dataset in `folder`. Raises `manifest.ManifestUnusable`."""
        manifest = Manifest.load(folder)
        splits = manifest.splits(split_by)
        return cls(manifest.open(folder), splits, split_by, manifest.licence, manifest.attribution, folder)

    def examples(self, positions: NDArray[np.int64]) -> Examples:
        """The images at these positions."""
        return Examples(self.images.views, self.images.labels[positions], positions, self.images.fingerprint)

    def at_size(self, size: int, on_done: Callable[[int, int], None]) -> NDArray[np.uint8]:
        """All views at another size, from the dataset's folder if it has one; made there first, where they are not."""
        if self.folder is None:
            return resized(self.images.views, size)
        return resized_views(self.folder, self.images.views, size, on_done)


@dataclass(frozen=True)
class Progress:
    """What a run is at. In `preparing` and `exporting`, `done` of `total` where that is known; else `moment`.

    `part` names the fold, where the recipe is measured by folds.
    """

    stage: Literal["preparing", "training", "exporting"]
    done: int = 0
    total: int = 0
    moment: Moment | None = None
    part: str = ""


Tell = Callable[[Progress], None]


def _mib_free(path: Path) -> float:
    there = path
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free / 2**20


def memory_needed(recipe: Recipe) -> float:
    """About how much memory a run takes where there is no accelerator, in MiB, beside the images themselves."""
    largest = max(stage.view for stage in recipe.stages)
    halved = 0.6 if recipe.precision != "float32" else 1.0
    return BASE_MIB + STEP_MIB * recipe.batch * (largest / 224) ** 2 * halved


def check_resources(recipe: Recipe, material: Material, run: Path) -> None:
    """Raises `ResourcesLacking` before hours are spent on a run that memory or disk would end."""
    count = len(material.images.records)
    sizes = {stage.view for stage in recipe.stages} - {224}
    images = sum(count * size * size * 3 / 2**20 for size in sizes)
    disk: float = CHECKPOINT_MIB + BUNDLE_MIB + EPOCH_MIB * recipe.epochs
    if material.folder is not None:
        disk += sum(
            count * size * size * 3 / 2**20
            for size in sizes
            if not (material.folder / VIEWS.replace(".npy", f"-{size}.npy")).is_file()
        )
    if (free := _mib_free(run)) < disk:
        raise ResourcesLacking(
            f"{run}: about {disk / 1024:.1f} GiB of disk are needed, {free / 1024:.1f} GiB are free: make room, or "
            "give another folder (--run, and SKINCARE_VAR for the datasets)"
        )
    if Path("/dev/nvidia0").exists():
        return
    memory = memory_needed(recipe) + (images if material.folder is None else 0.0)
    if (free := psutil.virtual_memory().available / 2**20) < memory:
        raise ResourcesLacking(
            f"about {memory / 1024:.1f} GiB of memory are needed for batches of {recipe.batch} at "
            f"{max(stage.view for stage in recipe.stages)} pixels, {free / 1024:.1f} GiB are free: end other programs, "
            "take a recipe with smaller batches or views, or a machine with more memory or a GPU"
        )


def spread_over_devices(batch: int) -> int:
    """Share every batch among all accelerators, where the backend is JAX; returns how many there are.

    On one device, and on TensorFlow, which then uses its first, nothing changes. Raises `ResourcesLacking` when a batch
    cannot be shared evenly.
    """
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) < 2:
        return 1
    if batch % len(devices):
        raise ResourcesLacking(
            f"batches of {batch} cannot be shared among {len(devices)} devices: hide some (CUDA_VISIBLE_DEVICES)"
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    return len(devices)


def fit(
    recipe: Recipe,
    material: Material,
    run: Path,
    *,
    weights: list[NDArray[np.float32]] | None,
    teachers: Sequence[list[NDArray[np.float32]]] = (),
    on_progress: Tell,
    cancelled: Callable[[], bool],
) -> Training:
    """Train what is left of a run in the folder `run`; `weights` are those to start from.

    Raises `ResourcesLacking`, `fit.TooFewImages`, `fit.CheckpointForeign`, and `fit.TrainingCancelled`.
    """
    positions = {split: material.splits.positions(split) for split in ("training", "validation")}
    for split, found in positions.items():
        if not len(found):
            raise TooFewImages(f"{material.images.name} holds no image for {split}: give a dataset with more lesions")
    check_resources(recipe, material, run)
    spread_over_devices(recipe.batch)
    training = Training(recipe, material.examples(positions["training"]), run, weights, teachers)
    training.run(
        material.examples(positions["validation"]),
        lambda size: material.at_size(size, lambda done, of: on_progress(Progress("preparing", done, of))),
        lambda moment: on_progress(Progress("training", moment=moment)),
        cancelled,
    )
    return training


def train(
    recipe: Recipe,
    material: Material,
    run: Path,
    *,
    name: str,
    weights: list[NDArray[np.float32]] | None,
    teachers: Sequence[list[NDArray[np.float32]]] = (),
    on_progress: Tell = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
    told: dict[str, Any] | None = None,
    target: Path | None = None,
) -> Path:
    """Train by `recipe` and make a bundle called `name`; returns its folder, `target` or `run`/bundle.

    Killed at any time and called again with the same arguments, it goes on from the last checkpoint in `run`. `weights`
    and `teachers` come from `starting.weights_from`; `told` goes into the bundle's account of its training.
    `on_progress` is told of every step, and `cancelled` asked.

    Raises `TrainingCancelled` (it can go on later), `ResourcesLacking`, `fit.TooFewImages`, `fit.CheckpointForeign`,
    and `ExportFailed`; what was trained is kept.
    """
    training = fit(
        recipe, material, run, weights=weights, teachers=teachers, on_progress=on_progress, cancelled=cancelled
    )
    on_progress(Progress("exporting"))
    request: dict[str, Any] = {
        "name": name,
        "recipe": asdict(recipe),
        "epoch": training.best_epoch,
        "curve": training.curve,
        "told": told or {},
        "target": str((target or run / BUNDLE).resolve()),
    }
    if keras.backend.backend() == "tensorflow":
        # Brings TensorFlow, which a run on another backend does without.
        from training.bundling import make_bundle

        return make_bundle(recipe, material, training.weights_after(training.best_epoch), request)
    return _bundled_elsewhere(run, material, request, cancelled)


def _bundled_elsewhere(run: Path, material: Material, request: dict[str, Any], cancelled: Callable[[], bool]) -> Path:
    """The bundle, made by a process with TensorFlow: only that can write TFLite."""
    if material.folder is None:
        raise ExportFailed(
            "a bundle is made with TensorFlow: train with KERAS_BACKEND=tensorflow, or store the dataset"
        )
    request |= {"dataset": str(material.folder.resolve()), "split_by": material.split_by}
    (run / REQUEST).write_text(json.dumps(request), encoding="utf-8")
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(root)}
    with (run / "export.log").open("w+", encoding="utf-8") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "training.bundling", str(run)], env=environment, stdout=log, stderr=log
        )
        while child.poll() is None:
            if cancelled():
                child.terminate()
                child.wait()
                raise TrainingCancelled("stopped while the bundle was made")
            time.sleep(0.2)
    if child.returncode:
        last = (run / "export.log").read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise ExportFailed(f"the bundle could not be made, {run / 'export.log'} says why: {' '.join(last)}")
    return Path(request["target"])
