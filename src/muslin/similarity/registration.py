"""Whether two photos are the same one, changed: cropped, scaled, tilted, mirrored, brighter, saved again.

One photo is laid over the other as well as a change of perspective allows, from coarse to fine; then their details
agree if, and only if, they are of the same shot. Two garments of one kind on one background, which a network finds very
alike, differ in their folds and seams.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from muslin.images.decoder import Pixels, to_pil

SIDES_PX = (24, 48, 96, 160)
"""Sides of the squares that are compared, from coarse to fine."""

BLUR_PX = (8, 8, 6, 4)
"""Radius of the mean that is subtracted on each side: what is left are edges and folds, not light and colour."""

STEPS = (8, 8, 6, 5)
"""Of Gauss and Newton on each side."""

LEAST = (0.4, 0.5, 0.6)
"""Correlations below which the next side is not tried."""

SCALES = (1.0, 1.15, 1 / 1.15)
"""From which the coarsest alignment starts, because a photo can be a part of the other."""

MIN_SIDE_PX = 96
"""Smaller photos have too few details to tell two garments apart."""

MIN_CONTRAST = 2.0
"""Standard deviation of the details, in levels of 0 to 255, below which a photo shows nothing to align."""

MIN_OVERLAP = 0.4

COLOUR_PX = 48

PARTS, UNLIKE_PARTS = 4, 1 / 8
"""Parts of a photo in each direction that are compared alone, and the share of them that can differ, as by a glare."""

AFFINE, PERSPECTIVE = 6, 8
"""Parameters of the change: of the coarsest alignment, and of the finer ones."""

Plane = NDArray[np.floating[Any]]
"""float32."""


@dataclass(frozen=True, eq=False)
class Details:
    """A photo at one size, float32 (side, side): its details, and their slopes to the right and downwards."""

    values: Plane
    right: Plane
    down: Plane


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A photo at each of SIDES_PX, and its colours, float32 (3, COLOUR_PX, COLOUR_PX): red, green and blue."""

    levels: tuple[Details, ...]
    colours: Plane

    def mirrored(self) -> "Pyramid":
        """The same photo, mirrored."""
        levels = tuple(Details(each.values[:, ::-1], -each.right[:, ::-1], each.down[:, ::-1]) for each in self.levels)
        return Pyramid(levels, self.colours[:, :, ::-1])


def pyramid(pixels: Pixels) -> Pyramid | None:
    """What `agreement` compares of a photo; None where it is too small or too plain."""
    if min(pixels.shape[:2]) < MIN_SIDE_PX:
        return None
    photo = to_pil(pixels)
    gray, levels = photo.convert("L"), []
    for side, radius in zip(SIDES_PX, BLUR_PX, strict=True):
        squares = np.asarray(gray.resize((side, side), Image.Resampling.BOX), np.float32)
        values = squares - _mean_around(squares, radius)
        down, right = (np.asarray(slope, np.float32) for slope in np.gradient(values))
        # slopes per unit of a square from -1 to 1
        levels.append(Details(values, (right * side / 2).astype(np.float32), (down * side / 2).astype(np.float32)))
    colours = photo.convert("RGB").resize((COLOUR_PX, COLOUR_PX), Image.Resampling.BOX)
    if levels[-1].values.std() < MIN_CONTRAST:
        return None
    return Pyramid(tuple(levels), np.asarray(colours, np.float32).transpose(2, 0, 1))


def agreement(one: Pyramid, other: Pyramid) -> float:
    """How well two photos agree when one is laid over the other: -1 to 1.

    The lowest of three correlations: of their details, of the details of their parts, and of their colours, each of
    red, green and blue with a brightness and a contrast of its own. Details of the whole photo can be those of the
    background alone, where many garments lie on one blanket.

    Source: Evangelidis and Psarakis, Parametric image alignment using enhanced correlation coefficient maximization,
    IEEE TPAMI 30 (2008).
    """
    starts: list[tuple[float, int, Pyramid, NDArray[np.float64]]] = []
    for candidate in (other, other.mirrored()):
        for scale in SCALES:
            start = np.diag([scale, scale, 1.0])
            found, change = _align(one.levels[0], candidate.levels[0], start, STEPS[0], AFFINE)
            starts.append((found, len(starts), candidate, change))
    best = -1.0
    for found, _, candidate, change in sorted(starts, reverse=True)[:2]:
        for level in range(1, len(SIDES_PX)):
            if found < LEAST[level - 1]:
                break
            found, change = _align(one.levels[level], candidate.levels[level], change, STEPS[level], PERSPECTIVE)
        else:
            colours = _colour_agreement(one.colours, candidate.colours, change)
            parts = _part_agreement(one.levels[-1], candidate.levels[-1], change)
            best = max(best, min(found, colours, parts))
    return best


def _colour_agreement(one: Plane, other: Plane, change: NDArray[np.float64]) -> float:
    """The lowest correlation of red, green and blue."""
    inside, sampler, _ = _overlap(change, COLOUR_PX)
    lowest = 1.0
    for fixed, moved in zip(one, other, strict=True):
        wanted, values = _centred(fixed.ravel()[inside]), _centred(sampler(moved))
        length = float(values @ values) * float(wanted @ wanted)
        lowest = min(lowest, float(values @ wanted) / length**0.5 if length > 0 else -1.0)
    return lowest


