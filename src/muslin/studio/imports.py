"""Files that a person drops on the page: they arrive in pieces, and become a folder below `imports/`.

While they arrive, they lie in `imports/NAME.incomplete`. Dropping the same files again continues there. Nothing that is
there is ever replaced, and nothing is read but the first bytes of each file.
"""

import filecmp
import hashlib
import itertools
import json
import os
import re
import shutil
import struct
import tempfile
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from muslin.data.photos import MAX_PHOTO_BYTES, PHOTO_SUFFIXES, is_hidden
from muslin.errors import DataError, ImageError, MuslinError, StorageError
from muslin.images.file_kinds import KIND_OF_SUFFIX, unsupported_content
from muslin.messages import Message, examples
from muslin.storage.atomic import NO_LINKS, check_absent, storage_errors
from muslin.strict_json import json_text
from muslin.studio.folder_contents import IMPORTS, INCOMPLETE

MAX_PIECE_BYTES = 16_000_000  # of one request
MAX_PARTS = 2_000  # files of one request
MAX_FILES = 500_000
MAX_BYTES = 2**40
MAX_PATH = 1_000  # characters of a file's path
MAX_DEPTH = 20
MAX_SUFFIXES = 200
RESERVE_BYTES = 200_000_000  # that stay free on the disk: a run needs some
MAX_IMAGE_PIXELS = 50_000_000  # as `muslin.images.decode` decodes

DATA_SUFFIXES = PHOTO_SUFFIXES | {
    ".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet", ".pq", ".jsonl", ".ndjson", ".json", ".gz",
    ".zip", ".tar", ".tgz", ".xml", ".npz",
}  # fmt: skip
"""Of files that muslin reads, with what describes them."""

STATE = ".import.json"
ARRIVING = ".arriving"
"""What the name of a file ends with that has not arrived whole; a hash of its path comes before."""

START_BYTES = 4096  # of a file, to tell its kind

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


class Part(NamedTuple):
    """One piece of a file: its path below the import, where it begins, its length, and the whole file's facts."""

    path: str
    offset: int
    length: int
    size: int
    modified: float


