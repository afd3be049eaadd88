"""One rule for every folder that is read: a link in it that leads outside is named, and not opened."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valid_files import DATA_SETS, valid_files

from muslin.data import read
from muslin.errors import MuslinError

OPENED: list[str] = []
"""The real paths of all files that Python opened."""


def _record(event: str, args: Any) -> None:
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
        OPENED.append(os.path.realpath(os.fsdecode(args[0])))


@pytest.fixture(scope="module", autouse=True)
def audit_hook() -> None:
    sys.addaudithook(_record)  # it cannot be removed


def folders_with_a_link(kind: str, top: Path) -> Iterator[tuple[str, Path]]:
    """The files of a data set by name, each time with another one moved out of the folder and linked to."""
    files = valid_files(kind).files
    for number, name in enumerate(files):
        folder, outside = top / str(number) / "shop", top / str(number) / "private"
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        outside.mkdir()
        (folder / name).rename(outside / Path(name).name)
        (folder / name).symlink_to(outside / Path(name).name)
        yield name, folder


def fixes_or_error(folder: Path, target: str | None) -> tuple[set[str], MuslinError | None]:
    """The codes of what reading a folder mended; or the error with which it, or an image of it, was refused."""
    try:
        dataset = read(folder, target=target)
        for index in range(len(dataset)):
            dataset.images[index]
    except MuslinError as error:
        return set(), error
    return {fix.code for fix in dataset.fixes}, None


@pytest.mark.parametrize("kind", DATA_SETS)
def test_a_link_out_of_a_folder_is_named_and_not_opened(kind: str, tmp_path: Path) -> None:
    top = tmp_path.resolve()
    for name, folder in folders_with_a_link(kind, top):
        OPENED.clear()
        has_tags = kind == "jsonl" and name.endswith(".jpg")  # in its table, beside the labels
        codes, error = fixes_or_error(folder, "label" if has_tags else None)
        if error:
            assert error.code.endswith("outside"), (name, error)
            assert Path(name).name in repr(error.params), (name, error)
        else:  # boxes are read where photos are to be cropped
            assert codes & {"links_outside", "photos_outside"} or "bbox" in name, (name, codes)
        assert not [path for path in OPENED if Path(path).is_relative_to(folder.parent / "private")], name
