"""What the figures say in plain words: what a model does, what it confuses, what to look at next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation import ClassFigures, Evaluation
from muslin.text import interval_text, percent, plural, word_list

CLASSES_NAMED = 12
SURE = 0.95  # a probability from which on a wrong answer is worth a look at the label itself
MISSTATED = 0.03  # gap between the mean probability stated and the accuracy that a reader would notice
BY_HEART = 0.05  # gap between training and validation accuracy
FEW = 50  # test images of a class; fewer leave an interval of more than 20 points


@dataclass(frozen=True)
class Insight:
    """A sentence, and the part of the report (its id) that shows more of it."""

    text: str
    see: str


def majority_baseline(evaluation: Evaluation) -> float:
    """How often always naming the most frequent class would have been right, in 0..1."""
    return max(figures.support for figures in evaluation.per_class) / evaluation.n


def model_task(evaluation: Evaluation) -> list[str]:
    classes = evaluation.classes
    named = list(classes) if len(classes) <= CLASSES_NAMED else [*classes[: CLASSES_NAMED - 2], "others"]
    return [
        f"Given an image, it says which of {len(classes)} classes the image shows: {word_list(named)}.",
        f"It is right {percent(evaluation.accuracy)} of the time; always naming the most frequent class "
        f"would be right {percent(majority_baseline(evaluation))} of the time.",
    ]


def confusions_text(evaluation: Evaluation) -> list[str]:
    if not evaluation.confused_pairs:
        return [
            f"Nothing, on these {plural(evaluation.n, 'image')}. By luck, a model that is wrong on up to "
            f"{percent(1 - evaluation.accuracy_interval[0])} of such images could show no mistake here."
        ]
    wrong = evaluation.n - evaluation.right
    said = [
        f"{_name(evaluation, pair.true)} is taken for {_name(evaluation, pair.predicted)} "
        f"{plural(pair.count, 'time')}: {percent(pair.share)} of its images."
        for pair in evaluation.confused_pairs[:3]
    ]
    if len(evaluation.confused_pairs) > 3:
        together = sum(pair.count for pair in evaluation.confused_pairs[:3])
        said.append(
            f"These three make {percent(together / wrong, digits=0)} of all {plural(wrong, 'mistake')}."
        )
    return said


def next_steps(
    evaluation: Evaluation,
    history: Sequence[Mapping[str, Any]],
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
) -> list[Insight]:
    """The few things that deserve a look, the weightiest first. Each is said only if the figures say it."""
    hints = [
        _untested(evaluation),
        _weakest(evaluation),
        _sure_mistakes(labels, probabilities),
        _by_heart(history),
        _past_its_best(history),
        _misstated(evaluation),
        _few(evaluation),
    ]
    found = [hint for hint in hints if hint]
    return found[:4] or [
        Insight("Try it on images of your own: `muslin predict` with this run's folder.", "made")
    ]


def _untested(evaluation: Evaluation) -> Insight | None:
    absent = [figures.name for figures in evaluation.per_class if not figures.support]
    if not absent:
        return None
    named = absent if len(absent) <= 3 else [*absent[:2], f"{len(absent) - 2} more"]
    return Insight(
        f"There are no test images of {word_list(named)}, so nothing here says how well "
        f"{'it is' if len(absent) == 1 else 'they are'} told.",
        "figures",
    )


def _weakest(evaluation: Evaluation) -> Insight | None:
    tested = [figures for figures in evaluation.per_class if figures.recall is not None]
    weakest = min(tested, key=lambda figures: figures.recall or 0.0)
    # Only where its whole interval lies below the accuracy over all; otherwise the weakest is so by chance
    if weakest.recall is None or weakest.recall_interval[1] >= evaluation.accuracy:
        return None
    return Insight(
        f"The weakest class is {weakest.name}: {percent(weakest.recall)} of its images are found "
        f"({interval_text(weakest.recall_interval)}). Look at what they are taken for.",
        "confused",
    )


def _sure_mistakes(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]
) -> Insight | None:
    sure = (labels >= 0) & (probabilities.argmax(axis=1) != labels) & (probabilities.max(axis=1) >= SURE)
    count = int(sure.sum())
    if not count:
        return None
    return Insight(
        f"{plural(count, 'mistake')} {'was' if count == 1 else 'were'} made with {percent(SURE, digits=0)} "
        "certainty or more. Look whether the labels of these images are right.",
        "mistakes",
    )


def _by_heart(history: Sequence[Mapping[str, Any]]) -> Insight | None:
    last = history[-1] if history else {}
    train, validation = last.get("train_accuracy"), last.get("validation_accuracy")
    if train is None or validation is None or train - validation < BY_HEART:
        return None
    return Insight(
        f"It knows its training images better than new ones ({percent(train)} against "
        f"{percent(validation)} at the end): more images, more variation of them or fewer epochs may help.",
        "learning",
    )


def _past_its_best(history: Sequence[Mapping[str, Any]]) -> Insight | None:
    losses = [
        (row["validation_loss"], row.get("epoch"))
        for row in history
        if row.get("validation_loss") is not None
    ]
    if len(losses) < 4:
        return None
    best, last = min(losses, key=lambda pair: pair[0]), losses[-1]
    if best[1] is None or last[0] < 1.05 * best[0]:
        return None
    return Insight(
        f"The validation loss was lowest in epoch {best[1]} of {last[1]}, then rose: fewer epochs may do.",
        "learning",
    )


def _misstated(evaluation: Evaluation) -> Insight | None:
    raw_probabilities = sum((b.confidence or 0.0) * b.n for b in evaluation.calibration) / evaluation.n
    low, high = evaluation.accuracy_interval
    if abs(raw_probabilities - evaluation.accuracy) < MISSTATED or low <= raw_probabilities <= high:
        return None
    kind = "too sure" if raw_probabilities > evaluation.accuracy else "not sure enough"
    return Insight(
        f"It is {kind}: on average it states {percent(raw_probabilities)} and is right {percent(evaluation.accuracy)} "
        "of the time. Do not take its probabilities at their word.",
        "reliability",
    )


def _few(evaluation: Evaluation) -> Insight | None:
    few: list[ClassFigures] = [figures for figures in evaluation.per_class if 0 < figures.support < FEW]
    if not few:
        return None
    fewest = min(few, key=lambda figures: figures.support)
    others = f" (and fewer than {FEW} of {plural(len(few) - 1, 'other class', 'other classes')})"
    return Insight(
        f"There {'is' if fewest.support == 1 else 'are'} only {plural(fewest.support, 'test image')} of "
        f"{fewest.name}{others if len(few) > 1 else ''}: its figures are rough, as their intervals show.",
        "figures",
    )


def _name(evaluation: Evaluation, index: int) -> str:
    return evaluation.classes[index]
