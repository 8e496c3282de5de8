"""Shows what a careless split is worth: the same learner split by image, oversampled first, and by lesion."""

import hashlib
import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from django.template.loader import render_to_string
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from training.datasets import ham10000
from training.datasets.frozen import ham10000_splits
from training.datasets.ham10000 import DatasetIncomplete
from training.evaluation.leakage import FIGURES, WAYS, compare_ways
from training.evaluation.leakage_page import charts_of, kept_at, rows_of


class Command(BaseCommand):
    """``manage.py leakage --data FOLDER --weights FILE``: report.json and report.html in --output."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--data", type=Path, required=True, help="folder with HAM10000")
        parser.add_argument(
            "--weights", default="imagenet", help='"imagenet" (fetched), or a file of MobileNetV2 without top'
        )
        parser.add_argument("--splits", type=int, default=20, help="how many random splits (default: %(default)s)")
        parser.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for views and features")
        parser.add_argument(
            "--output",
            type=Path,
            default=kept_at().parent,
            help="default: where the page under /training/leakage/ looks, %(default)s",
        )

    def handle(self, *args: object, **options: Any) -> None:
        """Measure, write and print."""
        if options["splits"] < 2:
            raise CommandError("--splits: at least 2 are needed to say how far they differ")
        try:
            dataset = ham10000.read(options["data"], options["cache"])
        except DatasetIncomplete as error:
            raise CommandError(str(error)) from error
        features = _features(dataset, options["weights"], options["cache"])
        with Console(stderr=True) as console:
            steps = iter(track(range(options["splits"] * len(WAYS)), "splits", console=console, transient=True))
            groups = ham10000_splits(dataset.records).groups
            report = {
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
                "features": f"MobileNetV2, frozen, weights {Path(options['weights']).name}",
                **compare_ways(features, dataset.labels, groups, options["splits"], lambda: next(steps, None)),
            }
        options["output"].mkdir(parents=True, exist_ok=True)
        (options["output"] / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (options["output"] / "report.html").write_text(render_page(report), encoding="utf-8")
        for name, way in report["ways"].items():
            mean = way["mean"]
            self.stdout.write(
                f"{name:30} "
                + ", ".join(f"{figure} {mean[figure]:.3f}" for figure in FIGURES)
                + f"; {mean['with_sibling_in_training']:.0f} of {mean['test_images']:.0f} test images have a sibling"
            )
        self.stdout.write(f"written to {options['output']}: report.html, report.json")


def render_page(report: dict[str, Any]) -> str:
    """The report for people, one HTML file."""
    return render_to_string(
        "training/leakage.html", {"report": report, "ways": rows_of(report), "charts": charts_of(report)}
    )


def _features(dataset: ham10000.LabelledImages, weights: str, cache: Path) -> NDArray[np.float32]:
    """The frozen network's embeddings [n, 1280], kept in `cache` under the dataset and the weights that made them."""
    source = Path(weights).read_bytes() if Path(weights).is_file() else weights.encode()
    key = hashlib.sha256(source + dataset.fingerprint.encode()).hexdigest()[:16]
    kept = cache / f"features-{key}.npy"
    if kept.is_file():
        return np.asarray(np.load(kept), dtype=np.float32)
    # Imported here: Keras takes seconds, and kept features need none of it.
    from diagnosis.classifier.architecture import WeightsUnavailable, build_network

    try:
        network = build_network(weights)
    except WeightsUnavailable as error:
        raise CommandError(str(error)) from error
    steps = track(range(0, len(dataset.views), 64), "features", console=Console(stderr=True), transient=True)
    features = np.concatenate(
        [
            np.asarray(network(dataset.views[start : start + 64].astype(np.float32), training=False)["embedding"])
            for start in steps
        ]
    )
    cache.mkdir(parents=True, exist_ok=True)
    np.save(kept, features)
    return np.asarray(features, dtype=np.float32)
