"""Columns are added to a table, and nothing else in it changes; the journal of a tagging job."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muslin.catalogue.journal import Journal
from muslin.data.tables import AddedColumn, open_table, workbook
from muslin.errors import DataError, StorageError
from muslin.messages import Message

ADDED = (AddedColumn("tag"), AddedColumn("probability", "number"), AddedColumn("prediction_set", "list"))
ROWS = (["Shirt", 0.98765, ["Shirt", "Coat"]], [None, None, []], ["Ü; x", 1.0, ["Ü"]])


def tagged(path: Path, rows: Sequence[Any] = ROWS) -> bytes:
    file = io.BytesIO()
    open_table(path, path).write_with_columns(file, ADDED, iter(rows))
    return file.getvalue()


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        pytest.param(
            b"sku,image\n00123,a.jpg\n00124,b.jpg\n00125,c.jpg\n",
            b"sku,image,tag,probability,prediction_set\n00123,a.jpg,Shirt,0.9877,Shirt|Coat\n"
            b"00124,b.jpg,,,\n00125,c.jpg,\xc3\x9c; x,1.0000,\xc3\x9c\n",
            id="plain",
        ),
        pytest.param(
            b'\xef\xbb\xbfsku;name\r\n1;"a ""b""\r\nc"\r\n\r\n2;5" x\r\n3;',
            b'\xef\xbb\xbfsku;name;tag;probability;prediction_set\r\n1;"a ""b""\r\nc";Shirt;0.9877;Shirt|Coat\r\n\r\n'
            b'2;5" x;;;\r\n3;;"\xc3\x9c; x";1.0000;\xc3\x9c',
            id="byte order mark, CRLF, quotes over two lines, an empty line, no last line end",
        ),
        pytest.param(
            "sep=;\ngröße;b\n1;2\n3\n4;5\n".encode("cp1252"),
            (
                "sep=;\ngröße;b;tag;probability;prediction_set\n1;2;Shirt;0.9877;Shirt|Coat\n3;;;;\n"
                '4;5;"Ü; x";1.0000;Ü\n'
            ).encode("cp1252"),
            id="cp1252, Excel's first line, a row that is too short",
        ),
        pytest.param(
            b"\xff\xfe" + "a\tb\r\n1\t2\r\n3\t4\r\n5\t6\r\n".encode("utf-16-le"),
            b"\xff\xfe"
            + (
                "a\tb\ttag\tprobability\tprediction_set\r\n1\t2\tShirt\t0.9877\tShirt|Coat\r\n3\t4\t\t\t\r\n"
                "5\t6\tÜ; x\t1.0000\tÜ\r\n"
            ).encode("utf-16-le"),
            id="UTF-16",
        ),
        pytest.param(
            b'"sku","image"\n"00123","a"\n"00124","b"\n"00125","c"\n',
            b'"sku","image","tag","probability","prediction_set"\n"00123","a","Shirt","0.9877","Shirt|Coat"\n'
            b'"00124","b","","",""\n"00125","c","\xc3\x9c; x","1.0000","\xc3\x9c"\n',
            id="everything in quotes",
        ),
        pytest.param(
            b"Autumn 2024\n\nsku,image\n1,a\n2,b\n3,c\n",
            b"Autumn 2024\n\nsku,image,tag,probability,prediction_set\n1,a,Shirt,0.9877,Shirt|Coat\n2,b,,,\n"
            b"3,c,\xc3\x9c; x,1.0000,\xc3\x9c\n",
            id="a title above the header",
        ),
        pytest.param(
            b"1.jpg,x\r\n2.jpg,y\r\n3.jpg,x",
            b"column 1,column 2,tag,probability,prediction_set\r\n1.jpg,x,Shirt,0.9877,Shirt|Coat\r\n2.jpg,y,,,\r\n"
            b"3.jpg,x,\xc3\x9c; x,1.0000,\xc3\x9c",
            id="no header, which is added",
        ),
        pytest.param(
            b'sku,name\n1,"a", b\n2,c,,,\n,\nsku,name\n3,d,e\n',
            b'sku,name,tag,probability,prediction_set\n1,"""a"", b",Shirt,0.9877,Shirt|Coat\n2,c,,,,,,\n,,,,\n'
            b'sku,name,tag,probability,prediction_set\n3,"d,e",\xc3\x9c; x,1.0000,\xc3\x9c\n',
            id="rows that are too long, an empty one, a second header",
        ),
        pytest.param(
            b'"sku","name"\n"1","a","x"\n"2","b","y"\n"3","c","z"\n',
            b'"column 1","sku","name","tag","probability","prediction_set"\n"1","a","x","Shirt","0.9877","Shirt|Coat"\n'
            b'"2","b","y","","",""\n"3","c","z","\xc3\x9c; x","1.0000","\xc3\x9c"\n',
            id="names of rows, as R writes them",
        ),
        pytest.param(
            "\ufeffsep=\t\r\na\tb\r\n1\t2\r\n3\t4\r\n5\t6\r\n\x1a".encode(),
            "\ufeffsep=\t\r\na\tb\ttag\tprobability\tprediction_set\r\n1\t2\tShirt\t0.9877\tShirt|Coat\r\n3\t4\t\t\t\r\n"
            "5\t6\tÜ; x\t1.0000\tÜ\r\n\x1a".encode(),
            id="Excel's first line with a tab, and Ctrl-Z",
        ),
    ],
)
def test_csv_keeps_every_byte_before_the_new_cells(original: bytes, expected: bytes, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(original)
    written = tagged(path)
    assert written == expected
    remaining = iter(written)
    assert all(byte in remaining for byte in original)
    path.with_name("again.csv").write_bytes(written)
    first, again = open_table(path), open_table(path.with_name("again.csv"))
    assert again.columns == (*first.columns, "tag", "probability", "prediction_set")
    cells = [[row.cells for row in table.rows(first.columns)] for table in (first, again)]
    assert cells[0] == cells[1]


@given(
    cells=st.lists(
        st.lists(st.text(alphabet="aß0 =,;\"'\n\r\t", max_size=5), min_size=3, max_size=3), min_size=1, max_size=5
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_csv_with_any_cells_is_valid_csv_again(
    cells: list[list[str]], end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import csv

    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["one", "two", "three"], *cells])
    path = tmp_path_factory.mktemp("any") / "catalogue.csv"
    path.write_bytes(text.getvalue().encode())
    added = ["=x,\ny", 0.5, ["p", 'q"']]
    written = tagged(path, [added] * sum(any(map(str.strip, row)) for row in cells)).decode()
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert rows[0] == ["one", "two", "three", "tag", "probability", "prediction_set"]
    new_cells = ["'=x,\ny", "0.5000", 'p|q"']
    assert rows[1:] == [[*row, *(new_cells if any(map(str.strip, row)) else [""] * 3)] for row in cells]


def test_tags_are_never_formulas_in_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(b"a,b\n=1+1,2\n")
    written = tagged(path, [["=cmd|' /C calc'!A0", 0.5, ["@x", "-y"]]])
    assert written.splitlines()[1] == b"=1+1,2,'=cmd|' /C calc'!A0,0.5000,'@x|-y"


def test_open_quote_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(b'a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(DataError) as error:
        list(open_table(path, path).rows(["a"]))
    assert (error.value.code, error.value.params["line"]) == ("csv_quote_open", 3)


def test_json_lines_keep_their_bytes_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.jsonl"
    path.write_bytes(b'{"sku": "00123", "price": 1.50}\n\n{}\r\n{"image":"x"}')
    assert list(open_table(path, path).rows(["sku", "image"])) == [(1, ("00123", "")), (4, ("", "x"))]
    lines = tagged(path, ROWS[::2]).split(b"\n")
    assert lines[0] == (
        b'{"sku": "00123", "price": 1.50, "tag": "Shirt", "probability": 0.9877, "prediction_set": ["Shirt", "Coat"]}'
    )
    assert lines[1:3] == [b"", b"{}\r"]
    assert lines[3].startswith(b'{"image":"x", "tag": "')


def test_parquet_keeps_types_metadata_and_compression(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.parquet"
    table = pa.table(
        {"sku": pa.array(["00123", "00124", "00125"]).dictionary_encode(), "price": pa.array([1, None, 3], pa.int16())}
    ).replace_schema_metadata({"shop": "ours"})
    pq.write_table(table, path, compression="zstd")
    written = pa.BufferReader(tagged(path))
    read = pq.read_table(written)
    assert read.select(["sku", "price"]).equals(table)
    assert read.schema.metadata[b"shop"] == b"ours"
    assert read.column("tag").to_pylist() == ["Shirt", None, "Ü; x"]
    assert read.column("probability").to_pylist() == [0.9877, None, 1.0]
    assert read.column("prediction_set").to_pylist() == [["Shirt", "Coat"], None, ["Ü"]]
    assert pq.ParquetFile(written).metadata.row_group(0).column(0).compression == "ZSTD"


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write_workbook(path: Path, prefix: str = "") -> bytes:
    """A sheet as Excel writes it: shared strings, a style, hints of its width, a formula, empty rows; and notes."""
    declared = f"xmlns:{prefix}" if prefix else "xmlns"
    p = f"{prefix}:" if prefix else ""
    sheet = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n<{p}worksheet {declared}="{MAIN}">'
        f'<{p}dimension ref="A1:C5"/><{p}sheetData>'
        f'<{p}row r="1" spans="1:3"><{p}c r="A1" s="7" t="s"><{p}v>0</{p}v></{p}c>'
        f'<{p}c r="B1" t="s"><{p}v>1</{p}v></{p}c><{p}c r="C1" t="inlineStr"><{p}is><{p}t>price</{p}t></{p}is></{p}c>'
        f"</{p}row>"
        f'<{p}row r="2" spans="1:3"><{p}c r="A2" t="s"><{p}v>2</{p}v></{p}c><{p}c r="B2"><{p}v>1163</{p}v></{p}c>'
        f'<{p}c r="C2"><{p}f>1+1</{p}f><{p}v>2</{p}v></{p}c></{p}row>'
        f'<{p}row r="3"/><{p}row r="4"><{p}c r="A4" s="7"/></{p}row>'
        f'<{p}row r="5"><{p}c r="B5" t="s"><{p}v>3</{p}v></{p}c></{p}row>'
        f"</{p}sheetData></{p}worksheet>"
    ).encode()
    strings = ["SKU", "image", "00123", "tee &amp; top.jpg"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{REL}"><sheets><sheet name="Old" state="hidden" r:id="rId9"/>'
            '<sheet name="Products" r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="x"><Relationship Id="rId1" Target="worksheets/sheet2.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/sharedStrings.xml",
            f'<sst xmlns="{MAIN}">' + "".join(f"<si><t>{text}</t></si>" for text in strings) + "</sst>",
        )
        archive.writestr("xl/worksheets/sheet2.xml", sheet)
        archive.writestr("xl/comments1.xml", "<comments>kept</comments>")
    return sheet


@pytest.mark.parametrize("prefix", ["", "x"])
@pytest.mark.parametrize("block_bytes", [5, 2**18])
def test_workbook_keeps_its_xml_and_gets_cells_in_each_row(
    prefix: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "catalogue.xlsx"
    sheet = write_workbook(path, prefix)
    table_file = open_table(path, path)
    assert table_file.columns == ("SKU", "image", "price")
    assert list(table_file.rows(["SKU", "image"])) == [(2, ("00123", "1163")), (5, ("", "tee & top.jpg"))]
    with zipfile.ZipFile(io.BytesIO(tagged(path, ROWS[1:]))) as written, zipfile.ZipFile(path) as before:
        assert written.namelist() == before.namelist()
        assert written.read("xl/comments1.xml") == b"<comments>kept</comments>"
        xml = written.read("xl/worksheets/sheet2.xml")
    added = {
        place: (cell.get("t"), "".join(cell.itertext()))
        for cell in ElementTree.fromstring(xml).iter(f"{{{MAIN}}}c")
        if (place := cell.get("r", ""))[0] > "C"
    }
    assert added == {
        "D1": ("inlineStr", "tag"),
        "E1": ("inlineStr", "probability"),
        "F1": ("inlineStr", "prediction_set"),
        "D5": ("inlineStr", "Ü; x"),
        "E5": (None, "1.0000"),
        "F5": ("inlineStr", "Ü"),
    }
    p = f"{prefix}:".encode() if prefix else b""
    for cell in [b"D1", b"E1", b"F1", b"D5", b"E5", b"F5"]:
        start = xml.index(b'<%sc r="%s"' % (p, cell))
        end = xml.index(b"</%sc>" % p, start) + len(b"</%sc>" % p)
        xml = xml[:start] + xml[end:]
    assert xml == sheet.replace(b' spans="1:3"', b"").replace(b"A1:C5", b"A1:F5")


def test_workbook_with_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.xlsx"
    write_workbook(path)
    content = {}
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["xl/worksheets/sheet2.xml"] = (
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData>&a;</sheetData></worksheet>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    with pytest.raises(DataError) as error:
        open_table(path, path)
    assert error.value.code == "workbook_damaged"


@pytest.mark.parametrize(
    ("content", "code", "params"),
    [
        (b"", "table_empty", {}),
        (b"\x1f\x8b\x08", "gzip_cut_off", {}),
        (b"<html>", "not_a_table", {"found": Message("file_is_html")}),
        (b"\xd0\xcf\x11\xe0\xa1", "not_a_table", {"found": Message("file_is_xls")}),
        (b"PK\x03\x04nonsense", "archive_damaged", {}),
        (b"PAR1nonsense", "parquet_damaged", {}),
        (b'{"a": 1}\n{"a"\n', "json_line", {"line": 2}),
        (b"\x00\x01\x02", "not_a_table", {"found": Message("file_is_binary")}),
        (b"\xff\xfea", "text_encoding", {"byte": 2}),
    ],
)
def test_other_files_are_refused(content: bytes, code: str, params: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "catalogue"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        open_table(path, tmp_path / "out")
    assert error.value.code == code
    assert error.value.params.items() >= {"path": str(path), **params}.items()


@pytest.mark.parametrize("name", ["out.xlsx", "out.pdf", "out.csv.gz", "out.csv.bak"])
def test_table_is_not_written_in_another_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError) as error:
        open_table(path, tmp_path / name)
    assert error.value.code == "output_kind_differs"
    assert error.value.params["path"] == str(tmp_path / name)


@pytest.mark.parametrize(("name", "copy"), [("shop.dat", "out.dat"), ("shop.csv", "out.TSV"), ("shop", "out")])
def test_table_is_written_with_its_own_or_no_suffix(tmp_path: Path, name: str, copy: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    assert open_table(tmp_path / name, tmp_path / copy).columns == ("a", "b")


def test_journal_with_a_torn_end_keeps_its_valid_rows(tmp_path: Path) -> None:
    path, inputs = tmp_path / "out.partial", {"catalogue": "x"}
    with Journal(path, inputs, resume=False) as journal:
        journal.add([["Ü", 0.5, None], ["a\nb", None, ["c"]]])
        journal.add([["d", 0.25, None]])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with Journal(path, inputs, resume=True) as journal:
            assert list(journal.rows()) == [["Ü", 0.5, None], ["a\nb", None, ["c"]], ["d", 0.25, None]][: journal.count]
            if journal.count == 0:
                journal.add([["Ü", 0.5, None], ["a\nb", None, ["c"]]])
            if journal.count == 2:
                journal.add([["d", 0.25, None]])
        assert path.read_bytes() == whole


def test_journal_belongs_to_one_job_and_one_process(tmp_path: Path) -> None:
    path = tmp_path / "out.partial"
    with Journal(path, {"catalogue": "x", "model": "y"}, resume=False) as journal:
        journal.add([["a"]])
        with pytest.raises(StorageError) as error:
            Journal(path, {"catalogue": "x", "model": "y"}, resume=True)
        assert error.value.code == "journal_locked"
    with pytest.raises(DataError) as not_resumed:
        Journal(path, {"catalogue": "x", "model": "y"}, resume=False)
    assert (not_resumed.value.code, not_resumed.value.params["count"]) == ("job_not_resumed", 1)
    with pytest.raises(DataError) as changed:
        Journal(path, {"catalogue": "x", "model": "z"}, resume=True)
    assert (changed.value.code, changed.value.params["names"]) == ("job_inputs_changed", ["model"])


def test_journal_never_overwrites_another_file(tmp_path: Path) -> None:
    path = tmp_path / "out.partial"
    path.write_text("my own notes\n")
    with pytest.raises(StorageError) as error:
        Journal(path, {"catalogue": "x"}, resume=True)
    assert error.value.code == "not_a_journal"
    assert path.read_text() == "my own notes\n"
