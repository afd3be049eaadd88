"""Tables with a photo in every row, in any spelling `columns` reads: one column a photo's path or id, others labels."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset
from muslin.data.formats import pixels_csv, spreadsheets
from muslin.data.formats.columns import LOOKED_AT as LINES_LOOKED_AT
from muslin.data.formats.columns import Cell, Column, Table, header_line, read_columns
from muslin.data.formats.folders import PART_NAMES, files_of
from muslin.data.formats.gzip_files import read_head
from muslin.data.formats.label_lists import LIST, NONE, SEPARATORS, separator_of, target_of
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.data.photos import PHOTO_SUFFIXES, Photo, PhotoImages
from muslin.errors import DataError, nearest

TAKES = frozenset({"target", "targets", "images", "image_column", "group", "split_column", "separator"})

IMAGE_NAMES = ("image", "image_path", "filepath", "file_path", "path", "filename", "file_name", "file", "photo",
               "image", "img", "image_name", "image_id", "imageid", "id", "sku", "article_id")  # fmt: skip
LABEL_NAMES = frozenset({"label", "labels", "class", "category", "target", "tags", "attributes"})
GROUP_NAMES = frozenset({"group", "group_id", "sender_id", "product_id", "item_id", "person_id", "user_id"})
SPLIT_NAMES = frozenset({"split", "part", "partition", "subset"})

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".xlsx")
BESIDE = ("", "images", "image", "img", "photos")
"""Folders beside the table in which its photos are looked for."""

CLOTHING_COLUMNS = frozenset({"image", "sender_id", "label", "kids"})
NO_CLASSES = frozenset({"Not sure", "Other", "Skip"})
"""Labels of the clothing data set (its columns are CLOTHING_COLUMNS) with which a person said: unknown."""

STYLES_TARGETS = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "year",
                  "usage", "productDisplayName")  # fmt: skip
"""What Kaggle's styles.csv says of each product beside its id."""

LOOKED_AT = 200
"""Rows from which the photo's column is guessed."""

LISTED = 20
"""Missing photos that are named; the others are counted."""

Lookup = Callable[[str], Photo | None]


def detect(path: Path) -> str | None:
    """Why `path` is a table of photos, or None: a column called as photos are, or one table beside its photos."""
    if path.is_dir():
        tables = _tables_in(path)
        beside = any((path / name).is_dir() for name in BESIDE[1:])
        return f"the table {tables[0].name} with photos" if len(tables) == 1 and beside else None
    start = read_head(path, 2**16)
    if start.startswith(b"PAR1"):
        return "a Parquet table with photos"
    if spreadsheets.is_one(path):
        return "an XLSX workbook with photos"
    if start.lstrip().startswith(b"{") and path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return "a JSON Lines table with photos"
    if b"\0" in start[:1024] or pixels_csv.detect(path):
        return None
    lines = start.decode("utf-8-sig", "replace").splitlines()
    above, delimiter = header_line(lines[:LINES_LOOKED_AT])
    lines = lines[above:]
    names = [name.strip().strip('"').lower() for name in lines[0].split(delimiter)] if lines else []
    if len(names) > 1 and (set(names) & set(IMAGE_NAMES)):
        return "a table with photos"
    first = "\n".join(lines[1:20]).lower()
    return "a table with photos" if len(names) > 1 and any(s in first for s in PHOTO_SUFFIXES) else None


