"""What the paths of the training room take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.web.api_schemas import (
    ANY_OBJECT,
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

NUMBER_OR_NULL = or_null(NUMBER)

TRAINING_SCHEMAS: dict[str, Schema] = {
    "Epoch": object_of(
        epoch=COUNT, train_loss=NUMBER_OR_NULL, train_accuracy=NUMBER_OR_NULL, validation_loss=NUMBER_OR_NULL,
        validation_accuracy=NUMBER_OR_NULL, elapsed_s=NUMBER_OR_NULL,
    ),
    "Run": object_of(
        run=STRING, name=STRING, status={"enum": ["running", "finished", "interrupted"]}, recipe=STRING,
        command=STRING, started=STRING, data=STRING, counts=map_of(COUNT), epochs=COUNT, parameters=COUNT,
        expected_s=NUMBER_OR_NULL, train_s=NUMBER_OR_NULL, version=or_null(ref("Message")), test=ANY_OBJECT,
        history=list_of(ref("Epoch")), snapshots=list_of(COUNT), model=or_null(STRING),
    ),
    "Snapshot": object_of(
        epoch=COUNT, model=STRING, images=COUNT,
        targets=list_of(
            object_of(
                name=STRING, classes=list_of(STRING), labels=list_of(or_null(COUNT)), predicted=list_of(COUNT),
                probabilities=list_of(list_of(NUMBER)),
            )
        ),
        kernels=or_null(object_of(layer=STRING, count=COUNT, side=COUNT, png=STRING)),
    ),
}  # fmt: skip

TRAINING_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/api/training/run"): Operation(
        "A run: how far it is, its history, and the epochs of which there are snapshots.", ref("Run"),
        request_of(("run",), run=ref("RunPath")),
    ),
    ("POST", "/api/training/epoch"): Operation(
        "The network after an epoch: its predictions for the fixed images, and its first kernels.", ref("Snapshot"),
        request_of(("run", "epoch"), run=ref("RunPath"), epoch=COUNT),
    ),
    ("GET", "/api/tagged"): Operation(
        "A table of the folder, such as a tagged one, to save.", "application/octet-stream",
        query=(("file", NAME, True),),
    ),
}  # fmt: skip
