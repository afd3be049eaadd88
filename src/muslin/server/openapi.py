"""What the server takes and returns, as OpenAPI describes it (https://spec.openapis.org/oas/v3.1.0).

`OPERATIONS` has one row per route; a test compares the two, and real responses with the rows. The routes of the Open
Inference Protocol are described as far as this server uses it; the protocol's own description holds for them too.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.evaluation.selective import DECISIONS, GUARANTEES
from muslin.server.responses import json_response
from muslin.web.api_schemas import (
    ANY_OBJECT,
    BOOLEAN,
    COUNT,
    NAME,
    NUMBER,
    STRING,
    Schema,
    list_of,
    map_of,
    object_of,
    or_null,
    ref,
    request_of,
)

FILE: Schema = {"type": "string", "format": "binary"}
PROBABILITY = NUMBER | {"minimum": 0, "maximum": 1}
GUARANTEE: Schema = {"enum": list(GUARANTEES)}
JSON, BYTES, TEXT, FORM = "application/json", "application/octet-stream", "text/plain", "multipart/form-data"

MODEL: Mapping[str, Schema] = {
    "model": ref("ModelName"), "digest": ref("Digest"), "targets": map_of(ref("Target")), "input": ANY_OBJECT,
    "graph": STRING, "max_batch": COUNT,
}  # fmt: skip

Parameter = Mapping[str, Any]
Content = Mapping[str, Schema]
"""Schema by media type."""

SCHEMAS: dict[str, Schema] = {
    "ModelName": NAME | {"description": "As `/v1/models` lists them."},
    "Digest": STRING | {"description": "Of all that a model's predictions depend on, as `muslin inspect` shows it."},
    "Message": object_of(code=STRING, message=STRING, hint=STRING, params=ANY_OBJECT),
    "Error": object_of(error=ref("Message")),
    "Target": object_of(kind={"enum": ["multiclass", "multilabel"]}, classes=list_of(STRING)),
    "Model": object_of(
        **MODEL, shadow_digest=or_null(ref("Digest")), shadow_agreement=or_null(map_of(map_of(ref("Agreement")))),
    ),
    "ReplacedModel": object_of(**MODEL, former_digest=ref("Digest")),
    "Agreement": object_of(predictions=COUNT, agreeing=COUNT) | {
        "description": "Of a target's class: the model's predictions since its shadow was loaded, and those that the"
        " shadow shares."
    },
    "Prediction": request_of(
        ("label", "probability", "decision"),
        label=STRING, probability=PROBABILITY, runner_up=or_null(STRING), runner_up_probability=or_null(PROBABILITY),
        probabilities=map_of(PROBABILITY), labels=list_of(STRING), decision={"enum": list(DECISIONS)},
        prediction_set=list_of(STRING) | {"description": "The shortlist to choose from in a review."},
    ),
    "ImageResult": object_of(
        image=STRING, predictions=map_of(ref("Prediction")), notes=list_of(ref("Message")),
        error=or_null(ref("Message")),
    ),
    "ProductResult": object_of(
        product=STRING, photos=list_of(ref("ImageResult")), predictions=map_of(ref("Prediction")),
        reasons=list_of(ref("Message")), error=or_null(ref("Message")),
    ),
    "Predicted": object_of(
        model=ref("ModelName"), digest=ref("Digest"),
        results={"anyOf": [list_of(ref("ImageResult")), list_of(ref("ProductResult"))]},
    ),
    "ProtocolError": object_of(error=STRING),
    "Tensor": request_of(
        ("name", "shape", "datatype"),
        name=STRING, shape=list_of({"type": "integer"}), datatype=STRING, parameters=ANY_OBJECT, data=list_of({}),
    ),
    "InferenceRequest": request_of(
        ("inputs",), id=STRING, parameters=ANY_OBJECT, inputs=list_of(ref("Tensor")),
        outputs=list_of(request_of(("name",), name=STRING, parameters=ANY_OBJECT)),
    ),
    "InferenceResponse": request_of(
        ("model_name", "outputs"), model_name=ref("ModelName"), model_version=ref("Digest"), id=STRING,
        parameters=ANY_OBJECT, outputs=list_of(ref("Tensor")),
    ),
    "ModelMetadata": request_of(
        ("name", "platform", "inputs", "outputs"), name=ref("ModelName"), versions=list_of(ref("Digest")),
        platform=STRING, inputs=list_of(ref("Tensor")), outputs=list_of(ref("Tensor")), properties=map_of(STRING),
    ),
}  # fmt: skip


class Endpoint(NamedTuple):
    """What one route does.

    Attributes:
        summary: in one sentence.
        response: the schemas of its responses with status 200 by media type.
        request: those of its body; None where it takes none.
        query, headers: its parameters: name and schema.
        is_open: whether it is answered without the token.
    """

    summary: str
    response: Content
    request: Content | None = None
    query: Mapping[str, Schema] = {}
    headers: Mapping[str, Schema] = {}
    is_open: bool = False


IMAGES_FORM: Schema = {
    "type": "object",
    "properties": {"image": list_of(FILE) | {"description": "Images that each stand for themselves."}},
    "patternProperties": {r"^product\[.+\]$": list_of(FILE) | {"description": "The photos of one product."}},
    "additionalProperties": False,
}
PREDICT_QUERY: Mapping[str, Schema] = {
    "model": ref("ModelName") | {"description": "Needed where the server has several models."},
    "precision": NUMBER | {"description": "Of accepted predictions; above 0 and below 1."},
    "guarantee": GUARANTEE,
}
INFERENCE: Content = {JSON: ref("InferenceRequest"), BYTES: FILE}
INFERRED: Content = {JSON: ref("InferenceResponse"), BYTES: FILE}
HEADER_LENGTH: Mapping[str, Schema] = {
    "Inference-Header-Content-Length": COUNT | {"description": "Bytes of JSON, where binary data follow."}
}


def _json(schema: Schema) -> Content:
    return {JSON: schema}


def _protocol_operations() -> dict[tuple[str, str], Endpoint]:
    """The routes of the Open Inference Protocol."""
    operations = {
        ("GET", "/v2"): Endpoint(
            "The server's metadata.", _json(object_of(name=STRING, version=STRING, extensions=list_of(STRING)))
        ),
        ("GET", "/v2/health/live"): Endpoint(
            "Whether the server responds, and no model hangs.", _json(ANY_OBJECT), is_open=True
        ),
        ("GET", "/v2/health/ready"): Endpoint("Whether all models are ready.", _json(ANY_OBJECT), is_open=True),
        ("POST", "/v2/repository/index"): Endpoint(
            "All models with their versions.",
            _json(list_of(object_of(name=ref("ModelName"), version=ref("Digest"), state=STRING))),
        ),
    }
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        operations |= {
            ("GET", model): Endpoint("A model's inputs and outputs.", _json(ref("ModelMetadata"))),
            ("GET", f"{model}/config"): Endpoint("A model's configuration in Triton's terms.", _json(ANY_OBJECT)),
            ("GET", f"{model}/ready"): Endpoint(
                "Whether a model is ready.", _json(object_of(name=STRING, ready=BOOLEAN))
            ),
            ("POST", f"{model}/infer"): Endpoint(
                "The model's outputs for the images of a request.", INFERRED, INFERENCE, headers=HEADER_LENGTH
            ),
        }
    return operations


OPERATIONS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/openapi.json"): Endpoint("This API as an OpenAPI document.", _json(ANY_OBJECT), is_open=True),
    ("GET", "/metrics"): Endpoint("Metrics in the Prometheus format.", {TEXT: STRING}),
    ("POST", "/v1/predict"): Endpoint(
        "Predictions for images, or for products with several photos.", _json(ref("Predicted")),
        {FORM: IMAGES_FORM, "image/*": FILE, BYTES: FILE}, PREDICT_QUERY,
    ),
    ("GET", "/v1/models"): Endpoint("All models.", _json(object_of(models=list_of(ref("Model"))))),
    ("GET", "/v1/models/{name}"): Endpoint(
        "A model's targets, input and digest, and how often its shadow agrees.", _json(ref("Model"))
    ),
    ("POST", "/v1/models/{name}"): Endpoint(
        "Replaces the model with the file in the body. The server must have a token.",
        _json(ref("ReplacedModel")),
        {BYTES: FILE},
    ),
    **_protocol_operations(),
}  # fmt: skip

PATH_PARAMETERS: Mapping[str, Schema] = {"name": ref("ModelName"), "version": ref("Digest")}


def description(root_path: str = "") -> Schema:
    """The API as an OpenAPI document, below a path prefix."""
    from muslin import __version__

    paths: dict[str, Schema] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _described(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "muslin serve", "version": __version__},
        "servers": [{"url": root_path or "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def allowed_methods(path: str) -> list[str]:
    """The methods that a path takes; GET for one that is not described."""
    methods = {method for method, other in OPERATIONS if other == path} or {"GET"}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def openapi_route() -> Route:
    """`GET /openapi.json`."""

    async def show(request: Request) -> Response:
        return json_response(description(request.scope.get("root_path", "")))

    return Route("/openapi.json", show)


def _described(path: str, operation: Endpoint) -> Schema:
    error = ref("ProtocolError" if path.startswith("/v2") else "Error")
    refused = {"description": "The request is refused, with the reason.", "content": _content(_json(error))}
    later = refused | {
        "description": "The server is busy or stops.",
        "headers": {"Retry-After": {"schema": COUNT, "description": "Seconds to wait."}},
    }
    done = {"description": "Done.", "content": _content(operation.response)}
    described: Schema = {
        "summary": operation.summary,
        "parameters": [
            *(_parameter("path", name, schema) for name, schema in PATH_PARAMETERS.items() if f"{{{name}}}" in path),
            *(_parameter("query", name, schema) for name, schema in operation.query.items()),
            *(_parameter("header", name, schema) for name, schema in operation.headers.items()),
        ],
        "responses": {"200": done, "4XX": refused, "503": later, "507": refused},
        "security": [{}] if operation.is_open else [{"token": []}, {}],
    }
    if operation.request:
        described["requestBody"] = {"required": True, "content": _content(operation.request)}
    return described


def _parameter(place: str, name: str, schema: Schema) -> Parameter:
    return {"in": place, "name": name, "required": place == "path", "schema": schema}


def _content(content: Content) -> Schema:
    return {kind: {"schema": schema} for kind, schema in content.items()}
