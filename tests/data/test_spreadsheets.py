"""Workbooks from practice: titles, merged cells, dates, SKUs with zeros, formulas, a second sheet."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from photo_files import make_photos

from muslin.data import read
from muslin.data.tables import AddedColumn, open_table, read_table
from muslin.errors import DataError


def workbook(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    assert book.active
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def photos(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for name, (_, _, image) in zip(names, make_photos(len(names)), strict=False):
        image.save(folder / f"{name}.jpg")


def test_skus_keep_their_leading_zeros(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["00123", "00007", "42"])
    path = workbook(tmp_path / "shop.xlsx", [["sku", "kind"], ["00123", "hat"], [7, "hat"], [42, "shirt"]])
    book = openpyxl.load_workbook(path)
    book.active["A3"].number_format = "00000"
    book.save(path)
    data = read(path, target="kind")
    assert data.ids.tolist() == ["00123", "00007", "42"]
    assert [data.targets[0].classes[i] for i in data.labels["kind"]] == ["hat", "hat", "shirt"]
    assert "an XLSX workbook with photos" in data.origin


def test_titles_empty_rows_merged_cells_and_other_sheets(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["1", "2", "3", "4"])
    path = workbook(
        tmp_path / "shop.xlsx",
        [["Spring"], [], ["image", "label", None], [1, "hat"], [2, None], [], [3, "shirt"], [4, "shirt", "?"]],
    )  # fmt: skip
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("A1:C1")
    book.active.merge_cells("B4:B5")
    book.create_sheet("notes").append(["call", "the", "photographer"])
    book.save(path)
    data = read(path)
    assert [data.targets[0].classes[i] for i in data.labels["label"]] == ["hat", "hat", "shirt", "shirt"]
    sheet, *counts = data.fixes
    assert (sheet.code, sheet.params["name"], sheet.params["others"]) == ("one_sheet_read", "Sheet", ["notes"])
    assert {fix.code: fix.params["count"] for fix in counts} == {
        "rows_above_header_skipped": 1,
        "empty_rows_skipped": 2,
        "merged_cells_filled": 1,
        "cells_without_column_skipped": 1,
    }


def test_dates_are_days_and_formulas_their_saved_results(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["1", "2", "3"])
    path = workbook(
        tmp_path / "shop.xlsx",
        [
            ["image", "season", "kind", "sure"],
            [1, datetime.date(2024, 5, 31), '="h"&"at"', True],
            [2, datetime.datetime(2024, 5, 31, 13, 5), "shirt", False],
            [3, datetime.date(2024, 5, 31), "#N/A", True],
        ],
    )
    data = read(path, target=["season", "sure"])
    assert data.targets[0].classes == ("2024-05-31", "2024-05-31 13:05:00")
    assert data.targets[1].classes == ("false", "true")
    assert {fix.code: fix.params["count"] for fix in data.fixes} == {
        "error_cells_emptied": 1,
        "formulas_without_result": 1,
    }
    sheet = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "saved.xlsx", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == sheet:
                content = content.replace(b"</f><v />", b"</f><v>hat</v>").replace(b'C2"', b'C2" t="str"')
            new.writestr(name, content)
    saved = read(tmp_path / "saved.xlsx", target="kind")
    assert saved.labels["kind"].tolist() == [0, 1, -1]
    assert saved.targets[0].classes == ("hat", "shirt")


def test_times_and_durations_are_read_as_they_are_shown(tmp_path: Path) -> None:
    cells = {"m/d/yy": 45443, "[h]:mm": 1.25, "h:mm": 0.125, "000": 7, "[Red]0.0": 7.5, '"day" 0': 3}
    path = workbook(tmp_path / "shop.xlsx", [["n", "cell"], *([i, cell] for i, cell in enumerate(cells.values()))])
    book = openpyxl.load_workbook(path)
    for row, number_format in enumerate(cells, 2):
        book.active.cell(row, 2).number_format = number_format
    book.active.cell(2, 2).number_format = "mm-dd-yy"  # Excel's own format 14
    book.save(path)
    column = read_table(path, lambda sentence: None).columns["cell"]
    assert column.categories == ["2024-05-31", "1 day, 6:00:00", "03:00:00", "007", "7.5", "3"]


def test_titled_workbook_gets_its_columns_beside_the_header(tmp_path: Path) -> None:
    path = workbook(tmp_path / "shop.xlsx", [["Spring"], ["image", "price"], ["a", 1], ["b", 2]])
    table = open_table(path, path)
    assert list(table.rows(["image"])) == [(3, ("a",)), (4, ("b",))]
    with (tmp_path / "out.xlsx").open("wb") as file:
        table.write_with_columns(file, [AddedColumn("tag")], [["hat"], ["shirt"]])
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    assert [row[2] for row in sheet.iter_rows(values_only=True)] == [None, "tag", "hat", "shirt"]


def test_cell_at_the_far_end_of_the_sheet_is_read_fast(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["1", "2"])
    path = workbook(tmp_path / "shop.xlsx", [["image", "label"], [1, "hat"], [2, "shirt"]])
    book = openpyxl.load_workbook(path)
    book.active["XFD1048576"] = "x"
    book.save(path)
    data = read(path)
    assert len(data) == 2
    assert {"empty_rows_skipped": 1_048_572}.items() <= {f.code: f.params["count"] for f in data.fixes}.items()


@pytest.mark.parametrize("damage", ["cut", "xml", "missing", "empty"])
def test_damaged_workbook_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path = workbook(tmp_path / "shop.xlsx", [["image", "label"], [1, "hat"]] if damage != "empty" else [])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if damage == "xml":
        parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"][:300]
    if damage == "missing":
        del parts["xl/worksheets/sheet1.xml"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.params["path"] == str(path)
    assert "\n" not in str(error.value)


def test_workbook_with_an_entry_outside_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "shop.xlsx", [["image", "label"], [1, "hat"]])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.xml", "x")
    with pytest.raises(DataError) as error:
        read(path)
    assert (error.value.code, error.value.params["name"]) == ("archive_entry_outside", "../evil.xml")


def test_two_row_header_with_merged_cells_names_every_column(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "shop.xlsx",
        [["SKU", "Product", None, "Photos"], [None, "name", "kind"], [1, "a", "hat", "x"], [2, "b", "hat", "y", "z"]],
    )
    book = openpyxl.load_workbook(path)
    for cells in ("A1:A2", "B1:C1", "D1:E2"):
        book.active.merge_cells(cells)
    book.save(path)
    table = open_table(path)
    assert table.columns == ("SKU", "name", "kind", "Photos", "Photos 2")
    assert [row.cells for row in table.rows(["SKU", "kind", "Photos 2"])] == [("1", "hat", ""), ("2", "hat", "z")]
    [fix] = table.fixes
    assert (fix.code, fix.params["names"]) == ("rows_above_header_skipped", [1])


def test_sheet_without_header_loses_no_row(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["1", "2", "3", "4"])
    path = workbook(tmp_path / "shop.xlsx", [[f"images/{i}.jpg", "hat" if i < 3 else "shirt"] for i in range(1, 5)])
    data = read(path)
    assert len(data) == 4
    assert [fix.code for fix in data.fixes] == ["columns_numbered"]
    with (tmp_path / "out.xlsx").open("wb") as file:
        open_table(path).write_with_columns(file, [AddedColumn("tag")], [["x"]] * 4)
    again = read_table(tmp_path / "out.xlsx", lambda sentence: None)
    assert again.columns["column 3"].categories == ["x"]
    assert len(again) == 4


def test_repeated_header_in_a_sheet_gets_the_new_name_too(tmp_path: Path) -> None:
    path = workbook(tmp_path / "shop.xlsx", [["image", "kind"], ["a", "hat"], ["image", "kind"], ["b", "shirt"]])
    table = open_table(path)
    assert [row.number for row in table.rows(["image"])] == [2, 4]
    assert [(fix.code, fix.params["names"]) for fix in table.fixes] == [("header_rows_repeated", [3])]
    with (tmp_path / "out.xlsx").open("wb") as file:
        table.write_with_columns(file, [AddedColumn("tag")], [["x"], ["y"]])
    again = read_table(tmp_path / "out.xlsx", lambda sentence: None)
    assert again.columns["tag"].categories == ["x", "y"]


def test_photo_column_of_formulas_without_results_is_named(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["1", "2"])
    path = workbook(tmp_path / "shop.xlsx", [["n", "image", "kind"], *([i, f'=A{i}&".jpg"', "hat"] for i in (7, 8))])
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.code == "photo_column_not_found"
    assert (error.value.params["formulas"], error.value.params["cell"]) == (2, "B2")
    path = workbook(tmp_path / "formulas.xlsx", [["=A1", "=A2"], ["=A3", "=A4"]])
    with pytest.raises(DataError) as error:
        read(path)
    assert (error.value.code, error.value.params["formulas"]) == ("workbook_without_table", 4)
    with pytest.raises(DataError) as error:
        read(workbook(tmp_path / "header.xlsx", [["image", "kind"]]))
    assert error.value.code == "no_rows"


def test_opendocument_sheet_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shop.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(DataError) as error:
        read(tmp_path / "shop.ods")
    assert error.value.params["found"].code == "file_is_opendocument"
