"""McNemar, DeLong and the t-test against published or independently computed values; `manage.py compare`."""

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from scipy.stats import ttest_ind

from diagnosis.classifier.taxonomy import CLASSES
from training.evaluation.comparison import delong, mcnemar, two_sample_t
from training.evaluation.metrics import auc


def test_mcnemar_gives_the_textbook_values() -> None:
    # Agresti, Categorical Data Analysis, table 10.1: 794, 150, 86, 570; z^2 = 17.36 without correction.
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])

    found = mcnemar(first, second)

    assert (found["only_first_right"], found["only_second_right"]) == (150, 86)
    assert found["chi_squared"] == pytest.approx((150 - 86 - 1) ** 2 / 236)
    assert found["p_exact"] == pytest.approx(3.7e-5, rel=0.05)
    assert mcnemar(first, first)["p_exact"] == 1.0


def test_an_exact_mcnemar_of_few_is_worked_out_by_hand() -> None:
    first, second = np.array([True] * 6 + [False]), np.array([False] * 6 + [True])

    assert mcnemar(first, second)["p_exact"] == pytest.approx(2 * (1 + 7) / 2**7)


def slow_delong(truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Difference and its variance straight from the definition: all pairs, no sorting."""

    def wins(scores: np.ndarray) -> np.ndarray:
        above, below = scores[truth][:, None], scores[~truth][None, :]
        return (above > below) + 0.5 * (above == below)

    gap = wins(first) - wins(second)
    by_positive, by_negative = gap.mean(axis=1), gap.mean(axis=0)
    return gap.mean(), by_positive.var(ddof=1) / len(by_positive) + by_negative.var(ddof=1) / len(by_negative)


@pytest.mark.parametrize("ties", [False, True])
def test_delong_equals_its_definition_over_all_pairs(ties: bool) -> None:
    rng = np.random.default_rng(12)
    truth = rng.random(120) < 0.3
    first, second = truth + rng.normal(size=120), 0.5 * truth + rng.normal(size=120)
    if ties:
        first, second = first.round(), second.round()

    found = delong(truth, first, second)
    difference, variance = slow_delong(truth, first, second)

    assert found["first_auc"] == pytest.approx(auc(truth, first))
    assert found["difference"] == pytest.approx(difference)
    assert found["standard_error"] == pytest.approx(variance**0.5)
    assert delong(truth, first, first)["p"] == 1.0


def test_delong_holds_its_level_where_nothing_differs() -> None:
    rng = np.random.default_rng(4)
    truth = np.arange(80) < 30
    found = [delong(truth, truth + rng.normal(size=80), truth + rng.normal(size=80))["p"] < 0.05 for _ in range(600)]

    assert 0.02 < np.mean(found) < 0.09


def test_areas_of_one_side_only_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="at least two"):
        delong(np.array([True, False, False]), np.arange(3.0), np.arange(3.0))


def test_the_t_test_is_scipys_and_its_correction_is_more_careful() -> None:
    rng = np.random.default_rng(1)
    first, second = 0.6 + 0.02 * rng.normal(size=20), 0.58 + 0.02 * rng.normal(size=20)

    found, expected = two_sample_t(first, second), ttest_ind(first, second)

    assert found["t"] == pytest.approx(expected.statistic)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert found["p_corrected"] > found["p"]


def write_predictions(folder: Path, model: str, named: list[str], risks: list[float]) -> Path:
    folder.mkdir()
    with (folder / "predictions.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["image_id", "lesion", "truth", "predicted", "risk", *CLASSES, "abstained", "model"])
        for index, (name, risk) in enumerate(zip(named, risks, strict=True)):
            truth = "mel" if index % 2 else "nv"
            chances = [risk if code == "mel" else (1 - risk) / 6 for code in CLASSES]
            writer.writerow([f"I{index}", f"L{index // 2}", truth, name, risk, *chances, "", model])
    return folder


def test_two_versions_are_compared_on_the_same_images_and_on_no_others(tmp_path: Path) -> None:
    good = write_predictions(tmp_path / "a", "one", ["nv", "mel"] * 6, [0.1, 0.9] * 6)
    poor = write_predictions(tmp_path / "b", "two", ["nv", "nv"] * 6, [0.2, 0.1] * 6)
    fewer = write_predictions(tmp_path / "c", "three", ["nv", "nv"], [0.2, 0.1])
    said = StringIO()

    call_command("compare", str(good), str(poor), stdout=said)
    report = json.loads(said.getvalue())

    assert (report["first"], report["second"], report["images"], report["lesions"]) == ("one", "two", 12, 6)
    assert report["mcnemar"]["only_first_right"] == 6
    assert report["difference"]["accuracy"]["value"] == 0.5
    assert report["delong"]["malignant"]["difference"] == 1.0
    with pytest.raises(CommandError, match="the same images"):
        call_command("compare", str(good), str(fewer), stdout=StringIO())
    with pytest.raises(CommandError, match=r"predictions\.csv"):
        call_command("compare", str(good), str(tmp_path), stdout=StringIO())
