"""Make a bundle from trained weights (`python -m training.release --help` names what it needs).

Everything is chosen on validation: temperature, thresholds, novelty. The frozen test is read only with `--report`, when
nothing is left to choose; without it the bundle holds validation's figures alone.
"""

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from diagnosis.classifier import shipped
from diagnosis.classifier.architecture import ARCHITECTURE
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import PREPROCESSING
from training import novelty
from training.batches import Examples, class_priors
from training.datasets import foreign, ham10000, isic2018
from training.datasets.frozen import Splits, ham10000_splits
from training.datasets.splits import Split
from training.evaluation import metrics
from training.evaluation.calibration import fit_temperature, tempered_priors
from training.evaluation.figures import estimates
from training.evaluation.framing import ALTERED, altered
from training.evaluation.report import Answers, by_class, confusion, overall, subgroups
from training.evaluation.statistics import share_interval
from training.evaluation.thresholds import risk_for_sensitivity, risk_for_specificity
from training.export import Exported, check_same_answers, natural_network, to_tflite, write_files, write_manifest
from training.fit import Outputs, averaged, outputs_of, settle_normalisation
from training.recipes import RECIPES, Recipe

BUNDLES: Final = Path("diagnosis/classifier/bundles")
SHIPPED: Final = Path("diagnosis/classifier/shipped.py")

#: `refer`: the least risk that keeps this sensitivity for malignant lesions on validation.
REFER_SENSITIVITY: Final = 0.95
#: `refer_urgently`: the risk that so many of the benign lesions stay below on validation.
URGENT_SPECIFICITY: Final = 0.95
#: So many training images, as they are, may settle the batch normalisations for service.
SETTLED_ON: Final = 960
#: Of the training split, so many lesions lend the skin beside them, and themselves enlarged, to teach what is foreign.
TAUGHT_BY: Final = 2400

_SHIPPED_TEXT: Final = '''\
"""The bundle that ships with the product, those that shipped before, and the digests of their manifests."""

from typing import Final

SHIPPED_BUNDLE: Final = "{name}"
SHIPPED_MANIFEST_SHA256: Final = "{sha256}"
EARLIER: Final[dict[str, str]] = {earlier}
'''


#: The box of a lesion that may be anywhere: it leaves no skin beside it.
WHOLE_FRAME: Final = (0.0, 0.0, 1.0, 1.0)


def averaged_for_service(
    weights: list[Path], plain: NDArray[np.uint8], validation: Examples, adjustment: NDArray[np.float64]
) -> tuple[keras.Model, bool]:
    """The mean of several weights, its batch normalisations measured anew on `plain` images where that is better.

    The measure is the cross-entropy on validation at the best temperature; `adjustment` [7] makes the logits natural.
    Measured anew, the first bundle's balanced accuracy rose from 0.731 to 0.749; the cross-entropy of a network which
    learnt from teachers rose too, from 0.456 to 0.487 (docs/experiments.md). Also returns whether they were.
    """
    as_trained, settled = averaged(weights), averaged(weights)
    settle_normalisation(settled, plain)

    def cross_entropy(network: keras.Model) -> float:
        logits = outputs_of(network, validation.views).logits + adjustment
        said = log_softmax(logits / fit_temperature(logits, validation.labels), axis=1)
        return -float(said[np.arange(len(said)), validation.labels].mean())

    anew = cross_entropy(settled) <= cross_entropy(as_trained)
    return (settled if anew else as_trained), anew


