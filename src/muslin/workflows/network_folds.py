"""Cross-fitting of trained networks: one for each fold, which predicts the images that it was not trained on.

Each fold has its own checkpoint, so an interrupted run continues within a fold, and ends with the same predictions.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split
from muslin.data.folds import fold_numbers
from muslin.evaluation.ood import MAX_REFERENCE_IMAGES, fit_ood_detector
from muslin.learn import recipes
from muslin.learn.recipes import SGDRecipe
from muslin.messages import Log, Message, no_log
from muslin.workflows import run_folder as runs
from muslin.workflows.calibrate import CalibrationSet
from muslin.workflows.run_folder import Run
from muslin.workflows.training_data import Callbacks, OnProgress, TrainingData

if TYPE_CHECKING:
    from muslin.learn.modules import Net
    from muslin.learn.training_loop import Progress

NOTHING = np.array([], dtype=np.int64)


def all_but_test(parts: Split) -> Split:
    """The training and validation images as one training set, without a validation set."""
    return replace(parts, train=np.sort(np.concatenate([parts.train, parts.validation])), validation=NOTHING)


def network_fold_numbers(
    dataset: Dataset, parts: Split, recipe: SGDRecipe, seed: int, log: Log = no_log
) -> NDArray[np.int64]:
    """Per image its fold, int64 (n,); -1 in the test set.

    Raises:
        TrainingError: all images are in one group.
    """
    samples, folds = all_but_test(parts).train, np.full(len(dataset), -1)
    folds[samples], notes = fold_numbers(dataset, samples, recipe.folds, seed)
    log(Message("cross_fitting", n=len(samples), folds=int(folds.max()) + 1))
    for note in notes:
        log(note)
    return folds


def cross_fit_networks(
    run: Run, record: Mapping[str, Any], data: TrainingData, callbacks: Callbacks
) -> tuple[CalibrationSet, float]:
    """Out-of-fold predictions and OOD scores of all images but the test set; and the seconds that they took.

    Raises:
        StoppedError, StorageError: the checkpoint of the fold is intact.
    """
    recipe, seed = recipes.recipe_from_dict(record["recipe"]), record["seed"]
    assert isinstance(recipe, SGDRecipe)
    dataset, parts = data.dataset, data.split
    folds = network_fold_numbers(dataset, parts, recipe, seed, callbacks.log)
    probabilities = {t.name: np.zeros((len(dataset), len(t.classes)), np.float32) for t in dataset.targets}
    scores, seconds, n_folds = np.zeros(len(dataset), np.float32), 0.0, int(folds.max()) + 1
    for fold in range(n_folds):
        callbacks.log(Message("fold_training", fold=fold + 1, folds=n_folds))
        held_out, fitted_to = np.flatnonzero(folds == fold), np.flatnonzero((folds >= 0) & (folds != fold))
        on_progress = with_time_of_others(callbacks.on_progress, n_folds - fold - 1)
        fold_callbacks = replace(callbacks, on_progress=on_progress)
        net, fold_s = _train_fold(run.fold_checkpoint(fold), record, data, fitted_to, fold_callbacks)
        seconds += fold_s
        for name, values in _out_of_fold(net, dataset, fitted_to, held_out, scores, seed).items():
            probabilities[name][held_out] = values
    samples = np.flatnonzero(folds >= 0)
    predicted = {name: values[samples] for name, values in probabilities.items()}
    return CalibrationSet(samples, predicted, scores[samples]), seconds


def with_time_of_others(on_progress: OnProgress, others: int) -> OnProgress:
    """`on_progress` whose time left includes as many further trainings of the same length."""

    whole_s = 0.0

    def report(progress: "Progress") -> None:
        nonlocal whole_s
        steps, done = progress.epochs * progress.steps, (progress.epoch - 1) * progress.steps + progress.step
        if progress.left_s > 0:  # else the last step, which tells nothing new
            whole_s = progress.left_s * steps / max(steps - done, 1)
        on_progress(replace(progress, left_s=progress.left_s + others * whole_s))

    return report


def _train_fold(
    path: Path, record: Mapping[str, Any], data: TrainingData, fitted_to: NDArray[np.int64], callbacks: Callbacks
) -> tuple["Net", float]:
    from muslin.learn.checkpoint import Checkpoint, has_steps
    from muslin.learn.torch_setup import ComputeSettings
    from muslin.learn.train import initial_network, training_arrays
    from muslin.learn.training_loop import fit

    recipe, seed = recipes.recipe_from_dict(record["recipe"]), record["seed"]
    assert isinstance(recipe, SGDRecipe)
    recipe = replace(recipe, batch_size=min(recipe.batch_size, len(fitted_to)))
    checkpoint = Checkpoint(path, runs.planned_digest(record))
    features = None if has_steps(checkpoint) else data.features
    split = Split(fitted_to, NOTHING, NOTHING)
    net = initial_network(data.dataset, split, recipe, seed=seed, features=features)
    history = fit(
        net,
        training_arrays(data.dataset, fitted_to),
        training_arrays(data.dataset, NOTHING),
        recipe,
        seed=seed,
        compute=ComputeSettings(**record["compute"]),
        checkpoint=checkpoint,
        on_progress=callbacks.on_progress,
        should_stop=callbacks.should_stop,
    )
    return net, float(history[-1]["elapsed_s"])


def _out_of_fold(
    net: "Net",
    dataset: Dataset,
    fitted_to: NDArray[np.int64],
    held_out: NDArray[np.int64],
    scores: NDArray[np.float32],
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """The predictions for `held_out`; its OOD scores, by a detector of this network, are written to `scores`."""
    from muslin.learn.train import image_features, predict_images, training_arrays

    reference = np.sort(np.random.default_rng(seed).permutation(fitted_to)[:MAX_REFERENCE_IMAGES])
    rows = [image_features(net, training_arrays(dataset, chosen)[0]) for chosen in (reference, held_out)]
    detector = fit_ood_detector(*rows)
    if detector is not None:
        scores[held_out] = detector.ood_score(rows[1])
    return predict_images(net, training_arrays(dataset, held_out)[0])
