"""One pass over the images, which keeps a few numbers, a digest and a thumbnail of each."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Images, PixelImages
from muslin.data.photo_content import PhotoContent, cache_name, read_photo
from muslin.data.photos import PhotoImages, parallel_map
from muslin.errors import ImageError
from muslin.messages import Log, Message, no_log
from muslin.storage.row_cache import RowCache, shrink
from muslin.storage.scratch import ScratchArray

SMALL_PX = 64
"""Images that all have one size, at most this, are compared by their pixels; others by thumbnails."""

THUMBNAIL_PX = 32
"""Height and width of the thumbnail of a photo, whatever its aspect ratio."""

MEASURED_PX = 256
"""Photos are measured at this longest edge, so that sharpness does not depend on the size at which they were saved."""

IN_MEMORY_BYTES = 256_000_000
"""Thumbnails beyond this are kept in a temporary file instead of in memory."""

DIGEST_BYTES = 16

LOG_EVERY = 64
"""Photos, between two calls of `log`."""


@dataclass(frozen=True, eq=False)
class ImageStats:
    """Statistics of `n` images. Rows of images that cannot be decoded are zeros.

    Attributes:
        errors: per index of an image that cannot be decoded, in order, why.
        sizes: int32 (n, 3), height, width and channels as decoded.
        digests: uint8 (n, 16), of size and pixels: equal only for identical images.
        mean: float32 (n,), mean brightness, 0..255.
        std: float32 (n,), standard deviation of the brightness, 0..127.5.
        brightness_p99: float32 (n,), 99th percentile of the brightness, 0..255.
        sharpness: float32 (n,), 99th percentile of the absolute Laplacian over that of the gradient: how steep the
            sharpest edges are, per px of the image scaled to 256 px, whatever its contrast.
        thumbnails: uint8 (n, height, width, channels): the pixels themselves if `full_size`, else 32×32×3.
        full_size: whether all images have one size of at most 64 px.
    """

    errors: dict[int, Message]
    sizes: NDArray[np.int32]
    digests: NDArray[np.uint8]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    brightness_p99: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    thumbnails: NDArray[np.uint8]
    full_size: bool

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def readable(self) -> NDArray[np.int64]:
        """The indices of the images that can be decoded, in order."""
        return np.flatnonzero(self.sizes[:, 0])


def compute_image_stats(images: Images, log: Log = no_log) -> ImageStats:
    """Decode every image once and compute its statistics.

    Statistics of photos, if not small ones of one size, are cached by the content of their files: where all are cached,
    only the first photo is decoded. Photos are decoded by one thread per core, at most 8, and memory holds a few per
    thread. Thumbnails that would take more than 256 MB go to a temporary file. `log` is called every 64 photos.
    """
    if isinstance(images, PixelImages) and max(images.pixels.shape[1:3]) <= SMALL_PX:
        return _stats_of_pixels(images.pixels)
    first = _first_readable(images)
    stats = None
    if first is not None and max(first.shape[:2]) <= SMALL_PX:
        stats = _stats_of_photos(images, first.shape, log)
    stats = stats or _stats_of_photos(images, None, log)
    assert stats is not None
    return stats


def _first_readable(images: Images) -> NDArray[np.uint8] | None:
    for index in range(len(images)):
        try:
            return images[index]
        except ImageError:
            continue
    return None


def _stats_of_pixels(pixels: NDArray[np.uint8]) -> ImageStats:
    stats = _empty_stats(len(pixels), pixels)
    stats.sizes[:] = pixels.shape[1:]
    for start in range(0, len(pixels), 2000):
        block = slice(start, start + 2000)
        _measure(_gray(pixels[block]), stats, block)
        for index in range(start, min(start + 2000, len(pixels))):
            stats.digests[index] = _pixel_digest(pixels[index])
    return stats


def _stats_of_photos(images: Images, size: tuple[int, ...] | None, log: Log) -> ImageStats | None:
    """`size`: the size that all images have; returns None as soon as one has another."""
    shape = size or (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    if len(images) * int(np.prod(shape)) <= IN_MEMORY_BYTES:
        thumbnails = np.zeros((len(images), *shape), dtype=np.uint8)
    else:
        thumbnails = ScratchArray(len(images), shape).memmap()
    stats = _empty_stats(len(images), thumbnails, full_size=size is not None)
    # those of a subclass are transformed
    in_files = images if size is None and type(images) is PhotoImages else None
    cache = _StatsCache(stats) if in_files else None

    def add(index: int) -> bool:
        content = in_files and read_photo(in_files.photos[index].name, in_files.photos[index])
        if cache and content and cache.read(content, index):
            return True
        try:
            # what is cached by a content is decoded from the same bytes, even where the file changes now
            pixels = PhotoImages((content,))[0] if content else images[index]
        except ImageError as error:
            stats.errors[index] = error.message
            return True
        if size is not None and pixels.shape != size:
            return False
        stats.sizes[index] = pixels.shape
        stats.digests[index] = _pixel_digest(pixels)
        stats.thumbnails[index], measured = (pixels, pixels) if size is not None else _thumbnail(pixels)
        _measure(_gray(measured[np.newaxis]), stats, slice(index, index + 1))
        if cache and content:
            cache.add(content, index)
        return True

    try:
        for index, is_same_size in enumerate(parallel_map(add, len(images))):
            if not is_same_size:
                return None
            if index % LOG_EVERY == 0:
                log(Message("audit_decoded", done=index, n=len(images)))
    finally:
        if cache:
            cache.flush()
    return replace(stats, errors=dict(sorted(stats.errors.items())))  # threads add them in any order


class _StatsCache:
    """The cached rows of an ImageStats with thumbnails, by the photos' content. Each thread has rows of its own."""

    def __init__(self, stats: ImageStats) -> None:
        self._rows = RowCache(cache_name("image statistics", stats.thumbnails.shape[1:]))
        arrays = (stats.sizes, stats.digests, stats.mean, stats.std, stats.brightness_p99, stats.sharpness)
        self._arrays = (*arrays, stats.thumbnails)

    def read(self, photo: PhotoContent, index: int) -> bool:
        """Set row `index` of the statistics, if it is cached; whether it is."""
        row = self._rows.get(photo.digest)
        if row is None or len(row) != sum(array[:1].nbytes for array in self._arrays):
            return False
        for array in self._arrays:
            values, row = row[: array[:1].nbytes], row[array[:1].nbytes :]
            array[index] = np.frombuffer(values, array.dtype).reshape(array.shape[1:])
        return True

    def add(self, photo: PhotoContent, index: int) -> None:
        """Cache row `index` of the statistics."""
        self._rows.add(photo.digest, b"".join(array[index].tobytes() for array in self._arrays))

    def flush(self) -> None:
        self._rows.flush()
        shrink()


