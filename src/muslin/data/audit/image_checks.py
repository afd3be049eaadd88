"""Checks of single images: unreadable, blank, tiny, blurred, dark, of an odd shape."""

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, samples
from muslin.data.audit.image_stats import ImageStats
from muslin.data.dataset import Dataset
from muslin.messages import Message

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


def find_unreadable(dataset: Dataset, stats: ImageStats) -> list[Finding]:
    """A finding for every image that cannot be decoded, with the error of the decoder."""
    return [
        Finding("unreadable", samples(dataset, [i], [i]), 1.0, Message("finding_unreadable", error=error))
        for i, error in stats.errors.items()
    ]


def find_blank(dataset: Dataset, stats: ImageStats) -> list[Finding]:
    """Images whose brightness has a standard deviation below 2 of 255 levels."""
    findings = []
    for i in blank_indices(stats):
        mean, std = float(stats.mean[i]), float(stats.std[i])
        message = Message("finding_blank", mean=mean, std=std)
        findings.append(Finding("blank", samples(dataset, [i], [i]), std, message))
    return findings


def blank_indices(stats: ImageStats) -> NDArray[np.int64]:
    """The indices of the blank images."""
    return stats.readable[stats.std[stats.readable] < BLANK_STD]


def find_tiny(dataset: Dataset, stats: ImageStats) -> list[Finding]:
    """Images whose shorter side is below a quarter of the median of the data."""
    shorter = stats.sizes[stats.readable, :2].min(axis=1, initial=2**31 - 1)
    median = float(np.median(shorter)) if len(shorter) else 0.0
    findings = []
    for i in stats.readable[shorter < TINY_RATIO * median]:
        height, width = stats.sizes[i, :2].tolist()
        message = Message("finding_tiny", width=width, height=height, median=median)
        findings.append(Finding("tiny", samples(dataset, [i]), float(min(height, width)), message))
    return findings


def find_blurred(dataset: Dataset, stats: ImageStats) -> list[Finding]:
    """Photos with a sharpness below 0.75; images below 64 px are not checked."""
    if stats.full_size:
        return []
    shorter = stats.sizes[:, :2].min(axis=1, initial=2**31 - 1)
    soft = (shorter >= MIN_SHARPNESS_PX) & (stats.sharpness < BLURRED_SHARPNESS) & (stats.std >= BLANK_STD)
    findings = []
    for i in np.flatnonzero(soft).tolist():
        sharpness = float(stats.sharpness[i])
        message = Message("finding_blurred", sharpness=sharpness, threshold=BLURRED_SHARPNESS)
        findings.append(Finding("blurred", samples(dataset, [i]), sharpness, message))
    return findings


def find_dark(dataset: Dataset, stats: ImageStats) -> list[Finding]:
    """Images of which 99 % of the pixels are darker than 64 of 255; blank ones are found as blank."""
    readable = stats.readable
    dark = (stats.brightness_p99[readable] < DARK_LEVEL) & (stats.std[readable] >= BLANK_STD)
    findings = []
    for i in readable[dark]:
        brightness = float(stats.brightness_p99[i])
        message = Message("finding_dark", brightness=brightness)
        findings.append(Finding("dark", samples(dataset, [i]), brightness, message))
    return findings


def find_odd_shapes(dataset: Dataset, stats: ImageStats) -> list[Finding]:
    """Images with an aspect ratio of at least 3, and twice the median of the data."""
    sides = np.sort(stats.sizes[stats.readable, :2], axis=1)
    ratios = sides[:, 1] / np.maximum(sides[:, 0], 1)
    median = float(np.median(ratios)) if len(ratios) else 1.0
    odd = ratios >= max(ODD_RATIO, 2 * median)
    findings = []
    for i, ratio in zip(stats.readable[odd], ratios[odd].tolist(), strict=True):
        height, width = stats.sizes[i, :2].tolist()
        message = Message("finding_odd_shape", width=width, height=height, ratio=ratio, median=median)
        findings.append(Finding("odd_shape", samples(dataset, [i]), ratio, message))
    return findings
