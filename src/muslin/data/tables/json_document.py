"""JSON documents: objects in a list or by name, or an export of Label Studio, FiftyOne or COCO, as rows and columns."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from muslin.data.expansion import FREE_CELLS, MAX_COLUMN_NAME_CHARACTERS, MAX_COLUMNS
from muslin.data.gzip_files import open_data_file
from muslin.data.tables.cells import Cell, to_cell
from muslin.data.tables.header import names_photo
from muslin.data.tables.new_table import NewTable
from muslin.data.tables.table_file import Repairs, TableRow
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.messages import Message, examples

JSON_HEAD_BYTES = 2**16
"""What `is_document` needs of a file."""

MAX_BYTES = 2**28
"""Largest content, which is held in memory."""

MAX_MEMORY_MB = 600
"""Largest estimate of what a document takes in memory."""

OBJECT_BYTES, LIST_BYTES, VALUE_BYTES, TEXT_BYTES = 240, 72, 32, 60
"""What Python takes for an object with its keys, a list, a number and a text besides its letters."""

ENTRY_BYTES = 700
"""What Python takes for an entry besides, as a row of a table whose photo was searched."""

MAX_LIST_ITEMS = 2**22
"""Items in all lists of a document's cells, each of which becomes a text: more than 60 values for 60,000 images."""

MAX_DEPTH = 100
"""Levels of nested objects whose cells become columns."""

LONG_DOCUMENT = re.compile(r'\{"[^"]*":[\[{]|\{"[^"]*\.\w+":|\{"classes":null')
"""How a document in one line that is longer than its head begins, without its spaces."""

LABEL_KEYS = ("choices", "label", "displayName", "class-name", "classifications", "detections")
"""Keys of an object that names labels: of Label Studio, FiftyOne, Google and Amazon."""

ADDRESS_KEYS = ("src", "url")
"""Names in an object of a photo, as the interfaces of Shopify and WooCommerce give them."""

Records = Iterable[Mapping[str, Any]]
Reader = Callable[[Any, list[Message]], Records]


def is_document(head: str) -> bool:
    """Whether a text that begins so is one JSON document of rows, not one object per line."""
    if not head.startswith("{"):
        return head.startswith("[")
    line, newline, after = head.partition("\n")
    if newline and line.rstrip().endswith(("{", "[", ",")):
        return True
    try:
        return not after.strip() and _reader(json.loads(line)) is not None
    except (ValueError, RecursionError):
        return not newline and bool(LONG_DOCUMENT.match("".join(head.split())))


class JsonDocument(NewTable):
    """The entries of a JSON document as rows, numbered from 1; written with more columns, it becomes a new table."""

    def __init__(self, path: Path, out: Path | None = None) -> None:
        """Raises DataError where the file is too large, not JSON, or does not list images."""
        super().__init__(path, out)
        value, content_bytes = load_json(path, _without_outlines)
        max_entries = (MAX_MEMORY_MB * 2**20 - content_bytes) // ENTRY_BYTES
        if (reader := _reader(value)) is None:
            raise DataError("json_not_table", path=str(path))
        if len(value) > max_entries:
            raise DataError("json_memory", path=str(path), max_mb=MAX_MEMORY_MB)
        fixes: list[Message] = []
        self._shapes: list[
            tuple[str, ...]
        ] = []  # per row its columns, of which rows that have the same share one tuple
        self._values: list[tuple[Cell, ...]] = []
        shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        columns: dict[str, None] = {}
        items = 0
        try:
            for record in reader(value, fixes):
                if not isinstance(record, dict):
                    raise DataError("json_entry_not_object", row=len(self._values) + 1)
                cells = dict(cells_of(record))
                items += sum(len(cell) for cell in cells.values() if isinstance(cell, tuple))
                if items > MAX_LIST_ITEMS or len(self._values) >= max_entries:
                    raise DataError("json_memory", max_mb=MAX_MEMORY_MB)
                shape = tuple(cells)
                if shape not in shapes:
                    shapes[shape] = shape
                    columns |= dict.fromkeys(shape)
                    if len(columns) > MAX_COLUMNS:
                        raise DataError("too_many_columns", max_columns=MAX_COLUMNS)
                self._shapes.append(shapes[shape])
                self._values.append(tuple(cells.values()))
        except DataError as error:
            raise error.with_params(path=str(path)) from error
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
            row, reason = len(self._values) + 1, f"{type(error).__name__}: {reason_of(error)}"
            raise DataError("json_entry", path=str(path), row=row, reason=reason) from error
        self._notes = tuple(fixes)
        self.columns = tuple(columns)

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        last, places = None, []
        for number, (shape, values) in enumerate(zip(self._shapes, self._values, strict=True), 1):
            if shape is not last:
                place_of = {name: place for place, name in enumerate(shape)}
                last, places = shape, [place_of.get(name) for name in names]
            if any(values):
                yield TableRow(number, tuple("" if place is None else values[place] for place in places))
            else:
                repairs.add("empty_rows_skipped", number)


