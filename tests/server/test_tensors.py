"""Values of the Open Inference Protocol, as JSON and as bytes."""

import base64
import struct
from typing import Any

import numpy as np
import pytest

from muslin.server.open_inference.errors import InferenceError
from muslin.server.open_inference.tensors import (
    BOOL,
    BYTES,
    FP32,
    Tensor,
    binary_values,
    json_values,
    read_base64,
    read_binary_elements,
    read_binary_pixels,
    read_pixels,
)

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)


def elements(*contents: bytes) -> memoryview:
    return memoryview(b"".join(struct.pack("<I", len(content)) + content for content in contents))


def test_json_pixels_are_flat_or_nested_as_the_shape() -> None:
    for data in (PIXELS.tolist(), PIXELS.ravel().tolist()):
        assert np.array_equal(read_pixels(data, PIXELS.shape, "data"), PIXELS)


@pytest.mark.parametrize("wrong", [-1, 256, 10**30, 1.0, True, "7", None, [7], {}])
def test_json_pixel_of_another_kind_is_named(wrong: Any) -> None:
    with pytest.raises(InferenceError) as raised:
        read_pixels([0, 1, wrong, 3], (1, 2, 2, 1), "inputs[0].data")
    assert (raised.value.code, raised.value.params) == ("input_number", {"name": "inputs[0].data[2]"})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([1, 2, 3], "input_count"),
        ([], "input_count"),
        ([[1, 2], [3, 4]], "input_nesting"),
        ([[[[1], [2]], [[3]]]], "input_nesting"),
        ([[[[1], [2]], 3]], "input_nesting"),
        ({"0": 1}, "request_value"),
        ("AAAA", "request_value"),
    ],
)
def test_json_pixels_of_another_shape_are_refused(data: Any, code: str) -> None:
    with pytest.raises(InferenceError) as raised:
        read_pixels(data, (1, 2, 2, 1), "data")
    assert raised.value.code == code


def test_binary_pixels_are_a_view_of_the_body() -> None:
    found = read_binary_pixels(memoryview(PIXELS.tobytes()), PIXELS.shape, "data")
    assert np.array_equal(found, PIXELS)
    with pytest.raises(InferenceError) as raised:
        read_binary_pixels(memoryview(PIXELS.tobytes()[1:]), PIXELS.shape, "data")
    assert (raised.value.code, raised.value.params["found"]) == ("input_count", 23)


def test_base64_elements_may_have_line_ends() -> None:
    content = bytes(range(200))
    lines = base64.encodebytes(content).decode()
    assert read_base64([lines, ""], (2,), "data") == [content, b""]
    assert read_base64([[lines], ["AA=="]], (2, 1), "data") == [content, b"\0"]


@pytest.mark.parametrize("wrong", ["A", "AAA", "häh", "http://a/b.jpg", "../b.jpg", 3, None, ["AA=="]])
def test_element_that_is_not_base64_is_named(wrong: Any) -> None:
    with pytest.raises(InferenceError) as raised:
        read_base64(["AA==", wrong], (2,), "data")
    assert (raised.value.code, raised.value.params) == ("input_base64", {"name": "data[1]"})


def test_binary_elements_follow_their_lengths() -> None:
    assert read_binary_elements(elements(b"one", b"", b"three"), (3, 1), "data") == [b"one", b"", b"three"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (elements(b"one"), "input_count"),
        (elements(b"one", b"two", b"three"), "input_count"),
        (elements(b"one", b"two")[:-1], "input_cut_off"),
        (elements(b"one", b"")[:-2], "input_cut_off"),
        (memoryview(struct.pack("<I", 2**32 - 1)), "input_cut_off"),
    ],
)
def test_binary_elements_that_are_cut_off_or_others_are_refused(content: memoryview, code: str) -> None:
    with pytest.raises(InferenceError) as raised:
        read_binary_elements(content, (2,), "data")
    assert raised.value.code == code


def test_many_empty_elements_are_not_kept() -> None:
    """A body of 100 MB can hold 25 million of them, of which a request may have a few dozen."""
    with pytest.raises(InferenceError) as raised:
        read_binary_elements(memoryview(bytes(4_000_000)), (2,), "data")
    assert raised.value.params["found"] == 3


def test_values_of_outputs_as_json() -> None:
    probabilities = Tensor("label", FP32, np.array([[0.91, 1e-7], [0, 1]], np.float32))
    assert json_values(probabilities) == [0.91, 1e-7, 0, 1]
    assert json_values(Tensor("predicted", BOOL, np.array([[True, False]]))) == [True, False]
    assert json_values(Tensor("predicted", BYTES, np.array(["Shirt", "Größe"], object))) == ["Shirt", "Größe"]


def test_values_of_outputs_as_bytes() -> None:
    assert binary_values(Tensor("label", FP32, np.array([[0.5]], np.float32))) == struct.pack("<f", 0.5)
    assert binary_values(Tensor("predicted", BOOL, np.array([[True, False]]))) == b"\1\0"
    texts = Tensor("predicted", BYTES, np.array([["Größe"], [""]], object))
    assert binary_values(texts) == elements("Größe".encode(), b"")
