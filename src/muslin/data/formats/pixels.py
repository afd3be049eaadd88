"""Tables of pixels, such as Kaggle's fashion-mnist_train.csv and FER2013: one image a row.

A text file, Parquet, XLSX or JSON Lines; one column a pixel, or all pixels of an image in one cell; whole numbers from
0 to 255, or numbers from 0 to 1. With or without a header; the label first, last or absent, a number or a name. Also a
folder with such a file for each part.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Dataset, PixelImages, Target, align, encode_labels, join
from muslin.data.formats import classes_file
from muslin.data.formats.pixel_layout import PixelLayout, find_layout, has_pixels
from muslin.data.formats.pixel_text import Cells, PixelRows, Pixels, arrow_pixels, parse_cells, read_text
from muslin.data.formats.read_options import ReadOptions
from muslin.data.formats.table_sources import is_table, part_word
from muslin.data.gzip_files import read_head
from muslin.data.part_names import parts_by_name, parts_of_cells
from muslin.data.tables import TableFile, detect_kind, open_table, peek_text
from muslin.data.tables.cells import to_cell
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.header import is_number_list
from muslin.data.tables.json_lines import JsonLines
from muslin.data.tables.parquet import Parquet, open_parquet
from muslin.data.tables.text_encoding import find_encoding
from muslin.errors import DataError
from muslin.messages import Log, Message, no_log

HEAD_BYTES = 2**20
HEAD_ROWS = 50
BATCH_ROWS = 2048

HEAD_CELLS, MIN_HEAD_ROWS = 2**19, 4
"""Cells of the first rows of Parquet, and rows of a table with more columns."""

COLUMNS_AT_ONCE = 4096
"""Of Parquet, because pyarrow takes 10 KB for each column that it reads."""

MAX_GROUP_VALUES = 2**24
"""Of a row group of more columns, which is then in memory: 128 MB."""


class Head(NamedTuple):
    """The beginning of a table: the columns' names, or None without a header; the first rows and the first's number."""

    names: tuple[str, ...] | None
    rows: list[list[str]]
    first: int


def detect(path: Path) -> str | None:
    """Why `path` is a table of pixels, or a folder of such tables, one for each part, or None."""
    if path.is_dir():
        files = _files_by_part(path)
        is_pixels = bool(files) and all(map(detect, files.values()))
        return f"pixels in {', '.join(file.name for file in files.values())}" if is_pixels else None
    try:
        names, rows, _ = _detect_head(path)
    except (DataError, ValueError, RecursionError):
        return None  # the reader of tables reports the damage
    if not has_pixels(names, rows):
        return None
    if names is None:
        return f"pixels in a table, {len(rows[0])} columns without a header"
    columns = ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]}, …, {names[-1]}"
    return f"pixels in a table, with the columns {columns}"


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The images and labels of one file, or of a folder's files; without targets where there is no label column.

    Pixels are uint8 (count, height, width, channels). A target has the name of its column, `label` where columns have
    no names. The parts of a folder are those in the files' names, and its classes those of all files.

    Raises:
        DataError: there are no rows, the label or the shape is ambiguous, or a row is ragged or holds a value outside
            of 0–255; the error names the file, the row and the column.
    """
    if not path.is_dir():
        return _read_file(path, options)
    files = _files_by_part(path)
    if not files:
        raise DataError("no_part_csv", path=str(path))
    if options.split_column and len(files) > 1:  # the files are the parts
        raise DataError("format_option_unused", path=str(path), format="pixels", options=["split_column"])
    parts = {part: _read_file(file, options) for part, file in files.items()}
    labelled = {part: dataset.target() for part, dataset in parts.items() if dataset.targets}
    if labelled and (bare := [files[part] for part in parts if part not in labelled]):
        raise DataError("part_without_labels", path=str(bare[0]))
    if labelled and len(parts) > 1:
        names = np.array([name for target in labelled.values() for name in target.classes])
        whole, _ = encode_labels(next(iter(labelled.values())).name, names)
        parts = {part: align(dataset, (whole,)) for part, dataset in parts.items()}
    dataset = parts[""] if list(parts) == [""] else join(parts)
    return replace(classes_file.use_class_names(dataset, path), name=path.resolve().name)


def _files_by_part(folder: Path) -> dict[str, Path]:
    """Per part the table with its name, train first; a single table may be called otherwise, and is under `""`.

    Empty where tables share a part, or have none.
    """
    files = [file for file in sorted(folder.iterdir()) if is_table(file.name) and file.is_file()]
    words = [part_word(file.name) for file in files]
    part_of = parts_by_name(folder, filter(None, words))
    found = {part_of.get(word, ""): file for word, file in zip(words, files, strict=True)}
    if len(found) < len(files) or ("" in found and len(files) > 1):
        return {}
    return {part: found[part] for part in ("", *PARTS) if part in found}


