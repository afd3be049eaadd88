"""Tables beside their photos: one, one for each part, shards; in folders, zips and tars."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_files import make_photos

from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.photos import PhotoImages
from muslin.errors import DataError

CLASSES = ("dress", "hat", "shirt")


def photos(folder: Path, names: str = "{kind}{number}.jpg", first: int = 0) -> list[tuple[str, str]]:
    """Three photos of each class in `folder`; the names and classes."""
    rows = []
    for number, (kind, n, image) in enumerate(make_photos(3, first), 1):
        name = names.format(kind=kind, n=n, number=number)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
        rows.append((name, kind))
    return rows


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return
    objects = [dict(zip(header, row, strict=True)) for row in rows]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(objects), path)
    else:
        path.write_text("".join(json.dumps(each) + "\n" for each in objects), encoding="utf-8")


def part_tables(root: Path, suffix: str = ".csv") -> Path:
    """train/metadata.csv and test/metadata.csv, whose photos have the same names."""
    for first, part in enumerate(("train", "test")):
        write_rows(root / part / f"metadata{suffix}", ["file_name", "label"], photos(root / part, first=3 * first))
    return root


def part_tables_above(root: Path) -> Path:
    """train.csv and test.csv beside train/ and test/."""
    for first, part in enumerate(("train", "test")):
        write_rows(root / f"{part}.csv", ["image", "label"], photos(root / part, first=3 * first))
    return root


def one_table_of_parts(root: Path) -> Path:
    """metadata.csv at the top, with paths such as train/a.jpg."""
    rows = []
    for first, part in enumerate(("train", "test")):
        rows += [(f"{part}/{name}", kind) for name, kind in photos(root / part, first=3 * first)]
    write_rows(root / "metadata.csv", ["file_name", "label"], rows)
    return root


def shards(root: Path) -> Path:
    """Hugging Face's data/train-00000-of-00002.parquet, …, with the photos in it."""
    rows = {part: photos(root.parent / part, first=3 * first) for first, part in enumerate(("train", "test"))}
    for part, number, count, names in (
        ("train", 0, 2, rows["train"][:5]),
        ("train", 1, 2, rows["train"][5:]),
        ("test", 0, 1, rows["test"]),
    ):
        files = [{"bytes": (root.parent / part / name).read_bytes(), "path": name} for name, _ in names]
        table = pa.table({"image": files, "label": [CLASSES.index(kind) for _, kind in names]})
        features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        path = root / f"data/{part}-{number:05}-of-{count:05}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(about), path)
    return root


def labels_of(dataset: Dataset) -> list[tuple[str, str]]:
    """Part and class of each sample."""
    [target] = dataset.targets
    assert dataset.parts is not None
    return [(p, target.classes[i]) for p, i in zip(dataset.parts, dataset.labels[target.name].tolist(), strict=True)]


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "csv": part_tables,
    "jsonl": lambda root: part_tables(root, ".jsonl"),
    "parquet": lambda root: part_tables(root, ".parquet"),
    "above": part_tables_above,
    "paths": one_table_of_parts,
    "shards": shards,
}


