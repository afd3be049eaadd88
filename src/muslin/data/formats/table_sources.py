"""The tables in a folder or an archive, part by part and shard by shard, and where the photos of each are."""

import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from muslin.data.archives import FolderNotes, archive_kind, files_in, unpack_file
from muslin.data.dataset import PARTS, Dataset
from muslin.data.part_names import PART_NAMES, is_part_name, parts_by_name
from muslin.data.photo_lookup import ArchivePlace, FolderPlace, Place
from muslin.data.photo_paths import photo_suffix
from muslin.data.photos import PhotoImages, is_hidden
from muslin.data.tables.parquet import ParquetPhoto
from muslin.data.tables.photo_column import PHOTO_FOLDERS
from muslin.data.tables.workbook import is_workbook
from muslin.errors import DataError
from muslin.messages import Message
from muslin.storage.atomic import storage_errors
from muslin.storage.boundary import boundary_of

TABLE_SUFFIXES = tuple(
    suffix + packed
    for suffix in (".csv", ".tsv", ".parquet", ".pq", ".json", ".jsonl", ".ndjson", ".xlsx")
    for packed in ("", ".gz")
)

TEXT_SUFFIXES = (".txt", ".lst")
"""Of files that are tables only if they name photos and have labels, and no other file does."""

OWN_TABLES = frozenset({"exclude.csv"})
"""Tables that muslin itself writes beside photos."""

COUNTED_SHARD = re.compile(r"(?P<place>\d{1,9})-of-(?P<count>\d{1,9})(?:-[0-9a-f]+)?$")
SHARD = re.compile(rf"{COUNTED_SHARD.pattern}|^\d+$|^part-\d{{5}}\b.*$|(?<=[-_.])(?:part|shard|chunk)[-_]?\d+$")
"""In the stem of a file's name: what differs between the files that together are one table."""

MAX_SHARDS = 10_000
"""Shards that are looked for."""

MAX_GROUPS = 100
"""Tables that are tried, the nearest to the top first."""


@dataclass(frozen=True)
class TableSource:
    """One table of a data set.

    Attributes:
        path: the file.
        part: a name in PARTS; "" where neither its name nor its folder is one.
        places: folders and archives in which its photos are searched; empty: beside it.
    """

    path: Path
    part: str = ""
    places: tuple[Path | Place, ...] = ()


@dataclass(frozen=True)
class TableGroup:
    """Tables that together are one: a pattern of their names, and their names by part and number."""

    pattern: str
    names: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """The shards that the names of the others announce."""
        stems = map(_stem, self.names)
        shards = {stem[: found.end("count")]: found for stem in stems if (found := COUNTED_SHARD.search(stem))}
        announced = {
            f"{shard[: found.start()]}{number:0{len(found['place'])}}-of-{found['count']}"
            for shard, found in shards.items()
            for number in range(min(int(found["count"]), MAX_SHARDS))
        }
        return sorted(announced - shards.keys())


