"""Selective prediction: which predictions to accept without review, at a precision that the user names.

A model carries `CalibrationData`: the confidence and the correctness of its predictions on calibration images.
`acceptance_policy` finds thresholds from them and a precision target, and `triage` applies the thresholds. Formulas,
proofs and measurements: docs/explanation/selective-prediction.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError, unknown
from muslin.evaluation.calibration import (
    fit_label_temperatures,
    fit_temperature,
    scale_label_probabilities,
    scale_probabilities,
)
from muslin.evaluation.intervals import Groups, Interval, mean_with_interval
from muslin.evaluation.metrics import Labels, Probabilities
from muslin.evaluation.precision_bound import accept_threshold, images_needed, max_precision
from muslin.evaluation.sample_size import expected_size_needed
from muslin.evaluation.thresholds import best_f1_thresholds, default_thresholds, predict_classes
from muslin.messages import Message

DECISIONS = ("accept", "review", "out of scope")
"""What to do with an image; a decision's number is its place here."""
ACCEPT, REVIEW, OUT_OF_SCOPE = range(3)
_BY_ACCEPTED = np.array([REVIEW, ACCEPT], np.uint8)

DEFAULT_PRECISION = 0.98
MIN_PRECISION = 0.5
"""The lowest precision target: a guarantee of less is of no use."""
SET_COVERAGE = 0.90
"""Share of prediction sets that are to hold the true class."""
GUARANTEES = ("overall", "per-class")
Guarantee = Literal["overall", "per-class"]


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """A model's predictions on calibration images: one row per image, the most confident first.

    Attributes:
        temperature: float32 (1,), or (labels,) for a multilabel target; see `muslin.evaluation.calibration`.
        label_thresholds: float64 (k,): the label thresholds of these predictions; k is `thresholds.n_thresholds`.
        confidence: float32 (n,), falling: the calibrated probability of the predicted class; for a multilabel target
            the lowest of the predicted labels.
        predicted: int32 (n,): the predicted class; for a multilabel target one predicted label, drawn at random; -1
            for none.
        correct: bool (n,).
        probability_of_true: float32 (n,): the calibrated probability of the true class; for a multilabel target of
            one true label, drawn at random; NaN where there is none, so that every prediction is incorrect.
        group: int32 (n,): the number of each image's group, 0 or more, whose images are not independent; a number of
            its own for each image where the data have no groups.
    """

    temperature: NDArray[np.float32]
    label_thresholds: NDArray[np.float64]
    confidence: NDArray[np.float32] = field(repr=False)
    predicted: NDArray[np.int32] = field(repr=False)
    correct: NDArray[np.bool_] = field(repr=False)
    probability_of_true: NDArray[np.float32] = field(repr=False)
    group: NDArray[np.int32] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CalibrationData) and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            for a, b in zip(vars(self).values(), vars(other).values(), strict=True)
        )

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def n_groups(self) -> int | None:
        """How many groups the images are in; None where each image is independent."""
        count = int(np.count_nonzero(np.bincount(self.group)))  # np.unique imports numpy.ma, 20 ms of `muslin predict`
        return count if count < len(self) else None

    def with_label_thresholds(self, target: Target, label_thresholds: Sequence[float]) -> "CalibrationData | None":
        """The predictions that other thresholds give: known for two classes, None for a multilabel target.

        Rows that are for review whatever is predicted, with confidence 0, stay as they are.
        """
        if tuple(self.label_thresholds) == tuple(label_thresholds):
            return self
        if len(target.classes) != 2 or target.kind == "multilabel":
            return None
        second = np.where(self.predicted == 1, self.confidence, 1 - self.confidence)
        probabilities = np.stack([1 - second, second], axis=1).astype(np.float32)
        for_review = self.confidence == 0
        predicted = np.where(for_review, self.predicted, predict_classes(target, probabilities, label_thresholds))
        confidence = np.where(for_review, np.float32(0), probabilities[np.arange(len(self)), predicted])
        has_true = ~np.isnan(self.probability_of_true)
        correct = np.where(predicted == self.predicted, self.correct, has_true & ~self.correct)
        rows = (confidence, predicted, correct, self.probability_of_true, self.group)
        return _calibration_data(self.temperature, label_thresholds, *rows)


