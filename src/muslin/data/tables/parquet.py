"""Parquet: columns keep their types, and the new ones are written beside them, batch by batch.

A column of files' bytes, plain or as Hugging Face's {bytes, path}, holds photos. They stay in the file until they are
needed, and the column's cells are their paths.
"""

import json
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from muslin.data.expansion import FREE_BYTES, max_cells, max_content_bytes, max_items
from muslin.data.photos import MAX_PHOTO_BYTES
from muslin.data.tables.cells import AddedColumn, Cell, Row, to_cell, typed_value
from muslin.data.tables.table_file import Repairs, TableFile, TableRow, damage_as_data_error
from muslin.errors import DataError, ImageError
from muslin.extras import require_extra
from muslin.library_errors import reason_of
from muslin.workers import WorkerEnded, WorkerPool

BATCH_ROWS = 4096
GROUP_ROWS = 65_536
"""Rows in each row group that is written."""

SCHEMA_KEY = b"muslin"
"""The schema's metadata in which `muslin convert` stores what each column is."""

GROUP_BYTES = BATCH_BYTES = 2**26
"""Bytes in memory of a row group that is written, and of the rows that are copied at once."""

MAX_LEAVES = 70_000
"""Columns, and fields of columns, of which pyarrow takes 3 KB each: one for each value of 256×256 pixels is below."""

MAX_FOOTER_BYTES = 48 * 2**20
"""Of the list of all columns, by row group, which pyarrow holds in 20 times its bytes. 65,536 columns by pandas take 30
million bytes."""

SCHEMA_START = re.compile(
    rb"\x15(?:[\x80-\xff]*[^\x80-\xff])\x19(?:([\x0c-\xec])|\xfc([\x80-\xff]{0,4}[^\x80-\xff]))", re.DOTALL
)
"""How a footer begins, in Thrift's compact protocol: its version, and the number of the schema's elements."""

CACHED_GROUPS = 2

MAX_METADATA_S = 10
MAX_METADATA_MB = 1000


@contextmanager
def open_parquet(path: Path, dictionaries: Sequence[str] = ()) -> Iterator[Any]:
    """The pyarrow ParquetFile at `path`.

    Args:
        dictionaries: columns, by their paths in the schema, whose texts are read as indices into the distinct ones.

    Raises:
        DataError: pyarrow cannot read it, now or within the block.
        MissingPartError: pyarrow is not installed.
    """
    require_extra("parquet")
    import pyarrow.parquet as pq

    with damage_as_data_error(path, Parquet.damaged):
        _check_footer(path)
        with pq.ParquetFile(path, read_dictionary=dictionaries) as file:
            yield file


def _check_footer(path: Path) -> None:
    """DataError where the footer is too long, or lists too many columns, for pyarrow to read it in little memory."""
    with path.open("rb") as file:
        file.seek(-min(8, path.stat().st_size), os.SEEK_END)
        ending = file.read()
        length = int.from_bytes(ending[:4], "little")
        if ending[4:] == b"PAR1" and length > MAX_FOOTER_BYTES:
            raise DataError("parquet_footer", path=str(path), max_bytes=MAX_FOOTER_BYTES)
        if ending[4:] != b"PAR1" or length + 8 > path.stat().st_size:
            return  # pyarrow says what is wrong
        file.seek(-8 - length, os.SEEK_END)
        start = SCHEMA_START.match(file.read(16))
    if start is None:
        raise ValueError("its footer does not begin with the number of its columns")
    few, many = start.groups()
    count = few[0] >> 4 if few else sum((byte & 127) << (7 * place) for place, byte in enumerate(many))
    if count > MAX_LEAVES:
        raise DataError("too_many_columns", path=str(path), max_columns=MAX_LEAVES)


