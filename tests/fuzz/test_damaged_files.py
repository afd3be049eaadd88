"""Damaged files of every kind are read or refused; scripts/fuzz tries many more. The faults that it found stay here."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzer import Tally, run_slice
from valid_files import KINDS, valid_files
from worker import Worker

from muslin.data import read
from muslin.data.tables import AddedColumn, open_table
from muslin.errors import DataError
from muslin.messages import LANGUAGES, Message
from refusals import refuses

INPUTS = 12
"""Of each kind."""


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_is_read_or_refused(kind: str, worker: Worker, tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    run_slice(worker, kind, range(INPUTS), tally)
    assert list(tally.failures.values()) == []
    assert tally.counts[kind].inputs >= INPUTS


# ── Found by scripts/fuzz ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", LANGUAGES)
def test_name_with_line_breaks_stays_on_one_line(language: str) -> None:
    message = Message("no_such_photo", path="a\r\nb\x1b[31m\u2028.jpg")
    assert "a\\r\\nb\\x1b[31m\\u2028.jpg" in message.text(language)


def test_parquet_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    invalid = pa.array([b"\xff.jpg", b"b.jpg"]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"image": invalid, "label": ["hat", "dress"]}), path)
    with refuses("parquet_damaged"):
        list(open_table(path).rows(["image"]))
    with refuses("parquet_damaged"):
        read(path)


def test_damage_beside_the_sheet_is_refused_on_writing(tmp_path: Path) -> None:
    """A workbook whose sheet is sound, but not its theme, which is copied."""
    content = bytearray(valid_files("xlsx").files["table.xlsx"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        theme = archive.getinfo("xl/theme/theme1.xml")
    content[theme.header_offset + 30 + len(theme.filename) + theme.compress_size // 2] ^= 0xFF
    path = tmp_path / "table.xlsx"
    path.write_bytes(content)
    table = open_table(path)
    with refuses("workbook_damaged", DataError):
        table.write_with_columns(io.BytesIO(), [AddedColumn("tag")], [("hat",)] * 6)


def test_zip_with_an_impossible_offset_is_refused(tmp_path: Path) -> None:
    content = bytearray(valid_files("zip").files["photos.zip"])
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = struct.pack("<I", 2**31)  # so that the entries' offsets become negative
    path = tmp_path / "photos.zip"
    path.write_bytes(content)
    with refuses("archive_damaged"):
        read(path)


def test_tar_with_a_damaged_header_in_the_middle_is_refused(tmp_path: Path) -> None:
    """The photos behind it were left out without a word."""
    content = bytearray(valid_files("tar").files["photos.tar"])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        content[archive.getmembers()[2].offset] ^= 1
    path = tmp_path / "photos.tar"
    path.write_bytes(content)
    with refuses("archive_damaged"):
        read(path)


def test_zip_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hat/1.jpg", b"")
        archive.infolist()[0].filename = ""
    with refuses("archive_damaged"):
        read(path)


@pytest.mark.parametrize(
    ("kind", "damage", "code"),
    [
        ("folder-with-table", lambda content: content[:-4], "csv_quote_open"),
        ("fiftyone", lambda content: content[:-5], "json_file"),
        ("image-folder-jsonl", lambda content: content[:-5], "json_line"),
        ("parquet", lambda content: content[:-5], "parquet_damaged"),
    ],
)
def test_damaged_table_beside_photos_is_not_passed_over(tmp_path: Path, kind: str, damage, code: str) -> None:
    """The folder is not read without it, as photos without labels or in folders of classes."""
    files = valid_files(kind)
    for name, content in files.files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damage(content) if name in files.damaged else content)
    with refuses(code):
        read(tmp_path)


@pytest.mark.parametrize(
    ("kind", "damage", "code"),
    [
        ("xlsx", lambda content: content[: len(content) // 2], "archive_damaged"),
        ("csv", lambda content: content[:100] + bytes(100) + content[200:], "not_a_table"),
        ("parquet", lambda content: bytes(8) + content[8:], "not_a_table"),
    ],
)
def test_damaged_table_is_called_one_by_its_name(tmp_path: Path, kind: str, damage, code: str) -> None:
    files = valid_files(kind)
    path = tmp_path / files.opened
    path.write_bytes(damage(files.files[files.opened]))
    with refuses(code):
        read(path)


@pytest.mark.parametrize("content", [b"\x1c\x1d\n", "\u3000\n".encode(), b"\xc2\x85"])
def test_file_of_unusual_blanks_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with refuses("format_not_detected"):
        read(path)


def test_one_number_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("1e999")
    with refuses("pixel_range"):
        read(path, format="pixels")
