"""Data that become a new table when columns are added, because their own files are not written."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from muslin.data.tables.cells import AddedColumn, Row, spreadsheet_text, typed_value
from muslin.data.tables.table_file import TableFile
from muslin.errors import DataError
from muslin.strict_json import json_text

DELIMITERS = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
"""Between cells, by the suffix of the file."""


class NewTable(TableFile):
    """Rows that are not copied with more columns, but written to a new table: CSV, TSV or JSON Lines."""

    suffixes: tuple[str, ...] = tuple(DELIMITERS)

    def __init__(self, path: Path, out: Path | None = None) -> None:
        """Raises DataError where no such table is written to `out`."""
        super().__init__(path)
        self._suffix = out.suffix.lower() if out else ""
        if out and self._suffix not in DELIMITERS:
            raise DataError("new_table_suffix", path=str(out), name=str(path), suffixes=list(DELIMITERS))

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        names, delimiter = [*self.columns, *(column.name for column in added)], DELIMITERS[self._suffix]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter or ",", lineterminator="\n")
        if delimiter:
            writer.writerow(map(spreadsheet_text, names))
        for row, cells in zip(self.rows(self.columns), rows, strict=True):
            values = [*row.cells, *cells]
            if delimiter:
                writer.writerow(map(spreadsheet_text, values))
            else:
                entry = dict(zip(names, map(typed_value, values), strict=True))
                text.write(json_text(entry) + "\n")
            file.write(text.getvalue().encode())
            text.seek(0)
            text.truncate()
