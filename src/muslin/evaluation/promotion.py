"""Whether a new model may take the place of the active one: not worse by more than a margin, on the same test products.

Functions take arrays, one value per test product. Formulas: docs/explanation/review-training.md.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.compare import PairedDifference, paired_difference
from muslin.evaluation.intervals import Interval, wilson_interval
from muslin.messages import Message, plain

Mask = NDArray[np.bool_]

DEFAULT_MARGIN = 0.02
"""The new model may be worse by this much: an interval of 2 points needs about 400 test products."""


@dataclass(frozen=True, eq=False)
class ModelOutcomes:
    """What one model makes of the test products: bool (n,) whether the prediction is correct, and whether accepted."""

    correct: Mask
    accepted: Mask

    @property
    def useful(self) -> Mask:
        """bool (n,): accepted and correct, which is what saves work."""
        return self.correct & self.accepted


@dataclass(frozen=True)
class AcceptedPrecision:
    """Of the accepted predictions on test products: how many, how many correct, and the 95 % Wilson interval."""

    accepted: int
    correct: int
    interval: Interval

    @classmethod
    def of(cls, predictions: ModelOutcomes) -> "AcceptedPrecision":
        accepted, correct = int(predictions.accepted.sum()), int(predictions.useful.sum())
        return cls(accepted, correct, wilson_interval(correct, accepted))

    def misses(self, precision: float) -> bool:
        """Whether the precision is below the target beyond chance."""
        return self.interval[1] < precision


@dataclass(frozen=True)
class PromotionCheck:
    """A candidate (b) beside the active model (a) on one target of the sealed test part.

    Attributes:
        accuracy: the difference of the shares of correct predictions.
        useful: the difference of the shares of predictions that are accepted and correct.
        active, candidate: the precision of what each accepts at `precision_target`.
        margin: by how much the candidate may be worse, as a share of the products.
        refusals: why it may not be promoted; empty where it may.
    """

    target: str
    n: int
    precision_target: float
    margin: float
    accuracy: PairedDifference
    useful: PairedDifference
    active: AcceptedPrecision
    candidate: AcceptedPrecision
    refusals: tuple[Message, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "refusals": plain(self.refusals)}


def check_promotion(
    target: str,
    active: ModelOutcomes,
    candidate: ModelOutcomes,
    *,
    precision: float,
    margin: float = DEFAULT_MARGIN,
    groups: NDArray[Any] | None = None,
) -> PromotionCheck:
    """Compare two models on the same test products.

    The candidate is refused unless the whole 95 % interval of both differences is above -`margin`: a test of
    non-inferiority at the 2.5 % level (G. Piaggio et al., Reporting of noninferiority and equivalence randomized
    trials, JAMA 2012). So few test products do not let a worse model pass; they refuse a better one, and the message
    says how many it takes. What an active model accepts counts only while it keeps its precision: one that accepts too
    much is no measure. And a candidate whose own precision misses the target beyond chance is refused.

    Args:
        precision: target of the accepted predictions.
        groups: (n,): test products of one group are not independent.

    Raises:
        DataError: no test product.
    """
    accuracy = paired_difference(active.correct, candidate.correct, groups)
    useful = paired_difference(active.useful, candidate.useful, groups)
    before, after = AcceptedPrecision.of(active), AcceptedPrecision.of(candidate)
    refusals = []
    if _may_be_worse(accuracy, margin):
        refusals.append(_refusal("promotion_accuracy", target, accuracy, margin))
    if _may_be_worse(useful, margin) and not before.misses(precision):
        refusals.append(_refusal("promotion_accepted", target, useful, margin))
    if after.misses(precision):
        counts = {"accepted": after.accepted, "correct": after.correct, "precision": precision}
        refusals.append(Message("promotion_precision", target=target, **counts))
    return PromotionCheck(target, accuracy.n, precision, margin, accuracy, useful, before, after, tuple(refusals))


def _may_be_worse(difference: PairedDifference, margin: float) -> bool:
    return difference.interval[0] < -margin


def _refusal(code: str, target: str, difference: PairedDifference, margin: float) -> Message:
    low, high = difference.interval
    hint = "worse" if high < 0 else "unknown"
    points = {"points": 100 * difference.difference, "low": 100 * low, "high": 100 * high}
    needed = products_needed(difference, margin)
    return Message(code, hint, target=target, n=difference.n, needed=needed, margin=100 * margin, **points)


def products_needed(difference: PairedDifference, margin: float) -> int | None:
    """About how many test products would show that the candidate is not worse, if the difference stays; None for none.

    The width of the interval falls with the root of the number.
    """
    room = difference.difference + margin
    if room <= 0:
        return None
    return math.ceil(difference.n * ((difference.difference - difference.interval[0]) / room) ** 2)
