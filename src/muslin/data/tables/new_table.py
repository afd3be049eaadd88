"""A table that is written where there was none: CSV, TSV or JSON Lines, by the name of the file."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from muslin.data.tables.cells import AddedColumn, Row, spreadsheet_text, typed_value
from muslin.data.tables.table_file import TableRow
from muslin.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
"""Between cells, by the suffix of the file."""


def check_suffix(path: Path, out: Path) -> str:
    """The suffix of `out`; DataError where no new table is written to such a file for the data at `path`."""
    if out.suffix.lower() not in DELIMITERS:
        raise DataError("new_table_suffix", path=str(out), name=str(path), suffixes=list(DELIMITERS))
    return out.suffix.lower()


def write_new_table(
    file: BinaryIO,
    suffix: str,
    columns: Sequence[str],
    rows: Iterable[TableRow],
    added: Sequence[AddedColumn],
    new_cells: Iterable[Row],
) -> None:
    """Write `rows` with the columns `added`, in UTF-8; bytes of names that are not UTF-8 stay as they are."""
    names, delimiter = [*columns, *(column.name for column in added)], DELIMITERS[suffix]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter or ",", lineterminator="\n")
    if delimiter:
        writer.writerow(map(spreadsheet_text, names))
    for row, cells in zip(rows, new_cells, strict=True):
        values = [*row.cells, *cells]
        if delimiter:
            writer.writerow(map(spreadsheet_text, values))
        else:
            text.write(json.dumps(dict(zip(names, map(typed_value, values), strict=True)), ensure_ascii=False) + "\n")
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
        text.seek(0)
        text.truncate()
