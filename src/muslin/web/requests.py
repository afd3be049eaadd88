"""The values of a request, checked one by one: a MuslinError names the first value that is missing or wrong."""

from collections.abc import Collection, Mapping
from typing import Any

from muslin.errors import MuslinError
from muslin.messages import LANGUAGES

Body = Mapping[str, Any]


def text_of(body: Body, name: str) -> str:
    """A text that is not empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise MuslinError("request_value", name=name, expected="string")
    return value


def optional_text_of(body: Body, name: str) -> str:
    """A text; "" where it is missing or null."""
    return "" if body.get(name) in (None, "") else text_of(body, name)


def integer_of(body: Body, name: str, default: int, maximum: int = 2**31) -> int:
    """An integer from 0 to `maximum`, also as a text of digits."""
    value = body.get(name, default)
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise MuslinError("request_value", name=name, expected="integer", maximum=maximum)
    return value


def number_of(body: Body, name: str, minimum: float, maximum: float) -> float:
    """A number from `minimum` to `maximum`."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
        raise MuslinError("request_value", name=name, expected="number", minimum=minimum, maximum=maximum)
    return float(value)


def choice_of(body: Body, name: str, default: str, choices: Collection[str]) -> Any:
    """One of `choices`."""
    value = body.get(name, default)
    if not isinstance(value, str) or value not in choices:
        raise MuslinError("request_choice", name=name, choices=list(choices))
    return value


def value_of(body: Body, name: str, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """A list or an object; an empty one where it is missing."""
    value = body.get(name) or kind()
    if not isinstance(value, kind):
        raise MuslinError("request_value", name=name, expected="array" if kind is list else "object")
    return value


def language_of(accept_language: str) -> str:
    """The page's language: the first two letters of its Accept-Language header, or English."""
    language = accept_language[:2].lower()
    return language if language in LANGUAGES else "en"
