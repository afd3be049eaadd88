"""Hypothesis strategies of valid tables, folders and archives, each with what is to be read from it."""

import datetime
import io
import json
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import assume
from hypothesis import strategies as st
from mutations import TOKENS
from valid_files import encoded, picture

from muslin.data.tables import Cell

# ── Cells and names ──────────────────────────────────────────────────────────────────────────────────────

CLASSES = (
    "dress",
    "hat",
    "Ankle boot",
    "T-shirt/top",
    "Überrock",
    "裙子",
    "платье",
    "été",
    "o\u0308l",
    "👗 dress",
    "0",
    "Yes",
)
"""Labels; one of them in Unicode's decomposed form."""

WORDS = (
    "", "blue", "007", "4006381333931", "19.90", "1,5", "-3", "1e5", "NaN", "null", "TRUE", "12/05/2024", "2024-05-12",
    "=SUM(A1)", "+49 30 1234", "@home", "-", "a,b", "a;b", "a|b", "a\tb", "5'11\"", '"quoted"', "two\nlines",
    "two\r\nlines", "naïve", "Größe 38", "e\u0301te\u0301", "👗🧵", "衬衫，蓝", "x" * 300, "#1", "sep=;", "a\u00a0b",
    "\u200bzero width", "Blue dress, size 38\nwith a belt, wool; washable", "5\" heel", "a, b, c",
    "'", "\\", "{}", "[1, 2]", "<b>", "%20", "C:\\x", "None",
)  # fmt: skip
"""Contents of cells on which readers of tables stumble."""

COLUMNS = ("price", "title", "Farbe", "note 2", "größe", "ean", "a, b", "in stock?")
"""Names of columns of anything."""

texts = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), exclude_characters="\ufeff"), max_size=8),
)
"""Cells without spaces around them, which are not kept."""


@dataclass(frozen=True)
class WrittenTable:
    """A table in a file, and what is to be read from it.

    Attributes:
        content: of the file.
        suffix: of its name.
        columns: the names of all columns.
        rows: the number and the cells of each row.
        skipped, repaired: how many rows are not read, and how many have too few or too many cells.
        encoding: of a text, as Python calls it.
        has_header: whether the columns' names are in the file.
    """

    content: bytes
    suffix: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]
    skipped: int = 0
    repaired: int = 0
    encoding: str = ""
    has_header: bool = True


