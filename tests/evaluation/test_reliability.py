"""Reliability equals numbers worked by hand or by another library."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from muslin.data.dataset import Target
from muslin.evaluation.intervals import newcombe_independent
from muslin.evaluation.metrics import calibration_metrics
from muslin.evaluation.reliability import (
    Predictions,
    mean_with_interval,
    measure_reliability,
    risk_coverage,
    slice_metrics,
)
from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data

GARMENTS = Target("label", ("coat", "dress", "bag"))


def predictions(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True classes, and the probabilities of a model that would be calibrated at temperature 2."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2.5, (n, 3))
    true = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    raw_probabilities = np.exp(2 * scores)
    labels = (true.cumsum(1) > random.random((n, 1))).argmax(1)
    return labels, (raw_probabilities / raw_probabilities.sum(1, keepdims=True)).astype(np.float32)


def test_reliability_shows_calibration_and_coverage() -> None:
    labels, raw_probabilities = predictions(12_000, seed=3)
    calibration_data = fit_calibration_data(GARMENTS, labels[:6000], raw_probabilities[:6000])
    probabilities = calibrate_probabilities(GARMENTS, raw_probabilities[6000:], calibration_data)
    reliability = measure_reliability(
        GARMENTS, Predictions(labels[6000:], raw_probabilities[6000:], probabilities), calibration_data
    )
    assert reliability is not None
    before, after = reliability.before_calibration, reliability.after_calibration
    assert after.expected_calibration_error < 0.02 < before.expected_calibration_error
    assert after.brier_score < before.brier_score
    assert after.log_loss < before.log_loss
    coverages = [row.coverage for row in reliability.selective]
    assert coverages == sorted(coverages, reverse=True)
    assert coverages[0] > 0.5
    for row in reliability.selective:
        assert sum(decision.n for decision in row.decisions) == 6000
        accept = row.decisions[0]
        low, high = accept.accuracy_interval
        assert accept.accuracy is None or (low < accept.accuracy < high and high > row.precision_target)
    assert reliability.at_target.precision_target == 0.98
    assert reliability.at_target.set_coverage == pytest.approx(0.9, abs=0.03)


def test_calibration_metrics_are_scikit_learns() -> None:
    labels, probabilities = predictions(500, seed=2)
    metrics = calibration_metrics(labels, probabilities)
    assert metrics.log_loss == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert metrics.brier_score == pytest.approx(brier_score_loss(labels, probabilities, scale_by_half=False), rel=1e-5)
    tags = np.array([[1, 0], [0, -1], [1, 1]], dtype=np.int8)
    tag_probabilities = np.array([[0.9, 0.2], [0.4, 0.7], [0.3, 0.6]], dtype=np.float32)
    cells = ([1, 0, 0, 1, 1], [0.9, 0.2, 0.4, 0.3, 0.6])
    assert calibration_metrics(tags, tag_probabilities).log_loss == pytest.approx(log_loss(*cells), rel=1e-5)


def test_risk_coverage_curve_worked_by_hand() -> None:
    points, aurc = risk_coverage(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.6, 0.4]))
    assert points == ((0.25, 0.0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5))
    assert aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert risk_coverage(np.empty(0), np.empty(0)) == ((), None)


def test_independent_interval_is_newcombes_own_example() -> None:
    # Newcombe 1998, table II, (a) 56/70 - 48/80: method 10 gives 0.0524 to 0.3339; (c) 6/7 - 2/7: 0.0582 to 0.8062
    assert newcombe_independent(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert newcombe_independent(6, 7, 2, 7) == pytest.approx((0.0582, 0.8062), abs=1e-4)


def test_groups_widen_the_interval() -> None:
    correct = np.repeat(np.arange(60) % 3 > 0, 20).astype(float)
    mean, alone = mean_with_interval(correct)
    assert mean == pytest.approx(2 / 3)
    assert alone[0] < 2 / 3 < alone[1]
    _, together = mean_with_interval(correct, np.repeat(np.arange(60), 20))
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])
    _, (low, _) = mean_with_interval(np.ones(40), np.repeat(np.arange(2), 20))
    assert low < 0.4  # two products, not forty images
    for groups in (np.zeros(8), np.arange(8) // 4):  # one group, and two of the same accuracy
        _, (low, high) = mean_with_interval(np.array([1.0, 1, 1, 0, 1, 1, 1, 0]), groups)
        assert low < 0.4
        assert high > 0.9
    assert mean_with_interval(np.array([np.nan])) == (None, (0.0, 1.0))
    assert mean_with_interval(np.array([1.0, 0]), mask=np.array([True, False]))[0] == 1


def test_weak_slice_comes_first() -> None:
    random = np.random.default_rng(6)
    seasons = np.repeat(["spring", "summer", "autumn", "winter"], 500).astype(object)
    equal = slice_metrics((random.random(2000) < 0.9).astype(float), seasons)
    assert not any(s.weak for s in equal)
    correct = (random.random(2000) < np.where(seasons == "winter", 0.8, 0.92)).astype(float)
    for groups in (None, np.arange(2000) // 2):
        slices = slice_metrics(correct, seasons, groups)
        assert [s.value for s in slices if s.weak] == ["winter"]
        assert slices[0].value == "winter"
        assert slices[0].difference == pytest.approx(correct[1500:].mean() - correct[:1500].mean())
    assert slice_metrics(correct, np.full(2000, "all year", dtype=object)) == ()


def test_a_slice_of_one_wrong_image_in_groups_is_not_weak() -> None:
    correct = (np.arange(1000) % 10 > 0).astype(float)
    values, groups = np.arange(1000).astype(object) % 19, np.arange(1000) // 2
    values[0] = "linen"
    for each in (correct, np.where(correct > 0, 0.9, 0.1)):  # zeros and ones, and fractions
        (linen,) = [s for s in slice_metrics(each, values, groups) if s.value == "linen"]
        assert linen.n == 1
        assert linen.difference < -0.7
        assert not linen.weak


def test_chance_makes_a_weak_slice_in_at_most_5_of_100_tests() -> None:
    random, weak = np.random.default_rng(4), 0
    values = np.arange(2000).astype(object) % 20
    for _ in range(100):
        slices = slice_metrics((random.random(2000) < 0.9).astype(float), values)
        weak += any(s.weak for s in slices)
    assert weak <= 10  # 5 expected at most; more than 10 happen by chance in 1 of 90 such tests


def test_leaks_are_measured_apart() -> None:
    labels, probabilities = predictions(400, seed=5)
    leaked = probabilities.argmax(1) == labels
    reliability = measure_reliability(GARMENTS, Predictions(labels, probabilities, probabilities, leaked=leaked), None)
    assert reliability is not None
    assert reliability.leaks is not None
    assert (reliability.leaks.n, reliability.leaks.accuracy) == (leaked.sum(), 1.0)
    assert reliability.leaks.accuracy_without_leaks == 0.0
    assert reliability.selective[0].unsupported[0].code == "no_calibration_data"


def test_reliability_needs_a_label() -> None:
    _, probabilities = predictions(3, seed=5)
    images = Predictions(np.full(3, -1), probabilities, probabilities)
    assert measure_reliability(GARMENTS, images, None) is None


def test_multilabel_correctness_is_the_share_of_predicted_labels() -> None:
    target = Target("tags", ("new", "sale"), "multilabel")
    true = np.array([[1, 0], [1, 1], [0, 0], [-1, 1]], dtype=np.int8)
    probabilities = np.array([[0.9, 0.8], [0.9, 0.2], [0.2, 0.1], [0.9, 0.9]], dtype=np.float32)
    images = Predictions(true, probabilities, probabilities)
    reliability = measure_reliability(target, images, None, label_thresholds=(0.5, 0.5))
    assert reliability is not None
    assert reliability.accuracy == pytest.approx((0.5 + 1 + 1) / 3)  # the third has no predicted label
    assert reliability.at_target.set_coverage == 1  # without calibration data a set holds all labels
    assert reliability.at_target.mean_set_size == 2
