"""What networks say of images that they did not learn from: cross-validation over a whole data set."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split
from muslin.learn.modules import Net, to_batch
from muslin.learn.recipes import Recipe, with_min_steps
from muslin.learn.torch_setup import ComputeSettings
from muslin.learn.train import train_network
from muslin.learn.training_loop import Progress

AT_ONCE = 1000
LEARNED_MOST = 60_000
"""Of more training images, so many are drawn: the judge needs to be fair, not the best there is."""


def cross_val_predict(
    dataset: Dataset,
    folds: NDArray[np.int64],
    recipe: Recipe,
    *,
    seed: int,
    compute: ComputeSettings,
    on_progress: Callable[[int, Progress], None] = lambda fold, progress: None,
) -> dict[str, NDArray[np.float32]]:
    """Per target, probabilities float32 (n, classes) of every image by a network that never saw its fold.

    Args:
        dataset: images of one size.
        folds: (n,) the number of each image's fold, from 0; -1 for those that are in none. Their rows are NaN.
        recipe: with which one network per fold is trained; its batch is made smaller where images are few.
        on_progress: called after every step with the number of the fold and where its training is.

    Raises:
        TrainingError, RecipeError: as `train_network` does.
    """
    answers = {
        target.name: np.full((len(dataset), len(target.classes)), np.nan, dtype=np.float32)
        for target in dataset.targets
    }
    nobody = np.empty(0, dtype=np.int64)
    for fold in range(int(folds.max()) + 1):
        learned = np.flatnonzero((folds != fold) & (folds >= 0))
        if len(learned) > LEARNED_MOST:
            drawn = np.random.default_rng([seed, fold]).choice(learned, LEARNED_MOST, replace=False)
            learned = np.sort(drawn)
        asked = np.flatnonzero(folds == fold)
        if not len(asked):
            continue
        split = Split(learned, nobody, asked, (f"cross-validation, fold {fold}",), seed)
        smaller = replace(recipe, batch_size=min(recipe.batch_size, max(len(learned) // 4, 1)))
        net, _ = train_network(
            dataset,
            split,
            with_min_steps(smaller, len(learned)),
            seed=seed,
            compute=compute,
            on_progress=partial(on_progress, fold),
        )
        for name, values in _probabilities(net, dataset, asked).items():
            answers[name][asked] = values
    return answers


@torch.no_grad()
def _probabilities(net: Net, dataset: Dataset, indices: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    parts: dict[str, list[NDArray[np.float32]]] = {target.name: [] for target in dataset.targets}
    for start in range(0, len(indices), AT_ONCE):
        batch = np.stack([dataset.images[int(i)] for i in indices[start : start + AT_ONCE]])
        for name, values in net.probabilities(to_batch(batch)).items():
            parts[name].append(values.numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}
