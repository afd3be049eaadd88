"""A Dataset from tables whose rows name photos: one table, a table for each part, or shards."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.copies import conflicting_labels
from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.data.formats.group_columns import asked_group, certain_group, group_notes, guess_group
from muslin.data.formats.label_columns import MAX_CLASSES, has_too_many_classes, label_columns
from muslin.data.formats.multilabel_cells import LIST, NONE, SEPARATORS, choose_separator, encode_column
from muslin.data.formats.one_hot import encode_one_hot, is_one_hot
from muslin.data.formats.products_in_tables import (
    RowProducts,
    fill_labels,
    products_in_columns,
    role_column,
    rows_as_products,
)
from muslin.data.formats.read_options import ReadOptions, by_name
from muslin.data.formats.table_sources import TableSource, parts_in_paths
from muslin.data.part_names import SPLIT_NAMES, are_parts, is_part_name, parts_of_cells
from muslin.data.photo_lookup import MAX_NAME
from muslin.data.photo_roles import ProductPhoto, known_roles, role_of
from muslin.data.photos import Photo, PhotoImages
from muslin.data.row_names import row_names
from muslin.data.tables import Cell, open_table, read_table
from muslin.data.tables.columns import NO_COLUMN, Column, Table
from muslin.data.tables.json_document import JsonDocument
from muslin.data.tables.json_lines import JsonLines
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.photo_column import TablePhotos, check_images_used, table_photos
from muslin.errors import DataError, ImageError
from muslin.library_errors import reason_of
from muslin.messages import Log, Message, examples, no_log

UNKNOWN_SUFFIX = " unknown"
"""The end of a column's name, after the target's: the column lists labels that are neither true nor false."""


@dataclass(frozen=True)
class _OpenTable:
    """A table in memory, with its photos; `parquet` is the file if it is of that kind."""

    source: TableSource
    table: Table
    photos: TablePhotos
    parquet: Parquet | None


@dataclass(frozen=True)
class _Roles:
    """The columns of the group, part, photos' roles and labels; the classes that the file lists, per column; and the
    product of each row.

    With `guess_group`, the photos decide whether another column is the group; never one of `excluded`.
    """

    group: str | None
    split: str | None
    role: str | None
    targets: tuple[str, ...]
    listed: Mapping[str, Mapping[str, Any]]
    products: RowProducts | None
    guess_group: bool
    excluded: frozenset[str | None]
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class _FoundPhotos:
    """All photos that rows name, in their order, and the index of each one's row."""

    rows: NDArray[np.intp]
    photos: tuple[ProductPhoto, ...]

    @property
    def readable(self) -> NDArray[np.intp]:
        """The places of those that exist."""
        return np.flatnonzero([not isinstance(each.image, ImageError) for each in self.photos])


