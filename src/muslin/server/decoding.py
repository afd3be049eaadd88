"""Bytes that a client sent → pixels as a model takes them, in threads beside the event loop."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from muslin.errors import ImageError
from muslin.images import MAX_PIXELS, DecodedImage, decode, decoding_side, is_unchanged, transform_decoded
from muslin.messages import Message
from muslin.models.bundle import Preprocessing
from muslin.models.graph_runner import Pixels
from muslin.models.photo_reading import ReadImage
from muslin.models.prediction import Prediction
from muslin.server.work_threads import WorkThreads

_TOGETHER_BYTES, _TOGETHER_IMAGES = 2**16, 16
"""Small images that a thread decodes before it reports them: about a millisecond of work."""

AT_ONCE_IMAGES, AT_ONCE_BYTES, AT_ONCE_PIXELS = 2, 2**13, 2**12
"""What is decoded in the event loop: some 50 µs an image, which handing it to a thread and back takes too."""

_AT_ONCE_KINDS = (b"\x89PNG", b"\xff\xd8\xff")
"""How such a file begins. Others can have frames or layers beyond the pixels that their header names."""


class SentImage(NamedTuple):
    """An image of a request: its name, by which errors and results call it, and its file's content or its pixels,
    uint8 (height, width, channels).
    """

    name: str
    content: bytes | Pixels

    @property
    def n_bytes(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.nbytes


class _Request:
    """The images of one request: those that are decoded, and how many are not."""

    __slots__ = ("decoded", "done", "error", "left", "preprocessing")

    def __init__(self, count: int, preprocessing: Preprocessing, done: "asyncio.Future[list[ReadImage]]") -> None:
        self.preprocessing, self.left, self.done = preprocessing, count, done
        self.decoded: list[ReadImage | None] = [None] * count
        self.error: Exception | None = None


class _Job(NamedTuple):
    image: SentImage
    place: int
    request: _Request


class Decoder:
    """Decodes images in threads of its own. Belongs to one event loop.

    Args:
        threads: how many.
        max_bytes: size of an image's file.
    """

    def __init__(self, threads: int, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._threads = WorkThreads("decoder", self._do, self._report, count=threads, weight=_weight)

    async def decode(self, images: Sequence[SentImage], preprocessing: Preprocessing) -> list[ReadImage]:
        """Each image with its pixels, or with the reason why it cannot be read. At least one image."""
        at_once = self._decode_at_once(images, preprocessing)
        if at_once is not None:
            return at_once
        request = _Request(len(images), preprocessing, asyncio.get_running_loop().create_future())
        for place, image in enumerate(images):
            self._threads.add(_Job(image, place, request))
        return await request.done

    def _decode_at_once(self, images: Sequence[SentImage], preprocessing: Preprocessing) -> list[ReadImage] | None:
        """The images if they are few and small, for a model of small images; otherwise None."""
        height, width, _ = preprocessing.shape
        if len(images) > AT_ONCE_IMAGES or height * width > AT_ONCE_PIXELS:
            return None
        if not all(_may_be_small(image.content) for image in images):
            return None
        read = [decode_sent(image, preprocessing, self._max_bytes, AT_ONCE_PIXELS) for image in images]
        return None if any(_is_too_large(image) for image in read) else read

    async def transform(self, pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
        """Images of the size that the model takes, uint8 (n, height, width, channels), transformed where needed."""
        if is_unchanged(pixels, preprocessing.transform):
            return pixels
        read = await self.decode([SentImage("pixels", image) for image in pixels], preprocessing)
        return np.stack([image.pixels for image in read if image.pixels is not None])

    def close(self) -> None:
        """End the threads, once their images are decoded."""
        self._threads.close()

    def _do(self, job: _Job) -> None:
        request = job.request
        if request.done.cancelled():  # its client has gone
            return
        try:
            request.decoded[job.place] = decode_sent(job.image, request.preprocessing, self._max_bytes)
        except Exception as error:  # a fault: the event loop raises it
            request.error = error

    def _report(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            request = job.request
            request.left -= 1
            if request.left or request.done.done():
                continue
            if request.error is not None:
                request.done.set_exception(request.error)
            else:
                request.done.set_result([image for image in request.decoded if image is not None])


def decode_sent(
    image: SentImage, preprocessing: Preprocessing, max_bytes: int, max_pixels: int = MAX_PIXELS
) -> ReadImage:
    """An image with its pixels, or with the reason why it cannot be read."""
    transform, shape = preprocessing.transform, preprocessing.shape
    try:
        if isinstance(image.content, bytes):
            side = decoding_side(transform, shape)
            decoded = decode(
                image.content, name=image.name, max_pixels=max_pixels, max_bytes=max_bytes, min_side_px=side
            )
        else:
            decoded = DecodedImage(image.content, (), image.content.shape[:2])
        if decoded.shape == shape and is_unchanged(decoded.pixels[np.newaxis], transform):
            pixels, note = decoded.pixels, None
        else:
            pixels, note = transform_decoded(decoded, transform, shape)
    except ImageError as error:
        return ReadImage(Prediction(image.name, {}, error=error.with_params(path=image.name).message))
    return ReadImage(Prediction(image.name, {}, (*decoded.notes, note) if note else decoded.notes), pixels)


def _may_be_small(content: bytes | Pixels) -> bool:
    return isinstance(content, bytes) and len(content) <= AT_ONCE_BYTES and content.startswith(_AT_ONCE_KINDS)


def _is_too_large(image: ReadImage) -> bool:
    """Whether an image has more pixels than allowed, of which none was decoded."""
    error = image.prediction.error
    return isinstance(error, Message) and error.code == "too_many_pixels"


def _weight(job: _Job) -> float:
    return 1 / _TOGETHER_IMAGES + job.image.n_bytes / _TOGETHER_BYTES
