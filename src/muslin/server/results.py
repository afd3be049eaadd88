"""What a model gives for the images of a request → the JSON of `muslin predict --json`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from muslin.data.photo_roles import role_in_name
from muslin.errors import ImageError, MuslinError
from muslin.messages import Message, examples
from muslin.models.graph_runner import Pixels
from muslin.models.model_output import Values
from muslin.models.photo_reading import ReadImage
from muslin.models.prediction import Prediction
from muslin.models.predictor import Predictor
from muslin.models.product_prediction import ProductPrediction


class Guarantee(NamedTuple):
    """Of the accepted predictions of a request.

    Attributes:
        precision: their precision target; None for the one that is chosen for the model.
        scope: `overall` or `per-class`.
    """

    precision: float | None
    scope: str


def stacked_pixels(images: Sequence[ReadImage]) -> Pixels:
    """uint8 (n, height, width, channels) of the readable images, of which there is at least one."""
    pixels = [image.pixels for image in images if image.pixels is not None]
    return pixels[0][np.newaxis] if len(pixels) == 1 else np.stack(pixels)


def product_results(
    predictor: Predictor, products: Sequence[str], images: Sequence[ReadImage], values: Values, guarantee: Guarantee
) -> Iterator[ProductPrediction]:
    """The prediction for each product, in the order of its first image.

    Args:
        products: the product of each image.

    Raises:
        DataError: the precision or the scope of the guarantee is out of range.
    """
    precision, rule = predictor.product_rule(*guarantee)
    photos: dict[str, list[Prediction]] = {}
    each = predictor.decide([image.prediction for image in images], values, precision, guarantee.scope)
    for product, photo in zip(products, each, strict=True):
        photos.setdefault(product, []).append(photo)
    for product, of_product in photos.items():
        yield rule.predict(product, of_product, [role_in_name(photo.image) for photo in of_product])


def check_readable(images: Sequence[ReadImage]) -> None:
    """Refuse a request without a readable image.

    Raises:
        MuslinError: the error of its only image; or that there is none, with the reasons of the first few.
    """
    reasons = [image.prediction.error for image in images if isinstance(image.prediction.error, Message)]
    if len(reasons) < len(images):
        return
    if len(reasons) == 1:
        only = reasons[0]
        raise ImageError(only.code, only.hint_code, **only.params)
    raise MuslinError("no_image_readable", **examples(reasons))
