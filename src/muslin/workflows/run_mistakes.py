"""The mistakes of a run: its confusion matrix cell by cell, the images of a cell, slices, and training images near one.

Everything follows from `RunPredictions`, so nothing is predicted here.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError
from muslin.evaluation.compare import Comparison, compare_predictions
from muslin.evaluation.intervals import mean_with_interval
from muslin.evaluation.metrics import confusion_matrix
from muslin.evaluation.multiclass import ClassMetrics, class_metrics
from muslin.evaluation.ood import normalize_rows
from muslin.evaluation.reliability import SliceMetrics, slice_metrics
from muslin.evaluation.selective import DECISIONS
from muslin.workflows.run_predictions import RunPredictions

Indices = NDArray[np.int64]

OUTCOMES = ("all", "errors", "correct", "missed", "extra", "found")
"""Which images are wanted: of all those selected, or those predicted incorrectly or correctly; and for a label of a
multilabel target those that have it without its being predicted, are predicted to have it and do not, or both."""

OF_A_LABEL = OUTCOMES[3:]

SORTS = ("confidence", "doubt", "loss", "order")
"""Most confident first, least confident first, highest loss first, or in the data's order."""

CONFIDENCE_BANDS = (0.5, 0.7, 0.9, 0.99)
"""Between the slices by confidence."""

MAX_SLICE_VALUES = 100
"""Values of a column that become slices."""


@dataclass(frozen=True)
class ImageQuery:
    """Which images of a part are wanted, and in which order.

    Attributes:
        label: only images with this label; "" for all.
        predicted: only images predicted as this class; "" for all.
        outcome: one of OUTCOMES.
        decision: only images with this decision; "" for all.
        text: only images whose name contains it, in any case.
        sort: one of SORTS.
    """

    label: str = ""
    predicted: str = ""
    outcome: str = "all"
    decision: str = ""
    text: str = ""
    sort: str = "confidence"


def is_correct(predictions: RunPredictions, target: Target) -> NDArray[np.float64]:
    """1 where a prediction is correct, 0 where not, NaN where there is no label: float64 (n,).

    Of a multilabel target, a prediction is correct where all known labels are.
    """
    labels, predicted = predictions.labels[target.name], predictions.predicted[target.name]
    correct = np.asarray(labels == predicted)
    if target.kind == "multilabel":
        known = (labels != UNKNOWN).any(axis=1)
        correct = (correct | (labels == UNKNOWN)).all(axis=1)
    else:
        known = labels != UNKNOWN
    return np.where(known, correct, np.nan).astype(np.float64)


def confusion(predictions: RunPredictions, target: Target) -> NDArray[np.int64]:
    """The counts of labels and predicted classes: int64 (classes, classes), rows are labels. Of a multiclass target."""
    labels, predicted = predictions.labels[target.name], predictions.predicted[target.name]
    known = labels != UNKNOWN
    return confusion_matrix(labels[known], predicted[known].astype(np.int64), len(target.classes))


def class_rows(predictions: RunPredictions, target: Target) -> tuple[ClassMetrics, ...]:
    """The metrics of each class with their intervals; of a multilabel target those of each label."""
    if target.kind == "multilabel":
        labels, predicted = predictions.labels[target.name], predictions.predicted[target.name]
        known = labels != UNKNOWN
        counts = ((labels == 1), (predicted == 1) & known, (labels == 1) & (predicted == 1))
        support, of_class, correct = (each.sum(axis=0) for each in counts)
    else:
        cells = confusion(predictions, target)
        support, of_class, correct = cells.sum(axis=1), cells.sum(axis=0), cells.diagonal()
    rows = zip(target.classes, support.tolist(), of_class.tolist(), correct.tolist(), strict=True)
    return tuple(class_metrics(*row) for row in rows)


