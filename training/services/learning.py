"""What the process of a run does: gather the images, train, make a bundle, judge it on the frozen tests.

Imported only by ``training.child``, because it brings TensorFlow.
"""

import csv
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from diagnosis.classifier.architecture import WeightsUnavailable
from diagnosis.classifier.bundle import MANIFEST, BundleRefused
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from diagnosis.services.model_versions import NoVersionServes, open_bundle
from skincare.audit.record import record
from training.bundling import unfinished
from training.datasets.frozen import Splits
from training.datasets.ham10000 import LabelledImages
from training.datasets.manifest import Entry, Manifest, ManifestUnusable, SplitBy
from training.export import sha256_of
from training.fit import CheckpointForeign, TooFewImages, TrainingCancelled
from training.learning import ExportFailed, Material, Progress, ResourcesLacking, train
from training.models import Dataset, DatasetKind, TrainingRun
from training.models.runs import Stage
from training.recipes import RECIPES, Recipe
from training.services.confirmed_cases import open_views, still_allowed
from training.services.judging import judge_version
from training.services.lineage import Tested
from training.services.supervision import folder_of as folder_of_run
from training.starting import weights_from

Tell = Callable[..., None]

#: Names the patients' photographs that a run's checkpoint has learnt from.
OPENED: Final = "photographs.txt"
_BEGAN_ANEW: Final = "A patient's consent to research ended meanwhile: the run began anew without those photographs."

#: What ends a run for good, with a code each: trying again would end the same.
_HOPELESS: Final = {
    ManifestUnusable: "files_unusable",
    BundleRefused: "files_unusable",
    NoVersionServes: "no_champion",
    WeightsUnavailable: "weights_unavailable",
    ResourcesLacking: "resources_lacking",
    TooFewImages: "too_few_images",
    CheckpointForeign: "checkpoint_foreign",
    ExportFailed: "export_failed",
    MemoryError: "memory",
}


class CannotLearn(Exception):
    """A run that cannot succeed by being tried again; the text says what is wrong and what to do."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def folder_of(run_id: UUID) -> Path:
    """Where a run keeps its checkpoints."""
    return folder_of_run(TrainingRun(pk=run_id))


def learn_and_judge(run_id: UUID, tell: Tell) -> None:
    """Train what was asked for, unless it was already, and judge it.

    Raises:
        CannotLearn: the datasets, the weights to start from or the machine will not do.
    """
    run = TrainingRun.objects.get(pk=run_id)
    try:
        version = run.model_version or _learn(run, tell)
        tell(progress={"stage": Stage.JUDGING, "step": 0, "steps": 0, "seconds_left": None})
        tell(judgement=judge_version(version, run, lambda done, of: tell(progress={"step": done, "steps": of})))
    except tuple(_HOPELESS) as problem:
        code = next(code for kind, code in _HOPELESS.items() if isinstance(problem, kind))
        raise CannotLearn(code, str(problem) or "There is not memory enough for these datasets.") from problem


class Photographs:
    """The patients' photographs that a run has opened, and whether it may still learn from them."""

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self._asked = time.monotonic()

    def consent_ended(self) -> bool:
        """Whether a consent has ended since; asked at every step, it looks every few seconds."""
        if not self.opened or time.monotonic() - self._asked < settings.TRAINING_CONSENT_SECONDS:
            return False
        return self.consent_ended_now()

    def consent_ended_now(self) -> bool:
        """The same, looked up at once."""
        self._asked = time.monotonic()
        return bool(self.opened) and not still_allowed(self.opened)


def material_of(datasets: list[Dataset], by: SplitBy, photographs: Photographs) -> Material:
    """All images of the datasets. One dataset is read from its files; several are joined in memory, a picture once.

    A lesion that a frozen test holds is nobody's training, whatever another dataset says of the same lesion or picture:
    what such a dataset has of it is left out. Which patients' photographs were opened is noted in `photographs`.

    Raises:
        ManifestUnusable: files of one are not what its manifest says.
    """
    tests = list(Dataset.objects.current().with_frozen_test()) if by == "lesion" else []
    tested = Tested.by(tests)
    if len(datasets) == 1 and datasets[0].kind == DatasetKind.IMPORTED:
        folder = Path(settings.DATASETS_ROOT) / datasets[0].folder
        if not _tested_elsewhere(Manifest.load(folder), tested, by):
            return Material.of(folder, by)
    rows: dict[str, tuple[Entry, NDArray[np.uint8]]] = {}
    for dataset in datasets:
        folder = Path(settings.DATASETS_ROOT) / dataset.folder
        manifest = Manifest.load(folder)
        left_out = _tested_elsewhere(manifest, tested, by)
        for entry, view in _pictures(dataset, manifest, folder, photographs):
            if entry.record.image_id in left_out:
                continue
            rows.setdefault(entry.pixels, (entry, view))
    if not rows:
        raise CannotLearn("too_few_images", "No image of these datasets may be learnt from any more: build them again.")
    ordered = sorted(rows.values(), key=lambda row: row[0].record.image_id)
    images = LabelledImages(
        name=" + ".join(dataset.name for dataset in datasets),
        records=tuple(entry.record for entry, _ in ordered),
        views=np.stack([view for _, view in ordered]),
        fingerprint="+".join(dataset.fingerprint for dataset in datasets),
    )
    splits = Splits(
        np.array([entry.group for entry, _ in ordered]), np.array([entry.splits[by] for entry, _ in ordered])
    )
    licences = "; ".join(dict.fromkeys(dataset.licence for dataset in datasets))
    attributions = " ".join(dict.fromkeys(dataset.attribution for dataset in datasets))
    kept_out = tuple(dataset.fingerprint for dataset in tests)
    return Material(images, splits, by, licences, attributions, tests_kept_out=kept_out)