class Candidate:
    """A trained network made ready to serve: natural logits, temperature, thresholds and novelty, all by validation.

    Measured as it is served, through the exported model. `data` is the folder with the lesions' boxes; without it no
    bare skin teaches the novelty, because nobody knows where in a frame skin is bare.
    """

    def __init__(
        self, weights: list[Path], recipe: Recipe, dataset: ham10000.LabelledImages, splits: Splits, data: Path | None
    ) -> None:
        labels = dataset.labels
        training, validation = splits.positions("training"), splits.positions("validation")
        self.class_shares = class_priors(labels[training])
        some = np.random.default_rng(recipe.seed).permutation(training)[:SETTLED_ON]
        trained, self.settled = averaged_for_service(
            weights,
            dataset.views[some],
            Examples(dataset.views[validation], labels[validation]),
            recipe.prior_adjustment * np.log(self.class_shares),
        )
        self.network = natural_network(trained, self.class_shares, recipe.prior_adjustment)
        self.model = to_tflite(self.network)
        check_same_answers(self.model, self.network, dataset.views[validation[:64]])
        self.exported = Exported(self.model)
        said = self.exported.outputs_of(dataset.views[validation])
        self.temperature = fit_temperature(said.logits, labels[validation])
        # On validation: balanced accuracy 0.792, against 0.758 when correcting for the untempered shares.
        self.priors = tempered_priors(self.class_shares, self.temperature)
        self.validation = self.answers(said, labels[validation], splits.groups[validation])
        malignant = metrics.is_malignant(self.validation.labels)
        self.thresholds = {
            "refer": risk_for_sensitivity(self.validation.risks, malignant, REFER_SENSITIVITY),
            "refer_urgently": risk_for_specificity(self.validation.risks, malignant, URGENT_SPECIFICITY),
        }
        known = self.exported.outputs_of(dataset.views[training]).embeddings
        teachers = np.random.default_rng(recipe.seed).permutation(training)[:TAUGHT_BY]
        boxes = foreign.lesion_boxes(data / "HAM10000_boxes.csv") if data is not None else {}
        around = [boxes[dataset.records[each].image_id] if boxes else WHOLE_FRAME for each in teachers]
        enlarged = foreign.enlarged_lesions(dataset.views[teachers], around)
        strangers = foreign_pictures(dataset.views[teachers], around, "training", seed=100)
        self.novelty, self.farthest = novelty.learn(
            known,
            self.exported.outputs_of(enlarged).embeddings,
            np.concatenate([self.exported.outputs_of(each).embeddings for each in strangers.values()]),
            said.embeddings,
        )
        self.accepted = 1.0 - self.rejected(said)

    def answers(self, said: Outputs, labels: NDArray[np.int64], groups: NDArray[np.str_]) -> Answers:
        """Calibrated answers from outputs."""
        probabilities = softmax(said.logits.astype(np.float64) / self.temperature, axis=1)
        return Answers(labels, probabilities, groups, self.priors)

    def rejected(self, said: Outputs) -> float:
        """The share of views that are unlike the training images."""
        return float(np.mean(self.novelty.distance(said.embeddings) > self.farthest))

    def rejected_foreign(
        self, data: Path, views: NDArray[np.uint8], images: list[str], split: Split, seed: int
    ) -> dict[str, dict[str, float]]:
        """How many of each kind of foreign picture are rejected; skin is taken from beside the given lesions."""
        boxes = foreign.lesion_boxes(data / "HAM10000_boxes.csv")
        table = {}
        for kind, pictures in foreign_pictures(views, [boxes[image] for image in images], split, seed).items():
            share = self.rejected(self.exported.outputs_of(pictures))
            rejected = round(share * len(pictures))
            low, high = share_interval(rejected, len(pictures))
            table[kind] = {"rejected": rejected, "images": len(pictures), "low": round(low, 4), "high": round(high, 4)}
        return table


def foreign_pictures(
    views: NDArray[np.uint8], boxes: list[tuple[float, float, float, float]], split: Split, seed: int
) -> dict[str, NDArray[np.uint8]]:
    """Pictures that are no lesions, by kind: the photographs of `split`, and the skin beside the lesions in `views`."""
    rng = np.random.default_rng(seed)
    return {
        "photographs": foreign.photographs(rng, 15, split),
        "pages_of_text": foreign.pages(rng, 100),
        "textures_and_noise": foreign.textures(rng, 150),
        "skin_beside_the_lesion": foreign.skin_beside(views, boxes),
    }


def moved(candidate: Candidate, views: NDArray[np.uint8], answers: Answers) -> dict[str, dict[str, Any]]:
    """For each altered copy: the share of decisions and of referrals that change, and the figures that result."""
    refer = candidate.thresholds["refer"]
    table: dict[str, dict[str, Any]] = {}
    for how in ALTERED:
        said = candidate.exported.outputs_of(altered(views, how))
        other = candidate.answers(said, answers.labels, answers.groups)
        found = estimates(other, refer, candidate.thresholds["refer_urgently"], draws=1000)
        table[how] = {
            "decisions_changed": round(float(np.mean(other.predicted != answers.predicted)), 4),
            "referrals_changed": round(float(np.mean((other.risks >= refer) != (answers.risks >= refer))), 4),
            "rejected_as_novel": round(candidate.rejected(said), 4),
            "balanced_accuracy": found["balanced_accuracy"].as_dict(),
            "malignant_auc": found["malignant.auc"].as_dict(),
        }
    return table


def measured(
    candidate: Candidate, dataset: ham10000.LabelledImages, splits: Splits, data: Path, elsewhere: Path | None
) -> dict[str, Any]:
    """The final figures, on the frozen test and, where its folder is given, on ISIC 2018's validation images."""
    test = splits.positions("test")
    records, views, labels = [dataset.records[each] for each in test], dataset.views[test], dataset.labels[test]
    said = candidate.exported.outputs_of(views)
    answers = candidate.answers(said, labels, splits.groups[test])
    figures: dict[str, Any] = {
        "frozen_test": {
            **overall(answers, candidate.thresholds),
            "by_class": by_class(answers),
            "confusion": confusion(answers),
            "subgroups": subgroups(answers, records, candidate.thresholds["refer"]),
            "rejected_as_novel": round(candidate.rejected(said), 4),
            "rejected_foreign": candidate.rejected_foreign(
                data, views, [each.image_id for each in records], "test", seed=1
            ),
            "altered_framing": moved(candidate, views, answers),
        }
    }
    if elsewhere is not None:
        other = isic2018.read(elsewhere)
        heard = candidate.exported.outputs_of(other.views)
        alone = np.array([record.lesion_id for record in other.records])
        figures["isic2018_validation"] = {
            **overall(candidate.answers(heard, other.labels, alone), candidate.thresholds),
            "rejected_as_novel": round(candidate.rejected(heard), 4),
        }
    return figures


