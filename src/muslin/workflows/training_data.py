"""The data of a training: read, edited, decoded and split, without images that an earlier set has seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin import machine
from muslin.data import photos
from muslin.data.copies import copy_messages
from muslin.data.dataset import PARTS, Dataset, Split
from muslin.data.photos import ResizedPhotos
from muslin.data.similar_images import (
    MAX_IMAGES,
    ImageVectors,
    pairs_to_keep_together,
    similarity_messages,
    vectors_of_features,
    vectors_of_pixels,
)
from muslin.data.split import check_test_labels
from muslin.execution import Executor
from muslin.extras import require_extra
from muslin.learn.networks import is_backbone
from muslin.learn.recipes import FineTuneRecipe, LinearProbeRecipe, PretrainedRecipe, Recipe, SGDRecipe
from muslin.messages import Log, Message, no_log
from muslin.models.seen_images import ImageDigests, digest_dataset
from muslin.workflows.run_folder import split_for_recipe
from muslin.workflows.selected_part import SeenCounts, without_copies
from muslin.workflows.start_model import StartModel, open_start_model, without_start_images
from muslin.workflows.work_time import ExecutorNotes, here_and_there

if TYPE_CHECKING:
    from muslin.learn.features import Features
    from muslin.learn.training_loop import Progress

OnProgress = Callable[["Progress"], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Callbacks:
    """Who is told, when training stops, and who helps.

    Attributes:
        log: called with a sentence now and then.
        on_progress: called after every step.
        should_stop: training stops cleanly once it returns true.
        executor: its workers extract the features of photos; None for this process.
    """

    log: Log = no_log
    on_progress: OnProgress = lambda progress: None
    should_stop: ShouldStop = lambda: False
    executor: Executor | None = None


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What training takes.

    Attributes:
        dataset: the readable images.
        split: the parts, without images of an earlier part.
        digests: of all images.
        seen: per part how many images were in an earlier one.
        features: of all images, from a frozen backbone.
        near_pairs: int64 (pairs, 2), near-duplicates that stay together, as indices into `dataset`.
        start: the model from which the training starts.
        trained_by_start: bool (n,): the images that it was trained on.
    """

    dataset: Dataset
    split: Split
    digests: ImageDigests
    seen: Mapping[str, SeenCounts]
    features: "Features | None" = None
    near_pairs: NDArray[np.int64] | None = None
    start: StartModel | None = None
    trained_by_start: NDArray[np.bool_] | None = None

    def can_calibrate(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the images that are drawn at random and that `start` was not trained on."""
        indices = indices[self.dataset.is_random[indices]]
        return indices if self.trained_by_start is None else indices[~self.trained_by_start[indices]]


def read_source(source: Mapping[str, Any], log: Log) -> Dataset:
    """The data of a run's `source`: `data`, `test` and `read_options`."""
    from muslin.data import read_and_log

    return read_and_log(source["data"], test=source["test"], log=log, **source["read_options"])


def prepare_data(
    dataset: Dataset, recipe: Recipe, seed: int, max_unreadable: float, callbacks: Callbacks
) -> TrainingData:
    """The images as the recipe takes them, without unreadable photos; and the features if it freezes a backbone.

    Copies in two sets, or with different labels, are logged and added to the data's `fixes`; and so are near-duplicates
    and test images that are very similar to training images. The validation and the test set lose images of earlier
    sets. Where the test set is drawn, near-duplicates by a backbone's features stay together.

    Raises:
        DataError: too many photos are unreadable, or every validation or test image is in an earlier set too.
        TrainingError: the labels cannot be trained on.
        StoppedError: as `muslin.learn.features.extract`.
    """
    from muslin.data import with_fixes

    size, log, features = (recipe.image_size, recipe.image_size, 3), callbacks.log, None
    start, trained_by_start = open_start_model(recipe, dataset.transform), None
    if not is_backbone(recipe.network):
        dataset = photos.decode_photos(dataset, size, max_unreadable=max_unreadable, log=log)
    else:
        dataset = photos.resize_photos(dataset, size)
        split_for_recipe(dataset, recipe, seed)  # faults of the labels are reported before photos are decoded
        if isinstance(recipe, SGDRecipe):
            assert isinstance(dataset.images, ResizedPhotos)
            dataset = replace(dataset, images=dataset.images.cached())  # every epoch decodes them
        if isinstance(recipe, LinearProbeRecipe) or (isinstance(recipe, FineTuneRecipe) and recipe.frozen_blocks > 0):
            dataset, features = _extract_features(dataset, recipe, seed, max_unreadable, callbacks)
        else:
            dataset = photos.readable_photos(dataset, max_unreadable=max_unreadable, log=log)
    vectors = _image_vectors(dataset, features)
    near_pairs = pairs_to_keep_together(vectors.near_pairs, len(dataset)) if vectors else None
    kept_together = near_pairs if features and not _has_test_part(dataset) else None
    parts = split_for_recipe(dataset, recipe, seed, kept_together)
    sets = {part: getattr(parts, part) for part in PARTS}
    messages = copy_messages(dataset, sets, drawn=parts.seed is not None)
    messages += similarity_messages(dataset, vectors, sets, kept_together) if vectors else []
    digests = digest_dataset(dataset) if features is None else features.image_digests
    if start:
        parts, trained_by_start, notes = without_start_images(start, dataset.name, parts, digests, recipe)
        messages += notes
    parts, seen = without_copies(dataset.name, parts, digests)
    check_test_labels(dataset, parts.test)
    for part, counts in seen.items():
        if n_seen := counts.train + counts.validation:
            messages.append(Message("part_images_set_aside", part=part, n=counts.n, seen=n_seen))
    dataset = with_fixes(dataset, messages, log)
    return TrainingData(dataset, parts, digests, seen, features, near_pairs, start, trained_by_start)


def _image_vectors(dataset: Dataset, features: "Features | None") -> ImageVectors | None:
    """What images are compared by; None where they are not, because they are too many or still to be decoded."""
    if features is None:
        return vectors_of_pixels(dataset)
    if len(features) > MAX_IMAGES:
        return None
    rows = np.empty((len(features), features.width), np.float32)
    for samples, block in features.blocks():
        rows[samples] = block
    return vectors_of_features(rows)


def _has_test_part(dataset: Dataset) -> bool:
    return dataset.parts is not None and bool((dataset.parts == "test").any())


def _extract_features(
    dataset: Dataset, recipe: PretrainedRecipe, seed: int, max_unreadable: float, callbacks: Callbacks
) -> tuple[Dataset, "Features"]:
    require_extra("train")
    from muslin.learn.train import extract_features

    threads, log, should_stop = machine.physical_cores(), callbacks.log, callbacks.should_stop
    if callbacks.executor is not None:
        _log_expected_extraction(dataset, recipe, seed, callbacks.executor, log)
    notes = ExecutorNotes(callbacks.executor, log)
    features, problems = extract_features(
        dataset, recipe, seed=seed, threads=threads, log=log, should_stop=should_stop, executor=callbacks.executor
    )
    notes.end()
    readable = np.setdiff1d(np.arange(len(dataset)), list(problems))
    return photos.exclude_unreadable(dataset, problems, max_unreadable, log), features.take(readable)


def _log_expected_extraction(
    dataset: Dataset, recipe: PretrainedRecipe, seed: int, executor: Executor, log: Log
) -> None:
    """Say how long the photos whose features are not cached take here and with the executor's workers."""
    from muslin.workflows.expected_time import estimate_extraction_s

    if here_s := estimate_extraction_s(dataset, recipe, seed):
        cores = machine.physical_cores()
        log(Message("extraction_expected", n=len(dataset), **here_and_there(here_s * cores, cores, executor)))
