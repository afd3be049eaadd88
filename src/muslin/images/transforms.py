"""Transforms of an image to the size and the channels that a model takes, step by step.

Pixels are uint8 (height, width, channels), from the top left, 1 channel (gray) or 3 (red, green, blue).
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from muslin.errors import ImageError, unknown
from muslin.images.decoder import WHITE, DecodedImage, Pixels, check_pixels, is_gray, to_array, to_pil
from muslin.messages import Message

Size = tuple[int, int, int]
"""(height, width, channels) in pixels."""

Transformed = tuple[Pixels, Message | None]
"""An image as a model takes it, and a sentence about what was done to it."""

CLOSE = 0.05
"""Maximum distance of two colours that count as the same: 5 % of the distance from black to white."""


@dataclass(frozen=True, eq=False)
class TransformStep:
    """One step of a transform: its name, the image after it, and whether the step can be skipped."""

    name: str
    pixels: Pixels
    optional: bool = False


class TransformTrace:
    """Records the steps of a transform.

    Args:
        skip: names of steps to skip, which shows their effect; the others are made as usual.
    """

    def __init__(self, skip: Collection[str] = ()) -> None:
        self.skip = frozenset(skip)
        self.steps: list[TransformStep] = []

    def step(self, name: str, after: Pixels, skipped: Callable[[], Pixels] | None = None) -> Pixels:
        """Record a step; `skipped` returns the image without it, None where it cannot be skipped."""
        pixels = skipped() if skipped is not None and name in self.skip else after
        self.steps.append(TransformStep(name, pixels, skipped is not None))
        return pixels


def apply_transform(pixels: Pixels, transform: str, size: Size, trace: TransformTrace | None = None) -> Transformed:
    """An image as a model takes it, and a sentence about what was done to it.

    Args:
        pixels: uint8 (height, width, 1 or 3).
        transform: a row of TRANSFORMS.
        size: what the model takes.
        trace: records every step, and can skip some.

    Returns:
        uint8 of shape `size`; the sentence is None where nothing was done: the image already had the height and the
        width, and the channels too, or three equal ones where one is needed.

    Raises:
        ImageError: the pixels are no image, or there is no such transform.
    """
    check_pixels(pixels)
    return _transformed(DecodedImage(pixels), transform, size, trace)


def _transformed(image: DecodedImage, transform: str, size: Size, trace: TransformTrace | None) -> Transformed:
    if transform not in TRANSFORMS:
        raise ImageError("transform_unknown", **unknown(transform, TRANSFORMS))
    return TRANSFORMS[transform](image, size, trace)


def decoding_side(transform: str, size: Size) -> int | None:
    """The `min_side_px` with which `muslin.images.decode` decodes an image for a transform; None for the whole image.

    `fit` scales an image as a whole, so the JPEG decoder can do a part of that; other transforms use single pixels.
    Every image that a network takes is decoded in this way, so that training, evaluation and prediction agree.
    """
    return 2 * max(size[:2]) if transform == "fit" else None


def transform_decoded(
    decoded: DecodedImage, transform: str, size: Size, trace: TransformTrace | None = None
) -> Transformed:
    """As `apply_transform`, of an image that was decoded with `decoding_side`; the sentence names its full size."""
    if isinstance(decoded.content, np.ndarray):
        check_pixels(decoded.content)
    shape, (height, width) = decoded.shape, decoded.full_size
    pixels, note = _transformed(decoded, transform, size, trace)
    if note and note.params.get("before") and decoded.full_size != shape[:2]:
        note = Message(note.code, **{**note.params, "before": f"{width}×{height}"})
    return pixels, note


def scale_and_pad(decoded: DecodedImage, size: Size, trace: TransformTrace | None = None) -> Transformed:
    """The whole image, scaled to fit (Lanczos, antialiased) and centred on the colour of its own edge."""
    height, width, channels = size
    sent, mode = decoded.image, "L" if channels == 1 else "RGB"
    image = sent if sent.mode == mode else sent.convert(mode)
    if trace and image is not sent:
        trace.step("gray" if channels == 1 else "colour", to_array(image))
    if image.size == (width, height):
        if image is sent or is_gray(decoded.pixels):
            return to_array(image), None
        return to_array(image), Message("channels_changed", mode="gray" if channels == 1 else "RGB")
    scaled = to_array(_resized(image, *_scaled_size(image.height, image.width, size)))
    padded = _centred(scaled, size, _edge_colour(image))
    if trace:
        trace.step("scaled", scaled)
        padded = trace.step("padded", padded, lambda: to_array(_resized(image, height, width)))
    before, after = f"{image.width}×{image.height}", _size_text(scaled)
    return padded, Message("image_fitted", before=before, after=after, size=f"{width}×{height}")


def _edge_colour(image: Image.Image) -> Pixels:
    """The median of the outermost pixels, per channel."""
    pixels = to_array(image)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    middle = len(edges) // 2  # and the one before: their number is even. np.median takes three times as long
    low, high = np.partition(edges, (middle - 1, middle), axis=0)[middle - 1 : middle + 1].astype(np.float64)
    colour: Pixels = ((low + high) / 2).round().astype(np.uint8)
    return colour


def fashion_mnist(decoded: DecodedImage, size: Size, trace: TransformTrace | None = None) -> Transformed:
    """A product photo transformed as Fashion-MNIST's authors did: light on black, gray, 28×28.

    As published (Xiao, Rasul and Vollgraf, arXiv 1708.07747, section 2): trim edges close to the corners'
    colour (within 5 %), scale the longest edge by dropping rows and columns, sharpen (Gaussian of radius
    and standard deviation 1.0), extend to the full size around the centre, invert, gray. The paper does not
    name the colour of the extension; here it is the corners' colour, which is white for their photos.

    Subsampling wastes most of a photo but is kept, because the training images were made so: with it, a network
    trained on them was more accurate than with a Lanczos filter on garments on a plain white ground (77 and 73 % of
    500 synthetic ones), and less accurate only on snapshots in cluttered rooms (27 and 32 % of 1,442 of the clothing
    data set), which are no product photos and for which neither is useful.

    Three kinds of images are not dark on light, so the published steps would invert them: images that were
    transformed before (gray, of the right size) are unchanged; images that were transformed before and then enlarged
    (gray, with black corners) are only scaled; photos on a dark background are not inverted. A gray image of the
    right size with four white corners was not transformed before: it is only inverted.
    (In each of Fashion-MNIST's 70,000 images at least two corners are 12 or less.)
    """
    trace, pixels = trace or TransformTrace(), decoded.pixels
    height, width, channels = size
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    gray = is_gray(pixels)
    if gray and pixels.shape[:2] == (height, width):
        image = _with_channels(pixels, channels)
        if (corners < (1 - CLOSE) * WHITE).any():
            return image, None
        return trace.step("inverted", WHITE - image, lambda: image), Message("image_inverted")
    if gray and (corners <= CLOSE * WHITE).all():
        image, note = scale_and_pad(decoded, size, trace)
        return image, Message("light_image_fitted", **note.params) if note else None
    trimmed = trace.step("trimmed", _trimmed(pixels), lambda: pixels)
    sample = trace.step("subsampled", _subsampled(trimmed, size))
    sharp = trace.step("sharpened", _sharpened(sample), lambda: sample)
    background = np.median(corners, axis=0)
    padded = trace.step("padded", _centred(sharp, size, background.round().astype(np.uint8)))
    dark = background.mean() < WHITE / 2
    inverted = padded if dark else trace.step("inverted", WHITE - padded, lambda: padded)
    in_gray = trace.step("gray", _with_channels(inverted, 1))
    return _with_channels(in_gray, channels), Message(
        "fashion_mnist_dark" if dark else "fashion_mnist_light",
        before=_size_text(pixels),
        trimmed=None if trimmed.shape == pixels.shape else _size_text(trimmed),
        small=_size_text(sharp),
        size=f"{width}×{height}",
    )


TRANSFORMS: dict[str, Callable[[DecodedImage, Size, TransformTrace | None], Transformed]] = {
    "fit": scale_and_pad,
    "fashion-mnist": fashion_mnist,
}
"""Every transform, by its name in `Dataset.transform` and in bundles."""


_NEARLY_WHITE = math.ceil((1 - CLOSE) * WHITE)  # integers below are those below the fraction


def is_unchanged(pixels: Pixels, transform: str) -> bool:
    """Whether a transform surely leaves each of several images of the right size and channels as it is.

    Looked up for all together, where `apply_transform` takes longer for an image than a small network does.

    Args:
        pixels: uint8 (n, height, width, channels).
    """
    if transform == "fit":
        return True
    if transform == "fashion-mnist" and pixels.shape[3] == 1:
        bottom, right = pixels.shape[1] - 1, pixels.shape[2] - 1
        if len(pixels) == 1:  # without NumPy, which takes longer for so few numbers
            others = ((0, right), (bottom, 0), (bottom, right))  # most images are at the first corner
            return pixels.item(0, 0, 0, 0) < _NEARLY_WHITE or any(
                pixels.item(0, row, column, 0) < _NEARLY_WHITE for row, column in others
            )
        corners = pixels[:, :: max(1, bottom), :: max(1, right), 0]
        return bool((corners.min(axis=(1, 2)) < _NEARLY_WHITE).all())
    return False


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    """1 or 3 channels; gray is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, :1] if is_gray(pixels) else to_array(to_pil(pixels).convert("L"))


