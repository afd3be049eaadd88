"""`muslin tag` adds the labels of its photos to a shop's catalogue."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from PIL import Image

from command_line import invoke
from muslin.data import read
from muslin.data.convert import convert
from muslin.data.dataset import Target
from muslin.data.tables import open_table
from muslin.errors import DataError, StoppedError, StorageError
from muslin.evaluation.intervals import wilson_interval
from muslin.models.bundle import seal
from muslin.models.predictor import CHUNK, Predictor
from muslin.reporting.terminal.tagging import tagging_summary
from muslin.workflows.tag import TagOptions, tag
from refusals import refuses
from small_models import SIDE, small_bundle
from small_shop import calibration_data, small_shop, table_rows

KINDS = Target("kind", ("Apparel", "Shoes"))
TYPES = Target("type", ("Tshirt", "Jeans", "Heels"))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The small shop with a catalogue of five products."""
    folder = small_shop(tmp_path)
    (folder / "shop.csv").write_bytes(
        b"SKU;image;price\r\n00123;black;1,50\r\n00124;page.jpg;2\r\n00125;white.png;3\r\n00126;gone;4\r\n;;\r\n"
    )
    return folder


def rows(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    return table_rows(path, delimiter)


@pytest.mark.parametrize(("columns", "unit"), [("SKU;image", "products"), ("title;image", "photos")])
def test_rows_are_called_products_where_there_are_any(columns: str, unit: str, shop: Path, capfd: Any) -> None:
    (shop / "shop.csv").write_text(f"{columns}\na;black.png\nb;white.png\nc;\n")
    result = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv")
    assert result.out.startswith(f"3 {unit}: ")


def test_a_repeated_name_of_the_column_of_photos_is_noted(shop: Path) -> None:
    (shop / "shop.csv").write_text("title;image;image\na;black.png;white.png\n")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    note = next(note for note in result.notes if note.code == "photo_column_repeated")  # type: ignore[attr-defined]
    assert note.params == {"column": "image", "count": 2}  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_table_among_its_photos_keeps_its_columns(kind: str, shop: Path) -> None:
    data = shop / "delivery"
    (data / "photos").mkdir(parents=True)
    for name in ("black.png", "white.png"):
        shutil.copy(shop / "images" / name, data / "photos" / name)
    (data / "list.csv").write_bytes(b"SKU;image;price\r\n001;black.png;1,50\r\n002;white.png;2\r\n003;;3\r\n")
    if kind != "folder":
        data = Path(shutil.make_archive(str(shop / "packed"), kind, data))
    result = tag(shop / "model.muslin", data, shop / "out.csv")
    assert (result.products, result.unreadable) == (3, 1)
    original = (shop / "delivery/list.csv").read_bytes().splitlines()
    for before, after in zip(original, (shop / "out.csv").read_bytes().splitlines(), strict=True):
        assert after.startswith(before + b";")


def test_columns_that_another_format_leaves_behind_are_noted(shop: Path) -> None:
    (shop / "shop.csv").write_text("image,label\nblack.png,Bag\nwhite.png,Shirt\n")
    notes: list[Any] = []
    result = tag(shop / "model.muslin", shop, shop.parent / "out.jsonl", log=notes.append)
    assert {note.code: note.params["table"] for note in notes if note.code == "inner_table_not_copied"} == {
        "inner_table_not_copied": "shop.csv"
    }
    assert result.products == 2


def test_a_product_without_a_name_is_called_by_its_row(shop: Path) -> None:
    (shop / "shop.csv").write_text("title;image;image2\na;black.png;white.png\nb;;\nc;page.jpg;\n")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    params = next(note.params for note in result.notes if note.code == "products_not_tagged")  # type: ignore[attr-defined]
    assert params["names"] == ["row 3", "page.jpg"]
    assert (params["names"][0].code, params["names"][0].params) == ("row_named", {"row": 3})


def test_photos_are_tagged_and_errors_stand_in_their_rows(shop: Path, capfd: Any) -> None:
    result = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv")
    assert result.code == 0, result
    assert result.out == "4 products: 0 accepted, 2 to review, 0 out of scope, 2 unreadable\n"
    original = (shop / "shop.csv").read_bytes().splitlines()
    for before, after in zip(original, (shop / "out.csv").read_bytes().splitlines(), strict=True):
        assert after.startswith(before + b";")
    black, page, white, gone, empty = rows(shop / "out.csv")
    assert (black["SKU"], black["tag"], black["probability"], black["error"]) == ("00123", "Trouser", "0,3333", "")
    assert (white["tag"], white["probability"], white["prediction_set"]) == ("Bag", "0,9933", "Bag|Shirt|Trouser")
    assert page["error"].startswith("page.jpg: ")
    assert gone["error"].startswith("gone: ")
    assert {row["tag"] + row["decision"] for row in (page, gone, empty)} == {""}
    assert sorted(path.name for path in shop.iterdir()) == ["images", "model.muslin", "out.csv", "shop.csv"]


def test_repeated_ids_and_long_rows_are_noted(shop: Path) -> None:
    (shop / "shop.csv").write_text("EAN;image\n00123;black;x\n00124;white\n00123;gray\n")
    notes = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv").notes
    by_code = {note.code: note.params for note in notes}  # type: ignore[attr-defined]
    assert by_code["photo_columns_chosen"]["column"] == "image"
    assert by_code["ids_repeated"]["examples"] == ["00123 (2, 4)"]
    assert by_code["cells_joined"]["names"] == [2]


def test_look_and_tag_find_and_miss_the_same_photos(shop: Path) -> None:
    (shop / "images/old.heic").write_bytes(b"\0\0\0\x18ftypheic")
    cells = ["black.PNG", "gone.jpg", "images\\white.png", "https://example.org/1.jpg", "", "old.heic", "../shop.csv",
             "https://example.org/gray.png", "white.jpeg", '"white.png;gray.png"', "gray"]  # fmt: skip
    lines = [f"{cell};{'dark' if 'black' in cell else 'light'}" for cell in cells]
    (shop / "shop.csv").write_text("\n".join(["image;label", *lines]))
    data = read(shop / "shop.csv", image_column="image")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    found, notes = (
        [(message.code, dict(message.params)) for message in messages if message.code.startswith("photos_")]  # type: ignore[attr-defined]
        for messages in (data.fixes, result.notes)
    )
    assert notes == [fix for fix in found if fix[0] != "photos_first_of_several"], "and not named again"
    assert {code for code, _ in notes} == {
        "photos_by_spelling", "photos_missing", "photos_are_urls", "photos_not_named",
        "photos_unsupported", "photos_outside", "photos_by_path_end", "photos_by_suffix",
    }  # fmt: skip
    tagged = [row["image"] for row in rows(shop / "out.csv") if not row["error"]]
    names = [name.strip('"') for cell in tagged for name in cell.split(";")]
    assert set(data.ids) <= set(names)  # a data set has a photo once, and a catalogue in each of its rows
    assert result.unreadable == len(cells) - len(tagged) == 5


def test_photo_outside_the_folder_is_tagged_only_if_allowed(shop: Path, capfd: Any) -> None:
    (shop / "feed").mkdir()
    (shop / "feed/link.png").symlink_to("../images/white.png")
    shutil.copy(shop / "images/black.png", shop / "feed")
    table = shop / "feed/shop.csv"
    table.write_text(f"image;sku\nblack.png;1\n../images/gray.png;2\nlink.png;3\n{shop}/images/white.png;4\n")
    command = ("tag", shop / "model.muslin", table, "-o", shop / "out.csv")
    result = invoke(capfd, *command, "--json")
    [note] = [note for note in result.json["notes"] if note["code"] == "photos_outside"]
    assert (result.json["unreadable"], note["params"]["count"]) == (3, 3)
    assert [bool(row["error"]) for row in rows(shop / "out.csv")] == [False, True, True, True]
    (shop / "out.csv").unlink()
    assert invoke(capfd, *command, "--allow-outside", "--json").json["unreadable"] == 0


def test_only_confident_tags_are_accepted_under_a_guarantee(shop: Path) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), shop / "model.muslin")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(precision=0.9))
    assert result.decisions == {"label": {"accept": 1, "review": 1}}
    assert result.unreadable == 2
    guarantee = result.guarantees["label"]
    assert guarantee.min_precision == 0.9 <= guarantee.precision <= 1
    assert guarantee.precision == guarantee.correct / guarantee.n
    assert guarantee.interval == wilson_interval(guarantee.correct, guarantee.n)
    assert (guarantee.scope, guarantee.confidence_level) == ("overall", 0.95)
    summary = tagging_summary(result)
    assert summary.startswith("4 products: 1 accepted (")
    assert "at least 90.0 % correct with 95 % confidence" in summary
    assert f"on calibration images {guarantee.correct:,} of {guarantee.n:,} were correct, 95 % interval" in summary
    black, _, white, *_ = rows(shop / "out.csv")
    assert (white["tag"], white["decision"], white["prediction_set"]) == ("Bag", "accept", "")
    assert black["decision"] == "review"
    assert black["prediction_set"].split("|")[0] == black["tag"] == "Trouser"


