"""The first run of a model that anybody may have made, in a process with limits."""

import io
import mmap
from pathlib import Path
from typing import Any, BinaryIO

from muslin.errors import BundleError
from muslin.models.bundle import open_bundle, read_bundle
from muslin.models.container import check_ends, locating_errors
from muslin.models.predictor import Predictor
from muslin.workers import WorkerEnded, WorkerPool

MAX_OPENING_S, MAX_OPENING_MB = 20, 2000
"""Processor time and memory for opening a model, and for running it on its golden images."""


def first_run(file: BinaryIO | Path, name: str) -> None:
    """Open a model and check its golden images in a process that ends where it exceeds a limit.

    An open file that is plainly no model is refused before a process starts.

    Args:
        file: its path; or an open file of the system, flushed. Its position becomes its start.
        name: what errors call it.

    Raises:
        BundleError: it cannot be opened, its golden images have other probabilities, or a limit is exceeded.
    """
    if not isinstance(file, Path):
        with locating_errors(path=name):
            check_ends(file)
    pool = WorkerPool(f"{__name__}:{_open.__name__}", 1, MAX_OPENING_S, MAX_OPENING_MB)
    try:
        if isinstance(file, Path):
            pool.run({"name": name, "path": str(file)}, b"")
        else:
            pool.run({"name": name}, memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except WorkerEnded as error:
        raise BundleError("opening_limits", path=name, seconds=MAX_OPENING_S, mb=MAX_OPENING_MB) from error
    finally:
        pool.close()


def _open(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    name = params["name"]
    if "path" in params:
        bundle = open_bundle(params["path"], name)
    else:
        with locating_errors(path=name):
            bundle = read_bundle(io.BytesIO(content))
    Predictor.of(bundle, 1, name)
    return {}, b""
