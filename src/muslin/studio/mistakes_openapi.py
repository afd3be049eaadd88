"""What the paths below /api/mistakes/ take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.data.dataset import PARTS
from muslin.evaluation.selective import DECISIONS
from muslin.studio.mistakes_routes import CHANGES, MAX_PAGE
from muslin.web.api_schemas import (
    ANY_OBJECT,
    BOOLEAN,
    COUNT,
    NAME,
    NUMBER,
    STRING,
    Operation,
    Schema,
    list_of,
    object_of,
    or_null,
    ref,
    request_of,
)
from muslin.workflows.run_mistakes import OUTCOMES, SORTS

INTERVAL = list_of(NUMBER, minItems=2, maxItems=2)
SHARE = NUMBER | {"minimum": 0, "maximum": 1}
PREDICTED_IMAGE = {
    "place": COUNT, "image": or_null(STRING), "id": STRING, "labels": list_of(STRING), "predicted": list_of(STRING),
    "probabilities": list_of(list_of({"anyOf": [STRING, NUMBER]})), "loss": or_null(NUMBER),
    "decision": {"enum": list(DECISIONS)},
}  # fmt: skip

MISTAKES_SCHEMAS: dict[str, Schema] = {
    "PartName": {"enum": list(PARTS), "default": "test"},
    "PredictedImage": object_of(**PREDICTED_IMAGE),
    "ListedImage": object_of(**PREDICTED_IMAGE, other_predicted=or_null(list_of(STRING))),
    "NearImage": object_of(**PREDICTED_IMAGE, similarity=NUMBER),
    "ClassMetrics": object_of(
        name=STRING, support=COUNT, predicted=COUNT, correct=COUNT, precision=or_null(SHARE),
        precision_interval=INTERVAL, recall=or_null(SHARE), recall_interval=INTERVAL, f1=or_null(SHARE),
        f1_interval=INTERVAL,
    ),
    "RunMistakes": object_of(
        part=STRING, n=COUNT, target=STRING,
        targets=list_of(
            object_of(name=STRING, kind={"enum": ["multiclass", "multilabel"]}, classes=list_of(STRING))
        ),
        accuracy=object_of(n=COUNT, correct=COUNT, accuracy=or_null(SHARE), interval=INTERVAL),
        reported_accuracy=or_null(NUMBER), cells=or_null(list_of(list_of(COUNT))), order=list_of(COUNT),
        classes=list_of(ref("ClassMetrics")),
        decisions=list_of(object_of(decision={"enum": list(DECISIONS)}, n=COUNT, correct=COUNT)), has_vectors=BOOLEAN,
    ),
    "Slice": object_of(
        value=STRING, n=COUNT, accuracy=SHARE, accuracy_interval=INTERVAL, difference=NUMBER,
        difference_interval=INTERVAL, weak=BOOLEAN,
    ),
}  # fmt: skip

ONE_PART = {"run": ref("RunPath"), "part": ref("PartName"), "target": or_null(STRING)}

MISTAKES_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/mistakes/summary"): Operation(
        "The confusion matrix, the per-class metrics and the decisions of a run; null until a job has predicted them.",
        object_of(
            run=STRING, part={"enum": list(PARTS)}, parts=list_of(object_of(name={"enum": list(PARTS)}, n=COUNT)),
            data=or_null(STRING), model=STRING, found=or_null(ref("RunMistakes")),
        ),
        request_of(("run",), **ONE_PART),
    ),
    ("POST", "/api/mistakes/images"): Operation(
        "The images of a cell, a row, a column or a slice, with their predictions.",
        object_of(
            total=COUNT, start=COUNT, data=or_null(STRING), version=STRING, images=list_of(ref("ListedImage"))
        ),
        request_of(
            ("run",), **ONE_PART, label=STRING, predicted=STRING, outcome={"enum": list(OUTCOMES)},
            decision={"enum": ["", *DECISIONS]}, text=STRING | {"maxLength": 200}, sort={"enum": list(SORTS)},
            slice=STRING, value=STRING, other=STRING, change={"enum": list(CHANGES)}, start=COUNT,
            count=COUNT | {"maximum": MAX_PAGE},
        ),
    ),
    ("POST", "/api/mistakes/image"): Operation(
        "One image by its name, with its prediction.", object_of(image=or_null(ref("PredictedImage"))),
        request_of(("run", "id"), **ONE_PART, id=NAME),
    ),
    ("POST", "/api/mistakes/neighbours"): Operation(
        "The training images nearest to one image, by the network's features.",
        object_of(
            is_known=BOOLEAN,
            data=or_null(STRING),
            other_label=list_of(ref("NearImage")),
            same_label=list_of(ref("NearImage")),
        ),
        request_of(("run", "place"), **ONE_PART, place=COUNT),
    ),
    ("POST", "/api/mistakes/slices"): Operation(
        "The accuracy of slices, the weak ones first.",
        object_of(slices={"type": "object", "additionalProperties": list_of(ref("Slice"))}),
        request_of(("run",), **ONE_PART),
    ),
    ("POST", "/api/mistakes/compare"): Operation(
        "Two runs on the images that both have in a part; null until a job has predicted those of the other one.",
        object_of(is_known=BOOLEAN, comparison=or_null(ANY_OBJECT)),
        request_of(("run", "other"), **ONE_PART, other=ref("RunPath")),
    ),
}  # fmt: skip
