"""The evaluation of a target with one class per image."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError
from muslin.evaluation.averages import Averages, class_averages
from muslin.evaluation.binary import BinaryMetrics, binary_metrics
from muslin.evaluation.intervals import (
    Groups,
    Interval,
    count_groups,
    f1_with_interval,
    mean_with_interval,
    rate_with_interval,
    wilson_interval,
)
from muslin.evaluation.metrics import CalibrationBin, Labels, Probabilities, calibration_metrics, confusion_matrix
from muslin.evaluation.reliability import Reliability, groups_text
from muslin.evaluation.thresholds import DEFAULT_THRESHOLD, predict_classes
from muslin.messages import plain

MAX_PAIRS = 20
MAX_PAIR_EXAMPLES = 12
MAX_CONFIDENT_ERRORS = 50
MAX_CONFUSION_CLASSES = 500
"""Classes up to which JSON holds the confusion matrix, whose cells are the square of their number."""
SUM_TOLERANCE = 1e-3  # float32 sums of some hundred classes are within 1e-5; half precision within 1e-3


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class.

    Attributes:
        name: the class.
        support: images of this class.
        predicted: images predicted as this class.
        correct: images of this class that are predicted so.
        precision: correct / predicted, in 0..1; None where predicted is 0.
        recall: correct / support, in 0..1; None where support is 0.
        f1: 2·correct / (predicted + support), in 0..1; None where both are 0.
        precision_interval, recall_interval: 95 % Wilson intervals; (0, 1) where the rate is None.
        f1_interval: 95 %, see `muslin.evaluation.intervals.f1_with_interval`.
    """

    name: str
    support: int
    predicted: int
    correct: int
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    f1: float | None
    f1_interval: Interval


@dataclass(frozen=True)
class ConfusedPair:
    """Images of class `true` that are predicted as class `predicted` (both are indices).

    Attributes:
        count: how many.
        support: all images of class `true`.
        fraction: count / support.
        fraction_interval: 95 % Wilson interval. It does not allow for these pairs being the most frequent of many.
        examples: indices into the evaluated arrays, the most confident first, at most 12.
    """

    true: int
    predicted: int
    count: int
    support: int
    fraction: float
    fraction_interval: Interval
    examples: tuple[int, ...]


@dataclass(frozen=True)
class ConfidentError:
    """One incorrect prediction.

    Attributes:
        index, id: the image.
        true, predicted: class indices.
        probability: of the predicted class.
        probability_of_true: of the true class.
    """

    index: int
    id: str
    true: int
    predicted: int
    probability: float
    probability_of_true: float


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on `n` labelled images.

    Attributes:
        classes: the names; every class index points into them.
        n: labelled images, which all metrics are of.
        n_unlabelled: images left out because their class is not known.
        correct: images whose most probable class is the true one (of two classes, by the threshold).
        accuracy: correct / n.
        accuracy_interval: 95 %, see `muslin.evaluation.intervals.mean_with_interval`: of whole groups, where there are
            some. The intervals of classes, pairs and means take each image for independent.
        n_groups: groups of images; None where all images are independent.
        per_class: the metrics of each class, in the classes' order.
        majority: images of the most frequent class; always predicting it is correct for this many.
        macro: means in which every class counts the same.
        weighted: means in which a class counts by its support.
        confusion: (classes, classes) counts; rows are true, columns predicted.
        log_loss, brier_score, expected_calibration_error: see `muslin.evaluation.metrics`.
        calibration_bins: confidence against accuracy, in 15 bins.
        confused_pairs: the most frequent first, at most 20.
        confident_errors: the most confident first, at most 50.
        binary: of two classes, the metrics over all thresholds; None for more classes.
        reliability: how far the model can be trusted; None where only labels and probabilities are known.
    """

    classes: tuple[str, ...]
    n: int
    n_unlabelled: int
    correct: int
    accuracy: float
    accuracy_interval: Interval
    n_groups: int | None
    per_class: tuple[ClassMetrics, ...]
    majority: int
    macro: Averages
    weighted: Averages
    confusion: tuple[tuple[int, ...], ...]
    log_loss: float
    brier_score: float
    expected_calibration_error: float
    calibration_bins: tuple[CalibrationBin, ...]
    confused_pairs: tuple[ConfusedPair, ...]
    confident_errors: tuple[ConfidentError, ...]
    binary: BinaryMetrics | None = None
    reliability: Reliability | None = None

    @property
    def groups_text(self) -> str:
        """What the intervals draw as a whole; empty where all images are independent."""
        return groups_text(self.n_groups, self.reliability)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `confusion` is None for more than MAX_CONFUSION_CLASSES classes."""
        if len(self.classes) > MAX_CONFUSION_CLASSES:
            return dict(plain(asdict(replace(self, confusion=())))) | {"confusion": None}
        return dict(plain(asdict(self)))


