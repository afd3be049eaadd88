"""Means of the metrics of classes, with their intervals, from a confusion matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.effective_size import effective_size_of_average
from muslin.evaluation.intervals import Interval, wilson_interval


@dataclass(frozen=True)
class Averages:
    """Metrics of all classes together; a class that is never predicted has precision 0.

    Attributes:
        precision, recall, f1: in 0..1.
        precision_interval, recall_interval, f1_interval: 95 %, see what computes them: `class_averages`, or
            `muslin.evaluation.multilabel`.
    """

    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    f1: float
    f1_interval: Interval


def class_averages(confusion: NDArray[np.int64]) -> tuple[Averages, Averages]:
    """The macro and the weighted averages of a confusion matrix, int64 (classes, classes), of at least one image.

    In the macro average each class with images counts the same, in the weighted one by its images. An interval is the
    Wilson interval of an effective number of images, which has the variance of the average (E. L. Korn and
    B. I. Graubard, Survey Methodology 24, 1998). The variance is that of the delta method (K. Takahashi et al.,
    Confidence interval for micro-averaged F1 and macro-averaged F1 scores, Applied Intelligence 52, 2022), but at least
    that of classes that all have the average as their rate: few images of a class, all correct, prove little.
    Of 500 test sets of eleven simulated classifiers with 2 to 50 classes, the intervals of macro averages held the true
    one in 91 to 98 %; with 4 images a class, in 89 %.
    """
    n, supports, predicted = int(confusion.sum()), confusion.sum(axis=1), confusion.sum(axis=0)
    cells = true, other = np.nonzero(confusion)
    counts, is_correct = confusion[cells].astype(np.float64), true == other
    correct = confusion.diagonal().astype(np.float64)
    # Each metric as a rate per class: its numerators and denominators, and whether an image counts for the class that
    # is true and for the one that is predicted
    metrics = {
        "precision": (correct, predicted, 0, 1),
        "recall": (correct, supports, 1, 0),
        "f1": (2 * correct, supports + predicted, 1, 1),
    }
    macro: dict[str, tuple[float, Interval]] = {}
    weighted: dict[str, tuple[float, Interval]] = {}
    has_images = supports > 0
    for name, (numerators, denominators, for_true, for_predicted) in metrics.items():
        per_image = 1 / np.maximum(denominators, 1)
        rates = numerators * per_image
        of_true = for_true * (is_correct - rates[true]) * per_image[true]  # what one more image adds to the rate
        of_predicted = for_predicted * (is_correct - rates[other]) * per_image[other]
        for averages, weights, extra in ((macro, has_images / has_images.sum(), 0.0), (weighted, supports / n, 1 / n)):
            mean = min(float(weights @ rates), 1.0)
            change = weights[true] * of_true + weights[other] * of_predicted + extra * (rates[true] - mean)
            per_rate = per_image * (for_true + for_predicted)  # an F1 counts an image twice
            variance = float(counts @ np.square(change))
            effective = effective_size_of_average(mean, variance, weights, per_rate)
            averages[name] = mean, wilson_interval(mean * effective, effective)
    return _of(macro), _of(weighted)


def _of(values: dict[str, tuple[float, Interval]]) -> Averages:
    precision, recall, f1 = (values[name] for name in ("precision", "recall", "f1"))
    return Averages(*precision, *recall, *f1)
