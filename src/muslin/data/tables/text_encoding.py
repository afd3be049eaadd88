"""The encoding of a text file, from its bytes alone."""

import codecs
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

from muslin.data.gzip_files import open_data_file
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
        name: the encoding in which the whole file can be decoded; None where it is neither that of its mark, nor
            UTF-8, nor cp1252.
        errors: per encoding tried, the offset of the first byte that it cannot decode.
        digest: SHA-256 of the content, in hexadecimal.
    """

    mark: bytes
    name: str | None
    errors: dict[str, int]
    digest: str

    def check(self, path: Path) -> None:
        """Raises DataError where the file at `path` is in none of these encodings."""
        if self.name is None:
            byte, tried = max(self.errors.values()), [name.replace("utf", "UTF") for name in self.errors]
            raise DataError("text_encoding", path=str(path), byte=byte, tried=tried)

    def open(self, path: Path, newline: str = "") -> io.TextIOWrapper:
        """The text at `path` after its byte order mark; lines end as TextIOWrapper says of `newline`."""
        file = open_data_file(path)
        file.read(len(self.mark))
        return io.TextIOWrapper(file, encoding=self.name, newline=newline)

    @property
    def notes(self) -> tuple[Message, ...]:
        """A note where the encoding is a guess."""
        if self.mark or "utf-8" not in self.errors:
            return ()
        return (Message("encoding_guessed", byte=self.errors["utf-8"], encoding=self.name or "latin-1"),)


def find_encoding(path: Path) -> TextEncoding:
    """The encoding of the text at `path`, gzipped or not: that of its byte order mark, else UTF-16, UTF-8 or cp1252.

    Raises:
        DataError: the file cannot be read.
    """
    digest = hashlib.sha256()
    decoders: dict[str, codecs.IncrementalDecoder] = {}
    errors: dict[str, int] = {}
    mark, offset = b"", 0

    def decode(block: bytes, final: bool) -> None:
        for name, decoder in list(decoders.items()):
            pending = len(decoder.getstate()[0])  # bytes of a character that began in the block before
            try:
                decoder.decode(block, final)
            except UnicodeDecodeError as error:
                errors[name] = offset - pending + error.start
                del decoders[name]

    with open_data_file(path) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if not offset:
                mark, names = guess_encodings(block)
                decoders = {name: codecs.getincrementaldecoder(name)() for name in names}
            decode(block, final=False)
            offset += len(block)
    decode(b"", final=True)
    name = next(iter(decoders), None) if offset else "utf-8"
    return TextEncoding(mark, name, errors, digest.hexdigest())
