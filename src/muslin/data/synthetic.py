"""Synthetic garments with known labels, label errors and duplicates: data for tests, documents and tours.

Image i of a seed is the same for any count. A shirt can be nearly as long as a dress, and a dress nearly as short as a
shirt, so that a good classifier has an accuracy of 95 %, not 100 %.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.errors import DataError

Polygon = list[tuple[float, float]]
Outline = list[Polygon]
"""Polygons in a square from (0, 0) at the top left to (1, 1); those after the first are drawn over it."""

SUPERSAMPLING = 4
"""Factor by which outlines are drawn larger and then reduced, which makes their edges soft."""


@dataclass(frozen=True, eq=False)
class SyntheticDataset:
    """Synthetic garments and their ground truth.

    Attributes:
        dataset: gray (light on black) or colour (on white) images of one size, with the target `label`.
        true_labels: int64 (count,), the class that was drawn.
        mislabelled: int64 (k,), indices of the images whose label in the data set is not the true one.
        duplicates: int64 (k, 2), index pairs (original, copy) of equal images.
    """

    dataset: Dataset
    true_labels: NDArray[np.int64]
    mislabelled: NDArray[np.int64]
    duplicates: NDArray[np.int64]


def make_garments(
    count: int, *, seed: int, size_px: int = 28, colour: bool = False, label_noise: float = 0.0, duplicates: int = 0
) -> SyntheticDataset:
    """`count` garments, with the classes CLASSES in turn.

    Args:
        count: number of images, including duplicates.
        seed: any whole number from 0.
        size_px: height and width.
        colour: 3 channels on a white ground, instead of 1 channel on a black one as in Fashion-MNIST.
        label_noise: fraction of the images (0 to 1) with the label of another class.
        duplicates: number of images that are copies of an earlier one, with its true label; never mislabelled.

    Raises:
        DataError: a number is out of its range.
    """
    error_count = round(count * label_noise)
    if count < 1 or size_px < 8 or seed < 0 or not 0 <= label_noise <= 1 or duplicates < 0:
        raise DataError("synthetic_settings")
    if error_count + 2 * duplicates > count:
        raise DataError("synthetic_count", found=count, errors=error_count, duplicates=duplicates)
    true_labels = np.arange(count) % len(CLASSES)
    pixels = np.empty((count, size_px, size_px, 3 if colour else 1), dtype=np.uint8)
    for i in range(count):
        pixels[i] = _draw_garment(np.random.default_rng((seed, i)), int(true_labels[i]), size_px, colour)

    chance = np.random.default_rng((seed, 0, 0))  # not the seed of any image
    chosen = chance.permutation(count)[: error_count + 2 * duplicates]
    mislabelled = np.sort(chosen[:error_count])
    pairs = np.sort(chosen[error_count:].reshape(duplicates, 2), axis=1)
    pixels[pairs[:, 1]] = pixels[pairs[:, 0]]
    true_labels[pairs[:, 1]] = true_labels[pairs[:, 0]]
    labels = true_labels.copy()
    labels[mislabelled] = (labels[mislabelled] + chance.integers(1, len(CLASSES), error_count)) % len(CLASSES)

    dataset = Dataset(
        name="synthetic",
        format="synthetic",
        images=PixelImages(pixels),
        targets=(Target("label", CLASSES),),
        labels={"label": labels},
        ids=np.array([str(i) for i in range(count)], dtype=object),
        origin=f"{count:,} synthetic garments of seed {seed}",
    )
    return SyntheticDataset(dataset, true_labels, mislabelled, pairs)


def _draw_garment(random: np.random.Generator, label: int, size_px: int, colour: bool) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    cloth, holes = OUTLINES[CLASSES[label]](random)
    place = _placement(random, size_px * SUPERSAMPLING)
    mask = Image.new("L", (size_px * SUPERSAMPLING, size_px * SUPERSAMPLING), 0)
    pen = ImageDraw.Draw(mask)
    for polygon in cloth:
        pen.polygon(place(polygon), fill=255)
    for polygon in holes:
        pen.polygon(place(polygon), fill=0)
    cover = np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32)[:, :, np.newaxis] / 255

    ground, fabric = (255.0, random.uniform(20, 200, 3)) if colour else (0.0, random.uniform(70, 235, 1))
    image = ground + cover * (fabric * _weave(random, size_px) - ground)
    image += 6 * random.standard_normal(image.shape, dtype=np.float32) * (cover > 0)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _placement(random: np.random.Generator, size: int) -> Callable[[Polygon], Polygon]:
    """A random rotation, scaling and translation from the unit square to pixels of a square of `size`."""
    angle = random.normal(0, 0.06)
    cosine, sine = math.cos(angle), math.sin(angle)
    width, height = random.uniform(0.78, 1.0), random.uniform(0.78, 1.0)
    right, down = 0.5 + random.uniform(-0.06, 0.06), 0.5 + random.uniform(-0.06, 0.06)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x, y = (point[0] - 0.5) * width, (point[1] - 0.5) * height
        return (right + x * cosine - y * sine) * size, (down + x * sine + y * cosine) * size

    return lambda polygon: list(map(place, polygon))


def _weave(random: np.random.Generator, size_px: int) -> NDArray[np.float32]:
    """Factors around 1, (size_px, size_px, 1): a gradient from top to bottom, stripes on one garment in three."""
    down = np.arange(size_px) / (size_px - 1)
    shade = 1 + random.normal(0, 0.12) * (down - 0.5)[:, np.newaxis] + np.zeros((size_px, size_px))
    if random.random() < 1 / 3:
        stripes = 1 - random.uniform(0.2, 0.5) * (np.sin(down * random.uniform(15, 60)) > 0)
        shade = shade * (stripes[:, np.newaxis] if random.random() < 0.5 else stripes)
    return shade[:, :, np.newaxis].astype(np.float32)


def _symmetric(*right: tuple[float, float]) -> Polygon:
    """The polygon whose right half has corners at these distances from the middle and these heights."""
    return [(0.5 + x, y) for x, y in right] + [(0.5 - x, y) for x, y in reversed(right)]


def _top(
    random: np.random.Generator, hem: tuple[float, float], flare: tuple[float, float], sleeve: tuple[float, float]
) -> tuple[Outline, Outline]:
    """A shirt or a dress; `hem` and `sleeve` are ranges, `flare` a mean and a standard deviation."""
    bottom, widening, length = random.uniform(*hem), random.normal(*flare), random.uniform(*sleeve)
    shoulder, waist, neck = random.uniform(0.2, 0.26), random.uniform(0.13, 0.2), random.uniform(0.06, 0.12)
    top = 0.05
    body = _symmetric((shoulder, top), (waist + 0.03, 0.4), (waist + widening, bottom))
    reach, width = 0.24 * min(1.0, length / 0.3), 0.13
    sleeves = [
        [
            (0.5 + side * shoulder * 0.9, top),
            (0.5 + side * (shoulder + reach), top + length),
            (0.5 + side * (shoulder + reach - width), top + length + 0.05),
            (0.5 + side * waist, top + 0.3),
        ]
        for side in (-1, 1)
    ]
    collar = [(0.5 - neck, top - 0.02), (0.5 + neck, top - 0.02), (0.5, top + random.uniform(0.04, 0.16))]
    return [body, *sleeves], [collar]


def _trouser(random: np.random.Generator) -> tuple[Outline, Outline]:
    waist, leg, hem = random.uniform(0.14, 0.2), random.uniform(0.1, 0.15), random.uniform(0.6, 0.98)
    foot = waist + random.uniform(0.0, 0.08)
    leg_points = [(0.0, 0.03), (waist, 0.03), (foot, hem), (foot - leg, hem), (0.0, 0.3)]
    return [[(0.5 + side * x, y) for x, y in leg_points] for side in (-1, 1)], []


def _bag(random: np.random.Generator) -> tuple[Outline, Outline]:
    half, top, bottom = random.uniform(0.28, 0.46), random.uniform(0.3, 0.5), random.uniform(0.75, 0.95)
    slant, grip = random.normal(0, 0.04), random.uniform(0.1, 0.24)
    body = [(0.5 - half + slant, top), (0.5 + half - slant, top), (0.5 + half, bottom), (0.5 - half, bottom)]
    handle = _symmetric((grip, top), (grip * 0.7, random.uniform(0.05, 0.25)))
    # The hole inside the handle must not cut into the body, so it ends where the body begins.
    return [body, handle], [[(0.5 + (x - 0.5) * 0.7, min(y + 0.05, top)) for x, y in handle]]


def _shoe(random: np.random.Generator) -> tuple[Outline, Outline]:
    sole, ankle, collar = random.uniform(0.7, 0.8), random.uniform(0.25, 0.55), random.uniform(0.28, 0.45)
    toe = random.uniform(0.52, 0.64)
    upper = [(0.06, ankle), (collar, ankle), (collar + 0.1, toe - 0.06), (0.8, toe)]
    shoe = [*upper, (0.96, sole - 0.04), (0.96, sole), (0.06, sole)]
    return [[(1 - x, y) for x, y in shoe] if random.random() < 0.5 else shoe], []


OUTLINES: dict[str, Callable[[np.random.Generator], tuple[Outline, Outline]]] = {
    "bag": _bag,
    "dress": partial(_top, hem=(0.82, 1.0), flare=(0.1, 0.05), sleeve=(0.0, 0.35)),
    "shirt": partial(_top, hem=(0.66, 0.92), flare=(0.0, 0.02), sleeve=(0.12, 0.6)),
    "shoe": _shoe,
    "trouser": _trouser,
}
"""Per class, a function that returns its outline and the holes in it."""

CLASSES = tuple(OUTLINES)
