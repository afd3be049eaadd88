"""Which images are decoded in the event loop and which in threads, and that nobody sees a difference."""

import asyncio
import io
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from muslin.images import MAX_PIXELS
from muslin.messages import Message
from muslin.models.bundle import Preprocessing
from muslin.models.photo_reading import ReadImage, read_image
from muslin.server import decoding
from muslin.server.decoding import AT_ONCE_BYTES, Decoder, SentImage

SMALL = Preprocessing(28, 28, 1, "fashion-mnist")


def file_of(size: tuple[int, int], kind: str, colour: int = 90) -> bytes:
    Image.new("L", size, colour).save(file := io.BytesIO(), kind)
    return file.getvalue()


def decoded(images: list[bytes], preprocessing: Preprocessing = SMALL) -> list[ReadImage]:
    async def run() -> list[ReadImage]:
        decoder = Decoder(1, 20_000_000)
        try:
            return await decoder.decode([SentImage("image", image) for image in images], preprocessing)
        finally:
            decoder.close()

    return asyncio.run(run())


@pytest.fixture
def threads_used(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the threads that read pixels."""
    used: set[str] = set()
    original = decoding.transform_decoded

    def noting(*arguments: Any) -> Any:
        used.add(threading.current_thread().name)
        return original(*arguments)

    monkeypatch.setattr(decoding, "transform_decoded", noting)
    return used


@pytest.mark.parametrize(
    ("images", "preprocessing", "thread"),
    [
        ([file_of((40, 40), "PNG")], SMALL, "MainThread"),
        ([file_of((40, 40), "JPEG")] * 2, SMALL, "MainThread"),
        ([file_of((40, 40), "PNG")] * 3, SMALL, "decoder"),
        ([file_of((40, 40), "GIF")], SMALL, "decoder"),
        ([file_of((40, 40), "PNG")], Preprocessing(224, 224, 3, "fit"), "decoder"),
        ([file_of((900, 900), "PNG")], SMALL, "decoder"),
    ],
    ids=["png", "two_jpegs", "three", "gif", "large_network", "small_file_of_many_pixels"],
)
def test_only_little_work_is_done_in_the_event_loop(
    images: list[bytes], preprocessing: Preprocessing, thread: str, threads_used: set[str]
) -> None:
    assert all(len(image) <= AT_ONCE_BYTES for image in images)
    for image, read in zip(images, decoded(images, preprocessing), strict=True):
        expected = read_image("image", image, preprocessing, None)
        assert np.array_equal(read.pixels, expected.pixels)
        assert read.prediction == expected.prediction
    assert threads_used == {thread}


def test_a_small_file_is_refused_for_the_usual_pixels() -> None:
    png = bytearray(file_of((8, 8), "PNG"))
    png[16:24] = (30_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
    error = decoded([bytes(png)])[0].prediction.error
    assert isinstance(error, Message)
    assert (error.code, error.params["max_pixels"]) == ("too_many_pixels", MAX_PIXELS)
