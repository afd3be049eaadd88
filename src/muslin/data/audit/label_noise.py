"""How probable it is that a label is wrong, from out-of-fold probabilities of models that learned the labels as given.

The true class of an image is drawn from its calibrated probabilities. The given label is that class, or a wrong one:
some wrong labels are any other class, some are drawn as the models confuse the classes, because people confuse similar
ones too; where the data do not tell, half and half. The share of wrong labels, the part of the two kinds, the
temperature and a bias per class are fitted together by maximum likelihood, and then averaged over the posterior of the
share and the temperature: where few labels are wrong, the most likely share is often 0. Temperature and biases explain
which classes models confuse, such as shirts and T-shirts; what remains are disagreements too confident for calibrated
predictions, and these are the wrong labels (class-conditional noise as in Natarajan et al., Learning with noisy labels,
NeurIPS 2013, whose matrix is counted as the confident joint of Northcutt, Jiang and Chuang, JAIR 70, 2021; calibration
as in Guo et al., ICML 2017).

Of the scores compared in benchmarks/label_errors.py it ranks as well as the best, and is the only calibrated one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.extras import require_extra

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]
FloatArray = NDArray[np.float64]

PROBABLE = 0.5
"""A label with at least this probability of being wrong is suggested to be corrected or excluded."""

MAX_FITTED = 20_000
"""Labels that the mixture is fitted to, drawn at random: more change nothing and take seconds."""

MIN_WEIGHT = 1e-5
"""Posterior probability below which a cell of the grid does not count."""

N_DRAWS = 2_000
"""Of the number of wrong labels, for its interval."""

BIAS_PENALTY = 1.0
"""Half of it times the sum of squared biases: a class with few labels keeps a bias near 0."""

KIND_PENALTY = 1.0
"""Half of it times the square of the log odds of the two kinds of wrong labels."""

_START = (0.0, -4.0, 0.0)  # temperature 1, 2 % wrong, half of them of a similar class
_LOG_ODDS = (-12.0, 0.0)
_EPSILON = 1e-12


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """The mixture: a posterior of the share of wrong labels and of the temperature, on a grid.

    Attributes:
        shares: float64 (shares,), of wrong labels, rising.
        temperatures: float64 (temperatures,), of the calibrated probabilities.
        weights: float64 (temperatures, shares), posterior probabilities with Jeffreys' prior of the share.
        biases: float64 (classes,), added to the logarithms of the probabilities.
        confusions: float64 (classes, classes), of a wrong label of each true class, by row, the probability of each.
    """

    shares: FloatArray
    temperatures: FloatArray
    weights: FloatArray
    biases: FloatArray
    confusions: FloatArray

    @property
    def wrong_share(self) -> float:
        """Expected share of wrong labels, 0 to 0.5."""
        return float(self.weights.sum(axis=0) @ self.shares)

    @property
    def temperature(self) -> float:
        """Expected temperature."""
        return float(self.weights.sum(axis=1) @ self.temperatures)

    def wrong_probabilities(self, labels: Labels, probabilities: Probabilities) -> FloatArray:
        """Of each label the probability that it is wrong, float64 (n,): the mean over the posterior."""
        total = np.zeros(len(labels))
        for temperature, weights in zip(self.temperatures, self.weights, strict=True):
            calibrated = _calibrated(probabilities, temperature, self.biases)
            own, other = _own(labels, calibrated), _other(labels, calibrated, self.confusions)
            for share, weight in zip(self.shares, weights, strict=True):
                if weight > MIN_WEIGHT:
                    total += weight * _wrong(own, other, share)
        return np.asarray(total / self.weights[self.weights > MIN_WEIGHT].sum())

    def draw_wrong(
        self, labels: Labels, probabilities: Probabilities, count: int, random: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draws of which labels are wrong, bool (count, n): of the posterior, and then of each label."""
        drawn = np.sort(random.choice(self.weights.size, count, p=self.weights.ravel()))
        states = []
        for cell, times in zip(*np.unique(drawn, return_counts=True), strict=True):
            temperature, share = divmod(int(cell), len(self.shares))
            calibrated = _calibrated(probabilities, self.temperatures[temperature], self.biases)
            own, other = _own(labels, calibrated), _other(labels, calibrated, self.confusions)
            wrong = _wrong(own, other, self.shares[share])
            states.append(random.random((times, len(labels))) < wrong)
        return np.asarray(random.permutation(np.concatenate(states)))

    def suggested(self, labels: Labels, probabilities: Probabilities) -> NDArray[np.int64]:
        """The most probable class other than the given one, int64 (n,)."""
        calibrated = _calibrated(probabilities, self.temperature, self.biases)
        calibrated[np.arange(len(labels)), labels] = -1
        return np.asarray(calibrated.argmax(axis=1), dtype=np.int64)