def read(path: Path, options: ReadOptions, log: Log = silent) -> Dataset:
    """One sample a row; rows whose photo is missing are left out and listed in `fixes`.

    Which columns were taken for photo, label, group and part is said in `origin`. An empty label is UNKNOWN.
    Classes are those of all rows, so that an index does not depend on which photos are there.
    A column whose cells list labels becomes a multilabel target, see `several.separator_of`.

    Raises:
        DataError: no column names photos that are there, none or several could be the label, a named column
            is not there, its cells can be read in two ways, or the file is damaged; the message names the row.
    """
    if path.is_dir():
        found = _tables_in(path)
        if len(found) != 1:
            raise DataError(f"{path}: {len(found)} tables where one is needed. Name the file.")
        path = found[0]
    table = read_columns(path, log)
    if not len(table):
        raise DataError(f"{path}: has no rows. Check that the file was not cut off.")
    bases = [Path(options.images)] if options.images else [path.parent / name for name in BESIDE]
    finders, kept = lookups(bases)
    image_column, lookup = _image_column(table, options, finders, bases)
    group = table.named(options.group) if options.group else _only(table, GROUP_NAMES)
    split_column = table.named(options.split_column) if options.split_column else _split_column(table)
    taken = {image_column, group, split_column}
    targets = tuple(map(table.named, options.named_targets)) or _labels(table, taken, options.every_target)
    separators = _separators(table, options.separator or (), targets)

    names = table.columns[image_column]
    photo_of = [lookup(name) if isinstance(name, str) and name else None for name in names.cells]
    there = np.array([photo is not None for photo in photo_of], dtype=bool)
    rows = np.flatnonzero(there[names.places])
    fixes = list(table.fixes)
    if missing := [names.cells[place] for place in names.places[~there[names.places]].tolist()]:
        some = ", ".join(str(name) or "(no name)" for name in missing[:LISTED])
        more = ", …" if len(missing) > LISTED else ""
        fixes.append(f"rows left out because their photo is missing: {len(missing):,} ({some}{more})")
    made, labels, said = [], {}, []
    for name in targets:
        column = table.columns[name]
        if set(table.columns) == CLOTHING_COLUMNS and name == "label":
            column = _without_no_classes(column, rows, fixes)
        separator = separator_of(path, name, column, separators.get(name), strict=not options.every_target)
        target, labels[name] = target_of(name, column, rows, separator)
        made.append(target)
        said.append(f"{name} ({_in_words(separator)})" if separator else name)
    chosen = [photo_of[place] for place in names.places[rows].tolist()]
    return Dataset(
        name=path.parent.resolve().name if path.stem == "images" else path.stem,
        format="table",
        images=PhotoImages(tuple(photo for photo in chosen if photo), kept),
        targets=tuple(made),
        labels=labels,
        ids=unique([str(names.cells[place]) for place in names.places[rows].tolist()]),
        parts=_parts(table, split_column, rows) if split_column else None,
        groups=_groups(table, group, rows) if group else None,
        origin="; ".join(
            [f"{len(table):,} rows", f"photos: {image_column}", f"label: {', '.join(said)}"]
            + ([f"group: {group}"] if group else [])
            + ([f"part: {split_column}"] if split_column else [])
        ),
        fixes=tuple(fixes),
    )


def _tables_in(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir()
        if p.suffix.lower() in TABLE_SUFFIXES and p.is_file() and not p.name.startswith(("~$", "."))
    )  # fmt: skip


# ── Which column is what ─────────────────────────────────────────────────────────────────────────────────


def lookups(bases: Sequence[Path]) -> tuple[list[Lookup], Any]:
    """Per folder or archive what finds a photo in it by path or id; and what must be kept while they are read."""
    kept, found = None, []
    for base in bases:
        if base.is_dir():
            found.append(_in_folder(base))
        elif len(bases) == 1:
            if not base.exists():
                raise DataError(f"{base}: no such file or folder. Check --images.")
            files, kept = files_of(base)
            found.append(_in_archive(files))
    return found, kept


def _in_folder(base: Path) -> Lookup:
    @cache
    def listing(folder: str) -> tuple[dict[str, str], dict[str, str]]:
        try:
            names = sorted(os.listdir(folder))
        except (OSError, ValueError):
            names = []
        photos = {name: name for name in names if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES}
        return photos, {PurePosixPath(name).stem: name for name in reversed(photos)}

    def find(value: str) -> Photo | None:
        folder, name = os.path.split(os.path.join(base, value.replace("\\", "/")))
        photos, stems = listing(folder)
        found = photos.get(name) or stems.get(name)
        return Photo(os.path.join(folder, found), Path(folder, found)) if found else None

    return find


def _in_archive(files: dict[str, Photo]) -> Lookup:
    photos = {n: p for n, p in files.items() if PurePosixPath(n).suffix.lower() in PHOTO_SUFFIXES}
    by_end: dict[str, Photo] = {}
    for name, photo in photos.items():
        pieces = name.split("/")
        for i in range(len(pieces)):
            end = "/".join(pieces[i:])
            by_end.setdefault(end, photo)
            by_end.setdefault(end.rpartition(".")[0], photo)
    return by_end.get


