"""Temperature scaling: calibrates probabilities, so that of predictions with probability 0.8 about 80 % are correct.

Fitted on images that the network was not trained on. It keeps the order of an image's classes, so it changes no
prediction of a `multiclass` target, only its probability.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.metrics import Labels, Probabilities, brier_score, log_loss
from muslin.extras import require_extra

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Beyond them every probability is 0 or 1, or all classes are equally probable."""

FEW_NUMBERS = 32
"""So few are computed faster in plain Python than with NumPy, of which each call takes 1 to 4 µs."""

_EPSILON = 1e-12  # the logarithm of a float32 probability of 0 must exist


def scale_probabilities(probabilities: Probabilities, temperature: Probabilities | float) -> NDArray[np.float32]:
    """Probabilities at another temperature: float32 (n, classes); rows still sum to 1.

    Each becomes p^(1/temperature), divided by the row's sum: the softmax of the scores divided by the temperature.
    A temperature above 1 lowers the confidence, one below 1 raises it.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
    """
    few = len(probabilities) == 1 and probabilities.size <= FEW_NUMBERS
    if few and isinstance(temperature, float) and temperature >= MIN_TEMPERATURE:
        return np.array([_scale_row(probabilities[0].tolist(), 1 / temperature)], np.float32)
    p: NDArray[np.float64] = np.maximum(probabilities, _EPSILON, dtype=np.float64)
    if (temperature if isinstance(temperature, float) else np.min(temperature)) < MIN_TEMPERATURE:
        p /= p.max(axis=1, keepdims=True)  # else powers of all classes might be 0
    p = p ** (1 / temperature)
    p /= p.sum(axis=1, keepdims=True)
    return p.astype(np.float32)


def _scale_row(probabilities: list[float], exponent: float) -> list[float]:
    """`scale_probabilities` of one image: the same float32 in half the time."""
    powers = [(p if p > _EPSILON else _EPSILON) ** exponent for p in probabilities]
    total = math.fsum(powers)
    return [power / total for power in powers]


def scale_label_probabilities(
    probabilities: Probabilities, temperatures: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """The same for a `multilabel` target: float32 (n, labels), each column at its own temperature.

    Each becomes the sigmoid of its log odds divided by the label's temperature; 0.5 stays 0.5.
    """
    p = np.clip(np.asarray(probabilities, dtype=np.float64), _EPSILON, 1 - _EPSILON)
    log_odds = (np.log(p) - np.log1p(-p)) / temperatures
    # e^709 is the largest float
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -700, 700))), dtype=np.float32)


def fit_temperature(labels: Labels, probabilities: Probabilities) -> float:
    """The geometric mean of the temperature of least log loss and that of least Brier score, in 0.05..20.

    Both are proper scores: where the model needs nothing but a temperature, they agree. Where they do not, the log
    loss follows the few most confident errors, which are often wrong labels, and the Brier score the many uncertain
    predictions. Their mean was best calibrated on Fashion-MNIST (docs/explanation/selective-prediction.md).

    Args:
        labels: integer (n,); UNKNOWN ones are left out.
        probabilities: float (n, classes), in 0..1, each row summing to 1.

    Raises:
        DataError: no image is labelled.
        MissingPartError: SciPy is not installed.
    """
    require_extra("train")
    from scipy.optimize import minimize_scalar

    labelled = np.flatnonzero(labels != UNKNOWN)
    if not len(labelled):
        raise DataError("no_labels_to_calibrate", n=len(labels))
    true = np.asarray(labels)[labelled].astype(np.int64)
    raw_probabilities = np.asarray(probabilities)[labelled]
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))

    def best_log_temperature(score: Callable[[Labels, Probabilities], float]) -> float:
        def loss(log_temperature: float) -> float:
            return score(true, scale_probabilities(raw_probabilities, float(np.exp(log_temperature))))

        return float(minimize_scalar(loss, method="bounded", bounds=bounds).x)

    return float(np.exp((best_log_temperature(log_loss) + best_log_temperature(brier_score)) / 2))


def fit_label_temperatures(labels: Labels, probabilities: Probabilities) -> NDArray[np.float32]:
    """The temperature of each label of a `multilabel` target: float32 (labels,).

    It is 1 for a label without a positive or without a negative image.

    Args:
        labels: integer (n, labels): 1, 0 or UNKNOWN.
        probabilities: float (n, labels), in 0..1.
    """
    temperatures = np.ones(labels.shape[1], dtype=np.float32)
    for column, truth in enumerate(labels.T):
        positive = np.asarray(probabilities)[:, column].astype(np.float64)
        if (truth == 0).any() and (truth == 1).any():
            temperatures[column] = fit_temperature(truth, np.stack([1 - positive, positive], axis=1))
    return temperatures
