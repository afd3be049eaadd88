"""Which images a step sees, in which order, and how they are varied.

Every draw is a function of (seed, purpose, epoch, step), so a run that goes on after a kill needs no generator's
state to draw what it would have drawn.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.images import crop_resize
from muslin.learn.recipes import Recipe, train_image_size

PURPOSES = ("order", "flip", "shift", "cutout", "dropout", "initial", "split", "crop")
Purpose = Literal["order", "flip", "shift", "cutout", "dropout", "initial", "split", "crop"]

Images = NDArray[np.uint8] | ResizedPhotos
"""uint8 (count, height, width, channels); or photos, of which only those at hand are in memory."""


def take_images(pictures: Images, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Those at `indices`, a new array uint8 (count, height, width, channels)."""
    if isinstance(pictures, ResizedPhotos):
        return np.stack([pictures[int(index)] for index in indices])
    return pictures[indices]


def generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """The random generator for one purpose at one moment, independent of all others."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), *counters])


def steps_per_epoch(count: int, recipe: Recipe) -> int:
    """Steps in an epoch over `count` images. The last one takes what is left, as Keras does; a single image that
    is left joins the step before, since batch norm cannot measure the spread of one."""
    whole, left = divmod(count, recipe.batch_size)
    return whole + (left > 1 or whole == 0)


def total_steps(count: int, recipe: Recipe) -> int:
    """Steps of a whole training on `count` images."""
    whole = steps_per_epoch(count, recipe) * recipe.epochs
    return min(whole, recipe.max_steps) if recipe.max_steps else whole


def epoch_batches(
    pictures: Images, recipe: Recipe, *, seed: int, epoch: int, first_step: int = 0
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8]]]:
    """The steps of one epoch from `first_step` on: (step within the epoch, indices, varied images).

    Each batch is a new array uint8 (count, height, width, channels). Photos are read, and varied, by threads that are a
    few steps ahead of whoever takes them.
    """
    count = len(pictures)
    order = generator(seed, "order", epoch).permutation(count)
    # every image is mirrored in every other epoch (airbench): by chance it might be seen twice alike
    tta_flip = (generator(seed, "flip").integers(0, 2, count) + epoch) % 2 == 1
    steps = steps_per_epoch(count, recipe)

    def batch_of(step: int) -> tuple[int, NDArray[np.int64], NDArray[np.uint8]]:
        end = count if step == steps - 1 else (step + 1) * recipe.batch_size
        indices = order[step * recipe.batch_size : end]
        batch = take_images(pictures, indices)
        if recipe.flip:
            turned = tta_flip[indices]
            batch[turned] = batch[turned, :, ::-1]
        if recipe.min_crop_area < 1:
            size = train_image_size(recipe, epoch, batch.shape[1:3])
            batch = _crop(batch, recipe.min_crop_area, size, generator(seed, "crop", epoch, step))
        if recipe.translate_px:
            batch = _shift(batch, recipe.translate_px, generator(seed, "shift", epoch, step))
        if recipe.cutout_px:
            _cut_out(batch, recipe.cutout_px, generator(seed, "cutout", epoch, step))
        return step, indices, batch

    if isinstance(pictures, ResizedPhotos):
        yield from parallel_map(lambda number: batch_of(first_step + number), steps - first_step)
    else:
        yield from map(batch_of, range(first_step, steps))


def _crop(
    batch: NDArray[np.uint8], smallest: float, size: tuple[int, int], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Of each image a part, brought to `size`: of `smallest` to all of its area, and of its shape or up to a third
    wider or higher, as far as the image reaches (Szegedy et al., Going deeper with convolutions, CVPR 2015)."""
    height, width = batch.shape[1:3]
    area = random.uniform(smallest, 1, len(batch))
    wider = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), len(batch)))
    widths, heights = (
        np.minimum(np.sqrt(area * wider), 1) * width,
        np.minimum(np.sqrt(area / wider), 1) * height,
    )
    left = random.uniform(0, 1, len(batch)) * (width - widths)
    top = random.uniform(0, 1, len(batch)) * (height - heights)
    boxes = np.stack([left, top, left + widths, top + heights], axis=1).tolist()
    return np.stack([crop_resize(image, box, size) for image, box in zip(batch, boxes, strict=True)])


def _shift(batch: NDArray[np.uint8], most: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Move each image by up to `most` px each way; the edge is repeated where nothing was."""
    height, width = batch.shape[1:3]
    wide = np.pad(batch, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(1, 2))
    down, right = random.integers(0, 2 * most + 1, (2, len(batch)))
    return np.ascontiguousarray(windows[np.arange(len(batch)), down, right].transpose(0, 2, 3, 1))


def _cut_out(batch: NDArray[np.uint8], side: int, random: np.random.Generator) -> None:
    """Blank a square of `side` px in each image, in place, with that image's mean (DeVries & Taylor 2017)."""
    height, width = batch.shape[1:3]
    top = random.integers(-(side // 2), max(height - side // 2, 1), len(batch))
    left = random.integers(-(side // 2), max(width - side // 2, 1), len(batch))
    rows, columns = np.arange(height), np.arange(width)
    in_rows = (rows >= top[:, None]) & (rows < top[:, None] + side)
    in_columns = (columns >= left[:, None]) & (columns < left[:, None] + side)
    blank = in_rows[:, :, None] & in_columns[:, None, :]
    means = batch.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
    np.copyto(batch, np.broadcast_to(means, batch.shape), where=blank[..., None])
