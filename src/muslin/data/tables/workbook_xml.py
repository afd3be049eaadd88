"""The XML of a workbook's parts: how much of it is read, and the small parts as trees."""

import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from muslin.data.expansion import MAX_TEXT_CHARACTERS, max_content_bytes, max_items
from muslin.errors import DataError

BLOCK_BYTES = 2**18

MAX_DEPTH = 100
"""Levels of nested elements."""

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
        is_dense = self._elements > FREE_ELEMENTS and self._elements * MIN_ELEMENT_BYTES > self._bytes
        if self._elements > self._max_elements or is_dense:
            raise DataError(
                "workbook_too_large",
                path=str(self._path),
                max_elements=FREE_ELEMENTS if is_dense else self._max_elements,
            )

    def add_bytes(self, count: int) -> None:
        """Count bytes of XML; DataError where there are too many."""
        self._bytes += count
        if self._bytes > self._max_bytes:
            raise DataError("content_too_large", path=str(self._path), max_bytes=self._max_bytes)


def parse_xml(archive: zipfile.ZipFile, name: str, budget: XmlBudget) -> ElementTree.Element:
    """The root of a part's XML, whose names are `namespace}name`."""
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
            if read - parser.CurrentByteIndex > MAX_TEXT_CHARACTERS:
                raise ValueError(f"{name} has a tag of more than {MAX_TEXT_CHARACTERS:,} bytes")
        parser.Parse(b"", True)
    return builder.close()


def refuse_doctype(*_: Any) -> None:
    """Raises ValueError; called by expat where a document type is declared."""
    raise ValueError("it declares a document type, which sheets never do")
