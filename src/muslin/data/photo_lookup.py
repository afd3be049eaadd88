"""Finding a photo in folders and archives by what a table or a list calls it: places, and the look-up in them."""

import os
import threading
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from muslin.data.archives import FolderNotes, check_content, files_in, walk
from muslin.data.photo_paths import BY_END, PathIndex, in_code_pages, is_plain, is_url, readings, several_names
from muslin.data.photos import IMAGE_SUFFIXES, PHOTO_SUFFIXES, Photo, is_hidden
from muslin.data.tables.cells import Cell
from muslin.errors import DataError, ImageError
from muslin.images.decoder import SIGNATURES
from muslin.images.file_kinds import MAX_POINTER_BYTES, kind_of_name, link_error, pointer_hint
from muslin.messages import MAX_EXAMPLES, Message
from muslin.storage.boundary import UNBOUNDED, Boundary, boundary_of

PREFERRED_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Tried first where a name lacks its suffix."""

CACHED_FOLDERS = 1024
"""Folders whose suffixes are remembered, a few bytes each."""

CACHED_CELLS = 4096
"""Cells whose photos, found as spelled, are remembered, because cells recur."""

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
"""Per code of an error of one cell, the code of the message that counts all such cells."""

MAX_NAME = 4096
"""Characters of a cell that can name photos; a longer one holds the photo itself, or a text."""

MAX_COPIES = 5
"""Files that are read to see whether they are copies of one photo."""

MAX_FOUND_EXAMPLES = 2
"""Cells named in a message on photos that were found, each with its photo's path."""


class FolderPlace:
    """A folder; it is asked on each call, and no names are remembered.

    Attributes:
        boundary: the folder below which photos are opened; by default `path`.
        may_leave: whether a path can lead outside.
        lists_all: whether `photo_names`, called before, gave every photo that is not hidden by its name: no link leads
            elsewhere, and every folder could be listed.
    """

    keep_alive: Any = None
    lists_all = False

    def __init__(self, path: Path, boundary: Boundary | None = None) -> None:
        self.path, self.boundary = path, boundary or boundary_of(path)
        self.may_leave = self.boundary == UNBOUNDED
        self._suffixes = lru_cache(CACHED_FOLDERS)(_folder_suffixes)

    def photo(self, name: str) -> Photo | None:
        """The file at this path, also where it is a link to nothing."""
        path = os.path.join(self.path, name)
        try:
            is_there = os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))
        except ValueError:  # a name that no file can have
            return None
        return Photo(path, Path(path), boundary=self.boundary) if is_there else None

    def suffixes(self, folder: str) -> list[str]:
        """The suffixes of images in a folder, as they are spelled, in the order in which to try them; "" for none."""
        return self._suffixes(os.path.join(self.path, folder))

    def photo_names(self) -> Iterable[str]:
        """The paths of all files that can be photos, also of links that lead outside."""
        notes = FolderNotes()
        names = chain((name for name, _ in walk(self.path, notes, self.boundary)), notes.outside)
        yield from filter(_can_be_photo, names)
        self.lists_all = not (notes.links or notes.outside or notes.unlisted)


class ArchivePlace:
    """A zip or tar, or a folder in one, whose entries are in memory."""

    may_leave = False
    lists_all = True

    def __init__(self, path: Path, files: Mapping[str, Photo] | None = None) -> None:
        """`files` are the entries by their paths, where these are known already."""
        self.path = path
        self.keep_alive: Any = None
        if files is None:
            files, self.keep_alive = files_in(path)
        self._files = files
        self._suffixes = _image_suffixes(self._files)

    def photo(self, name: str) -> Photo | None:
        """The entry of this path."""
        return self._files.get(name)

    def suffixes(self, folder: str) -> list[str]:
        """As of a FolderPlace, but of all entries."""
        return self._suffixes

    def photo_names(self) -> Iterable[str]:
        """The paths of all entries that can be photos."""
        return filter(_can_be_photo, self._files)


Place = FolderPlace | ArchivePlace


def open_place(path: Path, boundary: Boundary | None = None) -> Place:
    """The folder or archive at `path`, whose files are below `boundary`; by default below itself.

    Raises:
        DataError: nothing is there, an archive is damaged, or a link in its place leads outside.
    """
    check_content(path)
    if not path.exists():
        raise DataError("images_path", path=str(path))
    if path.is_dir():
        return FolderPlace(path, boundary)
    if boundary and boundary.excludes(path):
        raise DataError("data_file_outside", path=str(path))
    return ArchivePlace(path)