def read_tables(sources: Sequence[TableSource], options: ReadOptions, log: Log = no_log) -> Dataset:
    """One sample per row; rows whose photo is missing are dropped and listed in `fixes`.

    `origin` names the columns of the photo, label, group and part. An empty label is UNKNOWN.
    Classes are those of all rows, so that an index does not depend on which photos exist.
    A column whose cells list labels becomes a multilabel target, see `multilabel_cells.choose_separator`.
    Of rows that repeat a photo with the same labels, part and group, the first is read.

    Args:
        sources: tables with the same columns. One without the columns of labels that others have is left out.

    Raises:
        DataError: no column names photos that exist, none or several could be the label, a column is unknown, its
            cells can be read in two ways, shards have other columns, or a file is damaged.
    """
    opened = list(_open(sources, options, log))
    if not opened:
        raise DataError("no_rows", path=str(sources[0].path))
    for each in opened:
        check_images_used(each.photos, options.images)
        if options.split_column:
            each.table.check_column(options.split_column)
    table = _join([each.table for each in opened])
    if not options.targets:
        options = replace(options, targets=tuple(name for name in options.model_targets if name in table.columns))
    roles, all_opened = _choose_columns(table, opened, options), opened
    opened, fixes = _labelled_tables(sources, opened, roles)
    if sum(len(each.table) for each in opened) < len(table):
        kept = np.flatnonzero(np.concatenate([np.full(len(t.table), t in opened) for t in all_opened]))
        roles = replace(roles, products=roles.products and roles.products.take(kept))
        table = _join([each.table for each in opened])
    found = _find_photos(opened, table, several=options.guess_products)
    fixes += [fix for each in opened for fix in (*each.photos.notes, *each.photos.fixes)]
    readable = found.readable
    rows = found.rows[readable]
    table, products = _row_products(table, len(found.rows), roles, fixes)
    named = found.rows[[getattr(each.image, "code", "") != "photo_not_named" for each in found.photos]]
    unnamed = ~np.isin(np.arange(len(table)), named)
    targets, labels, described = _encode_targets(_without_cells(table, unnamed), roles, rows, options, fixes)
    parts, part_origin = _parts(opened, roles, rows, options)
    origin = [f"{len(table):,} rows", f"photos: {', '.join(opened[0].photos.photo_columns)}"]
    origin += [f"label: {', '.join(described)}" if described else "", f"part: {part_origin}" if part_origin else ""]
    origin += [f"product: {products.columns[0] if products.columns else 'each row'}" if products else ""]
    dataset = Dataset(
        name=table.path.parent.resolve().name if table.path.stem == "images" else table.path.stem,
        format="table",
        images=PhotoImages(
            tuple(each.image for each in found.photos if not isinstance(each.image, ImageError)),
            [each.photos.keep_alive for each in opened],
        ),
        targets=tuple(targets),
        labels=labels,
        ids=_ids(opened, found)[readable],
        parts=None if parts is None else parts[rows],
        origin="; ".join(filter(None, origin)),
    )
    if products:
        dataset = _with_products(dataset, table, products, roles.role, found, fixes)
    dataset = _without_repeated(_with_groups(dataset, table, roles, rows, fixes), fixes)
    return _as_described(replace(dataset, fixes=tuple(fixes)), opened[0].parquet)


def _row_products(table: Table, n_photos: int, roles: _Roles, fixes: list[Message]) -> tuple[Table, RowProducts | None]:
    """The product of each row, if any are known; and the table with labels of other rows of the same product."""
    products = roles.products
    if products is None and n_photos > len(table):
        products = rows_as_products(table, n_photos)
    if products and products.fills_labels:
        table, n_filled = fill_labels(table, products, roles.targets)
        fixes += [Message("labels_of_product", n=n_filled)] if n_filled else []
    return table, products


def _labelled_tables(
    sources: Sequence[TableSource], opened: Sequence[_OpenTable], roles: _Roles
) -> tuple[list[_OpenTable], list[Message]]:
    """The tables with a column of labels, if any column is one; and what reading them changed."""
    several = len(sources) > 1
    fixes = [
        Message("in_table", table=str(each.source.path), fix=fix) if several else fix
        for each in opened
        for fix in each.table.fixes
    ]
    fixes += roles.notes
    if empty := {source.path for source in sources} - {each.source.path for each in opened}:
        fixes.append(Message("tables_without_rows", **examples(sorted(map(str, empty)))))
    unlabelled = [each for each in opened if roles.targets and not set(roles.targets) & each.table.columns.keys()]
    if unlabelled:
        fixes.append(Message("tables_without_labels", **examples(str(each.source.path) for each in unlabelled)))
    return [each for each in opened if each not in unlabelled], fixes


def _open(sources: Sequence[TableSource], options: ReadOptions, log: Log) -> Iterator[_OpenTable]:
    """The tables that have rows."""
    first: dict[str, Table] = {}
    for source in sources:
        file = open_table(source.path)
        table = read_table(file, log)
        shard = first.setdefault(source.part, table)
        has_header = not isinstance(file, JsonLines | JsonDocument)  # of which a row can lack a column
        if has_header and table.columns.keys() != shard.columns.keys():
            names = {"found": list(table.columns), "expected": list(shard.columns), "other": str(shard.path)}
            raise DataError("shard_columns_differ", path=str(table.path), **names)
        if len(table):
            photos = table_photos(
                file, source.places or options.images, options.image_columns, several=options.guess_products
            )
            yield _OpenTable(source, table, photos, file if isinstance(file, Parquet) else None)


