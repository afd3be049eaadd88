"""Large arrays of integers in JSON are read as `json` reads them, or not at all."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.errors import MuslinError
from muslin.server.open_inference import number_text
from muslin.server.open_inference.inference_request import InputLimits, read_request
from muslin.server.open_inference.number_text import cut_array, read_array

SHAPE = (40, 30, 30, 1)
PIXELS = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
LIMITS = InputLimits(SHAPE[1:], 64)


def body(data: Any = None, indent: int | None = None, **more: Any) -> bytes:
    sent = {"name": "image", "shape": SHAPE, "datatype": "UINT8", "data": PIXELS.tolist() if data is None else data}
    text = json.dumps({"inputs": [sent | more]}, indent=indent).encode()
    assert len(text) > number_text.MIN_BYTES
    return text


@pytest.mark.parametrize("indent", [None, 0, 3])
def test_pixels_of_a_long_json_are_those_of_a_short_one(indent: int | None) -> None:
    for data in (PIXELS.tolist(), PIXELS.ravel().tolist()):
        assert np.array_equal(read_request(body(data, indent), None, LIMITS).images, PIXELS)
    cut = cut_array(body(PIXELS.tolist(), indent))
    assert cut is not None
    assert np.array_equal(read_array(cut.array, SHAPE), PIXELS)  # it is this that was used


def test_data_elsewhere_in_the_json_does_not_matter() -> None:
    text = body()
    twice = text.replace(b'"data"', b'"data": [1, 2], "data"', 1)
    inside = text.replace(b'"name"', b'"parameters": {"data": [7]}, "name"', 1)
    named = text.replace(b'{"inputs"', b'{"id": "\\"data\\": [3]", "inputs"', 1)
    for changed in (twice, inside, named):
        assert np.array_equal(read_request(changed, None, LIMITS).images, PIXELS)


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (b"[[[[", b"[[[[256, ", "input_nesting"),
        (b"]]]]", b"]]]", "request_json"),
        (b"]]]]", b"]]]]]", "request_json"),
        (b"], [", b"] [", "request_json"),
        (b", ", b",, ", "request_json"),
        (b"[[[[", b"[[[[007", "request_json"),
        (b"[[[[", b"[[[[1 1", "request_json"),
    ],
)
def test_wrong_array_is_refused_as_in_a_short_json(before: bytes, after: bytes, code: str) -> None:
    text = body()
    start = text.index(b"[[[[")
    with pytest.raises(MuslinError) as raised:
        read_request(text[:start] + text[start:].replace(before, after, 1), None, LIMITS)
    assert raised.value.code == code


@pytest.mark.parametrize("number", [256, 999, 1000, 65_536, 10**30])
def test_number_beyond_a_byte_is_named(number: int) -> None:
    data = PIXELS.ravel().tolist()
    data[1234] = number
    with pytest.raises(MuslinError) as raised:
        read_request(body(data), None, LIMITS)
    assert raised.value.params == {"name": "inputs[0].data[1234]"}


@settings(max_examples=200)
@given(text=st.text(st.sampled_from("0123456789,[] \n"), max_size=30), part_bytes=st.integers(1, 20))
def test_any_text_is_read_as_json_reads_it(text: str, part_bytes: int) -> None:
    text = f"[{text}]"
    try:
        expected = np.array(json.loads(text), np.uint8)
    except (ValueError, OverflowError, TypeError):
        expected = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_text, "_PART_BYTES", part_bytes)
        for shape in ((1,), (2,), (3,), (1, 1), (2, 1), (1, 2)):
            found = read_array(text.encode(), shape)
            if found is not None:
                assert expected is not None
                assert np.array_equal(found.ravel(), expected.ravel())
            elif expected is not None:
                assert expected.shape != shape