class Imports:
    """The imports of one folder. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / IMPORTS
        self._lock = threading.Lock()  # while a folder gets its name

    def rows(self) -> list[dict[str, Any]]:
        """The imports that are incomplete: name, number of files and bytes that were announced."""
        try:
            names = sorted(path.name for path in self._folder.iterdir() if path.name.endswith(INCOMPLETE))
        except OSError:
            return []
        return [{"name": name.removesuffix(INCOMPLETE)} | self._announced(self._folder / name) for name in names]

    def start(self, name: str, files: int, size: int) -> dict[str, Any]:
        """Begin an import with these counts of files and bytes, or continue one of the same name and counts.

        Returns:
            `name`, which differs where that is taken; `done`: per path of a complete file its size and time.

        Raises:
            StorageError: the disk has too little space, or the folder cannot be written.
        """
        announced = {"files": files, "bytes": size}
        with self._lock, storage_errors(self._folder):
            self._folder.mkdir(exist_ok=True)
            self._check_own(self._folder)
            with tempfile.TemporaryFile(dir=self._folder):
                pass  # a folder that cannot be written says so, and does not speak of space
            name = self._free_name(safe_name(name), announced)
            folder = self._folder / f"{name}{INCOMPLETE}"
            done = _complete_files(folder) if folder.is_dir() else {}
            self._check_space(size - sum(length for length, _ in done.values()))
            folder.mkdir(exist_ok=True)
            (folder / STATE).write_text(json_text(announced), encoding="utf-8")
        return {"name": name, "done": done}

    def add(self, body: bytes) -> dict[str, Any]:
        """Write the pieces of one request; how many files are complete by it.

        Raises:
            MuslinError: the request is invalid, or a piece does not begin where its file ends.
            StorageError: the disk is full, or the folder cannot be written.
        """
        name, parts, content = _unpacked(body)
        folder = self._open(name)
        complete, at = 0, 0
        for part in parts:
            if is_hidden(part.path):  # of a system: what no format reads
                complete += part.offset + part.length == part.size
            else:
                complete += self._write(folder, part, content[at : at + part.length])
            at += part.length
        return {"complete": complete}

    def finish(self, name: str) -> dict[str, Any]:
        """Give an import its name, without files that have not arrived whole.

        Returns:
            `data`: its path, as pages name a data set; `images` and `others`: the number of files; `notes`: per fault
            of images that cannot be used the `message` of the first, and their `count`.

        Raises:
            DataError: there is no such import, or no file in it can be used.
            StorageError: the folder cannot be written.
        """
        folder, target = self._open(name), self._folder / name
        found = _inspected(folder)
        if not found.images and not found.others:
            raise DataError("import_nothing", name=name)
        if os.name == "posix":
            os.sync()  # once: flushing a hundred thousand photos one by one would take minutes
        with self._lock, storage_errors(target):
            check_absent(target)
            for begun in (folder / STATE, *folder.glob(f".*{ARRIVING}")):  # a file that changed while it was sent
                begun.unlink(missing_ok=True)
            os.rename(folder, target)
        only = found.others[0] if len(found.others) == 1 and not found.images else None
        data = f"{IMPORTS}/{name}/{only}" if only else f"{IMPORTS}/{name}"
        return {"data": data, "images": found.images, "others": len(found.others), "notes": found.notes}

    def discard(self, name: str) -> dict[str, Any]:
        """Delete what has arrived of an incomplete import.

        Raises:
            DataError: there is no such import.
            StorageError: the folder cannot be written.
        """
        folder = self._open(name)
        with storage_errors(folder):
            shutil.rmtree(folder)
        return {"name": name}

    def _announced(self, folder: Path) -> dict[str, int]:
        """The number of files and bytes with which an import began; 0 where that was not kept."""
        try:
            found = json.loads((folder / STATE).read_bytes()[:10_000])
            return {key: int(found[key]) for key in ("files", "bytes")}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {"files": 0, "bytes": 0}

    def _free_name(self, wanted: str, announced: Mapping[str, int]) -> str:
        number = 1
        while True:
            name = wanted if number == 1 else f"{wanted}-{number}"
            begun = self._folder / f"{name}{INCOMPLETE}"
            is_same = os.path.lexists(begun) and self._announced(begun) == announced
            if not os.path.lexists(self._folder / name) and (is_same or not os.path.lexists(begun)):
                return name
            number += 1

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self._root).free
        if needed + RESERVE_BYTES > free:
            raise StorageError("import_no_room", needed_mb=(needed + RESERVE_BYTES) / 1e6, free_mb=free / 1e6)

    def _check_own(self, folder: Path) -> None:
        """Refuse a folder that leads out of the studio's through a link."""
        if folder.resolve() != folder:
            raise DataError("file_not_in_folder", name=IMPORTS)

    def _open(self, name: str) -> Path:
        """The folder of an import that is under way."""
        folder = self._folder / f"{name}{INCOMPLETE}"
        if name != safe_name(name) or not folder.is_dir():
            raise DataError("import_missing", name=name[:200])
        self._check_own(folder)
        return folder

    def _write(self, folder: Path, part: Part, content: memoryview) -> bool:
        """Write one piece; whether its file is complete."""
        path, end = folder / part.path, part.offset + part.length
        arriving = folder / f".{hashlib.sha256(part.path.encode()).hexdigest()}{ARRIVING}"
        with storage_errors(Path(IMPORTS, part.path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._check_own(path.parent)
            if part.offset and not arriving.exists() and path.is_file() and path.stat().st_size == end == part.size:
                return True  # sent again after a lost response
            flags = os.O_WRONLY | os.O_CREAT | NO_LINKS | (0 if part.offset else os.O_TRUNC)
            handle = os.open(arriving, flags, 0o666)
            try:
                _write_at(handle, part, content)
            finally:
                os.close(handle)
            if end == part.size:
                os.replace(arriving, _place(folder, path, arriving))
        return end == part.size


def _place(folder: Path, path: Path, arrived: Path) -> Path:
    """Where a file goes: on a disk that ignores case, beside another one whose name differs only in case."""
    place, number = path, 1
    while os.path.lexists(place) and not (
        _is_spelled_so(path, folder) if number == 1 else _has_content(place, arrived)
    ):
        number += 1
        place = path.with_name(f"{path.stem} (case {number}){path.suffix}")
    return place


def _has_content(path: Path, arrived: Path) -> bool:
    """Whether it is the same file, sent again after a lost response."""
    return path.is_file() and filecmp.cmp(path, arrived, shallow=False)


def _is_spelled_so(path: Path, folder: Path) -> bool:
    """Whether a path that exists has these very letters below `folder`. Some systems write accents in another form."""
    pieces = [
        folder,
        *(each for each in reversed(path.parents) if each.is_relative_to(folder) and each != folder),
        path,
    ]
    return all(
        unicodedata.normalize("NFC", below.name) in {unicodedata.normalize("NFC", name) for name in os.listdir(above)}
        for above, below in itertools.pairwise(pieces)
    )


def _write_at(handle: int, part: Part, content: memoryview) -> None:
    end = part.offset + part.length
    found = os.fstat(handle).st_size
    if part.offset and found == end < part.size:
        return  # sent again after a lost response
    if found != part.offset:
        raise MuslinError("import_offset", path=part.path, found=found)
    try:
        os.lseek(handle, part.offset, os.SEEK_SET)
        _write_all(handle, content)
        if end == part.size:
            os.utime(handle, (part.modified, part.modified))
    except OSError:
        os.ftruncate(handle, part.offset)  # so that the same piece can be sent again
        raise


def _write_all(handle: int, content: memoryview) -> None:
    while content:
        content = content[os.write(handle, content) :]


def safe_name(name: str) -> str:
    """A name for a folder out of what a person dropped: without what file systems refuse, not hidden, not too long."""
    plain = (
        _UNSAFE.sub(" ", unicodedata.normalize("NFC", name)).encode("utf-8", "ignore")[:80].decode("utf-8", "ignore")
    )
    plain = " ".join(plain.split()).strip(". ").removesuffix(INCOMPLETE)
    return plain if plain and not is_hidden(plain) else "images"


def wanted_suffixes(names: Mapping[str, Any]) -> dict[str, Any]:
    """Which files are worth sending.

    Args:
        names: per suffix, in lower case, the names of a few such files.

    Returns:
        `wanted`: the suffixes of files that muslin reads; `notes`: what it cannot read of the others, and what to do.

    Raises:
        MuslinError: `names` is not such an object.
    """
    if len(names) > MAX_SUFFIXES or not all(isinstance(some, list) for some in names.values()):
        raise MuslinError("request_value", name="names", expected="object")
    wanted = [suffix for suffix in names if suffix in DATA_SUFFIXES or suffix.endswith("-ubyte")]
    notes, unknown = [], []
    for suffix in (suffix for suffix in names if suffix not in wanted):
        shown = [str(name)[:200] for name in names[suffix] if not is_hidden(str(name))]
        kind = KIND_OF_SUFFIX.get(suffix)
        if kind and shown:
            notes.append(Message("photos_unsupported", kind.hint, kind=kind.name, **examples(shown)))
        elif shown:
            unknown += shown
    if unknown:
        notes.append(Message("import_unknown_kinds", **examples(unknown)))
    return {"wanted": wanted, "notes": notes}


def _unpacked(body: bytes) -> tuple[str, list[Part], memoryview]:
    """The import's name, the pieces, and their content, out of a request: uint32 length, JSON header, bytes."""
    wrong = MuslinError("request_value", name="body", expected="object")
    if len(body) < 4:
        raise wrong
    (length,) = struct.unpack("<I", body[:4])
    try:
        header = json.loads(body[4 : 4 + length])
        name, rows = header["name"], header["parts"]
        parts = [Part(*(row[field] for field in Part._fields)) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise wrong from None
    if not isinstance(name, str) or len(parts) > MAX_PARTS:
        raise wrong
    for part in parts:
        _check_part(part)
    content = memoryview(body)[4 + length :]
    if sum(part.length for part in parts) != len(content):
        raise wrong
    return name, parts, content


def _check_part(part: Part) -> None:
    counts = (part.offset, part.length, part.size)
    if not all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_BYTES for count in counts):
        raise MuslinError("request_value", name="parts", expected="integer", maximum=MAX_BYTES)
    if part.offset + part.length > part.size:
        raise MuslinError("request_value", name="parts", expected="integer", maximum=part.size)
    if not isinstance(part.modified, int | float) or not 0 <= part.modified < 2**33:
        raise MuslinError("request_value", name="parts", expected="number", minimum=0, maximum=2**33)
    if not _is_safe_path(part.path):
        raise DataError("import_path", name=str(part.path)[:200])


def _is_safe_path(path: object) -> bool:
    """Whether a path stays within its import, on every system."""
    if not isinstance(path, str) or len(path) > MAX_PATH or "\\" in path or "\0" in path:
        return False
    try:
        pieces = path.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return len(pieces) <= MAX_DEPTH and all(0 < len(piece) <= 255 and piece not in (b".", b"..") for piece in pieces)


def _complete_files(folder: Path) -> dict[str, tuple[int, float]]:
    """Per path of a file its size and its time in whole seconds, which tell whether it has arrived."""
    found = {}
    for path in _files(folder):
        status = path.stat()
        found[path.relative_to(folder).as_posix()] = status.st_size, float(int(status.st_mtime))
    return found


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            if name != STATE and not name.endswith(ARRIVING):
                yield Path(place, name)


class Inspected(NamedTuple):
    """What arrived: the number of images, the paths of other files, and per fault its first image and their number."""

    images: int
    others: list[str]
    notes: list[dict[str, Any]]


def _inspected(folder: Path) -> Inspected:
    images, others = 0, []
    faults: dict[tuple[str, str | None], list[ImageError]] = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            others.append(name)
            continue
        images += 1
        if fault := _image_fault(path, name):
            faults.setdefault((fault.code, fault.hint_code), []).append(fault)
    notes = [{"message": alike[0].message, "count": len(alike)} for alike in faults.values()]
    return Inspected(images, sorted(others), notes)


def _image_fault(path: Path, name: str) -> ImageError | None:
    """Why an image cannot be used, as far as its first bytes and its size say."""
    with open(path, "rb") as file:
        start = file.read(START_BYTES)
    size = path.stat().st_size
    if size > MAX_PHOTO_BYTES:
        return ImageError("image_bytes", name=name, max_mb=MAX_PHOTO_BYTES / 1e6)
    if start.startswith(b"\x89PNG\r\n\x1a\n") and len(start) >= 24:
        width, height = struct.unpack(">II", start[16:24])
        if width * height > MAX_IMAGE_PIXELS:
            return ImageError("too_many_pixels", name=name, width=width, height=height, max_pixels=MAX_IMAGE_PIXELS)
    return unsupported_content(start, name)