@st.composite
def table_cells(draw: st.DrawFn, min_rows: int = 1) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of a table of photos: an image, a label, and up to three columns of anything."""
    count = draw(st.integers(min_rows, 8))
    labels = draw(st.lists(st.sampled_from(CLASSES), min_size=count, max_size=count))
    columns = {"image": [f"photos/{i:04}.jpg" for i in range(count)], "label": labels}
    for name in draw(st.lists(st.sampled_from(COLUMNS), max_size=3, unique=True)):
        columns[name] = draw(st.lists(texts, min_size=count, max_size=count))
    order = draw(st.permutations(list(columns)))
    return tuple(order), list(zip(*(columns[name] for name in order), strict=True))


# ── Tables of text ───────────────────────────────────────────────────────────────────────────────────────

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16-le with mark", "utf-16-be with mark", "cp1252")
LINE_ENDS = ("\n", "\r\n", "\r")


def encode(text: str, encoding: str) -> bytes:
    """The text in one of ENCODINGS; the example is dropped where it cannot be, or would be read as UTF-8."""
    name, _, mark = encoding.partition(" with ")
    try:
        content = (("\ufeff" if mark else "") + text).encode(name)
    except UnicodeEncodeError:
        content = None
    assume(content is not None)
    assert content is not None
    if encoding == "cp1252" and not text.isascii():
        assume(not _is_utf_8(content))
    return content


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def row_text(cells: Sequence[str], delimiter: str, quotes_all: bool = False, space: str = "") -> str:
    """A row as spreadsheets write it, without a line end; people put a `space` after each delimiter."""
    special = f'{delimiter}"\r\n'
    quoted = [quotes_all or any(letter in special for letter in cell) for cell in cells]
    texts = [f'"{cell.replace(chr(34), chr(34) * 2)}"' if q else cell for cell, q in zip(cells, quoted, strict=True)]
    return (delimiter + space).join(texts)


@st.composite
def text_tables(draw: st.DrawFn) -> WrittenTable:
    """CSV and TSV of every encoding, delimiter and line end, with what people and programs put above and between."""
    encoding = draw(st.sampled_from(ENCODINGS))
    delimiter = draw(st.sampled_from(",;\t|"))
    line_end = draw(st.sampled_from(LINE_ENDS))
    quotes_all = draw(st.booleans())
    space = draw(st.sampled_from(("", "", "", " ")))
    has_header = draw(st.sampled_from((True, True, True, False)))
    columns, rows = draw(table_cells(min_rows=1 if has_header else 4))
    blank_row = delimiter * (len(columns) - 1)
    above = draw(st.sampled_from((
        (), (), (), ("sep=" + delimiter,), ("Autumn catalogue",), ("Autumn catalogue", ""), ("# made by hand",),
        ("Autumn catalogue" + blank_row, blank_row), ("",),
    )))  # fmt: skip
    text = "".join(line + line_end for line in above)
    header = row_text(columns, delimiter, quotes_all, space) + line_end if has_header else ""
    text += header
    read, skipped, repaired = [], sum(not line.strip(delimiter) for line in above), 0
    is_ragged = has_header and not space and draw(st.booleans())
    for cells in rows:
        for between in draw(st.sampled_from(((), (), (), ("",), (blank_row,), (header.removesuffix(line_end),)))):
            text += between + line_end  # also a second header, as of tables that were joined
            skipped += 1
        filled = max(i for i, cell in enumerate(cells, 1) if cell)
        width = draw(st.integers(max(2, filled), len(cells))) if is_ragged else len(cells)
        read.append((1 + _line_ends(text), cells))
        text += row_text(cells[:width], delimiter, quotes_all, space)
        if width < len(cells):
            repaired += 1
        elif is_ragged:
            text += delimiter * draw(st.integers(0, 2))  # spreadsheets leave them at the end
        text += line_end
    if draw(st.booleans()):
        text = text.removesuffix(line_end)
    names = columns if has_header else tuple(f"column {n}" for n in range(1, len(columns) + 1))
    suffix = draw(st.sampled_from((".csv", ".txt", ".tsv") if delimiter == "\t" else (".csv", ".txt")))
    content = encode(text, encoding)
    return WrittenTable(content, suffix, names, tuple(read), skipped, repaired, encoding.partition(" ")[0], has_header)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


# ── Tables with types ────────────────────────────────────────────────────────────────────────────────────

dates = st.dates(datetime.date(1950, 1, 1), datetime.date(2040, 1, 1))
numbers = st.one_of(st.integers(-(10**9), 10**9), st.sampled_from((0.5, 19.9, 100.0, -2.25, 4006381333931)))
sheet_texts = texts.filter(lambda text: "\r" not in text)  # XML turns it into a line feed


def as_text(value: object) -> Cell:
    """What is read of a value."""
    if isinstance(value, list):
        return tuple(str(as_text(item)) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return "" if value is None else str(value).strip()


@st.composite
def typed_columns(draw: st.DrawFn, kinds: Sequence[st.SearchStrategy[Any]], cells: st.SearchStrategy[str]) -> Any:
    """Columns by name: an image, a label, and up to four that each have values of one kind, of which some lack."""
    count = draw(st.integers(1, 8))
    columns: dict[str, list[Any]] = {
        "image": [f"photos/{i:04}.jpg" for i in range(count)],
        "label": draw(st.lists(st.sampled_from(CLASSES), min_size=count, max_size=count)),
    }
    for name in draw(st.lists(st.sampled_from(COLUMNS), max_size=4, unique=True)):
        kind = draw(st.sampled_from((cells, *kinds)))
        columns[name] = draw(st.lists(st.one_of(st.none(), kind), min_size=count, max_size=count))
    order = draw(st.permutations(list(columns)))
    return {name: columns[name] for name in order}


@st.composite
def workbooks(draw: st.DrawFn) -> WrittenTable:
    """XLSX with titles, blank rows, numbers, dates, booleans, labels merged downwards, and other sheets."""
    columns = draw(typed_columns((numbers, dates, st.booleans()), sheet_texts))
    book = openpyxl.Workbook()
    sheet = book.active
    if draw(st.booleans()):
        book.create_sheet("notes", draw(st.integers(0, 1))).sheet_state = "hidden"
    row = 1
    title = draw(st.sampled_from(("", "", "Autumn catalogue", "=Autumn")))
    if title:
        sheet.cell(row, 1, title).data_type = "s"
        row += 1
    blank = draw(st.integers(0, 2))
    row += blank
    for column, name in enumerate(columns, 1):
        sheet.cell(row, column, name)
    skipped = blank if title else 0  # what is above all cells is not in the file
    merges = draw(st.booleans())
    read, above, top = [], None, 0
    for values in zip(*columns.values(), strict=True):
        for _ in range(draw(st.sampled_from((0, 0, 0, 1)))):
            row, skipped, above = row + 1, skipped + 1, None
        row += 1
        read.append((row, tuple(map(as_text, values))))
        for column, (name, value) in enumerate(zip(columns, values, strict=True), 1):
            if merges and name == "label":
                if value == above:  # one cell for the rows of one label
                    if top < row - 1:
                        sheet.unmerge_cells(start_row=top, end_row=row - 1, start_column=column, end_column=column)
                    sheet.merge_cells(start_row=top, end_row=row, start_column=column, end_column=column)
                    continue
                above, top = value, row
            cell = sheet.cell(row, column, value)
            if isinstance(value, str):
                cell.data_type = "s"  # also what looks like a formula
    file = io.BytesIO()
    book.save(file)
    return WrittenTable(file.getvalue(), ".xlsx", tuple(columns), tuple(read), skipped)


@st.composite
def json_lines(draw: st.DrawFn) -> WrittenTable:
    """JSON Lines in several encodings, with blank lines, and with names that lack in some rows."""
    columns = draw(typed_columns((numbers, st.booleans(), st.lists(st.sampled_from(CLASSES), max_size=3)), texts))
    encoding = draw(st.sampled_from([name for name in ENCODINGS if name != "cp1252"]))
    line_end = draw(st.sampled_from(("\n", "\r\n")))
    is_ascii = draw(st.booleans())
    separators = draw(st.sampled_from(((",", ":"), (", ", ": "))))
    text, read, skipped, line = "", [], 0, 0
    for number, values in enumerate(zip(*columns.values(), strict=True)):
        for _ in range(draw(st.sampled_from((0, 0, 0, 1))) if number else 0):
            text, skipped, line = text + line_end, skipped + 1, line + 1
        line += 1
        read.append((line, tuple(map(as_text, values))))
        given = {name: value for name, value in zip(columns, values, strict=True) if value is not None or not number}
        text += json.dumps(given, ensure_ascii=is_ascii, separators=separators) + line_end
    return WrittenTable(
        encode(text, encoding), ".jsonl", tuple(columns), tuple(read), skipped, 0, encoding.partition(" ")[0]
    )


@st.composite
def parquet_tables(draw: st.DrawFn) -> WrittenTable:
    """Parquet with columns of several types, in row groups of several sizes."""
    columns = draw(
        typed_columns(
            (st.integers(-(2**62), 2**62), st.floats(-1e6, 1e6).map(float), st.booleans(), dates,
             st.lists(st.sampled_from(CLASSES), max_size=3)),
            texts,
        )
    )  # fmt: skip
    table = pa.table(columns)
    if draw(st.booleans()):
        table = table.set_column(table.column_names.index("label"), "label", table["label"].dictionary_encode())
    file = io.BytesIO()
    compression = draw(st.sampled_from(("snappy", "zstd", "gzip", "NONE")))
    pq.write_table(table, file, row_group_size=draw(st.integers(1, 8)), compression=compression)
    read = enumerate((tuple(map(as_text, values)) for values in zip(*columns.values(), strict=True)), 1)
    return WrittenTable(file.getvalue(), ".parquet", tuple(columns), tuple(read))


# ── Folders and archives ─────────────────────────────────────────────────────────────────────────────────

PHOTOS = tuple(encoded(picture(seed, 8, 8), "PNG") for seed in range(12))

PARTS = {
    "train": ("train", "training", "Train", "training_set"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "Test", "testing", "eval"),
}

FILE_NAMES = ("1", "IMG_0001", "a b", "ä", "o\u0308l", "裙", "photo (1)", "x.y", "👗", "0001_front", "%20", "UPPER")
SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png", ".webp", ".Tiff")
BESIDE = ("README.md", "labels.txt", "notes.docx", "{0}/info.json", "{0}/list.csv.bak", "{0}/video.mp4")
HIDDEN = (
    ".DS_Store", "{0}/.DS_Store", "{0}/Thumbs.db", "__MACOSX/{0}/._1.jpg", "{0}/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    "$RECYCLE.BIN/1.jpg", "{0}/.thumbnails/1.png", "__pycache__/1.png", "{0}/desktop.ini",
)  # fmt: skip
UNSUPPORTED = ("{0}/phone.HEIC", "{0}/vector.svg", "{0}/raw.CR2")


@dataclass(frozen=True)
class WrittenFolder:
    """Photos in folders, and what is to be read of them.

    Attributes:
        files: content by path.
        labels: per path of a photo its part ("" for none) and its label.
        left_out: number of other files.
    """

    files: dict[str, bytes]
    labels: dict[str, tuple[str, str]]
    left_out: int


@st.composite
def folders(draw: st.DrawFn) -> WrittenFolder:
    """Photos below classes, with or without parts, beside what systems, programs and people leave there."""
    names = [name for name in CLASSES if "/" not in name]
    classes = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True))
    kinds = draw(st.sampled_from(((), (), ("train", "test"), ("train", "validation", "test"))))
    parts = {draw(st.sampled_from(PARTS[kind])): kind for kind in kinds} or {"": ""}
    top = draw(st.sampled_from(("", "", "set-main/", "a/b/")))
    files: dict[str, bytes] = {}
    labels: dict[str, tuple[str, str]] = {}
    for folder, part in parts.items():
        for class_ in classes:
            for name in draw(st.lists(st.sampled_from(FILE_NAMES), min_size=1, max_size=3, unique=True)):
                path = f"{top}{folder}/{class_}/{name}{draw(st.sampled_from(SUFFIXES))}".replace("//", "/").lstrip("/")
                files[path] = draw(st.sampled_from(PHOTOS))
                labels[path] = part, unicodedata.normalize("NFC", class_)
    places = sorted({path.rpartition("/")[0] for path in labels})
    others = draw(st.lists(st.sampled_from((*BESIDE, *HIDDEN, *UNSUPPORTED)), max_size=4, unique=True))
    for name in others:
        path = name.format(draw(st.sampled_from(places))) if "{0}" in name else top + name
        files[path] = b"" if name in HIDDEN else b"something else"
    return WrittenFolder(files, labels, len(files) - len(labels))


class RawName(zipfile.ZipInfo):
    """An entry whose name is written as these bytes, without the flag of UTF-8, as old programs do."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name.decode("latin-1"))
        self.raw_name = name

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 — of zipfile
        return self.raw_name, self.flag_bits


