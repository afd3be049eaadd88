"""The main colours of the garment in a photo, or of a product in several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muslin.colour.cielab import srgb_to_lab
from muslin.colour.garment_mask import garment_mask
from muslin.colour.named_colours import NamedColours
from muslin.images import shrink

DETAIL_PX = 192
"""Longer side at which colours are named: stripes and small prints stay apart."""

CERTAIN = 0.95
"""Probability of the garment from which on a pixel counts."""

MIN_CERTAIN = 0.005
"""Share of the photo below which the pixels that are rather garment than background count instead."""

MIN_SHARE = 0.15
"""Of the garment, from which on a colour is one of its main colours."""

MAX_COLOURS = 3

WHITE_PERCENTILE, WHITE_LIGHTNESS, MAX_GAIN = 98, 97, 1.15
"""A photo whose brightest pixels are darker than white is brightened, by at most 15 %: indoors, white cloth is often
photographed as gray. A larger gain makes gray cloth white."""

UNCLEAR_OVERLAP = 0.75
"""Of the colours of garment and background, from which on the result is doubtful: of 90 photos apart from those of
`benchmarks/colour.py`, 78 % of the fifth above it had the correct main colour, and 89 % of the others."""


@dataclass(frozen=True)
class MainColours:
    """The colours of a garment.

    Attributes:
        names: the main colours, the largest first: at least one, at most MAX_COLOURS.
        shares: of the garment's pixels, from 0 to 1, in the same order.
        is_unclear: whether garment and background share so many colours that the result is doubtful.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    is_unclear: bool


def colour_shares(image: NDArray[np.uint8], colours: NamedColours) -> tuple[NDArray[np.float64], bool]:
    """The share of each named colour in the garment, and whether the result is doubtful.

    Args:
        image: uint8 (height, width, 1 or 3), any size.

    Returns:
        float64 (names,), which sums to 1; and whether garment and background share many of their colours.
    """
    rgb = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    if max(rgb.shape[:2]) > DETAIL_PX:
        rgb = shrink(rgb, DETAIL_PX)
    lab = srgb_to_lab(rgb)
    mask = garment_mask(srgb_to_lab(_halved(rgb)))
    rows, columns = (
        np.minimum(np.arange(n) // 2, m - 1) for n, m in zip(lab.shape, mask.probability.shape, strict=False)
    )
    probability = mask.probability[np.ix_(rows, columns)]
    is_garment = probability >= CERTAIN
    if is_garment.mean() < MIN_CERTAIN:
        is_garment = probability >= min(0.5, float(probability.max()))
    gain = np.clip(WHITE_LIGHTNESS / np.percentile(lab[..., 0], WHITE_PERCENTILE).clip(1), 1, MAX_GAIN)
    found = np.bincount(colours.nearest(lab[is_garment] * np.float32(gain)), minlength=len(colours.names))
    return found / found.sum(), mask.overlap >= UNCLEAR_OVERLAP


def product_colours(photos: Sequence[tuple[NDArray[np.float64], bool]], colours: NamedColours) -> MainColours:
    """The main colours of a product, from those of its photos: the mean of their shares.

    Args:
        photos: as `colour_shares` gives them, at least one. Unclear photos count only where all are.
    """
    clear = [shares for shares, is_unclear in photos if not is_unclear]
    shares = np.mean(clear or [each for each, _ in photos], axis=0)
    order = [int(i) for i in np.argsort(-shares, kind="stable")[:MAX_COLOURS]]
    main = [i for i in order if shares[i] >= MIN_SHARE] or order[:1]
    return MainColours(tuple(colours.names[i] for i in main), tuple(float(shares[i]) for i in main), not clear)


def _halved(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean of each two by two pixels; of the last row or column where their number is odd, of two."""
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(np.uint16)
    sums = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    return ((sums + 2) // 4).astype(np.uint8)
