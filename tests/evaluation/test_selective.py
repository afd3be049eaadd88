"""Calibration, guarantees and prediction sets equal SciPy or keep their word on simulated models."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import betainc, ndtr
from scipy.stats import binomtest
from scipy.stats import t as student_t

from muslin.data.dataset import Target
from muslin.errors import DataError
from muslin.evaluation.binomial import binomial_tail
from muslin.evaluation.calibration import (
    fit_label_temperatures,
    fit_temperature,
    scale_label_probabilities,
    scale_probabilities,
)
from muslin.evaluation.effective_size import effective_sizes, intraclass_correlation
from muslin.evaluation.ood import fit_ood_detector
from muslin.evaluation.precision_bound import accept_threshold, max_precision, precision_p_value
from muslin.evaluation.selective import (
    ACCEPT,
    OUT_OF_SCOPE,
    REVIEW,
    acceptance_policy,
    conformal_threshold,
    fit_calibration_data,
    triage,
)

GARMENTS = Target("label", ("coat", "dress", "bag"))


def predictions(
    n: int, seed: int, temperature: float = 1.0, score_std: float = 2.5
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """True classes, and probabilities of a model that would be calibrated at `temperature`."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, score_std, (n, 3))
    true = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = (true.cumsum(1) > random.random((n, 1))).argmax(1)
    raw_probabilities = np.exp(scores * temperature)
    return labels, raw_probabilities / raw_probabilities.sum(1, keepdims=True)


def test_fitted_temperature_calibrates_an_overconfident_model() -> None:
    labels, probabilities = predictions(20_000, seed=1, temperature=2.0)
    assert fit_temperature(labels, probabilities) == pytest.approx(2.0, rel=0.05)
    half_labelled = np.where(np.arange(20_000) % 2, labels, -1)
    assert fit_temperature(half_labelled, probabilities) == pytest.approx(2.0, rel=0.08)
    with pytest.raises(DataError) as error:
        fit_temperature(np.full(3, -1), probabilities[:3])
    assert error.value.code == "no_labels_to_calibrate"


def test_scaling_keeps_the_order_and_the_sum() -> None:
    scaled = scale_probabilities(np.array([[0.81, 0.09, 0.1]]), 2.0)  # roots 0.9, 0.3, 0.3162 of sum 1.5162
    assert scaled[0] == pytest.approx([0.9 / 1.5162278, 0.3 / 1.5162278, 0.3162278 / 1.5162278])
    labels = scale_label_probabilities(np.array([[0.5, 0.9]]), np.array([3.0, 2.0]))
    assert labels[0] == pytest.approx([0.5, 0.75])
    assert np.isfinite(scale_probabilities(np.array([[1.0, 0.0]]), 0.05)).all()


@pytest.mark.parametrize("temperature", [0.05, 0.82, 1.0, 2.0])
def test_one_image_is_scaled_as_in_a_batch(temperature: float) -> None:
    probabilities = predictions(500, seed=3, temperature=3.0)[1].astype(np.float32)
    probabilities[:3] = np.eye(3)
    alone = [scale_probabilities(probabilities[place : place + 1], temperature) for place in range(500)]
    assert (np.concatenate(alone) == scale_probabilities(probabilities, temperature)).all()
    assert alone[0].dtype == np.float32


def test_each_label_gets_its_own_temperature() -> None:
    labels, probabilities = predictions(20_000, seed=2, temperature=2.0)
    truth = np.stack([labels == 0, np.ones(len(labels)), labels == 1], axis=1).astype(np.int8)
    temperatures = fit_label_temperatures(truth, probabilities[:, [0, 1, 1]])
    assert temperatures[1] == 1  # all images have the label
    assert (temperatures[[0, 2]] > 1.3).all()


@pytest.mark.parametrize("n", [41, 299, 298, 59, 58])
def test_guarantee_of_faultless_images_is_clopper_pearsons(n: int) -> None:
    confidence, correct = np.linspace(1, 0.5, n), np.ones(n, dtype=bool)
    bound = binomtest(n, n, alternative="greater").proportion_ci(0.95, "exact").low
    assert accept_threshold(confidence, correct, bound - 1e-4) < np.inf
    assert accept_threshold(confidence, correct, bound + 1e-3) == np.inf
    assert max_precision(confidence, correct) == pytest.approx(bound, abs=0.002)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.98, 0.999])