def order_by_similarity(cells: NDArray[np.int64]) -> list[int]:
    """The classes so that those which are mistaken for each other are neighbours.

    By the second eigenvector of the Laplacian of how often two classes are confused; see J. E. Atkins, E. G. Boman and
    B. Hendrickson, A spectral algorithm for seriation, SIAM Journal on Computing 28 (1998).

    Args:
        cells: int64 (classes, classes), as of `confusion`.
    """
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    similarity = (shares + shares.T) / 2 + 1e-6  # so that all classes are connected
    np.fill_diagonal(similarity, 0)
    if len(cells) < 3:
        return list(range(len(cells)))
    vector = np.linalg.eigh(np.diag(similarity.sum(axis=1)) - similarity)[1][:, 1]
    order: list[int] = np.argsort(vector.round(9), kind="stable").tolist()
    return order if order[0] < order[-1] else order[::-1]


def select(predictions: RunPredictions, target: Target, wanted: ImageQuery) -> Indices:
    """The indices of the wanted images in `predictions`, in order: int64 (k,)."""
    chosen = _outcome_mask(predictions, target, wanted)
    label = "" if wanted.outcome in OF_A_LABEL else wanted.label  # whose mask has it already
    for name, of in ((label, predictions.labels), (wanted.predicted, predictions.predicted)):
        if name:
            chosen &= _has_class(of[target.name], target, name)
    if wanted.decision:
        chosen &= predictions.decisions[target.name] == DECISIONS.index(wanted.decision)
    if text := wanted.text.casefold():
        chosen &= np.array([text in str(id_).casefold() for id_ in predictions.ids], bool)
    indices = np.flatnonzero(chosen)
    if wanted.sort == "order":
        return indices
    if wanted.sort == "loss":
        keys = -np.nan_to_num(predictions.loss(target), nan=-1.0)
    else:
        keys = predictions.confidence(target) * (-1 if wanted.sort == "confidence" else 1)
    return np.asarray(indices[np.argsort(keys[indices], kind="stable")])


def _has_class(values: NDArray[np.integer[Any]], target: Target, name: str) -> NDArray[np.bool_]:
    number = target.classes.index(name)
    return np.asarray(values[:, number] == 1 if target.kind == "multilabel" else values == number)


def _outcome_mask(predictions: RunPredictions, target: Target, wanted: ImageQuery) -> NDArray[np.bool_]:
    outcome = wanted.outcome
    if outcome in OF_A_LABEL and wanted.label:
        number = target.classes.index(wanted.label)
        labels, predicted = predictions.labels[target.name], predictions.predicted[target.name]
        if target.kind == "multilabel":
            has, says = labels[:, number] == 1, predicted[:, number] == 1
            lacks = labels[:, number] == 0
        else:
            has, says = labels == number, predicted == number
            lacks = (labels != number) & (labels != UNKNOWN)
        return np.asarray({"missed": has & ~says, "extra": lacks & says, "found": has & says}[outcome])
    correct = is_correct(predictions, target)
    return np.asarray({"errors": correct == 0, "correct": correct == 1}.get(outcome, np.ones(len(correct), bool)))


def slice_columns(
    predictions: RunPredictions, target: Target, columns: Mapping[str, NDArray[np.object_]]
) -> dict[str, NDArray[np.object_]]:
    """What images are sliced by, object (n,) of str per name: the decision, the confidence, and these columns."""
    bands = np.digitize(predictions.confidence(target), CONFIDENCE_BANDS)
    edges = ("0", *map(str, CONFIDENCE_BANDS), "1")
    names = np.array([f"{low}–{high}" for low, high in itertools.pairwise(edges)], object)
    decisions = np.array(DECISIONS, object)[predictions.decisions[target.name]]
    return {"decision": decisions, "confidence": names[bands], **columns}


def slices(
    predictions: RunPredictions, target: Target, columns: Mapping[str, NDArray[np.object_]]
) -> dict[str, tuple[SliceMetrics, ...]]:
    """The metrics of the slices of each column with 2 to MAX_SLICE_VALUES values: the weak slices first.

    Args:
        columns: object (n,) of str per name; "" for no value.
    """
    correct, found = is_correct(predictions, target), dict[str, tuple[SliceMetrics, ...]]()
    for name, values in columns.items():
        counted = np.isfinite(correct) & (values.astype(str) != "")
        if 2 <= len(set(values[counted].tolist())) <= MAX_SLICE_VALUES:
            found[name] = slice_metrics(correct, values.astype(str), predictions.clusters)
    return found


