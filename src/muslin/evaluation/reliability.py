"""How far a model can be trusted: calibration, coverage at each precision target, weak slices, leaks.

Functions take arrays. `correct` is float (n,): 1 for a correct and 0 for an incorrect prediction; for a multilabel
target the share of the predicted labels that is true. NaN where nothing is predicted or nothing is labelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.evaluation.intervals import (
    Correctness,
    Groups,
    Interval,
    effective_trials,
    mean_with_interval,
    newcombe_independent,
)
from muslin.evaluation.metrics import CalibrationMetrics, Labels, calibration_metrics, correctness
from muslin.evaluation.precision_choice import AcceptanceRow
from muslin.evaluation.product_metrics import ProductMetrics
from muslin.evaluation.selective import (
    ACCEPT,
    DECISIONS,
    DEFAULT_PRECISION,
    REVIEW,
    AcceptancePolicy,
    CalibrationData,
    acceptance_policy,
    triage,
)
from muslin.messages import Message
from muslin.text import plural

PRECISION_TARGETS = (0.90, 0.95, 0.98, 0.99, 0.995)
"""Precision targets of an evaluation, besides the user's own."""

CURVE_POINTS = 20
"""Of the risk–coverage curve."""


@dataclass(frozen=True)
class DecisionMetrics:
    """The images with one decision: how many, and their accuracy (None for no image) with its 95 % interval."""

    decision: str
    n: int
    accuracy: float | None
    accuracy_interval: Interval


@dataclass(frozen=True)
class SelectiveMetrics:
    """Selective prediction at one precision target.

    Attributes:
        precision_target: in 0..1.
        coverage: share of all images whose prediction is accepted, with its 95 % interval.
        decisions: accept, review and out of scope.
        set_coverage: share of the prediction sets, of images in review, that hold the true class (multilabel: mean
            share of the true labels in the set); None without such images.
        set_coverage_interval: 95 %.
        mean_set_size: mean number of classes in a prediction set; None without such images.
        unsupported: a message for each guarantee that the calibration images do not support.
    """

    precision_target: float
    coverage: float
    coverage_interval: Interval
    decisions: tuple[DecisionMetrics, ...]
    set_coverage: float | None
    set_coverage_interval: Interval
    mean_set_size: float | None
    unsupported: tuple[Message, ...]


@dataclass(frozen=True)
class SliceMetrics:
    """The images with one value in a column.

    Attributes:
        value: the value.
        n: images with a prediction.
        accuracy: of them, with its 95 % interval.
        difference: this accuracy minus that of all other images.
        difference_interval: holds together with those of all other slices with 95 % confidence (Bonferroni).
        weak: whether the whole interval is below 0.
    """

    value: str
    n: int
    accuracy: float
    accuracy_interval: Interval
    difference: float
    difference_interval: Interval
    weak: bool


@dataclass(frozen=True)
class LeakMetrics:
    """The images that are nearly identical with a training image.

    Attributes:
        n: how many.
        accuracy: of them; None for none.
        accuracy_without_leaks: of all other images; None for none.
        accuracy_interval, accuracy_without_leaks_interval: 95 %.
    """

    n: int
    accuracy: float | None
    accuracy_interval: Interval
    accuracy_without_leaks: float | None
    accuracy_without_leaks_interval: Interval


