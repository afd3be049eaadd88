"""Decoding in worker processes with limits, for servers, so that a hostile image does not stop other requests."""

from pathlib import Path
from typing import Any

import numpy as np

from muslin.errors import ImageError
from muslin.images.decoder import MAX_BYTES, DecodedImage, decode, read_bytes
from muslin.workers import WorkerEnded, WorkerPool

MAX_DECODING_S = 10
MAX_DECODING_MB = 1000
PROCESSES = 2
"""Images decoded at the same time."""

_WORKERS = WorkerPool("muslin.images.decode_worker:_decode", PROCESSES, MAX_DECODING_S, MAX_DECODING_MB)


def decode_in_worker(source: bytes | Path, *, name: str, **options: Any) -> DecodedImage:
    """The same as `muslin.images.decode` within MAX_DECODING_S of processor time and MAX_DECODING_MB of memory.

    Args:
        source: the file's content, or its path.
        name: name in messages.
        options: those of `decode`.

    Raises:
        ImageError: as `decode`, or decoding exceeds a limit.
    """
    content = read_bytes(source, name, options.get("max_bytes", MAX_BYTES))
    try:
        found, pixels = _WORKERS.run({"name": name} | options, content)
    except WorkerEnded as error:
        raise ImageError("decoding_limits", name=name, seconds=MAX_DECODING_S, mb=MAX_DECODING_MB) from error
    image = np.frombuffer(pixels, np.uint8).reshape(found["shape"])
    image.flags.writeable = False
    return DecodedImage(image, tuple(found["notes"]), tuple(found["full_size"]))


def _decode(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], Any]:
    decoded = decode(content, **params)
    found = {"shape": decoded.pixels.shape, "notes": decoded.notes, "full_size": decoded.full_size}
    return found, decoded.pixels.reshape(-1)
