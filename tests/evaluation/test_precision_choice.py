"""How much can be accepted at which precision, what is chosen without --precision, and what would help."""

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from muslin.data.dataset import Target
from muslin.evaluation.intervals import wilson_interval
from muslin.evaluation.precision_bound import accept_threshold, images_needed
from muslin.evaluation.precision_choice import (
    STANDARD_PRECISIONS,
    AcceptanceRow,
    acceptance_table,
    choose_precision,
    first_unsupported,
    precision_notes,
)
from muslin.evaluation.sample_size import POWER, expected_size_needed
from muslin.evaluation.selective import CalibrationData, acceptance_policy

LABEL = Target("label", ("dress", "shirt"))


def calibration(n: int, copies: int = 1, *, errors: float = 0.3, seed: int = 0) -> CalibrationData:
    """`n` predictions, correct with the probability of their confidence, each of them `copies` times in a group."""
    confidence = np.linspace(1, 1 - 2 * errors, n)
    correct = np.random.default_rng(seed).random(n) < confidence
    rows = np.repeat(np.arange(n, dtype=np.int32), copies)
    values, predicted = confidence.astype(np.float32)[rows], rows % 2
    arrays = (predicted.astype(np.int32), correct[rows], values, rows)
    return CalibrationData(np.ones(1, np.float32), np.array([0.5]), values, *arrays)


def rows_of(*accepted: int) -> tuple[AcceptanceRow, ...]:
    return tuple(
        AcceptanceRow(precision, each, 100, each / 100, wilson_interval(each, 100))
        for precision, each in zip(STANDARD_PRECISIONS, accepted, strict=True)
    )


def test_table_has_standard_precisions_and_the_highest() -> None:
    data = calibration(1000)
    table = acceptance_table(LABEL, data)
    assert set(STANDARD_PRECISIONS) <= {row.precision for row in table}
    [highest] = [row for row in table if row.is_highest]
    assert highest.accepted > 0
    assert all(row.accepted == 0 for row in table if row.precision > highest.precision)
    for row in table:
        policy = acceptance_policy(LABEL, data, row.precision)
        assert (row.accepted, row.n, row.share) == (policy.accepted, 1000, policy.accepted / 1000)


def test_table_of_hopeless_predictions_has_no_highest() -> None:
    table = acceptance_table(LABEL, calibration(3))
    assert [row.precision for row in table] == [*STANDARD_PRECISIONS]
    assert not any(row.accepted or row.is_highest for row in table)


def test_table_of_per_class_guarantee_accepts_less() -> None:
    data = calibration(1000)
    overall, per_class = (acceptance_table(LABEL, data, scope)[0].accepted for scope in ("overall", "per-class"))  # type: ignore[arg-type]
    assert 0 < per_class <= overall


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ((80, 62, 20, 0), 0.95),
        ((80, 62, 40, 39), 0.98),
        ((80, 39, 0, 0), 0.90),
        ((80, 80, 80, 80), 0.99),
        ((0,) * 4, 0.9),
    ],
)
def test_chosen_precision_keeps_half_of_what_is_accepted(accepted: tuple[int, ...], chosen: float) -> None:
    assert choose_precision({"label": rows_of(*accepted)}) == chosen


def test_chosen_precision_suits_all_targets_together() -> None:
    acceptance = {"kind": rows_of(90, 80, 70, 60), "colour": rows_of(60, 0, 0, 0)}
    assert choose_precision(acceptance) == 0.95
    notes = precision_notes(acceptance, 0.95)
    assert [(note.code, note.params["target"], note.params.get("accepted")) for note in notes] == [
        ("precision_chosen", "kind", 80),
        ("precision_chosen_none", "colour", None),
    ]
    assert choose_precision({}) is None


