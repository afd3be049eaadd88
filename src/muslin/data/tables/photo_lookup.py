"""Which column of a table names the photos, and which photo a cell names."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from muslin.data.photo_names import PathIndex, in_code_pages, is_web_address, photo_suffix, readings, several_names
from muslin.data.photo_places import Place, are_copies, open_place, why_unreadable
from muslin.data.photos import IMAGE_SUFFIXES, Photo, StoredImage
from muslin.data.tables import TableFile
from muslin.data.tables.cells import Cell
from muslin.data.tables.columns import check_column
from muslin.data.tables.parquet import Parquet
from muslin.errors import DataError, ImageError
from muslin.messages import MAX_EXAMPLES, Message

PHOTO_COLUMNS = ("image", "image_path", "filepath", "file_path", "path", "filename", "file_name", "file", "photo",
                 "picture", "img", "image_name", "image_id", "imageid", "id", "sku", "article_id")  # fmt: skip
"""Names of columns that name photos, the likeliest first."""

PHOTO_FOLDERS = ("", "images", "image", "img", "imgs", "photos", "pictures", "media", "upload", "data")
"""Folders beside a table from which its cells can name photos."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

SAMPLE_ROWS = 200
"""Rows from which the photos' column is guessed: the first ones, or if none names a photo as many of all."""

NOT_FOUND = {
    "photo_not_named": "photos_not_named",
    "path_is_url": "photos_are_urls",
    "photo_outside": "photos_outside",
    "photo_ambiguous": "photos_ambiguous",
    "photo_elsewhere": "photos_missing",
    "no_such_photo": "photos_missing",
    "link_broken": "photos_missing",
    "image_format": "photos_unsupported",
    "git_pointer": "photos_are_pointers",
}
"""Per code of what is said of one cell, that of what is said of all such."""

BY_END = frozenset({"photos_by_address", "photos_by_path_end", "photos_by_label_studio"})
"""Ways to find a photo by which cells with different paths can mean the same file."""

MAX_FOUND_EXAMPLES = 2
"""Cells named in a message on photos that were found, each with its photo's path."""


T = TypeVar("T")


class Found(NamedTuple):
    """What a cell names: its photo or why there is none, a message's code that says how it was found if not as it is
    spelled, the example there, and how many other photos the cell names.
    """

    photo: Photo | ImageError
    code: str = ""
    example: str = ""
    unused: int = 0


