"""The predictions for images, as values."""

from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.evaluation.selective import DECISIONS, Triage, concat_triages
from muslin.messages import plain
from muslin.text import plural


class TargetPrediction:
    """The prediction of one target for one image: a row of a Triage, of which each value is made when it is asked for.

    Probabilities are between 0 and 1, and calibrated where the bundle has calibration data.

    Args:
        target, decided, row: the prediction is in this row of `decided`, which is of this target.
        choices: labels that are in the prediction set whatever their probability.
    """

    def __init__(self, target: Target, decided: Triage, row: int, choices: Sequence[str] = ()) -> None:
        self._target, self._decided, self._row, self._choices = target, decided, row, choices

    @property
    def label(self) -> str:
        """The most probable class; of two classes whose threshold was changed, the one that the threshold decides for.

        For a multilabel target the most probable label.
        """
        return self._target.classes[self._decided.predicted.item(self._row)]

    @property
    def probability(self) -> float:
        """That of `label`."""
        return _shortest(self._decided.probabilities[self._row, self._decided.predicted.item(self._row)])

    @property
    def runner_up(self) -> str | None:
        """The most probable of the other classes; None with one class."""
        return None if self._second is None else self._target.classes[self._second]

    @property
    def runner_up_probability(self) -> float | None:
        """Its probability."""
        return None if self._second is None else _shortest(self._decided.probabilities[self._row, self._second])

    @cached_property
    def probabilities(self) -> Mapping[str, float]:
        """That of each class by its name, in the target's order."""
        return ClassProbabilities(self._target.classes, self._decided.probabilities[self._row])

    @property
    def labels(self) -> tuple[str, ...] | None:
        """For a multilabel target, the labels whose probability reaches their threshold, in the target's order;
        otherwise None.
        """
        if self._decided.predicted_labels is None:
            return None
        return tuple(self._target.classes[i] for i in np.flatnonzero(self._decided.predicted_labels[self._row]))

    @property
    def decision(self) -> str:
        """One of `muslin.evaluation.selective.DECISIONS`."""
        return DECISIONS[self._decided.decisions.item(self._row)]

    @cached_property
    def prediction_set(self) -> tuple[str, ...]:
        """The classes to choose from in a review, the most probable first; for an accepted prediction its label or
        labels only.
        """
        decided, row, classes, numbers = self._decided, self._row, self._target.classes, self._numbers
        likely = [decided.predicted.item(row)]
        if decided.predicted_labels is not None:
            likely = decided.predicted_labels[row].nonzero()[0].tolist()
        if not decided.accepted.item(row):
            lowest, labels = decided.set_threshold, set(likely)
            likely = [i for i, number in enumerate(numbers) if number >= lowest or i in labels]
        likely.sort(key=numbers.__getitem__, reverse=True)
        return tuple(dict.fromkeys([*(classes[i] for i in likely), *self._choices]))

    @cached_property
    def _numbers(self) -> list[float]:
        """The probabilities as Python's numbers, which are found faster."""
        numbers: list[float] = self._decided.probabilities[self._row].tolist()
        return numbers

    @cached_property
    def _second(self) -> int | None:
        """The place of the runner-up."""
        numbers, predicted = self._numbers, self._decided.predicted.item(self._row)
        others = [*numbers[:predicted], -1.0, *numbers[predicted + 1 :]]  # whatever its threshold, it comes first
        return others.index(max(others)) if len(others) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values, without `labels` where there are none."""
        classes, labels, second = self._target.classes, self.labels, self._second
        predicted = self._decided.predicted.item(self._row)
        probabilities = list(map(_shortest, self._decided.probabilities[self._row]))
        values: dict[str, Any] = {
            "label": classes[predicted],
            "probability": probabilities[predicted],
            "runner_up": None if second is None else classes[second],
            "runner_up_probability": None if second is None else probabilities[second],
            "probabilities": dict(zip(classes, probabilities, strict=True)),
        }
        if labels is not None:
            values["labels"] = list(labels)
        return values | {"decision": self.decision, "prediction_set": list(self.prediction_set)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TargetPrediction) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<TargetPrediction {self.label!r} {self.probability}: {self.decision}>"


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

    def to_dict(self, language: str = "en", *, on_page: bool = False) -> dict[str, Any]:
        """The same as JSON values, without the vector: one line of `muslin predict --json`."""
        return {
            "image": self.image,
            "predictions": {name: prediction.to_dict() for name, prediction in self.predictions.items()},
            "notes": [plain(note, language, on_page=on_page) for note in self.notes],
            "error": plain(self.error, language, on_page=on_page),
        }


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

    def items(self) -> ItemsView[str, float]:
        return self._all().items()  # a Mapping's own asks for each

    def __repr__(self) -> str:
        return repr(self._all())


class UnnamedImages(Sequence[Prediction]):
    """Readable images that have no name but their position: of each a Prediction without predictions, made when it is
    asked for.
    """

    def __init__(self, count: int) -> None:
        self._places = range(count)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice) -> list[Prediction]: ...
    def __getitem__(self, place: int | slice) -> Prediction | list[Prediction]:
        places = self._places[place]
        if isinstance(places, int):
            return Prediction(self.name_of(places), {})
        return [self[each] for each in places]

    def name_of(self, place: int) -> str:
        """What an image is called, as of `muslin.models.image_inputs.named_images`."""
        return f"images[{place}]"


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
        self._unnamed = images if type(images) is UnnamedImages else None  # isinstance takes longer for a Sequence
        if self._unnamed is None:
            self._readable: Sequence[int] = [place for place, image in enumerate(images) if image.error is None]
        else:
            self._readable = range(len(images))

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
        if self._unnamed is not None:
            return Prediction(self._unnamed.name_of(place), self._predictions(place))
        image = self._images[place]
        if image.error is not None:
            return image
        predictions = self._predictions(bisect_left(self._readable, place))
        return Prediction(image.image, predictions, image.notes, vector=image.vector)

    def _predictions(self, row: int) -> dict[str, TargetPrediction]:
        return {target.name: TargetPrediction(target, self.arrays[target.name], row) for target in self._targets}

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
