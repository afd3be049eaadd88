"""From the predictions for a product's photos to one prediction for the product."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from muslin.data.dataset import Target
from muslin.data.photo_roles import PACKAGING, ProductPhoto, role_in_name
from muslin.errors import ImageError
from muslin.evaluation.products import combine
from muslin.evaluation.selective import DECISIONS, AcceptancePolicy, CalibrationData, calibrate_probabilities, triage
from muslin.messages import Message, examples, plain
from muslin.models.prediction import Prediction, TargetPrediction
from muslin.text import percent

_ACCEPT, _REVIEW, _OUT_OF_SCOPE = DECISIONS


@dataclass(frozen=True)
class ProductPrediction:
    """The predictions for one product from all its photos, or why there are none.

    Attributes:
        product: its name as given.
        photos: the Prediction of each photo, in order.
        predictions: per target's name; empty where no photo can be read.
        reasons: why the product goes to review whatever its probabilities, and which photos took no part; a
            `muslin.messages.Message` each.
        error: why there is no prediction, or None; a `muslin.messages.Message`.
    """

    product: str
    photos: tuple[Prediction, ...]
    predictions: Mapping[str, TargetPrediction] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    error: str | None = None

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The names of the photos that cannot be read."""
        return tuple(photo.image for photo in self.photos if photo.error is not None)

    def to_dict(self, language: str = "en", *, on_page: bool = False) -> dict[str, Any]:
        """The same as JSON values; of a photo's predictions only the label, its probability and the decision."""
        values: dict[str, Any] = {name: plain(value, language, on_page=on_page) for name, value in vars(self).items()}
        values["photos"] = [photo.to_dict(language, on_page=on_page) for photo in self.photos]
        for photo in values["photos"]:
            for prediction in photo["predictions"].values():
                for name in prediction.keys() - {"label", "labels", "probability", "decision"}:
                    del prediction[name]
        return values


@dataclass(frozen=True)
class ProductRule:
    """What decides on the products of a model.

    Attributes:
        calibration: per target's name, the calibration data of products; absent where the model knows no products.
        policies: per target's name, the policy for products; of targets without calibration data of products, that
            for photos.
    """

    targets: tuple[Target, ...]
    calibration: Mapping[str, CalibrationData]
    policies: Mapping[str, AcceptancePolicy]

    def predict(self, product: str, photos: Sequence[Prediction], roles: Sequence[str] = ()) -> ProductPrediction:
        """The prediction for a product with one or more photos, of which the roles are given where they are known."""
        readable = [photo for photo in photos if photo.error is None]
        reasons = []
        if unreadable := [photo for photo in photos if photo.error is not None]:
            named = examples(" ".join(str(photo.error).split()).rstrip(".") for photo in unreadable)
            if not readable:
                error = unreadable[0].error if len(photos) == 1 else Message("product_without_photo", **named)
                return ProductPrediction(product, tuple(photos), error=error)
            reasons.append(Message("product_photos_unreadable", **named))
        outside = [photo for photo in readable if _is_out_of_scope(photo)]
        is_outside = 2 * len(outside) >= len(readable)
        if outside and not is_outside:
            reasons.append(Message("product_photos_out_of_scope", **examples(photo.image for photo in outside)))
            readable = [photo for photo in readable if photo not in outside]
        is_outside = is_outside and bool(outside)
        packaging = [photo for photo, role in zip(photos, roles, strict=False) if role == PACKAGING]
        only_packaging = not is_outside and all(photo in packaging for photo in readable)
        if only_packaging:
            reasons.append(Message("product_photos_of_packaging", **examples(photo.image for photo in readable)))
        predictions = {}
        for target in self.targets:
            predictions[target.name], reason = self._predict(target, readable, is_outside, for_review=only_packaging)
            reasons += [reason] if reason else []
        return ProductPrediction(product, tuple(photos), predictions, tuple(reasons))

    def _predict(
        self, target: Target, photos: Sequence[Prediction], is_outside: bool, *, for_review: bool
    ) -> tuple[TargetPrediction, Message | None]:
        data, policy = self.calibration.get(target.name), self.policies[target.name]
        each = [photo.predictions[target.name] for photo in photos]
        if data is None and len(each) == 1 and not for_review:
            return each[0], None
        probabilities = np.array([list(one.probabilities.values()) for one in each], dtype=np.float32)
        numbers = np.zeros(len(each), dtype=np.int64)
        combined = combine(probabilities, numbers, multilabel=target.kind == "multilabel")
        shown = {"target": target.name if len(self.targets) > 1 else None} | examples(_labels_of(photos, target.name))
        reason = None
        if not is_outside and combined.contradictory[0]:
            reason = Message("product_photos_contradict", **shown)
        elif not is_outside and data is None and _decided_differently(each):
            reason = Message("product_photos_decided_differently", **shown)
        if reason or for_review or (data is None and any(one.decision != _ACCEPT for one in each)):
            policy = replace(policy, accept_thresholds=np.full(len(target.classes), np.inf))
        elif data is None:  # every photo is accepted with the same label, and so is the product
            policy = replace(policy, accept_thresholds=np.zeros(len(target.classes)))
        calibrated = calibrate_probabilities(target, combined.probabilities, data)
        decided = triage(target, calibrated, policy, np.array([is_outside]))
        labels = [name for one in each for name in ((one.label,) if one.labels is None else one.labels)]
        return TargetPrediction(target, decided, 0, labels if reason else ()), reason