def load_json(path: Path, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> tuple[Any, int]:
    """The value of a JSON file, and an estimate of its size in memory, in bytes.

    Raises:
        DataError: the file cannot be read, is too large, or is not JSON.
    """
    with open_data_file(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DataError("json_too_large", path=str(path), max_bytes=MAX_BYTES)
    if (estimate := _estimate_bytes(content)) > MAX_MEMORY_MB * 2**20:
        raise DataError("json_memory", path=str(path), max_mb=MAX_MEMORY_MB)
    try:
        return json.loads(content, object_hook=object_hook), estimate
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError("json_file", path=str(path), reason=reason_of(error)) from error


def _estimate_bytes(content: bytes) -> int:
    """About what Python takes for a JSON document: its text, and at most its values."""
    widest = 0xF0 if b"\\u" in content else max(content, default=0)
    width = 1 if widest < 0xC4 else 2 if widest < 0xF0 else 4  # Python's bytes for a letter
    counts = ((b"{", OBJECT_BYTES), (b"[", LIST_BYTES), (b",", VALUE_BYTES), (b'"', TEXT_BYTES // 2))
    return len(content) * (1 + width) + sum(content.count(mark) * size for mark, size in counts)


def _without_outlines(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)  # COCO's, which take most of the memory
    return entry


def cells_of(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Cell]]:
    """The cells of an object by column, called as by pandas.json_normalize: `metadata.width`.

    Raises:
        ValueError: the name of a column is too long.
    """
    for key, item in ((_encodable(key), item) for key, item in value.items()):
        if len(prefix) + len(key) > MAX_COLUMN_NAME_CHARACTERS or depth > MAX_DEPTH:
            raise ValueError(
                f"a name in it has more than {MAX_COLUMN_NAME_CHARACTERS:,} characters or {MAX_DEPTH} parts"
            )
        if isinstance(item, dict) and item and not any(name in item for name in LABEL_KEYS):
            yield from cells_of(item, f"{prefix}{key}.", depth + 1)
        else:  # Amazon's `garment-metadata` has the name of the class that is a number under `garment`
            name = key.removesuffix("-metadata") if isinstance(item, dict) and "class-name" in item else key
            yield prefix + name, to_cell(_labels(item))


def _labels(value: Any) -> Any:
    """The labels, or the photos' addresses, that an object, or each object of a list, names; one choice is no list."""
    if isinstance(value, list):
        return [_labels(item) for item in value]
    if not isinstance(value, dict):
        return _encodable(value) if isinstance(value, str) else value
    labels = _labels(next((value[name] for name in (*LABEL_KEYS, *ADDRESS_KEYS) if name in value), None))
    return labels[0] if "choices" in value and isinstance(labels, list) and len(labels) == 1 else labels


def _encodable(text: str) -> str:
    """`text` with `?` for half a character, which JSON can hold and no file."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _reader(value: Any) -> Reader | None:
    if isinstance(value, list):
        first = value[0] if value and isinstance(value[0], dict) else {}
        return _label_studio if "data" in first and first.keys() & {"annotations", "completions"} else _entries
    if not isinstance(value, dict):
        return None
    if all(isinstance(value.get(name), list) for name in ("images", "annotations", "categories")):
        return _coco
    if isinstance(value.get("samples"), list):
        return _fiftyone_samples
    if isinstance(value.get("labels"), dict):
        return _fiftyone_labels
    if (value and all(isinstance(item, dict) for item in value.values())) or all(map(names_photo, value)):
        return _by_name
    lists = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
    return (lambda _, fixes: lists[0]) if len(lists) == 1 else None


def _entries(entries: list[Any], fixes: list[Message]) -> Records:
    return entries


def _by_name(document: dict[str, Any], fixes: list[Message]) -> Records:
    """Per name its object, or its label; pandas' columns of cells by row."""
    if all(isinstance(item, dict) and all(map(str.isdecimal, item)) for item in document.values()):
        rows = dict.fromkeys(row for cells in document.values() for row in cells)
        if len(rows) * len(document) > FREE_CELLS + 2 * sum(map(len, document.values())):
            raise DataError("too_many_cells", max_rows=FREE_CELLS // len(document), columns=len(document))
        return ({name: cells.get(row) for name, cells in document.items()} for row in rows)
    return ({"image": name, **(item if isinstance(item, dict) else {"label": item})} for name, item in document.items())


def _label_studio(tasks: list[Any], fixes: list[Message]) -> Records:
    """Per task its data, and per control the choices of its annotators; none where they differ."""
    differing = []
    for number, task in enumerate(tasks, 1):
        annotations = [
            a for a in task.get("annotations") or task.get("completions") or () if not a.get("was_cancelled")
        ]
        given: dict[str, list[Any]] = defaultdict(list)
        for annotation in [a for a in annotations if a.get("ground_truth")] or annotations:
            for result in annotation.get("result") or ():
                if choices := result["value"].get("choices"):
                    given[result["from_name"]].append(choices)
        agreed = {name: all_[0] for name, all_ in given.items() if all(set(c) == set(all_[0]) for c in all_)}
        if len(agreed) < len(given):
            differing.append(str(number))
        yield {"id": task.get("id"), **task["data"], **{name: {"choices": c} for name, c in agreed.items()}}
    if differing:
        fixes.append(Message("annotators_differ", **examples(differing)))


def _fiftyone_samples(document: dict[str, Any], fixes: list[Message]) -> Records:
    """Per sample its file, its tag where it has one, and its fields of labels."""
    for sample in document["samples"]:
        objects = {name: item for name, item in sample.items() if isinstance(item, dict)}
        fields = {name: item for name, item in objects.items() if any(key in item for key in LABEL_KEYS)}
        tags: list[Any] = list(sample.get("tags") or ())
        yield {"filepath": sample["filepath"], "split": tags[0] if len(tags) == 1 else None, **fields}


def _fiftyone_labels(document: dict[str, Any], fixes: list[Message]) -> Records:
    """Per photo in `data/` its class, or a list of them: names, or indices into `classes`."""
    classes: Sequence[str] = document.get("classes") or []

    def name(label: Any) -> Any:
        if isinstance(label, dict):
            return name(label.get("label"))
        if isinstance(label, list):
            return list(map(name, label))
        if not classes or not isinstance(label, int):
            return label
        return classes[label if label >= 0 else len(classes)]

    for number, (stem, label) in enumerate(document["labels"].items(), 1):
        try:
            yield {"image": stem, "label": name(label)}
        except IndexError as error:
            raise DataError("annotation_category", row=number, name=str(label), choices=classes[:20]) from error


def _coco(document: dict[str, Any], fixes: list[Message]) -> Records:
    """Per image its category; a list of them where an image can have several, or objects in boxes."""
    categories = {category["id"]: category["name"] for category in document["categories"]}
    labels_of: dict[Any, list[str]] = {image["id"]: [] for image in document["images"]}
    annotations = document["annotations"]
    for number, annotation in enumerate(annotations, 1):
        if (category := annotation["category_id"]) not in categories:
            raise DataError("annotation_category", row=number, name=str(category), choices=list(categories)[:20])
        labels_of.setdefault(annotation["image_id"], []).append(categories[category])
    has_boxes = any(annotation.get("bbox") for annotation in annotations)
    single = not has_boxes and all(len(set(labels)) < 2 for labels in labels_of.values())
    if has_boxes:
        fixes.append(Message("boxes_read_as_labels", count=len(annotations)))
    for image in document["images"]:
        labels = list(dict.fromkeys(labels_of.pop(image["id"], ())))
        unknown = not labels and not has_boxes
        yield {"image": image["file_name"], "label": labels[0] if labels and single else None if unknown else labels}
    if labels_of:
        fixes.append(Message("unlisted_images_skipped", **examples(map(str, labels_of))))
