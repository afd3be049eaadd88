"""The out-of-distribution score as a part of a model's graph.

NumPy's BLAS has threads of its own, which spin for a while after each product: beside two threads of ONNX Runtime, the
scores of 64 images with 1,280 features took 68 to 80 ms instead of 0.5.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from muslin.data.dataset import Target
from muslin.errors import BundleError
from muslin.evaluation.ood import N_NEIGHBORS, OODDetector
from muslin.models.graph_outputs import FEATURES, OOD_SCORE, features_output

_PREFIX = OOD_SCORE + "/"  # of added tensors; `onnx_check` refuses such names in a file


def ood_score_addition(model: bytes, detector: OODDetector, targets: Sequence[Target]) -> bytes:
    """What gives an ONNX file one more output where it follows the file's bytes, as the serialised fields of a protobuf
    message may (https://protobuf.dev/programming-guides/encoding/#last-one-wins): OOD_SCORE, float32 (n, 1), which is
    `OODDetector.ood_score`.

    An image's score has the same bits whatever other images are scored with it, in any number of threads: ONNX Runtime
    packs the reference features once, and adds up every row of a product in the same order.

    Args:
        targets: of the graph, whose other output has the features.

    Raises:
        BundleError: no output has features, or it is not float32 (n, features).
    """
    from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

    graph, added = ModelProto.FromString(model).graph, GraphProto()
    features = features_output((entry.name for entry in graph.output), targets) or FEATURES
    _check_features(graph, features, detector.reference_features.shape[1])
    reference = detector.reference_features
    k = min(N_NEIGHBORS, len(reference))
    numbers = {
        "reference": np.ascontiguousarray(reference.T),
        "k": np.array([k], np.int64),
        "last": np.array([k - 1], np.int64),
        "one": np.float32(1),
    }

    def node(operator: str, inputs: list[str], *outputs: str, **attributes: int) -> None:
        sources = [name if name == features else _PREFIX + name for name in inputs]
        made = helper.make_node(operator, sources, [_PREFIX + name for name in outputs])
        made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        added.node.append(made)

    # what these operators do is the same in all operator sets from 10 on
    node("LpNormalization", [features], "unit", axis=1, p=2)  # rows of zeros stay zeros
    node("MatMul", ["unit", "reference"], "similarity")
    node("TopK", ["similarity", "k"], "nearest", "places", axis=1)
    node("Gather", ["nearest", "last"], "kth", axis=1)
    node("Sub", ["one", "kth"], "score")
    added.node[-1].output[0] = OOD_SCORE
    added.output.append(helper.make_tensor_value_info(OOD_SCORE, TensorProto.FLOAT, [None, 1]))
    for name, value in numbers.items():
        added.initializer.append(numpy_helper.from_array(np.asarray(value), _PREFIX + name))
    return bytes(ModelProto(graph=added).SerializeToString())


def _check_features(graph: Any, name: str, width: int) -> None:
    from onnx import TensorProto

    outputs = {entry.name: entry.type.tensor_type for entry in graph.output}
    if name not in outputs:
        raise BundleError("graph_output", name=name, found=list(outputs))
    found, sizes = outputs[name].elem_type, [dimension.dim_value for dimension in outputs[name].shape.dim]
    if found != TensorProto.FLOAT or len(sizes) != 2 or sizes[1] not in (0, width):  # 0 where none is declared
        kind = f"{TensorProto.DataType.Name(found).lower()} {tuple(sizes)}"
        raise BundleError("tensor_shape", name=name, found=kind, expected=f"float32 (n, {width})")