def fit_label_noise(labels: Labels, probabilities: Probabilities, seed: int = 0) -> LabelNoise:
    """The mixture around that of greatest likelihood, whose biases it has.

    Args:
        labels: (n,) class indices, none unknown.
        probabilities: (n, classes), out of fold.
        seed: of the draw, where there are more than MAX_FITTED labels.
    """
    n_classes = probabilities.shape[1]
    if len(labels) > MAX_FITTED:
        chosen = np.random.default_rng(seed).choice(len(labels), MAX_FITTED, replace=False)
        labels, probabilities = labels[chosen], probabilities[chosen]
    kinds = _confusions(labels, probabilities)
    start = np.concatenate([_START, np.zeros(n_classes)])
    fitted = _fit(labels, _logarithms(probabilities), kinds, start)
    temperatures, biases = np.exp(fitted[0] + np.linspace(-0.3, 0.3, 13)), fitted[3:]
    confusions = _mix(kinds, fitted[2])
    shares = 1 / (1 + np.exp(-np.linspace(*_LOG_ODDS, 80)))
    logarithms = np.empty((len(temperatures), len(shares)))
    for row, temperature in enumerate(temperatures):
        calibrated = _calibrated(probabilities, temperature, biases)
        own, other = _own(labels, calibrated), _other(labels, calibrated, confusions)
        for column, share in enumerate(shares):
            likelihood = np.maximum((1 - share) * own + share * other, _EPSILON)
            # the grid is even in the log odds, so the square root is Jeffreys' prior of the share
            logarithms[row, column] = np.log(likelihood).sum() + np.log(share * (1 - share)) / 2
    weights = np.exp(logarithms - logarithms.max())
    return LabelNoise(shares, temperatures, weights / weights.sum(), biases, confusions)


@dataclass(frozen=True)
class ExpectedWrong:
    """Of the first `n` labels of a ranking about `expected` are wrong, with 95 % confidence `low` to `high`."""

    n: int
    expected: float
    low: int
    high: int


Checked = tuple[Labels, Probabilities, LabelNoise]
"""Labels (n,), their probabilities (n, classes) and the mixture fitted to them."""


def expected_wrong(checks: Sequence[Checked], counts: Sequence[int], seed: int = 0) -> list[ExpectedWrong]:
    """Of the labels most probably wrong in all `checks`, how many of the first n probably are, for each n of `counts`.

    The intervals are percentiles of draws.
    """
    random = np.random.default_rng(seed)
    wrong = [noise.wrong_probabilities(labels, probabilities) for labels, probabilities, noise in checks]
    check_of = np.repeat(np.arange(len(checks)), [len(each) for each in wrong])
    row_of = np.concatenate([np.arange(len(each)) for each in wrong])
    every = np.concatenate(wrong)
    order = np.argsort(-every, kind="stable")[: max(counts)]
    states = np.empty((N_DRAWS, len(order)), dtype=bool)
    for number, check in enumerate(checks):
        places = np.flatnonzero(check_of[order] == number)
        labels, probabilities, noise = check
        rows = row_of[order[places]]
        states[:, places] = noise.draw_wrong(labels[rows], probabilities[rows], N_DRAWS, random)
    totals = np.cumsum(states, axis=1)
    return [ExpectedWrong(n, float(every[order[:n]].sum()), *_percentiles(totals[:, n - 1])) for n in counts]


def _calibrated(probabilities: Probabilities, temperature: float, biases: FloatArray) -> FloatArray:
    """Of each class the probability that it is the true one, given the image alone: float64 (n, classes)."""
    return _softmax(_logarithms(probabilities) / temperature + biases)