def _join(tables: Sequence[Table]) -> Table:
    """The rows of all tables; cells of columns that one lacks are empty there."""
    if len(tables) == 1:
        return tables[0]
    columns = {}
    for name in dict.fromkeys(name for table in tables for name in table.columns):
        codes: dict[Cell, int] = {}
        pieces = []
        for table in tables:
            column = table.columns.get(name) or Column([""], np.zeros(len(table), dtype=np.uint8))
            pieces.append(np.array([codes.setdefault(c, len(codes)) for c in column.categories])[column.codes])
        columns[name] = Column(list(codes), np.concatenate(pieces).astype(np.min_scalar_type(len(codes))))
    twice = frozenset(name for table in tables for name in table.names_twice)
    return Table(tables[0].path, columns, np.concatenate([table.row_numbers for table in tables]), names_twice=twice)


# ── The role of each column ─────────────────────────────────────────────────────────────────────────────────


def _choose_columns(table: Table, opened: Sequence[_OpenTable], options: ReadOptions) -> _Roles:
    files = [each.parquet for each in opened if each.parquet]
    description = files[0].description if files else {}
    group, split, role = options.group, options.split_column, description.get("role")
    photo_columns = {name for each in opened for name in each.photos.photo_columns}
    asked = options.product or (description.get("product", NO_COLUMN) if description else None)
    asked = asked if options.guess_products else NO_COLUMN
    products = products_in_columns(table, asked, {group, *photo_columns, *options.targets})
    named_by_product = set(products.columns) if products else set()
    if description:
        group, split = group or description.get("group") or NO_COLUMN, split or description.get("split")
    else:
        split = split or _split_column(table, {group, *options.targets})
        role = role_column(table) if products else None
    group, guess = asked_group(table, group)
    excluded = {split, role, *options.targets, *photo_columns, *named_by_product}
    excluded |= {name for file in files for name in file.photo_columns}
    excluded |= {name for name in table.columns if name.endswith(UNKNOWN_SUFFIX)}
    listed = {name: file.classes[name] for file in files for name in file.classes if name in table.columns}
    targets = options.targets
    notes: tuple[Message, ...] = ()
    if guess and (certain := certain_group(table, excluded)):
        group, notes = certain.column, (certain.note("group_column_chosen"),)
    if description and not targets:
        targets = tuple(str(target["name"]) for target in description.get("targets", ()))
    elif not targets:
        try:
            targets, others = label_columns(table, {group, *excluded}, options.all_targets, list(listed))
            notes += (Message("label_column_chosen", column=targets[0], others=others),) if others else ()
        except DataError as error:
            if error.code != "label_column_not_found" or not any(file.photo_columns for file in files):
                raise
    for name in filter(None, (*opened[0].photos.photo_columns, group, split, *targets)):
        table.check_column(name)  # also refuses a guessed one whose name is another column's too
        if name in targets and name not in listed and has_too_many_classes(table.columns[name]):
            n = len(table.columns[name].categories)
            raise DataError("column_has_too_many_classes", path=str(table.path), column=name, n=n, maximum=MAX_CLASSES)
    if products and options.product in targets:
        raise DataError("product_is_target", path=str(table.path), column=options.product)
    if products and group in products.columns:
        group, notes = None, (*notes, Message("product_is_group", column=group))
    if group in targets:
        raise DataError("group_is_target", path=str(table.path), column=group)
    excluded |= set(targets)
    return _Roles(group, split, role, targets, listed, products, guess and not group, frozenset(excluded), notes)


