"""What a cell, a list or a link names is opened only below the photo folder, unless the user allows more."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import garment

import muslin
from idx_files import write_part
from muslin.data import read
from muslin.data.dataset import Dataset
from muslin.data.photo_lookup import PhotoLookup
from muslin.data.photos import Photo, PhotoImages
from muslin.errors import DataError, ImageError, MuslinError
from muslin.models.image_inputs import named_images
from muslin.storage.boundary import Boundary

INSIDE = ("hat/1.jpg", "hat/2.jpg", "dress/3.jpg", "dress/4.jpg")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of two classes, beside another folder with a photo and a text."""
    return make_shop(tmp_path)


def make_shop(top: Path) -> Path:
    for number, name in enumerate((*(f"shop/{name}" for name in INSIDE), "private/5.jpg")):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        garment("hat", number).save(top / name)
    (top / "private/passwd").write_text("root:x:0:0:secret")
    return top / "shop"


def fixes(dataset: Dataset) -> dict[str, Any]:
    return {fix.code: fix.params for fix in dataset.fixes}  # type: ignore[attr-defined]


def with_links(shop: Path) -> Path:
    """Links out of the folder of every kind, and one that stays below."""
    (shop / "hat/out.jpg").symlink_to(shop.parent / "private/5.jpg")
    (shop / "out").symlink_to("../private")
    (shop / "chain.jpg").symlink_to("hat/out.jpg")
    (shop / "up").symlink_to("..")
    (shop / "hat/inside.jpg").symlink_to("../dress/3.jpg")
    return shop


# --- cells of a table


@pytest.mark.parametrize(
    "cell",
    ["../private/5.jpg", "out/5.jpg", "out/5", "hat/out.jpg", "hat/out", "chain.jpg", "up/private/5.jpg", "out/passwd",
     "../private/passwd", "hat/../../private/5.jpg", "hat/OUT.jpg"],
)  # fmt: skip
def test_cell_that_leads_outside_is_named_and_counted(shop: Path, cell: str) -> None:
    photos = PhotoLookup([with_links(shop)])
    found = photos.find(cell)
    assert isinstance(found, ImageError)
    assert found.code == "photo_outside"
    [fix] = photos.fixes
    assert (fix.code, fix.params["count"]) == ("photos_outside", 1)


def test_absolute_path_is_opened_only_below_the_folder(shop: Path) -> None:
    photos = PhotoLookup([shop])
    assert isinstance(photos.find(str(shop / "hat/1.jpg")), Photo)
    outside = photos.find(str(shop.parent / "private/5.jpg"))
    assert isinstance(outside, ImageError)
    assert outside.code == "photo_outside"


def test_link_that_stays_below_the_folder_is_followed(shop: Path) -> None:
    found = PhotoLookup([with_links(shop)]).find("hat/inside.jpg")
    assert isinstance(found, Photo)
    assert found.content() == (shop / "dress/3.jpg").read_bytes()


def test_allow_outside_opens_what_cells_name(shop: Path) -> None:
    outside = shop.parent / "private/5.jpg"
    cells = ["../private/5.jpg", str(outside), "out/5.jpg", "hat/out.jpg", "hat/1.jpg"]
    rows = [f"{cell},{'ab'[number % 2]}" for number, cell in enumerate(cells)]
    (with_links(shop) / "t.csv").write_text("\n".join(["image,label", *rows, "../gone.jpg,a"]))
    refused = fixes(data := read(shop / "t.csv"))
    assert data.ids.tolist() == ["hat/1.jpg"]
    assert refused["photos_outside"]["count"] == 5
    allowed = read(shop / "t.csv", allow_outside=True)
    assert allowed.ids.tolist() == cells
    assert isinstance(allowed.images, PhotoImages)
    assert {photo.content() for photo in allowed.images.photos[:4]} == {outside.read_bytes()}
    assert fixes(allowed)["photos_missing"]["names"] == ["../gone.jpg"]


def test_images_option_moves_the_boundary(shop: Path) -> None:
    (shop / "t.csv").write_text("image,label\n5.jpg,a\nhat/1.jpg,b\n../shop/hat/2.jpg,b\n")
    data = read(shop / "t.csv", images=shop.parent / "private")
    assert data.ids.tolist() == ["5.jpg"]
    link = shop.parent / "link"
    link.symlink_to("private")
    assert read(shop / "t.csv", images=link).ids.tolist() == ["5.jpg"]
    assert len(read(shop / "t.csv", images=shop.parent)) == 3


def test_folder_of_photos_beside_a_table_may_not_lead_outside(shop: Path) -> None:
    shutil.rmtree(shop)
    shop.mkdir()
    (shop / "images").symlink_to("../private")
    (shop / "t.csv").write_text("image,label\n5.jpg,a\n")
    with pytest.raises(DataError) as error:
        read(shop / "t.csv")
    assert (error.value.code, error.value.params["reason"].code) == ("photo_column_not_found", "photo_outside")
    assert len(read(shop / "t.csv", allow_outside=True)) == 1


