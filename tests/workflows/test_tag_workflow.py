"""`muslin tag`: a shop's catalogue comes back with what its photos show."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import invoke, refusal
from muslin.data.dataset import Target
from muslin.errors import DataError, StoppedError
from muslin.evaluation.selective import CalibrationData
from muslin.models.bundle import seal
from muslin.models.predictor import CHUNK
from muslin.workflows import tag as tag_workflow
from small_models import SIDE, small_bundle

KINDS = Target("kind", ("Apparel", "Shoes"))
TYPES = Target("type", ("Tshirt", "Jeans", "Heels"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A model that calls black photos Trouser and white ones Bag, three photos, and a catalogue of five products."""
    seal(small_bundle(), tmp_path / "model.muslin")
    (tmp_path / "images").mkdir()
    for name, brightness in {"black": 0, "gray": 128, "white": 255}.items():
        Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "shop.csv").write_bytes(
        b"SKU;image;price\r\n00123;black;1,50\r\n00124;page.jpg;2\r\n00123;white.png;3\r\n00126;gone;4\r\n;;\r\n"
    )
    return tmp_path


def rows(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_photos_are_tagged_and_each_problem_is_named_in_its_row(shop: Path, capfd: Any) -> None:
    said = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv")
    assert said.code == 0, said
    assert said.out == "5 products: 0 accepted, 2 to review, 0 out of scope, 3 problems\n"
    assert "photos: image" in said.err
    assert "SKU: 1 cell that is in more than one row, all kept (00123 in 1 and 3)" in said.err
    original = (shop / "shop.csv").read_bytes().splitlines()
    for before, after in zip(original, (shop / "out.csv").read_bytes().splitlines(), strict=True):
        assert after.startswith(before + b";")
    black, page, white, gone, empty = rows(shop / "out.csv")
    assert (black["SKU"], black["tag"], black["confidence"], black["problem"]) == (
        "00123",
        "Trouser",
        "0.3333",
        "",
    )
    assert (white["tag"], white["confidence"], white["candidates"]) == ("Bag", "0.9933", "Bag|Shirt|Trouser")
    assert page["problem"].startswith("page.jpg: is HTML, which is not read")
    assert gone["problem"] == "gone: there is no such photo"
    assert empty["problem"] == "no photo is named"
    assert {row["tag"] + row["decision"] for row in (page, gone, empty)} == {""}
    assert sorted(path.name for path in shop.iterdir()) == ["images", "model.muslin", "out.csv", "shop.csv"]


def deciding(count: int = 1000) -> CalibrationData:
    """Of held-out answers those of 0.9 and more were right, and half of the others."""
    confidence = np.linspace(1, 0.34, count).astype(np.float32)
    right = (confidence >= 0.9) | (np.arange(count) % 2 == 0)
    predicted = (np.arange(count) % 3).astype(np.int32)
    return CalibrationData(
        np.ones(1, np.float32), np.zeros(0), confidence, predicted, right, np.where(right, confidence, 0.2)
    )


def test_only_what_keeps_the_wanted_precision_is_accepted_and_the_promise_is_said(
    shop: Path, capfd: Any
) -> None:
    seal(replace(small_bundle(), calibration_data={"label": deciding()}), shop / "model.muslin")
    said = invoke(
        capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", "--precision", 0.9
    )
    assert said.code == 0, said
    assert re.fullmatch(
        r"5 products: 1 accepted \(expected right (9\d\.\d|100\.0) %, at least 90\.0 % with 95 % confidence\), "
        r"1 to review, 0 out of scope, 3 problems\n",
        said.out,
    )
    black, _, white, *_ = rows(shop / "out.csv")
    assert (white["tag"], white["decision"], white["candidates"]) == ("Bag", "accept", "")
    assert black["decision"] == "review"
    assert black["candidates"].split("|")[0] == black["tag"] == "Trouser"


def test_of_several_labels_those_that_reach_their_own_thresholds_are_tags(shop: Path) -> None:
    tags = Target("tags", ("new", "sale", "last"), "multilabel")
    seal(replace(small_bundle(tags), thresholds={"tags": (0.3, 0.3, 0.9)}), shop / "model.muslin")
    tagged = tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    black, _, white, *_ = rows(shop / "out.csv")
    assert (black["tag"], black["confidence"]) == ("new|sale", "0.3333|0.3333")
    assert white["tag"] == "last"
    assert tagged.decisions == {"tags": {"review": 2}}


def test_a_precision_that_no_threshold_reaches_accepts_nothing_and_says_what_is_possible(shop: Path) -> None:
    seal(replace(small_bundle(), calibration_data={"label": deciding(60)}), shop / "model.muslin")
    notes: list[str] = []
    tagged = tag_workflow.tag(
        shop / "model.muslin", shop / "shop.csv", shop / "out.csv", precision=0.999, log=notes.append
    )
    assert tagged.decisions == {"label": {"review": 2}}
    assert tagged.promises == {}
    assert any("60 validation answers cannot support 99.9 %" in note for note in notes)


@pytest.mark.parametrize(
    ("option", "value"), [("--precision", 1), ("--precision", 0.2), ("--guarantee", "clas")]
)
def test_a_promise_nobody_can_give_is_refused(shop: Path, option: str, value: object, capfd: Any) -> None:
    words = ["tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", option, value]
    refusal(invoke(capfd, *words))
    assert not (shop / "out.csv.partial").exists()


def test_another_precision_is_not_resumed_into(shop: Path) -> None:
    (shop / "shop.csv").write_text("image\n" + "black\n" * (CHUNK + 1))
    with pytest.raises(StoppedError):
        tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", should_stop=lambda: True)
    with pytest.raises(DataError, match="begun with another precision"):
        tag_workflow.tag(
            shop / "model.muslin", shop / "shop.csv", shop / "out.csv", precision=0.9, resume=True
        )


def test_a_folder_becomes_a_table_of_its_photos(shop: Path) -> None:
    tagged = tag_workflow.tag(shop / "model.muslin", shop / "images", shop / "out.csv")
    assert tagged.products == 4
    assert [row["image"] for row in rows(shop / "out.csv", ",")] == [
        "black.png",
        "gray.png",
        "page.jpg",
        "white.png",
    ]


def test_columns_of_the_same_name_stay_and_the_new_ones_are_named_apart(shop: Path) -> None:
    (shop / "shop.csv").write_text("image,Tag,muslin_tag,lane\nblack,mine,x,y\n")
    notes: list[str] = []
    tagged = tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", log=notes.append)
    assert tagged.columns == ("muslin_tag_2", "confidence", "muslin_lane", "candidates", "problem")
    assert "a column tag is there already and kept; the new one is called muslin_tag_2" in notes
    [row] = rows(shop / "out.csv", ",")
    assert (row["Tag"], row["muslin_tag"], row["decision"], row["muslin_tag_2"]) == (
        "mine",
        "x",
        "y",
        "Trouser",
    )


def test_tags_are_renamed_and_grouped_in_the_shops_words(shop: Path) -> None:
    (shop / "words.csv").write_text(
        "tag,parent,name in the shop's words,language\n"
        "Trouser,Clothes,Hosen,de\nTrouser,Clothes,trousers,en\nShirt,Clothes,Hosen,de\n"
        "Clothes,,Kleidung,de\nBag,,=Tasche,de\n"
    )
    notes: list[str] = []
    tag_workflow.tag(
        shop / "model.muslin",
        shop / "shop.csv",
        shop / "out.csv",
        taxonomy=shop / "words.csv",
        log=notes.append,
    )
    black, _, white, *_ = rows(shop / "out.csv")
    assert (black["tag"], black["parent"]) == ("Hosen", "Kleidung")
    assert black["confidence"] == "0.6667"  # two classes of a third each have that name
    assert (white["tag"], white["parent"], white["candidates"]) == ("'=Tasche", "", "'=Tasche|Hosen")
    assert "names in de, the first of de, en; --language chooses another" in notes


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("Shrit,,x,de", r"line 2: 'Shrit' is neither a class of the model .* Did you mean Shirt"),
        ("Shirt,A,x,de\nShirt,A,y,de", r"line 3: 'Shirt' is there twice, first in line 2"),
        ("Shirt,A,x,de\nShirt,B,y,en", r"line 3: 'Shirt' stands below 'B' here and below 'A' in line 2"),
        ("Shirt,A,,\nA,Shirt,,", r"line 2: 'Shirt' stands below itself \(Shirt < A < Shirt\)"),
        ("\n,A,,", r"line 3 has no tag"),
    ],
)
def test_a_wrong_taxonomy_is_refused_by_its_line_before_any_work(shop: Path, lines: str, reason: str) -> None:
    (shop / "words.csv").write_text(f"tag,parent,name,language\n{lines}\n")
    with pytest.raises(DataError, match=reason):
        tag_workflow.tag(
            shop / "model.muslin", shop / "shop.csv", shop / "out.csv", taxonomy=shop / "words.csv"
        )
    assert not (shop / "out.csv").exists()
    assert not (shop / "out.csv.partial").exists()


