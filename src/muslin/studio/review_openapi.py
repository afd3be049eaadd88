"""What the paths below /api/review/ take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.evaluation.selective import DECISIONS
from muslin.review.values import DECIDED_KINDS, DRAWN, KINDS, SORTS, STATES
from muslin.studio.review_work import MAX_MARGIN, WORKS
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
    map_of,
    object_of,
    or_null,
    ref,
    request_of,
)

TEXT = NAME | {"maxLength": 200}
SHARE = NUMBER | {"minimum": 0, "maximum": 1}
LABELS = list_of(STRING)
LINES = list_of({"anyOf": [ref("Message"), STRING]})
VALUE: Schema = {"anyOf": [STRING, LABELS], "description": "A class; of a multilabel target an array of labels."}

REVIEW_SCHEMAS: dict[str, Schema] = {
    "StoreName": NAME | {"description": "As `/api/review/stores` lists them."},
    "ReviewTarget": NAME,
    "ProductId": COUNT,
    "Person": TEXT | {"description": "Who decides; the page asks for it once."},
    "Filters": {
        "type": "object",
        "properties": {
            "values": list_of(VALUE), "decisions": list_of({"enum": list(DECISIONS)}),
            "state": or_null({"enum": list(STATES)}), "kinds": list_of({"enum": list(DECIDED_KINDS)}),
            "decided_values": list_of(VALUE), "who": list_of(TEXT),
            "since": or_null(TEXT), "until": or_null(TEXT), "min_confidence": or_null(SHARE),
            "max_confidence": or_null(SHARE), "text": or_null(TEXT), "drawn": list_of({"enum": list(DRAWN)}),
            "catalogue": or_null(COUNT),
        },
        "additionalProperties": False,
        "description": "Which items are wanted: see muslin.review.values.Filters.",
    },
    "NewDecision": request_of(
        ("product", "target", "request", "fingerprint", "digest"),
        product=ref("ProductId"), target=ref("ReviewTarget"), kind={"enum": list(DECIDED_KINDS), "default": "value"},
        value=or_null(VALUE),
        request=TEXT | {"description": "Made once by the page and sent again after a lost connection."},
        fingerprint=TEXT, digest=TEXT, note=STRING | {"maxLength": 2000}, after=or_null(COUNT),
        seconds=or_null(NUMBER | {"minimum": 0}), shown=ANY_OBJECT,
    ),
    "Decided": object_of(
        id=COUNT, product=COUNT, target=STRING, kind={"enum": list(KINDS)}, value=or_null(VALUE), note=STRING,
        who=STRING, at=STRING, fingerprint=STRING, digest=STRING, drawn={"enum": list(DRAWN)}, seconds=or_null(NUMBER),
        undoes=or_null(COUNT), is_undone=BOOLEAN,
    ),
    "Item": object_of(
        product=COUNT, name=STRING, target=STRING, photos=COUNT, text=STRING, fingerprint=STRING, digest=STRING,
        value=VALUE, probability=SHARE, decision={"enum": list(DECISIONS)}, candidates=LABELS,
        drawn={"enum": list(DRAWN)}, decided=or_null(ref("Decided")), has_changed=BOOLEAN,
    ),
    "Receipt": object_of(
        id=COUNT, is_repeated=BOOLEAN, earlier=or_null(ref("Decided")), has_changed=BOOLEAN
    ),
    "Tally": object_of(total=COUNT, decided=COUNT),
    "Counts": object_of(
        decisions=map_of(ref("Tally")), values=list_of(object_of(value=VALUE, total=COUNT, decided=COUNT)),
        queue=ref("Tally"), sample=ref("Tally"), prefix=COUNT, unreadable=COUNT,
    ),
}  # fmt: skip

ITEMS = list_of(ref("Item"))
ALL_COUNTS = map_of(ref("Counts"))
ONE_STORE = {"store": ref("StoreName")}
ONE_TARGET = ONE_STORE | {"target": ref("ReviewTarget")}
ONE_PRODUCT = ONE_TARGET | {"product": ref("ProductId")}
MODEL = object_of(
    digest=STRING, name=STRING, size=COUNT, classes=map_of(LABELS), record=ANY_OBJECT, added_at=STRING,
)  # fmt: skip
PROMOTION = object_of(id=COUNT, digest=STRING, kind=STRING, who=STRING, at=STRING, metrics=ANY_OBJECT)
TARGET = object_of(name=STRING, kind={"enum": ["multiclass", "multilabel"]}, classes=LABELS)
STATUS = object_of(
    messages=list_of(ref("Message")), precision=ANY_OBJECT, is_shifted=BOOLEAN,
    pace=or_null(object_of(n=COUNT, seconds=or_null(NUMBER))), left_s=or_null(NUMBER),
)  # fmt: skip
WORK = object_of(
    kind={"enum": list(WORKS)}, is_running=BOOLEAN, lines=LINES, error=or_null(ref("Message")),
    result=or_null(ANY_OBJECT),
)  # fmt: skip
PAGE_OF = {"count": COUNT | {"maximum": 500}}

REVIEW_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/api/review/stores"): Operation(
        "The review stores of the folder, and the one that the studio was started with.",
        object_of(stores=LABELS, served=or_null(STRING)),
    ),
    ("GET", "/api/review/photo"): Operation(
        "A product's photo, made small. A browser may keep it where the request has the product's fingerprint.",
        "image/jpeg", query=(
            ("store", ref("StoreName"), True), ("product", ref("ProductId"), True), ("photo", COUNT, False),
            ("side", COUNT | {"maximum": 2048}, False), ("fingerprint", STRING, False),
        ),
    ),
    ("POST", "/api/review/open"): Operation(
        "A store's targets, its active model and its counts.", object_of(
            id=STRING, targets=list_of(TARGET), model=object_of(digest=STRING, name=STRING), counts=ALL_COUNTS
        ), request_of(tuple(ONE_STORE), **ONE_STORE),
    ),
    ("POST", "/api/review/next"): Operation(
        "The next items to decide, which nobody else gets meanwhile.", object_of(items=ITEMS, counts=ref("Counts")),
        request_of(
            ("store", "target", "who"), **ONE_TARGET, who=ref("Person"), page=TEXT, filters=ref("Filters"), **PAGE_OF
        ),
    ),
    ("POST", "/api/review/items"): Operation(
        "A page of all items that fit the filters.", object_of(items=ITEMS), request_of(
            tuple(ONE_TARGET), **ONE_TARGET, filters=ref("Filters"), sort={"enum": list(SORTS)},
            start=COUNT | {"maximum": 2**31}, **PAGE_OF
        ),
    ),
    ("POST", "/api/review/item"): Operation(
        "One item.", object_of(item=ref("Item")), request_of(tuple(ONE_PRODUCT), **ONE_PRODUCT)
    ),
    ("POST", "/api/review/similar"): Operation(
        "The undecided products that look most like one.", object_of(items=ITEMS),
        request_of(tuple(ONE_PRODUCT), **ONE_PRODUCT, count=COUNT | {"maximum": 200}),
    ),
    ("POST", "/api/review/decide"): Operation(
        "Add decisions, all or none. They are on the disk when the response comes.",
        object_of(receipts=list_of(ref("Receipt")), counts=ALL_COUNTS), request_of(
            ("store", "who", "decisions"), **ONE_STORE, who=ref("Person"),
            decisions=list_of(ref("NewDecision"), minItems=1, maxItems=1000),
        ),
    ),
    ("POST", "/api/review/undo"): Operation(
        "Undo decisions: all of them or none.", object_of(receipts=list_of(ref("Receipt")), counts=ALL_COUNTS),
        request_of(("store", "who", "undos"), **ONE_STORE, who=ref("Person"), undos=list_of(
            request_of(("decision", "request"), decision=COUNT, request=TEXT), minItems=1, maxItems=1000
        )),
    ),
    ("POST", "/api/review/release"): Operation(
        "Let others have what a person has on the page.", object_of(),
        request_of(("store", "who"), **ONE_STORE, who=ref("Person"), page=TEXT, products=list_of(ref("ProductId"))),
    ),
    ("POST", "/api/review/class"): Operation(
        "Add a class to a target.", object_of(classes=LABELS),
        request_of(("store", "target", "name", "who"), **ONE_TARGET, name=TEXT, who=ref("Person")),
    ),
    ("POST", "/api/review/history"): Operation(
        "All decisions on one target of a product, with those that do not count any more.",
        object_of(history=list_of(ref("Decided"))), request_of(tuple(ONE_PRODUCT), **ONE_PRODUCT),
    ),
    ("POST", "/api/review/counts"): Operation(
        "The counts of each target.", object_of(counts=ALL_COUNTS), request_of(tuple(ONE_STORE), **ONE_STORE)
    ),
    ("POST", "/api/review/status"): Operation(
        "Whether the guarantee still holds, whether the products have shifted, and how long the rest takes.",
        object_of(targets=map_of(STATUS)), request_of(tuple(ONE_STORE), **ONE_STORE, who=ref("Person")),
    ),
    ("POST", "/api/review/models"): Operation(
        "The models of a store, and which one became the active one when.",
        object_of(active=STRING, models=list_of(MODEL), promotions=list_of(PROMOTION)),
        request_of(tuple(ONE_STORE), **ONE_STORE),
    ),
    ("POST", "/api/review/train"): Operation(
        "Begin to train a candidate on everything decided.", object_of(work=WORK),
        request_of(("store", "who"), **ONE_STORE, who=ref("Person")),
    ),
    ("POST", "/api/review/promote"): Operation(
        "Begin to make a candidate the active model, if it is not worse; or to bring back the one before.",
        object_of(work=WORK),
        request_of(("store", "who"), **ONE_STORE, who=ref("Person"), digest=TEXT, undo=BOOLEAN,
                   margin=NUMBER | {"minimum": 0, "maximum": MAX_MARGIN}),
    ),
    ("POST", "/api/review/forecast"): Operation(
        "Begin to compute what more decided products would bring, of any class or of one.", object_of(forecast=WORK),
        request_of(("store", "target", "who"), **ONE_TARGET, who=ref("Person"), class_name=TEXT),
    ),
    ("POST", "/api/review/work"): Operation(
        "How far the last training, promotion or forecast is, and whether the store allows one.",
        object_of(work=or_null(WORK), forecast=or_null(WORK), is_allowed=BOOLEAN),
        request_of(tuple(ONE_STORE), **ONE_STORE),
    ),
    ("POST", "/api/review/stop"): Operation(
        "Tell the training, promotion or forecast that is running to stop.",
        object_of(work=or_null(WORK), forecast=or_null(WORK), is_allowed=BOOLEAN),
        request_of(tuple(ONE_STORE), **ONE_STORE),
    ),
}  # fmt: skip
