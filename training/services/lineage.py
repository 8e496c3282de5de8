"""What versions of the network have learnt from, themselves and through the version whose weights they started from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from django.conf import settings

from diagnosis.models import ModelVersion
from training.datasets.manifest import Manifest
from training.datasets.splits import Split
from training.evaluation.stored import trained_by, trained_on
from training.models import Dataset, DatasetKind, TrainingRun
from training.recipes import RECIPES


def manifest_of(dataset: Dataset) -> Manifest:
    """The manifest of a registered dataset. Raises `ManifestUnusable`."""
    return Manifest.load(Path(settings.DATASETS_ROOT) / dataset.folder)


@dataclass(frozen=True)
class Tested:
    """What frozen tests hold: the names of lesion groups, and pictures (SHA-256 of the pixels)."""

    groups: frozenset[str]
    pixels: frozenset[str]

    @classmethod
    def by(cls, datasets: Iterable[Dataset]) -> Self:
        """What the frozen tests of these datasets hold. Raises `ManifestUnusable`."""
        entries = [
            entry for dataset in datasets for entry in manifest_of(dataset).entries if entry.splits["lesion"] == "test"
        ]
        return cls(frozenset(entry.group for entry in entries), frozenset(entry.pixels for entry in entries))

    def lesions_of(self, manifest: Manifest) -> set[str]:
        """The lesion groups of a dataset that are tested: by their name, or because a picture of theirs is."""
        return {entry.group for entry in manifest.entries if entry.group in self.groups or entry.pixels in self.pixels}


@dataclass(frozen=True)
class Learner:
    """Who has learnt: a version by its name, its bundle.json and, where it was trained here, its run."""

    name: str
    bundle: Mapping[str, Any]
    run: TrainingRun | None

    @classmethod
    def of(cls, version: ModelVersion) -> Self:
        """A registered version."""
        run = TrainingRun.objects.filter(model_version=version).exclude(recipe="").first()
        return cls(version.name, version.manifest, run)

    def ancestry(self) -> list["Learner"]:
        """Itself, the version whose weights it started from, the one that this started from, and so on."""
        found = [self]
        while (run := found[-1].run) is not None and "initial_version" in run.options:
            found.append(Learner.of(ModelVersion.objects.get(name=run.options["initial_version"])))
        return found

    def datasets(self) -> Iterable[Dataset]:
        """Those that it may have learnt from: its run's, or any import where it was not trained here."""
        return self.run.datasets.all() if self.run else Dataset.objects.filter(kind=DatasetKind.IMPORTED)

    def splits_of(self, dataset: Dataset, manifest: Manifest) -> dict[str, Split]:
        """What each image of a dataset, by its id, was to this training; empty where it did not learn from it.

        A lesion that was kept out, because a frozen test of then holds it, counts as tested.

        Raises:
            ManifestUnusable: files of a dataset whose frozen test was kept out are not what its manifest says.
        """
        if dataset not in self.datasets() or (self.run is None and not trained_on(self.bundle, manifest)):
            return {}
        by = RECIPES[self.run.recipe].split if self.run else trained_by(self.bundle)
        kept_out = self.bundle.get("dataset", {}).get("tests_kept_out", [])
        tested = Tested.by(Dataset.objects.filter(fingerprint__in=kept_out)).lesions_of(manifest)
        return {
            entry.record.image_id: "test" if entry.group in tested else entry.splits[by] for entry in manifest.entries
        }


@dataclass(frozen=True)
class Use:
    """One use of an image: in which dataset, for what (training, validation or test), and by which version.

    `through` names the version whose weights it started from, itself or by others, and which used the image.
    """

    dataset: Dataset
    split: Split
    version: ModelVersion | None
    through: str = ""


def lineage_of(image: str) -> list[Use]:
    """Every use of an image, by its id in a collection or on this platform; without a version where none was made yet.

    Raises:
        ManifestUnusable: files of a dataset are not what its manifest says.
    """
    versions = [(version, Learner.of(version).ancestry()) for version in ModelVersion.objects.order_by("created_at")]
    uses: list[Use] = []
    for dataset in Dataset.objects.all():
        manifest = manifest_of(dataset)
        entry = next((each for each in manifest.entries if each.record.image_id == image), None)
        if entry is None:
            continue
        learners = {each.name: each for _, ancestry in versions for each in ancestry}
        splits = {name: learner.splits_of(dataset, manifest).get(image) for name, learner in learners.items()}
        made: list[Use] = []
        for version, ancestry in versions:
            nearest: dict[Split, Use] = {}
            for each in ancestry:
                if (split := splits[each.name]) is not None:
                    through = "" if each.name == version.name else each.name
                    nearest.setdefault(split, Use(dataset, split, version, through))
            made += nearest.values()
        uses += made or [Use(dataset, entry.splits["lesion"], None)]
    return uses
