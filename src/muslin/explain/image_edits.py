"""Edits of the image that the network takes, uint8 (height, width, channels): what if it were different?"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from muslin.errors import ExplanationError, unknown

Pixels = NDArray[np.uint8]

IMAGE_EDITS: dict[str, tuple[float, float, float]] = {
    "rotate": (-180.0, 180.0, 0.0),  # degrees, counter-clockwise
    "translate_x": (-1000.0, 1000.0, 0.0),  # px to the right
    "translate_y": (-1000.0, 1000.0, 0.0),  # px down
    "blur": (0.0, 50.0, 0.0),  # standard deviation, px
    "brightness": (-1.0, 1.0, 0.0),  # added; 1 is from black to white
    "contrast": (0.0, 10.0, 1.0),  # factor about the middle gray
    "invert": (0.0, 1.0, 0.0),
}
"""Per edit its minimum and maximum amount, and the amount that changes nothing; made in this order."""


def edit_image(pixels: Pixels, edits: Mapping[str, Any]) -> Pixels:
    """The image with all edits made. What comes in at its edges has the colour of its edge.

    Raises:
        ExplanationError: an unknown edit, or an amount out of its range.
    """
    amounts = {name: neutral for name, (_, _, neutral) in IMAGE_EDITS.items()}
    for name, amount in edits.items():
        if name not in IMAGE_EDITS:
            raise ExplanationError("image_edit_unknown", **unknown(name[:40], IMAGE_EDITS))
        low, high, _ = IMAGE_EDITS[name]
        if not isinstance(amount, bool | int | float) or not low <= amount <= high:
            raise ExplanationError("image_edit_range", edit=name, found=str(amount)[:40], min=low, max=high)
        amounts[name] = float(amount)
    fill, degrees = tuple(edge_colour(pixels).tolist()), amounts["rotate"]
    if degrees:
        bilinear = Image.Resampling.BILINEAR
        pixels = _by_pil(pixels, lambda image: image.rotate(degrees, bilinear, fillcolor=fill))
    inverse = (1, 0, -round(amounts["translate_x"]), 0, 1, -round(amounts["translate_y"]))
    if inverse != (1, 0, 0, 0, 1, 0):
        affine = Image.Transform.AFFINE
        pixels = _by_pil(pixels, lambda image: image.transform(image.size, affine, inverse, fillcolor=fill))
    if amounts["blur"]:
        pixels = gaussian_blur(pixels, amounts["blur"])
    if amounts["brightness"] or amounts["contrast"] != 1:
        values = (pixels / 255 - 0.5) * amounts["contrast"] + 0.5 + amounts["brightness"]
        pixels = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return 255 - pixels if amounts["invert"] else pixels


def edge_colour(pixels: Pixels) -> Pixels:
    """The median colour of an image's outermost pixels: uint8 (channels,)."""
    edges = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    colour: Pixels = np.median(edges, axis=0).round().astype(np.uint8)
    return colour


def gaussian_blur(pixels: Pixels, std_px: float) -> Pixels:
    """Smoothed by a Gaussian of that standard deviation."""
    return _by_pil(pixels, lambda image: image.filter(ImageFilter.GaussianBlur(std_px)))


def _by_pil(pixels: Pixels, edit: Callable[[Image.Image], Image.Image]) -> Pixels:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.array(edit(image), dtype=np.uint8).reshape(pixels.shape)
