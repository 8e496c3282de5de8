"""Trains a network by a recipe and makes a bundle of it. Killed and started again, it goes on where it was."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from numpy.typing import NDArray

from diagnosis.classifier.architecture import WeightsUnavailable
from training.datasets.manifest import ManifestUnusable, find, joined
from training.fit import CheckpointForeign, TooFewImages
from training.folds import cross_validate
from training.learning import BUNDLE, ExportFailed, Material, Progress, ResourcesLacking, train
from training.management.progress import Display, duration
from training.recipes import RECIPES, Recipe
from training.starting import CHOICES, learnt_lesions, weights_from


class Command(BaseCommand):
    """``manage.py train --recipe house``: needs an imported dataset, no server and no database."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--recipe", choices=sorted(RECIPES), default="house", help="default: %(default)s")
        parser.add_argument(
            "--dataset",
            nargs="+",
            default=["HAM10000"],
            help="name, beginning of the fingerprint, or folder of an imported dataset; several are joined",
        )
        parser.add_argument("--init-weights", default="imagenet", help=f"{CHOICES}; default: %(default)s")
        parser.add_argument(
            "--teachers", nargs="+", default=[], help="networks to learn from beside the labels; each as --init-weights"
        )
        parser.add_argument("--epochs", type=int, help="train so many epochs instead of the recipe's")
        parser.add_argument("--folds", type=int, default=0, help="first measure the recipe by so many lesion folds")
        parser.add_argument(
            "--run", type=Path, help="folder of checkpoints and bundle (default: made from the request)"
        )
        parser.add_argument("--name", help="of the bundle (default: recipe and date)")

    def handle(self, *args: object, **options: Any) -> None:
        """Train, and say where the bundle lies."""
        try:
            self._train(options)
        except (
            ManifestUnusable,
            WeightsUnavailable,
            CheckpointForeign,
            TooFewImages,
            ResourcesLacking,
            ExportFailed,
        ) as problem:
            raise CommandError(str(problem)) from problem
        except MemoryError as problem:
            raise CommandError(
                "the memory was not enough: end other programs, or take a recipe with smaller batches or views"
            ) from problem

    def _train(self, options: dict[str, Any]) -> None:
        recipe = _asked(RECIPES[options["recipe"]], options)
        root = Path(settings.DATASETS_ROOT)
        folder = joined([find(wanted, root) for wanted in options["dataset"]], root)
        material = Material.of(folder, recipe.split)
        run: Path = options["run"] or Path(settings.TRAINING_ROOT) / _folder_name(recipe, folder, options)
        weights = weights_from(options["init_weights"])
        teachers = [_teacher(each) for each in options["teachers"]]
        told: dict[str, Any] = {"started_from": options["init_weights"]}
        if teachers:
            told["teachers"] = options["teachers"]
        with Display(self.stdout) as display:
            display.line(f"recipe {recipe.name}, {recipe.epochs} epochs, {material.images.name}, run in {run}")
            shown = _Shown(display)
            if options["folds"]:
                told["cross_validation"] = cross_validate(
                    recipe, material, run, options["folds"], weights=weights, on_progress=shown
                )
                display.line(f"{options['folds']} folds: {told['cross_validation']['summary']}")
            bundle = train(
                recipe,
                material,
                run,
                name=options["name"] or f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M}",
                weights=weights,
                teachers=teachers,
                on_progress=shown,
                told=told,
                target=run / BUNDLE,
            )
        self.stdout.write(f"bundle in {bundle}: manage.py analyse IMAGE --bundle {bundle}")


def _folder_name(recipe: Recipe, dataset: Path, options: dict[str, Any]) -> str:
    """The name of a run's folder, another for each recipe, number of epochs, dataset, start and teachers."""
    start = sha256("\n".join([options["init_weights"], *options["teachers"]]).encode()).hexdigest()
    return f"{recipe.name}-{recipe.epochs}-{dataset.name[-8:]}-{start[:8]}"


def _teacher(start: str) -> list[NDArray[np.float32]]:
    weights = weights_from(start)
    if weights is None:
        raise CommandError("--teachers: a network of random weights has nothing to teach")
    return weights


def _asked(recipe: Recipe, options: dict[str, Any]) -> Recipe:
    epochs, folds = options["epochs"], options["folds"]
    if folds and (folds < 2 or recipe.split != "lesion"):
        raise CommandError("--folds takes 2 or more, and a recipe that is split by lesion")
    if bool(options["teachers"]) != bool(recipe.taught_share):
        lacking = "learns from teachers: name them with --teachers" if recipe.taught_share else "takes no teachers"
        raise CommandError(f"the recipe {recipe.name} {lacking}")
    if folds and (options["teachers"] or learnt_lesions(options["init_weights"])):
        raise CommandError(
            "--folds: a network that has learnt lesions may know those that a fold holds out: start from imagenet, "
            "none or a file without top, and without teachers"
        )
    try:
        return recipe if epochs is None else recipe.shortened(epochs)
    except ValueError as problem:
        raise CommandError(f"--epochs {problem}") from problem


class _Shown:
    """What a run tells, as bars and lines."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def __call__(self, progress: Progress) -> None:
        moment = progress.moment
        if moment is None:
            if progress.total:
                self._display.say(progress.stage, progress.done, progress.total)
            else:
                self._display.line(f"{progress.stage}: calibration, thresholds, novelty, TFLite")
        elif moment.row is not None:
            row = ", ".join(f"{name} {value}" for name, value in moment.row.items())
            self._display.line(f"{progress.part}{row}")
        else:
            loss = "" if moment.loss is None else f"loss {moment.loss:.4f}, "
            self._display.say(
                f"{progress.part}epoch {moment.epoch} of {moment.epochs}",
                moment.step,
                moment.steps,
                f"{loss}{duration(moment.seconds_left)} left in all",
            )
