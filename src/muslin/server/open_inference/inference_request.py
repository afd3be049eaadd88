"""The body of an inference request: a JSON object, after which the binary data of its input can follow.

A model has one input, `image`. Its values are pixels as the network takes them, UINT8 [n, height, width, channels], or
image files, BYTES [n] or [n, 1]. In JSON a file is in base64.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.errors import unknown
from muslin.server.open_inference.errors import InferenceError
from muslin.server.open_inference.number_text import MIN_BYTES, ArrayText, cut_array, read_array
from muslin.server.open_inference.tensors import (
    BYTES,
    UINT8,
    read_base64,
    read_binary_elements,
    read_binary_pixels,
    read_pixels,
)

INPUT = "image"
"""The name of a model's only input."""

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header with the bytes of a body's JSON, where binary data follow; 0 where the body is pixels alone."""

Images = NDArray[np.uint8] | list[bytes]
"""uint8 (n, height, width, channels) as the network takes them, or the content of `n` image files."""

_MAX_BITS = 64  # of an integer

_KINDS: dict[type, str] = {str: "string", list: "array", dict: "object", bool: "boolean", int: "integer"}
_FROM_JSON: dict[str, Callable[[Any, Sequence[int], str], Images]] = {UINT8: read_pixels, BYTES: read_base64}
_FROM_BYTES: dict[str, Callable[[memoryview, Sequence[int], str], Images]] = {
    UINT8: read_binary_pixels,
    BYTES: read_binary_elements,
}


class RequestedOutput(NamedTuple):
    """An output as a request names it.

    Attributes:
        is_binary: whether its values are to follow the JSON.
        n_classes: how many classes to return as texts, the most probable first; 0 for the values.
    """

    name: str
    is_binary: bool
    n_classes: int = 0


class InputLimits(NamedTuple):
    """What a model takes.

    Attributes:
        shape: height, width and channels of pixels.
        max_images: of a request.
    """

    shape: tuple[int, int, int]
    max_images: int


@dataclass(frozen=True, eq=False)
class InferenceRequest:
    """An inference request.

    Attributes:
        id: which the response repeats; None where there is none.
        outputs: those that are requested; empty for all.
        is_binary: whether all outputs follow the JSON, where `outputs` is empty.
        precision, guarantee: as of `muslin.models.predictor.Predictor.predict`; None for the server's.
    """

    id: str | None
    images: Images
    outputs: tuple[RequestedOutput, ...] = ()
    is_binary: bool = False
    precision: float | None = None
    guarantee: str | None = None


def read_request(body: bytes, header_length: str | None, limits: InputLimits) -> InferenceRequest:
    """A request from its body.

    Args:
        header_length: the header HEADER_LENGTH; None where the request has none.

    Raises:
        InferenceError: something is missing or wrong.
    """
    n_bytes = len(body) if header_length is None else _bytes_of_json(header_length, len(body))
    content = memoryview(body)
    if header_length is not None and n_bytes == 0:
        return InferenceRequest(None, _pixels_alone(content, limits), is_binary=True)
    request = _json_object(body[:n_bytes])
    parameters = _parameters(request, "parameters")
    is_binary = _optional(parameters, "binary_data_output", bool, "parameters.") or False
    return InferenceRequest(
        _optional(request, "id", str),
        _images(request, content[n_bytes:], limits),
        _outputs(request, is_binary),
        is_binary,
        _optional_number(parameters, "precision", "parameters."),
        _optional(parameters, "guarantee", str, "parameters."),
    )


def _bytes_of_json(header_length: str, n_bytes: int) -> int:
    is_number = header_length.isascii() and header_length.isdigit() and len(header_length) <= len(str(n_bytes))
    if not is_number or int(header_length) > n_bytes:
        raise InferenceError("inference_header_length", name=HEADER_LENGTH, found=header_length, maximum=n_bytes)
    return int(header_length)