def test_precision_that_nobody_named_is_chosen_and_said(shop: Path, capfd: Any) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), shop / "model.muslin")
    command = ("tag", shop / "model.muslin", shop / "shop.csv", "-o")
    result = invoke(capfd, *command, shop / "out.csv")
    table = Predictor.open(shop / "model.muslin").rules.acceptance()["label"]
    shares = {row.precision: row.accepted for row in table}
    [highest] = [row.precision for row in table if row.is_highest]
    chosen = max(p for p in (0.9, 0.95, 0.98, 0.99) if 2 * shares[p] >= shares[0.9] > 0)
    assert f"no --precision given, so muslin chose {100 * chosen:.1f} %" in result.err
    assert "predictions that can be accepted of 1,000 calibration images" in result.out
    assert f"{100 * highest:g} %" in result.out
    values = invoke(capfd, *command, shop / "json.csv", "--json").json
    assert values["precision"] == chosen
    assert {row["precision"]: row["accepted"] for row in values["acceptance"]["label"]} == shares
    quiet = invoke(capfd, *command, shop / "given.csv", "--precision", "0.9")
    assert "precision given" not in quiet.err
    photo = next(shop.rglob("*.png"))
    predicted = invoke(capfd, "predict", shop / "model.muslin", photo)
    assert f"no --precision given, so muslin chose {100 * chosen:.1f} %" in predicted.err
    assert "precision given" not in invoke(capfd, "predict", shop / "model.muslin", photo, "--precision", "0.9").err
    assert "calibration images\n" not in quiet.out


