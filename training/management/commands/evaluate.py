"""Judges a version of the network on labelled photographs: report.json, report.html and predictions.csv."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from diagnosis.classifier.bundle import Bundle, BundleRefused
from diagnosis.classifier.network import Network
from diagnosis.classifier.taxonomy import CLASSES
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import SPLITS_BY, ManifestUnusable, find
from training.datasets.splits import Split
from training.evaluation import judgement, page
from training.evaluation.judgement import Judged
from training.evaluation.labelled import LabelsRefused, Picture, Problems, find_pictures, read_labels
from training.evaluation.map_focus import find_masks
from training.evaluation.stored import StoredSplit, open_split
from training.evaluation.versions import open_version

#: So many names of a kind of problem are printed; the report holds them all.
_PRINTED: Final = 5


class Command(BaseCommand):
    """``manage.py evaluate --images FOLDER_OR_ZIP --labels CSV``, or ``--dataset NAME``: no server, no database."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--images",
            type=Path,
            nargs="+",
            default=[],
            metavar="FOLDER_OR_ZIP",
            help="BMP, PNG and JPEG files named by their image id",
        )
        parser.add_argument("--labels", type=Path, metavar="CSV", help="as HAM10000's metadata, or ISIC 2018's one-hot")
        parser.add_argument("--dataset", help="instead of both: name, beginning of the fingerprint, or folder")
        parser.add_argument("--split", choices=get_args(Split), default="test", help="of the dataset; %(default)s")
        parser.add_argument(
            "--by", choices=SPLITS_BY, default="lesion", help="by which rule the dataset is split; default: %(default)s"
        )
        parser.add_argument(
            "--strangers",
            action="store_true",
            help="leave out images of lesions of which the version's training held another image",
        )
        parser.add_argument(
            "--model", metavar="NAME", help="a version's name, or the folder of a bundle (default: the one that ships)"
        )
        parser.add_argument(
            "--output", type=Path, default=Path("var/evaluation"), metavar="FOLDER", help="default: %(default)s"
        )

        parser.add_argument(
            "--masks",
            type=Path,
            nargs="+",
            default=[],
            metavar="FOLDER_OR_ZIP",
            help="lesions' outlines, IMAGE_ID_segmentation.png as HAM10000's: do activation maps look at the lesion",
        )

    def handle(self, *args: object, **options: Any) -> None:
        """Judge, write, and say what was found and what could not be used."""
        problems = Problems()
        output: Path = options["output"]
        try:
            bundle, digest = open_version(options["model"])
            network = Network.open(bundle)
            material = _material(options, bundle, problems)
            masks = find_masks(options["masks"])
            output.mkdir(parents=True, exist_ok=True)
        except BundleRefused as error:
            raise CommandError(f"the network cannot be loaded: {error}") from error
        except (LabelsRefused, ManifestUnusable) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{output}: cannot be written ({error.strerror})") from error
        with _progress(len(material.pictures)) as advance:
            reviewed = judgement.review(network, material.records, material.pictures, problems, advance, masks)
        self._name_problems(problems)
        if not reviewed.judged:
            raise CommandError("nothing to judge: no labelled image could be read; the lines above say why")
        report = judgement.report(reviewed, problems, bundle, digest)
        if isinstance(material, StoredSplit):
            report |= {"dataset": material.told, "known_to_the_training": material.known}
        html = page.render_page(report, judgement.surest_mistakes(reviewed.judged), examples(reviewed.judged), network)
        try:
            (output / "report.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            (output / "report.html").write_text(html, encoding="utf-8")
            judgement.write_predictions(output / "predictions.csv", reviewed.judged, bundle)
        except OSError as error:
            raise CommandError(f"{output}: cannot be written ({error.strerror})") from error
        for label, name in page.HEADLINES:
            self.stdout.write(f"{label:48} {page.figure(report, name)}")
        self.stdout.write(
            f"abstained on {report['abstained']} of {report['images']} images of {report['lesions']} lesions"
        )
        met = report["known_to_the_training"]
        if met["training"] or met["validation"]:
            self.stdout.write(
                f"{met['training']} of them show a lesion that is in its training, {met['validation']} more one that "
                "chose its thresholds"
            )
        self.stdout.write(f"{report['images_per_second']} images a second")
        self.stdout.write(f"written to {output}: report.html, report.json, predictions.csv")

    def _name_problems(self, problems: Problems) -> None:
        for kind, found in problems.as_dict().items():
            if found:
                pairs = found.items() if isinstance(found, dict) else ((name, "") for name in found)
                named = [f"{name} ({why})" if why else name for name, why in list(pairs)[:_PRINTED]]
                more = f" and {len(found) - _PRINTED} more" if len(found) > _PRINTED else ""
                self.stderr.write(f"{kind.replace('_', ' ')}: {len(found)}: {'; '.join(named)}{more}")


@dataclass(frozen=True)
class _Given:
    """Somebody's photographs and their labels."""

    records: list[LabelledImage]
    pictures: dict[str, Picture]


def _material(options: dict[str, Any], bundle: Bundle, problems: Problems) -> _Given | StoredSplit:
    images, labels, dataset = options["images"], options["labels"], options["dataset"]
    if (dataset is None) == (not images and labels is None):
        raise CommandError("give either --images with --labels, or --dataset")
    if dataset is not None:
        folder = find(dataset, Path(settings.DATASETS_ROOT))
        return open_split(folder, options["by"], options["split"], bundle, options["strangers"])
    if not images or labels is None:
        raise CommandError("--images and --labels are given together: the photographs, and what they show")
    if options["strangers"]:
        raise CommandError("--strangers needs --dataset: of other photographs it cannot be told who has met them")
    records = read_labels(labels, problems)
    return _Given(records, find_pictures(images, [record.image_id for record in records], problems))


def examples(judged: list[Judged]) -> list[Judged]:
    """The first image, by its id, of each class that was named rightly."""
    right = [each for each in judged if not each.abstained_for and each.predicted == each.record.diagnosis]
    first = {each.record.diagnosis: each for each in reversed(right)}
    return [first[code] for code in CLASSES if code in first]


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=total)
        yield lambda: bar.advance(task)
