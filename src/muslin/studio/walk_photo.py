"""How a person's own photo differs from the images that a model knows, once both are as the network takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.images import shrink

CLOSE = 26  # levels of gray, a tenth of 255: how far a pixel may be from the edge's colour to belong to it
SIMILAR_PX = 32  # longest side at which images are compared pixel by pixel
NEAREST = 5
USUAL = (1.0, 99.0)  # percentiles of the known images: 98 % of them lie between

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def background(gray: Floats) -> Floats:
    """The median of the outermost pixels of each image, 0 (black) to 255 (white)."""
    return np.asarray(np.median(_edges(gray), axis=1))


def clutter(gray: Floats) -> Floats:
    """The share of the outermost pixels that are not close to their median, 0 to 1: an even ground has 0."""
    edges = _edges(gray)
    return np.asarray((np.abs(edges - np.median(edges, axis=1, keepdims=True)) > CLOSE).mean(1))


def filled(gray: Floats) -> Floats:
    """The share of all pixels that are not close to the outermost ones, 0 to 1: how much of the image is garment."""
    ground = background(gray)[:, None, None]
    return np.asarray((np.abs(gray - ground) > CLOSE).mean((1, 2)))


def brightness(gray: Floats) -> Floats:
    """The mean of each image, 0 to 255."""
    return np.asarray(gray.mean((1, 2)))


def contrast(gray: Floats) -> Floats:
    """The standard deviation of each image, 0 to 127.5."""
    return np.asarray(gray.std((1, 2)))


METRICS: dict[str, Callable[[Floats], Floats]] = {
    "background": background,
    "clutter": clutter,
    "filled": filled,
    "brightness": brightness,
    "contrast": contrast,
}
"""What is compared; each takes gray images, float64 (n, height, width), and gives float64 (n,)."""


def compare_photo(photo: Pixels, known: Pixels) -> list[dict[str, Any]]:
    """Per metric the photo's value, and the range in which 98 % of the known images lie.

    Args:
        photo: uint8 (height, width, channels).
        known: uint8 (n, height, width, channels), at least one.
    """
    rows = []
    for name, metric in METRICS.items():
        value, values = float(metric(_gray(photo[None]))[0]), metric(_gray(known))
        low, high = map(float, np.percentile(values, USUAL))
        rows.append({"metric": name, "value": value, "low": low, "high": high})
    return rows


def nearest_images(photo: Pixels, known: Pixels, count: int = NEAREST) -> list[int]:
    """The known images with the smallest mean absolute difference to the photo, the nearest first."""
    if not len(known):
        return []
    wanted = _small(photo)
    differences = [float(np.abs(_small(image) - wanted).mean()) for image in known]
    return [int(i) for i in np.argsort(differences, kind="stable")[:count]]


def crop(pixels: Pixels, left: float, top: float, right: float, bottom: float) -> Pixels:
    """The part of an image between these shares of its width and height; at least one pixel."""
    height, width = pixels.shape[:2]
    x, y = min(int(left * width), width - 1), min(int(top * height), height - 1)
    x_end, y_end = max(round(right * width), x + 1), max(round(bottom * height), y + 1)
    return pixels[y:y_end, x:x_end]


def even_ground(pixels: Pixels, tolerance: int) -> Pixels:
    """The image with a white ground: each pixel within `tolerance` levels of the median colour of one side, in every
    channel, becomes white. With 0 nothing changes.
    """
    if not tolerance:
        return pixels
    sides = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    values = pixels.astype(np.int16)
    is_ground = np.zeros(pixels.shape[:2], bool)
    for side in sides:
        is_ground |= np.abs(values - np.median(side, axis=0).astype(np.int16)).max(2) <= tolerance
    return np.where(is_ground[:, :, None], np.uint8(255), pixels)


def _small(pixels: Pixels) -> NDArray[np.int16]:
    side = max(pixels.shape[:2])
    return (shrink(pixels, SIMILAR_PX) if side > SIMILAR_PX else pixels).astype(np.int16)


def _gray(pixels: Pixels) -> Floats:
    """ITU-R BT.601, as everywhere in muslin."""
    if pixels.shape[3] == 1:
        return pixels[:, :, :, 0].astype(np.float64)
    return np.asarray(pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))


def _edges(gray: Floats) -> Floats:
    """The outermost pixels of each image, (n, pixels)."""
    return np.concatenate((gray[:, 0], gray[:, -1], gray[:, :, 0], gray[:, :, -1]), axis=1)
