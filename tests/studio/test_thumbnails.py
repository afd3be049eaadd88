"""Thumbnails for the review page."""

import io

import numpy as np
import pytest
from PIL import Image

from muslin.errors import ImageError
from muslin.studio.thumbnail_worker import thumbnail_of_file, thumbnail_of_pixels


def jpeg(width: int, height: int, **options: object) -> bytes:
    """Black on the left half, white on the right one."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :] = 255
    Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize(("width", "height"), [(400, 711), (4000, 3000), (3, 900), (224, 224)])
def test_the_longer_edge_is_as_asked(width: int, height: int) -> None:
    image = opened(thumbnail_of_file(jpeg(width, height), 224, "a.jpg"))
    assert max(image.size) == 224
    assert min(image.size) == max(1, round(224 * min(width, height) / max(width, height)))


def test_small_images_keep_every_pixel() -> None:
    pixels = np.arange(28 * 28, dtype=np.uint32).reshape(28, 28, 1).astype(np.uint8)
    image = opened(thumbnail_of_pixels(pixels, 224))
    assert image.size == (28, 28)
    assert np.abs(np.asarray(image).astype(int) - pixels[:, :, 0]).mean() < 5


def test_photos_are_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left half of the file is the upper half of the photo
    image = opened(thumbnail_of_file(jpeg(800, 400, exif=exif), 100, "a.jpg")).convert("L")
    assert image.size == (50, 100)
    assert np.asarray(image)[:40].mean() < 20
    assert np.asarray(image)[60:].mean() > 235


def test_a_box_is_cut_out_before_it_is_made_small() -> None:
    image = opened(thumbnail_of_file(jpeg(4000, 3000), 100, "a.jpg", box=(2000, 0, 4000, 3000))).convert("L")
    assert image.size == (67, 100)
    assert np.asarray(image).min() > 235


@pytest.mark.parametrize("content", [b"<html>", jpeg(400, 400)[:2000], b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError):
        thumbnail_of_file(content, 224, "a.jpg")