class _TemporaryFolder:
    """A folder that is removed when it is no longer referenced."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="muslin-")
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class Contents:
    """The files below a folder or in an archive; tables of an archive are written to a temporary folder.

    Attributes:
        path: the folder or archive.
        has_photos: whether there is a photo.
        left_out: by the code of a message, names of links that lead outside, and of folders that cannot be listed.
        keep_alive: what must live as long as the data set.
    """

    def __init__(self, path: Path) -> None:
        """Raises DataError where an archive is damaged or refused."""
        self.path = path
        notes = FolderNotes()
        self._files, archive = files_in(path, notes)
        self.left_out = {"links_outside": notes.outside, "folders_unlisted": notes.unlisted}
        self._boundary = boundary_of(path)
        self.has_photos = any(map(photo_suffix, self._files))
        self.keep_alive: list[Any] = [archive]
        self._extracted: dict[str, Path] = {}

    def groups(self, suffixes: tuple[str, ...] = TABLE_SUFFIXES) -> list[TableGroup]:
        """The tables, those that belong together as one, nearest to the top first."""
        names_of: dict[str, list[str]] = {}
        for name in (name for name in self._files if is_table(name, suffixes)):
            names_of.setdefault(_pattern(name), []).append(name)
        groups = [TableGroup(pattern, tuple(sorted(names, key=_order))) for pattern, names in names_of.items()]
        return sorted(groups, key=lambda group: (group.pattern.count("/"), group.pattern))[:MAX_GROUPS]

    def sources(self, names: Sequence[str], images: str | None) -> list[TableSource]:
        """These tables as files; `images` overrules where their photos are searched."""
        sources = []
        for name in names:
            part = self._part_of.get(part_word(name), "")
            folders = [f for f in self._folders if part and self._part_of.get(f.rpartition("/")[2]) == part]
            for top in dict.fromkeys([name.rpartition("/")[0], ""]):
                folders += [f"{top}/{folder}".strip("/") for folder in PHOTO_FOLDERS]
            there = [folder for folder in dict.fromkeys(folders) if folder in self._folders]
            places = [Path(images)] if images else list(map(self._place, there))
            if not images and not self.has_photos and self.path.is_dir():
                places = []
            sources.append(TableSource(self._file(name), part, tuple(places)))
        return sorted(sources, key=lambda source: ("", *PARTS).index(source.part))

    def photos_except(self, places: Set[tuple[Path, int]]) -> list[str]:
        """The names of the photos that begin at none of these places: files, and bytes in them."""
        photos = ((name, photo) for name, photo in self._files.items() if photo_suffix(name) and not is_hidden(name))
        return [name for name, photo in photos if (photo.path, photo.start) not in places]

    @contextmanager
    def renaming_errors(self) -> Iterator[None]:
        """Errors name the archive where they would name the temporary folder."""
        try:
            yield
        except DataError as error:
            params = {name: self._rename(value) for name, value in error.params.items()}
            raise type(error)(error.code, error.message.hint_code, **params) from error

    def rename(self, dataset: Dataset) -> Dataset:
        """`dataset`, which keeps the temporary folder and names the archive."""
        images = dataset.images
        if isinstance(images, PhotoImages):
            photos = tuple(
                replace(photo, name=self._rename(photo.name)) if isinstance(photo, ParquetPhoto) else photo
                for photo in images.photos
            )
            images = replace(images, photos=photos, keep_alive=[images.keep_alive, *self.keep_alive])
        return replace(dataset, images=images, fixes=tuple(map(self._rename, dataset.fixes)))

    def _rename(self, value: Any) -> Any:
        if self.path.is_dir():
            return value
        if isinstance(value, Message):
            return Message(value.code, value.hint_code, **{name: self._rename(v) for name, v in value.params.items()})
        if isinstance(value, list):
            return list(map(self._rename, value))
        for name, file in self._extracted.items() if isinstance(value, str) else ():
            value = value.replace(str(file), f"{self.path}/{name}")
        return value

    def _place(self, folder: str) -> Place:
        if self.path.is_dir():
            return FolderPlace(self.path / folder, self._boundary)
        below = f"{folder}/" if folder else ""
        files = {name.removeprefix(below): file for name, file in self._files.items() if name.startswith(below)}
        return ArchivePlace(self.path / folder, files)

    @cached_property
    def _folders(self) -> list[str]:
        folders = {""}
        for name in self._files:
            folder = name.rpartition("/")[0]
            while folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        return sorted(folders, key=lambda folder: (folder.count("/"), folder))

    @cached_property
    def _part_of(self) -> dict[str, str]:
        """Per folder and word in a table's name that means a part, this part."""
        words = {part_word(name) for name in self._files if is_table(name, TABLE_SUFFIXES + TEXT_SUFFIXES)}
        folders = {folder.rpartition("/")[2] for folder in self._folders}
        return parts_by_name(self.path, words | set(filter(is_part_name, folders)))

    @cached_property
    def _temporary(self) -> str:
        with storage_errors(Path(tempfile.gettempdir())):
            folder = _TemporaryFolder()
        self.keep_alive.append(folder)
        return folder.path

    def _file(self, name: str) -> Path:
        if self.path.is_dir():
            return self.path / name
        if name not in self._extracted:
            file = Path(self._temporary, f"{len(self._extracted)}{_suffix(name)}")
            with storage_errors(file.parent), file.open("wb") as target:
                unpack_file(self._files[name], target)
            self._extracted[name] = file
        return self._extracted[name]


def is_container(path: Path) -> bool:
    """Whether `path` is a folder, zip or tar; a workbook, which is a zip, is not."""
    return path.is_dir() or (archive_kind(path) is not None and not is_workbook(path))


def holds_tables(path: Path) -> bool:
    """Whether the folder, zip or tar `path` has tables in it."""
    return is_container(path) and bool(Contents(path).groups())


def parts_in_paths(table: Path, paths: Iterable[str]) -> list[str] | None:
    """The part of each path by its first folder with a part's name; None if one has none, or all the same."""
    folders = (path.replace("\\", "/").split("/")[:-1] for path in paths)
    words = [next(filter(is_part_name, names), "") for names in folders]
    if len(set(words)) < 2 or not all(words):
        return None
    part_of = parts_by_name(table, words)
    parts = [part_of[word] for word in words]
    return parts if len(set(parts)) > 1 else None


def part_word(name: str) -> str:
    """The word of a file's name, or else the folder above it, that means a part; "" for none."""
    *folders, _ = name.split("/")
    return next(filter(is_part_name, (*re.split("[^A-Za-z]+", _stem(name)), *reversed(folders))), "")


def is_table(name: str, suffixes: tuple[str, ...] = TABLE_SUFFIXES) -> bool:
    file = name.lower().rpartition("/")[2]
    return file.endswith(suffixes) and file not in OWN_TABLES and not file.startswith("~$") and not is_hidden(name)


def _pattern(name: str) -> str:
    """The path with `*` for a part and `#` for a shard."""
    *folders, _ = name.split("/")
    words = re.split("([A-Za-z]+)", SHARD.sub("#", _stem(name)))
    starred = "".join("*" if is_part_name(word) else word for word in words)
    return "/".join(["*" if is_part_name(folder) else folder for folder in folders] + [starred + _suffix(name)])


def _order(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """Training first, and numbers by value."""
    is_training = PART_NAMES.get(part_word(name).lower()) == PARTS[0]
    return not is_training, [(int(p), "") if p.isdecimal() else (0, p) for p in re.split(r"(\d{1,9})", name)]


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(_suffix(name))


def _suffix(name: str) -> str:
    """The suffix of a table that a name has, as it is spelled; "" for none."""
    return next(
        (name[-len(suffix) :] for suffix in TABLE_SUFFIXES + TEXT_SUFFIXES if name.lower().endswith(suffix)), ""
    )
