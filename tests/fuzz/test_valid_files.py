"""Properties of every valid table, folder and archive, and the faults that scripts/fuzz found with them."""

import zipfile
from pathlib import Path

import pytest
from properties import OF_MODELS, PROPERTIES, check
from strategies import PHOTOS

from muslin.data import read
from muslin.data.tables import open_table

EXAMPLES = 60
"""Of each kind."""


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name not in OF_MODELS])
def test_nothing_is_lost_in_silence(name: str, tmp_path: Path) -> None:
    check(name, 0, EXAMPLES, tmp_path / "files")


# ── Found by scripts/fuzz ────────────────────────────────────────────────────────────────────────────────


def rows_of(path: Path, content: str) -> list[tuple[object, ...]]:
    path.write_text(content)
    table = open_table(path)
    return [row.cells for row in table.rows(table.columns)]


def test_sparse_first_row_without_header_is_no_title(tmp_path: Path) -> None:
    content = ",hat,,a.jpg\n,hat,blue,b.jpg\n1,hat,blue,c.jpg\n,hat,,d.jpg\n"
    assert len(rows_of(tmp_path / "table.csv", content)) == 4


def test_last_column_that_is_mostly_empty_stays_without_header(tmp_path: Path) -> None:
    content = "a.jpg,hat,\nb.jpg,hat,\nc.jpg,hat,torn\nd.jpg,hat,\n"
    assert rows_of(tmp_path / "table.csv", content)[2] == ("c.jpg", "hat", "torn")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_of_one_name_in_an_archive_are_counted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name, content in zip(("hat/1.png", "dress/1.png", "hat/1.png"), PHOTOS, strict=False):
            archive.writestr(name, content)
    dataset = read(tmp_path / "photos.zip")
    (fix,) = dataset.fixes
    assert (len(dataset), fix.code, fix.params["names"]) == (2, "archive_files_replaced", ["hat/1.png"])
