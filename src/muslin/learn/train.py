"""Dataset and Split → a trained network and the history of its training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split, pixels_of
from muslin.errors import TrainingError
from muslin.learn.accelerate import Engine
from muslin.learn.engine import Progress, fit
from muslin.learn.modules import Net
from muslin.learn.networks import Network, network
from muslin.learn.recipes import Recipe

GOLDEN_COUNT = 16
"""Pictures kept in a bundle with the answers they must get."""


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
    height, width, channels = pixels_of(dataset).shape[1:]
    return network(
        recipe.network,
        (height, width, channels),
        dataset.targets,
        widths=recipe.widths,
        dropout=recipe.dropout,
        activation=recipe.activation,
        mirrored=recipe.mirrored,
    )


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
) -> tuple[Net, list[dict[str, Any]]]:
    """The trained network and one row of history per epoch; errors as `network_for` and `engine.fit` raise them."""
    net = Net(network_for(dataset, split, recipe), seed)
    pixels = pixels_of(dataset)

    def part(indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.integer[Any]]]]:
        return pixels[indices], {name: labels[indices] for name, labels in dataset.labels.items()}

    history = fit(
        net,
        part(split.train),
        part(split.validation),
        recipe,
        seed=seed,
        engine=engine,
        checkpoint=checkpoint,
        tell=tell,
        stop=stop,
    )
    return net, history


def golden_pictures(dataset: Dataset, split: Split) -> NDArray[np.uint8]:
    """Pictures, evenly spread over the training ones, whose answers the bundle keeps: uint8 (≤16, h, w, c)."""
    spread = np.linspace(0, len(split.train) - 1, GOLDEN_COUNT).astype(int)
    golden: NDArray[np.uint8] = pixels_of(dataset)[split.train[np.unique(spread)]]
    return golden
