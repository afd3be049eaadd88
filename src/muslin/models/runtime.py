"""The only place that opens an ONNX Runtime session."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from muslin.errors import BundleError
from muslin.library_errors import reason_of

SPIN_US = 50
"""For how long a thread spins after its work."""


def session(model: bytes, *, threads: int = 1, optimise: bool = True) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU, which prints nothing.

    Args:
        model: an ONNX file; ONNX Runtime's own format is refused.
        threads: threads that work on one operation.
        optimise: whether layers may be fused; False keeps the result of every layer.

    Raises:
        BundleError: ONNX Runtime cannot run the graph.
    """
    # since 1.32 it sends events to Microsoft and writes a device id to the user's cache, unless this is set before
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal only: an error arrives as an exception
    for name, value in _spinning(onnxruntime.__version__).items():
        options.add_session_config_entry(f"session.intra_op.{name}", value)
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the format that onnx_check reads
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with runtime_errors():
        return onnxruntime.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=False,  # else it prints, and tries the same again
        )


def _spinning(version: str) -> dict[str, str]:
    """How threads wait for their next work in a version of ONNX Runtime: idle ones leave their core.

    By default they spin for some milliseconds, which other work lacks. From 1.26 on that time can be set: short enough
    to be free, and as long as the work between two layers that use all threads.
    """
    if tuple(map(int, version.split(".")[:2])) < (1, 26):
        return {"allow_spinning": "0"}
    return {"allow_spinning": "1", "spin_duration_us": str(SPIN_US)}


class Sessions:
    """A graph's session for one caller, which uses all threads; and one for callers in as many threads, each of which
    uses its own. The second is opened when it is first needed. Thread-safe.

    Args:
        make: opens the graph with a number of threads.
    """

    def __init__(self, make: Callable[[int], Any], threads: int) -> None:
        self._make, self._lock = make, threading.Lock()
        self._with_all = make(threads)
        self._with_one = self._with_all if threads == 1 else None

    def get(self, in_threads: bool = False) -> Any:
        """The session for one caller, or for callers in several threads."""
        if not in_threads:
            return self._with_all
        if self._with_one is None:
            with self._lock:
                if self._with_one is None:
                    self._with_one = self._make(1)
        return self._with_one


def run_session(opened: Any, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
    """The arrays of `outputs`, in their order.

    Raises:
        BundleError: ONNX Runtime fails.
    """
    try:  # without `runtime_errors`, which takes longer than the rest
        return list(opened.run(outputs, inputs))
    except Exception as error:
        raise _not_runnable(error) from error


@contextmanager
def runtime_errors() -> Iterator[None]:
    """Turn any error of ONNX Runtime into a BundleError."""
    try:
        yield
    except Exception as error:  # onnxruntime's exceptions have no other common base
        raise _not_runnable(error) from error


def _not_runnable(error: Exception) -> BundleError:
    return BundleError("graph_not_runnable", reason=reason_of(error))
