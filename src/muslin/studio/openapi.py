"""What the studio's API takes and returns, as OpenAPI describes it (https://spec.openapis.org/oas/v3.1.0).

`OPERATIONS` has one row per route of `muslin.studio.routes`; a test compares the two, and real responses with the rows.
"""

from typing import Any, NamedTuple

from muslin.explain.image_edits import IMAGE_EDITS
from muslin.explain.layers import VIEWS
from muslin.explain.model_edits import MAX_EDITS, MODEL_EDITS
from muslin.explain.preprocessing_steps import STEPS

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items} | limits


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _object(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _request(required: tuple[str, ...], **properties: Schema) -> Schema:
    """A request's body; other properties are ignored."""
    return {"type": "object", "properties": properties, "required": list(required)}


MAP = _map(NUMBER)
RANGE = _list(NUMBER, minItems=2, maxItems=2)
VIEW: Schema = {"enum": list(VIEWS), "default": "original"}
MESSAGE_OR_TEXT: Schema = {"anyOf": [_ref("Message"), STRING]}

SCHEMAS: dict[str, Schema] = {
    "ModelPath": NAME | {"description": "A model's path below the studio's folder, with /."},
    "ImageName": STRING | {
        "pattern": "^(file|upload|golden|drawing):.",
        "description": "`file:PATH` below the folder, `upload:KEY`, `golden:NUMBER` of the model, or `drawing:BASE64`: "
        "one byte per gray pixel."
    },
    "LayerName": NAME | {"description": "As `/api/model` lists them."},
    "TargetName": NAME,
    "ClassName": NAME,
    "Message": _object(code=STRING, message=STRING, hint=STRING, params=ANY_OBJECT),
    "Inspection": _request(
        ("model", "image"),
        model=_ref("ModelPath"),
        image=_ref("ImageName"),
        steps=_map(BOOLEAN) | {"propertyNames": {"enum": list(STEPS)}},
        image_edits={
            "type": "object",
            "properties": {
                name: NUMBER | {"minimum": low, "maximum": high} for name, (low, high, _) in IMAGE_EDITS.items()
            },
            "additionalProperties": False,
        },
        model_edits=_list(_ref("ModelEdit"), maxItems=MAX_EDITS),
    ),
    "ModelEdit": _request(
        ("kind", "layer"),
        kind={"enum": list(MODEL_EDITS)},
        layer=_ref("LayerName"),
        output=COUNT,
        input=COUNT,
        channel=COUNT,
        seed=COUNT,
        value=NUMBER,
        rate=NUMBER,
        values=_list(_list(NUMBER)),
        how={"enum": ["mean", "first"]},
    ),
    "Layer": _object(
        name=STRING, op=STRING, kind=STRING, kind_names=_map(STRING), detail=STRING, inputs=_list(STRING),
        shape=_list(COUNT), parameters=COUNT, multiply_adds=COUNT, multiply_adds_share=NUMBER, block=_or_null(STRING),
        auxiliary=BOOLEAN, residual=BOOLEAN, column=COUNT, kernel=_or_null(_ref("Kernel")),
        edits=_list({"enum": list(MODEL_EDITS)}), unsupported=_or_null(_ref("Message")), has_arithmetic=BOOLEAN,
    ),
    "Kernel": _object(
        size=_list(COUNT), stride=_list(COUNT), pads=_list({"type": "integer"}), groups=COUNT, outputs=COUNT,
        inputs=COUNT,
    ),
    "Block": _object(
        name=STRING, layers=_list(STRING), shape=_list(COUNT), parameters=COUNT, multiply_adds=COUNT,
        multiply_adds_share=NUMBER,
    ),
    "Target": _object(
        name=STRING, kind={"enum": ["multiclass", "multilabel"]}, classes=_list(STRING), scores=_or_null(STRING),
        attribution_layers=_list(STRING),
    ),
    "Step": _object(
        name={"enum": list(STEPS)}, title=_ref("Message"), text=_ref("Message"), image=_ref("Png"),
        range=_or_null(RANGE), optional=BOOLEAN, on=BOOLEAN,
    ),
    "Png": _object(width=COUNT, height=COUNT, png=STRING | {"pattern": "^data:image/png;base64,"}),
    "Predictions": _map(
        _object(
            label=STRING, probability=NUMBER, probabilities=MAP, scores=_or_null(MAP),
            views=_or_null(_map(_object(scores=MAP))),
        )
    ),
    "Accuracy": _object(correct=COUNT, accuracy=NUMBER, interval=RANGE),
    "ArithmeticStep": {
        "type": "object",
        "required": [
            "layer", "kind", "kind_names", "step_kind", "index", "tta_view", "runtime_value", "input_layer", "value",
        ],
    },
}  # fmt: skip

MODEL = _object(
    path=STRING, name=STRING, network=STRING, input=_list(COUNT), transform=STRING, tta_flip=BOOLEAN, parameters=COUNT,
    multiply_adds=COUNT, golden_images=COUNT, test_metrics=ANY_OBJECT, targets=_list(_ref("Target")),
    layers=_list(_ref("Layer")), blocks=_list(_ref("Block")), unsupported=_list(MESSAGE_OR_TEXT),
)  # fmt: skip
ATTRIBUTION = _object(
    **{"class": STRING}, target=STRING, versus=_or_null(STRING), layer=STRING, tta_view={"enum": ["both", *VIEWS]},
    bias=NUMBER, sum=NUMBER, score=NUMBER, is_exact=BOOLEAN, reason=_ref("Message"), range=NUMBER, rows=COUNT,
    columns=COUNT, cells=_list(_list(NUMBER)), difference=NUMBER, layers=_list(STRING),
)  # fmt: skip
PREDICTION = _object(
    steps=_list(_ref("Step")), predictions=_ref("Predictions"), unchanged=_or_null(_ref("Predictions")),
    notes=_list(MESSAGE_OR_TEXT),
)  # fmt: skip
ARITHMETIC = _object(
    layer=STRING, index=_list(COUNT), tta_view=VIEW, value=NUMBER, sum=NUMBER, difference=NUMBER,
    matches_runtime=BOOLEAN, tolerance=NUMBER, layer_path=_list(_ref("ArithmeticStep"), minItems=1),
)  # fmt: skip
VALUES = _object(
    values=_list(_list(NUMBER)), top=COUNT, left=COUNT, height=COUNT, width=COUNT, rows=COUNT, columns=COUNT
)
ACCURACIES = _object(
    on={"enum": ["golden", "data"]}, part={"enum": ["golden", "validation", "test"]},
    seen_images=_or_null(_object(n=COUNT, train=COUNT, validation=COUNT, set_aside=BOOLEAN)), target=STRING, n=COUNT,
    before=_ref("Accuracy"), after=_ref("Accuracy"), changed=COUNT,
)  # fmt: skip
MODELS = _object(models=_list(_object(path=STRING, name=STRING, bytes=COUNT)))
IMAGES = _object(images=_list(STRING), more=BOOLEAN, unnamable=COUNT)
UPLOADED = _object(image=STRING, width=COUNT, height=COUNT, notes=_list(_ref("Message")))

ONE_IMAGE = {"inspection": _ref("Inspection")}
ONE_LAYER = ONE_IMAGE | {"layer": _ref("LayerName"), "tta_view": VIEW}
ONE_CLASS = ONE_IMAGE | {
    "target": _ref("TargetName"), "class": _ref("ClassName"), "versus": _or_null(_ref("ClassName")),
    "layer": _or_null(_ref("LayerName")), "tta_view": {"enum": ["both", *VIEWS]},
}  # fmt: skip
BYTES = "application/octet-stream"


class Operation(NamedTuple):
    """What one route does.

    Attributes:
        summary: in one sentence.
        response: the JSON that it returns, or the media type of other content.
        request: the JSON that it takes, or the media type of other content; None where it takes none.
        query: the parameters of its query: name, schema, and whether it is required.
    """

    summary: str
    response: Schema | str
    request: Schema | str | None = None
    query: tuple[tuple[str, Schema, bool], ...] = ()


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/api/openapi.json"): Operation("This description.", ANY_OBJECT),
    ("GET", "/api/models"): Operation("The models of the folder, the newest first.", MODELS),
    ("GET", "/api/images"): Operation(
        "A page of the images of the folder.", IMAGES, query=(("start", COUNT | {"maximum": 2**31}, False),)
    ),
    ("GET", "/api/thumbnail"): Operation(
        "An image made small.", "image/png",
        query=(
            ("image", _ref("ImageName"), True), ("model", _ref("ModelPath"), False),
            ("side", COUNT | {"maximum": 512}, False),
        ),
    ),
    ("POST", "/api/images"): Operation("Keep an uploaded image while the studio runs.", UPLOADED, BYTES),
    ("POST", "/api/model"): Operation(
        "A model's layers, targets and metrics.", MODEL, _request(("model",), model=_ref("ModelPath"))
    ),
    ("POST", "/api/predict"): Operation(
        "The predictions, with and without edits, and the preprocessing steps.", PREDICTION,
        _request(("inspection",), **ONE_IMAGE),
    ),
    ("POST", "/api/accuracy"): Operation(
        "The accuracy before and after the edits.", ACCURACIES,
        _request(
            ("inspection",), **ONE_IMAGE, target=_ref("TargetName"), on={"enum": ["golden", "data"]},
            count=COUNT | {"maximum": 10_000},
        ),
    ),
    ("POST", "/api/effects"): Operation(
        "The change of each probability by each optional preprocessing step.", _map(_map(MAP)),
        _request(("inspection",), **ONE_IMAGE),
    ),
    ("POST", "/api/feature-maps"): Operation(
        "All maps of a layer as 8-bit codes.", BYTES, _request(("inspection", "layer"), **ONE_LAYER)
    ),
    ("POST", "/api/values"): Operation(
        "Exact values of a window of one map.", VALUES,
        _request(
            ("inspection", "layer"), **ONE_LAYER, channel=COUNT, top=COUNT, left=COUNT, height=COUNT, width=COUNT
        ),
    ),
    ("POST", "/api/values.npy"): Operation(
        "A whole layer as a .npy file.", BYTES, _request(("inspection", "layer"), **ONE_LAYER)
    ),
    ("POST", "/api/kernels"): Operation(
        "A convolution's kernels.", BYTES, _request(("inspection", "layer"), **ONE_LAYER)
    ),
    ("POST", "/api/pixels"): Operation(
        "The image's pixels, upright or as the network takes them.", BYTES,
        _request(
            ("inspection",), **ONE_IMAGE, step={"enum": ["model_input", "upright"]}, max_px=COUNT | {"maximum": 1024}
        ),
    ),
    ("POST", "/api/arithmetic"): Operation(
        "How one value of a layer was computed.", ARITHMETIC,
        _request(("inspection", "layer", "index"), **ONE_LAYER, index=_list(COUNT), all=BOOLEAN),
    ),
    ("POST", "/api/attribution"): Operation(
        "What counts for and against a class.", ATTRIBUTION, _request(("inspection", "target", "class"), **ONE_CLASS)
    ),
    ("POST", "/api/sanity-checks"): Operation(
        "Whether the attribution depends on the weights and marks what matters.", ANY_OBJECT,
        _request(("inspection", "target", "class"), **ONE_CLASS, seed=COUNT),
    ),
}  # fmt: skip


def description() -> Schema:
    """The API as an OpenAPI document."""
    from muslin import __version__

    paths: dict[str, Schema] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "muslin studio", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Muslin-Token"}},
        },
    }


def _operation(method: str, operation: Operation) -> Schema:
    error = {"description": "The request is refused, with a code.", "content": _content(_ref("Message"))}
    done = {"description": "Done.", "content": _content(operation.response)}
    described: Schema = {"summary": operation.summary, "responses": {"200": done, "4XX": error, "503": error}}
    if operation.query:
        described["parameters"] = [
            {"name": name, "in": "query", "required": required, "schema": schema}
            for name, schema, required in operation.query
        ]
    if operation.request:
        described["requestBody"] = {"required": True, "content": _content(operation.request)}
    if method != "GET":
        described["security"] = [{"token": []}]
    return described


def _content(content: Schema | str) -> Schema:
    """JSON of a schema, or bytes of a media type."""
    return {content: {}} if isinstance(content, str) else {"application/json": {"schema": content}}
