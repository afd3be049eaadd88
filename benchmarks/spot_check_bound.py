"""How often is the bound of spot checks broken, looked at after every check, and how tight is it beside other bounds?

    python benchmarks/spot_check_bound.py [--histories 1000] [--note SENTENCE]

Simulates histories of spot checks and looks at the interval after every one. Two questions for each precision, of an
unlimited number of products and of 2,000:
- The share of histories in which the interval ever missed the true precision: at most 5 % are allowed.
- At a precision target of 98 %: after how many checks it is confirmed, and how often within CHECKS.

Beside muslin's mixture: the prior-posterior ratio of Waudby-Smith and Ramdas (Confidence sequences for sampling without
replacement, NeurIPS 2020) with a uniform prior; their hedged betting with the bets of a predictable mixture (Estimating
means of bounded random variables by betting, JRSS B 86, 2024); and the ordinary interval of Clopper and Pearson, which
is for one look. Keeps everything in benchmarks/results/.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result
from scipy.special import betaln, gammaln
from scipy.stats import beta

from muslin.evaluation.confidence_sequence import FEWER_CORRECT, FEWER_ERRORS, log_evidence
from muslin.evaluation.intervals import wilson_interval

CHECKS = 2_000
TARGET = 0.98
PRECISIONS = (0.95, 0.98, 0.985, 0.99, 0.995)
POPULATIONS = (None, 2_000)
SEED = 1
FAILURE = 0.025
"""Of each end."""

Counts = NDArray[np.int64]
Misses = Callable[[Counts, Counts, float, "int | None"], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""Errors, checks, share of errors, population → whether the share is refuted as too large, and as too small."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    methods: dict[str, Misses] = {
        "muslin": mixture, "prior-posterior ratio": prior_posterior, "betting": betting, "one look": clopper_pearson
    }  # fmt: skip
    rows = []
    print("population | precision | method | ever broken | confirm 98 % | median checks")
    for population in POPULATIONS:
        for precision in PRECISIONS:
            errors = simulate(precision, population, arguments.histories)
            for name, misses in methods.items():
                if name == "betting" and population is not None:
                    continue
                rows.append(measure(name, misses, errors, precision, population))
                print_row(rows[-1])
    write_result(head, {"histories": arguments.histories, "checks": CHECKS, "seed": SEED, "rows": rows})


def simulate(precision: float, population: int | None, histories: int) -> Counts:
    """The errors among the first 1, 2, … checks, int64 (histories, CHECKS)."""
    random = np.random.default_rng(SEED)
    if population is None:
        return np.cumsum(random.random((histories, CHECKS)) >= precision, axis=1)
    incorrect = np.arange(population) < round((1 - precision) * population)
    return np.cumsum(random.permuted(np.tile(incorrect, (histories, 1)), axis=1)[:, :CHECKS], axis=1)


def measure(name: str, misses: Misses, errors: Counts, precision: float, population: int | None) -> dict[str, Any]:
    histories, n = len(errors), np.arange(1, errors.shape[1] + 1)
    last = n < population if population is not None else n > 0  # after the whole population nothing is uncertain
    too_large, too_small = by_pairs(misses, errors, 1 - precision, population)
    broken = int((too_large | too_small)[:, last].any(axis=1).sum())
    refuted, _ = by_pairs(misses, errors, 1 - TARGET, population)
    confirmed = refuted.any(axis=1)
    first = np.where(confirmed, refuted.argmax(axis=1) + 1, CHECKS + 1)
    median = float(np.median(first))
    return {
        "population": population, "precision": precision, "method": name, "broken": broken / histories,
        "broken_interval": wilson_interval(broken, histories), "confirmed": float(confirmed.mean()),
        "median_checks": median if median <= CHECKS else None,
    }  # fmt: skip


def by_pairs(misses: Misses, errors: Counts, share: float, population: int | None) -> Any:
    """The results for each history and check, computed once for each pair of counts that occurs."""
    if misses is betting:
        return betting(errors, np.arange(1, errors.shape[1] + 1), share, population)
    n = np.broadcast_to(np.arange(1, errors.shape[1] + 1), errors.shape)
    key, place = np.unique(errors.astype(np.int64) * (CHECKS + 1) + n, return_inverse=True)
    results = misses(key // (CHECKS + 1), key % (CHECKS + 1), share, population)
    return tuple(each[place].reshape(errors.shape) for each in results)


def mixture(errors: Counts, n: Counts, share: float, population: int | None) -> Any:
    needed, results = -np.log(FAILURE), []
    for count, rate, smaller in ((errors, share, FEWER_ERRORS), (n - errors, 1 - share, FEWER_CORRECT)):
        blocks = np.array_split(np.arange(len(n)), max(len(n) // 20_000, 1))
        evidence = [log_evidence(count[rows], n[rows], rate, smaller, population) for rows in blocks]
        results.append(np.concatenate(evidence) >= needed)
    return results


def prior_posterior(errors: Counts, n: Counts, share: float, population: int | None) -> Any:
    """Of a uniform prior; one ratio refutes on both sides."""
    if population is None:
        ratio = betaln(1 + errors, 1 + n - errors) - errors * np.log(share) - (n - errors) * np.log1p(-share)
    else:
        bad = round(share * population)
        rest, left = population - n, bad - errors
        chance = (
            gammaln(rest + 1) - gammaln(np.maximum(left, 0) + 1) - gammaln(np.maximum(rest - left, 0) + 1)
            + betaln(1 + bad, 1 + population - bad) - betaln(1 + errors, 1 + n - errors)
        )  # fmt: skip
        possible = (left >= 0) & (left <= rest)
        ratio = np.where(possible, -np.log(population + 1) - chance, np.inf)
    refuted = ratio >= -np.log(2 * FAILURE)
    return refuted & (errors / n < share), refuted & (errors / n > share)


def betting(errors: Counts, n: Counts, share: float, population: int | None) -> Any:
    """Hedged capital with the bets of the predictable plug-in, against one share; (histories, checks)."""
    wrong = np.diff(errors, axis=1, prepend=0)
    mean = (0.5 + errors) / (n + 1)
    variance = (0.25 + np.cumsum((wrong - mean) ** 2, axis=1)) / (n + 1)
    before = np.concatenate([np.full((len(errors), 1), 0.25), variance[:, :-1]], axis=1)
    bet = np.sqrt(2 * np.log(1 / FAILURE) / (before * n * np.log(n + 1)))
    smaller = np.cumsum(np.log1p(-np.minimum(bet, 0.75 / (1 - share)) * (wrong - share)), axis=1)
    larger = np.cumsum(np.log1p(np.minimum(bet, 0.75 / share) * (wrong - share)), axis=1)
    return smaller >= -np.log(FAILURE), larger >= -np.log(FAILURE)


def clopper_pearson(errors: Counts, n: Counts, share: float, population: int | None) -> Any:
    high = np.where(errors == n, 1.0, beta.ppf(1 - FAILURE, errors + 1, np.maximum(n - errors, 1)))
    low = np.where(errors == 0, 0.0, beta.ppf(FAILURE, np.maximum(errors, 1), n - errors + 1))
    return high < share, low > share


def print_row(row: dict[str, Any]) -> None:
    low, high = (100 * end for end in row["broken_interval"])
    broken = f"{100 * row['broken']:.1f} % ({low:.1f} to {high:.1f})"
    checks = "-" if row["median_checks"] is None else f"{row['median_checks']:,.0f}"
    start = f"{row['population'] or 'unlimited'} | {row['precision']} | {row['method']} | {broken}"
    print(f"{start} | {100 * row['confirmed']:.0f} % | {checks}", flush=True)


if __name__ == "__main__":
    main()
