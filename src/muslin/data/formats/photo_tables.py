"""Tables with a photo in each row: one column has the photo's path or id, others labels."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Target
from muslin.data.formats import pixels_csv
from muslin.data.formats.multilabel_cells import LIST, NONE, SEPARATORS, choose_separator, encode_column
from muslin.data.formats.one_hot import encode_one_hot, is_one_hot
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import read_head
from muslin.data.part_names import PART_NAMES
from muslin.data.photos import PhotoImages
from muslin.data.tables import detect_kind, open_table, peek_table, read_table
from muslin.data.tables.columns import Column, Table
from muslin.data.tables.header import names_photo
from muslin.data.tables.json_document import JsonDocument
from muslin.data.tables.photo_lookup import PHOTO_COLUMNS, PHOTO_FOLDERS, table_photos
from muslin.data.tables.workbook import is_workbook
from muslin.errors import DataError, ImageError, unknown
from muslin.messages import Log, Message, examples, no_log

LABEL_NAMES = frozenset({"label", "labels", "class", "category", "target", "tags", "attributes", "choice", "choices",
                         "ground_truth", "classificationannotation", "classificationannotations"})  # fmt: skip
GROUP_NAMES = frozenset({"group", "group_id", "sender_id", "product_id", "item_id", "person_id", "user_id"})
SPLIT_NAMES = frozenset({"split", "part", "partition", "subset"})

ANNOTATION_NAMES = frozenset({"annotation_id", "annotator", "completed_by", "created_at", "lead_time", "updated_at"})
"""Columns of Label Studio that say who labelled a photo, and when."""

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".xlsx")

CLOTHING_COLUMNS = frozenset({"image", "sender_id", "label", "kids"})
"""Columns of the clothing data set."""

NOT_CLASSES = frozenset({"Not sure", "Other", "Skip"})
"""Labels of the clothing data set that mean: unknown."""

STYLES_TARGETS = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "year",
                  "usage", "productDisplayName")  # fmt: skip
"""Targets in Kaggle's styles.csv."""


def detect(path: Path) -> str | None:
    """Why `path` is a table of photos, or None: a column is called as photos are, or one table is beside its photos."""
    if path.is_dir():
        tables = _tables_in(path)
        has_photos = any((path / name).is_dir() for name in PHOTO_FOLDERS[1:])
        return f"the table {tables[0].name} with photos" if len(tables) == 1 and has_photos else None
    start = read_head(path, 2**16)
    if start.startswith(b"PAR1"):
        return "a Parquet table with photos"
    if is_workbook(path):
        return "an XLSX workbook with photos"
    with suppress(DataError):
        if detect_kind(path) is JsonDocument:
            return "a JSON document with photos"
    if start.lstrip().startswith(b"{") and path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return "a JSON Lines table with photos"
    if pixels_csv.detect(path) or not (table := peek_table(path)):
        return None
    columns, rows = table
    if len(columns) > 1 and set(map(str.lower, columns)) & set(PHOTO_COLUMNS):
        return "a table with photos"
    cells = (str(cell) for row in rows for cell in row)
    return "a table with photos" if len(columns) > 1 and any(map(names_photo, cells)) else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """One sample per row; rows whose photo is missing are dropped and listed in `fixes`.

    `origin` names the columns of the photo, label, group and part. An empty label is UNKNOWN.
    Classes are those of all rows, so that an index does not depend on which photos exist.
    A column whose cells list labels becomes a multilabel target, see `multilabel_cells.choose_separator`.

    Raises:
        DataError: no column names photos that exist, none or several could be the label, a column is unknown, its
            cells can be read in two ways, or the file is damaged.
    """
    if path.is_dir():
        tables = _tables_in(path)
        if len(tables) != 1:
            raise DataError("one_table_expected", path=str(path), found=len(tables))
        path = tables[0]
    file = open_table(path)
    table = read_table(file, log)
    if not len(table):
        raise DataError("no_rows", path=str(path))
    found = table_photos(file, options.images, options.image_column)
    image_column = found.column
    group = table.check_column(options.group) if options.group else _only_column(table, GROUP_NAMES)
    split = table.check_column(options.split_column) if options.split_column else _split_column(table)
    names = tuple(map(table.check_column, options.targets)) or _label_columns(
        table, {image_column, group, split}, options.all_targets
    )
    for name in filter(None, (image_column, group, split, *names)):
        table.check_column(name)  # also refuses a guessed one whose name is another column's too
    photo_names = table.columns[image_column]
    numbered = zip(table.row_numbers.tolist(), photo_names.codes.tolist(), strict=True)
    photos = [found.find(row, photo_names.categories[code]) for row, code in numbered]
    rows = np.flatnonzero([not isinstance(photo, ImageError) for photo in photos])
    fixes = [*table.fixes, *found.notes, *found.fixes]
    targets, labels, described = _encode_targets(table, names, rows, options, fixes)
    groups = None
    if group:  # an empty cell is a group of its own
        cells = ((row, str(table.columns[group].categories[table.columns[group].codes[row]])) for row in rows)
        groups = np.array([cell or f"(row {table.row_numbers[row]})" for row, cell in cells], dtype=object)
    return Dataset(
        name=path.parent.resolve().name if path.stem == "images" else path.stem,
        format="table",
        images=PhotoImages(tuple(photo for photo in photos if not isinstance(photo, ImageError)), found.keep_alive),
        targets=tuple(targets),
        labels=labels,
        ids=unique_ids([str(photo_names.categories[code]) for code in photo_names.codes[rows].tolist()]),
        parts=part_column(path, table.columns[split], rows, table.row_numbers) if split else None,
        groups=groups,
        origin="; ".join(
            [f"{len(table):,} rows", f"photos: {image_column}", f"label: {', '.join(described)}"]
            + ([f"group: {group}"] if group else [])
            + ([f"part: {split}"] if split else [])
        ),
        fixes=tuple(fixes),
    )


