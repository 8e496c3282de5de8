"""Labels that cross-validation disagrees with, for somebody to check: mistakes, and crude poisoning.

A trigger patch (a small mark that comes with a wrong label) is learnt with confidence and so is not found by this.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from diagnosis.classifier.network import Network
from diagnosis.services.model_versions import champion, open_bundle
from training.datasets.manifest import Entry

FOLDS: Final = 5
#: A label that the other images give less than this is worth a second look.
LEAST_CHANCE: Final = 0.15


def suspicious_labels(entries: Sequence[Entry], views: Mapping[UUID, NDArray[np.uint8]]) -> list[dict[str, Any]]:
    """Image id, label, what the others say, and the chance that they give to the label; least likely first.

    By logistic regression on the champion's embeddings, in folds that share no patient. Empty where there are too few
    patients or a single class: nothing can be said then.
    """
    labels = np.array([entry.record.diagnosis for entry in entries])
    groups = np.array([entry.group for entry in entries])
    if len(np.unique(groups)) < 2 * FOLDS or len(np.unique(labels)) < 2:
        return []
    network = Network.open(open_bundle(champion()), backend="litert", threads=1)
    features = np.stack([network.read(views[UUID(entry.record.image_id)][None])[0].embedding for entry in entries])
    features = StandardScaler().fit_transform(features)
    found: list[dict[str, Any]] = []
    for learnt, held_out in GroupKFold(FOLDS).split(features, labels, groups):
        if len(np.unique(labels[learnt])) < 2:
            continue
        model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=500).fit(features[learnt], labels[learnt])
        chances = model.predict_proba(features[held_out])
        for place, row in zip(held_out, chances, strict=True):
            known = np.flatnonzero(model.classes_ == labels[place])
            chance = float(row[known[0]]) if len(known) else 0.0
            said = str(model.classes_[row.argmax()])
            if said != labels[place] and chance < LEAST_CHANCE:
                found.append(
                    {
                        "image": entries[place].record.image_id,
                        "label": str(labels[place]),
                        "others_say": said,
                        "chance_of_label": round(chance, 4),
                    }
                )
    return sorted(found, key=lambda each: (each["chance_of_label"], each["image"]))
