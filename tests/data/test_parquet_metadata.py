"""Parquet files whose list of columns contradicts itself: pyarrow ends a process that reads it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from muslin.data.tables import open_table
from muslin.errors import DataError

OPTIONAL, REQUIRED = b"\x02", b"\x00"  # in Thrift's compact protocol


def test_columns_that_contradict_the_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"photo": ["a.jpg", None], "price": [1.5, 2.5]}), path)
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = []
    for place in range(footer, len(content) - 8):
        if content[place : place + 1] == OPTIONAL:
            path.write_bytes(content[:place] + REQUIRED + content[place + 1 :])
            try:
                open_table(path)
            except DataError as error:
                refused.append((error.code, error.params.get("reason")))
    assert ("parquet_damaged", "the metadata of a column is inconsistent") in refused
