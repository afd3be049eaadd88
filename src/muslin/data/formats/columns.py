"""A table of any spelling as columns: CSV, TSV, Parquet, JSON Lines and, by `spreadsheets`, XLSX.

A column is kept as its distinct cells and, per row, which of them it has: labels recur, so a table of 300,000 rows
and 1,000 columns of yes and no takes a byte a cell, where a list of strings would take eight or more.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.formats.gzip_files import open_data_file, read_head
from muslin.data.formats.read_options import Log
from muslin.errors import DataError, nearest

DELIMITERS = ",;\t|"

BLOCK_ROWS = 1024
TOLD_EVERY = 50_000
"""Rows after which a sentence says how far the reading is."""

MOST_LINE = 2**24
"""Characters of a header; no more are held to find the delimiter in."""

LOOKED_AT = 20
"""Lines among which the header is looked for."""

Cell = str | tuple[str, ...]
"""What a cell says; a tuple where it holds a list. An empty string where it is empty."""


@dataclass(frozen=True, eq=False)
class Column:
    """`cells` are distinct, in the order in which they first occur; row i has `cells[places[i]]`.

    `places` is (rows,) of the smallest unsigned integers that will do.
    """

    cells: list[Cell]
    places: NDArray[np.unsignedinteger[Any]]

    def rows(self) -> list[Cell]:
        """The cell of each row."""
        return [self.cells[place] for place in self.places.tolist()]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, all of one length. `fixes`: what was mended or passed over, a sentence each."""

    path: Path
    columns: dict[str, Column]
    fixes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).places) if self.columns else 0

    def named(self, name: str) -> str:
        """`name`, if a column is called so; otherwise a DataError that lists those there are."""
        if name not in self.columns:
            raise DataError(f"{self.path}: no column is called {name!r}. {nearest(name, self.columns)}")
        return name