def test_intervals_of_a_policy_respect_groups() -> None:
    alone, copied = (acceptance_policy(LABEL, calibration(1000, copies), 0.8) for copies in (1, 10))
    assert alone.accepted > 0
    assert 0 < copied.accepted < 10_000
    assert alone.precision_interval == wilson_interval(alone.correct, alone.accepted)
    low, high = copied.precision_interval
    narrow = wilson_interval(copied.correct, copied.accepted)
    assert high - low > 2 * (narrow[1] - narrow[0]), "ten copies of an image are not ten images"
    low, high = copied.coverage_interval
    assert high - low == pytest.approx(np.subtract(*reversed(wilson_interval(copied.accepted // 10, 1000))), rel=0.25)


@pytest.mark.parametrize("copies", [1, 5])
def test_expected_number_of_images_is_enough_in_most_draws(copies: int) -> None:
    """Most samples of the median of 9 estimates' size prove the precision; few of a quarter of that size do."""
    about = []
    for seed in range(9):
        data = calibration(150, copies, errors=0.05, seed=seed)
        groups = None if copies == 1 else data.group
        about.append(expected_size_needed(data.confidence, data.correct, 0.95, groups) or 9999)
    median = int(np.median(about))
    proven = {}
    for size in (median, median // 4):
        samples = [calibration(size, copies, errors=0.05, seed=50 + s) for s in range(20)]
        arrays = [(s.confidence, s.correct, 0.95, None if copies == 1 else s.group) for s in samples]
        proven[size] = sum(accept_threshold(*each) < np.inf for each in arrays)
    assert proven[median] >= 20 * (POWER - 0.1) > 10 >= proven[median // 4]


@pytest.mark.parametrize("correlation", [0.2, 0.6])
def test_expected_number_of_groups_is_enough_in_most_draws(correlation: float) -> None:
    """Groups of 1 to 40 images, correlated in their confidence and in being correct."""
    random = np.random.default_rng(8)

    def sample(n_groups: int) -> tuple[Any, Any, Any]:
        counts = np.clip(random.geometric(1 / 6, n_groups), 1, 40)
        groups = np.repeat(np.arange(n_groups), counts)

        def correlated() -> Any:
            shared, own = random.normal(size=n_groups)[groups], random.normal(size=len(groups))
            return correlation**0.5 * shared + (1 - correlation) ** 0.5 * own

        confidence = 1 / (1 + np.exp(-3.2 - 2.2 * correlated()))
        correct = ndtr(correlated()) < confidence
        order = np.argsort(-confidence)
        return confidence[order], correct[order], groups[order]

    def proves(confidence: Any, correct: Any, groups: Any) -> bool:
        return accept_threshold(confidence, correct, 0.95, groups) < np.inf

    samples = [sample(50) for _ in range(9)]  # too few for 95 %
    assert not any(proves(*each) for each in samples)
    about = [expected_size_needed(confidence, correct, 0.95, groups) for confidence, correct, groups in samples]
    median = int(np.median([size or 9999 for size in about]))
    assert sum(proves(*sample(median)) for _ in range(40)) >= 40 * (POWER - 0.1)


def test_flawless_predictions_need_the_fewest_images() -> None:
    about = expected_size_needed(np.linspace(1, 0.999, 30), np.ones(30, bool), 0.99)
    assert about is not None
    assert images_needed(0.99) <= about <= 2 * images_needed(0.99)


def test_more_images_do_not_help_a_model_that_errs_often() -> None:
    confidence, correct = np.linspace(0.9, 0.5, 400), np.arange(400) % 4 > 0
    assert expected_size_needed(confidence, correct, 0.9) is None
    rows = (np.zeros(400, np.int32), correct, confidence.astype(np.float32), np.arange(400, dtype=np.int32))
    data = CalibrationData(np.ones(1, np.float32), np.array([0.5]), confidence.astype(np.float32), *rows)
    message = first_unsupported(LABEL, data)
    assert message is not None
    assert (message.code, message.hint_code, message.params["precision_target"]) == (
        "precision_unsupported",
        "recipe",
        0.9,
    )
