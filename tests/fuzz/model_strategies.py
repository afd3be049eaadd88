"""Hypothesis strategies of changed models: JSON, tensors and graphs with any field changed, sealed again."""

import json
import struct
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from safetensors import SafetensorError
from safetensors.numpy import load, save
from valid_models import Parts, bundles, sealed, valid_parts, with_new_golden

from muslin.models.graph_cost import OPERATORS

Draw = Callable[[st.SearchStrategy[Any]], Any]

RAW = ("NaN", "-Infinity", "1e999", "-1e400", "9" * 40, "1E+2", "-0", "[" * 50 + "]" * 50, "[" * 9000)
"""JSON, or nearly, that no Python value is written as."""

VALUES = (
    None, True, False, 0, -1, 1, 2, 3, 0.5, 1.5, -0.1, 1e308, 5e-324, 2**31, 2**53, 2**63 - 1, -(2**63), 10**18, "",
    "x", "label", "a" * 600, "a" * 70_000, "\x1b[2J", "\x9b1m", "\ud800", "\u202e", "=1+1", "../../x", "a\nb", "{name}",
    [], {}, [[]], [0] * 1000, [None], ["a", "a"], {"a": {}}, {"": 1}, {"name": "x"},
)  # fmt: skip

NUMBERS = (float("nan"), float("inf"), -float("inf"), -1, 0, 1, 2, 0.5, 1e-45, 1e30, 3e38, -3e38)

SIZES = (-1, 0, 1, 2, 3, 7, 12, 1000, 2**31, 2**40, 2**63 - 1)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────


def _containers(value: Any) -> Iterator[Any]:
    """Every list and object in a JSON value that has something."""
    if isinstance(value, dict | list) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)


def change_json(content: bytes, draw: Draw) -> bytes:
    """One value replaced, removed, repeated or moved."""
    top = json.loads(content)
    container = draw(st.sampled_from([top, *_containers(top)]))
    keys = list(container) if isinstance(container, dict) else list(range(len(container)))
    if not keys:
        return content
    key = draw(st.sampled_from(keys))
    raw = ""
    match draw(st.sampled_from(["value", "value", "value", "raw", "near", "remove", "key", "repeat", "swap"])):
        case "value":
            container[key] = deepcopy(draw(st.sampled_from(VALUES)))
        case "raw":
            container[key], raw = "<raw>", draw(st.sampled_from(RAW))
        case "near":
            container[key] = _near(container[key], draw)
        case "remove":
            del container[key]
        case "key" if isinstance(container, dict):
            container[draw(st.sampled_from([v for v in VALUES if isinstance(v, str)]))] = container[key]
        case "repeat" if isinstance(container, list):
            container *= draw(st.sampled_from([2, 100, 20_000]))
        case _:
            other = draw(st.sampled_from(keys))
            container[key], container[other] = container[other], container[key]
    return json.dumps(top).replace('"<raw>"', raw).encode()


def _near(value: Any, draw: Draw) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return draw(st.sampled_from([value + 1, value - 1, -value, value * 1000, value / 2, value + 1e-9, str(value)]))
    return [value] if draw(st.booleans()) else f"{value}"[:-1]


# ── Tensors ──────────────────────────────────────────────────────────────────────────────────────────────


def change_tensors(content: bytes, draw: Draw) -> bytes:
    """One array with other values, of another type or shape or under another name; or another header."""
    if draw(st.integers(0, 9)) == 0:
        size = struct.unpack("<Q", content[:8])[0]
        header = change_json(content[8 : 8 + size], draw)
        return struct.pack("<Q", len(header)) + header + content[8 + size :]
    arrays = load(content)
    name = draw(st.sampled_from(sorted(arrays)))
    match draw(st.sampled_from(["array", "array", "array", "rename", "remove", "copy"])):
        case "array":
            arrays[name] = change_array(arrays[name], draw)
        case "rename":
            arrays[draw(st.sampled_from([*arrays, "x", "", "targets/label/", "\x1b[2J", "é" * 3000]))] = arrays.pop(
                name
            )
        case "remove":
            del arrays[name]
        case _:
            arrays[draw(st.sampled_from(sorted(arrays)))] = arrays[name]
    return save({name: np.ascontiguousarray(values) for name, values in arrays.items()})


