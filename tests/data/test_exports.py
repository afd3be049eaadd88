"""Exports of annotation tools: JSON documents and one-hot tables as rows and columns."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import make_photos

from muslin.data import read
from muslin.data.dataset import UNKNOWN
from muslin.data.tables import json_document, open_table
from muslin.errors import DataError


def cells(path: Path, *names: str) -> list[tuple[Any, ...]]:
    return [row.cells for row in open_table(path).rows(names)]


def codes(fixes: Any) -> dict[str, Any]:
    return {fix.code: fix.params for fix in fixes}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Six photos: dress-00.jpg, dress-01.jpg, hat-00.jpg, …"""
    for kind, number, image in make_photos(2):
        image.save(tmp_path / f"{kind}-{number:02}.jpg")
    return tmp_path


NAMES = [f"{kind}-{number:02}.jpg" for kind in ("dress", "hat", "shirt") for number in range(2)]


def task(number: int, *annotators: list[str], **more: Any) -> dict[str, Any]:
    annotations = [
        {"result": [{"value": {"choices": choices}, "from_name": "kind", "type": "choices"}] if choices else []}
        for choices in annotators
    ]
    return {"id": number, "data": {"image": NAMES[number]}, "annotations": annotations, **more}


def test_label_studio_annotators_who_differ_are_counted(shop: Path) -> None:
    tasks = [task(0, ["a"]), task(1, ["a"], ["b"]), task(2, ["b"], ["b"]), task(3, []), task(4, ["a", "b"])]
    (shop / "p.json").write_text(json.dumps(tasks))
    table = open_table(shop / "p.json")
    assert [row.cells for row in table.rows(["kind"])] == [("a",), ("",), ("b",), ("",), (("a", "b"),)]
    assert codes(table.fixes)["annotators_differ"] == {"count": 1, "names": ["2"], "more": None}
    dataset = read(shop / "p.json", target="kind")
    assert dataset.targets[0].kind == "multilabel"
    assert dataset.labels["kind"].tolist() == [[1, 0], [-1, -1], [0, 1], [-1, -1], [1, 1]]


def test_label_studio_trusts_ground_truth_and_no_cancelled_work(shop: Path) -> None:
    cancelled, truth = task(0, ["a"], ["b"]), task(1, ["a"], ["b"])
    cancelled["annotations"][0]["was_cancelled"] = True
    truth["annotations"][1]["ground_truth"] = True
    (shop / "p.json").write_text(json.dumps([cancelled, truth]))
    assert cells(shop / "p.json", "kind") == [("b",), ("b",)]
    assert open_table(shop / "p.json").fixes == ()


def coco(annotations: list[dict[str, Any]], images: int = 3) -> str:
    listed = [{"id": i, "file_name": NAMES[i]} for i in range(images)]
    categories = [{"id": 1, "name": "dress"}, {"id": 2, "name": "hat"}]
    return json.dumps({"images": listed, "annotations": annotations, "categories": categories})


def test_coco_images_have_one_category_or_several(shop: Path) -> None:
    single = [{"image_id": 0, "category_id": 1}, {"image_id": 1, "category_id": 2}, {"image_id": 9, "category_id": 2}]
    (shop / "single.json").write_text(coco(single))
    table = open_table(shop / "single.json")
    assert [row.cells for row in table.rows(["label"])] == [("dress",), ("hat",), ("",)]
    assert codes(table.fixes)["unlisted_images_skipped"]["names"] == ["9"]
    (shop / "several.json").write_text(coco([*single, {"image_id": 0, "category_id": 2}]))
    assert cells(shop / "several.json", "label") == [(("dress", "hat"),), (("hat",),), ("",)]


