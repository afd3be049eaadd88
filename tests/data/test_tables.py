import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_files import drawn, write_folders
from test_spreadsheets import workbook

from muslin.data import read
from muslin.data.dataset import UNKNOWN
from muslin.data.tables.table_reader import read_table
from muslin.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "photos", {"train": 3, "test": 2})


def rows_of(photos: Path) -> list[dict[str, str]]:
    return [
        {
            "path": file.relative_to(photos.parent).as_posix(),
            "label": file.parent.name,
            "split": file.parts[-3],
        }
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
    for number, (_, _, image) in enumerate(drawn(3), 1):
        image.save(folder / f"{number}.jpg")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "xlsx"])
def test_the_same_photos_in_any_table_read_as_in_folders(photos: Path, suffix: str) -> None:
    table = read(write_table(photos.parent / f"table.{suffix}", rows_of(photos)))
    folders = read(photos)
    assert table.format == "table"
    assert table.fingerprint == folders.fingerprint
    assert table.targets == folders.targets
    assert table.origin.endswith("photos: path; label: label; part: split")


def test_kaggles_styles_are_read_with_commas_ids_and_missing_photos(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    lines = ["id,gender,articleType,productDisplayName"]
    lines += [
        f"{n},{'Men' if n % 2 else 'Women'},{'Tops' if n < 5 else 'Hats'},Garment {n}" for n in range(1, 10)
    ]
    lines[2] += ", blue, large"
    lines += ["77,Men,Tops,Lost one"]
    (tmp_path / "styles.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="2 columns could be the label: gender, articleType"):
        read(tmp_path / "styles.csv")
    data = read(tmp_path / "styles.csv", target=["gender", "articleType"])
    assert [t.classes for t in data.targets] == [("Men", "Women"), ("Hats", "Tops")]
    assert data.ids.tolist() == [str(n) for n in range(1, 10)]
    assert data.fixes == (
        "rows whose last column has a ',' outside quotes, joined again: 1",
        "rows left out because their photo is missing: 1 (77)",
    )
    assert len(read(tmp_path, target="gender")) == 9


def test_the_clothing_data_set_has_groups_and_labels_that_are_no_classes(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    labels = ["Dress", "Dress", "Not sure", "Hat", "Hat", "Skip", "Shirt", "Shirt", "Other"]
    lines = [f"{n},{n // 4},{label},False" for n, label in enumerate(labels, 1)]
    (tmp_path / "images.csv").write_text("image,sender_id,label,kids\n" + "\n".join(lines) + "\n")
    data = read(tmp_path / "images.csv")
    assert data.targets[0].classes == ("Dress", "Hat", "Shirt")
    assert data.labels["label"].tolist() == [0, 0, UNKNOWN, 1, 1, UNKNOWN, 2, 2, UNKNOWN]
    assert data.groups is not None
    assert data.groups.tolist() == ["0", "0", "0", "1", "1", "1", "1", "2", "2"]
    assert data.fixes == ("labels that are no classes (Not sure, Other, Skip) taken as unknown: 3",)


@pytest.mark.parametrize(
    "cells", [("red|blue", "blue"), ("red; blue", "blue"), ('["red", "blue"]', '["blue"]')]
)
def test_several_labels_in_a_cell(tmp_path: Path, cells: tuple[str, str]) -> None:
    garments(tmp_path / "images")
    rows = [{"image": "1", "tags": cells[0]}, {"image": "2", "tags": cells[1]}, {"image": "3", "tags": ""}]
    data = read(write_table(tmp_path / "table.csv", rows))
    assert (data.targets[0].classes, data.targets[0].kind) == (("blue", "red"), "multilabel")
    assert data.labels["tags"].tolist() == [[1, 1], [1, 0], [UNKNOWN, UNKNOWN]]


def tagged(tmp_path: Path, *cells: str) -> Path:
    """A table of as many photos as cells."""
    garments(tmp_path / "images")
    return write_table(
        tmp_path / "t.csv", [{"image": str(i), "tags": cell} for i, cell in enumerate(cells, 1)]
    )


@pytest.mark.parametrize(
    "cells", [("red,blue", "blue", ""), ("['red', 'blue']", "['blue']", ""), ("red, blue", "blue, green", "")]
)
def test_commas_separate_labels_that_recur_and_python_prints_lists_of_them(
    tmp_path: Path, cells: tuple[str, ...]
) -> None:
    data = read(tagged(tmp_path, *cells))
    assert data.targets[0].kind == "multilabel"
    assert data.labels["tags"][2].tolist() == [UNKNOWN] * len(data.targets[0].classes)
    assert {data.targets[0].classes[i] for i in np.flatnonzero(data.labels["tags"][0] == 1)} == {
        "red",
        "blue",
    }
    assert "label: tags (" in data.origin


def test_a_comma_that_may_belong_to_a_label_is_asked_about(tmp_path: Path) -> None:
    path = tagged(tmp_path, "Coats, Jackets", "Dresses", "Dresses", "Coats, Jackets")
    with pytest.raises(
        DataError, match="'tags' can be read in 2 ways, for example 'Coats, Jackets'"
    ) as raised:
        read(path)
    assert "2 classes if every cell is one label, 3 classes if ',' separates labels" in str(raised.value)
    assert "--separator none or --separator ','" in str(raised.value)
    assert read(path, separator="none").targets[0].classes == ("Coats, Jackets", "Dresses")
    several = read(path, separator="tags=,")
    assert several.targets[0].classes == ("Coats", "Dresses", "Jackets")
    assert several.targets[0].kind == "multilabel"


def test_two_separators_in_one_column_are_asked_about(tmp_path: Path) -> None:
    path = tagged(tmp_path, "red|blue", "red;blue", "blue")
    with pytest.raises(DataError, match=r"can be read in 3 ways.*--separator '\|' or --separator ';'"):
        read(path)
    assert read(path, separator="|").targets[0].classes == ("blue", "red", "red;blue")


def test_a_comma_within_labels_that_another_separator_parts_is_no_question(tmp_path: Path) -> None:
    data = read(tagged(tmp_path, "Coats, Jackets|Red", "Coats, Jackets", "Red"))
    assert data.targets[0].classes == ("Coats, Jackets", "Red")


@pytest.mark.parametrize("wish", ["/", "labels=,", "image=|"])
def test_a_separator_that_means_nothing_is_refused(tmp_path: Path, wish: str) -> None:
    with pytest.raises(DataError, match=r"no separator '/'|no column is called 'labels'|no target here"):
        read(tagged(tmp_path, "red|blue", "blue"), target="tags", separator=wish)


def test_an_empty_list_says_none_where_an_empty_cell_says_unknown(tmp_path: Path) -> None:
    data = read(tagged(tmp_path, '["a"]', "[]", ""))
    assert data.labels["tags"].tolist() == [[1], [0], [UNKNOWN]]


def test_a_class_keeps_its_index_whichever_photos_are_there(tmp_path: Path) -> None:
    path = tagged(tmp_path, "a", "b", "c", "a")
    whole = read(path)
    (tmp_path / "images/1.jpg").unlink()
    (tmp_path / "images/4.jpg").unlink()
    fewer = read(path)
    assert fewer.targets == whole.targets
    assert fewer.labels["tags"].tolist() == [1, 2]


def test_every_possible_target_can_be_looked_at(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    names = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    lines = [f"{n},Men,Apparel,Top{n % 2},T,Red,Fall,2012,Casual,A thing {n}, red" for n in range(1, 7)]
    (tmp_path / "styles.csv").write_text("\n".join([names, *lines]) + "\n")
    data = read(tmp_path / "styles.csv", all_targets=True)
    assert [t.name for t in data.targets] == names.split(",")[1:]
    assert data.origin.startswith(f"{tmp_path / 'styles.csv'}, a table with photos: format table, unless")
    with pytest.raises(DataError, match="9 columns could be the label"):
        read(tmp_path / "styles.csv")


def test_a_named_column_makes_a_table_of_what_does_not_look_like_one(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_text("ean,kind\n1,hat\n2,shirt\n")
    with pytest.raises(DataError, match="not a data set in a known format"):
        read(tmp_path / "t.csv")
    assert len(read(tmp_path / "t.csv", image_column="ean", target="kind")) == 2


def test_columns_and_the_photos_folder_can_be_named(tmp_path: Path) -> None:
    garments(tmp_path / "elsewhere")
    rows = [
        {"n": str(i), "a": "x" if i < 5 else "y", "b": str(i % 2), "who": str(i // 3)} for i in range(1, 10)
    ]
    path = write_table(tmp_path / "table.csv", rows)
    data = read(
        path, format="table", images=tmp_path / "elsewhere", image_column="n", target="b", group="who"
    )
    assert (len(data), data.targets[0].name) == (9, "b")
    assert data.groups is not None
    assert np.unique(data.groups).tolist() == ["0", "1", "2", "3"]
    with pytest.raises(DataError, match=r"no column is called 'whom'. Did you mean who"):
        read(path, format="table", images=tmp_path / "elsewhere", group="whom", target="b")


def test_a_table_in_windows_letters_is_read_and_said(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_bytes("image,label\n1,Müller\n2,Hat\n".encode("cp1252"))
    data = read(tmp_path / "t.csv")
    assert data.targets[0].classes == ("Hat", "Müller")
    assert data.fixes == ("the text is not UTF-8 from byte 15 on; read as cp1252",)
    (tmp_path / "t.csv").write_bytes(b"image,label\n1,M\x81ller\n")
    with pytest.raises(DataError, match="byte 15 is neither"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image,label\n1\n", "line 2 has 1 cells where the header has 2"),
        ("image,label\n", "has no rows"),
        ("image,label\n91,x\n92,y\n", "no photo of column image or label is in"),
        ("image,label,label\n1,x,y\n", "two columns are called 'label'"),
    ],
)
def test_a_table_that_will_not_do_is_refused_with_the_place(tmp_path: Path, text: str, why: str) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=why):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\nimage,label\n1,hat\n2,dress\n3,hat\n", "lines above the header passed over: 2"),
        (
            'Autumn 2024\n\n"image","label"\n1,hat\n2,dress\n3,hat\n',
            "lines above the header passed over: 2",
        ),
        (
            "image,label,,\n1,hat,,\n2,dress,x,\n3,hat,,\n",
            "columns without a name passed over: 2",
        ),
        ("image,label,\n1,hat,\n2,dress,\n3,hat,\n", None),
    ],
)
def test_what_spreadsheets_leave_around_a_table_is_passed_over_and_counted(
    tmp_path: Path, text: str, said: str | None
) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_text(text)
    data = read(tmp_path / "t.csv")
    assert data.ids.tolist() == ["1", "2", "3"]
    assert [data.targets[0].classes[i] for i in data.labels["label"]] == ["hat", "dress", "hat"]
    assert data.fixes == ((said,) if said else ())


def test_a_comma_in_a_table_of_one_column_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path\na.jpg\nb.jpg\nc,d.jpg\ne.jpg\n")
    table = read_table(tmp_path / "t.csv", lambda sentence: None)
    assert table.columns["path"].rows() == ["a.jpg", "b.jpg", "c,d.jpg", "e.jpg"]


def test_the_line_of_a_fault_counts_what_is_above_the_header(tmp_path: Path) -> None:
    garments(tmp_path / "images")
    (tmp_path / "t.csv").write_text("Autumn\n\nimage,label\n1,hat\n2\n")
    with pytest.raises(DataError, match="line 5 has 1 cells where the header has 2"):
        read(tmp_path / "t.csv")
