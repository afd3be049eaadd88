"""Small files that ask for much work or memory, by kind: each with a photo beside it, so that a reader goes on.

The size says how many rows, columns, entries, strings or bytes the file has, whatever it takes on the disk.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from valid_files import encoded, picture

BLOCK_BYTES = 2**20
"""Of repeated content, written at once."""

PHOTO = encoded(picture(), "JPEG", quality=70)

WORKBOOK = {
    "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    "xl/_rels/workbook.xml.rels": (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        b'<Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        b'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        b'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        b'<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>'
    ),
}
"""The parts of a workbook with one sheet."""

NAMESPACE = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
FIRST_ROWS = (
    b'<row><c t="inlineStr"><is><t>image</t></is></c><c t="inlineStr"><is><t>label</t></is></c></row>'
    b'<row><c t="inlineStr"><is><t>1.jpg</t></is></c><c t="inlineStr"><is><t>hat</t></is></c></row>'
    b'<row><c t="inlineStr"><is><t>2.jpg</t></is></c><c t="inlineStr"><is><t>dress</t></is></c></row>'
)


@dataclass(frozen=True)
class Repeated:
    """`start`, `count` times `middle`, and `end`: content that is never in memory as a whole."""

    start: bytes = b""
    middle: bytes = b""
    count: int = 0
    end: bytes = b""

    def blocks(self) -> Iterator[bytes]:
        per_block = max(BLOCK_BYTES // max(len(self.middle), 1), 1)
        block = self.middle * per_block
        yield self.start
        for _ in range(self.count // per_block):
            yield block
        yield self.middle * (self.count % per_block)
        yield self.end


Content = bytes | Repeated
Files = dict[str, bytes]


def blocks_of(content: Content) -> Iterable[bytes]:
    return (content,) if isinstance(content, bytes) else content.blocks()


def gzipped(content: Content) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return b"".join(map(packer.compress, blocks_of(content))) + packer.flush()


def zipped(parts: dict[str, Content]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in parts.items():
            with archive.open(zipfile.ZipInfo(name), "w") as entry:
                entry._compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
                entry._zinfo.compress_type = zipfile.ZIP_DEFLATED
                for block in blocks_of(content):
                    entry.write(block)
    return file.getvalue()


# ── Workbooks ────────────────────────────────────────────────────────────────────────────────────────────


def sheet(before: bytes = b"", rows: Content = b"", after: bytes = b"") -> Repeated:
    """A sheet with two rows, and what stands before them, behind them, and behind all rows."""
    head = b"<worksheet " + NAMESPACE + b">" + before + b"<sheetData>" + FIRST_ROWS
    tail = b"</sheetData>" + after + b"</worksheet>"
    if isinstance(rows, bytes):
        return Repeated(head + rows + tail)
    return Repeated(head + rows.start, rows.middle, rows.count, rows.end + tail)


def workbook(parts: dict[str, Content]) -> Files:
    """A workbook in which no part deflates to less than a 200th, because of a comment that does not deflate."""
    return {
        "table.xlsx": zipped(
            {**WORKBOOK, "xl/worksheets/sheet1.xml": sheet(), **{n: _padded(c) for n, c in parts.items()}}
        )
    }


def _padded(content: Content) -> Content:
    if isinstance(content, bytes):
        return content
    size = len(content.start) + len(content.middle) * content.count
    digits = Random(0).randbytes(size // 150).hex().encode()
    comment = b"".join(b"<!--" + digits[i : i + 2**16] + b"-->" for i in range(0, len(digits), 2**16))
    return Repeated(content.start, content.middle, content.count, content.end + comment)


def _sheet_file(content: Content) -> Files:
    return workbook({"xl/worksheets/sheet1.xml": content})


def xlsx_rows(count: int) -> Files:
    return _sheet_file(sheet(rows=Repeated(middle=b"<row/>", count=count)))


def xlsx_cells(count: int) -> Files:
    row = b"<row>" + b"<c/>" * 1000 + b"</row>"
    return _sheet_file(sheet(rows=Repeated(middle=row, count=count // 1000)))


def xlsx_filled_cells(count: int) -> Files:
    row = b"<row>" + b"<c><v>1</v></c>" * 1000 + b"</row>"
    return _sheet_file(sheet(rows=Repeated(middle=row, count=count // 1000)))


def xlsx_unknown_elements(count: int) -> Files:
    return _sheet_file(sheet(after=b"", before=b"", rows=Repeated(b"<row>", b"<x/>", count, b"</row>")))


def xlsx_nested_elements(count: int) -> Files:
    return _sheet_file(sheet(rows=Repeated(b"<row>", b"<x>", count)))


def xlsx_nested_strings(count: int) -> Files:
    return workbook({"xl/sharedStrings.xml": Repeated(b"<sst " + NAMESPACE + b">", b"<si>", count)})


def xlsx_strings(count: int) -> Files:
    return workbook({"xl/sharedStrings.xml": Repeated(b"<sst " + NAMESPACE + b">", b"<si/>", count, b"</sst>")})


def xlsx_attribute(size: int) -> Files:
    return _sheet_file(sheet(rows=Repeated(b'<row x="', b"a", size, b'"></row>')))


def xlsx_attributes(count: int) -> Files:
    names = b"".join(b' a%d=""' % i for i in range(count))
    return _sheet_file(sheet(rows=b"<row" + names + b"/>"))


def xlsx_comment(size: int) -> Files:
    return _sheet_file(sheet(rows=Repeated(b"<!--", b"a", size, b"-->")))


def xlsx_cell_text(size: int) -> Files:
    return _sheet_file(sheet(rows=Repeated(b'<row><c t="str"><v>', b"a", size, b"</v></c></row>")))


def xlsx_one_long_string(count: int) -> Files:
    strings = b"<sst " + NAMESPACE + b"><si><t>" + b"a" * 30_000 + b"</t></si></sst>"
    rows = Repeated(middle=b'<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>', count=count)
    return workbook({"xl/sharedStrings.xml": strings, "xl/worksheets/sheet1.xml": sheet(rows=rows)})


def xlsx_zeros(count: int) -> Files:
    """Numbers shown with 30,000 leading zeros."""
    styles = b"<styleSheet " + NAMESPACE + b'><numFmts><numFmt numFmtId="200" formatCode="' + b"0" * 30_000
    styles += b'"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs></styleSheet>'
    rows = b"".join(b'<row><c s="0"><v>%d</v></c></row>' % i for i in range(count))
    return workbook({"xl/styles.xml": styles, "xl/worksheets/sheet1.xml": sheet(rows=rows)})


def xlsx_merged(count: int) -> Files:
    merged = b"".join(b'<mergeCell ref="A%d:XFD1048576"/>' % (1 + i % 3) for i in range(count))
    rows = Repeated(middle=b"<row><c><v>1</v></c></row>", count=1000)
    return _sheet_file(sheet(rows=rows, after=b"<mergeCells>" + merged + b"</mergeCells>"))


def xlsx_sheets(count: int) -> Files:
    """Names of sheets that are all one sheet without a table."""
    sheets = b"".join(b'<sheet name="%d" sheetId="1" r:id="r1"/>' % i for i in range(count))
    book = WORKBOOK["xl/workbook.xml"].replace(b'<sheet name="a" sheetId="1" r:id="r1"/>', sheets)
    empty = Repeated(b"<worksheet " + NAMESPACE + b"><sheetData>", b"<row/>", 20_000, b"</sheetData></worksheet>")
    return workbook({"xl/workbook.xml": book, "xl/worksheets/sheet1.xml": empty})


def xlsx_media(size: int) -> Files:
    return workbook({"xl/media/image1.png": Repeated(middle=b"\0", count=size)})


def xlsx_parts(count: int) -> Files:
    return workbook({f"xl/media/{i}": bytes(2**20) for i in range(count)})


def xlsx_damaged_part(size: int) -> Files:
    """The last part, which is only copied, fails its checksum."""
    files = workbook({"xl/media/image1.png": b"x" * size})
    content = bytearray(files["table.xlsx"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.getinfo("xl/media/image1.png")
    place = content.rindex(b"PK\x01\x02")
    content[place + 16] ^= 1
    header = content.index(b"PK\x03\x04", entry.header_offset)
    content[header + 14] ^= 1
    return {"table.xlsx": bytes(content)}


# ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────

CSV = b"image,label\n1.jpg,hat\n2.jpg,dress\n"


def csv_empty_lines(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV, b"\n", count))}


def csv_blank_rows(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV, b",\n", count))}


def csv_rows(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV, b"1.jpg,hat\n", count))}


def csv_plain_rows(count: int) -> Files:
    return {"table.csv": CSV + b"".join(b"%d.jpg,hat\n" % i for i in range(count))}


def csv_columns(count: int) -> Files:
    line = b"," * count + b"\n"
    return {"table.csv.gz": gzipped(Repeated(b"a," * count + b"\n", b"1.jpg" + line, 100))}


def csv_named_columns(count: int) -> Files:
    names = b",".join(b"c%d" % i for i in range(count))
    cells = b",".join([b"1"] * count)
    return {"table.csv": b"image," + names + b"\n" + b"1.jpg," + cells + b"\n2.jpg," + cells + b"\n"}


def csv_long_cells(size: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV + b"1.jpg,", b"a", size, b"\n"))}


def csv_many_long_cells(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV, b"1.jpg," + b"a" * 1_000_000 + b"\n", count))}


def csv_open_quote(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV + b'"', b"1.jpg,hat\n", count))}


def csv_quoted_lines(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV + b'1.jpg,"', b"a\n", count, b'"\n'))}


def csv_lists(count: int) -> Files:
    """Cells with lists in Python's notation."""
    cell = '"[' + ", ".join(["'a'"] * 10_000) + ", '%d']\""
    return {
        "table.csv.gz": gzipped(
            b"image,label\n" + b"".join(b"1.jpg," + (cell % i).encode() + b"\n" for i in range(count))
        )
    }


