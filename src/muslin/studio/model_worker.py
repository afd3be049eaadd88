"""Models are first opened and run in a worker process with limits; the studio does not open one that exceeds them."""

import io
from pathlib import Path
from typing import Any

from muslin.errors import BundleError
from muslin.explain.inspection import InspectedModel
from muslin.models.bundle import read_bundle
from muslin.models.container import locating_errors
from muslin.models.first_run import MAX_OPENING_MB, MAX_OPENING_S
from muslin.models.predictor import Predictor
from muslin.workers import WorkerEnded, WorkerPool

MAX_MODEL_BYTES = 500_000_000
PROCESSES = 2
"""Models opened at the same time."""

_WORKERS = WorkerPool("muslin.studio.model_worker:_open", PROCESSES, MAX_OPENING_S, MAX_OPENING_MB)


def open_within_limits(path: Path, name: str) -> InspectedModel:
    """The model, whose golden images and layers have been computed within MAX_OPENING_S and MAX_OPENING_MB.

    Args:
        name: what errors call it.

    Raises:
        BundleError: it cannot be opened, or opening it exceeds a limit.
    """
    with locating_errors(path=name), open(path, "rb") as file:
        content = file.read(MAX_MODEL_BYTES + 1)
    try:
        if len(content) > MAX_MODEL_BYTES:
            raise WorkerEnded
        _WORKERS.run({"name": name}, content)
    except WorkerEnded as error:
        raise BundleError("opening_limits", path=name, seconds=MAX_OPENING_S, mb=MAX_OPENING_MB) from error
    return _opened(content, name, check=False)


def _opened(content: bytes, name: str, check: bool) -> InspectedModel:
    with locating_errors(path=name):
        bundle = read_bundle(io.BytesIO(content))
    return InspectedModel.of(Predictor(bundle, 1, name, check=check))


def _open(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    model = _opened(content, params["name"], check=True)
    if model.has_layers:
        model.layered.trace(model.bundle.golden_pixels[0])
    return {}, b""
