"""Requests of the Open Inference Protocol: what is read, and what is refused with which field."""

import base64
import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muslin.errors import MuslinError
from muslin.server.open_inference.inference_request import InferenceRequest, InputLimits, RequestedOutput, read_request
from muslin.server.open_inference.request_body import decompressed

LIMITS = InputLimits((2, 3, 1), 4)
PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3, 1)


def image(**changes: Any) -> dict[str, Any]:
    values = {"name": "image", "shape": [2, 2, 3, 1], "datatype": "UINT8", "data": PIXELS.ravel().tolist()} | changes
    return {name: value for name, value in values.items() if value is not None}


def read(body: Any, binary: bytes | None = None) -> InferenceRequest:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    if binary is None:
        return read_request(text, None, LIMITS)
    return read_request(text + binary, str(len(text)), LIMITS)


def test_request_is_read_from_json() -> None:
    found = read(
        {
            "id": "7",
            "model_name": "which KServe's client adds",
            "inputs": [image(parameters={"content_type": "np"})],
            "outputs": [{"name": "label", "parameters": {"classification": 3}}, {"name": "label.decision"}],
            "parameters": {"precision": 0.9, "guarantee": "per-class", "priority": 1},
        }
    )
    assert (found.id, found.precision, found.guarantee, found.is_binary) == ("7", 0.9, "per-class", False)
    assert found.outputs == (RequestedOutput("label", False, 3), RequestedOutput("label.decision", False))
    assert np.array_equal(found.images, PIXELS)


def test_nulls_and_an_empty_list_of_outputs_are_as_if_missing() -> None:
    found = read({"id": None, "inputs": [image(parameters=None)], "outputs": [], "parameters": None})
    assert (found.id, found.outputs, found.precision, found.guarantee) == (None, (), None, None)


def test_binary_data_follow_the_json() -> None:
    sent = image(data=None, parameters={"binary_data_size": 12})
    assert np.array_equal(read({"inputs": [sent]}, PIXELS.tobytes()).images, PIXELS)
    sent = image(shape=[1], datatype="BYTES", data=None, parameters={"binary_data_size": 7})
    assert read({"inputs": [sent]}, b"\3\0\0\0GIF").images == [b"GIF"]


def test_binary_data_of_an_output_overrides_that_of_the_request() -> None:
    outputs = [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}]
    parameters = {"binary_data_output": True}
    assert read({"inputs": [image()], "parameters": parameters}).is_binary
    found = read({"inputs": [image()], "outputs": outputs, "parameters": parameters}).outputs
    assert [output.is_binary for output in found] == [True, False]


def test_files_come_in_base64() -> None:
    text = base64.b64encode(b"GIF").decode()
    for shape in ([2], [2, 1]):
        sent = image(shape=shape, datatype="BYTES", data=[text, text])
        assert read({"inputs": [sent]}).images == [b"GIF", b"GIF"]


def test_pixels_alone_are_a_request_with_binary_outputs() -> None:
    found = read_request(PIXELS.tobytes(), "0", LIMITS)
    assert np.array_equal(found.images, PIXELS)
    assert found.is_binary
    for content, code in ((b"", "input_count"), (bytes(7), "input_count"), (bytes(30), "input_images")):
        with pytest.raises(MuslinError) as raised:
            read_request(content, "0", LIMITS)
        assert raised.value.code == code


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b"\xff\xfe{}", b'{"inputs": NaN}', b"[" * 100_000, b'{"a":' * 100_000]
)
def test_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(MuslinError) as raised:
        read(body)
    assert raised.value.status == 400


