"""Two models on the same images: the figures are those that others publish, or worked by hand."""

import math

import numpy as np
import pytest

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.compare import compare, holm, mcnemar, newcombe, paired


def hits(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a, b


def test_the_interval_is_that_of_newcombes_own_example():
    # 36 and 12, 2, 0 of 50 in the paper's table of examples, method 10: 0.0569 to 0.3404
    assert newcombe(36, 2, 12, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    low, high = newcombe(36, 12, 2, 0)  # the models exchanged
    assert (low, high) == pytest.approx((-0.3404, -0.0569), abs=5e-5)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (5, 15), (12, 2), (7, 7), (0, 9)])
def test_mcnemars_p_is_the_sum_of_the_binomial_tails(only_a: int, only_b: int):
    n = only_a + only_b
    tail = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar(only_a, only_b) == pytest.approx(min(1, 2 * tail))


def test_models_that_never_differ_are_equal_and_no_chance_is_needed():
    found = paired(*hits(90, 0, 0, 10))
    assert (found.difference, found.p_value) == (0, 1)
    assert found.interval[0] < 0 < found.interval[1]


def test_the_interval_holds_the_true_difference_95_times_in_100():
    random = np.random.default_rng(1)
    shares = [0.85, 0.03, 0.07, 0.05]
    held = 0
    for counts in random.multinomial(300, shares, size=1000):
        low, high = newcombe(*map(int, counts))
        held += low <= 0.04 <= high
    assert 930 <= held <= 975


def test_photos_of_one_product_count_once():
    a, b = hits(60, 0, 20, 20)
    alone = paired(a, b)
    five_each = paired(np.repeat(a, 5), np.repeat(b, 5), np.repeat(np.arange(100), 5))
    as_if_alone = paired(np.repeat(a, 5), np.repeat(b, 5))
    assert five_each.groups == 100
    assert five_each.interval == pytest.approx(alone.interval, abs=0.02)
    width = five_each.interval[1] - five_each.interval[0]
    assert as_if_alone.interval[1] - as_if_alone.interval[0] < width / 2
    assert five_each.p_value > as_if_alone.p_value


def test_the_p_value_by_groups_is_mcnemars_where_groups_are_single_images_but_one():
    a, b = hits(30, 4, 12, 10)
    groups = np.arange(len(a))
    groups[-1] = groups[-2]  # both wrong: adds nothing
    assert paired(a, b, groups).p_value == pytest.approx(mcnemar(4, 12), abs=0.01)


def test_holms_correction_is_as_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_each_class_says_who_is_better_only_beyond_chance():
    labels = np.repeat([0, 1], 100)
    a, b = labels.copy(), labels.copy()
    a[:20] = 1  # the first misses a fifth of class 0, the second a hundredth of class 1
    b[100] = 0
    found = compare(np.append(labels, UNKNOWN), np.append(a, 0), np.append(b, 1), ["dress", "hat"])
    assert (found.overall.n, found.accuracy_a, found.accuracy_b) == (200, 0.9, 0.995)
    assert [row.better for row in found.per_class] == ["b", None]
    assert (found.only_b_right, found.only_a_right, found.both_wrong) == (tuple(range(20)), (100,), ())
    assert found.to_dict()["per_class"][0]["better"] == "b"


def test_of_several_labels_a_image_is_right_when_all_known_ones_are():
    labels = np.array([[1, 0], [1, UNKNOWN], [UNKNOWN, UNKNOWN]], dtype=np.int8)
    a = np.array([[1, 0], [1, 1], [0, 0]])
    b = np.array([[1, 1], [0, 0], [1, 1]])
    found = compare(labels, a, b, ["striped", "long"])
    assert (found.overall.n, found.overall.only_a) == (2, 2)
    assert [(row.name, row.paired.n) for row in found.per_class] == [("striped", 2), ("long", 1)]


def test_nothing_to_compare_is_said():
    with pytest.raises(DataError, match="no image has a known label"):
        compare(np.array([UNKNOWN]), np.array([0]), np.array([0]), ["a"])
