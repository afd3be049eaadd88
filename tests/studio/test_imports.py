"""Files that a person drops arrive whole, replace nothing, and what cannot be used is told."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mounted_disk import disk_that_ignores_case, mounted_disk
from muslin.errors import MuslinError
from muslin.studio.folder_contents import FolderContents
from muslin.studio.imports import Imports, safe_name, wanted_suffixes

HEIC = b"\0\0\0\x18ftypheic"


def jpeg(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(stream, "JPEG")
    return stream.getvalue()


def piece(name: str, files: dict[str, bytes], modified: float = 1e9) -> bytes:
    parts = [
        {"path": path, "offset": 0, "length": len(content), "size": len(content), "modified": modified}
        for path, content in files.items()
    ]
    return packed({"name": name, "parts": parts}, b"".join(files.values()))


def packed(header: Any, content: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + content


@pytest.fixture
def imports(tmp_path: Path) -> Imports:
    return Imports(tmp_path)


def test_dropped_folder_becomes_a_data_set(imports: Imports, tmp_path: Path) -> None:
    files = {"shirt/a.jpg": jpeg(), "shirt/b.jpg": jpeg(), "dress/a.jpg": jpeg()}
    name = imports.start("shop", 3, 100)["name"]
    assert imports.add(piece(name, files)) == {"complete": 3}
    assert [row["name"] for row in imports.rows()] == ["shop"]
    assert imports.finish(name) == {"data": "imports/shop", "images": 3, "others": 0, "notes": []}
    assert {p.relative_to(tmp_path / "imports/shop").as_posix() for p in tmp_path.rglob("*.jpg")} == set(files)
    assert imports.rows() == []


def test_names_that_differ_only_in_case_are_two_files(imports: Imports, tmp_path: Path) -> None:
    files = {"shirt/A.jpg": jpeg(), "shirt/a.jpg": jpeg((1, 2, 3)), "Shirt/a.jpg": jpeg((9, 9, 9))}
    name = imports.start("shop", 3, 100)["name"]
    imports.add(piece(name, files))
    assert imports.finish(name)["images"] == 3
    assert {path: (tmp_path / "imports/shop" / path).read_bytes() for path in files} == files


@pytest.mark.skipif(shutil.which("lowntfs-3g") is None, reason="no file system that ignores case: install ntfs-3g")
def test_a_disk_that_ignores_case_keeps_both_files(tmp_path: Path) -> None:
    files = {"shirt/a.jpg": jpeg(), "shirt/A.jpg": jpeg((1, 2, 3)), "Shirt/a.jpg": jpeg((9, 9, 9))}
    with disk_that_ignores_case(tmp_path / "disk") as disk:
        imports = Imports(disk)
        name = imports.start("shop", 3, 100)["name"]
        for _ in range(2):  # and sent again after a lost response
            imports.add(piece(name, files))
        assert imports.finish(name)["images"] == 3
        assert {path.read_bytes() for path in disk.rglob("*.jpg")} == set(files.values())


def test_one_table_or_archive_is_the_data_set_itself(imports: Imports, tmp_path: Path) -> None:
    name = imports.start("shop", 1, 10)["name"]
    imports.add(piece(name, {"shop.csv": b"image,label\n"}))
    assert imports.finish(name)["data"] == "imports/shop/shop.csv"


def test_import_of_a_taken_name_replaces_nothing(imports: Imports, tmp_path: Path) -> None:
    for expected in ("shop", "shop-2", "shop-3"):
        name = imports.start("shop", 1, 5)["name"]
        assert name == expected
        imports.add(piece(name, {"a.jpg": jpeg()}))
        imports.finish(name)


def test_interrupted_import_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = Imports(tmp_path)
    name = first.start("shop", 2, 2000)["name"]
    first.add(piece(name, {"a.jpg": jpeg()}, modified=1.5e9))
    again = Imports(tmp_path).start("shop", 2, 2000)
    assert again == {"name": "shop", "done": {"a.jpg": (len(jpeg()), 1.5e9)}}
    assert Imports(tmp_path).start("shop", 3, 2000)["name"] == "shop-2"  # other files of the same name


def test_large_file_arrives_in_pieces(imports: Imports, tmp_path: Path) -> None:
    name = imports.start("big", 1, 10)["name"]

    def send(offset: int, content: bytes) -> int:
        part = {"path": "a.zip", "offset": offset, "length": len(content), "size": 10, "modified": 1e9}
        complete: int = imports.add(packed({"name": name, "parts": [part]}, content))["complete"]
        return complete

    assert send(0, b"PK123") == 0
    with pytest.raises(MuslinError) as refused:
        send(7, b"890")
    assert (refused.value.code, refused.value.params["found"]) == ("import_offset", 5)
    assert send(0, b"PK123") == 0  # begun anew
    assert [send(5, b"67"), send(5, b"67")] == [0, 0]  # its response was lost
    assert [send(7, b"890"), send(7, b"890")] == [1, 1]
    imports.finish(name)
    assert (tmp_path / "imports/big/a.zip").read_bytes() == b"PK12367890"


def test_a_file_of_which_a_part_arrived_is_left_out(imports: Imports, tmp_path: Path) -> None:
    name = imports.start("shop", 2, 100)["name"]
    imports.add(piece(name, {"a.jpg": jpeg()}))
    part = {"path": "b.zip", "offset": 0, "length": 5, "size": 10, "modified": 1e9}
    imports.add(packed({"name": name, "parts": [part]}, b"PK123"))
    assert list(imports.start("shop", 2, 100)["done"]) == ["a.jpg"]
    assert (imports.finish(name)["images"], imports.rows()) == (1, [])
    assert [path.name for path in (tmp_path / "imports/shop").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(
    "path", ["../a.jpg", "/a.jpg", "a//b.jpg", "a/../../b.jpg", "a\\b.jpg", "x" * 300, "\ud800.jpg"]
)
def test_no_file_leaves_its_import(imports: Imports, tmp_path: Path, path: str) -> None:
    name = imports.start("shop", 1, 5)["name"]
    with pytest.raises(MuslinError) as refused:
        imports.add(piece(name, {path: b"x"}))
    assert refused.value.code == "import_path"
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {".import.json"}


def test_files_of_systems_are_passed_over(imports: Imports, tmp_path: Path) -> None:
    name = imports.start("shop", 3, 5)["name"]
    assert imports.add(piece(name, {".DS_Store": b"x", "__MACOSX/a.jpg": b"x", "a.jpg": jpeg()})) == {"complete": 3}
    assert imports.finish(name)["images"] == 1


def test_no_link_leads_an_import_out_of_the_folder(imports: Imports, tmp_path: Path) -> None:
    name = imports.start("shop", 1, 5)["name"]
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / f"imports/{name}.incomplete/link").symlink_to(outside)
    (tmp_path / f"imports/{name}.incomplete/a.jpg").symlink_to(outside / "b.jpg")
    with pytest.raises(MuslinError):
        imports.add(piece(name, {"link/a.jpg": b"x"}))
    assert imports.add(piece(name, {"a.jpg": b"x"})) == {"complete": 1}
    assert not (tmp_path / f"imports/{name}.incomplete/a.jpg").is_symlink()
    assert list(outside.iterdir()) == []


def test_images_that_cannot_be_used_are_named(imports: Imports) -> None:
    name = imports.start("mixed", 4, 5)["name"]
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 10_000, 10_000) + b"\x08\x02\0\0\0"
    imports.add(piece(name, {"a.jpg": HEIC, "b.jpg": HEIC, "c.png": huge, "d.jpg": jpeg()}))
    found = imports.finish(name)
    assert {(note["message"].code, note["message"].hint_code, note["count"]) for note in found["notes"]} == {
        ("image_format", "heic", 2),
        ("too_many_pixels", None, 1),
    }


def test_files_that_are_not_read_need_not_be_sent() -> None:
    names = {
        ".jpg": ["a.jpg"],
        ".csv": ["b.csv"],
        ".heic": ["c.heic"],
        ".mp4": ["d.mp4"],
        ".docx": ["e.docx"],
        "": [".x"],
    }
    found = wanted_suffixes(names)
    assert found["wanted"] == [".jpg", ".csv"]
    assert [(note.code, note.hint_code) for note in found["notes"]] == [
        ("photos_unsupported", "heic"),
        ("photos_unsupported", "video"),
        ("import_unknown_kinds", None),
    ]


def test_import_without_a_usable_file_is_refused(imports: Imports) -> None:
    name = imports.start("nothing", 1, 5)["name"]
    with pytest.raises(MuslinError) as refused:
        imports.finish(name)
    assert refused.value.code == "import_nothing"
    imports.discard(name)
    assert imports.rows() == []


def test_import_larger_than_the_disk_is_refused_at_its_start(imports: Imports, tmp_path: Path) -> None:
    with pytest.raises(MuslinError) as refused:
        imports.start("huge", 1, 2**40)
    assert (refused.value.code, refused.value.status) == ("import_no_room", 507)
    assert imports.rows() == []


@pytest.mark.parametrize("folder", ["", "imports"])
def test_folder_without_write_permission_says_why(tmp_path: Path, folder: str) -> None:
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        (disk / folder).mkdir(exist_ok=True)
        (disk / "shop.csv").write_bytes(b"")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(MuslinError) as refused:
            Imports(disk).start("shop", 1, 5)
        contents = FolderContents(disk).rows()
    assert refused.value.code == "write_denied"
    assert not contents["is_writable"]
    assert [row["path"] for row in contents["data"]] == ["shop.csv"]


@pytest.mark.parametrize(
    ("dropped", "name"),
    [("My photos", "My photos"), ("../x", "x"), (".hidden", "hidden"), ("a/b:c", "a b c"), ("", "images"),
     ("__MACOSX", "images"), ("é" * 100, "é" * 40), ("x.incomplete", "x")],
)  # fmt: skip
def test_dropped_name_becomes_a_folder_name(dropped: str, name: str) -> None:
    assert safe_name(dropped) == name


ODD_BODIES = [
    b"", b"\xff\xff\xff\xff", b"\0\0\0\0", packed({"name": "a", "parts": [{}]}, b""),
    packed({"name": 3, "parts": []}, b""), packed({"name": "a", "parts": []}, b"x"),
]  # fmt: skip


@pytest.mark.parametrize("body", ODD_BODIES)
def test_odd_pieces_are_refused(imports: Imports, body: bytes) -> None:
    with pytest.raises(MuslinError) as refused:
        imports.add(body)
    assert refused.value.code == "request_value"


def test_full_disk_is_told_and_the_piece_can_be_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muslin.studio.imports.RESERVE_BYTES", 0)
    with mounted_disk(tmp_path / "disk", "1m") as disk:
        (disk / "other").write_bytes(bytes(600_000))
        imports = Imports(disk)
        name = imports.start("shop", 1, 0)["name"]
        for _ in range(2):
            with pytest.raises(MuslinError) as refused:
                imports.add(piece(name, {"a.zip": bytes(900_000)}))
            assert refused.value.code == "disk_full"
        (disk / "other").unlink()
        assert imports.add(piece(name, {"a.zip": bytes(900_000)})) == {"complete": 1}
