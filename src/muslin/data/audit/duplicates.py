"""The same image more than once: identical, nearly identical, in two parts, or under two labels."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, Sample, samples
from muslin.data.audit.image_checks import where_blank
from muslin.data.audit.image_stats import ImageStats
from muslin.data.audit.near_duplicates import PAIRS_MOST, close_pairs
from muslin.data.dataset import UNKNOWN, Dataset

NEAR_SHARE = 0.08
"""Nearly identical is what is nearer than this share of the usual distance between two images of these data.

Measured on clothing-small: 400 photos scaled to 80 % and saved at JPEG quality 60 are at most 0.02 from what they
were, while no two of its 3,781 photos are nearer than 0.135, except one pair that is the same photo twice. In
Fashion-MNIST it is 233 of 2,916, which takes in all 54 pairs below 200 that are known in it.
"""

PAIRS_DRAWN = 20_000
"""Random pairs from which the usual distance (their median) is taken."""

KEPT_FIRST = ("test", "validation", "train")
"""Of copies one is kept: the test's, so that figures stay comparable with others' on the same test part."""


@dataclass(frozen=True, eq=False)
class Copies:
    """Which images are there more than once.

    Attributes:
        identical: per image that is there more than once, int64 indices of all of them.
        pairs: int64 (pairs, 2), nearly identical images, nearest first; of identical ones only the first is
            compared, and blank ones are not.
        distances: float64 (pairs,).
        usual: median distance between two images of these data; NaN where there are none to compare.
        radius: distance below which images are nearly identical.
        complete: whether `pairs` are all; no where there were so many that the search was ended.
        leave_out: indices of the copies not to be kept.
    """

    identical: list[NDArray[np.int64]]
    pairs: NDArray[np.int64]
    distances: NDArray[np.float64]
    usual: float
    radius: float
    complete: bool
    leave_out: frozenset[int]

    @property
    def edges(self) -> NDArray[np.int64]:
        """int64 (edges, 2): who is a copy of whom, identical ones as a chain."""
        chains = [np.stack([group[:-1], group[1:]], axis=1) for group in self.identical]
        return np.concatenate([self.pairs, *chains])


def find_copies(dataset: Dataset, looked: ImageStats, log: Callable[[str], None]) -> Copies:
    """All identical and all nearly identical images.

    Distances are Euclidean over the pixels where all images are of one size of at most 64 px, and over
    copies of 32×32×3 otherwise.
    """
    readable = looked.readable
    _, first, which = np.unique(looked.digests[readable], axis=0, return_index=True, return_inverse=True)
    by_image = np.argsort(which, kind="stable")
    counts = np.bincount(which, minlength=len(first))
    groups = np.split(readable[by_image], np.cumsum(counts)[:-1]) if len(readable) else []
    identical = [group for group in groups if len(group) > 1]

    compared = np.setdiff1d(readable[np.sort(first)], where_blank(looked))
    usual = usual_distance(looked.copies, compared)
    pairs, distances = np.empty((0, 2), dtype=np.int64), np.empty(0)
    if usual > 0:
        pairs, distances = close_pairs(
            looked.copies,
            NEAR_SHARE * usual,
            indices=compared,
            most=PAIRS_MOST,
            log=lambda share: log(f"compared {100 * share:.0f} % of the images"),
        )
    complete = len(pairs) < PAIRS_MOST
    found = Copies(identical, pairs, distances, usual, NEAR_SHARE * usual, complete, frozenset())
    return replace(found, leave_out=_not_kept(dataset, found.edges))


def usual_distance(copies: NDArray[np.uint8], indices: NDArray[np.int64]) -> float:
    """The median distance of 20,000 pairs drawn at random from the images at `indices`; NaN of fewer than two."""
    if len(indices) < 2:
        return float("nan")
    random = np.random.default_rng(0)
    one = random.integers(0, len(indices), PAIRS_DRAWN)
    other = (one + random.integers(1, len(indices), PAIRS_DRAWN)) % len(indices)
    distances = np.empty(PAIRS_DRAWN)
    for start in range(0, PAIRS_DRAWN, 1000):
        part = slice(start, start + 1000)
        difference = copies[indices[one[part]]].astype(np.float32) - copies[indices[other[part]]]
        distances[part] = np.sqrt((difference.reshape(len(difference), -1) ** 2).sum(axis=1))
    return float(np.median(distances))


def _not_kept(dataset: Dataset, edges: NDArray[np.int64]) -> frozenset[int]:
    """Going through the parts in the order of KEPT_FIRST, whoever is a copy of one that is kept is not."""
    copies_of: dict[int, list[int]] = {}
    for one, other in edges.tolist():
        copies_of.setdefault(one, []).append(other)
        copies_of.setdefault(other, []).append(one)

    def rank(index: int) -> tuple[int, int]:
        return (0 if dataset.parts is None else KEPT_FIRST.index(dataset.parts[index])), index

    kept: set[int] = set()
    for index in sorted(copies_of, key=rank):
        if not any(copy in kept for copy in copies_of[index]):
            kept.add(index)
    return frozenset(set(copies_of) - kept)


def identical(dataset: Dataset, copies: Copies) -> list[Finding]:
    """A finding for every image that is there more than once, byte for byte."""
    findings = []
    for group in copies.identical:
        chosen = _kept_first(samples(dataset, group, copies.leave_out))
        leak, where = _across(chosen)
        findings.append(
            Finding(
                "identical",
                chosen,
                float(len(group)),
                f"{len(group):,} images are equal in every pixel{where}",
                _advice(chosen),
                leak,
            )
        )
    return findings


def near_duplicate(dataset: Dataset, copies: Copies) -> list[Finding]:
    """A finding for every pair that is nearer than the radius, but not identical."""
    findings = []
    for pair, distance in zip(copies.pairs, copies.distances, strict=True):
        chosen = _kept_first(samples(dataset, pair, copies.leave_out))
        leak, where = _across(chosen)
        findings.append(
            Finding(
                "near_duplicate",
                chosen,
                float(distance),
                f"{distance:.1f} apart{where}; usual here is {copies.usual:,.0f}, and below {copies.radius:,.0f} "
                f"({100 * NEAR_SHARE:.0f} % of that) counts as nearly identical",
                _advice(chosen),
                leak,
            )
        )
    return findings


def label_conflict(dataset: Dataset, copies: Copies) -> list[Finding]:
    """Identical or nearly identical images whose known labels differ in some target."""
    findings = []
    nearly = [(pair, float(distance)) for pair, distance in zip(copies.pairs, copies.distances, strict=True)]
    for group, distance in [*((group, 0.0) for group in copies.identical), *nearly]:
        if differ := _differing(dataset, group):
            chosen = samples(dataset, group, [int(i) for i in group])
            leak, where = _across(chosen)
            alike = "Equal in every pixel" if distance == 0 else f"Only {distance:.1f} apart"
            findings.append(
                Finding(
                    "label_conflict",
                    chosen,
                    distance,
                    f"{alike}{where}, but {'; '.join(differ)}",
                    "Correct the wrong label and keep one; leave all out until someone has decided.",
                    leak,
                )
            )
    return findings


def _differing(dataset: Dataset, indices: NDArray[np.int64]) -> list[str]:
    """Per target in which known labels at `indices` differ: `label is both coat and dress`."""
    sentences = []
    for target in dataset.targets:
        labels = dataset.labels[target.name][indices]
        if target.kind == "multilabel":
            yes, no = (labels == 1).any(axis=0), (labels == 0).any(axis=0)
            unsure = [target.classes[i] for i in np.flatnonzero(yes & no)]
            if unsure:
                sentences.append(f"{target.name} is and is not {', '.join(unsure[:5])}")
        else:
            names = [target.classes[i] for i in np.unique(labels[labels != UNKNOWN])]
            if len(names) > 1:
                sentences.append(f"{target.name} is {' and '.join(names[:5])}")
    return sentences


def _kept_first(chosen: tuple[Sample, ...]) -> tuple[Sample, ...]:
    return tuple(sorted(chosen, key=lambda sample: sample.leave_out))


def _across(chosen: tuple[Sample, ...]) -> tuple[bool, str]:
    """Whether the samples are in more than one part, and words that say in which."""
    parts = [part for part in reversed(KEPT_FIRST) if any(sample.part == part for sample in chosen)]
    return len(parts) > 1, f", in {' and '.join(parts)}" if len(parts) > 1 else ""


def _advice(chosen: tuple[Sample, ...]) -> str:
    kept = [sample for sample in chosen if not sample.leave_out]
    if len(kept) == len(chosen):  # cannot happen among copies, but a suggestion must never be empty
        return "Look at them."
    if not kept:
        return "Leave out all of these: a copy of theirs is kept."
    where = f"the one in {kept[0].part}" if kept[0].part else "one"
    return f"Keep {where}, {kept[0].id}; leave out the {'other' if len(chosen) == 2 else 'others'}."