def manifest_of(
    name: str, candidate: Candidate, figures: dict[str, Any], dataset: dict[str, Any], training: dict[str, Any]
) -> dict[str, Any]:
    """All of bundle.json but its files: what `figures` were measured, which `dataset`, and how it was trained."""
    return {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture": ARCHITECTURE,
        "taxonomy": list(CLASSES),
        "class_priors": [float(prior) for prior in candidate.priors],
        "class_shares_in_training": [float(share) for share in candidate.class_shares],
        "temperature": candidate.temperature,
        "decision_rule": "argmax(log p - log prior)",
        "thresholds": {
            "refer": {
                "risk": candidate.thresholds["refer"],
                "sensitivity_aimed": REFER_SENSITIVITY,
                "chosen_on": "validation",
            },
            "refer_urgently": {
                "risk": candidate.thresholds["refer_urgently"],
                "specificity_aimed": URGENT_SPECIFICITY,
                "chosen_on": "validation",
            },
        },
        "novelty": {
            "threshold": candidate.farthest,
            "accepted_share": round(candidate.accepted, 4),
            "chosen_on": "validation",
        },
        "preprocessing": PREPROCESSING,
        "metrics": figures,
        "dataset": dataset,
        "training": {**training, "batch_statistics": "measured anew" if candidate.settled else "as trained"},
    }


def main() -> None:
    """Read the command line and write the bundle and `diagnosis/classifier/shipped.py`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with HAM10000")
    parser.add_argument(
        "--weights", type=Path, required=True, nargs="+", help="epochNN.weights.h5; several: their mean"
    )
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), required=True, help="the recipe that made the last of them"
    )
    parser.add_argument("--name", required=True, help="name of the bundle")
    parser.add_argument("--report", action="store_true", help="measure on the frozen test, when all is chosen")
    parser.add_argument("--elsewhere", type=Path, help="folder with ISIC 2018's validation images, to report on too")
    parser.add_argument("--note", default="", help="what else should be known about the run, for the manifest")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for decoded images")
    options = parser.parse_args()
    recipe = RECIPES[options.recipe]
    dataset = ham10000.read(options.data, options.cache)
    splits = ham10000_splits(dataset.records)
    candidate = Candidate(options.weights, recipe, dataset, splits, options.data)
    validation = splits.positions("validation")
    figures: dict[str, Any] = {
        "measured": datetime.now(UTC).date().isoformat(),
        "intervals": "95 %, bootstrap over lesion groups, 2000 draws",
        "validation": overall(candidate.validation, candidate.thresholds),
    }
    figures["validation"]["rejected_foreign"] = candidate.rejected_foreign(
        options.data,
        dataset.views[validation],
        [dataset.records[each].image_id for each in validation],
        "validation",
        seed=0,
    )
    if options.report:
        figures |= measured(candidate, dataset, splits, options.data, options.elsewhere)
    folder = BUNDLES / options.name
    write_files(folder, candidate.network, candidate.model, candidate.novelty)
    sha256 = write_manifest(
        folder,
        manifest_of(
            options.name,
            candidate,
            figures,
            {
                "name": dataset.name,
                "fingerprint": dataset.fingerprint,
                "split": {split: len(splits.positions(split)) for split in ("training", "validation", "test")}
                | {"rule": "by hash of lesion group, near-duplicates joined; training/datasets/ham10000_split"},
                "licence": ham10000.LICENCE,
                "attribution": ham10000.ATTRIBUTION,
                "doi": ham10000.DOI,
            },
            {**asdict(recipe), "weights": [str(path) for path in options.weights], "note": options.note},
        ),
    )
    # Platforms on which an earlier one serves go on with it until the new one has been released there.
    earlier = {**shipped.EARLIER, shipped.SHIPPED_BUNDLE: shipped.SHIPPED_MANIFEST_SHA256}
    kept = [each for each in earlier.items() if each[0] != options.name and (BUNDLES / each[0]).is_dir()]
    lines = "".join(f'    "{name}": "{digest}",\n' for name, digest in kept)
    text = _SHIPPED_TEXT.format(name=options.name, sha256=sha256, earlier=f"{{\n{lines}}}" if lines else "{}")
    SHIPPED.write_text(text, encoding="utf-8")
    headline = figures.get("frozen_test", figures["validation"])
    print(f"{folder}: balanced accuracy {headline['balanced_accuracy']}, malignant AUC {headline['malignant_auc']}")
    print("docs/model-card.md and .html: python manage.py model_card")


if __name__ == "__main__":
    main()