def why_unreadable(photo: Photo, name: str) -> ImageError | None:
    """Why a file is no image that can be decoded, if its place, suffix or size gives reason to look into it."""
    if photo.size is None and _leaves(photo) and not link_error(photo.path, name):
        return ImageError("photo_outside", path=name)
    kind = kind_of_name(photo.path.name if photo.size is None else photo.name)
    try:
        size = photo.path.stat().st_size if photo.size is None else photo.size
        start = photo.content(4096) if kind or 0 < size <= MAX_POINTER_BYTES else b""
    except (ImageError, OSError):
        return link_error(photo.path, name)
    if kind and not any(pattern.match(start) for name, pattern in SIGNATURES if name != "TIFF"):
        return ImageError("image_format", kind.hint, name=name, kind=kind.name)
    hint = pointer_hint(start)
    return ImageError("git_pointer", hint, path=name) if hint else None


def _leaves(photo: Photo) -> bool:
    """Whether a link in the photo's path leads outside. `Photo.content` looks again, at every folder."""
    path, boundary = photo.path, photo.boundary
    return _folder_leaves(os.path.dirname(path), boundary) or (os.path.islink(path) and boundary.excludes(path))


@lru_cache(CACHED_FOLDERS)
def _folder_leaves(folder: str, boundary: Boundary) -> bool:
    return boundary.excludes(folder)


def are_copies(photos: Iterable[Photo]) -> bool:
    """Whether all files have the same content."""
    try:
        return len({photo.content() for photo in photos}) == 1
    except ImageError:
        return False


