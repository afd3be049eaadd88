"""Settings that would have no effect on the data at hand are refused, not ignored."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from muslin.data.dataset import Dataset
from muslin.data.photos import MAX_UNREADABLE, PhotoImages
from muslin.errors import TrainingError

MULTICLASS_SETTINGS = frozenset({"activation", "label_smoothing"})
"""Settings that no multilabel target reads."""


def check_settings_used(dataset: Dataset, settings: Mapping[str, Any], max_unreadable: float = MAX_UNREADABLE) -> None:
    """Refuse settings that would have no effect on `dataset`.

    Args:
        settings: those that the user changes, by name; the recipe reads all of them.
        max_unreadable: the largest share of unreadable photos, in 0..1.

    Raises:
        TrainingError: `dataset` comes with the parts that a setting would draw, has pixels where a setting is for
            photos, or has multilabel targets alone where a setting is for others.
    """
    if not isinstance(dataset.images, PhotoImages):
        photo_options = {"max_unreadable"} if max_unreadable != MAX_UNREADABLE else set()
        _refuse({"image_size"} & settings.keys() | photo_options, "pixels", dataset)
    given = set() if dataset.parts is None else set(np.unique(dataset.parts.astype(str)).tolist())
    drawn: set[str] = {"validation_fraction"} if "validation" in given else set()
    if {"validation", "test"} <= given:
        drawn |= {"stratified", "split_seed"}
    _refuse(drawn & settings.keys(), "parts", dataset)
    kinds = {target.kind for target in dataset.targets}
    if kinds == {"multilabel"}:
        _refuse(MULTICLASS_SETTINGS & settings.keys(), "multilabel", dataset)
    if dataset.targets and dataset.targets[0].kind == "multilabel":  # the draws follow the first target
        _refuse({"stratified"} & settings.keys(), "multilabel", dataset)


def _refuse(names: Collection[str], reason: str, dataset: Dataset) -> None:
    if names:
        raise TrainingError("settings_without_effect", reason, name=dataset.name, settings=sorted(names))
