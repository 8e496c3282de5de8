"""Which versions of the network were trained on an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from diagnosis.models import ModelVersion
from training.datasets.manifest import Manifest
from training.models import Dataset, TrainingRun
from training.recipes import RECIPES


@dataclass(frozen=True)
class Use:
    """One use of an image: in which dataset, for what (training, validation or test), and by which version."""

    dataset: Dataset
    split: str
    version: ModelVersion | None


def lineage_of(image: str) -> list[Use]:
    """Every use of an image, by its id in a collection or on this platform; without a version where none was made yet.

    Raises:
        ManifestUnusable: files of a dataset are not what its manifest says.
    """
    uses: list[Use] = []
    for dataset in Dataset.objects.all():
        manifest = Manifest.load(Path(settings.DATASETS_ROOT) / dataset.folder)
        entry = next((each for each in manifest.entries if each.record.image_id == image), None)
        if entry is None:
            continue
        made = [
            Use(dataset, entry.splits[RECIPES[run.recipe].split], run.model_version)
            for run in TrainingRun.objects.filter(datasets=dataset, model_version__isnull=False).exclude(recipe="")
        ]
        made += [Use(dataset, entry.splits["lesion"], version) for version in _shipped_from(manifest)]
        uses += made or [Use(dataset, entry.splits["lesion"], None)]
    return uses


def _shipped_from(manifest: Manifest) -> Iterator[ModelVersion]:
    """Versions that came with the program and say in their manifest that they were trained on this dataset."""
    for version in ModelVersion.objects.filter(training_run__recipe="") | ModelVersion.objects.filter(
        training_run__isnull=True
    ):
        if version.manifest.get("dataset", {}).get("fingerprint") == manifest.fingerprint:
            yield version