def check_size(path: Path, file: Any) -> list[str]:
    """The paths of the columns whose texts the pyarrow ParquetFile `file` stores once each, as a dictionary.

    Raises:
        DataError: it has more columns, rows or cells, or more bytes in its columns, than its size allows.
        ValueError: pyarrow cannot read the metadata of a column.
    """
    file_bytes, metadata = path.stat().st_size, file.metadata
    if metadata.num_columns > MAX_LEAVES:
        raise DataError("too_many_columns", path=str(path), max_columns=MAX_LEAVES)
    if metadata.num_rows > max_items(file_bytes):
        raise DataError("too_many_rows", path=str(path), max_rows=max_items(file_bytes))
    try:
        _METADATA_WORKERS.run({"path": os.fspath(path)})
    except WorkerEnded:
        raise ValueError("the metadata of a column is inconsistent") from None
    lengths = [max(metadata.schema.column(j).length, 0) for j in range(metadata.num_columns)]
    values = content_bytes = 0
    dictionaries: dict[str, None] = {}
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for j, length in enumerate(lengths):
            column = group.column(j)
            values += column.num_values
            content_bytes += max(column.total_uncompressed_size, length * column.num_values)
            if column.physical_type == "BYTE_ARRAY" and any("DICTIONARY" in each for each in column.encodings):
                dictionaries[column.path_in_schema] = None
    if values > max_cells(file_bytes):
        max_rows = max_cells(file_bytes) // max(metadata.num_columns, 1)
        raise DataError("too_many_cells", path=str(path), max_rows=max_rows, columns=metadata.num_columns)
    _check_content(path, content_bytes)
    return list(dictionaries)


def _read_column_metadata(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """Read them where it does no harm that pyarrow ends the process: it does not catch all C++ exceptions there."""
    with suppress(Exception), open_parquet(Path(params["path"])) as file:  # the process that asked raises it again
        for i in range(file.num_row_groups):
            for j in range(file.metadata.num_columns):
                file.metadata.row_group(i).column(j)
    return {}, b""


_METADATA_WORKERS = WorkerPool(f"{__name__}:{_read_column_metadata.__name__}", 1, MAX_METADATA_S, MAX_METADATA_MB)


def _check_content(path: Path, content_bytes: int) -> None:
    max_bytes = max_content_bytes(path.stat().st_size)
    if content_bytes > max_bytes:
        raise DataError("content_too_large", path=str(path), max_bytes=max_bytes)


def python_values(array: Any) -> list[Any]:
    """As `to_pylist` of a pyarrow array, but a text that recurs through a dictionary is one Python object."""
    import pyarrow as pa

    kind, is_valid = array.type, array.is_valid().to_pylist() if array.null_count else None
    if pa.types.is_dictionary(kind):
        used, places = np.unique(array.indices.fill_null(0).to_numpy(zero_copy_only=False), return_inverse=True)
        texts = array.dictionary.take(pa.array(used)).to_pylist() if len(array.dictionary) else [None]
        values = [texts[place] for place in places.tolist()]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        items, offsets = python_values(array.values), array.offsets.to_pylist()
        values = [items[start:end] for start, end in pairwise(offsets)]
    elif pa.types.is_struct(kind):
        fields = [python_values(array.field(i)) for i in range(kind.num_fields)]
        names = [field.name for field in kind]
        values = [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)]
    else:
        return list(array.to_pylist())
    return values if is_valid is None else [v if valid else None for v, valid in zip(values, is_valid, strict=True)]


