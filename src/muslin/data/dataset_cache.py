"""Copies of registered data sets on this computer: found or downloaded, and checked by their SHA-256."""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from muslin.data import archives
from muslin.data.dataset import Dataset
from muslin.data.formats import folders, read_path
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import open_data_file
from muslin.data.junk_labels import drop_junk_labels
from muslin.data.open_cache import keep_content, open_cache
from muslin.data.registry import RegisteredDataset, lookup, with_registered_classes
from muslin.errors import DataError, MuslinError
from muslin.library_errors import reason_of
from muslin.messages import Log, Message, no_log
from muslin.storage.atomic import atomic_file, cache_folder, remove_partial_files, storage_errors, write_atomically
from muslin.storage.download import fetch
from muslin.storage.remembered import remembered

MAX_ARCHIVE_BYTES = 4 * 2**30
"""A server that sends more is cut off, and a table in an archive is never larger."""

MAX_FILE_BYTES = 2**28
"""As MAX_ARCHIVE_BYTES, for each of a set's files of pixels."""

BLOCK_BYTES = 2**20

LOG_EVERY_BYTES = 50_000_000

SETTLED_S = 2.0
"""A file that changed this lately may change again within the same tick of the clock."""


@dataclass(frozen=True)
class LocalCopy:
    """A checked copy of a registered data set.

    Attributes:
        path: a folder, or an archive that is read in place.
        origin: where it came from, for a person.
        checked: how its content was checked, or why that was impossible.
        tried: the places before it that have no good copy, each with the reason.
    """

    path: Path
    origin: str
    checked: Message
    tried: tuple[str, ...] = ()


def obtain(
    dataset: str | RegisteredDataset,
    *,
    cache: Path | None = None,
    timeout_s: float = 10,
    download: bool = True,
    log: Log = no_log,
    on_progress: Callable[[float], object] = lambda share: None,
) -> LocalCopy:
    """A copy of a registered data set from the first place that has a good one.

    The places, in order: the file or folder that MUSLIN_DATA names, muslin's cache, the folder of Debian's package,
    a download from each of the set's URLs. Every copy is checked, wherever it comes from.

    Args:
        dataset: a key of `registry.DATASETS`, or such a row.
        cache: folder for downloads; by default `muslin` in XDG_CACHE_HOME.
        timeout_s: seconds to wait for a server that does not respond.
        download: whether to download it where no place on this computer has a good copy.
        log: called with a sentence before a download, and for a damaged copy that is skipped.
        on_progress: called with the share of a download that is done, from 0 to 1, where its size is known.

    Raises:
        DataError: the name is unknown, or no place has a good copy; the message lists each place and the reason.
    """
    row = lookup(dataset) if isinstance(dataset, str) else dataset
    folder = (cache or cache_folder()) / row.name
    tried: list[str] = []
    for path, origin in _copy_candidates(row, folder, tried):
        try:
            return LocalCopy(path, origin, verify(row, path), tuple(tried))
        except DataError as error:
            log(Message("copy_skipped", path=str(path), reason=error.message))
            tried.append(error.message)
    for url in row.urls if download else ():
        try:
            path = _download(row, url, folder, _Download(row, timeout_s, log, on_progress))
            return LocalCopy(path, f"{url}, stored in {folder}", verify(row, path), tuple(tried))
        except MuslinError as error:
            tried.append(error.message)
    files = [f"{file}.gz" for file in row.files] or [f"{row.name}.zip"]
    package = row.debian_package
    raise DataError("dataset_unavailable", name=row.name, tried=tried, page=row.page, package=package, files=files)


def local_copies(name: str) -> list[Path]:
    """Files and folders on this computer that look like copies of the registered data set `name`."""
    row = lookup(name)
    return [path for path, _ in _copy_candidates(row, cache_folder() / row.name, [])]


def read_registered(name: str, *, download: bool = True, log: Log = no_log) -> Dataset:
    """The data set called `name`, from `obtain`; `origin` says where it came from and how it was checked.

    Raises:
        DataError, StorageError: as `obtain`.
    """
    with open_cache():  # so that files are unpacked once, to be verified and to be read
        return read_copy(lookup(name), obtain(name, download=download, log=log))