def test_tagging_that_accepts_nothing_says_what_would_help(shop: Path, capfd: Any) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data(20)}), shop / "model.muslin")
    result = invoke(
        capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", "--precision", "0.99"
    )
    assert "0 accepted" in result.out
    assert "predictions that can be accepted of 20 calibration images" in result.out
    [note] = [note for note in tag(shop / "model.muslin", shop / "shop.csv", shop / "b.csv").notes if "cannot" in note]
    assert (note.code, note.hint_code) == ("too_few_for_precision", "recipe")  # type: ignore[attr-defined]


def test_only_without_calibration_a_prediction_set_is_cut(shop: Path) -> None:
    target = Target("label", ("Trouser", "Shirt", "Bag", "Hat", "Shoe"))
    every_class = replace(calibration_data(), probability_of_true=np.zeros(1000, np.float32))
    for calibration, count in (({}, 3), ({"label": every_class}, 5)):
        seal(replace(small_bundle(target), calibration_data=calibration), shop / "model.muslin")
        tag(shop / "model.muslin", shop / "shop.csv", shop / f"{count}.csv", TagOptions(precision=0.9))
        black = rows(shop / f"{count}.csv")[0]
        assert (black["decision"], len(black["prediction_set"].split("|"))) == ("review", count)


def test_multilabel_tags_are_the_labels_above_their_thresholds(shop: Path) -> None:
    tags = Target("tags", ("new", "sale", "last"), "multilabel")
    seal(replace(small_bundle(tags), thresholds={"tags": (0.3, 0.3, 0.9)}), shop / "model.muslin")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    black, _, white, *_ = rows(shop / "out.csv")
    assert (black["tag"], black["probability"]) == ("new|sale", "0,3333|0,3333")
    assert white["tag"] == "last"
    assert result.decisions == {"tags": {"review": 2}}


