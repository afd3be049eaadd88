"""A folder of photos as a catalogue: its table, written where there was none, names each photo."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from muslin.data.photos import PHOTO_SUFFIXES
from muslin.data.tables.cells import Column, Row, spreadsheet_text
from muslin.errors import DataError

COLUMN = "image"


class Folder:
    """The photos in a folder and below, in order of their names; hidden ones are passed over."""

    suffixes: tuple[str, ...] = (".csv", ".tsv", ".jsonl")
    columns: tuple[str, ...] = (COLUMN,)

    def __init__(self, path: Path, out: Path) -> None:
        """Raises DataError where there is no photo, or `out` is to be of a kind that is not written."""
        self.path = path
        self._delimiter = {".csv": ",", ".tsv": "\t", ".jsonl": ""}.get(out.suffix.lower())
        if self._delimiter is None:
            raise DataError(
                f"{out}: a folder's photos are listed as .csv, .tsv or .jsonl. Choose one of them."
            )
        digest = hashlib.sha256()
        count = 0
        for name in self._photos():
            digest.update(os.fsencode(name) + b"\n")
            count += 1
        if not count:
            raise DataError(
                f"{path}: has no photos in it. Known by their names' ends: {', '.join(sorted(PHOTO_SUFFIXES))}."
            )
        self.digest = digest.hexdigest()
        self.notes: tuple[str, ...] = ()

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        for photo in self._photos():
            yield (photo,) * len(names)

    def write(self, file: BinaryIO, added: Sequence[Column], rows: Iterable[Row]) -> None:
        answers = iter(rows)
        if not self._delimiter:
            for photo in self._photos():
                cells = {
                    column.name: round(value, 4) if isinstance(value, float) else value or None
                    for column, value in zip(added, next(answers), strict=True)
                }
                line = json.dumps({COLUMN: photo} | cells, ensure_ascii=False) + "\n"
                file.write(line.encode("utf-8", "surrogateescape"))
            return
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
        writer.writerow([COLUMN, *(spreadsheet_text(column.name) for column in added)])
        for photo in self._photos():
            writer.writerow([spreadsheet_text(photo), *map(spreadsheet_text, next(answers))])
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))
            text.seek(0)
            text.truncate()

    def _photos(self) -> Iterator[str]:
        for folder, below, names in os.walk(self.path):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES:
                    yield os.path.relpath(os.path.join(folder, name), self.path).replace(os.sep, "/")
