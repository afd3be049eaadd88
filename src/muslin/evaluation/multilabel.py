"""The evaluation of a multilabel target, over its labelled cells: the pairs of image and label whose truth is known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.averages import Averages
from muslin.evaluation.binary import weighted_average_precision
from muslin.evaluation.intervals import (
    Groups,
    Interval,
    bootstrap_weights,
    count_groups,
    percentile_interval,
    rate_with_interval,
    unit_of_each,
)
from muslin.evaluation.multiclass import MAX_CONFIDENT_ERRORS, check_probabilities
from muslin.evaluation.reliability import Reliability, groups_text
from muslin.messages import plain


@dataclass(frozen=True)
class LabelMetrics:
    """Metrics of one label, over the images that are labelled with or without it.

    Attributes:
        name: the label.
        threshold: the minimum probability for predicting it.
        labelled: images whose truth is known; unlabelled: the other images.
        support: labelled images that have it.
        predicted: labelled images it is predicted for.
        correct: those of them that have it.
        precision: correct / predicted; None where predicted is 0.
        recall: correct / support; None where support is 0.
        f1: 2·correct / (predicted + support); None where both are 0.
        average_precision: independent of the threshold; None where support is 0.
        precision_interval, recall_interval: 95 % Wilson intervals; f1_interval, average_precision_interval: 95 %
            bootstrap intervals over images. (0, 1) where the metric is None.
    """

    name: str
    threshold: float
    labelled: int
    unlabelled: int
    support: int
    predicted: int
    correct: int
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    f1: float | None
    f1_interval: Interval
    average_precision: float | None
    average_precision_interval: Interval


@dataclass(frozen=True)
class LabelAverages(Averages):
    """Metrics of all labels, each with its 95 % bootstrap interval over images (`…_interval`).

    `micro` counts every labelled cell alike. `macro` is the mean over labels with support; a label that is never
    predicted has precision 0.
    """

    average_precision: float
    average_precision_interval: Interval


@dataclass(frozen=True)
class ConfidentLabelError:
    """A labelled cell with an incorrect prediction: the image's index and id, the label's index and probability.

    `has_label` is the truth: whether the image has the label.
    """

    index: int
    id: str
    label: int
    has_label: bool
    probability: float


@dataclass(frozen=True)
class MultilabelEvaluation:
    """The metrics of a model with a multilabel target.

    Attributes:
        classes: the labels' names; every label's index points into them.
        n: images with at least one labelled cell, which all metrics are of.
        n_unlabelled: images without a labelled cell.
        cells: labelled cells.
        correct_cells: labelled cells whose prediction is correct.
        unlabelled_fraction: of all cells of all images, in 0..1.
        per_label: the metrics of each label.
        n_groups: groups of images, which the bootstrap draws as a whole; None where all images are independent.
        micro, macro: see LabelAverages.
        log_loss: mean over the labelled cells of -ln(probability of the truth), in nats.
        brier_score: mean over the labelled cells of (probability - truth)², in 0..1.
        confident_errors: the most confident first, at most 50.
        reliability: how far the model can be trusted; None where only labels and probabilities are known.
    """

    classes: tuple[str, ...]
    n: int
    n_unlabelled: int
    cells: int
    correct_cells: int
    unlabelled_fraction: float
    per_label: tuple[LabelMetrics, ...]
    n_groups: int | None
    micro: LabelAverages
    macro: LabelAverages
    log_loss: float
    brier_score: float
    confident_errors: tuple[ConfidentLabelError, ...]
    reliability: Reliability | None = None
    kind: Literal["multilabel"] = "multilabel"

    @property
    def groups_text(self) -> str:
        """What the intervals draw as a whole; empty where all images are independent."""
        return groups_text(self.n_groups, self.reliability)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(plain(asdict(self)))


def evaluate_multilabel(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    thresholds: Sequence[float],
    *,
    ids: Sequence[str] | NDArray[np.object_] | None = None,
    groups: Groups = None,
) -> MultilabelEvaluation:
    """The metrics of multilabel labels and probabilities.

    Args:
        labels: integer (n, classes): 1, 0, or UNKNOWN (-1) for a cell that is left out.
        probabilities: float (n, classes), in 0..1.
        classes: the labels' names, one or more.
        thresholds: per label the minimum probability for predicting it.
        ids: n names of the images; by default their indices.
        groups: (n,): images of one group are not independent; None where all images are.

    Raises:
        DataError: a shape or a value is out of range, or no cell is labelled.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check_multilabel(labels, probabilities, classes, thresholds)
    images = np.flatnonzero((labels != UNKNOWN).any(axis=1))
    truth, probabilities = labels[images], probabilities[images]
    labelled, positive = truth != UNKNOWN, truth == 1
    predicted = (probabilities.astype(np.float64) >= np.asarray(thresholds)) & labelled
    cells = (labelled, ~labelled, positive, predicted, predicted & positive)
    counts = np.array([mask.sum(axis=0) for mask in cells])
    counts[1] += len(labels) - len(images)
    groups = None if groups is None else groups[images]
    n_groups = count_groups(groups)
    units = unit_of_each(None if n_groups is None else groups, len(images))
    samples = bootstrap_weights(n_groups or len(images), int(labelled.sum()))[:, units]
    once = np.ones((1, len(images)), np.float32)
    whole, sampled = (_rates(truth, probabilities, predicted, weights) for weights in (once, samples))
    if n_groups == 1:  # which says nothing of others
        sampled = {name: np.full_like(values, np.nan) for name, values in sampled.items()}
    clipped = np.clip(probabilities[labelled].astype(np.float64), 1e-7, 1 - 1e-7)
    cell_truth = positive[labelled]
    return MultilabelEvaluation(
        classes=tuple(classes),
        n=len(images),
        n_unlabelled=len(labels) - len(images),
        cells=int(labelled.sum()),
        correct_cells=int(((predicted == positive) & labelled).sum()),
        unlabelled_fraction=float((labels == UNKNOWN).mean()),
        per_label=tuple(
            LabelMetrics(
                name,
                float(thresholds[i]),
                *(*row, *rate_with_interval(row[-1], row[-2]), *rate_with_interval(row[-1], row[-3])),
                **_with_intervals(whole, sampled, i, ("f1", "average_precision")),
            )
            for i, (name, row) in enumerate(zip(classes, counts.T.tolist(), strict=True))
        ),
        n_groups=n_groups,
        micro=LabelAverages(**_with_intervals(whole, sampled, -2, list(whole), undefined=0.0)),
        macro=LabelAverages(**_with_intervals(whole, sampled, -1, list(whole), undefined=0.0)),
        log_loss=float(-np.log(np.where(cell_truth, clipped, 1 - clipped)).mean()),
        brier_score=float(np.square(probabilities[labelled] - cell_truth, dtype=np.float64).mean()),
        confident_errors=_find_confident_errors(truth, probabilities, predicted, images, ids),
    )


