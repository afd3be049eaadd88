"""A trial on some of the images: whether a linear probe or a network from scratch is the better recipe for them.

The linear probe is cross-validated on a sample, whose features are kept. The network from scratch is trained for a
tenth of its steps on other images, and evaluated on the same sample. Learning curves, which are power laws (Hestness et
al., Deep learning scaling is predictable, empirically, 2017), give the accuracy of either after a whole training.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin import machine
from muslin.data import photos
from muslin.data.dataset import UNKNOWN, Dataset, Split
from muslin.data.folds import draw_sample, fold_numbers
from muslin.errors import TrainingError
from muslin.evaluation.intervals import Interval, mean_with_interval
from muslin.learn.batches import batch_size_for_few, steps_per_epoch, total_steps, with_min_steps
from muslin.learn.recipe_choice import RecipeChoice
from muslin.learn.recipes import LinearProbeRecipe, Recipe, SGDRecipe
from muslin.messages import Message
from muslin.text import short_interval
from muslin.workflows.expected_time import estimate_extraction_s
from muslin.workflows.run_folder import split_for_recipe
from muslin.workflows.training_data import Callbacks

SAMPLE_IMAGES = 300
"""Images on which both recipes are evaluated, at most; of fewer than three times as many, a third."""

MIN_SAMPLE = 20
"""With fewer no trial is made."""

FOLDS = 5

STEPS_FRACTION = 0.1
"""Of the steps from scratch, in the trial."""

TRIAL_STEPS = (20, 100)
"""The fewest and the most steps from scratch in the trial: some seconds."""

STEPS_EXPONENT = 0.25
"""Errors from scratch fall with the steps to the power of minus this: 42 % after 43 steps and 23 % after 435, of 900
photos of clothes at 64 px (0.27)."""

IMAGES_EXPONENT = 0.2
"""Errors of a linear probe fall with its images to the power of minus this: 21 % with 200 photos of clothes, 16 % with
800 (0.22), 11 % with 3,100 (0.24)."""

TOLERANCE = 0.02
"""Two recipes whose expected accuracies differ by less count as equally accurate, and the quicker is chosen."""

EXTRACTION_FRACTION = 0.85
"""Of a time budget, for extracting features, at most; the rest is for the head."""

MIN_BUDGET_S = 100
"""With a shorter time budget no trial is made, because it would take more than about a tenth of it."""


@dataclass(frozen=True)
class Trial:
    """How a recipe did.

    Attributes:
        recipe: the whole recipe.
        accuracy: share of the sample's labels that it predicted.
        interval: 95 %.
        expected: accuracy after a whole training, by the learning curve.
        expected_s: seconds of a whole training on this machine.
    """

    recipe: Recipe
    accuracy: float
    interval: Interval
    expected: float
    expected_s: float


def choose_by_trial(
    dataset: Dataset, choice: RecipeChoice, seed: int, budget_s: float | None, callbacks: Callbacks
) -> RecipeChoice:
    """The better of `choice.recipe`, from scratch, and `choice.alternative`; the quicker if they are as accurate.

    Of too few images, or where the time budget does not allow a trial, `choice` as it is. The draws depend on the seed
    alone; measured times decide between recipes that are as accurate.

    Args:
        dataset: photos, not yet decoded.

    Raises:
        StoppedError: `callbacks.should_stop` returned true.
    """
    probe, scratch = choice.alternative, choice.recipe
    assert probe is not None
    assert isinstance(scratch, SGDRecipe)
    train = split_for_recipe(dataset, scratch, seed).train
    sample, rest = draw_sample(dataset, train, min(SAMPLE_IMAGES, len(train) // 3), seed)
    if len(sample) < MIN_SAMPLE or not len(rest) or (budget_s is not None and budget_s < MIN_BUDGET_S):
        return choice
    started = time.perf_counter()
    extraction_s = estimate_extraction_s(dataset, probe, seed)
    if budget_s is not None and extraction_s > EXTRACTION_FRACTION * budget_s:
        return choice
    callbacks.log(Message("recipe_trial", recipes=[scratch.name, probe.name], n=len(sample)))
    try:
        first = _try_probe(dataset, sample, probe, len(train), extraction_s, seed, callbacks)
        second = _try_from_scratch(dataset, sample, rest, scratch, len(train), seed, callbacks)
    except TrainingError:  # such as a sample with one class
        return choice
    chosen, other = better(first, second)
    names = {"recipe": chosen.recipe.name, "other": other.recipe.name, "n": len(sample)}
    times = {"expected_s": chosen.expected_s, "other_s": other.expected_s, "trial_s": time.perf_counter() - started}
    reason = Message("recipe_by_trial", **names, **_described(chosen), **_described(other, "other_"), **times)
    return RecipeChoice(chosen.recipe, reason, chosen.expected_s)


def better(a: Trial, b: Trial) -> tuple[Trial, Trial]:
    """The better and the other: the more accurate, or the quicker where they differ by less than TOLERANCE."""
    by_time = abs(a.expected - b.expected) < TOLERANCE
    first = a.expected_s <= b.expected_s if by_time else a.expected > b.expected
    return (a, b) if first else (b, a)


def _described(trial: Trial, prefix: str = "") -> dict[str, Any]:
    values = {"accuracy": trial.accuracy, "interval": short_interval(trial.interval), "whole": trial.expected}
    return {f"{prefix}{name}": value for name, value in values.items()}


def _try_probe(
    dataset: Dataset,
    sample: NDArray[np.int64],
    probe: LinearProbeRecipe,
    n_train: int,
    extraction_s: float,
    seed: int,
    callbacks: Callbacks,
) -> Trial:
    """Cross-validation on the sample."""
    from muslin.learn.cross_val import cross_val_predict, fit_predict_heads
    from muslin.learn.modules import Net
    from muslin.learn.train import extract_features, network_for

    images = photos.resize_photos(dataset.take(sample), (probe.image_size, probe.image_size, 3))
    threads, log, should_stop = machine.physical_cores(), callbacks.log, callbacks.should_stop
    features, problems = extract_features(images, probe, seed=seed, threads=threads, log=log, should_stop=should_stop)
    readable = np.setdiff1d(np.arange(len(images)), list(problems))
    folds = np.full(len(images), -1)
    folds[readable], _ = fold_numbers(images, readable, FOLDS, seed)
    nothing = readable[:0]
    net = Net(network_for(images, Split(readable, nothing, nothing), probe), seed)
    started = time.perf_counter()
    fit_predict = fit_predict_heads(net, features, dict(images.labels), probe, should_stop=should_stop)
    predicted = {name: values[readable] for name, values in cross_val_predict(folds, fit_predict).items()}
    fits_s = (time.perf_counter() - started) * n_train / len(readable)  # as many folds calibrate
    n_fitted = len(readable) * (1 - 1 / FOLDS)
    growth = (n_train / n_fitted) ** -IMAGES_EXPONENT
    return _with_whole_training(probe, images.take(readable), predicted, growth, extraction_s + fits_s)


def _try_from_scratch(
    dataset: Dataset,
    sample: NDArray[np.int64],
    rest: NDArray[np.int64],
    recipe: SGDRecipe,
    n_train: int,
    seed: int,
    callbacks: Callbacks,
) -> Trial:
    """A tenth of the steps on other images than the sample."""
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import initial_network, predict_images, training_arrays
    from muslin.learn.training_loop import TrainingControl, fit

    whole = with_min_steps(recipe, n_train)
    assert isinstance(whole, SGDRecipe)
    full_steps = total_steps(n_train, whole)
    steps = min(full_steps, max(TRIAL_STEPS[0], min(TRIAL_STEPS[1], round(STEPS_FRACTION * full_steps))))
    used = np.random.default_rng(seed).permutation(rest)[: steps * whole.batch_size]
    size, started = (whole.image_size, whole.image_size, 3), time.perf_counter()
    trained, held_out = (photos.decode_photos(dataset.take(np.sort(i)), size) for i in (used, sample))
    decoding_s = (time.perf_counter() - started) * len(dataset) / (len(used) + len(sample))
    smaller = replace(
        whole, batch_size=min(whole.batch_size, batch_size_for_few(len(trained))), max_steps=steps, min_steps=0
    )
    smaller = replace(smaller, epochs=-(-steps // steps_per_epoch(len(trained), smaller)))
    train = np.arange(len(trained))
    net = initial_network(trained, Split(train, train[:0], train[:0]), smaller, seed=seed)
    arrays = training_arrays(trained, train), training_arrays(trained, train[:0])
    compute = choose_compute_settings()
    control = TrainingControl(should_stop=callbacks.should_stop)
    history = fit(net, *arrays, smaller, seed=seed, compute=compute, control=control)
    predicted = predict_images(net, training_arrays(held_out, np.arange(len(held_out)))[0])
    step_s = history[-1]["elapsed_s"] / steps * whole.batch_size / smaller.batch_size
    expected_s = decoding_s + step_s * full_steps
    return _with_whole_training(whole, held_out, predicted, (full_steps / steps) ** -STEPS_EXPONENT, expected_s)


def _with_whole_training(
    recipe: Recipe, dataset: Dataset, predicted: Mapping[str, NDArray[np.float32]], growth: float, expected_s: float
) -> Trial:
    accuracy, interval = mean_with_interval(_correctness(dataset, predicted), dataset.clusters)
    if accuracy is None:
        raise TrainingError("unlabelled", name=dataset.name, n=len(dataset))
    return Trial(recipe, accuracy, interval, 1 - (1 - accuracy) * growth, expected_s)


def _correctness(dataset: Dataset, predicted: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Per image the share of its known labels that are predicted; NaN without any."""
    correct = []
    for target in dataset.targets:
        labels, probabilities = dataset.labels[target.name], predicted[target.name]
        if target.kind == "multiclass":
            is_correct, labelled = (probabilities.argmax(axis=1) == labels)[:, None], (labels != UNKNOWN)[:, None]
        else:
            is_correct, labelled = (probabilities >= 0.5) == labels, labels != UNKNOWN
        correct.append(np.where(labelled, is_correct, np.nan).astype(np.float64))
    cells = np.concatenate(correct, axis=1)
    labelled = np.isfinite(cells)
    return np.where(labelled.any(axis=1), np.nansum(cells, axis=1) / np.maximum(labelled.sum(axis=1), 1), np.nan)
