"""Outputs go to new regular files, or with `overwrite` in place of one, and never onto an input."""

import os
from pathlib import Path

import pytest

from mounted_disk import mounted_disk
from muslin.storage.outputs import Output, open_side_file
from refusals import refuses


def test_a_new_file_and_its_folder_are_written(tmp_path: Path) -> None:
    Output(tmp_path / "new" / "a.json").write("é")
    assert (tmp_path / "new" / "a.json").read_bytes() == "é".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_only_overwrite_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text("by hand")
    with refuses("output_exists", path=str(path)):
        Output.of(path).write("new")
    assert path.read_text() == "by hand"
    Output(path, overwrite=True).write("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["folder", "fifo", "socket", "link", "broken link", "link to folder", "device"])
def test_only_regular_files_are_replaced(kind: str, overwrite: bool, tmp_path: Path) -> None:
    import socket

    (tmp_path / "file").write_text("mine")
    (tmp_path / "below").mkdir()
    path = tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path.symlink_to({"link": "file", "broken link": "nowhere", "link to folder": "below"}[kind])
    before = path.lstat()
    code = "output_is_folder" if kind == "folder" else "output_not_regular"
    for write in (lambda output: output.check(), lambda output: output.write("new")):
        with refuses(code, path=str(path)):
            write(Output(path, overwrite))
    assert path.lstat() == before
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["shop.csv", "linked.csv", "hard.csv", "folder/../shop.csv", "alias/shop.csv"])
def test_an_input_is_never_replaced_by_any_of_its_names(name: str, tmp_path: Path) -> None:
    shop = tmp_path / "shop.csv"
    shop.write_text("photos")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked.csv").symlink_to("shop.csv")
    (tmp_path / "alias").symlink_to(".")
    os.link(shop, tmp_path / "hard.csv")
    with refuses("output_is_input", path=str(tmp_path / name), name=str(shop)):
        Output(tmp_path / name, overwrite=True).check([tmp_path / "missing", shop])


def test_nothing_is_written_into_a_folder_of_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "alias").symlink_to("data")
    for place in ("data/new.csv", "data/deep/new.csv", "alias/new.csv"):
        with refuses("output_in_data", path=str(tmp_path / place), name=str(data)):
            Output(tmp_path / place).check([data])
    Output(tmp_path / "data.csv").check([data])


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    output = Output(path)
    output.check()
    with refuses("output_exists"), output.open() as file:
        file.write(b"tags")
        path.write_text("by hand")
    assert path.read_text() == "by hand"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]


def test_a_link_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    path, target = tmp_path / "out.csv", tmp_path / "target"
    target.write_text("mine")
    path.write_text("old")
    with refuses("output_not_regular"), Output(path, overwrite=True).open() as file:
        file.write(b"tags")
        path.unlink()
        path.symlink_to(target)
    assert target.read_text() == "mine"
    assert path.is_symlink()


def test_a_side_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.partial"
    with open_side_file(path) as file:
        file.write(b"one")
    with open_side_file(path) as file:
        assert file.read() == b"one"
        file.write(b"two")
    assert path.read_bytes() == b"onetwo"


@pytest.mark.parametrize("kind", ["link", "broken link", "hard link", "fifo", "folder", "another user's"])
def test_a_side_file_of_others_is_not_opened(kind: str, tmp_path: Path) -> None:
    path, target = tmp_path / "out.partial", tmp_path / "target"
    target.write_text("")
    if kind == "hard link":
        os.link(target, path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "another user's":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        path.write_text("")
        os.chown(path, 12345, 12345)
    else:
        path.symlink_to("target" if kind == "link" else "nowhere")
    with refuses("side_file_foreign", path=str(path)):
        open_side_file(path)
    assert target.read_text() == ""
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_without_hard_links_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mounted_disk(tmp_path / "disk", "1m,nr_inodes=3") as disk:  # for itself and two names
        (disk / "other").touch()
        Output(disk / "out.csv").write("new")
        with pytest.raises(OSError, match="No space left"):
            os.link(disk / "out.csv", disk / "linked.csv")
        (disk / "other").unlink()
        with refuses("already_exists"), Output(disk / "b.csv").open():
            os.rename(disk / "out.csv", disk / "b.csv")
            monkeypatch.setattr(Output, "check", lambda self: None)  # it came after the last look
        assert (disk / "b.csv").read_text() == "new"
        assert os.listdir(disk) == ["b.csv"]
