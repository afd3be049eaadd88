"""A shop's export goes from addresses to a tagged table, and the tags back into its own columns."""

import csv
import datetime
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from PIL import Image

from command_line import error_object, invoke
from muslin.fetching.connection import Network
from muslin.models.bundle import seal
from muslin.workflows.fetch import FetchOptions, fetch, plan_fetch
from photo_host import PUBLIC, QUICK, PhotoHost, photo_host
from shop_exports import DIALECTS, SHOPIFY_COLUMNS, WOOCOMMERCE_COLUMNS, Dialect, shopify_rows, woocommerce_rows
from small_models import SIDE, small_bundle
from small_shop import calibration_data


def shade(brightness: int) -> bytes:
    """A photo. The small model is certain that a white one is a Bag, and of a black one it knows nothing."""
    file = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(file, "PNG")
    return file.getvalue()


PHOTOS = {
    "/bag%201.png?v=1": shade(255), "/bag-2.png": shade(254), "/w_80,h_80/bag-2.png": shade(254),
    "/bag-3.png": shade(253), "/hat.png": shade(0),
}  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Iterator[PhotoHost]:
    with photo_host(PHOTOS) as host:
        yield host


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.muslin"
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), path)
    return path


def fetched(export: Path, host: PhotoHost) -> Path:
    """The table that `fetch` writes. The one address without http is asked for unencrypted, as the host answers."""
    plan = plan_fetch(export, export.parent / "shop", FetchOptions(rate=1000))
    plain = {url: replace(address, scheme="http", port=80) for url, address in plan.to_ask.items()}
    addresses = {text: plain.get(getattr(a, "url", ""), a) for text, a in plan.addresses.items()}
    network = Network(lambda *_: [PUBLIC], host.network.connect)
    return fetch(replace(plan, addresses=addresses), list(plan.hosts), network=network, limits=QUICK).out


def rows_of(path: Path, dialect: Dialect) -> list[dict[str, str]]:
    text = path.read_bytes().removeprefix(dialect.mark).decode(dialect.encoding)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=dialect.delimiter))


def without_last_cells(content: bytes, count: int, dialect: Dialect, columns: int) -> bytes:
    """A table's bytes without its last `count` columns."""
    text = content.removeprefix(dialect.mark).decode(dialect.encoding)
    records = list(csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter))
    assert {len(record) for record in records} == {columns + count}
    kept = Dialect(dialect.delimiter, dialect.line_end, dialect.encoding, dialect.mark, dialect.quote_all)
    return kept.write(records[0][:columns], [dict(zip(records[0], record, strict=True)) for record in records[1:]])


@pytest.mark.parametrize("name", DIALECTS)
def test_shopify_export_gets_its_types(name: str, model: Path, host: PhotoHost, tmp_path: Path, capfd: Any) -> None:
    dialect = DIALECTS[name]
    export = tmp_path / "products_export.csv"
    export.write_bytes(dialect.write(SHOPIFY_COLUMNS, shopify_rows()))
    products = fetched(export, host)
    assert without_last_cells(products.read_bytes(), 1, dialect, len(SHOPIFY_COLUMNS)) == export.read_bytes()
    counts = [len(list(filter(None, row["photo"].split("|")))) for row in rows_of(products, dialect)]
    assert counts == [2, 1, 1, 1, 0, 0, 1]
    tagged = tmp_path / "tagged.csv"
    done = invoke(capfd, "tag", model, products, "-o", tagged, "--precision", 0.9, "--taxonomy", "shopify")
    assert done.code == 0, done
    found = rows_of(tagged, dialect)
    assert [(row["tag"], row["decision"]) for row in found] == [
        ("Handbags", "accept"), ("", ""), ("", ""), ("Pants", "review"), ("", ""), ("", ""), ("Handbags", "accept"),
    ]  # fmt: skip
    assert found[0]["category_id"] == "aa-5-4"
    assert found[0]["parent"] == "Apparel & Accessories > Handbags, Wallets & Cases"
    words = ("fill", export, tagged, "--column")
    filled = invoke(capfd, *words, "Type", "-o", tmp_path / "types.csv", "--json").json
    counted = {name: filled[name] for name in ("rows", "filled", "kept", "not_accepted")}
    assert counted == {"rows": 7, "filled": 1, "kept": 1, "not_accepted": 1}
    expected = shopify_rows()
    expected[0]["Type"] = "Handbags"
    assert (tmp_path / "types.csv").read_bytes() == dialect.write(SHOPIFY_COLUMNS, expected)
    invoke(capfd, *words, "Product Category", "--with-parents", "-o", tmp_path / "import.csv")
    first = rows_of(tmp_path / "import.csv", dialect)[0]
    assert first["Product Category"] == "Apparel & Accessories > Handbags, Wallets & Cases > Handbags"


