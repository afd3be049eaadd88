"""The same image more than once: identical, nearly identical, in two parts, or under two labels."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, Sample, samples
from muslin.data.audit.image_checks import blank_indices
from muslin.data.audit.image_stats import ImageStats
from muslin.data.audit.near_duplicates import MAX_PAIRS, close_pairs
from muslin.data.copies import conflicting_labels
from muslin.data.dataset import Dataset
from muslin.messages import Log, Message

NEAR_DUPLICATE_DISTANCE_RATIO = 0.08
"""Images are near-duplicates if they are nearer than this fraction of the median distance between two images.

Measured on clothing-small: 400 photos scaled to 80 % and saved at JPEG quality 60 are at most 0.02 from the original,
while no two of its 3,781 photos are nearer than 0.135, except one pair that is the same photo twice. In Fashion-MNIST
it is 233 of 2,916, which includes all 54 pairs below 200 that are known in it.
"""

SAMPLED_PAIRS = 20_000
"""Random pairs from which the median distance is estimated."""

KEEP_ORDER = ("test", "validation", "train")
"""Of copies the one in the test set is kept, so that metrics stay comparable with others' on the same test set."""


@dataclass(frozen=True, eq=False)
class Duplicates:
    """The images that occur more than once.

    Attributes:
        identical: per set of identical images their int64 indices.
        near_pairs: int64 (pairs, 2), near-duplicates, nearest first. Of identical images only the first is compared;
            blank ones are not.
        distances: float64 (pairs,).
        median_distance: between two images of the data; NaN if there are none to compare.
        radius: distance below which images are near-duplicates.
        complete: whether `near_pairs` are all; False if the search ended at MAX_PAIRS.
        exclude: indices of the copies not to keep.
    """

    identical: list[NDArray[np.int64]]
    near_pairs: NDArray[np.int64]
    distances: NDArray[np.float64]
    median_distance: float
    radius: float
    complete: bool
    exclude: frozenset[int]

    @property
    def edges(self) -> NDArray[np.int64]:
        """int64 (edges, 2): pairs of copies, identical ones as a chain."""
        chains = [np.stack([group[:-1], group[1:]], axis=1) for group in self.identical]
        return np.concatenate([self.near_pairs, *chains])


def find_duplicates(dataset: Dataset, stats: ImageStats, log: Log) -> Duplicates:
    """All identical and all nearly identical images.

    Distances are Euclidean over the pixels if all images have one size of at most 64 px, else over thumbnails of
    32×32×3.
    """
    readable = stats.readable
    _, first, group_of = np.unique(stats.digests[readable], axis=0, return_index=True, return_inverse=True)
    by_group = np.argsort(group_of, kind="stable")
    counts = np.bincount(group_of, minlength=len(first))
    groups = np.split(readable[by_group], np.cumsum(counts)[:-1]) if len(readable) else []
    identical = [group for group in groups if len(group) > 1]

    compared = np.setdiff1d(readable[np.sort(first)], blank_indices(stats))
    median = median_distance(stats.thumbnails, compared)
    pairs, distances = np.empty((0, 2), dtype=np.int64), np.empty(0)
    if median > 0:
        pairs, distances = close_pairs(
            stats.thumbnails,
            NEAR_DUPLICATE_DISTANCE_RATIO * median,
            indices=compared,
            on_progress=lambda share: log(Message("audit_compared", share=share)),
        )
    complete, exclude = len(pairs) < MAX_PAIRS, _copies_to_exclude(dataset, identical, pairs)
    return Duplicates(identical, pairs, distances, median, NEAR_DUPLICATE_DISTANCE_RATIO * median, complete, exclude)


