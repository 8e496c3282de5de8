"""A version judged on somebody's labelled photographs, through the very path that serves: its report as plain data."""

import csv
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from diagnosis.classifier.bundle import Bundle
from diagnosis.classifier.network import Network
from diagnosis.classifier.photograph import PhotographRefused
from diagnosis.classifier.reading import Reading
from diagnosis.classifier.recommendation import ClinicalPicture, Kind, Level, ReadImage, conclude
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from diagnosis.classifier.view import View, decode_view
from training.datasets.frozen import joined_lesions
from training.datasets.ham10000 import LESION_ID, LabelledImage
from training.datasets.splits import join_groups, split_of
from training.evaluation import metrics
from training.evaluation.calibration import BINS
from training.evaluation.figures import estimates, nested
from training.evaluation.labelled import Picture, Problems, photograph_of
from training.evaluation.map_focus import Focus, MaskUnreadable, focus_of, focus_table, read_mask
from training.evaluation.report import Answers, confusion, subgroups
from training.evaluation.statistics import DRAWS, Estimate

#: The shape of report.json; its keys are only ever added to.
SCHEMA: Final = "skincare-evaluation/1"

#: Thresholds on the malignancy risk that the table shows beside the version's own two.
_SHOWN_RISKS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

#: So many of the surest mistakes are named.
MISTAKES: Final = 24


@dataclass(frozen=True)
class Judged:
    """One image: what is known of it, what the network says, and what the service would recommend."""

    record: LabelledImage
    picture: Picture
    probabilities: NDArray[np.float64]
    predicted: str
    risk: float
    abstained_for: str
    """One of `recommendation.AbstentionReason`, or empty where the network answers."""
    level: Level
    focus: Focus | None
    """How the activation map lies to the lesion's outline; None where there is no mask."""


@dataclass(frozen=True)
class Reviewed:
    """All images that could be judged, in the order of their ids, and how many a second were."""

    judged: list[Judged]
    images_per_second: float


def review(
    network: Network,
    records: Iterable[LabelledImage],
    pictures: dict[str, Picture],
    problems: Problems,
    progress: Callable[[], None] = lambda: None,
    masks: Mapping[str, Picture] = MappingProxyType({}),
) -> Reviewed:
    """Take each picture as an upload is taken, and read it as a dermoscopic case of its own.

    The network is asked also where it would abstain, so that this can be counted in and left out. What cannot be taken
    is added to `problems`. `progress` is called after each picture. `masks`: of lesions' outlines, by image id.
    """
    judged = []
    spent = 0.0
    for record in records:
        picture = pictures.get(record.image_id)
        if picture is None:
            continue
        started = time.perf_counter()
        try:
            photograph = photograph_of(picture.read())
        except PhotographRefused as refused:
            problems.unreadable[record.image_id] = str(refused)
        else:
            reading = network.read(decode_view(photograph.stored_view)[np.newaxis])[0]
            case = ReadImage(Kind.DERMOSCOPIC, photograph.quality, reading)
            answer = conclude([case], ClinicalPicture(), network.bundle.thresholds)
            spent += time.perf_counter() - started
            judged.append(
                Judged(
                    record=record,
                    picture=picture,
                    probabilities=reading.probabilities,
                    predicted=reading.predicted,
                    risk=reading.risk,
                    abstained_for=str(answer.reason) if answer.reason else "",
                    level=answer.recommendation,
                    focus=_focus(reading, record.image_id, masks, network.bundle.temperature, problems),
                )
            )
        progress()
    return Reviewed(judged, len(judged) / spent if spent else 0.0)


def _focus(
    reading: Reading, image_id: str, masks: Mapping[str, Picture], temperature: float, problems: Problems
) -> Focus | None:
    if image_id not in masks:
        return None
    try:
        return focus_of(reading.map, temperature, reading.predicted, read_mask(masks[image_id]))
    except MaskUnreadable as unreadable:
        problems.masks_unreadable[image_id] = str(unreadable)
        return None


def look_again(network: Network, judged: Judged) -> tuple[View, Reading]:
    """The view and the reading of one image once more, for its map. Raises `PhotographRefused` if it went away."""
    view = decode_view(photograph_of(judged.picture.read()).stored_view)
    return view, network.read(view[np.newaxis])[0]


def lesion_groups(records: list[LabelledImage]) -> NDArray[np.str_]:
    """The lesion of each record, known near-duplicates of HAM10000 joined."""
    lesions = {record.lesion_id for record in records}
    joined = join_groups(lesions, [pair for pair in joined_lesions() if lesions.issuperset(pair)])
    return np.array([joined[record.lesion_id] for record in records])