def test_archive_beside_a_table_may_not_be_a_link_outside(shop: Path) -> None:
    shutil.make_archive(str(shop.parent / "private/all"), "zip", shop / "hat")
    shutil.rmtree(shop)
    shop.mkdir()
    (shop / "images.zip").symlink_to("../private/all.zip")
    (shop / "t.csv").write_text("image,label\n1.jpg,a\n2.jpg,b\n")
    with pytest.raises(DataError) as error:
        read(shop / "t.csv")
    assert error.value.code == "data_file_outside"
    assert len(read(shop / "t.csv", allow_outside=True)) == 2


def test_photo_that_became_a_link_is_not_opened(shop: Path) -> None:
    found = PhotoLookup([shop]).find("hat/1.jpg")
    assert isinstance(found, Photo)
    (shop / "hat/1.jpg").unlink()
    (shop / "hat/1.jpg").symlink_to(shop.parent / "private/passwd")
    with pytest.raises(ImageError) as error:
        found.content()
    assert error.value.code == "photo_outside"


# --- folders


def test_links_out_of_a_folder_of_classes_are_counted(shop: Path) -> None:
    before = read(shop)
    data = read(with_links(shop))
    assert sorted(data.ids) == sorted([*before.ids, "hat/inside.jpg"])
    assert sorted(fixes(data)["links_outside"]["names"]) == ["chain.jpg", "hat/out.jpg", "out"]
    assert {"hat/out.jpg", "out/5.jpg"} <= set(read(shop, allow_outside=True).ids)


def test_folder_of_nothing_but_links_outside_says_so(shop: Path) -> None:
    (links := shop.parent / "links").mkdir()
    (links / "hat").symlink_to("../shop/hat")
    (links / "dress").symlink_to("../shop/dress")
    for options in ({}, {"format": "folders"}):
        with pytest.raises(DataError) as error:
            read(links, **options)
        assert (error.value.code, error.value.params["count"]) == ("only_links_outside", 2)
    assert len(read(links, allow_outside=True)) == len(INSIDE)