def _read_file(path: Path, options: ReadOptions) -> Dataset:
    table = peek_text(path) or open_table(path)
    notes = table.fixes
    head = _head(table)
    if not head.rows:
        raise DataError("no_rows", path=str(path))
    layout = find_layout(path, head.names, head.rows, options)
    if isinstance(table, Delimited):
        blocks = list(read_text(table, head.first, layout))
    else:
        blocks = list(_read_parquet(table, layout) if isinstance(table, Parquet) else _read_rows(table, layout))
        notes = table.fixes
    fixes = [note for note in notes if note.code != "columns_numbered"]
    pixels = _to_uint8([block.pixels for block in blocks], fixes)
    if blank := sum(block.blank for block in blocks):
        fixes.append(Message("blank_lines", n=blank))
    columns = list(zip(*chain.from_iterable(block.others for block in blocks), strict=True))
    texts = [_decode(path, column, fixes) for column in columns]
    targets, labels = [], {}
    for index, values in zip(layout.labels, texts, strict=False):
        target, indices = _encode_target(path, layout.target_name(index), values, fixes)
        targets.append(target)
        labels[target.name] = indices
    parts = None
    if layout.part is not None:
        numbers = list(chain.from_iterable(block.numbers for block in blocks))
        guessed = None if options.split_column else layout.names[layout.part]
        parts = np.array(parts_of_cells(path, texts[-1].tolist(), numbers, guessed), dtype=object)
    return Dataset(
        name=path.name.removesuffix(".gz").rpartition(".")[0] or path.name,
        format="pixels",
        images=PixelImages(pixels.reshape(len(pixels), *layout.shape)),
        targets=tuple(targets),
        labels=labels,
        ids=np.array([str(i) for i in range(len(pixels))], dtype=object),
        parts=parts,
        fixes=(*layout.fixes, *fixes),
    )


def _detect_head(path: Path) -> Head:
    """The head of the table at `path`; of JSON Lines the first line alone, of Parquet none with photos in it."""
    kind = detect_kind(path)
    if kind is Parquet:
        with open_parquet(path) as file:
            if any(str(each).startswith(("struct", "binary", "large_binary")) for each in file.schema_arrow.types):
                return Head(None, [], 1)
    if kind is JsonLines:
        first = json.loads(read_head(path, HEAD_BYTES).lstrip().splitlines()[0])
        cells = list(first.values()) if isinstance(first, dict) else []
        return Head(tuple(first) if cells else None, [[_joined(to_cell(cell)) for cell in cells]], 1)
    return _head(peek_text(path) or open_table(path))


