"""How long a training takes on this machine: one estimate for all who ask.

Each part of a training is tried for a moment on some of the images, and multiplied: steps at each image size,
validation, photos that are decoded or that go through a backbone, the fits of a linear head. Whatever else the machine
does meanwhile, it will also do later, so a mean counts and not a minimum.
"""

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from muslin.data import photos
from muslin.data.dataset import UNKNOWN, Dataset, Split
from muslin.data.draws import evenly_spaced
from muslin.data.photos import PhotoImages, ResizedPhotos, resize_photos
from muslin.errors import StoppedError
from muslin.learn.batches import steps_per_epoch, total_steps, with_min_steps, with_trained_epochs
from muslin.learn.recipes import (
    RECIPES,
    FineTuneRecipe,
    LinearProbeRecipe,
    PretrainedRecipe,
    Recipe,
    SGDRecipe,
    cross_fitting_folds,
    image_scale,
)
from muslin.workflows.run_folder import split_for_recipe

if TYPE_CHECKING:
    from muslin.learn.torch_setup import ComputeSettings

TRIAL_S = 2.5
"""Of timed steps per image size: a machine's speed changes from second to second."""

SHORT_TRIAL_S = 0.5
"""The same, to choose between recipes."""

TRIAL_STEPS = 100
WARMUP_STEPS = 2

TRIAL_PHOTOS = 32
"""Photos that go through a backbone."""

DECODED_PHOTOS = 256
"""Photos that are decoded for a recipe that decodes all of them."""

HEAD_IMAGES = 2_048
"""Images, at most, to whose features a linear head is fitted in the trial."""


@dataclass(frozen=True)
class TrainingSpeed:
    """Seconds on this machine: of a step at each image scale, and of validating after an epoch."""

    step_s: Mapping[float, float]
    validation_s: float


def expected_train_s(dataset: Dataset, recipe: Recipe, seed: int, count: int | None = None) -> float:
    """Seconds of a training with this recipe, and of decoding the photos or extracting their features.

    Args:
        count: the images for which `dataset` stands; by default its own.

    Raises:
        MuslinError: the recipe cannot train on these data.
    """
    split, growth = split_for_recipe(dataset, recipe, seed), (count or len(dataset)) / len(dataset)
    n_train, n_validation = round(growth * len(split.train)), round(growth * len(split.validation))
    if isinstance(recipe, LinearProbeRecipe):
        heads_s = estimate_heads_s(dataset, split, recipe, 1 + cross_fitting_folds(recipe), n_train)
        return estimate_extraction_s(dataset, recipe, seed, growth) + heads_s
    assert isinstance(recipe, SGDRecipe)
    recipe = with_min_steps(recipe, n_train)
    trial_data, trial, reading_s = dataset, split, 0.0
    if isinstance(dataset.images, PhotoImages):
        sample = dataset.take(evenly_spaced(len(dataset), DECODED_PHOTOS))
        started = time.perf_counter()
        trial_data = photos.decode_photos(sample, (recipe.image_size, recipe.image_size, 3), max_unreadable=1)
        reading_s = growth * (time.perf_counter() - started) * len(dataset) / len(sample)
        if isinstance(recipe, FineTuneRecipe) and recipe.frozen_blocks:
            probe = RECIPES["photo"]
            assert isinstance(probe, LinearProbeRecipe)
            reading_s = max(reading_s, estimate_extraction_s(dataset, recipe, seed, growth))
            reading_s += estimate_heads_s(dataset, split, probe, 1, n_train)
        all_of_them = np.resize(np.arange(len(trial_data)), max(len(trial_data), recipe.batch_size))
        trial = replace(split, train=all_of_them, validation=all_of_them[: recipe.batch_size], test=all_of_them[:0])
    smaller = replace(recipe, batch_size=min(recipe.batch_size, len(trial.train)))
    speed = measure_speed(trial_data, trial, smaller, _compute_settings(), SHORT_TRIAL_S, n_validation)
    return reading_s + (1 + recipe.folds) * estimate_train_s(recipe, n_train, speed)


def measure_speed(
    dataset: Dataset, split: Split, recipe: SGDRecipe, compute: "ComputeSettings", trial_s: float = TRIAL_S,
    n_validation: int | None = None,
) -> TrainingSpeed:  # fmt: skip
    """Train a throw-away network for `trial_s` seconds at each image scale that the recipe uses.

    Args:
        n_validation: images in the validation set, where `split` has only some of them.
    """
    from muslin.learn.losses import evaluate_network
    from muslin.learn.modules import Net
    from muslin.learn.train import MAX_VALIDATION_IMAGES, network_for, training_arrays, validation_subset

    train = training_arrays(dataset, split.train[: recipe.batch_size * TRIAL_STEPS])
    sample = validation_subset(split)[: 4 * recipe.batch_size]
    net = Net(network_for(dataset, split, recipe), 0)
    empty = training_arrays(dataset, sample[:0])
    step_s = {
        scale: _step_seconds(net, train, empty, replace(recipe, low_res_fraction=fraction), compute, trial_s)
        for scale, fraction in ((1.0, 0.0), (recipe.low_res_scale, 1.0))
        if fraction == recipe.low_res_fraction or 0 < recipe.low_res_fraction < 1
    }
    n_validated = min(len(split.validation) if n_validation is None else n_validation, MAX_VALIDATION_IMAGES)
    evaluate_network(net, *training_arrays(dataset, sample[:2]))  # the first time takes longer
    started = time.perf_counter()
    evaluate_network(net, *training_arrays(dataset, sample))
    validation_s = (time.perf_counter() - started) * n_validated / max(len(sample), 1)
    return TrainingSpeed(step_s, validation_s)


