"""Sets of photos known by name: what they are, where they are to be had, and whether a copy really is theirs.

A copy is an archive, read in place, or a folder. Wherever it comes from, it is checked against every SHA-256 that is
known; where none is known, that is said, and none is made up.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from muslin.data import archives
from muslin.data.dataset import Dataset
from muslin.data.formats import folders, read_path
from muslin.data.formats.read_options import ReadOptions
from muslin.errors import DataError, MuslinError
from muslin.storage.atomic import atomic_folder, storage_errors, write_atomically
from muslin.storage.download import fetch

ENDS = (".tar", ".zip", ".tar.gz", ".tgz")
"""How archives are called."""

MOST_BYTES = 4 * 2**30
"""Of an archive whose size is not known before it is there."""

TOLD_EVERY_BYTES = 50_000_000


@dataclass(frozen=True)
class KnownPhotos:
    """A set of photos known by name.

    Attributes:
        name: what the command line takes.
        title: what is in it.
        licence: its licence's short name.
        page: where to read about it.
        home: the address of an archive of it.
        fetch_bytes: the size of that archive: exactly, roughly (`rough`), or None where it is not known.
        rough: see there.
        archive_sha256: of a published archive, where it is known.
        content_sha256: `content_digest` of its photos, which is the same in any archive and folder; None where it is
            not known.
        spelling: a pattern for the name of a local copy, without `.zip` and the like.
        inside: what is in a folder that is a copy, however it is called.
        table: the table in it that names the photos, and
        photos: the folders beside the table that may hold them, the first that is there counts; "" and none where
            folders say the classes.
    """

    name: str
    title: str
    licence: str
    page: str
    home: str
    fetch_bytes: int | None
    archive_sha256: str | None
    content_sha256: str | None
    spelling: str
    inside: tuple[str, ...]
    rough: bool = False
    table: str = ""
    photos: tuple[str, ...] = ()


CLOTHING_SMALL = KnownPhotos(
    name="clothing-small",
    title="Clothing dataset (small), 3,781 photos of clothes taken by many people, 10 classes; "
    "train 3,068, validation 341, test 372",
    licence="CC0",
    page="https://github.com/alexeygrigorev/clothing-dataset-small",
    home="https://github.com/alexeygrigorev/clothing-dataset-small/archive/11961516512414bf9f6c150a832cfd21b54a6b54.zip",
    fetch_bytes=107_000_000,
    rough=True,  # of the photos; GitHub packs an archive anew whenever it likes
    # Both measured on a copy of that commit; its authors publish none.
    archive_sha256="b18a82415e790710bee0634e06acc8f8ead1851a37da5f2d7d4e7344e29b60da",
    content_sha256="f8667cfe4a397f1be854d7d6c56118e4eaf6e9654ac37940e443dec3b4e55721",
    spelling=r"clothing(-dataset)?-small(-master|-main|-[0-9a-f]{7,40})?",
    inside=("train/t-shirt", "validation/t-shirt", "test/t-shirt"),
)

CLOTHING = KnownPhotos(
    name="clothing",
    title="Clothing dataset, over 5,000 photos of clothes taken by many people, 20 labels, and who sent each",
    licence="CC0",
    page="https://github.com/alexeygrigorev/clothing-dataset",
    home="https://github.com/alexeygrigorev/clothing-dataset/archive/2e050aebce9beea65b30d2b56ef4b8d51f86a953.zip",
    fetch_bytes=None,
    archive_sha256=None,
    content_sha256=None,
    spelling=r"clothing(-dataset)?(-full)?(-master|-main|-[0-9a-f]{7,40})?",
    inside=("images.csv",),
    table="images.csv",
    photos=("images", "images_compressed", "images_original"),
)

CATS_DOGS = KnownPhotos(
    name="cats-dogs",
    title="Cats and dogs, 25,000 photos from Asirra, 12,500 of each; some are damaged and named when they are read",
    licence="CDLA-Permissive-2.0",
    page="https://www.microsoft.com/en-us/download/details.aspx?id=54765",
    home="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
    fetch_bytes=824_887_076,
    archive_sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    content_sha256=None,
    spelling=r"cats-dogs|cat-and-dog|kagglecatsanddogs(_\d+a?)?|PetImages",
    inside=("PetImages",),
)

SETS = (CLOTHING_SMALL, CLOTHING, CATS_DOGS)


@dataclass(frozen=True)
class Obtained:
    """A known data set's files.

    Attributes:
        name: which one.
        path: where they are: a folder, or an archive that is read in place.
        origin: where they came from, for a person.
        checked: `SHA-256 verified`, or why that could not be done.
        tried: the places that came before it, each with the reason why not.
    """

    name: str
    path: Path
    origin: str
    checked: str = "SHA-256 verified"
    tried: tuple[str, ...] = ()


def obtain(
    known: KnownPhotos,
    *,
    cache: Path,
    timeout_s: float = 10,
    log: Callable[[str], None] = lambda sentence: None,
) -> Obtained:
    """A copy of the set, from the first place that has it right: MUSLIN_DATA, the cache, its home on the net.

    Args:
        cache: the folder in which `NAME/` holds what was fetched.
        timeout_s: seconds to wait for a server that does not answer.
        tell: called with a sentence before anything is fetched, and for a copy that is passed over.

    Raises:
        DataError: no place has it; the message lists each place and why.
    """
    named = os.environ.get("MUSLIN_DATA")
    kept = cache / known.name / f"{known.name}.zip"
    places = [
        ("MUSLIN_DATA", path, f"the copy that MUSLIN_DATA names, {path}") for path in _local(known, named)
    ]
    places += [("muslin's cache", kept, f"muslin's cache, {kept}")] if kept.is_file() else []
    tried = []
    if not named:
        tried.append("MUSLIN_DATA: not set")
    elif not places or places[0][0] != "MUSLIN_DATA":
        tried.append(f"MUSLIN_DATA: no {known.name} in {named}")
    for place, path, origin in places:
        try:
            return Obtained(known.name, path, origin, verified(known, path), tuple(tried))
        except DataError as error:
            log(f"Passed over {origin}: {error}")
            tried.append(f"{place}: {error}")
    if not kept.is_file():
        tried.append(f"muslin's cache: nothing in {kept.parent} yet")
    try:
        checked = _fetched(known, kept, timeout_s, log)
    except MuslinError as error:
        tried.append(f"its home on the net: {error}")
    else:
        return Obtained(known.name, kept, f"{known.home}, kept in {kept}", checked, tuple(tried))
    raise DataError(
        f"{known.name} is nowhere to be had. Tried "
        + "; ".join(f"({i}) {reason}" for i, reason in enumerate(tried, start=1))
        + f". Get it from {known.page} by other means, call the archive or the unpacked folder {known.name} "
        f"({known.name}.zip, {known.name}.tar), and name the folder it lies in in MUSLIN_DATA."
    )


def verified(known: KnownPhotos, path: Path) -> str:
    """`SHA-256 verified`, or why the copy at `path` cannot be checked, in a few words.

    Raises:
        DataError: a SHA-256 is known and is another, or the copy cannot be read.
    """
    packed = path.is_file()
    if packed and known.archive_sha256 and file_digest(path) == known.archive_sha256:
        return "SHA-256 verified"
    if known.content_sha256:
        digest, count = content_digest(path)
        if digest == known.content_sha256:
            return "SHA-256 of its photos verified"
        raise DataError(
            f"{path} is not the published set: {count:,} photos, whose SHA-256 is {digest[:12]}…, "
            f"not {known.content_sha256[:12]}…"
        )
    if packed and known.archive_sha256:
        raise DataError(
            f"{path} is not the published archive, whose SHA-256 begins with {known.archive_sha256[:12]}…; "
            "if it is another packing of the same photos, unpack it: a folder is taken as it is, unverified"
        )
    if not folders.photos_in(path)[0]:
        raise DataError(f"{path} has no photos in it")
    what = "the unpacked photos" if known.archive_sha256 else "it"
    return f"not verified, since no SHA-256 of {what} is known"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def content_digest(path: Path) -> tuple[str, int]:
    """SHA-256 of the photos in a folder or an archive, whatever it is packed in, and how many there are.

    It is that of the lines `SHA-256, two spaces, name`, sorted by name, as
    `find . -name '*.jpg' -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum` gives it in the set's folder.

    Raises:
        DataError: there are no photos, or an archive is damaged or refused.
    """
    photos, kept = folders.photos_in(path)  # the second is what keeps a gzipped tar readable
    digest = hashlib.sha256()
    for name in sorted(photos, key=os.fsencode):
        try:
            content = photos[name].content()
        except MuslinError as error:
            raise DataError(str(error)) from error
        line = f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        digest.update(os.fsencode(line))  # a name need not be UTF-8
    del kept
    return digest.hexdigest(), len(photos)


def read(known: KnownPhotos, obtained: Obtained) -> Dataset:
    """The data set of an obtained copy.

    Raises:
        DataError: it is not what it claims to be.
    """
    path = obtained.path
    if not known.table:
        dataset = read_path(path)
    elif path.is_dir():
        beside = next((path / name for name in known.photos if (path / name).is_dir()), path)
        dataset = read_path(path / known.table, options=ReadOptions(images=str(beside)))
    else:
        with tempfile.TemporaryDirectory(prefix="muslin-") as scratch:
            table = Path(scratch) / known.table
            write_atomically(table, _table(known, path))
            dataset = read_path(table, options=ReadOptions(images=str(path)))
    said = dataset.origin.partition("; ")[2]  # without the path, which stands in the copy's own origin
    where = f"{obtained.origin} ({obtained.checked})"
    return replace(dataset, name=known.name, origin=f"{where}; {said}" if known.table else where)


def _table(known: KnownPhotos, path: Path) -> bytes:
    """The content of the set's table in an archive."""
    files, _ = archives.members(path)
    for name, file in files.items():
        if name.split("/")[-1] == known.table:
            return file.content(MOST_BYTES)
    raise DataError(f"{path}: has no {known.table} in it. Get {known.name} from {known.page} again.")


