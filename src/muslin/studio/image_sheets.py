"""Sheets: thumbnails of many images as one image file, which a page cuts into its cells."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from muslin.errors import MuslinError
from muslin.images.decoder import Pixels
from muslin.strict_json import json_text
from muslin.studio.thumbnail_worker import SMALL_PX

COLUMNS = 8
MAX_TILES = 64
"""Of a sheet: at 160 px a side of 1,280 px, which every browser draws."""

QUALITY = 85


def sheet(tiles: Sequence[Pixels | MuslinError], language: str) -> tuple[dict[str, Any], bytes]:
    """A header and the bytes of an image file with the tiles in rows of COLUMNS.

    Sheets of small images are PNG, so that each pixel is exact; others are JPEG. The header has `side`, the distance of
    two tiles in pixels, and per tile its width and height, or why there is none.
    """
    shapes = [tile.shape for tile in tiles if not isinstance(tile, MuslinError)]
    side = max((max(shape[:2]) for shape in shapes), default=1)
    channels = max((shape[2] for shape in shapes), default=1)
    rows = -(-len(tiles) // COLUMNS)
    canvas = np.zeros((rows * side, min(len(tiles), COLUMNS) * side, channels), np.uint8)
    for number, tile in enumerate(tiles):
        if not isinstance(tile, MuslinError):
            top, left = number // COLUMNS * side, number % COLUMNS * side
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    header = {"side": side, "columns": COLUMNS, "tiles": [_tile(tile, language) for tile in tiles]}
    is_exact = side <= SMALL_PX
    image = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    image.save(buffer := io.BytesIO(), "PNG" if is_exact else "JPEG", quality=QUALITY)
    return header | {"type": "image/png" if is_exact else "image/jpeg"}, buffer.getvalue()


def _tile(tile: Pixels | MuslinError, language: str) -> dict[str, Any]:
    if isinstance(tile, MuslinError):
        return {"width": 0, "height": 0, "error": tile.to_dict(language, on_page=True)["message"]}
    return {"width": tile.shape[1], "height": tile.shape[0], "error": None}


def packed_sheet(header: dict[str, Any], content: bytes) -> bytes:
    """As `muslin.web.responses.packed`, with the bytes of a file."""
    text = json_text(header).encode()
    return len(text).to_bytes(4, "little") + text + content
