"""The metrics in plain words: what a model does, what it confuses, what to look at next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation import Evaluation
from muslin.text import interval_text, percent, plural, word_list

CLASSES_NAMED = 12
PAIRS_NAMED = 3
INSIGHTS_SHOWN = 4
CONFIDENT = 0.95  # probability from which an error may be an incorrect label
CALIBRATION_GAP = 0.03  # between mean probability and accuracy; a reader would notice more
OVERFITTING_GAP = 0.05  # between training and validation accuracy
RISEN_LOSS = 1.05  # last validation loss over the lowest
MIN_IMAGES = 50  # of a class; with fewer, the interval is wider than 20 points


@dataclass(frozen=True)
class Insight:
    """A sentence, and the section of the report (its id) that shows more."""

    text: str
    section: str


def majority_baseline(evaluation: Evaluation) -> float:
    """The accuracy of always predicting the most frequent class, in 0..1."""
    return max(row.support for row in evaluation.per_class) / evaluation.n


def model_task(evaluation: Evaluation) -> list[str]:
    """What the model predicts, and how accurately."""
    classes = evaluation.classes
    named = list(classes) if len(classes) <= CLASSES_NAMED else [*classes[: CLASSES_NAMED - 2], "others"]
    return [
        f"The model predicts which of {len(classes)} classes an image shows: {word_list(named)}.",
        f"Its accuracy is {percent(evaluation.accuracy)}. Always predicting the most frequent class would reach "
        f"{percent(majority_baseline(evaluation))}.",
    ]


def confusions_text(evaluation: Evaluation) -> list[str]:
    """The most confused pairs of classes."""
    pairs = evaluation.confused_pairs
    if not pairs:
        return [
            f"Nothing, on these {plural(evaluation.n, 'image')}. By luck, a model with an error rate of up to "
            f"{percent(1 - evaluation.accuracy_interval[0])} could also make no error here."
        ]
    errors = evaluation.n - evaluation.correct
    sentences = [
        f"{evaluation.classes[pair.true]} is predicted as {evaluation.classes[pair.predicted]} "
        f"{plural(pair.count, 'time')}: {percent(pair.fraction)} of its images."
        for pair in pairs[:PAIRS_NAMED]
    ]
    if len(pairs) > PAIRS_NAMED:
        share = sum(pair.count for pair in pairs[:PAIRS_NAMED]) / errors
        sentences.append(f"These three make {percent(share, digits=0)} of all {plural(errors, 'error')}.")
    return sentences


def next_steps(
    evaluation: Evaluation,
    history: Sequence[Mapping[str, Any]],
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
) -> list[Insight]:
    """The few things that deserve a look, the most important first; each only if the metrics support it."""
    candidates = [
        _untested_classes(evaluation),
        _weakest_class(evaluation),
        _confident_errors(labels, probabilities),
        _overfitting(history),
        _risen_loss(history),
        _miscalibration(evaluation),
        _small_classes(evaluation),
    ]
    insights = [insight for insight in candidates if insight]
    fallback = Insight(
        "Try it on your own images: `muslin predict` with this run's folder.", "training-details"
    )
    return insights[:INSIGHTS_SHOWN] or [fallback]


def _untested_classes(evaluation: Evaluation) -> Insight | None:
    absent = [row.name for row in evaluation.per_class if not row.support]
    if not absent:
        return None
    named = absent if len(absent) <= 3 else [*absent[:2], f"{len(absent) - 2} more"]
    them = "it" if len(absent) == 1 else "them"
    return Insight(
        f"The test set has no images of {word_list(named)}, so this report cannot say how well the model predicts "
        f"{them}.",
        "class-metrics",
    )


def _weakest_class(evaluation: Evaluation) -> Insight | None:
    tested = [row for row in evaluation.per_class if row.recall is not None]
    weakest = min(tested, key=lambda row: row.recall or 0.0)
    # Only where its whole interval is below the overall accuracy; otherwise it may be the weakest by chance
    if weakest.recall is None or weakest.recall_interval[1] >= evaluation.accuracy:
        return None
    return Insight(
        f"The weakest class is {weakest.name}: its recall is {percent(weakest.recall)} "
        f"({interval_text(weakest.recall_interval)}). Look at the classes that it is confused with.",
        "confused-pairs",
    )


def _confident_errors(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]
) -> Insight | None:
    errors = (labels >= 0) & (probabilities.argmax(axis=1) != labels)
    count = int((errors & (probabilities.max(axis=1) >= CONFIDENT)).sum())
    if not count:
        return None
    have, of = ("has", "this image") if count == 1 else ("have", "these images")
    return Insight(
        f"{plural(count, 'error')} {have} a probability of {percent(CONFIDENT, digits=0)} or more. Check whether the "
        f"labels of {of} are correct.",
        "confident-errors",
    )


def _overfitting(history: Sequence[Mapping[str, Any]]) -> Insight | None:
    last = history[-1] if history else {}
    train, validation = last.get("train_accuracy"), last.get("validation_accuracy")
    if train is None or validation is None or train - validation < OVERFITTING_GAP:
        return None
    return Insight(
        f"The model overfits: at the end its accuracy is {percent(train)} on training images and "
        f"{percent(validation)} on validation images. More images, more augmentation or fewer epochs may help.",
        "learning-curves",
    )


def _risen_loss(history: Sequence[Mapping[str, Any]]) -> Insight | None:
    losses = [
        (row["validation_loss"], row.get("epoch"))
        for row in history
        if row.get("validation_loss") is not None
    ]
    if len(losses) < 4:
        return None
    best, last = min(losses, key=lambda pair: pair[0]), losses[-1]
    if best[1] is None or last[0] < RISEN_LOSS * best[0]:
        return None
    return Insight(
        f"The validation loss was lowest in epoch {best[1]} of {last[1]}, then rose: fewer epochs may be enough.",
        "learning-curves",
    )


def _miscalibration(evaluation: Evaluation) -> Insight | None:
    mean = sum((b.confidence or 0.0) * b.n for b in evaluation.calibration_bins) / evaluation.n
    low, high = evaluation.accuracy_interval
    if abs(mean - evaluation.accuracy) < CALIBRATION_GAP or low <= mean <= high:
        return None
    kind = "overconfident" if mean > evaluation.accuracy else "underconfident"
    return Insight(
        f"The model is {kind}: its mean probability is {percent(mean)}, its accuracy {percent(evaluation.accuracy)}.",
        "reliability",
    )


def _small_classes(evaluation: Evaluation) -> Insight | None:
    small = [row for row in evaluation.per_class if 0 < row.support < MIN_IMAGES]
    if not small:
        return None
    smallest = min(small, key=lambda row: row.support)
    others = plural(len(small) - 1, "other class", "other classes")
    also = f" (and fewer than {MIN_IMAGES} of {others})" if len(small) > 1 else ""
    return Insight(
        f"There {'is' if smallest.support == 1 else 'are'} only {plural(smallest.support, 'test image')} of "
        f"{smallest.name}{also}: its metrics are imprecise, as the intervals show.",
        "class-metrics",
    )
