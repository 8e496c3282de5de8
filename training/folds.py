"""A recipe measured by lesion folds: each lesion outside the frozen test is answered by a network that never saw it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.datasets.frozen import Splits
from training.datasets.splits import fold_of
from training.evaluation import metrics
from training.evaluation.calibration import fit_temperature, tempered_priors
from training.evaluation.report import Answers, overall
from training.evaluation.thresholds import risk_for_sensitivity, risk_for_specificity
from training.fit import averaged, outputs_of
from training.learning import Material, Tell, fit
from training.recipes import Recipe

FOLDS: Final = "folds.json"
LOGITS: Final = "folds.npz"


def fold_splits(splits: Splits, fold: int, folds: int) -> Splits:
    """The split in which one fold of the lesion groups is validation, the rest training, and the test what it was."""
    held = np.array([fold_of(str(group), folds) == fold for group in splits.groups])
    split = np.where(splits.split == "test", "test", np.where(held, "validation", "training"))
    return Splits(splits.groups, split)


def _with_part(on_progress: Tell, part: str) -> Tell:
    return lambda progress: on_progress(replace(progress, part=part))


def cross_validate(
    recipe: Recipe,
    material: Material,
    run: Path,
    folds: int,
    *,
    weights: list[NDArray[np.float32]] | None,
    on_progress: Tell = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train on all folds but one, `folds` times over, each in a folder below `run`; then measure all answers together.

    Returns the figures with intervals over lesion groups, and writes them to `run`/folds.json with all natural logits
    in folds.npz. Temperature and thresholds are chosen on these same answers. Raises what `learning.fit` raises.
    """
    count = len(material.images.records)
    logits = np.full((count, 7), np.nan, dtype=np.float64)
    priors = []
    for fold in range(folds):
        splits = fold_splits(material.splits, fold, folds)
        training = fit(
            recipe,
            replace(material, splits=splits),
            run / f"fold{fold + 1}of{folds}",
            weights=weights,
            on_progress=_with_part(on_progress, f"fold {fold + 1} of {folds}, "),
            cancelled=cancelled,
        )
        network = averaged([training.weights_after(training.best_epoch)])
        held = splits.positions("validation")
        said = outputs_of(network, material.examples(held).taken(np.arange(len(held)))).logits
        logits[held] = said + recipe.prior_adjustment * np.log(training.priors)
        priors.append(training.priors)
        keras.backend.clear_session()
    answered = np.flatnonzero(np.isfinite(logits).all(axis=1))
    labels, groups = material.images.labels[answered], material.splits.groups[answered]
    temperature = fit_temperature(logits[answered], labels)
    answers = Answers(
        labels,
        softmax(logits[answered] / temperature, axis=1),
        groups,
        tempered_priors(np.mean(priors, axis=0), temperature),
    )
    malignant = metrics.is_malignant(labels)
    thresholds = {
        "refer": risk_for_sensitivity(answers.risks, malignant, 0.95),
        "refer_urgently": risk_for_specificity(answers.risks, malignant, 0.95),
    }
    figures = overall(answers, thresholds)
    report = {
        "folds": folds,
        "images": len(answered),
        "lesions": len(set(groups)),
        "temperature": temperature,
        "chosen_on": "the same answers",
        "summary": f"balanced accuracy {figures['balanced_accuracy']}, malignant AUC {figures['malignant_auc']}",
        "figures": figures,
    }
    ids = np.array([material.images.records[place].image_id for place in answered])
    np.savez(run / LOGITS, image_ids=ids, labels=labels, groups=groups, logits=logits[answered])
    (run / FOLDS).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report
