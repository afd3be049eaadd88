"""How much can be accepted, and how often is the guarantee broken, where photos come in groups?

    python benchmarks/grouped_guarantee.py [--draws 200] [--note SENTENCE]

Simulates predictions whose confidence and correctness are correlated within groups of 1 to 40 images, draws whole
groups to calibrate on, and applies the accept threshold to the whole population. Compares, on the same draws: all
images taken as independent, one image of each group, and muslin's bound with the design effect. Keeps everything in
benchmarks/results/.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

N_POPULATION = 100_000
PRECISION_TARGETS = (0.90, 0.95)
CASES = (  # mean group size, correlation of confidence and of correctness within a group
    (3, 0.5, 0.5),
    (5, 0.05, 0.1),
    (8, 0.3, 0.3),
    (8, 0.6, 0.8),
    (15, 0.1, 0.2),
    (15, 0.6, 0.95),
)
METHODS = ("independent", "one per group", "muslin")

Arrays = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    rows = []
    print("size | rho | images | groups | target | " + " | ".join(METHODS))
    for case in CASES:
        population = simulate(*case)
        for n in (300, 1000, 3000):
            for row in measure(population, n, arguments.draws):
                row |= {"mean_group_size": case[0], "rho": case[1:]}
                rows.append(row)
                shares = " | ".join(f"{row[m]['share']:.2f} ({100 * row[m]['broken']:.1f} %)" for m in METHODS)
                print(f"{case[0]} | {case[1:]} | {n} | {row['groups']:.0f} | {row['target']} | {shares}", flush=True)
    write_result(head, {"draws": arguments.draws, "rows": rows})


def simulate(mean_size: float, rho_confidence: float, rho_correct: float) -> Arrays:
    """Calibrated confidences, correctness and group numbers of a population with 81 % accuracy."""
    from scipy.special import expit, ndtr

    random = np.random.default_rng(5)
    sizes = np.clip(random.geometric(1 / mean_size, size=N_POPULATION), 1, 40)
    sizes = sizes[np.cumsum(sizes) <= N_POPULATION]
    groups = np.repeat(np.arange(len(sizes)), sizes)

    def correlated(rho: float) -> NDArray[np.float64]:
        shared, own = random.normal(size=len(sizes))[groups], random.normal(size=len(groups))
        return np.asarray(np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)

    confidence = expit(2.2 + 1.8 * correlated(rho_confidence))
    return confidence, ndtr(correlated(rho_correct)) < confidence, groups


def measure(population: Arrays, n: int, draws: int) -> list[dict[str, Any]]:
    """Per precision target the mean share of the oracle's coverage, and the share of draws below the target."""
    from muslin.evaluation.precision_bound import accept_threshold

    confidence, correct, groups = population
    random, order = np.random.default_rng(2), np.argsort(-confidence)
    falling, right = -confidence[order], np.cumsum(correct[order])
    precision = right / np.arange(1, len(order) + 1)
    sizes = np.bincount(groups)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    results: dict[tuple[float, str], list[tuple[float, bool]]] = {}
    counts = []
    for _ in range(draws):
        drawn = random.permutation(len(sizes))
        drawn = drawn[: np.searchsorted(np.cumsum(sizes[drawn]), n) + 1]
        counts.append(len(drawn))
        chosen = np.concatenate([np.arange(starts[g], starts[g + 1]) for g in drawn])
        chosen = chosen[np.argsort(-confidence[chosen])]
        number = np.unique(groups[chosen], return_inverse=True)[1]
        shuffled = random.permutation(len(chosen))
        one = np.sort(shuffled[np.unique(number[shuffled], return_index=True)[1]])
        for target in PRECISION_TARGETS:
            oracle = (np.flatnonzero(precision >= target)[-1] + 1) / len(order)
            thresholds = (
                accept_threshold(confidence[chosen], correct[chosen], target),
                accept_threshold(confidence[chosen][one], correct[chosen][one], target),
                accept_threshold(confidence[chosen], correct[chosen], target, number),
            )
            for method, threshold in zip(METHODS, thresholds, strict=True):
                accepted = int(np.searchsorted(falling, -threshold, side="right"))
                broken = accepted > 0 and bool(precision[accepted - 1] < target)
                results.setdefault((target, method), []).append((accepted / len(order) / oracle, broken))
    return [
        {"images": n, "groups": float(np.mean(counts)), "target": target}
        | {
            method: {
                "share": round(float(np.mean([share for share, _ in results[target, method]])), 3),
                "broken": float(np.mean([broken for _, broken in results[target, method]])),
            }
            for method in METHODS
        }
        for target in PRECISION_TARGETS
    ]


if __name__ == "__main__":
    main()
