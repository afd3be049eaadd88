"""Cross-validation: predictions for every image by networks that were not trained on it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split
from muslin.learn.modules import to_batch
from muslin.learn.recipes import Recipe, SGDRecipe, with_min_steps
from muslin.learn.torch_setup import ComputeSettings
from muslin.learn.train import initial_network, training_arrays
from muslin.learn.training_loop import Progress, fit

PREDICTION_BATCH = 1000
MAX_TRAIN_IMAGES = 60_000
"""Training images of a fold, at most, drawn at random: its network needs to be fair, not the best."""


def cross_val_predict(
    dataset: Dataset,
    folds: NDArray[np.int64],
    recipe: Recipe,
    *,
    seed: int,
    compute: ComputeSettings,
    on_progress: Callable[[int, Progress], None] = lambda fold, progress: None,
) -> dict[str, NDArray[np.float32]]:
    """Per target, probabilities float32 (n, classes) of every image by a network trained on the other folds.

    Args:
        dataset: images of one size.
        folds: (n,) the number of each image's fold, from 0; -1 for images in no fold. Their rows are NaN.
        recipe: an `sgd` recipe; trains one network per fold, and its batch is smaller where images are few.
        on_progress: called after every step with the fold's number and the progress of its training.

    Raises:
        TrainingError, RecipeError: as `initial_network` and `fit`.
    """
    assert isinstance(recipe, SGDRecipe)
    probabilities = {
        target.name: np.full((len(dataset), len(target.classes)), np.nan, dtype=np.float32)
        for target in dataset.targets
    }
    empty = np.empty(0, dtype=np.int64)
    for fold in range(int(folds.max()) + 1):
        train = np.flatnonzero((folds != fold) & (folds >= 0))
        if len(train) > MAX_TRAIN_IMAGES:
            generator = np.random.default_rng([seed, fold])
            train = np.sort(generator.choice(train, MAX_TRAIN_IMAGES, replace=False))
        test = np.flatnonzero(folds == fold)
        if not len(test):
            continue
        smaller = replace(recipe, batch_size=min(recipe.batch_size, max(len(train) // 4, 1)))
        smaller = with_min_steps(smaller, len(train))
        net = initial_network(dataset, Split(train, empty, test, (), seed), smaller, seed=seed)
        arrays = training_arrays(dataset, train), training_arrays(dataset, empty)
        fit(net, *arrays, smaller, seed=seed, compute=compute, on_progress=partial(on_progress, fold))
        with torch.no_grad():
            for start in range(0, len(test), PREDICTION_BATCH):
                chosen = test[start : start + PREDICTION_BATCH]
                batch = to_batch(np.stack([dataset.images[int(i)] for i in chosen]))
                for name, values in net.probabilities(batch).items():
                    probabilities[name][chosen] = values.numpy()
    return probabilities
