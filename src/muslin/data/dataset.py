"""Dataset, Target and Split: plain values, which `muslin.data.formats` reads from files."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from muslin.data.row_names import is_row_name
from muslin.errors import DataError, unknown
from muslin.messages import Message, examples, plain

UNKNOWN = -1
"""The label of a sample without a known class. Never a class index; excluded from every loss and metric."""

PARTS = ("train", "validation", "test")
"""Names of the parts that a data set can come with, in display order."""


@dataclass(frozen=True)
class Target:
    """What a model predicts for every image: a name and its classes.

    Index i of a label or of a row of probabilities means `classes[i]`, in every part of the data.
    """

    name: str
    classes: tuple[str, ...]
    kind: Literal["multiclass", "multilabel"] = "multiclass"


class Images(Protocol):
    """Images in order, decoded on access: `images[i]` is uint8 (height, width, 1 or 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    def take(self, indices: NDArray[np.integer[Any]]) -> "Images":
        """The images at `indices`, in that order."""

    def concat(self, others: Sequence[Any]) -> "Images":
        """These images followed by those of `others`. Raises DataError where they cannot be in one set."""


@dataclass(frozen=True)
class PixelImages:
    """Images of one size, held in memory as uint8 (count, height, width, channels)."""

    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] not in (1, 3):
            raise DataError("pixel_array", dtype=str(self.pixels.dtype), shape=self.pixels.shape)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self.pixels[index]
        return image

    def take(self, indices: NDArray[np.integer[Any]]) -> "PixelImages":
        return PixelImages(self.pixels[indices])

    def concat(self, others: Sequence[Any]) -> "PixelImages":
        """Raises DataError where sizes differ, or images of the others are photos in their files."""
        if not all(isinstance(images, PixelImages) for images in others):
            raise DataError("mixed_images")
        pixels = [self.pixels, *(images.pixels for images in others)]
        if len(shapes := {p.shape[1:] for p in pixels}) > 1:
            raise DataError("sizes_differ", sizes=["×".join(map(str, shape)) for shape in sorted(shapes)])
        return PixelImages(np.concatenate(pixels))


