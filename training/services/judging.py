"""A challenger against the champion on the frozen tests: both read the same images, as they are served."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from diagnosis.classifier.network import Network
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import ModelVersion
from diagnosis.services.model_versions import champion, open_bundle
from training import gates
from training.datasets.ham10000 import LabelledImage
from training.datasets.manifest import Manifest
from training.evaluation.comparison import Predictions, compare
from training.evaluation.report import Answers, age_band
from training.models import Dataset, TrainingRun
from training.services.lineage import Learner, Tested, manifest_of

#: So many views are read between two words about the progress.
_STRIDE: Final = 50


@dataclass(frozen=True)
class FrozenTests:
    """The images of all frozen tests: records, labels [n], lesion groups [n], views uint8 [n, 224, 224, 3].

    `pixels` [n] are the sha256 of the views; `fingerprints` and `names` are those of the datasets.
    """

    records: list[LabelledImage]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    views: NDArray[np.uint8]
    pixels: list[str]
    fingerprints: list[str]
    names: list[str]

    @classmethod
    def open(cls) -> "FrozenTests | None":
        """Those of the current datasets, or nothing where none was imported. A picture that is in two counts once.

        Raises:
            ManifestUnusable: the files of one are not what its manifest says.
        """
        records: list[LabelledImage] = []
        groups: list[str] = []
        labels: list[NDArray[np.int64]] = []
        views: list[NDArray[np.uint8]] = []
        pixels: list[str] = []
        seen: set[str] = set()
        datasets = list(Dataset.objects.current().with_frozen_test().order_by("fingerprint"))
        for dataset in datasets:
            folder = Path(settings.DATASETS_ROOT) / dataset.folder
            manifest = Manifest.load(folder)
            here = [
                each
                for each in manifest.splits("lesion").positions("test")
                if manifest.entries[each].pixels not in seen
            ]
            pixels += [manifest.entries[each].pixels for each in here]
            seen.update(pixels)
            records += [manifest.entries[each].record for each in here]
            groups += [manifest.entries[each].group for each in here]
            labels.append(manifest.labels[here])
            views.append(manifest.views(folder)[here])
        if not records:
            return None
        return cls(
            records=records,
            labels=np.concatenate(labels),
            groups=np.array(groups),
            views=np.concatenate(views),
            pixels=pixels,
            fingerprints=[dataset.fingerprint for dataset in datasets],
            names=[str(dataset) for dataset in datasets],
        )

    def subgroups(self) -> gates.Subgroups:
        """By sex, age band and site. Skin type has no labels here."""
        return {
            "sex": np.array([record.sex for record in self.records]),
            "age": np.array([age_band(record.age) for record in self.records]),
            "site": np.array([record.site for record in self.records]),
        }


def read_tests(version: ModelVersion, tests: FrozenTests, progress: Callable[[int], None]) -> gates.Said:
    """What a version says of the tests, through the backend of a CPU. ``progress`` hears how many were read."""
    bundle = open_bundle(version)
    network = Network.open(bundle, backend="litert", threads=2)
    readings = []
    for start in range(0, len(tests.views), _STRIDE):
        readings += network.read(np.ascontiguousarray(tests.views[start : start + _STRIDE]))
        progress(len(readings))
    return gates.Said(
        answers=Answers(
            labels=tests.labels,
            probabilities=np.array([reading.probabilities for reading in readings]),
            groups=tests.groups,
            priors=bundle.class_priors,
        ),
        refer=bundle.thresholds.refer,
        novel=np.array([reading.novel for reading in readings]),
    )


def disjoint(learner: Learner, tests: FrozenTests) -> gates.Gate:
    """Whether no tested lesion was in its training or validation, or in that of a version that it started from.

    Raises:
        ManifestUnusable: files of a dataset that was learnt from are not what its manifest says.
    """
    tested = Tested(frozenset(tests.groups.tolist()), frozenset(tests.pixels))
    found = []
    for each in learner.ancestry():
        if seen := _learnt(each, tested, tests):
            whose = "its training or validation"
            if each is not learner:
                whose = f"the training or validation of {each.name}, whose weights it started from"
            found.append(f"Tested lesions that were in {whose}: {seen}.")
    return gates.Gate(
        "disjoint",
        "No tested lesion was trained on",
        not found,
        " ".join(found)
        or "No lesion and no picture of the frozen tests was in its training or validation, or in that of a version "
        "whose weights it started from.",
    )


def _learnt(learner: Learner, tested: Tested, tests: FrozenTests) -> int:
    """How many of the tested lesions a version itself has learnt from or chosen by."""
    groups: set[str] = set()
    pictures: set[str] = set()
    for dataset in learner.datasets():
        manifest = manifest_of(dataset)
        splits, lesions = learner.splits_of(dataset, manifest), tested.lesions_of(manifest)
        learnt = {entry.group for entry in manifest.entries if splits.get(entry.record.image_id, "test") != "test"}
        groups |= learnt & lesions
        pictures.update(entry.pixels for entry in manifest.entries if entry.group in learnt & lesions)
    return len(
        {
            group
            for group, picture in zip(tests.groups, tests.pixels, strict=True)
            if group in groups or picture in pictures
        }
    )


def tests_of_difference(
    versions: tuple[ModelVersion, ModelVersion], said: tuple[gates.Said, gates.Said], tests: FrozenTests, draws: int
) -> dict[str, Any]:
    """What ``manage.py compare`` prints of two versions on the tests, ready for JSON: what is no number is None."""

    def answers_of(version: ModelVersion, said: gates.Said) -> Predictions:
        return Predictions(
            model=version.name,
            images=np.array([record.image_id for record in tests.records]),
            lesions=tests.groups,
            truth=tests.labels,
            predicted=said.answers.predicted,
            risks=said.answers.risks,
            melanoma=said.answers.probabilities[:, CLASSES.index("mel")],
        )

    first, second = (answers_of(*each) for each in zip(versions, said, strict=True))
    found: dict[str, Any] = _finite(compare(first, second, draws))
    return found


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    return None if isinstance(content, float) and not np.isfinite(content) else content


def judge_version(version: ModelVersion, run: TrainingRun, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """The verdict on a challenger, ready to be stored: gates, comparison, and what both were judged with.

    Without a frozen test there are no gates and no comparison, and so no release. ``progress`` hears how many of how
    many views were read.

    Raises:
        NoVersionServes: there is no champion to compare with.
        BundleRefused, ManifestUnusable: files are missing or were changed.
    """
    serving = champion()
    verdict: dict[str, Any] = {
        "judged_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "champion": {"id": str(serving.pk), "name": serving.name},
        "declared": dict(settings.TRAINING_GATES),
        "tests": [],
        "test_names": [],
        "gates": [],
        "comparison": [],
        "tests_of_difference": {},
    }
    tests = FrozenTests.open()
    if tests is None:
        return verdict
    total = 2 * len(tests.labels)
    was = read_tests(serving, tests, lambda done: progress(done, total))
    now = read_tests(version, tests, lambda done: progress(total // 2 + done, total))
    wanted = gates.Gates.declared()
    # A version that is judged for the first time is not in the register yet.
    learner = Learner(version.name, open_bundle(version).manifest, run if run.recipe else None)
    return verdict | {
        "tests": tests.fingerprints,
        "test_names": tests.names,
        "images": len(tests.labels),
        "lesions": len(np.unique(tests.groups)),
        "gates": [
            asdict(gate) for gate in (disjoint(learner, tests), *gates.check(wanted, was, now, tests.subgroups()))
        ],
        "comparison": gates.compare(was, now, wanted.draws),
        "tests_of_difference": tests_of_difference((version, serving), (now, was), tests, wanted.draws),
    }