def test_each_of_several_tags_has_its_own_cells(shop: Path) -> None:
    tags = Target("tags", ("a", "b", "c", "d"), "multilabel")
    seal(replace(small_bundle(tags), thresholds={"tags": (0.0001,) * 4}), shop / "model.muslin")
    tree = "tag,parent,name,id\na,Tops,,\nb,Dresses,Gown,7\nc,Tops,,9\nd,Dresses,Gown,8\n"
    (shop / "words.csv").write_text(tree)
    (shop / "shop.csv").write_text("image,note\nblack,\ngray,\n")
    tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(taxonomy=shop / "words.csv"))
    black, gray = rows(shop / "out.csv", ",")
    assert [black[name] for name in ("tag", "parent", "category_id")] == ["a|Gown|c", "Tops|Dresses|Tops", "|7|9"]
    assert black["probability"] == "0.2500|0.2500|0.2500"
    found = [gray[name].split("|") for name in ("tag", "parent", "category_id", "probability")]
    assert found[:3] == [["a", "Gown", "c"], ["Tops", "Dresses", "Tops"], ["", "8", "9"]]
    assert float(found[3][1]) > 0.9  # of d, the more probable one of both


def test_unreachable_precision_accepts_nothing_and_is_noted(shop: Path) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data(60)}), shop / "model.muslin")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(precision=0.999))
    assert result.decisions == {"label": {"review": 2}}
    assert result.guarantees == {}
    [note] = [note for note in result.to_dict()["notes"] if note["code"] == "too_few_for_precision"]
    assert note["params"]["n"] == 60


@pytest.mark.parametrize(("option", "value"), [("--precision", 1), ("--precision", 0.2), ("--guarantee", "clas")])
def test_impossible_guarantee_is_refused(shop: Path, option: str, value: object, capfd: Any) -> None:
    words = ["tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", option, value]
    assert invoke(capfd, *words).code in (1, 2)
    assert not (shop / "out.csv.partial").exists()


def test_resume_refuses_another_precision(shop: Path) -> None:
    (shop / "shop.csv").write_text("image\n" + "black\n" * (CHUNK + 1))
    with pytest.raises(StoppedError):
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", should_stop=lambda: True)
    options = TagOptions(precision=0.9, resume=True)
    with pytest.raises(DataError) as error:
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", options)
    assert (error.value.code, error.value.params["names"]) == ("job_inputs_changed", ["precision"])


def test_folder_becomes_a_table_of_its_photos(shop: Path) -> None:
    result = tag(shop / "model.muslin", shop / "images", shop / "out.csv")
    assert result.products == 4
    assert [row["image"] for row in rows(shop / "out.csv", ",")] == ["black.png", "gray.png", "page.jpg", "white.png"]


@pytest.fixture
def folders(shop: Path) -> Path:
    """Photos in folders of classes and parts: three black ones, two white ones."""
    for i, (part, kind, brightness) in enumerate(
        [("train", "a", 0), ("train", "b", 255), ("test", "a", 0), ("test", "b", 255), ("test", "b", 0)]
    ):
        place = shop / "set" / part / kind / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(place)
    return shop / "set"


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz", "parquet", "idx", "csv"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_any_data_set_becomes_a_table_of_tags(kind: str, suffix: str, folders: Path, shop: Path) -> None:
    data = folders
    if kind in ("zip", "tar.gz"):
        data = Path(shutil.make_archive(str(shop / "set"), {"zip": "zip", "tar.gz": "gztar"}[kind], folders))
    elif kind != "folder":
        data = shop / f"converted{'.parquet' if kind == 'parquet' else ''}"
        convert(read(folders), kind, data)
    result = tag(shop / "model.muslin", data, shop / f"out{suffix}")
    assert (result.products, result.unreadable) == (5, 0)
    table = open_table(shop / f"out{suffix}")
    assert table.columns[:2] == ("image", "tag")
    assert sorted(cells for _, cells in table.rows(["tag"])) == [("Bag",)] * 2 + [("Trouser",)] * 3
    assert [cells[0] for _, cells in table.rows(["image"])] == list(read(data).ids)