def _part_agreement(fixed: Details, moved: Details, change: NDArray[np.float64]) -> float:
    """The correlation of details that all parts of the photo but UNLIKE_PARTS reach, of those that have details."""
    side = fixed.values.shape[0]
    inside, sampler, (x, y, *_) = _overlap(change, side)
    wanted, values = fixed.values.ravel()[inside], sampler(moved.values)
    row, column = (((place + 1) / 2 * PARTS).astype(np.int64) for place in (y, x))
    part = row * PARTS + column
    correlations = []
    for number in range(PARTS**2):
        chosen = part == number
        if chosen.sum() < MIN_OVERLAP * (side / PARTS) ** 2:
            continue
        one, other = _centred(wanted[chosen]), _centred(values[chosen])
        lengths = float(one @ one), float(other @ other)
        if min(lengths) >= MIN_CONTRAST**2 * chosen.sum():
            correlations.append(float(one @ other) / (lengths[0] * lengths[1]) ** 0.5)
    return float(np.quantile(correlations, UNLIKE_PARTS)) if correlations else -1.0


def _mean_around(values: Plane, radius: int) -> Plane:
    """The mean of the square around each value; edges are repeated."""
    width = 2 * radius + 1
    sums = np.pad(np.pad(values, radius, mode="edge"), ((1, 0), (1, 0))).astype(np.float64).cumsum(0).cumsum(1)
    inner = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    return np.asarray(inner / width**2, np.float32)


def _align(
    fixed: Details, moved: Details, change: NDArray[np.float64], steps: int, parameters: int
) -> tuple[float, NDArray[np.float64]]:
    """The best correlation within some steps, and the change of perspective, float64 (3, 3), that gives it."""
    side = fixed.values.shape[0]
    target = fixed.values.ravel()
    best, best_change = -1.0, change
    for step in range(steps + 1):
        inside, sampler, places = _overlap(change, side)
        if len(inside) < MIN_OVERLAP * side**2:
            break
        values, wanted = _centred(sampler(moved.values)), _centred(target[inside])
        lengths = float(values @ values), float(wanted @ wanted)
        if min(lengths) <= 0:
            break
        together = float(values @ wanted)
        correlation = together / (lengths[0] * lengths[1]) ** 0.5
        if correlation > best:
            best, best_change = correlation, change
        if step == steps or correlation < best - 0.1:
            break
        x, y, u, v, weight = places
        right, down = sampler(moved.right) / weight, sampler(moved.down) / weight
        bend = -(right * u + down * v)
        columns = [right * x, right * y, right, down * x, down * y, down, bend * x, bend * y][:parameters]
        slopes = np.stack([_centred(column) for column in columns])
        update = _update(slopes, values, wanted, lengths[0], together)
        change = change.copy()
        change.reshape(-1)[:parameters] += update
        if np.abs(update).max() < 0.1 / side:  # a twentieth of a pixel
            break
    return best, best_change


def _overlap(change: NDArray[np.float64], side: int) -> tuple[NDArray[np.intp], "_Sampler", tuple[Plane, ...]]:
    """Where the moved photo lies over the fixed one: pixels of the fixed one; what reads the moved one there; and of
    each x and y in the fixed one, u and v in the moved one, all from -1 to 1, and the weight of the perspective."""
    middles = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    x, y = (each.ravel() for each in np.meshgrid(middles, middles))
    weight = (change[2, 0] * x + change[2, 1] * y + 1).astype(np.float32)
    weight[np.abs(weight) < 1e-3] = 1e-3
    u = ((change[0, 0] * x + change[0, 1] * y + change[0, 2]) / weight).astype(np.float32)
    v = ((change[1, 0] * x + change[1, 1] * y + change[1, 2]) / weight).astype(np.float32)
    edge = 1 - 1.01 / side  # beyond the middle of the outermost pixels is nothing to interpolate
    inside = np.flatnonzero((np.abs(u) < edge) & (np.abs(v) < edge) & (weight > 0))
    x, y, u, v, weight = (values[inside] for values in (x, y, u, v, weight))
    return inside, _Sampler(u, v, side), (x, y, u, v, weight)


def _update(slopes: Plane, values: Plane, wanted: Plane, length: float, together: float) -> NDArray[np.float64]:
    """The step that raises the correlation most, at most 0.3 in each parameter."""
    square = (slopes @ slopes.T).astype(np.float64)
    square += 1e-4 * np.trace(square) / len(square) * np.eye(len(square))
    to_values, to_wanted = (slopes @ values).astype(np.float64), (slopes @ wanted).astype(np.float64)
    solved = np.linalg.solve(square, np.stack([to_values, to_wanted], axis=1))
    above, below = length - to_values @ solved[:, 0], together - to_wanted @ solved[:, 0]
    scale = above / below if below > 0 else (length / float(wanted @ wanted)) ** 0.5
    update = scale * solved[:, 1] - solved[:, 0]
    return np.asarray(update * min(1.0, 0.3 / max(float(np.abs(update).max()), 1e-12)))


class _Sampler:
    """Reads planes between their pixels, at places from -1 to 1 within them."""

    def __init__(self, u: Plane, v: Plane, side: int) -> None:
        column, row = (u + 1) / 2 * side - 0.5, (v + 1) / 2 * side - 0.5
        left, top = column.astype(np.int32), row.astype(np.int32)
        self._right, self._down = column - left, row - top
        self._first = top * side + left
        self._side = side

    def __call__(self, plane: Plane) -> Plane:
        flat = np.ascontiguousarray(plane).ravel()
        upper = flat[self._first] * (1 - self._right) + flat[self._first + 1] * self._right
        below = self._first + self._side
        lower = flat[below] * (1 - self._right) + flat[below + 1] * self._right
        return np.asarray(upper * (1 - self._down) + lower * self._down, np.float32)


def _centred(values: Plane) -> Plane:
    return np.asarray(values - values.mean())
