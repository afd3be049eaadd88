"""The fields of JSON objects in replies."""

from typing import Any

from muslin.oip_check.outcomes import RuleBrokenError


def field(value: dict[str, Any], name: str, kind: type | tuple[type, ...], where: str = "The reply") -> Any:
    """`value[name]`, which is of this JSON type.

    Raises:
        RuleBrokenError: it is missing, or of another type.
    """
    if name not in value:
        raise RuleBrokenError(f"{where} has no {name}.")
    found = value[name]
    is_of_kind = isinstance(found, kind) and not (isinstance(found, bool) and kind is int)
    if not is_of_kind:
        raise RuleBrokenError(f"{where}: {name} is a JSON {json_type(found)}, expected {json_type(kind)}.")
    return found


def json_type(value: Any) -> str:
    """The name of a value's JSON type, or of a Python type's."""
    kind = value if isinstance(value, type) else type(value)
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(kind, "null")
