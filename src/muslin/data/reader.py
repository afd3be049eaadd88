"""Whatever a user names, a known data set, a file or a folder, as a Dataset."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from muslin.data import registry
from muslin.data.dataset import Dataset, join
from muslin.data.formats import read_path
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.data.rare_classes import reduce_rare_classes
from muslin.errors import DataError, nearest


def read(
    data: str | Path,
    *,
    test: str | Path | None = None,
    format: str | None = None,
    shape: tuple[int, int, int] | tuple[int, int] | None = None,
    target: str | Sequence[str] | None = None,
    images: str | Path | None = None,
    image_column: str | None = None,
    group: str | None = None,
    split_column: str | None = None,
    separator: str | Sequence[str] | None = None,
    crop: bool | None = None,
    min_per_class: int | str | Sequence[str] | None = None,
    rare: str | Sequence[str] | None = None,
    every_target: bool = False,
    log: Log = silent,
) -> Dataset:
    """The data set called or at `data`.

    Args:
        data: a name of `muslin.data.registry.DATASETS`, or the path of a file or folder. A Path is never a name.
        test: a file that holds the test part, where `data` holds the train part only.
        format: a name of `muslin.data.formats.FORMATS`, where detection is to be overruled.
        shape: (height, width) or (height, width, channels) of an image whose pixels are in a row.
        target: the column that holds the label: its name, or `first` or `last` where columns have no names;
            several names for a table of photos.
        images: the folder, zip or tar with the photos that a table or a list names.
        image_column: a table's column that names the photo, by path or id.
        group: a table's column of groups, none of which is ever divided between parts.
        split_column: a table's column that says each row's part.
        separator: what separates labels in a table's cells: `|`, `;`, `,` or `none`; `COLUMN=,` for one column.
        crop: cut photos to the boxes that come with them.
        min_per_class: classes with fewer images, over all parts, are merged into `other`: a number, or `TARGET=N`.
        rare: `drop` to make the labels of such classes unknown instead; or `TARGET=drop`.
        every_target: of a table without `target`, take every column that could be the label, where otherwise an
            error lists them. Known data sets and other formats have their own targets.
        tell: called with a sentence before anything is fetched, and now and then while a long index is read.

    Raises:
        DataError: there is no such data set, or its files cannot be read as what they claim to be.
        StorageError: a known data set was fetched and cannot be kept.
    """
    if rare and not min_per_class:
        raise DataError("--rare says what becomes of rare classes, but not which are. Add --min-per-class N.")
    names = (target,) if isinstance(target, str) else tuple(target or ())
    options = ReadOptions(
        shape=_full_shape(shape),
        target=names[0] if len(names) == 1 else None,
        targets=names if len(names) > 1 else None,
        images=None if images is None else str(images),
        image_column=image_column,
        group=group,
        split_column=split_column,
        separator=(separator,) if isinstance(separator, str) else tuple(separator) if separator else None,
        crop=crop or None,
        every_target=every_target and not names,
    )
    dataset = _read(data, test, format, options, log)
    if min_per_class is None:
        return dataset
    return reduce_rare_classes(dataset, min_per_class, rare, strict=not options.every_target)


def _read(
    data: str | Path, test: str | Path | None, format: str | None, options: ReadOptions, log: Log
) -> Dataset:
    if isinstance(test, str) and test in registry.DATASETS:
        raise DataError(f"{test} is a whole data set, but --test takes a file. Give one.")
    if isinstance(data, str) and data in registry.DATASETS:
        if test is not None:
            raise DataError(f"{data} has its own test part. Leave out --test.")
        if format is not None or options.given():
            idle = " and ".join([*(["format"] if format else []), *options.given()])
            raise DataError(f"{data} is a known data set: there is no {idle} to choose. Leave it out.")
        return registry.read_registered(data, log=log)
    if test is not None and os.path.exists(data) and os.path.exists(test) and os.path.samefile(data, test):
        raise DataError(f"{test}: is what is learned from, so it judges nothing. Give another file, or none.")
    dataset = _at(data, format, options, log)
    if test is None:
        return _named(dataset, [_name(data)])
    return _with_test(dataset, data, _at(test, format, options, log), test)


def _at(data: str | Path, format: str | None, options: ReadOptions, log: Log) -> Dataset:
    if not os.path.exists(data):
        hint = f"It is no known data set either. {nearest(str(data), registry.DATASETS)}"
        raise DataError(
            f"{data}: no such file or folder. {hint if isinstance(data, str) else 'Check the path.'}"
        )
    return read_path(data, format=format, options=options, log=log)


def read_and_log(data: str | Path | Dataset, *, log: Log, **options: Any) -> Dataset:
    """`data`, by `read` with these options unless they are read already; what had to be mended is told, too."""
    dataset = data if isinstance(data, Dataset) else read(data, log=log, **options)
    for repair in dataset.fixes:
        log(repair)
    return dataset


def _named(dataset: Dataset, names: list[str]) -> Dataset:
    """The dataset with the classes of the known data set that it is, if it is one."""
    if not (seen := registry.recognise(dataset, names)):
        return dataset
    return _log(registry.named(seen[0], dataset), *seen)


def _log(dataset: Dataset, which: registry.RegisteredDataset, how: str) -> Dataset:
    return replace(
        dataset, origin=f"{dataset.origin}; recognised {how} as {which.name}, whose class names are used"
    )


def _with_test(train: Dataset, train_path: str | Path, test: Dataset, test_path: str | Path) -> Dataset:
    for dataset, path in ((train, train_path), (test, test_path)):
        if dataset.parts is not None:
            raise DataError(f"{path} is already divided into parts. Leave out --test, or give single files.")
        if not dataset.targets:
            raise DataError(f"{path} has no labels, so nothing can be learnt from it or judged on it.")
    seen = registry.recognise(train, [_name(train_path)]) or registry.recognise(test, [_name(test_path)])
    if seen:
        train, test = registry.named(seen[0], train), registry.named(seen[0], test)
    joined = join({"train": train, "test": test}, name=train.name)
    return _log(joined, *seen) if seen else joined


def _name(path: str | Path) -> str:
    return Path(path).resolve().name


def _full_shape(shape: tuple[int, ...] | None) -> tuple[int, int, int] | None:
    if shape is None:
        return None
    full = (*shape, 1) if len(shape) == 2 else shape
    if len(full) != 3 or min(full) < 1 or full[2] not in (1, 3):
        raise DataError(
            f"shape {shape}: give height and width in pixels, and 1 or 3 channels, such as 28×28×1."
        )
    return full[0], full[1], full[2]
