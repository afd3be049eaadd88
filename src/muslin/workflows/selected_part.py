"""The part of a data set that a model is evaluated on, without the images that the model has seen."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.copies import copy_messages, leaked_into
from muslin.data.dataset import PARTS, Dataset, Split, indices_by_part
from muslin.data.photo_content import cache_name
from muslin.data.photos import PhotoImages
from muslin.errors import DataError
from muslin.learn.recipes import IMAGENET, RANDOM
from muslin.messages import Log, Message, no_log
from muslin.models.input_cache import DigestedPhotos
from muslin.models.predictor import Predictor
from muslin.models.seen_images import ImageDigests, ImageRole, digest_dataset
from muslin.storage.row_cache import RowCache
from muslin.workflows.model_input import to_model_input

MAX_LEAK_IMAGES = 100_000
"""Training and evaluated images among which near-copies are searched; more would take minutes."""

ROLE_OF_PART = {"train": ImageRole.TRAIN, "validation": ImageRole.VALIDATION, "test": ImageRole.NEW}

Indices = NDArray[np.int64]
Roles = NDArray[np.int8]
"""The ImageRole of each image, (n,)."""


@dataclass(frozen=True)
class SeenCounts:
    """How many of `n` images a model was trained and validated on, and whether it is evaluated on the others only."""

    n: int
    train: int
    validation: int
    set_aside: bool

    @classmethod
    def of(cls, roles: Roles, *, set_aside: bool) -> "SeenCounts":
        """The counts of these images."""
        train, validation = (int((roles == role).sum()) for role in (ImageRole.TRAIN, ImageRole.VALIDATION))
        return cls(len(roles), train, validation, set_aside)

    def message(self, model: str) -> Message | None:
        """The message for a person; None where the model has seen none of the images."""
        params = {"model": model, "n": self.n, "train": self.train, "validation": self.validation}
        if not (seen := self.train + self.validation):
            return None
        if self.set_aside:
            return Message("seen_images_set_aside", **params, seen=seen)
        return Message("evaluated_on_seen_images", **params)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class SelectedPart:
    """A part of a data set.

    Attributes:
        part: its name; `all` for a whole data set.
        images: its images, as the model takes them.
        source: the data set that holds them, with every training image of the model that is known.
        chosen: int64, the indices of `images` in `source`.
        sets: per known part its indices in `source`, the training set first.
        drawn: whether these parts are those that muslin drew for the model's training.
        seen: how many images of the part the model has seen; None where it does not say.
    """

    part: str
    images: Dataset
    source: Dataset
    chosen: Indices
    sets: Mapping[str, Indices]
    drawn: bool = False
    seen: SeenCounts | None = None

    @property
    def train(self) -> Indices | None:
        """The indices of the training images; None where they are not known, or are those evaluated on."""
        return None if self.part in ("train", "all") else self.sets.get("train")

    def messages(self, predictor: Predictor) -> list[Message]:
        """Messages about images that the model has seen, and about copies."""
        model = predictor.name
        seen = Message("seen_images_unknown", model=model) if self.seen is None else self.seen.message(model)
        weights = _weights_file(predictor)
        start = Message("seen_images_before", model=model, weights=weights) if weights and self.seen else None
        copies = copy_messages(self.source, self.sets or {self.part: self.chosen}, drawn=self.drawn)
        return [*filter(None, (seen, start)), *copies]

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
        both = self.source.take(np.concatenate([self.train, self.chosen]))
        search = _cached_near_copies if isinstance(self.images.images, DigestedPhotos) else _near_copies
        return np.asarray(copies | search(both, len(self.train)))


def select_part(
    predictor: Predictor, dataset: Dataset, split: str, log: Log = no_log, *, unseen: bool | None = None
) -> SelectedPart:
    """The images that `split` (`train`, `validation`, `test` or `all`) means, as the model takes them.

    In data without parts, the training and the validation set are the images that the model was trained and validated
    on, and the test set is all other images. Images that are not drawn at random are left out.

    Args:
        unseen: whether to set aside all images that the model was trained or validated on; by default for `test`.

    Raises:
        DataError: the data set has no such part, and the model does not say which images these are; the model has seen
            all of its images; or none is drawn at random.
    """
    unseen = split == "test" if unseen is None else unseen
    return _drawn_at_random(_select_part(predictor, dataset, split, log, unseen), log)


def _drawn_at_random(part: SelectedPart, log: Log) -> SelectedPart:
    """`part` without the images that only train, because they are no random sample; see `Dataset.is_random`."""
    is_random = part.images.is_random
    if is_random.all():
        return part
    if not is_random.any():
        raise DataError("no_random_images", dataset=part.images.name, part=part.part, n=len(is_random))
    log(Message("not_random_set_aside", n=int((~is_random).sum()), total=len(is_random)))
    return _take(part, np.flatnonzero(is_random))


def _select_part(predictor: Predictor, dataset: Dataset, split: str, log: Log, unseen: bool) -> SelectedPart:
    if dataset.parts is not None and split in PARTS:  # decodes no photo of another part
        images = to_model_input(predictor, dataset.part(split), log)
        place = {name: index for index, name in enumerate(dataset.ids)}
        chosen = np.array([place[name] for name in images.ids], dtype=np.int64)
        part = SelectedPart(split, images, dataset, chosen, indices_by_part(dataset))
        return _with_roles(part, image_roles(predictor, images), unseen)
    if split not in (*PARTS, "all"):
        dataset.part(split)  # raises
    images = to_model_input(predictor, dataset, log)
    sets = {} if images.parts is None else indices_by_part(images)
    part, roles = SelectedPart("all", images, images, np.arange(len(images)), sets), image_roles(predictor, images)
    if split == "all" or (split == "test" and (roles is None or not roles.any())):
        return _with_roles(part, roles, unseen)
    if roles is None:
        raise DataError("no_parts", dataset=dataset.name, part=split)
    sets = {name: np.flatnonzero(roles == role) for name, role in ROLE_OF_PART.items()}
    part = replace(part, part=split, sets=sets, drawn=True)
    if split == "test":
        return _with_roles(part, roles, unseen)
    if not len(sets[split]):
        raise DataError("no_parts", dataset=dataset.name, part=split)
    return _with_roles(_take(part, sets[split]), roles[sets[split]], unseen)


def _weights_file(predictor: Predictor) -> str | None:
    """The name of the file from whose weights the training started; None for those of ImageNet and random ones."""
    recipe = predictor.bundle.provenance.get("recipe")
    weights = recipe.get("weights") if isinstance(recipe, dict) else None
    return PurePath(weights).name if isinstance(weights, str) and weights not in (IMAGENET, RANDOM) else None


def image_roles(predictor: Predictor, images: Dataset) -> Roles | None:
    """What the model was given each image for; None where it does not say.

    Args:
        images: as the model takes them.
    """
    seen = predictor.bundle.seen_images
    return None if seen is None else seen.roles(digest_dataset(images))


def unseen_indices(name: str, roles: Roles) -> Indices:
    """The indices of new images.

    Args:
        name: of the data, for the error.

    Raises:
        DataError: none of the images is new.
    """
    counts, new = SeenCounts.of(roles, set_aside=True), np.flatnonzero(roles == ImageRole.NEW)
    if not len(new):
        raise DataError("all_images_seen", path=name, n=counts.n, train=counts.train, validation=counts.validation)
    return new


def without_copies(name: str, parts: Split, digests: ImageDigests) -> tuple[Split, dict[str, SeenCounts]]:
    """`parts` without the validation and test images that are in an earlier set too, and per set their counts.

    Args:
        name: of the data, for the error.
        digests: of all images.

    Raises:
        DataError: every image of a set is in an earlier one.
    """
    numbers = digests.view("<u8")[:, 0]
    counts: dict[str, SeenCounts] = {}

    def unseen(part: str, indices: Indices, validation: Indices) -> Indices:
        is_validation = np.isin(numbers[indices], numbers[validation])
        roles = np.where(is_validation, ImageRole.VALIDATION, ImageRole.NEW).astype(np.int8)
        roles[np.isin(numbers[indices], numbers[parts.train])] = ImageRole.TRAIN
        counts[part] = SeenCounts.of(roles, set_aside=True)
        return indices[unseen_indices(name, roles)] if roles.any() else indices

    validation = unseen("validation", parts.validation, parts.validation[:0])
    return replace(parts, validation=validation, test=unseen("test", parts.test, validation)), counts


def _with_roles(part: SelectedPart, roles: Roles | None, unseen: bool) -> SelectedPart:
    """`part` with the counts of its images, without those that the model has seen where `unseen` is set."""
    if roles is None:
        return part
    part = replace(part, seen=SeenCounts.of(roles, set_aside=unseen))
    return _take(part, unseen_indices(part.images.name, roles)) if unseen and roles.any() else part


def _take(part: SelectedPart, indices: Indices) -> SelectedPart:
    return replace(part, images=part.images.take(indices), chosen=part.chosen[indices])


def _cached_near_copies(both: Dataset, n_train: int) -> NDArray[np.bool_]:
    """As `_near_copies`, of photos. The answer for the same photos in the same order is cached."""
    images = both.images
    assert isinstance(images, PhotoImages)
    kind = [getattr(images, name, None) for name in ("size", "transform")]
    rows = RowCache(cache_name("near copies", *kind))
    digests = PhotoImages.digests(images)  # of files, also where copies are images with equal pixels
    key = hashlib.sha256(b"".join([repr((n_train, len(both))).encode(), *digests])).digest()
    if (row := rows.get(key)) is not None and len(row) == len(both) - n_train:
        return np.frombuffer(row, np.bool_)
    leaked = _near_copies(both, n_train)
    if PhotoImages.digests(replace(images, known_digests={})) == digests:  # no file has changed meanwhile
        rows.add(key, leaked.tobytes())
        rows.flush()
    return leaked


def _near_copies(both: Dataset, n_train: int) -> NDArray[np.bool_]:
    """Whether each image after the first `n_train` is identical or nearly identical with one of these."""
    from muslin.data.audit.duplicates import find_duplicates
    from muslin.data.audit.image_stats import compute_image_stats

    copies = find_duplicates(both, compute_image_stats(both.images), no_log)
    # Only the first of identical images is in the pairs: `representative` is that of each image
    representative = np.arange(len(both))
    for group in copies.identical:
        representative[group] = group[0]
    is_train = np.zeros(len(both), dtype=np.bool_)
    is_train[representative[:n_train]] = True
    one, other = copies.near_pairs.T
    leaked = is_train.copy()
    leaked[other[is_train[one]]] = leaked[one[is_train[other]]] = True
    return np.asarray(leaked[representative[n_train:]])
