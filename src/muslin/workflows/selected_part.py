"""The part of a data set that a model is evaluated on, and what of it the model has seen in training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from muslin.data.copies import copy_messages, leaked_into
from muslin.data.dataset import PARTS, Dataset, PixelImages, Split, indices_by_part
from muslin.data.photos import PhotoImages, ResizedPhotos, decode_photos, pixel_batches, readable_photos, resize_photos
from muslin.errors import RecipeError
from muslin.learn.networks import is_backbone
from muslin.learn.recipes import recipe_from_dict
from muslin.messages import Log, Message, no_log
from muslin.models.predictor import Predictor
from muslin.workflows.run_folder import split_for_recipe

MAX_LEAK_IMAGES = 100_000
"""Training and evaluated images among which near-copies are searched; more would take minutes."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SelectedPart:
    """A part of a data set.

    Attributes:
        part: its name; `all` for a whole data set.
        images: its images, as the model takes them.
        source: the data set that holds them, with every training image of the model that is known.
        chosen: int64, the indices of `images` in `source`.
        sets: per known part its indices in `source`, the training set first.
        drawn: whether muslin drew these parts.
    """

    part: str
    images: Dataset
    source: Dataset
    chosen: Indices
    sets: Mapping[str, Indices]
    drawn: bool = False

    @property
    def train(self) -> Indices | None:
        """The indices of the training images; None where they are not known, or are those evaluated on."""
        return None if self.part in ("train", "all") else self.sets.get("train")

    def copies(self) -> list[Message]:
        """See `muslin.data.copies.copy_messages`."""
        sets = self.sets if self.part == "all" and self.sets else {**self.sets, self.part: self.chosen}
        return copy_messages(self.source, sets, drawn=self.drawn)

    def leaked(self, log: Log = no_log) -> NDArray[np.bool_] | None:
        """Which of `images` are copies or near-copies of training images; None where these are not known.

        Of more than MAX_LEAK_IMAGES images only copies are found.
        """
        if self.train is None:
            return None
        copies = leaked_into(self.source, self.train, self.chosen)
        n = len(self.train) + len(self.chosen)
        if n > MAX_LEAK_IMAGES:
            log(Message("leak_search_skipped", limit=MAX_LEAK_IMAGES))
            return copies
        if n > 5_000:  # fewer take about a second
            log(Message("leak_search"))
        return np.asarray(copies | _near_copies(self.source, self.train, self.chosen))


def select_part(predictor: Predictor, dataset: Dataset, split: str, log: Log = no_log) -> SelectedPart:
    """The images that `split` (`train`, `validation`, `test` or `all`) means, as the model takes them.

    Data without parts that the model was trained on are split as in training, so that the test set holds no training
    image. Other data without parts are taken whole.

    Raises:
        DataError: the data set has no such part.
    """
    if dataset.parts is not None and split in PARTS:  # decodes no photo of another part
        images = to_model_input(predictor, dataset.part(split), log)
        place = {name: index for index, name in enumerate(dataset.ids)}
        chosen = np.array([place[name] for name in images.ids], dtype=np.int64)
        return SelectedPart(split, images, dataset, chosen, indices_by_part(dataset))
    dataset = to_model_input(predictor, dataset, log)
    given = {} if dataset.parts is None else indices_by_part(dataset)
    whole = SelectedPart("all", dataset, dataset, np.arange(len(dataset)), given)
    if split == "all":
        return whole
    if split not in PARTS:
        dataset.part(split)  # raises
    if (parts := training_split(predictor, dataset)) is None:
        return whole
    chosen, sets = getattr(parts, split), {part: getattr(parts, part) for part in PARTS}
    return SelectedPart(split, dataset.take(chosen), dataset, chosen, sets, drawn=True)


def to_model_input(predictor: Predictor, dataset: Dataset, log: Log = no_log) -> Dataset:
    """`dataset` with its photos as the model takes them; pixel images are unchanged."""
    preprocessing = predictor.bundle.preprocessing
    if isinstance(dataset.images, ResizedPhotos):
        return dataset
    if is_backbone(predictor.bundle.network.get("name")) and isinstance(dataset.images, PhotoImages):
        resized = resize_photos(dataset, preprocessing.shape, preprocessing.transform)
        assert isinstance(resized.images, ResizedPhotos)
        cached = replace(resized, images=resized.images.cached())  # read again to predict and to compare
        return readable_photos(cached, log=log)
    return decode_photos(dataset, preprocessing.shape, transform=preprocessing.transform, log=log)


def training_split(predictor: Predictor, dataset: Dataset) -> Split | None:
    """How training split a data set without parts; None for data that the model was not trained on."""
    record = predictor.bundle.provenance
    try:
        fingerprint, recipe = record["data"]["fingerprint"], recipe_from_dict(record["recipe"])
        seed = int(record["seed"])
    except (KeyError, TypeError, ValueError, RecipeError):  # not made by `muslin train`
        return None
    return split_for_recipe(dataset, recipe, seed) if fingerprint == dataset.fingerprint else None


def overlap_warning(predictor: Predictor, dataset: Dataset, selected: SelectedPart) -> Message | None:
    """A warning where the evaluated images were used in training.

    The data's fingerprint reveals it, or the golden images, which are training images, however the data are read and
    whatever was excluded from them.

    Args:
        dataset: as it was read.
    """
    trained_on = predictor.bundle.provenance.get("data")
    same = isinstance(trained_on, dict) and trained_on.get("fingerprint") == dataset.fingerprint
    if same and selected.part in ("train", "all"):
        return Message("evaluated_on_training")
    if not same or isinstance(selected.images.images, PixelImages):
        golden = {image.tobytes() for image in predictor.bundle.golden_pixels}
        found = set()
        for batch in pixel_batches(selected.images):
            found |= golden.intersection(image.tobytes() for image in batch)
        if len(found) > len(golden) / 2:
            return Message("evaluated_on_training")
    return Message("evaluated_on_validation") if same and selected.part == "validation" else None


def _near_copies(dataset: Dataset, train: Indices, chosen: Indices) -> NDArray[np.bool_]:
    """Whether each image at `chosen` is identical or nearly identical with one at `train`."""
    from muslin.data.audit.duplicates import find_duplicates
    from muslin.data.audit.image_stats import compute_image_stats

    both = dataset.take(np.concatenate([train, chosen]))
    copies = find_duplicates(both, compute_image_stats(both.images), no_log)
    # Only the first of identical images is in the pairs: `representative` is that of each image
    representative = np.arange(len(both))
    for group in copies.identical:
        representative[group] = group[0]
    is_train = np.zeros(len(both), dtype=np.bool_)
    is_train[representative[: len(train)]] = True
    one, other = copies.near_pairs.T
    leaked = is_train.copy()
    leaked[other[is_train[one]]] = leaked[one[is_train[other]]] = True
    return np.asarray(leaked[representative[len(train) :]])