def _local(known: KnownPhotos, named: str | None) -> Iterator[Path]:
    """The copies that MUSLIN_DATA names or holds, archives first."""
    root = Path(named) if named else None
    if root is None or not root.exists():
        return
    if root.is_file():
        if _is_called(known, root):
            yield root
        return
    spelled = [path for path in _listed(root) if _is_called(known, path)]
    for folder in [path for path in spelled if path.is_dir()]:
        spelled += [path for path in _listed(folder) if path.is_file() and _is_called(known, path)]
    yield from sorted(spelled, key=lambda path: (path.is_dir(), path))
    if all((root / name).exists() for name in known.inside) and root not in spelled:
        yield root


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_called(known: KnownPhotos, path: Path) -> bool:
    """Whether a folder's or an archive's name is one of the set's."""
    stem = path.name
    if not path.is_dir():
        end = next((end for end in ENDS if stem.lower().endswith(end)), None)
        if end is None:
            return False
        stem = stem[: -len(end)]
    return re.fullmatch(known.spelling, stem, re.IGNORECASE) is not None


def _fetched(known: KnownPhotos, kept: Path, timeout_s: float, log: Callable[[str], None]) -> str:
    """Fetch the archive to `kept`, which is there only once it has been checked; `verified`'s answer."""
    with storage_errors(kept.parent):
        kept.unlink(missing_ok=True)  # what was there has just been found damaged
        if kept.parent.exists():
            kept.parent.rmdir()
    with atomic_folder(kept.parent) as beside:
        log(
            f"Fetching {known.title}: {size(known)}, licence {known.licence}, from {known.home}; {checksum(known)}"
        )
        count = told = 0
        most = known.fetch_bytes * 2 if known.fetch_bytes else MOST_BYTES
        with storage_errors(kept), (beside / kept.name).open("wb") as file:
            for block in fetch(known.home, timeout_s, most):
                file.write(block)
                count += len(block)
                if count - told >= TOLD_EVERY_BYTES:
                    told = count
                    log(f"{count / 1e6:,.0f} MB fetched")
        try:
            return verified(known, beside / kept.name)
        except DataError as error:
            raise DataError(str(error).replace(str(beside / kept.name), known.home)) from error


def size(known: KnownPhotos) -> str:
    """What is fetched, in words."""
    if known.fetch_bytes is None:
        return "size not known before it is fetched"
    return f"about {known.fetch_bytes / 1e6:,.0f} MB" if known.rough else f"{known.fetch_bytes:,} bytes"


def checksum(known: KnownPhotos) -> str:
    """What is known to check it by, in words."""
    if known.content_sha256:
        return f"SHA-256 of its photos {known.content_sha256}, of a tar of it {known.archive_sha256}"
    if known.archive_sha256:
        return f"SHA-256 of its archive {known.archive_sha256}; none is known of the unpacked photos"
    return "no SHA-256 of it is known, so that what comes cannot be checked"
