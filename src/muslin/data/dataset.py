"""The nouns of data: Dataset, Target and Split. Plain values; `muslin.data.formats` reads them from files."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from muslin.errors import DataError, nearest

UNKNOWN = -1
"""The label of a sample whose class is not known. Never a class; never counted in a loss or a measure."""

PARTS = ("train", "validation", "test")
"""The names a data set's own division may use, in the order in which they are shown."""


@dataclass(frozen=True)
class Target:
    """One question asked of every image, without the answers.

    `classes` is the one place that says which index is which name: index i of a label or of a row of
    probabilities means `classes[i]`, whichever of the classes a part of the data happens to contain.
    """

    name: str
    classes: tuple[str, ...]
    kind: Literal["multiclass", "multilabel"] = "multiclass"


class Images(Protocol):
    """Images in order, decoded when asked for: `images[i]` is uint8 (height, width, 1 or 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    def take(self, indices: NDArray[np.integer[Any]]) -> "Images":
        """The same kind of images, only those at `indices`, in that order."""
        ...

    def concat(self, others: Sequence[Any]) -> "Images":
        """These images, then those of `others` in turn. Raises DataError where they cannot be in one set."""
        ...


@dataclass(frozen=True)
class PixelImages:
    """Images of one size, held in memory as uint8 (count, height, width, channels)."""

    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] not in (1, 3):
            raise DataError(
                f"pixels are {self.pixels.dtype} {self.pixels.shape}; "
                "expected uint8 (count, height, width, 1 or 3)."
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self.pixels[index]
        return image

    def take(self, indices: NDArray[np.integer[Any]]) -> "PixelImages":
        return PixelImages(self.pixels[indices])

    def concat(self, others: Sequence[Any]) -> "PixelImages":
        """Raises DataError where sizes differ, or images of the others are photos in their files."""
        pixels = [self.pixels]
        for images in others:
            if not isinstance(images, PixelImages):
                raise DataError(
                    "One part holds pixels, the other photos in files. Bring both to one format (muslin convert)."
                )
            pixels.append(images.pixels)
        shapes = {p.shape[1:] for p in pixels}
        if len(shapes) > 1:
            sizes = ", ".join("×".join(map(str, shape)) for shape in sorted(shapes))
            raise DataError(f"The parts' images differ in size: {sizes}. Bring them to one size first.")
        return PixelImages(np.concatenate(pixels))


@dataclass(frozen=True)
class Dataset:
    """Ordered samples (id, lazy image, optional group and part) and the known answers to one or more targets.

    Attributes:
        name: how a person would call it, for example `fashion-mnist` or the file's name.
        format: the row of `muslin.data.formats.FORMATS` that read it, for example `idx`.
        images: the images, in order.
        targets: the questions.
        labels: per target's name, int64 (count,) for `multiclass`: a class's index or UNKNOWN; int8
            (count, classes) for `multilabel`: 1 yes, 0 no, UNKNOWN.
        parts: the division that came with the data: object (count,) of PARTS' names; None where none did.
        groups: object (count,): samples of one group must never be in two parts; None where there are none.
        ids: object (count,) of str, unique: a file's name, an SKU, or `train/17`.
        origin: where the files came from, one sentence for a person.
        repairs: everything that was mended or passed over while reading, one sentence each, with counts.
        transform: how a photo becomes such an image (a row of `muslin.images.TRANSFORMS`).
    """

    name: str
    format: str
    images: Images
    targets: tuple[Target, ...]
    labels: Mapping[str, NDArray[np.integer[Any]]]
    ids: NDArray[np.object_]
    parts: NDArray[np.object_] | None = None
    groups: NDArray[np.object_] | None = None
    origin: str = ""
    fixes: tuple[str, ...] = ()
    transform: str = "fit"

    def __post_init__(self) -> None:
        for what, values in {
            "ids": self.ids,
            "parts": self.parts,
            "groups": self.groups,
            **self.labels,
        }.items():
            if values is not None and len(values) != len(self):
                raise DataError(f"{self.name}: {len(values)} {what} for {len(self)} images.")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        targets = ", ".join(f"{t.name} ({len(t.classes)} classes, {t.kind})" for t in self.targets)
        return (
            f"Dataset({self.name!r}, {len(self):,} images, {targets or 'no labels'}, format={self.format!r})"
        )

    def target(self, name: str | None = None) -> Target:
        """The target called `name`, or the only one.

        Raises:
            DataError: there is no such target, or no name was given and there is not exactly one.
        """
        found = [t for t in self.targets if name is None or t.name == name]
        if len(found) != 1:
            known = ", ".join(t.name for t in self.targets) or "none"
            wanted = f"no target {name!r}" if name else f"{len(self.targets)} targets where one is needed"
            raise DataError(f"{self.name}: {wanted}. Targets here: {known}.")
        return found[0]

    def take(self, indices: NDArray[np.integer[Any]]) -> "Dataset":
        """The samples at `indices`, in that order. Classes keep their indices."""
        return replace(
            self,
            images=self.images.take(indices),
            labels={name: values[indices] for name, values in self.labels.items()},
            ids=self.ids[indices],
            parts=None if self.parts is None else self.parts[indices],
            groups=None if self.groups is None else self.groups[indices],
        )

    def part(self, name: str) -> "Dataset":
        """The samples of the data's own part `name`.

        Raises:
            DataError: no part is ever called so, or the data have none; the message lists those they have.
        """
        if name not in PARTS:
            raise DataError(f"{self.name}: no part is called {name!r}. {nearest(name, (*PARTS, 'all'))}")
        if self.parts is None:
            raise DataError(
                f"{self.name} is not divided into parts, so there is no {name!r}. Use --split all."
            )
        chosen = np.flatnonzero(self.parts == name)
        if not len(chosen):
            have = ", ".join(p for p in PARTS if (self.parts == p).any())
            raise DataError(f"{self.name} has no part {name!r}. Parts here: {have}.")
        return self.take(chosen)

    @cached_property
    def indices_in_part(self) -> NDArray[np.int64]:
        """Each sample's place in its part, from 0, int64 (count,); in the data set where they are not divided."""
        places = np.arange(len(self), dtype=np.int64)
        for part in set() if self.parts is None else set(self.parts):
            theirs = np.flatnonzero(self.parts == part)
            places[theirs] = np.arange(len(theirs))
        return places

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what a model could learn from: images, labels, classes, parts; not of paths."""
        digest = hashlib.sha256()
        for target in self.targets:
            digest.update(repr((target.name, target.classes, target.kind)).encode())
            labels = self.labels[target.name]
            for start in range(
                0, len(labels), 8192
            ):  # in blocks: eight bytes a label is a lot of many attributes
                digest.update(np.ascontiguousarray(labels[start : start + 8192], dtype="<i8").data)
        if self.parts is not None:
            digest.update("\n".join(map(str, self.parts)).encode())
        if digests := getattr(self.images, "digests", None):  # photos in their files need not be decoded
            for photo in digests():
                digest.update(photo)
            return digest.hexdigest()
        for block in self._blocks():
            digest.update(repr(block.shape).encode())
            digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    def _blocks(self) -> Iterator[NDArray[np.uint8]]:
        if isinstance(self.images, PixelImages):
            yield self.images.pixels
        else:
            yield from (self.images[i] for i in range(len(self.images)))


def encode_labels(name: str, values: NDArray[Any]) -> tuple[Target, NDArray[np.int64]]:
    """The target that a column of labels makes, and the labels as indices into its classes.

    Args:
        values: (count,) integers, or str; an empty string is UNKNOWN.

    Numbers, also those written as text, become the classes `"0"`, `"1"`, … in numeric order; other names are
    sorted. Only numbers or names that occur become classes.

    Raises:
        DataError: no label at all is known.
    """
    distinct, places = np.unique(values, return_inverse=True)
    names = [str(value) for value in distinct]
    known = [i for i, text in enumerate(names) if text]
    if not known:
        raise DataError(f"{name}: none of the {len(values):,} samples has a label.")
    classes = sorted_classes(names[i] for i in known)
    index = {text: i for i, text in enumerate(classes)}
    indices = np.array([index.get(text, UNKNOWN) for text in names], dtype=np.int64)
    return Target(name, classes), indices[places]


def indices_by_part(dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Per part that occurs, in PARTS' order, the indices of its samples; all under `""` where there are no parts."""
    if dataset.parts is None:
        return {"": np.arange(len(dataset))}
    return {part: found for part in PARTS if len(found := np.flatnonzero(dataset.parts == part))}


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Classes in the order of their indices: numbers by their value, other names sorted."""
    ordered = sorted(names)
    if all(re.fullmatch(r"-?\d+", name) for name in ordered):
        ordered.sort(key=int)
    return tuple(ordered)


def class_counts(target: Target, labels: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """How many samples have each class: (classes,). `labels` as in `Dataset.labels`."""
    if target.kind == "multilabel":
        yes: NDArray[np.int64] = np.count_nonzero(labels == 1, axis=0)
        return yes
    counts: NDArray[np.int64] = np.bincount(labels[labels != UNKNOWN], minlength=len(target.classes))
    return counts


def pixel_array(dataset: Dataset) -> NDArray[np.uint8]:
    """All images as one uint8 array (count, height, width, channels).

    Raises:
        DataError: the images differ in size or channels.
    """
    if isinstance(dataset.images, PixelImages):
        return dataset.images.pixels
    pictures = [dataset.images[i] for i in range(len(dataset))]
    sizes = sorted({p.shape for p in pictures})
    if len(sizes) != 1:
        raise DataError(
            f"{dataset.name}: images of {len(sizes)} different sizes, from {sizes[0]} to {sizes[-1]}, "
            "where one size is needed. Bring them to one size first."
        )
    return np.stack(pictures)


def image_shape(dataset: Dataset) -> tuple[int, ...]:
    """(height, width, channels) of all images; nothing is decoded where their size is known without.

    Raises:
        DataError: the images differ in size or channels.
    """
    size: tuple[int, ...] | None = getattr(dataset.images, "size", None)
    return size or pixel_array(dataset).shape[1:]


@dataclass(frozen=True)
class Split:
    """Which samples are for learning, for choosing and for judging: int64 index arrays into one Dataset.

    `drawn` says in one sentence how, for the record; `seed` is None where nothing was random.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    description: str
    seed: int | None = None


