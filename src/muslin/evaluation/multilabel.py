"""The evaluation of a multilabel target, over its labelled cells: the pairs of image and label whose truth is known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.curves import (
    bootstrap_weights,
    percentile_interval,
    weighted_average_precision,
    with_bootstrap_interval,
)
from muslin.evaluation.intervals import Interval, wilson_interval
from muslin.evaluation.multiclass import MAX_CONFIDENT_ERRORS, check_probabilities
from muslin.evaluation.reliability import Reliability


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
class LabelAverages:
    """Metrics of all labels, each with its 95 % bootstrap interval over images (`…_interval`).

    `micro` counts every labelled cell alike. `macro` is the mean over labels with support; a label that is never
    predicted has precision 0.
    """

    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    f1: float
    f1_interval: Interval
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
    micro: LabelAverages
    macro: LabelAverages
    log_loss: float
    brier_score: float
    confident_errors: tuple[ConfidentLabelError, ...]
    reliability: Reliability | None = None
    kind: Literal["multilabel"] = "multilabel"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def evaluate_multilabel(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    thresholds: Sequence[float],
    *,
    ids: Sequence[str] | NDArray[np.object_] | None = None,
) -> MultilabelEvaluation:
    """The metrics of multilabel labels and probabilities.

    Args:
        labels: integer (n, classes): 1, 0, or UNKNOWN (-1) for a cell that is left out.
        probabilities: float (n, classes), in 0..1.
        classes: the labels' names, one or more.
        thresholds: per label the minimum probability for predicting it.
        ids: n names of the images; by default their indices.

    Raises:
        DataError: a shape or a value is out of range, or no cell is labelled.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check_multilabel(labels, probabilities, classes, thresholds)
    images = np.flatnonzero((labels != UNKNOWN).any(axis=1))
    truth, probabilities = labels[images], probabilities[images]
    labelled = truth != UNKNOWN
    positive = truth == 1
    predicted = (probabilities.astype(np.float64) >= np.asarray(thresholds)) & labelled
    samples = bootstrap_weights(len(images), int(labelled.sum()))
    counts = _Counts(samples, predicted, positive)
    f1_samples = counts.f1()

    per_label, label_samples = [], []
    for i, name in enumerate(classes):
        here = labelled[:, i]
        average_precision, sampled = _average_precision(
            truth[here, i], probabilities[here, i], samples[:, here]
        )
        label_samples.append(sampled)
        support, n_predicted = int(positive[:, i].sum()), int(predicted[:, i].sum())
        correct = int((predicted & positive)[:, i].sum())
        per_label.append(
            LabelMetrics(
                name=name,
                threshold=float(thresholds[i]),
                labelled=int(here.sum()),
                unlabelled=int(len(labels) - here.sum()),
                support=support,
                predicted=n_predicted,
                correct=correct,
                precision=correct / n_predicted if n_predicted else None,
                precision_interval=wilson_interval(correct, n_predicted),
                recall=correct / support if support else None,
                recall_interval=wilson_interval(correct, support),
                f1=2 * correct / (n_predicted + support) if n_predicted + support else None,
                f1_interval=percentile_interval(f1_samples[:, i]),
                average_precision=average_precision,
                average_precision_interval=percentile_interval(sampled),
            )
        )
    clipped = np.clip(probabilities[labelled].astype(np.float64), 1e-7, 1 - 1e-7)
    cell_truth = positive[labelled]
    return MultilabelEvaluation(
        classes=tuple(classes),
        n=len(images),
        n_unlabelled=len(labels) - len(images),
        cells=int(labelled.sum()),
        correct_cells=int(((predicted == positive) & labelled).sum()),
        unlabelled_fraction=float((labels == UNKNOWN).mean()),
        per_label=tuple(per_label),
        micro=_micro(truth, probabilities, predicted, samples, counts),
        macro=_macro(per_label, np.array(label_samples), counts),
        log_loss=float(-np.log(np.where(cell_truth, clipped, 1 - clipped)).mean()),
        brier_score=float(np.square(probabilities[labelled] - cell_truth, dtype=np.float64).mean()),
        confident_errors=_confident_errors(truth, probabilities, predicted, images, ids),
    )


