"""Folders of photos as people have them: what each is read as, and what is said about the rest."""

import csv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from photo_files import garment

from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.part_names import parts_by_name
from muslin.errors import DataError


def lay(root: Path, *names: str) -> Path:
    """Files below `root`: photos, folders where a name ends with `/`, or one byte."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif name.endswith(".jpg"):
            garment("hat", number).save(path)
        else:
            path.write_bytes(b"x")
    return root


def classes_in(part: str, *names: str) -> list[str]:
    return [f"{part}{name}/{number}.jpg" for name in names for number in range(2)]


def fixes(data: Dataset) -> dict[str, Any]:
    return {fix.code: fix.params for fix in data.fixes}  # type: ignore[attr-defined]


def parts(data: Dataset) -> set[str]:
    return set() if data.parts is None else set(data.parts)


def test_folders_without_photos_are_named(tmp_path: Path) -> None:
    names = ["skirt/", "coat/a.heic", "coat/b.HEIC", "docs/readme.txt", "dress/studio/notes/"]
    root = lay(tmp_path / "a", *classes_in("", "dress", "hat"), *names)
    assert read(root).targets[0].classes == ("dress", "hat")
    assert fixes(read(root))["folders_without_photos"]["names"] == ["coat: 2 HEIC", "docs", "skirt"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(tmp_path))
    assert fixes(read(tmp_path / "a.zip"))["folders_without_photos"]["names"] == [
        "a/coat: 2 HEIC", "a/docs", "a/skirt",
    ]  # fmt: skip


def test_part_without_photos_is_named_once(tmp_path: Path) -> None:
    root = lay(tmp_path, *classes_in("train/", "dress", "hat"), "val/", "test/dress/", "test/hat/", "train/skirt/")
    assert fixes(read(root))["folders_without_photos"]["names"] == ["test", "train/skirt", "val"]


def test_folder_of_heic_photos_says_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(lay(tmp_path, "dress/a.heic", "hat/b.heic", "hat/c.svg", "hat/d.txt"))
    assert error.value.code == "only_unsupported_photos"
    assert error.value.params["kinds"] == ["2 HEIC", "1 SVG"]


def test_files_that_are_no_photos_are_counted_by_kind(tmp_path: Path) -> None:
    data = read(lay(tmp_path, *classes_in("", "dress", "hat"), *(f"dress/{i}.txt" for i in range(7)), "a.json"))
    said = fixes(data)["other_files_skipped"]
    assert (said["count"], said["kinds"], len(said["names"]), said["more"]) == (8, ["7 .txt", "1 .json"], 5, 3)


def test_links_to_folders_read_already_are_named(tmp_path: Path) -> None:
    root = lay(tmp_path / "photos", *classes_in("train/", "dress", "hat"), *classes_in("test/", "dress", "hat"))
    (root / "train/a-dress").symlink_to(root / "train/dress")
    (root / "eval").symlink_to(root / "test")
    (root / "train/hat/loop").symlink_to(root)
    data = read(root)
    assert data.targets[0].classes == ("dress", "hat")
    assert parts(data) == {"train", "test"}
    assert sorted(fixes(data)["folder_links_skipped"]["names"]) == ["eval", "train/a-dress", "train/hat/loop"]


def test_folders_beside_the_parts_are_named_with_their_photos(tmp_path: Path) -> None:
    others = [*classes_in("extra/", "dress"), "unlabelled/1.jpg", "cover.jpg"]
    root = lay(tmp_path, *classes_in("train/", "dress", "hat"), *classes_in("test/", "dress", "hat"), *others)
    said = fixes(read(root))["photos_outside_classes"]
    assert (said["count"], said["names"]) == (4, ["cover.jpg", "extra/: 2", "unlabelled/: 1"])


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("eval", "test"), ("Evaluation", "test"), ("holdout", "test"), ("hold_out", "test"), ("devtest", "test"),
        ("dev", "validation"), ("Val", "validation"), ("valid", "validation"), ("validate", "validation"),
        ("val2017", "validation"), ("test_images", "test"), ("test1", "test"),
    ],
)  # fmt: skip
def test_folder_names_are_read_as_parts(tmp_path: Path, folder: str, part: str) -> None:
    root = lay(tmp_path, *classes_in("train/", "dress", "hat"), *classes_in(f"{folder}/", "dress", "hat"))
    data = read(root)
    assert parts(data) == {"train", part}
    assert data.targets[0].classes == ("dress", "hat")


def test_evaluation_folder_beside_a_test_folder_is_validation() -> None:
    found = parts_by_name(Path("photos"), ["train", "test", "holdout", "dress"])
    assert found == {"train": "train", "test": "test", "holdout": "validation"}
    with pytest.raises(DataError) as error:
        parts_by_name(Path("photos"), ["train", "val", "test", "eval"])
    assert error.value.code == "part_unclear"
    assert error.value.params == {"path": "photos", "name": "eval", "names": ["test", "train", "val"]}


def test_words_before_all_parts_do_not_count() -> None:
    expected = {"seg_train": "train", "seg_test": "test"}
    assert parts_by_name(Path("photos"), ["seg_train", "seg_test", "seg_pred"]) == expected
    assert parts_by_name(Path("photos"), ["model_train", "model_plane"]) == {}


def test_two_folders_of_one_part_are_joined(tmp_path: Path) -> None:
    names = [name for part in ("train", "val", "validation") for name in classes_in(f"{part}/", "dress", "hat")]
    data = read(lay(tmp_path, *names))
    assert len(data.part("validation")) == 8
    assert fixes(data)["part_folders_joined"]["names"] == ["val + validation"]


@pytest.mark.parametrize(
    "name", ["{part}/{kind}", "{part}/{part}/{kind}", "{part}/images/{kind}", "data/{part}/{kind}", "{kind}/{part}"]
)
def test_parts_and_classes_are_found_on_any_level(tmp_path: Path, name: str) -> None:
    folders = [name.format(part=part, kind=kind) for part in ("train", "test") for kind in ("dress", "hat")]
    data = read(lay(tmp_path, *(f"{folder}/1.jpg" for folder in folders), "README.md"))
    assert data.targets[0].classes == ("dress", "hat")
    assert parts(data) == {"train", "test"}
    assert [
        data.targets[0].classes[label] in str(id_) for label, id_ in zip(data.labels["label"], data.ids, strict=True)
    ]


def test_folder_beside_the_one_with_all_parts_is_named(tmp_path: Path) -> None:
    root = lay(
        tmp_path, *classes_in("set/train/", "dress", "hat"), *classes_in("set/test/", "dress", "hat"), "docs/1.jpg"
    )
    data = read(root)
    assert (data.targets[0].classes, parts(data)) == (("dress", "hat"), {"train", "test"})
    assert fixes(data)["photos_outside_classes"]["names"] == ["docs/: 1"]


def test_nested_folders_are_said_and_chosen_by_levels(tmp_path: Path) -> None:
    names = [
        f"{part}/{name}/1.jpg" for part in ("train", "test") for name in ("upper/shirt", "upper/top", "lower/pants")
    ]
    root = lay(tmp_path, *names, "train/upper/0.jpg")
    data = read(root)
    assert data.targets[0].classes == ("lower", "upper")
    said = fixes(data)["nested_folders"]
    assert (said["n"], said["classes"], said["count"], said["shallow"]) == (2, ["lower", "upper"], 3, 1)
    assert said["names"] == ["lower/pants", "upper/shirt", "upper/top"]
    nested = read(root, levels=2)
    assert nested.targets[0].classes == ("lower/pants", "upper/shirt", "upper/top")
    assert parts(nested) == {"train", "test"}
    assert [(code, params["names"]) for code, params in fixes(nested).items()] == [
        ("photos_outside_classes", ["train/upper/0.jpg"])
    ]
    assert (
        read(lay(tmp_path / "above", *(f"shop/{name}" for name in ("x.jpg", *names))), levels=2).targets
        == nested.targets
    )
    with pytest.raises(DataError) as error:
        read(root, levels=3)
    assert error.value.code == "levels_too_deep"
    assert error.value.params == {"path": str(root), "levels": 3, "found": 2}


@pytest.mark.parametrize(
    "names",
    [
        [f"{kind}/p{i:03}/{j}.jpg" for kind in ("dress", "hat") for i in range(3) for j in range(2)],
        [f"{kind}/{day}/1.jpg" for kind in ("dress", "hat") for day in ("2021-05", "2021-06")],
        [f"{kind}/images/1.jpg" for kind in ("dress", "hat")],
    ],
)
def test_folders_of_products_and_dates_are_not_offered_as_classes(tmp_path: Path, names: list[str]) -> None:
    data = read(lay(tmp_path, *names))
    assert data.targets[0].classes == ("dress", "hat")
    assert data.fixes == ()


def test_class_names_are_normalised_and_joined(tmp_path: Path) -> None:
    data = read(lay(tmp_path, "hat/1.jpg", "hat /2.jpg", "robe d\u00e9co/1.jpg", "robe de\u0301co/2.jpg"))
    assert data.targets[0].classes == ("hat", "robe d\u00e9co")
    assert fixes(data)["class_names_normalised"]["names"] == ["hat ", "robe de\u0301co"]


def test_similar_class_names_are_reported_in_every_format(tmp_path: Path) -> None:
    names = ["Dress", "dress", "T-shirt", "t shirt", "size 4-5", "size 45"]
    root = lay(tmp_path, *(f"{name}/1.jpg" for name in names))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((f"{name}/1.jpg", name) for name in names)])
    for data in (read(root, format="folders"), read(root / "labels.csv")):
        assert fixes(data)["similar_classes"]["names"] == ["Dress | dress", "T-shirt | t shirt"]


def test_fiftyone_folder_of_unlabelled_samples_is_no_class(tmp_path: Path) -> None:
    data = read(lay(tmp_path, *classes_in("", "dress", "hat", "_unlabeled")))
    assert data.targets[0].classes == ("dress", "hat")
    assert (data.labels["label"] == UNKNOWN).sum() == 2
    assert fixes(data)["images_without_label"]["count"] == 2


def test_photos_beside_class_folders_are_kept_without_a_label(tmp_path: Path) -> None:
    data = read(lay(tmp_path, *classes_in("", "dress", "hat"), "cover.jpg"))
    assert data.ids.tolist()[0] == "cover.jpg"
    assert data.labels["label"].tolist() == [UNKNOWN, 0, 0, 1, 1]
    assert fixes(data) == {
        "images_without_label": {"target": "label", "count": 1, "names": ["cover.jpg"], "more": None}
    }


def test_test_images_without_labels_are_kept_and_counted(tmp_path: Path) -> None:
    data = read(lay(tmp_path, "train/cat.0.jpg", "train/dog.0.jpg", "test1/1.jpg", "test1/2.jpg"))
    assert data.targets[0].classes == ("cat", "dog")
    assert fixes(data)["images_without_label"]["names"] == ["test1/1.jpg", "test1/2.jpg"]


def test_column_of_parts_has_the_words_that_folders_have(tmp_path: Path) -> None:
    names = [f"{kind}-{number}.jpg" for kind in ("dress", "hat") for number in range(4)]
    root = lay(tmp_path, *names)
    rows = [(name, name.partition("-")[0], ("Train", "eval")[number % 2]) for number, name in enumerate(names)]
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "split"), *rows])
    data = read(root / "labels.csv")
    assert [target.name for target in data.targets] == ["label"]
    assert data.parts is not None
    assert data.parts.tolist() == ["train", "test"] * 4


def test_classes_of_nested_folders_come_back_after_a_conversion(tmp_path: Path) -> None:
    data = read(lay(tmp_path / "a", *classes_in("train/", "upper/shirt", "upper/top", "lower/pants")), levels=2)
    convert(data, "folders", tmp_path / "b")
    again = read(tmp_path / "b")
    assert (again.targets, again.fingerprint, again.fixes) == (data.targets, data.fingerprint, ())
    assert (tmp_path / "b/train/upper%2Fshirt/0.jpg").is_file()
