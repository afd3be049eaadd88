"""Tables with a photo in every row: CSV, TSV, Parquet or JSON Lines, one column a photo's path or id, others labels."""

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target, multiclass
from muslin.data.formats import pixels_csv
from muslin.data.formats.compressed import head, opened
from muslin.data.formats.folders import PART_NAMES, files_of
from muslin.data.formats.options import ReadOptions
from muslin.data.photos import SUFFIXES, Photo, PhotoImages
from muslin.errors import DataError, nearest

TAKES = frozenset({"target", "targets", "images", "image_column", "group", "split_column"})

IMAGE_NAMES = ("image", "image_path", "filepath", "file_path", "path", "filename", "file_name", "file", "photo",
               "picture", "img", "image_name", "image_id", "imageid", "id")  # fmt: skip
LABEL_NAMES = frozenset({"label", "labels", "class", "category", "target", "tags", "attributes"})
GROUP_NAMES = frozenset({"group", "group_id", "sender_id", "product_id", "item_id", "person_id", "user_id"})
SPLIT_NAMES = frozenset({"split", "part", "partition", "subset"})

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
BESIDE = ("", "images", "image", "img", "photos")
"""Folders beside the table in which its photos are looked for."""

CLOTHING_COLUMNS = frozenset({"image", "sender_id", "label", "kids"})
NO_CLASSES = frozenset({"Not sure", "Other", "Skip"})
"""Labels of the clothing data set (its columns are CLOTHING_COLUMNS) with which a person said: unknown."""

LOOKED_AT = 200
"""Rows from which the photo's column is guessed."""

Cell = str | list[str]
Lookup = Callable[[str], Photo | None]


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: dict[str, list[Cell]]
    repairs: tuple[str, ...]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def named(self, name: str) -> str:
        if name not in self.columns:
            raise DataError(f"{self.path}: no column is called {name!r}. {nearest(name, self.columns)}")
        return name


def detect(path: Path) -> str | None:
    """Why `path` is a table of photos, or None: a column called as photos are, or one table beside its photos."""
    if path.is_dir():
        tables = _tables_in(path)
        beside = any((path / name).is_dir() for name in BESIDE[1:])
        return f"the table {tables[0].name} with photos" if len(tables) == 1 and beside else None
    start = head(path, 2**16)
    if start.startswith(b"PAR1"):
        return "a Parquet table with photos"
    if start.lstrip().startswith(b"{") and path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return "a JSON Lines table with photos"
    if b"\0" in start[:1024] or pixels_csv.detect(path):
        return None
    lines = start.decode("utf-8-sig", "replace").splitlines()
    names = (
        [name.strip().strip('"').lower() for name in lines[0].split(_delimiter(lines[0]))] if lines else []
    )
    if len(names) > 1 and (set(names) & set(IMAGE_NAMES)):
        return "a table with photos"
    first = "\n".join(lines[1:20]).lower()
    return "a table with photos" if len(names) > 1 and any(s in first for s in SUFFIXES) else None


def read(path: Path, options: ReadOptions) -> Dataset:
    """One sample a row; rows whose photo is missing are left out and listed in `repairs`.

    Which columns were taken for photo, label, group and part is said in `origin`. An empty label is UNKNOWN.
    A column with `|` or `;` in a cell, or with JSON lists, becomes a multilabel target.

    Raises:
        DataError: no column names photos that are there, none or several could be the label, a named column
            is not there, or the file is damaged; the message names the row.
    """
    if path.is_dir():
        found = _tables_in(path)
        if len(found) != 1:
            raise DataError(f"{path}: {len(found)} tables where one is needed. Name the file.")
        path = found[0]
    table = _table(path)
    if not table.columns or not len(table):
        raise DataError(f"{path}: has no rows. Check that the file was not cut off.")
    bases = [Path(options.images)] if options.images else [path.parent / name for name in BESIDE]
    lookups, kept = _lookups(bases)
    image_column, lookup = _image_column(table, options, lookups, bases)
    group = table.named(options.group) if options.group else _only(table, GROUP_NAMES)
    split_column = table.named(options.split_column) if options.split_column else _split_column(table)
    named = options.targets or ((options.target,) if options.target else ())
    targets = tuple(map(table.named, named)) or (_label(table, {image_column, group, split_column}),)

    said = [f"photos: {image_column}", f"label: {', '.join(targets)}"]
    said += [f"group: {group}"] if group else []
    said += [f"part: {split_column}"] if split_column else []
    names = [str(cell) for cell in table.columns[image_column]]
    photos = [lookup(name) if name else None for name in names]
    rows = [i for i, photo in enumerate(photos) if photo]
    repairs = list(table.repairs)
    if missing := [name or "(no name)" for name, photo in zip(names, photos, strict=True) if not photo]:
        more = ", …" if len(missing) > 20 else ""
        repairs.append(
            f"rows left out because their photo is missing: {len(missing):,} ({', '.join(missing[:20])}{more})"
        )
    made, labels = [], {}
    for name in targets:
        cells = [table.columns[name][i] for i in rows]
        if set(table.columns) == CLOTHING_COLUMNS:
            unsure = sum(cell in NO_CLASSES for cell in cells if isinstance(cell, str))
            cells = ["" if isinstance(cell, str) and cell in NO_CLASSES else cell for cell in cells]
            if unsure and name == "label":
                repairs.append(
                    f"labels that are no classes (Not sure, Other, Skip) taken as unknown: {unsure:,}"
                )
        target, labels[name] = _target(name, cells)
        made.append(target)
    return Dataset(
        name=path.parent.resolve().name if path.stem == "images" else path.stem,
        format="table",
        images=PhotoImages(tuple(photo for photo in photos if photo), kept),
        targets=tuple(made),
        labels=labels,
        ids=_unique([names[i] for i in rows]),
        parts=_parts(table, split_column, rows) if split_column else None,
        groups=_groups(table, group, rows) if group else None,
        origin="; ".join(said),
        repairs=tuple(repairs),
    )


