"""Figures of an evaluation against examples worked out by hand, and intervals that draw lesions instead of images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from training.evaluation import metrics
from training.evaluation.calibration import expected_calibration_error, fit_temperature, tempered_priors
from training.evaluation.report import Answers, age_band, by_class, confusion, overall
from training.evaluation.statistics import clustered_interval, resampled_positions
from training.evaluation.thresholds import risk_for_sensitivity, risk_for_specificity

AKIEC, BCC, BKL, DF, MEL, NV, VASC = range(7)


def test_balanced_accuracy_counts_every_class_that_occurs_alike() -> None:
    labels, predicted = np.array([NV, NV, NV, NV, MEL, DF]), np.array([NV, NV, NV, MEL, MEL, NV])

    assert metrics.accuracy(labels, predicted) == pytest.approx(4 / 6)
    assert metrics.balanced_accuracy(labels, predicted) == pytest.approx((3 / 4 + 1 + 0) / 3)


def test_the_risk_sums_melanoma_basal_cell_carcinoma_and_actinic_keratosis() -> None:
    probabilities = np.array([[0.01, 0.02, 0.1, 0.1, 0.04, 0.7, 0.03]])

    assert metrics.malignancy_risk(probabilities) == pytest.approx([0.07])
    assert list(metrics.is_malignant(np.arange(7))) == [True, True, False, False, True, False, False]


def test_the_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    probabilities = np.zeros((4, 7))
    probabilities[:, MEL] = [0.9, 0.3, 0.5, 0.1]
    labels = np.array([MEL, BCC, NV, NV])

    assert metrics.malignant_auc(labels, probabilities) == pytest.approx(3 / 4)
    assert np.isnan(metrics.malignant_auc(labels[:2], probabilities[:2]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=60))
def test_the_auc_is_scikit_learns_with_ties_too(drawn: list[tuple[bool, int]]) -> None:
    truth, scores = np.array([each for each, _ in drawn]), np.array([score / 10 for _, score in drawn])
    if truth.all() or not truth.any():
        assert np.isnan(metrics.auc(truth, scores))
    else:
        assert metrics.auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_the_decision_weighs_probabilities_against_the_priors() -> None:
    probabilities = np.array([[0.05, 0.05, 0.1, 0.1, 0.3, 0.35, 0.05]])
    priors = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02])

    assert metrics.decided(probabilities, priors) == [DF]
    assert metrics.decided(probabilities, np.full(7, 1 / 7)) == [NV]


@pytest.mark.parametrize(("sensitivity", "threshold"), [(1.0, 0.2), (0.75, 0.4), (0.5, 0.6), (0.7, 0.4)])
def test_the_referral_threshold_keeps_the_stated_sensitivity(sensitivity: float, threshold: float) -> None:
    risks = np.array([0.2, 0.4, 0.6, 0.8, 0.1, 0.3])
    malignant = np.array([True, True, True, True, False, False])

    found = risk_for_sensitivity(risks, malignant, sensitivity)

    assert found == threshold
    assert metrics.sensitivity(malignant, risks >= found) >= sensitivity


@pytest.mark.parametrize(("specificity", "threshold"), [(0.5, 0.25), (0.75, 0.5), (1.0, 0.7)])
def test_the_urgent_threshold_keeps_the_stated_specificity(specificity: float, threshold: float) -> None:
    risks = np.array([0.1, 0.2, 0.3, 0.6, 0.25, 0.5, 0.7])
    malignant = np.array([False, False, False, False, True, True, True])

    assert risk_for_specificity(risks, malignant, specificity) == threshold


def test_where_a_benign_lesion_has_the_greatest_risk_the_urgent_threshold_lies_above_it() -> None:
    threshold = risk_for_specificity(np.array([0.9, 0.5]), np.array([False, True]), 1.0)

    assert 0.9 < threshold < 0.9001


def test_thresholds_need_lesions_of_the_kind_they_speak_of() -> None:
    with pytest.raises(ValueError, match="no malignant"):
        risk_for_sensitivity(np.array([0.5]), np.array([False]), 0.95)
    with pytest.raises(ValueError, match="no benign"):
        risk_for_specificity(np.array([0.5]), np.array([True]), 0.95)


def test_chances_of_one_half_that_come_true_half_the_time_are_calibrated() -> None:
    happened = np.array([True, False] * 10)

    assert expected_calibration_error(np.full(20, 0.5), happened) == pytest.approx(0.0)
    assert expected_calibration_error(np.full(20, 0.9), happened) == pytest.approx(0.4)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([False, True])) == pytest.approx(1.0)


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(4000, 7)) * 1.5
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(7, p=row) for row in chances])

    assert fit_temperature(logits * 3.0, labels) == pytest.approx(3.0, rel=0.1)


def test_a_drawn_lesion_brings_all_its_images_along() -> None:
    groups = np.array(["b", "a", "b", "c", "b"])

    for positions in resampled_positions(groups, draws=50):
        counts = np.bincount(positions, minlength=5)
        assert counts[0] == counts[2] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3


def test_intervals_widen_when_images_share_lesions() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=40), 5)

    def mean(positions: np.ndarray) -> float:
        return float(values[positions].mean())

    clustered = clustered_interval(mean, np.repeat(np.arange(40).astype(str), 5), draws=400)
    alone = clustered_interval(mean, np.arange(200).astype(str), draws=400)

    assert clustered.value == alone.value
    assert clustered.low < clustered.value < clustered.high
    assert clustered.high - clustered.low > 1.5 * (alone.high - alone.low)


def test_the_report_holds_what_was_worked_out_by_hand() -> None:
    labels = np.array([MEL, MEL, NV, NV])
    probabilities = np.full((4, 7), 0.02)
    probabilities[[0, 2, 3], [MEL, NV, NV]] = 0.88
    probabilities[1, NV] = 0.88
    answers = Answers(labels, probabilities, np.array(["a", "b", "c", "d"]), np.full(7, 1 / 7))

    figures = overall(answers, {"refer": 0.5}, draws=20)
    table = by_class(answers, draws=20)

    assert figures["images"] == 4
    assert figures["accuracy"]["value"] == 0.75
    assert figures["sensitivity_refer"]["value"] == 0.5
    assert figures["specificity_refer"]["value"] == 1.0
    assert set(table) == {"mel", "nv"}
    assert table["nv"]["precision"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert table["mel"]["f1"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert confusion(answers)[MEL][NV] == 1


@pytest.mark.parametrize(
    ("age", "band"), [(None, "unknown"), (0, "under 30"), (30, "30 to 49"), (69, "50 to 69"), (85, "70 and over")]
)
def test_ages_fall_into_bands(age: float | None, band: str) -> None:
    assert age_band(age) == band


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_decision_does_not_depend_on_the_temperature(temperature: float) -> None:
    rng = np.random.default_rng(2)
    shares = np.array([0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02])
    scores = rng.normal(size=(200, 7))
    tempered = (scores + np.log(shares)) / temperature
    probabilities = np.exp(tempered) / np.exp(tempered).sum(axis=1, keepdims=True)

    decisions = metrics.decided(probabilities, tempered_priors(shares, temperature))

    np.testing.assert_array_equal(decisions, scores.argmax(axis=1))
