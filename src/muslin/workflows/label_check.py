"""Out-of-fold probabilities of every label: what the audit checks labels with.

Of photos for which training would take a linear probe on a pretrained backbone, the features are extracted once, kept
in the cache that training uses, and linear heads are fitted to them. Otherwise small networks are trained on
thumbnails.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muslin import machine
from muslin.data import photos
from muslin.data.audit import labels
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages
from muslin.data.folds import fold_numbers
from muslin.data.photos import PhotoImages
from muslin.errors import TrainingError
from muslin.extras import require_extra
from muslin.learn.recipe_choice import choose_recipe
from muslin.learn.recipes import LinearProbeRecipe, recipe, recipe_network
from muslin.messages import Log, Message

if TYPE_CHECKING:
    from muslin.data.audit.checks import AuditContext
    from muslin.learn.training_loop import Progress

Masks = Mapping[str, NDArray[np.bool_]]
"""Per target with labels to check: which ones, (n,), or (n, classes) of several labels an image."""


def check_labels(context: "AuditContext", seed: int, log: Log) -> "AuditContext":
    """`context` with the out-of-fold probabilities of its labels, and which of these can be wrong.

    Raises:
        MissingPartError: what training needs is not installed.
        TrainingError: too few labels, or images too few to train on.
        RecipeError: the images are too small for a network.
    """
    dataset, masks = context.dataset, _labels_to_check(context)
    require_extra("train")
    targets = tuple(target for target in dataset.targets if target.name in masks)
    masked = {name: np.where(mask, dataset.labels[name], UNKNOWN) for name, mask in masks.items()}
    known = replace(dataset, targets=targets, labels=masked)
    probe = _probe_recipe(dataset)
    folds = _folds(context, known, seed, log)
    if probe:
        probabilities = _probabilities_of_probe(known, folds, probe, seed, log)
        context = replace(context, label_models=probe.network)
    else:
        probabilities = _probabilities_of_networks(context, known, folds, seed, log)
    for name, mask in masks.items():
        probabilities[name][~mask] = np.nan
    errors = {t.name: labels.find_label_errors(t, dataset.labels[t.name], probabilities[t.name]) for t in targets}
    return replace(context, probabilities=probabilities, label_errors=errors)


def _labels_to_check(context: "AuditContext") -> Masks:
    dataset, masks = context.dataset, {}
    readable = context.stats.sizes[:, 0] > 0
    for target in dataset.targets:
        mask = labels.checkable(target, dataset.labels[target.name])
        mask &= readable[:, np.newaxis] if mask.ndim == 2 else readable
        checked = dataset.labels[target.name][mask]
        if len(checked) and (mask.ndim == 2 or len(np.unique(checked)) > 1):
            masks[target.name] = mask
    if not masks:
        raise TrainingError("audit_too_few_labels", minimum=labels.MIN_PER_CLASS)
    return masks


def _folds(context: "AuditContext", known: Dataset, seed: int, log: Log) -> NDArray[np.int64]:
    """The fold of each image, int64 (n,); -1 without a label to check. Groups, copies, near-duplicates stay together.

    Args:
        known: the data set with the labels to check, and no others.
    """
    is_known = [values != UNKNOWN for values in known.labels.values()]
    checked = np.flatnonzero(np.any([k.any(axis=1) if k.ndim == 2 else k for k in is_known], axis=0))
    folds = np.full(len(known), -1)
    folds[checked], notes = fold_numbers(known, checked, labels.N_FOLDS, seed, context.duplicates.edges)
    for note in notes:
        log(note)
    return folds


def _probe_recipe(dataset: Dataset) -> LinearProbeRecipe | None:
    """The recipe of the linear probe, if training chooses one for these images."""
    if not isinstance(dataset.images, PhotoImages):
        return None
    chosen = choose_recipe(dataset, len(dataset), {}).recipe
    return chosen if isinstance(chosen, LinearProbeRecipe) else None


def _probabilities_of_probe(
    dataset: Dataset, folds: NDArray[np.int64], probe: LinearProbeRecipe, seed: int, log: Log
) -> dict[str, NDArray[np.float32]]:
    from muslin.learn.cross_val import cross_val_predict, fit_predict_heads
    from muslin.learn.modules import Net
    from muslin.learn.train import extract_features

    size = (probe.image_size, probe.image_size, 3)
    resized = photos.resize_photos(dataset, size)
    features, problems = extract_features(resized, probe, seed=seed, threads=machine.physical_cores(), log=log)
    folds[list(problems)] = -1  # readable while the images were decoded, and no longer
    net = Net(recipe_network(probe, size, dataset.targets), seed)
    return cross_val_predict(folds, fit_predict_heads(net, features, dict(dataset.labels), probe))


def _probabilities_of_networks(
    context: "AuditContext", dataset: Dataset, folds: NDArray[np.int64], seed: int, log: Log
) -> dict[str, NDArray[np.float32]]:
    from muslin.learn.cross_val import cross_val_predict, fit_predict_network
    from muslin.learn.torch_setup import choose_compute_settings

    def log_share(fold: int, progress: "Progress") -> None:
        count = int(folds.max()) + 1
        share = (fold + progress.share) / count
        log(Message("audit_network_trained", number=fold + 1, count=count, trained=progress.share, share=share))

    thumbnails = replace(dataset, images=PixelImages(context.stats.thumbnails))
    quick, compute = recipe("quick", validation_fraction=0), choose_compute_settings()
    fit_predict = fit_predict_network(thumbnails, quick, seed=seed, compute=compute, on_progress=log_share)
    return cross_val_predict(folds, fit_predict)
