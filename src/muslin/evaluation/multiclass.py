"""Evaluation: what labels and probabilities say together, as one plain value."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError
from muslin.evaluation.binary import Binary, binary
from muslin.evaluation.intervals import Interval, wilson
from muslin.evaluation.metrics import (
    CalibrationBin,
    Labels,
    Probabilities,
    brier_score,
    calibration_bins,
    confusion_matrix,
    expected_calibration_error,
    log_loss,
)
from muslin.evaluation.thresholds import USUAL, decided

PAIRS_KEPT = 20
EXAMPLES_KEPT = 12
MISTAKES_KEPT = 50
SUM_TOLERANCE = 1e-3  # float32 sums of some hundred classes are within 1e-5; half precision within 1e-3


@dataclass(frozen=True)
class ClassFigures:
    """One class: of its images how many were found (recall), of those called so how many are (precision).

    Attributes:
        name: the class.
        support: images that are of this class.
        predicted: images that were called so.
        right: images that are and were.
        precision: right / predicted, in 0..1; None where nothing was called so.
        recall: right / support, in 0..1; None where there was no such image.
        f1: 2·right / (predicted + support), in 0..1; None where both are 0.
        precision_interval, recall_interval: 95 % Wilson intervals; (0, 1) where there is nothing to go by.
    """

    name: str
    support: int
    predicted: int
    right: int
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    f1: float | None


@dataclass(frozen=True)
class Averages:
    """Means of the classes' figures over those that have images; a class never called has precision 0."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ConfusedPair:
    """Images of class `true` that were called `predicted` (both indices): how many, the surest first.

    `share` is of all images of class `true`; `examples` are indices into the arrays that were evaluated.
    """

    true: int
    predicted: int
    count: int
    share: float
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Mistake:
    """One wrong answer: which image, its true and its predicted class (indices), how sure it was.

    `probability` is what the model gave the predicted class, `probability_of_true` what it gave the true one.
    """

    index: int
    id: str
    true: int
    predicted: int
    probability: float
    probability_of_true: float


@dataclass(frozen=True)
class Evaluation:
    """What the labels and probabilities of `n` images say; every share comes with its 95 % interval.

    Attributes:
        classes: the names; every class index below points into them.
        n: images whose class is known, on which all figures rest.
        n_unknown: images left out because their class is not known.
        right: images whose most probable class is the true one (of equals the first; of two by the threshold).
        accuracy: right / n.
        accuracy_interval: Wilson, 95 %.
        per_class: one ClassFigures a class, in the classes' order.
        macro: every class counts the same.
        weighted: every class counts by its support.
        confusion: (classes, classes) counts; rows are true, columns predicted.
        log_loss, brier_score, expected_calibration_error: see `muslin.evaluation.metrics`.
        calibration: 15 bins of stated against true accuracy.
        confused_pairs: the most frequent confusions first, at most 20.
        mistakes: the surest wrong answers first, at most 50.
        binary: of two classes, how the answers depend on the threshold; None where there are more.
    """

    classes: tuple[str, ...]
    n: int
    n_unknown: int
    right: int
    accuracy: float
    accuracy_interval: Interval
    per_class: tuple[ClassFigures, ...]
    macro: Averages
    weighted: Averages
    confusion: tuple[tuple[int, ...], ...]
    log_loss: float
    brier_score: float
    expected_calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    confused_pairs: tuple[ConfusedPair, ...]
    mistakes: tuple[Mistake, ...]
    binary: Binary | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, for JSON; `from_dict` gives back an equal Evaluation."""
        return {name: _listed(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Evaluation":
        """The Evaluation that `to_dict` wrote.

        Raises:
            DataError: a figure is missing or has another form.
        """
        try:
            return cls(
                **{
                    **values,
                    "classes": tuple(values["classes"]),
                    "accuracy_interval": _interval(values["accuracy_interval"]),
                    "per_class": tuple(
                        ClassFigures(
                            **{
                                **row,
                                "precision_interval": _interval(row["precision_interval"]),
                                "recall_interval": _interval(row["recall_interval"]),
                            }
                        )
                        for row in values["per_class"]
                    ),
                    "macro": Averages(**values["macro"]),
                    "weighted": Averages(**values["weighted"]),
                    "confusion": tuple(map(tuple, values["confusion"])),
                    "calibration": tuple(
                        CalibrationBin(**{**row, "accuracy_interval": _interval(row["accuracy_interval"])})
                        for row in values["calibration"]
                    ),
                    "confused_pairs": tuple(
                        ConfusedPair(**{**row, "examples": tuple(row["examples"])})
                        for row in values["confused_pairs"]
                    ),
                    "mistakes": tuple(Mistake(**row) for row in values["mistakes"]),
                    "binary": Binary.from_dict(values["binary"]) if values.get("binary") else None,
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"not an evaluation as muslin writes it ({error}). Evaluate the model again."
            ) from error


def evaluate(
    labels: Labels,
    probabilities: Probabilities,
    classes: Sequence[str],
    *,
    ids: Sequence[str] | NDArray[np.object_] | None = None,
    threshold: float = USUAL,
) -> Evaluation:
    """Everything that labels and probabilities say together.

    Args:
        labels: integer (n,): the true class's index, or UNKNOWN (-1) for an image that is left out.
        probabilities: float (n, classes), in 0..1, each row summing to 1 within 0.001.
        classes: the names, two or more.
        ids: n names of the images, for the list of mistakes; their indices where there are none.
        threshold: of two classes, from which probability on the second is the answer.

    Raises:
        DataError: a shape, a label or a probability is out of its range (the first such row is named), or no
            image has a known class.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check(labels, probabilities, classes, ids)
    known = np.flatnonzero(labels != UNKNOWN)
    true, raw_probabilities = labels[known].astype(np.int64), probabilities[known]
    predicted = decided(Target("", tuple(classes)), raw_probabilities, (threshold,))
    confusion = confusion_matrix(true, predicted, len(classes))
    per_class = tuple(_class_figures(name, i, confusion) for i, name in enumerate(classes))
    right = int(confusion.trace())
    bins = calibration_bins(true, raw_probabilities)
    two = len(classes) == 2
    wrong = np.flatnonzero(predicted != true)
    surest_first = wrong[np.argsort(-raw_probabilities[wrong, predicted[wrong]], kind="stable")]
    return Evaluation(
        classes=tuple(classes),
        n=len(known),
        n_unknown=len(labels) - len(known),
        right=right,
        accuracy=right / len(known),
        accuracy_interval=wilson(right, len(known)),
        per_class=per_class,
        macro=_averages(per_class, [1 for _ in per_class]),
        weighted=_averages(per_class, [figures.support for figures in per_class]),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        log_loss=log_loss(true, raw_probabilities),
        brier_score=brier_score(true, raw_probabilities),
        expected_calibration_error=expected_calibration_error(bins),
        calibration=bins,
        confused_pairs=_confused_pairs(confusion, true, predicted, surest_first, known),
        mistakes=tuple(
            Mistake(
                index=int(known[i]),
                id=str(known[i] if ids is None else ids[known[i]]),
                true=int(true[i]),
                predicted=int(predicted[i]),
                probability=float(raw_probabilities[i, predicted[i]]),
                probability_of_true=float(raw_probabilities[i, true[i]]),
            )
            for i in surest_first[:MISTAKES_KEPT]
        ),
        binary=binary(true, raw_probabilities, classes, threshold) if two else None,
    )


