"""About how many labelled images, or groups, a guarantee takes: by simulation from the calibration images."""

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.effective_size import Correct, Groups, effective_sizes, intraclass_correlation
from muslin.evaluation.precision_bound import Confidence, accept_threshold, images_needed

POWER = 0.8
"""The probability with which samples of the expected size prove the precision."""

_SAMPLES = 40
_SIMULATED_POWER = 0.9  # more than POWER, because the temperature of the confidences was fitted to the same images
_MAX_TIMES = 20
_STEP = 1.1  # the size is found to a tenth
_PRIOR_IMAGES = 100  # that the confidences are worth, because of a few images all can be correct by chance


def expected_size_needed(
    confidence: Confidence, correct: Correct, precision: float, groups: Groups | None = None
) -> int | None:
    """About how many such images, or groups, prove `precision` for some predictions with a probability of POWER.

    Draws samples of groups with replacement (the bootstrap of clusters; Davison and Hinkley, Bootstrap methods and
    their application, 1997, 3.8) and searches each for a threshold. Each is drawn from such a sample of the given size,
    because these groups could have been others. A drawn prediction is correct as observed or, the more often the fewer
    are more confident, with the probability of its confidence, correlated within its group.

    Assumes that further images are like these. None where 20 times as many, or twice the fewest that can prove it, are
    too few: the model makes too many errors.

    Args:
        confidence, correct, precision, groups: see `accept_threshold`.
    """
    n, needed = len(confidence), images_needed(precision)
    if n == 0:
        return needed
    population = _Population(confidence, correct, groups)
    units = len(population.counts)
    low, high = 1.0, max(_STEP, needed / units)  # these were too few
    most = max(_MAX_TIMES, 2 * needed / units)
    while not population.proves(precision, round(high * units)):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high / low > _STEP:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if population.proves(precision, round(middle * units)) else (middle, high)
    unit = 10 ** max(int(np.log10(high * units)) - 1, 0)  # two digits: it is an estimate
    return int(np.ceil(round(high * units) / unit) * unit)


class _Population:
    """The calibration images, from which groups are drawn."""

    def __init__(self, confidence: Confidence, correct: Correct, groups: Groups | None) -> None:
        n = len(confidence)
        self.confidence, self.correct = confidence, correct
        number = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
        self.is_grouped = groups is not None
        self.order, self.counts = np.argsort(number, kind="stable"), np.bincount(number)
        self.starts = np.cumsum(self.counts) - self.counts
        correlation = intraclass_correlation(correct, number) if self.is_grouped else 0.0
        self.shared = correlation**0.5
        *_, effective = effective_sizes(correct, groups, correlation)
        self.weight = effective / (effective + _PRIOR_IMAGES)

    def proves(self, precision: float, n_groups: int) -> bool:
        """Whether _SIMULATED_POWER of the samples of `n_groups` prove `precision`; the same samples at every call."""
        random, failed = np.random.default_rng(0), 0
        for _ in range(_SAMPLES):
            confidence, correct, groups = self._sample(random, n_groups)
            failed += accept_threshold(confidence, correct, precision, groups if self.is_grouped else None) == np.inf
            if failed > _SAMPLES * (1 - _SIMULATED_POWER):
                return False
        return True

    # the type's name in quotes, because numpy.random takes 6 ms to import, which `muslin predict` does not need
    def _sample(self, random: "np.random.Generator", n_groups: int) -> tuple[Confidence, Correct, NDArray[np.int64]]:
        units = len(self.counts)
        known = random.integers(0, units, units)
        drawn = known[random.integers(0, units, n_groups)]
        counts = self.counts[drawn]
        groups = np.repeat(np.arange(n_groups), counts)
        place = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = self.order[self.starts[drawn][groups] + place]
        by_confidence = np.argsort(rows, kind="stable")
        rows, groups = rows[by_confidence], groups[by_confidence]
        luck = np.where(
            random.random(len(rows)) < self.shared, random.random(n_groups)[groups], random.random(len(rows))
        )
        is_observed = random.random(n_groups)[groups] < self.weight[rows]
        confidence = self.confidence[rows]
        return confidence, np.where(is_observed, self.correct[rows], luck < confidence), groups