def test_a_childs_tag_never_contradicts_its_parents(shop: Path) -> None:
    seal(
        small_bundle(KINDS, TYPES), shop / "model.muslin"
    )  # white photos: surely Shoes, and Heels surer still
    (shop / "words.csv").write_text(
        "tag,parent\nTshirt,Shoes\nJeans,Shoes\nHeels,Apparel\n"
    )  # the shop's odd tree
    tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", taxonomy=shop / "words.csv")
    black, _, white, *_ = rows(shop / "out.csv")
    # Shoes (0.99331) is surer than Heels (0.99326), which gives way to the likeliest class below Shoes.
    assert [white[f"type_{what}"] for what in ("tag", "parent", "decision")] == ["Jeans", "Shoes", "review"]
    assert white["type_candidates"].split("|")[0] == "Heels"
    assert white["kind_tag"] == "Shoes"
    assert (black["kind_tag"], black["type_tag"], black["type_parent"]) == ("Apparel", "Heels", "Apparel")


def test_stopped_and_resumed_the_output_is_the_same(shop: Path) -> None:
    count = 3 * CHUNK + 10
    names = ["black", "gray", "white", "gone"]
    (shop / "shop.csv").write_text("image\n" + "".join(f"{names[i % 4]}\n" for i in range(count)))
    words = (shop / "model.muslin", shop / "shop.csv")
    tag_workflow.tag(*words, shop / "whole.csv")
    for done in (CHUNK, 2 * CHUNK, 3 * CHUNK):
        with pytest.raises(StoppedError, match=f"stopped after {done} of {count}"):
            tag_workflow.tag(*words, shop / "out.csv", resume=True, should_stop=lambda: True)
        assert not (shop / "out.csv").exists()
    with pytest.raises(DataError, match="Go on with --resume, or delete this file"):
        tag_workflow.tag(*words, shop / "out.csv")
    told: list[int] = []
    tagged = tag_workflow.tag(
        *words, shop / "out.csv", resume=True, on_progress=lambda done, products: told.append(done)
    )
    assert (tagged.resumed, told) == (3 * CHUNK, [count])
    assert (shop / "out.csv").read_bytes() == (shop / "whole.csv").read_bytes()
    assert not (shop / "out.csv.partial").exists()