def predict_products(
    predict_photos: Callable[[Iterable[tuple[str, Any]]], Iterator[Prediction]],
    products: Iterable[tuple[str, Iterable[ProductPhoto | tuple[str, Any]]]],
    rule: ProductRule,
) -> Iterator[ProductPrediction]:
    """The prediction for each product, whose photos are each a ProductPhoto, or a name, which can say the role, and an
    image.

    Photos of all products go through `predict_photos` in one stream; a product's predictions are kept until its last.
    """
    waiting: deque[tuple[str, list[str]]] = deque()

    def photos_of_all() -> Iterator[tuple[str, Any]]:
        for name, images in products:
            photos = [each if isinstance(each, ProductPhoto) else _with_role(*each) for each in images]
            photos = photos or [ProductPhoto(name, ImageError("photo_not_named"))]
            waiting.append((name, [photo.role for photo in photos]))
            yield from ((photo.name, photo.image) for photo in photos)

    photos: list[Prediction] = []
    for photo in predict_photos(photos_of_all()):
        photos.append(photo)
        if len(photos) == len(waiting[0][1]):
            name, roles = waiting.popleft()
            yield rule.predict(name, photos, roles)
            photos = []


def _with_role(name: str, image: Any) -> ProductPhoto:
    return ProductPhoto(name, image, role_in_name(name))


def _is_out_of_scope(photo: Prediction) -> bool:
    return any(prediction.decision == _OUT_OF_SCOPE for prediction in photo.predictions.values())


def _decided_differently(photos: Sequence[TargetPrediction]) -> bool:
    """Whether some photos are accepted, but not all with the same labels."""
    labels = {(photo.label,) if photo.labels is None else photo.labels for photo in photos}
    decisions = {photo.decision for photo in photos}
    return _ACCEPT in decisions and (len(labels) > 1 or len(decisions) > 1)


def _labels_of(photos: Sequence[Prediction], target: str) -> Iterator[str]:
    """Each photo with its label and probability, the most confident first."""
    each = [(photo.predictions[target], photo.image) for photo in photos]
    for prediction, image in sorted(each, key=lambda pair: -pair[0].probability):
        label = prediction.label if prediction.labels is None else "|".join(prediction.labels)
        yield f"{image}: {label or '-'} {percent(prediction.probability)}"