@pytest.mark.parametrize("n", [1, 7, 33.4, 150, 10_000])
def test_binomial_tail_is_scipys(n: float, probability: float) -> None:
    for successes in {1, n // 2 + 1, 0.97 * n, n}:
        expected = betainc(successes, n - successes + 1, probability)
        assert binomial_tail(successes, n, probability) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_unsupported_precision_says_what_is_supported() -> None:
    labels, probabilities = np.arange(90) % 3, np.eye(3)[np.arange(90) % 3] * 0.9 + 0.1 / 3
    data = fit_calibration_data(GARMENTS, labels, probabilities)
    policy = acceptance_policy(GARMENTS, data, 0.99, "per-class")
    assert [message.params["class_name"] for message in policy.unsupported] == list(GARMENTS.classes)
    message = policy.unsupported[1]
    assert (message.code, message.params["n"], message.params["needed"]) == ("too_few_for_precision", 30, 299)
    assert (message.params["precision_target"], message.params["max_precision"]) == (0.99, 0.904)
    assert policy.expected_precision is None
    assert np.isinf(policy.accept_thresholds).all()
    few = fit_calibration_data(GARMENTS, np.zeros(3, int), probabilities[:3])
    (message,) = acceptance_policy(GARMENTS, few, 0.9).unsupported
    assert (message.params["n"], message.params["max_precision"]) == (3, None)


def test_policy_without_calibration_data_accepts_nothing() -> None:
    none = fit_calibration_data(GARMENTS, np.full(3, -1), np.full((3, 3), 1 / 3))
    policy = acceptance_policy(GARMENTS, none, 0.9)
    assert [message.code for message in policy.unsupported] == ["no_calibration_data"]
    assert np.isinf(policy.accept_thresholds).all()


@pytest.mark.parametrize(
    ("arguments", "code", "params"),
    [
        ((1.0,), "precision_range", {"found": 1.0}),
        ((0.2,), "precision_range", {"found": 0.2}),
        ((float("nan"),), "precision_range", {}),
        ((0.9, "per-clas"), "guarantee_unknown", {"name": "per-clas", "nearest": "per-class"}),
    ],
)
def test_wrong_precision_or_guarantee_is_refused(arguments: tuple[Any, ...], code: str, params: dict[str, Any]) -> None:
    with pytest.raises(DataError) as error:
        acceptance_policy(GARMENTS, None, *arguments)
    assert error.value.code == code
    assert params.items() <= error.value.params.items()


@pytest.mark.parametrize("n", [120, 1000])
def test_guarantee_fails_in_at_most_5_of_100_draws(n: int) -> None:
    """With a model whose true precision is known: each prediction is correct with probability of its confidence."""
    random, failed, used, draws = np.random.default_rng(n), 0, 0, 600
    target = 0.9 if n == 1000 else 0.8  # 120 predictions seldom prove more
    for _ in range(draws):
        confidence = -np.sort(-(0.5 + 0.5 * random.random(n)))
        threshold = accept_threshold(confidence, random.random(n) < confidence, target)
        used += threshold < np.inf
        failed += threshold < np.inf and (1 + threshold) / 2 < target  # mean of a uniform from `threshold` to 1
    assert binomtest(failed, draws, 0.05, alternative="greater").pvalue > 0.01
    assert used > draws / 3


def test_equal_confidences_are_accepted_together() -> None:
    confidence = np.repeat([0.9, 0.6], 200)
    correct = np.concatenate([np.ones(200, bool), np.arange(200) % 2 == 0])
    assert accept_threshold(confidence, correct, 0.95) == 0.9
    assert accept_threshold(np.full(400, 0.8), correct, 0.9) == np.inf
    assert accept_threshold(np.full(400, 0.8), np.ones(400, bool), 0.9) == 0.8


def test_per_class_guarantee_accepts_less_than_overall() -> None:
    data = fit_calibration_data(GARMENTS, *predictions(6_000, seed=5))
    per_class, overall = (
        acceptance_policy(GARMENTS, data, 0.95, guarantee).expected_coverage for guarantee in ("per-class", "overall")
    )
    assert 0 < per_class < overall


@pytest.mark.parametrize("guarantee", ["overall", "per-class"])
def test_changed_threshold_of_two_classes_keeps_the_guarantee(guarantee: str) -> None:
    two = Target("label", ("plain", "fake"))
    labels, probabilities = predictions(6_000, seed=11)
    probabilities = np.stack([1 - probabilities[:, 1], probabilities[:, 1]], axis=1)
    labels = (labels == 1).astype(np.int64)
    data = fit_calibration_data(two, labels, probabilities)
    assert data is not None
    policy = acceptance_policy(two, data, 0.9, guarantee, (0.9,))
    scaled = scale_probabilities(probabilities, data.temperature)
    decided = triage(two, scaled, policy)
    assert np.array_equal(decided.predicted, (scaled[:, 1] >= 0.9).astype(int))
    accepted = decided.decisions == ACCEPT
    assert policy.expected_coverage == pytest.approx(accepted.mean(), abs=1e-3)
    precision = (decided.predicted == labels)[accepted].mean()
    assert policy.expected_precision == pytest.approx(precision, abs=1e-3)
    assert policy.expected_precision is not None
    assert policy.expected_precision > 0.9


def test_changed_threshold_makes_no_prediction_of_no_class_correct() -> None:
    two = Target("label", ("ours", "theirs"))
    labels = np.array([0] * 30 + [1] * 30 + [-1] * 20)
    second = np.array([0.1] * 30 + [0.7] * 30 + [0.3] * 20)
    probabilities, for_review = np.stack([1 - second, second], axis=1), np.arange(80) == 0
    data = fit_calibration_data(two, labels, probabilities, no_class=labels < 0, for_review=for_review)
    assert data is not None
    changed = data.with_label_thresholds(two, (0.0,))
    assert changed is not None
    assert changed.predicted.tolist().count(1) == 79
    assert changed.correct.sum() == 31, "those of the second class, and the one for review, which stays as it is"
    assert not changed.correct[np.isnan(changed.probability_of_true)].any()


def test_changed_multilabel_thresholds_have_no_guarantee() -> None:
    tags = Target("tags", ("new", "sale"), "multilabel")
    probabilities = np.random.default_rng(12).random((500, 2))
    data = fit_calibration_data(tags, (probabilities > 0.5).astype(np.int8), probabilities)
    assert acceptance_policy(tags, data, 0.9).expected_coverage > 0
    changed = acceptance_policy(tags, data, 0.9, label_thresholds=(0.2, 0.9))
    assert changed.expected_coverage == 0
    assert [message.code for message in changed.unsupported] == ["thresholds_changed"]


def test_calibration_data_keeps_all_images_of_a_group() -> None:
    labels, probabilities = predictions(50, seed=6)
    groups = np.repeat(np.arange(50), 40)
    data = fit_calibration_data(GARMENTS, labels[groups], probabilities[groups], groups.astype(str))
    assert data is not None
    assert (len(data), data.n_groups) == (2000, 50)


def test_copies_in_a_group_prove_no_more_than_one_image() -> None:
    correct, group = np.arange(80) != 40, np.arange(80)
    copies = np.repeat(correct, 30), np.repeat(group, 30)
    one, grouped = precision_p_value(correct, 0.9), precision_p_value(copies[0], 0.9, copies[1])
    assert one < grouped < 1.3 * one  # with the correction for few groups
    assert precision_p_value(copies[0], 0.9) < one / 1e6
    assert precision_p_value(np.ones(1000, bool), 0.9, np.arange(1000) % 28) == 1  # 29 groups are needed


@pytest.mark.parametrize("mean_size", [1, 4])
def test_lower_precision_accepts_at_least_as_much(mean_size: int) -> None:
    """Some of these draws fail the search for a precision alone and pass that for a higher one."""
    random = np.random.default_rng(17)
    for _ in range(15):
        groups = random.integers(0, 240 // mean_size, 240)
        confidence = -np.sort(-(1 - 0.4 * random.random(240) ** 2))
        correct = random.random(240) < confidence
        data = confidence, correct, groups if mean_size > 1 else None
        precisions = np.arange(0.8, 0.97, 0.009)
        thresholds = [accept_threshold(data[0], data[1], precision, data[2]) for precision in precisions.tolist()]
        assert thresholds == sorted(thresholds)
        highest = max_precision(*data)
        assert accept_threshold(data[0], data[1], highest, data[2]) < np.inf
        assert accept_threshold(data[0], data[1], highest + 0.001, data[2]) == np.inf


def test_effective_sizes_are_those_of_each_beginning() -> None:
    random = np.random.default_rng(18)
    groups = random.integers(0, 12, 60)
    correct = random.random(60) < np.where(groups % 3, 0.95, 0.3)
    columns = effective_sizes(correct, groups, 0.2)
    for n in range(1, 61):
        alone = [values[-1] for values in effective_sizes(correct[:n], groups[:n], 0.2)]
        assert [values[n - 1] for values in columns] == pytest.approx(alone)
        assert alone[:2] == [len(np.unique(groups[:n])), pytest.approx(correct[:n].mean())]
    counts, sums = np.bincount(groups), np.bincount(groups, weights=correct)
    rate = correct.mean()
    design_effect = ((sums - rate * counts) ** 2).sum() * 12 / 11 / (60 * rate * (1 - rate))
    few_groups = (student_t.ppf(0.95, 59) / student_t.ppf(0.95, 11)) ** 2
    assert effective_sizes(correct, groups, 0)[2][-1] == pytest.approx(60 / design_effect * few_groups, rel=0.01)


def test_intraclass_correlation_is_known_in_the_extremes() -> None:
    group = np.repeat(np.arange(200), 10)
    whole = np.repeat(np.arange(200) % 4 > 0, 10)
    assert intraclass_correlation(whole, group) == pytest.approx(1)
    assert intraclass_correlation(np.random.default_rng(15).permutation(whole), group) < 0.02
    assert intraclass_correlation(np.ones(2000, bool), group) == 0


def test_independent_images_in_many_groups_prove_as_much_as_alone() -> None:
    random = np.random.default_rng(14)
    correct = random.random(2000) < 0.93
    alone, grouped = precision_p_value(correct, 0.92), precision_p_value(correct, 0.92, random.permutation(2000) % 400)
    assert grouped == pytest.approx(alone, rel=0.3)


@pytest.mark.parametrize("mean_size", [3, 10])
def test_guarantee_of_groups_fails_in_at_most_5_of_100(mean_size: int) -> None:
    """Each group has a precision of its own, so its predictions are correct or incorrect together."""
    random, failed, used, draws = np.random.default_rng(mean_size), 0, 0, 400
    for _ in range(draws):
        groups = np.repeat(np.arange(150), random.integers(1, 2 * mean_size, 150))
        confidence = 0.5 + 0.5 * random.random(len(groups))
        luck = 0.7 * random.normal(size=150)[groups] + 0.51**0.5 * random.normal(size=len(groups))
        correct = ndtr(luck) < confidence
        order = np.argsort(-confidence)
        threshold = accept_threshold(confidence[order], correct[order], 0.85, groups[order])
        used += threshold < np.inf
        failed += threshold < np.inf and (1 + threshold) / 2 < 0.85
    assert binomtest(failed, draws, 0.05, alternative="greater").pvalue > 0.01
    assert used > draws / 3


def test_too_few_groups_are_named_with_what_is_needed() -> None:
    labels, probabilities = np.arange(290) % 3, np.eye(3)[np.arange(290) % 3] * 0.9 + 0.1 / 3
    data = fit_calibration_data(GARMENTS, labels, probabilities, np.arange(290) % 29)
    (message,) = acceptance_policy(GARMENTS, data, 0.95).unsupported
    assert message.code == "too_few_for_precision"
    expected = {"n": 290, "groups": 29, "needed": 59, "max_precision": 0.901}
    assert expected.items() <= message.params.items()


def test_prediction_sets_keep_their_coverage() -> None:
    assert conformal_threshold(np.arange(1, 20) / 20) == 0.1  # (19 + 1) × 0.1 = the 2nd smallest
    assert conformal_threshold(np.array([0.4, 0.5])) == 0.0
    coverages = []
    for seed in range(20):
        labels, probabilities = predictions(4_000, seed=seed, score_std=1.5)
        data = fit_calibration_data(GARMENTS, labels[:2000], probabilities[:2000])
        assert data is not None
        policy = acceptance_policy(GARMENTS, data, 0.95)
        decided = triage(GARMENTS, scale_probabilities(probabilities[2000:], data.temperature), policy)
        review = decided.decisions == REVIEW
        coverages.append(decided.prediction_sets[review, labels[2000:][review]].mean())
        assert decided.prediction_sets.any(axis=1).all()
    assert np.mean(coverages) == pytest.approx(0.90, abs=0.01)


def test_triage_decides_each_image() -> None:
    data = fit_calibration_data(GARMENTS, *predictions(4_000, seed=8))
    policy = acceptance_policy(GARMENTS, data, 0.95)
    three = np.array([[0.999, 0.0005, 0.0005], [0.4, 0.35, 0.25], [0.999, 0.0005, 0.0005]])
    decided = triage(GARMENTS, three, policy, np.array([False, False, True]))
    assert decided.decisions.tolist() == [ACCEPT, REVIEW, OUT_OF_SCOPE]
    assert decided.prediction_sets[0].tolist() == [True, False, False]
    assert decided.prediction_sets[1].sum() > 1


@pytest.mark.parametrize("label_thresholds", [(0.5,), (0.7,)])
def test_triage_of_one_image_is_that_of_its_row(label_thresholds: tuple[float, ...]) -> None:
    target = Target("fit", ("slim", "wide"))
    labels, of_three = predictions(4_000, seed=10)
    probabilities = (of_three[:, :2] / of_three[:, :2].sum(1, keepdims=True)).astype(np.float32)
    data = fit_calibration_data(target, np.minimum(labels, 1), probabilities)
    assert data is not None
    policy = acceptance_policy(target, data, 0.9, label_thresholds=label_thresholds)
    rows, is_ood = scale_probabilities(probabilities[:300], float(data.temperature[0])), np.arange(300) % 7 == 0
    together = triage(target, rows, policy, is_ood)
    assert set(together.decisions.tolist()) == {ACCEPT, REVIEW, OUT_OF_SCOPE}
    for row in range(300):
        alone = triage(target, rows[row : row + 1], policy, is_ood[row : row + 1])
        for name in ("predicted", "confidence", "decisions", "accepted", "labels", "prediction_sets"):
            found, expected = getattr(alone, name), getattr(together, name)[row : row + 1]
            assert found.tolist() == expected.tolist()
            assert found.dtype == expected.dtype


def test_multilabel_image_is_accepted_when_every_label_is_confident() -> None:
    target = Target("tags", ("new", "sale"), "multilabel")
    random = np.random.default_rng(9)
    probabilities = random.random((4_000, 2))
    true = (random.random((4_000, 2)) < probabilities).astype(np.int8)
    data = fit_calibration_data(target, true, probabilities)
    assert data is not None
    assert data.temperature == pytest.approx([1, 1], abs=0.1)
    policy = acceptance_policy(target, data, 0.9)
    decided = triage(target, np.array([[0.99, 0.98], [0.99, 0.6], [0.2, 0.1], [0.99, 0.01]]), policy)
    assert decided.decisions.tolist() == [ACCEPT, REVIEW, REVIEW, ACCEPT]
    assert decided.labels.tolist() == [[True, True], [True, True], [False, False], [True, False]]


def test_ood_detector_finds_strangers_and_1_percent_of_others() -> None:
    random = np.random.default_rng(10)
    kind = np.concatenate([np.ones(8), np.zeros(8)])

    def features(centre: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        return centre + random.normal(0, 0.2, (n, 16))

    detector = fit_ood_detector(features(kind, 500), features(kind, 2000))
    assert detector is not None
    others = detector.ood_score(features(kind, 5000))
    assert (others > detector.threshold).mean() == pytest.approx(0.01, abs=0.007)
    assert (detector.ood_score(features(kind[::-1], 50)) > detector.threshold).all()
    assert (detector.ood_score(np.zeros((1, 16))) > detector.threshold).all()
    few = fit_ood_detector(np.eye(16), np.eye(16)[:5])
    assert few is not None
    assert few.threshold == np.inf
    assert fit_ood_detector(np.eye(16), np.zeros((0, 16))) is None