def zip_of(files: dict[str, bytes], method: int, encoding: str = "") -> bytes:
    """The files as a zip; with `encoding`, their names are in it, without any mark of that."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            entry = RawName(name.encode(encoding)) if encoding else zipfile.ZipInfo(name)
            archive.writestr(entry, content, method)
    return file.getvalue()


def tar_of(files: dict[str, bytes], format_: int, compression: str, start: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{compression}", format=format_) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(start + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@dataclass(frozen=True)
class WrittenArchive:
    """A folder in an archive. `suffix` is that of its name; `encoding` that of names which do not tell it."""

    folder: WrittenFolder
    content: bytes = field(repr=False)
    suffix: str
    encoding: str = ""


@st.composite
def archives(draw: st.DrawFn) -> WrittenArchive:
    """The same as zip or tar, made by programs of several systems."""
    folder = draw(folders())
    kind = draw(st.sampled_from(("zip", "zip with raw names", "tar", "tar.gz")))
    if kind.startswith("zip"):
        encoding = draw(st.sampled_from(("utf-8", "cp437", "cp850", "cp866", "gbk"))) if "raw" in kind else ""
        try:
            "".join(folder.files).encode(encoding or "utf-8")
        except UnicodeEncodeError:
            encoding = "utf-8"
        method = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        return WrittenArchive(folder, zip_of(folder.files, method, encoding), ".zip", encoding)
    format_ = draw(st.sampled_from((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)))
    compression = "gz" if kind == "tar.gz" else ""
    content = tar_of(folder.files, format_, compression, draw(st.sampled_from(("", "./"))))
    return WrittenArchive(folder, content, f".{kind}")


# ── Photos named in tables ───────────────────────────────────────────────────────────────────────────────


def _swapped_form(path: str) -> str:
    composed = unicodedata.normalize("NFC", path)
    return unicodedata.normalize("NFD", path) if path == composed else composed


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as spelled": lambda path: path,
    "back-slashes": lambda path: path.replace("/", "\\"),
    "dot": lambda path: f"./{path}",
    "drive": lambda path: "C:\\Users\\shop\\" + path.replace("/", "\\"),
    "other computer": lambda path: f"/home/shop/catalogue/{path}",
    "address": lambda path: f"https://shop.example/media/{quote(path)}?w=300",
    "escaped": quote,
    "upper case": str.upper,
    "other Unicode form": _swapped_form,
    "without suffix": lambda path: path.rpartition(".")[0],
    "other suffix": lambda path: path.rpartition(".")[0] + ".webp",
    "file's name": lambda path: path.rpartition("/")[2],
}
"""How a cell can name a photo, given its path from the photos' folder."""