def change_array(array: NDArray[Any], draw: Draw) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        match draw(st.sampled_from(["all", "some", "some", "type", "shape"])):
            case "all":
                return np.full_like(array, np.nan_to_num(draw(st.sampled_from(NUMBERS))).astype(array.dtype) if (
                    array.dtype.kind not in "f") else draw(st.sampled_from(NUMBERS)))  # fmt: skip
            case "some" if array.size and array.dtype.kind == "f":
                changed = array.copy()
                for _ in range(draw(st.integers(1, 3))):
                    changed.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(NUMBERS))
                return changed
            case "type":
                kinds = ["float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool"]
                return np.nan_to_num(array).astype(draw(st.sampled_from(kinds)))
            case _:
                shapes: list[Callable[[], NDArray[Any]]] = [
                    lambda: array[:0], lambda: array[..., :0] if array.ndim else array, lambda: array[None],
                    lambda: array.ravel(), lambda: array.T, lambda: np.concatenate([array.ravel()] * 2),
                    lambda: array[:-1] if array.ndim else array, lambda: array[::-1] if array.ndim else array,
                ]  # fmt: skip
                return draw(st.sampled_from(shapes))()


# ── Graphs ───────────────────────────────────────────────────────────────────────────────────────────────


def change_graph(content: bytes, draw: Draw) -> bytes:
    """One node, attribute, name, number, size or version changed."""
    model = onnx.ModelProto.FromString(content)
    draw(st.sampled_from(GRAPH_CHANGES))(model, draw)
    result: bytes = model.SerializeToString()
    return result


def _operator(model: Any, draw: Draw) -> None:
    others = ["NonZero", "Tile", "If", "Resize", "Einsum", "\x1b[2J"]
    draw(st.sampled_from(model.graph.node)).op_type = draw(st.sampled_from([*sorted(OPERATORS), *others]))


def _attribute(model: Any, draw: Draw) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    node = draw(st.sampled_from(nodes))
    attribute = draw(st.sampled_from(node.attribute))
    if attribute.ints and draw(st.booleans()):
        attribute.ints[draw(st.integers(0, len(attribute.ints) - 1))] = draw(st.sampled_from(SIZES))
    elif attribute.ints:
        attribute.ints.append(draw(st.sampled_from(SIZES)))
    elif attribute.HasField("f"):
        attribute.f = draw(st.sampled_from(NUMBERS))
    elif attribute.HasField("i"):
        attribute.i = draw(st.sampled_from(SIZES))
    else:
        node.attribute.remove(attribute)


def _wire(model: Any, draw: Draw) -> None:
    """An input of a node from elsewhere: a loop, another layer, a constant, nothing."""
    node = draw(st.sampled_from(model.graph.node))
    names = [name for each in model.graph.node for name in (*each.input, *each.output)]
    place = draw(st.integers(0, len(node.input) - 1)) if node.input else 0
    if node.input:
        node.input[place] = draw(st.sampled_from([*names, "", "pixels"]))


def _rename(model: Any, draw: Draw) -> None:
    """A result called otherwise, everywhere."""
    before = draw(st.sampled_from([name for node in model.graph.node for name in node.output]))
    after = draw(
        st.sampled_from(["", "x", "\x1b[2J", "a" * 3000, "pixels", "label", "penultimate features", "a/before"])
    )
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == before:
                    names[place] = after


def _node(model: Any, draw: Draw) -> None:
    """A node removed, repeated, moved or put in: for a value its square, its double, its exponential."""
    nodes = model.graph.node
    place = draw(st.integers(0, len(nodes) - 1))
    node = onnx.NodeProto.FromString(nodes[place].SerializeToString())
    match draw(st.sampled_from(["remove", "repeat", "move", "insert", "insert"])):
        case "remove":
            del nodes[place]
        case "repeat":
            nodes.insert(place, node)
        case "move":
            del nodes[place]
            nodes.insert(draw(st.integers(0, len(nodes))), node)
        case _:
            op = draw(
                st.sampled_from(["Mul", "Add", "Exp", "Log", "Reciprocal", "Neg", "Sqrt", "Concat", "Sub", "Div"])
            )
            name, count = nodes[place].output[0], 2 if op in ("Mul", "Add", "Concat", "Sub", "Div") else 1
            nodes[place].output[0] = f"{name}/put"
            new = onnx.helper.make_node(op, [f"{name}/put"] * count, [name], **({"axis": 0} if op == "Concat" else {}))
            nodes.insert(place + 1, new)