@pytest.mark.parametrize("name", ["plain", "windows"])
def test_woocommerce_export_gets_its_categories(
    name: str, model: Path, host: PhotoHost, tmp_path: Path, capfd: Any
) -> None:
    dialect = DIALECTS[name]
    export = tmp_path / "wc-product-export.csv"
    export.write_bytes(dialect.write(WOOCOMMERCE_COLUMNS, woocommerce_rows()))
    products = fetched(export, host)
    assert without_last_cells(products.read_bytes(), 1, dialect, len(WOOCOMMERCE_COLUMNS)) == export.read_bytes()
    tagged, tree = tmp_path / "tagged.csv", tmp_path / "tree.csv"
    tree.write_text("tag,parent\nBag,Accessories\n")
    assert invoke(capfd, "tag", model, products, "-o", tagged, "--precision", 0.9, "--taxonomy", tree).code == 0
    tags = [(row["tag"], row["decision"]) for row in rows_of(tagged, dialect)]
    assert tags == [("Bag", "accept"), ("", ""), ("", ""), ("Trouser", "review")]
    invoke(capfd, "fill", export, tagged, "--column", "Categories", "--with-parents", "-o", tmp_path / "import.csv")
    expected = woocommerce_rows()
    expected[0]["Categories"] = "Accessories > Bag"
    assert (tmp_path / "import.csv").read_bytes() == dialect.write(WOOCOMMERCE_COLUMNS, expected)


def test_fill_takes_only_accepted_tags_of_the_same_rows(tmp_path: Path, capfd: Any) -> None:
    export, tagged = tmp_path / "export.csv", tmp_path / "tagged.csv"
    export.write_bytes(b'sku;type;note\r\n01;;"a;""b"\r\n02;mine;\r\n03;;c;d\r\n04\r\n')
    rows = ["01,Coat,accept", "02,Hat,accept", "03,Shirt,review", "04,=Bag,accept"]
    tagged.write_text("\n".join(["sku,tag,decision", *rows]))
    words = ("fill", export, tagged, "--column", "type", "-o")

    def filled(*options: object) -> bytes:
        done = invoke(capfd, *words, tmp_path / "o.csv", "--overwrite", *options)
        assert done.code == 0, done
        return (tmp_path / "o.csv").read_bytes()

    assert filled() == b'sku;type;note\r\n01;Coat;"a;""b"\r\n02;mine;\r\n03;;c;d\r\n04;\'=Bag\r\n'
    assert b"02;Hat;" in filled("--replace")
    assert b"03;Shirt;c;d\r\n" in filled("--all-tags")
    for skus, code in (("01 03 02 04", "fill_rows_differ"), ("01 02 03", "fill_rows_missing")):
        tagged.write_text("sku,tag,decision\n" + "".join(f"{sku},Coat,accept\n" for sku in skus.split()))
        assert error_object(invoke(capfd, *words, tmp_path / "n.csv", "--json"))["code"] == code
        assert not (tmp_path / "n.csv").exists()
    assert error_object(invoke(capfd, *words, export, "--overwrite", "--json"))["code"] == "output_is_input"


