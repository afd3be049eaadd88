"""The columns of a table that name its photos, and the photos that its cells name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from muslin.data.archives import walk
from muslin.data.photo_lookup import PhotoLookup, Place, cell_name
from muslin.data.photo_paths import is_url, photo_suffix
from muslin.data.photo_roles import ProductPhoto, role_in_column, role_in_name, shows_product
from muslin.data.photos import Photo, StoredImage
from muslin.data.tables import TableFile
from muslin.data.tables.cells import Cell
from muslin.data.tables.columns import check_column
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.photo_series import columns_of_product
from muslin.data.tables.table_file import check_width
from muslin.errors import DataError, ImageError
from muslin.messages import Message
from muslin.storage.boundary import Boundary, boundary_of

PHOTO_COLUMNS = ("image", "image_path", "filepath", "file_path", "path", "filename", "file_name", "file", "photo",
                 "picture", "img", "img_path", "photo_path", "image_name", "image_url", "image_link", "image_id",
                 "imageid", "id", "sku", "article_id")  # fmt: skip
"""Names of columns that name photos, the likeliest first."""

PHOTO_FOLDERS = ("", "images", "image", "img", "imgs", "photos", "pictures", "media", "upload", "data")
"""Folders beside a table from which its cells can name photos."""

TABLE_FOLDERS = ("annotations", "annotation", "labels", "tables", "metadata")
"""Folders of tables alone, with the photos beside the folder."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

SAMPLE_ROWS = 200
"""Rows from which the photos' column is guessed: the first ones, or if none names a photo as many of all."""

SAMPLE_CELLS, MIN_SAMPLE_ROWS = 20_000, 4
"""Cells from which it is guessed, each of which is searched in the folders, and rows of a table with more columns."""

T = TypeVar("T")


@dataclass(frozen=True)
class TablePhotos:
    """The photos of a table.

    Attributes:
        photo_columns: its columns that name them; where there are several, a row's photos show one product.
        lookup: finds them.
        notes: what was chosen.
        rows: the table whose rows hold the photos themselves.
    """

    photo_columns: tuple[str, ...]
    lookup: PhotoLookup
    notes: tuple[Message, ...] = ()
    rows: Parquet | None = None

    def find(self, row_number: int, cells: Sequence[Cell]) -> ProductPhoto:
        """The first photo of a row whose cells in `photo_columns` are given, or why there is none."""
        column, cell = self._filled(row_number, cells)[0]
        if self.rows:
            return _with_role(*self._in_cell(row_number, column, cell)[0], column)
        return _with_role(cell_name(cell), self.lookup.find(cell, row_number), column)

    def find_all(self, row_number: int, cells: Sequence[Cell]) -> list[ProductPhoto]:
        """Each photo of a row, once, or why there is none; at least one."""
        found: dict[Any, ProductPhoto] = {}
        for column, cell in self._filled(row_number, cells):
            for name, photo in self._in_cell(row_number, column, cell):
                key = (photo.path, photo.start) if isinstance(photo, Photo) else (column, name)
                found.setdefault(key, _with_role(name, photo, column))
        return list(found.values())

    def _in_cell(self, row_number: int, column: str, cell: Cell) -> Sequence[tuple[str, StoredImage | ImageError]]:
        """The name of each photo that a cell holds or names, and the photo or why there is none."""
        if self.rows:
            name = cell_name(cell) or (f"{column} {row_number}" if self.photo_columns[1:] else "")
            return [(name, self.rows.photo(column, row_number, cell))]
        return self.lookup.find_all(cell, row_number)

    def _filled(self, row_number: int, cells: Sequence[Cell]) -> list[tuple[str, Cell]]:
        """The columns of a row that name photos, or the first one where none does, each with its cell."""
        pairs = list(zip(self.photo_columns, cells, strict=True))
        if self.rows and pairs[1:]:  # a photo in a cell can be without a name
            return [(c, cell) for c, cell in pairs if cell or self.rows.photo_cell(c, row_number)] or pairs[:1]
        return [pair for pair in pairs if pair[1]] or pairs[:1]

    @property
    def fixes(self) -> tuple[Message, ...]:
        """How photos were found otherwise than as spelled, and which were not, among those asked for until now."""
        return self.lookup.fixes

    @property
    def keep_alive(self) -> Any:
        """What must live as long as the photos."""
        return self.lookup.keep_alive


def _with_role(name: str, photo: StoredImage | ImageError, column: str) -> ProductPhoto:
    """A photo with the role in its column's name, or else in its own."""
    return ProductPhoto(name, photo, role_in_column(column) or role_in_name(name))