def _pixels_alone(content: memoryview, limits: InputLimits) -> NDArray[np.uint8]:
    count = max(1, len(content) // int(np.prod(limits.shape)))
    _check_images("body", count, limits)
    return read_binary_pixels(content, (count, *limits.shape), "body")


def _json_object(text: bytes) -> Mapping[str, Any]:
    """The JSON object; the data of its first input can be an ArrayText."""
    if len(text) >= MIN_BYTES and (cut := cut_array(text)):
        with suppress(InferenceError):
            request = _parsed(cut.text)
            inputs = request.get("inputs")
            if (
                isinstance(inputs, list)
                and inputs
                and isinstance(inputs[0], dict)
                and inputs[0].get("data") == cut.mark
            ):
                inputs[0]["data"] = cut.array
                return request
    return _parsed(text)


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text.decode(), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise InferenceError("request_json", line=error.lineno, column=error.colno) from error
    except (ValueError, RecursionError) as error:
        raise InferenceError("request_json") from error
    if not isinstance(value, dict):
        raise InferenceError("request_value", name="body", expected="object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _images(request: Mapping[str, Any], content: memoryview, limits: InputLimits) -> Images:
    inputs = _required(request, "inputs", list)
    if len(inputs) != 1:
        raise InferenceError("inputs_count", found=len(inputs), name=INPUT)
    where = "inputs[0]"
    tensor = _object(inputs[0], where)
    if (name := _required(tensor, "name", str, f"{where}.")) != INPUT:
        raise InferenceError("input_unknown", **unknown(name, [INPUT]), field=f"{where}.name")
    datatype = _required(tensor, "datatype", str, f"{where}.")
    if datatype not in _FROM_JSON:
        raise InferenceError("request_choice", name=f"{where}.datatype", choices=list(_FROM_JSON))
    shape = _shape(tensor, datatype, where, limits)
    parameters = _parameters(tensor, f"{where}.parameters")
    size = _optional(parameters, "binary_data_size", int, f"{where}.parameters.")
    if size is None:
        if len(content):
            raise InferenceError("binary_data_size", name=f"{where}.parameters.binary_data_size", found=len(content))
        data = tensor.get("data")
        if isinstance(data, ArrayText):
            pixels = read_array(data, shape) if datatype == UINT8 else None
            if pixels is not None:
                return pixels
            tensor = _parsed(b'{"data": %s}' % data)  # tells what is wrong
        return _FROM_JSON[datatype](_required(tensor, "data", list, f"{where}."), shape, f"{where}.data")
    if tensor.get("data") is not None:
        raise InferenceError("input_twice", name=where)
    if size != len(content):
        field = f"{where}.parameters.binary_data_size"
        raise InferenceError("binary_data_size", name=field, size=size, found=len(content))
    return _FROM_BYTES[datatype](content, shape, f"{where}.data")


def _shape(tensor: Mapping[str, Any], datatype: str, where: str, limits: InputLimits) -> tuple[int, ...]:
    name = f"{where}.shape"
    shape = _required(tensor, "shape", list, f"{where}.")
    if not all(type(size) is int for size in shape):
        raise InferenceError("request_value", name=name, expected="array", items="integer")
    expected = (limits.shape,) if datatype == UINT8 else ((), (1,))
    if not shape or shape[0] < 1 or tuple(shape[1:]) not in expected:
        allowed = [str(["n", *sizes]).replace("'", "") for sizes in expected]
        raise InferenceError("input_shape", name=name, found=str(shape), expected=allowed, datatype=datatype)
    _check_images(name, shape[0], limits)
    return tuple(shape)


def _check_images(name: str, count: int, limits: InputLimits) -> None:
    if count > limits.max_images:
        raise InferenceError("input_images", name=name, found=count, maximum=limits.max_images)


def _outputs(request: Mapping[str, Any], is_binary: bool) -> tuple[RequestedOutput, ...]:
    outputs: dict[str, RequestedOutput] = {}
    for place, value in enumerate(_optional(request, "outputs", list) or []):
        where = f"outputs[{place}]"
        output = _object(value, where)
        name = _required(output, "name", str, f"{where}.")
        if name in outputs:
            raise InferenceError("output_twice", field=f"{where}.name", name=name)
        inside = f"{where}.parameters"
        parameters = _parameters(output, inside)
        binary = _optional(parameters, "binary_data", bool, f"{inside}.")
        n_classes = _optional(parameters, "classification", int, f"{inside}.")
        if n_classes is not None and n_classes < 1:
            raise InferenceError("request_value", name=f"{inside}.classification", expected="integer")
        outputs[name] = RequestedOutput(name, is_binary if binary is None else binary, n_classes or 0)
    return tuple(outputs.values())


def _parameters(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object `parameters`; an empty one where it is missing."""
    parameters = body.get("parameters")
    if parameters is None:
        return {}
    if "shared_memory_region" in _object(parameters, name):
        raise InferenceError("shared_memory", name=f"{name}.shared_memory_region")
    return _object(parameters, name)


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InferenceError("request_value", name=name, expected="object")
    return value


def _required(body: Mapping[str, Any], name: str, kind: type, where: str = "") -> Any:
    value = body.get(name)
    if type(value) is not kind:
        raise InferenceError("request_value", name=where + name, expected=_KINDS[kind])
    return value


def _optional_number(body: Mapping[str, Any], name: str, where: str) -> float | None:
    """A number; None where it is missing or null. JSON has integers that no float can be."""
    value = body.get(name)
    if type(value) not in (int, float, NoneType) or (isinstance(value, int) and value.bit_length() > _MAX_BITS):
        raise InferenceError("request_value", name=where + name, expected="number")
    return None if value is None else float(value)


def _optional(body: Mapping[str, Any], name: str, kind: type, where: str = "") -> Any:
    """A value of a JSON type; None where it is missing or null."""
    return None if body.get(name) is None else _required(body, name, kind, where)
