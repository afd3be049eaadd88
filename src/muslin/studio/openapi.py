"""What the studio's API takes and returns, as OpenAPI describes it (https://spec.openapis.org/oas/v3.1.0).

`OPERATIONS` has one row per route of `muslin.studio.routes` and of the rooms' routes; a test compares the two, and
real responses with the rows.
"""

from muslin.explain.image_edits import IMAGE_EDITS
from muslin.explain.layers import VIEWS
from muslin.explain.model_edits import MAX_EDITS, MODEL_EDITS
from muslin.explain.preprocessing_steps import STEPS
from muslin.studio.data_openapi import DATA_OPERATIONS, DATA_SCHEMAS
from muslin.studio.home_openapi import HOME_OPERATIONS, HOME_SCHEMAS
from muslin.studio.jobs_openapi import JOBS_OPERATIONS, JOBS_SCHEMAS
from muslin.studio.mistakes_openapi import MISTAKES_OPERATIONS, MISTAKES_SCHEMAS
from muslin.studio.review_openapi import REVIEW_OPERATIONS, REVIEW_SCHEMAS
from muslin.studio.training_openapi import TRAINING_OPERATIONS, TRAINING_SCHEMAS
from muslin.studio.walk_openapi import WALK_OPERATIONS
from muslin.web.api_schemas import (
    ANY_OBJECT,
    BOOLEAN,
    COUNT,
    MESSAGE_OR_TEXT,
    NAME,
    NUMBER,
    STRING,
    Operation,
    Schema,
    list_of,
    map_of,
    object_of,
    or_null,
    ref,
    request_of,
)

MAP = map_of(NUMBER)
RANGE = list_of(NUMBER, minItems=2, maxItems=2)
VIEW: Schema = {"enum": list(VIEWS), "default": "original"}

SCHEMAS: dict[str, Schema] = {
    "ModelPath": NAME | {"description": "A model's path below the studio's folder, with /."},
    "ImageName": STRING | {
        "pattern": "^(file|upload|golden|drawing|sample|example):.",
        "description": "`file:PATH` below the folder, `upload:KEY`, `golden:NUMBER` of the model, `sample:DATA:INDEX` "
        "of a data set (DATA percent-encoded), `example:NUMBER` of the images of a run as `/api/walk` numbers them, or "
        "`drawing:BASE64`: one byte per gray pixel."
    },
    "RunPath": NAME | {"description": "The path of a run's folder below the studio's folder, with /."},
    "LayerName": NAME | {"description": "As `/api/model` lists them."},
    "TargetName": NAME,
    "ClassName": NAME,
    "Message": object_of(code=STRING, message=STRING, hint=STRING, params=ANY_OBJECT),
    "Inspection": request_of(
        ("model", "image"),
        model=ref("ModelPath"),
        image=ref("ImageName"),
        steps=map_of(BOOLEAN) | {"propertyNames": {"enum": list(STEPS)}},
        image_edits={
            "type": "object",
            "properties": {
                name: NUMBER | {"minimum": low, "maximum": high} for name, (low, high, _) in IMAGE_EDITS.items()
            },
            "additionalProperties": False,
        },
        model_edits=list_of(ref("ModelEdit"), maxItems=MAX_EDITS),
    ),
    "ModelEdit": request_of(
        ("kind", "layer"),
        kind={"enum": list(MODEL_EDITS)},
        layer=ref("LayerName"),
        output=COUNT,
        input=COUNT,
        channel=COUNT,
        seed=COUNT,
        value=NUMBER,
        rate=NUMBER,
        values=list_of(list_of(NUMBER)),
        how={"enum": ["mean", "first"]},
    ),
    "Layer": object_of(
        name=STRING, op=STRING, kind=STRING, kind_names=map_of(STRING), details=map_of(STRING), purposes=map_of(STRING),
        inputs=list_of(STRING), shape=list_of(COUNT), parameters=COUNT, multiply_adds=COUNT, multiply_adds_share=NUMBER,
        block=or_null(STRING), auxiliary=BOOLEAN, residual=BOOLEAN, column=COUNT, kernel=or_null(ref("Kernel")),
        edits=list_of({"enum": list(MODEL_EDITS)}), unsupported=or_null(ref("Message")), has_arithmetic=BOOLEAN,
    ),
    "Kernel": object_of(
        size=list_of(COUNT), stride=list_of(COUNT), pads=list_of({"type": "integer"}), groups=COUNT, outputs=COUNT,
        inputs=COUNT,
    ),
    "Block": object_of(
        name=STRING, layers=list_of(STRING), shape=list_of(COUNT), parameters=COUNT, multiply_adds=COUNT,
        multiply_adds_share=NUMBER,
    ),
    "Target": object_of(
        name=STRING, kind={"enum": ["multiclass", "multilabel"]}, classes=list_of(STRING), scores=or_null(STRING),
        is_calibrated=BOOLEAN, attribution_layers=list_of(STRING),
    ),
    "Step": object_of(
        name={"enum": list(STEPS)}, title=ref("Message"), text=ref("Message"), image=ref("Png"),
        range=or_null(RANGE), optional=BOOLEAN, on=BOOLEAN,
    ),
    "Png": object_of(width=COUNT, height=COUNT, png=STRING | {"pattern": "^data:image/png;base64,"}),
    "Predictions": map_of(
        object_of(
            label=STRING, probability=NUMBER, probabilities=MAP, scores=or_null(MAP),
            views=or_null(map_of(object_of(scores=MAP))),
        )
    ),
    "Accuracy": object_of(correct=COUNT, accuracy=NUMBER, interval=RANGE),
    "ArithmeticStep": {
        "type": "object",
        "required": [
            "layer", "kind", "kind_names", "step_kind", "index", "tta_view", "runtime_value", "input_layer", "value",
        ],
    },
    **DATA_SCHEMAS,
    **JOBS_SCHEMAS,
    **HOME_SCHEMAS,
    **MISTAKES_SCHEMAS,
    **REVIEW_SCHEMAS,
    **TRAINING_SCHEMAS,
}  # fmt: skip

