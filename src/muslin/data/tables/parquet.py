"""Parquet: columns keep their types, and the new ones are written beside them, batch by batch."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from muslin.data.tables.cells import AddedColumn, Row, to_cell, typed_value
from muslin.data.tables.table_file import Repairs, TableFile, TableRow
from muslin.errors import DataError

BATCH_ROWS = 4096
GROUP_ROWS = 65_536
"""Rows in a group of those written."""


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """The pyarrow ParquetFile at `path`.

    Raises:
        DataError: pyarrow cannot read it, now or within the block.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError("parquet_damaged", path=str(path), reason=reason) from error


class Parquet(TableFile):
    """A Parquet table. Its schema, with pandas' metadata, and its compression stay."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read."""
        super().__init__(path)
        with open_parquet(path) as file:
            self.columns = tuple(file.schema_arrow.names)
        with path.open("rb") as content:
            self.digest = hashlib.file_digest(content, "sha256").hexdigest()

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        number = 0
        with open_parquet(self.path) as file:
            for batch in _batches(file, list(dict.fromkeys(names))):
                columns = [list(map(to_cell, batch.column(name).to_pylist())) for name in names]
                for cells in zip(*columns, strict=True) if names else [()] * len(batch):
                    number += 1
                    yield TableRow(number, cells)

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
                for batch in _batches(source):
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


def _batches(file: Any, names: Sequence[str] | None = None) -> Iterator[Any]:
    return (b for b in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False) if len(b))


def _compression(file: Any) -> str:
    groups = file.metadata.num_row_groups
    name = file.metadata.row_group(0).column(0).compression if groups and file.metadata.num_columns else ""
    return "NONE" if name in ("", "UNCOMPRESSED") else str(name)
