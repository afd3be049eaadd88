"""The files in a folder, a zip or a tar, read in place: nothing is unpacked to a path that an archive names."""

import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from muslin.data.expansion import MAX_FOLDERS_DEEP, MAX_PATH_CHARACTERS, max_content_bytes, max_entries
from muslin.data.gzip_files import is_gzipped, open_data_file, read_head
from muslin.data.open_cache import open_once
from muslin.data.photos import Photo, is_hidden
from muslin.errors import DataError
from muslin.images.file_kinds import MAX_POINTER_BYTES, pointer_hint
from muslin.library_errors import reason_of
from muslin.messages import examples
from muslin.storage.atomic import storage_errors
from muslin.storage.boundary import Boundary, boundary_of, is_below

BLOCK_BYTES = 2**20

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
        unlisted: names of folders, but hidden ones, that cannot be listed, because another user may alone, for example.
        replaced: names that a later file of the archive has too, once for each file that is not read.
    """

    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
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

    def unlisted(error: OSError) -> None:
        name = Path(error.filename or folder).relative_to(folder).as_posix()
        notes.unlisted.extend([name] if name == "." or not is_hidden(name) else [])

    starts = [str(folder)]
    for start in starts:  # grows by the links met
        real = os.path.realpath(start)
        if real in visited or (start != starts[0] and is_below(top, real)):
            notes.links.append(Path(start).relative_to(folder).as_posix())
            continue
        if boundary.excludes(real):
            notes.outside.append(Path(start).relative_to(folder).as_posix())
            continue
        for parent, below, names in os.walk(start, onerror=unlisted):
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


def check_reachable(path: Path) -> None:
    """Raises DataError where `path` is a folder in which links lead outside, or folders cannot be listed."""
    notes = FolderNotes()
    for _ in walk(path, notes) if path.is_dir() else ():
        pass
    if notes.outside:
        raise DataError("only_links_outside", path=str(path), **examples(notes.outside))
    if notes.unlisted:
        raise DataError("only_unlisted_folders", path=str(path), **examples(notes.unlisted))


def archive_files(path: Path, notes: FolderNotes | None = None) -> tuple[dict[str, Photo], Any]:
    """The files in the archive by name, and what to keep while reading them.

    Raises:
        DataError: the archive is damaged, grows absurdly or has too many files; an entry is a link, lies outside or is
            encrypted, or its name is too long.
        StorageError: a gzipped tar cannot be unpacked to a temporary file.
    """
    files, unpacked, met = open_once(("archive", path), partial(_archive_files, path))
    if notes:
        for name in ("folders", "links", "code_page_names", "replaced"):
            getattr(notes, name).extend(getattr(met, name))
    return files, unpacked


def _archive_files(path: Path) -> tuple[dict[str, Photo], Any, FolderNotes]:
    notes = FolderNotes()
    files: dict[str, Photo] = {}
    with archive_errors(path):
        unpacked = _unpacked_tar(path) if archive_kind(path) == "tar" and is_gzipped(path) else None
        for name, photo in _entries(path, unpacked, notes):
            if name in files:
                notes.replaced.append(name)
            files[name] = photo
    return files, unpacked, notes


def _entries(path: Path, unpacked: Any, notes: FolderNotes) -> Iterator[tuple[str, Photo]]:
    """The files in an archive with their names, which are safe."""
    if archive_kind(path) == "zip":
        return _zip_entries(path, notes)
    return _tar_entries(path, Path(unpacked.name) if unpacked else path, notes)


def _check_count(path: Path, count: int, max_files: int) -> None:
    if count > max_files:
        raise DataError("archive_too_many_files", path=str(path), max_files=max_files)


@contextmanager
def archive_errors(path: Path) -> Iterator[None]:
    """Raises DataError where a library cannot read the archive at `path`."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, struct.error, EOFError, zlib.error, gzip.BadGzipFile, RuntimeError,
            LookupError, ValueError, ArithmeticError, MemoryError) as error:  # fmt: skip
        raise DataError("archive_damaged", path=str(path), reason=reason_of(error)) from error