def read_columns(path: Path, log: Log) -> Table:
    """The table at `path`, its spelling told by its content.

    Raises:
        DataError: it is damaged, ragged, or in letters that cannot be told; the message names line, row or byte.
    """
    from muslin.data.formats import spreadsheets

    start = read_head(path, 4096)
    if start.startswith(b"PAR1"):
        return _parquet(path, log)
    if spreadsheets.is_one(path):
        return spreadsheets.read(path, log)
    if start.lstrip(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return _json_lines(path, log)
    return _csv(path, log)


def gathered(names: Sequence[str], rows: Iterable[Sequence[Cell]], log: Log) -> dict[str, Column]:
    """Columns of rows that all have as many cells as there are names."""
    known: list[dict[Cell, int]] = [{} for _ in names]
    blocks: list[list[NDArray[np.unsignedinteger[Any]]]] = [[] for _ in names]
    count, coming = 0, iter(rows)
    while block := list(islice(coming, BLOCK_ROWS)):
        for places, seen, cells in zip(blocks, known, zip(*block, strict=True), strict=True):
            found = [seen.setdefault(cell, len(seen)) for cell in cells]
            places.append(np.array(found, dtype=np.min_scalar_type(len(seen))))
        if (count + len(block)) // TOLD_EVERY > count // TOLD_EVERY:
            log(f"{count + len(block):,} rows read")
        count += len(block)
    return {
        name: Column(list(seen), np.concatenate(places) if places else np.empty(0, dtype=np.uint8))
        for name, seen, places in zip(names, known, blocks, strict=True)
    }


def cell_of(value: Any) -> Cell:
    """What a value of JSON, Parquet or a spreadsheet says as text; an empty string for none and for NaN."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, list | tuple):
        return tuple(text for item in value if (text := str(cell_of(item))))
    if isinstance(value, float) and value.is_integer():  # how pandas writes whole numbers beside empty cells
        return str(int(value))
    return str(value)


# ── CSV and TSV ──────────────────────────────────────────────────────────────────────────────────────────


def _csv(path: Path, log: Log) -> Table:
    fixes: list[str] = []
    counts = {"joined": 0, "blank": 0}
    with open_data_file(path) as file, io.TextIOWrapper(file, _encoding(path, fixes), newline="") as text:
        first = [line for line in (text.readline(MOST_LINE) for _ in range(LOOKED_AT)) if line]
        above, delimiter = header_line(first)
        reader = csv.reader(chain(first[above:], text), delimiter=delimiter)
        try:
            header = [name.strip() for name in next(reader, [])]
            names, unnamed = _named(header)
            _check_names(path, names)
            rows = _csv_rows(path, reader, len(header), delimiter, counts, above)
            columns = gathered(names, rows, log)
        except csv.Error as error:
            line = reader.line_num + above
            raise DataError(f"{path}: line {line:,} cannot be read ({error}). Mend it.") from error
    if counts["joined"]:
        what = f"rows whose last column has a {delimiter!r} outside quotes, joined again"
        fixes.append(f"{what}: {counts['joined']:,}")
    for what, count in (
        ("lines above the header passed over", above),
        ("columns without a name passed over", len(unnamed)),
        ("empty rows passed over", counts["blank"]),
    ):
        if count:
            fixes.append(f"{what}: {count:,}")
    return Table(path, {name: columns[name] for name in names if name not in unnamed}, tuple(fixes))


def header_line(lines: Sequence[str]) -> tuple[int, str]:
    """How many lines are above the header (empty ones, and titles in one cell), and the delimiter.

    A title is told from the header of a single column by the two lines after it, which have several cells each.
    """
    written = [place for place, line in enumerate(lines) if line.strip()]
    top = written[0] if written else 0
    for place, after in pairwise(written):
        delimiter = _delimiter(lines[place])
        if delimiter in lines[place] or '"' in lines[place]:  # in quotes a cell may go on in the next line
            several = delimiter in lines[place] and delimiter in lines[after]
            return (place, delimiter) if several or place == top else (top, _delimiter(lines[top]))
    return top, _delimiter(lines[top]) if lines else DELIMITERS[0]


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _named(header: list[str]) -> tuple[list[str], frozenset[str]]:
    """The columns' names, with stand-ins for those that have none; and these, where there are several.

    A single column without a name may be the index that pandas writes, and is kept.
    """
    if header.count("") < 2:
        return header, frozenset()
    names = [name or f"\0{place}" for place, name in enumerate(header)]
    return names, frozenset(name for name in names if name.startswith("\0"))


def _csv_rows(
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
            raise DataError(
                f"{path}: line {reader.line_num + above:,} has {len(row)} cells where the header has {columns}. "
                "Mend it."
            )
        yield row


def _check_names(path: Path, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise DataError(f"{path}: two columns are called {twice!r}. Rename one.")


def _encoding(path: Path, fixes: list[str]) -> str:
    """UTF-8 or UTF-16 where the file is so; cp1252 where it can be, which is said.

    Raises:
        DataError: it is none of them; the message names the first byte that is not.
    """
    start = read_head(path, 4)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        if (place := _first_wrong(path, "utf-16")) is not None:
            raise DataError(f"{path}: byte {place:,} is no UTF-16 text. Save the table as UTF-8.")
        return "utf-16"
    if (place := _first_wrong(path, "utf-8")) is None:
        return "utf-8-sig"
    if (worse := _first_wrong(path, "cp1252")) is None:
        fixes.append(f"the text is not UTF-8 from byte {place:,} on; read as cp1252")
        return "cp1252"
    raise DataError(f"{path}: byte {worse:,} is neither UTF-8 nor cp1252 text. Save the table as UTF-8.")


def _first_wrong(path: Path, encoding: str) -> int | None:
    """The place, from 0, of the first byte that is not text in `encoding`; None where all are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    before = 0
    with open_data_file(path) as file:
        while True:
            block = file.read(2**20)
            held = len(decoder.getstate()[0])  # bytes of a character that began in the block before
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return before - held + error.start
            if not block:
                return None
            before += len(block)


# ── JSON Lines and Parquet ───────────────────────────────────────────────────────────────────────────────


def _json_lines(path: Path, log: Log) -> Table:
    fixes: list[str] = []
    encoding = _encoding(path, fixes)
    names: dict[str, None] = {}
    for row in _json_rows(path, encoding):
        names |= dict.fromkeys(row)
    rows = ([cell_of(row.get(name)) for name in names] for row in _json_rows(path, encoding))
    return Table(path, gathered(list(names), rows, log), tuple(fixes))


def _json_rows(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    with open_data_file(path) as file, io.TextIOWrapper(file, encoding, newline="\n") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number:,} is no JSON ({error}). Mend it.") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number:,} is no JSON object. Write one object a line.")
            yield row


def _parquet(path: Path, log: Log) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            _check_names(path, names)
            return Table(path, gathered(names, _parquet_rows(file), log))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: the Parquet file is damaged ({reason}). Copy it again.") from error


def _parquet_rows(file: Any) -> Iterator[Sequence[Cell]]:
    for batch in file.iter_batches(batch_size=BLOCK_ROWS):
        cells = [[cell_of(value) for value in column.to_pylist()] for column in batch.columns]
        yield from zip(*cells, strict=True)