PHOTO_NAMES = ("IMG_", "Top view ", "kleid-ä", "o\u0308l ", "裙子", "0108775", "a&b ", "x=1 ")


@dataclass(frozen=True)
class WrittenPhotos:
    """Photos, and a table that names each.

    Attributes:
        photos: content by path, each another one.
        cells: per photo the cell that names it.
        place: where the photos are: `beside` the table, `images` beside it, a `folder` or a `zip` elsewhere.
    """

    photos: dict[str, bytes]
    cells: tuple[str, ...]
    place: str


@st.composite
def photos_in_tables(draw: st.DrawFn) -> WrittenPhotos:
    """A table whose cells all name photos in one of SPELLINGS, or each in another."""
    count = draw(st.integers(2, 6))
    depth = draw(st.sampled_from(("", "010/", "March 29 2018/Größe/")))
    names = [draw(st.sampled_from(PHOTO_NAMES)) for _ in range(count)]
    suffix = draw(st.sampled_from((".jpg", ".JPG", ".png")))
    photos = {f"{depth}{name}{i:03}{suffix}": PHOTOS[i] for i, name in enumerate(names)}
    spelling = draw(st.sampled_from(tuple(SPELLINGS)))
    is_mixed = draw(st.booleans())
    spellings = [draw(st.sampled_from(tuple(SPELLINGS))) if is_mixed else spelling for _ in photos]
    cells = tuple(SPELLINGS[way](path) for way, path in zip(spellings, photos, strict=True))
    return WrittenPhotos(photos, cells, draw(st.sampled_from(("beside", "images", "folder", "zip"))))


# ── Anything ─────────────────────────────────────────────────────────────────────────────────────────────

STARTS = (b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"\0\0\x08\x03", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"label,pixel0")

BLANKS = (b" ", b"\r", b"\x1c", b"\xc2\xa0", b"\xe3\x80\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b", b"\x1f")
"""What some programs take for space, and others do not."""


@st.composite
def anything(draw: st.DrawFn) -> tuple[str, bytes]:
    """The name and the content of a file that is nothing in particular."""
    piece = st.one_of(st.sampled_from((*TOKENS, *BLANKS, *BLANKS)), st.binary(max_size=12))
    pieces = draw(st.lists(piece, max_size=30))
    name = draw(st.sampled_from(("x", "x.csv", "x.tsv", "x.json", "x.jsonl", "x.xlsx", "x.parquet", "x.zip", "x.tar",
                                 "train.csv", "classes.txt", "labels.json", "x.gz", "x.jpg")))  # fmt: skip
    return name, draw(st.sampled_from((b"", b"", *STARTS))) + b"".join(pieces)
