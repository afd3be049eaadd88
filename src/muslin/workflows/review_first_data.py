"""The data that the first model of a review store was trained on, with that model's own test set."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from muslin.data.dataset import Dataset, align
from muslin.messages import Log
from muslin.models.predictor import Predictor
from muslin.models.seen_images import ImageRole
from muslin.review.store import Store
from muslin.workflows.model_input import open_with_cache, to_model_input
from muslin.workflows.selected_part import image_roles
from muslin.workflows.training_data import read_source
from muslin.workflows.training_plan import TrainOptions, edit_dataset

EDITING_OPTIONS = {"--exclude": "exclude", "--corrections": "corrections"}
"""Options of the command that trained the first model, which change its data."""


def first_model(store: Store) -> Predictor:
    """The model with which the store was made."""
    return open_with_cache(Predictor.open(store.open_model(store.promotions()[0].digest)))


def read_first_data(store: Store, predictor: Predictor, log: Log) -> Dataset | None:
    """The data that `predictor`, the store's first model, was trained on; None where the store does not know them.

    The parts are `train` and `test`. The test set is the one that came with the data; otherwise it is what the first
    model has not seen, so that the test set is the same one in each round.

    Raises:
        DataError: the data are no longer where they were, or have other classes.
    """
    if store.info.data is None:
        return None
    source = source_of(store.info.data)
    dataset = read_source(source, log)
    dataset, _, _ = edit_dataset(dataset, edits_of_first(store, predictor), log)
    dataset = align(dataset, predictor.targets)
    is_test = np.zeros(len(dataset), dtype=bool)
    if dataset.parts is not None and (dataset.parts == "test").any():
        is_test = dataset.parts == "test"
    elif predictor.bundle.seen_images is not None:
        images = to_model_input(predictor, dataset, log)
        roles = image_roles(predictor, images)
        new = images.ids[roles == ImageRole.NEW]
        is_test = np.isin(dataset.ids.astype(str), new.astype(str))
    return replace(dataset, parts=np.where(is_test, "test", "train").astype(object))


def source_of(data: Any) -> dict[str, Any]:
    """What a store records of the first data, as the `source` of a run: a path, or a mapping that can lack options."""
    given: Mapping[str, Any] = {"data": data} if isinstance(data, str) else data
    return {"test": None, "read_options": {}, **given}


def edits_of_first(store: Store, predictor: Predictor) -> TrainOptions:
    """The files that changed labels of the first data or left samples out: the copies in the run, if the store knows
    them, or else those that the command of `predictor`, the store's first model, names."""
    data = store.info.data
    if isinstance(data, Mapping) and data.keys() >= set(EDITING_OPTIONS.values()):
        copies = {name: data[name] and str(data[name]) for name in EDITING_OPTIONS.values()}
        return TrainOptions(**copies)  # type: ignore[arg-type]  # both take a path
    return edits_of(str(predictor.bundle.provenance.get("command", "")))


def edits_of(command: str) -> TrainOptions:
    """The options of a command `muslin train …` that change labels or leave samples out."""
    words = shlex.split(command)
    found = {EDITING_OPTIONS[a]: b for a, b in pairwise(words) if a in EDITING_OPTIONS}
    return TrainOptions(**found)  # type: ignore[arg-type]  # both take a path