def read_copy(row: RegisteredDataset, copy: LocalCopy) -> Dataset:
    """The data set in a copy.

    Raises:
        DataError: the copy lacks its table, or its files cannot be read.
    """
    path, origin = copy.path, f"{copy.origin} ({copy.checked})"
    if not row.table:
        return replace(with_registered_classes(row, read_path(path)), name=row.name, origin=origin)
    if path.is_dir():
        photos = next((path / name for name in row.photo_folders if (path / name).is_dir()), path)
        dataset = read_path(path / row.table, options=ReadOptions(images=str(photos), targets=row.targets))
    else:
        with tempfile.TemporaryDirectory(prefix="muslin-") as scratch:
            table = Path(scratch) / row.table
            write_atomically(table, _table_content(row, path))
            dataset = read_path(table, options=ReadOptions(images=str(path), targets=row.targets))
    dataset = drop_junk_labels(dataset, row.junk)
    return replace(dataset, name=row.name, origin=f"{origin}; {dataset.origin}")


def _table_content(row: RegisteredDataset, path: Path) -> bytes:
    for name, file in archives.archive_files(path)[0].items():
        if name.split("/")[-1] == row.table:
            return file.content(MAX_ARCHIVE_BYTES)
    raise DataError("file_missing", path=str(path), name=row.table)


def _copy_candidates(row: RegisteredDataset, folder: Path, tried: list[str]) -> Iterator[tuple[Path, str]]:
    """Paths that look like a copy, each with its origin; places without one are added to `tried`."""
    named = os.environ.get("MUSLIN_DATA")
    cached = folder if row.files else folder / f"{row.name}.zip"
    debian = row.debian_folder
    if not named:
        tried.append(Message("muslin_data_unset"))
    places = {
        "the copy that MUSLIN_DATA names": (named, _copies_in(row, Path(named)) if named else []),
        "muslin's cache": (cached, [cached] if cached.exists() else []),
        "Debian's folder": (debian, [debian] if debian and debian.is_dir() else []),
    }
    for origin, (place, paths) in places.items():
        yield from ((path, f"{origin}, {path}") for path in paths)
        if place and not paths:
            tried.append(Message("no_copy", name=row.name, path=str(place)))


def _copies_in(row: RegisteredDataset, root: Path) -> list[Path]:
    """The copies at or in `root`, archives first."""
    if root.is_file():
        return [root] if _has_name(row, root) else []
    named = [path for path in _folder_entries(root) if _has_name(row, path)]
    for folder in [path for path in named if path.is_dir()]:
        named += [path for path in _folder_entries(folder) if path.is_file() and _has_name(row, path)]
    if root not in named and any((root / name).exists() for name in row.contents):
        named.append(root)
    return sorted(named, key=lambda path: (path.is_dir(), path == root, path))


def _folder_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _has_name(row: RegisteredDataset, path: Path) -> bool:
    """Whether the name of a folder or of an archive is one of the set's."""
    suffix = "" if path.is_dir() else r"\.(tar|zip|tar\.gz|tgz)"
    return re.fullmatch(f"({row.name_pattern}){suffix}", path.name, re.IGNORECASE) is not None


def verify(row: RegisteredDataset, path: Path, name: str | None = None) -> Message:
    """Check the copy at `path` by every known SHA-256.

    Args:
        name: how errors call it; by default its path.

    Returns:
        how it was checked, or why that was impossible.

    Raises:
        DataError: the content has another SHA-256, a file is missing, or the copy cannot be read.
    """
    name = name or str(path)
    if row.files:
        for file, sha256 in row.files.items():
            _verify_once(sha256, _file_in(path, file))
        return Message("checksum_verified")
    expected = str(row.archive_sha256)
    digest = _content_digest(path) if path.is_file() and row.archive_sha256 else None
    if digest == expected:
        return Message("checksum_verified")
    if row.photos_sha256:
        photos, count = photos_digest(path)
        if photos == row.photos_sha256:
            return Message("photos_verified")
        expected = row.photos_sha256
        raise DataError("photos_changed", path=name, n=count, found=photos[:12], expected=expected[:12])
    if digest:
        raise DataError("archive_changed", path=name, found=digest[:12], expected=expected[:12])
    if not folders.photo_files(path)[0]:
        raise DataError("no_photos", path=name)
    return Message("checksum_unknown")


def _verify_once(sha256: str, path: Path) -> None:
    """As `verify_file`, for a file that was not verified since it last changed, by its inode, size and times."""

    def check() -> bytes:
        verify_file(sha256, path, keep=True)
        return b""

    try:
        status = path.stat()
    except OSError as error:
        raise DataError("file_unreadable", path=str(path), reason=reason_of(error)) from error
    times = status.st_mtime_ns, status.st_ctime_ns
    if time.time() - max(times) / 1e9 < SETTLED_S:
        check()
    else:
        facts = str(path.resolve()), sha256, status.st_dev, status.st_ino, status.st_size, *times
        remembered(check, b"verified file", repr(facts).encode(errors="backslashreplace"))


