"""Checks of single images: unreadable, blank, tiny, blurred, dark, of an odd shape."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, image_finding
from muslin.data.audit.image_stats import ImageStats
from muslin.data.dataset import Dataset

BLANK_STD = 2.0
"""Levels of 255: below the noise of any photo, and above that of JPEG in an even area."""

DARK_LEVEL = 64
"""A quarter of full brightness. In Fashion-MNIST 1 image of 30,000 has nothing brighter, in photos taken by many
people none of 3,781."""

BLURRED_SHARPNESS = 0.75
"""Of 500 photos taken by many people none is below 0.9 as taken. With a Gaussian blur of 3 px at 400 px, which
anyone sees, half are below 0.54 and 90 % below 0.75."""

MIN_SHARPNESS_PX = 64
"""Shorter side from which sharpness means something; in smaller images every edge is a few pixels wide."""

TINY_RATIO = 1 / 4
"""Of the median shorter side: the rest would have to be invented to bring the image to the size of the others."""

ODD_RATIO = 3.0
"""Longer to shorter side, unless the others are like that too: phones take 16:9, hardly anything 3:1."""


def find_unreadable(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """A finding for every image that cannot be decoded, with the error of the decoder."""
    for i, error in stats.errors.items():
        yield image_finding("unreadable", dataset, i, 1.0, exclude=True, error=error)


def find_blank(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """Images whose brightness has a standard deviation below 2 of 255 levels."""
    for i in blank_indices(stats):
        mean, std = float(stats.mean[i]), float(stats.std[i])
        yield image_finding("blank", dataset, i, std, exclude=True, mean=mean, std=std)


def blank_indices(stats: ImageStats) -> NDArray[np.int64]:
    """The indices of the blank images."""
    return stats.readable[stats.std[stats.readable] < BLANK_STD]


def find_tiny(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """Images whose shorter side is below a quarter of the median of the data."""
    shorter = stats.sizes[stats.readable, :2].min(axis=1, initial=2**31 - 1)
    median = float(np.median(shorter)) if len(shorter) else 0.0
    for i in stats.readable[shorter < TINY_RATIO * median]:
        height, width = stats.sizes[i, :2].tolist()
        score = float(min(height, width))
        yield image_finding("tiny", dataset, i, score, width=width, height=height, median=median)


def find_blurred(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """Photos with a sharpness below 0.75; images below 64 px are not checked."""
    if stats.full_size:
        return
    shorter = stats.sizes[:, :2].min(axis=1, initial=2**31 - 1)
    soft = (shorter >= MIN_SHARPNESS_PX) & (stats.sharpness < BLURRED_SHARPNESS) & (stats.std >= BLANK_STD)
    for i in np.flatnonzero(soft).tolist():
        sharpness = float(stats.sharpness[i])
        yield image_finding("blurred", dataset, i, sharpness, sharpness=sharpness, threshold=BLURRED_SHARPNESS)


def find_dark(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """Images of which 99 % of the pixels are darker than 64 of 255; blank ones are found as blank."""
    readable = stats.readable
    dark = (stats.brightness_p99[readable] < DARK_LEVEL) & (stats.std[readable] >= BLANK_STD)
    for i in readable[dark]:
        brightness = float(stats.brightness_p99[i])
        yield image_finding("dark", dataset, i, brightness, brightness=brightness)


def find_odd_shapes(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """Images with an aspect ratio of at least 3, and twice the median of the data."""
    sides = np.sort(stats.sizes[stats.readable, :2], axis=1)
    ratios = sides[:, 1] / np.maximum(sides[:, 0], 1)
    median = float(np.median(ratios)) if len(ratios) else 1.0
    odd = ratios >= max(ODD_RATIO, 2 * median)
    for i, ratio in zip(stats.readable[odd], ratios[odd].tolist(), strict=True):
        height, width = stats.sizes[i, :2].tolist()
        params = {"width": width, "height": height, "ratio": ratio, "median": median}
        yield image_finding("odd_shape", dataset, i, ratio, **params)
