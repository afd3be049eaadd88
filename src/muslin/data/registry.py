"""Data sets known by name: what they are, where they are to be had, and whether a file really is theirs.

Sets of photos are in `known_photos`. For sets of pixels `get` looks in five places, in the order of `PLACES`, and
believes none of them: the SHA-256 of every file's uncompressed content is checked wherever it came from.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from muslin.data import photo_archives
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.formats import pixels_csv_parts, read_path
from muslin.data.formats.gzip_files import open_data_file
from muslin.data.photo_archives import KnownPhotos, Obtained
from muslin.errors import DataError, MuslinError, nearest
from muslin.storage.atomic import atomic_file, cache_folder, storage_errors
from muslin.storage.download import fetch


@dataclass(frozen=True)
class RegisteredFile:
    """One file of a known data set, described by its uncompressed content."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class RegisteredDataset:
    """A data set known by name.

    Attributes:
        name: what the command line takes.
        title: how its authors call it, and what is in it.
        licence: its licence's short name.
        page: where to read about it.
        files: all of them are needed.
        homes: addresses of folders on the net that hold each file as `NAME.gz`.
        fetch_bytes: what is transferred when it is fetched, roughly.
        classes: the names of its label's classes, in order.
        debian_package: the Debian package that holds it, if there is one, and
        debian_folder: the folder to which that package installs its files.
        rows: per part, its number of rows and what `rows_digest` gives for them, so that the data are known
            again in any format and order.
        spellings: what is in a file's or folder's name when it holds this data set, in lower case.
        shape: (height, width, channels) of every image.
        transform: how a photo becomes such an image (a row of `muslin.images.TRANSFORMS`).
    """

    name: str
    title: str
    licence: str
    page: str
    files: tuple[RegisteredFile, ...]
    homes: tuple[str, ...]
    fetch_bytes: int
    classes: tuple[str, ...]
    debian_package: str | None
    debian_folder: Path
    rows: Mapping[str, tuple[int, str]]
    spellings: tuple[str, ...]
    shape: tuple[int, int, int]
    transform: str