def _check(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    ids: Sequence[str] | NDArray[np.object_] | None,
) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels are {labels.dtype} {labels.shape}; expected one class index per image: int64 (n,)."
        )
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} class; a classifier chooses between two or more. Give all its classes."
        )
    if probabilities.shape != (len(labels), len(classes)) or probabilities.dtype.kind != "f":
        raise DataError(
            f"probabilities are {probabilities.dtype} {probabilities.shape}; "
            f"expected float ({len(labels)}, {len(classes)}): a row per label, a column per class."
        )
    if ids is not None and len(ids) != len(labels):
        raise DataError(f"{len(ids)} ids for {len(labels)} labels. Give one id per image.")
    outside = np.flatnonzero((labels != UNKNOWN) & ((labels < 0) | (labels >= len(classes))))
    if len(outside):
        raise DataError(
            f"label {labels[outside[0]]} of image {outside[0]} is no class; "
            f"expected 0 to {len(classes) - 1}, or {UNKNOWN} for unknown."
        )
    beyond = np.argwhere(~((probabilities >= 0) & (probabilities <= 1)))  # so written that NaN is caught too
    if len(beyond):
        row, column = beyond[0]
        raise DataError(
            f"row {row} of the probabilities has {probabilities[row, column]:g} for {classes[column]!r}; "
            "expected 0 to 1. Turn scores into probabilities first, for example by softmax."
        )
    sums = probabilities.sum(axis=1, dtype=np.float64)
    uneven = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if len(uneven):
        raise DataError(
            f"row {uneven[0]} of the probabilities sums to {sums[uneven[0]]:.4g}; expected 1. "
            "Divide each row by its sum."
        )
    if not (labels != UNKNOWN).any():
        raise DataError(f"none of {len(labels)} images has a known class, so there is nothing to measure.")


def _class_figures(name: str, index: int, confusion: NDArray[np.int64]) -> ClassFigures:
    right = int(confusion[index, index])
    support, predicted = int(confusion[index].sum()), int(confusion[:, index].sum())
    return ClassFigures(
        name=name,
        support=support,
        predicted=predicted,
        right=right,
        precision=right / predicted if predicted else None,
        precision_interval=wilson(right, predicted),
        recall=right / support if support else None,
        recall_interval=wilson(right, support),
        f1=2 * right / (support + predicted) if support + predicted else None,
    )


def _averages(per_class: Sequence[ClassFigures], weights: Sequence[int]) -> Averages:
    rows = [(figures, weight) for figures, weight in zip(per_class, weights, strict=True) if figures.support]
    total = sum(weight for _, weight in rows)
    return Averages(
        precision=sum(weight * (figures.precision or 0.0) for figures, weight in rows) / total,
        recall=sum(weight * (figures.recall or 0.0) for figures, weight in rows) / total,
        f1=sum(weight * (figures.f1 or 0.0) for figures, weight in rows) / total,
    )


def _confused_pairs(
    confusion: NDArray[np.int64],
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    surest_first: NDArray[np.int64],
    known: NDArray[np.int64],
) -> tuple[ConfusedPair, ...]:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    n_classes = len(confusion)
    most_first = np.argsort(-wrong.ravel(), kind="stable")[:PAIRS_KEPT]
    pairs = []
    for row, column in (divmod(int(place), n_classes) for place in most_first if wrong.ravel()[place]):
        theirs = surest_first[(true[surest_first] == row) & (predicted[surest_first] == column)]
        pairs.append(
            ConfusedPair(
                true=row,
                predicted=column,
                count=int(wrong[row, column]),
                share=float(wrong[row, column] / confusion[row].sum()),
                examples=tuple(int(known[i]) for i in theirs[:EXAMPLES_KEPT]),
            )
        )
    return tuple(pairs)


def _interval(ends: Sequence[float]) -> Interval:
    low, high = ends
    return low, high


def _listed(value: Any) -> Any:
    """`value` with every tuple as a list, so that it equals itself read back from JSON."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple | list) else value
