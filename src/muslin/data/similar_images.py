"""Images that are nearly the same, or very similar, on both sides of a split: accuracy on them says little of new ones.

Photos whose features a backbone has given are compared by these: standardised, and by the cosine. Measured with
EfficientNet-lite2 on clothing-small: saved again at 80 % and JPEG quality 60 the cosine is 0.94 and more for 9 of 10
photos, mirrored 0.87, without a twentieth of each edge 0.84; of 7 million pairs of its photos two have more than 0.9,
one of which is the same photo twice. Images in memory are compared by their pixels, as in the audit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.duplicates import NEAR_DUPLICATE_DISTANCE_RATIO, median_distance
from muslin.data.audit.near_duplicates import close_pairs
from muslin.data.copies import unit_numbers
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages
from muslin.messages import Message, examples

MAX_IMAGES = 20_000
"""Images that are compared: 10,000 of Fashion-MNIST take 1.7 s of processor time, all 70,000 of them 7 s, for 19 pairs
that are in two parts. More are not compared; the audit does it."""

MAX_VALUES = 65_536
"""Of an image in memory that is compared."""

NEAR_DUPLICATE_COSINE = 0.9
"""Between standardised features; see above."""

MAX_UNIT_SHARE = 0.02
"""Near-duplicates that are more of all images than this, linked with each other, are not kept together: such images,
drawings for instance, are alike because of their kind."""

VERY_SIMILAR = 0.35
"""An image is very similar to another if their distance (1 - cosine) is below this share of the median distance of two
training images of one class. Of the test photos of clothing-small 15 % have such a training photo, of crops of 400
photographed surfaces 54 % if they are drawn at random, and 1 % if surfaces are kept together."""

MAX_USUAL = 0.25
"""Share of test images with a very similar training image up to which there is no warning."""

SAMPLED_PAIRS = 20_000
MAX_COMPARED = 2_000
"""Test images whose training images are compared."""

QUANTUM = 1 / 400
"""Features are rounded to multiples of this, so that the same pairs are found on each machine."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageVectors:
    """What images are compared by.

    Attributes:
        near_pairs: int64 (pairs, 2), near-duplicates, as indices of images.
        features: float32 (images, width), of length 1; None of images in memory.
    """

    near_pairs: Indices
    features: NDArray[np.float32] | None = None


def vectors_of_features(features: NDArray[np.float32]) -> ImageVectors:
    """Of images by the features of a backbone, float32 (images, width)."""
    spread = features.std(axis=0)
    unit = (features - features.mean(axis=0)) / np.maximum(spread, max(1e-3 * float(spread.max(initial=0)), 1e-30))
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-30)
    rounded = np.clip(np.round(unit / QUANTUM) + 128, 0, 255).astype(np.uint8)
    radius = np.sqrt(2 * (1 - NEAR_DUPLICATE_COSINE)) / QUANTUM
    return ImageVectors(close_pairs(rounded, float(radius))[0], unit)


def vectors_of_pixels(dataset: Dataset) -> ImageVectors | None:
    """Of images in memory; None of others, and of too many or too large ones."""
    images = dataset.images
    if not isinstance(images, PixelImages) or len(images) > MAX_IMAGES or images.pixels[:1].size > MAX_VALUES:
        return None
    distinct = np.unique(dataset.first_copies)
    radius = NEAR_DUPLICATE_DISTANCE_RATIO * median_distance(images.pixels, distinct)
    if not radius > 0:
        return None
    return ImageVectors(close_pairs(images.pixels, radius, indices=distinct)[0])


def pairs_to_keep_together(near_pairs: Indices, count: int) -> Indices:
    """The near-duplicates without those that link more than MAX_UNIT_SHARE of the `count` images; at least two."""
    units = unit_numbers(count, near_pairs)
    sizes = np.bincount(units, minlength=1)
    return near_pairs[sizes[units[near_pairs[:, 0]]] <= max(2, MAX_UNIT_SHARE * count)]


def similarity_messages(
    dataset: Dataset, vectors: ImageVectors, sets: Mapping[str, Indices], kept_together: Indices | None
) -> list[Message]:
    """What a person must know: near-duplicates in two parts, or kept together, and very similar test images.

    Args:
        sets: per part its indices: train, validation, test.
        kept_together: the near-duplicates that the draw of the parts did not separate.
    """
    part_of = np.full(len(dataset), "", dtype=object)
    for part, indices in sets.items():
        part_of[indices] = part
    pairs = vectors.near_pairs
    pairs = pairs[dataset.first_copies[pairs[:, 0]] != dataset.first_copies[pairs[:, 1]]]
    messages = []
    if kept_together is not None and len(kept_together):
        messages.append(Message("near_duplicates_kept_together", n=len(np.unique(kept_together))))
    for part, others in (("validation", ["train"]), ("test", ["train", "validation"])):
        both = np.concatenate([pairs, pairs[:, ::-1]])
        leaked = both[(part_of[both[:, 0]] == part) & np.isin(part_of[both[:, 1]], others), 0]
        if len(leaked):
            names = examples(map(str, dataset.ids[np.unique(leaked)]))
            hint = "by_group" if _is_ungrouped(dataset) else "exclude"
            messages.append(Message("near_duplicates_in_two_parts", hint, part=part, **names))
    if vectors.features is not None and len(sets["test"]) and len(sets["train"]) > 1:
        messages += _similar_test_images(dataset, vectors.features, sets)
    return messages


def _similar_test_images(dataset: Dataset, features: NDArray[np.float32], sets: Mapping[str, Indices]) -> list[Message]:
    train, test = np.concatenate([sets["train"], sets["validation"]]), sets["test"]
    test = test[np.linspace(0, len(test) - 1, min(len(test), MAX_COMPARED)).astype(np.int64)]
    nearest = np.concatenate([(features[block] @ features[train].T).max(axis=1) for block in _blocks(test)])
    count = int(((1 - nearest) < VERY_SIMILAR * _usual_distance(dataset, features, train)).sum())
    if count <= MAX_USUAL * len(test):
        return []
    hint = "by_group" if _is_ungrouped(dataset) else "other_group"
    return [Message("test_images_similar", hint, n=len(test), similar=count, share=count / len(test))]


def _is_ungrouped(dataset: Dataset) -> bool:
    return dataset.groups is None and dataset.products is None


def _blocks(indices: Indices) -> list[Indices]:
    return np.array_split(indices, range(500, len(indices), 500))


def _usual_distance(dataset: Dataset, features: NDArray[np.float32], train: Indices) -> float:
    """The median distance of two training images of one class of the first multiclass target; else of any two."""
    random = np.random.default_rng(0)
    one, other = random.choice(train, SAMPLED_PAIRS), random.choice(train, SAMPLED_PAIRS)
    chosen = one != other
    for target in [target for target in dataset.targets if target.kind == "multiclass"][:1]:
        labels = dataset.labels[target.name]
        same = chosen & (labels[one] == labels[other]) & (labels[one] != UNKNOWN)
        chosen = same if same.any() else chosen
    return float(np.median(1 - (features[one[chosen]] * features[other[chosen]]).sum(axis=1)))