@dataclass(frozen=True)
class Dataset:
    """Ordered samples (id, lazy image, optional group and part) with labels for one or more targets.

    Attributes:
        name: its name for a person, for example `fashion-mnist` or the file's name.
        format: the row of `muslin.data.formats.FORMATS` that read it, for example `idx`.
        images: the images, in order.
        targets: what to predict.
        labels: per target's name, int64 (count,) for `multiclass`: a class index or UNKNOWN; int8
            (count, classes) for `multilabel`: 1 yes, 0 no, UNKNOWN.
        parts: the parts that came with the data: object (count,) of names in PARTS; None where there are none.
        groups: object (count,): samples of one group are never in two parts; None where there are no groups.
        products: object (count,) of str: the product that each image shows. Images of one product are never in two
            parts; None where no products are known, which makes each image one.
        roles: object (count,) of str: what each image shows of its product, such as `front` or `detail`; "" for
            unknown; None where no role is known.
        drawn_at_random: bool (count,): the samples that are a random sample of what the model is for; None where all
            are. The others, such as products that a model was uncertain of, only train: see `is_random`.
        no_class: per target's name bool (count,): samples of which no class is correct, because a person was not sure
            or they are out of scope. Their labels are UNKNOWN; in calibration every prediction of them is incorrect.
        ids: object (count,) of str, unique: a file's name, an SKU, or `train/17`.
        origin: where the files came from, one sentence for a person.
        fixes: everything that was repaired or skipped while reading, one sentence each, with counts.
        unreadable: per id of a photo that was left out because it cannot be read, the reason.
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
    products: NDArray[np.object_] | None = None
    roles: NDArray[np.object_] | None = None
    drawn_at_random: NDArray[np.bool_] | None = None
    no_class: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    origin: str = ""
    fixes: tuple[str, ...] = ()
    transform: str = "fit"
    unreadable: Mapping[str, Message] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields = [("ids", self.ids), *self._optional().items(), *self.labels.items(), *self.no_class.items()]
        for name, values in fields:
            if values is not None and len(values) != len(self):
                raise DataError("field_length", name=self.name, field=name, found=len(values), expected=len(self))

    def _optional(self) -> dict[str, Any]:
        """The arrays that can be None."""
        names = ("parts", "groups", "products", "roles", "drawn_at_random")
        return {name: getattr(self, name) for name in names}

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        targets = ", ".join(f"{t.name} ({len(t.classes)} classes, {t.kind})" for t in self.targets)
        about = f"{len(self):,} images, {targets or 'no labels'}"
        return f"Dataset({self.name!r}, {about}, format={self.format!r})"

    def target(self, name: str | None = None) -> Target:
        """The target called `name`, or the only one.

        Raises:
            DataError: there is no such target, or no name was given and there is not exactly one.
        """
        matches = [t for t in self.targets if name is None or t.name == name]
        if len(matches) != 1:
            targets = [t.name for t in self.targets]
            if name:
                raise DataError("target_unknown", **unknown(name, targets), dataset=self.name)
            raise DataError("target_count", dataset=self.name, n=len(targets), choices=targets)
        return matches[0]

    def notes(self) -> dict[str, Any]:
        """`fixes`, and the `unreadable` photos by name and reason, plain values for JSON."""
        unreadable = [{"name": name, "reason": plain(reason)} for name, reason in self.unreadable.items()]
        return {"fixes": plain(self.fixes), "unreadable": unreadable}

    def take(self, indices: NDArray[np.integer[Any]]) -> "Dataset":
        """The samples at `indices`, in that order. Classes keep their indices."""
        optional: dict[str, Any] = {name: v if v is None else v[indices] for name, v in self._optional().items()}
        return replace(
            self,
            images=self.images.take(indices),
            labels={name: values[indices] for name, values in self.labels.items()},
            no_class={name: values[indices] for name, values in self.no_class.items()},
            ids=self.ids[indices],
            **optional,
        )

    def part(self, name: str) -> "Dataset":
        """The samples of the part `name` that came with the data.

        Raises:
            DataError: `name` is not in PARTS, or the data have no such part; the message lists their parts.
        """
        if name not in PARTS:
            raise DataError("part_name", **unknown(name, (*PARTS, "all")), dataset=self.name)
        if self.parts is None:
            raise DataError("no_parts", dataset=self.name, part=name)
        indices = np.flatnonzero(self.parts == name)
        if not len(indices):
            choices = [p for p in PARTS if (self.parts == p).any()]
            raise DataError("no_such_part", dataset=self.name, part=name, choices=choices)
        return self.take(indices)

    @property
    def is_random(self) -> NDArray[np.bool_]:
        """bool (count,): the samples that may validate, calibrate and test a model.

        Images that were chosen because a model was uncertain of them are harder than others, so a metric or a guarantee
        that rests on them holds for nothing else. Source: S. Farquhar, Y. Gal and T. Rainforth, On statistical bias in
        active learning: how and when to fix it, ICLR 2021.
        """
        return np.ones(len(self), dtype=bool) if self.drawn_at_random is None else self.drawn_at_random

    @property
    def has_label(self) -> NDArray[np.bool_]:
        """bool (count,): the samples with a label of any target."""
        labelled = np.zeros(len(self), dtype=bool)
        for labels in self.labels.values():
            labelled |= (labels != UNKNOWN) if labels.ndim == 1 else (labels != UNKNOWN).any(axis=1)
        return labelled

    @cached_property
    def indices_in_part(self) -> NDArray[np.int64]:
        """Each sample's index in its part, from 0, int64 (count,); in the data set where there are no parts."""
        indices = np.arange(len(self), dtype=np.int64)
        for part in set() if self.parts is None else set(self.parts):
            in_part = np.flatnonzero(self.parts == part)
            indices[in_part] = np.arange(len(in_part))
        return indices

    @cached_property
    def first_copies(self) -> NDArray[np.int64]:
        """Each image's first copy, int64 (count,): the index of the first image with the same content, often itself.

        Photos are compared by their files' bytes, images in memory by their pixels.
        """
        digests: Iterable[bytes] = ()
        if isinstance(self.images, PixelImages):
            digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.images.pixels)
        elif of_photos := getattr(self.images, "digests", None):
            digests = of_photos()
        first: dict[bytes, int] = {}
        indices = [first.setdefault(digest, index) for index, digest in enumerate(digests)]
        return np.array(indices, dtype=np.int64) if indices else np.arange(len(self))

    @cached_property
    def clusters(self) -> NDArray[Any] | None:
        """Per image the cluster within which predictions are not independent, (count,): group, product, or both joined.

        None where every image is independent.
        """
        if self.products is None or len(np.unique(self.products.astype(str))) == len(self):
            return self.groups
        if self.groups is None:
            return self.products
        numbers = np.arange(len(self))
        while True:  # until the smallest number in each group and each product is the same
            before = numbers
            for values in (self.groups, self.products):
                _, inverse = np.unique(values.astype(str), return_inverse=True)
                smallest = np.full(len(self), len(self))
                np.minimum.at(smallest, inverse, numbers)
                numbers = smallest[inverse]
            if (numbers == before).all():
                return numbers

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that affects a training: images, labels, classes, parts, groups, products; not of paths."""
        digest = hashlib.sha256()
        for target in self.targets:
            digest.update(repr((target.name, target.classes, target.kind)).encode())
            labels = self.labels[target.name]
            for start in range(0, len(labels), 8192):  # blocks: many attributes take a lot of memory as int64
                digest.update(np.ascontiguousarray(labels[start : start + 8192], dtype="<i8").data)
        if self.parts is not None:
            digest.update("\n".join(map(str, self.parts)).encode())
        for mask in (self.drawn_at_random, *(self.no_class[name] for name in sorted(self.no_class))):
            if mask is not None:
                digest.update(np.packbits(mask).data)
        for name, values in (("groups", self.groups), ("products", self.products)):
            if values is not None:  # a split depends on the order of the names, and on nothing else in them
                numbers = np.unique(values.astype(str), return_inverse=True)[1]
                digest.update(name.encode() + numbers.astype("<i8").tobytes())
        if digests := getattr(self.images, "digests", None):  # photos need not be decoded
            for photo in digests():
                digest.update(photo)
            return digest.hexdigest()
        images = self.images
        pixels = [images.pixels] if isinstance(images, PixelImages) else None
        for array in pixels or (images[i] for i in range(len(images))):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def encode_labels(name: str, values: NDArray[Any]) -> tuple[Target, NDArray[np.int64]]:
    """A target from a column of labels, and the labels as indices into its classes.

    Args:
        values: (count,) integers, or str; an empty string is UNKNOWN.

    Numbers, also as text, become the classes `"0"`, `"1"`, … in numeric order; other names are sorted. Only values
    that occur become classes.

    Raises:
        DataError: every label is UNKNOWN.
    """
    distinct, inverse = np.unique(values, return_inverse=True)
    names = [str(value) for value in distinct]
    classes = sorted_classes(filter(None, names))
    if not classes:
        raise DataError("unlabelled", name=name, n=len(values))
    index = {text: i for i, text in enumerate(classes)}
    indices = np.array([index.get(text, UNKNOWN) for text in names], dtype=np.int64)
    return Target(name, classes), indices[inverse]


def indices_by_part(dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Per part that occurs, in the order of PARTS, the indices of its samples; without parts, all under `""`."""
    if dataset.parts is None:
        return {"": np.arange(len(dataset))}
    return {part: found for part in PARTS if len(found := np.flatnonzero(dataset.parts == part))}


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in the order of their indices: numbers by value, other names alphabetically."""
    ordered = sorted(names)
    if all(re.fullmatch(r"-?\d+", name) for name in ordered):
        ordered.sort(key=int)
    return tuple(ordered)


def reading_notes(dataset: Dataset) -> Iterator[Message]:
    """Of any format: images without a label, similar names of classes, and `notes_of_shared`."""
    for target in dataset.targets:
        unknown = dataset.labels[target.name] == UNKNOWN
        if (unlabelled := unknown if target.kind == "multiclass" else unknown.all(axis=1)).any():
            yield Message("images_without_label", target=target.name, **examples(dataset.ids[unlabelled]))
        spellings: dict[str, list[str]] = {}
        for name in target.classes:
            if any(map(str.isalpha, name)):
                plain = unicodedata.normalize("NFKC", name).casefold()
                # a hyphen between digits counts: size 4-5 is not size 45
                key = re.sub(r"(?<!\d)[\s_-]+|[\s_-]+(?!\d)", "", plain)
                spellings.setdefault(key, []).append(name)
        if same := [" | ".join(names) for names in spellings.values() if len(names) > 1]:
            yield Message("similar_classes", target=target.name, **examples(same))
    yield from notes_of_shared(dataset)


def notes_of_shared(dataset: Dataset) -> Iterator[Message]:
    """Groups and products in more than one of the parts that came with the data."""
    for code, groups in (("groups_in_two_parts", dataset.groups), ("products_in_two_parts", dataset.products)):
        if groups is None or dataset.parts is None:
            continue
        part_of: dict[str, str] = {}
        pairs = zip(groups, dataset.parts, strict=True)
        if shared := dict.fromkeys(str(group) for group, part in pairs if part_of.setdefault(group, part) != part):
            yield Message(code, **examples(shared))


def class_counts(target: Target, labels: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Number of samples of each class, (classes,). `labels` as in `Dataset.labels`."""
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
    images = [dataset.images[i] for i in range(len(dataset))]
    shapes = sorted({image.shape for image in images})
    if len(shapes) != 1:
        raise DataError("image_sizes", name=dataset.name, n=len(shapes), smallest=shapes[0], largest=shapes[-1])
    return np.stack(images)


