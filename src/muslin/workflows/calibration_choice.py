"""What calibrates a model: out-of-fold predictions of all images but the test set, or the validation set alone.

A linear probe always has folds, because each takes seconds. A network has them where the user names a number, or where
a time budget allows as many trainings more and the validation set is small; see docs/how-to/time-budget.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from muslin.data.copies import units_of
from muslin.learn.recipes import LinearProbeRecipe, Recipe, SGDRecipe
from muslin.messages import Message
from muslin.workflows.expected_time import measure_train_s
from muslin.workflows.network_folds import all_but_test
from muslin.workflows.training_data import TrainingData

FOLDS = 5

ENOUGH_IMAGES = 1_000
"""Independent validation images, groups or products with which folds are not chosen: at a precision of 95 %, a model
that is 91 % accurate accepted 0.89 of what an oracle could with 300 of them, 0.95 with 1,000 and 0.97 with 3,000
(benchmarks/plain_bound.py)."""


@dataclass(frozen=True)
class FoldsChoice:
    """The number of folds, 0 for none, and why."""

    folds: int
    reason: Message | None


def choose_folds(budget_s: float, data: TrainingData, recipe: SGDRecipe) -> FoldsChoice:
    """FOLDS if the validation set is small and 1 + FOLDS trainings of the whole `recipe` fit the time budget.

    Args:
        recipe: the quickest that may be chosen.
    """
    dataset, split, n_images = data.dataset, data.split, len(data.split.validation)
    counts = {"n": n_images, "folds": FOLDS, "total": len(split.train) + n_images}
    if dataset.parts is not None and "validation" in dataset.parts:
        return FoldsChoice(0, Message("validation_set_given", **counts))
    if _has_enough(data):
        return FoldsChoice(0, Message("folds_not_needed", **counts))
    if not _can_be_divided(data):
        return FoldsChoice(0, None)
    needed_s = (1 + FOLDS) * measure_train_s(dataset, split, recipe)
    if needed_s > budget_s:
        return FoldsChoice(0, Message("folds_over_budget", **counts, trainings=1 + FOLDS, needed_s=needed_s))
    return FoldsChoice(FOLDS, Message("folds_within_budget", **counts))


def calibration_without_folds(recipe: Recipe, data: TrainingData, train_s: float) -> Message:
    """What calibrates a model without folds, and how to have folds.

    Args:
        train_s: seconds that the training took, without extracting features, which folds share.
    """
    n_images = len(data.split.validation)
    hint = "groups" if not _can_be_divided(data) else "enough" if _has_enough(data) else "folds"
    params: dict[str, Any] = {"folds": FOLDS, "total": len(data.split.train) + n_images, "more_s": FOLDS * train_s}
    if isinstance(recipe, LinearProbeRecipe):
        params["more_s"] = None  # seconds
        hint = "tta_flip" if recipe.tta_flip and hint != "groups" else hint
    if not n_images:
        return Message("not_calibrated", hint, **params)
    clusters = data.dataset.clusters
    groups = None if clusters is None else len(np.unique(clusters[data.split.validation]))
    counted = "groups" if data.dataset.products is None or data.dataset.groups is not None else "in_products"
    return Message("calibrating_on_validation_set", hint, n=n_images, **{counted: groups}, **params)


def _has_enough(data: TrainingData) -> bool:
    """Whether the validation set has enough independent images, groups or products: folds gain little."""
    validation = data.split.validation
    return len(validation) >= ENOUGH_IMAGES and len(np.unique(units_of(data.dataset, validation))) >= ENOUGH_IMAGES


def _can_be_divided(data: TrainingData) -> bool:
    """Whether the images that are not in the test set are in more than one group."""
    return len(np.unique(units_of(data.dataset, all_but_test(data.split).train, data.near_pairs))) > 1