def _split_column(table: Table, excluded: Collection[str | None]) -> str | None:
    """The only column that holds parts, on most rows, although cells can be empty.

    A column with a single part, or with cells that mean none, must have a name of SPLIT_NAMES.

    Args:
        excluded: columns with another role.
    """
    parts: dict[str, int] = {}
    for name, column in table.columns.items():
        is_named = name.lower() in SPLIT_NAMES
        if name in excluded or not (is_named or all(is_part_name(str(c)) for c in column.categories if c)):
            continue
        rows_of = np.bincount(column.codes, minlength=len(column.categories)).tolist()
        counts = dict(zip(map(str, column.categories), rows_of, strict=True))
        if are_parts(counts) and (is_named or 2 * counts.get("", 0) < len(table)):
            parts[name] = sum(map(is_part_name, counts))
    named = [name for name in parts if name.lower() in SPLIT_NAMES]
    matches = named if len(named) == 1 else [name for name, count in parts.items() if count > 1]
    return matches[0] if len(matches) == 1 else None


# ── From columns to arrays, also for other formats ───────────────────────────────────────────────────────


def _encode_targets(
    table: Table, roles: _Roles, rows: NDArray[np.intp], options: ReadOptions, fixes: list[Message]
) -> tuple[list[Target], dict[str, NDArray[np.integer[Any]]], list[str]]:
    """The targets, their labels in `rows`, and the names with what separates the labels."""
    if not options.targets and not roles.listed and is_one_hot(table, roles.targets):
        fixes.append(Message("columns_read_as_classes", **examples(roles.targets)))
        if options.label_separator:
            raise DataError("format_option_unused", path=str(table.path), format="one-hot", options=["label_separator"])
        target, values = encode_one_hot(table, roles.targets, rows)
        return [target], {target.name: values}, ["a column for each class"]
    separators = _separators(table, options.label_separator or (), roles.targets)
    targets, labels, described = [], {}, []
    for name in roles.targets:
        column = table.columns[name]
        listed = roles.listed.get(name, {})
        unknown_labels = table.columns.get(listed.get("unknown", name + UNKNOWN_SUFFIX))
        if (listed or unknown_labels) and separators.get(name):
            raise DataError("separator_of_list", path=str(table.path), column=name)
        if listed or unknown_labels:
            separator = None if listed.get("kind") == "multiclass" else LIST
        else:
            separator = choose_separator(table.path, name, column, separators.get(name), not options.all_targets)
        try:
            classes = tuple(map(str, listed.get("classes", ())))
            target, labels[name] = encode_column(name, column, rows, separator, classes, unknown_labels)
        except (KeyError, TypeError) as error:
            raise DataError("parquet_metadata", path=str(table.path), reason=reason_of(error)) from error
        targets.append(target)
        how = "lists of labels" if separator == LIST else f"labels separated by {separator!r}"
        described.append(f"{name} ({how})" if separator else name)
    return targets, labels, described


def _without_cells(table: Table, excluded: NDArray[np.bool_]) -> Table:
    """`table` without the cells that only the rows `excluded` have, such as those of a row of totals."""
    if not excluded.any():
        return table
    columns = {}
    for name, column in table.columns.items():
        used = set(column.codes[~excluded].tolist())
        columns[name] = replace(column, categories=[c if i in used else "" for i, c in enumerate(column.categories)])
    return replace(table, columns=columns)