def _pictures(
    dataset: Dataset, manifest: Manifest, folder: Path, photographs: Photographs
) -> Iterator[tuple[Entry, NDArray[np.uint8]]]:
    """Each image of a dataset with its view; of confirmed cases those that may be used at this moment."""
    if dataset.kind == DatasetKind.IMPORTED:
        yield from zip(manifest.entries, manifest.views(folder), strict=True)
        return
    opened = open_views(dataset, manifest)
    photographs.opened.update(opened)
    for entry in manifest.entries:
        if entry.record.image_id in opened:
            yield entry, opened[entry.record.image_id]


def _tested_elsewhere(manifest: Manifest, tested: Tested, by: SplitBy) -> set[str]:
    """The images, by id, that a dataset would train on or choose by although a frozen test holds their lesion."""
    lesions = tested.lesions_of(manifest)
    return {
        entry.record.image_id for entry in manifest.entries if entry.group in lesions and entry.splits[by] != "test"
    }


def recipe_of(run: TrainingRun) -> Recipe:
    """The recipe of a run, with the number of epochs that was asked for."""
    recipe = RECIPES[run.recipe]
    epochs = run.options.get("epochs")
    return recipe if epochs is None else recipe.shortened(epochs)


def name_of(run: TrainingRun) -> str:
    """The name of the version that a run makes: the same however often the run is taken up."""
    return f"{run.recipe}-{run.created_at:%Y%m%d}-{run.pk.hex[:8]}"


def _learn(run: TrainingRun, tell: Tell) -> ModelVersion:
    recipe, name = recipe_of(run), name_of(run)
    folder, target = folder_of(run.pk), Path(settings.BUNDLES_ROOT) / name
    made = (target / MANIFEST).is_file()  # then only the word of it was lost, or the last question about consent
    while not (_allowed_since(folder) if made else _trained(run, recipe, name, target, tell)):
        made = False
        _forget(folder, target)
        record("training_run.began_anew", run, actor=None, details={"reason": "consent_ended"})
        tell(progress={"epoch": 0, "step": 0, "reason": "consent_ended", "reason_text": _BEGAN_ANEW})
    sha256 = sha256_of(target / MANIFEST)
    tell(bundle={"name": name, "manifest_sha256": sha256})
    # Not released, so not signed yet: it is opened by its digest, to be judged.
    return ModelVersion(name=name, origin=VersionOrigin.TRAINED, state=VersionState.CHALLENGER, manifest_sha256=sha256)


def _allowed_since(folder: Path) -> bool:
    """Whether all that a bundle has learnt from may still be learnt from; not where it was not noted."""
    opened = folder / OPENED
    return opened.is_file() and still_allowed(opened.read_text(encoding="ascii").split())


def _trained(run: TrainingRun, recipe: Recipe, name: str, target: Path, tell: Tell) -> bool:
    """Train and make the bundle in `target`. Returns False where a consent ended that it had learnt under."""
    folder, photographs = folder_of(run.pk), Photographs()
    tell(progress={"stage": Stage.PREPARING, "epochs": recipe.epochs})
    datasets = list(run.datasets.order_by("fingerprint"))
    material = material_of(datasets, recipe.split, photographs)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    opened = folder / OPENED
    if opened.is_file() and not photographs.opened.issuperset(opened.read_text(encoding="ascii").split()):
        return False
    opened.write_text("\n".join(sorted(photographs.opened)), encoding="ascii")
    for row in _told_before(folder):
        tell(curve=row)
    try:
        train(
            recipe,
            material,
            folder,
            name=name,
            weights=weights_from(_start_of(run)),
            on_progress=Relay(tell),
            cancelled=photographs.consent_ended,
            told={"run": str(run.pk), "options": run.options, "datasets": [each.fingerprint for each in datasets]},
            target=target,
        )
    except TrainingCancelled:
        return False
    return not photographs.consent_ended_now()


def _forget(folder: Path, target: Path) -> None:
    """Remove all that was learnt, which holds traces of what may no longer be learnt from."""
    for made in (target, unfinished(target)):
        shutil.rmtree(made, ignore_errors=True)
    for path in (*folder.glob("*.npz"), *folder.glob("*.weights.h5"), folder / "curve.csv", folder / OPENED):
        path.unlink(missing_ok=True)


def _start_of(run: TrainingRun) -> str:
    wanted = str(run.options["init_weights"])
    if wanted in ("imagenet", "none"):
        return wanted
    return str(open_bundle(ModelVersion.objects.get(name=run.options["initial_version"])).folder)


class Relay:
    """Passes on what training tells: at most twice a second, but each epoch's row of the curve always."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        """Hear one step."""
        now = time.monotonic()
        moment = progress.moment
        if moment is not None and moment.row is not None:
            self._tell(curve=_row(moment.row))
        elif now - self._last < 0.5:
            return
        self._last = now
        told: dict[str, Any] = {"stage": Stage(progress.stage), "step": progress.done, "steps": progress.total}
        if moment is not None:
            told |= {
                "epoch": moment.epoch if moment.row is not None else moment.epoch - 1,
                "step": moment.step,
                "steps": moment.steps,
                "seconds_left": moment.seconds_left,
            }
        self._tell(progress=told)


def _told_before(folder: Path) -> list[dict[str, float]]:
    """The rows of the curve that a run which is continued has: the last word of the process before may be lost."""
    path = folder / "curve.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return [_row({name: float(value) for name, value in row.items() if value}) for row in csv.DictReader(lines)]


def _row(row: Mapping[str, float | None]) -> dict[str, float]:
    """A row of the curve without what is no number, which JSON in a database cannot hold."""
    return {name: value for name, value in row.items() if isinstance(value, (int, float)) and np.isfinite(value)}
