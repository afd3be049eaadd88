"""Sizes that an ONNX graph computes are few and small, so that shape inference takes time linear in the graph.

Shape inference computes what integers a graph makes of constants and shapes, with all their values. A few Concats that
double such values, in less than 1 KB of a file, would make it take any memory: they are refused here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muslin.errors import BundleError

MAX_COMPUTED_SIZES = 256
"""Integers of one tensor that are computed from shapes and constants. Exporters make one for each axis of a tensor."""

MAX_AXES = 16
"""Axes of a tensor. Image classifiers have up to 6, where windows of patches are rolled."""

_INTEGERS = (6, 7)  # TensorProto.INT32 and INT64, whose values shape inference follows


@dataclass(frozen=True)
class _Tensor:
    """Upper bounds of a tensor's axes and of its known integers; None for values that shape inference cannot know."""

    axes: int
    integers: int | None = None


_UNKNOWN = _Tensor(0)


def check_sizes(model: Any) -> None:
    """Refuse a parsed ONNX model for which shape inference could take more than linear time or memory.

    Raises:
        BundleError: a tensor has more than MAX_AXES axes, or more than MAX_COMPUTED_SIZES integers that are computed.
    """
    tensors = {entry.name: _Tensor(len(entry.type.tensor_type.shape.dim)) for entry in model.graph.input}
    tensors |= {constant.name: _constant(constant) for constant in model.graph.initializer}
    for node in model.graph.node:
        inputs = [tensors.get(name, _UNKNOWN) for name in node.input if name]
        result = _result(node, inputs)
        if result.axes > MAX_AXES:
            raise BundleError("graph_cost", "axes", found=result.axes, maximum=MAX_AXES)
        if node.op_type != "Constant" and (result.integers or 0) > MAX_COMPUTED_SIZES:
            raise BundleError("graph_cost", "sizes", found=result.integers, maximum=MAX_COMPUTED_SIZES)
        tensors.update(dict.fromkeys(node.output, result))


def constant_of(node: Any) -> Any:
    """The tensor that a Constant holds, or None for any other node and for a Constant of single values."""
    if node.op_type != "Constant":
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _constant(tensor: Any) -> _Tensor:
    return _Tensor(len(tensor.dims), math.prod(tensor.dims) if tensor.data_type in _INTEGERS else None)


def _result(node: Any, inputs: Sequence[_Tensor]) -> _Tensor:
    """Bounds of each result of a node."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Constant":
        tensor = constant_of(node)
        return _Tensor(1, sum(len(a.ints) for a in node.attribute) or None) if tensor is None else _constant(tensor)
    if node.op_type == "Shape":
        return _Tensor(1, max((each.axes for each in inputs), default=0))
    known = [each.integers for each in inputs if each.integers is not None]
    integers = None
    if len(known) == len(inputs) > 0:
        integers = sum(known) if node.op_type == "Concat" else max(known)
        if node.op_type == "Gather":
            integers = known[-1]
    return _Tensor(_axes(node, inputs, attributes), integers)


def _axes(node: Any, inputs: Sequence[_Tensor], attributes: Mapping[str, Any]) -> int:
    axes = [each.axes for each in inputs] or [0]
    named = len(attributes["axes"].ints) if "axes" in attributes else 0
    if "axes" not in attributes and len(inputs) > 1:
        named = inputs[1].integers or 0
    match node.op_type:
        case "Reshape":
            return named  # of a shape that is not known, neither is the result's
        case "Unsqueeze":
            return axes[0] + named
        case "Squeeze":
            return max(0, axes[0] - named)
        case "ReduceMax" | "ReduceMean" | "ReduceSum":
            keeps = "keepdims" not in attributes or attributes["keepdims"].i
            return axes[0] if keeps else max(0, axes[0] - named)
        case "Gather":
            return max(0, axes[0] - 1 + sum(axes[1:]))
    return max(axes)
