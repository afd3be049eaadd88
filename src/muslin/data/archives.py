"""Photos inside a zip or a tar, found where they lie; nothing is unpacked to a place that the archive names."""

import gzip
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from muslin.data.formats.gzip_files import is_gzipped, open_data_file, read_head
from muslin.data.photos import Photo
from muslin.errors import DataError
from muslin.storage.atomic import storage_errors

MOST_EXPANSION = 200
"""Times a file in a zip may grow once past FREE_BYTES."""

FREE_BYTES = 2**20

MOST_FILES = 5_000_000

UTF_8_NAME = 0x800
"""Of a zip entry's flags; without it a name is cp437 (APPNOTE 6.3.10, 4.4.4), as far as programs keep to it."""


def kind(path: Path) -> str | None:
    """`zip` or `tar` (gzipped or not), as the content says; None for anything else."""
    if path.is_dir():
        return None
    start = read_head(path, 512)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return "tar" if start[257:262] == b"ustar" else None


def members(path: Path) -> tuple[dict[str, Photo], Any]:
    """Per name the files in the archive, and what must be kept while they are read.

    Raises:
        DataError: the archive is damaged, or an entry is a link, lies outside, is encrypted or grows absurdly.
        StorageError: a gzipped tar cannot be unpacked to a temporary file.
    """
    found: dict[str, Photo] = {}
    with _told_where(path):
        entries, kept = _entries(path)
        for name, photo in entries:
            found[name] = photo
            if len(found) > MOST_FILES:
                raise DataError(f"{path}: has more than {MOST_FILES:,} files. Unpack and divide it.")
    return found, kept


def names(path: Path) -> Iterator[str]:
    """The files in the archive by name, one after the other: the first ones come before the others are looked at.

    Raises:
        DataError, StorageError: as `members`, once it comes to what is wrong.
    """
    with _told_where(path):
        entries, _kept = _entries(path)
        for name, _ in entries:
            yield name


def _entries(path: Path) -> tuple[Iterator[tuple[str, Photo]], Any]:
    if kind(path) == "zip":
        return _zip(path), None
    kept = _gunzipped(path) if is_gzipped(path) else None
    return _tar(path, Path(kept.name) if kept else path), kept


@contextmanager
def _told_where(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, struct.error, EOFError, zlib.error, gzip.BadGzipFile,
            NotImplementedError, UnicodeError) as error:  # fmt: skip
        raise DataError(f"{path}: the archive is damaged or cut off ({error}). Copy it again.") from error


def _zip(path: Path) -> Iterator[tuple[str, Photo]]:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            name = _inside(path, _zipped_name(entry))
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise _refused(path, name, "is a link")
            if entry.flag_bits & 1:
                raise _refused(path, name, "is encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refused(
                    path, name, f"is packed in a way that is not read (method {entry.compress_type})"
                )
            if entry.file_size > max(FREE_BYTES, MOST_EXPANSION * entry.compress_size):
                raise _refused(path, name, f"grows from {entry.compress_size:,} to {entry.file_size:,} bytes")
            file.seek(entry.header_offset)
            header = file.read(30)  # its two lengths may differ from those in the archive's directory
            if header[:4] != b"PK\x03\x04":
                raise zipfile.BadZipFile(f"{name} is not where the directory says")
            start = entry.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
            deflated = entry.compress_type == zipfile.ZIP_DEFLATED
            yield name, Photo(f"{path}/{name}", path, start, entry.compress_size, deflated)


def _zipped_name(entry: zipfile.ZipInfo) -> str:
    """The entry's name; UTF-8 where it can be, even if nothing in the archive says so, as macOS writes it."""
    if entry.flag_bits & UTF_8_NAME:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _tar(path: Path, plain: Path) -> Iterator[tuple[str, Photo]]:
    plain_bytes = plain.stat().st_size
    with tarfile.open(plain, "r:") as archive:
        for entry in archive:
            if entry.isdir():
                continue
            name = _inside(path, entry.name)
            if entry.offset_data + entry.size > plain_bytes:
                raise EOFError(f"{name} has {entry.size:,} bytes, which are not there")
            if entry.issym() or entry.islnk():
                raise _refused(path, name, "is a link")
            if not entry.isreg() or entry.issparse():
                raise _refused(path, name, "is no plain file")
            yield name, Photo(f"{path}/{name}", plain, entry.offset_data, entry.size)


def _gunzipped(path: Path) -> Any:
    """The tar in a gzip as a temporary file that goes when it is no longer referred to."""
    with open_data_file(path) as packed, storage_errors(Path(tempfile.gettempdir())):
        file = tempfile.NamedTemporaryFile(prefix="muslin-", suffix=".tar")  # noqa: SIM115
        shutil.copyfileobj(packed, file, 2**20)
        file.flush()
    return file


def _inside(path: Path, name: str) -> str:
    plain = name.replace("\\", "/")
    if plain.startswith("/") or plain[1:2] == ":":
        raise _refused(path, name, "has an absolute path")
    if ".." in plain.split("/"):
        raise _refused(path, name, "leads outside the archive")
    return str(PurePosixPath(plain))


def _refused(path: Path, name: str, why: str) -> DataError:
    return DataError(
        f"{path}: the entry {name!r} {why}, so the archive is not read. Pack it anew without that entry."
    )