# ── From a file to columns ───────────────────────────────────────────────────────────────────────────────


def _tables_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in TABLE_SUFFIXES and p.is_file())


def _table(path: Path) -> _Table:
    start = head(path, 4096)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    if start.lstrip().startswith(b"{"):
        return _json_lines(path)
    return _csv(path)


def _text(path: Path) -> tuple[str, list[str]]:
    with opened(path) as file:
        data = file.read()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        try:
            return data.decode("utf-8-sig"), []
        except UnicodeDecodeError:
            encoding = "cp1252"
    try:
        return data.decode(encoding), [f"the text is not UTF-8; read as {encoding}"]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start:,} is neither UTF-8 nor {encoding} text. Save the table as UTF-8."
        ) from error


def _delimiter(line: str) -> str:
    return max(pixels_csv.DELIMITERS, key=line.count)


def _csv(path: Path) -> _Table:
    text, repairs = _text(path)
    delimiter = _delimiter(text[: text.find("\n")] if "\n" in text else text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    joined, header = 0, [name.strip() for name in next(reader, [])]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}: two columns are called {twice!r}. Rename one.")
    try:
        for row in reader:
            if not row:
                continue
            if len(row) > len(header):
                row[len(header) - 1 :] = [delimiter.join(row[len(header) - 1 :])]
                joined += 1
            elif len(row) < len(header):
                raise DataError(
                    f"{path}: line {reader.line_num:,} has {len(row)} cells where the header has {len(header)}. "
                    "Mend it."
                )
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num:,} cannot be read ({error}). Mend it.") from error
    if joined:
        repairs.append(f"rows whose last column has a {delimiter!r} outside quotes, joined again: {joined:,}")
    cells = zip(*rows, strict=True) if rows else [()] * len(header)
    return _Table(path, {n: list(c) for n, c in zip(header, cells, strict=True)}, tuple(repairs))


def _json_lines(path: Path) -> _Table:
    text, repairs = _text(path)
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number:,} is no JSON ({error}). Mend it.") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number:,} is no JSON object. Write one object a line.")
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _Table(path, {n: [_cell(row.get(n)) for row in rows] for n in names}, tuple(repairs))


def _parquet(path: Path) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_table(path).to_pydict()
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: the Parquet file is damaged ({reason}). Copy it again.") from error
    return _Table(path, {name: list(map(_cell, values)) for name, values in columns.items()}, ())


