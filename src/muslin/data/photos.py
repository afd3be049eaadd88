"""Photos of any size, left in their files until they are needed, and transformed to one size for a model."""

import hashlib
import math
import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages, pixel_array
from muslin.data.product_notes import lost_products
from muslin.errors import DataError, ImageError, StorageError
from muslin.images.file_kinds import KIND_OF_SUFFIX, link_error
from muslin.library_errors import reason_of
from muslin.machine import physical_cores
from muslin.messages import Log, Message, examples, no_log
from muslin.storage.boundary import UNBOUNDED, Boundary, OutsideError
from muslin.storage.scratch import ScratchArray

if TYPE_CHECKING:
    from muslin.images import DecodedImage

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".tif",
     ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".avif"}
)  # fmt: skip
"""Suffixes of photo files, in lower case. The decoder is chosen by the content, not by the suffix."""

IMAGE_SUFFIXES = PHOTO_SUFFIXES | set(KIND_OF_SUFFIX)
"""These, and those of images that cannot be decoded, such as HEIC: they are named by their kind, not passed over."""

SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "$recycle.bin", "system volume information", "found.000",
     "__macosx", "network trash folder", "temporary items", "lost+found", "ipod photo cache", "captureone",
     "@eadir", "@tmp", "@recycle", "#recycle", "recycler", "recycled", "@__thumb", "#snapshot", "~snapshot",
     "@recently-snapshot", "_gsdata_", "_vti_cnf", "__pycache__", "node_modules"}
)  # fmt: skip
"""Files and folders that Windows, macOS, file servers, photo programs and editors put beside photos, in lower case."""

SYSTEM_SUFFIXES = (".lrdata", ".lrcat-data")
"""Suffixes of Lightroom's folders of previews."""

MAX_PHOTO_BYTES = 20_000_000
"""Largest file of one photo, as in `muslin.images.decode`."""

MAX_CACHE_BYTES = 4 * 10**9
"""Largest scratch file of transformed photos during a training: 20,000 photos of 260 px."""

MAX_THREADS = 8
"""Bound on decoding threads: each can hold a photo of 50 million pixels, 150 MB, and a few more wait behind it."""

MAX_UNREADABLE = 0.2
"""Default bound on the fraction of unreadable photos: more are no accident but a bad copy, so training stops."""

S = TypeVar("S")
T = TypeVar("T")


