"""What is wrong with how the data are divided: small classes, imbalance, groups that are in two parts."""

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.duplicates import KEPT_FIRST
from muslin.data.audit.findings import Finding, samples
from muslin.data.dataset import Dataset, Target

SMALL_CLASS = 25
"""Of fewer images a fifth, set apart to judge by, is fewer than five: right or wrong is then a toss of a coin."""

IMBALANCE = 10.0
SHOWN = 6
RESPLIT_SHARE = 0.1
"""Where more of the data than this would have to be left out to part the groups, it is the split that is wrong."""


def small_class(dataset: Dataset) -> list[Finding]:
    """Classes with fewer than 25 images. The samples are all of them; of a class without any, none."""
    findings = []
    for target in dataset.targets:
        for index, name in enumerate(target.classes):
            theirs = np.flatnonzero(_is(dataset, target, index))
            if len(theirs) < SMALL_CLASS:
                images = "1 image" if len(theirs) == 1 else f"{len(theirs)} images"
                findings.append(
                    Finding(
                        "small_class",
                        samples(dataset, theirs),
                        float(len(theirs)),
                        f"{name!r} of {target.name!r} has {images}; below {SMALL_CLASS} neither learning nor "
                        "judging is to be trusted",
                        "Add images, or merge or drop the class: --min-per-class.",
                        target=target.name,
                    )
                )
    return findings


def imbalance(dataset: Dataset) -> list[Finding]:
    """Targets whose largest class has at least ten times the images of the smallest that has any.

    The samples are one image of either class.
    """
    findings = []
    for target in dataset.targets:
        if target.kind == "multilabel" or len(target.classes) < 2:
            continue
        counts = np.array([_is(dataset, target, i).sum() for i in range(len(target.classes))])
        if counts.sum() == 0:
            continue
        largest, smallest = int(counts.argmax()), int(np.where(counts, counts, counts.max() + 1).argmin())
        ratio = float(counts[largest] / counts[smallest])
        if ratio >= IMBALANCE:
            examples = [int(np.flatnonzero(_is(dataset, target, i))[0]) for i in (largest, smallest)]
            findings.append(
                Finding(
                    "imbalance",
                    samples(dataset, examples),
                    ratio,
                    f"{target.classes[largest]!r} has {counts[largest]:,} images, {target.classes[smallest]!r} "
                    f"{counts[smallest]:,}; always saying {target.classes[largest]!r} would be right on "
                    f"{100 * counts[largest] / counts.sum():.0f} %",
                    "Judge by the figures per class, not by accuracy; add images of the small classes.",
                    target=target.name,
                )
            )
    return findings


def group_in_two_parts(dataset: Dataset) -> list[Finding]:
    """Groups with samples in more than one part; they belong where they are judged: in test, then validation."""
    if dataset.groups is None or dataset.parts is None:
        return []
    parts = dataset.parts
    rank = np.array([KEPT_FIRST.index(part) for part in parts])
    names, which = np.unique(dataset.groups.astype(str), return_inverse=True)
    by_group = np.argsort(which, kind="stable")
    torn = []
    for group in np.split(by_group, np.cumsum(np.bincount(which, minlength=len(names)))[:-1]):
        if len(set(parts[group].tolist())) > 1:
            torn.append((group, group[rank[group] > rank[group].min()]))
    many = sum(len(strays) for _, strays in torn) > RESPLIT_SHARE * len(dataset)
    findings = []
    for group, strays in torn:
        counts = [
            f"{int((parts[group] == part).sum()):,} in {part}"
            for part in reversed(KEPT_FIRST)
            if (parts[group] == part).any()
        ]
        home = KEPT_FIRST[rank[group].min()]
        findings.append(
            Finding(
                "group_in_two_parts",
                samples(
                    dataset, group[np.argsort(rank[group], kind="stable")], () if many else strays.tolist()
                ),
                float(len(strays)),
                f"Group {dataset.groups[group[0]]!r} has {' and '.join(counts)}",
                "So many groups are torn that the division itself should be drawn anew, by group."
                if many
                else f"Keep those in {home}; leave out the others.",
                leak=True,
            )
        )
    return findings


def _is(dataset: Dataset, target: Target, index: int) -> NDArray[np.bool_]:
    labels = dataset.labels[target.name]
    is_class: NDArray[np.bool_] = labels[:, index] == 1 if labels.ndim == 2 else labels == index
    return is_class