@pytest.mark.parametrize("length", ["x", "-1", "", "²", "1e1", "99999", "9" * 5000])
def test_header_length_beyond_the_body_is_refused(length: str) -> None:
    with pytest.raises(MuslinError) as raised:
        read_request(b'{"inputs": []}', length, LIMITS)
    assert raised.value.code == "inference_header_length"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "request_value", "inputs"),
    ({"inputs": {}}, "request_value", "inputs"),
    ({"inputs": []}, "inputs_count", "image"),
    ({"inputs": [image(), image()]}, "inputs_count", "image"),
    ({"inputs": [7]}, "request_value", "inputs[0]"),
    ({"inputs": [image(name=7)]}, "request_value", "inputs[0].name"),
    ({"inputs": [image(name="pixels")]}, "input_unknown", "pixels"),
    ({"inputs": [image(datatype="FP32")]}, "request_choice", "inputs[0].datatype"),
    ({"inputs": [image(shape=None)]}, "request_value", "inputs[0].shape"),
    ({"inputs": [image(shape=[2, 2, 3, 1.0])]}, "request_value", "inputs[0].shape"),
    ({"inputs": [image(shape=[2, 2, 3, True])]}, "request_value", "inputs[0].shape"),
    ({"inputs": [image(shape=[])]}, "input_shape", "inputs[0].shape"),
    ({"inputs": [image(shape=[2, 3, 2, 1])]}, "input_shape", "inputs[0].shape"),
    ({"inputs": [image(shape=[-1, 2, 3, 1])]}, "input_shape", "inputs[0].shape"),
    ({"inputs": [image(shape=[0, 2, 3, 1], data=[])]}, "input_shape", "inputs[0].shape"),
    ({"inputs": [image(shape=[2, 2], datatype="BYTES")]}, "input_shape", "inputs[0].shape"),
    ({"inputs": [image(shape=[5, 2, 3, 1])]}, "input_images", "inputs[0].shape"),
    ({"inputs": [image(shape=[10**30], datatype="BYTES")]}, "input_images", "inputs[0].shape"),
    ({"inputs": [image(data=None)]}, "request_value", "inputs[0].data"),
    ({"inputs": [image(data=[1])]}, "input_count", "inputs[0].data"),
    ({"inputs": [image(parameters=7)]}, "request_value", "inputs[0].parameters"),
    ({"inputs": [image(parameters={"binary_data_size": 12})]}, "input_twice", "inputs[0]"),
    (
        {"inputs": [image(data=None, parameters={"binary_data_size": 12})]},
        "binary_data_size",
        "inputs[0].parameters.binary_data_size",
    ),
    (
        {"inputs": [image(data=None, parameters={"shared_memory_region": "a"})]},
        "shared_memory",
        "inputs[0].parameters.shared_memory_region",
    ),
    ({"inputs": [image()], "id": 7}, "request_value", "id"),
    ({"inputs": [image()], "outputs": "label"}, "request_value", "outputs"),
    ({"inputs": [image()], "outputs": [{}]}, "request_value", "outputs[0].name"),
    ({"inputs": [image()], "outputs": [{"name": "a"}, {"name": "a"}]}, "output_twice", "a"),
    (
        {"inputs": [image()], "outputs": [{"name": "a", "parameters": {"classification": 0}}]},
        "request_value",
        "outputs[0].parameters.classification",
    ),
    ({"inputs": [image()], "parameters": {"binary_data_output": 1}}, "request_value", "parameters.binary_data_output"),
    ({"inputs": [image()], "parameters": {"precision": "0.9"}}, "request_value", "parameters.precision"),
    ({"inputs": [image()], "parameters": {"precision": 10**400}}, "request_value", "parameters.precision"),
    ({"inputs": [image()], "parameters": {"precision": True}}, "request_value", "parameters.precision"),
    ({"inputs": [image()], "parameters": {"guarantee": 1}}, "request_value", "parameters.guarantee"),
]


@pytest.mark.parametrize(("body", "code", "name"), WRONG)
def test_wrong_field_is_named(body: dict[str, Any], code: str, name: str) -> None:
    with pytest.raises(MuslinError) as raised:
        read(body)
    assert (raised.value.code, raised.value.params["name"], raised.value.status) == (code, name, 400)


def test_binary_data_that_no_input_names_are_refused() -> None:
    with pytest.raises(MuslinError) as raised:
        read({"inputs": [image()]}, b"more")
    assert (raised.value.code, raised.value.params["found"]) == ("binary_data_size", 4)


def test_body_can_be_compressed() -> None:
    body = b'{"inputs": []}' * 100
    for encoding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        assert decompressed(packed, encoding, len(body)) == body
        for damaged in (packed[:-1], packed + b"x", b"x" + packed, b""):
            with pytest.raises(MuslinError) as raised:
                decompressed(damaged, encoding, len(body))
            assert raised.value.code == "content_compressed"
        with pytest.raises(MuslinError) as raised:
            decompressed(packed, encoding, len(body) - 1)
        assert raised.value.code == "request_size"
    with pytest.raises(MuslinError) as raised:
        decompressed(body, "br", 100)
    assert raised.value.code == "content_encoding"


VALID = json.dumps(
    {"inputs": [image(data=None, parameters={"binary_data_size": 12})], "outputs": [{"name": "a"}]}
).encode()


def outcome(body: bytes, length: str | None) -> InferenceRequest | int:
    """The request, or the status with which it is refused."""
    try:
        return read_request(body, length, LIMITS)
    except MuslinError as error:
        return error.status


@given(
    place=st.integers(0, len(VALID) + 12), cut=st.integers(0, 40), put=st.binary(max_size=40), shift=st.integers(-3, 3)
)
def test_damaged_request_is_read_or_refused(place: int, cut: int, put: bytes, shift: int) -> None:
    body = VALID + PIXELS.tobytes()
    found = outcome(body[:place] + put + body[place + cut :], str(len(VALID) + shift))
    assert found == 400 or len(found.images) <= LIMITS.max_images


@given(body=st.binary(max_size=60), length=st.none() | st.text(max_size=4) | st.integers(-1, 70).map(str))
def test_any_bytes_are_pixels_or_refused(body: bytes, length: str | None) -> None:
    found = outcome(body, length)
    assert found == 400 or found.images.shape[1:] == LIMITS.shape
