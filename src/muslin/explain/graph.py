"""An ONNX file as nodes and numbers, and back, without the onnx package, which only training needs.

Reads and writes protobuf's wire format (https://protobuf.dev/programming-guides/encoding), for files that
`muslin.models.onnx_check.check_graph` has checked. What is not understood here is kept byte for byte.
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError

Array = NDArray[Any]

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5  # how a field's value is written
_Field = tuple[int, int, Any]  # number, how it is written, the value: an int for VARINT, else bytes

# TensorProto.DataType's kinds that muslin's and common exporters' graphs use
_DTYPES: dict[int, type[np.generic]] = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64,
    9: np.bool_, 10: np.float16, 11: np.double, 12: np.uint32, 13: np.uint64,
}  # fmt: skip
_NUMBER_OF = {np.dtype(kind): number for number, kind in _DTYPES.items()}


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: what it takes and gives, by name, and its attributes as Python values."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """Operations in the order they run, and the numbers they use.

    Attributes:
        nodes: the operations.
        constants: the trained and fixed numbers, by name.
        inputs, outputs: the names of what the graph takes and gives.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    _model_fields: tuple[_Field, ...]
    _graph_fields: tuple[_Field, ...]

    @cached_property
    def producers(self) -> dict[str, Node]:
        """Which node makes a named result."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def results(self) -> tuple[str, ...]:
        """The names of everything that the nodes make, in order."""
        return tuple(name for node in self.nodes for name in node.outputs if name)

    def with_constants(self, changed: Mapping[str, Array]) -> "Graph":
        """The same graph with other numbers under these names, or with further ones."""
        return replace(self, constants={**self.constants, **changed})

    def with_node(self, result: str, node: Node) -> "Graph":
        """The same graph with `node` in the place of the one that makes `result`."""
        return replace(self, nodes=tuple(node if result in n.outputs else n for n in self.nodes))

    def passed_through(self, result: str, op: str, constant: Array | None = None) -> "Graph":
        """The same graph with one more operation on `result`; what used `result` uses the outcome, under its name."""
        before = f"{result}/before"
        while before in self.producers:
            before += "/before"
        taken: tuple[str, ...] = (before,)
        constants = dict(self.constants)
        if constant is not None:
            constants[f"{before}/{op}"] = constant
            taken = (before, f"{before}/{op}")
        nodes: list[Node] = []
        for node in self.nodes:
            if result in node.outputs:
                nodes.append(replace(node, outputs=tuple(before if o == result else o for o in node.outputs)))
                nodes.append(Node(op, taken, (result,), {}))
            else:
                nodes.append(node)
        return replace(self, nodes=tuple(nodes), constants=constants)

    def followed_by(self, result: str, name: str) -> "Graph":
        """The same graph with an Identity called `name` after `result`, which all that used `result` now uses."""
        nodes: list[Node] = []
        for node in self.nodes:
            nodes.append(replace(node, inputs=tuple(name if i == result else i for i in node.inputs)))
            if result in node.outputs:
                nodes.append(Node("Identity", (result,), (name,), {}))
        return replace(self, nodes=tuple(nodes))

    def to_bytes(self, also: Sequence[str] = ()) -> bytes:
        """The ONNX file; `also` are results that it shall give besides its outputs."""
        fields: list[_Field] = [(1, BYTES, _node_bytes(node)) for node in self.nodes]
        fields += self._graph_fields
        fields += [(5, BYTES, _tensor_bytes(name, value)) for name, value in self.constants.items()]
        fields += [(12, BYTES, _bytes_of([(1, BYTES, n.encode())])) for n in also if n not in self.outputs]
        return _bytes_of([*self._model_fields, (7, BYTES, _bytes_of(fields))])


def read_graph(model: bytes) -> Graph:
    """The graph in an ONNX file.

    Raises:
        BundleError: it is no such file, or holds numbers of a kind that is not read.
    """
    try:
        fields = list(_fields(memoryview(model)))
        inside = [field for n, _, value in fields if n == 7 for field in _fields(value)]
        nodes = tuple(_node(value) for n, _, value in inside if n == 1)
        constants = dict(_tensor(value) for n, _, value in inside if n == 5)
        named = {kind: tuple(_text(value, 1) for n, _, value in inside if n == kind) for kind in (11, 12)}
    except (struct.error, UnicodeDecodeError, ValueError, TypeError, IndexError) as error:
        raise BundleError(f"model.onnx: cannot be taken apart ({error}).") from error
    for node in nodes:  # a Constant is a number like any other
        if node.op == "Constant" and isinstance(node.attributes.get("value"), np.ndarray):
            constants[node.outputs[0]] = node.attributes["value"]
    return Graph(
        nodes=tuple(n for n in nodes if not (n.op == "Constant" and n.outputs[0] in constants)),
        constants=constants,
        inputs=tuple(name for name in named[11] if name not in constants),
        outputs=named[12],
        _model_fields=tuple(field for field in fields if field[0] != 7),
        _graph_fields=tuple(field for field in inside if field[0] not in (1, 5)),
    )


# --- bytes → values


def read_varint(wire: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = wire[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError(f"cut off at byte {at}")


def _fields(wire: memoryview) -> Iterator[_Field]:
    at, end = 0, len(wire)
    while at < end:
        tag, at = read_varint(wire, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = read_varint(wire, at, end)
            yield number, kind, value
        elif kind in (FIXED_64, FIXED_32, BYTES):
            length, at = read_varint(wire, at, end) if kind == BYTES else (8 if kind == FIXED_64 else 4, at)
            if at + length > end:
                raise ValueError(f"cut off at byte {at}")
            yield number, kind, wire[at : at + length]
            at += length
        else:
            raise ValueError(f"byte {at} is no ONNX")


def _text(message: memoryview, field: int) -> str:
    return next((bytes(value).decode() for n, _, value in _fields(message) if n == field), "")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _integers(kind: int, value: Any) -> list[int]:
    """One varint, or several packed into bytes."""
    if kind == VARINT:
        return [_signed(value)]
    at, found = 0, []
    while at < len(value):
        number, at = read_varint(value, at, len(value))
        found.append(_signed(number))
    return found


def _node(message: memoryview) -> Node:
    inputs, outputs, op, attributes = [], [], "", {}
    for number, _, value in _fields(message):
        match number:
            case 1:
                inputs.append(bytes(value).decode())
            case 2:
                outputs.append(bytes(value).decode())
            case 4:
                op = bytes(value).decode()
            case 5:
                name, content = _attribute(value)
                attributes[name] = content
    return Node(op, tuple(inputs), tuple(outputs), attributes)


@dataclass(frozen=True)
class _Unread:
    """An attribute of a kind that nothing here needs, kept as it stands in the file."""

    content: bytes


def _attribute(message: memoryview) -> tuple[str, Any]:
    name, kind, found, lists = "", 0, {}, {7: [], 8: []}  # type: ignore[var-annotated]
    for number, how, value in _fields(message):
        match number:
            case 1:
                name = bytes(value).decode()
            case 20:
                kind = value
            case 2:
                found[1] = struct.unpack("<f", value)[0]
            case 3:
                found[2] = _signed(value)
            case 4:
                found[3] = bytes(value)
            case 5:
                found[4] = _tensor(value)[1]
            case 7:
                lists[7] += np.frombuffer(value, "<f4").tolist()
            case 8:
                lists[8] += _integers(how, value)
    usual = {1: 0.0, 2: 0, 3: b""}
    if kind in (1, 2, 3, 4) and (kind in found or kind in usual):
        return name, found.get(kind, usual.get(kind))
    if kind in (6, 7):
        return name, tuple(lists[kind + 1])
    return name, _Unread(bytes(message))


def _tensor(message: memoryview) -> tuple[str, Array]:
    sizes: list[int] = []
    name, kind, raw = "", 0, None
    numbers: list[Any] = []
    for number, how, value in _fields(message):
        match number:
            case 1:
                sizes += _integers(how, value)
            case 2:
                kind = value
            case 8:
                name = bytes(value).decode()
            case 9:
                raw = value
            case 4:
                numbers += np.frombuffer(value, "<f4").tolist()
            case 10:
                numbers += np.frombuffer(value, "<f8").tolist()
            case 5 | 7 | 11:
                numbers += _integers(how, value)
    if kind not in _DTYPES:
        raise BundleError(f"model.onnx: {name!r} holds numbers of kind {kind}, which is not read here.")
    dtype = np.dtype(_DTYPES[kind])
    if raw is not None:
        return name, np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(sizes)
    if dtype == np.float16:  # such numbers stand in the file as the bits of them
        return name, np.array(numbers, np.uint16).view(np.float16).reshape(sizes)
    return name, np.array(numbers, dtype).reshape(sizes)


# --- values → bytes


def _varint_bytes(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes_of(fields: Sequence[_Field]) -> bytes:
    parts = []
    for number, kind, value in fields:
        parts.append(_varint_bytes(number << 3 | kind))
        if kind == VARINT:
            parts.append(_varint_bytes(value))
        else:
            if kind == BYTES:
                parts.append(_varint_bytes(len(value)))
            parts.append(value)
    return b"".join(parts)


def _node_bytes(node: Node) -> bytes:
    fields: list[_Field] = [(1, BYTES, name.encode()) for name in node.inputs]
    fields += [(2, BYTES, name.encode()) for name in node.outputs]
    fields += [(3, BYTES, node.outputs[0].encode()), (4, BYTES, node.op.encode())]
    fields += [(5, BYTES, _attribute_bytes(name, value)) for name, value in node.attributes.items()]
    return _bytes_of(fields)


def _attribute_bytes(name: str, value: Any) -> bytes:
    fields: list[_Field] = [(1, BYTES, name.encode())]
    match value:
        case _Unread():
            return value.content
        case float():
            fields += [(2, FIXED_32, struct.pack("<f", value)), (20, VARINT, 1)]
        case int():
            fields += [(3, VARINT, value), (20, VARINT, 2)]
        case bytes():
            fields += [(4, BYTES, value), (20, VARINT, 3)]
        case np.ndarray():
            fields += [(5, BYTES, _tensor_bytes("", value)), (20, VARINT, 4)]
        case _:
            whole = all(isinstance(v, int) for v in value)
            fields += [(8, VARINT, v) if whole else (7, FIXED_32, struct.pack("<f", v)) for v in value]
            fields.append((20, VARINT, 7 if whole else 6))
    return _bytes_of(fields)


def _tensor_bytes(name: str, value: Array) -> bytes:
    fields: list[_Field] = [(1, VARINT, size) for size in value.shape]
    fields.append((2, VARINT, _NUMBER_OF[value.dtype]))
    fields.append((8, BYTES, name.encode()))
    fields.append((9, BYTES, np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes()))
    return _bytes_of(fields)
