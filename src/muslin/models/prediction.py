"""The predictions for images, as values."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.evaluation.selective import DECISIONS, Triage, concat_triages
from muslin.messages import plain
from muslin.text import plural


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
        vector: float32 (WIDTH,) of `muslin.models.feature_vectors`, where the predictor was asked for it; or None.
    """

    image: str
    predictions: Mapping[str, TargetPrediction]
    notes: tuple[str, ...] = ()
    error: str | None = None
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values, without the vector: one line of `muslin predict --json`."""
        return {name: plain(value) for name, value in vars(self).items() if name != "vector"}


class ClassProbabilities(Mapping[str, float]):
    """The probability of each class by its name, in the target's order, as a dict has it; made when it is asked for.

    Each is the shortest decimal that is the same float32: 0.91 and not 0.9100000262260437.
    """

    __slots__ = ("_by_class", "_classes", "_values")

    def __init__(self, classes: Sequence[str], values: NDArray[np.float32]) -> None:
        self._classes, self._values = classes, values
        self._by_class: dict[str, float] | None = None

    def _all(self) -> dict[str, float]:
        if self._by_class is None:
            self._by_class = dict(zip(self._classes, map(_shortest, self._values), strict=True))
        return self._by_class

    def __getitem__(self, name: str) -> float:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __repr__(self) -> str:
        return repr(self._all())


def target_prediction(target: Target, decided: Triage, row: int) -> TargetPrediction:
    """The prediction in a row of `decided`."""
    # In lists, because NumPy takes longer to begin than a few classes take
    classes, probabilities, predicted = target.classes, decided.probabilities[row], int(decided.predicted[row])
    others = probabilities.tolist()
    others[predicted] = -1.0  # the predicted class comes first, whatever its threshold
    second = others.index(max(others))
    likely, labels = [predicted], None
    if decided.predicted_labels is not None:
        likely = np.flatnonzero(decided.predicted_labels[row]).tolist()
        labels = tuple([classes[i] for i in likely])
    if not decided.accepted[row]:
        likely = sorted({*likely, *np.flatnonzero(probabilities >= decided.set_threshold).tolist()})
    likely.sort(key=lambda i: -probabilities[i])
    has_others = len(classes) > 1
    return TargetPrediction(
        classes[predicted],
        _shortest(probabilities[predicted]),
        classes[second] if has_others else None,
        _shortest(probabilities[second]) if has_others else None,
        ClassProbabilities(classes, probabilities),
        labels,
        DECISIONS[decided.decisions[row]],
        tuple([classes[i] for i in likely]),
    )


class Predictions(Sequence[Prediction]):
    """The predictions for several images, in order. A Prediction is made when it is asked for.

    Attributes:
        arrays: per target's name its probabilities and decisions as arrays, a row for each readable image.
        precision: target of the accepted predictions.

    Args:
        images: of each image a Prediction without predictions, which has its name and notes, or its error.
    """

    def __init__(
        self, targets: Sequence[Target], images: Sequence[Prediction], arrays: Mapping[str, Triage], precision: float
    ) -> None:
        self.arrays, self.precision = arrays, precision
        self._targets, self._images = targets, images
        self._readable = [place for place, image in enumerate(images) if image.error is None]

    @property
    def readable(self) -> NDArray[np.int64]:
        """int64 (k,): the places of the readable images."""
        return np.array(self._readable, np.int64)

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice) -> list[Prediction]: ...
    def __getitem__(self, place: int | slice) -> Prediction | list[Prediction]:
        places = range(len(self))[place]
        return self._make(places) if isinstance(places, int) else [self._make(each) for each in places]

    def __iter__(self) -> Iterator[Prediction]:
        return map(self._make, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Predictions for {plural(len(self), 'image')}>"

    def _make(self, place: int) -> Prediction:
        image = self._images[place]
        if image.error is not None:
            return image
        row = bisect_left(self._readable, place)
        predictions = {t.name: target_prediction(t, self.arrays[t.name], row) for t in self._targets}
        return replace(image, predictions=predictions)

    @classmethod
    def concat(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """One or more predictions of the same targets at the same precision as one."""
        first = parts[0]
        if len(parts) == 1:
            return first
        images = [image for part in parts for image in part._images]
        arrays = {t.name: concat_triages([part.arrays[t.name] for part in parts]) for t in first._targets}
        return cls(first._targets, images, arrays, first.precision)


def _shortest(probability: np.float32) -> float:
    return float(str(probability))
