"""Photos of any size, left in their files until they are asked for, and brought to one size when a model needs it."""

import hashlib
import math
import os
import tempfile
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages, pixel_array
from muslin.errors import DataError, ImageError

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif",
     ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".avif"}
)  # fmt: skip
"""How the names of photos end, in lower case. What is in such a file decides how it is decoded."""

MOST_BYTES = 20_000_000
"""Of one photo's file, as `muslin.images.decode` has it."""

MOST_MADE_BYTES = 4 * 10**9
"""Of photos brought to one size, on the disk while a network is trained: 20,000 of 260 px."""

THREADS = 2

MAX_UNREADABLE = 0.2
"""The share of photos that may be unreadable before a training stops: more are no accident, but a bad copy."""

T = TypeVar("T")


class StoredImage(Protocol):
    """One photo as it is kept somewhere: a Photo, or a row of a Parquet file."""

    @property
    def name(self) -> str: ...

    @property
    def box(self) -> tuple[int, int, int, int] | None: ...

    def content(self, max_bytes: int = MOST_BYTES + 1) -> bytes: ...


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

    def content(self, max_bytes: int = MOST_BYTES + 1) -> bytes:
        """The photo's file, cut off after `max_bytes`; by default one more than are decoded.

        Raises:
            ImageError: it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                data = file.read(max_bytes if self.size is None else min(self.size, max_bytes))
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes) if self.deflated else data
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

    photos: tuple[StoredImage, ...]
    kept: Any = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Raises ImageError, which names the file, where it cannot be decoded."""
        return self.decode(index)

    def decode(self, index: int, min_side_px: int | None = None) -> NDArray[np.uint8]:
        """Photo `index`; a JPEG may come smaller, but no side below `min_side_px`."""
        from muslin.images import decode

        photo = self.photos[index]
        if photo.box:
            min_side_px = None  # the box counts the pixels of the whole photo
        pixels = decode(
            photo.content(), name=photo.name, max_bytes=MOST_BYTES, min_side_px=min_side_px
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

    def concat(self, others: Sequence[Any]) -> "PhotoImages":
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


class MadeImages:
    """Images of one size that photos were brought to, in a temporary file that has no name and goes when nobody
    holds it. Once it or the disk is full, the others are as if nobody kept them. Safe in threads."""

    def __init__(self, size: tuple[int, int, int], max_bytes: int) -> None:
        self._size = size
        self._room = max_bytes // math.prod(size)
        self._rows: dict[StoredImage, int] = {}
        self._lock = threading.Lock()
        try:
            with tempfile.TemporaryFile() as file:
                self._handle = os.dup(file.fileno())
        except OSError:
            self._room = 0

    def get(self, photo: StoredImage) -> NDArray[np.uint8] | None:
        """A new array, if it was kept."""
        row, count = self._rows.get(photo), math.prod(self._size)
        if row is None:
            return None
        content = bytearray(os.pread(self._handle, count, row * count))
        return np.frombuffer(content, np.uint8).reshape(self._size)

    def add(self, photo: StoredImage, image: NDArray[np.uint8]) -> None:
        """Keep it, if there is room."""
        with self._lock:
            row = len(self._rows)
            if row >= self._room or photo in self._rows:
                return
            try:
                written = os.pwrite(self._handle, image.tobytes(), row * image.size)
            except OSError:
                written = 0
            if written == image.size:
                self._rows[photo] = row
            else:
                self._room = 0

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)


