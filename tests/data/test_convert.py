"""The same data in another format: there and back is the identity, and warnings name what is lost."""

import filecmp
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photo_files import garment, write_folders, write_real

from command_line import invoke
from mounted_disk import mounted_disk
from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import UNKNOWN, Dataset, PixelImages, Target
from muslin.data.writers.csv import write_images
from muslin.errors import DataError, ImageError, StorageError
from muslin.messages import Message


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    return root if write_real(root, each=1) else write_folders(root, {"train": 2, "validation": 1, "test": 1})


def pixels(classes: tuple[str, ...] = ("dress", "hat", "shirt"), channels: int = 1, parts: bool = True) -> Dataset:
    """Twelve images, some without a label; the last class occurs in one part only."""
    rng = np.random.default_rng(1)
    labels = np.array([1, 0, UNKNOWN, 1, 0, 1, 0, 1, UNKNOWN, 0, len(classes) - 1, 1])
    names = np.array(["train"] * 6 + ["validation"] * 2 + ["test"] * 4, dtype=object)
    starts = {"train": 0, "validation": 6, "test": 8}
    ids = [f"{p}/{i - starts[p]}" if parts else str(i) for i, p in enumerate(names)]
    return Dataset(
        name="drawn",
        format="idx",
        images=PixelImages(rng.integers(0, 256, (12, 8, 8, channels), dtype=np.uint8)),
        targets=(Target("label", classes),),
        labels={"label": labels},
        ids=np.array(ids, dtype=object),
        parts=names if parts else None,
    )


def assert_same(one: Dataset, other: Dataset, *, ids: bool = True) -> None:
    assert one.targets == other.targets
    for target in one.targets:
        assert np.array_equal(one.labels[target.name], other.labels[target.name])
    fields = ("parts", "groups", "products", "roles")
    for mine, others in ((getattr(one, name), getattr(other, name)) for name in fields):
        assert (mine is None) == (others is None)
        assert mine is None or others is None or mine.tolist() == others.tolist()
    assert not ids or one.ids.tolist() == other.ids.tolist()
    assert len(one) == len(other)
    for i in range(len(one)):
        assert np.array_equal(one.images[i], other.images[i])


def files_below(root: Path) -> set[str]:
    return {f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file()}


def test_folders_come_back_from_parquet_byte_for_byte(photos: Path, tmp_path: Path) -> None:
    packed = convert(photos, "parquet", tmp_path / "all.parquet")
    back = convert(tmp_path / "all.parquet", "folders", tmp_path / "back")
    assert (packed.warnings, packed.excluded, back.warnings, back.excluded) == ((), (), (), ())
    assert files_below(tmp_path / "back") == files_below(photos)
    for name in files_below(photos):
        assert filecmp.cmp(photos / name, tmp_path / "back" / name, shallow=False)
    assert_same(read(photos), read(tmp_path / "all.parquet"))
    assert read(photos).fingerprint == read(tmp_path / "all.parquet").fingerprint


@pytest.mark.parametrize("to", ["csv", "idx", "parquet", "folders"])
@pytest.mark.parametrize("parts", [True, False])
@pytest.mark.parametrize(
    "classes", [("dress", "hat", "shirt"), ("T-shirt/top", "007", "Ankle boot", "never", "Bag"), ("--5", "x", "①")]
)
def test_pixels_come_back_from_every_format(tmp_path: Path, to: str, parts: bool, classes: tuple[str, ...]) -> None:
    source = pixels(classes, parts=parts)
    if to == "idx":
        source = source.take(np.flatnonzero(source.labels["label"] != UNKNOWN))
    made = convert(source, to, tmp_path / "there")
    there = read(tmp_path / "there")
    if to == "folders":  # which are read by class; names tell which is which
        assert "order_lost" in [warning.code for warning in made.warnings]
        names, expected = ([Path(str(i)).stem for i in d.ids] for d in (there, source))
        if parts:
            assert there.parts is not None
            assert source.parts is not None
            names = [name + str(part) for name, part in zip(names, there.parts, strict=True)]
            expected = [name + str(part) for name, part in zip(expected, source.parts, strict=True)]
        there = there.take(np.array([names.index(name) for name in expected]))
    assert_same(source, there, ids=to == "parquet")
    if to == "parquet":
        assert there.fingerprint == source.fingerprint
    again = convert(read(tmp_path / "there"), to, tmp_path / "again")
    assert_same(read(tmp_path / "there"), read(tmp_path / "again"))
    assert again.count == len(source)


