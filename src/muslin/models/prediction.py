"""The predictions for one image, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.evaluation.selective import DECISIONS, Triage
from muslin.messages import plain


@dataclass(frozen=True)
class TargetPrediction:
    """The prediction of one target for one image.

    Of two classes whose threshold was changed, `label` is the class that the threshold decides for. Probabilities are
    between 0 and 1, and calibrated where the bundle has calibration data. With one class there is no runner-up (None).

    Attributes:
        labels: for a multilabel target, the labels whose probability reaches their threshold, in the target's order;
            otherwise None.
        decision: one of `muslin.evaluation.selective.DECISIONS`.
        prediction_set: the classes to choose from in a review, the most probable first; for an accepted prediction
            its label or labels only.
    """

    label: str
    probability: float
    runner_up: str | None
    runner_up_probability: float | None
    probabilities: Mapping[str, float] = field(repr=False)
    labels: tuple[str, ...] | None = None
    decision: str = "review"
    prediction_set: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values, without `labels` where there are none."""
        return {name: plain(value) for name, value in vars(self).items() if (name, value) != ("labels", None)}


@dataclass(frozen=True)
class Prediction:
    """The predictions for one image, or the error that kept it from being read.

    Attributes:
        image: the image's name as given, or its position (`images[3]`) where it has none.
        predictions: per target's name; empty where there is an error.
        notes: what was done to the image on its way to the network; a `muslin.messages.Message` each.
        error: why the image cannot be read, or None; a `muslin.messages.Message`.
    """

    image: str
    predictions: Mapping[str, TargetPrediction]
    notes: tuple[str, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values: one line of `muslin predict --json`."""
        return {name: plain(value) for name, value in vars(self).items()}


def target_prediction(
    target: Target, probabilities: NDArray[np.float32], decided: Triage, row: int
) -> TargetPrediction:
    """Of calibrated probabilities (classes,) and the decision in a row of `decided`."""
    # By way of the shortest decimal that is the same float32: 0.91 and not 0.9100000262260437
    by_class = {name: float(str(p)) for name, p in zip(target.classes, probabilities, strict=True)}
    ranking = sorted(by_class.items(), key=lambda item: -item[1])
    labels = None
    if target.kind == "multilabel":
        labels = tuple(name for name, yes in zip(target.classes, decided.labels[row], strict=True) if yes)
    else:  # the predicted class first, whatever its threshold
        predicted = target.classes[decided.predicted[row]]
        ranking.sort(key=lambda item: item[0] != predicted)
    (label, probability), *others = ranking[:2]
    runner_up, runner_up_probability = others[0] if others else (None, None)
    prediction_set = [target.classes[i] for i in np.flatnonzero(decided.prediction_sets[row])]
    prediction_set.sort(key=lambda name: -by_class[name])
    return TargetPrediction(
        label, probability, runner_up, runner_up_probability, by_class, labels,
        DECISIONS[decided.decisions[row]], tuple(prediction_set),
    )  # fmt: skip