@dataclass(frozen=True)
class AcceptancePolicy:
    """Which predictions are accepted, and what is guaranteed of them.

    Attributes:
        precision_target: in 0..1.
        guarantee: `overall`: with 95 % confidence, at least `precision_target` of all accepted predictions are
            correct. `per-class`: the same for the accepted predictions of each class.
        accept_thresholds: float (classes,): the minimum confidence for accepting a prediction of the class; infinite
            where none is accepted.
        set_threshold: the minimum probability of a class in the prediction set of an image for review.
        label_thresholds: see `muslin.evaluation.thresholds`.
        n: calibration images that the thresholds rest on.
        accepted, correct: of their predictions those accepted, and the correct ones among these.
        precision_interval, coverage_interval: 95 % intervals of `expected_precision` and `expected_coverage`, of whole
            groups where the images are in groups.
        unsupported: a message for each guarantee that the calibration images do not support.
    """

    precision_target: float
    guarantee: Guarantee
    accept_thresholds: NDArray[np.float64]
    set_threshold: float
    label_thresholds: tuple[float, ...]
    n: int = 0
    accepted: int = 0
    correct: int = 0
    precision_interval: Interval = (0.0, 1.0)
    coverage_interval: Interval = (0.0, 1.0)
    unsupported: tuple[Message, ...] = ()

    @property
    def expected_precision(self) -> float | None:
        """The precision of the accepted predictions on the calibration images; None where none is accepted."""
        return self.correct / self.accepted if self.accepted else None

    @property
    def expected_coverage(self) -> float:
        """The share of the calibration images whose prediction is accepted."""
        return self.accepted / self.n if self.n else 0.0


class Triage(NamedTuple):
    """The predictions and decisions of one target for `n` images, as arrays.

    Attributes:
        probabilities: float (n, classes), calibrated.
        predicted: int64 (n,): the predicted class; for a multilabel target the most probable label.
        confidence: float (n,): its calibrated probability; for a multilabel target the lowest of the predicted
            labels, 0 where none is predicted.
        decisions: uint8 (n,): places in DECISIONS.
        accepted: bool (n,): whether the confidence suffices, also of images out of scope.
        set_threshold: the minimum probability of a class in a prediction set.
        predicted_labels: bool (n, classes): of a multilabel target, all predicted labels; otherwise None.
    """

    probabilities: Probabilities
    predicted: NDArray[np.int64]
    confidence: NDArray[np.floating[Any]]
    decisions: NDArray[np.uint8]
    accepted: NDArray[np.bool_]
    set_threshold: float
    predicted_labels: NDArray[np.bool_] | None

    @property
    def labels(self) -> NDArray[np.bool_]:
        """bool (n, classes): the predicted class, or all predicted labels."""
        if self.predicted_labels is not None:
            return self.predicted_labels
        return np.asarray(np.arange(self.probabilities.shape[1]) == self.predicted[:, np.newaxis])

    @property
    def prediction_sets(self) -> NDArray[np.bool_]:
        """bool (n, classes): the classes to choose from in a review; of an accepted image its `labels`."""
        is_likely = np.asarray(self.probabilities >= self.set_threshold)
        return self.labels | (is_likely & ~self.accepted[:, np.newaxis])


def calibrate_probabilities(
    target: Target, probabilities: NDArray[np.float32], calibration_data: CalibrationData | None
) -> NDArray[np.float32]:
    """A network's probabilities (n, classes), calibrated; unchanged without calibration data."""
    if calibration_data is None:
        return probabilities
    if target.kind == "multilabel":
        return scale_label_probabilities(probabilities, calibration_data.temperature)
    return scale_probabilities(probabilities, float(calibration_data.temperature[0]))


