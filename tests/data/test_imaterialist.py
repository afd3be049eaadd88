"""iMaterialist 2018's JSON for photos of another source."""

import json
from pathlib import Path
from typing import Any

import pytest
from photo_files import make_photos

from muslin.data import read
from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError


def write(folder: Path, part: str, labels: dict[str, list[str] | None], below: str = "") -> Path:
    (folder / below).mkdir(parents=True, exist_ok=True)
    for name, (_, _, image) in zip(labels, make_photos(len(labels)), strict=False):
        image.save(folder / below / f"{name}.jpg")
    content: dict[str, Any] = {
        "images": [{"url": f"http://nowhere.invalid/{n}.jpg", "imageId": n} for n in labels],
        "annotations": [{"imageId": n, "labelId": ids} for n, ids in labels.items() if ids is not None],
    }
    (folder / f"{part}.json").write_text(json.dumps(content))
    return folder / f"{part}.json"


def test_classes_are_label_ids_and_no_annotation_is_unknown(tmp_path: Path) -> None:
    data = read(write(tmp_path, "train", {"1": ["62", "17"], "2": ["17"], "3": None}))
    assert (data.format, data.targets[0].kind, len(data.targets[0].classes)) == ("imaterialist", "multilabel", 228)
    of = {name: i for i, name in enumerate(data.targets[0].classes)}
    assert data.labels["label"][:, [of["17"], of["62"]]].tolist() == [[1, 1], [1, 0], [UNKNOWN, UNKNOWN]]
    assert data.labels["label"][:2].sum() == 3
    assert data.ids.tolist() == ["1", "2", "3"]


def test_parts_of_a_folder_have_the_same_classes(tmp_path: Path) -> None:
    write(tmp_path, "train", {"1": ["62", "17"], "2": ["17"]}, "train")
    write(tmp_path, "validation", {"1": ["3"]}, "validation")
    data = read(tmp_path)
    assert data.parts is not None
    assert data.parts.tolist() == ["train", "train", "validation"]
    assert data.ids.tolist() == ["train/1", "train/2", "validation/1"]
    assert read(tmp_path / "validation.json").targets == data.targets


def test_file_without_annotations_has_no_target(tmp_path: Path) -> None:
    assert read(write(tmp_path, "test", {"1": None, "2": None})).targets == ()


@pytest.mark.parametrize(
    ("content", "code", "params"),
    [
        (
            '{"images": [{"imageId": "1"}], "annotations": [{"imageId": "1"}]}',
            "json_list_missing",
            {"name": "annotations"},
        ),
        ('{"images": [{"imageId": "1"}', "json_file", {}),
        ('{"images": {"imageId": "1"}}', "json_list_missing", {"name": "images"}),
        ('{"images": [{"imageId": "9"}]}', "no_photo_found", {"count": 1}),
    ],
)
def test_invalid_file_is_refused(tmp_path: Path, content: str, code: str, params: dict[str, Any]) -> None:
    write(tmp_path, "train", {"1": ["62"]})
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(DataError) as error:
        read(tmp_path / "train.json")
    assert error.value.code == code
    assert error.value.params.items() >= params.items()


def test_repeated_images_and_unlisted_annotations_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "train", {"1": ["62"]})
    content = json.loads(path.read_text())
    content["images"].append({"imageId": 1})
    content["annotations"] += [{"imageId": "1", "labelId": "17"}, {"imageId": "8", "labelId": ["3"]}]
    path.write_text(json.dumps(content))
    data = read(path)
    assert data.labels["label"].sum() == 2
    assert [(fix.code, fix.params["count"]) for fix in data.fixes] == [
        ("images_listed_twice", 1),
        ("annotations_skipped", 1),
    ]