def first_filled(folder: Path, export: str, tagged: str, capfd: Any, *options: object) -> str:
    """The cell `type` of the first row, filled from the tagged table; or the code and the column of the error."""
    (folder / "export.csv").write_text(export)
    (folder / "tagged.csv").write_text(tagged)
    words = ("--column", "type", "-o", folder / "o.csv", "--overwrite", "--json", *options)
    done = invoke(capfd, "fill", folder / "export.csv", folder / "tagged.csv", *words)
    if done.code:
        code, params = (error_object(done)[name] for name in ("code", "params"))
        return f"{code} {params.get('column', params.get('name'))}"
    return rows_of(folder / "o.csv", DIALECTS["plain"])[0]["type"]


def test_fill_takes_the_tags_where_the_shop_has_such_columns(tmp_path: Path, capfd: Any) -> None:
    def filled(own: str, cells: str, added: str, new: str, *options: object) -> str:
        export = f"sku,type,{own}\n1,,{cells}\n"
        return first_filled(tmp_path, export, f"sku,type,{own},{added}\n1,,{cells},{new}\n", capfd, *options)

    new = ("muslin_tag,parent,decision", "Coat,Tops,accept")
    assert filled("tag", "summer", *new) == "Coat"
    assert filled("Tag", "summer", *new, "--with-parents") == "Tops > Coat"
    assert filled("tag", "summer", *new, "--from", "muslin_tag") == "Coat"
    assert filled("tag", "summer", *new, "--from", "parent") == "Tops"
    assert filled("parent", "77", "tag,muslin_parent,decision", "Coat,Tops,accept", "--with-parents") == "Tops > Coat"
    assert filled("decision", "accept", "tag,muslin_decision", "Coat,review") == ""
    new = ("kind_tag,kind_decision,muslin_season_tag,season_decision", "Hat,review,Winter,accept")
    assert filled("season_tag", "summer", *new, "--from", "season_tag") == "Winter"
    assert filled("parent", "77", "tag,decision", "Coat,accept", "--with-parents") == "fill_column_own parent"
    assert filled("tag", "summer", "decision", "accept") == "fill_column_own tag"
    assert filled("note", "", "tag,probability", "Coat,0.9") == "column_unknown decision"


def test_fill_takes_the_decisions_beside_the_tags(tmp_path: Path, capfd: Any) -> None:
    export = "sku,type,tag\n1,,summer\n"
    first, second = "muslin_tag,parent,probability,decision,error", "muslin_tag_2,muslin_parent,muslin_probability"
    cells = "summer,Coat,Tops,0.4,review,,Hat,Heads,0.9,accept"
    tagged = f"sku,type,tag,{first},{second},muslin_decision\n1,,{cells}\n"
    assert first_filled(tmp_path, export, tagged, capfd) == ""
    assert first_filled(tmp_path, export, tagged, capfd, "--from", "muslin_tag_2", "--with-parents") == "Heads > Hat"


def test_each_of_several_tags_gets_the_names_above_it(tmp_path: Path, capfd: Any) -> None:
    def filled(tags: str, above: str) -> str:
        tagged = f"sku,type,tag,parent,decision\n1,,{tags},{above},accept\n"
        return first_filled(tmp_path, "sku,type\n1,\n", tagged, capfd, "--with-parents")

    assert filled("A|B|C", "Tops|Dresses > Long|Tops") == "Tops > A, Dresses > Long > B, Tops > C"
    assert filled("A|B", "|Tops") == "A, Tops > B"
    assert filled("A|B", "") == filled("|A|B", "") == "A, B"
    assert filled("A|B|C", "Tops|Dresses").startswith("fill_parents_differ")


def test_rows_without_an_identifier_are_compared_by_all_cells(tmp_path: Path, capfd: Any) -> None:
    def filled(first: str, second: str) -> str:
        tagged = f"sku,title,tag,decision\n{first},Coat,accept\n{second},Hat,accept\n"
        return first_filled(tmp_path, "sku,title,type\n,long,\n2,flat,\n", tagged, capfd)

    assert filled(",long", "2,corrected") == "Coat"
    assert filled("2,flat", ",long") == "fill_rows_differ sku"
    export = "sku,title,type\n,long,\n,flat,\n"
    tagged = "sku,title,tag,decision\n,flat,Hat,accept\n,long,Coat,accept\n"
    assert first_filled(tmp_path, export, tagged, capfd) == "fill_rows_differ title"