def test_parquet_keeps_several_targets_unknowns_groups_and_ids(photos: Path, tmp_path: Path) -> None:
    source = read(photos)
    count = len(source)
    tags = np.zeros((count, 3), dtype=np.int8)
    tags[::2, 1], tags[0], tags[1, 2] = 1, UNKNOWN, UNKNOWN
    split = np.arange(count) % 3 - 1
    source = replace(
        source,
        targets=(*source.targets, Target("tags", ("z", "a", "m"), "multilabel"), Target("split", ("9", "10"))),
        labels={**source.labels, "tags": tags, "split": split},
        groups=np.array([f"g{i // 4}" for i in range(count)], dtype=object),
        products=np.array([f"p{i // 2}" for i in range(count)], dtype=object),
        roles=np.array([("front", "")[i % 2] for i in range(count)], dtype=object),
    )
    assert convert(source, "parquet", tmp_path / "p.parquet").warnings == ()
    assert_same(source, read(tmp_path / "p.parquet"))
    warnings = {warning.code: warning.params for warning in convert(source, "folders", tmp_path / "f").warnings}
    assert warnings["targets_lost"]["others"] == ["tags", "split"]
    assert {"groups_lost", "products_lost"} <= warnings.keys()


def test_only_photos_of_one_size_become_pixels(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "same" / name).mkdir(parents=True)
        for number in range(2):
            garment("hat", 4).resize((20, 30)).save(tmp_path / f"same/{name}/{number}.png")
    made = convert(tmp_path / "same", "csv", tmp_path / "csv")
    assert Message("shape_lost", height=30, width=20, channels=3) in made.warnings
    assert_same(read(tmp_path / "same"), read(tmp_path / "csv", shape=(30, 20, 3)), ids=False)
    with pytest.raises(DataError) as error:
        convert(tmp_path / "same", "idx", tmp_path / "idx")
    assert error.value.code == "colour_images"
    for to in ("csv", "idx"):
        with pytest.raises(DataError) as error:
            convert(photos, to, tmp_path / to / "none")
        assert error.value.code == "mixed_sizes"
        assert error.value.params["first_size"] != error.value.params["second_size"]
        assert not (tmp_path / to / "none").exists()


