"""Pixels in an archive, which muslin reads only beside it: the files that say so to a person."""

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from muslin.data.archives import archive_files, archive_kind
from muslin.data.formats import idx, pixels
from muslin.errors import ImageError

HEAD_BYTES = 1_000_000
"""Bytes read from the start of a table: a header and some rows of several thousand columns of pixels."""

MAX_TABLES = 10
"""Tables in an archive that are read to tell whether they hold pixels."""

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def pixel_files(path: Path) -> list[str]:
    """The names of IDX files and of tables of pixels in an archive; none for any other file."""
    if not path.is_file() or not archive_kind(path):
        return []
    files, _unpacked = archive_files(path)  # the files of a tar exist as long as this does
    found = [name for name in files if idx.NAME.fullmatch(PurePosixPath(name).name)]
    tables = [name for name in files if name.lower().endswith(TABLE_SUFFIXES)][:MAX_TABLES]
    with TemporaryDirectory() as folder:
        head = Path(folder) / "head.csv"
        for name in tables:
            try:
                content = files[name].content(HEAD_BYTES)
            except ImageError:
                continue
            head.write_bytes(content[: content.rfind(b"\n") + 1] if len(content) == HEAD_BYTES else content)
            found += [name] if pixels.detect(head) else []
    return found