def is_photo(name: str) -> bool:
    """Whether a path has a photo's suffix and is not hidden."""
    return os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether a path, with `/` between folders, is hidden or of a system: `.DS_Store`, `@eaDir/a.jpg`."""
    pieces = name.lower().split("/")
    return any(p.startswith(".") or p in SYSTEM_NAMES or p.endswith(SYSTEM_SUFFIXES) for p in pieces)


class StoredImage(Protocol):
    """One photo in its place: a Photo, or a row of a Parquet file."""

    @property
    def name(self) -> str: ...

    @property
    def box(self) -> tuple[int, int, int, int] | None: ...

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes: ...


@dataclass(frozen=True)
class Photo:
    """The place of one photo's file.

    Attributes:
        name: its name in messages.
        path: the file, or the archive that holds it.
        start: the byte at which its content begins.
        size: number of bytes of its content; None for all of the file.
        deflated: whether the content is deflated, as in a zip.
        box: (left, top, right, bottom) in pixels of the upright photo, to which it is cropped; None for all of it.
        boundary: the folder below which the file must be when it is opened.
    """

    name: str
    path: Path
    start: int = 0
    size: int | None = None
    deflated: bool = False
    box: tuple[int, int, int, int] | None = None
    boundary: Boundary = UNBOUNDED

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes:
        """The bytes of the photo's file, cut off after `max_bytes`; by default one more than the decoder accepts.

        Raises:
            ImageError: it cannot be read, or lies outside the boundary.
        """
        try:
            with self.boundary.open(self.path) as file:
                file.seek(self.start)
                size = os.fstat(file.fileno()).st_size if self.size is None else self.size
                data = file.read(min(size, max_bytes))  # read() allocates all that it is asked for
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes) if self.deflated else data
        except zlib.error as error:
            raise ImageError("photo_damaged", name=self.name, path=str(self.path), reason=reason_of(error)) from error
        except OutsideError as error:
            raise link_error(self.path, self.name) or ImageError("photo_outside", path=self.name) from error
        except FileNotFoundError as error:
            raise link_error(self.path, self.name) or ImageError("image_missing", name=self.name) from error
        except OSError as error:
            raise ImageError("image_unreadable", name=self.name, reason=reason_of(error)) from error


@dataclass(frozen=True)
class PhotoImages:
    """Photos in their files; `images[i]` decodes one: uint8 (height, width, 1 or 3), upright. Thread-safe.

    Attributes:
        keep_alive: an object that must live as long as the photos, such as an unpacked archive.
        known_digests: per photo its digest, as far as computed; shared with the images made from these.
    """

    photos: tuple[StoredImage, ...]
    keep_alive: Any = None
    known_digests: dict[StoredImage, bytes] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Raises ImageError, which names the file, where it cannot be decoded."""
        return self.decode(index)

    def decode(self, index: int, min_side_px: int | None = None) -> NDArray[np.uint8]:
        """Photo `index`; a JPEG can come smaller, with no side below `min_side_px`."""
        return self.decoded(index, min_side_px).pixels

    def decoded(self, index: int, min_side_px: int | None = None) -> "DecodedImage":
        """As `decode`, with what was noted."""
        from muslin.images import DecodedImage, crop_to_box, decode

        photo = self.photos[index]
        if photo.box:
            min_side_px = None  # the box counts the pixels of the full-size photo
        image = decode(photo.content(), name=photo.name, max_bytes=MAX_PHOTO_BYTES, min_side_px=min_side_px)
        if photo.box is None:
            return image
        pixels = crop_to_box(image.pixels, photo.box, photo.name)
        return DecodedImage(pixels, image.notes, pixels.shape[:2])

    def take(self, indices: NDArray[np.integer[Any]]) -> Self:
        return replace(self, photos=tuple(self.photos[int(i)] for i in indices))

    def concat(self, others: Sequence[Any]) -> Self:
        """Raises DataError where the others are not photos in their files."""
        if not all(isinstance(images, PhotoImages) for images in others):
            raise DataError("mixed_images")
        photos = tuple(photo for images in (self, *others) for photo in images.photos)
        keep_alive = [images.keep_alive for images in (self, *others)]
        known_digests = {photo: digest for images in (self, *others) for photo, digest in images.known_digests.items()}
        return replace(self, photos=photos, keep_alive=keep_alive, known_digests=known_digests)

    def digests(self) -> list[bytes]:
        """Per photo the SHA-256 of its file, with its name where that is no image. Each file is read once."""
        for photo in self.photos:
            if photo not in self.known_digests:
                self.known_digests[photo] = _digest(photo)
        return [self.known_digests[photo] for photo in self.photos]


def _digest(photo: StoredImage) -> bytes:
    from muslin.images import SIGNATURES

    content = b""
    with suppress(ImageError):
        content = photo.content()
    if not any(pattern.match(content[:4096]) for _, pattern in SIGNATURES):  # two such files are no copies of a photo
        content = b"unreadable " + photo.name.encode("utf-8", "surrogateescape") + content
    return hashlib.sha256(content + repr(photo.box).encode() if photo.box else content).digest()


