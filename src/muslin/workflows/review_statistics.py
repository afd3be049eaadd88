"""What a review store says about its active model, as values: does the guarantee still hold, and has anything shifted.

`review_statistics` is all of it. Sources and measurements: docs/explanation/review-loop.md.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from muslin.data.dataset import Target
from muslin.evaluation.confidence_sequence import Verdict, checks_needed, inspection_size, share_interval, verdict
from muslin.evaluation.intervals import Interval
from muslin.evaluation.selective import DECISIONS, OUT_OF_SCOPE
from muslin.evaluation.shift import (
    ClassShift,
    ConfidenceShift,
    OutOfScopeShift,
    class_shifts,
    confidence_shift,
    out_of_scope_shift,
)
from muslin.messages import Message
from muslin.models.bundle import Bundle, open_bundle
from muslin.models.decision_rules import DecisionRules
from muslin.review.store import Store
from muslin.review.values import Counts, Pace, Tally, labels_of
from muslin.text import short_interval

MAX_CLASSES_NAMED = 3
"""Classes that a sentence on their shares names."""


@dataclass(frozen=True)
class PrecisionCheck:
    """Whether the precision target still holds for the accepted predictions of the active model, by its spot checks.

    Attributes:
        precision: the target, 0..1.
        n, correct: spot checks that count, and the correct ones.
        interval: of the share that is correct; it holds at every look (`muslin.evaluation.confidence_sequence`).
        verdict: `holds`, `unknown` or `broken`.
        more: further checks that are needed if all are correct; None where no number suffices.
        more_at_this_rate: the same if they are like those so far.
        left: members of the random sample among the accepted products that are still to be decided and will count.
        share_needed: the share of all products that the random sample has to be for `more` checks; None where it is
            large enough, where no share suffices, or where only the sealed half counts, because the model
            may have learned from the members that a larger sample gains.
        inspection: random accepted products that confirm the precision with 95 % confidence if they are looked at once
            and none is incorrect.
        accepted: accepted products.
        unclear: checks that were decided as "not sure" or "not ours", which count as incorrect.
        incorrect: products of the incorrect checks.
        sealed_only: whether only the sealed half counts, because the model has learned from the other one.
    """

    precision: float
    n: int
    correct: int
    interval: Interval
    verdict: Verdict
    more: int | None
    more_at_this_rate: int | None
    left: int
    share_needed: float | None
    inspection: int | None
    accepted: int
    unclear: int
    incorrect: tuple[int, ...]
    sealed_only: bool


@dataclass(frozen=True)
class ShiftCheck:
    """How the products differ from the images that the active model was calibrated on.

    Attributes:
        out_of_scope: None where the model detects nothing out of scope.
        classes: the most different first. Empty, and `confidence` None, where the model has no calibration data, or
            only of photos while products have several.
    """

    n: int
    n_calibration: int
    out_of_scope: OutOfScopeShift | None
    classes: tuple[ClassShift, ...]
    confidence: ConfidenceShift | None

    @property
    def is_shifted(self) -> bool:
        """Whether any comparison found a shift."""
        parts = (self.out_of_scope, self.confidence, *self.classes)
        return any(part is not None and part.is_shifted for part in parts)


@dataclass(frozen=True)
class TargetStatistics:
    """What a store says about one target.

    Attributes:
        left_s: seconds that the rest of the queue takes at the person's pace; None without a pace.
        is_only: whether the store has no other target, so that the sentences need not name this one.
    """

    target: str
    counts: Counts
    pace: Pace | None
    left_s: float | None
    precision: PrecisionCheck
    shift: ShiftCheck
    is_only: bool = True

    @property
    def named(self) -> str | None:
        """The target's name as sentences give it."""
        return None if self.is_only else self.target

    @property
    def messages(self) -> tuple[Message, ...]:
        """A sentence on the precision, and one on each kind of shift that was found, or on none."""
        return (*_precision_messages(self.named, self.precision), *_shift_messages(self.named, self.shift))


def review_statistics(store: Store, who: str | None = None) -> dict[str, TargetStatistics]:
    """Per target of the active model, what the store says.

    Args:
        who: the person whose pace counts; None for nobody's.

    Raises:
        StorageError, DataError: as the store's methods.
        BundleError: the active model cannot be opened.
    """
    active, info = store.active, store.info
    bundle = _opened(store.open_model(active.digest))
    precision = DecisionRules(bundle).precision(info.precision, info.guarantee, per_product=True)
    pace = None if who is None else store.pace(who)
    photos, found = store.photos_per_product(), {}
    for target in active.targets:
        counts = store.counts(target.name)
        left_s = None if pace is None or pace.seconds is None else pace.seconds * counts.queue.left
        check = check_precision(store, target.name, precision)
        shift = _check_shift(store, target, bundle, counts, photos)
        is_only = len(active.targets) == 1
        found[target.name] = TargetStatistics(target.name, counts, pace, left_s, check, shift, is_only)
    return found