def _rates(
    truth: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    predicted: NDArray[np.bool_],
    weights: NDArray[np.floating[Any]],
) -> dict[str, NDArray[np.floating[Any]]]:
    """Each metric under each row of image weights: float64 (rows, labels + 2), NaN where it is undefined.

    The last two columns are the micro average, over all labelled cells, and the macro average.
    """
    positive, labelled = truth == 1, truth != UNKNOWN
    sums = [
        (weights @ cells.astype(np.float32)).astype(np.float64) for cells in (predicted & positive, predicted, positive)
    ]
    n_correct, n_predicted, support = (np.column_stack([each, each.sum(axis=1)]) for each in sums)
    average_precision = np.full(support.shape, np.nan)
    has_support = positive.any(axis=0)
    for i in np.flatnonzero(has_support):
        here = labelled[:, i]
        average_precision[:, i] = weighted_average_precision(truth[here, i], probabilities[here, i], weights[:, here])
    images, cell_truth, scores = np.nonzero(labelled)[0], truth[labelled], probabilities[labelled]
    # One row at a time: all samples of all cells together need not fit into memory
    for row, of_images in enumerate(weights):
        average_precision[row, -1] = weighted_average_precision(cell_truth, scores, of_images[images][None])[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = {
            "precision": n_correct / n_predicted,
            "recall": n_correct / support,
            "f1": 2 * n_correct / (n_predicted + support),
            "average_precision": average_precision,
        }
    for name, values in rates.items():
        averaged = values[:, np.flatnonzero(has_support)]
        if name in ("precision", "f1"):  # of a label that is never predicted
            averaged = np.nan_to_num(averaged, nan=0.0)
        macro = np.ma.masked_invalid(averaged).mean(axis=1) if has_support.any() else np.full(len(weights), np.nan)
        rates[name] = np.column_stack([values, np.ma.filled(macro, np.nan)])
    return rates


def _with_intervals(
    whole: dict[str, NDArray[np.floating[Any]]],
    sampled: dict[str, NDArray[np.floating[Any]]],
    column: int,
    names: Sequence[str],
    undefined: float | None = None,
) -> dict[str, Any]:
    values = {name: float(whole[name][0, column]) for name in names}
    intervals: dict[str, Any] = {f"{name}_interval": percentile_interval(sampled[name][:, column]) for name in names}
    return {name: value if np.isfinite(value) else undefined for name, value in values.items()} | intervals


def _find_confident_errors(
    truth: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    predicted: NDArray[np.bool_],
    images: NDArray[np.int64],
    ids: Sequence[str] | NDArray[np.object_] | None,
) -> tuple[ConfidentLabelError, ...]:
    rows, columns = np.nonzero((truth != UNKNOWN) & (predicted != (truth == 1)))
    distances = np.abs(probabilities[rows, columns] - (truth[rows, columns] == 1))
    return tuple(
        ConfidentLabelError(
            index=int(images[rows[i]]),
            id=str(images[rows[i]] if ids is None else ids[images[rows[i]]]),
            label=int(columns[i]),
            has_label=bool(truth[rows[i], columns[i]] == 1),
            probability=float(probabilities[rows[i], columns[i]]),
        )
        for i in np.argsort(-distances, kind="stable")[:MAX_CONFIDENT_ERRORS]
    )


def _check_multilabel(
    labels: NDArray[Any], probabilities: NDArray[Any], classes: Sequence[str], thresholds: Sequence[float]
) -> None:
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.shape[1] != len(classes):
        expected = f"(n, {len(classes)})"
        raise DataError("labels_array", dtype=labels.dtype.name, shape=str(labels.shape), expected=expected)
    check_probabilities(probabilities, labels.shape, classes)
    if len(thresholds) != len(classes):
        raise DataError("threshold_count", found=len(thresholds), expected=len(classes))
    outside = np.argwhere((labels != UNKNOWN) & (labels != 0) & (labels != 1))
    if len(outside):
        row, column = map(int, outside[0])
        found = int(labels[row, column])
        raise DataError("label_value", row=row, class_name=classes[column], found=found, unknown=UNKNOWN)
    if not (labels != UNKNOWN).any():
        raise DataError("no_labels", n=len(labels))
