"""The gates let through what is as good, and stop what is worse in the one thing that each is for."""

from dataclasses import replace

import numpy as np
import pytest
from django.conf import settings
from numpy.typing import NDArray

from diagnosis.classifier.taxonomy import CLASSES
from training import gates
from training.evaluation.report import Answers

COUNT = 700
DECLARED = replace(gates.Gates.declared(), draws=200)


def said(seed: int = 0) -> gates.Said:
    """A version that is right of four images in five, on 700 images of 350 lesions, and as sure as that."""
    rng = np.random.default_rng(seed)
    labels = np.arange(COUNT) % len(CLASSES)
    named = np.where(rng.random(COUNT) < 0.8, labels, rng.integers(len(CLASSES), size=COUNT))
    probabilities = np.full((COUNT, len(CLASSES)), 0.17 / (len(CLASSES) - 1))
    probabilities[np.arange(COUNT), named] = 0.83
    groups = np.array([f"lesion {each // (2 * 7) * 7 + each % 7}" for each in range(COUNT)])
    answers = Answers(labels, probabilities, groups, np.full(len(CLASSES), 1 / len(CLASSES)))
    return gates.Said(answers, refer=0.5, novel=np.zeros(COUNT, dtype=bool))


def benign(code: str) -> NDArray[np.float64]:
    """Probabilities that put all on one class."""
    row = np.full(len(CLASSES), 0.02)
    row[CLASSES.index(code)] = 0.88
    return row


def worse(how: str) -> gates.Said:
    """A challenger that is worse in one thing."""
    base = said()
    labels, probabilities = base.answers.labels, base.answers.probabilities.copy()
    match how:
        case "sensitivity":
            some = (labels == CLASSES.index("mel")) & (np.arange(COUNT) % 3 > 0)
            probabilities[some] = benign("nv")
        case "specificity":
            return replace(base, refer=0.0)
        case "calibration":
            probabilities = np.full_like(probabilities, 0.3 / 6)
            probabilities[np.arange(COUNT), base.answers.probabilities.argmax(axis=1)] = 0.7
        case "classes":
            probabilities[labels == CLASSES.index("df")] = benign("bkl")
        case "subgroups":
            some = np.isin(labels, [CLASSES.index(code) for code in ("mel", "bcc", "akiec")]) & (np.arange(COUNT) < 70)
            probabilities[some] = benign("nv")
        case "abstention":
            return replace(base, novel=np.arange(COUNT) % 10 == 0)
    return replace(base, answers=replace(base.answers, probabilities=probabilities))


SUBGROUPS = {"site": np.where(np.arange(COUNT) < 70, "scalp", "back")}


def failed(challenger: gates.Said, declared: gates.Gates = DECLARED) -> set[str]:
    checked = gates.check(declared, said(), challenger, SUBGROUPS)
    assert all(gate.reason for gate in checked)
    return {gate.code for gate in checked if not gate.passed}


def test_the_champion_itself_passes_every_gate() -> None:
    assert failed(said()) == set()


@pytest.mark.parametrize("how", ["sensitivity", "specificity", "calibration", "classes", "subgroups", "abstention"])
def test_a_version_that_is_worse_in_one_thing_is_stopped_by_its_gate(how: str) -> None:
    assert how in failed(worse(how))


def test_what_may_get_worse_by_chance_alone_is_not_let_through() -> None:
    """A difference within the margin but with an interval beyond it: too few lesions to say that it is not inferior."""
    few = np.arange(42)
    small, challenger = said(), said(seed=1)
    small, challenger = (
        replace(each, answers=each.answers.at(few), novel=each.novel[few]) for each in (small, challenger)
    )
    by_code = {gate.code: gate for gate in gates.check(DECLARED, small, challenger, {"site": SUBGROUPS["site"][few]})}
    assert not by_code["sensitivity"].passed
    assert not by_code["enough_evidence"].passed


def test_the_comparison_gives_both_figures_and_an_interval_of_their_difference() -> None:
    rows = {row["figure"]: row for row in gates.compare(said(), worse("sensitivity"), draws=200)}
    row = rows["sensitivity"]
    assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"] < 0
    assert row["challenger"] == pytest.approx(row["champion"] + row["difference"]["value"], abs=2e-4)


def test_the_gates_of_the_settings_are_complete() -> None:
    assert set(settings.TRAINING_GATES) == set(gates.Gates.__dataclass_fields__)