def evaluate_multiclass(
    labels: Labels,
    probabilities: Probabilities,
    classes: Sequence[str],
    *,
    ids: Sequence[str] | NDArray[np.object_] | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    groups: Groups = None,
) -> Evaluation:
    """The metrics of labels and probabilities.

    Args:
        labels: integer (n,): the true class's index, or UNKNOWN (-1) for an image that is left out.
        probabilities: float (n, classes), in 0..1, each row summing to 1 within 0.001.
        classes: the names, two or more.
        ids: n names of the images; by default their indices.
        threshold: of two classes, the minimum probability for predicting the second.
        groups: (n,): images of one group are not independent; None where all images are.

    Raises:
        DataError: a shape, a label or a probability is out of range, or no image is labelled.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check_multiclass(labels, probabilities, classes, ids)
    labelled = np.flatnonzero(labels != UNKNOWN)
    true, probabilities = labels[labelled].astype(np.int64), probabilities[labelled]
    predicted = predict_classes(Target("", tuple(classes)), probabilities, (threshold,))
    confusion = confusion_matrix(true, predicted, len(classes))
    counts = zip(classes, *_counts_of_classes(confusion), strict=True)
    per_class = tuple(class_metrics(*row) for row in counts)
    correct = int(confusion.trace())
    groups = None if groups is None else groups[labelled]
    n_groups = count_groups(groups)
    groups = None if n_groups is None else groups  # groups of one image are independent images
    _, interval = mean_with_interval((predicted == true).astype(np.float64), groups)
    macro, weighted = class_averages(confusion)
    calibration = calibration_metrics(true, probabilities)
    errors = np.flatnonzero(predicted != true)
    errors = errors[np.argsort(-probabilities[errors, predicted[errors]], kind="stable")]
    return Evaluation(
        classes=tuple(classes),
        n=len(labelled),
        n_unlabelled=len(labels) - len(labelled),
        correct=correct,
        accuracy=correct / len(labelled),
        accuracy_interval=interval,
        n_groups=n_groups,
        per_class=per_class,
        majority=max(row.support for row in per_class),
        macro=macro,
        weighted=weighted,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        log_loss=calibration.log_loss,
        brier_score=calibration.brier_score,
        expected_calibration_error=calibration.expected_calibration_error,
        calibration_bins=calibration.bins,
        confused_pairs=_confused_pairs(confusion, true, predicted, errors, labelled),
        confident_errors=tuple(
            _confident_error(i, true, predicted, probabilities, labelled, ids) for i in errors[:MAX_CONFIDENT_ERRORS]
        ),
        binary=binary_metrics(true, probabilities, classes, threshold, groups) if len(classes) == 2 else None,
    )


def _check_multiclass(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    ids: Sequence[str] | NDArray[np.object_] | None,
) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError("labels_array", dtype=labels.dtype.name, shape=str(labels.shape), expected="(n,)")
    if len(classes) < 2:
        raise DataError("class_count", found=len(classes))
    expected = (len(labels), len(classes))
    check_probabilities(probabilities, expected, classes)
    if ids is not None and len(ids) != len(labels):
        raise DataError("id_count", found=len(ids), expected=len(labels))
    outside = np.flatnonzero((labels != UNKNOWN) & ((labels < 0) | (labels >= len(classes))))
    if len(outside):
        row = int(outside[0])
        raise DataError("class_index", row=row, found=int(labels[row]), last=len(classes) - 1, unknown=UNKNOWN)
    sums = probabilities.sum(axis=1, dtype=np.float64)
    uneven = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(uneven):
        raise DataError("probability_sum", row=int(uneven[0]), found=float(sums[uneven[0]]))
    if not (labels != UNKNOWN).any():
        raise DataError("no_labels", n=len(labels))


def check_probabilities(probabilities: NDArray[Any], shape: tuple[int, int], classes: Sequence[str]) -> None:
    """Raises DataError where `probabilities` are not float of this shape and in 0..1."""
    if probabilities.shape != shape or probabilities.dtype.kind != "f":
        raise DataError(
            "probabilities_array", dtype=probabilities.dtype.name, shape=str(probabilities.shape), expected=str(shape)
        )
    outside = np.argwhere(~((probabilities >= 0) & (probabilities <= 1)))  # catches NaN, too
    if len(outside):
        row, column = map(int, outside[0])
        found = float(probabilities[row, column])
        raise DataError("probability_range", row=row, class_name=classes[column], found=found)


def _counts_of_classes(confusion: NDArray[np.int64]) -> tuple[list[int], list[int], list[int]]:
    """Per class its images, those predicted as it, and those of both."""
    return confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist(), confusion.diagonal().tolist()


def class_metrics(name: str, support: int, predicted: int, correct: int) -> ClassMetrics:
    """The metrics of a class from its counts; see ClassMetrics."""
    precision, recall = rate_with_interval(correct, predicted), rate_with_interval(correct, support)
    f1 = f1_with_interval(correct, predicted, support)
    return ClassMetrics(name, support, predicted, correct, *precision, *recall, *f1)


def _confident_error(
    place: int,
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probabilities: Probabilities,
    labelled: NDArray[np.int64],
    ids: Sequence[str] | NDArray[np.object_] | None,
) -> ConfidentError:
    """The error at a place in `true`, `predicted` and `probabilities`, which are those of the images `labelled`."""
    image, of_image, classes = int(labelled[place]), probabilities[place], (int(true[place]), int(predicted[place]))
    id_ = str(image if ids is None else ids[image])
    return ConfidentError(image, id_, *classes, float(of_image[classes[1]]), float(of_image[classes[0]]))


def _confused_pairs(
    confusion: NDArray[np.int64],
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    errors: NDArray[np.int64],
    labelled: NDArray[np.int64],
) -> tuple[ConfusedPair, ...]:
    """The pairs with the most errors first; `errors` are places in `true`, the most confident first."""
    images: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in errors.tolist():
        images[int(true[i]), int(predicted[i])].append(int(labelled[i]))
    most_first = sorted(images, key=lambda pair: (-len(images[pair]), pair))[:MAX_PAIRS]
    supports = confusion.sum(axis=1).tolist()
    pairs = []
    for pair in most_first:
        count, support = len(images[pair]), supports[pair[0]]
        fraction = count / support, wilson_interval(count, support)
        pairs.append(ConfusedPair(*pair, count, support, *fraction, tuple(images[pair][:MAX_PAIR_EXAMPLES])))
    return tuple(pairs)