def _encode_targets(
    table: Table, names: Sequence[str], rows: NDArray[np.intp], options: ReadOptions, fixes: list[Message]
) -> tuple[list[Target], dict[str, NDArray[np.integer[Any]]], list[str]]:
    """The targets in the columns `names`, their labels in `rows`, and the names with what separates the labels."""
    if not options.targets and is_one_hot(table, names):
        fixes.append(Message("columns_read_as_classes", **examples(names)))
        target, values = encode_one_hot(table, names, rows)
        return [target], {target.name: values}, ["a column for each class"]
    separators = _separators(table, options.label_separator or (), names)
    targets, labels, described = [], {}, []
    for name in names:
        column = table.columns[name]
        if set(table.columns) == CLOTHING_COLUMNS and name == "label":
            column = _drop_not_classes(column, rows, fixes)
        strict = not options.all_targets
        separator = choose_separator(table.path, name, column, separators.get(name), strict)
        target, labels[name] = encode_column(name, column, rows, separator)
        targets.append(target)
        how = "lists of labels" if separator == LIST else f"labels separated by {separator!r}"
        described.append(f"{name} ({how})" if separator else name)
    return targets, labels, described


def _tables_in(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir()
        if p.suffix.lower() in TABLE_SUFFIXES and p.is_file() and not p.name.startswith(("~$", "."))
    )  # fmt: skip


# ── Which column is what ─────────────────────────────────────────────────────────────────────────────────


def _only_column(table: Table, names: frozenset[str]) -> str | None:
    matches = [name for name in table.columns if name.lower() in names]
    return matches[0] if len(matches) == 1 else None


def _split_column(table: Table) -> str | None:
    """The only column whose cells all name parts; of a single part where the column is called so too."""
    parts = {
        name: len(column.categories)
        for name, column in table.columns.items()
        if {str(cell).lower() for cell in column.categories} <= set(PART_NAMES)
    }
    named = _only_column(table, SPLIT_NAMES)
    matches = [named] if named in parts else [name for name, count in parts.items() if count > 1]
    return matches[0] if len(matches) == 1 else None


def _label_columns(table: Table, excluded: set[str | None], every: bool) -> tuple[str, ...]:
    """The one column that could be the label, or every one."""
    columns = [name for name in table.columns if name not in excluded and name.lower() not in ANNOTATION_NAMES]
    recurring = [name for name in columns if len(table.columns[name].categories) < len(table)]  # the others are ids
    if set(STYLES_TARGETS) <= set(columns):
        possible = list(STYLES_TARGETS)
    elif is_one_hot(table, recurring) and not {name.lower() for name in recurring} & LABEL_NAMES:
        return tuple(recurring)
    else:
        # to be listed by `look`, it is enough that one of the column's cells recurs
        max_distinct = len(table) - 1 if every else len(table) / 2
        named = [] if every else [name for name in columns if name.lower() in LABEL_NAMES]
        possible = named or [name for name in columns if 1 < len(table.columns[name].categories) <= max_distinct]
        if every and not possible:
            return _label_columns(table, excluded, every=False)
    if len(possible) == 1 or (every and possible):
        return tuple(possible)
    if not possible:
        raise DataError("label_column_not_found", path=str(table.path), columns=columns)
    raise DataError("label_column_ambiguous", path=str(table.path), columns=possible)


def _separators(table: Table, texts: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """Per target the separator of its labels that the user chose."""
    separators: dict[str, str] = {}
    for text in texts:
        name, equals, separator = text.rpartition("=")
        if separator not in (*SEPARATORS, NONE):
            raise DataError("separator_unknown", separator=separator, choices=[*SEPARATORS, NONE])
        if equals and table.check_column(name) not in targets:
            raise DataError("separator_of_no_target", path=str(table.path), column=name)
        separators |= {name: separator} if equals else dict.fromkeys(targets, separator)
    return separators


def _drop_not_classes(column: Column, rows: NDArray[np.intp], fixes: list[Message]) -> Column:
    is_unknown = np.array([cell in NOT_CLASSES for cell in column.categories], dtype=bool)
    if count := int(is_unknown[column.codes[rows]].sum()):
        fixes.append(Message("labels_made_unknown", count=count, names=sorted(NOT_CLASSES)))
    return Column(["" if cell in NOT_CLASSES else cell for cell in column.categories], column.codes)


# ── From columns to arrays, also for other formats ───────────────────────────────────────────────────────


def part_column(path: Path, column: Column, rows: NDArray[np.intp], numbers: NDArray[np.int64]) -> NDArray[np.object_]:
    """The part of each of `rows`; DataError where a cell is not a part's name. `numbers` are those of all rows."""
    words = [str(cell).strip().lower() for cell in column.categories]
    for code, word in enumerate(words):
        if word not in PART_NAMES:
            row = int(numbers[np.argmax(column.codes == code)])
            raise DataError("split_value_unknown", path=str(path), row=row, **unknown(word, PART_NAMES))
    parts: NDArray[np.object_] = np.array([PART_NAMES[word] for word in words], dtype=object)
    return parts.take(column.codes[rows])


def unique_ids(names: Sequence[str]) -> NDArray[np.object_]:
    """An id for each name; one that recurs gets a number: a.jpg, a.jpg#2."""
    counts: dict[str, int] = {}
    ids = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        ids.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return np.array(ids, dtype=object)
