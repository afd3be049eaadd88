"""The encoding of a text file, from its bytes alone, and the delimiters between its cells."""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass

DELIMITERS = ",;\t|"

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class TextEncoding:
    """How a file's bytes are text.

    Attributes:
        mark: its byte order mark, or b"".
        name: the encoding in which the whole file can be decoded; None where it is neither that of its mark, nor
            UTF-8, nor cp1252.
        errors: per encoding tried, the offset of the first byte that it cannot decode.
    """

    mark: bytes
    name: str | None
    errors: dict[str, int]

    @property
    def codec(self) -> str:
        """The codec that reads the file from its first byte, and drops the mark."""
        return {"utf-8": "utf-8-sig", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}.get(
            self.name or "", self.name or ""
        )


def find_encoding(blocks: Iterable[bytes]) -> TextEncoding:
    """The encoding of a file whose content comes in blocks: that of its byte order mark, else UTF-8 or cp1252."""
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

    for block in blocks:
        if not offset:
            mark = next((mark for mark in BYTE_ORDER_MARKS if block.startswith(mark)), b"")
            names = [BYTE_ORDER_MARKS[mark]] if mark else ["utf-8", "cp1252"]
            decoders = {name: codecs.getincrementaldecoder(name)() for name in names}
        decode(block, final=False)
        offset += len(block)
    decode(b"", final=True)
    if not offset:
        return TextEncoding(b"", "utf-8", {})
    return TextEncoding(mark, next(iter(decoders), None), errors)