def _zip_entries(path: Path, notes: FolderNotes) -> Iterator[tuple[str, Photo]]:
    archive_bytes = path.stat().st_size
    packed_bytes = content_bytes = 0
    with _open_zip(path) as archive, path.open("rb") as file:
        _check_count(path, len(archive.infolist()), max_entries(archive_bytes))
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
            packed_bytes, content_bytes = packed_bytes + packed, content_bytes + size
            if size > max_content_bytes(packed):
                raise DataError("archive_entry_expands", path=str(path), name=name, packed=packed, size=size)
            if content_bytes > max_content_bytes(archive_bytes):
                max_bytes = max_content_bytes(archive_bytes)
                raise DataError("archive_expands", path=str(path), packed=archive_bytes, max_bytes=max_bytes)
            if packed_bytes > archive_bytes:
                raise zipfile.BadZipFile(f"{name} overlaps other files")
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
    max_files = max_entries(path.stat().st_size)
    with tarfile.open(plain, "r:") as archive:
        for number, entry in enumerate(archive, 1):
            _check_count(path, number, max_files)
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


class _UnpackedTar:
    """A temporary file that is removed when it is no longer referenced."""

    def __init__(self, name: str) -> None:
        self.name = name
        weakref.finalize(self, _remove, name)


def _remove(name: str) -> None:
    with suppress(OSError):
        os.unlink(name)


def _unpacked_tar(path: Path) -> _UnpackedTar:
    """The tar in a gzip file."""
    return open_once(("tar", path), partial(_unpack, path))


def _unpack(path: Path) -> _UnpackedTar:
    with open_data_file(path) as packed, storage_errors(Path(tempfile.gettempdir())):
        handle, name = tempfile.mkstemp(prefix="muslin-", suffix=".tar")
        unpacked = _UnpackedTar(name)
        with open(handle, "wb") as file:
            shutil.copyfileobj(packed, file, 2**20)
    return unpacked


def unpack_file(photo: Photo, target: BinaryIO) -> None:
    """Copy the content of a file in an archive to `target`, block by block.

    Raises:
        DataError: it is damaged, or grows to more than its size allows.
    """
    assert photo.size is not None
    max_bytes, written = max_content_bytes(photo.size), 0
    for block in _unpacked_blocks(photo, photo.size):
        written += len(block)
        if written > max_bytes:
            sizes = {"packed": photo.size, "size": written}
            raise DataError("archive_entry_expands", path=str(photo.path), name=photo.name, **sizes)
        target.write(block)


def _unpacked_blocks(photo: Photo, size: int) -> Iterator[bytes]:
    """The content of `size` packed bytes, in blocks of at most BLOCK_BYTES."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS) if photo.deflated else None
    with archive_errors(photo.path), photo.path.open("rb") as file:
        file.seek(photo.start)
        while size > 0 and (packed := file.read(min(size, BLOCK_BYTES))):
            size -= len(packed)
            if unpacker is None:
                yield packed
            while unpacker and packed:
                yield unpacker.decompress(packed, BLOCK_BYTES)
                packed = unpacker.unconsumed_tail


def _plain_name(name: str) -> str:
    """The name without empty pieces and dots, as of PurePosixPath."""
    pieces = [piece for piece in name.replace("\\", "/").split("/") if piece not in ("", ".")]
    return "/".join(pieces) or "."


def _safe_name(path: Path, name: str) -> str:
    plain = name.replace("\\", "/")
    if len(plain) > MAX_PATH_CHARACTERS or plain.count("/") > MAX_FOLDERS_DEEP:
        limits = {"max_characters": MAX_PATH_CHARACTERS, "max_folders": MAX_FOLDERS_DEEP}
        raise DataError("archive_entry_deep", path=str(path), name=f"{plain[:80]}…", **limits)
    if plain.startswith("/") or plain[1:2] == ":":
        raise DataError("archive_entry_absolute", path=str(path), name=name)
    if ".." in plain.split("/"):
        raise DataError("archive_entry_outside", path=str(path), name=name)
    return _plain_name(name)
