"""Tensors of the Open Inference Protocol: their values as JSON, and as the bytes of the binary extension.

Values are in row-major order. In JSON they are a flat list, or lists nested as the shape says; an element of BYTES is a
text there. As bytes, numbers are little endian, and an element of BYTES follows its length, a uint32.
"""

import binascii
import math
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.server.open_inference.errors import InferenceError

UINT8, BYTES, FP32, BOOL = "UINT8", "BYTES", "FP32", "BOOL"

_LENGTH = struct.Struct("<I")
_LINE_ENDS = str.maketrans("", "", "\r\n")  # which the command base64 writes


class Tensor(NamedTuple):
    """A tensor of a response.

    Attributes:
        datatype: FP32, BOOL or BYTES.
        values: float32 or bool of any shape for FP32 and BOOL; for BYTES an array of str objects.
    """

    name: str
    datatype: str
    values: NDArray[Any]


def read_pixels(data: Any, shape: Sequence[int], name: str) -> NDArray[np.uint8]:
    """A UINT8 tensor's values in JSON as uint8 of `shape`.

    Raises:
        InferenceError: there are more or fewer, or one is not an integer from 0 to 255.
    """
    values = _flat(data, shape, name)
    if not set(map(type, values)) <= {int}:
        place = next(place for place, value in enumerate(values) if type(value) is not int)
        raise InferenceError("input_number", name=f"{name}[{place}]")
    try:
        content = bytes(values)
    except (ValueError, OverflowError) as error:
        place = next(place for place, value in enumerate(values) if not 0 <= value <= 255)
        raise InferenceError("input_number", name=f"{name}[{place}]") from error
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_base64(data: Any, shape: Sequence[int], name: str) -> list[bytes]:
    """A BYTES tensor's elements in JSON, where each is in base64.

    Raises:
        InferenceError: there are more or fewer, or one is not in base64.
    """
    return [_decoded(value, f"{name}[{place}]") for place, value in enumerate(_flat(data, shape, name))]


def read_binary_pixels(content: memoryview, shape: Sequence[int], name: str) -> NDArray[np.uint8]:
    """A UINT8 tensor's bytes as uint8 of `shape`.

    Raises:
        InferenceError: there are more or fewer.
    """
    _check_count(len(content), shape, name)
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_binary_elements(content: memoryview, shape: Sequence[int], name: str) -> list[bytes]:
    """A BYTES tensor's elements, each after its length.

    Raises:
        InferenceError: there are more or fewer, or one is cut off.
    """
    elements: list[bytes] = []
    start, count = 0, math.prod(shape)
    while start < len(content) and len(elements) <= count:
        end = start + _LENGTH.size
        length = _LENGTH.unpack(content[start:end])[0] if end <= len(content) else 0
        start = end + length
        if start > len(content):
            raise InferenceError("input_cut_off", name=f"{name}[{len(elements)}]")
        elements.append(bytes(content[end:start]))
    _check_count(len(elements), shape, name)
    return elements


def json_values(tensor: Tensor) -> list[Any]:
    """A tensor's values for JSON, as a flat list. Numbers are the shortest decimals that are the same float32."""
    if tensor.datatype == FP32:
        return [float(str(value)) for value in tensor.values.ravel()]
    values: list[Any] = tensor.values.ravel().tolist()
    return values


def binary_values(tensor: Tensor) -> bytes:
    """A tensor's values as bytes."""
    return _WRITERS[tensor.datatype](tensor.values)


def _write_elements(values: NDArray[Any]) -> bytes:
    elements = [str(value).encode("utf-8", "replace") for value in values.ravel()]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(element)), element) for element in elements))


_WRITERS: dict[str, Callable[[NDArray[Any]], bytes]] = {
    FP32: lambda values: values.astype("<f4").tobytes(),
    BOOL: lambda values: values.astype(np.uint8).tobytes(),
    BYTES: _write_elements,
}


def _decoded(value: Any, name: str) -> bytes:
    if not isinstance(value, str):
        raise InferenceError("input_base64", name=name)
    try:
        # b64decode takes twice as long
        return binascii.a2b_base64(value.translate(_LINE_ENDS) if "\n" in value else value, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise InferenceError("input_base64", name=name) from error


def _flat(data: Any, shape: Sequence[int], name: str) -> list[Any]:
    """`data` as a flat list, where it is one, or is nested as `shape` says."""
    if not isinstance(data, list):
        raise InferenceError("request_value", name=name, expected="array")
    values: list[Any] = data
    if len(shape) > 1 and data and isinstance(data[0], list):
        if len(data) != shape[0]:
            raise InferenceError("input_nesting", name=name, shape=list(shape))
        for size in shape[1:]:
            if not all(isinstance(row, list) and len(row) == size for row in values):
                raise InferenceError("input_nesting", name=name, shape=list(shape))
            values = list(chain.from_iterable(values))
    _check_count(len(values), shape, name)
    return values


def _check_count(found: int, shape: Sequence[int], name: str) -> None:
    expected = math.prod(shape)
    if found != expected:
        raise InferenceError("input_count", name=name, found=found, shape=list(shape), expected=expected)
