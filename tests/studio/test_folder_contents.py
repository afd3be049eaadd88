"""The home page finds data sets, runs and models, and calls each by what it is."""

import os
from pathlib import Path
from typing import Any

import pytest

from muslin.models.bundle import seal
from muslin.studio.folder_contents import FolderContents
from small_models import small_bundle


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def data(root: Path) -> dict[str, tuple[str, int | None]]:
    rows = FolderContents(root.resolve()).rows()["data"]
    return {row["path"]: (row["kind"], row["images"]) for row in rows}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["photos/a.jpg", "photos/b.png"], {"photos": ("folder", 2)}),
        (["shop/dress/a.jpg", "shop/shirt/a.jpg"], {"shop": ("folder", 2)}),
        (["shop/train/dress/a.jpg", "shop/test/dress/a.jpg"], {"shop": ("folder", 2)}),
        (["shop/products.csv", "shop/photos/a.jpg"], {"shop": ("folder", 1)}),
        (["shop/products.csv"], {"shop/products.csv": ("table", None)}),
        (["products.xlsx", "photos/a.jpg"], {"products.xlsx": ("table", None), "photos": ("folder", 1)}),
        (["photos.tar.gz", "a.txt"], {"photos.tar.gz": ("archive", None)}),
        (["mnist/train-images-idx3-ubyte.gz"], {"mnist": ("folder", 0)}),
        (["imports/one/a.jpg", "imports/two/b/a.jpg", "imports/two/c/a.jpg", "imports/three/b/c/a.jpg"],
         {"imports/one": ("folder", 1), "imports/three": ("folder", 1), "imports/two": ("folder", 2)}),
        (["imports/one.incomplete/a.jpg", "runs/x/run.json", "runs/x/a.png", "corrections/a.csv", ".git/a.jpg"], {}),
        (["tagged/a.csv", "shop/.hidden.csv"], {}),
    ],
)  # fmt: skip
def test_data_sets_are_found(tmp_path: Path, files: list[str], expected: dict[str, Any]) -> None:
    touch(tmp_path, *files)
    assert data(tmp_path) == expected


def test_class_folders_at_the_top_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "dress/a.jpg", "shirt/a.jpg")
    assert FolderContents(tmp_path.resolve()).rows()["is_data_set"]
    touch(tmp_path, "shop/dress/a.jpg")
    assert not FolderContents(tmp_path.resolve()).rows()["is_data_set"]


def test_part_folders_at_the_top_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "train/dress/a.jpg", "train/shirt/a.jpg", "test/dress/a.jpg")
    assert FolderContents(tmp_path.resolve()).rows()["is_data_set"]
    touch(tmp_path, "shop/dress/a.jpg")
    assert not FolderContents(tmp_path.resolve()).rows()["is_data_set"]


def test_images_that_lie_loose_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.HEIC", "notes.txt", "shop/dress/a.jpg", "shop/shirt/a.jpg")
    assert FolderContents(tmp_path.resolve()).rows()["loose_images"] == 2


def test_models_of_runs_belong_to_their_runs(tmp_path: Path) -> None:
    touch(tmp_path, "runs/one/run.json", "runs/one/snapshots/0001.muslin")
    seal(small_bundle(), tmp_path / "runs/one/model.muslin")
    seal(small_bundle(), tmp_path / "best.muslin")
    rows = FolderContents(tmp_path.resolve()).rows()
    assert [row["path"] for row in rows["models"]] == ["best.muslin"]
    (run,) = rows["runs"]
    assert (run["path"], run["model"], run["status"]) == ("runs/one", "runs/one/model.muslin", "unreadable")
    assert (run["error"].code, run["error"].params["path"]) == ("run_missing", "runs/one")


def test_newest_comes_first_and_new_files_are_seen(tmp_path: Path) -> None:
    contents = FolderContents(tmp_path.resolve())
    for age, name in enumerate(("new.csv", "middle.csv", "old.csv")):
        touch(tmp_path, name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert [row["path"] for row in contents.rows()["data"]] == ["new.csv", "middle.csv", "old.csv"]
    touch(tmp_path, "newest.csv")
    assert contents.rows()["data"][0]["path"] == "newest.csv"
    (tmp_path / "newest.csv").unlink()
    assert contents.rows()["data"][0]["path"] == "new.csv"


def test_unchanged_folders_are_not_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"photos/{n}.jpg" for n in range(50)))
    for path in (tmp_path / "photos", tmp_path):
        os.utime(path, (1e9, 1e9))
    contents = FolderContents(tmp_path.resolve())
    before = contents.rows()
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"{path} was listed again"))
    assert contents.rows() == before