def csv_classes(count: int) -> Files:
    lines = (b"%d.jpg,%d\n" % (1 + i % 2, i // 2) for i in range(2 * count))
    return {"table.csv": b"image,label\n" + b"".join(lines)}


def csv_many_labels(count: int) -> Files:
    lines = (
        b"%d.jpg,%s\n" % (1 + i % 2, b"|".join(b"%d" % (100 * i + k) for k in range(100))) for i in range(count // 100)
    )
    return {"table.csv": b"image,label\n" + b"".join(lines)}


def csv_unknown_photos(count: int) -> Files:
    lines = (b"%d/photo%d.jpg,hat\n" % (i, i) for i in range(count))
    return {"table.csv": CSV + b"".join(lines)}


def csv_pixels(count: int) -> Files:
    names = b",".join(b"pixel%d" % i for i in range(784))
    return {
        "table.csv.gz": gzipped(Repeated(b"label," + names + b"\n", b"1," + b",".join([b"0"] * 784) + b"\n", count))
    }


def csv_fractions(count: int) -> Files:
    names = b",".join(b"pixel%d" % i for i in range(784))
    return {
        "table.csv.gz": gzipped(Repeated(b"label," + names + b"\n", b"1," + b",".join([b".5"] * 784) + b"\n", count))
    }


def csv_nul(count: int) -> Files:
    return {"table.csv.gz": gzipped(Repeated(CSV, b"\0", count))}


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────

JSON_ROW = b'{"image": "1.jpg", "label": "hat"}\n{"image": "2.jpg", "label": "dress"}\n'


def jsonl_rows(count: int) -> Files:
    return {"table.jsonl.gz": gzipped(Repeated(JSON_ROW, b"{}\n", count))}


def jsonl_empty_lines(count: int) -> Files:
    return {"table.jsonl.gz": gzipped(Repeated(JSON_ROW, b"\n", count))}


def jsonl_keys(count: int) -> Files:
    row = json.dumps({"image": "1.jpg", **{f"k{i}": i for i in range(count)}}).encode()
    return {"table.jsonl": JSON_ROW + row + b"\n"}


def jsonl_new_keys(count: int) -> Files:
    lines = (b'{"image": "1.jpg", "k%d": 1}\n' % i for i in range(count))
    return {"table.jsonl": JSON_ROW + b"".join(lines)}


def jsonl_long_line(count: int) -> Files:
    return {"table.jsonl.gz": gzipped(Repeated(JSON_ROW + b'{"image": "1.jpg", "x": [', b"[],", count, b"0]}\n"))}


def jsonl_long_keys(count: int) -> Files:
    """Objects in objects, whose names join to long names of columns."""
    key = "k" * 50_000
    row = "".join(f'{{"{key}": ' for _ in range(count)) + "1" + ', "a": 1}' * count
    return {"table.jsonl.gz": gzipped(JSON_ROW + row.encode() + b"\n")}


def json_lists(count: int) -> Files:
    rows = b'[{"image": "1.jpg", "label": "hat"}, {"image": "2.jpg", "label": "dress"}, {"x": ['
    return {"table.json.gz": gzipped(Repeated(rows, b"[],", count, b"0]}]"))}


def json_numbers(count: int) -> Files:
    rows = b'[{"image": "1.jpg", "label": "hat"}, {"image": "2.jpg", "label": "dress"}, {"x": ['
    return {"table.json.gz": gzipped(Repeated(rows, b"0.1,", count, b"0]}]"))}


def json_rows(count: int) -> Files:
    rows = b'[{"image": "1.jpg", "label": "hat"}, {"image": "2.jpg", "label": "dress"}'
    return {"table.json.gz": gzipped(Repeated(rows, b",{}", count, b"]"))}


def json_keys(count: int) -> Files:
    entries = b",".join(b'"%d.jpg": "hat"' % i for i in range(count))
    return {"table.json": b"{" + entries + b"}"}


def json_new_keys(count: int) -> Files:
    rows = b",".join(b'{"image": "1.jpg", "k%d": 1}' % i for i in range(count))
    return {"table.json": b"[" + rows + b"]"}


def json_pandas(count: int) -> Files:
    """Cells by row of each column, each of which has another row."""
    columns = b",".join(b'"c%d": {"%d": 1}' % (i, i) for i in range(count))
    return {"table.json": b'{"image": {"0": "1.jpg"}, ' + columns + b"}"}


def json_deep(count: int) -> Files:
    return {"table.json": b'[{"image": "1.jpg", "x": ' + b"[" * count + b"]" * count + b"}]"}


def json_wide_text(size: int) -> Files:
    text = Repeated('[{"image": "1.jpg", "x": "\U0001f600'.encode(), b"a", size, b'"}]')
    return {"table.json.gz": gzipped(text)}


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────────────


def parquet(columns: dict[str, object], metadata: dict[bytes, bytes] | None = None, **options: object) -> Files:
    file = io.BytesIO()
    table = pa.table(columns)
    if metadata:
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, file, compression="ZSTD", **options)
    return {"table.parquet": file.getvalue()}


def _photo_cells(count: int) -> pa.Array:
    names = pa.array(["1.jpg", "2.jpg"])
    return pa.DictionaryArray.from_arrays(pa.array([0, 1] * (count // 2 + 1), pa.int32()).slice(0, count), names)


def parquet_dictionary(count: int) -> Files:
    """Cells that are all one text of 1 MB."""
    values = pa.array(["a" * 2**20, "b"])
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), values)
    return parquet({"image": _photo_cells(count), "label": texts})


def parquet_photo_dictionary(count: int) -> Files:
    """Photos that are all one file of 1 MB."""
    photos = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([bytes(2**20)]))
    return parquet({"image": photos, "label": _photo_cells(count)})


def parquet_rows(count: int) -> Files:
    return parquet({"image": _photo_cells(count), "label": _photo_cells(count)})


def parquet_nulls(count: int) -> Files:
    return (
        parquet({"image": _photo_cells(2), "label": _photo_cells(2)})
        if count < 2
        else parquet({"image": pa.nulls(count, pa.string()), "label": pa.nulls(count, pa.string())})
    )


def parquet_columns(count: int) -> Files:
    return parquet({"image": ["1.jpg", "2.jpg"], **{f"c{i}": ["x", "y"] for i in range(count)}})


def parquet_lists(count: int) -> Files:
    """A cell with a list of `count` numbers."""
    numbers = pa.array(np.zeros(count + 1, dtype=np.int64))
    lists = pa.ListArray.from_arrays(pa.array([0, count, count + 1], pa.int32()), numbers)
    return parquet({"image": ["1.jpg", "2.jpg"], "label": lists})


def parquet_groups(count: int) -> Files:
    file = io.BytesIO()
    table = pa.table({"image": ["1.jpg"], "label": ["hat"]})
    with pq.ParquetWriter(file, table.schema) as writer:
        for _ in range(count):
            writer.write_table(table)
    return {"table.parquet": file.getvalue()}


def parquet_shape(side: int) -> Files:
    """The note of `muslin convert` that the photos are pixels of this size."""
    note = {"version": 1, "name": "a", "transform": "fit", "image": "image", "pixels": [side, side, 3],
            "targets": [{"name": "label", "kind": "multiclass", "classes": ["hat", "dress"]}]}  # fmt: skip
    images = pa.array(
        [{"bytes": PHOTO, "path": "1.jpg"}] * 2, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    return parquet({"image": images, "label": ["hat", "dress"]}, {b"muslin": json.dumps(note).encode()})


def parquet_note(count: int) -> Files:
    """A note of `muslin convert` with `count` classes."""
    target = {"name": "label", "kind": "multilabel", "classes": [str(i) for i in range(count)]}
    note = {"version": 1, "name": "a", "transform": "fit", "image": "image", "targets": [target]}
    columns = {"image": _photo_cells(10_000), "label": pa.array([["1"]] * 10_000)}
    return parquet(columns, {b"muslin": json.dumps(note).encode()})


def parquet_deep(count: int) -> Files:
    kind: pa.DataType = pa.int8()
    for _ in range(count):
        kind = pa.list_(kind)
    return parquet({"image": ["1.jpg", "2.jpg"], "label": pa.nulls(2, kind)})


# ── Archives ─────────────────────────────────────────────────────────────────────────────────────────────


def zip_entries(count: int) -> Files:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(count):
            archive.writestr(zipfile.ZipInfo(f"{'hat' if i % 2 else 'dress'}/{i}.jpg"), b"")
    return {"photos.zip": file.getvalue()}


def zip_folders(count: int) -> Files:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hat/1.jpg", PHOTO)
        archive.writestr("dress/2.jpg", PHOTO)
        for i in range(count):
            archive.writestr(zipfile.ZipInfo(f"{i}/"), b"")
    return {"photos.zip": file.getvalue()}


def zip_overlapping(count: int) -> Files:
    """Entries of one place, which holds 1 MB that deflate to 1 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = bytes(2**20)
    packed = packer.compress(content) + packer.flush()
    sizes = struct.pack("<3L", zlib.crc32(content), len(packed), len(content))
    data = b"PK\x03\x04" + struct.pack("<5H", 20, 0, 8, 0, 33) + sizes + struct.pack("<2H", 0, 0) + packed
    directory = io.BytesIO()
    for i in range(count):
        name = b"%s/%d.csv" % (b"hat" if i % 2 else b"dress", i)
        fixed = struct.pack("<6H", 20, 20, 0, 8, 0, 33) + sizes + struct.pack("<5H2L", len(name), 0, 0, 0, 0, 0, 0)
        directory.write(b"PK\x01\x02" + fixed + name)
    n = min(count, 0xFFFE)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, n, n, directory.tell(), len(data), 0)
    return {"photos.zip": data + directory.getvalue() + end}


def zip_deep_names(count: int) -> Files:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hat/1.jpg", PHOTO)
        for i in range(count):
            archive.writestr(zipfile.ZipInfo(f"{i}/" + "a/" * 30_000 + f"{i}.jpg"), b"")
        archive.writestr("table.csv", b"image,label\nhat/1.jpg,hat\n")
    return {"photos.zip": file.getvalue()}


def zip_tables(count: int) -> Files:
    """Tables of 1 MB each, which deflate to 1 KB."""
    table = Repeated(CSV, b"\n", 1_000_000)
    return {"photos.zip": zipped({f"t{i:03}x/table{i}.csv": table for i in range(count)} | {"1.jpg": PHOTO})}


def tar_entries(count: int) -> Files:
    entries = io.BytesIO()
    with tarfile.open(fileobj=entries, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for i in range(min(count, 1000)):
            archive.addfile(tarfile.TarInfo(f"{'hat' if i % 2 else 'dress'}/{i}.jpg"))
    middle = entries.getvalue()[: 512 * min(count, 1000)]
    return {"photos.tar.gz": gzipped(Repeated(middle=middle, count=max(count // 1000, 1), end=bytes(1024)))}


def tar_long_names(count: int) -> Files:
    """A chain of headers for a long name, each of which announces the next."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2
    header = entry.tobuf(tarfile.GNU_FORMAT) + b"a\0" + bytes(510)
    return {"photos.tar.gz": gzipped(Repeated(middle=header, count=count, end=bytes(1024)))}


def tar_pax_name(size: int) -> Files:
    entry = tarfile.TarInfo("hat/" + "a/" * (size // 2) + "1.jpg")
    return {"photos.tar.gz": gzipped(entry.tobuf(tarfile.PAX_FORMAT) + bytes(1024))}


def tar_file(size: int) -> Files:
    entry = tarfile.TarInfo("hat/1.jpg")
    entry.size = size
    return {
        "photos.tar.gz": gzipped(Repeated(entry.tobuf(tarfile.USTAR_FORMAT), b"\0" * 512, size // 512, bytes(1024)))
    }


def gzip_members(count: int) -> Files:
    return {"table.csv.gz": gzip.compress(CSV, mtime=0) + gzip.compress(b"", mtime=0) * count}


def gzip_of_gzip(size: int) -> Files:
    return {"table.csv.gz": gzipped(gzipped(Repeated(CSV, b"\0", size)))}


def idx_images(count: int) -> Files:
    """Images of 28×28 zeros."""
    labels = struct.pack(">2I", 0x801, count)
    return {
        "train-images-idx3-ubyte.gz": gzipped(Repeated(struct.pack(">4I", 0x803, count, 28, 28), bytes(784), count)),
        "train-labels-idx1-ubyte.gz": gzipped(Repeated(labels, b"\1", count - 1, b"\0")),
    }


# ── All of them ──────────────────────────────────────────────────────────────────────────────────────────

HOSTILE: dict[str, tuple[Callable[[int], Files], int]] = {
    "xlsx-rows": (xlsx_rows, 40_000_000),
    "xlsx-cells": (xlsx_cells, 60_000_000),
    "xlsx-filled-cells": (xlsx_filled_cells, 17_000_000),
    "xlsx-unknown-elements": (xlsx_unknown_elements, 60_000_000),
    "xlsx-nested-elements": (xlsx_nested_elements, 60_000_000),
    "xlsx-nested-strings": (xlsx_nested_strings, 10_000_000),
    "xlsx-strings": (xlsx_strings, 14_000_000),
    "xlsx-attribute": (xlsx_attribute, 250_000_000),
    "xlsx-attributes": (xlsx_attributes, 1_000_000),
    "xlsx-comment": (xlsx_comment, 250_000_000),
    "xlsx-cell-text": (xlsx_cell_text, 250_000_000),
    "xlsx-one-long-string": (xlsx_one_long_string, 100_000),
    "xlsx-zeros": (xlsx_zeros, 100_000),
    "xlsx-merged": (xlsx_merged, 100_000),
    "xlsx-sheets": (xlsx_sheets, 20_000),
    "xlsx-media": (xlsx_media, 250_000_000),
    "xlsx-parts": (xlsx_parts, 250),
    "xlsx-damaged-part": (xlsx_damaged_part, 100_000),
    "csv-empty-lines": (csv_empty_lines, 250_000_000),
    "csv-blank-rows": (csv_blank_rows, 125_000_000),
    "csv-rows": (csv_rows, 25_000_000),
    "csv-plain-rows": (csv_plain_rows, 250_000),
    "csv-columns": (csv_columns, 2_500_000),
    "csv-named-columns": (csv_named_columns, 1_000_000),
    "csv-long-cells": (csv_long_cells, 250_000_000),
    "csv-many-long-cells": (csv_many_long_cells, 250),
    "csv-open-quote": (csv_open_quote, 25_000_000),
    "csv-quoted-lines": (csv_quoted_lines, 8_000_000),
    "csv-lists": (csv_lists, 4_000),
    "csv-classes": (csv_classes, 500_000),
    "csv-many-labels": (csv_many_labels, 1_000_000),
    "csv-unknown-photos": (csv_unknown_photos, 500_000),
    "csv-pixels": (csv_pixels, 160_000),
    "csv-fractions": (csv_fractions, 100_000),
    "csv-nul": (csv_nul, 250_000_000),
    "jsonl-rows": (jsonl_rows, 80_000_000),
    "jsonl-empty-lines": (jsonl_empty_lines, 250_000_000),
    "jsonl-keys": (jsonl_keys, 1_000_000),
    "jsonl-new-keys": (jsonl_new_keys, 100_000),
    "jsonl-long-line": (jsonl_long_line, 80_000_000),
    "jsonl-long-keys": (jsonl_long_keys, 900),
    "json-lists": (json_lists, 80_000_000),
    "json-numbers": (json_numbers, 60_000_000),
    "json-rows": (json_rows, 80_000_000),
    "json-keys": (json_keys, 1_000_000),
    "json-new-keys": (json_new_keys, 100_000),
    "json-pandas": (json_pandas, 100_000),
    "json-deep": (json_deep, 1_000_000),
    "json-wide-text": (json_wide_text, 250_000_000),
    "parquet-dictionary": (parquet_dictionary, 100_000),
    "parquet-photo-dictionary": (parquet_photo_dictionary, 100_000),
    "parquet-rows": (parquet_rows, 100_000_000),
    "parquet-nulls": (parquet_nulls, 100_000_000),
    "parquet-columns": (parquet_columns, 100_000),
    "parquet-lists": (parquet_lists, 100_000_000),
    "parquet-groups": (parquet_groups, 20_000),
    "parquet-shape": (parquet_shape, 60_000),
    "parquet-note": (parquet_note, 500_000),
    "parquet-deep": (parquet_deep, 2_000),
    "zip-entries": (zip_entries, 400_000),
    "zip-folders": (zip_folders, 400_000),
    "zip-overlapping": (zip_overlapping, 60_000),
    "zip-deep-names": (zip_deep_names, 100),
    "zip-tables": (zip_tables, 90),
    "tar-entries": (tar_entries, 500_000),
    "tar-long-names": (tar_long_names, 100_000),
    "tar-pax-name": (tar_pax_name, 100_000_000),
    "tar-file": (tar_file, 250_000_000),
    "gzip-members": (gzip_members, 500_000),
    "gzip-of-gzip": (gzip_of_gzip, 250_000_000),
    "idx-images": (idx_images, 330_000),
}
"""Per kind what makes its files, and a size that asks for too much."""


def write_hostile(kind: str, size: int | None, folder: Path) -> Path:
    """Write the files of a kind, and two photos that its cells name, into `folder`; the path to open."""
    make, default = HOSTILE[kind]
    files = make(default if size is None else size)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if not kind.startswith(("zip-", "tar-", "idx-")):
        for number in (1, 2):
            (folder / f"{number}.jpg").write_bytes(PHOTO)
    return folder if len(files) > 1 else folder / next(iter(files))
