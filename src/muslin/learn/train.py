"""Dataset and Split → a trained network and the history of its training."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split, picture_shape, pixels_of
from muslin.data.photos import FittedPhotos
from muslin.errors import TrainingError
from muslin.learn.accelerate import Engine
from muslin.learn.batches import Pictures
from muslin.learn.engine import Labels, Progress, fit
from muslin.learn.features import Features, extract
from muslin.learn.frozen import fit_heads
from muslin.learn.modules import Net, weights_of
from muslin.learn.networks import TRUNKS, Network, check_takes, kept_layers, network
from muslin.learn.pretrained import RANDOM, trunk_weights, weight_shapes
from muslin.learn.recipes import RECIPES, Recipe, scale_in

GOLDEN_COUNT = 16
"""Pictures kept in a bundle with the answers they must get."""

CHECKED_COUNT = 2_500
"""Validation pictures that an epoch is judged by, at most: the curves are drawn with them. More take time away from
learning, 10,000 of them an eighth of it; accuracies of 90 % from 2,500 are right within 1.2 points, 19 times of 20."""


def network_for(dataset: Dataset, split: Split, recipe: Recipe) -> Network:
    """The network that `recipe` makes of these data, before anything is learned.

    Raises:
        TrainingError: fewer training pictures than a batch.
        RecipeError: the pictures are too small for the network, or a target is called as a part of it.
    """
    if len(split.train) < recipe.batch_size:
        raise TrainingError(
            f"{dataset.name}: {len(split.train):,} training pictures are fewer than a batch of {recipe.batch_size}. "
            f"Add pictures, or take a smaller batch: --set batch_size={max(len(split.train) // 4, 1)}."
        )
    height, width, channels = picture_shape(dataset)
    built = network(
        recipe.network,
        (height, width, channels),
        dataset.targets,
        widths=recipe.widths,
        dropout=recipe.dropout,
        activation=recipe.activation,
        mirrored=recipe.mirrored,
    )
    if scale_in(recipe, 0) != 1:
        check_takes(built, recipe.early_scale)
    if recipe.kept_blocks:
        kept_layers(built, recipe.kept_blocks)
    return built


def looked_at(
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    threads: int,
    tell: Callable[[str], None] = lambda sentence: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Features, dict[int, str]]:
    """What the recipe's trunk, left as it is, makes of photos; and by its place each photo's problem that has one.

    Raises:
        MissingPartError, RecipeError: the trunk's weights are not there or are another network's.
        Stopped: as `muslin.learn.features.extract`.
    """
    assert isinstance(dataset.images, FittedPhotos)
    trunk = network(recipe.network, dataset.images.size, (), widths=recipe.widths)
    if recipe.kept_blocks:
        kept_layers(trunk, recipe.kept_blocks)  # said before the photos are looked at
    if recipe.weights == RANDOM:
        everything = weights_of(Net(trunk, seed))
        weights = {name: everything[name] for name in weight_shapes(trunk)}
    else:
        weights = trunk_weights(trunk, recipe.weights)
    return extract(dataset.images, trunk, weights, threads=threads, tell=tell, stop=stop)


def train_network(
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    engine: Engine,
    checkpoint: Path | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    features: Features | None = None,
) -> tuple[Net, list[dict[str, Any]]]:
    """The trained network and one row of history per epoch; errors as `network_for` and `engine.fit` raise them.

    `features` are those of all pictures as the trunk that the recipe starts from sees them. Where it stays as it is
    they are what the heads learn from; where only a part of it stays, the heads begin so.
    """
    net = Net(network_for(dataset, split, recipe), seed)
    if recipe.weights != RANDOM and recipe.network in TRUNKS:
        net.load(trunk_weights(net.network, recipe.weights))
    if features is not None and recipe.frozen:
        return net, fit_heads(net, features, dict(dataset.labels), split, recipe, tell=tell, stop=stop)
    if features is not None and not (checkpoint and checkpoint.exists()):
        as_frozen = replace(RECIPES["photo"], class_weights=recipe.class_weights)
        fit_heads(net, features, dict(dataset.labels), split, as_frozen, stop=stop)

    history = fit(
        net,
        learned_from(dataset, split.train),
        learned_from(dataset, checked_with(split)),
        recipe,
        seed=seed,
        engine=engine,
        checkpoint=checkpoint,
        tell=tell,
        stop=stop,
    )
    return net, history


def learned_from(dataset: Dataset, indices: NDArray[np.int64]) -> tuple[Pictures, Labels]:
    """The pictures at `indices` and their labels, as `engine.fit` takes them."""
    labels = {name: values[indices] for name, values in dataset.labels.items()}
    if isinstance(dataset.images, FittedPhotos):
        return dataset.images.take(indices), labels
    return pixels_of(dataset)[indices], labels


def checked_with(split: Split) -> NDArray[np.int64]:
    """The validation pictures that every epoch is judged by: all, or `CHECKED_COUNT` evenly spread over them."""
    return split.validation[spread(len(split.validation), CHECKED_COUNT)]


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Places evenly spread over 0 to `count` - 1, rising: at most so many."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64)) if count > most else np.arange(count)


def golden_pictures(dataset: Dataset, split: Split) -> NDArray[np.uint8]:
    """Pictures, evenly spread over the training ones, whose answers the bundle keeps: uint8 (≤16, h, w, c)."""
    return pixels_of(dataset.take(split.train[spread(len(split.train), GOLDEN_COUNT)]))