@dataclass(frozen=True)
class Reliability:
    """How far a model's predictions on `n` images can be trusted.

    Attributes:
        n: labelled images.
        n_groups: groups that the intervals are of; None where every image counts alone.
        accuracy: of the images with a prediction, with its 95 % interval.
        before_calibration, after_calibration: the calibration of the network's own probabilities and of the
            calibrated ones.
        precision_target: the user's; one of `selective` is at it.
        selective: selective prediction at each precision target, rising.
        risk_coverage_curve: (coverage, risk) points, rising in coverage: the error rate among the most confident
            predictions.
        aurc: area under the risk–coverage curve, in 0..1.
        slices: per value of a column, the weak ones first; empty where no column was named.
        leaks: near-copies of training images; None where training images are not at hand.
        acceptance: how much of its calibration images the model accepts at which precision.
        products: the predictions for products, each from all its photos; None where the data have no products.
    """

    n: int
    n_groups: int | None
    accuracy: float | None
    accuracy_interval: Interval
    before_calibration: CalibrationMetrics
    after_calibration: CalibrationMetrics
    precision_target: float
    selective: tuple[SelectiveMetrics, ...]
    risk_coverage_curve: tuple[tuple[float, float], ...]
    aurc: float | None
    slices: tuple[SliceMetrics, ...] = ()
    leaks: LeakMetrics | None = None
    acceptance: tuple[AcceptanceRow, ...] = ()
    products: ProductMetrics | None = None

    @property
    def at_target(self) -> SelectiveMetrics:
        """Selective prediction at the user's precision target."""
        return next(row for row in self.selective if row.precision_target == self.precision_target)

    @property
    def missed_targets(self) -> tuple[SelectiveMetrics, ...]:
        """The rows of `selective` whose accepted predictions miss the precision target, to 0.1 %."""
        rows = ((row, row.decisions[0].accuracy) for row in self.selective)
        return tuple(row for row, share in rows if share is not None and round(share, 3) < row.precision_target)


