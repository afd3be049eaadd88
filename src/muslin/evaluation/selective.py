"""Which answers may be taken without looking, at a precision that the owner names; the others get a short list.

A model carries `CalibrationData`: how sure it was of images it did not learn from, and whether it was right. From
that and
a wanted precision `rule` finds the thresholds, and `triage` applies them. The formulas, why they hold and what was
measured: docs/explanation/lanes.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError, nearest
from muslin.evaluation.calibration import scaled, scaled_labels, temperature, temperatures
from muslin.evaluation.metrics import Labels, Probabilities
from muslin.evaluation.thresholds import choose, decided, usual

DECISIONS = ("accept", "review", "not ours")
"""What may happen to an image; a lane's number is its place here."""
ACCEPT, REVIEW, NOT_OURS = range(3)

PRECISION = 0.98
"""What is wanted where nobody says anything else."""
CONFIDENCE = 0.95
"""How sure a promise is."""
LISTED = 0.90
"""How often a short list is to hold the true class."""
PER = ("all", "class")
Per = Literal["all", "class"]

_STEPS = 100  # thresholds looked at between the strictest and the most lenient
_STARTS = (0.1, 0.25, 0.5, 0.75)  # shares of the images at which the search may begin


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """What a model said of images it did not learn from, as far as deciding needs it: one row an image, the surest
    first. Where the data have groups, one image of each, drawn at random: others of its group say little new.

    Attributes:
        temperature: float32 (1,), or (labels,) for a multilabel target; see `muslin.evaluation.calibration`.
        yes_from: float64 (k,): from which calibrated probability on an answer was a yes; as many as
            `muslin.evaluation.thresholds.count_of` says.
        confidence: float32 (n,), falling: the calibrated probability of the answer (of the least sure of several).
        predicted: int32 (n,): the answer's class (of several labels one at random); -1 where there was none.
        right: bool (n,).
        of_true: float32 (n,): the calibrated probability of the true class (of one true label, at
            random; NaN for none).
    """

    temperature: NDArray[np.float32]
    yes_from: NDArray[np.float64]
    confidence: NDArray[np.float32] = field(repr=False)
    predicted: NDArray[np.int32] = field(repr=False)
    right: NDArray[np.bool_] = field(repr=False)
    of_true: NDArray[np.float32] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CalibrationData) and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            for a, b in zip(self.arrays().values(), other.arrays().values(), strict=True)
        )

    def __len__(self) -> int:
        return len(self.confidence)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name, as a bundle stores them."""
        return {
            "temperature": self.temperature,
            "yes_from": self.yes_from,
            "confidence": self.confidence,
            "predicted": self.predicted,
            "right": self.right,
            "of_true": self.of_true,
        }


@dataclass(frozen=True)
class AcceptancePolicy:
    """Which answers are accepted, and what is promised of them.

    Attributes:
        precision: what was wanted, in 0..1.
        per: `all`: of all accepted answers together at least `precision` are right, with 95 % confidence. `class`: the
            same for the accepted answers of each class by itself.
        accept_from: float (classes,): answers of this confidence or more are accepted; infinite where none is.
        listed_from: classes of this probability or more are on a review's short list.
        yes_from: from which probability on an answer is a yes, see `muslin.evaluation.thresholds`.
        expected_precision: share right among the held-out images that would be accepted; None where none would be.
        expected_accepted: share of the held-out images that would be accepted.
        cannot: a sentence for each promise that the held-out images do not support.
    """

    precision: float
    per: Per
    accept_from: NDArray[np.float64]
    listed_from: float
    yes_from: tuple[float, ...]
    expected_precision: float | None
    expected_accepted: float
    unsupported: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Triage:
    """What becomes of `n` images.

    Attributes:
        predicted: int64 (n,): the class that is the answer; of several labels the most probable.
        confidence: float (n,): its calibrated probability; of several labels that of the least sure, 0 where none is.
        lanes: uint8 (n,): places in LANES.
        tags: bool (n, classes): what is said: the answer, or the labels whose probability reaches their threshold.
        candidates: bool (n, classes): the short list; of an accepted image its tags alone.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.floating[Any]]
    decisions: NDArray[np.uint8]
    tags: NDArray[np.bool_]
    candidates: NDArray[np.bool_]


