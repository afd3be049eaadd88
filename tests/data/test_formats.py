"""The table of formats."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from photo_files import write_folders

from command_line import invoke
from muslin.data import read
from muslin.data.formats import FORMATS, Format
from muslin.data.reader import ReadArguments
from muslin.errors import DataError


@pytest.mark.parametrize("row", FORMATS, ids=[row.name for row in FORMATS])
def test_row_is_complete(row: Format) -> None:
    assert row.description
    assert list(signature(row.detect).parameters) == ["path"]
    assert list(signature(row.read).parameters) == ["path", "options", "log"]
    assert set(row.options) <= ReadArguments.__annotations__.keys()
    if row.writer:  # what it makes is named a file or a folder
        first, _, last = signature(row.write).parameters
        assert (first, last) == ("dataset", "log")


def test_convert_offers_each_format_with_a_writer(capfd: Any) -> None:
    writers = [row.writer for row in FORMATS if row.writer]
    assert sorted(writers) == ["csv", "folders", "idx", "parquet"]
    assert f"One of: {', '.join(writers)}." in " ".join(invoke(capfd, "convert", "--help").out.split())


def test_names_and_modules_are_distinct() -> None:
    assert len({row.name for row in FORMATS}) == len({row.module for row in FORMATS}) == len(FORMATS)


def test_option_that_the_format_does_not_read_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path / "photos", {"train": 1})
    with pytest.raises(DataError) as error:
        read(tmp_path / "photos", target="label", group="person")
    assert error.value.code == "format_option_unused"
    assert error.value.params["format"] == "folders"
    assert error.value.params["options"] == ["target", "group"]


def test_unknown_format_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, format="folder")
    assert (error.value.code, error.value.params["nearest"]) == ("format_unknown", "folders")
