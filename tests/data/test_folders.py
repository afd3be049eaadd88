import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from photo_files import CLASSES, garment, make_photos, write_folders, write_real

from muslin.data import read
from muslin.data.dataset import Dataset
from muslin.data.photos import PhotoImages, decode_photos
from muslin.errors import DataError, ImageError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "photos", {"train": 3, "validation": 1, "test": 2})


@pytest.fixture
def real(tmp_path: Path) -> Path:
    if not write_real(tmp_path / "real"):
        pytest.skip("the real photos are not here")
    return tmp_path / "real"


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path("name-master", file.relative_to(folder)))
    return path


def tarred(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        archive.add(folder, arcname=".")
    return path


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.targets == other.targets
    assert one.fingerprint == other.fingerprint
    for i in range(len(one)):
        assert np.array_equal(one.images[i], other.images[i])


def test_parts_and_classes_come_from_folder_names(photos: Path) -> None:
    data = read(photos)
    assert data.format == "folders"
    assert data.targets[0].classes == ("dress", "hat", "shirt")
    assert data.parts is not None
    assert [int((data.parts == p).sum()) for p in ("train", "validation", "test")] == [9, 3, 6]
    place = list(data.ids).index("test/hat/hat-04.jpg")
    assert data.targets[0].classes[data.labels["label"][place]] == "hat"
    assert data.images[place].shape == (72, 56, 3)
    middle = data.images[place][50, 28].astype(int)
    assert np.abs(middle - CLASSES["hat"]).max() < 12


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_archive_of_photos_equals_folder(photos: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"garments.{suffix}"
    (zipped if suffix == "zip" else tarred)(photos, path)
    data = read(path)
    assert_same(read(photos), data)
    assert data.name == "garments"
    assert data.fixes == ()


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_archive_of_real_photos_equals_folder(real: Path, tmp_path: Path, suffix: str) -> None:
    folders = read(real)
    assert len(folders) == 90
    assert len(folders.targets[0].classes) == 10
    path = tmp_path / f"real.{suffix}"
    (zipped if suffix == "zip" else tarred)(real, path)
    assert_same(folders, read(path))


def test_class_missing_from_a_part_keeps_its_index(photos: Path) -> None:
    shutil.rmtree(photos / "train" / "dress")
    data = read(photos)
    assert data.targets[0].classes == ("dress", "hat", "shirt")
    train = data.part("train")
    assert set(train.labels["label"].tolist()) == {1, 2}


def test_classes_without_parts(tmp_path: Path) -> None:
    data = read(write_folders(tmp_path / "plain", {"": 2}))
    assert data.parts is None
    assert data.labels["label"].tolist() == [0, 0, 1, 1, 2, 2]


def test_kaggle_names_of_parts_are_recognised(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "kaggle"
    for part in ("training_set", "test_set"):
        source = "train" if part == "training_set" else "test"
        shutil.copytree(photos / source, root / part / part)  # doubled, as in the cats and dogs
    data = read(root)
    assert data.parts is not None
    assert sorted(set(data.parts)) == ["test", "train"]
    assert data.targets[0].classes == ("dress", "hat", "shirt")


def test_label_in_a_file_name(tmp_path: Path) -> None:
    for kind, number, image in make_photos(2):
        image.save(tmp_path / f"{kind}.{number}.jpg")
    data = read(tmp_path)
    assert data.targets[0].classes == ("dress", "hat", "shirt")
    assert data.labels["label"].tolist() == [0, 0, 1, 1, 2, 2]


def test_photos_without_labels_have_no_target(tmp_path: Path) -> None:
    for _, number, image in make_photos(1) + make_photos(1, 1):
        image.save(tmp_path / f"IMG_{number}.jpg")
    assert read(tmp_path).targets == ()


def test_system_files_are_skipped_and_counted(photos: Path) -> None:
    before = read(photos)
    for name in (".DS_Store", "train/dress/Thumbs.db", "__MACOSX/train/dress/._dress-00.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"x")
    (photos / "README.md").write_text("hello")
    data = read(photos)
    assert_same(before, data)
    hidden, others = data.fixes
    assert (hidden.code, hidden.params["count"]) == ("hidden_files_skipped", 3)
    assert (others.code, others.params["names"]) == ("other_files_skipped", ["README.md"])


@pytest.mark.parametrize(
    "folder",
    [
        "@eaDir",
        "@__thumb",
        "#recycle",
        "~snapshot",
        "RECYCLER",
        "$RECYCLE.BIN",
        "__pycache__",
        "lost+found",
        "Catalog.lrdata",
    ],
)
def test_folders_of_systems_are_no_classes(photos: Path, folder: str) -> None:
    before = read(photos / "train")
    (photos / "train" / folder).mkdir()
    shutil.copy(photos / "train/hat/hat-00.jpg", photos / "train" / folder / "thumb.jpg")
    data = read(photos / "train")
    assert_same(before, data)
    assert [(fix.code, fix.params["count"]) for fix in data.fixes] == [("hidden_files_skipped", 1)]


def test_links_never_replace_the_folders_they_lead_to(photos: Path, tmp_path: Path) -> None:
    before = read(photos)
    (photos / "train/a-link").symlink_to(photos / "train/hat")
    (photos / "eval").symlink_to(photos / "test")
    (photos / "train/dress/loop").symlink_to(photos)
    (photos / "train/hat/above").symlink_to(tmp_path)
    assert_same(before, read(photos))
    shutil.move(photos / "train/shirt", tmp_path / "elsewhere")
    (photos / "train/shirt").symlink_to(tmp_path / "elsewhere")
    after = read(photos, allow_outside=True)
    (photos / "train/shirt").unlink()
    shutil.copytree(tmp_path / "elsewhere", photos / "train/shirt")  # so that both can be decoded
    assert_same(before, after)


def test_photo_outside_the_parts_is_skipped_and_counted(photos: Path) -> None:
    shutil.copy(photos / "train/hat/hat-00.jpg", photos / "cover.jpg")
    [fix] = read(photos).fixes
    assert (fix.code, fix.params["count"]) == ("photos_outside_classes", 1)


def test_unreadable_photo_is_named_and_excluded(photos: Path) -> None:
    broken = photos / "train/hat/hat-01.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    data = read(photos)
    assert isinstance(data.images, PhotoImages)
    with pytest.raises(ImageError) as error:
        data.images[list(data.ids).index("train/hat/hat-01.jpg")]
    assert any("hat-01.jpg" in str(value) for value in error.value.params.values())
    pixels = decode_photos(data, (32, 32, 3))
    assert len(pixels) == len(data) - 1
    assert "train/hat/hat-01.jpg" not in pixels.ids
    assert pixels.fixes[-1].code == "unreadable_excluded"
    assert [*pixels.unreadable] == pixels.fixes[-1].params["names"] == ["train/hat/hat-01.jpg"]


def jpeg(kind: str) -> bytes:
    file = io.BytesIO()
    garment(kind, 0).save(file, "JPEG")
    return file.getvalue()


def entry(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, io.BytesIO(content)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../dress/a.jpg", "archive_entry_outside"),
        ("/dress/a.jpg", "archive_entry_absolute"),
        ("C:/a/b.jpg", "archive_entry_absolute"),
    ],
)
def test_archive_entries_outside_are_refused(tmp_path: Path, name: str, code: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(*entry(name))
    for suffix in ("zip", "tar"):
        with pytest.raises(DataError) as error:
            read(tmp_path / f"a.{suffix}")
        assert (error.value.code, error.value.params["name"]) == (code, name)


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("dress/link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("dress/link.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    for suffix in ("zip", "tar"):
        with pytest.raises(DataError) as error:
            read(tmp_path / f"a.{suffix}")
        assert (error.value.code, error.value.params["name"]) == ("archive_entry_link", "dress/link.jpg")


def test_names_in_other_encodings_are_read(tmp_path: Path) -> None:
    """As macOS zips them, UTF-8 without the flag, and as an old system tars them, in Latin-1."""
    content = [("robe d'été/a.jpg", "dress"), ("hat/b.jpg", "hat")]
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        for name, kind in content:
            archive.writestr(name, jpeg(kind))
    unflagged = bytearray((tmp_path / "mac.zip").read_bytes())
    for magic, flags in ((b"PK\3\4", 7), (b"PK\1\2", 9)):
        place = -1
        while (place := unflagged.find(magic, place + 1)) >= 0:
            unflagged[place + flags] &= ~8
    (tmp_path / "mac.zip").write_bytes(unflagged)
    with tarfile.open(tmp_path / "old.tar", "w", format=tarfile.USTAR_FORMAT, encoding="latin-1") as tar:
        for name, kind in content:
            tar.addfile(*entry(name, jpeg(kind)))
    folder = os.fsencode(tmp_path / "folder")
    for name, kind in content:
        place = os.path.join(folder, name.encode("latin-1"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        Path(os.fsdecode(place)).write_bytes(jpeg(kind))
    for name, codes in (("mac.zip", []), ("old.tar", ["names_read_as_latin_1"]), ("folder", ["names_read_as_latin_1"])):
        data = read(tmp_path / name)
        assert data.targets[0].classes == ("hat", "robe d'été")
        assert [fix.code for fix in data.fixes] == codes
        assert data.ids.tolist() == ["hat/b.jpg", "robe d'été/a.jpg"]
        assert data.images[1].shape == (60, 48, 3)


def test_tar_with_a_false_size_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("dress/huge.jpg")
    info.size = 2**60
    (tmp_path / "huge.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512)
    with pytest.raises(DataError) as error:
        read(tmp_path / "huge.tar")
    assert error.value.code == "archive_damaged"


def test_gzip_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muslin.data.expansion.FREE_BYTES", 2**20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as tar:
        tar.addfile(*entry("dress/a.jpg", bytes(30_000_000)))
    with pytest.raises(DataError) as error:
        read(tmp_path / "bomb.tar.gz")
    assert error.value.code == "content_too_large"
    assert os.listdir(tmp_path) == ["bomb.tar.gz"]


@pytest.mark.parametrize(("start", "what"), [(b"Rar!\x1a\7", "RAR"), (b"7z\xbc\xaf", "7-Zip"), (b"BZh9", "bzip2")])
def test_other_archives_are_named_by_their_kind(tmp_path: Path, start: bytes, what: str) -> None:
    (tmp_path / "photos").write_bytes(start + bytes(100))
    with pytest.raises(DataError) as error:
        read(tmp_path / "photos")
    assert error.value.code == "format_not_detected"
    assert what in error.value.params["found"]


def test_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muslin.data.expansion.FREE_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dress/bomb.jpg", bytes(30_000_000))
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.zip")
    assert error.value.code == "archive_entry_expands"
    assert (error.value.params["name"], error.value.params["size"]) == ("dress/bomb.jpg", 30_000_000)


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_cut_off_archive_is_refused(photos: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    (zipped if suffix == "zip" else tarred)(photos, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.params["path"] == str(path)


def test_folder_of_training_photos_and_one_of_test_photos(photos: Path, tmp_path: Path) -> None:
    whole, joined = read(photos), read(photos / "train", test=photos / "test")
    assert joined.ids.tolist() == [id_ for id_ in whole.ids if not str(id_).startswith("validation")]
    assert joined.targets == whole.targets
    assert joined.part("test").fingerprint == whole.part("test").fingerprint
    assert np.array_equal(joined.images[len(joined) - 1], whole.images[len(whole) - 1])
    archive = read(photos / "train", test=tarred(photos / "test", tmp_path / "test.tar.gz"))
    assert archive.fingerprint == joined.fingerprint


def test_pixels_and_photos_are_not_joined(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,p0,p1,p2,p3\ndress,1,2,3,4\nhat,1,2,3,4\nshirt,1,2,3,4\n")
    for data, test in ((photos / "train", tmp_path / "t.csv"), (tmp_path / "t.csv", photos / "test")):
        with pytest.raises(DataError) as error:
            read(data, test=test)
        assert error.value.code == "mixed_images"
