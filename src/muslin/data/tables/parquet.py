"""Parquet: columns keep their types, and the new ones are written beside them, block by block."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from muslin.data.tables.cells import Column, Row
from muslin.errors import DataError

BLOCK_ROWS = 4096
GROUP_ROWS = 65_536
"""Rows read at a time, and rows in a group of those written."""


class Parquet:
    """A Parquet table. Its schema, with pandas' notes in it, and its compression stay."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read."""
        self.path = path
        self.notes: tuple[str, ...] = ()
        with self._file() as file:
            self.columns = tuple(file.schema_arrow.names)
        with path.open("rb") as content:
            self.digest = hashlib.file_digest(content, "sha256").hexdigest()

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        with self._file() as file:
            for block in self._blocks(file, list(dict.fromkeys(names))):
                columns = [list(map(_text, block.column(name).to_pylist())) for name in names]
                yield from zip(*columns, strict=True)

    def write(self, file: BinaryIO, added: Sequence[Column], rows: Iterable[Row]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"text": pa.string(), "number": pa.float64(), "list": pa.list_(pa.string())}
        answers = iter(rows)
        with self._file() as source:
            schema = source.schema_arrow
            for column in added:
                schema = schema.append(pa.field(column.name, kinds[column.kind]))
            with pq.ParquetWriter(file, schema, compression=_compression(source)) as writer:
                kept: list[Any] = []
                for block in self._blocks(source):
                    cells = list(zip(*islice(answers, len(block)), strict=True))
                    arrays = [
                        pa.array([_value(v) for v in values], kinds[column.kind])
                        for column, values in zip(added, cells, strict=True)
                    ]
                    kept.append(pa.RecordBatch.from_arrays([*block.columns, *arrays], schema=schema))
                    if sum(map(len, kept)) >= GROUP_ROWS:
                        writer.write_table(pa.Table.from_batches(kept), row_group_size=GROUP_ROWS)
                        kept.clear()
                if kept:
                    writer.write_table(pa.Table.from_batches(kept), row_group_size=GROUP_ROWS)

    def _file(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path)
        except pa.ArrowException as error:
            raise self._damaged(error) from error
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read ({error.strerror or error}). Check the path."
            ) from error

    def _blocks(self, file: Any, names: Sequence[str] | None = None) -> Iterator[Any]:
        import pyarrow as pa

        try:
            yield from (b for b in file.iter_batches(BLOCK_ROWS, columns=names, use_threads=False) if len(b))
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError:
        reason = str(error).splitlines()[0]
        return DataError(f"{self.path}: the Parquet file is damaged ({reason}). Copy it again.")


def _compression(file: Any) -> str:
    groups = file.metadata.num_row_groups
    found = file.metadata.row_group(0).column(0).compression if groups and file.metadata.num_columns else ""
    return "NONE" if found in ("", "UNCOMPRESSED") else str(found)


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    return value or None


def _text(value: Any) -> str:
    if value is None or value != value:  # NaN stands for an empty cell
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