def groups_text(n_groups: int | None, reliability: Reliability | None) -> str:
    """`29 groups of images`, or `120 products` where the groups are these; empty where all images are independent."""
    products = reliability and reliability.products
    name = "product" if products and products.n == n_groups else "group"
    return f"{plural(n_groups, name)}{' of images' * (name == 'group')}" if n_groups else ""


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions of one target on images with labels.

    Attributes:
        labels: integer (n,) or (n, classes), as in a Dataset.
        raw_probabilities, probabilities: float (n, classes), before and after calibration.
        is_ood: bool (n,): out-of-distribution images; None where the model has no OOD detector.
        groups: (n,): images of one group are not independent; None where all images are.
        slice_values: texts (n,): the values to make slices of; empty ones make none.
        leaked: bool (n,): near-copies of training images.
    """

    labels: Labels
    raw_probabilities: NDArray[np.float32] = field(repr=False)
    probabilities: NDArray[np.float32] = field(repr=False)
    is_ood: NDArray[np.bool_] | None = None
    groups: Groups = None
    slice_values: NDArray[Any] | None = None
    leaked: NDArray[np.bool_] | None = None

    def take(self, rows: NDArray[np.integer[Any]]) -> "Predictions":
        return replace(self, **{name: array[rows] for name, array in vars(self).items() if array is not None})


def measure_reliability(
    target: Target,
    predictions: Predictions,
    calibration_data: CalibrationData | None,
    *,
    label_thresholds: Sequence[float] = (),
    precision: float = DEFAULT_PRECISION,
    guarantee: str = "overall",
) -> Reliability | None:
    """See `Reliability`; None where no image is labelled.

    Args:
        calibration_data: of the model.
        label_thresholds: see `muslin.evaluation.thresholds`.
        precision, guarantee: see `muslin.evaluation.selective.acceptance_policy`.

    Raises:
        DataError: `precision` or `guarantee` is out of range.
    """
    policies = [
        acceptance_policy(target, calibration_data, p, guarantee, tuple(label_thresholds))
        for p in sorted({*PRECISION_TARGETS, precision})
    ]
    labelled = predictions.labels != UNKNOWN
    rows = np.flatnonzero(labelled.any(axis=1) if target.kind == "multilabel" else labelled)
    if not len(rows):
        return None
    images = predictions.take(rows)
    groups, slice_values, leaked = images.groups, images.slice_values, images.leaked
    decided = triage(target, images.probabilities, policies[0])
    correct = correctness(images.labels, decided.labels)
    predicted = np.isfinite(correct)
    accuracy, accuracy_interval = mean_with_interval(correct, groups)
    curve, aurc = risk_coverage(correct[predicted], decided.confidence[predicted])
    leaks = None
    if leaked is not None:
        others = mean_with_interval(correct, groups, ~leaked)
        leaks = LeakMetrics(int(leaked.sum()), *mean_with_interval(correct, groups, leaked), *others)
    return Reliability(
        n=len(rows),
        n_groups=None if groups is None else len(np.unique(groups.astype(str))),
        accuracy=accuracy,
        accuracy_interval=accuracy_interval,
        before_calibration=calibration_metrics(images.labels, images.raw_probabilities),
        after_calibration=calibration_metrics(images.labels, images.probabilities),
        precision_target=precision,
        selective=tuple(_selective_metrics(target, images, policy, correct) for policy in policies),
        risk_coverage_curve=curve,
        aurc=aurc,
        slices=() if slice_values is None else slice_metrics(correct, slice_values, groups),
        leaks=leaks,
    )


def _selective_metrics(
    target: Target, images: Predictions, policy: AcceptancePolicy, correct: Correctness
) -> SelectiveMetrics:
    decided = triage(target, images.probabilities, policy, images.is_ood)
    decisions = []
    for number, decision in enumerate(DECISIONS):
        mask = decided.decisions == number
        accuracy = mean_with_interval(correct, images.groups, mask)
        decisions.append(DecisionMetrics(decision, int(mask.sum()), *accuracy))
    if images.labels.ndim == 1:
        in_set = decided.prediction_sets[np.arange(len(correct)), images.labels].astype(np.float64)
    else:
        positive = images.labels == 1
        with np.errstate(invalid="ignore"):
            in_set = (decided.prediction_sets & positive).sum(axis=1) / positive.sum(axis=1)
    review = decided.decisions == REVIEW
    return SelectiveMetrics(
        policy.precision_target,
        decisions[0].n / len(correct),
        mean_with_interval((decided.decisions == ACCEPT).astype(np.float64), images.groups)[1],
        tuple(decisions),
        *mean_with_interval(in_set, images.groups, review),
        float(decided.prediction_sets[review].sum(axis=1).mean()) if review.any() else None,
        policy.unsupported,
    )


def risk_coverage(
    correct: Correctness, confidence: NDArray[np.floating[Any]]
) -> tuple[tuple[tuple[float, float], ...], float | None]:
    """(coverage, risk) at 20 coverages up to 1, and the area under the curve (AURC).

    Equal confidences keep their order.
    Sources: El-Yaniv and Wiener, On the foundations of noise-free selective classification, JMLR 11 (2010); the AURC
    of Geifman, Uziel and El-Yaniv, ICLR 2019.
    """
    n = len(correct)
    if not n:
        return (), None
    risk = np.cumsum(1 - correct[np.argsort(-confidence, kind="stable")]) / np.arange(1, n + 1)
    ranks = np.unique(np.ceil(np.linspace(1, n, min(CURVE_POINTS, n)) - 1e-9).astype(int))
    return tuple((float(k / n), float(risk[k - 1])) for k in ranks), float(risk.mean())


def slice_metrics(correct: Correctness, values: NDArray[Any], groups: Groups = None) -> tuple[SliceMetrics, ...]:
    """One slice per value (empty ones make none), compared with all other images; the weak ones first.

    The interval of a difference is Newcombe's for independent rates, with groups or with fractions in `correct` of
    effective numbers of images. Each has the level at which all together hold with 95 % confidence, so that of many
    slices none is called weak by chance.
    """
    texts = np.array(["" if value is None else str(value) for value in values])
    counted = np.isfinite(correct) & (texts != "")
    correct, texts = correct[counted], texts[counted]
    groups = None if groups is None else groups[counted]
    names = np.unique(texts)
    if len(names) < 2:
        return ()
    level = 1 - 0.05 / len(names)
    slices = []
    for name in names:
        mask = texts == name
        inside, outside = correct[mask], correct[~mask]
        of_inside, of_outside = (None, None) if groups is None else (groups[mask], groups[~mask])
        trials = *effective_trials(inside, of_inside, level), *effective_trials(outside, of_outside, level)
        interval = newcombe_independent(*trials, level)
        slices.append(
            SliceMetrics(
                str(name),
                len(inside),
                float(inside.mean()),
                mean_with_interval(correct, groups, mask)[1],
                float(inside.mean() - outside.mean()),
                interval,
                weak=interval[1] < 0,
            )
        )
    return tuple(sorted(slices, key=lambda s: (not s.weak, s.difference)))
