import csv
import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_files import make_photos, write_folders
from test_spreadsheets import workbook

from muslin.data import read
from muslin.data.dataset import UNKNOWN
from muslin.data.formats.dataset_from_tables import unique_ids
from muslin.data.tables import read_table
from muslin.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "photos", {"train": 3, "test": 2})


def rows_of(photos: Path) -> list[dict[str, str]]:
    return [
        {"path": file.relative_to(photos.parent).as_posix(), "label": file.parent.name, "split": file.parts[-3]}
        for part in ("train", "test")
        for file in sorted((photos / part).rglob("*.jpg"))
    ]


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".xlsx":
        workbook(path, [list(rows[0]), *(list(row.values()) for row in rows)])
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def garments(folder: Path) -> None:
    """One folder of 1.jpg, 2.jpg, …: three dresses, three hats, three shirts."""
    folder.mkdir()
    for number, (_, _, image) in enumerate(make_photos(3), 1):
        image.save(folder / f"{number}.jpg")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "xlsx"])
def test_table_of_any_kind_equals_folders(photos: Path, suffix: str) -> None:
    table = read(write_table(photos.parent / f"table.{suffix}", rows_of(photos)))
    folders = read(photos)
    assert table.format == "table"
    assert table.fingerprint == folders.fingerprint
    assert table.targets == folders.targets
    assert table.origin.endswith("photos: path; label: label; part: split")


