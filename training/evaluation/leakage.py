"""What a careless split is worth: one learner on frozen features, judged three ways, over many splits.

By image, as the original method split; by image after the rare classes were filled up with copies, as is often done;
and by lesion. The network's features never change, so whatever differs was leaked from training into the test.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from diagnosis.classifier.taxonomy import CLASSES
from training.evaluation import metrics
from training.evaluation.figures import WeightedArea, weighted_share

#: Of the images (or lesions) so many are learned from and judged by; the rest would be validation, as in the paper.
TRAINING_SHARE: Final = 0.70
TEST_SHARE: Final = 0.15

#: Main directions of the features that are kept: enough for the learner, and a minute for sixty fits.
DIRECTIONS: Final = 128

#: What is compared.
FIGURES: Final = ("accuracy", "balanced_accuracy", "malignant_auc")

#: For each position, how often it is drawn into training and into the test: int64 [n] each.
Drawn = tuple[NDArray[np.int64], NDArray[np.int64]]


def by_image(labels: NDArray[np.int64], groups: NDArray[np.str_], rng: np.random.Generator) -> Drawn:
    """Images at random, whatever lesion they show."""
    return _cut(np.arange(len(labels)), len(labels), rng)


def oversampled_first(labels: NDArray[np.int64], groups: NDArray[np.str_], rng: np.random.Generator) -> Drawn:
    """Every class filled up with copies to the size of the largest, and only then split by image."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    filled = [np.resize(rng.permutation(np.flatnonzero(labels == code)), counts.max()) for code in np.unique(labels)]
    return _cut(np.concatenate(filled), len(labels), rng)


def by_lesion(labels: NDArray[np.int64], groups: NDArray[np.str_], rng: np.random.Generator) -> Drawn:
    """Lesions at random, each with all its images."""
    names, place = np.unique(groups, return_inverse=True)
    training, test = _cut(np.arange(len(names)), len(names), rng)
    return training[place], test[place]


def _cut(items: NDArray[np.int64], count: int, rng: np.random.Generator) -> Drawn:
    mixed = rng.permutation(items)
    first, second = round(TRAINING_SHARE * len(mixed)), round((TRAINING_SHARE + TEST_SHARE) * len(mixed))
    return np.bincount(mixed[:first], minlength=count), np.bincount(mixed[first:second], minlength=count)


WAYS: Final[dict[str, Callable[[NDArray[np.int64], NDArray[np.str_], np.random.Generator], Drawn]]] = {
    "by_image": by_image,
    "oversampled_before_the_split": oversampled_first,
    "by_lesion": by_lesion,
}


def reduced(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Features [n, c] on at most `DIRECTIONS` main directions of equal variance, made without any label."""
    scale = PCA(min(DIRECTIONS, *features.shape), whiten=True, svd_solver="covariance_eigh")
    return np.asarray(scale.fit_transform(features.astype(np.float64)), dtype=np.float32)


def judged(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_], drawn: Drawn
) -> dict[str, float]:
    """Fit on one split and judge on its test: figures, and how much of the test was seen in training.

    The learner weighs all classes alike in each way of splitting; a copy is a weight.
    """
    training, test = drawn
    shown, asked = np.flatnonzero(training), np.flatnonzero(test)
    amount = np.bincount(labels, training, len(CLASSES))
    weights = training[shown] * len(labels) / (len(CLASSES) * amount[labels[shown]])
    learner = LogisticRegression(C=0.1, max_iter=200).fit(features[shown], labels[shown], sample_weight=weights)
    probabilities = learner.predict_proba(features[asked])
    named = learner.classes_[probabilities.argmax(axis=1)]
    truth, counted = labels[asked], test[asked].astype(np.float64)
    everything = np.ones(len(asked), dtype=np.bool_)
    malignant = [index for index, code in enumerate(learner.classes_) if metrics.is_malignant(np.array([code]))[0]]
    area = WeightedArea(metrics.is_malignant(truth), probabilities[:, malignant].sum(axis=1))
    known = np.isin(groups[asked], np.unique(groups[shown]))
    same = training[asked] > 0
    return {
        "accuracy": weighted_share(named == truth, everything, counted),
        "balanced_accuracy": float(
            np.mean([weighted_share(named == code, truth == code, counted) for code in np.unique(truth)])
        ),
        "malignant_auc": area(counted),
        "test_images": float(counted.sum()),
        "with_sibling_in_training": float(counted[known].sum()),
        "itself_in_training": float(counted[same].sum()),
    }


def compare_ways(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    groups: NDArray[np.str_],
    splits: int,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Judge every way on `splits` splits: the splits, their means and deviations, and what each way adds to by_lesion.

    `features` [n, c] are reduced once to `DIRECTIONS` main directions of equal variance, without any label.
    """
    kept = reduced(features)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for seed in range(splits):
        for name, draw in WAYS.items():
            rows[name].append(judged(kept, labels, groups, draw(labels, groups, np.random.default_rng(seed))))
            progress()
    honest = {figure: np.array([row[figure] for row in rows["by_lesion"]]) for figure in FIGURES}
    return {
        "images": len(labels),
        "lesions": len(np.unique(groups)),
        "splits": splits,
        "learner": f"logistic regression on {kept.shape[1]} whitened main directions, classes weighted alike",
        "ways": {
            name: {
                "each": [{key: round(value, 4) for key, value in row.items()} for row in split_rows],
                "mean": {key: _mean(split_rows, key) for key in split_rows[0]},
                "deviation": {figure: _deviation([row[figure] for row in split_rows]) for figure in FIGURES},
                "above_by_lesion": {
                    figure: round(float(np.mean([row[figure] for row in split_rows] - honest[figure])), 4)
                    for figure in FIGURES
                },
            }
            for name, split_rows in rows.items()
        },
    }


def _mean(rows: list[dict[str, float]], key: str) -> float:
    return round(float(np.mean([row[key] for row in rows])), 4)


def _deviation(values: list[float]) -> float:
    return round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else 0.0
