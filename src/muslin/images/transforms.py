"""An image as pixels → what a model takes: size, channels and ink, step by step.

Pixels are uint8 (height, width, channels), from the top left, 1 channel (gray) or 3 (red, green, blue).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from muslin.errors import ImageError, nearest
from muslin.images.decoder import WHITE, Pixels, check_pixels, is_gray, to_array, to_pil

Size = tuple[int, int, int]
"""(height, width, channels) in pixels."""

CLOSE = 0.05
"""How near a colour must be to another to count as the same: 5 % of the distance from black to white."""


@dataclass(frozen=True, eq=False)
class TransformStep:
    """One step of a transform: its name, and the image after it.

    `optional` is whether the model could take the image without it.
    """

    name: str
    pixels: Pixels
    optional: bool = False


class TransformTrace:
    """What happens to an image while it is converted, step by step.

    Args:
        skip: names of steps to leave out, for seeing what difference they make. Others are made as ever.
    """

    def __init__(self, skip: Collection[str] = ()) -> None:
        self.skip = frozenset(skip)
        self.steps: list[TransformStep] = []

    def step(self, name: str, after: Pixels, instead: Callable[[], Pixels] | None = None) -> Pixels:
        """Note a step; `instead` gives the image where it is left out, None where it cannot be."""
        pixels = instead() if instead is not None and name in self.skip else after
        self.steps.append(TransformStep(name, pixels, instead is not None))
        return pixels


def apply_transform(
    pixels: Pixels, transform: str, size: Size, trace: TransformTrace | None = None
) -> tuple[Pixels, str | None]:
    """An image as a model takes it, and a sentence saying what was done to it.

    Args:
        pixels: uint8 (height, width, 1 or 3).
        transform: a row of TRANSFORMS.
        size: what the model takes.
        trace: notes every step, and may leave some out.

    Returns:
        uint8 of shape `size`; the sentence is None where the image was taken as it is: it already had the
        height and the width, and the channels too, or three equal ones where one is wanted.

    Raises:
        ImageError: the pixels are no image, or there is no such transform.
    """
    check_pixels(pixels)
    if transform not in TRANSFORMS:
        raise ImageError(f"No transform is called {transform!r}. {nearest(transform, TRANSFORMS)}")
    return TRANSFORMS[transform](pixels, size, trace)


def fit(pixels: Pixels, size: Size, trace: TransformTrace | None = None) -> tuple[Pixels, str | None]:
    """The whole image, scaled to fit (Lanczos, antialiased) and centred on the colour of its own edge."""
    trace = trace or TransformTrace()
    height, width, channels = size
    picture = _with_channels(pixels, channels)
    if picture.shape != pixels.shape:
        trace.step("gray" if channels == 1 else "colour", picture)
    if picture.shape == size:
        as_it_is = pixels.shape == size or is_gray(pixels)
        return picture, None if as_it_is else f"colour changed to {'gray' if channels == 1 else 'RGB'}"
    scaled = trace.step("scaled", _scaled(picture, size))
    edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    border = np.median(np.concatenate(edges), axis=0).round().astype(np.uint8)
    return trace.step("padded", _centred(scaled, size, border), lambda: _stretched(picture, size)), (
        f"scaled from {_size(pixels)} to {_size(scaled)} and centred on {width}×{height}"
    )


def fashion_mnist(
    pixels: Pixels, size: Size, trace: TransformTrace | None = None
) -> tuple[Pixels, str | None]:
    """A product photo as Fashion-MNIST's authors converted theirs: light on black, gray, 28×28.

    As published (Xiao, Rasul and Vollgraf, arXiv 1708.07747, section 2): trim edges close to the corners'
    colour (within 5 %), scale the longest edge by leaving out rows and columns, sharpen (Gaussian of radius
    and standard deviation 1.0), extend to the full size around the centre, negate, gray. The paper does not
    say with what it extends; here it is the corners' colour, which for their photos is white.

    Subsampling is kept although it wastes most of a photo, because the training images were made so: a network
    trained on them was right more often with it than with a Lanczos filter on garments on a plain white ground
    (77 and 73 % of 500 drawn ones), and less often only on snapshots in cluttered rooms (27 and 32 % of 1,442 of
    the clothing data set), which are no product photos and for which neither is of use.

    Three kinds of images are not dark on light, so the published way would turn them inside out: those that
    were converted before (gray, of the right size) are taken as they are; those that were converted before
    and then enlarged (gray, with black corners) are only scaled; photos on a dark background are not negated.
    A gray image of the right size that has four white corners was not converted before: it is negated only.
    (In each of Fashion-MNIST's 70,000 images at least two corners are 12 or less.)
    """
    trace = trace or TransformTrace()
    height, width, channels = size
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    gray = is_gray(pixels)
    if gray and pixels.shape[:2] == (height, width):
        if (corners < (1 - CLOSE) * WHITE).any():
            return _with_channels(pixels, channels), None
        picture = _with_channels(pixels, channels)
        return trace.step(
            "negated", WHITE - picture, lambda: picture
        ), "negated, since Fashion-MNIST is light on black"
    if gray and (corners <= CLOSE * WHITE).all():
        picture, how = fit(pixels, size, trace)
        return picture, f"already light on black, as Fashion-MNIST is: {how}"
    trimmed = trace.step("trimmed", _trimmed(pixels), lambda: pixels)
    sample = trace.step("subsampled", _subsampled(trimmed, size))
    small = trace.step("sharpened", _sharpened(sample), lambda: sample)
    background = np.median(corners, axis=0)
    picture = trace.step("padded", _centred(small, size, background.round().astype(np.uint8)))
    dark = background.mean() < WHITE / 2
    cut = "" if trimmed.shape == pixels.shape else f"trimmed from {_size(pixels)} to {_size(trimmed)}, "
    steps = (
        f"{cut}subsampled to {_size(small)}, sharpened, "
        f"extended to {width}×{height}, {'not negated (its background is dark)' if dark else 'negated'}, gray"
    )
    if not dark:
        light = picture
        picture = trace.step("negated", WHITE - light, lambda: light)
    in_gray = trace.step("gray", _with_channels(picture, 1))
    return _with_channels(in_gray, channels), (f"converted as Fashion-MNIST's authors did: {steps}")


TRANSFORMS: dict[str, Callable[[Pixels, Size, TransformTrace | None], tuple[Pixels, str | None]]] = {
    "fit": fit,
    "fashion-mnist": fashion_mnist,
}
"""What `Dataset.transform` and a bundle may name."""


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    """1 or 3 channels; gray is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, :1] if is_gray(pixels) else to_array(to_pil(pixels).convert("L"))