class TransformedCache:
    """Transformed photos of one size in a scratch file, up to `max_bytes` or a full disk. Thread-safe."""

    def __init__(self, count: int, size: tuple[int, int, int], max_bytes: int) -> None:
        self._rows: dict[StoredImage, int] = {}
        self._lock = threading.Lock()
        try:
            self._images: ScratchArray | None = ScratchArray(min(count, max_bytes // math.prod(size)), size)
        except StorageError:
            self._images = None

    def get(self, photo: StoredImage) -> NDArray[np.uint8] | None:
        """A new array, or None where the photo is not cached."""
        row = self._rows.get(photo)
        return None if row is None or self._images is None else self._images.read(row, 1)[0]

    def add(self, photo: StoredImage, image: NDArray[np.uint8]) -> None:
        """Cache `image` while there is room."""
        with self._lock:
            row = len(self._rows)
            if self._images is None or row >= self._images.count or photo in self._rows:
                return
            try:
                self._images.write(row, image)
            except StorageError:
                self._images.count = row  # the disk is full: keep what is there
            else:
                self._rows[photo] = row


@dataclass(frozen=True, kw_only=True)
class ResizedPhotos(PhotoImages):
    """Photos in their files, transformed to one size on each access: `images[i]` is uint8 `size`. Thread-safe.

    Memory is the same for any number of photos. For repeated access, `cached` keeps the results on the disk.
    """

    size: tuple[int, int, int]
    transform: str
    cache: TransformedCache | None = None

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Raises ImageError, which names the file, where it cannot be decoded."""
        from muslin.images import decoding_side, transform_decoded

        photo = self.photos[index]
        if self.cache and (cached := self.cache.get(photo)) is not None:
            return cached
        decoded = self.decoded(index, decoding_side(self.transform, self.size))
        image = transform_decoded(decoded, self.transform, self.size)[0]
        if self.cache:
            self.cache.add(photo, image)
        return image

    def check(self, index: int) -> None:
        """Raises ImageError, which names the file, where photo `index` cannot be decoded."""
        self[index]

    def cached(self, max_bytes: int = MAX_CACHE_BYTES) -> "ResizedPhotos":
        """The same images, each decoded only once as far as they fit in `max_bytes` on the disk."""
        return replace(self, cache=TransformedCache(len(self), self.size, max_bytes))


def resize_photos(dataset: Dataset, size: tuple[int, int, int], transform: str | None = None) -> Dataset:
    """`dataset` with each of its photos transformed to `size` on access; nothing is decoded yet.

    Raises:
        DataError: the images are pixels, not photos.
    """
    if not isinstance(dataset.images, PhotoImages):
        raise DataError("photos_required", name=dataset.name)
    name = transform or dataset.transform
    shared = {name: getattr(dataset.images, name) for name in ("photos", "keep_alive", "known_digests")}
    images = ResizedPhotos(**shared, size=size, transform=name)
    return replace(dataset, images=images, transform=name)


def decoding_threads() -> int:
    """Number of threads that decode photos: one a core, at most MAX_THREADS."""
    return min(physical_cores(), MAX_THREADS)


def parallel_map(work: Callable[[int], T], count: int, threads: int | None = None) -> Iterator[T]:
    """`work(0)`, `work(1)`, … as `ordered_map` gives them."""
    return ordered_map(work, range(count), threads)


def ordered_map(
    work: Callable[[S], T], items: Iterable[S], threads: int | None = None, ahead_per_thread: int = 4
) -> Iterator[T]:
    """`work(item)` for each item in order, from threads that stay at most a few results ahead of the consumer.

    Args:
        items: taken one by one, in the consumer's thread.
        threads: by default `decoding_threads()`.
        ahead_per_thread: how many results ahead.
    """
    threads = threads or decoding_threads()
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[T]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > ahead_per_thread * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def pixel_batches(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """All images in order, one or more arrays uint8 (count, height, width, channels).

    Photos come 16 at a time, and the next ones are decoded while the consumer works.
    """
    images = dataset.images
    if not isinstance(images, ResizedPhotos) or not len(dataset):
        yield pixel_array(dataset)
        return
    decoded = parallel_map(lambda i: images[i], len(images))
    while batch := list(islice(decoded, 16)):
        yield np.stack(batch)


def decode_photos(
    dataset: Dataset,
    size: tuple[int, int, int],
    *,
    transform: str | None = None,
    max_unreadable: float = 1.0,
    log: Log = no_log,
) -> Dataset:
    """`dataset` with its photos decoded to uint8 (count, *size); a set of pixels is returned unchanged.

    Photos that cannot be decoded are left out, counted in `fixes` and listed in `unreadable`.

    Args:
        size: (height, width, channels).
        transform: a row of `muslin.images.TRANSFORMS`; by default the data set's own.
        max_unreadable: maximum fraction of unreadable photos.
        log: called with a sentence every thousand photos.

    Raises:
        DataError: a larger fraction of the photos is unreadable, or all are.
    """
    if not isinstance(dataset.images, PhotoImages):
        return dataset
    photos = resize_photos(dataset, size, transform)
    pixels = np.empty((len(photos), *size), dtype=np.uint8)

    def read(index: int) -> None:
        pixels[index] = photos.images[index]

    problems = _problems(read, len(photos), log)
    return exclude_unreadable(replace(photos, images=PixelImages(pixels)), problems, max_unreadable, log)


def readable_photos(dataset: Dataset, *, max_unreadable: float = 1.0, log: Log = no_log) -> Dataset:
    """`dataset`, whose images are ResizedPhotos, without those that cannot be decoded; each is tried once.

    Raises:
        DataError: as `decode_photos`.
    """
    assert isinstance(dataset.images, ResizedPhotos)
    problems = _problems(dataset.images.check, len(dataset), no_log)
    return exclude_unreadable(dataset, problems, max_unreadable, log)


def _problems(read: Callable[[int], object], count: int, log: Log) -> dict[int, Message]:
    """Read photos 0 to `count` - 1 in threads; per index that fails, the reason."""

    def attempt(index: int) -> Message | None:
        try:
            read(index)
        except ImageError as error:
            return error.message
        return None

    problems: dict[int, Message] = {}
    for index, problem in enumerate(parallel_map(attempt, count)):
        if problem:
            problems[index] = problem
        if (index + 1) % 1000 == 0 or (index + 1 == count > 1000):
            log(Message("photos_read", n=index + 1, total=count))
    return problems


def exclude_unreadable(dataset: Dataset, problems: Mapping[int, Message], max_unreadable: float, log: Log) -> Dataset:
    """`dataset` without the photos at the keys of `problems`, which are listed in `unreadable` and counted in `fixes`.

    Args:
        problems: per index of an unreadable photo, the reason.
        max_unreadable: maximum fraction of such photos.
        log: called with a sentence per kind of problem.

    Raises:
        DataError: there are more, or all photos are unreadable.
    """
    if not problems:
        return dataset
    unreadable = {str(dataset.ids[index]): problems[index] for index in sorted(problems)}
    fixes = unreadable_by_kind(unreadable)
    total, fraction = len(dataset), len(problems) / len(dataset)
    for fix in fixes if fraction < 1 or len(fixes) > 1 else ():  # else the error says the same
        log(fix)
    params = {"name": dataset.name, "reason": next(iter(unreadable.values())), **examples(unreadable)}
    if fraction == 1:
        raise DataError("no_readable_photo", **params)
    if fraction > max_unreadable:
        suggestion = math.ceil(100 * fraction) / 100
        limits = {"total": total, "max_unreadable": max_unreadable, "suggestion": suggestion}
        raise DataError("too_many_unreadable", **params, **limits)
    readable = dataset.take(np.setdiff1d(np.arange(total), list(problems)))
    lost = lost_products(dataset, readable)
    for fix in lost:
        log(fix)
    unreadable = {**dataset.unreadable, **unreadable}
    return replace(readable, fixes=(*dataset.fixes, *fixes, *lost), unreadable=unreadable)


def unreadable_by_kind(unreadable: Mapping[str, Message], code: str = "unreadable_excluded") -> list[Message]:
    """A message for each kind of problem.

    Args:
        unreadable: per name of a photo, the reason.
        code: of the messages.
    """
    kinds: dict[str, list[str]] = {}
    for name, reason in unreadable.items():
        kinds.setdefault(reason.code, []).append(name)
    return [Message(code, **examples(names), reason=unreadable[names[0]]) for names in kinds.values()]


def check_any_readable(dataset: Dataset, log: Log) -> None:
    """Decodes photos up to the first readable one.

    Raises:
        DataError: the images are photos, and none of them can be decoded.
    """
    problems: list[Message] = []
    for index in range(len(dataset)) if isinstance(dataset.images, PhotoImages) else ():
        try:
            dataset.images[index]
        except ImageError as error:
            problems.append(error.message)
        else:
            return
    if problems:
        exclude_unreadable(dataset, dict(enumerate(problems)), 1, log)