def calibrated(
    target: Target, probabilities: NDArray[np.float32], calibration_data: CalibrationData | None
) -> NDArray[np.float32]:
    """A network's probabilities (n, classes) as `calibration_data` corrects them; as they are where there is none."""
    if calibration_data is None:
        return probabilities
    scale = scaled_labels if target.kind == "multilabel" else scaled
    return scale(probabilities, calibration_data.temperature)


def calibration_data_from(
    target: Target,
    labels: Labels,
    probabilities: Probabilities,
    groups: NDArray[Any] | Sequence[str] | None = None,
    *,
    seed: int = 0,
) -> CalibrationData | None:
    """What a bundle is to carry for deciding; None where no image has a known label.

    Args:
        labels: integer (n,), or (n, classes) for a multilabel target, as in a Dataset.
        probabilities: float (n, classes): the network's own, for images that it was not trained on.
        groups: n of them; images of one group count as one.
        seed: of the draw of an image from each group.
    """
    labels, several = np.asarray(labels), target.kind == "multilabel"
    known = np.flatnonzero((labels != UNKNOWN).any(axis=1) if several else labels != UNKNOWN)
    if not len(known):
        return None
    found = temperatures(labels, probabilities) if several else temperature(labels, probabilities)
    at = np.atleast_1d(np.asarray(found, dtype=np.float32))
    raw_probabilities = (scaled_labels if several else scaled)(np.asarray(probabilities), at)
    yes_from = np.array(
        choose(labels, raw_probabilities) if several else usual([target]).get(target.name, ()), np.float64
    )
    random = np.random.default_rng(seed)
    if groups is not None:
        known = random.permutation(known)
        known = np.sort(known[np.unique(np.asarray(groups).astype(str)[known], return_index=True)[1]])
    raw_probabilities, true = raw_probabilities[known], labels[known]
    rows = np.arange(len(known))
    if several:
        yes = raw_probabilities >= yes_from
        said = _one_of(yes & (true != UNKNOWN), random)
        there = _one_of(true == 1, random)
        confidence = _least_sure(raw_probabilities, yes)
        right = (said >= 0) & (true[rows, said] == 1)
        of_true = np.where(there < 0, np.nan, raw_probabilities[rows, there]).astype(np.float32)
    else:
        said = raw_probabilities.argmax(axis=1)
        confidence, right, of_true = (
            raw_probabilities[rows, said],
            said == true,
            raw_probabilities[rows, true],
        )
    order = np.argsort(-confidence, kind="stable")
    return CalibrationData(
        at, yes_from, confidence[order], said[order].astype(np.int32), right[order], of_true[order]
    )


