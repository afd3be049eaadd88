"""The comparison of two models equals published examples and numbers worked by hand."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.compare import compare_predictions, holm, mcnemar, paired_difference
from muslin.evaluation.intervals import newcombe_paired


def correctness(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


def test_paired_interval_is_newcombes_own_example() -> None:
    # 36 and 12, 2, 0 of 50 in the paper's table of examples, method 10: 0.0569 to 0.3404
    assert newcombe_paired(36, 2, 12, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert newcombe_paired(36, 12, 2, 0) == pytest.approx((-0.3404, -0.0569), abs=5e-5)  # exchanged


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (5, 15), (12, 2), (7, 7), (0, 9)])
def test_mcnemar_p_is_the_sum_of_the_binomial_tails(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar(only_a, only_b) == pytest.approx(min(1, 2 * tail))


@pytest.mark.parametrize("only_a", [0, 1, 3, 33, 1_000, 100_000])
@pytest.mark.parametrize("only_b", [1, 2, 30, 1_100, 99_000])
def test_mcnemar_p_is_scipys(only_a: int, only_b: int) -> None:
    expected = binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-8, abs=1e-250)


def test_models_that_never_differ_are_equal() -> None:
    paired = paired_difference(*correctness(90, 0, 0, 10))
    assert (paired.difference, paired.p_value) == (0, 1)
    assert paired.interval[0] < 0 < paired.interval[1]


def test_paired_interval_holds_the_truth_95_times_in_100() -> None:
    random = np.random.default_rng(1)
    held = 0
    for counts in random.multinomial(300, [0.85, 0.03, 0.07, 0.05], size=1000):
        low, high = newcombe_paired(*map(int, counts))
        held += low <= 0.04 <= high
    assert 930 <= held <= 975


def test_photos_of_one_product_count_once() -> None:
    a, b = correctness(60, 0, 20, 20)
    alone = paired_difference(a, b)
    five_each = paired_difference(np.repeat(a, 5), np.repeat(b, 5), np.repeat(np.arange(100), 5))
    as_if_independent = paired_difference(np.repeat(a, 5), np.repeat(b, 5))
    assert five_each.groups == 100
    assert five_each.interval == pytest.approx(alone.interval, abs=0.02)
    width = five_each.interval[1] - five_each.interval[0]
    assert as_if_independent.interval[1] - as_if_independent.interval[0] < width / 2
    assert five_each.p_value > as_if_independent.p_value


def test_groups_that_do_not_differ_prove_as_much_as_one_image_each() -> None:
    right = np.ones(3, dtype=bool)
    assert paired_difference(right, right, np.array(["a", "a", "b"])).interval == newcombe_paired(2, 0, 0, 0)
    assert paired_difference(right, right, np.array(["a", "a", "a"])).interval == newcombe_paired(1, 0, 0, 0)
    better = paired_difference(~right, right, np.array(["a", "a", "b"]))
    assert better.difference == 1
    assert better.interval[0] < 0.5


@pytest.mark.parametrize("n_groups", [3, 8, 30])
def test_paired_interval_of_groups_holds_the_truth(n_groups: int) -> None:
    random, held = np.random.default_rng(n_groups), 0
    shares = [0.8, 0.05, 0.1, 0.05]  # both, only a, only b, neither
    for _ in range(150):
        groups = np.repeat(np.arange(n_groups), random.integers(1, 6, n_groups))
        of_group, alone = random.choice(4, n_groups, p=shares)[groups], random.choice(4, len(groups), p=shares)
        kind = np.where(random.random(len(groups)) < 0.5, of_group, alone)
        found = paired_difference(np.isin(kind, (0, 1)), np.isin(kind, (0, 2)), groups)
        held += found.interval[0] <= 0.05 <= found.interval[1]
    assert held >= 137  # 142 are expected


def test_p_value_by_groups_of_single_images_is_mcnemars() -> None:
    a, b = correctness(30, 4, 12, 10)
    groups = np.arange(len(a))
    groups[-1] = groups[-2]  # neither is correct: adds nothing
    assert paired_difference(a, b, groups).p_value == pytest.approx(mcnemar(4, 12), abs=0.01)


def test_holm_correction_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_class_names_the_better_model_only_if_significant() -> None:
    labels = np.repeat([0, 1], 100)
    a, b = labels.copy(), labels.copy()
    a[:20] = 1  # the first is wrong on a fifth of class 0, the second on a hundredth of class 1
    b[100] = 0
    comparison = compare_predictions(np.append(labels, UNKNOWN), np.append(a, 0), np.append(b, 1), ["dress", "hat"])
    assert (comparison.overall.n, comparison.accuracy_a, comparison.accuracy_b) == (200, 0.9, 0.995)
    assert [row.better_model for row in comparison.per_class] == ["b", None]
    assert comparison.images_only_b_correct == tuple(range(20))
    assert (comparison.images_only_a_correct, comparison.images_neither_correct) == ((100,), ())
    assert comparison.to_dict()["per_class"][0]["better_model"] == "b"


def test_multilabel_is_correct_when_all_labelled_cells_are() -> None:
    labels = np.array([[1, 0], [1, UNKNOWN], [UNKNOWN, UNKNOWN]], dtype=np.int8)
    a = np.array([[1, 0], [1, 1], [0, 0]])
    b = np.array([[1, 1], [0, 0], [1, 1]])
    comparison = compare_predictions(labels, a, b, ["striped", "long"])
    assert (comparison.overall.n, comparison.overall.only_a_correct) == (2, 2)
    assert [(row.name, row.paired.n) for row in comparison.per_class] == [("striped", 2), ("long", 1)]


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(DataError) as error:
        compare_predictions(np.array([UNKNOWN]), np.array([0]), np.array([0]), ["a"])
    assert error.value.code == "no_labels"
    with pytest.raises(DataError) as error:
        paired_difference(np.array([True]), np.array([True, False]))
    assert (error.value.code, error.value.params) == ("prediction_count", {"found": [1, 2]})