def test_new_table_of_another_kind_is_refused(folders: Path, shop: Path) -> None:
    with pytest.raises(DataError) as error:
        tag(shop / "model.muslin", folders, shop / "out.xlsx")
    assert (error.value.code, error.value.params["suffixes"]) == ("new_table_suffix", [".csv", ".tsv", ".jsonl"])


def test_json_export_becomes_a_table_with_its_columns(shop: Path) -> None:
    (shop / "shop.json").write_text(json.dumps([{"image": "black", "kind": ["a", "b"]}, {"image": "gone"}]))
    tag(shop / "model.muslin", shop / "shop.json", shop / "out.csv")
    black, gone = rows(shop / "out.csv", ",")
    assert (black["image"], black["kind"], black["tag"]) == ("black", "a|b", "Trouser")
    assert gone["error"].startswith("gone: ")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_half_characters_of_json_are_replaced(suffix: str, shop: Path) -> None:
    rows = [{"image": "black", "\ud800": "\ud800"}, {"image": "\ud800"}]
    lines = [json.dumps(row) for row in rows]
    (shop / f"shop{suffix}").write_text("\n".join(lines) if suffix == ".jsonl" else f"[{','.join(lines)}]")
    tag(shop / "model.muslin", shop / f"shop{suffix}", shop / "out.jsonl")
    black, gone = map(json.loads, (shop / "out.jsonl").read_text().splitlines())
    assert black["tag"] == "Trouser"
    assert gone["error"].startswith("?: ")


def test_interrupted_data_set_is_resumed_to_the_same_bytes(shop: Path) -> None:
    os.makedirs(os.fsencode(shop / "many"))
    for i in range(CHUNK + 3):
        name = os.fsencode(shop / "many") + b"/\xff%03d.png" % i  # not UTF-8
        shutil.copy(shop / "images" / ("black.png" if i % 2 else "white.png"), name)
    inputs = (shop / "model.muslin", shop / "many")
    tag(*inputs, shop / "whole.csv")
    with pytest.raises(StoppedError):
        tag(*inputs, shop / "out.csv", should_stop=lambda: True)
    result = tag(*inputs, shop / "out.csv", TagOptions(resume=True))
    assert (result.resumed, result.products) == (CHUNK, CHUNK + 3)
    assert (shop / "out.csv").read_bytes() == (shop / "whole.csv").read_bytes()


@pytest.mark.parametrize("content", [b"SKU;image\n", b"SKU;image\n;\n"])
def test_table_without_rows_is_refused_as_by_look(content: bytes, shop: Path) -> None:
    (shop / "shop.csv").write_bytes(content)
    for work in (
        lambda: read(shop / "shop.csv"),
        lambda: tag(shop / "model.muslin", shop / "shop.csv", shop / "o.csv"),
    ):
        with pytest.raises(DataError) as error:
            work()
        assert error.value.code == "no_rows"


def test_existing_columns_stay_and_new_ones_get_other_names(shop: Path) -> None:
    (shop / "shop.csv").write_text("image,Tag,muslin_tag,decision\nblack,mine,x,y\n")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    assert result.columns == ("muslin_tag_2", "probability", "muslin_decision", "prediction_set", "error")
    renamed = [note["params"] for note in result.to_dict()["notes"] if note["code"] == "column_name_taken"]
    assert {"column": "tag", "new_name": "muslin_tag_2"} in renamed
    [row] = rows(shop / "out.csv", ",")
    assert (row["Tag"], row["muslin_tag"], row["decision"]) == ("mine", "x", "y")
    assert (row["muslin_tag_2"], row["muslin_decision"]) == ("Trouser", "review")


def test_taxonomy_renames_and_groups_tags(shop: Path) -> None:
    (shop / "words.csv").write_text(
        "tag,parent,name in the shop's words,language\n"
        "Trouser,Clothes,Hosen,de\nTrouser,Clothes,trousers,en\nShirt,Clothes,Hosen,de\n"
        "Clothes,,Kleidung,de\nBag,,=Tasche,de\n"
    )
    options = TagOptions(taxonomy=shop / "words.csv")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", options)
    black, _, white, *_ = rows(shop / "out.csv")
    assert (black["tag"], black["parent"]) == ("Hosen", "Kleidung")
    assert black["probability"] == "0,6667"  # two classes of a third each have that name
    assert (white["tag"], white["parent"], white["prediction_set"]) == ("'=Tasche", "", "'=Tasche|Hosen")
    [note] = [n for n in result.to_dict()["notes"] if n["code"] == "taxonomy_language_chosen"]
    assert note["params"] == {"language": "de", "choices": ["de", "en"]}


