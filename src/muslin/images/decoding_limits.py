"""Limits on the work and memory that an image file asks for, beyond its size and its number of pixels."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from muslin.errors import ImageError

MAX_SCANS = 64
"""Scans of a JPEG: each passes over the whole image. Encoders write one, progressive ones about ten."""

MAX_PNM_COMMENTS = 100
"""In a PNM file. Pillow reads its header letter by letter, and those of text files again for each block."""

PNM_HEADER = re.compile(rb"P[1-6](?:\s+|#[^\r\n]*[\r\n]){1,200}?\d{1,6}(?:\s+|#[^\r\n]*[\r\n]){1,200}?\d{1,6}\s")
"""Up to the height: http://netpbm.sourceforge.net/doc/pgm.html"""

MAX_PNM_HEADER_BYTES = 2**14

SHARED_PIXELS = 60_000_000
"""Pixels that all threads together decode at a time, each of which takes up to 12 bytes: 700 MB."""

_START_OF_SCAN = b"\xff\xda"


def check_decoding_work(data: bytes, name: str, kind: str) -> None:
    """Refuse a file whose decoding takes far longer than its pixels and bytes need.

    Raises:
        ImageError: a JPEG with more than MAX_SCANS scans, or a PNM file with a long header or many comments.
    """
    if kind == "JPEG" and (scans := data.count(_START_OF_SCAN)) > MAX_SCANS:
        raise ImageError("too_many_scans", name=name, found=scans, maximum=MAX_SCANS)
    if kind == "PPM":
        comments = data.count(b"#") if data[1:2] in b"123" else data.count(b"#", 0, MAX_PNM_HEADER_BYTES)
        if not PNM_HEADER.match(data, 0, MAX_PNM_HEADER_BYTES) or comments > MAX_PNM_COMMENTS:
            raise ImageError("image_header", name=name, kind=kind)


class PixelBudget:
    """Lets threads decode images as long as all of them together have at most `pixels` pixels, or one alone."""

    def __init__(self, pixels: int) -> None:
        self._free, self._all = pixels, pixels
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` are free, and hold them during the block."""
        pixels = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


PIXEL_BUDGET = PixelBudget(SHARED_PIXELS)
