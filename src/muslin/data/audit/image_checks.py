"""What is wrong with single images: unreadable, blank, tiny, blurred, dark, of an odd shape."""

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, samples
from muslin.data.audit.image_stats import ImageStats
from muslin.data.dataset import Dataset

BLANK_SPREAD = 2.0
"""Levels of 255: below the noise of a photo of anything, and above that of JPEG in an even area."""

DARK_LEVEL = 64
"""A quarter of full brightness. In Fashion-MNIST 1 image in 30,000 has nothing brighter, in photos taken by
many people none of 3,781."""

BLURRED_STEEPNESS = 0.75
"""Of 500 photos taken by many people none is below 0.9 as taken; blurred by a Gaussian of 3 px at 400 px, which
anyone sees, half are below 0.54 and nine in ten below 0.75."""

SHARPNESS_FROM_PX = 64
"""Shorter side from which sharpness means something; in smaller images every edge is a few pixels wide."""

TINY_SHARE = 1 / 4
"""Of the usual shorter side: so much would have to be invented to bring the image to the others' size."""

ODD_RATIO = 3.0
"""Longer to shorter side, where the others are not like that too: phones take 16:9, hardly anything 3:1."""

LOOK = "Look at it; leave it out if a person could not tell what it shows."


def unreadable(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """A finding for every image that cannot be decoded, with the decoder's words."""
    advice = "Leave it out, or replace the file."
    return [
        Finding("unreadable", samples(dataset, [i], [i]), 1.0, why, advice)
        for i, why in looked.problems.items()
    ]


def blank(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """Images whose brightness has a standard deviation below 2 of 255 levels."""
    return [
        Finding(
            "blank",
            samples(dataset, [i], [i]),
            float(looked.spread[i]),
            f"Its brightness is {looked.mean[i]:.0f} everywhere, give or take {looked.spread[i]:.1f} of 255 levels",
            "Leave it out.",
        )
        for i in where_blank(looked)
    ]


def where_blank(looked: ImageStats) -> NDArray[np.int64]:
    """The indices of the blank images."""
    return looked.readable[looked.spread[looked.readable] < BLANK_SPREAD]


def tiny(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """Images whose shorter side is below a quarter of what is usual in the data."""
    readable = looked.readable
    shorter = looked.sizes[readable, :2].min(axis=1, initial=2**31 - 1)
    usual = float(np.median(shorter)) if len(readable) else 0.0
    return [
        Finding(
            "tiny",
            samples(dataset, [i]),
            float(side),
            f"{_size(looked, i)} px; the shorter side is usually {usual:.0f} px here",
            LOOK,
        )
        for i, side in zip(readable, shorter, strict=True)
        if side < TINY_SHARE * usual
    ]


def blurred(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """Photos whose sharpest edges are less steep than 0.75; images below 64 px are not judged."""
    if looked.whole:
        return []
    sizes = looked.sizes[:, :2].min(axis=1, initial=2**31 - 1)
    soft = (sizes >= SHARPNESS_FROM_PX) & (looked.sharpness < BLURRED_STEEPNESS)
    soft &= looked.spread >= BLANK_SPREAD
    return [
        Finding(
            "blurred",
            samples(dataset, [i]),
            float(looked.sharpness[i]),
            f"Its sharpest edges have a steepness of {looked.sharpness[i]:.2f}; below {BLURRED_STEEPNESS} anyone "
            "sees that it is out of focus or moved",
            LOOK,
        )
        for i in np.flatnonzero(soft).tolist()
    ]


def dark(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """Images of which 99 % of the pixels are darker than 64 of 255; blank ones are found as blank."""
    readable = looked.readable
    chosen = (looked.brightest[readable] < DARK_LEVEL) & (looked.spread[readable] >= BLANK_SPREAD)
    return [
        Finding(
            "dark",
            samples(dataset, [i]),
            float(looked.brightest[i]),
            f"99 % of its pixels are at most {looked.brightest[i]:.0f} of 255 bright",
            LOOK,
        )
        for i in readable[chosen]
    ]


def odd_shape(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """Images at least three times as long as wide, and twice as much as is usual in the data."""
    readable = looked.readable
    sides = np.sort(looked.sizes[readable, :2], axis=1)
    ratios = sides[:, 1] / np.maximum(sides[:, 0], 1)
    usual = float(np.median(ratios)) if len(readable) else 1.0
    return [
        Finding(
            "odd_shape",
            samples(dataset, [i]),
            float(ratio),
            f"{_size(looked, i)} px: {ratio:.1f} times as long as it is short; usual here is {usual:.1f}",
            "Crop it to the garment, or leave it out.",
        )
        for i, ratio in zip(readable, ratios, strict=True)
        if ratio >= max(ODD_RATIO, 2 * usual)
    ]


def _size(looked: ImageStats, index: int) -> str:
    return f"{looked.sizes[index, 1]:,}×{looked.sizes[index, 0]:,}"
