"""Workbooks as people keep them: titles, merged cells, dates, SKUs with zeros, formulas, a second sheet."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from photo_files import drawn

from muslin.data import read
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
    for name, (_, _, image) in zip(names, drawn(len(names)), strict=False):
        image.save(folder / f"{name}.jpg")


def test_skus_keep_their_zeros_whether_text_or_numbers_shown_so(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["00123", "00007", "42"])
    path = workbook(tmp_path / "shop.xlsx", [["sku", "kind"], ["00123", "hat"], [7, "hat"], [42, "shirt"]])
    book = openpyxl.load_workbook(path)
    book.active["A3"].number_format = "00000"
    book.save(path)
    data = read(path, target="kind")
    assert data.ids.tolist() == ["00123", "00007", "42"]
    assert [data.targets[0].classes[i] for i in data.labels["kind"]] == ["hat", "hat", "shirt"]
    assert "an XLSX workbook with photos" in data.origin


def test_titles_empty_rows_merged_cells_and_other_sheets_are_no_hindrance(tmp_path: Path) -> None:
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
    assert data.fixes == (
        "the sheet 'Sheet' read, not 'notes'",
        "rows above the header passed over: 1",
        "empty rows passed over: 2",
        "cells merged with the one above, filled with it: 1",
        "cells in columns without a name passed over: 1",
    )


def test_dates_are_days_and_formulas_are_their_saved_results(tmp_path: Path) -> None:
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
    assert data.targets[1].classes == ("False", "True")
    assert data.fixes == (
        "cells with an error such as #N/A taken as empty: 1",
        "formulas saved without a result taken as empty: 1",
    )
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


def test_a_cell_at_the_far_end_of_the_sheet_costs_nothing(tmp_path: Path) -> None:
    photos(tmp_path / "images", ["1", "2"])
    path = workbook(tmp_path / "shop.xlsx", [["image", "label"], [1, "hat"], [2, "shirt"]])
    book = openpyxl.load_workbook(path)
    book.active["XFD1048576"] = "x"
    book.save(path)
    data = read(path)
    assert len(data) == 2
    assert "empty rows passed over: 1,048,572" in data.fixes


@pytest.mark.parametrize("damage", ["cut", "xml", "missing", "empty"])
def test_a_workbook_that_will_not_do_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
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
    with pytest.raises(DataError, match=r"shop\.xlsx: ") as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_a_workbook_with_an_entry_that_leads_outside_is_refused_by_name(tmp_path: Path) -> None:
    path = workbook(tmp_path / "shop.xlsx", [["image", "label"], [1, "hat"]])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.xml", "x")
    with pytest.raises(DataError, match=r"'\.\./evil\.xml' leads outside"):
        read(path)
