"""What a shop may take without looking: figures worked by hand or by scipy, and promises tried on made-up models."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import binomtest

from muslin.data.dataset import Target
from muslin.errors import DataError
from muslin.evaluation.calibration import scaled, scaled_labels, temperature, temperatures
from muslin.evaluation.ood import fit_ood_detector
from muslin.evaluation.selective import (
    ACCEPT,
    NOT_OURS,
    REVIEW,
    calibration_data_from,
    chance_of_at_least,
    listed_from,
    most,
    rule,
    threshold,
    triage,
)

GARMENTS = Target("label", ("coat", "dress", "bag"))


def answers(
    n: int, seed: int, too_sure: float = 1.0, spread: float = 2.5
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """True classes, and probabilities of a model that would be calibrated at temperature `too_sure`."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, spread, (n, 3))
    true = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = (true.cumsum(1) > random.random((n, 1))).argmax(1)
    raw_probabilities = np.exp(scores * too_sure)
    return labels, raw_probabilities / raw_probabilities.sum(1, keepdims=True)


def test_a_model_that_is_too_sure_is_cooled_to_what_is_true() -> None:
    labels, raw_probabilities = answers(20_000, seed=1, too_sure=2.0)
    assert temperature(labels, raw_probabilities) == pytest.approx(2.0, rel=0.05)
    unknown = np.where(np.arange(20_000) % 2, labels, -1)
    assert temperature(unknown, raw_probabilities) == pytest.approx(2.0, rel=0.08)
    with pytest.raises(DataError, match="no image with a known class"):
        temperature(np.full(3, -1), raw_probabilities[:3])


def test_scaling_keeps_the_order_and_the_sum() -> None:
    cooled = scaled(np.array([[0.81, 0.09, 0.1]]), 2.0)  # square roots 0.9, 0.3, 0.3162 of sum 1.5162
    assert cooled[0] == pytest.approx([0.9 / 1.5162278, 0.3 / 1.5162278, 0.3162278 / 1.5162278])
    assert scaled_labels(np.array([[0.5, 0.9]]), np.array([3.0, 2.0]))[0] == pytest.approx([0.5, 0.75])
    certain = scaled(np.array([[1.0, 0.0]]), 0.05)
    assert np.isfinite(certain).all()


def test_each_label_gets_its_own_temperature_and_one_that_never_varies_keeps_one() -> None:
    labels, raw_probabilities = answers(20_000, seed=2, too_sure=2.0)
    yes = np.stack([labels == 0, np.ones(len(labels)), labels == 1], axis=1).astype(np.int8)
    found = temperatures(
        yes, np.stack([raw_probabilities[:, 0], raw_probabilities[:, 1], raw_probabilities[:, 1]], axis=1)
    )
    assert found[1] == 1
    assert (found[[0, 2]] > 1.3).all()


@pytest.mark.parametrize("n", [41, 299, 298, 59, 58])
def test_few_faultless_images_promise_what_clopper_and_pearson_say(n: int) -> None:
    sure, right = np.linspace(1, 0.5, n), np.ones(n, dtype=bool)
    bound = binomtest(n, n, alternative="greater").proportion_ci(0.95, "exact").low
    assert threshold(sure, right, bound - 1e-4) < np.inf
    assert threshold(sure, right, bound + 1e-3) == np.inf
    assert most(sure, right) == pytest.approx(bound, abs=0.002)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.98, 0.999])