def test_nothing_is_overwritten(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    for to in ("folders", "csv", "idx", "parquet"):
        with pytest.raises(StorageError) as error:
            convert(photos, to, tmp_path / "there")
        assert error.value.code == "already_exists"
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize("to", ["folders", "csv", "idx", "parquet"])
def test_on_a_full_disk_nothing_is_half_written(to: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (12, 64, 64, 1), dtype=np.uint8)
    with mounted_disk(tmp_path / "disk", "24k") as disk:
        with pytest.raises(StorageError) as error:
            convert(replace(pixels(), images=PixelImages(noise)), to, disk / "new")
        assert error.value.code == "disk_full"
        assert os.listdir(disk) == []


def test_a_missing_photo_is_named_and_the_rest_is_written(photos: Path, tmp_path: Path) -> None:
    broken = sorted(photos.rglob("*.jpg"))[0]
    broken.write_bytes(b"<html>not found</html>")  # copied all the same: it is what the source holds
    dataset = read(photos)
    gone = sorted(photos.rglob("*.jpg"))[1]
    gone.unlink()
    made = convert(dataset, "folders", tmp_path / "f")
    assert made.count == len(dataset) - 1
    assert [gone.name in sentence for sentence in made.excluded] == [True]
    [copied] = [warning for warning in made.warnings if warning.code == "unreadable_copied"]
    assert copied.params["names"] == [str(broken.relative_to(photos))]
    assert (tmp_path / "f" / broken.relative_to(photos)).read_bytes() == broken.read_bytes()


def test_a_class_with_a_parts_name_is_refused_for_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        convert(pixels(("train", "test", "validation"), parts=False), "folders", tmp_path / "f")
    assert error.value.code == "folders_ambiguous"
    assert not (tmp_path / "f").exists()


def test_ids_that_lead_elsewhere_stay_inside(tmp_path: Path) -> None:
    source = pixels(parts=False)
    ids = ["../../out", "/etc/x", "..", ".hidden", "a/../../b", "C:\\x", "same", "x\0y", "e" * 400, "f", "g/h", "hat/i"]
    convert(replace(source, ids=np.array(ids, dtype=object)), "folders", tmp_path / "d" / "f")
    assert len(read(tmp_path / "d/f")) == 12
    assert os.listdir(tmp_path) == ["d"]
    assert os.listdir(tmp_path / "d") == ["f"]


def test_parquet_files_of_hugging_face_are_read(photos: Path, tmp_path: Path) -> None:
    files = sorted(photos.rglob("*.jpg"))[:4]
    table = pa.table({"image": [{"bytes": f.read_bytes(), "path": f.name} for f in files], "label": [1, 0, None, 1]})
    about = b'{"info": {"features": {"label": {"names": ["shoe", "dress", "hat"], "_type": "ClassLabel"}}}}'
    pq.write_table(table.replace_schema_metadata({b"huggingface": about}), tmp_path / "hf.parquet")
    data = read(tmp_path / "hf.parquet")
    assert data.targets == (Target("label", ("shoe", "dress", "hat")),)
    assert data.labels["label"].tolist() == [1, 0, UNKNOWN, 1]
    assert data.images[3].ndim == 3
    pq.write_table(pa.table({"photo": [files[0].read_bytes(), None], "class": ["a", "b"]}), tmp_path / "b.parquet")
    with pytest.raises(ImageError) as error:
        read(tmp_path / "b.parquet").images[1]
    assert error.value.params["row"] == 2


def test_a_cut_off_parquet_is_refused(photos: Path, tmp_path: Path) -> None:
    convert(photos, "parquet", tmp_path / "p.parquet")
    data = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError) as error:
        read(tmp_path / "p.parquet")
    assert error.value.params["path"] == str(tmp_path / "p.parquet")


def test_the_command_converts_once_and_refuses_unknown_formats(photos: Path, tmp_path: Path, capfd: Any) -> None:
    done = invoke(capfd, "convert", photos, "--to", "parquet", tmp_path / "p.parquet")
    assert (done.code, done.out.startswith("wrote ")) == (0, True)
    assert invoke(capfd, "convert", photos, "--to", "parquet", tmp_path / "p.parquet").code == 1
    wrong = invoke(capfd, "convert", photos, "--to", "parket", tmp_path / "q")
    assert wrong.code == 2


@pytest.mark.parametrize("labels", [["7", "", "0"], ['a "b", c', "", "07"], None])
def test_pixel_csv_is_that_of_pyarrow(tmp_path: Path, labels: list[str] | None) -> None:
    from pyarrow import csv as arrow_csv

    pixels = np.array([0, 9, 10, 99, 100, 255, 1, 20, 200, 3, 40, 255], dtype=np.uint8).reshape(3, 2, 2, 1)
    write_images(pixels, labels, tmp_path / "a.csv")
    columns = {f"pixel{i + 1}": column for i, column in enumerate(pixels.reshape(3, 4).T.copy())}
    if labels is not None:
        cells = pa.array([label or None for label in labels], pa.string())
        columns = {"label": cells.cast(pa.int64()) if "7" in labels else cells, **columns}
    arrow_csv.write_csv(pa.table(columns), tmp_path / "b.csv", arrow_csv.WriteOptions(quoting_style="needed"))
    _, *ours = (tmp_path / "a.csv").read_bytes().splitlines()
    _, *arrows = (tmp_path / "b.csv").read_bytes().splitlines()
    assert ours == arrows
