"""What holds for every valid table, folder and archive: nothing is lost in silence, and writing loses nothing.

What holds for every model is in model_properties.py.
"""

import io
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import address_properties
import model_properties
import model_strategies
import openpyxl
import pyarrow.parquet as pq
import strategies
from actions import ACTIONS, check_messages, use
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from strategies import WrittenArchive, WrittenFolder, WrittenPhotos, WrittenTable, row_text, zip_of

from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import Dataset
from muslin.data.tables import AddedColumn, open_table
from muslin.data.tables.photo_column import table_photos
from muslin.errors import MuslinError

SKIPPED_ROWS = ("empty_rows_skipped", "header_rows_repeated")
"""Codes of messages that count rows which are not read."""

REPAIRED_ROWS = ("short_rows_filled", "cells_joined")

FILES_LEFT_OUT = ("hidden_files_skipped", "other_files_skipped", "photos_unsupported", "photos_outside_classes")

ADDED_NAME, ADDED_CELL = "~name~", "~tag~"
"""Header and cells of a column that is added; no table has them."""


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────


def check_table(table: WrittenTable, folder: Path) -> Path:
    """Every row is read or counted, and again after a column was added; the path with the added column."""
    path = folder / f"table{table.suffix}"
    path.write_bytes(table.content)
    check_rows(path, table)
    written = path.with_name(f"written{path.suffix}")
    file = io.BytesIO()
    open_table(path).write_with_columns(file, [AddedColumn(ADDED_NAME)], [(ADDED_CELL,)] * len(table.rows))
    written.write_bytes(file.getvalue())
    check_rows(written, table, tagged=True)
    return written


def check_rows(path: Path, table: WrittenTable, tagged: bool = False) -> None:
    """The file at `path` is read as `table`, with the added column if it is `tagged`."""
    opened = open_table(path)
    assert opened.columns == (*table.columns, *([ADDED_NAME] if tagged else []))
    rows = list(opened.rows(opened.columns))
    check_messages(opened.fixes)
    assert [row.cells for row in rows] == [(*cells, *([ADDED_CELL] if tagged else [])) for _, cells in table.rows]
    header_lines = int(tagged and not table.has_header)  # a header is written where there was none
    assert [row.number - header_lines for row in rows] == [number for number, _ in table.rows]
    assert count_of(opened.fixes, SKIPPED_ROWS) == table.skipped
    assert tagged or count_of(opened.fixes, REPAIRED_ROWS) == table.repaired


def count_of(messages: Iterable[Any], codes: Sequence[str]) -> int:
    return sum(message.params["count"] for message in messages if message.code in codes)


def check_text_table(table: WrittenTable, folder: Path) -> None:
    """Besides, every line of the table stays as it is, with the new cell behind it."""
    written = check_table(table, folder)
    old, new = (content.decode(table.encoding) for content in (table.content, written.read_bytes()))
    assert old.startswith("\ufeff") == new.startswith("\ufeff")
    old_lines, new_lines = (re.split("\r\n|\r|\n", text.removeprefix("\ufeff")) for text in (old, new))
    if not table.has_header:
        new_lines = [line for line in new_lines if ADDED_NAME not in line]
    for line, extended in zip(old_lines, new_lines, strict=True):
        # a row in the form of a spreadsheet has delimiters at its end, before which the new cell stands
        assert extended.startswith(line.rstrip(",;|\t\r")), (line, extended)


def check_json_lines(table: WrittenTable, folder: Path) -> None:
    written = check_table(table, folder)
    old, new = (content.decode(table.encoding).splitlines() for content in (table.content, written.read_bytes()))
    for line, extended in zip(old, new, strict=True):
        assert extended.startswith(line.removesuffix("}")), (line, extended)


def check_parquet(table: WrittenTable, folder: Path) -> None:
    """Besides, the columns keep their values and types."""
    written = check_table(table, folder)
    old = pq.read_table(io.BytesIO(table.content))
    assert pq.read_table(written).select(old.column_names).equals(old, check_metadata=True)


def check_workbook(table: WrittenTable, folder: Path) -> None:
    """Besides, all cells stay as openpyxl reads them."""
    written = check_table(table, folder)
    old, new = (openpyxl.load_workbook(file) for file in (io.BytesIO(table.content), written))
    assert old.sheetnames == new.sheetnames
    for name in old.sheetnames:
        assert old[name].merged_cells == new[name].merged_cells
        for row in old[name].iter_rows():
            for cell in row:
                copy = new[name][cell.coordinate]
                assert (copy.value, copy.data_type, copy.number_format) == (
                    cell.value, cell.data_type, cell.number_format
                )  # fmt: skip


# ── Folders, archives and photos ─────────────────────────────────────────────────────────────────────────


def check_folder(folder: WrittenFolder, scratch: Path) -> None:
    """Every photo is read with its label and part, and every other file is counted."""
    write_files(folder.files, scratch / "photos")
    check_labels(scratch / "photos", folder)


def check_archive(archive: WrittenArchive, scratch: Path) -> None:
    """An archive is read as the folder in it; names in an unknown encoding at least are all there."""
    path = scratch / f"photos{archive.suffix}"
    path.write_bytes(archive.content)
    check_labels(path, archive.folder, archive.encoding in ("", "utf-8"))


