"""What writers need of a data set: its one target, its photos' files, or its pixels; and what they cannot hold."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Dataset, PixelImages, Target
from muslin.data.photos import PhotoImages, unreadable_by_kind
from muslin.errors import DataError, ImageError
from muslin.messages import Log, Message, examples
from muslin.storage.atomic import atomic_folder

MAX_COPIED_BYTES = 2**30
"""Largest photo that is copied."""

Written = tuple[list[Message], list[Message]]
"""Warnings, and why samples were excluded."""


def into_new_folder(write: Callable[[Dataset, Path, Log], Written]) -> Callable[[Dataset, Path, Log], Written]:
    """`write`, which fills an empty folder, as a writer of a folder that is complete or absent."""

    @wraps(write)
    def write_new(dataset: Dataset, dest: Path, log: Log) -> Written:
        with atomic_folder(dest) as folder:
            return write(dataset, folder, log)

    return write_new


def single_target(dataset: Dataset) -> tuple[Target | None, list[Message]]:
    """The first multiclass target, and warnings about the others and about its name."""
    target = next((target for target in dataset.targets if target.kind == "multiclass"), None)
    others = [each.name for each in dataset.targets if each is not target]
    if target is None:
        if others:
            raise DataError("multilabel_conversion", name=dataset.name, targets=others)
        return None, []
    warnings = [Message("targets_lost", others=others, target=target.name)] if others else []
    if target.name != "label":
        warnings.append(Message("target_name_lost", target=target.name))
    return target, warnings


def photo_files(
    dataset: Dataset, warnings: list[Message], excluded: list[Message], log: Log
) -> Iterator[tuple[int, bytes]]:
    """Per sample its photo's file, or a PNG of a crop or of pixels; what cannot be copied is added to `excluded`.

    Files that are no images are copied all the same, because the source holds them; `warnings` counts them.
    """
    from muslin.images import encode_png

    no_images: dict[str, Message] = {}
    for index in range(len(dataset)):
        if index and not index % 1000:
            log(Message("images_written", n=index, total=len(dataset)))
        photo = dataset.images.photos[index] if isinstance(dataset.images, PhotoImages) else None
        try:
            if photo is None or photo.box:
                content = encode_png(dataset.images[index])
            else:
                content = photo.content(MAX_COPIED_BYTES + 1)
                if len(content) > MAX_COPIED_BYTES:
                    raise ImageError("photo_bytes", name=photo.name, max_bytes=MAX_COPIED_BYTES)
                if problem := _header_problem(content, photo.name):
                    no_images[str(dataset.ids[index])] = problem
        except ImageError as error:
            excluded.append(error.message)
        else:
            yield index, content
    warnings += unreadable_by_kind(no_images, "unreadable_copied")


def _header_problem(content: bytes, name: str) -> Message | None:
    from muslin.images import read_header

    try:
        read_header(content, name=name)
    except ImageError as error:
        return error.message
    return None


def with_pixels(dataset: Dataset, format: str, log: Log) -> tuple[Dataset, list[Message]]:
    """`dataset` with its images as pixels, without unreadable photos; and why they are unreadable."""
    if isinstance(dataset.images, PixelImages):
        return dataset, []
    images: dict[int, NDArray[np.uint8]] = {}
    problems: list[Message] = []
    for index in range(len(dataset)):
        if index and not index % 1000:
            log(Message("photos_read", n=index, total=len(dataset)))
        try:
            images[index] = dataset.images[index]
        except ImageError as error:
            problems.append(error.message)
            continue
        first = next(iter(images))
        sizes = [f"{images[i].shape[1]}×{images[i].shape[0]}" for i in (first, index)]
        if sizes[0] != sizes[1]:
            names = {"first": str(dataset.ids[first]), "second": str(dataset.ids[index])}
            names |= {"first_size": sizes[0], "second_size": sizes[1]}
            raise DataError("mixed_sizes", name=dataset.name, format=format, **names)
    if not images:
        names = examples(map(str, dataset.ids))
        raise DataError("no_readable_photo", name=dataset.name, **names, reason=problems[0])
    channels = max(image.shape[2] for image in images.values())
    pixels = np.stack([np.broadcast_to(i, (*i.shape[:2], channels)) for i in images.values()])
    return replace(dataset.take(np.array(list(images))), images=PixelImages(pixels)), problems


def pixel_warnings(dataset: Dataset, excluded: list[Message]) -> list[Message]:
    """What CSV and IDX files cannot hold."""
    warnings = []
    numbers, order = dataset.indices_in_part.tolist(), [0] * len(dataset)
    if dataset.parts is not None:
        numbers = [f"{part}/{i}" for part, i in zip(dataset.parts, numbers, strict=True)]
        order = [PARTS.index(part) for part in dataset.parts]
    if list(map(str, dataset.ids)) != list(map(str, numbers)) or order != sorted(order) or excluded:
        warnings.append(Message("ids_renumbered"))
    if dataset.format in ("folders", "table"):
        warnings.append(Message("photo_files_lost"))
    if dataset.groups is not None:
        warnings.append(Message("groups_lost"))
    if dataset.products is not None:
        warnings.append(Message("products_lost"))
    if order != sorted(order):
        warnings.append(Message("order_lost"))
    return warnings