def add_unlistable(folder: Path) -> None:
    """Folders in `folder` of which the last has a longer path than a system lists, whoever asks."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("x" * 250, dir_fd=place)
        place, above = os.open("x" * 250, os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)


def test_folders_that_cannot_be_listed_are_counted(shop: Path, tmp_path: Path) -> None:
    add_unlistable(shop / "hat")
    assert (len(read(shop)), fixes(read(shop))["folders_unlisted"]["count"]) == (4, 1)
    (shop / "table.csv").write_text("image,label\n" + "".join(f"{name},{name[0]}\n" for name in INSIDE))
    assert fixes(read(shop, target="label"))["folders_unlisted"]["count"] == 1
    errors = [image.code for _, image in named_images(shop) if isinstance(image, ImageError)]
    assert errors == ["folder_unlisted"]
    (tmp_path / "empty").mkdir()
    add_unlistable(tmp_path / "empty")
    with pytest.raises(DataError) as error:
        read(tmp_path / "empty")
    assert (error.value.code, error.value.params["count"]) == ("only_unlisted_folders", 1)


def test_table_in_a_folder_may_not_be_a_link_outside(shop: Path) -> None:
    for folder in ("hat", "dress"):
        for file in (shop / folder).iterdir():
            file.rename(shop / file.name)
        (shop / folder).rmdir()
    (shop.parent / "private/t.csv").write_text("image,label\n1.jpg,a\n2.jpg,b\n")
    (shop / "t.csv").symlink_to("../private/t.csv")
    assert fixes(read(shop, format="folders"))["links_outside"]["names"] == ["t.csv"]
    assert len(read(shop, allow_outside=True).targets[0].classes) == 2


def test_data_file_may_not_be_a_link_outside(tmp_path: Path) -> None:
    write_part(tmp_path / "private", "train", np.zeros((10, 4, 4), np.uint8), np.arange(10))
    (tmp_path / "idx").mkdir()
    for file in (tmp_path / "private").iterdir():
        (tmp_path / "idx" / file.name).symlink_to(file)
    with pytest.raises(DataError) as error:
        read(tmp_path / "idx")
    assert error.value.code == "data_file_outside"
    assert len(read(tmp_path / "idx", allow_outside=True)) == 10
    (tmp_path / "named").symlink_to("private")
    assert len(read(tmp_path / "named")) == 10, "the user named the link"


def test_labels_beside_a_named_file_may_not_be_a_link_outside(tmp_path: Path) -> None:
    write_part(tmp_path / "private", "train", np.zeros((10, 4, 4), np.uint8), np.arange(10))
    (tmp_path / "idx").mkdir()
    images, labels = (f"train-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    (tmp_path / "private" / images).rename(tmp_path / "idx" / images)
    (tmp_path / "idx" / labels).symlink_to(tmp_path / "private" / labels)
    with pytest.raises(DataError) as error:
        read(tmp_path / "idx" / images)
    assert error.value.code == "data_file_outside"
    assert len(read(tmp_path / "idx" / images, allow_outside=True)) == 10


def test_photos_of_a_list_stay_below_its_folder(shop: Path) -> None:
    with_links(shop)
    (shop / "Anno").mkdir()
    (shop / "Anno/list_category_cloth.txt").write_text("2\ncategory_name category_type\nhat 1\ndress 2\n")
    names = ["hat/1.jpg", "dress/3.jpg", "hat/out.jpg", "out/5.jpg", "../private/5.jpg"]
    rows = "\n".join(f"{name} {1 + number % 2}" for number, name in enumerate(names))
    (shop / "Anno/list_category_img.txt").write_text(f"{len(names)}\nimage_name category_label\n{rows}\n")
    data = read(shop)
    assert data.format == "deepfashion"
    assert data.ids.tolist() == names[:2]
    assert fixes(data)["photos_outside"]["count"] == 3
    assert read(shop, allow_outside=True).ids.tolist() == names


def test_fifo_and_device_are_no_photos(shop: Path) -> None:
    os.mkfifo(shop / "hat/pipe.jpg")
    (shop / "hat/zero.jpg").symlink_to("/dev/zero")
    data = read(shop, allow_outside=True)
    assert isinstance(data.images, PhotoImages)
    for photo in data.images.photos:
        if "pipe" in photo.name or "zero" in photo.name:
            with pytest.raises(ImageError) as error:
                photo.content()
            assert error.value.code == "image_unreadable"


# --- any cell at all

PIECES = ("..", ".", "", "hat", "HAT", "1.jpg", "1", "out", "out.jpg", "up", "chain.jpg", "private", "shop", "5.jpg",
          "passwd", "PRIVATE", "inside.jpg", "%2e%2e", "..%2f", "\u2025", "etc", "~", "C:", "loop")  # fmt: skip

STARTS = ("", "/", "//", "\\", "file://", "file:///", "https://example.org/", "{top}/", "file://{top}/", "{top}/shop/",
          "/data/local-files/?d=", "./", "\\\\?\\", "{top}/shop/../", "shop/")  # fmt: skip

paths = st.builds(
    lambda start, pieces, separator, end: start + separator.join(pieces) + end,
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8),
    st.sampled_from(("/", "/", "/", "\\", "//", "/./", "%2f")),
    st.sampled_from(("", "", "", "/", "\0", ".jpg", "?x=1", "#", " ", "\n")),
)
cells = paths | st.lists(paths, max_size=3).map("|".join) | st.lists(paths, max_size=3).map(repr) | st.text(max_size=40)

PROGRAM = tuple(map(os.path.realpath, (sys.prefix, sys.base_prefix, Path(muslin.__file__).parent)))

OPENED: list[str] | None = None


@contextmanager
def recorded_opens() -> Iterator[list[str]]:
    """The real paths of all files that Python opens within, except those of the program itself."""
    global OPENED
    OPENED = []
    try:
        yield OPENED
    finally:
        OPENED = None


def _record(event: str, args: Any) -> None:
    if event == "open" and OPENED is not None and isinstance(args[0], str | bytes | os.PathLike):
        path = os.path.realpath(os.fsdecode(args[0]))
        OPENED.extend([] if path.startswith(PROGRAM) else [path])


@pytest.fixture(scope="module", autouse=True)
def audit_hook() -> None:
    sys.addaudithook(_record)  # it cannot be removed, and costs nothing while nothing is recorded


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        shop = with_links(make_shop(Path(folder).resolve()))
        (shop / "dress/loop").symlink_to("../../shop")
        yield shop.parent


def test_opens_are_recorded(top: Path) -> None:
    with recorded_opens() as opened:
        Boundary().open(top / "shop/out/passwd").close()
    assert opened == [str(top / "private/passwd")]


@settings(max_examples=400, deadline=None)
@given(texts=st.lists(cells, min_size=1, max_size=5))
def test_cell_never_opens_a_file_outside_the_folder(top: Path, texts: list[str]) -> None:
    names = [text.replace("{top}", str(top)) for text in ("hat/1.jpg", *texts)]
    photos = PhotoLookup([top / "shop"])
    with recorded_opens() as opened:
        for name in names:
            found = photos.find(name)
            if not isinstance(found, ImageError):
                found.content()
        photos.searched(names[-1])
    assert str(top / "shop/hat/1.jpg") in opened
    assert [path for path in opened if not path.startswith(f"{top}/shop/")] == []


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(cells, min_size=1, max_size=5), as_images=st.booleans())
def test_table_never_opens_a_file_outside_the_folder(top: Path, texts: list[str], as_images: bool) -> None:
    names = [text.replace("{top}", str(top)) for text in ("hat/1.jpg", *texts)]
    table = top / ("elsewhere" if as_images else "shop") / "t.csv"
    table.parent.mkdir(exist_ok=True)
    quoted = ('"{}",{}'.format(name.replace('"', '""'), "ab"[number % 2]) for number, name in enumerate(names))
    table.write_text("\n".join(["image,label", *quoted]), encoding="utf-8", errors="replace")
    with recorded_opens() as opened, suppress(MuslinError):
        data = read(table, images=top / "shop" if as_images else None)
        assert isinstance(data.images, PhotoImages)
        data.images.digests()
    table.unlink()
    assert str(table) in opened
    assert [path for path in opened if not path.startswith((f"{top}/shop/", str(table)))] == []