@dataclass(frozen=True)
class ResizedPhotos:
    """Photos in their files, brought to one size whenever they are asked for: `images[i]` is uint8 `size`.

    So memory stays the same however many there are. Safe in threads. Where they are asked for again and again,
    `cache` keeps them.
    """

    photos: PhotoImages
    size: tuple[int, int, int]
    transform: str
    cache: "MadeImages | None" = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Raises ImageError, which names the file, where it cannot be decoded."""
        from muslin.images import apply_transform

        photo = self.photos.photos[index]
        if self.cache and (before := self.cache.get(photo)) is not None:
            return before
        # `fit` scales a photo as a whole, so half of that may be left to the JPEG decoder; others look at single
        # pixels
        min_side_px = 2 * max(self.size[:2]) if self.transform == "fit" else None
        image = apply_transform(self.photos.decode(index, min_side_px), self.transform, self.size)[0]
        if self.cache:
            self.cache.add(photo, image)
        return image

    def cached(self, max_bytes: int = MOST_MADE_BYTES) -> "ResizedPhotos":
        """The same, each decoded only once as far as `max_bytes` on the disk hold them."""
        return replace(self, cache=MadeImages(self.size, max_bytes))

    def take(self, indices: NDArray[np.integer[Any]]) -> "ResizedPhotos":
        return replace(self, photos=self.photos.take(indices))

    def concat(self, others: Sequence[Any]) -> "ResizedPhotos":
        """Raises DataError where the others are not photos in their files."""
        return replace(self, photos=self.photos.concat([getattr(o, "photos", o) for o in others]))

    def digests(self) -> Iterator[bytes]:
        """As `PhotoImages.digests`."""
        return self.photos.digests()


def resize_photos(dataset: Dataset, size: tuple[int, int, int], transform: str | None = None) -> Dataset:
    """`dataset` with each of its photos brought to `size` when it is asked for; nothing is decoded yet.

    Raises:
        DataError: the images are pixels, not photos.
    """
    if not isinstance(dataset.images, PhotoImages):
        raise DataError(
            f"{dataset.name}: its images are pixels of one size, where photos in files are needed. "
            "For pixels: --recipe quick."
        )
    how = transform or dataset.transform
    return replace(dataset, images=ResizedPhotos(dataset.images, size, how), transform=how)


def parallel_map(work: Callable[[int], T], count: int, threads: int = THREADS) -> Iterator[T]:
    """`work(0)`, `work(1)`, … in order, worked out by threads that are at most a few ahead of whoever takes them."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[T]] = deque()
        try:
            for place in range(count):
                ahead.append(pool.submit(work, place))
                if len(ahead) > 4 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def pixel_batches(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """All images in order, one or more arrays uint8 (count, height, width, channels).

    Photos come few at a time, and are decoded while whoever takes them works on those before them.
    """
    images = dataset.images
    if not isinstance(images, ResizedPhotos) or not len(dataset):
        yield pixel_array(dataset)
        return
    pictures = parallel_map(lambda i: images[i], len(images))
    while block := list(islice(pictures, 16)):
        yield np.stack(block)


def decode_photos(
    dataset: Dataset,
    size: tuple[int, int, int],
    *,
    transform: str | None = None,
    max_unreadable: float = 1.0,
    log: Callable[[str], None] = lambda sentence: None,
) -> Dataset:
    """`dataset` with its photos decoded to uint8 (count, *size); a set of pixels is returned as it is.

    Photos that cannot be decoded are left out and listed in `fixes`.

    Args:
        size: (height, width, channels).
        transform: a row of `muslin.images.TRANSFORMS`; by default the data set's own.
        allow_broken: the share of photos that may be broken.
        tell: called with a sentence every thousand photos.

    Raises:
        DataError: more of the photos cannot be decoded, or not one can.
    """
    if not isinstance(dataset.images, PhotoImages):
        return dataset
    photos = resize_photos(dataset, size, transform)
    pixels = np.empty((len(photos), *size), dtype=np.uint8)

    def one(index: int) -> str | None:
        try:
            pixels[index] = photos.images[index]
        except ImageError as error:
            return str(error)
        return None

    problems: dict[int, str] = {}
    for index, problem in enumerate(parallel_map(one, len(photos))):
        if problem:
            problems[index] = problem
        if (index + 1) % 1000 == 0 or (index + 1 == len(photos) > 1000):
            log(f"{index + 1:,} of {len(photos):,} photos read")
    return exclude_unreadable(replace(photos, images=PixelImages(pixels)), problems, max_unreadable, log)


def readable_photos(
    dataset: Dataset,
    *,
    max_unreadable: float = 1.0,
    log: Callable[[str], None] = lambda sentence: None,
) -> Dataset:
    """`dataset`, whose images are ResizedPhotos, without those that cannot be decoded: each is tried once.

    Raises:
        DataError: as `in_pixels`.
    """

    def one(index: int) -> str | None:
        try:
            dataset.images[index]
        except ImageError as error:
            return str(error)
        return None

    problems = {i: problem for i, problem in enumerate(parallel_map(one, len(dataset))) if problem}
    return exclude_unreadable(dataset, problems, max_unreadable, log)


def exclude_unreadable(
    dataset: Dataset, problems: Mapping[int, str], allowed: float, log: Callable[[str], None]
) -> Dataset:
    """`dataset` without the photos at the keys of `problems`, which are listed in its repairs.

    Args:
        problems: by the photo's place, what is wrong with it.
        allowed: the share of photos that may be so.
        tell: called with each problem before an error is raised.

    Raises:
        DataError: more are, or all.
    """
    if not problems:
        return dataset
    count, share = len(dataset), len(problems) / len(dataset)
    first = problems[min(problems)]
    if len(problems) == count:
        raise DataError(f"{dataset.name}: not one of {count:,} photos can be read. First: {first}")
    if share > allowed:
        for problem in problems.values():
            log(problem)
        raise DataError(
            f"{dataset.name}: {len(problems):,} of {count:,} photos cannot be read, which is more than a share of "
            f"{allowed:g}. First: {first} Mend them, or train without them: "
            f"--max-unreadable {min(math.ceil(100 * share) / 100, 1):g}."
        )
    kept = np.setdiff1d(np.arange(count), list(problems))
    said = f"photos left out because they cannot be read: {len(problems):,}"
    return replace(dataset.take(kept), fixes=(*dataset.fixes, said, *problems.values()))