def _image_column(
    table: Table, options: ReadOptions, lookups: Sequence[Lookup], bases: Sequence[Path]
) -> tuple[str, Lookup]:
    names = [table.named(options.image_column)] if options.image_column else list(table.columns)
    best: tuple[int, int, str, Lookup] | None = None
    for name in names:
        column = table.columns[name]
        places = column.places[:: max(1, len(table) // LOOKED_AT)].tolist()
        cells = [cell for place in places if isinstance(cell := column.cells[place], str) and cell]
        rank = IMAGE_NAMES.index(name.lower()) if name.lower() in IMAGE_NAMES else len(IMAGE_NAMES)
        for lookup in lookups:
            count = sum(lookup(cell) is not None for cell in cells)
            if count and (best is None or (count, -rank) > best[:2]):
                best = (count, -rank, name, lookup)
    if best is None:
        places_ = ", ".join(str(base) for base in bases if base.exists())
        raise DataError(
            f"{table.path}: no photo of column {' or '.join(names[:10])} is in {places_}. "
            "Say where the photos are (--images) and which column names them (--image-column)."
        )
    return best[2], best[3]


def _only(table: Table, names: frozenset[str]) -> str | None:
    found = [name for name in table.columns if name.lower() in names]
    return found[0] if len(found) == 1 else None


def _split_column(table: Table) -> str | None:
    name = _only(table, SPLIT_NAMES)
    cells = {str(cell).strip().lower() for cell in table.columns[name].cells} if name else set()
    return name if cells <= set(PART_NAMES) else None


def _labels(table: Table, taken: set[str | None], every: bool) -> tuple[str, ...]:
    """The one column that could be the label, or every one."""
    free = [name for name in table.columns if name not in taken]
    if set(STYLES_TARGETS) <= set(free):
        possible = list(STYLES_TARGETS)
    else:
        most = (
            len(table) - 1 if every else len(table) / 2
        )  # to be looked at, a column need only repeat itself
        named = [] if every else [name for name in free if name.lower() in LABEL_NAMES]
        possible = named or [name for name in free if 1 < len(table.columns[name].cells) <= most]
        if every and not possible:
            return _labels(table, taken, every=False)
    if len(possible) == 1 or (every and possible):
        return tuple(possible)
    if not possible:
        raise DataError(
            f"{table.path}: no column looks like a label. Name it with --target: {', '.join(free)}."
        )
    raise DataError(
        f"{table.path}: {len(possible)} columns could be the label: {', '.join(possible)}. "
        "Choose with --target, more than once for several."
    )


def _separators(table: Table, asked: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """Per target what the user said separates its labels."""
    found: dict[str, str] = {}
    for text in asked:
        name, equals, separator = text.rpartition("=")
        if separator not in (*SEPARATORS, NONE):
            known = ", ".join(map(repr, SEPARATORS))
            raise DataError(f"no separator {separator!r}. Say {known} or {NONE}, or for one column COLUMN=|.")
        if equals and table.named(name) not in targets:
            raise DataError(f"{table.path}: {name!r} is no target here. Name it with --target too.")
        found |= {name: separator} if equals else dict.fromkeys(targets, separator)
    return found


def _in_words(separator: str) -> str:
    return "lists of labels" if separator == LIST else f"labels between {separator!r}"


def _without_no_classes(column: Column, rows: NDArray[np.intp], fixes: list[str]) -> Column:
    unsure = np.array([cell in NO_CLASSES for cell in column.cells], dtype=bool)
    if count := int(unsure[column.places[rows]].sum()):
        fixes.append(f"labels that are no classes (Not sure, Other, Skip) taken as unknown: {count:,}")
    return Column(["" if cell in NO_CLASSES else cell for cell in column.cells], column.places)


# ── From columns to arrays ───────────────────────────────────────────────────────────────────────────────


def _parts(table: Table, name: str, rows: NDArray[np.intp]) -> NDArray[np.object_]:
    column = table.columns[name]
    words = [str(cell).strip().lower() for cell in column.cells]
    for place, word in enumerate(words):
        if word not in PART_NAMES:
            row = int(np.argmax(column.places == place)) + 1
            raise DataError(f"{table.path}: row {row:,} is in the part {word!r}. {nearest(word, PART_NAMES)}")
    parts: NDArray[np.object_] = np.array([PART_NAMES[word] for word in words], dtype=object)
    return parts.take(column.places[rows])


def _groups(table: Table, name: str, rows: NDArray[np.intp]) -> NDArray[np.object_]:
    """An empty cell is a group of its own."""
    column = table.columns[name]
    cells: list[Cell] = [column.cells[place] for place in column.places[rows].tolist()]
    return np.array(
        [str(cell) or f"(row {row + 1})" for row, cell in zip(rows.tolist(), cells, strict=True)],
        dtype=object,
    )


def unique(names: list[str]) -> NDArray[np.object_]:
    """Ids of names; one that recurs gets a number: a.jpg, a.jpg#2."""
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return np.array(ids, dtype=object)
