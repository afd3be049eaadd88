"""Small files that ask for much are read or refused within 1 GB, and a file's size bounds what is read of it."""

import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_files import CSV, HOSTILE, JSON_ROW, write_hostile
from worker import Worker

from muslin.data import expansion, read
from muslin.data.gzip_files import BEGINNING_BYTES, open_data_file, read_head
from muslin.data.open_cache import open_cache
from muslin.data.tables import AddedColumn, delimited, json_document, open_table, parquet, workbook_xml
from muslin.errors import ImageError
from refusals import refuses

REFUSED = {
    "xlsx-rows": (100_000, "workbook_too_large"),
    "xlsx-cells": (100_000, "workbook_too_large"),
    "xlsx-unknown-elements": (100_000, "workbook_too_large"),
    "xlsx-strings": (100_000, "workbook_too_large"),
    "xlsx-nested-strings": (200, "workbook_damaged"),
    "xlsx-merged": (2_000, "workbook_too_large"),
    "xlsx-attribute": (20_000_000, "workbook_damaged"),
    "xlsx-attributes": (20_000, "workbook_damaged"),
    "xlsx-comment": (20_000_000, "workbook_damaged"),
    "xlsx-parts": (20, "archive_expands"),
    "csv-empty-lines": (100_000, "too_many_rows"),
    "csv-blank-rows": (100_000, "too_many_rows"),
    "csv-rows": (10_000, "too_many_rows"),
    "csv-named-columns": (300_000, "too_many_columns"),
    "csv-quoted-lines": (100_000, "csv_quote_open"),
    "csv-fractions": (400, "too_many_cells"),
    "jsonl-rows": (10_000, "too_many_rows"),
    "jsonl-empty-lines": (100_000, "too_many_rows"),
    "jsonl-keys": (20_000, "too_many_columns"),
    "jsonl-new-keys": (2_000, "too_many_cells"),
    "jsonl-long-line": (100_000, "too_many_rows"),
    "jsonl-long-keys": (2, "json_line"),
    "json-lists": (7_000_000, "content_too_large"),
    "json-keys": (10_000, None),
    "json-new-keys": (20_000, "too_many_columns"),
    "json-pandas": (1_000, "too_many_cells"),
    "json-deep": (100_000, "json_file"),
    "parquet-rows": (50_000, "too_many_rows"),
    "parquet-lists": (500_000, "too_many_cells"),
    "zip-entries": (300, "archive_too_many_files"),
    "zip-overlapping": (50, "archive_expands"),
    "zip-deep-names": (1, "archive_entry_deep"),
    "tar-entries": (1_000, "archive_too_many_files"),
    "tar-pax-name": (10_000, "archive_entry_deep"),
    "tar-file": (2_000_000, "content_too_large"),
    "gzip-members": (200, "gzip_members"),
}
"""Per kind a size that is beyond the limits of the test, and the code of the error; None where it is read."""


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FREE_BYTES": 2**20,
        "FREE_ITEMS": 500,
        "FREE_CELLS": 4_000,
        "FREE_ENTRIES": 100,
        "FREE_MEMBERS": 100,
    }.items():
        monkeypatch.setattr(expansion, name, value)
    monkeypatch.setattr(workbook_xml, "FREE_ELEMENTS", 500)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("kind", REFUSED)
def test_file_beyond_its_limits_is_refused(kind: str, tmp_path: Path) -> None:
    size, code = REFUSED[kind]
    path = write_hostile(kind, size, tmp_path)
    if code is None:
        assert len(read(path, all_targets=True)) == 2
        return
    with refuses(code):
        read(path, all_targets=True)


@pytest.mark.parametrize(("name", "row"), [("table.csv", b"\n"), ("table.csv", b",\n"), ("table.jsonl", b"{}\n")])
def test_plain_table_of_empty_rows_is_refused(
    name: str, row: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "MAX_EMPTY_ROWS", 1_000)
    (tmp_path / name).write_bytes((CSV if name == "table.csv" else JSON_ROW) + row * 1_001)
    with refuses("too_many_empty_rows", path=str(tmp_path / name)):
        list(open_table(tmp_path / name).rows(["image"]))


def test_json_of_too_many_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_document, "MAX_MEMORY_MB", 1)
    with refuses("json_memory"):
        read(write_hostile("json-keys", 20_000, tmp_path))


