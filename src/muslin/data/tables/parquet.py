"""Parquet: columns keep their types, and the new ones are written beside them, batch by batch.

A column of files' bytes, plain or as Hugging Face's {bytes, path}, holds photos. They stay in the file until they are
needed, and the column's cells are their paths.
"""

import json
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, BinaryIO

from muslin.data.photos import MAX_PHOTO_BYTES
from muslin.data.tables.cells import AddedColumn, Cell, Row, to_cell, typed_value
from muslin.data.tables.table_file import Repairs, TableFile, TableRow, damage_as_data_error
from muslin.errors import DataError, ImageError

BATCH_ROWS = 4096
GROUP_ROWS = 65_536
"""Rows in each row group that is written."""

SCHEMA_KEY = b"muslin"
"""The schema's metadata in which `muslin convert` stores what each column is."""

CACHED_GROUPS = 2


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """The pyarrow ParquetFile at `path`.

    Raises:
        DataError: pyarrow cannot read it, now or within the block.
    """
    import pyarrow.parquet as pq

    with damage_as_data_error(path, Parquet.damaged), pq.ParquetFile(path) as file:
        yield file


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
        self.columns = tuple(self._schema.names)
        self.photo_columns = tuple(column.name for column in self._schema if _holds_bytes(column.type))
        self._group_starts = [0, *accumulate(sizes)][:-1]
        self._read_group = lru_cache(CACHED_GROUPS)(partial(_read_group, path))
        self._lock = threading.Lock()
        self.description = _metadata(self._schema, SCHEMA_KEY)
        try:
            described = {str(row["name"]): row for row in self.description.get("targets", [])}
        except (KeyError, TypeError) as error:
            raise DataError("parquet_metadata", path=str(path), reason=str(error)) from error
        self.classes = _class_labels(self._schema) | described

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        fields = {name: f"{name}.path" if name in self.photo_columns else name for name in names}
        number = 0
        with open_parquet(self.path) as file:
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
        """Content of such a cell. Keeps a few row groups in memory; safe in threads."""
        group = bisect_right(self._group_starts, number - 1) - 1
        with self._lock:
            cells = self._read_group(group, column)
        return cells[number - 1 - self._group_starts[group]].as_py()

    def _column_cells(self, name: str, column: Any) -> list[Cell]:
        values = column.to_pylist()
        if name in self.photo_columns:
            values = [value and value["path"] for value in values]
        elif name in self.classes and "numbered" in self.classes[name]:
            values = [_class_name(value, self.classes[name]["classes"]) for value in values]
        return list(map(to_cell, values))

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "number": pa.float64(), "list": pa.list_(pa.string())}
        new_rows = iter(rows)
        # read errors of the source become DataError; those of writing to `file` do not
        with pq.ParquetFile(self.path) as source:
            schema = source.schema_arrow
            for column in added:
                schema = schema.append(pa.field(column.name, types[column.kind]))
            with pq.ParquetWriter(file, schema, compression=_compression(source)) as writer:
                group: list[Any] = []
                for batch in _batches(self.path, source):
                    cells = list(zip(*islice(new_rows, len(batch)), strict=True))
                    arrays = [
                        pa.array(list(map(typed_value, values)), types[column.kind])
                        for column, values in zip(added, cells, strict=True)
                    ]
                    group.append(pa.RecordBatch.from_arrays([*batch.columns, *arrays], schema=schema))
                    if sum(map(len, group)) >= GROUP_ROWS:
                        writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS)
                        group.clear()
                if group:
                    writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS)


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
            raise ImageError("parquet_photo_unreadable", path=self.name, reason=error.params["reason"]) from error
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise ImageError("parquet_photo_empty", path=self.name, row=self.number)
        return content[:max_bytes]


def _read_group(path: Path, group: int, column: str) -> Any:
    with open_parquet(path) as file:
        return file.read_row_group(group, columns=[column]).column(0)


def _holds_bytes(type_: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in type_)
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


def _compression(file: Any) -> str:
    groups = file.metadata.num_row_groups
    name = file.metadata.row_group(0).column(0).compression if groups and file.metadata.num_columns else ""
    return "NONE" if name in ("", "UNCOMPRESSED") else str(name)