def fit_calibration_data(
    target: Target,
    labels: Labels,
    probabilities: Probabilities,
    groups: NDArray[Any] | Sequence[str] | None = None,
    *,
    label_thresholds: Sequence[float] | None = None,
    for_review: NDArray[np.bool_] | None = None,
    no_class: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> CalibrationData | None:
    """The calibration data that a bundle carries; None where no image is labelled.

    The images must be a random sample of those that the model is for: the guarantee rests on it.

    Args:
        labels: integer (n,), or (n, classes) for a multilabel target, as in a Dataset.
        probabilities: float (n, classes): the network's own, for images that it was not trained on.
        groups: (n,): the group of each image.
        label_thresholds: by default 0.5 of two classes, and of several labels those with the best F1.
        for_review: bool (n,): rows that are for review whatever they predict; their confidence is 0.
        no_class: bool (n,): rows of which every prediction is incorrect; see `Dataset.no_class`.
        seed: of the draws of labels of a multilabel target.
    """
    labels, multilabel = np.asarray(labels), target.kind == "multilabel"
    labelled = (labels != UNKNOWN).any(axis=1) if multilabel else labels != UNKNOWN
    if not labelled.any():
        return None
    rows = np.flatnonzero(labelled if no_class is None else labelled | no_class)
    raw = np.asarray(probabilities)
    if multilabel:
        temperature = fit_label_temperatures(labels, raw)
        calibrated = scale_label_probabilities(raw, temperature)
    else:
        temperature = np.array([fit_temperature(labels, raw)], dtype=np.float32)
        calibrated = scale_probabilities(raw, float(temperature[0]))
    thresholds = default_thresholds([target]).get(target.name, ()) if label_thresholds is None else label_thresholds
    if multilabel and label_thresholds is None:
        thresholds = best_f1_thresholds(labels, calibrated)
    random = np.random.default_rng(seed)
    group = np.arange(len(rows))
    if groups is not None:
        group = np.unique(np.asarray(groups).astype(str)[rows], return_inverse=True)[1]
    calibrated, true = calibrated[rows], labels[rows]
    each = np.arange(len(rows))
    if multilabel:
        positive = calibrated >= np.array(thresholds, np.float64)
        has_true = labelled[rows, np.newaxis]
        predicted = _random_true(positive & ((true != UNKNOWN) | ~has_true), random)
        true_label = _random_true(true == 1, random)
        confidence = _lowest_confidence(calibrated, positive)
        correct = (predicted >= 0) & (true[each, predicted] == 1)
        of_true = np.where(true_label < 0, np.nan, calibrated[each, true_label]).astype(np.float32)
    else:
        predicted = calibrated.argmax(axis=1)
        confidence, correct = calibrated[each, predicted], predicted == true
        of_true = np.where(true == UNKNOWN, np.float32(np.nan), calibrated[each, true])
    if for_review is not None:
        confidence = np.where(for_review[rows], np.float32(0), confidence)
    return _calibration_data(temperature, thresholds, confidence, predicted, correct, of_true, group)


def _calibration_data(
    temperature: NDArray[np.float32], label_thresholds: Sequence[float], confidence: Any, *rows: Any
) -> CalibrationData:
    """From rows in any order."""
    order = np.argsort(-confidence, kind="stable")
    predicted, correct, probability_of_true, group = (row[order] for row in rows)
    return CalibrationData(
        temperature,
        np.array(label_thresholds, np.float64),
        confidence[order],
        predicted.astype(np.int32),
        correct,
        probability_of_true,
        group.astype(np.int32),
    )


def _lowest_confidence(probabilities: Probabilities, labels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Per row the lowest probability of the predicted labels; 0 where none is predicted."""
    lowest = np.where(labels, probabilities, np.inf).min(axis=1)
    return np.where(np.isfinite(lowest), lowest, 0).astype(np.float32)


def _random_true(mask: NDArray[np.bool_], random: "np.random.Generator") -> NDArray[np.int64]:
    """Per row the column of one True, drawn at random; -1 where there is none."""
    drawn = np.where(mask, random.random(mask.shape), -1)
    return np.where(mask.any(axis=1), drawn.argmax(axis=1), -1)


def acceptance_policy(
    target: Target,
    calibration_data: CalibrationData | None,
    precision: float = DEFAULT_PRECISION,
    guarantee: str = "overall",
    label_thresholds: Sequence[float] | None = None,
    *,
    explain: bool = True,
) -> AcceptancePolicy:
    """The thresholds that keep a precision target from 0.5 to below 1, and what the calibration images do not support.

    Args:
        label_thresholds: by default those of the calibration data.
        explain: whether `unsupported` says what would help, which takes a second for each unsupported guarantee.

    Raises:
        DataError: `precision` is out of range, or `guarantee` is not in GUARANTEES.
    """
    check_precision_target(precision)
    scope = check_guarantee(guarantee)
    if label_thresholds is None:
        default = default_thresholds([target]).get(target.name, ())
        label_thresholds = default if calibration_data is None else calibration_data.label_thresholds.tolist()
    accept_thresholds = np.full(len(target.classes), np.inf)
    policy = AcceptancePolicy(precision, scope, accept_thresholds, 0.0, tuple(label_thresholds))
    if calibration_data is None:
        return replace(policy, unsupported=(Message("no_calibration_data", target=target.name),))
    data = calibration_data.with_label_thresholds(target, label_thresholds)
    if data is None:
        return replace(policy, unsupported=(Message("thresholds_changed", target=target.name),))
    unsupported = []
    for index, name, rows, groups in _strata(target, data, scope):
        confidence, correct = data.confidence[rows], data.correct[rows]
        threshold = accept_threshold(confidence, correct, precision, groups)
        accept_thresholds[index] = threshold
        if threshold == np.inf and explain:
            names = {"target": target.name, "class_name": name, "precision_target": precision}
            unsupported.append(_unsupported(confidence, correct, groups, names))
    accepted = (data.predicted >= 0) & (data.confidence >= accept_thresholds[data.predicted])
    accepted &= data.confidence > 0  # the others are for review whatever they predict, also where a threshold is 0
    review, all_groups = ~accepted, data.group if data.n_groups is not None else None
    # Prediction sets are for images in review; without any such image, a set holds all classes
    of_true = data.probability_of_true[review]
    return replace(
        policy,
        set_threshold=conformal_threshold(of_true[~np.isnan(of_true)]),
        n=len(data),
        accepted=int(accepted.sum()),
        correct=int(data.correct[accepted].sum()),
        precision_interval=mean_with_interval(data.correct.astype(np.float64), all_groups, accepted)[1],
        coverage_interval=mean_with_interval(accepted.astype(np.float64), all_groups)[1],
        unsupported=tuple(unsupported),
    )


def check_precision_target(precision: float) -> None:
    """
    Raises:
        DataError: a precision target that is not from MIN_PRECISION to below 1.
    """
    if not MIN_PRECISION <= precision < 1:
        raise DataError("precision_range", found=precision)


def check_guarantee(text: str) -> Guarantee:
    """`text`, if it names a guarantee.

    Raises:
        DataError: it is not in GUARANTEES.
    """
    if text not in GUARANTEES:
        raise DataError("guarantee_unknown", **unknown(text, GUARANTEES))
    return "per-class" if text == "per-class" else "overall"


def highest_precision(target: Target, calibration_data: CalibrationData, guarantee: Guarantee = "overall") -> float:
    """The highest precision, to 0.1 %, at which some prediction can be accepted; 0 for none."""
    data = calibration_data
    strata = (rows_and_groups for _, _, *rows_and_groups in _strata(target, data, guarantee))
    return max(max_precision(data.confidence[rows], data.correct[rows], groups) for rows, groups in strata)


def _strata(
    target: Target, data: CalibrationData, scope: Guarantee
) -> Iterator[tuple[int | slice, str | None, NDArray[np.intp], Groups]]:
    """What a guarantee holds within: all classes, or each of them; its places in the classes, its name, the rows with
    such predictions, and their groups."""
    for index, name in enumerate(target.classes) if scope == "per-class" else ((slice(None), None),):
        rows = np.flatnonzero(data.predicted >= 0 if name is None else data.predicted == index)
        yield index, name, rows, data.group[rows] if data.n_groups is not None else None


def _unsupported(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], groups: Groups, names: Mapping[str, Any]
) -> Message:
    """Why a precision cannot be guaranteed: too few images or groups, or too many errors; and what would help."""
    highest, precision = max_precision(confidence, correct, groups), names["precision_target"]
    params = {**names, "n": len(confidence), "max_precision": highest if MIN_PRECISION <= highest < precision else None}
    units, needed = len(confidence), images_needed(precision)
    if groups is not None:
        units = params["groups"] = len(np.unique(groups))
    params["about"] = expected_size_needed(confidence, correct, precision, groups)
    hint = "recipe" if params["about"] is None else "images" if groups is None else "groups"
    if units < needed:
        return Message("too_few_for_precision", hint, **params, needed=needed)
    return Message("precision_unsupported", hint, **params)


def conformal_threshold(probability_of_true: NDArray[np.floating[Any]], coverage: float = SET_COVERAGE) -> float:
    """The minimum probability of a class in a prediction set, so that `coverage` of the sets hold the true class.

    The conformal threshold of least ambiguous sets: the floor((n + 1)(1 - coverage))-th smallest probability of the
    true class; 0, which puts every class in the set, where n is too small.
    Source: Sadinle, Lei and Wasserman, Least ambiguous set-valued classifiers, JASA 114 (2019).
    """
    rank = int(np.floor((len(probability_of_true) + 1) * (1 - coverage) + 1e-9))
    return float(np.sort(probability_of_true)[rank - 1]) if rank else 0.0


def triage(
    target: Target, probabilities: Probabilities, policy: AcceptancePolicy, is_ood: NDArray[np.bool_] | None = None
) -> Triage:
    """The decision on each image.

    Args:
        probabilities: float (n, classes), calibrated.
        is_ood: bool (n,): out-of-distribution images; None where the model has no OOD detector.
    """
    confidence: NDArray[np.floating[Any]]
    labels: NDArray[np.bool_] | None
    if target.kind == "multilabel":
        predicted = probabilities.argmax(axis=1).astype(np.int64)
        labels = np.asarray(probabilities.astype(np.float64) >= np.asarray(policy.label_thresholds))
        confidence = _lowest_confidence(probabilities, labels)
        needed = np.where(labels, policy.accept_thresholds, -np.inf).max(axis=1)
        accepted = labels.any(axis=1) & (confidence >= needed)
    elif len(probabilities) == 1:
        return _triage_one(target, probabilities, policy, is_ood)
    else:
        predicted = predict_classes(target, probabilities, policy.label_thresholds)
        labels = None
        confidence = probabilities[np.arange(len(probabilities)), predicted]
        accepted = confidence >= policy.accept_thresholds[predicted]
    decisions = _BY_ACCEPTED.take(accepted)
    if is_ood is not None:
        decisions[is_ood] = OUT_OF_SCOPE
    return Triage(probabilities, predicted, confidence, decisions, accepted, policy.set_threshold, labels)


def _triage_one(
    target: Target, probabilities: Probabilities, policy: AcceptancePolicy, is_ood: NDArray[np.bool_] | None
) -> Triage:
    """`triage` of one image and no multilabel target, in plain Python: a fifth of the time."""
    predicted = predict_classes(target, probabilities, policy.label_thresholds)
    place = predicted.item()
    confidence = probabilities[0, place : place + 1]
    is_accepted = bool(confidence.item() >= policy.accept_thresholds.item(place))
    decision = OUT_OF_SCOPE if is_ood is not None and is_ood.item() else ACCEPT if is_accepted else REVIEW
    decisions, accepted = np.array([decision], np.uint8), np.array([is_accepted])
    return Triage(probabilities, predicted, confidence, decisions, accepted, policy.set_threshold, None)


def concat_triages(parts: Sequence[Triage]) -> Triage:
    """One or more of one policy as one, in order."""
    first, arrays = parts[0], dict[str, Any]()
    for name, value in first._asdict().items():
        if isinstance(value, np.ndarray):
            arrays[name] = np.concatenate([getattr(part, name) for part in parts])
    return first._replace(**arrays)