class PhotoLookup:
    """Finds what cells name, in folders, zips and tars.

    A cell is a path from one of the places, or a bare id without the suffix. Only where no file has it as it is
    spelled, the names below the places are listed, once, and the path that has most of its end in common with the cell
    is taken; see `muslin.data.photo_names`. The same cell is always the same photo, whatever cells came before.

    Attributes:
        keep_alive: what must live as long as the photos.
    """

    def __init__(self, places: "Sequence[Path | Place]") -> None:
        """Raises DataError where a place does not exist, or an archive is damaged."""
        self._places = [open_place(place) if isinstance(place, Path) else place for place in places]
        self.keep_alive = [place.keep_alive for place in self._places]
        self._indices: list[tuple[Place, PathIndex]] | None = None
        self._counts: Counter[tuple[str, str | None, str | None]] = Counter()
        self._examples: defaultdict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
        self._cell_of: dict[str, int] = {}
        self._unused = 0

    @property
    def fixes(self) -> tuple[Message, ...]:
        """Cells of which `find` found the photo otherwise than as spelled, or not; by kind, counted, with examples."""
        fixes = []
        for key, count in self._counts.items():
            (code, hint, kind), names = key, list(self._examples[key])
            params: dict[str, Any] = {"kind": kind} if kind else {}
            params |= {"unused": self._unused} if code == "photos_first_of_several" else {}
            fixes.append(Message(code, hint, **params, count=count, names=names, more=count - len(names) or None))
        return tuple(fixes)

    def find(self, cell: Cell, row_number: int = 0) -> Photo | ImageError:
        """The photo that a cell names, or why there is none; `row_number` stands for an empty cell in messages."""
        photo, code, example, unused = self.locate(cell)
        if isinstance(photo, ImageError):
            kind = photo.params.get("kind")
            self._count(NOT_FOUND[photo.code], example or str(row_number), photo.message.hint_code, kind)
        elif code:
            self._count(code, example)
            self._unused += unused
            if code in BY_END and self._cell_of.setdefault(photo.name, hash(cell)) != hash(cell):
                self._count("photos_named_twice", example)
        return photo

    def _count(self, code: str, example: str, hint: str | None = None, kind: str | None = None) -> None:
        self._counts[code, hint, kind] += 1
        if self._counts[code, hint, kind] <= (MAX_EXAMPLES if code in NOT_FOUND.values() else MAX_FOUND_EXAMPLES):
            self._examples[code, hint, kind].append(example)

    def locate(self, cell: Cell, as_spelled: bool = False) -> Found:
        """As `find`, without counting; with `as_spelled` no other spellings are searched."""
        text = cell_name(cell)
        if not text:
            return Found(ImageError("photo_not_named"))
        if isinstance(cell, str) and (photos := self._as_spelled(cell)):
            code = "photos_first_of_several" if len(photos) > 1 else ""
            return Found(why_unreadable(photos[0], cell) or photos[0], code, cell, len(photos) - 1)
        if names := several_names(cell):
            each = (self.locate(name, as_spelled) for name in names)
            found = next((found for found in each if isinstance(found.photo, Photo)), self.locate(names[0], as_spelled))
            several = len(names) > 1
            return Found(found.photo, "photos_first_of_several", text, len(names) - 1) if several else found
        return Found(ImageError("no_such_photo", path=text), "", text) if as_spelled else self._by_index(text)

    def _as_spelled(self, cell: str) -> list[Photo]:
        """The file of this path; several where it lacks its suffix, the likeliest first."""
        for place in self._places:
            name = os.path.normpath(os.path.relpath(cell, os.path.abspath(place.path)) if os.path.isabs(cell) else cell)
            own_name = place.path.name.split(".")[0] + "/"
            for path in dict.fromkeys((name, name.removeprefix(own_name))):
                suffix = os.path.splitext(path)[1]
                is_complete = suffix.lower() in IMAGE_SUFFIXES
                ends = [""] if is_complete else place.suffixes(os.path.dirname(path))
                names = [path + end for end in ends if not path.startswith("..") and (end or is_complete or not suffix)]
                if photos := [photo for name in names if (photo := place.photo(name))]:
                    return photos
        return []

    def _by_index(self, cell: str) -> Found:
        """The photo whose path has most of its end in common with the cell."""
        first, *others = readings(cell)
        elsewhere: list[str] = []
        for reading in [first, *others, *in_code_pages(first)]:
            matches = [(match, place) for place, index in self._index() for match in index.matches(reading)]
            fitting = [(match, place) for match, place in matches if match.fits]
            best = max((match.rank for match, _ in fitting), default=None)
            photos = {m.path: photo for m, place in fitting if m.rank == best and (photo := place.photo(m.path))}
            if len(photos) > 1 and not are_copies(photos.values()):
                error = ImageError("photo_ambiguous", path=cell, names=list(photos)[:MAX_EXAMPLES])
                return Found(error, "", f"{cell} → {' | '.join(photos)}")
            for path, photo in photos.items():
                code = next(match.kind for match, _ in fitting if match.path == path)
                return Found(why_unreadable(photo, cell) or photo, code, f"{cell} → {path}")
            elsewhere += [match.path for match, _ in matches]
        code = "photo_outside" if first.leaves or (os.path.isabs(cell) and os.path.isfile(cell)) else "no_such_photo"
        error = ImageError(code, path=cell)
        if is_web_address(cell):
            error = ImageError("path_is_url", url=cell)
        elif elsewhere:
            error = ImageError("photo_elsewhere", path=cell, names=elsewhere[:MAX_EXAMPLES])
        return Found(error, "", cell)

    def searched(self, cell: Cell) -> dict[str, Any]:
        """The parameters of a message that a cell's photo was not found: `example`, `reason`, `tried` paths, the number
        of `photos` in all places and one's `name`.
        """
        found = self.locate(cell).photo
        text = next(iter(several_names(cell)), cell if isinstance(cell, str) else "")
        path = "/".join(next(readings(text)).pieces)
        names = [path for _, index in self._index() for path in index.paths]
        return {
            "example": text or None,
            "reason": found.message if isinstance(found, ImageError) and found.code != "no_such_photo" else None,
            "tried": [_shown(place.path / path) for place in self._places[:MAX_EXAMPLES]] if text else [],
            "photos": len(names) or None,
            "name": names[0] if names else None,
        }

    def _index(self) -> list[tuple[Place, PathIndex]]:
        """Per place that is not inside another one, the photos below it; made on the first call."""
        if self._indices is None:
            self._indices = []
            for place in self._places:
                inside = [other.path.relative_to(place.path) for other in self._places if _is_below(other, place)]
                if not any(_is_below(place, other) for other in self._places):
                    starts = ["", *(f"{path.as_posix()}/" for path in inside)]
                    self._indices.append((place, PathIndex(place.photo_names(), starts)))
        return self._indices


