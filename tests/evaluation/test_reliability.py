"""How far a model may be trusted: figures that can be worked out by hand or by another library."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from muslin.data.dataset import Target
from muslin.evaluation.reliability import (
    calibration,
    interval_of,
    newcombe,
    risk_against_coverage,
    slices,
    trust,
)
from muslin.evaluation.selective import calibrated, calibration_data_from

GARMENTS = Target("label", ("coat", "dress", "bag"))


def answers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True classes, and the probabilities of a model that is twice as sure as it should be."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2.5, (n, 3))
    true = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    raw_probabilities = np.exp(2 * scores)
    labels = (true.cumsum(1) > random.random((n, 1))).argmax(1)
    return labels, (raw_probabilities / raw_probabilities.sum(1, keepdims=True)).astype(np.float32)


def test_calibration_is_shown_before_and_after_and_what_is_accepted_at_each_precision() -> None:
    labels, raw_probabilities = answers(12_000, seed=1)
    calibration_data = calibration_data_from(GARMENTS, labels[:6000], raw_probabilities[:6000])
    found = trust(
        GARMENTS,
        labels[6000:],
        raw_probabilities[6000:],
        calibrated(GARMENTS, raw_probabilities[6000:], calibration_data),
        calibration_data,
    )
    assert found is not None
    assert found.after.expected_calibration_error < 0.02 < found.before.expected_calibration_error
    assert found.after.brier_score < found.before.brier_score
    assert found.after.log_loss < found.before.log_loss
    shares = [row.share for row in found.accepted]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5
    for row in found.accepted:
        assert sum(decision.n for decision in row.decisions) == 6000
        low, high = row.decisions[0].interval
        assert row.decisions[0].accuracy is None or (
            low < row.decisions[0].accuracy < high and high > row.precision
        )
    assert found.at_target.precision == 0.98
    assert found.at_target.listed == pytest.approx(0.9, abs=0.03)


def test_calibration_figures_are_scikit_learns() -> None:
    labels, raw_probabilities = answers(500, seed=2)
    found = calibration(labels, raw_probabilities)
    assert found.log_loss == pytest.approx(log_loss(labels, raw_probabilities), rel=1e-5)
    assert found.brier_score == pytest.approx(
        brier_score_loss(labels, raw_probabilities, scale_by_half=False), rel=1e-5
    )
    tags = np.array([[1, 0], [0, -1], [1, 1]], dtype=np.int8)
    said = np.array([[0.9, 0.2], [0.4, 0.7], [0.3, 0.6]], dtype=np.float32)
    cells = ([1, 0, 0, 1, 1], [0.9, 0.2, 0.4, 0.3, 0.6])
    assert calibration(tags, said).log_loss == pytest.approx(log_loss(*cells), rel=1e-5)


def test_risk_against_coverage_by_hand() -> None:
    points, area = risk_against_coverage(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.6, 0.4]))
    assert points == ((0.25, 0.0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5))
    assert area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert risk_against_coverage(np.empty(0), np.empty(0)) == ((), None)


def test_newcombes_interval_is_that_of_his_article() -> None:
    # Newcombe 1998, table II, (a) 56/70 - 48/80: method 10 gives 0.0524 to 0.3339; (c) 6/7 - 2/7: 0.0582 to 0.8062
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert newcombe(6, 7, 2, 7) == pytest.approx((0.0582, 0.8062), abs=1e-4)


def test_images_of_one_product_widen_the_interval() -> None:
    right = np.repeat(np.arange(60) % 3 > 0, 20).astype(float)
    alone, together = interval_of(right), interval_of(right, np.repeat(np.arange(60), 20))
    assert alone[0] < 2 / 3 < alone[1]
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])
    assert interval_of(np.ones(40), np.repeat(np.arange(2), 20))[0] < 0.4  # two products, not forty images
    assert interval_of(np.array([np.nan])) == (0.0, 1.0)


def test_a_weak_slice_comes_first_and_chance_alone_makes_none() -> None:
    random = np.random.default_rng(6)
    by = np.repeat(["spring", "summer", "autumn", "winter"], 500).astype(object)
    same = slices((random.random(2000) < 0.9).astype(float), by)
    assert not any(s.weak for s in same)
    worse = np.where(by == "winter", 0.8, 0.92)
    right = (random.random(2000) < worse).astype(float)
    for groups in (None, np.arange(2000) // 2):
        found = slices(right, by, groups)
        assert [s.value for s in found if s.weak] == ["winter"]
        assert found[0].value == "winter"
        assert found[0].difference == pytest.approx(right[1500:].mean() - right[:1500].mean())
    assert slices(right, np.full(2000, "all year", dtype=object)) == ()


def test_of_twenty_equal_slices_one_is_called_weak_in_at_most_one_of_twenty_tests() -> None:
    random, called = np.random.default_rng(4), 0
    by = np.arange(2000).astype(object) % 20
    for _ in range(100):
        called += any(s.weak for s in slices((random.random(2000) < 0.9).astype(float), by))
    assert called <= 10  # 5 expected at most; more than 10 happen by chance in 1 of 90 such tests


def test_leaks_are_set_aside() -> None:
    labels, raw_probabilities = answers(400, seed=5)
    copies = raw_probabilities.argmax(1) == labels
    found = trust(GARMENTS, labels, raw_probabilities, raw_probabilities, None, copies=copies)
    assert found is not None
    assert found.leaks is not None
    assert (found.leaks.accuracy, found.leaks.without) == (1.0, 0.0)
    assert "no held-out images" in found.accepted[0].unsupported[0]
    assert trust(GARMENTS, np.full(3, -1), raw_probabilities[:3], raw_probabilities[:3], None) is None


def test_of_several_labels_the_share_of_those_said_counts() -> None:
    target = Target("tags", ("new", "sale"), "multilabel")
    true = np.array([[1, 0], [1, 1], [0, 0], [-1, 1]], dtype=np.int8)
    said = np.array([[0.9, 0.8], [0.9, 0.2], [0.2, 0.1], [0.9, 0.9]], dtype=np.float32)
    found = trust(target, true, said, said, None, label_thresholds=(0.5, 0.5))
    assert found is not None
    assert found.accuracy == pytest.approx((0.5 + 1 + 1) / 3)  # the third got no label
    assert found.at_target.listed == 1  # with nothing to decide by, every label is listed
    assert found.at_target.mean_set_size == 2
