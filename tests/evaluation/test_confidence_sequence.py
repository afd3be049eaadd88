"""Bounds from spot checks: expectations by SciPy, published sample sizes, histories looked at after every check."""

import numpy as np
import pytest
from scipy import stats

from muslin.errors import DataError
from muslin.evaluation.confidence_sequence import (
    FEWER_CORRECT,
    FEWER_ERRORS,
    checks_needed,
    inspection_size,
    log_evidence,
    share_interval,
    upper_end,
    verdict,
)


@pytest.mark.parametrize("smaller", [FEWER_ERRORS, FEWER_CORRECT])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_evidence_against_the_true_share_is_one_on_average(smaller, share):
    counts = np.arange(61)
    evidence = np.exp(log_evidence(counts, np.full(61, 60), share, smaller))
    assert (stats.binom.pmf(counts, 60, share) * evidence).sum() == pytest.approx(1)
    more = min(share + 0.01, 0.999)
    assert (stats.binom.pmf(counts, 60, more) * evidence).sum() < 1


@pytest.mark.parametrize("smaller", [FEWER_ERRORS, FEWER_CORRECT])
@pytest.mark.parametrize("bad", [4, 50, 130])
def test_evidence_without_replacement_is_one_on_average(smaller, bad):
    counts = np.arange(61)
    evidence = np.exp(log_evidence(counts, np.full(61, 60), bad / 200, smaller, 200))
    assert (stats.hypergeom.pmf(counts, 200, bad, 60) * evidence).sum() == pytest.approx(1)
    assert (stats.hypergeom.pmf(counts, 200, bad + 1, 60) * evidence).sum() < 1


@pytest.mark.parametrize("population", [None, 900])
def test_interval_holds_at_every_look_in_95_percent(population):
    random, precision, checks = np.random.default_rng(3), 0.97, 200
    ever_wrong = 0
    for _ in range(200):
        if population is None:
            incorrect = random.random(checks) < 1 - precision
        else:
            incorrect = random.permutation(population)[:checks] < round((1 - precision) * population)
        errors, n = np.cumsum(incorrect), np.arange(1, checks + 1)
        too_high = log_evidence(errors, n, 1 - precision, FEWER_ERRORS, population) >= np.log(40)
        too_low = log_evidence(n - errors, n, precision, FEWER_CORRECT, population) >= np.log(40)
        ever_wrong += bool((too_high | too_low).any())
    assert 1 <= ever_wrong <= 10


@pytest.mark.parametrize("population", [None, 700])
def test_end_is_the_first_share_with_enough_evidence(population):
    for errors, n in ((0, 30), (3, 200), (40, 90)):
        end, step = upper_end(errors, n, FEWER_ERRORS, 0.05, population), 1e-9 if population is None else 1 / population
        assert log_evidence(errors, n, end + step, FEWER_ERRORS, population) >= np.log(20)
        assert log_evidence(errors, n, max(end - step, errors / n), FEWER_ERRORS, population) < np.log(20)


def test_interval_of_no_checks_and_of_all():
    assert share_interval(0, 0) == (0.0, 1.0)
    assert share_interval(97, 100, 100) == (0.97, 0.97)
    low, high = share_interval(96, 99, 100)
    assert low >= 0.94
    assert high <= 0.97


def test_known_population_narrows_the_interval():
    wide, narrow = share_interval(196, 200), share_interval(196, 200, 400)
    assert wide[0] < narrow[0] < 0.98 < narrow[1] < wide[1]
    assert share_interval(196, 200, 2_000_000) == pytest.approx(wide, abs=1e-4)


def test_all_incorrect_and_all_correct_checks():
    low, high = share_interval(0, 50)
    assert low == 0
    assert 0.05 < high < 0.3
    assert share_interval(50, 50)[1] == 1


def test_verdicts():
    assert verdict((0.981, 0.995), 0.98) == "holds"
    assert verdict((0.98, 1.0), 0.98) == "holds"
    assert verdict((0.97, 0.995), 0.98) == "unknown"
    assert verdict((0.9, 0.979), 0.98) == "broken"


@pytest.mark.parametrize(
    ("correct", "n", "population"), [(0, 0, None), (107, 107, None), (297, 300, None), (50, 50, 400)]
)
def test_needed_checks_are_the_fewest_that_hold(correct, n, population):
    more = checks_needed(correct, n, 0.98, population)
    assert verdict(share_interval(correct + more, n + more, population), 0.98) == "holds"
    assert verdict(share_interval(correct + more - 1, n + more - 1, population), 0.98) == "unknown"


def test_needed_checks_at_the_share_so_far():
    few, many = checks_needed(307, 310, 0.98), checks_needed(307, 310, 0.98, all_correct=False)
    assert few < many
    assert checks_needed(300, 310, 0.98, all_correct=False) is None
    assert checks_needed(40, 50, 0.98, 60) is None
    assert checks_needed(400, 400, 0.98) == 0


@pytest.mark.parametrize(
    ("precision", "errors", "expected"), [(0.98, 0, 149), (0.95, 0, 59), (0.99, 0, 299), (0.98, 1, 236), (0.98, 2, 313)]
)
def test_inspection_sizes_of_the_tables(precision, errors, expected):
    assert inspection_size(precision, errors) == expected
    assert (
        stats.binom.cdf(errors, expected, 1 - precision) <= 0.05 < stats.binom.cdf(errors, expected - 1, 1 - precision)
    )


def test_inspection_of_a_small_lot():
    n = inspection_size(0.98, 1, population=500)
    assert stats.hypergeom.cdf(1, 500, 11, n) <= 0.05 < stats.hypergeom.cdf(1, 500, 11, n - 1)
    assert inspection_size(0.98, population=20) == 19
    assert inspection_size(0.98, 3, population=20) is None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((3, 2), "success_count"),
        ((-1, 2), "success_count"),
        ((5, 8, 6), "success_count"),
        ((1, 2, None, 1.0), "interval_level"),
    ],
)
def test_impossible_counts_are_refused(arguments, code):
    with pytest.raises(DataError) as raised:
        share_interval(*arguments)
    assert raised.value.code == code
