"""The files in a folder, a zip or a tar, read in place: nothing is unpacked to a path that an archive names."""

import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from muslin.data.gzip_files import expansion_limit, is_gzipped, open_data_file, read_head
from muslin.data.photos import Photo
from muslin.errors import DataError
from muslin.images.file_kinds import MAX_POINTER_BYTES, pointer_hint
from muslin.messages import examples
from muslin.storage.atomic import storage_errors
from muslin.storage.boundary import Boundary, boundary_of, is_below

FREE_ENTRY_BYTES = 2**20
"""What any file in a zip may grow to, however small it is packed."""

MAX_FILES = 5_000_000

_UNPACKED: ContextVar[dict[Path, Any] | None] = ContextVar("unpacked tars", default=None)
"""Within `unpacking_once`, the temporary file of each gzipped tar."""

UTF_8_NAME = 0x800
"""Flag of a zip entry whose name is UTF-8; others are cp437 (APPNOTE 6.3.10, 4.4.4), though not all programs comply."""

UNICODE_PATH = 0x7075
"""Extra field of a zip entry with its name in UTF-8 (APPNOTE 6.3.10, 4.6.9)."""


@dataclass(frozen=True)
class FolderNotes:
    """What `files_in` met besides files.

    Attributes:
        folders: names of folders without a file of their own; of an archive, of all folders that it lists.
        links: names of links to folders that were read under another name, or that lead back above.
        outside: names of links that lead outside the folder, and are not followed.
        code_page_names: names in a zip whose encoding is not known, read as cp437.
        replaced: names that a later file of the archive has too, once for each file that is not read.
    """

    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    code_page_names: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


def archive_kind(path: Path) -> str | None:
    """`zip` or `tar` (gzipped or not), by content; None for anything else."""
    if path.is_dir():
        return None
    start = read_head(path, 512)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if start[257:262] == b"ustar" else None


def check_content(path: Path) -> None:
    """Raises DataError where the file at `path` is only a pointer of Git LFS or git-annex to its content."""
    hint = None
    if os.path.islink(path) and not os.path.exists(path):
        hint = pointer_hint(os.readlink(path).encode("utf-8", "surrogateescape"))
    elif os.path.isfile(path) and path.stat().st_size <= MAX_POINTER_BYTES:
        hint = pointer_hint(read_head(path, MAX_POINTER_BYTES))
    if hint:
        raise DataError("git_pointer", hint, path=str(path))


def files_in(path: Path, notes: FolderNotes | None = None) -> tuple[dict[str, Photo], Any]:
    """The files below a folder or in an archive, by name with `/` between folders; and what to keep while reading them.

    Raises:
        DataError, StorageError: `path` is neither, or as `archive_files`.
    """
    if path.is_dir():
        return dict(walk(path, notes)), None
    if archive_kind(path) is None:
        raise DataError("not_folder_or_archive", path=str(path))
    return archive_files(path, notes)


def walk(
    folder: Path, notes: FolderNotes | None = None, boundary: Boundary | None = None
) -> Iterator[tuple[str, Photo]]:
    """The files below `folder` by name: those in real folders first, then those that only a link reaches.

    No folder is read twice, so that a link never takes the place of the folder to which it leads. Links that lead
    outside `boundary` are not followed; by default it is the folder's own.
    """
    notes, boundary = notes or FolderNotes(), boundary or boundary_of(folder)
    top = os.path.realpath(folder)
    visited: set[str] = set()
    starts = [str(folder)]
    for start in starts:  # grows by the links met
        real = os.path.realpath(start)
        if real in visited or (start != starts[0] and is_below(top, real)):
            notes.links.append(Path(start).relative_to(folder).as_posix())
            continue
        if boundary.excludes(real):
            notes.outside.append(Path(start).relative_to(folder).as_posix())
            continue
        for parent, below, names in os.walk(start):
            real = os.path.realpath(parent)
            if real in visited:
                notes.links.append(Path(parent).relative_to(folder).as_posix())
                below.clear()
                continue
            visited.add(real)
            below.sort()
            starts += (path for name in below if os.path.islink(path := os.path.join(parent, name)))
            place = Path(parent)
            prefix = "" if parent == str(folder) else f"{place.relative_to(folder).as_posix()}/"
            if not names:
                notes.folders.append(prefix.rstrip("/"))
            leaving = _links_that_leave(parent, boundary)
            notes.outside.extend(prefix + name for name in names if name in leaving)
            for name in sorted(set(names) - leaving):
                file = place / name
                yield prefix + name, Photo(str(file), file, boundary=boundary)