class Parquet(TableFile):
    """A Parquet table. Its schema, with pandas' metadata, and its compression stay.

    Attributes:
        photo_columns: the columns that hold photos.
        description: what `muslin convert` stored of the data set; empty in other files.
        classes: per column whose classes the file lists, their order, `kind` and maybe the column `unknown`.
    """

    suffixes = (".parquet", ".pq")
    damaged = "parquet_damaged"

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read."""
        super().__init__(path)
        with open_parquet(path) as file:
            self._schema = file.schema_arrow
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self._dictionaries = check_size(path, file)
        self.columns = tuple(self._schema.names)
        self.photo_columns = tuple(column.name for column in self._schema if _holds_bytes(column.type))
        self._group_starts = [0, *accumulate(sizes)][:-1]
        self._read_group = lru_cache(CACHED_GROUPS)(partial(_read_group, path, self._dictionaries))
        self._lock = threading.Lock()
        self._counted: set[tuple[int, str]] = set()
        self._photo_bytes = 0
        self.description = _metadata(self._schema, SCHEMA_KEY)
        try:
            described = {str(row["name"]): row for row in self.description.get("targets", [])}
        except (KeyError, TypeError) as error:
            raise DataError("parquet_metadata", path=str(path), reason=reason_of(error)) from error
        self.classes = _class_labels(self._schema) | described

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        fields = {name: f"{name}.path" if name in self.photo_columns else name for name in names}
        number = 0
        with open_parquet(self.path, self._dictionaries) as file:
            for batch in _batches(self.path, file, list(fields.values())):
                found = dict(zip(batch.schema.names, batch.columns, strict=True))
                cells = {n: self._column_cells(n, found[n]) if n in found else [""] * len(batch) for n in fields}
                for row in zip(*(cells[name] for name in names), strict=True) if names else [()] * len(batch):
                    number += 1
                    yield TableRow(number, row)

    def photo(self, column: str, number: int, cell: Cell) -> "ParquetPhoto":
        """The photo in row `number`, from 1, of a column of photos, whose cell there is `cell`."""
        return ParquetPhoto(f"{self.path}/{cell or number}", self, column, number)

    def photo_cell(self, column: str, number: int) -> Any:
        """Content of such a cell. Keeps a few row groups in memory; safe in threads.

        Raises:
            DataError: the photos of the row groups read until now, each counted as often as it recurs, are more than
                the size of the file allows.
        """
        group = bisect_right(self._group_starts, number - 1) - 1
        with self._lock:
            _check_content(self.path, self._photo_bytes)
            cells = self._read_group(group, column)
            if (group, column) not in self._counted:
                self._counted.add((group, column))
                self._photo_bytes += sum(map(_plain_bytes, cells.chunks))
                _check_content(self.path, self._photo_bytes)
        return cells[number - 1 - self._group_starts[group]].as_py()

    def holds_photo(self, column: str, number: int) -> bool:
        """Whether there is content in such a cell.

        Raises:
            DataError: the file is damaged, or as of `photo_cell`.
        """
        with damage_as_data_error(self.path, self.damaged):
            return isinstance(_content(self.photo_cell(column, number)), bytes)

    def _column_cells(self, name: str, column: Any) -> list[Cell]:
        values = python_values(column)
        if name in self.photo_columns:
            values = [value and value["path"] for value in values]
        elif name in self.classes and "numbered" in self.classes[name]:
            values = [_class_name(value, self.classes[name]["classes"]) for value in values]
        known: dict[int, Cell] = {}  # by the object's id: a value that recurs becomes one text
        return [
            known[id(value)] if id(value) in known else known.setdefault(id(value), to_cell(value)) for value in values
        ]

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            "text": pa.string(),
            "number": pa.float64(),
            "list": pa.list_(pa.string()),
            "numbers": pa.list_(pa.string()),
        }
        new_rows = iter(rows)
        schema = self._schema
        for column in added:
            schema = schema.append(pa.field(column.name, types[column.kind]))
        # read errors of the source become DataError; those of writing to `file` do not
        with (
            pq.ParquetFile(self.path, read_dictionary=self._dictionaries) as source,
            pq.ParquetWriter(file, schema, compression=_compression(source)) as writer,
        ):
            group: list[Any] = []
            for batch in self._plain_batches(source):
                cells = list(zip(*islice(new_rows, len(batch)), strict=True))
                arrays = [
                    pa.array(list(map(typed_value, values)), types[column.kind])
                    for column, values in zip(added, cells, strict=True)
                ]
                group.append(pa.RecordBatch.from_arrays([*batch.columns, *arrays], schema=schema))
                if sum(map(len, group)) >= GROUP_ROWS or sum(each.nbytes for each in group) >= GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS)
                    group.clear()
            if group:
                writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS)

    def check_copy(self) -> None:
        """Raises DataError where the texts, each written out as often as it recurs, are more than the size allows."""
        self._check_written_out(list(dict.fromkeys(path.partition(".")[0] for path in self._dictionaries)))

    def check_photos(self, column: str) -> None:
        """Raises DataError as `check_copy`, of a column of photos; in a large file, reading each row group does so."""
        if self.path.stat().st_size <= FREE_BYTES:
            self._check_written_out([column])

    def _check_written_out(self, names: Sequence[str]) -> None:
        if not names:
            return
        content_bytes = 0
        with open_parquet(self.path, self._dictionaries) as file:
            for batch in _batches(self.path, file, names):
                content_bytes += sum(map(_plain_bytes, batch.columns))
                _check_content(self.path, content_bytes)

    def _plain_batches(self, file: Any) -> Iterator[Any]:
        """The rows with the columns' own types, in batches of at most BATCH_BYTES where a row is not larger."""
        import pyarrow as pa

        for batch in _batches(self.path, file):
            rows = max(len(batch) * BATCH_BYTES // max(sum(map(_plain_bytes, batch.columns)), 1), 1)
            for start in range(0, len(batch), rows):
                piece = batch.slice(start, rows)
                columns = [c.cast(f.type) for c, f in zip(piece.columns, self._schema, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=self._schema)


@dataclass(frozen=True)
class ParquetPhoto:
    """The photo in one row of a Parquet file."""

    name: str
    table: Parquet
    column: str
    number: int
    box: None = None  # photos are stored already cropped

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes:
        """As of a Photo."""
        try:
            with damage_as_data_error(self.table.path, self.table.damaged):
                cell = self.table.photo_cell(self.column, self.number)
        except DataError as error:
            if error.code == "content_too_large":
                raise ImageError(error.code, **error.params) from error
            raise ImageError("parquet_photo_unreadable", path=self.name, reason=error.params["reason"]) from error
        content = _content(cell)
        if not isinstance(content, bytes):
            raise ImageError("parquet_photo_empty", path=self.name, row=self.number)
        return content[:max_bytes]


def _content(cell: Any) -> Any:
    """The bytes of a file in a cell of photos, plain or as {bytes, path}."""
    return cell.get("bytes") if isinstance(cell, dict) else cell


def _read_group(path: Path, dictionaries: Sequence[str], group: int, column: str) -> Any:
    with open_parquet(path, dictionaries) as file:
        return file.read_row_group(group, columns=[column]).column(0)


def _holds_bytes(type_: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in type_)
    if pa.types.is_dictionary(type_):
        return _holds_bytes(type_.value_type)
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _metadata(schema: Any, key: bytes) -> dict[str, Any]:
    """JSON that a program stored in the schema; empty where there is none."""
    try:
        content = json.loads((schema.metadata or {})[key])
    except (KeyError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _class_labels(schema: Any) -> dict[str, dict[str, Any]]:
    """Columns of numbers that are Hugging Face's ClassLabel, or lists of them, with the names of the numbers."""
    features = (_metadata(schema, b"huggingface").get("info") or {}).get("features")
    labels = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        items = feature[0] if isinstance(feature, list) and feature else feature
        items = items.get("feature", items) if isinstance(items, dict) else {}
        if isinstance(items, dict) and isinstance(items.get("names"), list):
            kind = "multiclass" if items is feature else "multilabel"
            labels[name] = {"kind": kind, "classes": list(map(str, items["names"])), "numbered": True}
    return labels


def _class_name(value: Any, names: Sequence[str]) -> Any:
    """The name of a number, or the names of several; None for -1, which stands for no label."""
    if isinstance(value, list):
        return [_class_name(item, names) for item in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value if value != -1 else None


def _batches(path: Path, file: Any, names: Sequence[str] | None = None) -> Iterator[Any]:
    with damage_as_data_error(path, Parquet.damaged):
        yield from (b for b in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False) if len(b))


def _plain_bytes(array: Any) -> int:
    """The size of a pyarrow array with each text of a dictionary written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
        indices = array.indices.drop_null().to_numpy(zero_copy_only=False)
        return int(lengths[indices].sum(dtype=np.int64))
    if pa.types.is_struct(kind):
        return sum(_plain_bytes(array.field(i)) for i in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _plain_bytes(array.flatten())
    return int(array.nbytes)


def _compression(file: Any) -> str:
    groups = file.metadata.num_row_groups
    name = file.metadata.row_group(0).column(0).compression if groups and file.metadata.num_columns else ""
    return "NONE" if name in ("", "UNCOMPRESSED") else str(name)
