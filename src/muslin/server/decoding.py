"""Bytes that a client sent → pixels as a model takes them, in threads beside the event loop."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from muslin.errors import ImageError
from muslin.images import apply_transform, decode, decoding_side, is_unchanged, transform_decoded
from muslin.models.bundle import Preprocessing
from muslin.models.graph_runner import Pixels
from muslin.models.photo_reading import ReadImage
from muslin.models.prediction import Prediction


class SentImage(NamedTuple):
    """An image of a request: its name, by which errors and results call it, and its file's content."""

    name: str
    content: bytes


class Decoder:
    """Decodes images in threads of its own.

    Args:
        threads: how many.
        max_bytes: size of an image's file.
    """

    def __init__(self, threads: int, max_bytes: int) -> None:
        self._threads, self._max_bytes = ThreadPoolExecutor(threads, "decoder"), max_bytes

    async def decode(self, images: Sequence[SentImage], preprocessing: Preprocessing) -> list[ReadImage]:
        """Each image with its pixels, or with the reason why it cannot be read."""
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(self._threads, self._decode, image, preprocessing) for image in images]
        return await asyncio.gather(*jobs)

    async def transform(self, pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
        """Images of the size that the model takes, uint8 (n, height, width, channels), transformed where needed."""
        if is_unchanged(pixels, preprocessing.transform):
            return pixels
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(self._threads, _transformed, image, preprocessing) for image in pixels]
        return np.stack(await asyncio.gather(*jobs))

    def close(self) -> None:
        """End the threads, once their images are decoded."""
        self._threads.shutdown(wait=False)

    def _decode(self, image: SentImage, preprocessing: Preprocessing) -> ReadImage:
        side = decoding_side(preprocessing.transform, preprocessing.shape)
        try:
            decoded = decode(image.content, name=image.name, max_bytes=self._max_bytes, min_side_px=side)
            pixels, note = transform_decoded(decoded, preprocessing.transform, preprocessing.shape)
        except ImageError as error:
            return ReadImage(Prediction(image.name, {}, error=error.with_params(path=image.name).message))
        return ReadImage(Prediction(image.name, {}, (*decoded.notes, note) if note else decoded.notes), pixels)


def _transformed(image: Pixels, preprocessing: Preprocessing) -> Pixels:
    return apply_transform(image, preprocessing.transform, preprocessing.shape)[0]
