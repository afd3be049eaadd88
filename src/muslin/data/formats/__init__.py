"""The table of formats: one file each. A new format is a new row."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from muslin.data.formats.gzip_files import is_gzipped, read_head
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.errors import DataError, nearest

if TYPE_CHECKING:
    from muslin.data.dataset import Dataset


@dataclass(frozen=True)
class Format:
    """One way in which data sets are stored.

    Attributes:
        name: what `--format` takes.
        about: one line for a person.
        module: of this package, imported when first needed; it defines TAKES, `detect` and `read`.
    """

    name: str
    about: str
    module: str

    @property
    def takes(self) -> frozenset[str]:
        """The ReadOptions that the format uses."""
        takes: frozenset[str] = self._module().TAKES
        return takes

    @property
    def detect(self) -> Callable[[Path], str | None]:
        """Why a path is of this format, in a few words, or None. Reads content; never raises."""
        detect: Callable[[Path], str | None] = self._module().detect
        return detect

    @property
    def read(self) -> "Callable[[Path, ReadOptions, Log], Dataset]":
        """The data set at a path of this format."""
        read: Callable[[Path, ReadOptions, Log], Dataset] = self._module().read
        return read

    def _module(self) -> ModuleType:
        return import_module(f"{__name__}.{self.module}")


FORMATS: tuple[Format, ...] = (
    Format("idx", "MNIST's and Fashion-MNIST's files, gzipped or not", "idx"),
    Format("deepfashion", "DeepFashion's categories and attributes, lists in Anno/ and Eval/", "deepfashion"),
    Format("deepfashion-fine", "DeepFashion's later lists in Anno_fine/", "deepfashion_fine"),
    Format("imaterialist", "iMaterialist (Fashion) 2018's JSON with photos beside it", "imaterialist"),
    Format("parquet-photos", "Parquet with the photos in it, beside their labels", "parquet_images"),
    Format(
        "pixels-csv-parts", "a folder with a CSV of pixels a part, called like the parts", "pixels_csv_parts"
    ),
    Format("table", "a CSV, TSV, Parquet, JSON Lines or XLSX table whose rows name photos", "tables"),
    Format("folders", "photos in folders called like their classes, also in a zip or tar", "folders"),
    Format("pixels-csv", "a CSV with one image a row and one pixel a column, as on Kaggle", "pixels_csv"),
)
"""In the order in which they are tried."""


def read_path(
    path: str | Path, *, format: str | None = None, options: ReadOptions | None = None, log: Log = silent
) -> "Dataset":
    """The data set at `path`, its format found by its content or given by name; `origin` says which, and why.

    Raises:
        DataError: there is nothing there, no format fits, the format's name is unknown, an option means
            nothing to the format, or the files are not what they claim to be.
    """
    path, options = Path(path), options or ReadOptions()
    if not os.path.exists(path):  # unlike Path.exists, False also for names that no file can have
        raise DataError(f"{path}: no such file or folder. Check the path.")
    try:
        row, why = _detected(path, options) if format is None else _asked(path, format)
        if idle := [name for name in options.given() if name not in row.takes]:
            raise DataError(
                f"{path}: the format {row.name} has no {' or '.join(idle)} to choose. Leave it out."
            )
        dataset = row.read(path, options, log)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}). Check its permissions.") from error
    return replace(dataset, origin="; ".join(filter(None, [f"{path}, {why}", dataset.origin])))


def _asked(path: Path, format: str) -> tuple[Format, str]:
    """The format called so, and why: because it was asked for, whatever the content looks like."""
    asked = _named(format)
    looks = next(((row, why) for row in FORMATS if (why := row.detect(path))), None)
    if looks is None or looks[0] is asked:
        return asked, f"read as {format}, as asked" + (f": {looks[1]}" if looks else "")
    return asked, f"read as {format}, as asked, though it looks like {looks[0].name} ({looks[1]})"


def _named(name: str) -> Format:
    for row in FORMATS:
        if row.name == name:
            return row
    raise DataError(f"No format is called {name!r}. {nearest(name, [row.name for row in FORMATS])}")


def _detected(path: Path, options: ReadOptions) -> tuple[Format, str]:
    for row in FORMATS:
        if why := row.detect(path):
            return row, f"{why}: format {row.name}, unless --format says otherwise"
    if options.image_column and path.is_file():  # whoever names a column knows that it is a table
        return _named("table"), "a table, since a column of it was named"
    known = "; ".join(f"{row.name} ({row.about})" for row in FORMATS)
    raise DataError(f"{path}: {_looks(path)}, not a data set in a known format. Known: {known}.")


def _looks(path: Path) -> str:
    """What is at `path`, as far as its first bytes say."""
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        more = ", …" if len(names) > 3 else ""
        return f"a folder with {', '.join(names[:3])}{more}" if names else "an empty folder"
    start = read_head(path, 512)
    for magic, what in MAGICS:
        if start.startswith(magic):
            return what
    if not start.strip():
        return "a damaged gzip file" if is_gzipped(path) else "an empty file"
    if b"\0" in start:
        return "a binary file"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    first_line = start.decode("utf-8", "replace").strip().splitlines()[0]
    return f"a text file that begins with {first_line[:40]!r}"


MAGICS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip file"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"Rar!", "a RAR archive (pack it as zip or tar)"),
    (b"7z\xbc\xaf", "a 7-Zip archive (pack it as zip or tar)"),
    (b"BZh", "a file parquet_images with bzip2 (unpack it first)"),
    (b"\xfd7zXZ", "a file parquet_images with xz (unpack it first)"),
    (b"\x28\xb5\x2f\xfd", "a file parquet_images with zstd (unpack it first)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook, or one with a password (save it as XLSX without)"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\xff\xfe", "UTF-16 text (save it as UTF-8)"),
    (b"\xfe\xff", "UTF-16 text (save it as UTF-8)"),
)
"""How files begin that are given by mistake, and what to call them."""