def join(parts: Mapping[str, Dataset], name: str | None = None) -> Dataset:
    """One data set from several files that hold one part each, in the order given.

    The classes are those of the first part; labels of the others are matched by name. An id gets its part in
    front; groups are kept where every part has them.

    Raises:
        DataError: the images are of different kinds or sizes, or a part has a class that the first does not.
    """
    first = next(iter(parts.values()))
    aligned = [part if part is first else align(part, first.targets) for part in parts.values()]
    groups = [part.groups for part in aligned if part.groups is not None]
    return replace(
        first,
        name=name or first.name,
        images=first.images.concat([part.images for part in aligned[1:]]),
        labels={t.name: np.concatenate([part.labels[t.name] for part in aligned]) for t in first.targets},
        ids=np.array([f"{p}/{i}" for p, d in parts.items() for i in d.ids], dtype=object),
        parts=np.array([p for p, d in parts.items() for _ in range(len(d))], dtype=object),
        groups=np.concatenate(groups) if len(groups) == len(aligned) else None,
        origin="; ".join(dict.fromkeys(part.origin for part in aligned)),
        fixes=tuple(f"{p}: {r}" for p, part in zip(parts, aligned, strict=True) for r in part.fixes),
    )


def align(dataset: Dataset, targets: Sequence[Target]) -> Dataset:
    """`dataset` with its labels in the classes of `targets`, as a model or another data set has them.

    Classes are matched by name. Where `dataset` only has numbers for names (`"0"`, `"1"`, …) and the target
    does not, the numbers are taken as class indices, as in Fashion-MNIST's own files.

    Raises:
        DataError: the data have no such target, or a class that the target does not know.
    """
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    fixes = list(dataset.fixes)
    for target in targets:
        mine = dataset.target(target.name if any(t.name == target.name for t in dataset.targets) else None)
        values = dataset.labels[mine.name]
        if mine.classes == target.classes:
            labels[target.name] = values
            continue
        if mine.kind != target.kind:
            raise DataError(
                f"{dataset.name}: target {mine.name!r} is {mine.kind}, but {target.kind} is needed."
            )
        known = {name: i for i, name in enumerate(target.classes)}
        by_number = not set(mine.classes) <= set(known) and all(
            c.isdigit() and int(c) < len(known) for c in mine.classes
        )
        places = [int(c) if by_number else known.get(c, UNKNOWN) for c in mine.classes]
        if by_number:
            fixes.append(
                f"{mine.name}: the numbers {mine.classes[0]} to {mine.classes[-1]} taken as class indices"
            )
        if mine.kind == "multilabel":
            with_thresholds = np.full((len(dataset), len(target.classes)), UNKNOWN, dtype=np.int8)
            for column, place in enumerate(places):
                if place != UNKNOWN:
                    with_thresholds[:, place] = values[:, column]
            labels[target.name] = with_thresholds
            continue
        strangers = [
            mine.classes[i] for i, place in enumerate(places) if place == UNKNOWN and (values == i).any()
        ]
        if strangers:
            raise DataError(
                f"{dataset.name}: {', '.join(map(repr, strangers[:5]))} "
                f"{'is a class' if len(strangers) == 1 else 'are classes'} of {mine.name!r} "
                f"never seen in training. "
                f"Known: {', '.join(target.classes)}."
            )
        table = np.array([*places, UNKNOWN], dtype=np.int64)  # the last entry is where UNKNOWN (-1) points
        labels[target.name] = table[values]
    return replace(dataset, targets=tuple(targets), labels=labels, fixes=tuple(fixes))
