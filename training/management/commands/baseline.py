"""Judges the paper's support vector machine beside the frozen network over repeated splits, with the paper's t-test."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track

from training.baselines import svm
from training.datasets import ham10000
from training.datasets.frozen import ham10000_splits
from training.datasets.ham10000 import DatasetIncomplete
from training.evaluation import metrics
from training.evaluation.comparison import two_sample_t
from training.evaluation.leakage import by_image, by_lesion, judged, reduced

_ASSUMPTIONS = (
    "The two-sample t-test takes the splits' figures for independent, normal and of one variance. Splits of one "
    "dataset share most of their images: its p is too small. p_corrected widens the variance for that (Nadeau & "
    "Bengio, 2003)."
)


class Command(BaseCommand):
    """``manage.py baseline --data FOLDER --features FILE.npy``: prints JSON, and writes it with --output."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--data", type=Path, required=True, help="folder with HAM10000")
        parser.add_argument("--features", type=Path, required=True, help="features-*.npy that `leakage` kept")
        parser.add_argument("--splits", type=int, default=10, help="how many random splits (default: %(default)s)")
        parser.add_argument("--images", type=int, help="judge on so many images, drawn at random (default: all)")
        parser.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for views")
        parser.add_argument("--output", type=Path, help="file to write")

    def handle(self, *args: object, **options: Any) -> None:
        """Measure and print."""
        if options["splits"] < 2:
            raise CommandError("--splits: at least 2 are needed for a t-test")
        try:
            dataset = ham10000.read(options["data"], options["cache"])
            embeddings = np.load(options["features"], allow_pickle=False)
        except (DatasetIncomplete, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if len(embeddings) != len(dataset.records):
            raise CommandError(
                f"{options['features']}: features of {len(embeddings)} images, the dataset has {len(dataset.records)}"
            )
        count = min(options["images"] or len(dataset.records), len(dataset.records))
        chosen = np.sort(np.random.default_rng(0).permutation(len(dataset.records))[:count])
        labels, groups = dataset.labels[chosen], ham10000_splits(dataset.records).groups[chosen]
        console = Console(stderr=True)
        coloured = np.stack(
            [
                svm.features_of(dataset.views[each])
                for each in track(chosen, "features", console=console, transient=True)
            ]
        )
        network = reduced(embeddings[chosen])
        report: dict[str, Any] = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "images": count,
            "splits": options["splits"],
            "assumptions": _ASSUMPTIONS,
        }
        for name, draw in (("by_image", by_image), ("by_lesion", by_lesion)):
            machine, frozen = [], []
            for seed in track(range(options["splits"]), name, console=console, transient=True):
                drawn = draw(labels, groups, np.random.default_rng(seed))
                shown, asked = np.flatnonzero(drawn[0]), np.flatnonzero(drawn[1])
                answers = svm.learner().fit(coloured[shown], labels[shown]).predict(coloured[asked])
                machine.append(metrics.balanced_accuracy(labels[asked], answers))
                frozen.append(judged(network, labels, groups, drawn)["balanced_accuracy"])
            report[name] = {
                "svm_balanced_accuracy": {"mean": round(float(np.mean(machine)), 4), "each": machine},
                "frozen_network_balanced_accuracy": {"mean": round(float(np.mean(frozen)), 4), "each": frozen},
                "t_test": two_sample_t(np.array(frozen), np.array(machine)),
            }
        text = json.dumps(report, indent=2)
        if options["output"]:
            options["output"].parent.mkdir(parents=True, exist_ok=True)
            options["output"].write_text(text + "\n", encoding="utf-8")
        self.stdout.write(text)