def _step_seconds(
    net: Any, train: Any, validation: Any, recipe: SGDRecipe, compute: "ComputeSettings", trial_s: float
) -> float:
    from muslin.learn.training_loop import TrainingControl, fit

    moments: list[float] = []

    def should_stop() -> bool:
        moments.append(time.perf_counter())
        return len(moments) > 2 * WARMUP_STEPS and moments[-1] - moments[0] > trial_s

    started = time.perf_counter()
    with contextlib.suppress(StoppedError):
        control = TrainingControl(should_stop=should_stop)
        fit(net, train, validation, with_trial_steps(recipe, len(train[0])), seed=0, compute=compute, control=control)
    timed = moments[min(WARMUP_STEPS, len(moments) - 1) :]
    return (timed[-1] - timed[0]) / (len(timed) - 1) if len(timed) > 1 else timed[0] - started


def with_trial_steps(recipe: SGDRecipe, n: int) -> SGDRecipe:
    """`recipe` for a trial on `n` images: as many epochs as have `TRIAL_STEPS` steps, because the first take longer."""
    return replace(recipe, epochs=math.ceil(TRIAL_STEPS / steps_per_epoch(n, recipe)), max_steps=0)


def estimate_train_s(recipe: SGDRecipe, n: int, speed: TrainingSpeed) -> float:
    """Seconds of the steps of one training on `n` images, and of its validation."""
    recipe = with_trained_epochs(recipe, n)
    steps, left, seconds = steps_per_epoch(n, recipe), total_steps(n, recipe), 0.0
    for epoch in range(recipe.epochs):
        in_epoch = min(steps, left)
        left -= in_epoch
        seconds += in_epoch * speed.step_s[image_scale(recipe, epoch)]
        seconds += speed.validation_s if in_epoch else 0
    return seconds


def measure_train_s(dataset: Dataset, split: Split, recipe: SGDRecipe) -> float:
    """Seconds of one training on the training set, whose images are decoded."""
    speed = measure_speed(dataset, split, recipe, _compute_settings(), SHORT_TRIAL_S)
    return estimate_train_s(recipe, len(split.train), speed)


def estimate_extraction_s(dataset: Dataset, recipe: PretrainedRecipe, seed: int, growth: float = 1.0) -> float:
    """Seconds to extract the features of the photos of `dataset` that are not in the cache, from a few of them, whose
    features are not kept.

    Args:
        growth: photos for which each of `dataset` stands.
    """
    from muslin import machine
    from muslin.learn.features import batch_extractor, extraction_batches, feature_graph, uncached_photos
    from muslin.learn.train import backbone_with_weights

    started = time.perf_counter()
    images = resize_photos(dataset, (recipe.image_size, recipe.image_size, 3)).images
    assert isinstance(images, ResizedPhotos)
    backbone = backbone_with_weights(images, recipe, seed)
    uncached = uncached_photos(images, *backbone)
    if not len(uncached):
        return 0.0
    sample = uncached[evenly_spaced(len(uncached), TRIAL_PHOTOS)].tolist()
    batches = extraction_batches(sample)
    extract_batch = batch_extractor(images, feature_graph(images, *backbone))
    extract_batch(sample[:1])  # the first time takes longer
    prepared = time.perf_counter()
    for _ in photos.parallel_map(lambda i: extract_batch(batches[i]), len(batches), machine.physical_cores()):
        pass
    return prepared - started + (time.perf_counter() - prepared) * growth * len(uncached) / len(sample)


def estimate_heads_s(dataset: Dataset, split: Split, recipe: LinearProbeRecipe, fits: int, n_train: int) -> float:
    """Seconds of `fits` fits of the heads to the features of `n_train` images, from two iterations on random ones.

    A fit takes nearly all of its iterations: 58 to 60 of 60 for photos of clothes.

    Args:
        split: its training set has the labels, and may stand for more images.
    """
    from muslin.learn.features import Features
    from muslin.learn.linear_probe import fit_linear_heads
    from muslin.learn.modules import Net
    from muslin.learn.networks import layer_shapes
    from muslin.learn.train import network_for
    from muslin.models.seen_images import IMAGE_DIGEST_BYTES
    from muslin.storage.scratch import ScratchArray

    labelled = [i for i in split.train if all((values[i] != UNKNOWN).any() for values in dataset.labels.values())]
    if len(labelled) < 2:
        return 0.0
    sample = np.resize(labelled, min(n_train, HEAD_IMAGES))
    resized = resize_photos(dataset, (recipe.image_size, recipe.image_size, 3)).take(sample)
    everything = Split(np.arange(len(sample)), np.arange(0), np.arange(0))
    net = Net(network_for(resized, everything, recipe), 0)
    width = layer_shapes(net.network)[-1][0]
    file = ScratchArray(len(sample), (width,), np.float32)
    file.write(0, np.random.default_rng(0).standard_normal((len(sample), width), np.float32))
    features = Features(file, np.arange(len(sample)), np.zeros((len(sample), IMAGE_DIGEST_BYTES), np.uint8))
    trial = replace(recipe, epochs=2)
    started = time.perf_counter()
    history = fit_linear_heads(net, features, dict(resized.labels), everything, trial)
    iteration_s = (time.perf_counter() - started) / (len(history) + 1)  # the first value is computed before them
    return fits * recipe.epochs * iteration_s * n_train / len(sample)


def _compute_settings() -> "ComputeSettings":
    from muslin.learn.torch_setup import choose_compute_settings

    return choose_compute_settings()
