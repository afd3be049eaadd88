"""Dataset, Split and Recipe → the network to train, its features, and the arrays that training takes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split, image_shape, pixel_array
from muslin.data.draws import evenly_spaced
from muslin.data.photos import ResizedPhotos
from muslin.errors import TrainingError
from muslin.execution import Executor
from muslin.learn.batches import Images, batch_size_for_few, take_images
from muslin.learn.features import Features, extract
from muslin.learn.linear_probe import fit_linear_heads
from muslin.learn.losses import MAX_BATCH_PX
from muslin.learn.modules import Net, to_batch, weights_of
from muslin.learn.networks import Network, build_network, check_image_scale, frozen_layer_count
from muslin.learn.pretrained import Weights, backbone_weights, weight_shapes
from muslin.learn.recipes import (
    RANDOM,
    RECIPES,
    FineTuneRecipe,
    LinearProbeRecipe,
    PretrainedRecipe,
    Recipe,
    SGDRecipe,
    image_scale,
    recipe_network,
)
from muslin.learn.training_loop import Labels
from muslin.messages import Log, Message, no_log

GOLDEN_COUNT = 16
"""Images kept in a bundle with the predictions they must get."""

MAX_VALIDATION_IMAGES = 2_500
"""Validation images after an epoch, at most: the learning curves are drawn with them. More take time away from
training, 10,000 of them an eighth of it; an accuracy of 90 % from 2,500 is within 1.2 points, 19 times of 20."""


def network_for(dataset: Dataset, split: Split, recipe: Recipe) -> Network:
    """The network of `recipe` for these data, before training.

    Raises:
        TrainingError: fewer training images than a batch.
        RecipeError: the images are too small for the network, or a target's name is taken.
    """
    if isinstance(recipe, SGDRecipe) and len(split.train) < recipe.batch_size:
        n, batch_size = len(split.train), recipe.batch_size
        sizes = {"n": n, "batch_size": batch_size, "suggested": batch_size_for_few(n)}
        raise TrainingError("batch_too_large", name=dataset.name, **sizes)
    height, width, channels = image_shape(dataset)
    network = recipe_network(recipe, (height, width, channels), dataset.targets)
    if isinstance(recipe, SGDRecipe) and image_scale(recipe, 0) != 1:
        check_image_scale(network, recipe.low_res_scale)
    if isinstance(recipe, FineTuneRecipe) and recipe.frozen_blocks:
        frozen_layer_count(network, recipe.frozen_blocks)
    return network


def extract_features(
    dataset: Dataset,
    recipe: PretrainedRecipe,
    *,
    seed: int,
    threads: int,
    log: Log = no_log,
    should_stop: Callable[[], bool] = lambda: False,
    executor: Executor | None = None,
) -> tuple[Features, dict[int, Message]]:
    """The features of photos, from the recipe's backbone with its initial weights; and by its index the problem of
    each photo that cannot be read.

    Raises:
        MissingPartError, RecipeError: the backbone's weights are not installed, or are another network's.
        StoppedError: as `muslin.learn.features.extract`.
    """
    assert isinstance(dataset.images, ResizedPhotos)
    backbone = backbone_with_weights(dataset.images, recipe, seed)
    options: dict[str, Any] = {"log": log, "should_stop": should_stop, "executor": executor}
    return extract(dataset.images, *backbone, threads=threads, **options)


def backbone_with_weights(images: ResizedPhotos, recipe: PretrainedRecipe, seed: int) -> tuple[Network, Weights]:
    """The recipe's backbone for images of this size, with its initial weights.

    Raises:
        MissingPartError, RecipeError: the weights are not installed, or are another network's.
    """
    backbone = build_network(recipe.network, images.size, (), widths=())
    if isinstance(recipe, FineTuneRecipe) and recipe.frozen_blocks:
        frozen_layer_count(backbone, recipe.frozen_blocks)  # refused before the photos are decoded
    if recipe.weights != RANDOM:
        return backbone, backbone_weights(backbone, recipe.weights)
    everything = weights_of(Net(backbone, seed))
    return backbone, {name: everything[name] for name in weight_shapes(backbone)}


def initial_network(
    dataset: Dataset, split: Split, recipe: Recipe, *, seed: int, features: Features | None = None
) -> Net:
    """The network before training: random weights, or those of a pretrained backbone.

    Args:
        features: of all images, from the initial backbone. Fine-tuning starts with heads fitted to them.
    """
    net = Net(network_for(dataset, split, recipe), seed)
    if isinstance(recipe, PretrainedRecipe) and recipe.weights != RANDOM:
        net.load(backbone_weights(net.network, recipe.weights))
    if isinstance(recipe, FineTuneRecipe) and features is not None:
        probe = RECIPES["photo"]
        assert isinstance(probe, LinearProbeRecipe)
        probe = replace(probe, class_weights=recipe.class_weights)
        fit_linear_heads(net, features, dict(dataset.labels), split, probe)
    return net


def training_arrays(dataset: Dataset, indices: NDArray[np.int64]) -> tuple[Images, Labels]:
    """The images at `indices` and their labels, as `muslin.learn.training_loop.fit` takes them."""
    labels = {name: values[indices] for name, values in dataset.labels.items()}
    if isinstance(dataset.images, ResizedPhotos):
        return dataset.images.take(indices), labels
    return pixel_array(dataset)[indices], labels


def validation_subset(split: Split) -> NDArray[np.int64]:
    """The validation images after each epoch: all, or `MAX_VALIDATION_IMAGES` evenly spaced over them."""
    return split.validation[evenly_spaced(len(split.validation), MAX_VALIDATION_IMAGES)]


@torch.no_grad()
def predict_images(net: Net, images: Images) -> dict[str, NDArray[np.float32]]:
    """Per target the probabilities of all images, float32 (images, classes)."""
    predicted = [net.probabilities(to_batch(take_images(images, indices))) for indices in _blocks(images)]
    return {name: torch.cat([each[name] for each in predicted]).numpy() for name in net.network.heads}


@torch.no_grad()
def image_features(net: Net, images: Images) -> NDArray[np.float32]:
    """What the heads take of all images, float32 (images, features): the mean over both views with TTA."""
    rows = []
    for indices in _blocks(images):
        pixels = to_batch(take_images(images, indices))
        views = [pixels, pixels.flip(3)] if net.network.tta_flip else [pixels]
        rows.append(torch.stack([net.features(view) for view in views]).mean(0))
    return torch.cat(rows).numpy()


def _blocks(images: Images) -> list[NDArray[np.int64]]:
    height, width = (images.size if isinstance(images, ResizedPhotos) else images.shape[1:])[:2]
    size = max(MAX_BATCH_PX // (height * width), 1)
    return [np.arange(start, min(start + size, len(images))) for start in range(0, len(images), size)]


def golden_images(dataset: Dataset, split: Split) -> NDArray[np.uint8]:
    """Images evenly spaced over the training set, whose predictions the bundle keeps: uint8 (≤16, h, w, c)."""
    return pixel_array(dataset.take(split.train[evenly_spaced(len(split.train), GOLDEN_COUNT)]))
