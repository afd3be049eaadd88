"""`muslin look` on tables with several targets, several labels per photo, and unreadable photos."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from muslin.cli import cli
from muslin.data import read
from muslin.errors import ImageError
from muslin.reporting.data_preview import dataset_summary, read_photo_headers


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six photos of three sizes and three modes, the first of them unreadable; three columns can be labels."""
    (tmp_path / "images").mkdir()
    for number, (mode, size) in enumerate(
        [("RGB", (30, 40)), ("RGB", (30, 40)), ("L", (8, 6)), ("CMYK", (90, 50)), ("RGB", (30, 40)), ("L", (9, 9))], 1
    ):
        Image.new(mode, size).save(tmp_path / f"images/{number}.jpg")
    (tmp_path / "images/1.jpg").write_bytes(b"<html>not summary</html>")
    lines = ["image,kind,season,tags", "1,hat,fall,red|warm", "2,hat,fall,red", "3,hat,spring,", "4,shirt,fall,red"]
    lines += ["5,shirt,spring,warm", "6,shirt,fall,red|warm", "7,shirt,fall,red"]
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "shop.csv"


def look(*arguments: object) -> str:
    done = CliRunner().invoke(cli, ["look", *map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_table_with_several_targets_has_a_row_each(table: Path) -> None:
    (table.parent / "other.csv").write_text(table.read_text().replace("tags", "colours"))
    output = look(table.parent / "other.csv")
    assert "detected: table, 3 possible targets, 6 photos" in output
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.strip()}
    assert rows["kind"] == ["2", "0", "hat", "(3),", "shirt", "(3)"]
    assert rows["season"][:2] == ["2", "0"]
    assert "colours (several per image)" in output
    assert "7 rows" in output
    assert ": 1 (7)" in output


def test_sizes_modes_and_unreadable_photos_are_shown(table: Path) -> None:
    output = look(table, "--target", "tags")
    assert "6 photos examined: 8×6 to 90×50 px, 2 RGB, 2 L, 1 CMYK, 1 unreadable, the first:" in output
    assert "1.jpg" in output
    assert "tags: 2 classes (several per image)" in output
    summary = json.loads(look(table, "--target", "tags", "--json"))
    assert summary["shape"] == [40, 30, 3]
    assert summary["photo_files"]["smallest"] == [6, 8]
    (error,) = summary["photo_files"]["unreadable"]
    assert error["params"]["name"] == str(table.parent / "images/1.jpg")
    assert summary["photo_files"]["modes"] == {"RGB": 2, "L": 2, "CMYK": 1}
    assert summary["targets"]["tags"] == {"kind": "multilabel", "classes": {"red": 4, "warm": 3}, "n_unlabelled": 1}


@pytest.mark.parametrize("options", [["--sample", 6], ["--class-means"], ["--class", "warm"], []])
def test_images_are_shown_with_a_mark_for_unreadable_ones(table: Path, tmp_path: Path, options: list[object]) -> None:
    look(table, "--target", "tags", *options, "-o", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 100
    look(table, "--target", "kind", "--target", "season", "--sample", 6)
    look(table, "--target", "tags", *options)


def test_unreadable_image_is_named_by_its_index(table: Path) -> None:
    done = CliRunner().invoke(cli, ["look", str(table), "--target", "kind", "--index", "0"])
    assert isinstance(done.exception, ImageError)
    assert done.exception.params["name"].endswith("1.jpg")


def test_set_of_unreadable_photos_is_described(table: Path) -> None:
    for photo in (table.parent / "images").iterdir():
        photo.write_bytes(b"")
    data = read(table, target="kind")
    assert dataset_summary(data)["shape"] is None
    photos = read_photo_headers(data)
    assert photos is not None
    assert (photos["smallest"], len(photos["unreadable"])) == (None, 6)
    assert "6 unreadable" in look(table, "--target", "kind")


def test_exact_copies_are_counted(table: Path) -> None:
    assert "\n1 exact copy of other images\n" in look(table, "--target", "kind")
    assert dataset_summary(read(table, target="kind"))["copies"] == 1
