"""`muslin colour` adds the colours of its products to a shop's table."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import invoke
from muslin.errors import DataError, StoppedError, StorageError
from muslin.workflows.colour import BLOCK, ColourOptions, colour
from refusals import refuses

COLOURS = {"red": (200, 30, 40), "navy": (28, 36, 64), "yellow": (232, 208, 64)}


def write_photo(path: Path, rgb: tuple[int, ...]) -> None:
    image = np.full((60, 60, 3), 250, np.uint8)
    image[12:48, 15:45] = rgb
    Image.fromarray(image).save(path)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, rgb in COLOURS.items():
        write_photo(tmp_path / f"{name}.png", rgb)
    (tmp_path / "damaged.jpg").write_bytes(b"<html>")
    (tmp_path / "shop.csv").write_bytes(
        b"SKU;image;price\r\n00123;red;1,50\r\n00124;damaged.jpg;2\r\n00125;navy.png;3\r\n00126;gone;4\r\n"
    )
    return tmp_path


def rows(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_colours_are_added_and_the_rest_stays(shop: Path, capfd: Any) -> None:
    result = invoke(capfd, "colour", shop / "shop.csv", "-o", shop / "out.csv")
    assert result.out == "4 products: red 1, navy 1, 2 unreadable\n"
    lines = (shop / "out.csv").read_bytes().splitlines(keepends=True)
    for before, after in zip((shop / "shop.csv").read_bytes().splitlines(), lines, strict=True):
        assert after.startswith(before)
        assert after.endswith(b"\r\n")
    red, damaged, navy, gone = rows(shop / "out.csv")
    assert (red["colour"], red["colours"], red["colour_note"], red["error"]) == ("red", "red", "", "")
    assert float(red["colour_shares"].replace(",", ".")) > 0.95
    assert navy["colour"] == "navy"
    assert [row["colour"] for row in (damaged, gone)] == ["", ""]
    assert all(row["error"] for row in (damaged, gone))
    assert not list(shop.glob("*.partial"))


def test_a_product_has_the_colours_of_all_its_photos(shop: Path) -> None:
    (shop / "shop.csv").write_text("product,image\na,red\na,navy.png\nb,yellow.png\n")
    result = colour(shop / "shop.csv", shop / "out.csv", ColourOptions(read_options={"product": "product"}))
    first, second, third = rows(shop / "out.csv", ",")
    assert first["colours"] == second["colours"] == "red|navy"
    assert all(0.45 < float(share) <= 0.5 for share in first["colour_shares"].split("|"))
    assert third["colour"] == "yellow"
    assert (result.products, result.counts) == (2, {"red": 1, "yellow": 1})


def test_photos_that_cannot_be_read_beside_others_are_named(shop: Path) -> None:
    white = Image.new("RGB", (60, 60), (250, 250, 250))
    white.save(shop / "white.png")
    (shop / "shop.csv").write_text(
        "sku,image\na,red.png|damaged.jpg|gone.png\nb,yellow\nc,white.png|damaged.jpg\nd,damaged.jpg\n"
    )
    result = colour(shop / "shop.csv", shop / "out.csv")
    first, second, third, fourth = rows(shop / "out.csv", ",")
    assert (first["colour"], first["error"]) == ("red", "")
    assert first["colour_note"].startswith("Photos that cannot be read: 2 (")
    assert all(name in first["colour_note"] for name in ("damaged.jpg", "gone"))
    assert third["colour_note"].startswith("unclear; Photos that cannot be read: 1 (")
    assert second["colour_note"] == fourth["colour_note"] == ""
    assert (result.unclear, result.unreadable) == (1, 1)
    notes = {note["code"]: note["params"] for note in result.to_dict()["notes"]}
    assert notes["products_partly_unreadable"].items() >= {"count": 2, "column": "colour_note"}.items()


def test_colours_in_another_language_and_as_json(shop: Path, capfd: Any) -> None:
    result = invoke(capfd, "colour", shop / "shop.csv", "-o", shop / "out.csv", "--language", "zh", "--json")
    found = json.loads(result.out)
    assert found["colours"] == {"红色": 1, "藏青色": 1}
    assert (found["products"], found["unreadable"], found["unit"]) == (4, 2, "product")
    assert rows(shop / "out.csv")[0]["colour"] == "红色"


def test_folders_of_photos_give_a_new_table(tmp_path: Path) -> None:
    for name, rgb in COLOURS.items():
        (tmp_path / "photos" / "kind").mkdir(parents=True, exist_ok=True)
        write_photo(tmp_path / "photos" / "kind" / f"{name}.png", rgb)
    colour(tmp_path / "photos", tmp_path / "out.csv")
    assert {Path(row["image"]).stem: row["colour"] for row in rows(tmp_path / "out.csv", ",")} == {
        name: name for name in COLOURS
    }


def test_a_stopped_job_resumes_to_the_same_bytes(shop: Path) -> None:
    table = shop / "many.csv"
    names = list(COLOURS)
    table.write_text("SKU,image\n" + "".join(f"{i},{names[i % 3]}\n" for i in range(2 * BLOCK + 5)))
    colour(table, shop / "whole.csv")
    with refuses("colours_stopped", StoppedError, done=BLOCK):
        colour(table, shop / "out.csv", should_stop=lambda: True)
    assert not (shop / "out.csv").exists()
    with refuses("job_not_resumed", DataError):
        colour(table, shop / "out.csv")
    with refuses("job_inputs_changed", DataError, names=["colours"]):
        colour(table, shop / "out.csv", ColourOptions(resume=True, language="zh"))
    assert colour(table, shop / "out.csv", ColourOptions(resume=True)).resumed == BLOCK
    assert (shop / "out.csv").read_bytes() == (shop / "whole.csv").read_bytes()


def test_names_that_the_table_cannot_hold_are_refused(shop: Path) -> None:
    (shop / "shop.csv").write_bytes("SKU;image\nÄ;red\n".encode("latin-1"))
    with refuses("tag_not_encodable", DataError):
        colour(shop / "shop.csv", shop / "out.csv", ColourOptions(language="zh"))


def test_inputs_and_existing_files_are_not_replaced(shop: Path) -> None:
    with refuses("output_is_input", StorageError):
        colour(shop / "shop.csv", shop / "shop.csv")
    (shop / "out.csv").write_text("mine")
    with pytest.raises(StorageError):
        colour(shop / "shop.csv", shop / "out.csv")
    assert (shop / "out.csv").read_text() == "mine"


def test_the_table_of_colours_can_be_edited(shop: Path, capfd: Any) -> None:
    table = shop / "colours.csv"
    invoke(capfd, "colour-table", "-o", table)
    table.write_text(table.read_text(encoding="utf-8").replace("navy", "midnight"), encoding="utf-8")
    invoke(capfd, "colour", shop / "shop.csv", "-o", shop / "out.csv", "--colours", table)
    assert rows(shop / "out.csv")[2]["colour"] == "midnight"


def test_no_readable_photo_ends_with_an_error(shop: Path, capfd: Any) -> None:
    (shop / "shop.csv").write_text("SKU,image\n1,damaged.jpg\n")
    result = invoke(capfd, "colour", shop / "shop.csv", "-o", shop / "out.csv")
    assert result.code == 1
    assert "out.csv" in result.err


def test_an_output_written_meanwhile_is_kept_and_no_job_is_left(shop: Path) -> None:
    out = shop / "out.csv"
    with refuses("output_exists", StorageError, path=str(out)):
        colour(shop / "shop.csv", out, log=lambda note: out.write_text("of another job\n"))
    assert out.read_text() == "of another job\n"
    assert not list(shop.glob("*.partial"))