@pytest.mark.parametrize("n", [1, 7, 150, 10_000])
def test_the_chance_of_so_many_right_answers_is_scipys(n: int, probability: float) -> None:
    for successes in {1, n // 2 + 1, round(n * probability) or 1, n}:
        expected = betainc(successes, n - successes + 1, probability)
        assert chance_of_at_least(successes, n, probability) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_what_cannot_be_promised_is_said_with_what_can() -> None:
    labels, raw_probabilities = np.arange(90) % 3, np.eye(3)[np.arange(90) % 3] * 0.9 + 0.1 / 3
    found = rule(GARMENTS, calibration_data_from(GARMENTS, labels, raw_probabilities), 0.99, "class")
    assert (
        found.unsupported[1] == "class dress: 30 validation answers cannot support 99 %; 90.4 % is the most"
    )
    assert found.expected_precision is None
    assert np.isinf(found.accept_thresholds).all()
    one_class = rule(GARMENTS, calibration_data_from(GARMENTS, np.zeros(3, int), raw_probabilities[:3]), 0.9)
    assert "3 validation answers cannot support 90 %" in one_class.unsupported[0]
    nothing = rule(GARMENTS, calibration_data_from(GARMENTS, np.full(3, -1), raw_probabilities[:3]), 0.9)
    assert "Train it again with a validation part" in nothing.unsupported[0]
    for wanted in (1.0, 0.2, float("nan")):
        with pytest.raises(DataError, match=r"from 0\.5 to below 1"):
            rule(GARMENTS, None, wanted)
    with pytest.raises(DataError, match="class"):
        rule(GARMENTS, None, 0.9, "clas")


@pytest.mark.parametrize("n", [120, 1000])
def test_the_promise_is_broken_in_at_most_one_of_twenty_draws(n: int) -> None:
    """Of a model whose true precision above every confidence is known: right with probability of its confidence."""
    random, broken, used, draws = np.random.default_rng(n), 0, 0, 600
    wanted = 0.9 if n == 1000 else 0.8  # 120 answers seldom show more
    for _ in range(draws):
        sure = -np.sort(-(0.5 + 0.5 * random.random(n)))
        at = threshold(sure, random.random(n) < sure, wanted)
        used += at < np.inf
        broken += at < np.inf and (1 + at) / 2 < wanted  # the mean of what is uniform from `at` to 1
    assert binomtest(broken, draws, 0.05, alternative="greater").pvalue > 0.01
    assert used > draws / 3


def test_equally_sure_answers_are_accepted_together_or_not_at_all() -> None:
    sure = np.repeat([0.9, 0.6], 200)
    right = np.concatenate([np.ones(200, bool), np.arange(200) % 2 == 0])
    assert threshold(sure, right, 0.95) == 0.9
    assert threshold(np.full(400, 0.8), right, 0.9) == np.inf
    assert threshold(np.full(400, 0.8), np.ones(400, bool), 0.9) == 0.8


def test_a_promise_for_each_class_accepts_less_than_one_for_all() -> None:
    calibration_data = calibration_data_from(GARMENTS, *answers(6_000, seed=5))
    shares = {per: rule(GARMENTS, calibration_data, 0.95, per).expected_coverage for per in ("class", "all")}
    assert 0 < shares["class"] < shares["all"]


@pytest.mark.parametrize("per", ["all", "class"])
def test_whoever_moves_the_threshold_between_two_classes_gets_a_promise_for_the_moved_one(per: str) -> None:
    two = Target("label", ("plain", "fake"))
    labels, raw_probabilities = answers(6_000, seed=11)
    raw_probabilities = np.stack([1 - raw_probabilities[:, 1], raw_probabilities[:, 1]], axis=1)
    labels = (labels == 1).astype(np.int64)
    calibration_data = calibration_data_from(two, labels, raw_probabilities)
    assert calibration_data is not None
    found = rule(two, calibration_data, 0.9, per, (0.9,))
    decided = triage(two, scaled(raw_probabilities, calibration_data.temperature), found)
    said = scaled(raw_probabilities, calibration_data.temperature)[:, 1] >= 0.9
    assert np.array_equal(decided.predicted, said.astype(int))
    accepted = decided.decisions == ACCEPT
    assert found.expected_coverage == pytest.approx(accepted.mean(), abs=1e-3)
    assert found.expected_precision == pytest.approx((decided.predicted == labels)[accepted].mean(), abs=1e-3)
    assert found.expected_precision > 0.9


def test_of_several_labels_moved_thresholds_get_no_promise_and_it_is_said() -> None:
    tags = Target("tags", ("new", "sale"), "multilabel")
    raw_probabilities = np.random.default_rng(12).random((500, 2))
    calibration_data = calibration_data_from(
        tags, (raw_probabilities > 0.5).astype(np.int8), raw_probabilities
    )
    assert calibration_data is not None
    assert rule(tags, calibration_data, 0.9).expected_coverage > 0
    with_thresholds = rule(tags, calibration_data, 0.9, label_thresholds=(0.2, 0.9))
    assert with_thresholds.expected_coverage == 0
    assert "thresholds were moved" in with_thresholds.unsupported[0]


def test_images_of_one_product_count_once() -> None:
    labels, raw_probabilities = answers(50, seed=6)
    copies = np.repeat(np.arange(50), 40)
    calibration_data = calibration_data_from(
        GARMENTS, labels[copies], raw_probabilities[copies], copies.astype(str)
    )
    assert calibration_data is not None
    assert len(calibration_data) == 50


def test_short_lists_hold_the_true_class_as_often_as_stated() -> None:
    assert listed_from(np.arange(1, 20) / 20) == 0.1  # (19 + 1) × 0.1 = the 2nd smallest
    assert listed_from(np.array([0.4, 0.5])) == 0.0
    held = []
    for seed in range(20):
        labels, raw_probabilities = answers(4_000, seed=seed, spread=1.5)
        calibration_data = calibration_data_from(GARMENTS, labels[:2000], raw_probabilities[:2000])
        found = rule(GARMENTS, calibration_data, 0.95)
        assert calibration_data is not None
        decided = triage(GARMENTS, scaled(raw_probabilities[2000:], calibration_data.temperature), found)
        review = decided.decisions == REVIEW
        held.append(decided.candidates[review, labels[2000:][review]].mean())
        assert decided.candidates.any(axis=1).all()
    assert np.mean(held) == pytest.approx(0.90, abs=0.01)


def test_each_image_goes_where_it_belongs() -> None:
    labels, raw_probabilities = answers(4_000, seed=8)
    found = rule(GARMENTS, calibration_data_from(GARMENTS, labels, raw_probabilities), 0.95)
    three = np.array([[0.999, 0.0005, 0.0005], [0.4, 0.35, 0.25], [0.999, 0.0005, 0.0005]])
    decided = triage(GARMENTS, three, found, np.array([False, False, True]))
    assert decided.decisions.tolist() == [ACCEPT, REVIEW, NOT_OURS]
    assert decided.candidates[0].tolist() == [True, False, False]
    assert decided.candidates[1].sum() > 1


def test_of_several_labels_all_must_be_sure() -> None:
    target = Target("tags", ("new", "sale"), "multilabel")
    random = np.random.default_rng(9)
    raw_probabilities = random.random((4_000, 2))
    true = (random.random((4_000, 2)) < raw_probabilities).astype(np.int8)
    calibration_data = calibration_data_from(target, true, raw_probabilities)
    assert calibration_data is not None
    assert calibration_data.temperature == pytest.approx([1, 1], abs=0.1)
    found = rule(target, calibration_data, 0.9)
    decided = triage(target, np.array([[0.99, 0.98], [0.99, 0.6], [0.2, 0.1], [0.99, 0.01]]), found)
    assert decided.decisions.tolist() == [ACCEPT, REVIEW, REVIEW, ACCEPT]
    assert decided.tags.tolist() == [[True, True], [True, True], [False, False], [True, False]]


def test_a_image_unlike_the_known_ones_is_found_and_one_in_a_hundred_others_goes_with_it() -> None:
    random = np.random.default_rng(10)
    kind = np.concatenate([np.ones(8), np.zeros(8)])
    ood_detector = fit_ood_detector(
        kind + random.normal(0, 0.2, (500, 16)), kind + random.normal(0, 0.2, (2000, 16))
    )
    assert ood_detector is not None
    others = ood_detector.ood_score(kind + random.normal(0, 0.2, (5000, 16)))
    assert (others > ood_detector.limit).mean() == pytest.approx(0.01, abs=0.007)
    assert (ood_detector.ood_score(kind[::-1] + random.normal(0, 0.2, (50, 16))) > ood_detector.limit).all()
    assert (ood_detector.ood_score(np.zeros((1, 16))) > ood_detector.limit).all()
    few = fit_ood_detector(np.eye(16), np.eye(16)[:5])
    assert few is not None
    assert few.limit == np.inf
    assert fit_ood_detector(np.eye(16), np.zeros((0, 16))) is None
