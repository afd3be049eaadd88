"""Schemas of JSON that a stranger may have written, and the check of a value against one.

A schema is

- a type, or None: exactly a value of that type, so true is no number (`float` also takes whole numbers);
- `[schema]`: a list of any length;
- `{"key": schema}`: an object of exactly these keys; `{str: schema}`: of any keys;
- a `Number`, `Array`, `Object`, `AnyOf` or `Choice`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from muslin.errors import BundleError
from muslin.text import UNSAFE_CHARACTERS

MAX_VALUES = 1_000_000
"""Values, and commas in texts, of one JSON file: they take at most some 100 MB. 10,000 layers have 300,000."""

MAX_DEPTH = 32
"""Levels of nested lists and objects. muslin writes at most 7."""

MAX_TEXT_CHARACTERS = 2**16

_MAX_KEY_SHOWN = 60


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`; a whole one where `kind` is int."""

    low: float
    high: float
    kind: type = float


@dataclass(frozen=True)
class Array:
    """A list of `low` to `high` items."""

    item: Any
    low: int
    high: int


@dataclass(frozen=True)
class Object:
    """An object of these properties, of which the required ones must be there; others, where allowed, hold anything."""

    properties: Mapping[str, Any]
    required: frozenset[str] = frozenset()
    allows_additional: bool = True


class Choice(tuple[str, ...]):
    """One of these texts."""


class AnyOf(tuple[Any, ...]):
    """A value that fits one of these schemas, the last of which an error names."""


COUNT = Number(0, 2**63 - 1, int)
SHARE = Number(0, 1)


def parse_json(content: bytes, unsafe: re.Pattern[str] = UNSAFE_CHARACTERS) -> dict[str, Any]:
    """The JSON object in `content`.

    Args:
        unsafe: what no text may hold: by default control characters other than tabs and line breaks, and what is not
            valid Unicode.

    Raises:
        BundleError: it is not an object; holds NaN, Infinity, a number that no 64 bits hold, or a text that is unsafe
            or too long; or has too many values or too many levels.
        ValueError: it is not JSON.
    """

    def refuse(number: str) -> NoReturn:
        raise BundleError("json_number", found=number[:40])

    def parse_float(text: str) -> float:
        return value if math.isfinite(value := float(text)) else refuse(text)

    def parse_int(text: str) -> int:
        return value if len(text) < 21 and -(2**63) <= (value := int(text)) < 2**63 else refuse(text)

    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BundleError("json_size", maximum=MAX_VALUES, depth=MAX_DEPTH)
    try:
        value = json.loads(content.decode(), parse_constant=refuse, parse_float=parse_float, parse_int=parse_int)
    except RecursionError as error:
        raise BundleError("json_size", maximum=MAX_VALUES, depth=MAX_DEPTH) from error
    if not isinstance(value, dict):
        raise BundleError("json_not_object")
    for text in _texts(value):
        if len(text) > MAX_TEXT_CHARACTERS:
            raise BundleError("json_long_text", found=len(text), maximum=MAX_TEXT_CHARACTERS)
        if unsafe.search(text):
            raise BundleError("json_text", found=ascii(text)[:40])
    return value


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys too; BundleError where it is too deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        for item in level:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict):
                yield from item
        level = [inside for item in level if isinstance(item, dict | list) for inside in _inside(item)]
    if level:
        raise BundleError("json_size", maximum=MAX_VALUES, depth=MAX_DEPTH)


def _inside(value: dict[str, Any] | list[Any]) -> Any:
    return value.values() if isinstance(value, dict) else value


def check_schema(value: Any, schema: Any, where: str = "") -> None:
    """Refuse JSON that does not fit the schema.

    Args:
        where: the keys on the way to `value`, for the error.

    Raises:
        BundleError: a value of another type or out of range, a missing or a further key.
    """
    match schema:
        case AnyOf():
            _check_either(value, schema, where)
        case Choice():
            if not isinstance(value, str) or value not in schema:
                raise BundleError("json_choice", where=where, choices=list(schema))
        case Number(low, high, kind):
            check_schema(value, kind, where)
            if not low <= value <= high:
                raise BundleError("json_range", where=where, found=value, low=low, high=high)
        case Array(item, low, high):
            check_schema(value, [item], where)
            if not low <= len(value) <= high:
                raise BundleError("json_items", where=where, found=len(value), low=low, high=high)
        case Object(properties, required, allows_additional):
            _check_type(value, dict, where)
            if not required <= value.keys() or not (allows_additional or value.keys() <= properties.keys()):
                raise BundleError("manifest_keys", where=where or "manifest", expected=[*properties])
            for key in properties.keys() & value.keys():
                check_schema(value[key], properties[key], _below(where, key))
        case dict():
            _check_object(value, schema, where)
        case list():
            _check_type(value, list, where)
            for place, item in enumerate(value):
                check_schema(item, schema[0], f"{where}[{place}]")
        case _:
            _check_type(value, schema, where)


def _check_object(value: Any, schema: Mapping[Any, Any], where: str) -> None:
    _check_type(value, dict, where)
    if str not in schema and set(value) != set(schema):
        raise BundleError("manifest_keys", where=where or "manifest", expected=[*schema])
    for key, item in value.items():
        check_schema(item, schema[str] if str in schema else schema[key], _below(where, key))


def _check_either(value: Any, schemas: AnyOf, where: str) -> None:
    *others, last = schemas
    for schema in others:
        try:
            check_schema(value, schema, where)
        except BundleError:
            continue
        return
    check_schema(value, last, where)


def _check_type(value: Any, schema: type | None, where: str) -> None:
    kind = type(None) if schema is None else schema
    if type(value) not in ((int, float) if kind is float else (kind,)):
        found, expected = type(value).__name__, kind.__name__
        raise BundleError("manifest_type", where=where or "manifest", found=found, expected=expected)


def _below(where: str, key: str) -> str:
    shown = key if len(key) <= _MAX_KEY_SHOWN else f"{key[:_MAX_KEY_SHOWN]}…"
    return f"{where}.{shown}" if where else shown
