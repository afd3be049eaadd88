"""The encoding of a text file, from its bytes alone."""

import codecs
import io
import re
from dataclasses import dataclass
from pathlib import Path

from muslin.data.gzip_files import open_data_file, read_head
from muslin.errors import DataError
from muslin.messages import Message

BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

BLOCK_BYTES = 2**20

HEAD_BYTES = 2**12
"""Bytes by which UTF-16 without a byte order mark is recognised."""


def guess_encodings(head: bytes) -> tuple[bytes, list[str]]:
    """The byte order mark with which a text begins, or b"", and the encodings that it can be in, the likeliest first.

    Half of the bytes of UTF-16 are 0 where the text has delimiters, digits and Latin letters.
    """
    for mark, name in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return mark, [name]
    head = head[:HEAD_BYTES]
    even, odd = head[::2].count(0), head[1::2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = head[: len(head) // 2 * 2].decode(name, "replace")[:-1].rstrip("\0")
    if max(even, odd) > max(4, 4 * min(even, odd), len(head) / 8) and not re.search("[\0-\x08\x0e-\x19\ufffd]", text):
        return b"", [name]
    return b"", ["utf-8", "cp1252"]


@dataclass(frozen=True)
class TextEncoding:
    """How a file's bytes are text.

    Attributes:
        mark: its byte order mark, or b"".
        name: the encoding in which the whole file can be decoded.
        notes: a note where the encoding is a guess.
    """

    mark: bytes
    name: str
    notes: tuple[Message, ...] = ()

    def open(self, path: Path, newline: str = "") -> io.TextIOWrapper:
        """The text at `path` after its byte order mark; lines end as TextIOWrapper says of `newline`."""
        file = open_data_file(path)
        file.read(len(self.mark))
        return io.TextIOWrapper(file, encoding=self.name, newline=newline)


def find_encoding(path: Path) -> TextEncoding:
    """The encoding of the text at `path`, gzipped or not: that of its byte order mark, else UTF-16, UTF-8 or cp1252.

    Raises:
        DataError: the file cannot be read, or is in none of these.
    """
    mark, names = guess_encodings(read_head(path, HEAD_BYTES))
    offsets: dict[str, int] = {}
    for name in names:
        offset = _first_invalid_byte(path, name)
        if offset is None:
            notes = [Message("encoding_guessed", byte=byte, encoding=name) for byte in offsets.values()]
            return TextEncoding(mark, name, tuple(notes))
        offsets[name] = offset
    tried = [name.replace("utf", "UTF") for name in names]
    raise DataError("text_encoding", path=str(path), byte=max(offsets.values()), tried=tried)


def _first_invalid_byte(path: Path, encoding: str) -> int | None:
    """The offset of the first byte that cannot be decoded; None where the whole file can."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, block = 0, b" "
    with open_data_file(path) as file:
        while block:
            block = file.read(BLOCK_BYTES)
            pending = len(decoder.getstate()[0])  # bytes of a character that began in the block before
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return offset - pending + error.start
            offset += len(block)
    return None
