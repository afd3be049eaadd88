"""Out-of-distribution scores from ONNX Runtime, whose threads a matrix product of NumPy would compete with.

NumPy's BLAS has threads of its own, which spin for a while after each product: beside two threads of ONNX Runtime, the
scores of 64 images with 1,280 features took 68 to 80 ms instead of 0.5.
"""

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.ood import N_NEIGHBORS, OODDetector
from muslin.models.runtime import Sessions, run_session, session

_MAX_SIMILARITIES = 2**22  # in memory at once: 16 MiB of float32


class OODScorer:
    """`OODDetector.ood_score` as a graph. Safe to use from several threads at once.

    An image's score has the same bits whatever other images are scored with it, in any number of threads: ONNX Runtime
    packs the reference features once, and adds up every row of a product in the same order.

    Args:
        threads: threads that work on one batch.
    """

    def __init__(self, detector: OODDetector, threads: int) -> None:
        self._batch_size = max(1, _MAX_SIMILARITIES // len(detector.reference_features))
        model = _score_model(detector)
        self._sessions = Sessions(lambda threads: session(model, threads=threads), threads)

    def score(self, features: NDArray[np.float32], in_threads: bool = False) -> NDArray[np.float32]:
        """The OOD scores, float32 (n, 1), of features (n, features).

        Args:
            in_threads: whether other threads do the same, so that each is to use one core.
        """
        size, opened = self._batch_size, self._sessions.get(in_threads)
        batches = [features[start : start + size] for start in range(0, len(features), size)]
        if not batches:
            return np.empty((0, 1), np.float32)
        scores = [run_session(opened, ["score"], {"features": batch})[0] for batch in batches]
        return np.asarray(scores[0] if len(scores) == 1 else np.concatenate(scores))


def _score_model(detector: OODDetector) -> bytes:
    """The formula of `OODDetector.ood_score`, operator by operator."""
    from onnx import TensorProto, helper, numpy_helper

    reference = detector.reference_features
    k = min(N_NEIGHBORS, len(reference))
    numbers = {
        "axis": np.array([1], np.int64),
        "tiny": np.float32(1e-12),  # of `normalize_rows`: rows of zeros stay zeros
        "reference": np.ascontiguousarray(reference.T),
        "k": np.array([k], np.int64),
        "last": np.array([k - 1], np.int64),
        "one": np.float32(1),
    }

    node = helper.make_node
    nodes = [
        node("ReduceL2", ["features", "axis"], ["length"], keepdims=1),
        node("Max", ["length", "tiny"], ["divisor"]),
        node("Div", ["features", "divisor"], ["unit"]),
        node("MatMul", ["unit", "reference"], ["similarity"]),
        node("TopK", ["similarity", "k"], ["nearest", "places"], axis=1, largest=1, sorted=1),
        node("Gather", ["nearest", "last"], ["kth"], axis=1),
        node("Sub", ["one", "kth"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "ood_score",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", reference.shape[1]])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()],
    )
    # IR version 10 and opset 18: read by every ONNX Runtime that muslin allows
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())
