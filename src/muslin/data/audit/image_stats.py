"""One pass over the images: of each only a few numbers, a digest and a small copy are kept."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Images, PixelImages
from muslin.errors import ImageError
from muslin.storage.scratch import ScratchArray

Log = Callable[[str], None]

SMALL_PX = 64
"""Images that are all of one size, up to this, are compared pixel by pixel; others by a copy of COPY_PX."""

COPY_PX = 32
"""Height and width of the copy that stands for a photo, its shape given up."""

MEASURED_PX = 256
"""Photos are measured at this longest edge, so that sharpness does not depend on how large they were saved."""

IN_MEMORY_BYTES = 256_000_000
"""Small copies beyond this are kept in a temporary file instead of in memory."""

DIGEST_BYTES = 16
THREADS = 2
AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class ImageStats:
    """What one pass over `n` images left behind. Rows of images that cannot be decoded are zeros.

    Attributes:
        problems: per index of an image that cannot be decoded, why.
        sizes: int32 (n, 3), height, width and channels as decoded.
        digests: uint8 (n, 16), of size and pixels: equal only for byte-equal images.
        mean: float32 (n,), mean brightness, 0..255.
        spread: float32 (n,), standard deviation of the brightness, 0..127.5.
        brightest: float32 (n,), the brightness that 1 % of the pixels exceed, 0..255.
        sharpness: float32 (n,), 99th percentile of the Laplacian's size over that of the gradient's: how steep
            the sharpest edges are, per px of the image brought to 256 px, whatever its contrast.
        copies: uint8 (n, height, width, channels): the pixels themselves where `whole`, else copies of 32×32×3.
        whole: whether all images are of one size of at most 64 px.
    """

    problems: dict[int, str]
    sizes: NDArray[np.int32]
    digests: NDArray[np.uint8]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    brightest: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    copies: NDArray[np.uint8]
    whole: bool

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def readable(self) -> NDArray[np.int64]:
        """The indices of the images that can be decoded, in order."""
        return np.flatnonzero(self.sizes[:, 0])


def compute_image_stats(images: Images, log: Log = lambda sentence: None) -> ImageStats:
    """Decode every image once and keep what the checks need of it.

    Photos are asked for from two threads. Memory holds one block of images at a time; small copies that would
    take more than 256 MB go to a temporary file. `tell` is called every 64 photos with how far it is.
    """
    if isinstance(images, PixelImages) and max(images.pixels.shape[1:3]) <= SMALL_PX:
        return _look_at_pixels(images.pixels)
    first = _first_readable(images)
    if first is not None and max(first.shape[:2]) <= SMALL_PX:
        looked = _look_at_photos(images, first.shape, log)
        if looked is not None:
            return looked
    looked = _look_at_photos(images, None, log)
    assert looked is not None
    return looked


def _first_readable(images: Images) -> NDArray[np.uint8] | None:
    for index in range(len(images)):
        try:
            return images[index]
        except ImageError:
            continue
    return None


def _look_at_pixels(pixels: NDArray[np.uint8]) -> ImageStats:
    looked = _empty(len(pixels), pixels)
    looked.sizes[:] = pixels.shape[1:]
    for start in range(0, len(pixels), 2000):
        part = slice(start, start + 2000)
        _measure(_gray(pixels[part]), looked, part)
        for index in range(start, min(start + 2000, len(pixels))):
            looked.digests[index] = _digest(pixels[index])
    return looked


def _look_at_photos(images: Images, frame: tuple[int, ...] | None, log: Log) -> ImageStats | None:
    """`frame`: the size that all images have; None is returned as soon as one has another."""
    shape = frame or (COPY_PX, COPY_PX, 3)
    looked = _empty(len(images), _room(len(images), shape), whole=frame is not None)

    def one(index: int) -> bool:
        try:
            pixels = images[index]
        except ImageError as error:
            looked.problems[index] = str(error)
            return True
        if frame is not None and pixels.shape != frame:
            return False
        looked.sizes[index] = pixels.shape
        looked.digests[index] = _digest(pixels)
        looked.copies[index], measured = (pixels, pixels) if frame is not None else _reduced(pixels)
        _measure(_gray(measured[np.newaxis]), looked, slice(index, index + 1))
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(images), AT_ONCE):
            log(f"looked at {start:,} of {len(images):,} images")
            if not all(pool.map(one, range(start, min(start + AT_ONCE, len(images))))):
                return None
    return looked


def _reduced(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The copy (32, 32, 3) that stands for a photo, and the gray image on which it is measured, (h, w, 1)."""
    from PIL import Image

    photo = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    scale = MEASURED_PX / max(photo.size)
    # Smooth filters, not BOX: fine stripes would beat with its cells, so that a photo and the same photo at 80 %
    # came out a ninth as far apart as two photos usually are, instead of a fiftieth.
    if scale < 1:
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        photo = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    copy = photo.resize((COPY_PX, COPY_PX), Image.Resampling.HAMMING).convert("RGB")
    return np.asarray(copy), np.asarray(photo.convert("L"))[:, :, np.newaxis]


def _empty(count: int, copies: NDArray[np.uint8], whole: bool = True) -> ImageStats:
    def numbers() -> NDArray[np.float32]:
        return np.zeros(count, dtype=np.float32)

    sizes, digests = np.zeros((count, 3), dtype=np.int32), np.zeros((count, DIGEST_BYTES), dtype=np.uint8)
    return ImageStats({}, sizes, digests, numbers(), numbers(), numbers(), numbers(), copies, whole)


def _room(count: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeros (count, *shape), in memory or, where they are many, in a file that vanishes with them."""
    if count * int(np.prod(shape)) <= IN_MEMORY_BYTES:
        return np.zeros((count, *shape), dtype=np.uint8)
    return ScratchArray(count, shape).memmap()


def _digest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return np.frombuffer(digest.digest()[:DIGEST_BYTES], dtype=np.uint8)


def _gray(block: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness float32 (count, height, width), 0..255: 0.299 red + 0.587 green + 0.114 blue (BT.601)."""
    weights = [1.0] if block.shape[3] == 1 else [0.299, 0.587, 0.114]
    gray: NDArray[np.float32] = block.astype(np.float32) @ np.array(weights, dtype=np.float32)
    return gray


def _measure(gray: NDArray[np.float32], looked: ImageStats, where: slice) -> None:
    """Fill in brightness, spread and sharpness of a block, float32 (count, height, width)."""
    flat = gray.reshape(len(gray), -1)
    looked.mean[where] = flat.mean(axis=1)
    looked.spread[where] = flat.std(axis=1)
    looked.brightest[where] = _exceeded_by_1_in_100(gray)
    if min(gray.shape[1:]) < 3:
        return
    left, right, above, below = gray[:, 1:-1, :-2], gray[:, 1:-1, 2:], gray[:, :-2, 1:-1], gray[:, 2:, 1:-1]
    laplacian = np.abs(left + right + above + below - 4 * gray[:, 1:-1, 1:-1])
    gradient = np.hypot(right - left, below - above) / 2
    steepest = np.maximum(_exceeded_by_1_in_100(gradient), 1e-3)
    looked.sharpness[where] = _exceeded_by_1_in_100(laplacian) / steepest


def _exceeded_by_1_in_100(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per row of (count, height, width) the value that 1 % of the others exceed, float32 (count,)."""
    flat = values.reshape(len(values), -1)
    place = flat.shape[1] - 1 - flat.shape[1] // 100
    exceeded: NDArray[np.float32] = np.partition(flat, place, axis=1)[:, place]
    return exceeded