MODEL = object_of(
    path=STRING, name=STRING, network=STRING, input=list_of(COUNT), transform=STRING, tta_flip=BOOLEAN,
    parameters=COUNT, multiply_adds=COUNT, golden_images=COUNT, test_metrics=ANY_OBJECT, targets=list_of(ref("Target")),
    layers=list_of(ref("Layer")), blocks=list_of(ref("Block")), unsupported=list_of(MESSAGE_OR_TEXT),
    snapshots=or_null(object_of(run=STRING, epochs=list_of(COUNT), epoch=or_null(COUNT))),
)  # fmt: skip
ATTRIBUTION = object_of(
    **{"class": STRING}, target=STRING, versus=or_null(STRING), layer=STRING, tta_view={"enum": ["both", *VIEWS]},
    bias=NUMBER, sum=NUMBER, score=NUMBER, is_exact=BOOLEAN, reason=ref("Message"), range=NUMBER, rows=COUNT,
    columns=COUNT, cells=list_of(list_of(NUMBER)), difference=NUMBER, layers=list_of(STRING),
)  # fmt: skip
CHANNELS = object_of(
    layer=STRING, channels=list_of(object_of(channel=COUNT, contribution=NUMBER)), rest=NUMBER, bias=NUMBER,
    score=NUMBER,
)  # fmt: skip
PREDICTION = object_of(
    steps=list_of(ref("Step")), predictions=ref("Predictions"), unchanged=or_null(ref("Predictions")),
    labels=map_of(STRING) | {"description": "Per target the true label, where the image is of a data set."},
    notes=list_of(MESSAGE_OR_TEXT),
)  # fmt: skip
ARITHMETIC = object_of(
    layer=STRING, index=list_of(COUNT), tta_view=VIEW, value=NUMBER, sum=NUMBER, difference=NUMBER,
    matches_runtime=BOOLEAN, tolerance=NUMBER, layer_path=list_of(ref("ArithmeticStep"), minItems=1),
)  # fmt: skip
VALUES = object_of(
    values=list_of(list_of(NUMBER)), top=COUNT, left=COUNT, height=COUNT, width=COUNT, rows=COUNT, columns=COUNT
)
ACCURACIES = object_of(
    on={"enum": ["golden", "data"]}, part={"enum": ["golden", "validation", "test"]},
    seen_images=or_null(object_of(n=COUNT, train=COUNT, validation=COUNT, set_aside=BOOLEAN)), target=STRING, n=COUNT,
    before=ref("Accuracy"), after=ref("Accuracy"), changed=COUNT,
)  # fmt: skip
MODELS = object_of(models=list_of(object_of(path=STRING, name=STRING, bytes=COUNT)))
MODEL_IMAGES = object_of(
    data=STRING, part={"enum": ["test", "file", "all"]}, total=COUNT, start=COUNT,
    images=list_of(object_of(image=ref("ImageName"), labels=map_of(STRING))),
)  # fmt: skip
IMAGES = object_of(images=list_of(STRING), more=BOOLEAN, unnamable=COUNT)
UPLOADED = object_of(image=STRING, width=COUNT, height=COUNT, notes=list_of(ref("Message")))

