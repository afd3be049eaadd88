"""Tensors of the protocol: their data types, and their values as JSON and as bytes."""

import base64
import io
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from muslin.oip_check.json_fields import field, json_type
from muslin.oip_check.outcomes import RuleBrokenError

FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Each numeric data type's code in `struct`."""

DATATYPES = (*FORMATS, "BYTES")

UNDECODED = {"BF16": 2}
"""Bytes of an element of the data types that only some servers have, whose values are not compared."""

MAX_ELEMENTS = 50_000_000

TOLERANCE = 1e-4
"""Relative and absolute, between two predictions for the same values: batches of other sizes round differently."""


@dataclass(frozen=True)
class Tensor:
    """A tensor with its values in row-major order: bool, int, float, or bytes for BYTES.

    Attributes:
        json_values: what stands for `values` in JSON, where they are not texts: an image in base64.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: tuple[Any, ...]
    json_values: tuple[str, ...] | None = None

    @property
    def is_numeric(self) -> bool:
        return self.datatype in FORMATS and self.datatype != "BOOL"

    def to_json(self, *, is_nested: bool = False) -> dict[str, Any]:
        """The input of an inference request, its data flat or nested."""
        values: list[Any] = list(self.json_values or self.values)
        flat = [value.decode() if isinstance(value, bytes) else value for value in values]
        data = nested(flat, self.shape) if is_nested else flat
        return {"name": self.name, "shape": list(self.shape), "datatype": self.datatype, "data": data}

    def to_bytes(self) -> bytes:
        """The values as the binary extension sends them."""
        if self.datatype == "BYTES":
            return b"".join(struct.pack("<I", len(value)) + value for value in self.values)
        return struct.pack(f"<{len(self.values)}{FORMATS[self.datatype]}", *self.values)

    def row(self, index: int) -> "Tensor":
        """One element along the first dimension, which is kept."""
        size = math.prod(self.shape[1:])
        values = self.values[index * size : (index + 1) * size]
        return replace(self, shape=(1, *self.shape[1:]), values=values)


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Two tensors of one input, one after the other along the first dimension."""
    shape = (first.shape[0] + second.shape[0], *first.shape[1:])
    texts = first.json_values and second.json_values and first.json_values + second.json_values
    return replace(first, shape=shape, values=first.values + second.values, json_values=texts)


def nested(values: list[Any], shape: Sequence[int]) -> list[Any]:
    """Values in row-major order as arrays within arrays."""
    if len(shape) <= 1:
        return values
    size = math.prod(shape[1:])
    return [nested(values[start : start + size], shape[1:]) for start in range(0, size * shape[0], size or 1)]


def output_tensor(output: dict[str, Any], content: bytes | None = None) -> Tensor:
    """An output of an inference response.

    Args:
        content: its bytes, where it came by the binary extension.

    Raises:
        RuleBrokenError: it is not as the protocol has it.
    """
    name = field(output, "name", str, "An output")
    where = f"Output {name}"
    datatype = field(output, "datatype", str, where)
    if datatype not in (*DATATYPES, *UNDECODED):
        raise RuleBrokenError(f"{where}: {datatype!r} is not a data type of the protocol.")
    shape = output_shape(output, where)
    values: Sequence[Any]
    if content is None:
        data = field(output, "data", list, where)
        values = json_values(data, datatype, where)
        if any(isinstance(item, list) for item in data) and not is_nested_as(data, shape):
            raise RuleBrokenError(f"{where}: the nested arrays are not those of the shape {list(shape)}.")
    else:
        values = binary_values(content, datatype, math.prod(shape), where)
    if len(values) != math.prod(shape):
        raise RuleBrokenError(f"{where} has {len(values):,} values, but its shape is {list(shape)}.")
    return Tensor(name, datatype, shape, tuple(values))


def output_shape(output: dict[str, Any], where: str) -> tuple[int, ...]:
    """The shape of an output: whole numbers from 0.

    Raises:
        RuleBrokenError: it is none.
    """
    shape = field(output, "shape", list, where)
    for size in shape:
        if type(size) is not int or size < 0:
            raise RuleBrokenError(f"{where}: the shape {shape} has other entries than whole numbers from 0.")
    return tuple(shape)


def json_values(data: list[Any], datatype: str, where: str) -> list[Any]:
    """The values of an output in JSON, flat or nested, in row-major order.

    Raises:
        RuleBrokenError: one is not of this data type.
    """
    values = []
    pending = [iter(data)]
    while pending:
        for item in pending[-1]:
            if isinstance(item, list):
                pending.append(iter(item))
                break
            values.append(_json_value(item, datatype, where))
        else:
            pending.pop()
    return values


def is_nested_as(data: Any, shape: Sequence[int]) -> bool:
    """Whether arrays within arrays have this shape."""
    if not shape:
        return not isinstance(data, list)
    return isinstance(data, list) and len(data) == shape[0] and all(is_nested_as(item, shape[1:]) for item in data)