@pytest.mark.parametrize("document", ["[%s]", '{"images": [%s]}'])
def test_json_of_too_many_entries_is_refused(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry takes more as a row than its values do in the document."""
    monkeypatch.setattr(json_document, "MAX_MEMORY_MB", 2)
    path = tmp_path / "table.json"
    for count in (1_000, 3_000):
        path.write_text(document % ",".join(['{"image": "1.jpg"}'] * count))
        if count == 1_000:
            assert len(list(open_table(path).rows(["image"]))) == count
            continue
        with refuses("json_memory", path=str(path)):
            open_table(path)


def test_elements_of_a_workbook_are_counted_before_they_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook_xml, "FREE_ELEMENTS", 1_000)
    path = write_hostile("xlsx-filled-cells", 100_000, tmp_path)
    budget = workbook_xml.XmlBudget(path)
    with zipfile.ZipFile(path) as archive, refuses("workbook_too_large"):
        budget.check_part(archive, "xl/worksheets/sheet1.xml")
    budget.add(1_000)  # none of its elements is counted yet


def test_workbook_is_checked_whole_before_it_is_tagged(tmp_path: Path) -> None:
    path = write_hostile("xlsx-damaged-part", 10_000, tmp_path)
    assert len(read(path)) == 2
    with refuses("workbook_damaged"):
        open_table(path, tmp_path / "out.xlsx")


@pytest.mark.parametrize(
    ("limit", "code"), [("MAX_LEAVES", "too_many_columns"), ("MAX_FOOTER_BYTES", "parquet_footer")]
)
def test_parquet_of_too_many_columns_is_not_opened(
    limit: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hostile("parquet-columns", 40, tmp_path)
    assert len(read(path, target="c0")) == 2
    monkeypatch.setattr(parquet, limit, 40)
    with refuses(code, path=str(path)):
        read(path, target="c0")
    with refuses(code), parquet.open_parquet(path):
        pass


def test_parquet_of_one_long_text_is_read_but_not_copied(tmp_path: Path) -> None:
    """Each of its cells is the same text of 1 MB: 2 MB to read, and 5 GB to copy."""
    path = write_hostile("parquet-dictionary", 5_000, tmp_path)
    cells = {row.cells for row in open_table(path).rows(["label"])}
    assert [len(cell) for (cell,) in cells] == [2**20]
    with refuses("content_too_large"):
        open_table(path, tmp_path / "out.parquet")


def test_parquet_whose_photos_recur_too_often_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its photos is the same file of 1 MB; a large file is refused when its photos are read."""
    few = read(write_hostile("parquet-photo-dictionary", 50, tmp_path), all_targets=True)
    with refuses("not_an_image"):
        few.images[49]
    with refuses("content_too_large"):
        read(write_hostile("parquet-photo-dictionary", 100, tmp_path), all_targets=True)
    monkeypatch.setattr(parquet, "FREE_BYTES", 0)
    many = read(tmp_path / "table.parquet", all_targets=True)
    for index in (0, 99):
        with refuses("content_too_large", ImageError):
            many.images[index]


def test_gzip_of_too_much_content_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "FREE_BYTES", 2**22)
    path = write_hostile("csv-nul", 2**24, tmp_path)
    with open_cache():
        for longest in (expansion.max_content_bytes(path.stat().st_size), BEGINNING_BYTES):
            with refuses("content_too_large"), open_data_file(path) as file:
                read_bytes = 0
                while block := file.read1(2**16):
                    read_bytes += len(block)
            assert longest - 2**16 <= read_bytes <= longest
        assert len(read_head(path, 2**16)) == 2**16


def test_line_that_is_too_long_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_TEXT_CHARACTERS", 1_000)
    (tmp_path / "table.csv").write_bytes(CSV + b"1.jpg," + b"a" * 1_000 + b"\n")
    with refuses("csv_line"):
        list(open_table(tmp_path / "table.csv").rows(["image"]))


def test_copied_parquet_keeps_types_of_texts_that_recur(tmp_path: Path) -> None:
    texts = pa.array(["hat", None, "dress", "hat"]).dictionary_encode()
    lists = pa.array([["a", "b"], None, [], ["b"]], pa.list_(pa.string()))
    table = pa.table({"plain": texts.cast(pa.string()), "categories": texts, "lists": lists})
    pq.write_table(table, tmp_path / "table.parquet")
    with (tmp_path / "out.parquet").open("wb") as file:
        open_table(tmp_path / "table.parquet").write_with_columns(file, [AddedColumn("tag")], [("x",)] * 4)
    assert pq.read_table(tmp_path / "out.parquet").drop(["tag"]).equals(table)


@pytest.mark.skipif("MUSLIN_FULL_SIZE" not in os.environ, reason="takes minutes; scripts/fuzz --full-size runs it")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_is_read_or_refused(kind: str, worker: Worker, tmp_path: Path) -> None:
    """Within the limits of processor time and memory of a worker."""
    outcome = worker.run("read", write_hostile(kind, None, tmp_path))
    assert outcome.result != "failed", outcome