def test_another_catalogue_is_not_resumed_into(shop: Path) -> None:
    (shop / "shop.csv").write_text("image\n" + "black\n" * (CHUNK + 1))
    with pytest.raises(StoppedError):
        tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", should_stop=lambda: True)
    (shop / "shop.csv").write_text("image\n" + "white\n" * (CHUNK + 1))
    with pytest.raises(DataError, match="begun with another catalogue"):
        tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", resume=True)


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("shop.csv", "is the catalogue itself"),
        ("images", "is a folder"),
        ("model.muslin", "is the model itself"),
    ],
)
def test_what_is_read_is_never_overwritten(shop: Path, out: str, reason: str, capfd: Any) -> None:
    said = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / out)
    assert reason in refusal(said)


def test_a_class_that_the_files_encoding_cannot_write_is_said_before_any_work(shop: Path) -> None:
    seal(small_bundle(Target("label", ("Платье", "Bag"))), shop / "model.muslin")
    (shop / "shop.csv").write_bytes("image,größe\nblack,1\n".encode("cp1252"))
    with pytest.raises(DataError, match="is cp1252 text, which has no letters for 'Платье'"):
        tag_workflow.tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")


def test_json_is_one_object_for_programs(shop: Path, capfd: Any) -> None:
    said = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", "--json")
    assert json.loads(said.out)["decisions"] == {"label": {"review": 2}}