def _links_that_leave(folder: str, boundary: Boundary) -> set[str]:
    """The names of the links in `folder` to something outside `boundary`; of others nobody knows what they would be."""
    try:
        with os.scandir(folder) as entries:
            links = [entry for entry in entries if entry.is_symlink()]
    except OSError:  # it has gone since
        return set()
    return {entry.name for entry in links if boundary.excludes(entry.path) and os.path.exists(entry.path)}


def check_links_inside(path: Path) -> None:
    """Raises DataError where `path` is a folder in which links lead outside."""
    notes = FolderNotes()
    for _ in walk(path, notes) if path.is_dir() else ():
        pass
    if notes.outside:
        raise DataError("only_links_outside", path=str(path), **examples(notes.outside))


def archive_files(path: Path, notes: FolderNotes | None = None) -> tuple[dict[str, Photo], Any]:
    """The files in the archive by name, and what to keep while reading them.

    Raises:
        DataError: the archive is damaged, or an entry is a link, lies outside, is encrypted or grows absurdly.
        StorageError: a gzipped tar cannot be unpacked to a temporary file.
    """
    notes = notes or FolderNotes()
    with _archive_errors(path):
        entries, unpacked = _open_entries(path, notes)
        files = list(islice(entries, MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise DataError("archive_too_many_files", path=str(path), max_files=MAX_FILES)
    last = {name: i for i, (name, _) in enumerate(files)}
    notes.replaced.extend(name for i, (name, _) in enumerate(files) if last[name] != i)
    return dict(files), unpacked


def archive_names(path: Path) -> Iterator[str]:
    """The names of the files in the archive, one by one; entries after those taken are not read.

    Raises:
        DataError, StorageError: as `archive_files`.
    """
    with _archive_errors(path):
        entries, _unpacked = _open_entries(path, FolderNotes())
        for name, _ in entries:
            yield name


def _open_entries(path: Path, notes: FolderNotes) -> tuple[Iterator[tuple[str, Photo]], Any]:
    if archive_kind(path) == "zip":
        return _zip_entries(path, notes), None
    unpacked = _unpacked_tar(path) if is_gzipped(path) else None
    return _tar_entries(path, Path(unpacked.name) if unpacked else path, notes), unpacked


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, struct.error, EOFError, zlib.error, gzip.BadGzipFile,
            NotImplementedError, LookupError, ValueError) as error:  # fmt: skip
        reason = str(error) or type(error).__name__
        raise DataError("archive_damaged", path=str(path), reason=reason) from error


def _zip_entries(path: Path, notes: FolderNotes) -> Iterator[tuple[str, Photo]]:
    with _open_zip(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            decoded = _decoded_name(entry)
            if entry.is_dir():
                notes.folders.append(_plain_name(decoded or entry.filename))
                continue
            name = _safe_name(path, decoded or entry.filename)
            if decoded is None:
                notes.code_page_names.append(name)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise DataError("archive_entry_link", path=str(path), name=name)
            if entry.flag_bits & 1:
                raise DataError("archive_entry_encrypted", path=str(path), name=name)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError("archive_entry_method", path=str(path), name=name, method=entry.compress_type)
            packed, size = entry.compress_size, entry.file_size
            if size > expansion_limit(packed, FREE_ENTRY_BYTES):
                raise DataError("archive_entry_expands", path=str(path), name=name, packed=packed, size=size)
            if entry.header_offset < 0:
                raise zipfile.BadZipFile(f"{name} begins before the archive")
            file.seek(entry.header_offset)
            header = file.read(30)  # its two lengths can differ from those in the archive's directory
            if header[:4] != b"PK\x03\x04":
                raise zipfile.BadZipFile(f"{name} is not at its offset")
            start = entry.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
            deflated = entry.compress_type == zipfile.ZIP_DEFLATED
            yield name, Photo(f"{path}/{name}", path, start, packed, deflated)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except UnicodeDecodeError:  # a name that is flagged as UTF-8 is not
        return zipfile.ZipFile(_unflagged_directory(path))


def _unflagged_directory(path: Path) -> io.BytesIO:
    """The directory of a zip with no name flagged as UTF-8, and without the files."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = file.seek(max(end - 2**16 - 22, 0))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        size = struct.unpack("<L", tail[at + 12 : at + 16])[0]
        file.seek(max(start + at - size, 0))
        directory = bytearray(file.read(size))
    place = 0
    while directory[place : place + 4] == b"PK\x01\x02":
        directory[place + 9] &= ~(UTF_8_NAME >> 8)
        place += 46 + sum(struct.unpack("<HHH", directory[place + 28 : place + 34]))
    return io.BytesIO(bytes(directory) + tail[at : at + 16] + bytes(6))  # at offset 0, without a comment


def _decoded_name(entry: zipfile.ZipInfo) -> str | None:
    """The entry's name, where its encoding is known: flagged or named as UTF-8 beside it, or valid as UTF-8, as macOS
    writes it without a flag.
    """
    if entry.flag_bits & UTF_8_NAME:
        return entry.filename
    stored, extra = entry.orig_filename.encode("cp437"), entry.extra
    while len(extra) > 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == UNICODE_PATH and extra[5:9] == struct.pack("<L", zlib.crc32(stored)):
            return extra[9 : 4 + size].decode("utf-8")
        extra = extra[4 + size :]
    try:
        return stored.decode("utf-8")
    except UnicodeError:
        return None


def _tar_entries(path: Path, plain: Path, notes: FolderNotes) -> Iterator[tuple[str, Photo]]:
    plain_bytes = plain.stat().st_size
    with tarfile.open(plain, "r:") as archive:
        for entry in archive:
            if entry.isdir():
                notes.folders.append(_plain_name(entry.name))
                continue
            name = _safe_name(path, entry.name)
            if entry.offset_data + entry.size > plain_bytes:
                raise EOFError(f"{name} ends after the archive")
            if entry.issym() or entry.islnk():
                raise DataError("archive_entry_link", path=str(path), name=name)
            if not entry.isreg() or entry.issparse():
                raise DataError("archive_entry_special", path=str(path), name=name)
            yield name, Photo(f"{path}/{name}", plain, entry.offset_data, entry.size)
        with plain.open("rb") as file:
            file.seek(archive.offset)
            if any(file.read(2**16)):  # tarfile takes a damaged header for the zeros at the end
                raise tarfile.ReadError(f"the header at byte {archive.offset:,} is damaged")


@contextmanager
def unpacking_once() -> Iterator[None]:
    """Within it, a gzipped tar is unpacked once, however often it is opened."""
    token = _UNPACKED.set({})
    try:
        yield
    finally:
        _UNPACKED.reset(token)


def _unpacked_tar(path: Path) -> Any:
    """The tar in a gzip file as a temporary file, deleted when no longer referenced."""
    known = _UNPACKED.get()
    if known is None:
        return _unpack(path)
    if path not in known:
        known[path] = _unpack(path)
    return known[path]


def _unpack(path: Path) -> Any:
    with open_data_file(path) as packed, storage_errors(Path(tempfile.gettempdir())):
        file = tempfile.NamedTemporaryFile(prefix="muslin-", suffix=".tar")  # noqa: SIM115
        try:
            shutil.copyfileobj(packed, file, 2**20)
            file.flush()
        except BaseException:
            file.close()
            raise
    return file


def _plain_name(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _safe_name(path: Path, name: str) -> str:
    plain = name.replace("\\", "/")
    if plain.startswith("/") or plain[1:2] == ":":
        raise DataError("archive_entry_absolute", path=str(path), name=name)
    if ".." in plain.split("/"):
        raise DataError("archive_entry_outside", path=str(path), name=name)
    return _plain_name(name)