def check_labels(path: Path, folder: WrittenFolder, names_are_known: bool = True) -> None:
    dataset = read(path)
    check_messages(dataset.fixes)
    assert len(dataset) == len(folder.labels)
    assert count_of(dataset.fixes, FILES_LEFT_OUT) == folder.left_out
    for index in range(len(dataset)):
        dataset.images[index]
    if names_are_known:
        parts = [""] * len(dataset) if dataset.parts is None else dataset.parts.tolist()
        classes = [dataset.targets[0].classes[i] for i in dataset.labels["label"].tolist()]
        found = {(id_, part, label) for id_, part, label in zip(dataset.ids, parts, classes, strict=True)}
        top = os.path.commonpath([os.path.dirname(name) for name in folder.labels])
        names = {name: name for name in folder.labels}
        wanted = {(name.removeprefix(f"{top}/"), *place) for name, place in folder.labels.items()}
        assert found == wanted, names


def check_photos(table: WrittenPhotos, scratch: Path) -> None:
    """Each row has the photo that its cell means, for `muslin.read` as for `muslin tag`."""
    place = {"beside": "", "images": "images", "folder": "elsewhere", "zip": "photos.zip"}[table.place]
    if table.place == "zip":
        (scratch / place).write_bytes(zip_of(table.photos, zipfile.ZIP_STORED))
    else:
        write_files(table.photos, scratch / place)
    lines = [row_text(("photo", "label"), ",")]
    lines += [row_text((cell, ("hat", "dress")[i % 2]), ",") for i, cell in enumerate(table.cells)]
    (scratch / "table.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    images = scratch / place if table.place in ("folder", "zip") else None
    dataset = read(scratch / "table.csv", images=images, target="label")
    check_messages(dataset.fixes)
    assert [photo.content() for photo in dataset.images.photos] == list(table.photos.values())
    opened = open_table(scratch / "table.csv")
    photos = table_photos(opened, images)
    found = [photos.find(row.number, row.cells) for row in opened.rows(photos.photo_columns)]
    assert [photo.image.content() for photo in found] == list(table.photos.values())


def check_conversion(folder: WrittenFolder, scratch: Path) -> None:
    """Converted to each format that holds photos, they have the same pixels, labels and parts."""
    write_files(folder.files, scratch / "photos")
    dataset = read(scratch / "photos")
    for format_ in ("parquet", "folders"):
        converted = convert(dataset, format_, scratch / f"converted.{format_}")
        assert (converted.count, converted.excluded) == (len(dataset), ())
        check_messages(converted.warnings)
        assert contents(read(converted.path)) == contents(dataset)


def contents(dataset: Dataset) -> list[tuple[str, str, bytes]]:
    """Per image its part, its label and its pixels, sorted."""
    parts = [""] * len(dataset) if dataset.parts is None else dataset.parts.tolist()
    classes = [dataset.targets[0].classes[i] for i in dataset.labels[dataset.targets[0].name].tolist()]
    return sorted(zip(parts, classes, (dataset.images[i].tobytes() for i in range(len(dataset))), strict=True))


def write_files(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def check_anything(file: tuple[str, bytes], scratch: Path) -> None:
    """Whatever a file holds, it is read or refused, alone as well as in a folder with a photo."""
    name, content = file
    write_files({name: content}, scratch)
    for action in ACTIONS:
        with suppress(MuslinError):
            use(action, scratch / name)
    write_files({"images/1.png": strategies.PHOTOS[0]}, scratch)
    with suppress(MuslinError):
        use("read", scratch)


PROPERTIES: dict[str, tuple[SearchStrategy[Any], Callable[[Any, Path], object]]] = {
    "text-tables": (strategies.text_tables(), check_text_table),
    "workbooks": (strategies.workbooks(), check_workbook),
    "json-lines": (strategies.json_lines(), check_json_lines),
    "parquet-tables": (strategies.parquet_tables(), check_parquet),
    "folders": (strategies.folders(), check_folder),
    "archives": (strategies.archives(), check_archive),
    "conversions": (strategies.folders(), check_conversion),
    "photos-in-tables": (strategies.photos_in_tables(), check_photos),
    "anything": (strategies.anything(), check_anything),
    "addresses": (address_properties.addresses(), address_properties.check_address),
    "resealed-models": (model_strategies.resealed_bundles(), model_properties.check_bundle),
    "changed-graphs": (model_strategies.changed_graphs(), model_properties.check_changed_graph),
}
"""Per name the strategy, and what is checked of a value with an empty folder for its files."""

OF_MODELS = ("resealed-models", "changed-graphs")


def check(
    name: str,
    number: int,
    examples: int,
    folder: Path,
    before: Callable[[], None] = lambda: None,
    phases: Sequence[Phase] = (Phase.generate, Phase.shrink),
) -> None:
    """Check a property with the given number of examples, which follow from the number; `before` is called before each.

    The files of the last example stay in `folder`: where it fails, those of the simplest that fails.
    """
    strategy, check_value = PROPERTIES[name]

    @seed(number)
    @settings(
        max_examples=examples, phases=phases, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def property_(value: Any) -> None:
        before()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        check_value(value, folder)

    property_()
