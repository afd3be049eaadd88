"""Known sets of photos: small ones with known checksums, from a folder, an archive, a real server; and a real one."""

import csv
import hashlib
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from photo_files import drawn, real_tar, write_folders

from command_line import invoke
from muslin.data import photo_archives, read, registry
from muslin.data.photo_archives import CATS_DOGS, CLOTHING, CLOTHING_SMALL, KnownPhotos, obtain
from muslin.errors import DataError
from served_files import serving_folder

NOWHERE = "http://127.0.0.1:9/no.zip"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The set as its authors have it: a licence beside the parts' folders."""
    folder = write_folders(tmp_path / "theirs" / "unpacked", {"train": 3, "validation": 1, "test": 1})
    (folder / "LICENSE").write_text("free")
    return folder


@pytest.fixture
def small(unpacked: Path) -> KnownPhotos:
    """A known set whose photos' SHA-256 is known, at home nowhere. Its digest is worked out here in another way."""
    lines = sorted(
        (path.relative_to(unpacked).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in unpacked.rglob("*.jpg")
    )
    content = hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in lines).encode())
    return replace(
        CLOTHING_SMALL,
        home=NOWHERE,
        inside=("train", "test"),
        archive_sha256=None,
        content_sha256=content.hexdigest(),
    )


def packed(folder: Path, path: Path, top: str = "") -> Path:
    """`folder` in a zip or a tar, below a folder `top`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [
        (file, f"{top}{file.relative_to(folder)}") for file in sorted(folder.rglob("*")) if file.is_file()
    ]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file, name in files:
                archive.write(file, name)
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for file, name in files:
            tar.add(file, name)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "clothing-dataset-small.tar",
        "clothing-small.tar.gz",
        "clothing-dataset-small-master.zip",
        "clothing-small/clothing-dataset-small.tar",
        "clothing-small",
        "",
    ],
)
def test_a_copy_is_taken_however_it_is_packed_and_reads_to_the_same_data(
    small, unpacked, tmp_path, monkeypatch, name
):
    mine = tmp_path / "mine"
    if "." in name:
        packed(unpacked, mine / name, top="clothing-dataset-small-master/" if "master" in name else "")
    else:
        shutil.copytree(unpacked, mine / name)
    monkeypatch.setenv("MUSLIN_DATA", str(mine))

    obtained = obtain(small, cache=tmp_path / "cache")
    dataset = photo_archives.read(small, obtained)

    assert obtained.path == mine / name
    assert obtained.checked == "SHA-256 of its photos verified"
    assert dataset.fingerprint == read(unpacked).fingerprint
    assert list(dataset.ids) == list(read(unpacked).ids)
    assert dataset.name == "clothing-small"
    assert "MUSLIN_DATA" in dataset.origin
    assert "verified" in dataset.origin
    assert not (tmp_path / "cache").exists()


def test_muslin_data_may_name_the_archive_itself(small, unpacked, tmp_path, monkeypatch):
    path = packed(unpacked, tmp_path / "clothing-dataset-small.tar")
    whole = replace(small, content_sha256=None, archive_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("MUSLIN_DATA", str(path))
    assert obtain(whole, cache=tmp_path / "cache").checked == "SHA-256 verified"


def test_a_copy_with_a_changed_photo_is_passed_over_aloud_and_fetched_kept_and_found_again(
    small, unpacked, tmp_path, monkeypatch
):
    packed(unpacked, tmp_path / "served" / "it.zip", top="clothing-dataset-small-1196151/")
    mine = shutil.copytree(unpacked, tmp_path / "mine" / "clothing-small")
    photo = next(mine.rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes() + b"\0")
    monkeypatch.setenv("MUSLIN_DATA", str(mine.parent))
    told = []

    with serving_folder(tmp_path / "served") as home:
        served = replace(small, home=f"{home}it.zip")
        first = obtain(served, cache=tmp_path / "cache", log=told.append)
    again = obtain(served, cache=tmp_path / "cache")  # the server is gone

    assert any("Passed over" in said and "15 photos" in said for said in told)
    assert any("Fetching" in said and "licence CC0" in said and small.content_sha256 in said for said in told)
    assert home in first.origin
    assert "muslin's cache" in again.origin
    assert first.path == again.path == tmp_path / "cache" / "clothing-small" / "clothing-small.zip"
    assert photo_archives.read(served, again).fingerprint == read(unpacked).fingerprint


def test_what_comes_from_its_home_changed_is_not_kept(small, unpacked, tmp_path, monkeypatch):
    monkeypatch.delenv("MUSLIN_DATA", raising=False)
    next(unpacked.rglob("*.jpg")).unlink()
    packed(unpacked, tmp_path / "served" / "it.zip")
    with (
        serving_folder(tmp_path / "served") as home,
        pytest.raises(DataError, match=r"it\.zip is not the published set: 14 photos"),
    ):
        obtain(replace(small, home=f"{home}it.zip"), cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_copy_in_the_cache_makes_way_for_a_good_one(small, unpacked, tmp_path, monkeypatch):
    monkeypatch.delenv("MUSLIN_DATA", raising=False)
    kept = packed(unpacked, tmp_path / "cache" / "clothing-small" / "clothing-small.zip")
    kept.write_bytes(kept.read_bytes()[:5000])
    packed(unpacked, tmp_path / "served" / "it.zip")
    with serving_folder(tmp_path / "served") as home:
        obtained = obtain(replace(small, home=f"{home}it.zip"), cache=tmp_path / "cache")
    assert any("damaged or cut off" in reason for reason in obtained.tried)
    assert photo_archives.content_digest(kept) == (small.content_sha256, 15)


def test_a_name_that_is_no_utf_8_is_no_fault_of_the_program(small, unpacked, tmp_path, monkeypatch):
    mine = shutil.copytree(unpacked, tmp_path / "mine" / "clothing-small")
    photo = next(mine.rglob("*.jpg"))
    photo.rename(photo.with_name(os.fsdecode(b"r\xf6ck.jpg")))
    monkeypatch.setenv("MUSLIN_DATA", str(mine.parent))
    with pytest.raises(DataError, match="is not the published set: 15 photos"):
        obtain(small, cache=tmp_path / "cache")


def test_nothing_anywhere_lists_every_place_and_why(small, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        obtain(small, cache=tmp_path / "cache")
    said = str(caught.value)
    for words in (f"no clothing-small in {tmp_path}", "muslin's cache: nothing in", "cannot be reached"):
        assert words in said
    assert "\n" not in said


def test_an_archive_that_is_not_the_published_one_is_refused_but_its_folder_is_taken_unverified(
    tmp_path, monkeypatch
):
    folder = tmp_path / "mine" / "PetImages"
    for kind, number, image in drawn(2):
        if kind != "shirt":
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image.save(folder / kind / f"{number}.jpg")
    cats = replace(CATS_DOGS, home=NOWHERE)
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "mine"))

    obtained = obtain(cats, cache=tmp_path / "cache")
    dataset = photo_archives.read(cats, obtained)

    assert obtained.checked == "not verified, since no SHA-256 of the unpacked photos is known"
    assert dataset.target().classes == ("dress", "hat")
    assert "not verified" in dataset.origin
    packed(folder, tmp_path / "packed" / "kagglecatsanddogs_5340.zip")
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "packed"))
    with pytest.raises(DataError, match=r"is not the published archive.*unpack it"):
        obtain(cats, cache=tmp_path / "cache")


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("photos", ["images", "images_original"])
def test_the_clothing_set_has_its_senders_for_groups_and_says_that_nothing_is_known_to_check_it_by(
    tmp_path, monkeypatch, zipped, photos
):
    folder = tmp_path / "clothing-dataset-master"
    (folder / photos).mkdir(parents=True)
    with (folder / "images.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "sender_id", "label", "kids"))
        for kind, number, image in drawn(3):
            image.save(folder / photos / f"{kind}{number}.jpg")
            rows.writerow((f"{kind}{number}", number, "Not sure" if number == 2 else kind.title(), False))
    if zipped:
        packed(folder, tmp_path / "zipped" / f"{folder.name}.zip", top=f"{folder.name}/")
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "zipped" if zipped else tmp_path))

    obtained = obtain(CLOTHING, cache=tmp_path / "cache")
    dataset = photo_archives.read(CLOTHING, obtained)

    assert obtained.checked == "not verified, since no SHA-256 of it is known"
    assert dataset.target().classes == ("Dress", "Hat", "Shirt")
    assert list(dataset.labels["label"]) == [0, 0, -1, 1, 1, -1, 2, 2, -1]
    assert dataset.groups is not None
    assert [str(group) for group in dataset.groups] == ["0", "1", "2"] * 3
    assert "group: sender_id" in dataset.origin
    assert dataset.images[0].shape == (60, 48, 3)


@pytest.mark.parametrize("name", ["clothing-small", "clothing", "cats-dogs"])
def test_source_size_licence_and_checksum_are_shown_before_anything_is_fetched(
    capfd, monkeypatch, tmp_path, name
):
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(registry.DATASETS, name, replace(registry.DATASETS[name], home=NOWHERE))

    said = invoke(capfd, "get", name)

    assert said.code == 1
    facts = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert set(facts) == {"what", "page", "source", "size", "licence", "checksum"}
    assert "SHA-256" in facts["checksum"]
    assert ("not known" in facts["size"]) == (name == "clothing")
    assert "Traceback" not in said.err


@pytest.mark.skipif(real_tar() is None, reason="needs clothing-dataset-small.tar")
def test_the_real_set_is_looked_at_by_its_name(capfd, monkeypatch):
    monkeypatch.setenv("MUSLIN_DATA", str(real_tar().parent))
    assert "SHA-256 verified" in invoke(capfd, "get", "clothing-small").out
    told = invoke(capfd, "look", "clothing-small", "--json").json
    assert told["images"] == 3781
    assert photo_archives.content_digest(real_tar())[0] == CLOTHING_SMALL.content_sha256