@pytest.mark.parametrize(
    ("lines", "code", "params"),
    [
        ("Shrit,,x,de", "taxonomy_tag_unknown", {"row": 2, "name": "Shrit", "nearest": "Shirt"}),
        ("Shirt,A,x,de\nShirt,A,y,de", "taxonomy_tag_twice", {"row": 3, "first_row": 2}),
        (
            "Shirt,A,x,de\nShirt,B,y,en",
            "taxonomy_two_parents",
            {"row": 3, "parent": "B", "first_parent": "A", "first_row": 2},
        ),
        ("Shirt,A,,\nA,Shirt,,", "taxonomy_cycle", {"row": 2, "chain": ["Shirt", "A", "Shirt"]}),
        (",A,,", "taxonomy_tag_missing", {"row": 2}),
    ],
)
def test_invalid_taxonomy_is_refused_before_any_work(shop: Path, lines: str, code: str, params: dict[str, Any]) -> None:
    (shop / "words.csv").write_text(f"tag,parent,name,language\n{lines}\n")
    options = TagOptions(taxonomy=shop / "words.csv")
    with pytest.raises(DataError) as error:
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", options)
    assert error.value.code == code
    assert error.value.params.items() >= {"path": str(shop / "words.csv"), **params}.items()
    assert not (shop / "out.csv").exists()
    assert not (shop / "out.csv.partial").exists()


def test_unknown_taxonomy_names_the_nearest(shop: Path) -> None:
    with refuses("taxonomy_unknown", DataError, nearest="shopify", choices=["google", "shopify"]):
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(taxonomy="shopfy"))


def test_tags_never_contradict_the_taxonomy(shop: Path) -> None:
    # white photos: Shoes (0.99331), Heels (0.99326)
    seal(small_bundle(KINDS, TYPES), shop / "model.muslin")
    # an odd tree
    (shop / "words.csv").write_text("tag,parent\nTshirt,Shoes\nJeans,Shoes\nHeels,Apparel\n")
    options = TagOptions(taxonomy=shop / "words.csv")
    tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", options)
    black, _, white, *_ = rows(shop / "out.csv")
    # Heels is less probable than Shoes, and becomes the most probable class below Shoes
    assert [white[f"type_{what}"] for what in ("tag", "parent", "decision")] == ["Jeans", "Shoes", "review"]
    assert white["type_prediction_set"].split("|")[0] == "Heels"
    assert white["kind_tag"] == "Shoes"
    assert (black["kind_tag"], black["type_tag"], black["type_parent"]) == ("Apparel", "Heels", "Apparel")


def test_resumed_output_equals_an_uninterrupted_one(shop: Path) -> None:
    count = 3 * CHUNK + 10
    names = ["black", "gray", "white", "gone"]
    (shop / "shop.csv").write_text("image\n" + "".join(f"{names[i % 4]}\n" for i in range(count)))
    inputs, resume = (shop / "model.muslin", shop / "shop.csv"), TagOptions(resume=True)
    tag(*inputs, shop / "whole.csv")
    for done in (CHUNK, 2 * CHUNK, 3 * CHUNK):
        with pytest.raises(StoppedError) as stopped:
            tag(*inputs, shop / "out.csv", resume, should_stop=lambda: True)
        assert stopped.value.params.items() >= {"done": done, "count": count}.items()
        assert not (shop / "out.csv").exists()
    with pytest.raises(DataError) as error:
        tag(*inputs, shop / "out.csv")
    assert error.value.code == "job_not_resumed"
    progress: list[int] = []
    result = tag(*inputs, shop / "out.csv", resume, on_progress=lambda done, products: progress.append(done))
    assert (result.resumed, progress) == (3 * CHUNK, [count])
    assert (shop / "out.csv").read_bytes() == (shop / "whole.csv").read_bytes()
    assert not (shop / "out.csv.partial").exists()