def _head(table: TableFile) -> Head:
    if isinstance(table, Parquet):  # whose rows are read in large batches
        with open_parquet(table.path) as file:
            count = min(HEAD_ROWS, max(HEAD_CELLS // max(len(table.columns), 1), MIN_HEAD_ROWS))
            pieces = [next(file.iter_batches(count, columns=piece), None) for piece in _column_pieces(file)]
        columns = [_batch_cells(piece) for piece in pieces if piece is not None]
        return Head(table.columns, [list(chain.from_iterable(row)) for row in zip(*columns, strict=True)], 1)
    rows = list(islice(table.rows(table.columns), HEAD_ROWS))
    has_header = any(name != f"column {i}" for i, name in enumerate(table.columns, 1))
    cells = [[_joined(cell) for cell in row.cells] for row in rows]
    names = table.columns if has_header else None
    if isinstance(table, Delimited) and len(table.columns) == 1:
        spaced = [row[0].split() for row in cells]
        header = names and tuple(names[0].split())
        if spaced and all(len(row) == len(header or spaced[0]) and is_number_list(" ".join(row)) for row in spaced):
            table.delimiter, names, cells = " ", header, spaced  # as numpy.savetxt writes
    return Head(names, cells, rows[0].number if rows else 1)


def _joined(cell: str | tuple[str, ...]) -> str:
    text = cell if isinstance(cell, str) else " ".join(cell)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()  # JSON can hold halves of characters


def _read_rows(table: TableFile, layout: PixelLayout) -> Iterator[PixelRows]:
    rows = ((row.number, [_joined(cell) for cell in row.cells]) for row in table.rows(table.columns))
    while block := list(islice(rows, BATCH_ROWS)):
        yield parse_cells(table, block, layout)


def _batch_cells(batch: Any) -> list[list[str]]:
    columns = [[_joined(to_cell(value)) for value in column.to_pylist()] for column in batch.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _read_parquet(table: Parquet, layout: PixelLayout) -> Iterator[PixelRows]:
    start = 1
    with open_parquet(table.path) as file:
        for batch in _parquet_batches(file):
            pixels = arrow_pixels([batch.column(i) for i in layout.pixels], layout)
            cells = [[_joined(to_cell(value)) for value in batch.column(i).to_pylist()] for i in layout.others]
            if pixels is None:
                pixels = parse_cells(table, enumerate(_batch_cells(batch), start), layout).pixels
            others: Cells = [[cell.encode() for cell in row] for row in zip(*cells, strict=True)]
            yield PixelRows(list(range(start, start + len(batch))), pixels, others)
            start += len(batch)


def _column_pieces(file: Any) -> list[list[str] | None]:
    """The columns of a pyarrow ParquetFile in pieces that are read one after another; None: all at once."""
    names = file.schema_arrow.names
    if len(names) <= COLUMNS_AT_ONCE or len(set(names)) < len(names) or any("." in name for name in names):
        return [None]
    return [names[start : start + COLUMNS_AT_ONCE] for start in range(0, len(names), COLUMNS_AT_ONCE)]


def _parquet_batches(file: Any) -> Iterator[Any]:
    """The rows as pyarrow's batches; a small row group of many columns is read piece by piece."""
    import pyarrow as pa

    pieces = _column_pieces(file)
    for group in range(file.num_row_groups):
        if pieces == [None] or file.metadata.row_group(group).num_rows * len(file.schema_arrow) > MAX_GROUP_VALUES:
            yield from file.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False)
            continue
        tables = [file.read_row_group(group, columns=piece, use_threads=False) for piece in pieces]
        columns = [column for table in tables for column in table.columns]
        yield from pa.Table.from_arrays(columns, schema=file.schema_arrow).to_batches(max_chunksize=BATCH_ROWS)


def _to_uint8(blocks: list[Pixels], fixes: list[Message]) -> NDArray[np.uint8]:
    """All rows. Where no value is above 1 and some are fractions, 1 is white."""
    if len(blocks) == 1 and blocks[0].dtype == np.uint8:
        return blocks[0].astype(np.uint8, copy=False)
    fractions = sum(int(np.count_nonzero(block % 1)) for block in blocks)
    is_scaled = bool(fractions) and max(block.max(initial=0) for block in blocks) <= 1
    if fractions:
        fixes.append(Message("pixels_scaled") if is_scaled else Message("pixels_rounded", n=fractions))
    pixels = np.empty((sum(map(len, blocks)), blocks[0].shape[1]), dtype=np.uint8)
    start = 0
    while blocks:
        block = blocks.pop(0)
        pixels[start : start + len(block)] = np.rint(block * 255 if is_scaled else block)
        start += len(block)
    return pixels


def _decode(path: Path, cells: Sequence[bytes], fixes: list[Message]) -> NDArray[np.str_]:
    """The texts of a column, (count,), in the file's encoding."""
    distinct = set(cells)
    try:
        texts = {cell: cell.decode().strip() for cell in distinct}
    except UnicodeDecodeError:
        encoding = find_encoding(path)
        fixes += encoding.notes
        texts = {cell: cell.decode(encoding.name).strip() for cell in distinct}
    return np.array([texts[cell] for cell in cells])


def _encode_target(
    path: Path, name: str, values: NDArray[np.str_], fixes: list[Message]
) -> tuple[Target, NDArray[np.int64]]:
    given = set(values.tolist()) - {""}
    if not given:
        raise DataError("label_column_empty", path=str(path), column=name)
    plain = {text: _whole_number(text) for text in given}
    if not all(plain.values()):
        are_booleans = {text.lower() for text in given} <= {"false", "true"}  # programs spell them True, TRUE and true
        plain = {text: text.lower() if are_booleans else text for text in given}
    elif any("." in text for text in given):
        fixes.append(Message("decimal_labels"))
    values = np.array([plain.get(text, "") for text in values.tolist()])
    return encode_labels(name, values)


def _whole_number(text: str) -> str:
    """A whole number without leading zeros, decimals or an exponent, as 7 for 07, 7.0 and 7.00e0; "" for other text."""
    if re.fullmatch(r"-?\d{1,1000}", text):
        return str(int(text))
    is_decimal = re.fullmatch(r"-?\d{1,15}\.\d*(e[+-]?\d{1,2})?", text, re.IGNORECASE)
    return f"{float(text):.0f}" if is_decimal and float(text).is_integer() else ""
