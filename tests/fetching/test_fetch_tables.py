"""Tables of every kind, with addresses written in every way: what is asked for, and where the photos stand."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muslin.data.tables import open_table
from muslin.data.tables.cells import Cell
from muslin.fetching.fetch_result import FetchResult
from muslin.workflows.fetch import FetchOptions, fetch, plan_fetch
from photo_host import QUICK, photo, photo_host

CDN = "http://cdn.example"
PATHS = ("/a.jpg", "/b%20c.jpg", "/d,e.jpg", "/g.jpg", "/p.jpg", "/%C3%BC.jpg", "/a.jpg?v=1", "/s.jpg")
SHADES = {path: photo(10 * place) for place, path in enumerate(PATHS)}

ROWS: list[dict[str, Any]] = [
    # several in a cell, a comma and a space in an address, a fragment, the scheme of the page
    {"sku": "1", "Images": f"{CDN}/a.jpg, {CDN}/b c.jpg, {CDN}/d,e.jpg", "2": f"{CDN}/a.jpg#x",
     "Bild": "//cdn.example/g.jpg"},
    # a port, a user, a host in Unicode
    {"sku": "2", "Images": f"{CDN}:8080/p.jpg | http://me:pw@cdn.example/u.jpg", "2": "",
     "Bild": "http://bücher.example/ü.jpg"},
    # no SKU, a very long address, spaces around
    {"sku": "", "Images": f"{CDN}/{'x' * 5000}.jpg", "2": None, "Bild": f" {CDN}/a.jpg "},
    # a query, another case, the scheme's own port, not http, a word
    {"sku": "4", "Images": "HTTP://CDN.Example./a.jpg?v=1", "2": "HTTPS://cdn.example:443/s.jpg", "Bild": "none"},
    {"sku": "5", "Images": "", "2": "ftp://cdn.example/q.jpg", "Bild": ""},
]  # fmt: skip

EXPECTED = [
    ("1", ["/a.jpg", "/b%20c.jpg", "/d,e.jpg", "/g.jpg"]),
    ("2", ["/p.jpg", "/%C3%BC.jpg"]),
    ("", ["/a.jpg"]),
    ("4", ["/a.jpg?v=1", "/s.jpg"]),
    ("5", []),
]

REFUSED = {"address_credentials", "address_too_long", "address_not_http"}


def write_workbook(path: Path, rows: list[dict[str, Any]]) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
        book.active.append(cells)
    book.save(path)


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def with_lists(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"Images": [text for text in row["Images"].split(", ") if text]} for row in rows]


def with_objects(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the interfaces of Shopify and WooCommerce give products."""
    return [row | {"Images": [{"id": 7, "src": s, "alt": "a"} for s in row["Images"].split(", ") if s]} for row in rows]


def fetched(export: Path) -> FetchResult:
    """A whole run; addresses of https are asked for unencrypted, as the host answers."""
    plan = plan_fetch(export, export.parent / "shop", FetchOptions(rate=1000))
    plain = {url: replace(address, scheme="http", port=80) for url, address in plan.to_ask.items()}
    addresses = {text: plain.get(getattr(each, "url", ""), each) for text, each in plan.addresses.items()}
    with photo_host(SHADES) as host:
        return fetch(replace(plan, addresses=addresses), list(plan.hosts), network=host.network, limits=QUICK)


def names_in(cell: Cell) -> list[str]:
    return list(cell) if isinstance(cell, tuple) else list(filter(None, cell.split("|")))


WRITERS = {
    "workbook.xlsx": write_workbook,
    "lines.jsonl": write_json_lines,
    "lists.jsonl": lambda path, rows: write_json_lines(path, with_lists(rows)),
    "objects.jsonl": lambda path, rows: write_json_lines(path, with_objects(rows)),
    "document.json": lambda path, rows: path.write_text(json.dumps(rows)),
    "table.parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist(rows), path),
    "lists.parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist(with_lists(rows)), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_photos_come_for_every_kind_of_table(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, ROWS)  # type: ignore[no-untyped-call]
    result = fetched(tmp_path / name)
    before, after = open_table(tmp_path / name), open_table(result.out)
    assert after.columns == (*before.columns, "photo")
    if result.out.suffix == Path(name).suffix:  # a document of JSON becomes CSV
        kept = [row.cells for row in before.rows(before.columns)]
        assert [row.cells[:-1] for row in after.rows(after.columns)] == kept
    found = []
    for _, (sku, cell) in after.rows(["sku", "photo"]):
        contents = [(result.out.parent / each).read_bytes() for each in names_in(cell)]
        found.append((sku, [next(path for path in PATHS if SHADES[path] == content) for content in contents]))
    assert found == EXPECTED
    with result.failed.open(newline="", encoding="utf-8") as file:
        assert {row["code"] for row in csv.DictReader(file)} == REFUSED
