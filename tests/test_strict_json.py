"""JSON that every reader accepts, and that steers no terminal."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.strict_json import json_text
from muslin.text import CONTROL_CHARACTERS

texts = st.text(st.characters(codec=None))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inside: st.lists(inside) | st.dictionaries(texts, inside),
)


def refuse(number: str) -> None:
    raise AssertionError(f"{number} is no JSON")


def expected(value: Any) -> Any:
    """`value` as it is read: null for NaN; JSON cannot tell two halves of a character from the whole one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, float):
        return value if abs(value) != float("inf") and value == value else None
    if isinstance(value, dict):
        return {expected(key): expected(item) for key, item in value.items()}
    return [expected(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(values, st.booleans(), st.sampled_from([None, 1, 2]))
def test_any_value_comes_back_with_null_for_nan(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json_text(value, ascii_only=ascii_only, indent=indent)
    assert json.loads(text.encode(), parse_constant=refuse) == expected(value)
    assert not CONTROL_CHARACTERS.search(text.replace("\n", ""))
    assert text.isascii() or not ascii_only


def test_letters_stay_and_controls_are_escaped() -> None:
    assert json_text({"grün": "帽\x9b\u202e\udce9\n"}) == '{"grün": "帽\\u009b\\u202e\\udce9\\n"}'


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        json_text({"n": {1, 2}})
