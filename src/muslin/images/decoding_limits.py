"""Limits on the work and memory that an image file asks for, beyond its size and its number of pixels."""

import io
import re
import threading

from muslin.errors import ImageError

MAX_SCANS = 64
"""Scans of a JPEG: each passes over the whole image. Encoders write one, progressive ones about ten."""

MAX_PNM_COMMENTS = 100
"""In a PNM file. Pillow reads its header letter by letter, and those of text files again for each block."""

PNM_HEADER = re.compile(rb"P[1-6](?:\s+|#[^\r\n]*[\r\n]){1,200}?\d{1,6}(?:\s+|#[^\r\n]*[\r\n]){1,200}?\d{1,6}\s")
"""Up to the height: http://netpbm.sourceforge.net/doc/pgm.html"""

MAX_PNM_HEADER_BYTES = 2**14

FREE_READS, BYTES_PER_READ = 10_000, 50
"""Pieces in which Pillow may read a file: as many as free, and one for each so many bytes. It reads each segment of a
JPEG, chunk of a PNG and block of a GIF (of at most 255 bytes) by itself, and what lies between them byte by byte."""

SHARED_PIXELS = 60_000_000
"""Pixels that all threads together decode at a time, each of which takes up to 12 bytes: 700 MB."""

_START_OF_SCAN = re.compile(rb"\xff\xda")  # finds them in a third of the time of bytes.count


def check_decoding_work(data: bytes, name: str, kind: str) -> None:
    """Refuse a file whose decoding takes far longer than its pixels and bytes need.

    Raises:
        ImageError: a JPEG with more than MAX_SCANS scans, or a PNM file with a long header or many comments.
    """
    if kind == "JPEG" and (scans := len(_START_OF_SCAN.findall(data))) > MAX_SCANS:
        raise ImageError("too_many_scans", name=name, found=scans, maximum=MAX_SCANS)
    if kind == "PPM":
        comments = data.count(b"#") if data[1:2] in b"123" else data.count(b"#", 0, MAX_PNM_HEADER_BYTES)
        if not PNM_HEADER.match(data, 0, MAX_PNM_HEADER_BYTES) or comments > MAX_PNM_COMMENTS:
            raise ImageError("image_header", name=name, kind=kind)


class CountedReads(io.BytesIO):
    """A file's content for Pillow, which refuses to be read in far more pieces than real files have.

    Raises:
        ImageError: from `read`.
    """

    def __init__(self, data: bytes, name: str, kind: str) -> None:
        super().__init__(data)
        self._name, self._kind = name, kind
        self._left = FREE_READS + len(data) // BYTES_PER_READ

    def read(self, size: int | None = -1) -> bytes:
        """As any file's."""
        self._left -= 1
        if self._left < 0:
            raise ImageError("too_many_reads", name=self._name, kind=self._kind)
        return super().read(size)


def image_file(data: bytes, name: str, kind: str) -> io.BytesIO:
    """A file's content for Pillow; as `CountedReads`, where the file is large enough for many reads."""
    return io.BytesIO(data) if len(data) <= FREE_READS else CountedReads(data, name, kind)


class PixelBudget:
    """Lets threads decode images as long as all of them together have at most `pixels` pixels, or one alone."""

    def __init__(self, pixels: int) -> None:
        self._free, self._all = pixels, pixels
        self._changed = threading.Condition()

    def taking(self, pixels: int) -> "_Taken":
        """A context that begins when `pixels` are free, and holds them."""
        return _Taken(self, min(pixels, self._all))

    def take(self, pixels: int) -> None:
        """Wait until `pixels` are free, and take them."""
        with self._changed:
            while self._free < pixels:
                self._changed.wait()
            self._free -= pixels

    def give_back(self, pixels: int) -> None:
        """Let others have what was taken."""
        with self._changed:
            self._free += pixels
            self._changed.notify_all()


class _Taken:
    """Pixels of a budget. A class, because a generator would take a tenth of the time of decoding a small image."""

    __slots__ = ("_budget", "_pixels")

    def __init__(self, budget: PixelBudget, pixels: int) -> None:
        self._budget, self._pixels = budget, pixels

    def __enter__(self) -> None:
        self._budget.take(self._pixels)

    def __exit__(self, *error: object) -> None:
        self._budget.give_back(self._pixels)


PIXEL_BUDGET = PixelBudget(SHARED_PIXELS)