def median_distance(thumbnails: NDArray[np.uint8], indices: NDArray[np.int64]) -> float:
    """The median distance of 20,000 random pairs of the images at `indices`; NaN of fewer than two."""
    if len(indices) < 2:
        return float("nan")
    random = np.random.default_rng(0)
    one = random.integers(0, len(indices), SAMPLED_PAIRS)
    other = (one + random.integers(1, len(indices), SAMPLED_PAIRS)) % len(indices)
    distances = np.empty(SAMPLED_PAIRS)
    for start in range(0, SAMPLED_PAIRS, 1000):
        block = slice(start, start + 1000)
        difference = thumbnails[indices[one[block]]].astype(np.float32) - thumbnails[indices[other[block]]]
        distances[block] = np.sqrt((difference.reshape(len(difference), -1) ** 2).sum(axis=1))
    return float(np.median(distances))


def _copies_to_exclude(
    dataset: Dataset, identical: list[NDArray[np.int64]], near_pairs: NDArray[np.int64]
) -> frozenset[int]:
    """In KEEP_ORDER, an image is kept unless a copy of it is; of identical images one stands for all."""
    members = {int(group[0]): group.tolist() for group in identical}
    copies_of: dict[int, list[int]] = defaultdict(list, {first: [] for first in members})
    for one, other in near_pairs.tolist():
        copies_of[one].append(other)
        copies_of[other].append(one)

    def rank(index: int) -> tuple[int, int]:
        return (0 if dataset.parts is None else KEEP_ORDER.index(dataset.parts[index])), index

    best = {first: min(members.get(first, [first]), key=rank) for first in copies_of}
    kept: set[int] = set()
    for first in sorted(best, key=lambda first: rank(best[first])):
        if not any(copy in kept for copy in copies_of[first]):
            kept.add(first)
    everyone = {index for first in copies_of for index in members.get(first, [first])}
    return frozenset(everyone - {best[first] for first in kept})


def find_identical(dataset: Dataset, duplicates: Duplicates) -> Iterator[Finding]:
    """A finding for every set of images with identical pixels."""
    for group in duplicates.identical:
        copies = samples(dataset, group, duplicates.exclude)
        yield _copies_finding("identical", copies, float(len(group)), count=len(group))


def find_near(dataset: Dataset, duplicates: Duplicates) -> Iterator[Finding]:
    """A finding for every pair that is nearer than the radius, but not identical."""
    radius, median = duplicates.radius, duplicates.median_distance
    scale = {"radius": radius, "median": median, "fraction": NEAR_DUPLICATE_DISTANCE_RATIO}
    for pair, distance in zip(duplicates.near_pairs, duplicates.distances.tolist(), strict=True):
        copies = samples(dataset, pair, duplicates.exclude)
        yield _copies_finding("near_duplicate", copies, distance, distance=distance, **scale)


def find_label_conflicts(dataset: Dataset, duplicates: Duplicates) -> Iterator[Finding]:
    """Identical or nearly identical images whose known labels differ in some target."""
    groups = [(group, 0.0) for group in duplicates.identical]
    groups += zip(duplicates.near_pairs, duplicates.distances.tolist(), strict=True)
    for group, distance in groups:
        if labels := conflicting_labels(dataset, group):
            copies = samples(dataset, group, group.tolist())
            yield _copies_finding("label_conflict", copies, distance, distance=distance, labels=labels)


def _copies_finding(kind: str, copies: tuple[Sample, ...], score: float, **params: Any) -> Finding:
    """A finding about copies of one image, which advises which to keep."""
    parts = [part for part in reversed(KEEP_ORDER) if any(sample.part == part for sample in copies)]
    params["parts"] = parts if len(parts) > 1 else []
    copies, hint = tuple(sorted(copies, key=lambda sample: sample.exclude)), None
    if kind != "label_conflict":
        kept, hint = copies[0], "exclude_all" if copies[0].exclude else "keep_one"
        if not kept.exclude:
            excluded = sum(sample.exclude for sample in copies)
            params |= {"keep": kept.id, "keep_part": kept.part, "excluded": excluded}
    return Finding(kind, copies, score, Message(f"finding_{kind}", hint, **params), leak=len(parts) > 1)
