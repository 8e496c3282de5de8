"""The end of a run: from the epoch that is kept to a bundle that can answer. Needs Keras on TensorFlow, for TFLite.

`python -m training.bundling RUN` makes the bundle that RUN/request.json asks for, after a run on another backend.
"""

import json
import shutil
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.evaluation.report import overall
from training.evaluation.statistics import DRAWS
from training.export import write_files, write_manifest
from training.fit import TooFewImages
from training.learning import REQUEST, Material
from training.recipes import Augmentation, Recipe, Stage
from training.release import Candidate, manifest_of

#: What the manifest says of a split. By image, the frozen test of the lesions has been trained on.
RULES = {
    "lesion": "by hash of lesion group, near-duplicates joined",
    "image": "by image, as the paper: siblings of the test images, and the frozen test, were trained on",
}


def unfinished(target: Path) -> Path:
    """Where a bundle is made before it stands, whole, in ``target``."""
    return target.with_name(f"{target.name}.partial")


def make_bundle(recipe: Recipe, material: Material, weights: Path, request: dict[str, Any]) -> Path:
    """Make the bundle `request["name"]` in the folder `request["target"]`, all or nothing, from an epoch's `weights`.

    Temperature, thresholds and novelty are chosen on validation; the test is not read.
    """
    try:
        candidate = Candidate([weights], recipe, material.images, material.splits, None)
    except ValueError as problem:
        raise TooFewImages(f"validation cannot choose thresholds: {problem}; give more lesions") from problem
    target = Path(request["target"])
    partial = unfinished(target)
    shutil.rmtree(partial, ignore_errors=True)
    write_files(partial, candidate.network, candidate.model, candidate.novelty)
    figures = {
        "measured": datetime.now(UTC).date().isoformat(),
        "intervals": f"95 %, bootstrap over lesion groups, {DRAWS} draws",
        "validation": overall(candidate.validation, candidate.thresholds),
    }
    dataset = {
        "name": material.images.name,
        "fingerprint": material.images.fingerprint,
        "split": {split: len(material.splits.positions(split)) for split in ("training", "validation", "test")}
        | {"by": material.split_by, "rule": RULES[material.split_by]},
        "licence": material.licence,
        "attribution": material.attribution,
        "tests_kept_out": list(material.tests_kept_out),
    }
    training = {**asdict(recipe), "kept_epoch": request["epoch"], "curve": request["curve"], **request["told"]}
    write_manifest(partial, manifest_of(request["name"], candidate, figures, dataset, training))
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.rename(target)
    return target


def recipe_from(content: dict[str, Any]) -> Recipe:
    """The recipe that `dataclasses.asdict` wrote."""
    stages = tuple(Stage(**stage) for stage in content["stages"])
    return Recipe(**{**content, "stages": stages, "augmentation": Augmentation(**content["augmentation"])})


def main() -> None:
    """Make the bundle of the run that the command line names."""
    run = Path(sys.argv[1])
    request = json.loads((run / REQUEST).read_text(encoding="utf-8"))
    material = Material.of(Path(request["dataset"]), request["split_by"])
    weights = run / f"epoch{request['epoch']:02d}.weights.h5"
    make_bundle(recipe_from(request["recipe"]), material, weights, request)


if __name__ == "__main__":
    main()
