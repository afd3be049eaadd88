"""What the paths below /api/walk take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.evaluation.selective import DECISIONS
from muslin.studio.walk_photo import METRICS
from muslin.web.api_schemas import (
    COUNT,
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

SHARE = NUMBER | {"minimum": 0, "maximum": 1}
OPTIONAL_NUMBER = or_null(NUMBER)

EPOCH = object_of(
    epoch=COUNT, train_loss=OPTIONAL_NUMBER, validation_loss=OPTIONAL_NUMBER, train_accuracy=OPTIONAL_NUMBER,
    validation_accuracy=OPTIONAL_NUMBER,
)  # fmt: skip
TRAINING = object_of(
    name=STRING, recipe=STRING, method=STRING, dropout=OPTIONAL_NUMBER, data=STRING, split_sizes=map_of(COUNT),
    epochs=list_of(EPOCH),
)  # fmt: skip
EXAMPLES = object_of(
    part={"enum": ["validation", "test"]}, seen_images=or_null({"type": "object"}), requested=COUNT, n=COUNT,
    labels=list_of(COUNT), predicted=list_of(COUNT), probability=list_of(SHARE), probability_of_label=list_of(SHARE),
    thresholds=list_of(object_of(threshold=SHARE, n=COUNT, correct=COUNT, interval=list_of(SHARE))),
    group=list_of(COUNT), to_sort=list_of(COUNT),
)  # fmt: skip
WALK = object_of(
    target=STRING, classes=list_of(STRING), training=or_null(TRAINING), examples=or_null(EXAMPLES),
    reason=or_null(ref("Message")),
)  # fmt: skip
COMPARED = object_of(
    known=COUNT,
    comparisons=list_of(object_of(metric={"enum": list(METRICS)}, value=NUMBER, low=NUMBER, high=NUMBER)),
    nearest=list_of(COUNT), label=STRING, probability=SHARE, decision={"enum": list(DECISIONS)},
)  # fmt: skip
CUT_OUT = object_of(image=STRING, width=COUNT, height=COUNT, notes=list_of(ref("Message")))
SIDES: dict[str, Schema] = dict.fromkeys(("left", "top", "right", "bottom"), SHARE)

WALK_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/walk"): Operation(
        "A model's training, and labelled images of its run with their predictions.", WALK,
        request_of(("model",), model=ref("ModelPath")),
    ),
    ("POST", "/api/walk/compare"): Operation(
        "A photo beside the images that the model knows, as the network takes them.", COMPARED,
        request_of(("inspection",), inspection=ref("Inspection")),
    ),
    ("POST", "/api/walk/crop"): Operation(
        "Keep a part of an image as an upload; the sides are shares of its width and height. What is within `ground` "
        "levels of a side's colour becomes white.", CUT_OUT,
        request_of(
            ("image", *SIDES), image=ref("ImageName"), model=ref("ModelPath"), **SIDES, ground=COUNT | {"maximum": 255}
        ),
    ),
}  # fmt: skip