class _Counts:
    """Weighted counts per bootstrap sample and label, float64 (samples, labels), and the rates made of them."""

    def __init__(
        self, samples: NDArray[np.floating[Any]], predicted: NDArray[np.bool_], positive: NDArray[np.bool_]
    ) -> None:
        self.correct, self.predicted, self.support = (
            (samples @ cells.astype(np.float32)).astype(np.float64)
            for cells in (predicted & positive, predicted, positive)
        )

    def precision(self) -> NDArray[np.float64]:
        return _ratio(self.correct, self.predicted)

    def recall(self) -> NDArray[np.float64]:
        return _ratio(self.correct, self.support)

    def f1(self) -> NDArray[np.float64]:
        return _ratio(2 * self.correct, self.predicted + self.support)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where `whole` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: NDArray[np.float64] = part / whole
    return ratio


def _average_precision(
    truth: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], samples: NDArray[np.floating[Any]]
) -> tuple[float | None, NDArray[np.floating[Any]]]:
    """The average precision of all images, and of each bootstrap sample; None and NaN where it is undefined."""
    value, _ = with_bootstrap_interval(weighted_average_precision, truth, scores, samples[:1])
    if value is None:
        return None, np.full(len(samples), np.nan)
    return value, weighted_average_precision(truth, scores, samples)


def _micro(
    truth: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    predicted: NDArray[np.bool_],
    samples: NDArray[np.floating[Any]],
    counts: _Counts,
) -> LabelAverages:
    labelled, positive = truth != UNKNOWN, truth == 1
    correct, n_predicted, support = (
        int((predicted & positive).sum()),
        int(predicted.sum()),
        int(positive.sum()),
    )
    images = np.nonzero(labelled)[0]
    # One sample at a time: all samples of all cells together need not fit into memory
    sampled = np.array(
        [
            weighted_average_precision(truth[labelled], probabilities[labelled], sample[images][None])[0]
            for sample in samples
        ]
    )
    average_precision, _ = _average_precision(truth[labelled], probabilities[labelled], samples[:1, images])
    n_correct, all_predicted, all_support = (
        array.sum(axis=1) for array in (counts.correct, counts.predicted, counts.support)
    )
    return LabelAverages(
        precision=correct / n_predicted if n_predicted else 0.0,
        precision_interval=percentile_interval(_ratio(n_correct, all_predicted)),
        recall=correct / support if support else 0.0,
        recall_interval=percentile_interval(_ratio(n_correct, all_support)),
        f1=2 * correct / (n_predicted + support) if n_predicted + support else 0.0,
        f1_interval=percentile_interval(_ratio(2 * n_correct, all_predicted + all_support)),
        average_precision=average_precision or 0.0,
        average_precision_interval=percentile_interval(sampled),
    )


def _macro(
    per_label: Sequence[LabelMetrics], average_precisions: NDArray[np.floating[Any]], counts: _Counts
) -> LabelAverages:
    """`average_precisions` is (labels, samples)."""
    with_support = [i for i, metrics in enumerate(per_label) if metrics.support]
    rows = [per_label[i] for i in with_support]

    def mean(values: Sequence[float | None]) -> float:
        return sum(value or 0.0 for value in values) / len(values) if values else 0.0

    def interval(rates: NDArray[np.floating[Any]], undefined: float | None = None) -> Interval:
        """Of the mean over labels; undefined rates count as `undefined`, or are left out."""
        if not with_support:
            return 0.0, 1.0
        rates = rates[:, with_support]
        if undefined is not None:
            return percentile_interval(np.nan_to_num(rates, nan=undefined).mean(axis=1))
        return percentile_interval(np.ma.filled(np.ma.masked_invalid(rates).mean(axis=1), np.nan))

    return LabelAverages(
        precision=mean([row.precision for row in rows]),
        precision_interval=interval(counts.precision(), undefined=0.0),
        recall=mean([row.recall for row in rows]),
        recall_interval=interval(counts.recall()),
        f1=mean([row.f1 for row in rows]),
        f1_interval=interval(counts.f1(), undefined=0.0),
        average_precision=mean([row.average_precision for row in rows]),
        average_precision_interval=interval(average_precisions.T),
    )


def _confident_errors(
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
