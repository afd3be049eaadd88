"""A shop's products with their photos, as `muslin tag` and `muslin review` read them from any data."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from muslin.catalogue.product_rows import ProductRows, RowsOfProduct, find_products
from muslin.data import read
from muslin.data.archives import archive_kind
from muslin.data.formats import detect_format
from muslin.data.formats.photo_tables import choose_tables
from muslin.data.formats.read_options import ReadOptions
from muslin.data.formats.table_sources import Contents, is_container
from muslin.data.open_cache import open_cache
from muslin.data.photo_content import PhotoContent
from muslin.data.photos import Photo
from muslin.data.product_notes import note_of_many_photos
from muslin.data.registry import DATASETS
from muslin.data.tables import TableFile, detect_kind, open_table
from muslin.data.tables.columns import column_names, wants_no_column
from muslin.data.tables.dataset_table import DatasetTable
from muslin.data.tables.new_table import DELIMITERS
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.photo_column import TablePhotos, check_images_used, table_photos
from muslin.data.tables.workbook import is_workbook
from muslin.errors import DataError, ImageError
from muslin.messages import Log, Message
from muslin.models.prediction import Prediction
from muslin.models.predictor import Predictor
from muslin.models.product_prediction import ProductPrediction
from muslin.storage.boundary import data_boundary
from muslin.storage.outputs import Output

ID_NAMES = ("sku", "product_id", "productid", "article_number", "item_id", "ean", "gtin", "product", "id")
"""Columns, in lower case, whose cells should be unique to a product."""

TABLE_OPTIONS = frozenset({"images", "image_column", "product", "format", "allow_outside"})
"""Options of reading that are used to read a table row by row."""

OF_CLASSES = frozenset({"min_per_class", "rare_classes"})
"""Options of reading that change labels only, which are not read."""

MAX_REPEATED_IDS = 3
"""Repeated ids that are named; the others are counted."""


@dataclass(frozen=True, eq=False)
class ProductCatalogue:
    """The products of a table or of other data, with what finds their photos.

    Attributes:
        rows: the products in order; `rows.table` is the table.
        products: number of products.
        has_several: whether some product has several photos, so that products are predicted and not photos.
        notes: on what was guessed while opening it; `rows.table.fixes` says what was repaired.
    """

    rows: ProductRows
    products: int
    has_several: bool
    notes: tuple[Message, ...]

    @property
    def table(self) -> TableFile:
        """The table with a row or more for each product."""
        return self.rows.table

    @property
    def unit(self) -> str:
        """What a row of the result is called: `product`, or `photo` where nothing tells which products there are."""
        has_products = self.has_several or self.rows.columns or _id_column(self.table)
        return "product" if has_products else "photo"

    def predict(
        self, predictor: Predictor, products: Iterable[RowsOfProduct], precision: float, guarantee: str
    ) -> Iterator[Prediction | ProductPrediction]:
        """The prediction for each of these products: from all its photos where some product has several."""
        named = ((product.name, self.rows.find(product)) for product in products)
        if self.has_several:
            yield from predictor.predict_named_products(named, precision=precision, guarantee=guarantee)
        else:
            one_each = (photos[0][:2] for _, photos in named)
            yield from predictor.predict_named(one_each, precision=precision, guarantee=guarantee)


def open_catalogue(
    data: str | Path, out: Path | None, options: Mapping[str, Any], log: Log, *, survey: bool = True
) -> ProductCatalogue:
    """The products of `data`.

    Args:
        out: where the table is written with more columns, if it is.
        options: as `muslin.read` takes them.
        survey: whether all photos are looked up, so that the notes tell which are missing; without it, `has_several` is
            not known.

    Raises:
        DataError: the data cannot be read, hold no product, or an option has no effect.
    """
    with open_cache(), data_boundary(Path(data), allow_outside=bool(options.get("allow_outside"))):
        table, photos = open_data(data, out, options, log)
    rows, notes = find_products(table, photos, options.get("product"))
    if not survey:
        return ProductCatalogue(rows, sum(1 for _ in rows), False, ())
    products, has_several, of_photos = _survey(rows)
    notes += [*of_photos, *_notes_of_ids(rows)]
    if isinstance(photos, TablePhotos):
        notes = [*_chosen_columns(photos), *photos.notes, *photos.fixes, *notes]
    return ProductCatalogue(rows, products, has_several, tuple(notes))


def _chosen_columns(photos: TablePhotos) -> list[Message]:
    """A note on the columns of the photos, unless another one says so."""
    first, *others = photos.photo_columns
    if any(note.code == "photo_columns_joined" for note in photos.notes):
        return []
    return [Message("photo_columns_chosen", **({"columns": [first, *others]} if others else {"column": first}))]


def open_data(
    data: str | Path, out: Path | None, options: Mapping[str, Any], log: Log
) -> tuple[TableFile, TablePhotos | DatasetTable]:
    """The data as a table, and what finds the image of a row."""
    path = Path(data)
    if inside := None if data in DATASETS else open_table_inside(path, out, options, log):
        return inside
    if data in DATASETS or not is_table(path, out, options):
        if unused := sorted(options.keys() & OF_CLASSES):
            raise DataError("tag_options_unused", path=str(path), options=unused)
        rows = DatasetTable(read(data, **options, all_targets="target" not in options, log=log), path, out)
        return rows, rows
    table = open_table(path, out)
    if unused := sorted(options.keys() - TABLE_OPTIONS):
        raise DataError("tag_options_unused", path=str(path), options=unused)
    if not next(table.rows(()), None):
        raise DataError("no_rows", path=str(path))
    several = not wants_no_column(options.get("product"))
    names = column_names(options.get("image_column"), "--image-column")
    photos = table_photos(table, options.get("images"), names, several=several)
    check_images_used(photos, options.get("images"))
    return table, photos


def open_table_inside(
    path: Path, out: Path | None, options: Mapping[str, Any], log: Log
) -> tuple[TableFile, TablePhotos] | None:
    """The only table in a folder or archive with photos, and what finds them there; None where there is no such table.

    It is written in its own format; for another one, a note says that its columns stay behind.
    """
    if not is_container(path) or options.keys() - TABLE_OPTIONS:
        return None
    if (options.get("format") or getattr(detect_format(path), "name", None)) != "table":
        return None
    contents, names = Contents(path), column_names(options.get("image_column"), "--image-column")
    with contents.renaming_errors():
        chosen, notes = choose_tables(contents, ReadOptions(image_columns=names))
        if len(chosen.names) > 1:
            return None
        (source,) = contents.sources(chosen.names, options.get("images"))
        table = open_table(source.path)
        if out is not None and out.suffix.lower() not in table.suffixes:
            suffixes = list(table.suffixes)
            log(Message("inner_table_not_copied", path=str(path), table=chosen.names[0], suffixes=suffixes))
            return None
        table = open_table(source.path, out)
        several = not wants_no_column(options.get("product"))
        photos = table_photos(table, list(source.places) or None, names, several=several)
        check_images_used(photos, options.get("images"))
    for note in notes:
        log(note)
    table.keep_alive = contents.keep_alive
    return table, photos


def is_table(path: Path, out: Path | None, options: Mapping[str, Any]) -> bool:
    """Whether the data are a file of rows that can be copied with more columns; unknown files are tried as such.

    Parquet with the photos in it is copied to Parquet only.
    """
    if not path.is_file() or (archive_kind(path) and not is_workbook(path)):
        return False
    format = options.get("format") or getattr(detect_format(path), "name", "table")
    is_written_anew = out is not None and out.suffix.lower() in DELIMITERS
    return bool(format == "table" and not (is_written_anew and holds_photos(path)))


def holds_photos(path: Path) -> bool:
    """Whether a table holds its photos itself."""
    return detect_kind(path) is Parquet and bool(Parquet(path).photo_columns)


def _survey(rows: ProductRows) -> tuple[int, bool, list[Message]]:
    """The number of products, whether one of them has several photos, and a note on those of very many.

    All photos are looked up, so that `rows.photos.fixes` says which are not found.

    Raises:
        DataError: there is no product.
    """
    products, most = 0, 0

    def count_photos() -> Iterator[tuple[str, int]]:
        nonlocal products, most
        for product in rows:
            count = len(rows.find(product) if isinstance(rows.photos, TablePhotos) else product.rows)
            products, most = products + 1, max(most, count)
            yield product.name, count

    notes = note_of_many_photos(count_photos())
    if not products:
        raise DataError("no_rows", path=str(rows.table.path))
    # of other data, reading says so
    return products, most > 1, notes if isinstance(rows.photos, TablePhotos) else []


def _id_column(table: TableFile) -> str | None:
    """The column whose cells should be unique to a product."""
    return next((name for known in ID_NAMES for name in table.columns if name.strip().lower() == known), None)


def _notes_of_ids(rows: ProductRows) -> list[Message]:
    """A note on ids in more than one row, where they are not those of products."""
    table = rows.table
    name = _id_column(table)
    if name is None or name in rows.columns:
        return []
    hashes = np.fromiter((hash(cell) for _, (cell,) in table.rows([name]) if cell), dtype=np.int64)
    distinct, counts = np.unique(hashes, return_counts=True)
    repeated = set(distinct[counts > 1].tolist())
    rows_of: dict[str, list[int]] = {}
    for number, (cell,) in table.rows([name]) if repeated else ():
        if hash(cell) in repeated and (cell in rows_of or len(rows_of) < MAX_REPEATED_IDS):
            rows_of.setdefault(str(cell), []).append(number)
    examples = [f"{cell} ({numbers[0]:,}, {numbers[1]:,})" for cell, numbers in rows_of.items()]
    return [Message("ids_repeated", column=name, count=len(repeated), examples=examples)] if repeated else []


def content_digest(photo: Any) -> bytes:
    """Of what a photo shows, as `ProductRows.find` gives it, or of the reason why it cannot be read."""
    try:
        if hasattr(photo, "content"):  # a StoredImage
            return PhotoContent(photo.name, photo.content(), photo.box).digest
        if isinstance(photo, np.ndarray):
            return hashlib.sha256(photo.tobytes()).digest()
        return repr(getattr(photo, "code", photo)).encode()  # why there is none
    except ImageError as error:
        return error.code.encode()


def check_no_photo(output: Output, rows: ProductRows) -> None:
    """Refuse an output that is one of the photos, as `Output.check` does."""
    if os.path.lexists(output.path):  # no photo is a new file
        found = (photo for product in rows for _, photo, _ in rows.find(product))
        inputs = {photo.path for photo in found if isinstance(photo, Photo)}
        replace(output, overwrite=True).check(inputs)