def image_shape(dataset: Dataset) -> tuple[int, ...]:
    """(height, width, channels) of all images; decodes nothing where the size is known.

    Raises:
        DataError: the images differ in size or channels.
    """
    size: tuple[int, ...] | None = getattr(dataset.images, "size", None)
    return size or pixel_array(dataset).shape[1:]


@dataclass(frozen=True)
class Split:
    """The training, validation and test sets: int64 index arrays into one Dataset.

    Attributes:
        notes: how each set was made, for the record.
        seed: seed of the random draws; None where nothing was random.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def description(self) -> str:
        """The notes in one sentence."""
        return "; ".join(self.notes)


def join(parts: Mapping[str, Dataset], name: str | None = None) -> Dataset:
    """One data set from several files that hold one part each, in that order.

    The classes are those of the first part; labels of the others are matched by name. Each id gets its part as a
    prefix. Groups, products and roles are kept: in a part without them each sample is a group or a product of its own,
    of unknown role. In parts that do not say which samples were drawn at random, all were.

    Raises:
        DataError: the images are of different kinds or sizes, or a part has a class that the first lacks.
    """
    first = next(iter(parts.values()))
    aligned = [part if part is first else align(part, first.targets) for part in parts.values()]
    masked = any(part.drawn_at_random is not None for part in aligned)
    no_class = {name for part in aligned for name in part.no_class}
    nowhere = [np.zeros(len(part), dtype=bool) for part in aligned]
    return replace(
        first,
        name=name or first.name,
        drawn_at_random=np.concatenate([part.is_random for part in aligned]) if masked else None,
        no_class={
            target: np.concatenate([p.no_class.get(target, none) for p, none in zip(aligned, nowhere, strict=True)])
            for target in sorted(no_class)
        },
        images=first.images.concat([part.images for part in aligned[1:]]),
        labels={t.name: np.concatenate([part.labels[t.name] for part in aligned]) for t in first.targets},
        ids=np.array([f"{p}/{i}" for p, d in parts.items() for i in d.ids], dtype=object),
        parts=np.array([p for p, d in parts.items() for _ in range(len(d))], dtype=object),
        groups=_joined(parts, "groups"),
        products=_joined(parts, "products"),
        roles=_joined(parts, "roles"),
        origin="; ".join(dict.fromkeys(part.origin for part in aligned)),
        fixes=tuple(Message("in_part", part=p, fix=r) for p, d in zip(parts, aligned, strict=True) for r in d.fixes),
        unreadable={f"{p}/{i}": why for p, d in zip(parts, aligned, strict=True) for i, why in d.unreadable.items()},
    )


def _joined(parts: Mapping[str, Dataset], name: str) -> NDArray[np.object_] | None:
    """The `groups`, `products` or `roles` of all parts, as `join` keeps them; None where no part has any."""
    if all(getattr(dataset, name) is None for dataset in parts.values()):
        return None
    joined: list[Any] = []
    for part, dataset in parts.items():
        values = getattr(dataset, name)
        if values is None:
            joined += [""] * len(dataset) if name == "roles" else [f"{part}/{id_}" for id_ in dataset.ids]
        else:
            joined += [f"{part}/{value}" if is_row_name(str(value)) else value for value in values]
    return np.array(joined, dtype=object)


def align(dataset: Dataset, targets: Sequence[Target]) -> Dataset:
    """`dataset` with its labels as indices into the classes of `targets`, those of a model or another data set.

    Classes are matched by name. Where the names in `dataset` are only numbers (`"0"`, `"1"`, …) and no class of the
    target is one, the numbers are used as class indices, as in Fashion-MNIST's own files.

    A target that the data lack is unlabelled if they have another one of the targets. Of several labels, those that the
    target lacks are left out, and those that the data lack are UNKNOWN; `fixes` names both.

    Raises:
        DataError: the data have none of several targets, or a class that the target lacks, if an image has one label.
    """
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    fixes = list(dataset.fixes)
    names = {target.name for target in dataset.targets}
    for target in targets:
        if target.name not in names and names & {each.name for each in targets}:
            shape = (len(dataset), len(target.classes))[: 2 if target.kind == "multilabel" else 1]
            labels[target.name] = np.full(shape, UNKNOWN, dtype=np.int64)
            fixes.append(Message("target_not_in_data", target=target.name))
            continue
        mine = dataset.target(target.name if target.name in names else None)
        values = dataset.labels[mine.name]
        if mine.classes == target.classes:
            labels[target.name] = values
            continue
        if mine.kind != target.kind:
            raise DataError(
                "target_kind_differs", dataset=dataset.name, target=mine.name, found=mine.kind, expected=target.kind
            )
        index = {name: i for i, name in enumerate(target.classes)}
        are_indices = all(c.isdecimal() and int(c) < len(index) for c in mine.classes)
        by_number = are_indices and not any(c.isdecimal() for c in target.classes)
        indices = [int(c) if by_number else index.get(c, UNKNOWN) for c in mine.classes]
        if by_number:
            first, last = mine.classes[0], mine.classes[-1]
            fixes.append(Message("numbers_as_indices", target=mine.name, first=first, last=last))
        if mine.kind == "multilabel":
            columns = np.full((len(dataset), len(target.classes)), UNKNOWN, dtype=np.int8)
            shared = [column for column, i in enumerate(indices) if i != UNKNOWN]
            columns[:, [indices[column] for column in shared]] = values[:, shared]
            labels[target.name] = columns
            left_out = [mine.classes[c] for c, i in enumerate(indices) if i == UNKNOWN and (values[:, c] == 1).any()]
            absent = [name for name, i in index.items() if i not in set(indices)]
            for code, lacking in (("labels_unknown", left_out), ("labels_not_in_data", absent)):
                fixes += [Message(code, target=target.name, **examples(lacking))] if lacking else []
            continue
        extra = [mine.classes[c] for c, i in enumerate(indices) if i == UNKNOWN and (values == c).any()]
        if extra:
            raise DataError(
                "classes_unknown", dataset=dataset.name, target=mine.name, classes=extra[:5], choices=target.classes
            )
        table = np.array([*indices, UNKNOWN], dtype=np.int64)  # UNKNOWN (-1) points to the last entry
        labels[target.name] = table[values]
    return replace(dataset, targets=tuple(targets), labels=labels, fixes=tuple(fixes))
