"""Photos of any size, left in their files until they are asked for, and brought to one size when a model needs it."""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Images, PixelImages
from muslin.errors import DataError, ImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif",
     ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".avif"}
)  # fmt: skip
"""How the names of photos end, in lower case. What is in such a file decides how it is decoded."""

MOST_BYTES = 20_000_000
"""Of one photo's file, as `muslin.images.decode` has it."""

THREADS = 2


class Stored(Protocol):
    """One photo as it is kept somewhere: a Photo, or a row of a Parquet file."""

    @property
    def name(self) -> str: ...

    @property
    def box(self) -> tuple[int, int, int, int] | None: ...

    def content(self, most_bytes: int = MOST_BYTES + 1) -> bytes: ...


@dataclass(frozen=True)
class Photo:
    """Where one photo's file is.

    Attributes:
        name: what a message calls it.
        path: the file, or the archive that holds it.
        start: the byte at which its content begins.
        size: how many bytes its content takes there; None for all of the file.
        deflated: whether the content is deflated, as in a zip.
        box: (left, top, right, bottom) in pixels of the upright photo, to which it is cut; None for all of it.
    """

    name: str
    path: Path
    start: int = 0
    size: int | None = None
    deflated: bool = False
    box: tuple[int, int, int, int] | None = None

    def content(self, most_bytes: int = MOST_BYTES + 1) -> bytes:
        """The photo's file, cut off after `most_bytes`; by default one more than are decoded.

        Raises:
            ImageError: it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                data = file.read(most_bytes if self.size is None else min(self.size, most_bytes))
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most_bytes) if self.deflated else data
        except zlib.error as error:
            raise ImageError(
                f"{self.name}: is damaged in the archive ({error}). Copy {self.path} again."
            ) from error
        except OSError as error:
            raise ImageError(
                f"{self.name}: cannot be read ({error.strerror or error}). Check {self.path}."
            ) from error


@dataclass(frozen=True)
class PhotoImages:
    """Photos in their files; `images[i]` decodes one: uint8 (height, width, 1 or 3), upright. Safe in threads.

    `kept` is whatever must live as long as the photos are read, such as an unpacked archive.
    """

    photos: tuple[Stored, ...]
    kept: Any = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Raises ImageError, which names the file, where it cannot be decoded."""
        return self.decoded(index)

    def decoded(self, index: int, at_least_px: int | None = None) -> NDArray[np.uint8]:
        """Photo `index`; a JPEG may come smaller, but no side below `at_least_px`."""
        from muslin.images import decode

        photo = self.photos[index]
        if photo.box:
            at_least_px = None  # the box counts the pixels of the whole photo
        pixels = decode(
            photo.content(), name=photo.name, max_bytes=MOST_BYTES, at_least_px=at_least_px
        ).pixels
        if photo.box is None:
            return pixels
        left, top, right, bottom = photo.box
        cut = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if not cut.size:
            raise ImageError(
                f"{photo.name}: its box {photo.box} holds no pixel of {pixels.shape[1]}×{pixels.shape[0]}. "
                "Correct the box."
            )
        return np.ascontiguousarray(cut)

    def take(self, indices: NDArray[np.integer[Any]]) -> "PhotoImages":
        return replace(self, photos=tuple(self.photos[int(i)] for i in indices))

    def joined(self, others: Sequence[Any]) -> "PhotoImages":
        """Raises DataError where the others are not photos in their files."""
        for images in others:
            if not isinstance(images, PhotoImages):
                raise DataError(
                    "One part holds photos in files, the other pixels. Bring both to one format (muslin convert)."
                )
        photos = tuple(photo for images in (self, *others) for photo in images.photos)
        return PhotoImages(photos, (self.kept, *(images.kept for images in others)))

    def digests(self) -> Iterator[bytes]:
        """Per photo the SHA-256 of its file; of its name where it cannot be read."""
        for photo in self.photos:
            try:
                content = photo.content()
            except ImageError:
                content = b"unreadable " + photo.name.encode("utf-8", "surrogateescape")
            yield hashlib.sha256(content + repr(photo.box).encode() if photo.box else content).digest()


def in_pixels(
    dataset: Dataset,
    size: tuple[int, int, int],
    *,
    conversion: str | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Dataset:
    """`dataset` with its photos decoded to uint8 (count, *size); a set of pixels is returned as it is.

    Photos that cannot be decoded are left out and listed in `repairs`.

    Args:
        size: (height, width, channels).
        conversion: a row of `muslin.images.CONVERSIONS`; by default the data set's own.
        tell: called with a sentence every thousand photos.

    Raises:
        DataError: not one photo can be decoded.
    """
    if not isinstance(dataset.images, PhotoImages):
        return dataset
    from muslin.images import convert

    photos, how = dataset.images, conversion or dataset.conversion
    pixels = np.empty((len(photos), *size), dtype=np.uint8)
    # `fit` scales a photo as a whole, so half of that may be left to the JPEG decoder; others look at single pixels.
    at_least_px = 2 * max(size[:2]) if how == "fit" else None

    def one(index: int) -> str | None:
        try:
            pixels[index] = convert(photos.decoded(index, at_least_px), how, size)[0]
        except ImageError as error:
            return str(error)
        return None

    problems: list[str | None] = []
    with ThreadPoolExecutor(THREADS) as pool:
        answers = pool.map(one, range(len(photos)))
        while block := list(islice(answers, 1000)):
            problems += block
            if len(photos) > 1000:
                tell(f"{len(problems):,} of {len(photos):,} photos read")
    unread = [problem for problem in problems if problem]
    if len(unread) == len(photos):
        raise DataError(f"{dataset.name}: not one of {len(photos):,} photos can be read. First: {unread[0]}")
    images: Images = PixelImages(pixels)
    if not unread:
        return replace(dataset, images=images, conversion=how)
    kept = np.flatnonzero([problem is None for problem in problems])
    repairs = (*dataset.repairs, f"photos left out because they cannot be read: {len(unread):,}", *unread)
    return replace(replace(dataset, images=images, conversion=how).take(kept), repairs=repairs)