def _shown(path: Path) -> str:
    """The path as a person writes it: without dots."""
    return os.path.abspath(path) if path.as_posix().startswith(".") else str(path)


def _is_below(place: Place, other: Place) -> bool:
    alike = type(place) is type(other)
    return alike and place.path != other.path and place.path.is_relative_to(other.path)


@dataclass(frozen=True)
class TablePhotos:
    """The photos of a table.

    Attributes:
        column: its column that names them.
        lookup: finds them.
        notes: what was chosen.
        rows: the table whose rows hold the photos themselves.
    """

    column: str
    lookup: PhotoLookup
    notes: tuple[Message, ...] = ()
    rows: Parquet | None = None

    def find(self, row_number: int, cell: Cell) -> StoredImage | ImageError:
        """The photo of a row, or why there is none."""
        return self.rows.photo(self.column, row_number, cell) if self.rows else self.lookup.find(cell, row_number)

    @property
    def fixes(self) -> tuple[Message, ...]:
        """How photos were found otherwise than as spelled, and which were not, among those asked for until now."""
        return self.lookup.fixes

    @property
    def keep_alive(self) -> Any:
        """What must live as long as the photos."""
        return self.lookup.keep_alive


def table_photos(
    table: TableFile, images: str | Path | Sequence[Path | Place] | None = None, image_column: str | None = None
) -> TablePhotos:
    """The column that holds the photos, or whose cells name them, and what finds them.

    Args:
        images: a folder, zip or tar, or several; by default the table's folder and PHOTO_FOLDERS in it, and a folder
            called as the table.
        image_column: the column's name; by default it is guessed.

    Raises:
        DataError: there is no such column, no such place, or no column that names a photo in one.
    """
    if isinstance(table, Parquet) and (columns := [c for c in table.photo_columns if image_column in (None, c)]):
        return TablePhotos(columns[0], PhotoLookup([]), rows=table)
    places: Sequence[Path | Place] = _places_beside(table.path) if images is None else []
    if images is not None:
        places = [Path(images)] if isinstance(images, str | Path) else images
    lookup = PhotoLookup(places)
    if image_column is not None:
        check_column(table.path, image_column, table.columns)
        if not any(isinstance(lookup.locate(cell).photo, Photo) for _, (cell,) in table.rows([image_column])):
            raise _not_found(table, [image_column], lookup)
        return TablePhotos(image_column, lookup)
    names = [name for name in dict.fromkeys(table.columns) if name]
    for sample in (islice(table.rows(names), SAMPLE_ROWS), _spread(table.rows(names))):
        cells = dict(zip(names, zip(*(row.cells for row in sample), strict=True), strict=False))
        for as_spelled in (True, False):
            if columns := _columns_of_photos(cells, lookup, as_spelled):
                notes = [Message("photo_columns_unused", column=columns[0], others=columns[1:])] if columns[1:] else []
                return TablePhotos(columns[0], lookup, tuple(notes))
    raise _not_found(table, names, lookup)


def _places_beside(table: Path) -> list[Path]:
    """The table's folder, and in it those called as the table or one of PHOTO_FOLDERS; or else archives called so."""
    paths = [table.parent / name for name in (table.name.partition(".")[0], *PHOTO_FOLDERS)]
    folders = [path for path in paths if path.is_dir()]
    archives = [path.with_name(path.name + suffix) for path in paths if path.name for suffix in ARCHIVE_SUFFIXES]
    return folders if len(folders) > 1 else [*folders, *(path for path in archives if path.is_file())]


def cell_name(cell: Cell) -> str:
    """A cell in messages: the names of several photos with `|` between them."""
    return cell if isinstance(cell, str) else "|".join(cell)


def _columns_of_photos(cells_of: Mapping[str, Sequence[Cell]], lookup: PhotoLookup, as_spelled: bool) -> list[str]:
    """The columns that name different photos, that which names most of them first; the likelier name of equals.

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
    return name.lower() in PHOTO_COLUMNS or any(_names_file(cell) or is_web_address(cell_name(cell)) for cell in cells)


def _names_file(cell: Cell) -> bool:
    texts = [cell] if isinstance(cell, str) else cell
    return any(photo_suffix(text) and not is_web_address(text) for text in texts)


def _spread(rows: Iterable[T]) -> list[T]:
    """At most SAMPLE_ROWS of all rows, at equal distances."""
    kept: list[T] = []
    step = 1
    for i, row in enumerate(rows):
        if i % step == 0:
            kept.append(row)
        if len(kept) > SAMPLE_ROWS:
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
