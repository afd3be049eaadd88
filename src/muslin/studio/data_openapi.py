"""What the paths below /api/data/ take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.studio.corrections import KINDS
from muslin.studio.data_selection import STATES
from muslin.web.api_schemas import (
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

INDICES = list_of(COUNT)
LABEL: Schema = {
    "anyOf": [COUNT, INDICES, {"type": "null"}],
    "description": "A class's index, or null where it is unknown; of a multilabel target the indices of the labels.",
}
TEXT = NAME | {"maxLength": 500}

DECISION = {
    "number": COUNT, "kind": {"enum": list(KINDS)}, "id": STRING, "target": STRING, "label": STRING, "undoes": COUNT,
    "who": STRING, "when": STRING,
}  # fmt: skip

DATA_SCHEMAS: dict[str, Schema] = {
    "DataName": NAME | {"description": "A path below the folder (a folder, a zip, a table …), or a registered name."},
    "SampleIndex": COUNT | {"description": "The place of an image in the data set, from 0."},
    "ImageDecision": object_of(**DECISION),
    "ImageFilters": {
        "type": "object",
        "properties": {
            "classes": list_of(STRING), "parts": list_of(STRING), "groups": list_of(STRING), "text": STRING,
            "state": {"enum": list(STATES)}, "ranges": map_of(list_of(or_null(NUMBER), minItems=2, maxItems=2)),
        },
        "description": "Which images are wanted: see muslin.studio.data_selection.Selection.",
    },
    "NewImageDecision": request_of(
        ("request", "index"), request=TEXT, index=ref("SampleIndex"), kind={"enum": list(KINDS), "default": "label"},
        target=or_null(STRING), label=NAME, answer={"enum": ["yes", "no"]}, undoes=COUNT, after=COUNT,
    ),
}  # fmt: skip

ONE_DATA = {"data": ref("DataName")}
OF_TARGET = ONE_DATA | {"target": or_null(STRING), "run": or_null(STRING)}
COUNTS = object_of(classes=list_of(COUNT), parts=map_of(COUNT), decided=COUNT, excluded=COUNT, unlabelled=COUNT)
ROW = object_of(
    index=COUNT, id=STRING, part=STRING, group=STRING, label=LABEL, given=LABEL, predicted=or_null(COUNT),
    values=map_of(or_null(NUMBER)), is_excluded=BOOLEAN, decisions=list_of(ref("ImageDecision")),
)  # fmt: skip
FINDING = object_of(
    kind=STRING, score=NUMBER, message=MESSAGE_OR_TEXT, target=or_null(STRING), label=or_null(STRING),
    suggested=or_null(STRING), images=INDICES, exclude=INDICES, more=COUNT,
)  # fmt: skip
BYTES = "application/octet-stream"

DATA_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/data/open"): Operation(
        "A data set of the folder.",
        object_of(
            data=STRING, version=STRING, title=STRING, origin=STRING, n=COUNT, shape=or_null(list_of(COUNT)),
            targets=list_of(object_of(name=STRING, kind=STRING, classes=list_of(STRING))), parts=list_of(STRING),
            groups=list_of(STRING), groups_count=COUNT, fixes=list_of(MESSAGE_OR_TEXT), left_out=COUNT,
            corrections=STRING, damaged_decisions=COUNT, is_writable=BOOLEAN,
        ),
        request_of(("data",), **ONE_DATA),
    ),
    ("POST", "/api/data/list"): Operation(
        "The indices of the images that are wanted, in order: a JSON header, then int32.", BYTES,
        request_of(
            ("data",), **OF_TARGET, filters=ref("ImageFilters"), sort=STRING, descending=BOOLEAN, like=or_null(COUNT)
        ),
    ),
    ("POST", "/api/data/rows"): Operation(
        "What is known of some images.", object_of(rows=list_of(ROW)),
        request_of(("data", "images"), **OF_TARGET, images=list_of(ref("SampleIndex"))),
    ),
    ("GET", "/api/data/sheet"): Operation(
        "Thumbnails of up to 64 images as one file: a JSON header, then a PNG or a JPEG.", BYTES,
        query=(
            ("data", ref("DataName"), True), ("images", STRING, True), ("version", STRING, False),
            ("side", COUNT, False),
        ),
    ),
    ("POST", "/api/data/decide"): Operation(
        "Decide on images: labels, exclusions, and undoing them. All are on the disk when this returns.",
        object_of(
            receipts=list_of(object_of(number=COUNT, is_repeated=BOOLEAN, earlier=or_null(ref("ImageDecision"))))
        ),
        request_of(("data", "who", "decisions"), **ONE_DATA, who=TEXT, decisions=list_of(ref("NewImageDecision"))),
    ),
    ("POST", "/api/data/history"): Operation(
        "The last decisions, newest first.",
        object_of(n=COUNT, decisions=list_of(object_of(**DECISION, is_undone=BOOLEAN))),
        request_of(("data",), **ONE_DATA),
    ),
    ("POST", "/api/data/findings"): Operation(
        "The findings of the last audit of the data set.",
        object_of(
            audit=or_null(object_of(folder=STRING, is_old=BOOLEAN)), counts=map_of(COUNT), skipped=map_of(STRING),
            findings=list_of(FINDING),
        ),
        request_of(("data",), **ONE_DATA),
    ),
    ("POST", "/api/data/map"): Operation(
        "The points of the map by similarity: a JSON header, then float32 (points, 3).", BYTES,
        request_of(("data",), **ONE_DATA, run=or_null(STRING)),
    ),
}  # fmt: skip
