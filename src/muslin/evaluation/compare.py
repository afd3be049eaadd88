"""Two classifiers on the same images: which is more often right, and could chance alone have made it seem so."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.intervals import Interval, wilson

Right = NDArray[np.bool_]

DRAWS = 10_000
"""Re-drawings of groups, for the interval and for the share of chance."""

ONCE_IN_20 = 0.05


@dataclass(frozen=True)
class Paired:
    """How two models did on the same n images.

    Attributes:
        n: images; both + only_a + only_b + neither.
        both, only_a, only_b, neither: on how many of them which model is right.
        difference: share right of b minus that of a, from -1 to 1; above 0 b is better.
        interval: of the difference, 95 %.
        p_value: how often a difference at least so large comes by chance between models equally good, 0 to 1.
        groups: how many groups the images fall into; None where each stands for itself.
    """

    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    interval: Interval
    p_value: float
    groups: int | None = None


@dataclass(frozen=True)
class ClassDifference:
    """The images of one class. `p_value` is corrected for having looked at every class (Holm)."""

    name: str
    paired: Paired
    p_value: float

    @property
    def better(self) -> str | None:
        """`a` or `b` where one is better by more than chance would make it once in twenty times; else None."""
        if self.p_value >= ONCE_IN_20:
            return None
        return "b" if self.paired.difference > 0 else "a"


@dataclass(frozen=True)
class Comparison:
    """Two models compared on one target.

    Attributes:
        overall: all images of a known class.
        accuracy_a, accuracy_b: share right, 0 to 1, with its 95 % Wilson interval beside it.
        per_class: one entry a class that has images, in the classes' order.
        only_a_right, only_b_right, both_wrong: indices of images on which the models answer differently.
    """

    overall: Paired
    accuracy_a: float
    accuracy_a_interval: Interval
    accuracy_b: float
    accuracy_b_interval: Interval
    per_class: tuple[ClassDifference, ...]
    only_a_right: tuple[int, ...]
    only_b_right: tuple[int, ...]
    both_wrong: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with each class's `better`."""
        values = asdict(self)
        for row, found in zip(values["per_class"], self.per_class, strict=True):
            row["better"] = found.better
        return values


def paired(right_a: Right, right_b: Right, groups: NDArray[Any] | None = None) -> Paired:
    """The paired comparison of two models' hits and misses, bool (n,) each.

    Without groups the interval is Newcombe's for paired shares and the p-value that of McNemar's exact test. With
    groups, of which one is never torn apart, the interval is the percentile bootstrap over groups and the p-value
    that of a test which swaps the models group by group: 10,000 drawings each, always the same ones.

    Sources: R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on
    paired data, Statistics in Medicine 17 (1998), method 10; Q. McNemar, Psychometrika 12 (1947).

    Raises:
        DataError: no image, or not as many of one as of the other.
    """
    if not len(right_a) == len(right_b) > 0:
        raise DataError(
            f"{len(right_a)} and {len(right_b)} answers; expected as many of each, and at least one."
        )
    both, neither = int((right_a & right_b).sum()), int((~right_a & ~right_b).sum())
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    n = len(right_a)
    result = Paired(
        n, both, only_a, only_b, neither, (only_b - only_a) / n,
        newcombe(both, only_a, only_b, neither), mcnemar(only_a, only_b),
    )  # fmt: skip
    if groups is None:
        return result
    _, place = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(np.unique(place)) == n:
        return result
    gains = np.bincount(place, weights=right_b.astype(np.float64) - right_a)
    sizes = np.bincount(place)
    interval, p_value = _by_groups(gains, sizes)
    return replace(result, interval=interval, p_value=p_value, groups=len(sizes))


def newcombe(both: int, only_a: int, only_b: int, neither: int, level: float = 0.95) -> Interval:
    """The interval of the paired difference (only_b - only_a) / n, within -1..1: Newcombe's method 10.

    Each share's Wilson interval is taken, and the two are joined as sides of a triangle, with the correlation of
    the models' hits; that correlation is corrected for continuity where it is positive.

    >>> tuple(round(end, 4) for end in newcombe(36, 2, 12, 0))
    (0.0569, 0.3404)
    """
    n = both + only_a + only_b + neither
    share_a, share_b = (both + only_a) / n, (both + only_b) / n
    low_a, high_a = wilson(both + only_a, n, level)
    low_b, high_b = wilson(both + only_b, n, level)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    product = both * neither - only_a * only_b
    corrected = product - n / 2 if product > n / 2 else min(product, 0)
    phi = corrected / margins**0.5 if margins else 0.0
    down_a, up_a, down_b, up_b = share_a - low_a, high_a - share_a, share_b - low_b, high_b - share_b
    below = (down_b**2 - 2 * phi * down_b * up_a + up_a**2) ** 0.5
    above = (up_b**2 - 2 * phi * up_b * down_a + down_a**2) ** 0.5
    return share_b - share_a - below, share_b - share_a + above


