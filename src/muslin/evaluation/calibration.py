"""Temperature scaling: so that answers given with 80 % probability are right about 80 times in 100.

Fitted on images that the network was not trained on. The order of an image's classes stays as it was, so no answer
of a `multiclass` target changes; only how sure it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.metrics import Labels, Probabilities, brier_score, log_loss

LEAST, MOST = 0.05, 20.0
"""Temperatures looked at. Beyond them a model is either always or never sure, whatever it said."""

_SMALLEST = 1e-12  # a probability of 0 in float32 would have no logarithm


def scaled(probabilities: Probabilities, temperature: Probabilities | float) -> NDArray[np.float32]:
    """Probabilities at another temperature: float32 (n, classes), rows that add up to 1 still do.

    Each becomes p^(1/temperature), divided by the row's sum: the softmax of the scores divided by the temperature.
    Above 1 the model becomes less sure, below 1 surer.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
    """
    powers = np.log(np.maximum(probabilities, _SMALLEST, dtype=np.float64)) / temperature
    powers = np.exp(powers - powers.max(axis=1, keepdims=True))
    rows: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows


def scaled_labels(
    probabilities: Probabilities, temperatures: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """The same for a `multilabel` target: float32 (n, labels), each column at its own temperature.

    Each becomes the sigmoid of its log odds divided by the label's temperature; 0.5 stays 0.5.
    """
    p = np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, 1 - _SMALLEST)
    odds = (np.log(p) - np.log1p(-p)) / temperatures
    # e^709 is the largest float
    yes: NDArray[np.float32] = (1 / (1 + np.exp(-np.clip(odds, -700, 700)))).astype(np.float32)
    return yes


def temperature(labels: Labels, probabilities: Probabilities) -> float:
    """The geometric mean of the temperature of least log loss and that of least Brier score, in 0.05..20.

    Both are proper scores: where the model only needs a temperature, they agree. Where they do not, the log loss goes
    by the few surest mistakes, which are often wrong labels, and the Brier score by the many doubtful answers; what
    lies between them was measured to be the best calibrated on Fashion-MNIST (docs/explanation/lanes.md).

    Args:
        labels: integer (n,); UNKNOWN ones are left out.
        probabilities: float (n, classes), in 0..1, each row adding up to 1.

    Raises:
        DataError: no label is known.
    """
    from scipy.optimize import minimize_scalar

    known = np.flatnonzero(labels != UNKNOWN)
    if not len(known):
        raise DataError("no image with a known class to calibrate with.")
    true, raw_probabilities = np.asarray(labels)[known].astype(np.int64), np.asarray(probabilities)[known]

    bounds = (np.log(LEAST), np.log(MOST))

    def best(score: Callable[[Labels, Probabilities], float]) -> float:
        def loss(logarithm: float) -> float:
            return score(true, scaled(raw_probabilities, float(np.exp(logarithm))))

        return float(minimize_scalar(loss, method="bounded", bounds=bounds).x)

    return float(np.exp((best(log_loss) + best(brier_score)) / 2))


def temperatures(labels: Labels, probabilities: Probabilities) -> NDArray[np.float32]:
    """Per label of a `multilabel` target its temperature: float32 (labels,).

    A label that is known for no image, or is always there or never, says nothing of how sure to be: it keeps 1.

    Args:
        labels: integer (n, labels): 1 yes, 0 no, UNKNOWN.
        probabilities: float (n, labels), in 0..1.
    """
    found = np.ones(labels.shape[1], dtype=np.float32)
    for column in range(labels.shape[1]):
        yes = np.asarray(probabilities)[:, column].astype(np.float64)
        truth = labels[:, column]
        if (truth == 0).any() and (truth == 1).any():
            found[column] = temperature(truth, np.stack([1 - yes, yes], axis=1))
    return found
