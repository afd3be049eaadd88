"""What two classes allow to say: how the answers change as the threshold moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.curves import average_precisions, resamples, roc_areas, with_interval
from muslin.evaluation.intervals import Interval, wilson

STEPS = 20


@dataclass(frozen=True)
class OperatingPoint:
    """The answers where the second class is said from `threshold` on.

    Attributes:
        predicted, right: images called the second class, and those of them that are.
        accuracy: images of both classes that are told right, as a share.
        precision: right / predicted, None where nothing is called so; recall: right / images of the second class.
        false_positive_rate: of the images of the first class, the share called the second.
        accuracy_interval, precision_interval, recall_interval: 95 %, Wilson.
    """

    threshold: float
    predicted: int
    right: int
    accuracy: float
    accuracy_interval: Interval
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    false_positive_rate: float | None


@dataclass(frozen=True)
class Binary:
    """A task of two classes over all thresholds.

    Attributes:
        positive: the second class, of which the threshold is.
        threshold: from which probability on it was the answer in this evaluation.
        roc_area: the chance that an image of it gets a higher probability than one of the first class; None without
            images of both.
        average_precision: mean precision over all recalls; None without an image of it.
        roc_area_interval, average_precision_interval: 95 %, bootstrap over images.
        points: from threshold 0.00 to 1.00 in steps of 0.05.
    """

    positive: str
    threshold: float
    roc_area: float | None
    roc_area_interval: Interval
    average_precision: float | None
    average_precision_interval: Interval
    points: tuple[OperatingPoint, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Binary":
        """The Binary that `dataclasses.asdict` took apart."""
        pair = ("accuracy_interval", "precision_interval", "recall_interval")
        points = tuple(
            OperatingPoint(**{**row, **{name: tuple(row[name]) for name in pair}}) for row in values["points"]
        )
        areas = {name: tuple(values[name]) for name in ("roc_area_interval", "average_precision_interval")}
        return cls(**{**values, **areas, "points": points})


def binary(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    threshold: float,
) -> Binary:
    """How the answers of a task of two classes depend on the threshold.

    Args:
        labels: (n,) 0 or 1, n at least 1.
        probabilities: (n, 2).
    """
    scores = probabilities[:, 1]
    samples = resamples(len(labels), len(labels))
    area, area_interval = with_interval(roc_areas, labels, scores, samples)
    precision, precision_interval = with_interval(average_precisions, labels, scores, samples)
    return Binary(
        positive=classes[1],
        threshold=threshold,
        roc_area=area,
        roc_area_interval=area_interval,
        average_precision=precision,
        average_precision_interval=precision_interval,
        points=tuple(operating_point(labels, scores, step / STEPS) for step in range(STEPS + 1)),
    )


def operating_point(
    labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], threshold: float
) -> OperatingPoint:
    """The answers at one threshold: labels (n,) 0 or 1, scores (n,) the probability of 1."""
    said = scores.astype(np.float64) >= threshold
    n, support, predicted = len(labels), int((labels == 1).sum()), int(said.sum())
    right = int((said & (labels == 1)).sum())
    all_right = n - support - (predicted - right) + right
    return OperatingPoint(
        threshold=threshold,
        predicted=predicted,
        right=right,
        accuracy=all_right / n,
        accuracy_interval=wilson(all_right, n),
        precision=right / predicted if predicted else None,
        precision_interval=wilson(right, predicted),
        recall=right / support if support else None,
        recall_interval=wilson(right, support),
        false_positive_rate=(predicted - right) / (n - support) if n > support else None,
    )
