"""`POST /v1/predict` and `GET /v1/models`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope

from muslin.errors import MuslinError, unknown
from muslin.messages import plain
from muslin.models.prediction import Prediction
from muslin.models.product_prediction import ProductPrediction
from muslin.server.decoding import Decoder, SentImage
from muslin.server.models import ModelTable, ServedModel
from muslin.server.multipart import FormField, parse_form
from muslin.server.request_record import record_of
from muslin.server.responses import json_response
from muslin.server.results import Guarantee, check_readable, product_results, stacked_pixels
from muslin.server.settings import MAX_NAME, Settings
from muslin.server.shadows import Shadows
from muslin.web.requests import language_of

PREDICT = "/v1/predict"

PARAMETERS = ("guarantee", "model", "precision")
"""Of the query of a prediction."""

_PRODUCT_FIELD = re.compile(r"product\[(.+)\]", re.DOTALL)
_FORM, _RAW = "multipart/form-data", ("image/", "application/octet-stream")


class SentImages(NamedTuple):
    """The images of a request.

    Attributes:
        products: the product of each; None where each image stands for itself.
    """

    images: list[SentImage]
    products: list[str] | None


class Predicting:
    """The routes that predict.

    Args:
        models: the table, in which models are replaced while requests use it.
    """

    def __init__(self, settings: Settings, models: ModelTable, decoder: Decoder, shadows: Shadows) -> None:
        self._settings, self._models, self._decoder, self._shadows = settings, models, decoder, shadows

    def routes(self) -> list[Route]:
        return [
            Route(PREDICT, self.answer, methods=["POST"]),
            Route("/v1/models", self.list_models),
            Route("/v1/models/{name}", self.describe_model),
        ]

    async def answer(self, request: Request) -> Response:
        """As `predict`."""
        return await self.predict(request.scope, request.receive)

    async def predict(self, scope: Scope, receive: Receive) -> Response:
        """The predictions for the images of a request, or for its products.

        Raises:
            MuslinError: what the request asks for is unknown or out of range, or no image can be read.
        """
        query = query_of(scope)
        model = self._models.find(query.get("model"))
        record = record_of(scope)
        record.use_model(model.name, model.digest)
        guarantee = guarantee_in(query, self._settings)
        model.predictor.rules.for_predictions(*guarantee)  # refuses a bad one before any work
        headers = dict(scope["headers"])
        sent = images_in(headers.get(b"content-type", b"").decode("latin-1"), await body_of(receive), self._settings)
        record.end_stage("receive")
        with model.batcher.expecting() as arrival:
            images = await self._decoder.decode(sent.images, model.predictor.bundle.preprocessing)
            record.end_decoding(images)
            check_readable(images)
            values = await model.batcher.submit(stacked_pixels(images), arrival)
        record.end_stage("predict")
        readable = (image for image, read in zip(sent.images, images, strict=True) if read.pixels is not None)
        self._shadows.observe(model, readable, values)
        predictor = model.predictor
        predictions: Sequence[Prediction | ProductPrediction]
        if sent.products is None:
            predictions = list(predictor.decide([image.prediction for image in images], values, *guarantee))
        else:
            predictions = list(product_results(predictor, sent.products, images, values, guarantee))
        record.add_predictions(predictions)
        language = language_of(headers.get(b"accept-language", b"").decode("latin-1"))
        results = [each.to_dict(language, on_page=True) for each in predictions]
        response = json_response({"model": model.name, "digest": model.digest, "results": results})
        record.end_stage("respond")
        return response

    async def list_models(self, request: Request) -> Response:
        """Every model, as of `describe_model`."""
        shadows = await self._shadows.described()
        return json_response({"models": [_beside_shadow(model, shadows) for model in self._models.values()]})

    async def describe_model(self, request: Request) -> Response:
        """A model's name and digest, its targets with their classes, the image that it takes, and its graph; and how
        often its shadow predicts the same."""
        model = self._models.find(request.path_params["name"])
        return json_response(_beside_shadow(model, await self._shadows.described()))


def described(model: ServedModel) -> dict[str, Any]:
    """A model as JSON values."""
    predictor = model.predictor
    return {
        "model": model.name,
        "digest": model.digest,
        "targets": {t.name: {"kind": t.kind, "classes": list(t.classes)} for t in predictor.targets},
        "input": plain(vars(predictor.bundle.preprocessing)),
        "graph": predictor.graph,
        "max_batch": model.batcher.max_batch,
    }


def _beside_shadow(model: ServedModel, shadows: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return described(model) | {"shadow_digest": None, "shadow_agreement": None} | shadows.get(model.name, {})


def query_of(scope: Scope) -> Mapping[str, str]:
    """The query of a prediction.

    Raises:
        MuslinError: it has an unknown parameter, which may be a mistyped one that was to decide.
    """
    if not scope["query_string"]:
        return {}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    for name in query:
        if name not in PARAMETERS:
            raise MuslinError("parameter_unknown", **unknown(name, PARAMETERS))
    return query


async def body_of(receive: Receive) -> bytes:
    """A request's whole body.

    Raises:
        ClientDisconnect: the client has gone.
    """
    chunks = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(event.get("body", b""))
        if not event.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def guarantee_in(query: Mapping[str, str], settings: Settings) -> Guarantee:
    """That of the query, or of the settings.

    Raises:
        MuslinError: the precision is not a number.
    """
    precision = settings.precision
    if "precision" in query:
        try:
            precision = float(query["precision"])
        except ValueError:
            raise MuslinError("request_value", name="precision", expected="number") from None
    return Guarantee(precision, query.get("guarantee", settings.guarantee))


def images_in(content_type: str, body: bytes, settings: Settings) -> SentImages:
    """The images of a request's body: the fields of a form, or the body itself.

    In a form, a field `image` is an image, and a field `product[NAME]` an image of that product. Several fields can
    have the same name.

    Raises:
        MuslinError: the body is neither, or its fields are others.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        return _images_of_form(parse_form(content_type, body, settings.max_images))
    if kind and not kind.startswith(_RAW):
        raise MuslinError("content_type", found=kind)
    if not body:
        raise MuslinError("no_image_sent")
    return SentImages([SentImage("image", body)], None)


def _images_of_form(fields: Sequence[FormField]) -> SentImages:
    if not fields:
        raise MuslinError("no_image_sent")
    images, products = [], []
    for place, field in enumerate(fields):
        match = _PRODUCT_FIELD.fullmatch(field.name)
        if field.name != "image" and not match:
            raise MuslinError("form_field_unknown", name=field.name[:MAX_NAME])
        if field.filename is None and not field.kind.startswith(_RAW):
            raise MuslinError("form_field_text", name=field.name[:MAX_NAME])
        images.append(SentImage((field.filename or f"images[{place}]")[-MAX_NAME:], field.content))
        if match:
            products.append(match[1][:MAX_NAME])
    if products and len(products) < len(images):
        raise MuslinError("form_fields_mixed")
    return SentImages(images, products or None)
