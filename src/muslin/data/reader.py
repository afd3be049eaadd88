"""A registered data set, a file or a folder → Dataset."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from muslin.data.archives import check_content
from muslin.data.dataset import Dataset, join, notes_of_shared
from muslin.data.dataset_cache import read_registered
from muslin.data.formats import read_path
from muslin.data.formats.read_options import ReadOptions
from muslin.data.junk_labels import drop_junk_labels, junk_proposals
from muslin.data.rare_classes import reduce_rare_classes
from muslin.data.registry import DATASETS, recognise, with_registered_classes
from muslin.data.tables.columns import column_names, wants_no_column
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message, examples, no_log
from muslin.storage.local_path import check_local
from muslin.text import ORDINARY_CHARACTERS, escape_controls


class ReadArguments(TypedDict, total=False):
    """How `read` reads files, as keywords. What is left out or None is detected.

    Attributes:
        shape: (height, width) or (height, width, channels) of an image whose pixels are in a row.
        target: the column of labels: its name, or `first` or `last` where columns have no names; several names for
            a table of photos.
        images: the folder, zip or tar with the photos that a table or a list names.
        image_column: the table's column with the paths or ids of the photos; several whose photos, in one row, show one
            product.
        group: the table's column of groups, none of which is ever split between parts; `none` for no groups, unless
            a column is called so. By default guessed from names and photos.
        product: the table's column with the product that each photo shows, whose photos stay together; `none` to take
            each photo alone. By default it is found in exports of Shopify and WooCommerce, in rows with several photos,
            and in a column such as `product_id` whose cells recur.
        split_column: the table's column with the part of each row.
        label_separator: what separates labels in a table's cells: `|`, `;`, `,` or `none`; `COLUMN=,` for one column.
        crop_to_boxes: crop photos to the boxes that come with them.
        levels: how many levels of nested folders make the name of a class.
        junk: names of labels that are no classes, such as `Not sure,Other`: they are read as unlabelled.
        min_per_class: merge classes with fewer images, over all parts, into `other`: a number, or `TARGET=N`.
        rare_classes: `merge` such classes (the default) or `drop` their labels; or, for one target, `TARGET=drop`.
        all_targets: without `target`, use every column of a table that could be a label, instead of raising an
            error that lists them. Registered data sets and other formats have their own targets.
        model_targets: without `target`, the columns called so are the labels, if the data have any of them.
        allow_outside: also open files that cells or links name outside `images`, or else outside the data's folder.
    """

    shape: tuple[int, int, int] | tuple[int, int] | None
    target: str | Sequence[str] | None
    images: str | Path | None
    image_column: str | Sequence[str] | None
    group: str | None
    product: str | None
    split_column: str | None
    label_separator: str | Sequence[str] | None
    crop_to_boxes: bool | None
    levels: int | None
    junk: str | Sequence[str] | None
    min_per_class: int | str | Sequence[str] | None
    rare_classes: str | Sequence[str] | None
    all_targets: bool
    model_targets: Sequence[str]
    allow_outside: bool


def read(
    data: str | Path,
    *,
    test: str | Path | None = None,
    format: str | None = None,
    log: Log = no_log,
    **arguments: Unpack[ReadArguments],
) -> Dataset:
    """Read a data set from its files.

    Args:
        data: a key of `muslin.data.registry.DATASETS`, or the path of a file or folder. A Path is never a name.
        test: a file or folder with the test part, where `data` holds only the training part.
        format: a name in `muslin.data.formats.FORMATS`; by default it is detected.
        log: called with a sentence before a download, and now and then while a long index is read.
        arguments: those of `ReadArguments`.

    Raises:
        DataError: the data set does not exist, or its files cannot be read.
        StorageError: a download cannot be stored.
    """
    _check_names(arguments)
    check_local(data, test, arguments.get("images"))
    junk, min_per_class = arguments.get("junk"), arguments.get("min_per_class")
    rare_classes = arguments.get("rare_classes")
    if rare_classes and not min_per_class:
        raise DataError("rare_without_minimum")
    options = _read_options(arguments)
    dataset = _read_data(data, test, format, options, log)
    if wants_no_column(arguments.get("product")):
        dataset = replace(dataset, products=None, roles=None)
    if junk:
        dataset = drop_junk_labels(dataset, junk, strict=not options.all_targets)
    elif proposals := junk_proposals(dataset):
        dataset = replace(dataset, fixes=(*dataset.fixes, *proposals))
    if min_per_class is None:
        return dataset
    return reduce_rare_classes(dataset, min_per_class, rare_classes, strict=not options.all_targets)


def read_and_log(data: str | Path | Dataset, *, log: Log, to_measure: bool = False, **options: Any) -> Dataset:
    """`data`, read with these options unless it is a Dataset already; logs every fix.

    Args:
        to_measure: whether models are measured on the data, which are not split: then groups widen intervals only.
    """
    if isinstance(data, Dataset):
        check_read(data, options)
    dataset = data if isinstance(data, Dataset) else read(data, log=log, **options)
    if to_measure:
        dataset = replace(dataset, fixes=tuple(map(_without_split, dataset.fixes)))
    for fix in dataset.fixes:
        log(fix)
    return dataset


def _without_split(fix: str) -> str:
    """A proposal of groups where nothing is split; any other fix as it is."""
    is_proposal = isinstance(fix, Message) and fix.code == "group_column_proposed"
    return Message(fix.code, "intervals", **fix.params) if is_proposal else fix  # type: ignore[attr-defined]


def check_read(dataset: Dataset, options: Mapping[str, Any]) -> None:
    """
    Raises:
        DataError: options of reading are given for a data set that is read already.
    """
    if unused := sorted(name for name, value in options.items() if value not in (None, False, (), [], {})):
        raise DataError("read_already", name=dataset.name, options=unused)


def with_fixes(dataset: Dataset, fixes: Sequence[str], log: Log) -> Dataset:
    """`dataset` with more `fixes`, each of which is logged."""
    for fix in fixes:
        log(fix)
    return replace(dataset, fixes=(*dataset.fixes, *fixes)) if fixes else dataset


def _check_names(arguments: Iterable[str]) -> None:
    """As Python checks the names of keywords."""
    for name in arguments:
        if name not in ReadArguments.__annotations__:
            raise TypeError(f"read() got an unexpected keyword argument {name!r}")


def _read_options(arguments: ReadArguments) -> ReadOptions:
    """
    Raises:
        DataError: columns or a shape are named in a way that means nothing.
    """
    names = column_names(arguments.get("target"), "--target")
    image_columns = column_names(arguments.get("image_column"), "--image-column")
    images, product, separator = arguments.get("images"), arguments.get("product"), arguments.get("label_separator")
    return ReadOptions(
        shape=_full_shape(arguments.get("shape")),
        targets=names,
        images=None if images is None else str(images),
        image_columns=image_columns,
        group=arguments.get("group"),
        product=None if wants_no_column(product) else product,
        guess_products=not wants_no_column(product),
        split_column=arguments.get("split_column"),
        label_separator=(separator,) if isinstance(separator, str) else tuple(separator or ()) or None,
        crop_to_boxes=arguments.get("crop_to_boxes") or None,
        levels=arguments.get("levels"),
        all_targets=arguments.get("all_targets", False) and not names,
        model_targets=tuple(arguments.get("model_targets") or ()),
        allow_outside=arguments.get("allow_outside", False),
    )


def _read_data(
    data: str | Path, test: str | Path | None, format: str | None, options: ReadOptions, log: Log
) -> Dataset:
    if isinstance(test, str) and test in DATASETS:
        raise DataError("test_is_dataset", name=test)
    if isinstance(data, str) and data in DATASETS:
        if test is not None:
            raise DataError("test_part_exists", path=data)
        permission = ["allow_outside"] if options.allow_outside else []
        if unused := [*(["format"] if format else []), *options.names_set(), *permission]:
            raise DataError("options_unused", name=data, options=unused)
        return read_registered(data, log=log)
    if test is not None and os.path.exists(data) and os.path.exists(test) and os.path.samefile(data, test):
        raise DataError("test_is_training", path=str(test))
    dataset = _read_path(data, format, options, log)
    if test is None:
        return _recognised([dataset], [data])[0]
    parts = [dataset, _read_path(test, format, options, log)]
    for part, path in zip(parts, (data, test), strict=True):
        if part.parts is not None:
            raise DataError("test_part_exists", path=str(path))
        if not part.targets:
            raise DataError("no_label_column", path=str(path))
    train_part, test_part = _recognised(parts, [data, test])
    joined = join({"train": train_part, "test": test_part}, name=train_part.name)
    return replace(joined, fixes=(*joined.fixes, *notes_of_shared(joined)))


def _read_path(data: str | Path, format: str | None, options: ReadOptions, log: Log) -> Dataset:
    if not os.path.exists(data):
        check_content(Path(data))
        if isinstance(data, str):
            raise DataError("data_unknown", **unknown(data, DATASETS))
        raise DataError("path_missing", path=str(data))
    return _with_visible_names(read_path(data, format=format, options=options, log=log))


def _with_visible_names(dataset: Dataset) -> Dataset:
    """The data set with control characters in names of targets and classes as text, unless two become the same."""
    targets = []
    for target in dataset.targets:
        name, *classes = (escape_controls(each, keep=ORDINARY_CHARACTERS) for each in (target.name, *target.classes))
        targets.append(replace(target, name=name, classes=tuple(classes)))
    before = [name for target in dataset.targets for name in (target.name, *target.classes)]
    after = [name for target in targets for name in (target.name, *target.classes)]
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    namespaces = [[target.name for target in targets], *(target.classes for target in targets)]
    if not changed or any(len(set(names)) < len(names) for names in namespaces):
        return dataset  # training refuses such names
    labels = {new.name: dataset.labels[old.name] for old, new in zip(dataset.targets, targets, strict=True)}
    fix = Message("control_characters_shown", **examples(changed))
    return replace(dataset, targets=tuple(targets), labels=labels, fixes=(*dataset.fixes, fix))


def _recognised(datasets: list[Dataset], paths: Sequence[str | Path]) -> list[Dataset]:
    """The data sets with the class names of the registered data set that a file's name stands for, if any."""
    for dataset, path in zip(datasets, paths, strict=True):
        if row := recognise(dataset, [Path(path).resolve().name]):
            note = Message("class_names_from", name=row.name)
            named = [with_registered_classes(row, each) for each in datasets]
            return [replace(each, origin=f"{each.origin}; {note}") for each in named]
    return datasets


def _full_shape(shape: tuple[int, ...] | None) -> tuple[int, int, int] | None:
    if shape is None:
        return None
    full = (*shape, 1) if len(shape) == 2 else shape
    if len(full) != 3 or min(full) < 1 or full[2] not in (1, 3):
        raise DataError("shape_invalid", shape=list(shape))
    return full[0], full[1], full[2]