ONE_IMAGE = {"inspection": ref("Inspection")}
ONE_LAYER = ONE_IMAGE | {"layer": ref("LayerName"), "tta_view": VIEW}
ONE_CLASS = ONE_IMAGE | {
    "target": ref("TargetName"), "class": ref("ClassName"), "versus": or_null(ref("ClassName")),
    "layer": or_null(ref("LayerName")), "tta_view": {"enum": ["both", *VIEWS]},
}  # fmt: skip
BYTES = "application/octet-stream"


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/api/openapi.json"): Operation("This description.", ANY_OBJECT),
    ("GET", "/api/models"): Operation("The models of the folder, the newest first.", MODELS),
    ("GET", "/api/images"): Operation(
        "A page of the images of the folder.", IMAGES, query=(("start", COUNT | {"maximum": 2**31}, False),)
    ),
    ("GET", "/api/thumbnail"): Operation(
        "An image made small.", "image/png",
        query=(
            ("image", ref("ImageName"), True), ("model", ref("ModelPath"), False),
            ("side", COUNT | {"maximum": 512}, False),
        ),
    ),
    ("POST", "/api/images"): Operation("Keep an uploaded image while the studio runs.", UPLOADED, BYTES),
    ("POST", "/api/model"): Operation(
        "A model's layers, targets and metrics.", MODEL, request_of(("model",), model=ref("ModelPath"))
    ),
    ("POST", "/api/model/images"): Operation(
        "The images that test a model, with their true labels.", MODEL_IMAGES,
        request_of(("model",), model=ref("ModelPath"), start=COUNT, label=ref("ClassName")),
    ),
    ("POST", "/api/predict"): Operation(
        "The predictions, with and without edits, and the preprocessing steps.", PREDICTION,
        request_of(("inspection",), **ONE_IMAGE),
    ),
    ("POST", "/api/accuracy"): Operation(
        "The accuracy before and after the edits.", ACCURACIES,
        request_of(
            ("inspection",), **ONE_IMAGE, target=ref("TargetName"), on={"enum": ["golden", "data"]},
            count=COUNT | {"maximum": 10_000},
        ),
    ),
    ("POST", "/api/effects"): Operation(
        "The change of each probability by each optional preprocessing step.", map_of(map_of(MAP)),
        request_of(("inspection",), **ONE_IMAGE),
    ),
    ("POST", "/api/feature-maps"): Operation(
        "All maps of a layer as 8-bit codes.", BYTES, request_of(("inspection", "layer"), **ONE_LAYER)
    ),
    ("POST", "/api/values"): Operation(
        "Exact values of a window of one map.", VALUES,
        request_of(
            ("inspection", "layer"), **ONE_LAYER, channel=COUNT, top=COUNT, left=COUNT, height=COUNT, width=COUNT
        ),
    ),
    ("POST", "/api/values.npy"): Operation(
        "A whole layer as a .npy file.", BYTES, request_of(("inspection", "layer"), **ONE_LAYER)
    ),
    ("POST", "/api/kernels"): Operation(
        "A convolution's kernels.", BYTES, request_of(("inspection", "layer"), **ONE_LAYER)
    ),
    ("POST", "/api/pixels"): Operation(
        "The image's pixels, upright or as the network takes them.", BYTES,
        request_of(
            ("inspection",), **ONE_IMAGE, step={"enum": ["model_input", "upright"]}, max_px=COUNT | {"maximum": 1024}
        ),
    ),
    ("POST", "/api/arithmetic"): Operation(
        "How one value of a layer was computed.", ARITHMETIC,
        request_of(("inspection", "layer", "index"), **ONE_LAYER, index=list_of(COUNT), all=BOOLEAN),
    ),
    ("POST", "/api/attribution"): Operation(
        "What counts for and against a class.", ATTRIBUTION, request_of(("inspection", "target", "class"), **ONE_CLASS)
    ),
    ("POST", "/api/channels"): Operation(
        "The channels of a layer that count most for and against a class.", CHANNELS,
        request_of(("inspection", "target", "class"), **ONE_CLASS),
    ),
    ("POST", "/api/sanity-checks"): Operation(
        "Whether the attribution depends on the weights and marks what matters.", ANY_OBJECT,
        request_of(("inspection", "target", "class"), **ONE_CLASS, seed=COUNT),
    ),
    **DATA_OPERATIONS,
    **JOBS_OPERATIONS,
    **HOME_OPERATIONS,
    **MISTAKES_OPERATIONS,
    **WALK_OPERATIONS,
    **REVIEW_OPERATIONS,
    **TRAINING_OPERATIONS,
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
    error = {"description": "The request is refused, with a code.", "content": _content(ref("Message"))}
    done = {"description": "Done.", "content": _content(operation.response)}
    described: Schema = {
        "summary": operation.summary,
        "responses": {"200": done, "4XX": error, "503": error, "507": error},
    }
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