def _numbers(model: Any, draw: Draw) -> None:
    constant = draw(st.sampled_from(model.graph.initializer))
    changed = numpy_helper.from_array(np.ascontiguousarray(change_array(numpy_helper.to_array(constant), draw)))
    changed.name = constant.name
    constant.CopyFrom(changed)


def _raw_numbers(model: Any, draw: Draw) -> None:
    """Sizes, type or content that do not fit each other."""
    constant = draw(st.sampled_from(model.graph.initializer))
    match draw(st.integers(0, 2)):
        case 0:
            constant.dims.append(draw(st.sampled_from(SIZES)))
        case 1:
            constant.data_type = draw(st.integers(0, 24))
        case _:
            constant.raw_data = constant.raw_data[: draw(st.integers(0, len(constant.raw_data)))]


def _interface(model: Any, draw: Draw) -> None:
    """The type, the name or a size of an input or an output, or one more or fewer."""
    values = draw(st.sampled_from([model.graph.input, model.graph.output]))
    if not values:
        return
    value = draw(st.sampled_from(values))
    match draw(st.integers(0, 4)):
        case 0:
            value.name = draw(st.sampled_from(["x", "pixels", "label", "relu", "\x1b[2J"]))
        case 1:
            value.type.tensor_type.elem_type = draw(st.integers(0, 24))
        case 2 if value.type.tensor_type.shape.dim:
            size = draw(st.sampled_from(value.type.tensor_type.shape.dim))
            size.dim_value = draw(st.sampled_from(SIZES))
        case 3:
            values.add().CopyFrom(value)
        case _:
            values.remove(value)


def _version(model: Any, draw: Draw) -> None:
    if draw(st.booleans()):
        model.ir_version = draw(st.sampled_from(SIZES))
    else:
        model.opset_import[0].version = draw(st.sampled_from([*SIZES, 9, 11, 13, 17, 21, 26]))


def _types(model: Any, draw: Draw) -> None:
    """A cast to another type in the middle of the graph."""
    place = draw(st.integers(0, len(model.graph.node) - 1))
    name, kind = model.graph.node[place].output[0], draw(st.integers(0, 24))
    model.graph.node[place].output[0] = f"{name}/cast"
    node = onnx.helper.make_node("Cast", [f"{name}/cast"], [name], to=kind)
    model.graph.node.insert(place + 1, node)
    if kind != TensorProto.FLOAT and draw(st.booleans()):
        back = onnx.helper.make_node("Cast", [f"{name}/other"], [name], to=TensorProto.FLOAT)
        node.output[0] = f"{name}/other"
        del model.graph.node[place + 1]
        model.graph.node.insert(place + 1, node)
        model.graph.node.insert(place + 2, back)


GRAPH_CHANGES = (
    _operator, _attribute, _attribute, _wire, _wire, _rename, _node, _node, _numbers, _numbers, _raw_numbers,
    _interface, _version, _types,
)  # fmt: skip


# ── Bundles ──────────────────────────────────────────────────────────────────────────────────────────────


def change_bytes(content: bytes, draw: Draw) -> bytes:
    place, length = draw(st.integers(0, len(content))), draw(st.integers(0, 20))
    return content[:place] + draw(st.binary(max_size=20)) + content[place + length :]


UNREADABLE = (ValueError, LookupError, TypeError, OverflowError, RecursionError, DecodeError, SafetensorError)


def _change_part(name: str, content: bytes, draw: Draw) -> bytes:
    if draw(st.integers(0, 19)) == 0:
        return change_bytes(content, draw)
    change = {"json": change_json, "onnx": change_graph}.get(name.rpartition(".")[2], change_tensors)
    try:
        return change(content, draw)
    except UNREADABLE:  # after a change that made it so
        return change_bytes(content, draw)


@st.composite
def resealed_bundles(draw: Draw) -> bytes:
    """A model with one to three changes of any part, and digests that fit."""
    parts: Parts = dict(valid_parts(draw(st.sampled_from(sorted(bundles())))))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*parts, "model.onnx"]))
        parts[name] = _change_part(name, parts[name], draw)
    return sealed(with_new_golden(parts) if draw(st.booleans()) else parts)


@st.composite
def changed_graphs(draw: Draw) -> bytes:
    """An ONNX file with one to six changes."""
    content = valid_parts(draw(st.sampled_from(sorted(bundles()))))["model.onnx"]
    for _ in range(draw(st.integers(1, 6))):
        content = _change_part("model.onnx", content, draw)
    return content
