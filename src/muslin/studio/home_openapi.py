"""What the paths of the home page take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.studio.imports import MAX_BYTES, MAX_FILES, MAX_SUFFIXES
from muslin.web.api_schemas import (
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

PLACE = {"path": STRING, "name": STRING, "modified": NUMBER | {"description": "Seconds since 1970."}}
TEST = object_of(
    target=STRING, accuracy=or_null(NUMBER), interval=or_null(list_of(NUMBER, minItems=2, maxItems=2)), n=or_null(COUNT)
)

HOME_SCHEMAS: dict[str, Schema] = {
    "ImportName": NAME | {"description": "As `/api/imports/start` returns it."},
    "ContentsRow": object_of(
        **PLACE, kind={"enum": ["folder", "table", "archive", "model"]}, images=or_null(COUNT), bytes=or_null(COUNT)
    ),
    "RunRow": object_of(
        **PLACE, model=or_null(STRING), status={"enum": ["training", "finished", "unreadable"]}, recipe=or_null(STRING),
        data=or_null(STRING), test=or_null(TEST), error=or_null(ref("Message")),
    ),
}  # fmt: skip

ONE_IMPORT = {"name": ref("ImportName")}
NOTE = object_of(message=ref("Message"), count=COUNT)

HOME_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/api/contents"): Operation(
        "What lies in the studio's folder, newest first, and the imports that are under way.",
        object_of(
            data=list_of(ref("ContentsRow")), runs=list_of(ref("RunRow")), models=list_of(ref("ContentsRow")),
            offers=list_of(object_of(data=STRING, mb=or_null(COUNT), is_at_hand=BOOLEAN)),
            is_writable=BOOLEAN, is_data_set=BOOLEAN, loose_images=COUNT,
            imports=list_of(object_of(name=STRING, files=COUNT, bytes=COUNT)),
        ),
    ),
    ("POST", "/api/imports/check"): Operation(
        "Which files are worth sending.", object_of(wanted=list_of(STRING), notes=list_of(ref("Message"))),
        request_of(("names",), names=map_of(list_of(STRING)) | {
            "maxProperties": MAX_SUFFIXES, "description": "Per suffix, in lower case, the names of a few such files.",
        }),
    ),
    ("POST", "/api/imports/start"): Operation(
        "Begin an import, or continue one of the same name, files and bytes.",
        object_of(name=STRING, done=map_of(list_of(NUMBER, minItems=2, maxItems=2))),
        request_of(
            ("name", "files", "bytes"), name=NAME, files=COUNT | {"maximum": MAX_FILES},
            bytes=COUNT | {"maximum": MAX_BYTES},
        ),
    ),
    ("POST", "/api/imports/add"): Operation(
        "Pieces of files: uint32 (little endian) length, a JSON header of it {name, parts: [{path, offset, length, "
        "size, modified}]}, and the content of the parts one after the other.",
        object_of(complete=COUNT), "application/octet-stream",
    ),
    ("POST", "/api/imports/finish"): Operation(
        "Give a complete import its name.",
        object_of(data=STRING, images=COUNT, others=COUNT, notes=list_of(NOTE)), request_of(("name",), **ONE_IMPORT),
    ),
    ("POST", "/api/imports/discard"): Operation(
        "Delete what has arrived of an import.", object_of(name=STRING), request_of(("name",), **ONE_IMPORT)
    ),
}  # fmt: skip
