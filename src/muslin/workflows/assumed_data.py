"""Data that stand for those of a person who has named none: a few images, and how many they stand for."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from muslin.data.dataset import Dataset
from muslin.data.synthetic import make_garments

DRAWN_IMAGES, TRIAL_IMAGES = 500, 25_200
"""Images of the pixel set: those that are drawn, and how often they are repeated for enough steps of a trial."""

PHOTOS, CLASSES = 40, 10
PHOTO_SHAPE = (533, 400, 3)
"""Half of the photos of clothing-small have this size."""


@dataclass(frozen=True, eq=False)
class AssumedData:
    """A few synthetic images, the public data set that they resemble, and the number of images in its parts."""

    dataset: Dataset
    like: str
    counts: Mapping[str, int]


@contextmanager
def assumed_data() -> Iterator[tuple[AssumedData, AssumedData]]:
    """Images as in Fashion-MNIST, and photos as in clothing-small, in files for as long as the context lasts."""
    from muslin.data import read

    with tempfile.TemporaryDirectory(prefix="muslin-") as folder:
        _write_photos(Path(folder))
        drawn = make_garments(DRAWN_IMAGES, seed=0).dataset
        images = drawn.take(np.resize(np.arange(len(drawn)), TRIAL_IMAGES))
        parts = np.where(np.arange(TRIAL_IMAGES) % 7 == 6, "test", "train")
        images = replace(images, parts=parts)
        yield (
            AssumedData(images, "fashion-mnist", {"train": 50_000, "validation": 10_000, "test": 10_000}),
            AssumedData(read(folder), "clothing-small", {"train": 3_068, "validation": 341, "test": 372}),
        )


def _write_photos(folder: Path) -> None:
    """Photos with the detail of real ones in ten classes. Each call draws others, so that no cache has them."""
    from PIL import Image

    random = np.random.default_rng()
    height, width, channels = PHOTO_SHAPE
    for number in range(PHOTOS):
        coarse = random.integers(0, 256, (height // 24, width // 24, channels), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
        grain = random.normal(0, 4, PHOTO_SHAPE)
        part = "test" if number < PHOTOS // 10 else "validation" if number < PHOTOS // 5 else "train"
        place = folder / part / f"class {number % CLASSES}" / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(place, quality=85)
