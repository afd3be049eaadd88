"""What a server answers, as values with the names of `muslin.models.prediction`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muslin.errors import ServerError
from muslin.messages import Message
from muslin.text import escape_controls

Json = Mapping[str, Any]


class ServedMessage(Message):
    """A message as the server wrote it, in the language of the request; its code can be of a newer muslin."""

    _sentence: str
    _hint: str

    def __new__(cls, code: str, sentence: str, hint: str = "", params: Json | None = None) -> "ServedMessage":
        sentence, hint = escape_controls(sentence), escape_controls(hint)
        self = str.__new__(cls, " ".join(filter(None, (sentence, hint))))
        self.code, self.hint_code, self.params = code, None, params or {}
        self._sentence, self._hint = sentence, hint
        return self

    @classmethod
    def of(cls, answer: Json) -> "ServedMessage":
        """From `Message.to_dict`, as JSON.

        Raises:
            KeyError, TypeError: it has other fields.
        """
        return cls(str(answer["code"]), str(answer["message"]), str(answer.get("hint") or ""), answer.get("params"))

    def __reduce__(self) -> Any:
        return ServedMessage, (self.code, self._sentence, self._hint, dict(self.params))

    def text(self, language: str = "en", *, on_page: bool = False) -> str:
        return str(self)

    def sentence(self, language: str = "en", *, on_page: bool = False) -> str:
        return self._sentence

    def hint(self, language: str = "en") -> str:
        return self._hint

    def to_dict(self, language: str = "en", *, on_page: bool = False) -> dict[str, Any]:
        return {"code": self.code, "message": self._sentence, "hint": self._hint, "params": dict(self.params)}


class RefusalError(ServerError):
    """The server refused a request, or failed at it: code, parameters and text are the server's.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, message: ServedMessage, status: int) -> None:
        super().__init__(message.code, message.hint_code, **message.params)
        self.message = message
        self._status = status

    def __reduce__(self) -> Any:
        return type(self), (self.message, self._status)

    def with_params(self, **params: Any) -> "RefusalError":
        """The same error: its text is made already."""
        return self

    @property
    def status(self) -> int:
        return self._status

    def to_dict(self, language: str = "en", *, on_page: bool = False) -> dict[str, Any]:
        return self.message.to_dict(language, on_page=on_page)


@dataclass(frozen=True)
class ServedTargetPrediction:
    """The prediction of one target for one image or product, as `TargetPrediction` has it.

    Attributes:
        label: the predicted class; for a multilabel target the most probable label.
        probability: that of `label`, from 0 to 1; calibrated where the model has calibration data.
        decision: `accept`, `review` or `out of scope`, as `muslin predict` writes it.
        runner_up, runner_up_probability: the most probable of the other classes; None with one class.
        probabilities: that of each class by its name; empty for a product's photo.
        labels: for a multilabel target the predicted labels, otherwise None.
        prediction_set: the classes to choose from in a review, the most probable first.
    """

    label: str
    probability: float
    decision: str
    runner_up: str | None = None
    runner_up_probability: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    prediction_set: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Json) -> "ServedTargetPrediction":
        """From JSON.

        Raises:
            KeyError, TypeError: it has other fields.
        """
        labels = answer.get("labels")
        return cls(
            label=str(answer["label"]),
            probability=float(answer["probability"]),
            decision=str(answer["decision"]),
            runner_up=answer.get("runner_up"),
            runner_up_probability=answer.get("runner_up_probability"),
            probabilities=dict(answer.get("probabilities", {})),
            labels=None if labels is None else tuple(labels),
            prediction_set=tuple(answer.get("prediction_set", ())),
        )


@dataclass(frozen=True)
class ServedPrediction:
    """The predictions for one image, or the error that kept it from being read.

    Attributes:
        image: the image's name as given, or its position (`images[3]`) where it has none.
        predictions: per target's name; empty where there is an error.
        notes: what was done to the image on its way to the network; a `Message` each.
        error: why the image cannot be read, or None; a `Message`.
        model: the model's name on the server; empty where the image was not sent.
        digest: of the model's file, as `muslin inspect` shows it.
    """

    image: str
    predictions: Mapping[str, ServedTargetPrediction] = field(default_factory=dict)
    notes: tuple[Message, ...] = ()
    error: Message | None = None
    model: str = ""
    digest: str = ""

    @classmethod
    def of(cls, answer: Json, image: str, model: str, digest: str) -> "ServedPrediction":
        """From JSON, under the name that the image has here.

        Raises:
            KeyError, TypeError: it has other fields.
        """
        notes = tuple(ServedMessage.of(note) for note in answer.get("notes", ()))
        return cls(image, _targets(answer), notes, _error(answer), model, digest)


@dataclass(frozen=True)
class ServedProduct:
    """The predictions for one product from all its photos, or why there are none.

    Attributes:
        product: its name as given.
        photos: the prediction for each photo, in order.
        predictions: per target's name; empty where no photo can be read.
        reasons: why the product goes to review whatever its probabilities, and which photos took no part.
        error: why there is no prediction, or None.
        model, digest: as of `ServedPrediction`.
    """

    product: str
    photos: tuple[ServedPrediction, ...] = ()
    predictions: Mapping[str, ServedTargetPrediction] = field(default_factory=dict)
    reasons: tuple[Message, ...] = ()
    error: Message | None = None
    model: str = ""
    digest: str = ""

    @classmethod
    def of(cls, answer: Json, product: str, photos: Sequence[ServedPrediction], served: Json) -> "ServedProduct":
        """From JSON, with its photos and the `model` and `digest` of the response.

        Raises:
            KeyError, TypeError: it has other fields.
        """
        reasons = tuple(ServedMessage.of(reason) for reason in answer.get("reasons", ()))
        return cls(product, tuple(photos), _targets(answer), reasons, _error(answer), served["model"], served["digest"])


@dataclass(frozen=True)
class ModelDescription:
    """A model that a server has.

    Attributes:
        name: under which requests ask for it.
        digest: of its file, as `muslin inspect` shows it.
        details: all that the server says of it, as JSON values.
    """

    name: str
    digest: str
    details: Json = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Json) -> "ModelDescription":
        """From JSON.

        Raises:
            KeyError, TypeError: it has other fields.
        """
        return cls(str(answer["model"]), str(answer["digest"]), dict(answer))


def _targets(answer: Json) -> dict[str, ServedTargetPrediction]:
    return {name: ServedTargetPrediction.of(each) for name, each in answer.get("predictions", {}).items()}


def _error(answer: Json) -> ServedMessage | None:
    return None if answer.get("error") is None else ServedMessage.of(answer["error"])
