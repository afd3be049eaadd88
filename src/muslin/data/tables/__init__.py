"""Tables in files. A `TableFile` streams rows and can be written again with columns added, all else unchanged;
`read_table` gives it as a `muslin.data.tables.columns.Table` in memory.

One module for each kind of file; `open_table` detects the kind by content.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from muslin.data.archives import check_content
from muslin.data.gzip_files import read_head
from muslin.data.magic_bytes import describe
from muslin.data.open_cache import open_once
from muslin.data.tables.cells import AddedColumn, Cell, Row
from muslin.data.tables.columns import Table, build_columns
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.json_document import JSON_HEAD_BYTES, JsonDocument, is_document
from muslin.data.tables.json_lines import JsonLines
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.table_file import BLANK, TableFile, TableRow, check_width, damage_as_data_error
from muslin.data.tables.text_encoding import HEAD_BYTES, TextEncoding, guess_encodings
from muslin.data.tables.workbook import Workbook
from muslin.errors import DataError
from muslin.messages import Log

__all__ = [
    "AddedColumn",
    "Cell",
    "Row",
    "TableFile",
    "TableRow",
    "detect_kind",
    "open_table",
    "peek_text",
    "read_table",
]


NOT_TABLES = (b"\xd0\xcf\x11\xe0", b"%PDF", b"<")
"""First bytes of files that are no tables: old workbooks, PDF, HTML and XML."""


def open_table(path: Path, out: Path | None = None) -> TableFile:
    """The table at `path`; with `out`, to be written there; a gzip file is written unpacked.

    With `out`, what is only copied is checked too, so that tagging does not fail at the end.

    Raises:
        DataError: it cannot be read, is not a table, or the suffix of `out` is not one of its kind.
    """
    check_content(path)
    kind = detect_kind(path)
    if kind is JsonDocument:
        table = open_once(("table", path, out), partial(_open_table, kind, path, out=out))
    else:
        table = open_once(("table", path), partial(_open_table, kind, path))
    if out:
        table.check_copy()
        if not _fits(out.suffix.lower(), path, table.suffixes):
            raise DataError("output_kind_differs", path=str(out), suffixes=list(table.suffixes))
    return table


def _fits(suffix: str, path: Path, suffixes: Sequence[str]) -> bool:
    """Whether a copy of the table at `path` may have this suffix: one of its kind, its own, or none."""
    kinds: tuple[type[TableFile], ...] = (Delimited, Workbook, Parquet, JsonLines, JsonDocument)
    of_kinds = {".gz", *(each for kind in kinds for each in kind.suffixes)}
    return suffix in suffixes or not suffix or (suffix == path.suffix.lower() and suffix not in of_kinds)


def _open_table(kind: type[TableFile], path: Path, **options: Any) -> TableFile:
    with damage_as_data_error(path, kind.damaged):
        return kind(path, **options)


def detect_kind(path: Path) -> type[TableFile]:
    """The class of the table at `path`, by its first bytes; DataError where it is no table."""
    start = read_head(path, HEAD_BYTES)
    mark, encodings = guess_encodings(start)
    text = start[len(mark) :].decode(encodings[0], "replace")
    if start.startswith(b"PAR1"):
        return Parquet
    if start.startswith(b"PK\x03\x04"):
        return Workbook
    if text.lstrip(BLANK).startswith(("{", "[")):
        head = read_head(path, JSON_HEAD_BYTES)[len(mark) :].decode(encodings[0], "replace")
        return JsonDocument if is_document(head.lstrip(BLANK)) else JsonLines
    if start[len(mark) :].lstrip().startswith(NOT_TABLES) or "\0" in text.rstrip(BLANK):
        raise DataError("not_a_table", path=str(path), found=describe(path))
    return Delimited


def peek_text(path: Path) -> Delimited | None:
    """The table of text at `path`, of which no more than the beginning was read; None for any other file."""
    with suppress(DataError):
        if detect_kind(path) is Delimited:
            mark, names = guess_encodings(read_head(path, HEAD_BYTES))
            for name in (*names, "latin-1"):
                with suppress(DataError), damage_as_data_error(path, Delimited.damaged):
                    return Delimited(path, TextEncoding(mark, name))
    return None


def read_table(table: TableFile | Path, log: Log, names: Sequence[str] | None = None) -> Table:
    """All rows of a table, or of that at a path, in memory: the columns `names`, by default all that have a name.

    Raises:
        DataError: as of `open_table` and of `TableFile.rows`.
    """
    table = open_table(table) if isinstance(table, Path) else table
    check_width(table)
    chosen = [name for name in dict.fromkeys(table.columns) if name and (names is None or name in names)]
    numbers = array("q")

    def cells() -> Iterator[tuple[Cell, ...]]:
        for number, row in table.rows(chosen):
            numbers.append(number)
            yield row

    columns = build_columns(chosen, cells(), log)
    twice = frozenset(name for name, count in Counter(table.columns).items() if name in columns and count > 1)
    return Table(table.path, columns, np.array(numbers, dtype=np.int64), table.fixes, twice)