ROWS = 1600
"""Of a workbook whose sheet is read in several blocks."""


def workbook(path: Path, rows: int = ROWS) -> Path:
    """A workbook of several blocks: numbers, dates, formulas and styles around the column to fill."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Article list"])
    sheet.append(["sku", "type", "price", "since", "total", "note"])
    for number in range(rows):
        type_ = ("mine", None, "", None)[number % 4]
        day = datetime.date(2024, 1, 1) + datetime.timedelta(number % 300)
        sheet.append([f"{number:05}", type_, number / 7, day, f"=C{number + 3}*2", "<&> ü" * (number % 9)])
        sheet.cell(number + 3, 3).number_format = "0.00"
        if number % 4 == 2:
            sheet.cell(number + 3, 2).font = openpyxl.styles.Font(bold=True)
    book.create_sheet("more").append(["keep", "me"])
    book.save(path)
    return path


def test_workbook_is_filled_and_every_other_cell_stays(tmp_path: Path, capfd: Any) -> None:
    export, tagged, out = workbook(tmp_path / "export.xlsx"), tmp_path / "tagged.csv", tmp_path / "import.xlsx"
    tagged.write_text("sku,tag,decision\n" + "".join(f"{n:05},=Coat & <hat>,accept\n" for n in range(ROWS)))
    words = ("fill", export, tagged, "--column", "type", "-o")
    done = invoke(capfd, *words, out, "--json").json
    assert {name: done[name] for name in ("rows", "filled", "kept")} == {
        "rows": ROWS,
        "filled": ROWS * 3 // 4,
        "kept": ROWS // 4,
    }
    before, after = openpyxl.load_workbook(export), openpyxl.load_workbook(out)
    for old, new in zip(before.active.iter_rows(), after.active.iter_rows(), strict=True):
        for a, b in zip(old, new, strict=True):
            is_new = a.column == 2 and a.row > 2 and a.value is None
            assert b.value == ("=Coat & <hat>" if is_new else a.value)
            assert (b.data_type, b.number_format, b.font.b) == (
                ("s" if is_new else a.data_type),
                a.number_format,
                a.font.b,
            )
    with zipfile.ZipFile(export) as old_files, zipfile.ZipFile(out) as new_files:
        assert old_files.namelist() == new_files.namelist()
        changed = [name for name in old_files.namelist() if old_files.read(name) != new_files.read(name)]
    assert changed == ["xl/worksheets/sheet1.xml"]
    invoke(capfd, *words, tmp_path / "all.xlsx", "--replace")
    assert {row[1].value for row in openpyxl.load_workbook(tmp_path / "all.xlsx").active.iter_rows(3)} == {
        "=Coat & <hat>"
    }


@pytest.mark.parametrize("kind", ["formula", "merged", "array formula"])
def test_cells_with_formulas_or_merged_are_not_filled(kind: str, tmp_path: Path, capfd: Any) -> None:
    book = openpyxl.Workbook()
    for row in (["sku", "type"], ["1", "mine"], ["2", "=A2" if kind == "formula" else None], ["3", "x"]):
        book.active.append(row)
    if kind == "merged":
        book.active.merge_cells("B2:B3")
    if kind == "array formula":
        book.active["B2"] = openpyxl.worksheet.formula.ArrayFormula("B2:B3", "=A2:A3")
    book.save(tmp_path / "export.xlsx")
    (tmp_path / "tagged.csv").write_text("sku,tag,decision\n1,,\n2,Coat,accept\n3,,\n")
    words = ("fill", tmp_path / "export.xlsx", tmp_path / "tagged.csv", "--column", "type", "--replace")
    error = error_object(invoke(capfd, *words, "-o", tmp_path / "import.xlsx", "--json"))
    assert (error["code"], error["params"]["cell"]) == ("fill_cell_not_plain", "B3")
    assert not (tmp_path / "import.xlsx").exists()
