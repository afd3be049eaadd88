"""Classes with few images: merged into one, or dropped, target by target."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target, class_counts
from muslin.errors import DataError, nearest

OTHER_CLASS = "other"
"""The class into which rare ones are merged; one of the data's own that is called so, in whatever case, is taken."""

NAMED = 100
"""Rare classes that a sentence names; the rest are counted."""

RareAction = Literal["merge", "drop"]
RARE_ACTIONS: tuple[RareAction, ...] = ("merge", "drop")


def reduce_rare_classes(
    dataset: Dataset,
    min_per_class: int | str | Sequence[str],
    rare: str | Sequence[str] | None = None,
    *,
    strict: bool = True,
) -> Dataset:
    """`dataset` with no class of fewer images than asked for; `fixes` says which classes and how many images.

    Counted are the images of all parts, so a class's index does not depend on any part. The classes that stay keep
    their order; `other`, if it is new, comes last. What is dropped, or would be rare even when merged, is unknown. Of
    several labels an image the merged one is yes where any of them is, no where all of them are, else unknown.

    Args:
        min_per_class: how many images a class must have; or per target, `TARGET=N`.
        rare: `merge` (as by default) or `drop`; or per target, `TARGET=drop`.
        strict: raise where fewer than two classes (of several labels an image: no label) would be left; otherwise
            such a target stays as it is, which is said.

    Raises:
        DataError: no such target or way, a number below 1, or nothing to choose between would be left.
    """
    least = {name: _number(text) for name, text in _by_target(dataset, min_per_class).items()}
    ways = {name: _way(text) for name, text in _by_target(dataset, rare or ()).items()}
    targets, labels, said = [], dict(dataset.labels), []
    for target in dataset.targets:
        if target.name in least:
            minimum, way = least[target.name], ways.get(target.name, "merge")
            target, labels[target.name], sentence = _reduced(dataset, target, minimum, way, strict)
            said.append(sentence)
        targets.append(target)
    return replace(
        dataset, targets=tuple(targets), labels=labels, fixes=(*dataset.fixes, *filter(None, said))
    )


def _reduced(
    dataset: Dataset, target: Target, minimum: int, way: RareAction, strict: bool
) -> tuple[Target, NDArray[np.integer[Any]], str]:
    """The target, its labels, and what was done in one sentence; empty where there is no rare class."""
    labels = dataset.labels[target.name]
    counts = class_counts(target, labels)
    rare = np.flatnonzero(counts < minimum).tolist()
    if not rare:
        return target, labels, ""
    own = next((i for i, name in enumerate(target.classes) if name.lower() == OTHER_CLASS), None)
    together = _column(labels, sorted({*rare, *([] if own is None else [own])}))
    too_few = ""
    if way == "merge" and (count := int((together == 1).sum())) < minimum:
        way, too_few = "drop", f", since together they are {count:,}"
    if way == "merge":
        rare = [i for i in rare if i != own]
    kept = [i for i in range(len(target.classes)) if i not in set(rare)]
    names = [target.classes[i] for i in kept]
    other = OTHER_CLASS if own is None else target.classes[own]
    if way == "merge" and own is None:
        names.append(other)
    if len(names) < (1 if target.kind == "multilabel" else 2):
        words = f"{len(names)} of its {len(target.classes):,} classes would be left with {minimum:,} images or more"
        if strict:
            raise DataError(f"{dataset.name}: {target.name!r}: {words}. Ask for fewer (--min-per-class).")
        return target, labels, f"{target.name}: left as it is, since {words}"
    images = f"{int((_column(labels, rare) == 1).sum()):,} images"
    listed = ", ".join(f"{target.classes[i]} ({counts[i]:,})" for i in rare[:NAMED])
    more = ", …" if len(rare) > NAMED else ""
    classes = "1 class" if len(rare) == 1 else f"{len(rare):,} classes"
    done = f"merged into {other!r}" if way == "merge" else f"dropped, their labels unknown{too_few}"
    what = f"{classes} of fewer than {minimum:,} images {done}"
    sentence = f"{target.name}: {what}; {images}: {listed}{more}"
    if target.kind == "multilabel":
        columns = [labels[:, i] for i in kept]
        if way == "merge" and own is None:
            columns.append(together)
        elif way == "merge":
            columns[kept.index(own)] = together  # type: ignore[arg-type]
        return Target(target.name, tuple(names), "multilabel"), np.stack(columns, axis=1), sentence
    table = np.full(len(target.classes) + 1, UNKNOWN, dtype=np.int64)  # the last is where UNKNOWN (-1) points
    table[kept] = np.arange(len(kept))
    if way == "merge":
        table[rare] = names.index(other)
    return Target(target.name, tuple(names)), table[labels], sentence


def _column(labels: NDArray[np.integer[Any]], classes: list[int]) -> NDArray[np.int8]:
    """Whether each image is of one of `classes`, int8 (count,): 1 yes, 0 no, or UNKNOWN."""
    if labels.ndim == 1:
        is_one = np.where(np.isin(labels, classes), 1, 0)
        return np.where(labels == UNKNOWN, UNKNOWN, is_one).astype(np.int8)
    theirs = labels[:, classes]
    no = np.where((theirs == 0).all(axis=1), 0, UNKNOWN)
    return np.where((theirs == 1).any(axis=1), 1, no).astype(np.int8)


def _by_target(dataset: Dataset, given: int | str | Sequence[str]) -> dict[str, str]:
    """Per target what was said of it, by name or for all; the last word counts."""
    words = [str(given)] if isinstance(given, int | str) else list(map(str, given))
    found: dict[str, str] = {}
    names = [target.name for target in dataset.targets]
    for word in words:
        name, equals, value = word.rpartition("=")
        if equals and name not in names:
            raise DataError(f"{dataset.name}: no target is called {name!r}. {nearest(name, names)}")
        found |= {name: value} if equals else dict.fromkeys(names, value)
    return found


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise DataError(f"--min-per-class {text}: give a number of images from 1 on, as 20 or TARGET=20.")
    return int(text)


def _way(text: str) -> RareAction:
    for way in RARE_ACTIONS:
        if text == way:
            return way
    raise DataError(f"--rare {text}: no such way. {nearest(text, RARE_ACTIONS)}")
