"""Teach the novelty statistics what is no lesion, and set the one threshold on validation's lesions."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from diagnosis.classifier.novelty import Novelty

#: Chosen on validation among 64 to 512 directions and shrinkages of 0.003 to 3: it rejects the most foreign pictures.
DIRECTIONS: Final = 64
SHRINKAGE: Final = 0.01

#: Of validation's lesions the cloud lets through so many, and the foreign direction so many: together 95.2 % of them on
#: 2026-11-24 with the first bundle. Bare skin turned away rose from 0.60 to 0.98 with it (docs/experiments.md).
CLOUD_ACCEPTS: Final = 0.965
FOREIGN_ACCEPTS: Final = 0.985

#: Inverse strength of the ridge, for standardised embeddings. Ten times more turned away 0.8 points more bare skin and
#: five points more enlarged lesions.
_RIDGE: Final = 1e-4

#: How much of a standard deviation of distance one unit of log odds counts for; it only orders what is rejected.
_SCALE: Final = 0.1


def learn(
    lesions: NDArray[np.float32],
    enlarged: NDArray[np.float32],
    foreign: NDArray[np.float32],
    validation: NDArray[np.float32],
) -> tuple[Novelty, float]:
    """The statistics, and the distance above which a picture is turned away.

    All are embeddings [n, c]: of the training images, of enlarged lesions and of foreign pictures of the training
    split, and of validation's images, which choose nothing but where the lines are drawn.
    """
    cloud = Novelty.learn(lesions, DIRECTIONS, SHRINKAGE)
    known = np.concatenate([lesions, enlarged, foreign])
    is_foreign = np.r_[np.zeros(len(lesions) + len(enlarged)), np.ones(len(foreign))]
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1e-3
    head = LogisticRegression(C=_RIDGE, max_iter=300, class_weight="balanced").fit((known - mean) / spread, is_foreign)
    direction = _SCALE * head.coef_[0] / spread
    threshold = float(np.quantile(cloud.cloud_distance(validation), CLOUD_ACCEPTS))
    # Shifted so that both lines are drawn at the same distance.
    reached = float(np.quantile(validation @ direction, FOREIGN_ACCEPTS))
    return cloud.with_foreign(direction, threshold - reached), threshold
