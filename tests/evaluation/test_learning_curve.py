"""Forecasts from learning curves: of simulated models whose curve is known."""

import numpy as np
import pytest

from muslin.errors import DataError
from muslin.evaluation.learning_curve import FRACTIONS, LearningCurve, forecast
from muslin.evaluation.precision_bound import accept_threshold


def curve_of(n=600, labelled=600, *, slope=0.5, seed=0, group_size=1, repeats=2):
    """Predictions of simulated models: calibrated, with log odds that rise by `slope` per e-fold of the images."""
    random = np.random.default_rng(seed)
    difficulty = np.repeat(random.normal(0, 2, n // group_size), group_size)
    luck = np.repeat(random.random(n // group_size), group_size)
    confidence, correct = [], []
    for _ in range(repeats):
        noise = random.normal(0, 0.3, n)
        odds = [2.0 + slope * np.log(fraction * labelled / 600) + difficulty + noise for fraction in FRACTIONS]
        chances = 1 / (1 + np.exp(-np.array(odds)))
        confidence.append(np.maximum(chances, 0.1))
        correct.append(luck < chances)
    groups = np.repeat(np.arange(n // group_size), group_size) if group_size > 1 else None
    return LearningCurve(FRACTIONS, np.array(confidence), np.array(correct), groups)


def test_more_images_bring_what_the_curve_says():
    found = forecast(curve_of(), 600, 300, 0.95)
    assert found.accepted_interval[0] < found.accepted < found.accepted_interval[1]
    assert found.accepted_now < found.accepted
    assert found.accuracy_now < found.accuracy < found.accuracy_now + 0.05


def test_band_holds_for_models_on_more_images():
    held = 0
    for seed in range(6):
        found = forecast(curve_of(seed=seed), 600, 300, 0.9)
        later = curve_of(900, 900, seed=100 + seed, repeats=1)
        confidence, correct = later.confidence[0, -1], later.correct[0, -1]
        falling = np.argsort(-confidence)
        threshold = accept_threshold(confidence[falling], correct[falling], 0.9)
        held += found.accepted_interval[0] <= (confidence >= threshold).mean() <= found.accepted_interval[1]
    assert held >= 5


def test_flat_curve_promises_little():
    steep, flat = (forecast(curve_of(slope=slope), 600, 600, 0.95) for slope in (0.8, 0.0))
    assert flat.accuracy == pytest.approx(flat.accuracy_now, abs=0.01)
    assert steep.accepted - steep.accepted_now > flat.accepted - flat.accepted_now


def test_images_that_do_not_calibrate_bring_less():
    curve = curve_of(300, 300)
    assert forecast(curve, 300, 300, 0.95).accepted > forecast(curve, 300, 300, 0.95, calibrates=False).accepted


def test_groups_widen_the_band():
    alone, grouped = (forecast(curve_of(group_size=size, seed=2), 600, 100, 0.9) for size in (1, 6))
    assert np.ptp(grouped.accuracy_interval) > 1.5 * np.ptp(alone.accuracy_interval)


def test_nothing_accepted_stays_nothing_without_calibration_images():
    curve = curve_of(40, 40)
    found = forecast(curve, 40, 5, 0.99)
    assert (found.accepted_now, found.accepted, found.accepted_interval) == (0, 0, (0, 0))


def test_share_of_one_class_alone():
    curve = curve_of()
    counted = np.zeros(600, bool)
    counted[:50] = True
    some = LearningCurve(curve.fractions, curve.confidence, curve.correct, None, counted)
    found = forecast(some, 50, 50, 0.9, calibrates=False)
    assert found.accuracy_now == pytest.approx(curve.correct[:, -1, :50].mean())


def test_draws_without_an_image_of_the_class_are_left_out():
    curve = curve_of()
    counted = np.arange(600) < 2  # which one draw in seven lacks
    some = LearningCurve(curve.fractions, curve.confidence, curve.correct | counted, None, counted)
    found = forecast(some, 10, 10, 0.9, calibrates=False)
    assert found.accuracy_now == 1
    assert 0.9 < found.accuracy_interval[0] <= found.accuracy <= found.accuracy_interval[1]
    assert 0 <= found.accepted_interval[0] <= found.accepted <= found.accepted_interval[1] <= 1


def test_large_groups_count_once_in_a_forecast():
    sizes = np.array([1] * 100 + [25] * 4)
    groups = np.repeat(np.arange(104), sizes)
    right = np.broadcast_to(np.repeat(sizes == 1, sizes), (2, len(FRACTIONS), 200))
    found = forecast(LearningCurve(FRACTIONS, np.where(right, 0.9, 0.6), right, groups), 200, 20, 0.9)
    assert found.accuracy_now == 0.5
    assert found.accuracy == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("more", [0, 601])
def test_too_far_is_refused(more):
    with pytest.raises(DataError) as raised:
        forecast(curve_of(), 600, more, 0.9)
    assert raised.value.code == "forecast_range"
    assert raised.value.params["largest"] == 600