def accuracy(predictions: RunPredictions, target: Target) -> dict[str, Any]:
    """`correct` of `n` labelled images, the `accuracy` and its 95 % `interval`."""
    correct = is_correct(predictions, target)
    share, interval = mean_with_interval(correct, predictions.clusters)
    n = int(np.isfinite(correct).sum())
    return {"n": n, "correct": int(np.nansum(correct)), "accuracy": share, "interval": list(interval)}


def nearest(
    image: NDArray[np.float16], others: RunPredictions, chosen: NDArray[np.bool_], count: int
) -> list[tuple[int, float]]:
    """The images among `others` that are most similar to one: their indices, and cosines from -1 to 1.

    The cosines are of the vectors less the mean of the others', which all images have in common.

    Args:
        image: float16 (128,), a vector as of `RunPredictions.vectors`.
        chosen: bool (n,): the images that may be found.
    """
    if others.vectors is None or not chosen.any():
        return []
    indices = np.flatnonzero(chosen)
    mean = others.vectors.mean(axis=0, dtype=np.float32)
    [wanted] = normalize_rows(image.astype(np.float32)[None] - mean)
    cosines = normalize_rows(others.vectors[indices].astype(np.float32) - mean) @ wanted
    best = np.argsort(-cosines, kind="stable")[:count]
    return [(int(indices[i]), float(cosines[i])) for i in best]


def has_other_label(predictions: RunPredictions, target: Target, labels: Any) -> NDArray[np.bool_]:
    """bool (n,): the images with a known label that is not `labels`, an image's label or labels."""
    own = predictions.labels[target.name]
    if target.kind == "multilabel":
        known = (own != UNKNOWN) & (np.asarray(labels) != UNKNOWN)
        return np.asarray(((own != labels) & known).any(axis=1))
    return np.asarray((own != labels) & (own != UNKNOWN))


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """The images that two runs predicted, and both predictions of one target in the first one's classes.

    Attributes:
        places: int64 (k,): of each common image in the first predictions.
        other_places: int64 (k,): in the second predictions.
        labels: the first run's, int64 (k,) or int8 (k, classes).
        predicted, other_predicted: of the same shape; a class that the first target lacks is the number of its classes.
        clusters: (k,), as of RunPredictions.
    """

    target: Target
    places: Indices
    other_places: Indices
    labels: NDArray[np.integer[Any]]
    predicted: NDArray[np.integer[Any]]
    other_predicted: NDArray[np.integer[Any]]
    clusters: NDArray[np.int64] | None

    def compare(self) -> Comparison:
        """Which run is more often correct, and whether it could be chance.

        Raises:
            DataError: no image is labelled.
        """
        classes, clusters = self.target.classes, self.clusters
        return compare_predictions(self.labels, self.predicted, self.other_predicted, classes, clusters)


def pair(predictions: RunPredictions, other: RunPredictions, target: Target) -> PairedPredictions:
    """The images, known by their names, that both runs predicted.

    Raises:
        DataError: there is none, or the other run has no such target.
    """
    of_other = next((t for t in other.targets if (t.name, t.kind) == (target.name, target.kind)), None)
    if of_other is None or (target.kind == "multilabel" and of_other.classes != target.classes):
        raise DataError("no_common_target")
    by_id = {str(id_): place for place, id_ in enumerate(other.ids)}
    both = [(place, by_id[str(id_)]) for place, id_ in enumerate(predictions.ids) if str(id_) in by_id]
    if not both:
        raise DataError("no_common_image", path=predictions.part)
    places, other_places = np.array(both, np.int64).T
    predicted_by_other = other.predicted[target.name][other_places]
    if of_other.classes != target.classes:
        numbers = {name: number for number, name in enumerate(target.classes)}
        predicted_by_other = np.array([numbers.get(name, len(numbers)) for name in of_other.classes])[
            predicted_by_other
        ]
    return PairedPredictions(
        target,
        places,
        other_places,
        predictions.labels[target.name][places],
        predictions.predicted[target.name][places],
        predicted_by_other,
        None if predictions.clusters is None else predictions.clusters[places],
    )
