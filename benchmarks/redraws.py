"""Redraws of labelled images from a population whose precision at every threshold is known.

The population is a set of real predictions of images that no network was trained on. Whole groups are drawn from it
with replacement, so each draw is an independent sample of it, however many are drawn, and its precision is known
exactly (the bootstrap's view of a population: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 4).
To measure the precision of the images that are left would be wrong: they are few, and a sample with fewer errors than
the population leaves more than the population in the rest. An exact test at a fixed threshold, of independent images,
shows that the design is fair.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import max_coverage

PRECISION_TARGETS = (0.90, 0.95, 0.98)
COUNTS = (300, 1_000, 3_000)
SEED = 1
"""Of the draws: each call of `measure` starts with it."""

Threshold = Callable[[Any, Any, float, Any], float]
"""From falling confidences, correctness, the precision target and groups to the accept threshold."""


class Population:
    """Raw probabilities (n, classes) of real images, their labels and their groups; None: independent images."""

    def __init__(self, target: Any, labels: Any, probabilities: Any, groups: Any = None) -> None:
        self.target, self.labels, self.probabilities = target, labels, probabilities
        number = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
        self.is_grouped = groups is not None
        self.members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])

    def draw(self, n: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of at least `n` images in whole groups, and the number of each one's group."""
        drawn: list[NDArray[np.int64]] = []
        count = 0
        while count < n:
            drawn.append(self.members[random.integers(len(self.members))])
            count += len(drawn[-1])
        return np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])


def measure(
    population: Population, methods: Mapping[str, Threshold], n: int, draws: int, targets: Sequence[float]
) -> list[dict[str, Any]]:
    """Per precision target: the oracle's coverage, and for each method its mean share of it, how often the guarantee
    was broken, and how often nothing was accepted."""
    from muslin.evaluation.selective import calibrate_probabilities, fit_calibration_data

    random = np.random.default_rng(SEED)
    seen: dict[tuple[float, str], list[tuple[float, bool]]] = {}
    oracle: dict[float, list[float]] = {target: [] for target in targets}
    n_groups, chosen_broken, exact = [], [], {target: [] for target in targets}
    for _ in range(draws):
        rows, groups = population.draw(n, random)
        arrays = population.labels[rows], population.probabilities[rows]
        data = fit_calibration_data(population.target, *arrays, groups if population.is_grouped else None)
        assert data is not None
        calibrated = calibrate_probabilities(population.target, population.probabilities, data)
        confidence, correct = calibrated.max(axis=1), calibrated.argmax(axis=1) == population.labels
        falling = -np.sort(-confidence)
        precision = np.cumsum(correct[np.argsort(-confidence, kind="stable")]) / np.arange(1, len(correct) + 1)
        n_groups.append(groups[-1] + 1)
        group = data.group if population.is_grouped else None

        def outcome(threshold: float, target: float, precision: Any = precision, falling: Any = falling) -> Any:
            accepted = int(np.searchsorted(-falling, -threshold, side="right"))
            return accepted / len(falling), accepted > 0 and bool(precision[accepted - 1] < target)

        for target in targets:
            oracle[target].append(max_coverage(confidence, correct, target))
            exact[target].append(_exact_test(falling, precision, confidence, correct, target, n, random))
            for name, method in methods.items():
                threshold = method(data.confidence, data.correct, target, group)
                seen.setdefault((target, name), []).append(outcome(threshold, target))
        chosen = _chosen_precision(data, methods["muslin"], group)
        threshold = methods["muslin"](data.confidence, data.correct, chosen, group)
        chosen_broken.append(outcome(threshold, chosen)[1])
    results = []
    for target in targets:
        best = float(np.mean(oracle[target]))
        row: dict[str, Any] = {"images": n, "groups": float(np.mean(n_groups)), "target": target, "oracle": best}
        row |= {"exact_test": float(np.mean(exact[target])), "chosen_precision_broken": float(np.mean(chosen_broken))}
        for name in methods:
            shares, broken = map(np.array, zip(*seen[target, name], strict=True))
            row[name] = {
                "share": round(float(shares.mean()) / best, 3) if best else None,
                "broken": float(broken.mean()),
                "nothing": float((shares == 0).mean()),
            }
        results.append(row)
    return results


def _chosen_precision(data: Any, method: Threshold, group: Any) -> float:
    """What `tag` chooses where no precision is named."""
    from muslin.evaluation.precision_choice import STANDARD_PRECISIONS, AcceptanceRow, choose_precision

    rows = []
    for target in STANDARD_PRECISIONS:
        accepted = int((data.confidence >= method(data.confidence, data.correct, target, group)).sum())
        rows.append(AcceptanceRow(target, accepted, len(data), accepted / len(data), (0.0, 1.0)))
    chosen = choose_precision({"": tuple(rows)})
    assert chosen is not None
    return chosen


def _exact_test(
    falling: Any, precision: Any, confidence: Any, correct: Any, target: float, n: int, random: np.random.Generator
) -> bool:
    """Whether `n` independent images pass the exact test at the strictest threshold that misses the target and all
    below it do: a pass is an error of the first kind."""
    from muslin.evaluation.precision_bound import precision_p_value

    ends = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    reached = ends[precision[ends] >= target]
    missed = ends[ends > (reached[-1] if len(reached) else -1)]
    if not len(missed):
        return False
    rows = random.integers(0, len(confidence), n)
    accepted = correct[rows][confidence[rows] >= falling[missed[0]]]
    return bool(len(accepted)) and precision_p_value(accepted, target) <= 0.05


def print_rows(name: str, rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> None:
    """A line of a Markdown table for each row: per method the share of the oracle's coverage and the share broken."""
    for row in rows:
        cells = [f"{row[m]['share']:.2f} ({100 * row[m]['broken']:.1f} %)" for m in methods]
        ends = f"{100 * row['chosen_precision_broken']:.1f} % | {100 * row['exact_test']:.1f} %"
        sizes = f"{row['images']:,} | {row['groups']:,.0f} | {100 * row['target']:g} % | {100 * row['oracle']:.0f} %"
        print(f"| {name} | {sizes} | {' | '.join(cells)} | {ends} |", flush=True)
