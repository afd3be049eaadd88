"""Limits on what a small file expands to: one policy for gzip, zip, tar, XLSX, Parquet and JSON.

A small file must not cost much memory or time. So its content has at most FREE_BYTES, or MAX_EXPANSION times its own
size if that is more; and at most FREE_ITEMS rows, cells or entries, or ITEMS_PER_BYTE for each of its bytes. Cost is
at most linear in the size of the file, and FREE_BYTES and FREE_ITEMS take less than 10 s and 1 GB.
`benchmarks/cost_against_size.py` measures it, and `docs/explanation/limits.md` lists the results.
"""

FREE_BYTES = 64 * 2**20
"""Bytes of content that any packed file can have, however small it is."""

MAX_EXPANSION = 200
"""Maximum ratio of content to file beyond FREE_BYTES. Pixels reach 2, CSVs of pixels 6 to 20, tables of 0 and 1 60."""

FREE_ITEMS = 2**17
"""Rows that any file can have; each takes 50 microseconds, where its photo is searched and not found."""

ITEMS_PER_BYTE = 1
"""Items per byte of a packed file beyond FREE_ITEMS. A row of a packed table takes at least 3 bytes."""

MAX_EMPTY_ROWS = 1_100_000
"""Empty rows of any table; an empty sheet of Excel has 1,048,576."""

FREE_ENTRIES = 2**16
"""Files that any archive can have; each takes up to 140 microseconds in an audit."""

BYTES_PER_ENTRY = 256
"""Bytes of an archive per file beyond FREE_ENTRIES. A photo of 28×28 pixels takes 300, headers 100."""

FREE_MEMBERS = 2**12
"""Members that any gzip file can have, each of which is unpacked anew."""

BYTES_PER_MEMBER = 2**10
"""Bytes of a gzip file per member beyond FREE_MEMBERS. bgzip and pigz write one for 20,000 bytes and more."""

MAX_COLUMNS = 16_384
"""Columns of a table that names photos, as of a sheet in Excel."""

MAX_TEXT_CHARACTERS = 2**24
"""Length of a line or a cell, which is held in memory; a cell can hold a thumbnail in base64."""

MAX_COLUMN_NAME_CHARACTERS = 4096
"""Length of the name of a column."""

MAX_PATH_CHARACTERS = 2**16
"""Length of a path in an archive, as in a zip."""

MAX_FOLDERS_DEEP = 100
"""Levels of nested folders in an archive."""

FREE_CELLS = 2**23
"""Rows times columns that any file can have; a cell that is empty, or equals another, takes a microsecond."""

CELLS_PER_BYTE = 32
"""Cells per byte of the file beyond FREE_CELLS. Columns of true and false take a bit per cell."""


def max_content_bytes(file_bytes: int) -> int:
    """The largest content, in bytes, of a packed file of `file_bytes`."""
    return max(FREE_BYTES, MAX_EXPANSION * file_bytes)


def max_items(file_bytes: int) -> int:
    """The largest number of rows, elements or values in a packed file of `file_bytes`."""
    return max(FREE_ITEMS, ITEMS_PER_BYTE * file_bytes)


def max_entries(file_bytes: int) -> int:
    """The largest number of files in an archive of `file_bytes`."""
    return max(FREE_ENTRIES, file_bytes // BYTES_PER_ENTRY)


def max_gzip_members(file_bytes: int) -> int:
    """The largest number of members of a gzip file of `file_bytes`."""
    return max(FREE_MEMBERS, file_bytes // BYTES_PER_MEMBER)


def max_cells(file_bytes: int) -> int:
    """The largest number of rows times columns, empty cells included, of a file of `file_bytes`."""
    return max(FREE_CELLS, CELLS_PER_BYTE * file_bytes)