def test_resume_refuses_another_catalogue(shop: Path) -> None:
    (shop / "shop.csv").write_text("image\n" + "black\n" * (CHUNK + 1))
    with pytest.raises(StoppedError):
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", should_stop=lambda: True)
    (shop / "shop.csv").write_text("image\n" + "white\n" * (CHUNK + 1))
    with pytest.raises(DataError) as error:
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(resume=True))
    assert (error.value.code, error.value.params["names"]) == ("job_inputs_changed", ["catalogue"])


@pytest.mark.parametrize(
    ("out", "code"),
    [("shop.csv", "output_is_input"), ("images", "output_is_folder"), ("model.muslin", "output_is_input")],
)
def test_inputs_are_never_overwritten(shop: Path, out: str, code: str) -> None:
    before = {path: path.read_bytes() for path in (shop / "shop.csv", shop / "model.muslin")}
    with pytest.raises(StorageError) as error:
        tag(shop / "model.muslin", shop / "shop.csv", shop / out)
    assert (error.value.code, error.value.params["path"]) == (code, str(shop / out))
    assert {path: path.read_bytes() for path in before} == before


def test_new_table_is_not_written_among_the_photos(shop: Path) -> None:
    with pytest.raises(StorageError) as error:
        tag(shop / "model.muslin", shop / "images", shop / "images/tags.csv")
    assert error.value.code == "output_in_data"


def test_class_that_the_encoding_cannot_hold_is_refused(shop: Path) -> None:
    seal(small_bundle(Target("label", ("Платье", "Bag"))), shop / "model.muslin")
    (shop / "shop.csv").write_bytes("image,größe\nblack,1\n".encode("cp1252"))
    with pytest.raises(DataError) as error:
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    assert error.value.code == "tag_not_encodable"
    assert (error.value.params["encoding"], error.value.params["name"]) == ("cp1252", "Платье")


def test_json_output_is_one_object(shop: Path, capfd: Any) -> None:
    result = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", "--json")
    content = json.loads(result.out)
    assert content["decisions"] == {"label": {"review": 2}}
    assert {note["code"] for note in content["notes"]} >= {"photo_columns_chosen", "photos_not_tagged"}


def test_catalogue_without_header_gets_one(shop: Path) -> None:
    (shop / "shop.csv").write_bytes(b"images/black.png;1,50\r\nimages/white.png;2,50\r\n;;\r\n")
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    assert result.products == 2
    assert (shop / "out.csv").read_bytes().startswith(b"column 1;column 2;tag;")
    assert [row["column 2"] for row in rows(shop / "out.csv")] == ["1,50", "2,50", ""]
    assert {note["code"] for note in result.to_dict()["notes"]} >= {"columns_numbered", "empty_rows_skipped"}


def test_tagged_table_with_row_names_of_r_is_read_again(shop: Path) -> None:
    (shop / "shop.csv").write_text('"image","price"\n"1","black",3\n"2","white",4\n')
    tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    table = open_table(shop / "out.csv")
    assert table.columns[:4] == ("column 1", "image", "price", "tag")
    assert [row.cells for row in table.rows(["image", "price"])] == [("black", "3"), ("white", "4")]
    again = tag(shop / "model.muslin", shop / "out.csv", shop / "twice.csv")
    assert (again.products, again.unreadable) == (2, 0)


def test_sheet_without_header_is_noted(shop: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["images/black.png", 3], ["images/white.png", 4]):
        book.active.append(row)
    book.save(shop / "shop.xlsx")
    result = tag(shop / "model.muslin", shop / "shop.xlsx", shop / "out.xlsx")
    notes = {note["code"]: note for note in result.to_dict()["notes"]}
    assert notes["new_columns_unnamed"]["params"]["names"] == list(result.columns)


def test_catalogue_with_an_open_quote_is_refused_before_any_work(shop: Path) -> None:
    (shop / "shop.csv").write_text('SKU;image\n1;black\n2;"white\n3;gray\n4;"black"\n')
    with pytest.raises(DataError) as error:
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv")
    assert (error.value.code, error.value.params["line"]) == ("csv_quote_open", 3)
    assert not (shop / "out.csv.partial").exists()