def _folder_suffixes(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return _image_suffixes(entry.name for entry in entries)
    except (OSError, ValueError):  # no folder, or a name that no folder can have
        return []


def _image_suffixes(names: Iterable[str]) -> list[str]:
    suffixes = {os.path.splitext(name)[1] for name in names}
    known = [suffix for suffix in suffixes if suffix.lower() in IMAGE_SUFFIXES or not suffix]
    return sorted(known, key=lambda s: (not s, s not in PHOTO_SUFFIXES, s.lower() not in PREFERRED_SUFFIXES, s))


def _can_be_photo(name: str) -> bool:
    """Whether the file is not hidden, and its suffix is that of an image, or it has none."""
    suffix = os.path.splitext(name)[1].lower()
    return (not suffix or suffix in IMAGE_SUFFIXES) and not is_hidden(name)


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
    is taken; see `muslin.data.photo_paths`. The same cell is always the same photo, whatever cells came before. Several
    threads can call `locate` at the same time.

    Attributes:
        keep_alive: what must live as long as the photos.
    """

    def __init__(self, places: "Sequence[Path | Place]", boundary: Boundary | None = None) -> None:
        """Places that are paths are opened with `boundary`, as `open_place` does.

        Raises:
            DataError: a place does not exist, or an archive is damaged.
        """
        self._places = [open_place(place, boundary) if isinstance(place, Path) else place for place in places]
        self.keep_alive = [place.keep_alive for place in self._places]
        self._indices: list[tuple[Place, PathIndex]] | None = None
        self._lists_all = False
        self._listing = threading.Lock()
        self._counts: Counter[tuple[str, str | None, str | None]] = Counter()
        self._examples: defaultdict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
        self._cell_of: dict[str, int] = {}
        self._unused = 0
        self._known: dict[Cell, Found] = {}

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
        return self._counted(self.locate(cell), cell, row_number)

    def find_all(self, cell: Cell, row_number: int = 0) -> list[tuple[str, Photo | ImageError]]:
        """As `find`, of all photos that a cell names: a name and a photo, or why there is none, for each; at least one.

        Files that differ in the suffix alone are one photo.
        """
        names = list(dict.fromkeys(several_names(cell)))
        if not names or (isinstance(cell, str) and self._as_spelled(cell)):  # a file's name can hold a separator
            return [(cell_name(cell), self.find(cell, row_number))]
        return [(name, self._counted(self.locate(name), name, row_number)) for name in names]

    def _counted(self, found: "Found", cell: Cell, row_number: int) -> Photo | ImageError:
        photo, code, example, unused = found
        if isinstance(photo, ImageError):
            kind = photo.params.get("kind")
            self._count(NOT_FOUND[photo.code], example or str(row_number), photo.hint_code, kind)
        elif code:
            self._count(code, example)
            self._unused += unused
            if code == BY_END and self._cell_of.setdefault(photo.name, hash(cell)) != hash(cell):
                self._count("photos_named_twice", example)
        return photo

    def _count(self, code: str, example: str, hint: str | None = None, kind: str | None = None) -> None:
        self._counts[code, hint, kind] += 1
        if self._counts[code, hint, kind] <= (MAX_EXAMPLES if code in NOT_FOUND.values() else MAX_FOUND_EXAMPLES):
            self._examples[code, hint, kind].append(example)

    def locate(self, cell: Cell, as_spelled: bool = False) -> Found:
        """As `find`, without counting; with `as_spelled` no other spellings are searched."""
        if known := self._known.get(cell):
            return known
        found = self._locate(cell, as_spelled)
        if isinstance(found.photo, Photo) and not found.code:
            if len(self._known) >= CACHED_CELLS:
                self._known.clear()
            self._known[cell] = found
        return found

    def _locate(self, cell: Cell, as_spelled: bool) -> Found:
        text = cell_name(cell)
        if not text:
            return Found(ImageError("photo_not_named"))
        if len(text) > MAX_NAME:
            return Found(ImageError("no_such_photo", path=f"{text[:80]}…"), "", f"{text[:80]}…")
        if isinstance(cell, str) and self._is_nowhere(cell):
            return Found(ImageError("no_such_photo", path=cell), "", cell)
        if isinstance(cell, str) and (photos := self._as_spelled(cell)):
            code = "photos_first_of_several" if len(photos) > 1 else ""
            return Found(why_unreadable(photos[0], cell) or photos[0], code, cell, len(photos) - 1)
        if names := several_names(cell):
            each = (self.locate(name, as_spelled) for name in names)
            found = next((found for found in each if isinstance(found.photo, Photo)), self.locate(names[0], as_spelled))
            several = len(names) > 1
            return Found(found.photo, "photos_first_of_several", "|".join(names), len(names) - 1) if several else found
        return Found(ImageError("no_such_photo", path=text), "", text) if as_spelled else self._by_index(text)

    def _is_nowhere(self, cell: str) -> bool:
        """Whether the list of photos, once it is made, says alone that no place has one of this name."""
        if not self._lists_all or not is_plain(cell) or is_hidden(cell):
            return False
        name = cell.rpartition("/")[2]
        return not any(index.has_name(name) for _, index in self._index()) and not (
            cell.startswith("/") and os.path.isfile(cell)
        )

    def _as_spelled(self, cell: str) -> list[Photo]:
        """The file of this path; several where it lacks its suffix, the likeliest first."""
        for place in self._places:
            name = os.path.normpath(os.path.relpath(cell, os.path.abspath(place.path)) if os.path.isabs(cell) else cell)
            if name.split("/")[0] == ".." and not place.may_leave:
                continue
            own_name = place.path.name.split(".")[0] + "/"
            for path in dict.fromkeys((name, name.removeprefix(own_name))):
                suffix = os.path.splitext(path)[1]
                is_complete = suffix.lower() in IMAGE_SUFFIXES
                ends = [""] if is_complete else place.suffixes(os.path.dirname(path))
                names = [path + end for end in ends if end or is_complete or not suffix]
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
            photos = {path: photo for path, photo in photos.items() if not kind_of_name(path)} or photos
            if len(photos) > MAX_COPIES or (len(photos) > 1 and not are_copies(photos.values())):
                error = ImageError("photo_ambiguous", path=cell, names=list(photos)[:MAX_EXAMPLES])
                return Found(error, "", f"{cell} → {' | '.join(photos)}")
            for path, photo in photos.items():
                code = next(match.kind for match, _ in fitting if match.path == path)
                looks_alike = unicodedata.normalize("NFC", cell) == unicodedata.normalize("NFC", path)
                example = path if looks_alike else f"{cell} → {path}"
                return Found(why_unreadable(photo, cell) or photo, code, example)
            elsewhere += [match.path for match, _ in matches]
        leaves = first.leaves or (os.path.isabs(cell) and os.path.isfile(cell))
        is_refused = leaves and not any(place.may_leave for place in self._places)
        error = ImageError("photo_outside" if is_refused else "no_such_photo", path=cell)
        if is_url(cell):
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
        with self._listing:  # a thread never sees a part of the list
            if self._indices is None:
                self._indices = self._list()
            return self._indices

    def _list(self) -> list[tuple[Place, PathIndex]]:
        indices = []
        hidden = False
        for place in self._places:
            inside = [other.path.relative_to(place.path) for other in self._places if _is_below(other, place)]
            hidden = hidden or any(is_hidden(path.as_posix()) for path in inside)
            if not any(_is_below(place, other) for other in self._places):
                starts = ["", *(f"{path.as_posix()}/" for path in inside)]
                indices.append((place, PathIndex(place.photo_names(), starts)))
        self._lists_all = not hidden and all(place.lists_all for place, _ in indices)
        return indices


def _shown(path: Path) -> str:
    """The path as a person writes it: without dots."""
    return os.path.abspath(path) if path.as_posix().startswith(".") else str(path)


def _is_below(place: Place, other: Place) -> bool:
    alike = type(place) is type(other)
    return alike and place.path != other.path and place.path.is_relative_to(other.path)


def cell_name(cell: Cell) -> str:
    """A cell in messages: the names of several photos with `|` between them."""
    return cell if isinstance(cell, str) else "|".join(cell)