def _own(labels: Labels, calibrated: FloatArray) -> FloatArray:
    return np.asarray(calibrated[np.arange(len(labels)), labels])


def _other(labels: Labels, calibrated: FloatArray, confusions: FloatArray) -> FloatArray:
    """The probability that a wrong label of the image is the given one, float64 (n,)."""
    return np.asarray((calibrated * confusions.T[labels]).sum(axis=1))


def _confusions(labels: Labels, probabilities: Probabilities) -> FloatArray:
    """Of a wrong label of each true class, by row, the probability of each: float64 (2, classes, classes).

    The first is uniform. The second counts the probability of each class among the images of each label, without the
    label's own.
    """
    n_classes = probabilities.shape[1]
    uniform = (1 - np.eye(n_classes)) / (n_classes - 1)
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts.T, labels, probabilities)
    np.fill_diagonal(counts, 0)
    counts += uniform  # a class that is never confused has this row alone
    return np.stack([uniform, counts / counts.sum(axis=1, keepdims=True)])


def _mix(kinds: FloatArray, log_odds: float) -> FloatArray:
    similar = 1 / (1 + np.exp(-log_odds))
    return np.asarray((1 - similar) * kinds[0] + similar * kinds[1])


def _wrong(own: FloatArray, other: FloatArray, share: float) -> FloatArray:
    """The probability that a label is wrong, float64 (n,).

    Args:
        own: its calibrated probability.
        other: the probability that a wrong label of the image is the given one.
        share: of wrong labels.
    """
    correct, wrong = (1 - share) * own, share * other
    return np.asarray(wrong / np.maximum(correct + wrong, _EPSILON))


def _percentiles(counts: NDArray[np.int64]) -> tuple[int, int]:
    low, high = np.percentile(counts, [2.5, 97.5])
    return int(np.floor(low)), int(np.ceil(high))


def _fit(labels: Labels, logarithms: FloatArray, kinds: FloatArray, start: FloatArray) -> FloatArray:
    """The logarithm of the temperature, the log odds of a wrong label and of a similar class, and the biases."""
    require_extra("train")
    from scipy.optimize import minimize

    n_classes = logarithms.shape[1]
    bounds = [(-4.0, 3.0), _LOG_ODDS, (-5.0, 5.0), *[(-10.0, 10.0)] * n_classes]
    result = minimize(_loss, start, args=(labels, logarithms, kinds), jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(result.x)


def _loss(
    parameters: FloatArray, labels: Labels, logarithms: FloatArray, kinds: FloatArray
) -> tuple[float, FloatArray]:
    """The negative log likelihood and its gradient."""
    sharpness, biases = np.exp(-parameters[0]), parameters[3:]
    share, similar = 1 / (1 + np.exp(-parameters[1:3]))
    confusions = _mix(kinds, parameters[2])
    calibrated = _softmax(sharpness * logarithms + biases)
    own, other = _own(labels, calibrated), _other(labels, calibrated, confusions)
    likelihood = np.maximum((1 - share) * own + share * other, _EPSILON)
    given = ((1 - share) * np.eye(len(biases)) + share * confusions).T[labels]  # of the label, for each true class
    by_score = calibrated * (given / likelihood[:, np.newaxis] - 1)
    by_kind = _other(labels, calibrated, kinds[1] - kinds[0])
    gradient = -np.concatenate([
        [-sharpness * (by_score * logarithms).sum()],
        [((other - own) / likelihood).sum() * share * (1 - share)],
        [(by_kind / likelihood).sum() * share * similar * (1 - similar) - KIND_PENALTY * parameters[2]],
        by_score.sum(axis=0) - BIAS_PENALTY * biases,
    ])  # fmt: skip
    penalty = BIAS_PENALTY / 2 * (biases**2).sum() + KIND_PENALTY / 2 * parameters[2] ** 2
    return float(penalty - np.log(likelihood).sum()), gradient


def _logarithms(probabilities: Probabilities) -> FloatArray:
    return np.asarray(np.log(np.maximum(probabilities, _EPSILON, dtype=np.float64)))


def _softmax(scores: FloatArray) -> FloatArray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