def _json_value(value: Any, datatype: str, where: str) -> Any:
    if datatype == "BYTES":
        if isinstance(value, str):
            return value.encode(errors="surrogatepass")
    elif datatype == "BOOL":
        if isinstance(value, bool):
            return value
    elif datatype.startswith(("INT", "UINT")):
        is_whole = type(value) is int or (isinstance(value, float) and value.is_integer())  # JSON has one kind
        if is_whole and _fits(int(value), datatype):
            return int(value)
    elif type(value) in (int, float):
        return float(value)
    raise RuleBrokenError(f"{where}: {value!r} (JSON {json_type(value)}) is no {datatype}.")


def _fits(value: int, datatype: str) -> bool:
    bits = int(datatype.lstrip("UINT"))
    low, high = (0, 2**bits) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return bool(low <= value < high)


def binary_values(content: bytes, datatype: str, count: int, where: str) -> Sequence[Any]:
    """The values of an output that came as bytes.

    Raises:
        RuleBrokenError: the bytes are not those of `count` values.
    """
    if datatype == "BYTES":
        return _byte_strings(content, where)
    size = UNDECODED.get(datatype) or struct.calcsize(FORMATS[datatype])
    if len(content) != size * count:
        raise RuleBrokenError(
            f"{where}: {len(content):,} bytes, expected {size * count:,} for {count:,} of {datatype}."
        )
    return [0.0] * count if datatype in UNDECODED else struct.unpack(f"<{count}{FORMATS[datatype]}", content)


def _byte_strings(content: bytes, where: str) -> list[bytes]:
    """The elements of a BYTES tensor, each after its length in four bytes."""
    values, position = [], 0
    while position < len(content):
        if position + 4 > len(content):
            raise RuleBrokenError(f"{where}: {len(content) - position} bytes are left after the last element.")
        (length,) = struct.unpack_from("<I", content, position)
        position += 4 + length
        if position > len(content):
            raise RuleBrokenError(f"{where}: an element of {length:,} bytes goes beyond the end.")
        values.append(content[position - length : position])
    return values


def kind_difference(found: Tensor, expected: Tensor) -> str | None:
    """How two outputs differ in data type or shape, or None."""
    if (found.datatype, found.shape) == (expected.datatype, expected.shape):
        return None
    return f"{found.datatype} {list(found.shape)} and {expected.datatype} {list(expected.shape)}"


def difference(found: Tensor, expected: Tensor) -> str | None:
    """How two outputs differ, or None."""
    if reason := kind_difference(found, expected):
        return reason
    for index, (one, other) in enumerate(zip(found.values, expected.values, strict=True)):
        if found.is_numeric and math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            continue
        if one != other:
            return f"{one!r} and {other!r} at {index}"
    return None


def example_values(datatype: str, count: int, variant: int) -> tuple[Any, ...]:
    """Values that are in place in most models: small numbers, which differ between variants.

    UINT8 and floats look like pixels (0 to 255; 0 to 1), other integers like indices (0 to 7).
    """
    numbers = [(index * 37 + (index // 7) * 11 + variant * 101) % 256 for index in range(count)]
    if datatype == "UINT8":
        return tuple(numbers)
    if datatype.startswith("FP"):
        return tuple(number / 256 for number in numbers)
    if datatype == "BOOL":
        return tuple(number % 2 == 1 for number in numbers)
    return tuple(number % 8 for number in numbers)


def example_image(variant: int) -> bytes:
    """A small photo-like image as PNG."""
    from PIL import Image

    size = 32
    pixels = bytes(value for value in example_values("UINT8", size * size * 3, variant))
    buffer = io.BytesIO()
    Image.frombytes("RGB", (size, size), pixels).save(buffer, "PNG")
    return buffer.getvalue()


def with_decoded_images(tensor: Tensor) -> Tensor:
    """A tensor whose texts are images in base64, with the images as its values; any other as it is."""
    if tensor.datatype != "BYTES" or not tensor.values:
        return tensor
    try:
        images = tuple(base64.b64decode(value, validate=True) for value in tensor.values)
    except ValueError:
        return tensor
    if not all(map(is_image, images)):
        return tensor
    return replace(tensor, values=images, json_values=tuple(value.decode() for value in tensor.values))


def is_image(content: bytes) -> bool:
    """Whether these are the bytes of an image file."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)):
            return True
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def image_tensor(name: str, shape: tuple[int, ...], variant: int) -> Tensor:
    """A BYTES tensor of encoded images: raw as bytes, in base64 as JSON."""
    image = example_image(variant)
    count = math.prod(shape)
    return Tensor(name, "BYTES", shape, (image,) * count, (base64.b64encode(image).decode(),) * count)
