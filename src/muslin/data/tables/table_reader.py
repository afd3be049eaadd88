"""Reads a CSV, TSV, Parquet, JSON Lines or XLSX file into a Table, its kind detected by content."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from muslin.data.gzip_files import open_data_file, read_head
from muslin.data.tables import openpyxl_reader
from muslin.data.tables.columns import BLOCK_ROWS, Cell, Table, build_columns, check_distinct, to_cell
from muslin.data.tables.json_lines import parse_json_line
from muslin.data.tables.parquet import open_parquet
from muslin.data.tables.text_encoding import BLOCK_BYTES, DELIMITERS, find_encoding
from muslin.errors import DataError
from muslin.messages import Log, Message

MAX_HEADER_CHARACTERS = 2**24
"""Characters of a line in which the header and the delimiter are searched."""

HEADER_LINES = 20
"""Lines among which the header is searched."""


def read_table(path: Path, log: Log) -> Table:
    """The table at `path`.

    Raises:
        DataError: it is damaged, a row has too few cells, or its encoding is not known.
    """
    start = read_head(path, 4096)
    if start.startswith(b"PAR1"):
        return _read_parquet(path, log)
    if openpyxl_reader.is_workbook(path):
        return openpyxl_reader.read_workbook(path, log)
    if start.lstrip(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return _read_json_lines(path, log)
    return _read_delimited(path, log)


# ── CSV and TSV ──────────────────────────────────────────────────────────────────────────────────────────


def _read_delimited(path: Path, log: Log) -> Table:
    codec, fixes = _find_codec(path)
    counts = {"joined": 0, "blank": 0}
    with open_data_file(path) as file, io.TextIOWrapper(file, codec, newline="") as text:
        first = [line for line in (text.readline(MAX_HEADER_CHARACTERS) for _ in range(HEADER_LINES)) if line]
        above, delimiter = find_header(first)
        reader = csv.reader(chain(first[above:], text), delimiter=delimiter)
        try:
            header = [name.strip() for name in next(reader, [])]
            names, unnamed = _column_names(header)
            check_distinct(path, names)
            rows = _delimited_rows(path, reader, len(header), delimiter, counts, above)
            columns = build_columns(names, rows, log)
        except csv.Error as error:
            line = reader.line_num + above
            raise DataError("csv_line", path=str(path), line=line, reason=str(error)) from error
    if count := counts["joined"]:
        fixes.append(Message("csv_cells_joined", count=count, delimiter=delimiter))
    if above:
        fixes.append(Message("lines_above_header_skipped", count=above))
    if unnamed:
        fixes.append(Message("columns_without_name_skipped", count=len(unnamed)))
    if count := counts["blank"]:
        fixes.append(Message("empty_rows_skipped", count=count))
    return Table(path, {name: columns[name] for name in names if name not in unnamed}, tuple(fixes))


def find_header(lines: Sequence[str]) -> tuple[int, str]:
    """How many lines are above the header (empty ones, and titles in one cell), and the delimiter.

    A title differs from the header of a single column in the two lines after it, which have several cells each.
    """
    written = [i for i, line in enumerate(lines) if line.strip()]
    top = written[0] if written else 0
    for i, after in pairwise(written):
        delimiter = _likely_delimiter(lines[i])
        if delimiter in lines[i] or '"' in lines[i]:  # in quotes a cell may go on in the next line
            is_header = delimiter in lines[i] and delimiter in lines[after]
            return (i, delimiter) if is_header or i == top else (top, _likely_delimiter(lines[top]))
    return top, _likely_delimiter(lines[top]) if lines else DELIMITERS[0]


def _likely_delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _column_names(header: list[str]) -> tuple[list[str], frozenset[str]]:
    """The columns' names, with placeholders for missing ones; and the placeholders, where there are several.

    A single column without a name can be the index that pandas writes, and stays.
    """
    if header.count("") < 2:
        return header, frozenset()
    names = [name or f"\0{i}" for i, name in enumerate(header)]
    return names, frozenset(name for name in names if name.startswith("\0"))


def _delimited_rows(
    path: Path, reader: Any, columns: int, delimiter: str, counts: dict[str, int], above: int
) -> Iterator[list[str]]:
    for row in reader:
        if not any(row):
            counts["blank"] += bool(row)
            continue
        if len(row) > columns:
            if not any(row[columns:]):  # delimiters at the end, as spreadsheets leave them
                row = row[:columns]
            else:
                row[columns - 1 :] = [delimiter.join(row[columns - 1 :])]
                counts["joined"] += 1
        elif len(row) < columns:
            line = reader.line_num + above
            raise DataError("row_length", path=str(path), line=line, found=len(row), expected=columns)
        yield row


def _find_codec(path: Path) -> tuple[str, list[str]]:
    """The codec of the text, with a fix where it is cp1252.

    Raises:
        DataError: it is neither UTF-8, nor UTF-16 with a byte order mark, nor cp1252.
    """
    with open_data_file(path) as file:
        encoding = find_encoding(iter(lambda: file.read(BLOCK_BYTES), b""))
    if encoding.name is None:
        tried = ["UTF-16"] if encoding.mark else ["UTF-8", "cp1252"]
        byte = max(encoding.errors.values())
        raise DataError("text_encoding", path=str(path), byte=byte, tried=tried)
    if encoding.name == "cp1252":
        return "cp1252", [Message("read_as_cp1252", byte=encoding.errors["utf-8"])]
    return encoding.codec, []


# ── JSON Lines and Parquet ───────────────────────────────────────────────────────────────────────────────


def _read_json_lines(path: Path, log: Log) -> Table:
    codec, fixes = _find_codec(path)
    names: dict[str, None] = {}
    for row in _json_rows(path, codec):
        names |= dict.fromkeys(row)
    rows = ([to_cell(row.get(name)) for name in names] for row in _json_rows(path, codec))
    return Table(path, build_columns(list(names), rows, log), tuple(fixes))


def _json_rows(path: Path, codec: str) -> Iterator[dict[str, Any]]:
    with open_data_file(path) as file, io.TextIOWrapper(file, codec, newline="\n") as text:
        for number, line in enumerate(text, 1):
            if line.strip():
                yield parse_json_line(path, number, line)


def _read_parquet(path: Path, log: Log) -> Table:
    with open_parquet(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
        check_distinct(path, names)
        return Table(path, build_columns(names, _parquet_rows(file), log))


def _parquet_rows(file: Any) -> Iterator[Sequence[Cell]]:
    for batch in file.iter_batches(batch_size=BLOCK_ROWS):
        cells = [[to_cell(value) for value in column.to_pylist()] for column in batch.columns]
        yield from zip(*cells, strict=True)