def table_photos(
    table: TableFile,
    images: str | Path | Sequence[Path | Place] | None = None,
    image_columns: Sequence[str] = (),
    *,
    several: bool = True,
) -> TablePhotos:
    """The columns that hold the photos, or whose cells name them, and what finds them.

    Args:
        images: a folder, zip or tar, or several; by default the table's folder and PHOTO_FOLDERS in it, and a folder
            called as the table.
        image_columns: the columns' names; by default they are guessed: one, with those that show the same product, see
            `muslin.data.tables.photo_series`.
        several: whether a row can have several photos; otherwise one column is chosen.

    Raises:
        DataError: there is no such column, no such place, no column that names a photo in one, a small file's photos
            recur too often, or several columns are named where one is used.
    """
    check_width(table)
    if image_columns[1:] and not several:
        raise DataError("image_columns_of_no_product", path=str(table.path), columns=list(image_columns))
    if isinstance(table, Parquet) and table.photo_columns and {*image_columns} <= {*table.photo_columns}:
        return _photos_within(table, image_columns, several)
    lookup = photo_lookup(table.path, images)
    if image_columns:
        for name in image_columns:
            check_column(table.path, name, table.columns)
        cells_of_columns = (cell for _, row in table.rows(image_columns) for cell in row)
        if not any(isinstance(lookup.locate(cell).photo, Photo) for cell in cells_of_columns):
            raise _not_found(table, image_columns, lookup)
        return TablePhotos(tuple(image_columns), lookup)
    names = [name for name in dict.fromkeys(table.columns) if name]
    count = max(min(SAMPLE_ROWS, SAMPLE_CELLS // max(len(names), 1)), MIN_SAMPLE_ROWS)
    for sample in (islice(table.rows(names), count), _spread(table.rows(names), count)):
        cells = dict(zip(names, zip(*(row.cells for row in sample), strict=True), strict=False))
        for as_spelled in (True, False):
            if columns := _columns_of_photos(cells, lookup, as_spelled):
                return _with_other_columns(table, columns, lookup, several)
    raise _not_found(table, names, lookup)


def photo_lookup(table: Path, images: str | Path | Sequence[Path | Place] | None = None) -> PhotoLookup:
    """What finds the photos that the cells of a table name; `images` as of `table_photos`.

    Raises:
        DataError: there is no such place.
    """
    if images is None:
        return PhotoLookup(*_places_beside(table))
    return PhotoLookup([Path(images)] if isinstance(images, str | Path) else images)


def _with_other_columns(table: TableFile, columns: Sequence[str], lookup: PhotoLookup, several: bool) -> TablePhotos:
    """The photos of the first of `columns`, and with `several` of those that show the same product."""
    joined, lost = [columns[0]], list[str]()
    if several:
        joined, lost = columns_of_product(table, columns[0], lambda cell: lookup.locate(cell).photo, _names_file)
    notes = _notes_of_columns(joined, [*columns, *lost]) + _notes_of_repeated(table, joined)
    return TablePhotos(tuple(joined), lookup, notes)


def _notes_of_repeated(table: TableFile, joined: Sequence[str]) -> tuple[Message, ...]:
    """A note on each column of photos whose name other columns have too."""
    counts = {name: table.columns.count(name) for name in joined}
    return tuple(Message("photo_column_repeated", column=name, count=n) for name, n in counts.items() if n > 1)


def _photos_within(table: Parquet, asked: Sequence[str], several: bool) -> TablePhotos:
    """The photos that a table holds itself, in the columns `asked`, or in those that show one product."""
    first = table.photo_columns[0]
    series = [name for name in table.photo_columns if name == first or shows_product(name)]
    joined = asked or (series if several and shows_product(first) else [first])
    for name in joined:
        table.check_photos(name)
    notes = () if asked else _notes_of_columns(joined, table.photo_columns)
    return TablePhotos(tuple(joined), PhotoLookup([]), notes, table)


def _notes_of_columns(joined: Sequence[str], found: Iterable[str]) -> tuple[Message, ...]:
    """Which columns of photos are read together, and which of those that name photos are not read."""
    unused = [name for name in dict.fromkeys(found) if name not in joined]
    notes = [Message("photo_columns_joined", columns=list(joined), column=joined[0])] if joined[1:] else []
    notes += [Message("photo_columns_unused", columns=list(joined), others=unused)] if unused else []
    return tuple(notes)


def check_images_used(photos: TablePhotos, images: str | Path | None) -> None:
    """Refuse a place of photos for a table that holds its photos itself.

    Raises:
        DataError: `images` would have no effect.
    """
    if images is not None and photos.rows:
        raise DataError(
            "images_in_table", path=str(photos.rows.path), column=photos.photo_columns[0], images=str(images)
        )


def _places_beside(table: Path) -> tuple[list[Path], Boundary]:
    """The places where photos are searched, and the folder that they may not leave: the table's.

    The places are the table's folder, and in it the folders called as the table or one of PHOTO_FOLDERS; or else
    archives called so.

    If it is one of TABLE_FOLDERS without photos, also the folder above, where `train2017` is that of
    `instances_train2017.json`; it is the one that photos may not leave.
    """
    stem = table.name.partition(".")[0]
    paths = [table.parent / name for name in (stem, *PHOTO_FOLDERS)]
    folder = table.parent.absolute()
    boundary = boundary_of(table.parent)
    if folder.name.lower() in TABLE_FOLDERS and not any(photo_suffix(name) for name, _ in walk(folder)):
        paths += [folder.parent / name for name in (stem, stem.partition("_")[2], *PHOTO_FOLDERS) if name]
        paths.append(folder.parent)
        boundary = boundary_of(folder.parent)
    folders = [path for path in dict.fromkeys(paths) if path.is_dir()]
    archives = [path.with_name(path.name + suffix) for path in paths if path.name for suffix in ARCHIVE_SUFFIXES]
    is_photo_folder = any(path not in (table.parent, folder.parent) for path in folders)
    places = folders if is_photo_folder else [*folders, *(path for path in archives if path.is_file())]
    return places, boundary


def _columns_of_photos(cells_of: Mapping[str, Sequence[Cell]], lookup: PhotoLookup, as_spelled: bool) -> list[str]:
    """The columns that name different photos: first the one that names most, of equals the one with the likelier name.

    Args:
        cells_of: a sample of each column's cells.
        as_spelled: only columns of which at least half of the cells name photos as they are spelled. Otherwise, where
            some columns hold names of files, only these: a number beside them means another thing.
    """
    found = []
    names_files = {name for name, cells in cells_of.items() if 2 * sum(map(_names_file, cells)) > len(cells)}
    for name in cells_of if as_spelled else names_files or cells_of:
        cells = cells_of[name]
        distinct = list(dict.fromkeys(cell for cell in cells if cell))
        photos = {cell: photo for cell in distinct if isinstance(photo := lookup.locate(cell, as_spelled).photo, Photo)}
        is_likely = 2 * len(photos) >= len(distinct)
        if photos and (is_likely or (not as_spelled and _is_named_so(name, distinct))):
            rank = PHOTO_COLUMNS.index(name.lower()) if name.lower() in PHOTO_COLUMNS else len(PHOTO_COLUMNS)
            found.append((-len(photos), rank, name, set(photos.values())))
    found.sort(key=lambda column: column[:2])
    likely = [column for column in found if 2 * column[0] <= found[0][0]]  # a year can be another photo's id
    return [
        name
        for i, (_, _, name, photos) in enumerate(likely)
        if all(2 * len(photos & others) <= len(photos) for *_, others in likely[:i])
    ]


def _is_named_so(name: str, cells: Sequence[Cell]) -> bool:
    """Whether a column's name or one of its cells looks like a photo's."""
    return name.lower() in PHOTO_COLUMNS or any(_names_file(cell) or is_url(cell_name(cell)) for cell in cells)


def _names_file(cell: Cell) -> bool:
    texts = [cell] if isinstance(cell, str) else cell
    return any(photo_suffix(text) and not is_url(text) for text in texts)


def _spread(rows: Iterable[T], most: int) -> list[T]:
    """At most `most` of all rows, at equal distances."""
    kept: list[T] = []
    step = 1
    for i, row in enumerate(rows):
        if i % step == 0:
            kept.append(row)
        if len(kept) > most:
            kept, step = kept[::2], 2 * step
    return kept


def _not_found(table: TableFile, names: Sequence[str], lookup: PhotoLookup) -> DataError:
    """An error that shows one cell and where its photo was searched."""
    rows = [row.cells for row in islice(table.rows(names), SAMPLE_ROWS)]
    columns = [(name, [row[i] for row in rows if row[i]]) for i, name in enumerate(names)]
    columns.sort(key=lambda column: (not any(map(_names_file, column[1])), not _is_named_so(*column), not column[1]))
    example = next((cell for _, cells in columns for cell in cells), "")
    formulas = next((fix.params for fix in table.fixes if fix.code == "formulas_without_result"), {"names": [None]})
    empty = {"formulas": formulas.get("count"), "cell": formulas["names"][0]}
    params = {"path": str(table.path), "columns": list(names[:10]), **empty, **lookup.searched(example)}
    return DataError("photo_column_not_found", **params)
