"""The share of correct predictions from random checks, by an interval that holds at every look.

An ordinary 95 % interval is true of one sample whose size was fixed before. Whoever looks after every check and stops
when the interval pleases is misled far more often. `share_interval` is a confidence sequence: with 95 % confidence it
holds the true share after every check at once, so that one may look as often as one likes.

Each end is an upper bound on the share of one outcome: of incorrect predictions, and of correct ones. A mixture of
likelihood ratios, of smaller shares against a share, is the evidence against it. If the share is true, or a larger one,
the evidence is a nonnegative supermartingale that starts at 1, so it ever reaches 1 / failure with a probability of at
most `failure` (Ville 1939). The end is the largest share whose evidence has not reached that.

Sources: H. Robbins, Statistical methods related to the law of the iterated logarithm, Annals of Mathematical Statistics
41 (1970), for the mixture; I. Waudby-Smith and A. Ramdas, Confidence sequences for sampling without replacement,
NeurIPS 2020, for checks drawn from a finite number of products, whose likelihood is hypergeometric. Compared with their
bounds: benchmarks/spot_check_bound.py and docs/explanation/review-loop.md.
"""

from math import floor, inf, log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.errors import DataError
from muslin.evaluation.combinatorics import log_choose, log_factorials
from muslin.evaluation.intervals import Interval

LEVEL = 0.95
"""Confidence of the interval; each end fails with half of the rest."""

Verdict = Literal["holds", "unknown", "broken"]

Counts = NDArray[np.integer[Any]]

_MIXTURE = 200  # shares that a share is compared with; ten times as many change the fourth digit

FEWER_ERRORS = ((np.arange(_MIXTURE) + 0.5) / _MIXTURE) ** 2
"""Smaller shares of errors, as parts of the refuted one. Their density is Jeffreys's prior of a rate near 0, so a model
with far fewer errors and one with slightly fewer are both found soon."""

FEWER_CORRECT = 1 - 10 ** (4 * (np.arange(_MIXTURE) + 0.5) / _MIXTURE - 4)
"""Smaller shares of correct predictions, as parts of the refuted one: from 0.0001 below it to nothing, each order of
magnitude as probable."""


def share_interval(correct: int, n: int, population: int | None = None, level: float = LEVEL) -> Interval:
    """The interval of the share of correct predictions, which holds at every look with the confidence `level`.

    Args:
        correct: correct predictions among the checks.
        n: checks so far, drawn at random; (0, 1) for none.
        population: predictions that the checks are drawn from without replacement; after as many, the interval is the
            share itself. None for a share of all that could come, such as of a model's predictions for future products.

    >>> tuple(round(end, 4) for end in share_interval(310, 310))
    (0.9854, 1.0)

    Raises:
        DataError: `correct` is not in 0..n, n exceeds the population, or `level` is not between 0 and 1.
    """
    _check(correct, n, population, level)
    if n == 0:
        return 0.0, 1.0
    if n == population:
        return correct / n, correct / n
    failure = (1 - level) / 2
    incorrect_end = upper_end(n - correct, n, FEWER_ERRORS, failure, population)
    return 1 - incorrect_end, upper_end(correct, n, FEWER_CORRECT, failure, population)


def verdict(interval: Interval, precision: float) -> Verdict:
    """`holds` where the interval lies at or above the precision, `broken` where it lies below, else `unknown`."""
    low, high = interval
    return "holds" if low >= precision else "broken" if high < precision else "unknown"


def checks_needed(
    correct: int, n: int, precision: float, population: int | None = None, level: float = LEVEL, *,
    all_correct: bool = True,
) -> int | None:  # fmt: skip
    """How many more checks make the precision hold: if all are correct, or if they are like the checks so far.

    None where it cannot hold: not with the whole population, or the share so far is not above the precision.

    Args:
        precision: in 0..1 exclusive.
        all_correct: whether the further checks are all correct; otherwise as many as of those so far.

    Raises:
        DataError: as `share_interval`.
    """
    _check(correct, n, population, level)
    most = 100_000_000 if population is None else population - n
    share = 1.0 if all_correct or not n else correct / n
    if share <= precision:
        return None

    def holds(more: int) -> bool:
        then = min(correct + floor(share * more + 1e-9), correct + more)
        return verdict(share_interval(then, n + more, population, level), precision) == "holds"

    if holds(0):
        return 0
    low, high = 0, 1
    while not holds(min(high, most)):
        if high >= most:
            return None
        low, high = high, 2 * high
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def inspection_size(
    precision: float, errors: int = 0, population: int | None = None, level: float = LEVEL
) -> int | None:
    """How many random predictions to inspect so that at most `errors` incorrect ones confirm the precision.

    An inspection by attributes, as of a garment lot: the size is fixed before, all are looked at, and then there is one
    verdict. If more than 1 - `precision` were incorrect, so few would be found with a probability of at most
    1 - `level`: the plan's limiting quality (ISO 2859-2; E. G. Schilling and D. V. Neubauer, Acceptance sampling in
    quality control, 3rd ed. 2017). An AQL, as in ISO 2859-1, protects the seller instead: it says which lots almost
    always pass.

    >>> inspection_size(0.98), inspection_size(0.98, errors=1), inspection_size(0.98, population=500)
    (149, 236, 119)

    Args:
        precision: in 0..1 exclusive.
        population: size of the lot; None for a large one. None is returned where the whole lot is too small.
    """
    bad = None if population is None else min(floor((1 - precision) * population + 1e-9) + 1, population)

    def confirms(n: int) -> bool:
        return _at_most(errors, n, 1 - precision, bad, population) <= 1 - level + 1e-12

    low, high = errors, max(2 * errors, 64)
    most = high + 1 if population is None else population
    while population is None and not confirms(high):
        low, high = high, 2 * high
    if population is not None:
        if bad is not None and bad <= errors:
            return None
        high = most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if confirms(middle) else (middle, high)
    return high


