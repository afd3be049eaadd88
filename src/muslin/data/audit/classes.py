"""Checks of classes and parts: small classes, imbalance, groups in two parts."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.duplicates import KEEP_ORDER
from muslin.data.audit.findings import Finding, samples
from muslin.data.dataset import Dataset, Target
from muslin.messages import Message

SMALL_CLASS = 25
"""With fewer images the test set, a fifth of them, has fewer than five: the accuracy on it is then mere chance."""

IMBALANCE_RATIO = 10.0
RESPLIT_FRACTION = 0.1
"""If more of the data than this would have to be excluded to part the groups, the split itself is wrong."""


def find_small_classes(dataset: Dataset) -> Iterator[Finding]:
    """Classes with fewer than 25 images. The samples are all of them; of a class without any, none."""
    for target in dataset.targets:
        for index, label in enumerate(target.classes):
            indices = np.flatnonzero(_has_class(dataset, target, index))
            if len(indices) < SMALL_CLASS:
                params = {"label": label, "count": len(indices), "minimum": SMALL_CLASS}
                message = Message("finding_small_class", target=target.name, **params)
                images = samples(dataset, indices)
                yield Finding("small_class", images, float(len(indices)), message, target=target.name)


def find_imbalance(dataset: Dataset) -> Iterator[Finding]:
    """Targets whose largest class has at least ten times the images of the smallest that has any.

    The samples are one image of either class.
    """
    for target in dataset.targets:
        if target.kind == "multilabel" or len(target.classes) < 2:
            continue
        counts = np.array([_has_class(dataset, target, i).sum() for i in range(len(target.classes))])
        if counts.sum() == 0:
            continue
        largest, smallest = int(counts.argmax()), int(np.where(counts, counts, counts.max() + 1).argmin())
        ratio = float(counts[largest] / counts[smallest])
        if ratio < IMBALANCE_RATIO:
            continue
        message = Message(
            "finding_imbalance",
            largest=target.classes[largest],
            largest_count=int(counts[largest]),
            smallest=target.classes[smallest],
            smallest_count=int(counts[smallest]),
            largest_share=float(counts[largest] / counts.sum()),
        )
        examples = [int(np.flatnonzero(_has_class(dataset, target, i))[0]) for i in (largest, smallest)]
        yield Finding("imbalance", samples(dataset, examples), ratio, message, target=target.name)


def find_split_groups(dataset: Dataset) -> Iterator[Finding]:
    """Groups with samples in more than one part. They belong where they are evaluated: in test, then validation.

    Products are groups too; a group that shares them with others is named by its first image.
    """
    groups = dataset.clusters
    if groups is None or dataset.parts is None:
        return
    parts = dataset.parts
    rank = np.array([KEEP_ORDER.index(part) for part in parts])
    named = dataset.products if dataset.groups is None else dataset.groups
    assert named is not None
    names, group_of = np.unique(groups.astype(str), return_inverse=True)
    by_group = np.argsort(group_of, kind="stable")
    split_groups = []
    for group in np.split(by_group, np.cumsum(np.bincount(group_of, minlength=len(names)))[:-1]):
        if len(set(parts[group].tolist())) > 1:
            split_groups.append((group, group[rank[group] > rank[group].min()]))
    resplit = sum(len(strays) for _, strays in split_groups) > RESPLIT_FRACTION * len(dataset)
    for group, strays in split_groups:
        counts = {part: int((parts[group] == part).sum()) for part in reversed(KEEP_ORDER)}
        message = Message(
            "finding_group_in_two_parts",
            "resplit" if resplit else "exclude_others",
            group=str(named[group[0]]),
            counts=[f"{part} ({count:,})" for part, count in counts.items() if count],
            part=KEEP_ORDER[rank[group].min()],
        )
        ordered = group[np.argsort(rank[group], kind="stable")]
        images = samples(dataset, ordered, () if resplit else strays.tolist())
        yield Finding("group_in_two_parts", images, float(len(strays)), message, leak=True)


def _has_class(dataset: Dataset, target: Target, index: int) -> NDArray[np.bool_]:
    labels = dataset.labels[target.name]
    return np.asarray(labels[:, index] == 1 if labels.ndim == 2 else labels == index)
