"""Batches of training images: their order and their augmentation.

Every draw is a function of (seed, purpose, epoch, step), so a resumed run draws the same without a generator's state.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.images import crop_resize
from muslin.learn.recipes import Recipe, SGDRecipe, train_image_size

Purpose = Literal["order", "flip", "translate", "cutout", "dropout", "initial", "split", "crop"]
PURPOSES = get_args(Purpose)

Images = NDArray[np.uint8] | ResizedPhotos
"""uint8 (count, height, width, channels); or photos, of which only the current batches are in memory."""

MIN_BATCH_SIZE = 32
"""To which `min_steps_per_epoch` reduces a batch: batch norm measures half of it where it is split in two."""

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def take_images(images: Images, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The images at `indices`, a new array uint8 (count, height, width, channels)."""
    if isinstance(images, ResizedPhotos):
        return np.stack([images[int(index)] for index in indices])
    return images[indices]


def generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """The random generator for one purpose at one moment, independent of all others."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), *counters])


def steps_per_epoch(count: int, recipe: SGDRecipe) -> int:
    """Steps in an epoch over `count` images. The last one takes the rest, as in Keras; a single image that is left
    joins the step before, because batch norm cannot measure the variance of one."""
    whole, left = divmod(count, recipe.batch_size)
    return whole + (left > 1 or whole == 0)


def with_min_steps(recipe: AnyRecipe, count: int) -> AnyRecipe:
    """`recipe` for `count` training images: with the smaller batches that `min_steps_per_epoch` asks for, and then as
    many epochs as `min_steps` asks for."""
    if not isinstance(recipe, SGDRecipe):
        return recipe
    fitted = recipe
    while fitted.batch_size > MIN_BATCH_SIZE and steps_per_epoch(count, fitted) < fitted.min_steps_per_epoch:
        batch_size = max(2 ** ((fitted.batch_size - 1).bit_length() - 1), MIN_BATCH_SIZE)
        fitted = replace(fitted, batch_size=batch_size, micro_batch_size=min(fitted.micro_batch_size, batch_size // 2))
    return replace(fitted, epochs=max(fitted.epochs, math.ceil(fitted.min_steps / steps_per_epoch(count, fitted))))


def total_steps(count: int, recipe: SGDRecipe) -> int:
    """Steps of a whole training on `count` images."""
    steps = steps_per_epoch(count, recipe) * recipe.epochs
    return min(steps, recipe.max_steps) if recipe.max_steps else steps


def total_epochs(count: int, recipe: SGDRecipe) -> int:
    """Epochs of a whole training on `count` images; `max_steps` can end it in the middle of one."""
    return math.ceil(total_steps(count, recipe) / steps_per_epoch(count, recipe))


def batch_size_for_few(count: int) -> int:
    """For fewer images than a recipe's batch: four batches, of two images at least, as batch norm needs."""
    return max(count // 4, 2)


def with_trained_epochs(recipe: SGDRecipe, count: int) -> SGDRecipe:
    """`recipe` with the epochs that a training on `count` images has. `max_steps` can end it early, and the share of
    epochs with small images is a share of these."""
    return replace(recipe, epochs=total_epochs(count, recipe))


def images_seen(count: int, recipe: SGDRecipe, steps: int) -> int:
    """Images of the first `steps` steps of a training on `count` images, one as often as it is seen."""
    epochs, rest = divmod(steps, steps_per_epoch(count, recipe))
    return epochs * count + rest * recipe.batch_size


def epoch_batches(
    images: Images, recipe: SGDRecipe, *, seed: int, epoch: int, first_step: int = 0
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8]]]:
    """The steps of one epoch from `first_step` on: (step within the epoch, indices, augmented images).

    Each batch is a new array uint8 (count, height, width, channels). Photos are decoded and augmented by threads that
    are a few steps ahead.
    """
    count = len(images)
    order = generator(seed, "order", epoch).permutation(count)
    # every image is flipped in every other epoch (airbench): at random it might look the same twice
    flipped = (generator(seed, "flip").integers(0, 2, count) + epoch) % 2 == 1
    steps = steps_per_epoch(count, recipe)

    def load_batch(step: int) -> tuple[int, NDArray[np.int64], NDArray[np.uint8]]:
        end = count if step == steps - 1 else (step + 1) * recipe.batch_size
        indices = order[step * recipe.batch_size : end]
        batch = take_images(images, indices)
        if recipe.flip:
            turned = flipped[indices]
            batch[turned] = batch[turned, :, ::-1]
        if recipe.min_crop_area < 1:
            size = train_image_size(recipe, epoch, batch.shape[1:3])
            batch = _random_crop(batch, recipe.min_crop_area, size, generator(seed, "crop", epoch, step))
        if recipe.translate_px:
            batch = _translate(batch, recipe.translate_px, generator(seed, "translate", epoch, step))
        if side := round(recipe.cutout * min(batch.shape[1:3])):
            _cutout(batch, side, generator(seed, "cutout", epoch, step))
        return step, indices, batch

    if isinstance(images, ResizedPhotos):
        yield from parallel_map(lambda number: load_batch(first_step + number), steps - first_step)
    else:
        yield from map(load_batch, range(first_step, steps))


def _random_crop(
    batch: NDArray[np.uint8], min_area: float, size: tuple[int, int], random: np.random.Generator
) -> NDArray[np.uint8]:
    """A random crop of each image, resized to `size`: `min_area` to all of its area, and of its aspect ratio or up to
    a third wider or higher, within the image (Szegedy et al., Going deeper with convolutions, CVPR 2015)."""
    height, width = batch.shape[1:3]
    area = random.uniform(min_area, 1, len(batch))
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), len(batch)))
    widths = np.minimum(np.sqrt(area * ratio), 1) * width
    heights = np.minimum(np.sqrt(area / ratio), 1) * height
    left = random.uniform(0, 1, len(batch)) * (width - widths)
    top = random.uniform(0, 1, len(batch)) * (height - heights)
    boxes = np.stack([left, top, left + widths, top + heights], axis=1).tolist()
    return np.stack([crop_resize(image, box, size) for image, box in zip(batch, boxes, strict=True)])


def _translate(batch: NDArray[np.uint8], max_px: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Move each image by up to `max_px` each way; the edge is repeated."""
    height, width = batch.shape[1:3]
    padded = np.pad(batch, ((0, 0), (max_px, max_px), (max_px, max_px), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    y, x = random.integers(0, 2 * max_px + 1, (2, len(batch)))
    return np.ascontiguousarray(windows[np.arange(len(batch)), y, x].transpose(0, 2, 3, 1))


def _cutout(batch: NDArray[np.uint8], side: int, random: np.random.Generator) -> None:
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
