"""A folder of photos as a table of one column with each photo's name; the table is written where there was none."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from muslin.data.archives import walk
from muslin.data.photos import PHOTO_SUFFIXES, is_photo
from muslin.data.tables.cells import AddedColumn, Row, spreadsheet_text, typed_value
from muslin.data.tables.table_file import Repairs, TableFile, TableRow
from muslin.errors import DataError

COLUMN = "image"
DELIMITERS = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
"""Between cells, by the suffix of the file to write."""


class Folder(TableFile):
    """The photos in a folder and below, in order of their names; hidden ones are skipped."""

    suffixes: tuple[str, ...] = tuple(DELIMITERS)
    columns: tuple[str, ...] = (COLUMN,)

    def __init__(self, path: Path, out: Path) -> None:
        """Raises DataError where there is no photo, or `out` is of a kind that is not written."""
        super().__init__(path)
        if out.suffix.lower() not in DELIMITERS:
            raise DataError("folder_output_kind", path=str(out), suffixes=list(DELIMITERS))
        self._delimiter = DELIMITERS[out.suffix.lower()]
        digest = hashlib.sha256()
        count = 0
        for name in self._photos():
            digest.update(os.fsencode(name) + b"\n")
            count += 1
        if not count:
            raise DataError("no_photos", path=str(path), suffixes=sorted(PHOTO_SUFFIXES))
        self._digest = digest.hexdigest()

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        for number, photo in enumerate(self._photos(), 1):
            yield TableRow(number, (photo,) * len(names))

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        names = [column.name for column in added]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._delimiter or ",", lineterminator="\n")
        if self._delimiter:
            writer.writerow([COLUMN, *map(spreadsheet_text, names)])
        for photo, row in zip(self._photos(), rows, strict=True):
            if self._delimiter:
                writer.writerow([spreadsheet_text(photo), *map(spreadsheet_text, row)])
            else:
                cells = {COLUMN: photo} | dict(zip(names, map(typed_value, row), strict=True))
                text.write(json.dumps(cells, ensure_ascii=False) + "\n")
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))
            text.seek(0)
            text.truncate()

    def _photos(self) -> Iterator[str]:
        for name, _ in walk(self.path):
            if is_photo(name):
                yield name