def verify_file(sha256: str, path: Path, name: str | None = None, *, keep: bool = False) -> None:
    """Check the SHA-256 of the uncompressed content of `path`.

    Args:
        name: how errors call it; by default its path.
        keep: whether to keep the content in memory until the end of an `open_cache` block, in which it is read.

    Raises:
        DataError: it is another one, or the file cannot be read.
    """
    digest = _content_digest(path, keep)
    if digest != sha256:
        raise DataError("file_changed", path=name or str(path), found=digest[:12], expected=sha256[:12])


def _content_digest(path: Path, keep: bool = False) -> str:
    try:
        with open_data_file(path) as file:
            content = file.read(MAX_FILE_BYTES + 1) if keep else b""
            if 0 < len(content) <= MAX_FILE_BYTES:
                keep_content(path, content)
            digest = hashlib.sha256(content)
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise DataError("file_unreadable", path=str(path), reason=reason_of(error)) from error


def _file_in(folder: Path, file: str) -> Path:
    for path in (folder / file, folder / f"{file}.gz"):
        if path.is_file():
            return path
    raise DataError("file_missing", path=str(folder), name=file)


def photos_digest(path: Path) -> tuple[str, int]:
    """SHA-256 of the photos in a folder or an archive, independent of the packing, and their number.

    It is the SHA-256 of the lines `SHA-256, two spaces, name`, sorted by name, which in the set's folder is
    `find . -name '*.jpg' -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum`.

    Raises:
        DataError: there are no photos, or an archive is damaged or refused.
    """
    photos, keep_alive = folders.photo_files(path)  # the second keeps an unpacked archive until the end
    digest = hashlib.sha256()
    for name in sorted(photos, key=os.fsencode):
        try:
            content = photos[name].content()
        except MuslinError as error:
            raise DataError("photo_unreadable", path=str(path), reason=error.message) from error
        line = f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        digest.update(os.fsencode(line))  # names need not be UTF-8
    del keep_alive
    return digest.hexdigest(), len(photos)


def _download(row: RegisteredDataset, url: str, folder: Path, download: "_Download") -> Path:
    """Download the set to `folder`, where a file gets its name once its content is checked; path of the copy."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)  # before anything is downloaded
    remove_partial_files(folder)
    sha256 = row.photos_sha256
    download.log(Message("downloading", title=row.title, size=row.size, licence=row.licence, url=url, sha256=sha256))
    if not row.files:
        path = folder / f"{row.name}.zip"
        download.file(url, path, lambda file: verify(row, file, url), MAX_ARCHIVE_BYTES)
        return path
    for file, sha256 in row.files.items():
        try:
            verify_file(sha256, there := _file_in(folder, file))  # from an earlier attempt that failed at a later file
        except DataError:
            address = f"{url.rstrip('/')}/{file}.gz"
            check = partial(verify_file, sha256, name=address)
            download.file(address, folder / f"{file}.gz", check, MAX_FILE_BYTES)
            (folder / file).unlink(missing_ok=True)  # a damaged copy, which would be found first
        else:
            download.add(there.stat().st_size)
    return folder


class _Download:
    """The files of a set that are downloaded one after the other, and how far they are."""

    def __init__(
        self, row: RegisteredDataset, timeout_s: float, log: Log, on_progress: Callable[[float], object]
    ) -> None:
        self.log = log
        self._timeout_s, self._on_progress = timeout_s, on_progress
        self._bytes, self._of_bytes = 0, row.download_bytes

    def add(self, count: int) -> None:
        """Count bytes that have arrived since the last call."""
        self._bytes += count
        if self._of_bytes:
            self._on_progress(min(1.0, self._bytes / self._of_bytes))

    def file(self, url: str, path: Path, check: Callable[[Path], object], max_bytes: int) -> None:
        """Download a file, which gets its name once `check` has not refused it."""
        count = logged = 0
        with atomic_file(path, check=check) as file:
            for block in fetch(url, self._timeout_s, max_bytes):
                file.write(block)
                self.add(len(block))
                count += len(block)
                if count - logged >= LOG_EVERY_BYTES:
                    logged = count
                    self.log(Message("mb_downloaded", mb=count / 1e6))
