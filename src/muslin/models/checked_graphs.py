"""The checks of a graph, whose results are remembered on the disk: a model that was opened before needs no `onnx`.

A result belongs to every byte of the graph, to the source of the checks and to the versions of what reads the graph.
Only a graph that passed is remembered; one that was refused is checked again. The seal and the golden images are
checked each time. The folder of the results belongs to the user, who could as well change muslin itself.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, lru_cache

from muslin.data.dataset import Target
from muslin.evaluation.ood import OODDetector
from muslin.models.graph_cost import GraphCost, check_cost
from muslin.models.onnx_check import check_graph
from muslin.models.ood_graph import ood_score_addition
from muslin.storage.remembered import code_of, remembered

_CHECKS = (
    "muslin.text", "muslin.evaluation.ood", "muslin.models.onnx_check", "muslin.models.graph_cost",
    "muslin.models.graph_sizes", "muslin.models.graph_outputs", "muslin.models.ood_graph",
)  # fmt: skip
"""Where the checks are written; a change of one is a change of the checks."""

_READERS = {"onnx": "version.py", "onnxruntime": "__init__.py", "google.protobuf": "__init__.py"}
"""What reads a graph, each with the file that has its version."""


def graph_cost(model: bytes, input_shape: tuple[int, int, int], n_golden: int) -> GraphCost:
    """The cost of the graph in an ONNX file, which passed both `check_graph` and `check_cost`.

    Raises:
        BundleError: see there.
    """

    def check() -> bytes:
        return json.dumps(asdict(check_cost(check_graph(model), input_shape, n_golden))).encode()

    return GraphCost(
        **json.loads(remembered(check, b"cost", _code(), _digest(model), repr((input_shape, n_golden)).encode()))
    )


def with_ood_score(model: bytes, detector: OODDetector, targets: Sequence[Target]) -> bytes:
    """A checked graph with one more output, the OOD score: see `muslin.models.ood_graph.ood_score_addition`.

    Raises:
        BundleError: see there.
    """
    reference = detector.reference_features
    names = [target.name for target in targets]
    parts = (_digest(model), repr((names, reference.shape, reference.dtype.str)).encode(), reference.tobytes())
    # the fields of a protobuf message that follows another one are added to it
    return model + remembered(lambda: ood_score_addition(model, detector, targets), b"OOD score", _code(), *parts)


@lru_cache(4)  # each graph is asked for twice
def _digest(model: bytes) -> bytes:
    return hashlib.sha256(model).digest()


@cache
def _code() -> bytes:
    """Of the checks, and of what reads a graph."""
    return code_of({**dict.fromkeys(_CHECKS), **_READERS})