@pytest.mark.parametrize("packed", ["", "zip", "tar", "gztar"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_part_tables_and_shards_are_one_data_set(tmp_path: Path, layout: str, packed: str) -> None:
    root = LAYOUTS[layout](tmp_path / "set")
    if packed:
        root = Path(shutil.make_archive(str(tmp_path / "packed"), packed, tmp_path, "set"))
    dataset = read(root)
    assert dataset.format == "table"
    assert labels_of(dataset) == [(part, kind) for part in ("train", "test") for kind in CLASSES for _ in range(3)]
    assert dataset.name == root.name.partition(".")[0]
    assert len({image.shape for image in map(dataset.images.__getitem__, range(18))}) > 3  # those of the part itself
    assert len(set(dataset.images.digests())) == 18  # type: ignore[attr-defined]
    assert dataset.fixes == ()


def test_only_one_of_two_tables_has_labels(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images", "{number}.jpg")
    ids = [name.removesuffix(".jpg") for name, _ in rows]
    write_rows(
        tmp_path / "styles.csv", ["id", "articleType"], [(i, kind) for i, (_, kind) in zip(ids, rows, strict=True)]
    )
    links = [(name, f"http://shop.example/{name}") for name, _ in rows]
    write_rows(tmp_path / "images.csv", ["filename", "link"], links)
    dataset = read(tmp_path)
    assert dataset.targets[0].classes == CLASSES
    [fix] = dataset.fixes
    assert (fix.code, fix.params["names"]) == ("tables_not_read", ["images.csv"])


def test_several_tables_with_labels_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    write_rows(tmp_path / "a.csv", ["image", "kind"], rows)
    write_rows(
        tmp_path / "b.csv",
        ["image", "colour"],
        [(name, "red" if i % 2 else "blue") for i, (name, _) in enumerate(rows)],
    )
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert error.value.code == "tables_ambiguous"
    assert error.value.params["names"] == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert read(tmp_path, target="colour").targets[0].classes == ("blue", "red")
    assert read(tmp_path / "a.csv").targets[0].classes == CLASSES


def test_photos_that_no_row_names_are_counted(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    write_rows(tmp_path / "t.csv", ["image", "label"], rows[:7])
    [fix] = read(tmp_path).fixes
    assert (fix.code, fix.params["names"]) == ("photos_in_no_row", [f"images/{name}" for name, _ in rows[7:]])


def test_odd_names_of_tables_in_a_zip_are_no_obstacle(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, _ in rows:
            archive.write(tmp_path / "images" / name, f"images/{name}")
        table = "image,label\n" + "".join(f"{name},{kind}\n" for name, kind in rows)
        archive.writestr("a" * 300 + ".csv", table)
        archive.writestr("b.csv", "x,y\n1,2\n")
        archive.writestr("b.csv/\N{SUPERSCRIPT TWO}.csv", "x,y\n1,2\n")
        archive.writestr("9" * 5000 + "-of-9.csv", "x,y\n1,2\n")
    dataset = read(path)
    assert (dataset.format, len(dataset)) == ("table", 9)


def test_damaged_table_in_a_zip_is_refused_by_name(tmp_path: Path) -> None:
    write_rows(tmp_path / "set/t.csv", ["image", "label"], photos(tmp_path / "set") * 9)
    path = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set"))
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("t.csv").header_offset + 30 + len("t.csv")
    content = bytearray(path.read_bytes())
    content[start : start + 20] = bytes(255 - byte for byte in content[start : start + 20])
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read(path, target="label")
    assert error.value.code in ("archive_damaged", "photo_column_not_found")
    assert str(path) in error.value.params["path"]


def class_folders(root: Path, relabel: dict[str, str]) -> list[tuple[str, str]]:
    rows = photos(root, "{kind}/{n}.jpg")
    return [(name, relabel.get(name, kind)) for name, kind in rows]


@pytest.mark.parametrize("packed", [False, True])
def test_table_that_differs_from_class_folders_is_refused(tmp_path: Path, packed: bool) -> None:
    root = tmp_path / "set"
    rows = class_folders(root, {"dress/1.jpg": "hat"})
    write_rows(root / "labels.csv", ["image", "label"], rows)
    path = Path(shutil.make_archive(str(root), "zip", root)) if packed else root
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.code == "table_and_folders_differ"
    params = error.value.params
    assert (params["label"], params["folder"], params["choice"]) == ("hat", "dress", str(path / "labels.csv"))
    assert params["example"].endswith("dress/1.jpg")
    assert read(path, format="folders").format == "folders"
    assert read(path, format="table").labels["label"].tolist().count(1) == 4
    assert read(path, target="label").labels["label"].tolist().count(1) == 4


def test_class_folders_are_read_where_a_table_agrees_or_is_silent(tmp_path: Path) -> None:
    rows = class_folders(tmp_path, {})
    write_rows(tmp_path / "labels.csv", ["image", "label"], rows)
    assert read(tmp_path).format == "folders"
    assert read(tmp_path, format="table").ids.tolist() == [name for name, _ in rows]
    write_rows(tmp_path / "labels.csv", ["image", "price"], [(name, f"{i},99") for i, (name, _) in enumerate(rows)])
    assert read(tmp_path).format == "folders"
    (tmp_path / "labels.csv").rename(tmp_path / "exclude.csv")
    assert read(tmp_path).format == "folders"


def test_tables_without_labels_are_refused_for_what_they_lack(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    for name in ("a", "b"):
        write_rows(
            tmp_path / f"{name}.csv", ["image", "price"], [(image, f"{i},99") for i, (image, _) in enumerate(rows)]
        )
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert (error.value.code, error.value.params["bookkeeping"]) == ("label_column_not_found", ["price"])


def test_column_of_very_many_labels_is_no_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muslin.data.formats.label_columns.MAX_CLASSES", 2)
    rows = [(image, f"kind {i // 2}", f"a|{i}") for i, (image, _) in enumerate(photos(tmp_path / "images"))]
    write_rows(tmp_path / "a.csv", ["image", "label", "tags"], rows)
    assert [target.name for target in read(tmp_path / "a.csv").targets] == ["tags"]
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.csv", target="label")
    assert (error.value.code, error.value.params["column"]) == ("column_has_too_many_classes", "label")


def test_text_files_are_tables_where_they_label_the_photos(tmp_path: Path) -> None:
    rows = [*photos(tmp_path / "front", "{kind}{n}.jpg"), *photos(tmp_path / "back", "b{kind}{n}.jpg", first=3)]
    (tmp_path / "README.txt").write_text('A 5" heel, and\n"more\n')
    assert read(tmp_path).targets[0].classes == ("back", "front")
    text = "Bild\tArt\r\n" + "".join(f"{name}\t{kind}\r\n" for name, kind in rows)
    (tmp_path / "list.txt").write_text(text, encoding="utf-16")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert error.value.params["table"] == "list.txt"
    assert read(tmp_path, format="table").targets[0].classes == CLASSES


def test_tables_with_a_class_each_are_named(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    for kind in ("dress", "hat"):
        write_rows(tmp_path / f"{kind}.csv", ["image", "label"], [row for row in rows if row[1] == kind])
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert (error.value.code, error.value.params["count"]) == ("tables_ambiguous", 2)


def test_table_beside_photos_that_is_a_pointer_is_named(tmp_path: Path) -> None:
    photos(tmp_path / "images")
    (tmp_path / "labels.csv").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{64 * 'a'}\nsize 9\n")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert (error.value.code, error.value.params["path"]) == ("git_pointer", str(tmp_path / "labels.csv"))


def test_numbered_folders_are_no_classes_where_a_table_has_labels(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images", "{n:03}/{kind}.jpg")
    write_rows(tmp_path / "articles.csv", ["article", "kind"], [(f"images/{name}", kind) for name, kind in rows])
    dataset = read(tmp_path)
    assert (dataset.format, dataset.targets[0].classes) == ("table", CLASSES)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("header", "code"), [(["image"], "tables_without_labels"), (["image", "label"], "tables_without_rows")]
)
def test_part_table_without_labels_or_rows_is_named(tmp_path: Path, header: list[str], code: str, packed: bool) -> None:
    path = part_tables_above(tmp_path / "set")
    names = [(name,) for name, _ in photos(path / "test", first=3)]
    if code == "tables_without_labels":
        write_rows(path / "test.csv", ["image"], names)
    else:
        write_rows(path / "test.csv", ["image", "label"], [])
    if packed:
        path = Path(shutil.make_archive(str(tmp_path / "set"), "zip", path))
    dataset = read(path)
    assert (len(dataset), dataset.parts) == (9, None)
    fixes = {fix.code: fix.params for fix in dataset.fixes}  # type: ignore[attr-defined]
    assert fixes["photos_in_no_row"]["count"] == 9
    assert fixes[code]["names"] == [str(path / "test.csv")]


def test_shards_with_other_columns_are_refused(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    write_rows(tmp_path / "train-00000-of-00002.csv", ["image", "label"], rows[:5])
    write_rows(tmp_path / "train-00001-of-00002.csv", ["image", "kind"], rows[5:])
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert error.value.code == "shard_columns_differ"
    assert error.value.params["path"] == str(tmp_path / "train-00001-of-00002.csv")


def test_shards_of_json_lines_can_lack_a_column(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")
    write_rows(tmp_path / "part-00000.jsonl", ["image", "label"], rows[:5])
    write_rows(tmp_path / "part-00001.jsonl", ["image", "label", "note"], [(*row, "new") for row in rows[5:]])
    assert read(tmp_path).targets[0].classes == CLASSES


def test_missing_shard_is_named(tmp_path: Path) -> None:
    shards(tmp_path / "set")
    (tmp_path / "set/data/train-00001-of-00002.parquet").unlink()
    dataset = read(tmp_path / "set")
    assert len(dataset) == 14
    [fix] = dataset.fixes
    assert (fix.code, fix.params["names"]) == ("shards_missing", ["train-00001-of-00002"])


def test_zip_with_only_a_table_reads_photos_from_images(tmp_path: Path) -> None:
    write_rows(tmp_path / "set/shop.csv", ["image", "label"], photos(tmp_path / "images"))
    path = shutil.make_archive(str(tmp_path / "shop"), "zip", tmp_path / "set")
    assert read(path, images=tmp_path / "images").targets[0].classes == CLASSES
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.code == "photo_column_not_found"
    assert error.value.params["path"] == str(tmp_path / "shop.zip/shop.csv")


@pytest.mark.parametrize("column", ["split", "set"])
def test_a_row_of_totals_needs_no_part(tmp_path: Path, column: str) -> None:
    rows = [(*row, ("train", "test")[i % 2]) for i, row in enumerate(photos(tmp_path))]
    write_rows(tmp_path / "t.csv", ["image", "label", column], [*rows, ("Total", "", "")])
    data = read(tmp_path / "t.csv")
    assert [target.name for target in data.targets] == ["label"]
    assert data.parts is not None
    assert data.parts.tolist() == [part for _, _, part in rows]


def test_a_row_of_totals_leaves_the_parts_in_paths(tmp_path: Path) -> None:
    rows = [row for part in ("train", "test") for row in photos(tmp_path, f"{part}/{{kind}}{{number}}.jpg")]
    write_rows(tmp_path / "t.csv", ["image", "label"], [*rows, ("Total", "")])
    data = read(tmp_path / "t.csv")
    assert data.parts is not None
    assert data.parts.tolist() == ["train"] * 9 + ["test"] * 9


@pytest.mark.parametrize("cell", ["", "trian"])
def test_a_photo_of_no_part_is_refused(tmp_path: Path, cell: str) -> None:
    rows = [(*row, ("train", cell)[i == 4]) for i, row in enumerate(photos(tmp_path))]
    write_rows(tmp_path / "t.csv", ["image", "label", "split"], rows)
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv")
    params = error.value.params
    assert (error.value.code, params["row"], params["guessed"]) == ("split_value_unknown", 6, "split")


def test_error_in_a_table_of_an_archive_names_the_archive(tmp_path: Path) -> None:
    rows = photos(tmp_path / "set")
    write_rows(tmp_path / "set/t.csv", ["image", "label", "split"], [(*row, "train") for row in rows])
    path = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    with pytest.raises(DataError) as error:
        read(path, split_column="label", target="split")
    assert error.value.code == "split_value_unknown"
    assert (error.value.params["path"], error.value.params["row"]) == (f"{path}/t.csv", 2)


@pytest.mark.parametrize(
    ("column", "cells", "reason"),
    [
        ("length", ["19,99", "19,99", "24,90", "24,90"], "decimal"),
        ("sum", ["€ 19.99", "€ 19.99", "5.00 €", "5"], "decimal"),
        ("price", ["19,99", "19,99", "24,90", "24,90"], "bookkeeping"),
        ("title", ["a", "b", "c", "d"], "distinct"),
        ("Art.-Nr.", ["a", "a", "b", "b"], "identifiers"),
        ("shop", ["mine", "mine", "mine", ""], "single"),
        ("note", ["", "", "", ""], "empty"),
        ("description", ["A dress,\nred", "A dress,\nred", "A hat,\nred", ""], "text"),
        ("description", ["soft " * 20, "soft " * 20, "hard " * 20, ""], "text"),
        ("back", ["x.jpg", "x.jpg", "y.jpg", "y.jpg"], "photos"),
    ],
)
@pytest.mark.parametrize("every", [False, True])
def test_column_that_is_no_label_is_named_with_the_reason(
    tmp_path: Path, column: str, cells: list[str], reason: str, every: bool
) -> None:
    names = [name for name, _ in photos(tmp_path / "images")[:4]]
    write_rows(tmp_path / "t.csv", ["image", column], list(zip(names, cells, strict=True)))
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv", all_targets=every)
    assert error.value.code == "label_column_not_found"
    assert error.value.params[reason] == [column]
    write_rows(tmp_path / "t.csv", ["image", column, "kind"], list(zip(names, cells, "aabb", strict=True)))
    assert [target.name for target in read(tmp_path / "t.csv", all_targets=every).targets] == ["kind"]


def test_repeated_rows_count_once_and_several_labels_are_named(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images", "{number}.jpg")
    write_rows(
        tmp_path / "t.csv", ["image", "label"], [*rows, rows[0], ("./1.jpg", "dress"), ("2.jpg", "hat"), ("3.jpg", "")]
    )
    dataset = read(tmp_path / "t.csv")
    assert len(dataset) == 11
    assert dataset.labels["label"].tolist()[9:] == [1, UNKNOWN]
    fixes: dict[str, Any] = {fix.code: fix.params for fix in dataset.fixes}
    assert fixes["repeated_rows_skipped"]["count"] == 2
    assert fixes["images_without_label"]["count"] == 1
    assert fixes["photos_with_several_labels"]["names"] == ["2.jpg (label: dress / hat)"]


def test_lists_of_class_labels_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = photos(tmp_path / "images")[:3]
    contents = [(tmp_path / "images" / name).read_bytes() for name, _ in rows]
    table = pa.table({"img": contents, "tags": [[2, 0], [], [-1]], "kind": [1, -1, 0]})
    names = {"names": ["z", "a", "m"], "_type": "ClassLabel"}
    features = {"tags": {"feature": names, "_type": "Sequence"}, "kind": names}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "t.parquet")
    dataset = read(tmp_path / "t.parquet", target=["tags", "kind"])
    assert [(t.classes, t.kind) for t in dataset.targets] == [
        (("z", "a", "m"), k) for k in ("multilabel", "multiclass")
    ]
    assert dataset.labels["tags"].tolist()[:2] == [[1, 0, 1], [0, 0, 0]]
    assert dataset.labels["kind"].tolist() == [1, UNKNOWN, 0]


def test_a_row_of_totals_without_a_photo_makes_no_class(tmp_path: Path) -> None:
    write_rows(tmp_path / "labels.csv", ["image", "label"], [*photos(tmp_path), ("", "Total")])
    assert read(tmp_path / "labels.csv").targets[0].classes == CLASSES


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_of_hugging_face_overrules_folders(tmp_path: Path, name: str) -> None:
    """Its folders can have any names, such as d for dress."""
    write_rows(tmp_path / name, ["file_name", "label"], photos(tmp_path, "{kind[0]}/{kind}{number}.jpg"))
    dataset = read(tmp_path)
    assert (dataset.format, dataset.targets[0].classes) == ("table", CLASSES)


@pytest.mark.parametrize(
    ("table", "images"),
    [
        ("annotations/train.csv", "images"),
        ("annotations/instances_train2017.csv", "train2017"),
        ("labels/all.jsonl", "images"),
        ("tables/all.csv", "spring"),
    ],
)
def test_photos_beside_the_folder_of_tables_are_found(tmp_path: Path, table: str, images: str) -> None:
    rows = photos(tmp_path / images)
    photos(tmp_path / "val2017", first=3)
    rows = [(f"spring/{name}", kind) for name, kind in rows] if images == "spring" else rows
    write_rows(tmp_path / table, ["image", "label"], [*rows, ("gone.jpg", "hat")])
    for path in (tmp_path / table, (tmp_path / table).parent):
        dataset = read(path)
        assert dataset.ids.tolist() == [name for name, _ in rows]
        assert isinstance(dataset.images, PhotoImages)
        assert {Path(photo.name).parent for photo in dataset.images.photos} == {tmp_path / images}


def test_gzipped_tar_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "shop/styles.csv", ["image", "label"], photos(tmp_path / "shop/images"))
    packed = Path(shutil.make_archive(str(tmp_path / "shop"), "gztar", tmp_path / "shop"))
    copies = []
    copy = shutil.copyfileobj
    monkeypatch.setattr(shutil, "copyfileobj", lambda *args: (copies.append(args), copy(*args)))
    dataset = read(packed)
    assert (len(dataset), dataset.format, len(copies)) == (9, "table", 1)
    assert all(dataset.images[i].size for i in range(9))


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_archive_whose_table_names_the_class_folders(tmp_path: Path, kind: str) -> None:
    rows = photos(tmp_path / "shop", "{kind}/{number}.jpg")
    write_rows(tmp_path / "shop/styles.csv", ["image", "label"], rows)
    dataset = read(shutil.make_archive(str(tmp_path / "shop"), kind, tmp_path / "shop"))
    assert (dataset.format, dataset.targets[0].classes, len(dataset)) == ("folders", CLASSES, 9)
