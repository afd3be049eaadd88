"""From which probability on an answer is a yes: choosing it, moving it, applying it.

A target has a threshold per class where an image may have several labels, and one, of the second class, where there
are two classes; where there are more, the most probable class is the answer and nothing can be moved.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError, nearest

USUAL = 0.5
ENOUGH = 10
"""Known images of a label, and as many without it, from which on its own threshold is chosen, not a common one."""

Thresholds = Mapping[str, tuple[float, ...]]
"""Per target's name one number per class (several labels an image), or one of the second class (of two)."""


def count_of(target: Target) -> int:
    """How many thresholds a target has."""
    if target.kind == "multilabel":
        return len(target.classes)
    return 1 if len(target.classes) == 2 else 0


def usual(targets: Sequence[Target]) -> dict[str, tuple[float, ...]]:
    """One half for each."""
    return {t.name: (USUAL,) * count_of(t) for t in targets if count_of(t)}


def choose(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Per label the threshold with the best F1 on these images.

    A label with fewer than ENOUGH known images of either kind gets the one that is best for all labels together; its
    own would be an accident. One half where nothing is known.

    Args:
        labels: (n, classes) 1, 0 or UNKNOWN.
        probabilities: (n, classes) in 0..1.
    """
    known = labels != UNKNOWN
    common = _best(labels[known], probabilities[known])
    chosen = []
    for truth, raw_probabilities, here in zip(labels.T, probabilities.T, known.T, strict=True):
        positive = int((truth == 1).sum())
        few = min(positive, int(here.sum()) - positive) < ENOUGH
        chosen.append(common if few else _best(truth[here], raw_probabilities[here]))
    return tuple(chosen)


def _best(truth: NDArray[np.integer[Any]], raw_probabilities: NDArray[np.floating[Any]]) -> float:
    """The threshold with the best F1, in the middle between two probabilities that occur."""
    if not (truth == 1).any() or (truth == 1).all():
        return USUAL
    downwards = np.argsort(-raw_probabilities, kind="stable")
    raw_probabilities, truth = raw_probabilities[downwards].astype(np.float64), truth[downwards]
    ends = np.flatnonzero(
        np.append(raw_probabilities[1:] < raw_probabilities[:-1], True)
    )  # equal probabilities stand or fall together
    f1 = 2 * np.cumsum(truth)[ends] / (ends + 1 + truth.sum())
    best = int(f1.argmax())
    last = raw_probabilities[ends[best]]
    after = raw_probabilities[ends[best] + 1] if best + 1 < len(ends) else 0.0
    return float((last + after) / 2)


def move(
    targets: Sequence[Target], thresholds: Thresholds, changes: Mapping[str, float]
) -> dict[str, tuple[float, ...]]:
    """`thresholds` with some of them changed.

    Args:
        changes: by the name of a target, of a class, or of both (`label/Bag`) where the class alone is not clear; under
            "" for all. Of two classes, the number given for one is the probability from which on it is the answer.

    Raises:
        DataError: no such name, a name of several, or a number that is not in 0..1.
    """
    with_thresholds = usual(targets) | {name: tuple(values) for name, values in thresholds.items()}
    movable = [target for target in targets if target.name in with_thresholds]
    if changes and not movable:
        raise DataError(
            "no threshold can be moved: the model chooses one of more than two classes, the most probable. "
            "Leave out the threshold."
        )
    for name, number in changes.items():
        if not 0 <= number <= 1:  # NaN is not either
            raise DataError(f"threshold {number:g}: expected a probability from 0 to 1.")
        for target, place in _named(movable, name):
            values = list(with_thresholds[target.name])
            if place is None:
                values = [number] * len(values)
            elif target.kind == "multilabel":
                values[place] = number
            else:
                values = [number if place == 1 else 1 - number]
            with_thresholds[target.name] = tuple(values)
    return with_thresholds


def _named(targets: Sequence[Target], name: str) -> list[tuple[Target, int | None]]:
    """What `name` means: whole targets (None) or one class."""
    if not name:
        return [(target, None) for target in targets]
    whole: list[tuple[Target, int | None]] = [(target, None) for target in targets if target.name == name]
    if whole:
        return whole
    found: list[tuple[Target, int | None]] = [
        (target, place)
        for target in targets
        for place, label in enumerate(target.classes)
        if name in (label, f"{target.name}/{label}")
    ]
    if len(found) == 1:
        return found
    if not found:
        known = [name for target in targets for name in (target.name, *target.classes)]
        raise DataError(f"no threshold is called {name!r}. {nearest(name, known)}")
    several = " or ".join(f"{target.name}/{name}" for target, _ in found)
    raise DataError(f"{name!r} is a label of {len(found)} targets. Say {several}.")


def decided(
    target: Target, probabilities: NDArray[np.floating[Any]], thresholds: Sequence[float] | None
) -> NDArray[np.int64]:
    """Per image the class that is the answer, (n,): with a threshold the second of two, where it reaches it.

    Args:
        probabilities: (n, classes).
    """
    if not thresholds or thresholds[0] == USUAL or len(target.classes) != 2:
        answers: NDArray[np.int64] = probabilities.argmax(axis=1)
    else:
        answers = (probabilities[:, 1].astype(np.float64) >= thresholds[0]).astype(np.int64)
    return answers
