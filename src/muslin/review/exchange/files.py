"""The files of labelling tools: which tool wrote one, and what is in it."""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from muslin.data.archives import archive_files
from muslin.data.dataset import Target
from muslin.data.gzip_files import open_data_file
from muslin.data.tables.json_document import MAX_BYTES, load_json
from muslin.data.tables.workbook_xml import BLOCK_BYTES, MAX_DEPTH, check_names, refuse_doctype
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.review.exchange.cvat import cvat_images, cvat_labels, read_cvat
from muslin.review.exchange.decisions import ReadDecision, one_per_product
from muslin.review.exchange.fiftyone import fiftyone_dataset, read_fiftyone
from muslin.review.exchange.label_studio import label_studio_tasks, labelling_configuration, read_label_studio
from muslin.review.values import Item

MAX_ELEMENTS = 2**22
"""Elements of a CVAT file: 200,000 photos with three tags and their attributes."""

CVAT_FILE = "annotations.xml"
"""Name of the file in CVAT's archives."""

Products = Iterable[Sequence[Item]]
"""Per product its items, one for each target. It can be gone through several times."""


@dataclass(frozen=True)
class ExchangeFormat:
    """A format that is written for a labelling tool, and read again.

    Attributes:
        name: as a user gives it.
        suffix: of the file.
        write: the pieces of the file's text, of targets, products and what comes before the name of each photo.
        settings: the text of a file with the project's settings, or None if the tool needs none.
        settings_suffix: what its name has instead of the suffix.
    """

    name: str
    suffix: str
    write: Callable[[Sequence[Target], Products, str], Iterator[str]]
    settings: Callable[[Sequence[Target], Products], str] | None = None
    settings_suffix: str = ""


EXCHANGE_FORMATS = {
    row.name: row
    for row in (
        ExchangeFormat("label-studio", ".json", label_studio_tasks, labelling_configuration, ".config.xml"),
        ExchangeFormat("fiftyone", ".json", fiftyone_dataset),
        ExchangeFormat("cvat", ".xml", cvat_images, cvat_labels, ".labels.json"),
    )
}


@dataclass(frozen=True)
class ReadFile:
    """What a file of a labelling tool holds.

    Attributes:
        tool: name of the format.
        decisions: in the order of the file.
        differing: entries whose labels are left out because new labels of another photo of the product differ.
    """

    tool: str
    decisions: tuple[ReadDecision, ...]
    differing: tuple[int, ...]


def read_exchange(path: Path, targets: Sequence[Target]) -> ReadFile:
    """The decisions in a file of Label Studio (JSON), FiftyOne (JSON) or CVAT (XML, or the zip with it).

    Raises:
        DataError: the file cannot be read, is damaged, too large or of another tool.
    """
    with open_data_file(path) as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith((b"<", b"PK")):
        with _open_cvat(path, is_zip=head.startswith(b"PK")) as file:
            decisions, differing = one_per_product(read_cvat(_images(file, path), targets))
        return ReadFile("cvat", tuple(decisions), tuple(differing))
    value, _ = load_json(path)
    try:
        if isinstance(value, list) and all(isinstance(task, dict) and "data" in task for task in value):
            return ReadFile("label-studio", tuple(read_label_studio(value, targets)), ())
        if isinstance(value, dict) and isinstance(value.get("samples"), list):
            decisions, differing = one_per_product(read_fiftyone(value, targets))
            return ReadFile("fiftyone", tuple(decisions), tuple(differing))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise DataError("exchange_entry", path=str(path), reason=reason) from error
    raise DataError("exchange_unknown", path=str(path), choices=list(EXCHANGE_FORMATS))


def _open_cvat(path: Path, is_zip: bool) -> IO[bytes]:
    if not is_zip:
        return open_data_file(path)
    files, _ = archive_files(path)  # refuses links, paths that lead outside and absurd expansion
    if CVAT_FILE not in files:
        raise DataError("exchange_unknown", path=str(path), choices=list(EXCHANGE_FORMATS))
    return zipfile.ZipFile(path).open(CVAT_FILE)


def _images(file: IO[bytes], path: Path) -> Iterator[Element]:
    """The elements `image` of a file of CVAT, of which one block's are in memory at a time.

    Raises:
        DataError: it is damaged, too large, or not CVAT's.
    """
    images, read = _ImageParser(path), 0
    try:
        while block := file.read(BLOCK_BYTES):
            read += len(block)
            if read > MAX_BYTES:
                raise DataError("content_too_large", path=str(path), max_bytes=MAX_BYTES)
            images.parser.Parse(block, False)
            check_names(images.parser, read)
            yield from images.take()
        images.parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError("exchange_entry", path=str(path), reason=reason_of(error)) from error
    yield from images.take()


class _ImageParser:
    """Collects the elements `image` in the root of an XML text."""

    def __init__(self, path: Path) -> None:
        self.path, self._images, self._depth, self._elements = path, list[Element](), 0, 0
        self._image: TreeBuilder | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.CharacterDataHandler, self.parser.StartDoctypeDeclHandler = self._text, refuse_doctype

    def take(self) -> list[Element]:
        """The images since the last call."""
        images, self._images = self._images, []
        return images

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise DataError("exchange_too_large", path=str(self.path), max_elements=MAX_ELEMENTS)
        if self._depth == 1 and tag != "annotations":
            raise DataError("exchange_unknown", path=str(self.path), choices=list(EXCHANGE_FORMATS))
        if self._depth == 2 and tag == "image":
            self._image = TreeBuilder()
        if self._image:
            self._image.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._image is None:
            return
        element = self._image.end(tag)
        if self._depth == 1:
            self._images.append(element)
            self._image = None

    def _text(self, text: str) -> None:
        if self._image:
            self._image.data(text)
