"""What to look at next: the few findings that the metrics of a model support."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation import Evaluation
from muslin.evaluation.intervals import wilson_interval
from muslin.messages import Message

INSIGHTS_SHOWN = 4
CONFIDENT = 0.95  # probability from which an error may be an incorrect label
CALIBRATION_GAP = 0.03  # between mean probability and accuracy; a reader would notice more
OVERFITTING_GAP = 0.05  # between training and validation accuracy
RISEN_LOSS = 1.05  # last validation loss over the lowest
MIN_IMAGES = 50  # of a class; with fewer, the interval is wider than 20 points

Insight = tuple[Message, str]
"""A sentence, and the section of the report (its id) that shows more."""


def majority_baseline(evaluation: Evaluation) -> float:
    """The accuracy of always predicting the most frequent class, in 0..1."""
    return evaluation.majority / evaluation.n


def next_steps(
    evaluation: Evaluation,
    history: Sequence[Mapping[str, Any]],
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
) -> list[Insight]:
    """The few things that deserve a look, the most important first; each only if the metrics support it."""
    found = chain(
        _weak_classes(evaluation),
        _confident_errors(labels, probabilities),
        _training_faults(history),
        _unreliable_metrics(evaluation),
    )
    return list(islice(found, INSIGHTS_SHOWN)) or [(Message("insight_none"), "training-details")]


def _weak_classes(evaluation: Evaluation) -> Iterator[Insight]:
    if absent := [row.name for row in evaluation.per_class if not row.support]:
        more = len(absent) - 3 if len(absent) > 3 else None
        yield Message("insight_untested_classes", names=absent[:3], more=more), "class-metrics"
    tested = [row for row in evaluation.per_class if row.recall is not None]
    weakest = min(tested, key=lambda row: row.recall or 0.0)
    low, high = weakest.recall_interval
    # Only where its whole interval is below the overall accuracy; otherwise it may be the weakest by chance
    if high < evaluation.accuracy:
        recall = {
            "name": weakest.name,
            "recall": weakest.recall,
            "count": weakest.support,
            "low": 100 * low,
            "high": 100 * high,
        }
        yield Message("insight_weakest_class", **recall), "confused-pairs"


def _confident_errors(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> Iterator[Insight]:
    errors = (labels >= 0) & (probabilities.argmax(axis=1) != labels)
    if count := int((errors & (probabilities.max(axis=1) >= CONFIDENT)).sum()):
        yield Message("insight_confident_errors", count=count, percent=100 * CONFIDENT), "confident-errors"


def _training_faults(history: Sequence[Mapping[str, Any]]) -> Iterator[Insight]:
    last = history[-1] if history else {}
    train, validation = last.get("train_accuracy"), last.get("validation_accuracy")
    if train is not None and validation is not None and train - validation >= OVERFITTING_GAP:
        count = last.get("validation_images") or 0
        low, high = (100 * end for end in wilson_interval(round(validation * count), count))
        known = {"count": count, "low": low, "high": high} if count else {}
        known |= {"train_count": last["train_images"]} if "train_images" in last else {}
        yield Message("insight_overfitting", train=train, validation=validation, **known), "learning-curves"
    rows = [row for row in history if row.get("validation_loss") is not None and row.get("epoch")]
    if len(rows) >= 4:
        best = min(rows, key=lambda row: row["validation_loss"])
        if rows[-1]["validation_loss"] >= RISEN_LOSS * best["validation_loss"]:
            yield Message("insight_risen_loss", best=best["epoch"], last=rows[-1]["epoch"]), "learning-curves"


def _unreliable_metrics(evaluation: Evaluation) -> Iterator[Insight]:
    mean = sum((b.confidence or 0.0) * b.n for b in evaluation.calibration_bins) / evaluation.n
    low, high = evaluation.accuracy_interval
    if abs(mean - evaluation.accuracy) >= CALIBRATION_GAP and not low <= mean <= high:
        code = "insight_overconfident" if mean > evaluation.accuracy else "insight_underconfident"
        ends = {"low": 100 * low, "high": 100 * high, "count": evaluation.n}
        yield Message(code, mean=mean, accuracy=evaluation.accuracy, **ends), "reliability"
    if small := [row for row in evaluation.per_class if 0 < row.support < MIN_IMAGES]:
        smallest, others = min(small, key=lambda row: row.support), len(small) - 1
        counts = {"count": smallest.support, "others": others or None, "limit": MIN_IMAGES}
        yield Message("insight_small_class", name=smallest.name, **counts), "class-metrics"