FASHION_MNIST = RegisteredDataset(
    name="fashion-mnist",
    title="Fashion-MNIST, 60,000 train and 10,000 test images of clothes, 28×28 gray, 10 classes",
    licence="MIT",
    page="https://github.com/zalandoresearch/fashion-mnist",
    files=(
        RegisteredFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        RegisteredFile(
            "train-labels-idx1-ubyte",
            60_008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        RegisteredFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        RegisteredFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    homes=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    fetch_bytes=30_900_000,
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    debian_package="dataset-fashion-mnist",
    debian_folder=Path("/usr/share/datasets/fashion-mnist"),
    rows={
        "train": (60_000, "0c69d5cdeb902b69084012f812f066de080317bb3c64f43ca87f910d8ec86906"),
        "test": (10_000, "90c92c0507755a7d443edde8297ce4d0f131e42884e2e87e7fc9b81ffe215258"),
    },
    spellings=("fashion-mnist", "fashion_mnist", "fashionmnist"),
    shape=(28, 28, 1),
    transform="fashion-mnist",
)

DATASETS: dict[str, RegisteredDataset | KnownPhotos] = {
    known.name: known for known in (FASHION_MNIST, *photo_archives.SETS)
}
"""By the name that the command line takes: sets of pixels, described here, and of photos."""


@dataclass(frozen=True)
class _Search:
    known: RegisteredDataset
    cache: Path
    timeout_s: float
    log: Callable[[str], None]


class _NotHereError(Exception):
    """A place does not have the data set; the message says why."""


def lookup(name: str) -> RegisteredDataset | KnownPhotos:
    """The known data set called `name`.

    Raises:
        DataError: there is none; the message has the nearest name.
    """
    if name not in DATASETS:
        raise DataError(f"No data set is known as {name!r}. {nearest(name, DATASETS)}")
    return DATASETS[name]


def get(
    name: str,
    *,
    home: str | None = None,
    cache: Path | None = None,
    timeout_s: float = 10,
    log: Callable[[str], None] = lambda sentence: None,
) -> Obtained:
    """The files of the data set called `name`, from the first place that has them right.

    Args:
        name: a key of DATASETS.
        home: the address of a folder to fetch from instead of its own homes.
        cache: where fetched files are kept; by default `muslin` in XDG_CACHE_HOME.
        timeout_s: seconds to wait for a server that does not answer.
        tell: called with a sentence before anything is fetched, and for a damaged copy that is passed over.

    Raises:
        DataError: the name is unknown, or no place has the files; the message lists each place and why.
    """
    known = lookup(name)
    if isinstance(known, KnownPhotos):
        known = replace(known, home=home) if home else known
        return photo_archives.obtain(known, cache=cache or cache_folder(), timeout_s=timeout_s, log=log)
    return obtain(replace(known, homes=(home,)) if home else known, cache=cache, timeout_s=timeout_s, log=log)


def dataset_facts(known: RegisteredDataset | KnownPhotos) -> dict[str, str]:
    """What to know of a set before it is fetched: what it is, where it comes from, how large, licence, checksum.

    Where there are several sources or checksums, each has a line.
    """
    if isinstance(known, KnownPhotos):
        home, size, checksum = known.home, photo_archives.size(known), photo_archives.checksum(known)
    else:
        home, size = " or\n".join(known.homes), f"about {known.fetch_bytes / 1e6:.0f} MB"
        checksum = "\n".join(f"SHA-256 {file.sha256} of {file.name}" for file in known.files)
    return {
        "what": known.title,
        "page": known.page,
        "source": home,
        "size": size,
        "licence": known.licence,
        "checksum": checksum,
    }


def read_registered(name: str, *, log: Callable[[str], None] = lambda sentence: None) -> Dataset:
    """The data set called `name`, obtained as `get` does it; `origin` says from where, and how it was checked.

    Raises:
        DataError, StorageError: as `get`.
    """
    obtained = get(name, log=log)
    known = lookup(name)
    if isinstance(known, KnownPhotos):
        return photo_archives.read(known, obtained)
    dataset = named(known, read_path(obtained.path))
    return replace(dataset, name=name, origin=f"{obtained.origin} ({obtained.checked})")


def obtain(
    known: RegisteredDataset,
    *,
    cache: Path | None = None,
    timeout_s: float = 10,
    log: Callable[[str], None] = lambda sentence: None,
) -> Obtained:
    """`get` for a data set described by its row."""
    search = _Search(known, cache or cache_folder(), timeout_s, log)
    tried = []
    for place, look in PLACES:
        try:
            folder, origin = look(search)
        except (_NotHereError, MuslinError) as reason:
            tried.append(f"{place}: {reason}")
        else:
            return Obtained(known.name, folder, origin, tried=tuple(tried))
    raise DataError(
        f"{known.name} is nowhere to be had. Tried "
        + "; ".join(f"({i}) {reason}" for i, reason in enumerate(tried, start=1))
        + f". Get {', '.join(f'{file.name}.gz' for file in known.files)} from {known.page} by other means, "
        "put them in a folder, and name it in MUSLIN_DATA."
    )


def write_csv(dataset: Dataset, folder: Path) -> list[Path]:
    """Write each part as Kaggle's CSV files are: `NAME_train.csv`, `NAME_test.csv`, header label,pixel1,…

    Labels of a known data set are written as their numbers, as Kaggle does; reading the files back gives the
    same arrays, labels and classes. A data set without parts becomes `NAME.csv`.

    Returns:
        the files, in the order of the parts.

    Raises:
        DataError: the images differ in size.
        StorageError: the folder cannot be written.
    """
    if isinstance(DATASETS.get(dataset.name), KnownPhotos):
        raise DataError(
            f"{dataset.name} is a set of photos of many sizes, where --csv takes pixels of one. "
            f"See muslin convert {dataset.name} --to parquet."
        )
    target = dataset.target()
    numbered = isinstance(DATASETS.get(dataset.name), RegisteredDataset)
    names = [str(i) for i in range(len(target.classes))] if numbered else list(target.classes)
    labels = ["" if label == UNKNOWN else names[label] for label in dataset.labels[target.name]]
    return pixels_csv_parts.write(
        dataset, labels, folder, lambda part: f"{dataset.name}_{part}" if part else dataset.name
    )


def check(known: RegisteredDataset, folder: Path) -> None:
    """That `folder` has all files of `known`, each plain or as `.gz`, with the right content.

    Raises:
        DataError: one is missing, cut off, or has another SHA-256.
    """
    for file in known.files:
        check_content(file, _path_in(folder, file))


def check_content(file: RegisteredFile, path: Path) -> None:
    """That the uncompressed content of `path` is that of `file`.

    Raises:
        DataError: it is not, or cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with open_data_file(path) as content:
        while block := content.read(2**20):
            digest.update(block)
            size += len(block)
    if digest.hexdigest() != file.sha256:
        how = (
            f"{size:,} bytes of content, not {file.size_bytes:,}"
            if size != file.size_bytes
            else "changed content"
        )
        raise DataError(f"{path} is not the published file: {how}, SHA-256 {digest.hexdigest()[:12]}…")


def _path_in(folder: Path, file: RegisteredFile) -> Path:
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"no {file.name} in {folder}")


def _in_muslin_data(search: _Search) -> tuple[Path, str]:
    named = os.environ.get("MUSLIN_DATA")
    if not named:
        raise _NotHereError("not set")
    for folder in (Path(named) / search.known.name, Path(named)):
        if any(
            (folder / f"{file.name}{end}").is_file() for file in search.known.files for end in ("", ".gz")
        ):
            return _checked(search, folder, f"the folder that MUSLIN_DATA names, {folder}")
    raise _NotHereError(f"no {search.known.files[0].name} in {named} or its folder {search.known.name}")


def _in_cache(search: _Search) -> tuple[Path, str]:
    folder = search.cache / search.known.name
    if not folder.is_dir():
        raise _NotHereError(f"nothing in {folder} yet")
    return _checked(search, folder, f"muslin's cache, {folder}")


def _in_debian_folder(search: _Search) -> tuple[Path, str]:
    folder = search.known.debian_folder
    if not folder.is_dir():
        raise _NotHereError(f"no {folder}")
    return _checked(search, folder, f"Debian's folder {folder}")


def _checked(search: _Search, folder: Path, origin: str) -> tuple[Path, str]:
    try:
        check(search.known, folder)
    except DataError as error:
        search.log(f"Passed over {origin}: {error}")
        raise
    return folder, origin


def _from_home(search: _Search) -> tuple[Path, str]:
    folder = _ready_cache(search)
    reasons = []
    for home in search.known.homes:
        search.log(
            f"Fetching {search.known.title}, about {search.known.fetch_bytes / 1e6:.0f} MB, "
            f"licence {search.known.licence}, from {home}"
        )
        try:
            for file in search.known.files:
                _download(search, f"{home.rstrip('/')}/{file.name}.gz", file)
        except DataError as reason:
            reasons.append(str(reason))
        else:
            return folder, f"{home}, kept in {folder}"
    raise _NotHereError("; ".join(reasons) or "it has none")


def _ready_cache(search: _Search) -> Path:
    """The set's folder in the cache, made now, so that nothing is fetched that cannot be kept."""
    folder = search.cache / search.known.name
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _download(search: _Search, address: str, file: RegisteredFile) -> None:
    """Fetch one file into the cache, where it has its name only once its content is known to be right."""
    folder = search.cache / search.known.name
    try:
        check_content(file, _path_in(folder, file))
    except DataError:
        pass
    else:
        return  # there from an earlier attempt that did not get them all
    with tempfile.TemporaryDirectory(prefix="muslin-") as scratch:
        fetched = Path(scratch) / f"{file.name}.gz"
        with storage_errors(fetched), fetched.open("wb") as beside:
            for block in fetch(address, search.timeout_s, max_bytes=file.size_bytes + 2**20):
                beside.write(block)
        try:
            check_content(file, fetched)
        except DataError as error:
            raise DataError(str(error).replace(str(fetched), address)) from error
        _keep(fetched, folder, file)


def _from_debian_package(search: _Search) -> tuple[Path, str]:
    package = search.known.debian_package
    if package is None:
        raise _NotHereError("there is none of it")
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise _NotHereError(f"no {program} here")
    search.log(
        f"Fetching Debian's package {package} with {search.known.title}, about "
        f"{search.known.fetch_bytes / 1e6:.0f} MB, licence {search.known.licence}; "
        "it is unpacked, not installed"
    )
    folder = _ready_cache(search)
    with tempfile.TemporaryDirectory(prefix="muslin-") as scratch:
        archive = _apt_download(package, Path(scratch), search.timeout_s)
        unpacked = Path(scratch) / "unpacked"
        _run(["dpkg-deb", "-x", str(archive), str(unpacked)], Path(scratch))
        inside = unpacked / search.known.debian_folder.relative_to("/")
        check(search.known, inside)
        for file in search.known.files:
            _keep(_path_in(inside, file), folder, file)
    return folder, f"Debian's package {archive.name}, kept in {folder}"


def _apt_download(package: str, scratch: Path, timeout_s: float) -> Path:
    patience = [f"-oAcquire::http::Timeout={timeout_s:.0f}", "-oAcquire::Retries=1", "-qq"]
    try:
        _run(["apt-get", *patience, "download", package], scratch)
    except _NotHereError:
        # A machine whose package lists were never fetched, as in many containers: fetch them aside.
        own = scratch / "apt"
        (own / "lists" / "partial").mkdir(parents=True)
        (own / "archives" / "partial").mkdir(parents=True)
        private = [*patience, f"-oDir::State::lists={own / 'lists'}", f"-oDir::Cache={own}"]
        _run(["apt-get", *private, "update"], scratch)
        _run(["apt-get", *private, "download", package], scratch)
    archives = list(scratch.glob("*.deb"))
    if not archives:
        raise _NotHereError(f"apt-get download {package} left no package")
    return archives[0]


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _NotHereError(f"{command[0]} did not end within 600 s") from error
    if done.returncode:
        lines = [
            line for line in done.stderr.splitlines() if line.startswith("E:")
        ] or done.stderr.splitlines()
        raise _NotHereError(
            f"{' '.join(command)} failed: {' '.join(lines) or f'exit code {done.returncode}'}"
        )


def _keep(source: Path, folder: Path, file: RegisteredFile) -> None:
    with source.open("rb") as content, atomic_file(folder / f"{file.name}.gz") as kept:
        shutil.copyfileobj(content, kept, 2**20)
    # Whatever else goes by this name in the cache has just been found damaged, and would be found first.
    (folder / file.name).unlink(missing_ok=True)


PLACES: tuple[tuple[str, Callable[[_Search], tuple[Path, str]]], ...] = (
    ("MUSLIN_DATA", _in_muslin_data),
    ("muslin's cache", _in_cache),
    ("Debian's folder", _in_debian_folder),
    ("its home on the net", _from_home),
    ("Debian's package", _from_debian_package),
)
"""Where `get` looks, in order: (name, look)."""


def recognise(dataset: Dataset, names: Iterable[str]) -> tuple[RegisteredDataset, str] | None:
    """Which known data set's images and labels these are, and how that was seen; None where they are not.

    By content: a part's rows are those of a part of the known set, in any order. By name: the labels and the
    shape fit, and one of `names` (of the files or folder they came from) says so, as Kaggle's files do.
    """
    for known in DATASETS.values():
        if isinstance(known, KnownPhotos) or not _fits(known, dataset):
            continue
        whole = [dataset] if dataset.parts is None else [dataset.part(name) for name in set(dataset.parts)]
        for rows in whole:
            same_size = [digest for count, digest in known.rows.values() if count == len(rows)]
            if same_size and rows_digest(named(known, rows)) in same_size:
                return known, "by its content"
        for name in names:
            if any(spelling in name.lower() for spelling in known.spellings):
                return known, f"by the name {name}"
    return None


def named(known: RegisteredDataset, dataset: Dataset) -> Dataset:
    """`dataset` with its labels in the classes of `known`, where its own are these names or their numbers.

    Returned as it is where the images or the labels do not fit.
    """
    if not _fits(known, dataset):
        return dataset
    target = dataset.target()
    places = [_place(known, name) for name in target.classes]
    table = np.array([*places, UNKNOWN], dtype=np.int64)  # the last entry is where UNKNOWN (-1) points
    return replace(
        dataset,
        targets=(Target(target.name, known.classes),),
        labels={target.name: table[dataset.labels[target.name]]},
        transform=known.transform,
    )


def rows_digest(dataset: Dataset) -> str:
    """SHA-256 that names (label, pixels) rows whatever their order: of the rows' sorted SHA-256s.

    For one multiclass target of up to 255 classes and images of one size.
    """
    assert isinstance(dataset.images, PixelImages)
    labels = dataset.labels[dataset.target().name].astype(np.uint8)
    rows = zip(labels, dataset.images.pixels, strict=True)
    return hashlib.sha256(
        b"".join(sorted(hashlib.sha256(bytes([label]) + row.tobytes()).digest() for label, row in rows))
    ).hexdigest()


def _fits(known: RegisteredDataset, dataset: Dataset) -> bool:
    if len(dataset.targets) != 1 or not isinstance(dataset.images, PixelImages):
        return False
    if dataset.targets[0].kind != "multiclass" or dataset.images.pixels.shape[1:] != known.shape:
        return False
    return all(_place(known, name) is not None for name in dataset.targets[0].classes)


def _place(known: RegisteredDataset, name: str) -> int | None:
    """The index of the class of `known` that is called so, or has this number."""
    if name in known.classes:
        return known.classes.index(name)
    return int(name) if name.isdecimal() and int(name) < len(known.classes) else None
