"""The routes of the Open Inference Protocol v2 over HTTP: health, metadata and inference.

A model's version is its digest, so that a client that names one never gets the predictions of another file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.errors import MuslinError
from muslin.models.prediction import UnnamedImages
from muslin.server.decoding import Decoder, SentImage
from muslin.server.models import ModelTable, ServedModel
from muslin.server.open_inference.errors import InferenceError, protocol_response, protocol_status
from muslin.server.open_inference.inference_request import HEADER_LENGTH, InferenceRequest, InputLimits, read_request
from muslin.server.open_inference.metadata import model_configuration, model_metadata, server_metadata
from muslin.server.open_inference.outputs import output_tensor, outputs_of, requested_outputs
from muslin.server.open_inference.request_body import decompressed
from muslin.server.open_inference.tensors import Tensor, binary_values, json_values
from muslin.server.request_record import RequestRecord, record_of
from muslin.server.responses import json_response, language_in
from muslin.server.results import Guarantee, check_readable
from muslin.server.settings import Settings
from muslin.server.shadows import Shadows
from muslin.strict_json import json_text

LONG_BYTES = 2**16
"""Of a body that is read in less than a millisecond."""

DECOMPRESSED_TOGETHER = 4
"""Requests with a Content-Encoding until their predictions are there; others wait. A body of 100 KB can become as large
as a request may be, 100 MB: together they then take as much memory as all bodies may."""

Handler = Callable[[Request], Awaitable[Response]]


class OpenInference:
    """The protocol's routes.

    Args:
        models: the table, in which models are replaced while requests use it.
        is_stopping: whether the server finishes what was sent, and then ends.
    """

    def __init__(
        self,
        settings: Settings,
        models: ModelTable,
        decoder: Decoder,
        shadows: Shadows,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._settings, self._models, self._decoder = settings, models, decoder
        self._shadows, self._is_stopping = shadows, is_stopping
        self._decompressing = asyncio.Semaphore(DECOMPRESSED_TOGETHER)

    def routes(self) -> list[Route]:
        of_model = (("", self.metadata), ("/config", self.configuration), ("/ready", self.model_ready))
        routes = [
            Route("/v2", _answered(self.server)),
            Route("/v2/health/live", _answered(self.live)),
            Route("/v2/health/ready", _answered(self.ready)),
            Route("/v2/repository/index", _answered(self.index), methods=["POST"]),
        ]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [Route(model + rest, _answered(handler)) for rest, handler in of_model]
            routes.append(Route(f"{model}/infer", _answered(self.infer), methods=["POST"]))
        return routes

    async def server(self, request: Request) -> Response:
        """The server's metadata."""
        return json_response(server_metadata())

    async def live(self, request: Request) -> Response:
        """Whether the server answers, and no model hangs: a run longer than a request may take answers none."""
        if not self._models.get_on(self._settings.request_s):
            raise MuslinError("model_hangs", seconds=self._settings.request_s)
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether all models are ready, which they are once the server listens; and it takes further requests."""
        if self._is_stopping():
            raise MuslinError("server_stopping")
        return json_response({"ready": True})

    async def index(self, request: Request) -> Response:
        """Every model with its version, as Triton lists them."""
        models = self._models.values()
        return json_response([{"name": each.name, "version": each.digest, "state": "READY"} for each in models])

    async def model_ready(self, request: Request) -> Response:
        """Whether a model is there, which then is ready."""
        try:
            model = self._model(request)
        except MuslinError as error:
            record_of(request.scope).error = error.code
            return protocol_response(error, 404, language_in(request.scope["headers"]))
        return json_response({"name": model.name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """A model's input and outputs."""
        model = self._model(request)
        return json_response(model_metadata(model.name, model.digest, model.predictor.targets, self._limits(model)))

    async def configuration(self, request: Request) -> Response:
        """A model in the terms of Triton's configuration."""
        model = self._model(request)
        return json_response(model_configuration(model.name, model.predictor.targets, self._limits(model)))

    async def infer(self, request: Request) -> Response:
        """The outputs for the images of a request."""
        model, record = self._model(request), record_of(request.scope)
        record.use_model(model.name, model.digest)
        body = await request.body()
        record.end_stage("receive")
        async with nullcontext() if _encoding_of(request) == "identity" else self._decompressing:
            with model.batcher.expecting() as arrival:
                sent = await self._read(request, body, self._limits(model))
                outputs = outputs_of(model.predictor.targets)
                wanted = [(outputs[each.name], each) for each in requested_outputs(sent, outputs)]
                guarantee = self._guarantee(sent)
                model.predictor.rules.for_predictions(*guarantee)  # refuses a bad one before any work
                pixels = await self._pixels(sent, model, record)
                values = await model.batcher.submit(pixels, arrival)
        record.end_stage("predict")
        self._shadows.observe(model, (SentImage("image", content) for content in sent.images), values)
        decided = model.predictor.decide(UnnamedImages(len(sent.images)), values, *guarantee)
        for target in model.predictor.targets:
            record.add_decisions(target, decided.arrays[target.name])
        tensors = [
            (output_tensor(output, decided.arrays[output.target], decided.precision, each.n_classes), each.is_binary)
            for output, each in wanted
        ]
        used = {"digest": model.digest, "precision": decided.precision, "guarantee": guarantee.scope}
        about = {"model_name": model.name, "model_version": model.digest, "parameters": used}
        response = inference_response(about if sent.id is None else about | {"id": sent.id}, tensors)
        record.end_stage("respond")
        return response

    async def _read(self, request: Request, body: bytes, limits: InputLimits) -> InferenceRequest:
        """A request's body; a long one is read in a thread."""
        encoding = _encoding_of(request)
        length = request.headers.get(HEADER_LENGTH)

        def read() -> InferenceRequest:
            return read_request(decompressed(body, encoding, self._settings.max_request_bytes), length, limits)

        return read() if len(body) < LONG_BYTES and encoding == "identity" else await asyncio.to_thread(read)

    async def _pixels(self, sent: InferenceRequest, model: ServedModel, record: RequestRecord) -> NDArray[np.uint8]:
        """The images of a request as the model takes them."""
        preprocessing = model.predictor.bundle.preprocessing
        if not isinstance(sent.images, list):
            pixels = await self._decoder.transform(sent.images, preprocessing)
            record.images = len(pixels)
            record.end_stage("decode")
            return pixels
        files = [SentImage(f"inputs[0].data[{place}]", content) for place, content in enumerate(sent.images)]
        read = await self._decoder.decode(files, preprocessing)
        record.end_decoding(read)
        for image in read:
            check_readable([image])
        return np.stack([image.pixels for image in read if image.pixels is not None])

    def _model(self, request: Request) -> ServedModel:
        """The model that a path names, in the version that it names.

        Raises:
            MuslinError: there is no such model or version.
        """
        model = self._models.find(request.path_params["name"])
        version = request.path_params.get("version", model.digest)
        if version != model.digest:
            raise InferenceError("model_version", model=model.name, found=version, expected=model.digest)
        return model

    def _limits(self, model: ServedModel) -> InputLimits:
        return InputLimits(model.predictor.bundle.preprocessing.shape, self._settings.max_images)

    def _guarantee(self, sent: InferenceRequest) -> Guarantee:
        """That of a request, or of the settings."""
        precision = self._settings.precision if sent.precision is None else sent.precision
        return Guarantee(precision, sent.guarantee or self._settings.guarantee)


def _encoding_of(request: Request) -> str:
    """How the body of a request is compressed; `identity` where it is not."""
    return request.headers.get("content-encoding", "identity").strip().lower()


def inference_response(about: Mapping[str, Any], tensors: Iterable[tuple[Tensor, bool]]) -> Response:
    """A JSON object with the tensors, and after it the values of those that are to be binary."""
    outputs, binary = [], []
    for tensor, is_binary in tensors:
        output: dict[str, Any] = {"name": tensor.name, "shape": tensor.values.shape, "datatype": tensor.datatype}
        if is_binary:
            binary.append(binary_values(tensor))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            output["data"] = json_values(tensor)
        outputs.append(output)
    if not binary:
        return json_response({**about, "outputs": outputs})
    text = json_text({**about, "outputs": outputs}).encode()
    headers = {HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), media_type="application/octet-stream", headers=headers)


def _answered(handler: Handler) -> Handler:
    """`handler`, whose errors have the protocol's form and statuses."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except MuslinError as error:
            record_of(request.scope).error = error.code
            return protocol_response(error, protocol_status(error), language_in(request.scope["headers"]))

    return answer