def _cell(value: Any) -> Cell:
    if value is None or value != value:  # NaN stands for an empty cell
        return ""
    if isinstance(value, list):
        return [str(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


# ── Which column is what ─────────────────────────────────────────────────────────────────────────────────


def _lookups(bases: Sequence[Path]) -> tuple[list[Lookup], Any]:
    kept, lookups = None, []
    for base in bases:
        if base.is_dir():
            lookups.append(_in_folder(base))
        elif len(bases) == 1:
            if not base.exists():
                raise DataError(f"{base}: no such file or folder. Check --images.")
            files, kept = files_of(base)
            lookups.append(_in_archive(files))
    return lookups, kept


def _in_folder(base: Path) -> Lookup:
    @cache
    def listing(folder: str) -> tuple[dict[str, str], dict[str, str]]:
        try:
            names = sorted(os.listdir(folder))
        except (OSError, ValueError):
            names = []
        photos = {name: name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES}
        return photos, {PurePosixPath(name).stem: name for name in reversed(photos)}

    def find(value: str) -> Photo | None:
        folder, name = os.path.split(os.path.join(base, value.replace("\\", "/")))
        photos, stems = listing(folder)
        found = photos.get(name) or stems.get(name)
        return Photo(os.path.join(folder, found), Path(folder, found)) if found else None

    return find


def _in_archive(files: dict[str, Photo]) -> Lookup:
    photos = {n: p for n, p in files.items() if PurePosixPath(n).suffix.lower() in SUFFIXES}
    by_end: dict[str, Photo] = {}
    for name, photo in photos.items():
        pieces = name.split("/")
        for i in range(len(pieces)):
            end = "/".join(pieces[i:])
            by_end.setdefault(end, photo)
            by_end.setdefault(end.rpartition(".")[0], photo)
    return by_end.get


def _image_column(
    table: _Table, options: ReadOptions, lookups: Sequence[Lookup], bases: Sequence[Path]
) -> tuple[str, Lookup]:
    names = [table.named(options.image_column)] if options.image_column else list(table.columns)
    step = max(1, len(table) // LOOKED_AT)
    best: tuple[int, int, str, Lookup] | None = None
    for name in names:
        cells = [cell for cell in table.columns[name][::step] if isinstance(cell, str) and cell]
        rank = IMAGE_NAMES.index(name.lower()) if name.lower() in IMAGE_NAMES else len(IMAGE_NAMES)
        for lookup in lookups:
            count = sum(lookup(cell) is not None for cell in cells)
            if count and (best is None or (count, -rank) > best[:2]):
                best = (count, -rank, name, lookup)
    if best is None:
        places = ", ".join(str(base) for base in bases if base.exists())
        raise DataError(
            f"{table.path}: no photo of column {' or '.join(names[:10])} is in {places}. "
            "Say where the photos are (--images) and which column names them (--image-column)."
        )
    return best[2], best[3]


def _only(table: _Table, names: frozenset[str]) -> str | None:
    found = [name for name in table.columns if name.lower() in names]
    return found[0] if len(found) == 1 else None


def _split_column(table: _Table) -> str | None:
    name = _only(table, SPLIT_NAMES)
    cells = {str(cell).strip().lower() for cell in table.columns[name]} if name else set()
    return name if cells <= set(PART_NAMES) else None


def _label(table: _Table, taken: set[str | None]) -> str:
    free = [name for name in table.columns if name not in taken]
    possible = [name for name in free if name.lower() in LABEL_NAMES]
    if not possible:
        possible = [name for name in free if 1 < len(set(map(str, table.columns[name]))) <= len(table) / 2]
    if len(possible) == 1:
        return possible[0]
    if not possible:
        raise DataError(
            f"{table.path}: no column looks like a label. Name it with --target: {', '.join(free)}."
        )
    raise DataError(
        f"{table.path}: {len(possible)} columns could be the label: {', '.join(possible)}. "
        "Choose with --target, more than once for several."
    )


# ── From columns to arrays ───────────────────────────────────────────────────────────────────────────────


def _target(name: str, cells: list[Cell]) -> tuple[Target, NDArray[np.integer[Any]]]:
    several = [_labels_of(cell) for cell in cells]
    if not any(isinstance(cell, list) or found for cell, found in zip(cells, several, strict=True)):
        return multiclass(name, np.array([str(cell).strip() for cell in cells], dtype=str))
    lists = [
        found if found is not None else [str(cell)] if cell else []
        for cell, found in zip(cells, several, strict=True)
    ]
    classes = tuple(sorted({label for labels in lists for label in labels}))
    if not classes:
        raise DataError(f"{name}: none of the {len(cells):,} samples has a label.")
    index = {label: i for i, label in enumerate(classes)}
    values = np.zeros((len(cells), len(classes)), dtype=np.int8)
    for row, (cell, labels) in enumerate(zip(cells, lists, strict=True)):
        if cell == "":
            values[row] = UNKNOWN
        values[row, [index[label] for label in labels]] = 1
    return Target(name, classes, "multilabel"), values


def _labels_of(cell: Cell) -> list[str] | None:
    """The labels in a cell that lists several, or None where it does not."""
    if isinstance(cell, list):
        return cell
    text = cell.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            return [str(item) for item in json.loads(text)]
        except ValueError:
            return None
    for separator in "|;":
        if separator in text:
            return [piece.strip() for piece in text.split(separator) if piece.strip()]
    return None


def _parts(table: _Table, name: str, rows: list[int]) -> NDArray[np.object_]:
    words = [str(table.columns[name][i]).strip().lower() for i in rows]
    for row, word in zip(rows, words, strict=True):
        if word not in PART_NAMES:
            raise DataError(
                f"{table.path}: row {row + 1:,} is in the part {word!r}. {nearest(word, PART_NAMES)}"
            )
    return np.array([PART_NAMES[word] for word in words], dtype=object)


def _groups(table: _Table, name: str, rows: list[int]) -> NDArray[np.object_]:
    """An empty cell is a group of its own."""
    cells = [str(table.columns[name][i]) for i in rows]
    return np.array([cell or f"(row {i + 1})" for i, cell in zip(rows, cells, strict=True)], dtype=object)


def _unique(names: list[str]) -> NDArray[np.object_]:
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return np.array(ids, dtype=object)