def _inside(pixels: Pixels, size: Size) -> tuple[int, int]:
    """The height and width of `pixels` scaled so that the longest edge just fits into `size`."""
    scale = min(size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    return max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))


def _scaled(pixels: Pixels, size: Size) -> Pixels:
    height, width = _inside(pixels, size)
    return to_array(to_pil(pixels).resize((width, height), Image.Resampling.LANCZOS))


def shrink(pixels: Pixels, side_px: int) -> Pixels:
    """The image made smaller, smoothly, so that neither side is longer than `side_px`."""
    return _scaled(pixels, (side_px, side_px, pixels.shape[2]))


def crop_resize(pixels: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """What lies in `box`, (left, top, right, bottom) in px within the image, brought to `size`, (height, width)."""
    # bilinear: half the time of Lanczos, and nobody looks at what is made anew in each epoch
    cut = to_pil(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return to_array(cut).reshape(*size, -1)


def _stretched(pixels: Pixels, size: Size) -> Pixels:
    return to_array(to_pil(pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _subsampled(pixels: Pixels, size: Size) -> Pixels:
    """As ImageMagick's -sample: of each cell of the grid, the pixel in its middle."""
    height, width = _inside(pixels, size)
    rows = ((np.arange(height) + 0.5) * pixels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * pixels.shape[1] / width).astype(int)
    return pixels[np.ix_(rows, columns)]


def _trimmed(pixels: Pixels) -> Pixels:
    """Without the edges close to a corner's colour, as ImageMagick's -trim: each edge has its own corner."""
    rows, columns = _unlike(pixels, pixels[0, 0])
    _, columns_right = _unlike(pixels, pixels[0, -1])
    rows_below, _ = _unlike(pixels, pixels[-1, 0])
    if not (len(rows) and len(columns_right) and len(rows_below)):
        return pixels
    trimmed = pixels[rows[0] : rows_below[-1] + 1, columns[0] : columns_right[-1] + 1]
    return trimmed if trimmed.size else pixels


def _unlike(pixels: Pixels, colour: Pixels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and the columns in which any pixel is not close to `colour`."""
    distance = np.zeros(pixels.shape[:2], dtype=np.uint16)
    for channel, value in enumerate(colour):
        # Far more than close is as good as any; cut off there, three of them fit in 16 bits.
        squares = np.minimum((np.arange(256) - int(value)) ** 2, 20_000).astype(np.uint16)
        distance += squares[pixels[:, :, channel]]
    is_ood = distance > len(colour) * (CLOSE * WHITE) ** 2
    return np.flatnonzero(is_ood.any(axis=1)), np.flatnonzero(is_ood.any(axis=0))


def _sharpened(pixels: Pixels) -> Pixels:
    """As ImageMagick's -sharpen 1x1: minus a 3×3 Gaussian, with twice its sum in the centre."""
    offsets = np.arange(-1, 2)
    gaussian = np.exp(-(offsets[:, np.newaxis] ** 2 + offsets**2) / 2)
    kernel = -gaussian
    kernel[1, 1] = 2 * gaussian.sum()
    kernel /= kernel.sum()
    padded = np.pad(pixels.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width, _ = pixels.shape
    sharp = np.zeros(pixels.shape)
    for y in range(3):
        for x in range(3):
            sharp += kernel[y, x] * padded[y : y + height, x : x + width]
    return np.clip(np.rint(sharp), 0, WHITE).astype(np.uint8)


def _centred(pixels: Pixels, size: Size, colour: Pixels) -> Pixels:
    """`pixels` in the middle of a canvas of `size`'s height and width, filled with `colour`."""
    height, width, channels = pixels.shape
    canvas = np.empty((size[0], size[1], channels), dtype=np.uint8)
    canvas[:] = colour
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"
