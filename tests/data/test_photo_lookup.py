"""Whatever a cell says, the same photo is found, or the reason why not; in folders, zips and tars."""

import io
import os
import shutil
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from photo_files import garment

from muslin.data import read
from muslin.data.photo_lookup import PhotoLookup
from muslin.data.photo_paths import MAX_MATCHES, PathIndex, is_plain, readings
from muslin.data.photos import Photo
from muslin.data.tables import open_table
from muslin.errors import DataError, ImageError
from muslin.images import decode

NAMES = (
    "hat/Blue Hat.JPG", "hat/9.jpg", "010/0108775015.jpg", "Robe d'été/robe.jpg", "dress/1.jpg", "hat/1.jpg",
    "a+b.png", "twice/x.jpg", "again/x.jpg", "ab12.webp",
)  # fmt: skip


@pytest.fixture(params=["folder", "zip", "tar"])
def lookup(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], PhotoLookup]:
    """The photos NAMES in a folder called `shop`, or an archive of it."""
    for number, name in enumerate(NAMES):
        file = tmp_path / "shop" / unicodedata.normalize("NFD", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        garment("hat", number).save(tmp_path / "photo.png")
        shutil.move(tmp_path / "photo.png", file)
    place = tmp_path / "shop"
    if request.param != "folder":
        place = Path(shutil.make_archive(str(tmp_path / "shop"), request.param, tmp_path / "shop"))
    return lambda: PhotoLookup([place])


FOUND = [
    ("hat/9.jpg", "hat/9.jpg", None),
    ("./hat/9.jpg", "hat/9.jpg", None),
    ("hat/9", "hat/9.jpg", None),
    ("shop/hat/9.jpg", "hat/9.jpg", None),
    ("dress/../hat/9.jpg", "hat/9.jpg", None),
    (r"hat\9.jpg", "hat/9.jpg", "photos_by_spelling"),
    ("hat/blue hat.jpg", "hat/Blue Hat.JPG", "photos_by_spelling"),
    ("HAT/9.JPG", "hat/9.jpg", "photos_by_spelling"),
    ("hat/9.jpeg", "hat/9.jpg", "photos_by_suffix"),
    ("ab12.jpg", "ab12.webp", "photos_by_suffix"),
    ("Blue Hat", "hat/Blue Hat.JPG", "photos_below"),
    ("0108775015", "010/0108775015.jpg", "photos_below"),
    ("0108775015.jpg", "010/0108775015.jpg", "photos_below"),
    ("108775015", "010/0108775015.jpg", "photos_by_number"),
    ("108775015.0", "010/0108775015.jpg", "photos_by_number"),
    ("010/108775015", "010/0108775015.jpg", "photos_by_number"),
    ("hat/Blue%20Hat.JPG", "hat/Blue Hat.JPG", "photos_by_spelling"),
    ("Robe d'été/robe.jpg", "Robe d'été/robe.jpg", "photos_by_spelling"),
    (r"C:\Users\x\shop\hat\9.jpg", "hat/9.jpg", "photos_by_path_end"),
    (r"\\server\photos\hat\9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("/home/x/shop/hat/9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("../hat/9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("/hat/9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("file:///home/x/hat/blue%20hat.jpg", "hat/Blue Hat.JPG", "photos_by_path_end"),
    ("gs://bucket/hat/9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("https://example.org/p/hat/Blue%20Hat.JPG?w=300", "hat/Blue Hat.JPG", "photos_by_path_end"),
    ("https://example.org/hat/Blue+Hat.JPG", "hat/Blue Hat.JPG", "photos_by_path_end"),
    ("https://example.org/a+b.png#2", "a+b.png", "photos_by_path_end"),
    ("hat/9.jpg?v=2", "hat/9.jpg", "photos_by_path_end"),
    ("/data/upload/1/0123abcd-ab12.webp", "ab12.webp", "photos_by_path_end"),
    ("/data/upload/3/9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("/data/local-files/?d=shop/hat/9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("/data/local-files/?d=shop%2Fhat%2F9.jpg", "hat/9.jpg", "photos_by_path_end"),
    ("hat/9.jpg;hat/1.jpg", "hat/9.jpg", "photos_first_of_several"),
    ("gone.jpg, hat/9.jpg", "hat/9.jpg", "photos_first_of_several"),
    ('["hat/9.jpg", "hat/1.jpg"]', "hat/9.jpg", "photos_first_of_several"),
    ("['hat/9.jpg']", "hat/9.jpg", None),
    (("hat/9.jpg", "hat/1.jpg"), "hat/9.jpg", "photos_first_of_several"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "name", "kind"), FOUND, ids=lambda value: str(value)[:40])
def test_photo_is_found(lookup: Callable[[], PhotoLookup], cell: str, name: str, kind: str | None) -> None:
    photos = lookup()
    found = photos.find(cell)
    assert not isinstance(found, ImageError), found
    assert unicodedata.normalize("NFC", found.name).endswith("/" + name)
    assert [(fix.code, fix.params["count"]) for fix in photos.fixes] == ([(kind, 1)] if kind else [])


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("", "photo_not_named"),
        ("gone.jpg", "no_such_photo"),
        ("dress/9.jpg", "photo_elsewhere"),
        ("/home/x/dress/9.jpg", "photo_elsewhere"),
        ("1.jpg", "photo_ambiguous"),
        ("X.jpg", "photo_ambiguous"),
        ("../gone.jpg", "photo_outside"),
        ("hat/../../gone.jpg", "photo_outside"),
        ("https://example.org/p/gone.jpg", "path_is_url"),
        ("gone.jpg;lost.jpg", "no_such_photo"),
        ("\0", "no_such_photo"),
    ],
)
def test_photo_that_is_not_there_has_a_reason(lookup: Callable[[], PhotoLookup], cell: str, code: str) -> None:
    found = lookup().find(cell)
    assert isinstance(found, ImageError)
    assert found.code == code


def test_files_outside_of_the_places_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    garment("hat", 1).save(tmp_path / "secret.jpg")
    for cell in ("../secret.jpg", str(tmp_path / "secret.jpg"), "images/../../secret.jpg", "../secret"):
        found = PhotoLookup([tmp_path / "shop"]).find(cell)
        assert isinstance(found, ImageError)
        assert found.code == "photo_outside"


def test_copies_of_one_photo_are_not_ambiguous(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        garment("hat", 1).save(tmp_path / folder / "1.jpg")
    photos = PhotoLookup([tmp_path])
    assert not isinstance(photos.find("1.jpg"), ImageError)
    garment("hat", 2).save(tmp_path / "b/1.jpg")
    ambiguous = photos.find("1.jpg")
    assert isinstance(ambiguous, ImageError)
    assert ambiguous.params["names"] == ["a/1.jpg", "b/1.jpg"]


def test_numbers_match_only_one_photo(tmp_path: Path) -> None:
    for name, number in (("007", 1), ("0070", 2)):
        garment("hat", number).save(tmp_path / f"{name}.jpg")
    photos = PhotoLookup([tmp_path])
    assert not isinstance(photos.find("7"), ImageError)
    garment("hat", 3).save(tmp_path / "07.jpg")
    found = PhotoLookup([tmp_path]).find("7")
    assert isinstance(found, ImageError)
    assert found.code == "photo_ambiguous"


def test_index_is_made_only_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garment("hat", 1).save(tmp_path / "1.jpg")
    photos = PhotoLookup([tmp_path])
    monkeypatch.setattr("muslin.data.photo_lookup.PathIndex", None)
    assert not isinstance(photos.find("1"), ImageError)


@pytest.mark.parametrize(
    ("name", "content", "code", "fix", "kind"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic", "image_format", "photos_unsupported", "HEIC"),
        ("a.NEF", b"II*\0", "image_format", "photos_unsupported", "camera raw"),
        ("a.svg", b"<svg/>", "image_format", "photos_unsupported", "SVG"),
        ("a.mov", b"", "image_format", "photos_unsupported", "MP4 video"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\noid x\n", "git_pointer", "photos_are_pointers", None),
        ("a.png", b"/annex/objects/SHA256E-s1--0.png\n", "git_pointer", "photos_are_pointers", None),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_file_that_is_no_readable_photo_is_named_by_its_kind(
    tmp_path: Path, name: str, content: bytes, code: str, fix: str, kind: str | None, packed: bool
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / name).write_bytes(content)
    place = tmp_path / "shop"
    if packed:
        place = Path(shutil.make_archive(str(tmp_path / "shop"), "zip", place))
    photos = PhotoLookup([place])
    for cell in (name, "a", name.swapcase()):
        found = photos.find(cell)
        assert isinstance(found, ImageError)
        assert (found.code, found.params.get("kind")) == (code, kind)
    [summary] = photos.fixes
    assert (summary.code, summary.params["count"], summary.params.get("kind")) == (fix, 3, kind)


def test_jpeg_called_heic_is_a_photo(tmp_path: Path) -> None:
    garment("hat", 1).save(tmp_path / "a.heic", "JPEG")
    assert not isinstance(PhotoLookup([tmp_path]).find("a.heic"), ImageError)


def test_broken_links_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(".git/annex/objects/0/1/a.jpg")
    (tmp_path / "b.jpg").symlink_to("/mnt/gone.jpg")
    photos = PhotoLookup([tmp_path])
    for cell, code in (("a.jpg", "git_pointer"), ("a", "git_pointer"), ("b.jpg", "link_broken")):
        found = photos.find(cell)
        assert isinstance(found, ImageError)
        assert found.code == code
    for read_it in (lambda path: Photo("a.jpg", path).content(), decode):
        with pytest.raises(ImageError) as error:
            read_it(tmp_path / "a.jpg")
        assert (error.value.code, error.value.message.hint_code) == ("git_pointer", "annex")


@pytest.mark.parametrize("packed", [False, True])
def test_pointers_in_folders_of_classes_are_counted(tmp_path: Path, packed: bool) -> None:
    shop = tmp_path / "shop"
    for name in ("hat/1.jpg", "hat/2.jpg", "shirt/1.jpg"):
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(DataError) as error:
        read(Path(shutil.make_archive(str(tmp_path / "1"), "zip", shop)) if packed else shop)
    assert (error.value.code, error.value.params["count"]) == ("only_pointers", 3)
    assert error.value.message.hint_code == "lfs"
    garment("hat", 1).save(shop / "hat/2.jpg")
    dataset = read(Path(shutil.make_archive(str(tmp_path / "2"), "zip", shop)) if packed else shop)
    assert (dataset.ids.tolist(), dataset.targets[0].classes) == (["hat/2.jpg"], ("hat", "shirt"))
    assert [fix.params["names"] for fix in dataset.fixes if fix.code == "photos_are_pointers"] == [
        ["hat/1.jpg", "shirt/1.jpg"]
    ]


@pytest.mark.parametrize("name", ["styles.csv", "photos.zip", "photos.tar", "labels.parquet"])
def test_pointer_in_place_of_a_data_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    (tmp_path / f"annexed-{name}").symlink_to(".git/annex/objects/0/1/key")
    for path in (tmp_path / name, tmp_path / f"annexed-{name}"):
        for read_it in (read, open_table, lambda path: PhotoLookup([path])):
            with pytest.raises(DataError) as error:
                read_it(path)
            assert (error.value.code, error.value.params["path"]) == ("git_pointer", str(path))


OLD_NAMES = {
    "Müller.jpg": "cp1252",
    "帽子.jpg": "cp932",
    "表1.jpg": "cp932",
    "шляпа.jpg": "cp866",
    "Größe/Ø1.jpg": "cp850",
}


def old_zip(path: Path, flagged: bool = False, unicode_path: bool = False) -> Path:
    """OLD_NAMES in a zip, encoded as old programs do; maybe falsely flagged as UTF-8, maybe with UTF-8 names beside."""
    content = io.BytesIO()
    garment("hat", 1).save(content, "JPEG")
    stand_ins: dict[str, bytes] = {}
    with zipfile.ZipFile(path, "w") as archive:
        for i, (name, encoding) in enumerate(OLD_NAMES.items()):
            stored = name.encode(encoding)
            stand_in = f"{i}" * len(stored)
            stand_ins[stand_in] = stored
            info = zipfile.ZipInfo(stand_in)
            if unicode_path:
                body = b"\1" + struct.pack("<L", zlib.crc32(stored)) + name.encode()
                info.extra = struct.pack("<HH", 0x7075, len(body)) + body
            archive.writestr(info, content.getvalue())
    data = path.read_bytes()
    for stand_in, stored in stand_ins.items():
        data = data.replace(stand_in.encode(), stored)
    if flagged:
        for magic, flags in ((b"PK\3\4", 7), (b"PK\1\2", 9)):
            pieces = data.split(magic)
            data = magic.join(
                [pieces[0], *(p[: flags - 4] + bytes([p[flags - 4] | 8]) + p[flags - 3 :] for p in pieces[1:])]
            )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("flagged", "unicode_path"), [(False, False), (True, False), (False, True)])
def test_names_in_an_old_encoding_match(tmp_path: Path, flagged: bool, unicode_path: bool) -> None:
    path = old_zip(tmp_path / "a.zip", flagged, unicode_path)
    photos = PhotoLookup([path])
    for name in OLD_NAMES:
        found = photos.find(name)
        assert not isinstance(found, ImageError), name
        assert found.content().startswith(b"\xff\xd8")
    codes = [(fix.code, fix.params["count"]) for fix in photos.fixes]
    assert codes == ([] if unicode_path else [("photos_by_spelling", len(OLD_NAMES))])
    fixes = {fix.code: fix.params for fix in read(path).fixes}  # type: ignore[attr-defined]
    assert ("names_read_as_cp437" in fixes) == (not unicode_path)
    if not unicode_path:
        assert fixes["names_read_as_cp437"]["count"] == len(OLD_NAMES)


def test_names_in_an_old_encoding_match_in_tars_and_folders(tmp_path: Path) -> None:
    content = io.BytesIO()
    garment("hat", 1).save(content, "JPEG")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT, encoding="latin-1") as tar:
        info = tarfile.TarInfo("Müller.jpg")
        info.size = len(content.getvalue())
        tar.addfile(info, io.BytesIO(content.getvalue()))
    (tmp_path / "shop").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "shop") + b"/M\xfcller.jpg")).write_bytes(content.getvalue())
    for place in ("a.tar", "shop"):
        photos = PhotoLookup([tmp_path / place])
        assert not isinstance(photos.find("Müller.jpg"), ImageError)
        assert [fix.code for fix in photos.fixes] == ["photos_by_spelling"]


def test_unique_name_is_found_below_other_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("dress/a7.jpg", "hat/b8.jpg")):
        (tmp_path / name).parent.mkdir()
        garment("hat", number).save(tmp_path / name)
    photos = PhotoLookup([tmp_path])
    for cell in ("https://example.org/p/a7.jpg?w=300", "/home/x/photos/a7.jpg"):
        assert not isinstance(photos.find(cell), ImageError)
    in_other_class = photos.find("hat/a7.jpg")
    assert isinstance(in_other_class, ImageError)
    assert in_other_class.code == "photo_elsewhere"
    assert [fix.code for fix in photos.fixes] == ["photos_by_path_end", "photos_named_twice", "photos_missing"]
    garment("hat", 3).save(tmp_path / "hat/a7.jpg")
    assert isinstance(PhotoLookup([tmp_path]).find("/home/x/photos/a7.jpg"), ImageError)


def test_archive_called_as_a_folder_of_photos_is_searched(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for number in range(4):
        garment("hat", number).save(tmp_path / f"shop/{number}.jpg")
    shutil.make_archive(str(tmp_path / "images"), "zip", tmp_path / "shop")
    shutil.rmtree(tmp_path / "shop")
    (tmp_path / "t.csv").write_text("image,label\n0.jpg,a\n1,b\n2.JPG,a\n3.jpg,b\n")
    assert len(read(tmp_path / "t.csv")) == 4


def test_rows_and_photos_that_are_not_used_are_counted(tmp_path: Path) -> None:
    for number in range(1, 6):
        garment("hat", number).save(tmp_path / f"{number}.jpg")
    rows = ["front,back,label", "1.jpg,4.jpg,a", ",5.jpg,b", "2.jpg;1.jpg;3.jpg,,a", "3.jpg,,b", "gone.jpg,,b"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    data = read(tmp_path / "t.csv", format="table", product="none")
    assert data.products is None
    assert data.ids.tolist() == ["1.jpg", "2.jpg;1.jpg;3.jpg", "3.jpg"]
    fixes = {fix.code: fix.params for fix in data.fixes}  # type: ignore[attr-defined]
    assert fixes["photos_not_named"]["names"] == ["3"]
    assert fixes["photos_missing"]["names"] == ["gone.jpg"]
    assert (fixes["photos_first_of_several"]["count"], fixes["photos_first_of_several"]["unused"]) == (1, 2)
    assert fixes["photo_columns_unused"] == {"columns": ["front"], "others": ["back"]}


def test_number_beside_names_of_files_is_no_photo(tmp_path: Path) -> None:
    for number in range(4):
        garment("hat", number).save(tmp_path / f"00{number}.jpg")
    rows = [f"{n},{'ab'[n % 2]}{n}.jpg,{'xy'[n % 2]}" for n in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["sku,file,kind", *rows]))
    with pytest.raises(DataError) as error:
        read(tmp_path / "t.csv")
    params = error.value.params
    assert (error.value.code, params["example"], params["photos"]) == ("photo_column_not_found", "a0.jpg", 4)
    assert params["tried"] == [str(tmp_path / "a0.jpg")]
    assert len(read(tmp_path / "t.csv", image_column="sku", target="kind")) == 4


@pytest.mark.parametrize("cell", ["https://example.org/7", "/data/upload/1/7.jpg", "7.jpg"])
def test_only_digits_alone_can_lack_zeros(tmp_path: Path, cell: str) -> None:
    garment("hat", 1).save(tmp_path / "007.jpg")
    assert isinstance(PhotoLookup([tmp_path]).find(cell), ImageError)


def test_id_with_files_of_several_suffixes_is_counted(tmp_path: Path) -> None:
    for number, suffix in enumerate(("webp", "jpg", "png")):
        garment("hat", number).save(tmp_path / f"a.{suffix}")
    photos = PhotoLookup([tmp_path])
    found = photos.find("a")
    assert not isinstance(found, ImageError)
    assert found.name.endswith("a.jpg")
    [fix] = photos.fixes
    assert (fix.code, fix.params["names"], fix.params["unused"]) == ("photos_first_of_several", ["a"], 2)


@pytest.mark.parametrize(
    "name", ["..hidden/..a.jpg", "weird/a?b.jpg", "weird/100%.jpg", "weird/semi;colon.jpg", "b\\c.jpg"]
)
def test_odd_names_are_found_as_they_are_spelled(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    garment("hat", 1).save(tmp_path / name)
    photos = PhotoLookup([tmp_path])
    assert not isinstance(photos.find(name), ImageError)
    assert photos.fixes == ()


@pytest.mark.parametrize(
    "cell",
    ["https://[::1", "http://", "file:///", "C:", "/", "..", "[]", "%00", "?", "a" * 10**6, "a/" * 2000, "\ud800"],
)
def test_cells_that_are_no_paths_have_a_reason(tmp_path: Path, cell: str) -> None:
    garment("hat", 1).save(tmp_path / "1.jpg")
    photos = PhotoLookup([tmp_path])
    assert isinstance(photos.find(cell), ImageError)
    assert all(len(fix) < 5000 for fix in photos.fixes)


def test_photo_is_preferred_to_its_heic_original(tmp_path: Path) -> None:
    garment("hat", 1).save(tmp_path / "IMG_1.JPG")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    photos = PhotoLookup([tmp_path])
    assert not isinstance(photos.find("IMG_1.png"), ImageError)
    assert not isinstance(photos.find("IMG_1"), ImageError)


def test_name_in_every_folder_is_found_without_comparing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    index = PathIndex(f"img/{folder:05d}/img_{n}.jpg" for folder in range(5000) for n in range(3))
    compared: list[str] = []
    compare = PathIndex._compare
    monkeypatch.setattr(PathIndex, "_compare", lambda *given: compared.append(given[1]) or compare(*given))
    [reading] = readings(r"D:\photos\IMG\04321\img_2.JPG")
    [match] = index.matches(reading)
    assert (match.path, len(compared)) == ("img/04321/img_2.jpg", 1)
    [missing] = readings("img/99999/img_2.jpg")
    assert not any(match.fits for match in index.matches(missing))
    assert len(compared) <= 1 + MAX_MATCHES


def test_cell_without_a_name_is_no_photo_called_zero(tmp_path: Path) -> None:
    garment("hat", 1).save(tmp_path / "0.jpg")
    assert not isinstance(PhotoLookup([tmp_path]).find("0"), ImageError)
    for cell in (".", "./", "/", "a/..", ".jpg"):
        assert isinstance(PhotoLookup([tmp_path]).find(cell), ImageError), cell


@pytest.mark.parametrize(
    "cell",
    ["hat/9.jpg;gone.jpg;hat/1.jpg", '["hat/9.jpg", "gone.jpg", "hat/1.jpg"]', ("hat/9.jpg", "gone.jpg", "hat/1.jpg")],
)
def test_all_photos_of_a_cell_are_found_or_named(lookup: Callable[[], PhotoLookup], cell: str) -> None:
    found = lookup()
    (first, photo), (second, error), (third, other) = found.find_all(cell)
    assert (first, second, third) == ("hat/9.jpg", "gone.jpg", "hat/1.jpg")
    assert isinstance(photo, Photo)
    assert isinstance(other, Photo)
    assert photo != other
    assert isinstance(error, ImageError)
    assert error.code == "no_such_photo"
    assert [(fix.code, fix.params["count"]) for fix in found.fixes] == [("photos_missing", 1)]


def test_photo_whose_name_holds_a_separator_is_one(tmp_path: Path) -> None:
    garment("hat", 0).save(tmp_path / "a.png b.png")
    [(name, photo)] = PhotoLookup([tmp_path]).find_all("a.png b.png")
    assert name == "a.png b.png"
    assert isinstance(photo, Photo)


@pytest.mark.parametrize("place", [".hidden/1.jpg", "@eaDir/1.jpg", "link.d/1.jpg", "inside/1.jpg", "outside.d/1.jpg"])
def test_photo_not_in_the_list_of_photos_is_found_as_spelled(place: str, tmp_path: Path) -> None:
    """After the list of all photos is made, which a cell that names none asks for."""
    folder, folder_of = tmp_path / "shop", Path(place).parent
    (folder / "real").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (folder / "link.d").symlink_to(folder / "real")
    (folder / "inside").symlink_to(folder / "real")
    (folder / "outside.d").symlink_to(tmp_path / "other")
    if not (folder / folder_of).exists():
        (folder / folder_of).mkdir()
    garment("hat", 1).save(folder / place)
    expected = PhotoLookup([folder]).find(place)
    lookup = PhotoLookup([folder])
    assert isinstance(lookup.find("none/2.jpg"), ImageError)
    found = lookup.find(place)
    assert (found.code if isinstance(found, ImageError) else found) == (
        expected.code if isinstance(expected, ImageError) else expected
    )
    assert isinstance(found, Photo) or found.code == "photo_outside"


def test_photo_in_a_hidden_place_is_found_after_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    garment("hat", 1).save(tmp_path / ".hidden" / "1.jpg")
    lookup = PhotoLookup([tmp_path, tmp_path / ".hidden"])
    assert isinstance(lookup.find("none/2.jpg"), ImageError)
    assert isinstance(lookup.find("1.jpg"), Photo)


@pytest.mark.parametrize("cell", ["hat/9.jpg", "/kaggle/input/Blue Hat.JPG", "0108775015", "a b/c-d_e.v2.webp"])
def test_plain_path_has_one_reading_of_the_same_last_piece(cell: str) -> None:
    assert is_plain(cell)
    assert [reading.pieces[-1] for reading in readings(cell)] == [cell.rpartition("/")[2]]


@pytest.mark.parametrize(
    "cell",
    ["", ".", "../1.jpg", "a/./1.jpg", "a//1.jpg", "a/", r"a\1.jpg", "C:/1.jpg", "http://a/1.jpg", "a%20b.jpg",
     "a+b.png", "1.jpg?x=1", "1.jpg 2.jpg", "1.jpg|2.jpg", "['1.jpg']", "été.jpg", "/data/upload/3/0123abcd-1.jpg"],
)  # fmt: skip
def test_cell_of_several_readings_is_not_plain(cell: str) -> None:
    assert not is_plain(cell)


def test_index_has_the_names_that_cells_can_mean() -> None:
    index = PathIndex(["010/0108775015.jpg", "hat/Blue Hat.JPG"])
    assert all(map(index.has_name, ("108775015.0", "0108775015.png", "blue hat", "BLUE HAT.webp")))
    assert not any(map(index.has_name, ("010", "hat", "blue", "2.jpg")))


def test_threads_that_ask_first_find_every_photo(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(3000)]
    (tmp_path / "new").mkdir()
    for name in names:
        (tmp_path / "new" / name).touch()
    lookup = PhotoLookup([tmp_path])
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: lookup.locate(name).photo, names[:64]))
    assert [photo.path.name for photo in found if isinstance(photo, Photo)] == names[:64]
