"""Cross-validation: predictions for every image by models that were not fitted to it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split
from muslin.learn.batches import with_min_steps
from muslin.learn.features import Features
from muslin.learn.linear_probe import fit_linear_heads, predict_from_features
from muslin.learn.modules import Net
from muslin.learn.recipes import LinearProbeRecipe, Recipe, SGDRecipe
from muslin.learn.torch_setup import ComputeSettings
from muslin.learn.train import initial_network, predict_images, training_arrays
from muslin.learn.training_loop import Labels, Progress, TrainingControl, fit

MAX_TRAIN_IMAGES = 60_000
"""Training images of a fold's network, at most, drawn at random: it needs to be fair, not the best."""

Indices = NDArray[np.int64]

Probabilities = dict[str, NDArray[np.float32]]
"""Per target float32 (samples, classes)."""

FitPredict = Callable[[int, Indices, Indices], Probabilities]
"""A fold's number, the samples to fit a model to, the samples of the fold → its predictions for these."""

NOTHING = np.array([], dtype=np.int64)


def cross_val_predict(folds: Indices, fit_predict: FitPredict) -> Probabilities:
    """Out-of-fold predictions, (n, classes): each sample's by a model that was fitted to the other folds.

    Args:
        folds: (n,) the number of each sample's fold, from 0; -1 for samples in no fold. Their rows are NaN.
        fit_predict: `fit_predict_heads(…)` or `fit_predict_network(…)`.
    """
    predicted: Probabilities = {}
    for fold in np.unique(folds[folds >= 0]).tolist():
        held_out = np.flatnonzero(folds == fold)
        fitted_to = np.flatnonzero((folds >= 0) & (folds != fold))
        for name, values in fit_predict(fold, fitted_to, held_out).items():
            nowhere = np.full((len(folds), values.shape[1]), np.nan, np.float32)
            predicted.setdefault(name, nowhere)[held_out] = values
    return predicted


def fit_predict_heads(
    net: Net,
    features: Features,
    labels: Labels,
    recipe: LinearProbeRecipe,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> FitPredict:
    """Linear heads on the features of a frozen backbone. The heads of `net` are those of the last fold afterwards.

    Raises:
        StoppedError: `should_stop()` became true.
        TrainingError: the loss is not finite.
    """

    def fit_predict(fold: int, train: Indices, held_out: Indices) -> Probabilities:
        fit_linear_heads(net, features, labels, Split(train, NOTHING, NOTHING), recipe, should_stop=should_stop)
        return predict_from_features(net, features, held_out)[0]

    return fit_predict


def fit_predict_network(
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    compute: ComputeSettings,
    on_progress: Callable[[int, Progress], None] = lambda fold, progress: None,
) -> FitPredict:
    """A network of an `sgd` recipe for each fold, whose batch is smaller where images are few.

    Args:
        dataset: images of one size.
        on_progress: called after every step with the fold's number and the progress of its training.

    Raises:
        TrainingError, RecipeError: as `initial_network` and `fit`.
    """
    assert isinstance(recipe, SGDRecipe)

    def fit_predict(fold: int, train: Indices, held_out: Indices) -> Probabilities:
        if len(train) > MAX_TRAIN_IMAGES:
            generator = np.random.default_rng([seed, fold])
            train = np.sort(generator.choice(train, MAX_TRAIN_IMAGES, replace=False))
        smaller = replace(recipe, batch_size=min(recipe.batch_size, max(len(train) // 4, 1)), min_steps_per_epoch=0)
        smaller = with_min_steps(smaller, len(train))
        net = initial_network(dataset, Split(train, NOTHING, held_out, (), seed), smaller, seed=seed)
        arrays = training_arrays(dataset, train), training_arrays(dataset, NOTHING)
        control = TrainingControl(on_progress=partial(on_progress, fold))
        fit(net, *arrays, smaller, seed=seed, compute=compute, control=control)
        return predict_images(net, training_arrays(dataset, held_out)[0])

    return fit_predict