def _thumbnail(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The thumbnail (32, 32, 3) of a photo, and the gray image on which it is measured, (height, width, 1)."""
    from PIL import Image

    photo = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    scale = MEASURED_PX / max(photo.size)
    # Smooth filters, not BOX: fine stripes would alias with its cells, so that a photo and the same photo at 80 %
    # would be a ninth of the median distance apart instead of a fiftieth.
    if scale < 1:
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        photo = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    thumbnail = photo.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.HAMMING).convert("RGB")
    return np.asarray(thumbnail), np.asarray(photo.convert("L"))[:, :, np.newaxis]


def _empty_stats(count: int, thumbnails: NDArray[np.uint8], full_size: bool = True) -> ImageStats:
    mean, std, brightness, sharpness = (np.zeros(count, dtype=np.float32) for _ in range(4))
    sizes, digests = np.zeros((count, 3), dtype=np.int32), np.zeros((count, DIGEST_BYTES), dtype=np.uint8)
    return ImageStats({}, sizes, digests, mean, std, brightness, sharpness, thumbnails, full_size)


def _pixel_digest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return np.frombuffer(digest.digest()[:DIGEST_BYTES], dtype=np.uint8)


def _gray(block: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness float32 (count, height, width), 0..255: 0.299 red + 0.587 green + 0.114 blue (BT.601)."""
    weights = [1.0] if block.shape[3] == 1 else [0.299, 0.587, 0.114]
    return np.asarray(block.astype(np.float32) @ np.array(weights, dtype=np.float32))


def _measure(gray: NDArray[np.float32], stats: ImageStats, rows: slice) -> None:
    """Set brightness, its deviation and sharpness of a block of images, float32 (count, height, width)."""
    flat = gray.reshape(len(gray), -1)
    stats.mean[rows] = flat.mean(axis=1)
    stats.std[rows] = flat.std(axis=1)
    stats.brightness_p99[rows] = _percentile_99(gray)
    if min(gray.shape[1:]) < 3:
        return
    left, right, above, below = gray[:, 1:-1, :-2], gray[:, 1:-1, 2:], gray[:, :-2, 1:-1], gray[:, 2:, 1:-1]
    laplacian = np.abs(left + right + above + below - 4 * gray[:, 1:-1, 1:-1])
    gradient = np.hypot(right - left, below - above) / 2
    steepest = np.maximum(_percentile_99(gradient), 1e-3)
    stats.sharpness[rows] = _percentile_99(laplacian) / steepest


def _percentile_99(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per image of (count, height, width) the value that 1 % of the others exceed, float32 (count,)."""
    flat = values.reshape(len(values), -1)
    k = flat.shape[1] - 1 - flat.shape[1] // 100
    return np.asarray(np.partition(flat, k, axis=1)[:, k])
