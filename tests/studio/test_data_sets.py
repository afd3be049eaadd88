"""Data sets of the studio's folder: opened, counted, shown small; a name leads to no other file."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.errors import DataError, ImageError, MuslinError
from muslin.models.bundle import seal
from muslin.studio.data_sets import DataSets
from muslin.studio.workspace import Workspace
from refusals import refuses
from small_models import small_bundle


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos in 2 classes, one of them broken, beside a model."""
    root = tmp_path_factory.mktemp("studio").resolve()
    for number, name in enumerate(("bag", "shoe")):
        folder = root / "shop" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (80, 40), (90 * number, 40 * i, 7)).save(folder / f"{i}.png")
    (root / "shop" / "shoe" / "3.jpg").write_bytes(b"\xff\xd8\xff no photo")
    seal(small_bundle(), root / "small.muslin")
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> Iterator[DataSets]:
    found = DataSets(root)
    yield found
    found.close()


def test_a_folder_is_opened_with_labels_of_its_folders(data: DataSets) -> None:
    shop = data.open("shop")
    assert shop.targets[0].classes == ("bag", "shoe")
    assert len(shop) == 7
    assert shop.labels("label").tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.open("shop") is shop


def test_thumbnails_keep_shape_and_name_broken_photos(data: DataSets) -> None:
    shop = data.open("shop")
    found = shop.thumbnails([int(np.flatnonzero(shop.ids == name)[0]) for name in ("bag/2.png", "shoe/3.jpg")], 40)
    assert isinstance(found[0], np.ndarray)
    assert found[0].shape == (20, 40, 3)
    assert found[0][10, 10].tolist() == [0, 80, 7]
    assert isinstance(found[1], MuslinError)


def test_a_changed_folder_is_read_anew(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "shop" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "shop" / name / "1.png")
    data = DataSets(tmp_path.resolve())
    before = data.open("shop")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "shop" / "a" / "2.png")
    assert len(before) == 2
    assert len(data.open("shop")) == 3
    data.close()


@pytest.mark.parametrize("name", ["gone", "..", "../x", "/etc", "shop/../..", ".hidden", "", "link", "pipe.csv"])
def test_a_name_leads_only_to_data_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "inside" / "pipe.csv")
    with refuses("data_not_in_folder", DataError):
        DataSets((tmp_path / "inside").resolve()).open(name)


def children() -> set[str]:
    """The processes that this one started and that still run."""
    status = {
        path.parent.name: path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")
    }
    return {name for name, (state, parent, *_) in status.items() if parent == str(os.getpid()) and state != "Z"}


def test_data_that_cannot_be_read_leave_no_process(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    before = children()
    data = DataSets(tmp_path.resolve())
    for _ in range(2):
        with refuses("archive_damaged", DataError):
            data.open("broken.zip")
    assert children() == before


def test_an_unreadable_photo_is_named_without_its_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    data = DataSets(tmp_path.parent.resolve())
    opened = data.open(tmp_path.name)
    index = opened.index_of("a/2.png")
    assert index is not None
    with refuses("image_unreadable", ImageError, name="a/2.png"):
        opened.image(index)
    data.close()


def test_an_image_beyond_the_last_is_refused(data: DataSets) -> None:
    with refuses("sample_missing", DataError, index=7, n=7):
        data.open("shop").image(7)


def test_a_sample_is_an_image_of_the_studio(root: Path) -> None:
    workspace = Workspace(root)
    named = {"model": "small.muslin", "image": "sample:shop:1"}
    found = workspace.inspection({"inspection": named}).predictions
    as_file = workspace.inspection({"inspection": named | {"image": "file:shop/bag/1.png"}}).predictions
    assert found == as_file
    workspace.data.close()


def test_samples_of_pixels_reach_a_model_unchanged(tmp_path: Path) -> None:
    bundle = small_bundle()
    seal(bundle, tmp_path / "small.muslin")
    height, width, channels = bundle.preprocessing.shape
    rows = np.random.default_rng(0).integers(0, 256, (4, height * width * channels))
    lines = [",".join(["label", *(f"pixel{i}" for i in range(rows.shape[1]))])]
    lines += [",".join(map(str, [i % 2, *row])) for i, row in enumerate(rows.tolist())]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    workspace = Workspace(tmp_path.resolve())
    pixels, settings = workspace._image({"model": "small.muslin", "image": "sample:table.csv:2"})
    assert settings == {"preprocessed": True}
    assert pixels.reshape(-1).tolist() == rows[2].tolist()
    workspace.data.close()
