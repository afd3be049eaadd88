"""`muslin tag` respects what a shop has: its own values, its previous output, its decimal commas."""

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_line import error_object, invoke
from muslin.catalogue.tagging_result import TaggingResult
from muslin.data.dataset import Target
from muslin.data.tables import open_table
from muslin.data.tables.cells import has_decimal_commas
from muslin.errors import DataError, StoppedError, StorageError
from muslin.models.bundle import seal
from muslin.workflows.tag import TagOptions, tag
from small_models import SIDE, small_bundle
from small_shop import calibration_data, small_shop

FORMATS = ("csv", "tsv", "xlsx", "jsonl", "parquet")
Rows = list[dict[str, str]]

CATALOGUE: Rows = [
    {"sku": "1", "image": "black.png", "label": "trouser "},
    {"sku": "2", "image": "white.png", "label": ""},
    {"sku": "3", "image": "white.png", "label": "Shirt"},
    {"sku": "4", "image": "gray.png", "label": "Cape"},
    {"sku": "5", "image": "gone.png", "label": "Bag"},
]
"""The model calls black photos Trouser and white ones Bag."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return small_shop(tmp_path)


def write(path: Path, rows: Rows) -> Path:
    """The rows as a table of the kind that the suffix names."""
    names, cells = list(rows[0]), [list(row.values()) for row in rows]
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for values in (names, *cells):
            book.active.append(values)
        book.save(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table(dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))), path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ";").writerows([names, *cells])
    return path


def read(path: Path) -> list[dict[str, Any]]:
    table = open_table(path)
    return [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows(table.columns)]


def column(path: Path, name: str) -> list[str]:
    """Its cells as text, also where the file has lists."""
    return [cell if isinstance(cell, str) else "|".join(cell) for cell in (row[name] for row in read(path))]


def tagged(shop: Path, rows: Rows, suffix: str = "csv", **options: Any) -> TaggingResult:
    write(shop / f"shop.{suffix}", rows)
    return tag(shop / "model.muslin", shop / f"shop.{suffix}", shop / f"out.{suffix}", TagOptions(**options))


def changed(rows: Rows, index: int, **cells: str) -> Rows:
    return [row | cells if i == index else row for i, row in enumerate(rows)]


def counts(result: TaggingResult) -> tuple[int, int]:
    """Of products that were copied and predicted."""
    return result.copied, result.products - result.copied - result.kept


# --- the shop's own values


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_contradicted_value_is_named(shop: Path, suffix: str) -> None:
    result = tagged(shop, CATALOGUE, suffix, own_columns=["label"])
    assert column(shop / f"out.{suffix}", "contradicts") == ["", "", "Shirt", "", ""]
    assert column(shop / f"out.{suffix}", "label") == [row["label"].strip() for row in CATALOGUE]
    assert result.contradictions == {"label": 1}
    notes = {note.code: note.params for note in result.notes}  # type: ignore[attr-defined]
    assert notes["own_column"]["column"] == "label"
    assert notes["own_values_foreign"]["names"] == ["Cape"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_only_empty_cells_get_a_tag(shop: Path, suffix: str) -> None:
    result = tagged(shop, CATALOGUE, suffix, only_empty=True)
    assert column(shop / f"out.{suffix}", "tag") == ["", "Bag", "", "", ""]
    assert column(shop / f"out.{suffix}", "error") == [""] * 5
    assert (result.kept, result.unreadable, sum(result.decisions["label"].values())) == (4, 0, 1)
    assert "contradicts" not in result.columns


def test_only_empty_cells_of_another_column(shop: Path) -> None:
    rows = [{"kind": row["label"], **row, "label": "x"} for row in CATALOGUE]
    tagged(shop, rows, own_columns=["kind"], only_empty=True)
    assert column(shop / "out.csv", "tag") == ["", "Bag", "", "", ""]


def test_a_value_in_one_row_is_the_value_of_the_product(shop: Path) -> None:
    rows = [
        {"sku": "a", "image": "black.png", "label": ""},
        {"sku": "b", "image": "white.png", "label": "Shirt"},
        {"sku": "a", "image": "white.png", "label": "Trouser"},
        {"sku": "b", "image": "gray.png", "label": "Bag"},
    ]
    result = tagged(shop, rows, own_columns=["label"], read_options={"product": "sku"})
    assert column(shop / "out.csv", "tag") == ["Bag"] * 4
    assert column(shop / "out.csv", "contradicts") == ["Trouser", "", "Trouser", ""]
    assert (result.products, result.contradictions) == (2, {"label": 1})
    (shop / "out.csv").unlink()
    result = tagged(shop, rows, only_empty=True, read_options={"product": "sku"})
    assert (result.kept, column(shop / "out.csv", "tag")) == (2, [""] * 4)


def test_names_of_the_taxonomy_are_values_too(shop: Path) -> None:
    (shop / "tags.csv").write_text("tag,name\nTrouser,Hose\nBag,Tasche\nShirt,Hemd\n")
    rows = [
        {"sku": str(i), "image": "white.png", "label": label}
        for i, label in enumerate(("TASCHE", "Bag", "hemd", "Hose"))
    ]
    tagged(shop, rows, own_columns=["label"], taxonomy=shop / "tags.csv")
    assert column(shop / "out.csv", "contradicts") == ["", "", "hemd", "Hose"]


def test_a_value_equal_to_the_tag_is_not_contradicted(shop: Path) -> None:
    (shop / "tags.csv").write_text("tag,name\nBag,Shirt\nShirt,Blouse\n")  # a white photo, a Bag, is called Shirt
    rows = [{"image": "white.png", "label": label} for label in ("Shirt", "shirt", "Bag", "Blouse", "Trouser")]
    tagged(shop, rows, own_columns=["label"], taxonomy=shop / "tags.csv")
    assert column(shop / "out.csv", "tag") == ["Shirt"] * 5
    assert column(shop / "out.csv", "contradicts") == ["", "", "", "Blouse", "Trouser"]


def test_classes_that_differ_only_in_case_are_told_apart(shop: Path) -> None:
    seal(small_bundle(Target("label", ("bag", "Bag", "BAG"))), shop / "model.muslin")
    predicted = column(tagged(shop, [{"image": "white.png"}]).out, "tag")[0]
    (shop / "out.csv").unlink()
    other = next(name for name in ("bag", "Bag", "BAG") if name != predicted)
    rows = [{"image": "white.png", "kind": kind} for kind in (predicted, other, "bAg")]
    tagged(shop, rows, own_columns=["kind"])
    assert column(shop / "out.csv", "contradicts") == ["", other, ""]


TARGETS = (Target("kind", ("Trouser", "Bag")), Target("tags", ("dark", "plain", "bright"), "multilabel"))


def test_each_target_has_an_own_column(shop: Path) -> None:
    seal(small_bundle(*TARGETS), shop / "model.muslin")
    rows = [
        {"image": "white.png", "Kind": "Trouser", "My tags": "bright|dark"},
        {"image": "white.png", "Kind": "", "My tags": "bright; plain"},
        {"image": "white.png", "Kind": "bag", "My tags": ""},
    ]
    result = tagged(shop, rows, own_columns=["tags=My tags", "kind=Kind"])
    said = read(shop / "out.csv")
    predicted = set(said[0]["tags_tag"].split("|"))
    assert [row["kind_contradicts"] for row in said] == ["Trouser", "", ""]
    assert [bool(row["tags_contradicts"]) for row in said[:2]] == [
        predicted != {"bright", "dark"},
        predicted != {"bright", "plain"},
    ]
    assert result.contradictions["kind"] == 1
    (shop / "out.csv").unlink()
    result = tagged(shop, rows, own_columns=["tags=My tags", "kind=Kind"], only_empty=True)
    said = read(shop / "out.csv")
    assert [bool(row["kind_tag"]) for row in said] == [False, True, False]
    assert [bool(row["tags_decision"]) for row in said] == [False, False, True]
    assert result.kept == 1


@pytest.mark.parametrize(
    ("own", "code"), [(["kind"], "column_unknown"), (["label", "sku"], "own_column_twice"), ([], "own_column_missing")]
)
def test_an_own_column_that_is_none_is_refused(shop: Path, own: Sequence[str], code: str) -> None:
    rows = CATALOGUE if own else [{"image": "black.png", "sku": "1"}]
    with pytest.raises(DataError) as error:
        tagged(shop, rows, own_columns=own, only_empty=True)
    assert error.value.code == code
    assert not (shop / "out.csv").exists()


def test_an_own_column_needs_its_target_among_several(shop: Path) -> None:
    seal(small_bundle(*TARGETS), shop / "model.muslin")
    for spec in ("label", "size=label"):
        with pytest.raises(DataError) as error:
            tagged(shop, CATALOGUE, own_columns=[spec])
        assert error.value.code == "own_column_target"


# --- update


@pytest.mark.parametrize("suffix", FORMATS)
def test_update_tags_what_is_new_or_changed(shop: Path, suffix: str) -> None:
    assert counts(tagged(shop, CATALOGUE, suffix, update=True)) == (0, 5)
    first = (shop / f"out.{suffix}").read_bytes()
    assert counts(tagged(shop, CATALOGUE, suffix, update=True)) == (5, 0)
    assert column(shop / f"out.{suffix}", "tag") == [
        "Trouser",
        "Bag",
        "Bag",
        column(shop / f"out.{suffix}", "tag")[3],
        "",
    ]
    if suffix != "xlsx":  # which has the time of writing in it
        assert (shop / f"out.{suffix}").read_bytes() == first
    rows = [{"sku": "0", "image": "black.png", "label": ""}, *changed(CATALOGUE, 1, label="Bag")]
    assert counts(tagged(shop, rows, suffix, update=True)) == (4, 2)
    assert column(shop / f"out.{suffix}", "sku") == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_update_keeps_corrections_by_hand(shop: Path, suffix: str) -> None:
    tagged(shop, CATALOGUE, suffix, update=True)
    rows = read(shop / f"out.{suffix}")
    text = "Shirt" if suffix == "xlsx" else "=Shirt"  # which openpyxl writes as a formula
    rows[1] |= {"tag": text, "decision": "accept"}
    rows = [{name: cell if isinstance(cell, str) else "|".join(cell) for name, cell in row.items()} for row in rows]
    if suffix == "csv":
        rows[1]["tag"] = "'=Shirt"  # as it was written
    write(shop / f"out.{suffix}", rows)
    assert counts(tagged(shop, CATALOGUE, suffix, update=True)) == (5, 0)
    expected = "'=Shirt" if suffix in ("csv", "tsv") else text
    assert column(shop / f"out.{suffix}", "tag")[:3] == ["Trouser", expected, "Bag"]


def test_update_notices_a_changed_photo(shop: Path) -> None:
    tagged(shop, CATALOGUE, update=True)
    shutil.copy(shop / "images/black.png", shop / "images/white.png")
    assert counts(tagged(shop, CATALOGUE, update=True)) == (3, 2)
    assert column(shop / "out.csv", "tag")[1] == "Trouser"
    shutil.copy(shop / "images/white.png", shop / "images/gone.png")
    assert counts(tagged(shop, CATALOGUE, update=True)) == (4, 1)


@pytest.mark.parametrize("change", ["model", "precision", "taxonomy", "target"])
def test_update_tags_all_anew_with_other_settings(shop: Path, change: str) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), shop / "model.muslin")
    (shop / "tags.csv").write_text("tag,name\nTrouser,Hose\nBag,Tasche\nShirt,Hemd\n")
    tagged(shop, CATALOGUE, update=True, precision=0.9)
    options: dict[str, Any] = {"precision": 0.8 if change == "precision" else 0.9}
    if change == "taxonomy":
        options["taxonomy"] = shop / "tags.csv"
    if change == "model":
        seal(
            replace(small_bundle(), calibration_data={"label": calibration_data(temperature=2)}), shop / "model.muslin"
        )
    if change == "target":
        seal(small_bundle(*TARGETS), shop / "model.muslin")
    assert counts(tagged(shop, CATALOGUE, update=True, **options)) == (0, 5)
    assert counts(tagged(shop, CATALOGUE, update=True, **options)) == (5, 0)


def test_update_goes_by_all_rows_of_a_product(shop: Path) -> None:
    rows = [
        {"sku": "a", "image": "black.png", "size": "S"},
        {"sku": "b", "image": "white.png", "size": "S"},
        {"sku": "a", "image": "white.png", "size": "M"},
    ]
    options: dict[str, Any] = {"update": True, "read_options": {"product": "sku"}}
    assert counts(tagged(shop, rows, **options)) == (0, 2)
    assert counts(tagged(shop, rows, **options)) == (2, 0)
    assert counts(tagged(shop, changed(rows, 2, size="L"), **options)) == (1, 1)
    assert column(shop / "out.csv", "tag") == ["Bag"] * 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_product_with_one_emptied_fingerprint_is_tagged(shop: Path, suffix: str) -> None:
    photos = {"black.png": "a", "white.png": "a", "gray.png": "b"}
    rows = [{"sku": sku, "image": name} for name, sku in photos.items()]
    options: dict[str, Any] = {"update": True, "read_options": {"product": "sku"}}
    tagged(shop, rows, suffix, **options)
    write(shop / f"out.{suffix}", changed(read_texts(shop, suffix), 1, fingerprint=""))
    assert counts(tagged(shop, rows, suffix, **options)) == (1, 1)
    assert counts(tagged(shop, rows, suffix, **options)) == (2, 0)


def test_update_with_own_values(shop: Path) -> None:
    options: dict[str, Any] = {"update": True, "own_columns": ["label"]}
    tagged(shop, CATALOGUE, **options)
    result = tagged(shop, changed(CATALOGUE, 0, label="Bag"), **options)
    assert (counts(result), result.contradictions) == ((4, 1), {"label": 2})
    assert column(shop / "out.csv", "contradicts") == ["Bag", "", "Shirt", "", ""]
    (shop / "out.csv").unlink()
    options["only_empty"] = True
    assert counts(tagged(shop, CATALOGUE, **options)) == (0, 1)
    result = tagged(shop, changed(CATALOGUE, 0, label=""), **options)
    assert (counts(result), result.kept) == ((1, 1), 3)


def test_update_of_folders(shop: Path) -> None:
    (shop / "images/page.jpg").unlink()
    for expected in ((0, 3), (3, 0)):
        result = tag(shop / "model.muslin", shop / "images", shop / "tags.csv", TagOptions(update=True))
        assert counts(result) == expected


def test_update_refuses_an_output_without_fingerprints(shop: Path) -> None:
    tagged(shop, CATALOGUE)
    before = (shop / "out.csv").read_bytes()
    with pytest.raises(DataError) as error:
        tagged(shop, CATALOGUE, update=True)
    assert error.value.code == "update_without_fingerprints"
    assert (shop / "out.csv").read_bytes() == before


def refused_update(shop: Path, rows: Rows, suffix: str = "csv", **options: Any) -> DataError:
    """Why an update of the rows is refused, which leaves the previous output as it is."""
    before = (shop / f"out.{suffix}").read_bytes()
    with pytest.raises(DataError) as error:
        tagged(shop, rows, suffix, update=True, **options)
    assert (shop / f"out.{suffix}").read_bytes() == before
    return error.value


def test_update_refuses_a_renamed_column(shop: Path) -> None:
    tagged(shop, CATALOGUE, update=True)
    rows = [{("Etikett" if name == "tag" else name): cell for name, cell in row.items()} for row in read_texts(shop)]
    write(shop / "out.csv", rows)
    error = refused_update(shop, CATALOGUE)
    assert (error.code, error.params["names"]) == ("update_columns_missing", ["tag"])


def test_update_refuses_a_correction_in_one_row_of_two(shop: Path) -> None:
    photos = {"black.png": "a", "white.png": "a", "gray.png": "b"}
    rows = [{"sku": sku, "image": name} for name, sku in photos.items()]
    tagged(shop, rows, update=True, read_options={"product": "sku"})
    write(shop / "out.csv", changed(read_texts(shop), 1, tag="Cape"))
    error = refused_update(shop, rows, read_options={"product": "sku"})
    found = {name: error.params[name] for name in ("first", "second", "columns")}
    assert (error.code, found) == ("update_rows_differ", {"first": 2, "second": 3, "columns": ["tag"]})


def test_a_column_of_photos_named_twice_is_refused(shop: Path) -> None:
    with pytest.raises(DataError) as error:
        tagged(shop, CATALOGUE, read_options={"image_column": ["image", "image"]})
    assert error.value.code == "option_repeated"


@pytest.mark.parametrize("suffix", ["xlsx", "jsonl", "parquet"])
@pytest.mark.parametrize("text", ["sure", "nan", "1e999"])
def test_update_refuses_a_text_for_a_number(shop: Path, suffix: str, text: str) -> None:
    tagged(shop, CATALOGUE, suffix, update=True)
    write(shop / f"out.{suffix}", changed(read_texts(shop, suffix), 0, probability=text))
    error = refused_update(shop, CATALOGUE, suffix)
    assert (error.code, error.params["found"]) == ("update_no_number", text)


@pytest.mark.parametrize("suffix", ["xlsx", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_update_reads_an_output_of_another_kind(shop: Path, suffix: str, kind: str) -> None:
    tagged(shop, CATALOGUE, suffix, update=True)
    expected = read(shop / f"out.{suffix}")
    rows = changed(read_texts(shop, suffix), 0, probability="0,75")
    write(shop / f"other.{kind}", rows).replace(shop / f"out.{suffix}")
    assert counts(tagged(shop, CATALOGUE, suffix, update=True)) == (5, 0)
    assert read(shop / f"out.{suffix}") == changed(expected, 0, probability="0.75")


def read_texts(shop: Path, suffix: str = "csv") -> Rows:
    """The output, with lists as text."""
    rows = read(shop / f"out.{suffix}")
    return [{name: cell if isinstance(cell, str) else "|".join(cell) for name, cell in row.items()} for row in rows]


# --- interrupted updates


def stop_after_first_block(shop: Path, rows: Rows, **options: Any) -> None:
    write(shop / "shop.csv", rows)
    with pytest.raises(StoppedError):
        tag(
            shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(update=True, **options),
            should_stop=lambda: True,
        )  # fmt: skip


MANY: Rows = [{"sku": str(i), "image": ("black.png", "white.png")[i % 2], "label": ""} for i in range(200)]


def test_an_interrupted_update_is_resumed(shop: Path) -> None:
    tagged(shop, MANY, update=True)
    new = changed(MANY, 150, image="black.png")
    stop_after_first_block(shop, new)
    with pytest.raises(DataError) as error:
        tagged(shop, new, update=True)
    assert error.value.code == "job_not_resumed"
    result = tagged(shop, new, update=True, resume=True)
    assert result.resumed > 0
    resumed = (shop / "out.csv").read_bytes()
    (shop / "out.csv").unlink()
    tagged(shop, new, update=True)
    assert (shop / "out.csv").read_bytes() == resumed


def test_a_correction_during_an_interruption_is_not_lost(shop: Path) -> None:
    tagged(shop, MANY, update=True)
    stop_after_first_block(shop, MANY)
    corrected = (shop / "out.csv").read_bytes().replace(b"Trouser", b"Shirt", 1)
    (shop / "out.csv").write_bytes(corrected)
    with pytest.raises(DataError) as error:
        tagged(shop, MANY, update=True, resume=True)
    assert (error.value.code, error.value.params["names"]) == ("job_inputs_changed", ["previous output"])
    assert (shop / "out.csv").read_bytes() == corrected


def test_an_output_that_changes_during_an_update_is_kept(shop: Path) -> None:
    tagged(shop, MANY, update=True)
    write(shop / "shop.csv", changed(MANY, 0, label="x"))
    corrected = (shop / "out.csv").read_bytes().replace(b"Trouser", b"Shirt", 1)

    def on_progress(done: int, products: int) -> None:
        (shop / "out.csv").write_bytes(corrected)

    with pytest.raises(StorageError) as error:
        tag(
            shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(update=True), on_progress=on_progress
        )
    assert error.value.code == "output_exists"
    assert (shop / "out.csv").read_bytes() == corrected


# --- decimal commas


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,50", "2"], True),
        (["1.234,50", "3.000"], True),
        (["1,234", "5,678"], False),  # thousands
        (["1,50", "1.5"], False),
        (["a,b", "black,white.png", "1,2,3"], False),
        ([], False),
    ],
)
def test_decimal_commas_are_told_from_thousands(cells: list[str], expected: bool) -> None:
    assert has_decimal_commas(cells) is expected


@pytest.mark.parametrize(("price", "mark"), [("1,50", ","), ("1.50", "."), ("1,500", "."), ("", ".")])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_probabilities_have_the_decimals_of_the_table(shop: Path, price: str, mark: str, suffix: str) -> None:
    tagged(shop, [row | {"price": price} for row in CATALOGUE], suffix, update=True)
    assert column(shop / f"out.{suffix}", "probability")[1] == f"0{mark}9933"
    tagged(shop, [row | {"price": price} for row in CATALOGUE], suffix, update=True)
    assert column(shop / f"out.{suffix}", "probability")[1] == f"0{mark}9933"


def test_probabilities_of_several_labels_have_commas_too(shop: Path) -> None:
    seal(small_bundle(TARGETS[1]), shop / "model.muslin")
    tagged(shop, [row | {"price": "1,50"} for row in CATALOGUE])
    assert "." not in "".join(column(shop / "out.csv", "probability"))
    assert "," in "".join(column(shop / "out.csv", "probability"))


# --- on the command line


def test_the_command_says_what_it_did(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(shop / "shop.csv", CATALOGUE)
    words = ["tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "out.csv", "--own-column", "label"]
    assert invoke(capfd, *words, "--update").code == 0
    result = invoke(capfd, *words, "--update")
    assert result.out.splitlines()[-2:] == [
        "1 prediction contradicts the shop's own value",
        "5 products unchanged and copied, 0 tagged anew",
    ]
    result = invoke(capfd, *words, "--update", "--overwrite", "--json")
    assert error_object(result)["code"] == "options_exclusive"
    (shop / "out.csv").unlink()
    assert "4 left as they are" in invoke(capfd, *words, "--only-empty").out


def test_a_large_update_asks_again_for_little(shop: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), np.uint8)).save(shop / "images" / f"n{i}.png")
    rows = [{"sku": str(i), "image": f"n{i % 40}.png", "label": ""} for i in range(600)]
    tagged(shop, rows, update=True)
    blocks: list[int] = []
    write(shop / "shop.csv", changed(rows, 599, label="x"))
    result = tag(
        shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(update=True),
        on_progress=lambda done, products: blocks.append(done),
    )  # fmt: skip
    assert counts(result) == (599, 1)
    assert len(blocks) > 5
    assert len(read(shop / "out.csv")) == 600
