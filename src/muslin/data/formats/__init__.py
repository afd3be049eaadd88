"""The table of formats. A new format is a new module with `detect` and `read`, and a row here.

Where muslin also writes it, that is a module of `muslin.data.writers` with `write`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from muslin.data.formats.read_options import ReadOptions
from muslin.data.magic_bytes import describe
from muslin.errors import DataError, unknown
from muslin.library_errors import reason_of
from muslin.messages import Log, examples, no_log
from muslin.storage.boundary import data_boundary

if TYPE_CHECKING:
    from muslin.data.dataset import Dataset
    from muslin.data.writers.samples import Written


@dataclass(frozen=True)
class Format:
    """One way to store a data set.

    Attributes:
        name: value of `--format`.
        description: one line.
        module: of this package, imported when first needed; it defines `detect` and `read`.
        options: the arguments of `muslin.read` that the format heeds; any other is refused.
        writer: module of `muslin.data.writers`, which defines `write`, and value of `muslin convert --to`; empty where
            muslin does not write the format.
    """

    name: str
    description: str
    module: str
    options: tuple[str, ...] = ()
    writer: str = ""

    @property
    def detect(self) -> Callable[[Path], str | None]:
        """Why a path is of this format, in a few words, or None. Reads content; never raises."""
        detect: Callable[[Path], str | None] = self._import(f"formats.{self.module}").detect
        return detect

    @property
    def read(self) -> "Callable[[Path, ReadOptions, Log], Dataset]":
        """Reads the data set at a path of this format."""
        read: Callable[[Path, ReadOptions, Log], Dataset] = self._import(f"formats.{self.module}").read
        return read

    @property
    def write(self) -> "Callable[[Dataset, Path, Log], Written]":
        """Writes a data set to a new file or folder; returns warnings, and why samples were excluded."""
        write: Callable[[Dataset, Path, Log], Written] = self._import(f"writers.{self.writer}").write
        return write

    def _import(self, module: str) -> ModuleType:
        return import_module(f"muslin.data.{module}")


FORMATS: tuple[Format, ...] = (
    Format("idx", "the IDX files of MNIST and Fashion-MNIST, gzipped or not", "idx", writer="idx"),
    Format(
        "deepfashion", "DeepFashion's categories and attributes, with lists in Anno/ and Eval/", "deepfashion",
        ("target", "images", "crop_to_boxes"),
    ),
    Format(
        "deepfashion-fine", "DeepFashion's fine-grained lists in Anno_fine/", "deepfashion_fine",
        ("target", "images", "crop_to_boxes"),
    ),
    Format(
        "deepfashion-items", "DeepFashion's In-shop and Consumer-to-shop photos, with their items in Eval/",
        "deepfashion_items", ("target", "images", "crop_to_boxes"),
    ),
    Format("imaterialist", "iMaterialist (Fashion) 2018: JSON and photos", "imaterialist", ("images",)),
    Format(
        "pixels", "a table, or one for each part, with one image per row and its pixels in columns or in one cell",
        "pixels", ("shape", "target", "split_column"), writer="csv",
    ),
    Format(
        "table", "tables (CSV, TSV, Parquet, JSON Lines, XLSX) with a photo or its name in each row",
        "photo_tables", ("target", "images", "image_column", "group", "product", "split_column", "label_separator"),
        writer="parquet",
    ),
    Format(
        "folders", "photos in one folder for each class, also in a zip or tar", "folders", ("levels",),
        writer="folders",
    ),
)  # fmt: skip
"""In the order in which detection tries them."""


WITHOUT_PHOTOS = ("format_not_detected", "photo_column_not_found")
"""Codes of an archive that holds neither photos nor a table that names some."""


def read_path(
    path: str | Path, *, format: str | None = None, options: ReadOptions | None = None, log: Log = no_log
) -> "Dataset":
    """The data set at `path`, in the format `format` or the detected one; `origin` says which, and why.

    Raises:
        DataError: nothing is there, no format fits, the format's name is unknown, the format does not read one of
            the options, or the files are not valid.
    """
    from muslin.data.archives import check_content, check_reachable  # import PIL, which --help does not need
    from muslin.data.open_cache import open_cache

    path, options = Path(path), replace(options or ReadOptions(), format_chosen=format is not None)
    check_content(path)
    if not os.path.exists(path):  # unlike Path.exists, False also for names that no file can have
        raise DataError("path_missing", path=str(path))
    try:
        with open_cache(), data_boundary(path, allow_outside=options.allow_outside):
            row, reason = _detect(path, options) if format is None else _choose_format(path, format)
            if unused := [name for name in options.names_set() if name not in row.options]:
                raise DataError("format_option_unused", path=str(path), format=row.name, options=unused)
            dataset = row.read(path, options, log)
    except DataError as error:
        if error.code in WITHOUT_PHOTOS:
            if not (options.names_set() or options.allow_outside):
                check_reachable(path)
            _refuse_archived_pixels(path)
        raise
    except (OSError, RecursionError, OverflowError, UnicodeError) as error:  # the last three of a reader's libraries
        raise DataError("file_unreadable", path=str(path), reason=reason_of(error)) from error
    from muslin.data.dataset import reading_notes
    from muslin.data.product_notes import product_notes

    origin = "; ".join(filter(None, [f"{path}, {reason}", dataset.origin]))
    return replace(dataset, origin=origin, fixes=(*dataset.fixes, *reading_notes(dataset), *product_notes(dataset)))


def _refuse_archived_pixels(path: Path) -> None:
    """Say of an archive in which no photo was found that it holds pixels."""
    from muslin.data.formats.archived_pixels import pixel_files

    if names := pixel_files(path):
        raise DataError("pixels_in_archive", path=str(path), **examples(names)) from None


def detect_format(path: Path) -> Format | None:
    """The first row of FORMATS that the content at `path` fits."""
    return next((row for row in FORMATS if row.detect(path)), None)


def _choose_format(path: Path, name: str) -> tuple[Format, str]:
    """The format called `name`, and a reason that also names the format detection would have chosen."""
    chosen = next((row for row in FORMATS if row.name == name), None)
    if chosen is None:
        raise DataError("format_unknown", path=str(path), **unknown(name, [row.name for row in FORMATS]))
    row, reason = next(((row, why) for row in FORMATS if (why := row.detect(path))), (None, ""))
    if row is None or row is chosen:
        return chosen, f"read as {name} because of --format" + (f": {reason}" if reason else "")
    return chosen, f"read as {name} because of --format, although it looks like {row.name} ({reason})"


def _detect(path: Path, options: ReadOptions) -> tuple[Format, str]:
    from muslin.data.archives import check_reachable
    from muslin.data.formats.table_sources import holds_tables, is_container

    named = {"image_column", "split_column", "target", "product"} & set(options.names_set())
    table = next(row for row in FORMATS if row.name == "table")
    row, reason = next(((row, why) for row in FORMATS if (why := row.detect(path))), (None, ""))
    if named and (row is None or row.name == "folders") and (not is_container(path) or holds_tables(path)):
        return table, "a table, because options name columns of it"
    if row is None:
        check_reachable(path)
        raise DataError("format_not_detected", path=str(path), found=describe(path))
    return row, reason
