"""How far a model's answers may be trusted: calibration, what is accepted at each precision, lanes, weak slices, leaks.

Everything here takes arrays. `right` is how right each image's answer is: 1 or 0, or of several labels the share of
the labels said that are there; NaN where nothing was said or nothing is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.evaluation.curves import between, resamples
from muslin.evaluation.intervals import Interval, wilson
from muslin.evaluation.metrics import (
    CalibrationBin,
    Labels,
    Probabilities,
    brier_score,
    calibration_bins,
    expected_calibration_error,
    log_loss,
)
from muslin.evaluation.selective import (
    ACCEPT,
    DECISIONS,
    PRECISION,
    REVIEW,
    AcceptancePolicy,
    CalibrationData,
    rule,
    triage,
)

PRECISIONS = (0.90, 0.95, 0.98, 0.99, 0.995)
"""What an evaluation works out the accepted share for, besides what is wanted."""

COVERAGES = 20  # points of the curve of risk against coverage

Right = NDArray[np.floating[Any]]
Groups = NDArray[Any] | None


@dataclass(frozen=True)
class Calibration:
    """How far stated probabilities are what they say; see `muslin.evaluation.metrics` for each figure.

    Of several labels an image every known label is a yes-or-no answer of its own.
    """

    expected_calibration_error: float
    brier_score: float
    log_loss: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class DecisionSummary:
    """The images of one lane: how many, how often their answer is right (None for no image), with its interval."""

    name: str
    n: int
    accuracy: float | None
    interval: Interval


@dataclass(frozen=True)
class Accepted:
    """What happens at one wanted precision.

    Attributes:
        precision: what is wanted.
        share: of all images those that are accepted.
        lanes: accepted, to review, not ours.
        listed: share of the short lists, of images to review, that hold the true class (of several, the mean share of
            the true labels that is listed); None where there is no such image.
        listed_interval: 95 %.
        list_length: classes on a short list, in the mean.
        cannot: what the model's held-out images cannot support, a sentence each.
    """

    precision: float
    share: float
    decisions: tuple[DecisionSummary, ...]
    listed: float | None
    listed_interval: Interval
    list_length: float | None
    unsupported: tuple[str, ...]


@dataclass(frozen=True)
class Slice:
    """The images with one value in a column.

    Attributes:
        value: what stands there.
        n: how many images.
        share_right: how often their answer is right.
        interval: 95 %.
        difference: that share minus the others'.
        difference_interval: together with those of all other slices it is right with 95 % confidence (Bonferroni).
        weak: whether the interval says that the slice is worse than the others.
    """

    value: str
    n: int
    accuracy: float
    interval: Interval
    difference: float
    difference_interval: Interval
    weak: bool


@dataclass(frozen=True)
class Leaks:
    """Images that are nearly identical with one the model was trained on, set aside.

    Attributes:
        n: how many there are.
        share_right: of those, None for none.
        without: the share right of all others, None where there are none.
        interval: of the share of them that is right, 95 %.
        without_interval: of the others.
    """

    n: int
    accuracy: float | None
    interval: Interval
    without: float | None
    without_interval: Interval


@dataclass(frozen=True)
class Reliability:
    """How far a model's answers to `n` images may be trusted.

    Attributes:
        n: images with a known answer.
        n_groups: groups that the intervals are drawn over; None where every image counts by itself.
        share_right: how often the answer is right, of the images where one was given.
        interval: 95 %.
        before, after: calibration of the network's own probabilities, and of those that muslin gives.
        wanted: the precision that the lanes are for; one of `accepted` is for it.
        accepted: a row per precision, rising.
        risk: (coverage, share wrong) of the surest answers, rising in coverage.
        risk_area: mean share wrong over all coverages, in 0..1.
        slices: by a column, the weak ones first; empty where none was asked for.
        leaks: near-copies of training images; None where training images are not at hand.
    """

    n: int
    n_groups: int | None
    accuracy: float | None
    interval: Interval
    before: Calibration
    after: Calibration
    wanted: float
    accepted: tuple[Accepted, ...]
    risk: tuple[tuple[float, float], ...]
    risk_area: float | None
    slices: tuple[Slice, ...] = ()
    leaks: Leaks | None = None

    @property
    def at_wanted(self) -> Accepted:
        """The row of the wanted precision."""
        return next(row for row in self.accepted if row.precision == self.wanted)

    @property
    def short(self) -> tuple[tuple[float, float], ...]:
        """(wanted, right) shares of the accepted answers where fewer were right than wanted, in tenths of a percent."""
        shares = ((row.precision, row.decisions[0].accuracy) for row in self.accepted)
        return tuple(
            (wanted, right) for wanted, right in shares if right is not None and round(right, 3) < wanted
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def trust(
    target: Target,
    labels: Labels,
    raw_probabilities: Probabilities,
    probabilities: NDArray[np.float32],
    calibration_data: CalibrationData | None,
    *,
    yes_from: Sequence[float] = (),
    is_ood: NDArray[np.bool_] | None = None,
    groups: Groups = None,
    precision: float = PRECISION,
    per: str = "all",
    by: NDArray[Any] | None = None,
    copies: NDArray[np.bool_] | None = None,
) -> Reliability | None:
    """See `Reliability`; None where no label is known.

    Args:
        labels: integer (n,) or (n, classes), as in a Dataset.
        stated, probabilities: float (n, classes), before and after calibration.
        held_out: what the model decides by.
        yes_from: from which probability on an answer is a yes, see `muslin.evaluation.thresholds`.
        unlike: bool (n,): images that are not ours.
        groups: (n,): images of one group are drawn together.
        precision, per: see `muslin.evaluation.selective.rule`.
        by: (n,) texts: what to make slices of; empty ones make none.
        copies: bool (n,): near-copies of training images.

    Raises:
        DataError: `precision` or `per` is out of range.
    """
    several = target.kind == "multilabel"
    known = np.flatnonzero((labels != UNKNOWN).any(axis=1) if several else labels != UNKNOWN)
    wanted = sorted({*PRECISIONS, precision})
    rules = [rule(target, calibration_data, p, per, tuple(yes_from)) for p in wanted]
    if not len(known):
        return None
    true, raw_probabilities, probabilities = labels[known], raw_probabilities[known], probabilities[known]
    groups, is_ood, by, copies = (None if v is None else v[known] for v in (groups, is_ood, by, copies))
    decided = triage(target, probabilities, rules[0])
    right = _right(true, decided.tags)
    said = np.isfinite(right)
    risk, area = risk_against_coverage(right[said], decided.confidence[said])
    return Reliability(
        n=len(known),
        n_groups=None if groups is None else len(np.unique(groups.astype(str))),
        accuracy=_mean(right),
        interval=interval_of(right, groups),
        before=calibration(true, raw_probabilities),
        after=calibration(true, probabilities),
        wanted=precision,
        accepted=tuple(_accepted(target, true, probabilities, r, right, is_ood, groups) for r in rules),
        risk=risk,
        risk_area=area,
        slices=() if by is None else slices(right, by, groups),
        leaks=None if copies is None else _leaks(right, copies, groups),
    )


def _right(true: Labels, tags: NDArray[np.bool_]) -> Right:
    """Per image the share of the tags whose truth is known that are right; NaN where there is none."""
    if true.ndim == 1:
        return tags[np.arange(len(true)), true].astype(np.float64)
    known = tags & (true != UNKNOWN)
    with np.errstate(invalid="ignore"):
        shares: Right = (known & (true == 1)).sum(axis=1) / known.sum(axis=1)
    return shares


def _mean(right: Right) -> float | None:
    found = right[np.isfinite(right)]
    return float(found.mean()) if len(found) else None


def calibration(true: Labels, probabilities: Probabilities) -> Calibration:
    """See `Calibration`.

    Args:
        true: integer (n,), all known, or (n, labels) with some that are not.
        probabilities: float (n, classes).
    """
    if true.ndim == 2:
        cells = true != UNKNOWN
        yes = np.asarray(probabilities)[cells]
        true, probabilities = true[cells].astype(np.int64), np.stack([1 - yes, yes], axis=1)
    bins = calibration_bins(true, probabilities)
    return Calibration(
        expected_calibration_error(bins),
        brier_score(true, probabilities),
        log_loss(true, probabilities),
        bins,
    )


def _accepted(
    target: Target,
    true: Labels,
    probabilities: NDArray[np.float32],
    wanted: AcceptancePolicy,
    right: Right,
    is_ood: NDArray[np.bool_] | None,
    groups: Groups,
) -> Accepted:
    decided = triage(target, probabilities, wanted, is_ood)
    decisions = []
    for place, name in enumerate(DECISIONS):
        here = decided.decisions == place
        decisions.append(
            DecisionSummary(
                name, int(here.sum()), _mean(right[here]), interval_of(right[here], _of(groups, here))
            )
        )
    review = decided.decisions == REVIEW
    if true.ndim == 1:
        holds = decided.candidates[np.arange(len(true)), true]
    else:
        there = true == 1
        with np.errstate(invalid="ignore"):
            holds = (decided.candidates & there).sum(axis=1) / there.sum(axis=1)
    listed = holds[review].astype(np.float64)
    return Accepted(
        precision=wanted.precision,
        share=float((decided.decisions == ACCEPT).mean()),
        decisions=tuple(decisions),
        listed=_mean(listed),
        listed_interval=interval_of(listed, _of(groups, review)),
        list_length=float(decided.candidates[review].sum(axis=1).mean()) if review.any() else None,
        unsupported=wanted.unsupported,
    )


def _of(groups: Groups, here: NDArray[np.bool_]) -> Groups:
    return None if groups is None else groups[here]


def risk_against_coverage(
    right: Right, confidence: NDArray[np.floating[Any]]
) -> tuple[tuple[tuple[float, float], ...], float | None]:
    """(coverage, share wrong) of the surest answers at 20 coverages up to 1, and the mean share wrong over all.

    Source: El-Yaniv and Wiener, On the foundations of noise-free selective classification, JMLR 11 (2010); the mean is
    the area under this curve (AURC; Geifman, Uziel and El-Yaniv, ICLR 2019). Equally sure answers keep their order.
    """
    n = len(right)
    if not n:
        return (), None
    wrong = np.cumsum(1 - right[np.argsort(-confidence, kind="stable")]) / np.arange(1, n + 1)
    places = np.unique(np.ceil(np.linspace(1, n, min(COVERAGES, n)) - 1e-9).astype(int))
    return tuple((float(k / n), float(wrong[k - 1])) for k in places), float(wrong.mean())


def interval_of(right: Right, groups: Groups = None) -> Interval:
    """95 % interval of the mean of `right`, in 0..1, NaN left out; (0, 1) where nothing is left.

    Wilson's where each image counts by itself and is right or wrong; otherwise by a bootstrap that draws whole groups
    (Efron and Tibshirani 1993, chapter 8). Where all are right or all wrong a bootstrap knows nothing, and each group
    counts as one try of Wilson's.
    """
    finite = np.isfinite(right)
    right = right[finite]
    if not len(right):
        return 0.0, 1.0
    if groups is None and np.isin(right, (0, 1)).all():
        return wilson(int(right.sum()), len(right))
    unit = (
        np.arange(len(right))
        if groups is None
        else np.unique(groups[finite].astype(str), return_inverse=True)[1]
    )
    counts = np.bincount(unit).astype(np.float64)
    sums = np.bincount(unit, weights=right)
    if (right == right[0]).all() and right[0] in (0, 1):
        return wilson(int(right[0]) * len(counts), len(counts))
    samples = resamples(len(counts), len(counts))
    return between((samples @ sums) / (samples @ counts))


def slices(right: Right, by: NDArray[Any], groups: Groups = None) -> tuple[Slice, ...]:
    """A slice per value of `by` (empty ones make none), compared with all other images; the weak ones first.

    The interval of a difference is Newcombe's (Statistics in Medicine 17, 1998, method 10); where there are groups, or
    answers that are right in part, the normal one over the groups' sums (the linearised variance of a difference of
    two ratios). Each at the level that makes all together hold with 95 % confidence, so that of many slices one is not
    called weak by chance.
    """
    texts = np.array(["" if value is None else str(value) for value in by])
    counted = np.isfinite(right) & (texts != "")
    right, texts = right[counted], texts[counted]
    groups = _of(groups, counted)
    values = np.unique(texts)
    if len(values) < 2:
        return ()
    level = 1 - 0.05 / len(values)
    found = []
    for value in values:
        here = texts == value
        inside, outside = right[here], right[~here]
        difference = float(inside.mean() - outside.mean())
        if groups is None and np.isin(right, (0, 1)).all():
            ends = newcombe(int(inside.sum()), len(inside), int(outside.sum()), len(outside), level)
        else:
            ends = _linearised(right, here, groups, level)
        found.append(
            Slice(
                value,
                len(inside),
                float(inside.mean()),
                interval_of(inside, _of(groups, here)),
                difference,
                ends,
                ends[1] < 0,
            )
        )
    return tuple(sorted(found, key=lambda s: (not s.weak, s.difference)))


def newcombe(right_a: int, n_a: int, right_b: int, n_b: int, level: float = 0.95) -> Interval:
    """The interval of share a minus share b, two independent samples: Newcombe 1998, method 10 (from Wilson's)."""
    a, b = right_a / n_a, right_b / n_b
    low_a, high_a = wilson(right_a, n_a, level)
    low_b, high_b = wilson(right_b, n_b, level)
    return (
        a - b - float(np.hypot(a - low_a, high_b - b)),
        a - b + float(np.hypot(high_a - a, b - low_b)),
    )


def _linearised(right: Right, here: NDArray[np.bool_], groups: Groups, level: float) -> Interval:
    difference = right[here].mean() - right[~here].mean()
    pull = np.where(
        here, (right - right[here].mean()) / here.sum(), -(right - right[~here].mean()) / (~here).sum()
    )
    unit = np.arange(len(right)) if groups is None else np.unique(groups.astype(str), return_inverse=True)[1]
    sums = np.bincount(unit, weights=pull)
    if len(sums) < 2:
        return -1.0, 1.0
    error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))
    z = NormalDist().inv_cdf((1 + level) / 2)
    return float(difference - z * error), float(difference + z * error)


def _leaks(right: Right, copies: NDArray[np.bool_], groups: Groups) -> Leaks:
    return Leaks(
        int(copies.sum()),
        _mean(right[copies]),
        interval_of(right[copies], _of(groups, copies)),
        _mean(right[~copies]),
        interval_of(right[~copies], _of(groups, ~copies)),
    )


def reliabilities(
    targets: Sequence[Target],
    labels: Mapping[str, Labels],
    raw_probabilities: Mapping[str, NDArray[np.float32]],
    probabilities: Mapping[str, NDArray[np.float32]],
    calibration_data: Mapping[str, CalibrationData],
    yes_from: Mapping[str, tuple[float, ...]],
    **shared: Any,
) -> dict[str, Reliability]:
    """`trust` of every target of which something is known, by name; `shared` is the same for all."""
    found = {
        t.name: trust(
            t,
            labels[t.name],
            raw_probabilities[t.name],
            probabilities[t.name],
            calibration_data.get(t.name),
            yes_from=yes_from.get(t.name, ()),
            **shared,
        )
        for t in targets
    }
    return {name: value for name, value in found.items() if value is not None}
