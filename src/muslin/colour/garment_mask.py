"""Which pixels of a photo show the garment, without a network: the colours of the middle against those of the rim.

Two histograms of colours, one of the garment and one of its background, begin as the middle and the rim of the photo.
Each pixel then goes to the histogram in which its colour and those around it are more frequent, and both are made
again from that, a few times. Works where the garment lies about in the middle and has other colours than what it lies
on; `GarmentMask.overlap` says how far that is so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BIN = 7.0
"""Side of a bin of the histograms, in units of CIELAB: a just visible difference is about 2."""

LOWEST = np.array([0.0, -90.0, -100.0], np.float32)
BINS = (16, 30, 31)
"""Of L*, a* and b*, from LOWEST on; what lies outside is counted in the outer bins."""

ROUNDS = 5
"""How often the histograms are made; the assignment changes little after four."""

RIM = 0.93
"""Beyond this share of the way from the middle to the rim, a pixel is taken for background at first."""

RIM_PROBABILITY = 0.02
MIDDLE_RADIUS = 0.72
"""Where a pixel is as likely garment as background at first, in half sides of the photo."""

SMOOTHING_PX = 2
"""Pixels on each side whose evidence is averaged."""

RARE = 1e-5
"""Added to each frequency, so that a colour which one histogram lacks decides, but not without limit."""


@dataclass(frozen=True, eq=False)
class GarmentMask:
    """Where the garment is.

    Attributes:
        probability: float32 (height, width), from 0 for background to 1 for garment.
        overlap: from 0 to 1, how much of their colours garment and background share (the Bhattacharyya coefficient of
            the two histograms); 0 where they share none.
    """

    probability: Floats
    overlap: float


def garment_mask(lab: Floats) -> GarmentMask:
    """Separate the garment from its background.

    Args:
        lab: float32 (height, width, 3), CIELAB, at about 100 pixels a side: details are not needed.
    """
    prior = _place_prior(*lab.shape[:2])
    prior_odds = np.log(prior / (1 - prior))
    bins = tuple(np.clip((lab - LOWEST) / BIN, 0, np.array(BINS) - 1).astype(np.intp).transpose(2, 0, 1))
    flat = np.ravel_multi_index(bins, BINS)
    probability = prior
    for _ in range(ROUNDS):
        garment, background = _frequencies(flat, probability), _frequencies(flat, 1 - probability)
        evidence = np.log(garment[bins] + RARE) - np.log(background[bins] + RARE)
        odds = np.clip(_box_mean(evidence, SMOOTHING_PX) + prior_odds, -20, 20)
        probability = (1 / (1 + np.exp(-odds))).astype(np.float32)
    overlap = float(np.sqrt(_frequencies(flat, probability) * _frequencies(flat, 1 - probability)).sum())
    return GarmentMask(probability, min(overlap, 1.0))


def _place_prior(height: int, width: int) -> Floats:
    """The probability of garment by the place alone: high in an upright ellipse around the middle, low at the rim."""
    y = (np.arange(height, dtype=np.float32)[:, np.newaxis] + 0.5) / height * 2 - 1
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    radius = np.sqrt(x**2 + (0.85 * y) ** 2)
    prior = np.clip(1 / (1 + np.exp((radius - MIDDLE_RADIUS) * 6)), RIM_PROBABILITY, 0.95)
    return np.where(np.maximum(np.abs(x), np.abs(y)) > RIM, RIM_PROBABILITY, prior).astype(np.float32)


def _frequencies(flat: NDArray[np.intp], weights: Floats) -> Floats:
    """The weighted frequency of each bin, smoothed over its neighbours; they sum to at most 1."""
    counts = np.bincount(flat.ravel(), weights.ravel(), minlength=int(np.prod(BINS))).reshape(BINS)
    for axis in range(3):
        padded = np.moveaxis(np.pad(counts, [(1, 1) if each == axis else (0, 0) for each in range(3)]), axis, 0)
        counts = np.moveaxis(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], 0, axis)
    return (counts / max(float(weights.sum()), 1e-6)).astype(np.float32)


def _box_mean(values: Floats, radius: int) -> Floats:
    """The mean over a square of 2 × `radius` + 1 pixels, of those that lie within the image."""
    for axis in (0, 1):
        n = values.shape[axis]
        sums = np.cumsum(np.insert(values, 0, 0, axis=axis), axis=axis)
        first, last = np.clip(np.arange(n) - radius, 0, n), np.clip(np.arange(n) + radius + 1, 0, n)
        counts = (last - first).reshape([-1 if each == axis else 1 for each in (0, 1)])
        values = (sums.take(last, axis) - sums.take(first, axis)) / counts
    return values
