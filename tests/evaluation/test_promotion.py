"""Whether a candidate may take the place of the active model."""

import numpy as np
import pytest

from muslin.errors import DataError
from muslin.evaluation.promotion import ModelOutcomes, PromotionCheck, check_promotion, products_needed


def predictions(correct: list[int], accepted: list[int] | None = None) -> ModelOutcomes:
    is_correct = np.array(correct, dtype=bool)
    return ModelOutcomes(is_correct, np.ones_like(is_correct) if accepted is None else np.array(accepted, dtype=bool))


def check(active: ModelOutcomes, candidate: ModelOutcomes, margin: float = 0.02) -> PromotionCheck:
    return check_promotion("kind", active, candidate, precision=0.9, margin=margin)


def codes(checked: PromotionCheck) -> list[tuple[str, str | None]]:
    return [(message.code, message.hint_code) for message in checked.refusals]


def test_a_better_candidate_on_enough_products_may() -> None:
    active, candidate = [1] * 900 + [0] * 100, [1] * 940 + [0] * 60
    checked = check(predictions(active), predictions(candidate))
    assert checked.refusals == ()
    assert checked.accuracy.difference == pytest.approx(0.04)


def test_an_equal_candidate_on_few_products_is_refused() -> None:
    checked = check(predictions([1] * 28 + [0] * 2), predictions([1] * 27 + [0, 1, 0]))
    assert codes(checked) == [("promotion_accuracy", "unknown"), ("promotion_accepted", "unknown")]
    assert checked.refusals[0].params["needed"] > 30


def test_few_products_in_groups_wave_no_candidate_through() -> None:
    same = predictions([1, 1, 1])
    checked = check_promotion("kind", same, same, precision=0.9, groups=np.array(["a", "a", "b"]))
    assert codes(checked) == [("promotion_accuracy", "unknown"), ("promotion_accepted", "unknown")]


def test_a_worse_candidate_is_refused_and_called_worse() -> None:
    active, candidate = [1] * 950 + [0] * 50, [1] * 900 + [0] * 100
    checked = check(predictions(active), predictions(candidate))
    assert ("promotion_accuracy", "worse") in codes(checked)
    assert products_needed(checked.accuracy, 0.02) is None, "more products would not help"


def test_a_candidate_that_accepts_less_is_refused() -> None:
    correct = [1] * 950 + [0] * 50
    half = [1] * 475 + [0] * 525
    checked = check(predictions(correct), predictions(correct, half))
    assert codes(checked) == [("promotion_accepted", "worse")]


def test_accepting_too_much_is_no_measure() -> None:
    """The active model accepts everything, and misses the precision: a candidate that accepts less may follow it."""
    correct, sure = [1] * 800 + [0] * 200, [1] * 500 + [0] * 500
    checked = check(predictions(correct), predictions(correct, sure))
    assert checked.active.misses(0.9)
    assert checked.refusals == ()


def test_a_candidate_that_misses_the_precision_is_refused() -> None:
    correct = [1] * 800 + [0] * 200
    sure = [1] * 500 + [0] * 500
    checked = check(predictions(correct, sure), predictions(correct))
    assert codes(checked) == [("promotion_precision", None)]


def test_the_margin_decides() -> None:
    active, candidate = [1] * 950 + [0] * 50, [1] * 940 + [0] * 60
    assert check(predictions(active), predictions(candidate), margin=0.005).refusals
    assert not check(predictions(active), predictions(candidate), margin=0.05).refusals


def test_no_test_product_is_refused() -> None:
    with pytest.raises(DataError) as refused:
        check(predictions([]), predictions([]))
    assert refused.value.code == "prediction_count"
