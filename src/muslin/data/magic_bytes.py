"""What a file is, by its first bytes, where no data set is found: the end of a refusal."""

from pathlib import Path

from muslin.data.gzip_files import is_gzipped, read_head
from muslin.messages import Message

MAGIC_BYTES = (
    (b"\x89PNG", "file_is_png"),
    (b"\xff\xd8\xff", "file_is_jpeg"),
    (b"GIF8", "file_is_gif"),
    (b"%PDF", "file_is_pdf"),
    (b"PK\x03\x04", "file_is_zip"),
    (b"PK\x05\x06", "file_is_empty_zip"),
    (b"Rar!", "file_is_rar"),
    (b"7z\xbc\xaf", "file_is_7z"),
    (b"BZh", "file_is_bzip2"),
    (b"\xfd7zXZ", "file_is_xz"),
    (b"\x28\xb5\x2f\xfd", "file_is_zstd"),
    (b"\xd0\xcf\x11\xe0", "file_is_xls"),
    (b"PAR1", "file_is_parquet"),
    (b"\x93NUMPY", "file_is_numpy"),
    (b"\xff\xfe", "file_is_utf16"),
    (b"\xfe\xff", "file_is_utf16"),
    (b"SQLite format 3", "file_is_sqlite"),
)
"""First bytes of files that are often passed by mistake, and the message that says what they are."""


def describe(path: Path) -> Message:
    """What the names in a folder, or the first bytes of a file, show."""
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        return Message("folder_holds", names=names[:3], more=max(len(names) - 3, 0) or None)
    start = read_head(path, 4096)
    if start.startswith(b"PK") and b"mimetypeapplication/vnd.oasis.opendocument" in start:  # stored as its first entry
        return Message("file_is_opendocument")
    for magic, kind in MAGIC_BYTES:
        if start.startswith(magic):
            return Message(kind)
    text = start.decode("utf-8", "replace").strip()
    if not text:
        return Message("file_is_damaged_gzip" if is_gzipped(path) else "file_is_empty")
    if b"\0" in start:
        return Message("file_is_binary")
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return Message("file_is_html")
    return Message("file_is_text")
