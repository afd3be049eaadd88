"""The samples of any data set as a table with their ids; it is written as a new table."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from muslin.data.dataset import Dataset, PixelImages
from muslin.data.photos import PhotoImages
from muslin.data.tables.cells import AddedColumn, Cell, Row
from muslin.data.tables.new_table import DELIMITERS, check_suffix, write_new_table
from muslin.data.tables.table_file import Repairs, TableFile, TableRow


class DatasetTable(TableFile):
    """A row for each sample, numbered from 1, and where its image is: a TableFile that is its own TablePhotos."""

    suffixes: tuple[str, ...] = tuple(DELIMITERS)
    column = "image"
    columns: tuple[str, ...] = (column,)

    def __init__(self, dataset: Dataset, path: Path, out: Path) -> None:
        """Raises DataError where `out` is of a kind that is not written."""
        super().__init__(path)
        self._suffix, self._notes = check_suffix(path, out), cast(Any, dataset.fixes)
        self._ids, self._images = list(map(str, dataset.ids)), dataset.images
        digest = hashlib.sha256("\n".join(self._ids).encode("utf-8", "surrogateescape"))
        if isinstance(self._images, PixelImages):
            digest.update(self._images.pixels.tobytes())
        self._digest = digest.hexdigest()

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        for number, id_ in enumerate(self._ids, 1):
            yield TableRow(number, (id_,) * len(names))

    def find(self, row_number: int, cell: Cell) -> Any:
        """The image in a row: the place of a photo, or pixels uint8 (height, width, channels)."""
        images = self._images
        return images.photos[row_number - 1] if isinstance(images, PhotoImages) else images[row_number - 1]

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        write_new_table(file, self._suffix, self.columns, self.rows(self.columns), added, rows)
