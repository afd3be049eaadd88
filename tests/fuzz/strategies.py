"""Hypothesis strategies of valid tables, folders and archives, each with what is to be read from it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import assume
from hypothesis import strategies as st

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
    "\u200bzero width", "'", "\\", "{}", "[1, 2]", "<b>", "%20", "C:\\x", "None",
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
        skipped: rows that are not read, but counted.
        has_header: whether the columns' names are in the file.
    """

    content: bytes
    suffix: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    skipped: int = 0
    has_header: bool = True


@st.composite
def table_cells(draw: st.DrawFn, min_rows: int = 1) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows of a table of photos: an image, a label, and up to three columns of anything."""
    count = draw(st.integers(min_rows, 8))
    labels = draw(st.lists(st.sampled_from(CLASSES), min_size=count, max_size=count))
    columns = {"image": [f"photos/{i:04}.jpg" for i in range(count)], "label": labels}
    for name in draw(
        st.lists(st.sampled_from(("price", "title", "Farbe", "note 2", "größe", "ean")), max_size=3, unique=True)
    ):
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


def row_text(cells: Sequence[str], delimiter: str, quoting: int) -> str:
    """A row as spreadsheets write it, without a line end."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerow(cells)
    return file.getvalue().removesuffix("\r\n")


@st.composite
def text_tables(draw: st.DrawFn) -> WrittenTable:
    """CSV and TSV of every encoding, delimiter and line end, with what people and programs put above and between."""
    encoding = draw(st.sampled_from(ENCODINGS))
    delimiter = draw(st.sampled_from(",;\t|"))
    line_end = draw(st.sampled_from(LINE_ENDS))
    quoting = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    has_header = draw(st.sampled_from((True, True, True, False)))
    columns, rows = draw(table_cells(min_rows=1 if has_header else 4))
    blank_row = delimiter * (len(columns) - 1)
    above = draw(st.sampled_from((
        (), (), (), ("sep=" + delimiter,), ("Autumn catalogue",), ("Autumn catalogue", ""), ("# made by hand",),
        ("Autumn catalogue" + blank_row, blank_row), ("",),
    )))  # fmt: skip
    lines = [*above, *([row_text(columns, delimiter, quoting)] if has_header else [])]
    read, skipped = [], sum(not line.strip(delimiter) for line in above)
    text = "".join(line + line_end for line in lines)
    for cells in rows:
        for _ in range(draw(st.sampled_from((0, 0, 0, 0, 1)))):
            text += draw(st.sampled_from(("", blank_row))) + line_end
            skipped += 1
        read.append((1 + _line_ends(text), tuple(cell.strip() for cell in cells)))
        text += row_text(cells, delimiter, quoting) + line_end
    if draw(st.booleans()):
        text = text.removesuffix(line_end)
    names = columns if has_header else tuple(f"column {n}" for n in range(1, len(columns) + 1))
    suffix = draw(st.sampled_from((".csv", ".txt", ".tsv") if delimiter == "\t" else (".csv", ".txt")))
    return WrittenTable(encode(text, encoding), suffix, names, tuple(read), skipped, has_header)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