def check_precision(store: Store, target: str, precision: float) -> PrecisionCheck:
    """Whether the precision still holds for the active model's accepted predictions.

    A model that has learned from decisions of this store is judged by the sealed half of the random sample that there
    was then: no decision in it has trained or calibrated a model. Of a model that has not, all spot checks count, and
    the products that they are drawn from are known.

    Args:
        precision: in 0..1 exclusive.
    """
    learned_share = store.active.record.get("spot_checks")
    checks = store.spot_checks(target, learned_share)
    counts = checks.in_test if learned_share is not None else np.ones(len(checks.products), np.bool_)
    n, correct = int(counts.sum()), int(checks.correct[counts].sum())
    size = checks.size if learned_share is None else round(checks.size / 2)
    population = checks.population if learned_share is None else None
    more = checks_needed(correct, n, precision, population)
    left = max(size - n, 0)
    share_needed = None
    if learned_share is None and more is not None and left < more <= checks.population - n:
        share_needed = math.ceil(1000 * (n + more) / checks.population) / 1000
    interval = share_interval(correct, n, population)
    return PrecisionCheck(
        precision=precision,
        n=n,
        correct=correct,
        interval=interval,
        verdict=verdict(interval, precision),
        more=more,
        more_at_this_rate=checks_needed(correct, n, precision, population, all_correct=False),
        left=left,
        share_needed=share_needed,
        inspection=inspection_size(precision, population=checks.population or None),
        accepted=checks.population,
        unclear=sum(kind != "value" for kind, each in zip(checks.kinds, counts, strict=True) if each),
        incorrect=tuple(checks.products[counts & ~checks.correct].tolist()),
        sealed_only=learned_share is not None,
    )


def _check_shift(store: Store, target: Target, bundle: Bundle, counts: Counts, photos: float) -> ShiftCheck:
    n = sum(tally.total for tally in counts.decisions.values())
    of_photos = bundle.calibration_data.get(target.name)
    data = bundle.product_calibration.get(target.name, of_photos if photos == 1 else None)
    outside = counts.decisions.get(DECISIONS[OUT_OF_SCOPE], Tally()).total
    found = None
    if bundle.ood_detector is not None:
        scores = len(bundle.ood_detector.calibration_scores)
        if of_photos is not None and of_photos.n_groups is not None:
            scores = max(round(scores * of_photos.n_groups / len(of_photos)), 1)
        found = out_of_scope_shift(outside, n, scores, photos_per_product=photos)
    if data is None:
        return ShiftCheck(n, 0, found, (), None)
    groups = data.group if data.n_groups is not None else None
    observed = _labels_predicted(target, counts)
    classes = class_shifts(observed, data.predicted, target.classes, groups)
    confidence = confidence_shift(store.confidences(target.name), data.confidence, groups)
    return ShiftCheck(n, len(data), found, classes, confidence)


def _labels_predicted(target: Target, counts: Counts) -> Mapping[str, int]:
    """Products per predicted class; of several labels one drawn at random, as in `CalibrationData.predicted`."""
    random, observed = np.random.default_rng(0), Counter[str]()
    for value, tally in counts.values.items():
        if names := labels_of(target, value):
            drawn = random.multinomial(tally.total, np.full(len(names), 1 / len(names))).tolist()
            observed.update(dict(zip(names, drawn, strict=True)))
    return observed


@lru_cache(maxsize=2)
def _opened(path: Path) -> Bundle:
    """The model in a file of the cache, whose name is its digest."""
    return open_bundle(path)


def _precision_messages(target: str | None, check: PrecisionCheck) -> list[Message]:
    if not check.accepted and not check.n:
        return [Message("review_none_accepted", target=target, precision=check.precision)]
    shown: dict[str, Any] = {"precision": check.precision, "n": check.n, "correct": check.correct}
    shown |= {"target": target, "interval": short_interval(check.interval)}
    if check.verdict == "holds":
        messages = [Message("review_precision_holds", **shown)]
    elif check.verdict == "broken":
        messages = [Message("review_precision_broken", **shown, count=len(check.incorrect))]
    else:
        messages = [_unknown_precision(check, shown)]
    if check.unclear:
        messages.append(Message("review_unclear_checks", target=target, count=check.unclear))
    return messages


def _unknown_precision(check: PrecisionCheck, shown: Mapping[str, Any]) -> Message:
    more, about = check.more, check.more_at_this_rate
    advice = "share" if check.share_needed is not None else "sealed" if check.sealed_only else "products"
    hint = "more" if (more or 0) <= check.left else advice
    needed = {"more": more, "about": None if about == more else about, "left": check.left, "share": check.share_needed}
    code = "review_precision_unknown" if check.n else "review_no_spot_checks"
    return Message(code, None if more is None else hint, **shown, **needed)


def _shift_messages(target: str | None, shift: ShiftCheck) -> list[Message]:
    messages, outside, confidence = [], shift.out_of_scope, shift.confidence
    if outside is not None and outside.is_shifted:
        shares = {"share": outside.observed / outside.n, "interval": short_interval(outside.interval)}
        expected = {"expected": outside.expected, "expected_interval": short_interval(outside.expected_interval)}
        messages.append(Message("review_shift_out_of_scope", target=target, n=outside.n, **shares, **expected))
    shifted = [each for each in shift.classes if each.is_shifted]
    if shifted:
        changes = [Message("review_class_share", name=s.name, share=s.observed, expected=s.expected) for s in shifted]
        more = max(len(changes) - MAX_CLASSES_NAMED, 0) or None
        messages.append(Message("review_shift_classes", target=target, changes=changes[:MAX_CLASSES_NAMED], more=more))
    if confidence is not None and confidence.is_shifted:
        points = {"low": 100 * confidence.interval[0], "high": 100 * confidence.interval[1]}
        means = {"mean": confidence.observed, "expected": confidence.expected}
        messages.append(Message("review_shift_confidence", target=target, **means, **points))
    if not messages and shift.n and (outside is not None or shift.classes):
        messages.append(Message("review_no_shift", target=target, n=shift.n, n_calibration=shift.n_calibration or None))
    return messages