def test_coco_boxes_are_labels_and_a_photo_without_any_has_none(shop: Path) -> None:
    boxes = [{"image_id": i // 2, "category_id": 1 + i % 2, "bbox": [0, 0, 9, 9]} for i in range(4)]
    (shop / "boxes.json").write_text(coco(boxes))
    dataset = read(shop / "boxes.json")
    assert dataset.labels["label"].tolist() == [[1, 1], [1, 1], [0, 0]]
    assert codes(dataset.fixes)["boxes_read_as_labels"]["count"] == 4


@pytest.mark.parametrize(
    "document",
    [
        {"classes": ["dress", "hat"], "labels": {"dress-00": 0, "hat-00": 1, "shirt-00": None}},
        {"classes": None, "labels": {"dress-00": "dress", "hat-00": "hat", "shirt-00": None}},
        {"classes": ["dress", "hat"], "labels": {"dress-00": {"label": 0}, "hat-00": {"label": 1}, "shirt-00": None}},
    ],
)
def test_fiftyone_labels_are_names_or_indices(document: dict[str, Any], shop: Path) -> None:
    (shop / "labels.json").write_text(json.dumps(document))
    assert cells(shop / "labels.json", "image", "label") == [("dress-00", "dress"), ("hat-00", "hat"), ("shirt-00", "")]


def test_nested_objects_become_columns(tmp_path: Path) -> None:
    entry = {
        "image": "a.jpg",
        "size": {"width": 3, "height": 4},
        "kind": {"choices": ["b", "c"]},
        "classificationAnnotation": {"displayName": "dress"},
    }
    (tmp_path / "one.json").write_text(json.dumps([entry], indent=1))
    (tmp_path / "lines.jsonl").write_text(json.dumps(entry) + "\n" + json.dumps({"image": "b.jpg"}) + "\n")
    names = ("image", "size.width", "size.height", "kind", "classificationAnnotation")
    first = ("a.jpg", "3", "4", ("b", "c"), "dress")
    assert cells(tmp_path / "one.json", *names) == [first]
    assert cells(tmp_path / "lines.jsonl", *names) == [first, ("b.jpg", "", "", "", "")]


@pytest.mark.parametrize(
    "document",
    [
        {"dress-00.jpg": "dress", "hat-00.jpg": "hat"},
        {"dress-00.jpg": {"label": "dress"}, "hat-00.jpg": {"label": "hat"}},
        {"image": {"0": "dress-00.jpg", "1": "hat-00.jpg"}, "label": {"0": "dress", "1": "hat"}},
        {"version": 1, "data": [{"image": "dress-00.jpg", "label": "dress"}, {"image": "hat-00.jpg", "label": "hat"}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_objects_are_found_by_name_or_in_the_only_list(document: Any, indent: int | None, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(document, indent=indent))
    assert cells(tmp_path / "t.json", "image", "label") == [("dress-00.jpg", "dress"), ("hat-00.jpg", "hat")]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('[{"image": "a"}]', "JsonDocument"),
        ('\ufeff [\n {"image": "a"}\n]', "JsonDocument"),
        ('{"image": "a"}\n', "JsonLines"),
        ('{"image": "a"}\n{"image": "b"}', "JsonLines"),
        ('{"image": "a", "labels": ["x"]}', "JsonLines"),
        ('{"labels": {"a": "x"}}', "JsonDocument"),
        ('{\n  "samples": []\n}', "JsonDocument"),
        ('{"samples": [' + '{"filepath": "a"},' * 5000 + '{"filepath": "a"}]}', "JsonDocument"),
        ('{"id": 1, "vector": [' + "1," * 50_000 + "1]}\n" + '{"vector": [1]}', "JsonLines"),
        ('{"a.jpg": "dress", ' + ", ".join(f'"{i}.jpg": "hat"' for i in range(9000)) + "}", "JsonDocument"),
    ],
)
def test_documents_and_json_lines_are_told_apart(content: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(content)
    assert type(open_table(tmp_path / "t.json")).__name__ == kind


@pytest.mark.parametrize(
    ("content", "code", "params"),
    [
        ('[{"image": ', "json_file", {}),
        ("[1, 2]", "json_entry_not_object", {"row": 1}),
        ('[{"image": "a"}, null]', "json_entry_not_object", {"row": 2}),
        ('{\n"name": "app"}', "json_not_table", {}),
        ('{"classes": ["a"], "labels": {"x": 0, "y": 1}}', "annotation_category", {"row": 2, "name": "1"}),
        ('{"classes": ["a"], "labels": {"x": -1}}', "annotation_category", {"row": 1}),
        ('{"images": [], "annotations": [{}], "categories": []}', "json_entry", {}),
        ('{"images": [], "annotations": [{"category_id": 9}], "categories": []}', "annotation_category", {"row": 1}),
        ('[{"a": ' + '{"a": ' * 3000 + "1" + "}" * 3001 + "]", None, {}),
        ("[" * 100_000, "json_file", {}),
    ],
)
def test_other_json_is_refused(content: str, code: str | None, params: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(DataError) as error:
        open_table(tmp_path / "t.json")
    assert code in (None, error.value.code)
    assert error.value.params.items() >= {"path": str(tmp_path / "t.json"), **params}.items()


def test_json_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_document, "MAX_BYTES", 10)
    (tmp_path / "t.json").write_text('[{"image": "a"}]')
    with pytest.raises(DataError) as error:
        open_table(tmp_path / "t.json")
    assert (error.value.code, error.value.params["max_bytes"]) == ("json_too_large", 10)


@pytest.mark.parametrize(
    ("rows", "kind", "labels"),
    [
        (["1,0", "0,1", "0,1", ","], "multiclass", [0, 1, 1, UNKNOWN]),
        (["1,0", "1,1", "0,0", ","], "multilabel", [[1, 0], [1, 1], [0, 0], [UNKNOWN, UNKNOWN]]),
        (["1,-1", "-1,1", "1,1", "1,"], "multilabel", [[1, 0], [0, 1], [1, 1], [1, UNKNOWN]]),
        (["true,false", "FALSE,TRUE", "true,false", "1.0,0.0"], "multiclass", [0, 1, 0, 0]),
    ],
)
def test_columns_of_yes_and_no_are_classes(rows: list[str], kind: str, labels: list[Any], shop: Path) -> None:
    lines = [f"{i},{name},{row}" for i, (name, row) in enumerate(zip(NAMES[:4], rows, strict=True))]
    (shop / "t.csv").write_text("\n".join(["sku,filename,dress,hat", *lines]))
    dataset = read(shop / "t.csv")
    [target] = dataset.targets
    assert (target.kind, target.classes) == (kind, ("dress", "hat"))
    assert np.array_equal(dataset.labels[target.name], labels)
    assert codes(dataset.fixes)["columns_read_as_classes"]["names"] == ["dress", "hat"]
    assert read(shop / "t.csv", target="hat").target().name == "hat"


def test_single_column_of_numbers_is_a_label(shop: Path) -> None:
    (shop / "t.csv").write_text(
        "\n".join(["filename,label,kids", *(f"{name},{i % 2},0" for i, name in enumerate(NAMES))])
    )
    assert read(shop / "t.csv").target().classes == ("0", "1")