def _at_most(errors: int, n: int, share: float, bad: int | None, population: int | None) -> float:
    """The probability of at most so many errors in n: binomial, or hypergeometric with `bad` errors in the lot."""
    found = np.arange(min(errors, n) + 1)
    if population is None or bad is None:
        table = log_factorials(n)
        chances = table[n] - table[found] - table[n - found] + found * log(share) + (n - found) * log(1 - share)
    else:
        table = log_factorials(population)
        chances = (
            log_choose(table, bad, found)
            + log_choose(table, population - bad, n - found)
            - log_choose(table, population, n)
        )
    return float(np.exp(chances).sum())


def upper_end(count: int, n: int, smaller: NDArray[np.float64], failure: float, population: int | None = None) -> float:
    """The largest share of an outcome that is not refuted by `count` of n checks.

    Args:
        smaller: float (m,), 0..1: smaller shares, as parts of the share that they are compared with.
        failure: the probability with which the end may ever be below the true share.
    """
    needed = -log(failure)
    if population is not None:
        low, high = -(-count * population // n), population - (n - count) + 1  # the last leaves too few of the others
        while high - low > 1:
            middle = (low + high) // 2
            refuted = log_evidence(count, n, middle / population, smaller, population) >= needed
            low, high = (low, middle) if refuted else (middle, high)
        return low / population
    if count == n:
        return 1.0
    near, far = count / n, 1.0
    for _ in range(60):
        share = (near + far) / 2
        near, far = (near, share) if log_evidence(count, n, share, smaller) >= needed else (share, far)
    return far


def log_evidence(count: Any, n: Any, share: float, smaller: NDArray[np.float64], population: int | None = None) -> Any:
    """The logarithm of the evidence against a share, and against all larger ones: float, or of the arrays' shape.

    The evidence rises with the share from the observed one on. Of a finite population this needs the smaller shares to
    be rounded down to whole products, because then either both numbers or only the refuted one rise by one.

    Args:
        count, n: the outcomes and the checks; integers or integer arrays.
        share: in 0..1 exclusive; of a population, that of a whole number.
    """
    count, n = np.asarray(count)[..., np.newaxis], np.asarray(n)[..., np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        if population is None:
            found = np.where(count == 0, 0.0, count * np.log(smaller))
            ratios = found + (n - count) * (np.log1p(-share * smaller) - np.log1p(-share))
        else:
            table, refuted = log_factorials(population), round(share * population)
            fewer = np.floor(refuted * smaller + 1e-9).astype(np.int64)
            ratios = _log_chances(table, fewer, count, n) - _log_chances(table, np.int64(refuted), count, n)
        largest = ratios.max(axis=-1, keepdims=True)
        evidence = largest[..., 0] + np.log(np.exp(ratios - largest).mean(axis=-1))
    evidence = np.where(np.isnan(evidence), -inf, evidence)
    return float(evidence) if evidence.ndim == 0 else evidence


def _log_chances(table: NDArray[np.float64], total: Any, count: Any, n: Any) -> NDArray[np.float64]:
    """Of drawing `count` outcomes in n if the population holds `total`, but for a term that does not depend on it."""
    population = len(table) - 1
    return log_choose(table, total, count) + log_choose(table, population - total, n - count)


def _check(correct: int, n: int, population: int | None, level: float) -> None:
    if not 0 <= correct <= n or (population is not None and n > population):
        raise DataError("success_count", successes=correct, n=n if population is None else min(n, population))
    if not 0 < level < 1:
        raise DataError("interval_level", level=level)
