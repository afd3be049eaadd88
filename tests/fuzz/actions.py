"""What is done with a file: open it in every way, use all that it holds, and check what is said about it."""

import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from muslin.data import read
from muslin.data.dataset import Dataset
from muslin.data.formats import FORMATS
from muslin.data.tables import AddedColumn, open_table
from muslin.data.tables.dataset_table import DatasetTable
from muslin.data.tables.json_document import JsonDocument
from muslin.data.tables.new_table import NewTable
from muslin.errors import ImageError, MuslinError
from muslin.images import decode
from muslin.messages import LANGUAGES, Message

ADDED = (AddedColumn("tag"), AddedColumn("tag probability", "number"), AddedColumn("tag prediction set", "list"))
"""Columns as `muslin tag` adds them."""

LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def decode_image(path: Path) -> str:
    """Its size; decoded also as a reduced JPEG."""
    decoded = decode(path)
    decode(path, min_side_px=8)
    check_messages(decoded.notes)
    height, width, channels = decoded.pixels.shape
    return f"{width}×{height}×{channels}"


def open_dataset(path: Path) -> str:
    """The number of its images, and how many were refused when they were decoded."""
    try:
        dataset = read(path)
    except MuslinError as error:
        check_messages([error.message])
        dataset = read(path, all_targets=True)
    return _use_dataset(dataset)


def open_in_each_format(path: Path) -> str:
    """How many formats read it when `--format` says so."""
    found = 0
    for row in FORMATS:
        try:
            _use_dataset(read(path, format=row.name, all_targets=True))
            found += 1
        except MuslinError as error:
            check_messages([error.message])
    return f"{found} of {len(FORMATS)} formats"


def _use_dataset(dataset: Dataset) -> str:
    check_messages(dataset.fixes)
    unreadable = 0
    photos = getattr(dataset.images, "photos", range(len(dataset)))
    for index in {photo: index for index, photo in enumerate(photos)}.values():  # each once, however often it recurs
        try:
            dataset.images[index]
        except ImageError as error:
            check_messages([error.message])
            unreadable += 1
    assert len(dataset.ids) == len(dataset)
    assert len(set(dataset.ids)) == len(dataset)
    for target in dataset.targets:
        assert len(dataset.labels[target.name]) == len(dataset)
    _ = dataset.fingerprint
    for suffix in NewTable.suffixes:
        table = DatasetTable(dataset, Path("data"), Path(f"written{suffix}"))
        table.write_with_columns(io.BytesIO(), ADDED, [("hat", 0.98765, ("hat", "dress"))] * len(dataset))
    return f"{len(dataset)} images, {unreadable} unreadable, {len(dataset.fixes)} fixes"


def open_as_table(path: Path) -> str:
    """The number of its rows; written with columns, the table has them all again."""
    table = open_table(path)
    tables = [table]
    if isinstance(table, JsonDocument):  # which is written as a new table
        tables = [open_table(path, path.with_name(f"written{suffix}")) for suffix in NewTable.suffixes]
    rows = list(table.rows(table.columns))
    check_messages(table.fixes)
    for table in tables:
        table.check_copy()
        table.write_with_columns(io.BytesIO(), ADDED, [("hat", 0.98765, ("hat", "dress"))] * len(rows))
    return f"{len(rows)} rows of {len(table.columns)} columns"


def check_messages(messages: Iterable[str]) -> None:
    """Each is one line that can be printed, and data that can be written, in every language."""
    for message in messages:
        assert isinstance(message, Message), message
        for language in LANGUAGES:
            text = message.text(language)
            text.encode("utf-8", "surrogateescape")
            assert not LINE_ENDS.search(text), f"a message of several lines: {text!r}"
            assert "{" not in message.code
            json.dumps(message.to_dict(language))


ACTIONS: dict[str, Callable[[Path], str]] = {
    "decode": decode_image,
    "read": open_dataset,
    "formats": open_in_each_format,
    "table": open_as_table,
}


def use(action: str, path: Path) -> str:
    """What came of the action; its MuslinError is checked, and raised again."""
    try:
        return ACTIONS[action](path)
    except MuslinError as error:
        check_messages([error.message])
        raise
