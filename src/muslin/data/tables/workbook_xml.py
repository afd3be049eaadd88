"""The XML of a workbook's parts: how much of it is read, and the small parts as trees."""

import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from muslin.data.expansion import max_content_bytes, max_items
from muslin.errors import DataError

BLOCK_BYTES = 2**18

MAX_DEPTH = 100
"""Levels of nested elements."""

MAX_TAG_BYTES = 2**20
"""Length of a tag or a comment: the parser holds it, and reads it again as it grows."""

MAX_NAMES = 10_000
"""Different names of elements and attributes of a part, each of which the parser keeps; Excel has some hundreds."""

MIN_ELEMENT_BYTES = 7
"""Mean size of an element beyond FREE_ELEMENTS: a cell with its value takes 15 at least, an empty row 6."""

FREE_ELEMENTS = 2**20
"""Cells, values and rows that any workbook can have, each of which takes some 5 microseconds."""


class XmlBudget:
    """Counts the elements and bytes that are read of a workbook, and refuses more than the size of its file allows."""

    def __init__(self, path: Path) -> None:
        file_bytes = path.stat().st_size
        self._path, self._elements, self._bytes = path, 0, 0
        self._max_elements, self._max_bytes = max(FREE_ELEMENTS, max_items(file_bytes)), max_content_bytes(file_bytes)

    def add(self, elements: int = 1) -> None:
        """Count elements, or cells that are filled because they are merged; DataError where there are too many."""
        self._elements += elements
        if self._elements > FREE_ELEMENTS:
            self._check(self._elements, self._bytes)

    def check_part(self, archive: zipfile.ZipFile, name: str) -> None:
        """DataError where a part has too many elements or bytes: to count them is faster than to parse them."""
        elements, count, rest = self._elements, self._bytes, b""
        with archive.open(name) as source:
            while block := source.read(BLOCK_BYTES):
                count += len(block)
                block = rest + block
                rest = block[-1:] if block.endswith(b"<") else b""
                block = block.removesuffix(b"<")
                elements += block.count(b"<") - sum(map(block.count, (b"</", b"<!", b"<?")))
                self._check_bytes(count)
                if elements > self._max_elements:
                    break
        self._check(elements, count)

    def _check(self, elements: int, count: int) -> None:
        is_dense = elements > FREE_ELEMENTS and elements * MIN_ELEMENT_BYTES > count
        if elements > self._max_elements or is_dense:
            raise DataError(
                "workbook_too_large",
                path=str(self._path),
                max_elements=FREE_ELEMENTS if is_dense else self._max_elements,
            )

    def add_bytes(self, count: int) -> None:
        """Count bytes of XML; DataError where there are too many."""
        self._bytes += count
        self._check_bytes(self._bytes)

    def _check_bytes(self, count: int) -> None:
        if count > self._max_bytes:
            raise DataError("content_too_large", path=str(self._path), max_bytes=self._max_bytes)


def parse_xml(archive: zipfile.ZipFile, name: str, budget: XmlBudget) -> ElementTree.Element:
    """The root of a part's XML, whose names are `namespace}name`.

    Raises:
        DataError: it has more elements or bytes than the budget allows.
        ValueError: it is nested too deeply, or `check_names` raises it.
    """
    budget.check_part(archive, name)
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        budget.add()
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"{name} has elements in more than {MAX_DEPTH} others")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse_doctype
    read = 0
    with archive.open(name) as source:
        while block := source.read(BLOCK_BYTES):
            budget.add_bytes(len(block))
            read += len(block)
            parser.Parse(block, False)
            check_names(parser, read)
        parser.Parse(b"", True)
    return builder.close()


def check_names(parser: expat.XMLParserType, read_bytes: int) -> None:
    """Raises ValueError where a tag is too long, or has attributes beyond number; called after each block.

    Args:
        read_bytes: what the parser was given until now.
    """
    if read_bytes - parser.CurrentByteIndex > MAX_TAG_BYTES:
        raise ValueError(f"a tag in it has more than {MAX_TAG_BYTES:,} bytes")
    if len(parser.intern) > MAX_NAMES:
        raise ValueError(f"its elements and attributes have more than {MAX_NAMES:,} names")


def refuse_doctype(*_: Any) -> None:
    """Raises ValueError; called by expat where a document type is declared."""
    raise ValueError("it declares a document type, which sheets never do")
