"""Cross-fitting of trained networks: one for each fold, which predicts the images that it was not trained on.

Each fold has its own checkpoint, so an interrupted run continues within a fold, and ends with the same predictions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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

History = list[dict[str, Any]]
"""Of a training, a row per epoch."""

NOTHING = np.array([], dtype=np.int64)


def all_but_test(parts: Split) -> Split:
    """The training and validation images as one training set, without a validation set."""
    return replace(parts, train=np.sort(np.concatenate([parts.train, parts.validation])), validation=NOTHING)


def draw_folds(data: TrainingData, n_folds: int, seed: int, log: Log = no_log) -> NDArray[np.int64]:
    """Per image its fold, int64 (n,); -1 in the test set.

    Raises:
        TrainingError: all images are in one group.
    """
    samples, folds = all_but_test(data.split).train, np.full(len(data.dataset), -1)
    folds[samples], notes = fold_numbers(data.dataset, samples, n_folds, seed, data.near_pairs)
    held_out = len(data.split.validation) or None
    log(Message("cross_fitting", n=len(samples), folds=int(folds.max()) + 1, held_out=held_out))
    for note in notes:
        log(note)
    return folds


@dataclass(frozen=True, eq=False)
class NetworkFolds:
    """What cross-fitting of networks gives.

    Attributes:
        calibration_set: out-of-fold predictions and OOD scores of all images but the test set.
        train_s: seconds of training.
        validation: per epoch the mean loss and accuracy of the folds' held-out images, as the keys `validation_…` of a
            row of the history.
    """

    calibration_set: CalibrationSet
    train_s: float
    validation: list[dict[str, Any]]


def cross_fit_networks(run: Run, record: Mapping[str, Any], data: TrainingData, callbacks: Callbacks) -> NetworkFolds:
    """Train a network for each fold on the other folds, and predict the fold with it.

    Raises:
        StoppedError, StorageError: the checkpoint of the fold is intact.
    """
    recipe, seed, dataset = recipes.recipe_from_dict(record["recipe"]), record["seed"], data.dataset
    folds = draw_folds(data, recipes.cross_fitting_folds(recipe), seed, callbacks.log)
    probabilities = {t.name: np.zeros((len(dataset), len(t.classes)), np.float32) for t in dataset.targets}
    scores, histories, n_folds = np.zeros(len(dataset), np.float32), [], int(folds.max()) + 1
    for fold in range(n_folds):
        held_out, fitted_to = np.flatnonzero(folds == fold), np.flatnonzero((folds >= 0) & (folds != fold))
        held_out = held_out[dataset.is_random[held_out]]  # the others calibrate nothing, and no metric is of them
        if not len(held_out):  # so its network would calibrate nothing either
            continue
        split = Split(fitted_to, held_out, NOTHING)
        on_progress = with_time_of_others(callbacks.on_progress, n_folds - fold - 1)
        fold_callbacks = replace(callbacks, on_progress=on_progress)
        net, history = _train_fold(run.fold_checkpoint(fold), record, data, split, fold_callbacks)
        histories.append(history)
        callbacks.log(_fold_message(fold, n_folds, histories))
        for name, values in _out_of_fold(net, dataset, split, scores, seed).items():
            probabilities[name][held_out] = values
    samples = data.can_calibrate(np.flatnonzero(folds >= 0))
    predicted = {name: values[samples] for name, values in probabilities.items()}
    train_s = sum(float(history[-1]["elapsed_s"]) for history in histories)
    return NetworkFolds(CalibrationSet(samples, predicted, scores[samples]), train_s, _mean_validation(histories))


def _fold_message(fold: int, n_folds: int, histories: list[History]) -> Message:
    last, spent_s = histories[-1][-1], sum(history[-1]["elapsed_s"] for history in histories)
    left_s = spent_s / len(histories) * (n_folds - fold - 1)
    metrics = {"accuracy": last["validation_accuracy"], "n": last["validation_images"]}
    return Message("fold_trained", fold=fold + 1, folds=n_folds, left_s=left_s or None, **metrics)


def _mean_validation(histories: list[History]) -> list[dict[str, Any]]:
    """Per epoch of the shortest history the mean over all held-out images."""
    rows = []
    for epoch in zip(*histories, strict=False):
        counts = [row["validation_images"] for row in epoch]
        mean: dict[str, Any] = {"validation_images": sum(counts), "out_of_fold": True}
        for name in ("validation_loss", "validation_accuracy"):
            known = [(row[name], n) for row, n in zip(epoch, counts, strict=True) if row[name] is not None and n]
            mean[name] = sum(value * n for value, n in known) / sum(n for _, n in known) if known else None
        rows.append(mean)
    return rows


def with_time_of_others(on_progress: OnProgress, others: int) -> OnProgress:
    """`on_progress` whose time left includes as many further trainings of the same length."""

    whole_s = 0.0

    def report(progress: "Progress") -> None:
        nonlocal whole_s
        if progress.share < 1:  # the last step tells nothing new
            whole_s = progress.left_s / (1 - progress.share)
        on_progress(replace(progress, left_s=progress.left_s + others * whole_s))

    return report


def _train_fold(
    path: Path, record: Mapping[str, Any], data: TrainingData, split: Split, callbacks: Callbacks
) -> tuple["Net", History]:
    """The network trained on the other folds, and its history; no row of it is reported, because the run's has none."""
    from muslin.learn.checkpoint import Checkpoint, has_steps
    from muslin.learn.torch_setup import ComputeSettings
    from muslin.learn.train import initial_network, training_arrays, validation_subset
    from muslin.learn.training_loop import TrainingControl, fit

    recipe, seed = recipes.recipe_from_dict(record["recipe"]), record["seed"]
    assert isinstance(recipe, SGDRecipe)
    recipe = replace(recipe, batch_size=min(recipe.batch_size, len(split.train)))
    checkpoint = Checkpoint(path, runs.planned_digest(record))
    features = None if has_steps(checkpoint) else data.features
    net = initial_network(data.dataset, split, recipe, seed=seed, features=features)
    train, validation = (training_arrays(data.dataset, i) for i in (split.train, validation_subset(split)))

    def on_progress(progress: "Progress") -> None:
        callbacks.on_progress(replace(progress, row=None))

    control = TrainingControl(checkpoint, on_progress, callbacks.should_stop)
    compute = ComputeSettings(**record["compute"])
    history = fit(net, train, validation, recipe, seed=seed, compute=compute, control=control)
    return net, history


def _out_of_fold(
    net: "Net", dataset: Dataset, split: Split, scores: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.float32]]:
    """The predictions for the held-out images; their OOD scores, by its detector, are written to `scores`."""
    from muslin.learn.train import image_features, predict_images, training_arrays

    held_out = split.validation
    reference = np.sort(np.random.default_rng(seed).permutation(split.train)[:MAX_REFERENCE_IMAGES])
    rows = [image_features(net, training_arrays(dataset, chosen)[0]) for chosen in (reference, held_out)]
    detector = fit_ood_detector(*rows)
    if detector is not None:
        scores[held_out] = detector.ood_score(rows[1])
    return predict_images(net, training_arrays(dataset, held_out)[0])
