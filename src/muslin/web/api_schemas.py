"""What the rows of `muslin.studio.openapi` are made of: JSON schemas, and operations."""

from typing import Any, NamedTuple

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
ANY_OBJECT: Schema = {"type": "object"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


MESSAGE_OR_TEXT: Schema = {"anyOf": [ref("Message"), STRING]}


def list_of(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items} | limits


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def map_of(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def object_of(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def request_of(required: tuple[str, ...], **properties: Schema) -> Schema:
    """A request's body; other properties are ignored."""
    return {"type": "object", "properties": properties, "required": list(required)}


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
