"""The photos of a product whose rows hold them, in a table of Parquet."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from muslin.catalogue.product_rows import find_products
from muslin.data.tables import open_table
from muslin.data.tables.photo_column import table_photos


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), shade).save(file, "PNG")
    return file.getvalue()


BLACK, WHITE, GRAY = png(0), png(255), png(128)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([BLACK, WHITE, BLACK, None, GRAY], ["image 1", "image 2"]),
        ([{"bytes": b, "path": None} for b in (BLACK, WHITE, BLACK, None, GRAY)], ["image 1", "image 2"]),
        ([{"bytes": b, "path": "i.png"} for b in (BLACK, WHITE, BLACK, BLACK, GRAY)], ["i.png", "i.png 2"]),
    ],
    ids=["bytes", "no path", "one path"],
)
def test_each_photo_that_a_products_rows_hold_is_found_once(tmp_path: Path, cells: list[Any], names: list[str]) -> None:
    path = tmp_path / "shop.parquet"
    stored = pa.binary() if BLACK in cells else pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"product_id": ["a", "a", "a", "a", "b"], "image": pa.array(cells, stored)}), path)
    table = open_table(path)
    rows, _ = find_products(table, table_photos(table))
    a, b = (rows.find(product) for product in rows)
    assert [(photo.name, photo.image.content()) for photo in a] == list(zip(names, (BLACK, WHITE), strict=True))
    assert [photo.image.content() for photo in b] == [GRAY]
