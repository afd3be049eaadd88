"""A table from any Dataset: a row for each sample, with its id, to which `tag` adds columns."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from muslin.data.dataset import Dataset, PixelImages
from muslin.data.photo_lookup import cell_name
from muslin.data.photo_roles import ProductPhoto
from muslin.data.photos import PhotoImages
from muslin.data.tables.cells import Cell
from muslin.data.tables.new_table import NewTable
from muslin.data.tables.table_file import Repairs, TableRow


class DatasetTable(NewTable):
    """A row for each sample, numbered from 1, and where its image is: a TableFile that is its own TablePhotos.

    Attributes:
        products: the product of each row, which is in a column of its own; None where the data have no products.
    """

    photo_columns = ("image",)
    product_column = "product"
    columns: tuple[str, ...] = photo_columns

    def __init__(self, dataset: Dataset, path: Path, out: Path | None) -> None:
        """Raises DataError where `out` is of a kind that is not written."""
        super().__init__(path, out)
        self._notes = cast(Any, dataset.fixes)
        self._ids, self._images = list(map(str, dataset.ids)), dataset.images
        self._roles = None if dataset.roles is None else list(map(str, dataset.roles))
        self.products = None if dataset.products is None else tuple(map(str, dataset.products))
        if self.products is not None:
            self.columns = (*self.photo_columns, self.product_column)
        digest = hashlib.sha256("\n".join((*self._ids, *(self.products or ()))).encode("utf-8", "surrogateescape"))
        if isinstance(self._images, PixelImages):
            digest.update(self._images.pixels.tobytes())
        elif isinstance(self._images, PhotoImages):
            digest.update(repr([photo.box for photo in self._images.photos]).encode())
        self._digest = digest.hexdigest()

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        for number, id_ in enumerate(self._ids, 1):
            product = self.products[number - 1] if self.products else ""
            yield TableRow(number, tuple(product if name == self.product_column else id_ for name in names))

    def find(self, row_number: int, cells: Sequence[Cell]) -> ProductPhoto:
        """The image in a row, with its id: the place of a photo, or pixels uint8 (height, width, channels)."""
        images: Any = self._images
        image = images.photos[row_number - 1] if isinstance(images, PhotoImages) else images[row_number - 1]
        return ProductPhoto(cell_name(cells[0]), image, "" if self._roles is None else self._roles[row_number - 1])

    def find_all(self, row_number: int, cells: Sequence[Cell]) -> list[ProductPhoto]:
        """The image of a row, as of TablePhotos."""
        return [self.find(row_number, cells)]
