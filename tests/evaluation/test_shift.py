"""Shift without labels: against SciPy's tests, and over draws with and without a shift."""

import numpy as np
import pytest
from scipy import stats

from muslin.evaluation.combinatorics import fisher_p_value
from muslin.evaluation.shift import class_shifts, confidence_shift, out_of_scope_shift

CLASSES = ("dress", "shirt", "shoes", "hat")
SHARES = np.array([0.4, 0.35, 0.2, 0.05])


@pytest.mark.parametrize("counts", [(3, 10, 9, 12), (0, 200, 30, 900), (7, 7, 7, 7), (50, 60, 10, 400)])
def test_fisher_doubles_the_smaller_tail(counts):
    a, n_a, b, n_b = counts
    table = [[a, n_a - a], [b, n_b - b]]
    tails = [stats.fisher_exact(table, alternative=side)[1] for side in ("less", "greater")]
    assert fisher_p_value(*counts) == pytest.approx(min(1, 2 * min(tails)))


def test_out_of_scope_share_is_beta_binomial():
    found = out_of_scope_shift(12, 1000, 499)
    exact = stats.betabinom(1000, 5, 495)
    assert found.expected == pytest.approx(0.01)
    assert found.expected_interval == pytest.approx(tuple(exact.ppf([0.025, 0.975]) / 1000), abs=0.001)
    assert not found.is_shifted
    first = next(count for count in range(1000) if exact.sf(count - 1) < 0.002)
    assert out_of_scope_shift(first, 1000, 499).is_shifted
    assert not out_of_scope_shift(first - 8, 1000, 499).is_shifted


def test_out_of_scope_needs_scores_and_products():
    assert out_of_scope_shift(0, 100, 98) is None  # the threshold is infinite
    assert out_of_scope_shift(0, 0, 500) is None


def test_several_photos_make_out_of_scope_more_probable():
    single = out_of_scope_shift(23, 1000, 4999)
    assert single.is_shifted
    assert not out_of_scope_shift(23, 1000, 4999, photos_per_product=2.0).is_shifted
    assert out_of_scope_shift(60, 1000, 4999, photos_per_product=4.0).is_shifted


@pytest.mark.parametrize("n", [200, 1000, 10_000])
def test_no_alarm_where_nothing_changed(n):
    random, alarms = np.random.default_rng(n), 0
    for _ in range(100):
        calibration = random.choice(4, 600, p=SHARES)
        counts = dict(zip(CLASSES, random.multinomial(n, SHARES).tolist(), strict=True))
        is_mixed = any(shift.is_shifted for shift in class_shifts(counts, calibration, CLASSES))
        confidence = confidence_shift(random.beta(6, 1, n), random.beta(6, 1, 600))
        scores = np.sort(random.random(600))
        outside = out_of_scope_shift(int((random.random(n) > scores[594]).sum()), n, 600)
        alarms += is_mixed or confidence.is_shifted or outside.is_shifted
    assert alarms <= 4  # 1 expected


def test_changed_mix_names_the_class():
    calibration = np.repeat(np.arange(4), (400, 350, 200, 50))
    found = class_shifts({"dress": 380, "shirt": 330, "shoes": 90, "hat": 200}, calibration, CLASSES)
    assert [shift.name for shift in found if shift.is_shifted] == ["hat", "shoes"]
    hat = found[0]
    assert (hat.observed, hat.expected) == (0.2, 0.05)
    assert 0 < hat.interval[0] < 0.15 < hat.interval[1]


def test_groups_of_calibration_images_widen_the_intervals():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 20)
    calibration = np.repeat([0] * 9 + [1] * 12 + [2] * 7 + [3] * 2, 20)  # each group has one class
    counts = {"dress": 400, "shirt": 350, "shoes": 200, "hat": 50}
    assert not any(shift.is_shifted for shift in class_shifts(counts, calibration, CLASSES, groups))
    assert any(shift.is_shifted for shift in class_shifts(counts, calibration, CLASSES))
    confidence = np.repeat(random.beta(6, 1, 30), 20)
    alone = confidence_shift(random.beta(6, 1, 1000), confidence)
    grouped = confidence_shift(random.beta(6, 1, 1000), confidence, groups)
    assert np.ptp(grouped.interval) > 2 * np.ptp(alone.interval)


def test_lower_confidence_is_found_without_contradictions():
    random = np.random.default_rng(1)
    found = confidence_shift(random.beta(4, 1, 1000), np.append(random.beta(8, 1, 1000), np.zeros(50)))
    assert found.is_shifted
    assert found.expected == pytest.approx(8 / 9, abs=0.01)
    assert found.interval[0] < 4 / 5 - 8 / 9 < found.interval[1]


def test_classes_without_predictions_on_a_side():
    assert class_shifts({}, np.array([0, 1]), CLASSES) == ()
    assert class_shifts({"dress": 3}, np.array([-1, -1]), CLASSES) == ()
    assert confidence_shift(np.array([0.5]), np.array([0.5, 0.6])) is None
    assert confidence_shift(np.array([0.5, 0.9]), np.array([0.5, 0.6]), np.array([7, 7])) is None, "one group"