def mcnemar(only_a: int, only_b: int) -> float:
    """McNemar's exact p-value, two-sided: of the images on which only one is right, is each as often that one?"""
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value corrected for the number of them. S. Holm, Scandinavian Journal of Statistics 6 (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def compare(
    labels: NDArray[np.integer[Any]],
    answers_a: NDArray[np.integer[Any]],
    answers_b: NDArray[np.integer[Any]],
    classes: Sequence[str],
    groups: NDArray[Any] | None = None,
) -> Comparison:
    """Two models' answers to the same images.

    Args:
        labels: integer (n,), a class's index or UNKNOWN, which is left out; or (n, classes) of 1, 0 and UNKNOWN.
        answers_a, answers_b: the same shape. Of several labels an image's answer is right when all known ones are.
        classes: the names.
        groups: (n,): of which group each image is.

    Raises:
        DataError: no image has a known label.
    """
    several = labels.ndim == 2
    known = labels != UNKNOWN
    judged = np.flatnonzero(known.any(axis=1) if several else known)
    if not len(judged):
        raise DataError("no image has a known label, so there is nothing to compare.")
    hits_a, hits_b = (labels == answers_a) | ~known, (labels == answers_b) | ~known
    right_a, right_b = (hits_a.all(axis=1), hits_b.all(axis=1)) if several else (hits_a, hits_b)
    differs = (answers_a != answers_b).any(axis=1) if several else answers_a != answers_b
    of_class: dict[str, tuple[Right, Right, Right]] = {}
    for i, name in enumerate(classes):
        if several:
            of_class[name] = known[:, i], hits_a[:, i], hits_b[:, i]
        else:
            of_class[name] = labels == i, right_a, right_b
    overall = paired(right_a[judged], right_b[judged], None if groups is None else groups[judged])

    def where(mask: Right) -> tuple[int, ...]:
        return tuple(int(i) for i in judged[mask[judged]])

    return Comparison(
        overall,
        (overall.both + overall.only_a) / overall.n,
        wilson(overall.both + overall.only_a, overall.n),
        (overall.both + overall.only_b) / overall.n,
        wilson(overall.both + overall.only_b, overall.n),
        _per_class(of_class, groups),
        where(right_a & ~right_b),
        where(~right_a & right_b),
        where(~right_a & ~right_b & differs),
    )


def _per_class(
    of_class: Mapping[str, tuple[Right, Right, Right]], groups: NDArray[Any] | None
) -> tuple[ClassDifference, ...]:
    found = {
        name: paired(a[mask], b[mask], None if groups is None else groups[mask])
        for name, (mask, a, b) in of_class.items()
        if mask.any()
    }
    corrected = holm([p.p_value for p in found.values()])
    return tuple(
        ClassDifference(name, its, p) for (name, its), p in zip(found.items(), corrected, strict=True)
    )


def _by_groups(gains: NDArray[Any], sizes: NDArray[np.integer[Any]]) -> tuple[Interval, float]:
    """Bootstrap interval of sum(gains) / sum(sizes), and the p-value of swapping the models in random groups."""
    random = np.random.default_rng(0)
    differences, sums = [], []
    block = max(1, 2**22 // len(gains))  # 32 MB at a time
    for start in range(0, DRAWS, block):
        count = min(block, DRAWS - start)
        drawn = random.integers(0, len(gains), (count, len(gains)))
        differences.append(gains[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
        sums.append(random.choice([-1.0, 1.0], (count, len(gains))) @ gains)
    low, high = np.quantile(np.concatenate(differences), [0.025, 0.975])
    as_far = np.abs(np.concatenate(sums)) >= abs(gains.sum()) - 1e-9
    # The drawing at hand is one of them, so that p is never 0: Davison and Hinkley, Bootstrap methods (1997), 4.2.
    return (float(low), float(high)), float((1 + as_far.sum()) / (1 + DRAWS))
