"""Photos made small in worker processes with limits: decoded at a fraction of their size, scaled, encoded as JPEG."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from muslin.errors import ImageError
from muslin.images import crop_to_box, decode, read_header
from muslin.images.decode_worker import MAX_DECODING_MB, MAX_DECODING_S
from muslin.images.decoder import Pixels, to_pil
from muslin.workers import WorkerEnded, WorkerPool

PROCESSES = 2
"""Thumbnails made at the same time."""

QUALITY = 85
SMALL_PX = 64
"""Images up to this size keep every pixel: they are enlarged on the page."""

_WORKERS = WorkerPool("muslin.studio.thumbnail_worker:_make", PROCESSES, MAX_DECODING_S, MAX_DECODING_MB)


def thumbnail_of_file(content: bytes, side: int, name: str, box: tuple[int, int, int, int] | None = None) -> bytes:
    """A JPEG of a photo's file, upright, whose longer edge is at most `side` pixels.

    Args:
        name: in messages.
        box: (left, top, right, bottom) in pixels of the upright photo, to which it is cropped.

    Raises:
        ImageError: it cannot be decoded, or decoding exceeds a limit.
    """
    return bytes(_run({"side": side, "name": name, "box": box, "as_jpeg": True}, content)[1])


def small_pixels_of_file(content: bytes, side: int, name: str, box: tuple[int, int, int, int] | None = None) -> Pixels:
    """As `thumbnail_of_file`, but pixels: uint8 (height, width, 1 or 3).

    Raises:
        ImageError: it cannot be decoded, or decoding exceeds a limit.
    """
    found, pixels = _run({"side": side, "name": name, "box": box, "as_jpeg": False}, content)
    return np.frombuffer(pixels, np.uint8).reshape(found["shape"])


def _run(params: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytearray]:
    try:
        return _WORKERS.run(params, content)
    except WorkerEnded as error:
        limits = {"seconds": MAX_DECODING_S, "mb": MAX_DECODING_MB}
        raise ImageError("decoding_limits", name=params["name"], **limits) from error


def small_pixels(pixels: Pixels, side: int) -> Pixels:
    """An image, uint8 (height, width, 1 or 3), scaled down where its longer edge has more than `side` pixels."""
    if max(pixels.shape[:2]) <= side:
        return pixels
    image = to_pil(pixels)
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(image).reshape(image.height, image.width, -1)


def thumbnail_of_pixels(pixels: Pixels, side: int) -> bytes:
    """A JPEG of an image, uint8 (height, width, 1 or 3), whose longer edge is at most `side` pixels."""
    image = to_pil(small_pixels(pixels, side))
    is_small = max(image.size) <= SMALL_PX
    image.save(buffer := io.BytesIO(), "JPEG", quality=95 if is_small else QUALITY, subsampling=0 if is_small else -1)
    return buffer.getvalue()


def _make(params: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    side, box = params["side"], params["box"]
    options: dict[str, Any] = {} if box else _decoding_size(content, side, params["name"])
    pixels = decode(content, name=params["name"], **options).pixels
    if box:
        pixels = crop_to_box(pixels, tuple(box), params["name"])
    if params["as_jpeg"]:
        return {}, thumbnail_of_pixels(pixels, side)
    small = small_pixels(pixels, side)
    return {"shape": small.shape}, small.tobytes()


def _decoding_size(content: bytes, side: int, name: str) -> dict[str, int]:
    """How small a JPEG can be decoded: no smaller than the thumbnail."""
    height, width, _ = read_header(content, name=name)
    return {"min_side_px": max(1, side * min(height, width) // max(height, width)), "max_full_pixels": 0}