def _least_sure(raw_probabilities: Probabilities, yes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Per row the smallest probability of those that are a yes; 0 where none is."""
    least = np.where(yes, raw_probabilities, np.inf).min(axis=1)
    return np.where(np.isfinite(least), least, 0).astype(np.float32)


def _at(
    calibration_data: CalibrationData, target: Target, yes_from: Sequence[float]
) -> CalibrationData | None:
    """The same with another threshold between two classes; None where what it says rests on other thresholds."""
    if tuple(calibration_data.yes_from) == tuple(yes_from):
        return calibration_data
    if len(target.classes) != 2 or target.kind == "multilabel":
        return None
    second = np.where(
        calibration_data.predicted == 1, calibration_data.confidence, 1 - calibration_data.confidence
    )
    true = np.where(calibration_data.right, calibration_data.predicted, 1 - calibration_data.predicted)
    both = np.stack([1 - second, second], axis=1).astype(np.float32)
    said = decided(target, both, yes_from)
    confidence, right = both[np.arange(len(both)), said], said == true
    order = np.argsort(-confidence, kind="stable")
    return CalibrationData(
        calibration_data.temperature,
        np.array(yes_from, np.float64),
        confidence[order],
        said[order].astype(np.int32),
        right[order],
        calibration_data.of_true[order],
    )


def _one_of(chosen: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.int64]:
    """Per row the place of one True, drawn at random; -1 where there is none."""
    drawn = np.where(chosen, random.random(chosen.shape), -1)
    return np.where(chosen.any(axis=1), drawn.argmax(axis=1), -1)


def threshold(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_], precision: float) -> float:
    """The most lenient confidence from which on answers are right at least `precision` of the time, proven with 95 %
    confidence for the search as a whole; infinite where nothing can be proven.

    Thresholds at fixed ranks are tested from strict to lenient, each by the exact binomial test (its inversion is
    Clopper and Pearson's bound). The 5 % that may be wrong are shared among four places where the search begins (one,
    where there are few images), and every test passed hands its share to the next: the fallback procedure (Wiens,
    Pharmaceutical Statistics 2, 2003); for selective classifiers see Angelopoulos et al., Learn then test, 2021.
    Given the confidence at a rank, the answers above it are a random sample of all answers above it, so each test is
    exact. The whole holds where precision does not rise as the threshold falls.

    Args:
        confidence: float (n,), falling.
        right: bool (n,), of independent images.
    """
    n = len(confidence)
    if n == 0:
        return np.inf
    ranks = np.unique(np.linspace(0, n, min(_STEPS, n) + 1).round().astype(int)[1:])
    fewest = np.log(1 - CONFIDENCE) / np.log(precision)  # answers, all right, that can prove anything
    # too few to share the 5 % among several starts: one, where it has a chance
    begin = [share * n for share in _STARTS] if n >= 4 * fewest else [min(max(n / 2, fewest), n)]
    starts = [int(np.searchsorted(ranks, rank)) for rank in begin]
    rights = np.concatenate([[0], np.cumsum(right)])
    best, level = np.inf, 0.0
    for place, rank in enumerate(ranks):
        level += starts.count(place) * (1 - CONFIDENCE) / len(starts)
        # strictly above the answer at this rank, or all of them
        above = n if rank == n else int(np.searchsorted(-confidence, -confidence[rank], side="left"))
        if above == 0:  # nothing is surer than this rank: nothing to test, and no share spent
            continue
        r = int(rights[above])
        if level and r and chance_of_at_least(r, above, precision) <= level:
            best = float(confidence[above - 1])
        else:
            level = 0.0
    return best


def chance_of_at_least(successes: int, n: int, probability: float) -> float:
    """Of `successes` or more in `n` independent trials that each succeed with `probability`, from above 0 to below 1.

    The binomial's upper tail summed term by term, as SciPy's `betainc` gives it to 1e-10: importing SciPy takes longer
    than all else between a command and its first answer.
    """
    logarithms = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])  # of the factorials
    k = np.arange(successes, n + 1)
    ways = logarithms[n] - logarithms[k] - logarithms[n - k]
    terms = np.exp(ways + k * np.log(probability) + (n - k) * np.log1p(-probability))
    return float(terms.sum())


def most(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """The highest precision, to 0.1 %, that `threshold` can promise for any answers at all; 0 for none."""
    low, high = 0, 1000  # in tenths of a per cent; what can be promised at 99 % can be at 98 %
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if threshold(confidence, right, middle / 1000) < np.inf else (low, middle)
    return low / 1000


def rule(
    target: Target,
    calibration_data: CalibrationData | None,
    precision: float = PRECISION,
    per: str = "all",
    yes_from: Sequence[float] | None = None,
) -> AcceptancePolicy:
    """The thresholds that keep `precision`, in 0.5..1 without 1, and what the held-out images cannot support.

    Args:
        yes_from: from which probability on an answer is a yes; by default as it was for the held-out images.

    Raises:
        DataError: `precision` is out of range, or `per` none of PER.
    """
    if not 0.5 <= precision < 1:
        raise DataError(
            f"a precision of {precision:g}: give a share from 0.5 to below 1, for example 0.98. Nothing can promise 1."
        )
    if per not in PER:
        raise DataError(f"thresholds per {per!r}: there is no such rule. {nearest(per, PER)}")
    chosen: Per = "class" if per == "class" else "all"
    accept_from = np.full(len(target.classes), np.inf)
    if yes_from is None:
        yes_from = (
            usual([target]).get(target.name, ())
            if calibration_data is None
            else tuple(calibration_data.yes_from)
        )
    found = None if calibration_data is None else _at(calibration_data, target, yes_from)
    if found is None:
        why = (
            "this model carries no held-out images to decide by, so every answer is for review. "
            "Train it again with a validation part."
            if calibration_data is None
            else "its thresholds were moved, and nothing is promised for others than its own, so every answer is for "
            "review. Leave them as they are to accept answers."
        )
        return AcceptancePolicy(
            precision, chosen, accept_from, 0.0, tuple(yes_from), None, 0.0, (f"{target.name}: {why}",)
        )
    said = found.predicted >= 0
    confidence, right, predicted = found.confidence[said], found.right[said], found.predicted[said]
    unsupported = []
    if chosen == "all":
        accept_from[:] = threshold(confidence, right, precision)
        if accept_from[0] == np.inf:
            unsupported.append(_cannot(target.name, confidence, right, precision))
    else:
        for index, name in enumerate(target.classes):
            mine = predicted == index
            accept_from[index] = threshold(confidence[mine], right[mine], precision)
            if accept_from[index] == np.inf:
                unsupported.append(_cannot(f"class {name}", confidence[mine], right[mine], precision))
    accepted = confidence >= accept_from[predicted]
    review = np.ones(len(found), dtype=bool)
    review[np.flatnonzero(said)[accepted]] = False
    listed = found.of_true[
        review
    ]  # of images as those that get a list; of none nothing is known, and all is listed
    return AcceptancePolicy(
        precision=precision,
        per=chosen,
        accept_from=accept_from,
        listed_from=listed_from(listed[~np.isnan(listed)]),
        yes_from=tuple(yes_from),
        expected_precision=float(right[accepted].mean()) if accepted.any() else None,
        expected_accepted=float(accepted.sum() / len(found)),
        unsupported=tuple(unsupported),
    )


def _cannot(
    what: str, confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_], precision: float
) -> str:
    highest = most(confidence, right)
    n = len(confidence)
    said = (
        f"{what}: {n:,} validation {'answer' if n == 1 else 'answers'} cannot support {100 * precision:g} %"
    )
    return (
        f"{said}; {100 * highest:.1f} % is the most"
        if highest >= 0.5
        else f"{said}, nor any precision worth having"
    )


def listed_from(of_true: NDArray[np.floating[Any]], coverage: float = LISTED) -> float:
    """The probability from which on a class is on the short list, so that `coverage` of lists hold the true class.

    The conformal threshold of least ambiguous sets: the floor((n + 1)(1 - coverage))-th smallest probability that true
    classes were given; 0, which lists every class, where n is too small.
    Source: Sadinle, Lei and Wasserman, Least ambiguous set-valued classifiers, JASA 114 (2019).
    """
    place = int(np.floor((len(of_true) + 1) * (1 - coverage) + 1e-9))
    return float(np.sort(of_true)[place - 1]) if place else 0.0


def triage(
    target: Target,
    probabilities: Probabilities,
    rule: AcceptancePolicy,
    out_of_scope: NDArray[np.bool_] | None = None,
) -> Triage:
    """What becomes of each image.

    Args:
        probabilities: float (n, classes), calibrated: what a Predictor answers.
        not_ours: bool (n,): images unlike any the model knows; None where the model cannot tell.
    """
    rows, several = np.arange(len(probabilities)), target.kind == "multilabel"
    tags: NDArray[np.bool_]
    if several:
        predicted = probabilities.argmax(axis=1).astype(np.int64)
        tags = np.asarray(probabilities.astype(np.float64) >= np.asarray(rule.yes_from))
        confidence: NDArray[np.floating[Any]] = _least_sure(probabilities, tags)
        needed = np.where(tags, rule.accept_from, -np.inf).max(axis=1)
        accepted = tags.any(axis=1) & (confidence >= needed)
    else:
        predicted = decided(target, probabilities, rule.yes_from)
        tags = np.zeros(probabilities.shape, dtype=bool)
        tags[rows, predicted] = True
        confidence = probabilities[rows, predicted]
        accepted = confidence >= rule.accept_from[predicted]
    candidates = np.where(accepted.reshape(-1, 1), tags, tags | np.asarray(probabilities >= rule.listed_from))
    decisions = np.where(accepted, ACCEPT, REVIEW).astype(np.uint8)
    if out_of_scope is not None:
        decisions[out_of_scope] = NOT_OURS
    return Triage(predicted, confidence, decisions, tags, candidates)