def answers_of(judged: list[Judged], bundle: Bundle) -> Answers:
    """For the figures. The decision that they make of it is the one that is served."""
    records = [each.record for each in judged]
    return Answers(
        labels=np.array([CLASSES.index(record.diagnosis) for record in records], dtype=np.int64),
        probabilities=np.array([each.probabilities for each in judged]).reshape(len(judged), len(CLASSES)),
        groups=lesion_groups(records),
        priors=bundle.class_priors,
    )


def report(reviewed: Reviewed, problems: Problems, bundle: Bundle, digest: str, draws: int = DRAWS) -> dict[str, Any]:
    """Everything that report.json holds. Figures that have nothing to stand on are None.

    At the top, abstained cases are counted in with what the network would have said; under `answered_only` they are
    left out. Raises `ValueError` if nothing was judged.
    """
    judged = reviewed.judged
    if not judged:
        raise ValueError("no image was judged")
    answered = [each for each in judged if not each.abstained_for]
    everything = answers_of(judged, bundle)
    records = [each.record for each in judged]
    return {
        "schema": SCHEMA,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {"name": bundle.name, "created": bundle.created.isoformat(), "manifest_sha256": digest},
        "images": len(judged),
        "lesions": len(np.unique(everything.groups)),
        **_figures(judged, bundle, draws),
        "abstained": len(judged) - len(answered),
        "abstained_share": round(1 - len(answered) / len(judged), 4),
        "abstentions": _abstentions(judged),
        "answered_only": (
            {"images": len(answered), **_figures(answered, bundle, draws)} if answered else {"images": 0}
        ),
        "recommended": _recommended(judged),
        "interval_method": f"95 %, percentile bootstrap over lesion groups, {draws} draws",
        "images_per_second": round(reviewed.images_per_second, 1),
        "classes": list(CLASSES),
        "confusion": confusion(everything),
        "roc": _roc(everything),
        "reliability": _reliability(everything),
        "thresholds": _thresholds(everything, bundle),
        "subgroups": subgroups(everything, records, bundle.thresholds.refer, draws=draws // 2),
        "map_focus": _map_focus(judged, everything.groups, draws),
        "mistakes": [_mistake(each) for each in surest_mistakes(judged)],
        "known_to_the_training": _overlap(records, bundle),
        "problems": problems.as_dict(),
    }


def _figures(judged: list[Judged], bundle: Bundle, draws: int) -> dict[str, Any]:
    found = estimates(
        answers_of(judged, bundle), bundle.thresholds.refer, bundle.thresholds.refer_urgently, draws=draws
    )
    values = nested({name: _number(each.value) for name, each in found.items()})
    counts = Counter(each.record.diagnosis for each in judged)
    for code in CLASSES:
        values["per_class"][code]["images"] = counts[code]
    return {**values, "intervals": nested({name: _interval(each) for name, each in found.items()})}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _interval(estimate: Estimate) -> list[float | None]:
    return [_number(estimate.low), _number(estimate.high)]


def _abstentions(judged: list[Judged]) -> dict[str, Any]:
    reasons = Counter(each.abstained_for for each in judged if each.abstained_for)
    return {
        "by_reason": dict(sorted(reasons.items())),
        "malignant": sum(bool(each.abstained_for) and each.record.diagnosis in MALIGNANT for each in judged),
    }


def _recommended(judged: list[Judged]) -> dict[str, dict[str, int]]:
    """What the service would say of each image by itself: how many malignant and benign lesions get which level."""
    table = {str(level): {"malignant": 0, "benign": 0} for level in Level}
    for each in judged:
        table[str(each.level)]["malignant" if each.record.diagnosis in MALIGNANT else "benign"] += 1
    return table


def _roc(answers: Answers) -> dict[str, list[list[float]]]:
    """Points (share of the others flagged, share of the sought flagged) for malignancy risk and for melanoma."""
    melanoma = CLASSES.index("mel")
    curves: dict[str, list[list[float]]] = {}
    for name, truth, scores in (
        ("malignant", metrics.is_malignant(answers.labels), answers.risks),
        ("melanoma", answers.labels == melanoma, answers.probabilities[:, melanoma]),
    ):
        if truth.all() or not truth.any():
            curves[name] = []
            continue
        across, up, _ = roc_curve(truth, scores)
        kept = np.unique(np.linspace(0, len(across) - 1, min(len(across), 200)).round().astype(int))
        curves[name] = [[round(float(across[i]), 4), round(float(up[i]), 4)] for i in kept]
    return curves


def _reliability(answers: Answers) -> dict[str, list[dict[str, float]]]:
    """For each bin that is not empty: images, mean stated chance, and how often it happened."""
    right = answers.probabilities.argmax(axis=1) == answers.labels
    tables = {}
    for name, chances, happened in (
        ("likeliest_class", answers.probabilities.max(axis=1), right),
        ("malignancy_risk", answers.risks, metrics.is_malignant(answers.labels)),
    ):
        place = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
        tables[name] = [
            {
                "images": int((place == each).sum()),
                "stated": round(float(chances[place == each].mean()), 4),
                "happened": round(float(happened[place == each].mean()), 4),
            }
            for each in np.unique(place)
        ]
    return tables


def _thresholds(answers: Answers, bundle: Bundle) -> list[dict[str, Any]]:
    truth, risks = metrics.is_malignant(answers.labels), answers.risks
    own = {"refer": bundle.thresholds.refer, "refer_urgently": bundle.thresholds.refer_urgently}
    rows = [(risk, "") for risk in _SHOWN_RISKS] + [(risk, name) for name, risk in own.items()]
    table = []
    for risk, name in sorted(rows):
        flagged = risks >= risk
        table.append(
            {
                "risk": round(risk, 4),
                "name": name,
                "sensitivity": _number(metrics.sensitivity(truth, flagged)),
                "specificity": _number(metrics.specificity(truth, flagged)),
                "flagged": round(float(flagged.mean()), 4),
                "positive_predictive_value": _number(metrics.sensitivity(flagged, truth)),
                "negative_predictive_value": _number(metrics.sensitivity(~flagged, ~truth)),
                "malignant_missed": int((truth & ~flagged).sum()),
            }
        )
    return table


def _map_focus(judged: list[Judged], groups: NDArray[np.str_], draws: int) -> dict[str, Any]:
    """Empty where no masks were given."""
    measured = [(each.focus, each.record.diagnosis, place) for place, each in enumerate(judged) if each.focus]
    if not measured:
        return {}
    found, truth, places = zip(*measured, strict=True)
    return focus_table(found, truth, groups[list(places)], draws)


def surest_mistakes(judged: list[Judged], most: int = MISTAKES) -> list[Judged]:
    """The wrong answers that were given with the greatest probability for what they name, surest first."""
    wrong = [each for each in judged if not each.abstained_for and each.predicted != each.record.diagnosis]
    return sorted(wrong, key=lambda each: (-each.probabilities[CLASSES.index(each.predicted)], each.record.image_id))[
        :most
    ]


def _mistake(judged: Judged) -> dict[str, Any]:
    return {
        "image": judged.record.image_id,
        "truth": judged.record.diagnosis,
        "predicted": judged.predicted,
        "probability": round(float(judged.probabilities[CLASSES.index(judged.predicted)]), 4),
        "risk": round(judged.risk, 4),
        "recommendation": str(judged.level),
    }


def _overlap(records: list[LabelledImage], bundle: Bundle) -> dict[str, int]:
    """How many images are of lesions that HAM10000's committed split gives to training, validation and frozen test.

    A lesion id of another kind says nothing: `unknown`; nor does any, where a version's training was split by image.
    """
    groups = lesion_groups(records)
    dataset = bundle.manifest.get("dataset", {})
    ham10000 = dataset.get("name") == "HAM10000" and dataset.get("split", {}).get("by", "lesion") == "lesion"
    split = Counter(split_of(group) if ham10000 and group.startswith(LESION_ID) else "unknown" for group in groups)
    return {name: split.get(name, 0) for name in ("training", "validation", "test", "unknown")}


def write_predictions(path: Path, judged: list[Judged], bundle: Bundle) -> None:
    """Write each image's answer, for comparisons: id, lesion, truth, decision, risk, chances, abstention, model."""
    groups = lesion_groups([each.record for each in judged])
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["image_id", "lesion", "truth", "predicted", "risk", *CLASSES, "abstained", "model"])
        for each, group in zip(judged, groups, strict=True):
            writer.writerow(
                [each.record.image_id, group, each.record.diagnosis, each.predicted, f"{each.risk:.6f}"]
                + [f"{p:.6f}" for p in each.probabilities]
                + [each.abstained_for, bundle.name]
            )
