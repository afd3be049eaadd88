"""What running an ONNX graph costs, from the graph alone: sizes are inferred before any runtime allocates them.

Only operators whose result has a size known in advance are accepted, and a batch may cost no more than its images one
by one. Shape inference: https://onnx.ai/onnx/repo-docs/ShapeInference.html.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muslin.errors import BundleError
from muslin.library_errors import reason_of
from muslin.models.graph_sizes import check_sizes, constant_of

_NAMES = (
    "Abs Add AveragePool BatchNormalization Cast Clip Concat Constant Conv DequantizeLinear Div Dropout Elu Erf "
    "Exp Flatten Gather Gelu Gemm GlobalAveragePool GlobalMaxPool GroupNormalization HardSigmoid HardSwish "
    "Identity InstanceNormalization LayerNormalization LeakyRelu Log LogSoftmax MatMul Max MaxPool Mean Min Mish "
    "Mul Neg PRelu Pad Pow QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Selu Shape "
    "Sigmoid Sign Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Tanh ThresholdedRelu Transpose Unsqueeze"
)
OPERATORS = frozenset(_NAMES.split())
"""Those that `muslin train` writes, edits of a network add, and exporters write for image classifiers."""

MAX_TENSOR_VALUES = 2**26
"""Values of one tensor for one image: 256 MiB of float32. EfficientNet-Lite2 with both views has 3.2 million."""

MAX_VALUES = 2**29
"""Values of all tensors for one image together."""

MAX_MULTIPLY_ADDS = 50 * 10**9
"""Multiply-adds for one image, about a second. EfficientNet-Lite2 takes 0.9 billion per view at 260 px."""

MAX_CHECK_MULTIPLY_ADDS = 500 * 10**9
"""Multiply-adds of the check of all golden images."""

_SMALL_CONSTANT = 1024  # values; larger constants are no sizes, so shape inference need not read them


@dataclass(frozen=True)
class GraphCost:
    """For one image.

    Attributes:
        values: number of values of all tensors that depend on the image or are computed.
        largest: number of values of the largest of them.
        multiply_adds: multiplications with an addition; one per value for other arithmetic.
    """

    values: int
    largest: int
    multiply_adds: int


def check_cost(model: Any, input_shape: tuple[int, int, int], n_golden: int) -> GraphCost:
    """The cost of a parsed ONNX model for one image.

    Args:
        model: an `onnx.ModelProto`; not changed.
        input_shape: (height, width, channels) of its input `pixels`.
        n_golden: number of golden images, which are run whenever the model is opened.

    Raises:
        BundleError: an operator is not in OPERATORS, a size cannot be inferred, a batch costs more than its images
            one by one, or the cost is above a limit.
    """
    for node in model.graph.node:
        if node.op_type not in OPERATORS:
            raise BundleError("graph_operator", name=node.op_type[:60])
    sizes = _without_large_constants(model)
    constants = {constant.name: constant for constant in sizes.graph.initializer}
    for node in sizes.graph.node:
        if node.op_type == "Split":
            _check_split(node, constants)
    check_sizes(sizes)
    one, two = (_cost(sizes, (count, *input_shape)) for count in (1, 2))
    limits = {
        "tensor_values": (one.largest, MAX_TENSOR_VALUES),
        "values": (one.values, MAX_VALUES),
        "multiply_adds": (one.multiply_adds, MAX_MULTIPLY_ADDS),
        "golden_multiply_adds": (one.multiply_adds * n_golden, MAX_CHECK_MULTIPLY_ADDS),
    }
    for quantity, (found, maximum) in limits.items():
        if found > maximum:
            raise BundleError("graph_cost", quantity, found=found, maximum=maximum)
    if two.values > 2 * one.values or two.multiply_adds > 2 * one.multiply_adds:
        raise BundleError("graph_batch_cost", one=one.multiply_adds, two=two.multiply_adds)
    return one


def _check_split(node: Any, constants: Mapping[str, Any]) -> None:
    """Refuse a Split into another number of parts than it has outputs, on which shape inference ends the process."""
    counts = [attribute.i for attribute in node.attribute if attribute.name == "num_outputs"]
    counts += [len(attribute.ints) for attribute in node.attribute if attribute.name == "split"]
    counts += [math.prod(constants[name].dims) for name in node.input[1:] if name in constants]
    if wrong := [count for count in counts if count != len(node.output)]:
        raise BundleError("graph_sizes", reason=f"Split into {wrong[0]} parts has {len(node.output)} outputs")


def _without_large_constants(model: Any) -> Any:
    """The model with the sizes of large constants in place of their values."""
    import onnx
    from onnx import helper

    graph = onnx.GraphProto(name=model.graph.name, output=model.graph.output)
    graph.input.extend(entry for entry in model.graph.input if entry.name == "pixels")
    constants = [(constant.name, constant) for constant in model.graph.initializer]
    for node in model.graph.node:
        if (constant := constant_of(node)) is not None and len(node.output) == 1:
            constants.append((node.output[0], constant))
        else:
            graph.node.append(node)
    for name, constant in constants:
        if math.prod(constant.dims) <= _SMALL_CONSTANT:
            graph.initializer.add().CopyFrom(constant)
            graph.initializer[-1].name = name
        else:
            graph.input.append(helper.make_tensor_value_info(name, constant.data_type, list(constant.dims)))
    return onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)


def _cost(model: Any, shape: tuple[int, ...]) -> GraphCost:
    import onnx

    pixels = next((entry for entry in model.graph.input if entry.name == "pixels"), None)
    if pixels is None or len(pixels.type.tensor_type.shape.dim) != len(shape):
        raise BundleError("graph_input", found=[entry.name for entry in model.graph.input][:5], expected=str(shape))
    for dimension, size in zip(pixels.type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = size
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    except Exception as error:  # its exceptions have no other common base
        raise BundleError("graph_sizes", reason=reason_of(error)) from error
    known = {constant.name: tuple(constant.dims) for constant in inferred.initializer}
    for entry in (*inferred.value_info, *inferred.output, *inferred.input):
        dimensions = entry.type.tensor_type.shape.dim
        if all(dimension.HasField("dim_value") for dimension in dimensions):
            known[entry.name] = tuple(dimension.dim_value for dimension in dimensions)
    values = [math.prod(shape)]
    multiply_adds = 0
    for node in inferred.node:
        results = [name for name in node.output if name]
        if unknown := [name for name in (*node.input, *results) if name and name not in known]:
            raise BundleError("graph_size_unknown", name=unknown[0][:60], operator=node.op_type)
        outputs = [math.prod(known[name]) for name in results]
        values += outputs
        try:
            multiply_adds += max(outputs, default=0) * _terms(node, known, max(outputs, default=0))
        except LookupError as error:  # shape inference accepts some inputs of too few axes
            raise BundleError("graph_sizes", reason=f"{node.op_type}: {[known[n] for n in node.input if n]}") from error
    return GraphCost(sum(values), max(values), multiply_adds)


def _terms(node: Any, known: dict[str, tuple[int, ...]], n_values: int) -> int:
    """How many multiply-adds make one of the `n_values` values of the node's largest result."""
    if node.op_type == "Conv":  # weights: (outputs, inputs of a group, rows, columns)
        return math.prod(known[node.input[1]][1:])
    if node.op_type == "Gemm":
        transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transA"), 0)
        return known[node.input[0]][-2 if transposed else -1]
    if node.op_type == "MatMul":
        return known[node.input[0]][-1]
    if node.op_type in ("AveragePool", "MaxPool"):
        return math.prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), ()))
    return 1 + sum(math.prod(known[name]) for name in node.input if name) // max(1, n_values)
