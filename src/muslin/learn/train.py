"""Dataset and Split → a trained network and the history of its training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split, image_shape, pixel_array
from muslin.data.photos import ResizedPhotos
from muslin.errors import TrainingError
from muslin.learn.batches import Images
from muslin.learn.features import Features, extract
from muslin.learn.linear_probe import fit_linear_heads
from muslin.learn.modules import Net, weights_of
from muslin.learn.networks import Network, build_network, check_image_scale, frozen_layer_count, is_backbone
from muslin.learn.pretrained import RANDOM, backbone_weights, weight_shapes
from muslin.learn.recipes import RECIPES, Recipe, image_scale
from muslin.learn.torch_setup import ComputeSettings
from muslin.learn.training_loop import Labels, Progress, fit

GOLDEN_COUNT = 16
"""Images kept in a bundle with the answers they must get."""

MAX_VALIDATION_IMAGES = 2_500
"""Validation images that an epoch is judged by, at most: the curves are drawn with them. More take time away from
learning, 10,000 of them an eighth of it; accuracies of 90 % from 2,500 are right within 1.2 points, 19 times of 20."""


def network_for(dataset: Dataset, split: Split, recipe: Recipe) -> Network:
    """The network that `recipe` makes of these data, before anything is learned.

    Raises:
        TrainingError: fewer training images than a batch.
        RecipeError: the images are too small for the network, or a target is called as a part of it.
    """
    if len(split.train) < recipe.batch_size:
        raise TrainingError(
            f"{dataset.name}: {len(split.train):,} training images are fewer than a batch of {recipe.batch_size}. "
            f"Add images, or take a smaller batch: --set batch_size={max(len(split.train) // 4, 1)}."
        )
    height, width, channels = image_shape(dataset)
    built = build_network(
        recipe.network,
        (height, width, channels),
        dataset.targets,
        widths=recipe.widths,
        dropout=recipe.dropout,
        activation=recipe.activation,
        tta_flip=recipe.tta_flip,
    )
    if image_scale(recipe, 0) != 1:
        check_image_scale(built, recipe.low_res_scale)
    if recipe.frozen_blocks:
        frozen_layer_count(built, recipe.frozen_blocks)
    return built


def extract_features(
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    threads: int,
    log: Callable[[str], None] = lambda sentence: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Features, dict[int, str]]:
    """What the recipe's trunk, left as it is, makes of photos; and by its place each photo's problem that has one.

    Raises:
        MissingPartError, RecipeError: the trunk's weights are not there or are another network's.
        Stopped: as `muslin.learn.features.extract`.
    """
    assert isinstance(dataset.images, ResizedPhotos)
    backbone = build_network(recipe.network, dataset.images.size, (), widths=recipe.widths)
    if recipe.frozen_blocks:
        frozen_layer_count(backbone, recipe.frozen_blocks)  # said before the photos are looked at
    if recipe.weights == RANDOM:
        everything = weights_of(Net(backbone, seed))
        weights = {name: everything[name] for name in weight_shapes(backbone)}
    else:
        weights = backbone_weights(backbone, recipe.weights)
    return extract(dataset.images, backbone, weights, threads=threads, log=log, should_stop=should_stop)


def train_network(
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    compute: ComputeSettings,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    features: Features | None = None,
) -> tuple[Net, list[dict[str, Any]]]:
    """The trained network and one row of history per epoch; errors as `network_for` and `engine.fit` raise them.

    `features` are those of all images as the trunk that the recipe starts from sees them. Where it stays as it is
    they are what the heads learn from; where only a part of it stays, the heads begin so.
    """
    net = Net(network_for(dataset, split, recipe), seed)
    if recipe.weights != RANDOM and is_backbone(recipe.network):
        net.load(backbone_weights(net.network, recipe.weights))
    if features is not None and recipe.frozen:
        return net, fit_linear_heads(
            net,
            features,
            dict(dataset.labels),
            split,
            recipe,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if features is not None and not (checkpoint and checkpoint.exists()):
        as_frozen = replace(RECIPES["photo"], class_weights=recipe.class_weights)
        fit_linear_heads(net, features, dict(dataset.labels), split, as_frozen, should_stop=should_stop)

    history = fit(
        net,
        training_arrays(dataset, split.train),
        training_arrays(dataset, validation_subset(split)),
        recipe,
        seed=seed,
        compute=compute,
        checkpoint=checkpoint,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    return net, history


def training_arrays(dataset: Dataset, indices: NDArray[np.int64]) -> tuple[Images, Labels]:
    """The images at `indices` and their labels, as `engine.fit` takes them."""
    labels = {name: values[indices] for name, values in dataset.labels.items()}
    if isinstance(dataset.images, ResizedPhotos):
        return dataset.images.take(indices), labels
    return pixel_array(dataset)[indices], labels


def validation_subset(split: Split) -> NDArray[np.int64]:
    """The validation images that every epoch is judged by: all, or `VALIDATION_SUBSET_SIZE` evenly spread over them."""
    return split.validation[evenly_spaced(len(split.validation), MAX_VALIDATION_IMAGES)]


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """Places evenly spread over 0 to `count` - 1, rising: at most so many."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64)) if count > most else np.arange(count)


def golden_images(dataset: Dataset, split: Split) -> NDArray[np.uint8]:
    """Images, evenly spread over the training ones, whose answers the bundle keeps: uint8 (≤16, h, w, c)."""
    return pixel_array(dataset.take(split.train[evenly_spaced(len(split.train), GOLDEN_COUNT)]))