def _scaled_size(height: int, width: int, size: Size) -> tuple[int, int]:
    """Height and width scaled so that both just fit into `size`."""
    scale = min(size[0] / height, size[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resized(image: Image.Image, height: int, width: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.LANCZOS)


def shrink(pixels: Pixels, side_px: int) -> Pixels:
    """The image scaled (Lanczos) so that its longer side is `side_px`."""
    image = to_pil(pixels)
    return to_array(_resized(image, *_scaled_size(image.height, image.width, (side_px, side_px, pixels.shape[2]))))


def crop_to_box(pixels: Pixels, box: tuple[int, int, int, int], name: str) -> Pixels:
    """The part of an image within `box`, (left, top, right, bottom) in px, which may reach over its edges.

    Args:
        name: in the message of an error.

    Raises:
        ImageError: nothing of the image lies in the box.
    """
    left, top, right, bottom = (max(side, 0) for side in box)
    crop = pixels[top:bottom, left:right]
    if not crop.size:
        height, width = pixels.shape[:2]
        raise ImageError("box_outside", name=name, box=box, width=width, height=height)
    return np.ascontiguousarray(crop)


def crop_resize(pixels: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """The crop `box`, (left, top, right, bottom) in px within the image, resized to `size`, (height, width)."""
    # bilinear: half the time of Lanczos, and nobody looks at crops that are new in each epoch
    crop = to_pil(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return to_array(crop).reshape(*size, -1)


def _subsampled(pixels: Pixels, size: Size) -> Pixels:
    """As ImageMagick's -sample: the middle pixel of each cell of the grid."""
    height, width = _scaled_size(pixels.shape[0], pixels.shape[1], size)
    rows = ((np.arange(height) + 0.5) * pixels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * pixels.shape[1] / width).astype(int)
    return pixels[np.ix_(rows, columns)]


def _trimmed(pixels: Pixels) -> Pixels:
    """Without the edges close to a corner's colour, as ImageMagick's -trim: each edge has its own corner."""
    rows, columns = _rows_and_columns_unlike(pixels, pixels[0, 0])
    _, columns_right = _rows_and_columns_unlike(pixels, pixels[0, -1])
    rows_below, _ = _rows_and_columns_unlike(pixels, pixels[-1, 0])
    if not (len(rows) and len(columns_right) and len(rows_below)):
        return pixels
    trimmed = pixels[rows[0] : rows_below[-1] + 1, columns[0] : columns_right[-1] + 1]
    return trimmed if trimmed.size else pixels


def _rows_and_columns_unlike(pixels: Pixels, colour: Pixels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the rows and of the columns in which any pixel is not close to `colour`."""
    distance = np.zeros(pixels.shape[:2], dtype=np.uint16)
    for channel, value in enumerate(colour):
        # Clipped far above the limit, so that the sum of three channels fits in 16 bits.
        squares = np.minimum((np.arange(256) - int(value)) ** 2, 20_000).astype(np.uint16)
        distance += squares[pixels[:, :, channel]]
    is_unlike = distance > len(colour) * (CLOSE * WHITE) ** 2
    return np.flatnonzero(is_unlike.any(axis=1)), np.flatnonzero(is_unlike.any(axis=0))


def _sharpened(pixels: Pixels) -> Pixels:
    """As ImageMagick's -sharpen 1x1: minus a 3×3 Gaussian, with twice its sum in the centre."""
    offsets = np.arange(-1, 2)
    gaussian = np.exp(-(offsets[:, np.newaxis] ** 2 + offsets**2) / 2)
    kernel = -gaussian
    kernel[1, 1] = 2 * gaussian.sum()
    kernel /= kernel.sum()
    padded = np.pad(pixels.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width, _ = pixels.shape
    sharp: NDArray[np.float64] = sum(
        kernel[y, x] * padded[y : y + height, x : x + width] for y in range(3) for x in range(3)
    )
    return np.clip(np.rint(sharp), 0, WHITE).astype(np.uint8)


def _centred(pixels: Pixels, size: Size, colour: Pixels) -> Pixels:
    """`pixels` in the middle of a canvas of `size`'s height and width, filled with `colour`."""
    height, width, channels = pixels.shape
    canvas = np.empty((size[0], size[1], channels), dtype=np.uint8)
    if channels == 1:
        canvas.fill(colour[0])
    else:  # by whole rows: single colours take a tenth of the time of scaling
        canvas.reshape(size[0], -1)[:] = np.tile(colour, size[1])
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _size_text(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