def test_kaggle_styles_with_commas_ids_and_missing_photos(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    lines = ["id,gender,articleType,productDisplayName"]
    lines += [f"{n},{'Men' if n % 2 else 'Women'},{'Tops' if n < 5 else 'Hats'},Garment {n}" for n in range(1, 10)]
    lines[2] += ", blue, large"
    lines += ["77,Men,Tops,Lost one"]
    (tmp_path / "styles.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "styles.csv")
    assert error.value.code == "label_column_ambiguous"
    assert error.value.params["columns"] == ["gender", "articleType"]
    data = read(tmp_path / "styles.csv", target=["gender", "articleType"])
    assert [t.classes for t in data.targets] == [("Men", "Women"), ("Hats", "Tops")]
    assert data.ids.tolist() == [str(n) for n in range(1, 10)]
    joined, dropped = data.fixes
    assert (joined.code, joined.params["names"]) == ("cells_joined", [3])
    assert (dropped.code, dropped.params["names"]) == ("photos_missing", ["77"])
    assert len(read(tmp_path, target="gender")) == 9


def test_clothing_data_set_has_groups_and_unknown_labels(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    labels = ["Dress", "Dress", "Not sure", "Hat", "Hat", "Skip", "Shirt", "Shirt", "Other"]
    lines = [f"{n},{n // 4},{label},False" for n, label in enumerate(labels, 1)]
    (tmp_path / "images.csv").write_text("image,sender_id,label,kids\n" + "\n".join(lines) + "\n")
    data = read(tmp_path / "images.csv", junk="not sure, Other,Skip", target="label")
    assert data.targets[0].classes == ("Dress", "Hat", "Shirt")
    assert data.labels["label"].tolist() == [0, 0, UNKNOWN, 1, 1, UNKNOWN, 2, 2, UNKNOWN]
    assert data.groups is not None
    assert data.groups.tolist() == ["0", "0", "0", "1", "1", "1", "1", "2", "2"]
    codes = [fix.code for fix in data.fixes]
    assert codes == ["group_column_chosen", "classes_in_one_group", "labels_made_unknown"]
    assert data.fixes[-1].params["count"] == 3
    unasked = read(tmp_path / "images.csv")
    assert len(unasked.targets[0].classes) == 6
    [note] = [fix for fix in unasked.fixes if fix.code == "labels_may_be_junk"]
    assert (note.params["names"], note.params["count"]) == (["Not sure", "Other", "Skip"], 3)


@pytest.mark.parametrize("cells", [("red|blue", "blue"), ("red; blue", "blue"), ('["red", "blue"]', '["blue"]')])
def test_several_labels_in_a_cell(tmp_path: Path, cells: tuple[str, str]) -> None:
    garments(tmp_path / "images")
    rows = [{"image": "1", "tags": cells[0]}, {"image": "2", "tags": cells[1]}, {"image": "3", "tags": ""}]
    data = read(write_table(tmp_path / "table.csv", rows))
    assert (data.targets[0].classes, data.targets[0].kind) == (("blue", "red"), "multilabel")
    assert data.labels["tags"].tolist() == [[1, 1], [1, 0], [UNKNOWN, UNKNOWN]]


def tagged(tmp_path: Path, *cells: str) -> Path:
    """A table of as many photos as cells."""
    garments(tmp_path / "images")
    return write_table(tmp_path / "t.csv", [{"image": str(i), "tags": cell} for i, cell in enumerate(cells, 1)])


@pytest.mark.parametrize(
    "cells", [("red,blue", "blue", ""), ("['red', 'blue']", "['blue']", ""), ("red, blue", "blue, green", "")]
)
def test_commas_and_python_lists_separate_labels(tmp_path: Path, cells: tuple[str, ...]) -> None:
    data = read(tagged(tmp_path, *cells))
    assert data.targets[0].kind == "multilabel"
    assert data.labels["tags"][2].tolist() == [UNKNOWN] * len(data.targets[0].classes)
    assert {data.targets[0].classes[i] for i in np.flatnonzero(data.labels["tags"][0] == 1)} == {"red", "blue"}
    assert "label: tags (" in data.origin


def test_ambiguous_comma_is_refused_until_chosen(tmp_path: Path) -> None:
    path = tagged(tmp_path, "Coats, Jackets", "Dresses", "Dresses", "Coats, Jackets")
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.code == "separator_ambiguous"
    assert error.value.params == {
        "path": str(path),
        "column": "tags",
        "example": "Coats, Jackets",
        "classes": 2,
        "separators": [","],
        "classes_if_separated": [3],
    }
    assert read(path, label_separator="none").targets[0].classes == ("Coats, Jackets", "Dresses")
    several = read(path, label_separator="tags=,")
    assert several.targets[0].classes == ("Coats", "Dresses", "Jackets")
    assert several.targets[0].kind == "multilabel"


def test_two_separators_in_a_column_are_refused_until_chosen(tmp_path: Path) -> None:
    path = tagged(tmp_path, "red|blue", "red;blue", "blue")
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.code == "separator_ambiguous"
    assert error.value.params["separators"] == ["|", ";"]
    assert read(path, label_separator="|").targets[0].classes == ("blue", "red", "red;blue")


def test_comma_within_labels_between_pipes_stays(tmp_path: Path) -> None:
    data = read(tagged(tmp_path, "Coats, Jackets|Red", "Coats, Jackets", "Red"))
    assert data.targets[0].classes == ("Coats, Jackets", "Red")


@pytest.mark.parametrize(
    ("separator", "code"),
    [("/", "separator_unknown"), ("labels=,", "column_unknown"), ("image=|", "separator_of_no_target")],
)
def test_unusable_separator_is_refused(tmp_path: Path, separator: str, code: str) -> None:
    with pytest.raises(DataError) as error:
        read(tagged(tmp_path, "red|blue", "blue"), target="tags", label_separator=separator)
    assert error.value.code == code


def test_empty_list_is_none_and_empty_cell_is_unknown(tmp_path: Path) -> None:
    data = read(tagged(tmp_path, '["a"]', "[]", ""))
    assert data.labels["tags"].tolist() == [[1], [0], [UNKNOWN]]


def test_class_index_does_not_depend_on_missing_photos(tmp_path: Path) -> None:
    path = tagged(tmp_path, "a", "b", "c", "a")
    whole = read(path)
    (tmp_path / "images/1.jpg").unlink()
    (tmp_path / "images/4.jpg").unlink()
    fewer = read(path)
    assert fewer.targets == whole.targets
    assert fewer.labels["tags"].tolist() == [1, 2]


def test_all_targets_reads_every_possible_target(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    names = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    lines = [f"{n},Men,Apparel,Top{n % 2},T,Red,Fall,2012,Casual,A thing {n}, red" for n in range(1, 7)]
    (tmp_path / "styles.csv").write_text("\n".join([names, *lines]) + "\n")
    data = read(tmp_path / "styles.csv", all_targets=True)
    assert [t.name for t in data.targets] == names.split(",")[1:]
    assert data.origin.startswith(f"{tmp_path / 'styles.csv'}, a table with photos")
    with pytest.raises(DataError) as error:
        read(tmp_path / "styles.csv")
    assert len(error.value.params["columns"]) == 9


def test_image_column_makes_any_file_a_table(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.txt").write_text("ean,kind\n1,hat\n2,shirt\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.txt")
    assert error.value.code == "format_not_detected"
    assert len(read(tmp_path / "t.txt", image_column="ean", target="kind")) == 2


def test_columns_and_images_folder_can_be_chosen(tmp_path: Path) -> None:
    garments(tmp_path / "elsewhere")
    rows = [{"n": str(i), "a": "x" if i < 5 else "y", "b": str(i % 2), "who": str(i // 3)} for i in range(1, 10)]
    path = write_table(tmp_path / "table.csv", rows)
    data = read(path, format="table", images=tmp_path / "elsewhere", image_column="n", target="b", group="who")
    assert (len(data), data.targets[0].name) == (9, "b")
    assert data.groups is not None
    assert np.unique(data.groups).tolist() == ["0", "1", "2", "3"]
    with pytest.raises(DataError) as error:
        read(path, format="table", images=tmp_path / "elsewhere", group="whom", target="b")
    assert error.value.code == "column_unknown"
    assert (error.value.params["name"], error.value.params["nearest"]) == ("whom", "who")


def test_names_match_in_any_unicode_form_and_with_back_slashes(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    (tmp_path / "images/sub").mkdir()
    (tmp_path / "images/1.jpg").rename(tmp_path / "images" / f"{unicodedata.normalize('NFD', 'Müller')}.jpg")
    (tmp_path / "images/2.jpg").rename(tmp_path / "images/sub/2.JPG")
    composed = unicodedata.normalize("NFC", "Müller")
    (tmp_path / "t.csv").write_text(f"image,label\n{composed},hat\nsub\\2,shirt\n3,hat\n")
    data = read(tmp_path / "t.csv")
    assert len(data) == 3
    assert data.images[1].shape[2] == 3
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "images")
    assert len(read(tmp_path / "t.csv", images=archive)) == 3


def test_cp1252_table_is_read_with_a_fix(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_bytes("image,label\n1,Müller\n2,Hat\n".encode("cp1252"))
    data = read(tmp_path / "t.csv")
    assert data.targets[0].classes == ("Hat", "Müller")
    [fix] = data.fixes
    assert (fix.code, fix.params["byte"]) == ("encoding_guessed", 15)
    (tmp_path / "t.csv").write_bytes(b"image,label\n1,M\x81ller\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv")
    assert (error.value.code, error.value.params["byte"]) == ("text_encoding", 15)


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ("image,label\n", "no_rows", {}),
        ("image,label\n91,x\n92,y\n", "photo_column_not_found", {"columns": ["image", "label"]}),
        ("image,label,label\n1,x,y\n", "column_twice", {"name": "label"}),
    ],
)
def test_invalid_table_is_refused(tmp_path: Path, text: str, code: str, params: dict[str, Any]) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv")
    assert error.value.code == code
    assert error.value.params.items() >= {"path": str(tmp_path / "t.csv"), **params}.items()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("\n\nimage,label\n1,hat\n2,dress\n3,hat\n", ["empty_rows_skipped"]),
        (
            'Autumn 2024\n\n"image","label"\n1,hat\n2,dress\n3,hat\n',
            ["rows_above_header_skipped", "empty_rows_skipped"],
        ),
        ("image,label,,\n1,hat,,\n2,dress,x,\n3,hat,,\n", ["cells_without_column_skipped"]),
        ("image,label,\n1,hat,\n2,dress,\n3,hat,\n", []),
    ],
)
def test_remains_of_spreadsheets_are_skipped_and_counted(tmp_path: Path, text: str, codes: list[str]) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_text(text)
    data = read(tmp_path / "t.csv")
    assert data.ids.tolist() == ["1", "2", "3"]
    assert [data.targets[0].classes[i] for i in data.labels["label"]] == ["hat", "dress", "hat"]
    assert [fix.code for fix in data.fixes] == codes


def test_comma_in_a_table_of_one_column_is_not_a_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path\na.jpg\nb.jpg\nc,d.jpg\ne.jpg\n")
    column = read_table(tmp_path / "t.csv", lambda sentence: None).columns["path"]
    assert [column.categories[code] for code in column.codes] == ["a.jpg", "b.jpg", "c,d.jpg", "e.jpg"]


def photos_called(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, (_, _, image) in zip(names, make_photos(len(names)), strict=False):
        image.save(folder / name)


@pytest.mark.parametrize(
    ("text", "columns", "first_row"),
    [
        ("img/a.jpg,hat\nimg/b.jpg,shirt\n", ["column 1", "column 2"], 1),
        ("TRAIN,img/a.jpg,hat\nTEST,img/b.jpg,hat\n", ["column 1", "column 2", "column 3"], 1),
        ("gs://shop/img/a.jpg,hat\ngs://shop/img/b.jpg,hat\n", ["column 1", "column 2"], 1),
        ("0108775015,hat\n0108775044,shirt\n", ["column 1", "column 2"], 1),
        ("17,hat\n18,shirt\n19,hat\n20,hat\n", ["column 1", "column 2"], 1),
        ("1,0\n2,1\n3,0\n", ["column 1", "column 2"], 1),
        ("SKU-17,hat\nSKU-18,shirt\n", ["column 1", "column 2"], 1),
        ("photo_1,kind_2\nimg_17,hat_1\nimg_18,hat_2\n", ["photo_1", "kind_2"], 2),
        ("sku,2023,2024\n17,3,4\n18,5,6\n", ["sku", "2023", "2024"], 2),
        ("sep=;\nimg/a.jpg;hat\n", ["column 1", "column 2"], 2),
        ("Autumn\nimage,label\na,\nb,\nc,hat\n", ["image", "label"], 3),
        ("a.jpg|3,5\nb.jpg|4,5\n", ["column 1", "column 2"], 1),
        ("Autumn 2024\nimg/a.jpg,hat\nimg/b.jpg,hat\n", ["column 1", "column 2"], 2),
        ("Women, autumn\nimage,label,price\na,hat,1\nb,hat,2\n", ["image", "label", "price"], 3),
        ("Autumn,,\n,,\nimage,label,price\na,hat,1\nb,hat,2\n", ["image", "label", "price"], 4),
        ("Product,,Class,\nsku,image,kind,price\n1,a,hat,2\n2,b,hat,3\n", ["sku", "image", "kind", "price"], 3),
        ("# from the shop, today\n# two\nimage,label\na,hat\nb,hat\n", ["image", "label"], 4),
        ("# image,label\na.jpg,hat\nb.jpg,shirt\n", ["image", "label"], 2),
        ("#,image,label\n1,a.jpg,hat\n2,b.jpg,shirt\n", ["#", "image", "label"], 2),
        (",image,label\n0,a.jpg,hat\n1,b.jpg,shirt\n", ["column 1", "image", "label"], 2),
        ('"image","label"\n"1","a.jpg","hat"\n"2","b.jpg","hat"\n', ["column 1", "image", "label"], 2),
        ("image,label\n", ["image", "label"], None),
    ],
)
def test_header_is_found_and_no_row_is_lost(tmp_path: Path, text: str, columns: list[str], first_row: int) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = read_table(tmp_path / "t.csv", lambda sentence: None)
    assert list(table.columns) == columns
    lines = text.count("\n")
    assert table.row_numbers.tolist() == list(range(first_row or lines + 1, lines + 1))


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nimage;label\na,b;hat\nc;hat\n",
        '"sep=;"\r\nimage;label\r\na,b;hat\r\nc;hat\r\n',
        "\ufeffSEP=;;\r\nimage;label\r\na,b;hat\r\nc;hat\r\n",
        "sep=\t\nimage\tlabel\na,b\that\nc\that\n",
        "sep=;\nimage|label\na,b|hat\nc|hat\n",
        'image, label\n"a,b", hat\nc, "hat"\n',
        'image,label\r"a,b",hat\rc,hat\r\x1a',
        "image\tlabel\na,b\that\nc\that\n\0\0",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_dialect_and_encoding_are_found(tmp_path: Path, text: str, encoding: str) -> None:
    text = text.removeprefix("\ufeff") if "utf-8" not in encoding else text
    (tmp_path / "t.csv").write_bytes(text.replace("hat", "Hüte").encode(encoding))
    table = read_table(tmp_path / "t.csv", lambda sentence: None)
    assert {name: column.categories for name, column in table.columns.items()} == {
        "image": ["a,b", "c"],
        "label": ["Hüte"],
    }


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('1,a.jpg,hat\n2,b.jpg,"hat\n3,c.jpg,hat\n', 3),
        ('1,"a.jpg,hat\n2,b.jpg,"hat"\n3,c.jpg,hat\n', 2),
        ('1,a.jpg,"hat\n2,b.jpg,shirt\n3,c.jpg,hat"\n', 2),
        ('1,a.jpg,hat\n2,b.jpg,"', 3),
        ('1,"' + "2,a.jpg,hat\n" * 20_000 + '"\n', 2),
    ],
)
def test_open_quote_that_swallows_rows_is_refused(tmp_path: Path, rows: str, line: int) -> None:
    (tmp_path / "t.csv").write_text("sku,image,label\n" + rows)
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv")
    assert (error.value.code, error.value.params["line"]) == ("csv_quote_open", line)


def test_cells_of_several_lines_and_inches_stay(tmp_path: Path) -> None:
    cells = ['soft,\nwarm "x", red\r\nand long', 'for 5" heels', '7"', "one\n\ntwo", "C:\\a\\", 200_000 * "x"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sku", "text", "image"], *([str(i), c, "a.jpg"] for i, c in enumerate(cells))])
    table = read_table(tmp_path / "t.csv", lambda sentence: None)
    assert table.columns["text"].categories == cells
    assert table.row_numbers.tolist() == [2, 5, 6, 7, 10, 11]
    (tmp_path / "t.csv").write_text(
        'sku,text,image\n1,"5\\" heels, red",a.jpg\n2,"one\ntwo" ,b.jpg\n3,"C:\\x\\",c.jpg\n'
    )
    table = read_table(tmp_path / "t.csv", lambda sentence: None)
    assert table.columns["text"].categories == ['5" heels, red', "one\ntwo", "C:\\x\\"]
    assert table.columns["image"].categories == ["a.jpg", "b.jpg", "c.jpg"]


def test_rows_that_do_not_fit_are_counted_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,label,\na\nb,hat, soft, blue\n\nimage,label,\nc,hat,,,\n,,\nd,hat,x\n")
    table = read_table(tmp_path / "t.csv", lambda sentence: None)
    assert table.columns["image"].categories == ["a", "b", "c", "d"]
    assert {fix.code: fix.params["names"] for fix in table.fixes} == {
        "short_rows_filled": [2],
        "cells_joined": [3],
        "cells_without_column_skipped": [3, 8],
        "empty_rows_skipped": [4, 7],
        "header_rows_repeated": [5],
    }


def test_column_called_as_another_is_refused_only_when_used(tmp_path: Path) -> None:
    photos_called(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "t.csv").write_text("image,note,label,note\na,x,hat,y\nb,x,hat,y\nc,z,shirt,y\n")
    assert read(tmp_path / "t.csv").targets[0].classes == ("hat", "shirt")
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv", target="note")
    assert (error.value.code, error.value.params["name"]) == ("column_twice", "note")


def test_parts_are_read_from_a_column_without_a_name(tmp_path: Path) -> None:
    photos_called(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "t.csv").write_text("TRAIN,a.jpg,hat\nTRAIN,b.jpg,shirt\nTEST,c.jpg,hat\nTEST,d.jpg,hat\n")
    data = read(tmp_path / "t.csv")
    assert data.targets[0].name == "column 3"
    assert data.parts is not None
    assert data.parts.tolist() == ["train", "train", "test", "test"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_json_lines_of_any_encoding_and_nested_objects(tmp_path: Path, encoding: str) -> None:
    text = '{"data": {"image": "a", "sizes": ["S", "M"]}, "ok": true}\n\n{"data": {"image": "b"}, "n": 3.0}\n'
    (tmp_path / "t.jsonl").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "t.jsonl", lambda sentence: None)
    assert {name: column.categories for name, column in table.columns.items()} == {
        "data.image": ["a", "b"],
        "data.sizes": [("S", "M"), ""],
        "ok": ["true", ""],
        "n": ["", "3"],
    }
    assert table.row_numbers.tolist() == [1, 3]
    assert [(fix.code, fix.params["names"]) for fix in table.fixes] == [("empty_rows_skipped", [2])]


@pytest.mark.parametrize("spelling", [("True", "False"), ("TRUE", "FALSE"), (True, False)])
@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet", "jsonl"])
def test_booleans_are_the_same_classes_in_every_table(tmp_path: Path, spelling: tuple[Any, Any], suffix: str) -> None:
    photos_called(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
    rows = [{"image": name, "kids": spelling[i % 2]} for i, name in enumerate("abc")]
    data = read(write_table(tmp_path / f"t.{suffix}", rows), target="kids")
    assert data.targets[0].classes == ("false", "true")
    assert data.labels["kids"].tolist() == [1, 0, 1]


def test_no_id_is_that_of_another_row() -> None:
    assert list(unique_ids(["a", "b", "a", "a#2", "a"])) == ["a", "b", "a#3", "a#2", "a#4"]