def _separators(table: Table, texts: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """Per target the separator of its labels that the user chose."""
    given = by_name(texts, "label_separator", targets)
    for name, separator in given.items():
        if separator not in (*SEPARATORS, NONE):
            raise DataError("separator_unknown", separator=separator, choices=[*SEPARATORS, NONE])
        if name and table.check_column(name) not in targets:
            raise DataError("separator_of_no_target", path=str(table.path), column=name)
    return {name: given.get(name, given.get("", "")) for name in targets}


def _parts(
    opened: Sequence[_OpenTable], roles: _Roles, rows: NDArray[np.intp], options: ReadOptions
) -> tuple[NDArray[np.object_] | None, str]:
    """The part of each row, and where it is from: a column, the names of the tables, or the folders in the cells.

    Args:
        rows: those with a photo. Others, such as a row of totals, need have no part.
    """
    tables, chosen = [each.table for each in opened], np.unique(rows)
    parts = np.full(sum(map(len, tables)), "", dtype=object)
    if roles.split and all(roles.split in table.columns for table in tables):
        guessed, first = None if options.split_column else roles.split, 0
        for table in tables:
            inside = chosen[(chosen >= first) & (chosen < first + len(table))]
            cells, numbers = table.columns[roles.split].cells, table.row_numbers[inside - first].tolist()
            cells_of_parts = [str(cells[row]) for row in (inside - first).tolist()]
            parts[inside] = parts_of_cells(table.path, cells_of_parts, numbers, guessed)
            first += len(table)
        return parts, roles.split
    if len({each.source.part for each in opened}) > 1:
        names = np.array([each.source.part for each in opened], dtype=object)
        return np.repeat(names, list(map(len, tables))), "a table for each"
    paths = [str(next(filter(None, cells), "")) for each in opened for cells in _photo_cells(each)]
    if found := parts_in_paths(tables[0].path, [paths[row] for row in chosen.tolist()]):
        parts[chosen] = found
        return parts, "the photos' folders"
    return None, ""


def _with_groups(
    dataset: Dataset, table: Table, roles: _Roles, rows: NDArray[np.intp], fixes: list[Message]
) -> Dataset:
    """`dataset` with the group of each image; an empty cell is a group of its own. Says why, or what is proposed."""
    group = roles.group
    if roles.guess_group:
        excluded = roles.excluded | _columns_within_products(dataset, table, rows)
        group, notes = guess_group(table, rows, dataset, excluded)
        fixes += notes
    if group is None:
        return dataset
    cells, own_names = table.columns[group].cells, row_names(table.row_numbers.tolist())
    names = [str(cells[row]) or own_names[row] for row in rows.tolist()]
    dataset = replace(dataset, groups=np.array(names, dtype=object), origin=f"{dataset.origin}; group: {group}")
    fixes += group_notes(dataset, group, sum(not cells[row] for row in rows.tolist()))
    return dataset


def _columns_within_products(dataset: Dataset, table: Table, rows: NDArray[np.intp]) -> frozenset[str]:
    """The columns of which each value is of one product only: as groups they would keep nothing more together."""
    if dataset.products is None:
        return frozenset()
    numbers = np.unique(dataset.products.astype(str), return_inverse=True)[1]
    within = []
    for name, column in table.columns.items():
        codes = column.codes[rows]
        product_of = np.zeros(len(column.categories), dtype=np.int64)
        product_of[codes] = numbers
        within += [name] if (product_of[codes] == numbers).all() else []
    return frozenset(within)


def _find_photos(opened: Sequence[_OpenTable], table: Table, *, several: bool) -> _FoundPhotos:
    """The photo of each row; with `several` each photo of a row that names several."""
    rows: list[int] = []
    photos: list[ProductPhoto] = []
    cells = ((each.photos, cells) for each in opened for cells in _photo_cells(each))
    for row, (number, (place, each)) in enumerate(zip(table.row_numbers.tolist(), cells, strict=True)):
        found = place.find_all(number, each) if several else [place.find(number, each)]
        rows += [row] * len(found)
        photos += found
    return _FoundPhotos(np.array(rows, dtype=np.intp), tuple(photos))


def _photo_cells(opened: _OpenTable) -> Iterator[tuple[Cell, ...]]:
    """The cells of each row that name photos."""
    return zip(*(opened.table.columns[name].cells for name in opened.photos.photo_columns), strict=True)


def _with_products(
    dataset: Dataset, table: Table, products: RowProducts, role: str | None, photos: _FoundPhotos, fixes: list[Message]
) -> Dataset:
    """`dataset`, of the readable `photos`, with the products and roles; says which products have no photo.

    Args:
        role: the column of the photos' roles.
    """
    rows = photos.rows[photos.readable]
    fixes += products.notes
    of_photos = np.array(products.names, dtype=object)[rows]
    if lost := sorted(set(products.names) - set(of_photos)):
        fixes.append(Message("products_without_photo", **examples(lost)))
    if len(set(of_photos)) == len(of_photos):
        column = products.columns[0] if products.columns else None
        fixes.append(Message("product_column_unique", column=column))
        return dataset
    if role:
        cells = table.columns[role].cells
        roles = known_roles([role_of(str(cells[row])) for row in rows.tolist()])
    else:
        roles = known_roles([photos.photos[place].role for place in photos.readable.tolist()])
    return replace(dataset, products=of_photos, roles=roles)


def _ids(opened: Sequence[_OpenTable], found: _FoundPhotos) -> NDArray[np.object_]:
    """Per photo the cell that names it, or the row's number; with the part where each has a table."""
    parts = [each.source.part for each in opened for _ in range(len(each.table))]
    numbers = [number for each in opened for number in each.table.row_numbers.tolist()]
    names = [each.name or str(numbers[row]) for each, row in zip(found.photos, found.rows.tolist(), strict=True)]
    names = [name if len(name) <= MAX_NAME else f"{name[:80]}…" for name in names]  # which names no photo
    if len(set(parts)) > 1:
        names = [f"{parts[row]}/{name}" for name, row in zip(names, found.rows.tolist(), strict=True)]
    return unique_ids(names)


def unique_ids(names: Sequence[str]) -> NDArray[np.object_]:
    """An id for each name; one that recurs gets the next number with which it is no other name: a.jpg, a.jpg#2."""
    counts: dict[str, int] = {}
    ids, taken = [], set(names)
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        id_ = name
        while counts[name] > 1 and (id_ := f"{name}#{counts[name]}") in taken:
            counts[name] += 1
        taken.add(id_)
        ids.append(id_)
    return np.array(ids, dtype=object)


def _without_repeated(dataset: Dataset, fixes: list[Message]) -> Dataset:
    """`dataset` without rows that repeat a photo with the same labels, part, group and product.

    Says which photos have several labels.
    """
    assert isinstance(dataset.images, PhotoImages)
    rows_of: dict[Any, list[int]] = {}
    for row, photo in enumerate(dataset.images.photos):
        rows_of.setdefault((photo.path, photo.start) if isinstance(photo, Photo) else row, []).append(row)
    first: dict[Any, int] = {}
    several = []
    for rows in (rows for rows in rows_of.values() if len(rows) > 1):
        for row in rows:
            fields = (values[row].tobytes() for values in dataset.labels.values())
            columns = dataset.parts, dataset.groups, dataset.products
            places = [str(values[row]) for values in columns if values is not None]
            first.setdefault((rows[0], *fields, *places), row)
        if labels := conflicting_labels(dataset, np.array(rows)):
            several.append(f"{dataset.ids[rows[0]]} ({'; '.join(labels)})")
    repeated = sorted({row for rows in rows_of.values() for row in rows[1:]} - set(first.values()))
    if several:
        fixes.append(Message("photos_with_several_labels", **examples(several)))
    if repeated:
        fixes.append(Message("repeated_rows_skipped", **examples(dataset.ids[repeated])))
    return dataset.take(np.setdiff1d(np.arange(len(dataset)), repeated)) if repeated else dataset


def _as_described(dataset: Dataset, file: Parquet | None) -> Dataset:
    """`dataset` with the name, transform and pixels that `muslin convert` stored."""
    if not file or not file.description:
        return dataset
    description = file.description
    images = dataset.images
    if shape := description.get("pixels"):
        pixels = [images[row] for row in range(len(images))]
        if any(list(each.shape) != shape for each in pixels):
            raise DataError("parquet_metadata", path=str(file.path), reason=f"pixels: {shape}")
        images = PixelImages(np.stack(pixels))
    transform = "fashion-mnist" if description.get("transform") == "fashion-mnist" else "fit"
    return replace(dataset, name=str(description.get("name") or dataset.name), transform=transform, images=images)
