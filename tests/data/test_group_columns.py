"""Which column of a table groups the photos, and what is said of it."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from muslin.data import read
from muslin.data.dataset import Dataset
from muslin.data.reader import read_and_log
from muslin.data.tables.identifier_names import is_identifier
from muslin.reporting.data_preview import dataset_summary
from refusals import refuses

SURFACES, CROPS = 24, 4


def write_table(folder: Path, columns: dict[str, Callable[[int, int], Any]]) -> Path:
    """CROPS small photos each of SURFACES surfaces; a cell is `columns[name](surface, crop)`."""
    (folder / "photos").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = []
    for surface in range(SURFACES):
        pixels = np.clip(random.integers(30, 226, 3) + 12 * random.standard_normal((96, 96, 3)), 0, 255)
        for crop in range(CROPS):
            top, left = random.integers(0, 32, 2)
            name = f"{random.integers(10**9)}.jpg"
            Image.fromarray(pixels[top : top + 64, left : left + 64].astype(np.uint8)).save(folder / "photos" / name)
            rows.append([f"photos/{name}", *(cell(surface, crop) for cell in columns.values())])
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", *columns], *(rows[i] for i in random.permutation(len(rows)))])
    return folder / "table.csv"


def label(surface: int, crop: int) -> str:
    return ["silk", "wool", "linen"][surface % 3]


def number(surface: int, crop: int) -> int:
    return 40_000 + surface


def notes(dataset: Dataset) -> dict[str, Any]:
    return {fix.code: fix.params for fix in dataset.fixes if hasattr(fix, "code")}


@pytest.mark.parametrize("name", ["sample_id", "SampleID", "sample id", "Art.-Nr.", "货号", "seller_id", "articleNo"])
def test_identifiers_whose_photos_are_alike_are_groups(tmp_path: Path, name: str) -> None:
    data = read(write_table(tmp_path, {name: number, "material": label}))
    assert [target.name for target in data.targets] == ["material"]
    assert data.groups is not None
    assert len(set(data.groups)) == SURFACES
    said = notes(data)["group_column_chosen"]
    assert (said["column"], said["values"], said["low"], said["high"]) == (name, SURFACES, None, CROPS)
    assert said["photos_alike"] > 0.9


def test_group_none_switches_the_guess_off(tmp_path: Path) -> None:
    path = write_table(tmp_path, {"sample_id": number, "material": label})
    data = read(path, group="none")
    assert data.groups is None
    assert [target.name for target in data.targets] == ["material"]
    assert not {"group_column_chosen", "group_column_proposed"} & notes(data).keys()


@pytest.mark.parametrize("word", ["none", "None"])
def test_none_is_no_group_where_a_column_is_called_so(tmp_path: Path, word: str) -> None:
    path = write_table(tmp_path, {"none": number, "material": label})
    assert read(path, group=word, target="material").groups is None


@pytest.mark.parametrize("name", ["lot", "brand"])
def test_other_columns_with_such_photos_are_proposed(tmp_path: Path, name: str) -> None:
    data = read(write_table(tmp_path, {name: number, "label": label}))
    assert data.groups is None
    assert notes(data)["group_column_proposed"]["column"] == name
    assert notes(data)["group_column_proposed"]["photos_alike"] > 0.9


def test_data_that_are_not_split_get_another_proposal(tmp_path: Path) -> None:
    path = write_table(tmp_path, {"lot": number, "label": label})
    hints = []
    for to_measure in (False, True):
        said: list[Any] = []
        read_and_log(path, log=said.append, to_measure=to_measure)
        hints += [message.hint_code for message in said if message.code == "group_column_proposed"]
    assert hints == ["split", "intervals"]


def test_columns_without_alike_photos_are_no_groups(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    columns = {
        "label": label,
        "lot": lambda surface, crop: f"lot {random.integers(SURFACES)}",
        "shade": lambda surface, crop: "pale" if surface % 2 else "dark",
        "sku": lambda surface, crop: f"{surface}-{crop}",
        "site": lambda surface, crop: "Jena",
    }
    data = read(write_table(tmp_path, columns))
    assert data.groups is None
    assert not {"group_column_chosen", "group_column_proposed"} & notes(data).keys()


def test_an_identifier_of_unlike_photos_is_only_proposed(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    path = write_table(tmp_path, {"label": label, "order no": lambda surface, crop: random.integers(SURFACES)})
    data = read(path)
    assert data.groups is None
    assert notes(data)["group_column_proposed"]["photos_alike"] is None


def test_a_table_of_identifiers_has_no_label(tmp_path: Path) -> None:
    with refuses("label_column_not_found", identifiers=["sample_id"]):
        read(write_table(tmp_path, {"sample_id": number}))


@pytest.mark.parametrize("name", ["category_id", "class no", "label_id", "colour", "item type", "style", "person"])
def test_names_of_labels_are_no_identifiers(name: str) -> None:
    assert not is_identifier(name)


def group_codes(path: Path, **options: Any) -> Sequence[str]:
    return [code for code in notes(read(path, **options)) if code.startswith(("group", "classes_in"))]


def test_odd_columns_named_as_groups_are_said(tmp_path: Path) -> None:
    columns = {
        "label": label,
        "site": lambda surface, crop: "Jena",
        "number": lambda surface, crop: f"{surface}-{crop}",
        "sheet": lambda surface, crop: "" if surface == 3 else surface,
        "kind": lambda surface, crop: "A" if surface % 3 == 0 else surface,
        "shop": lambda surface, crop: "outlet" if (surface, crop) == (0, 0) else "main",
        "photo": lambda surface, crop: f"{surface}-{max(crop, 1) if surface == 0 else crop}",
    }
    path = write_table(tmp_path, columns)
    assert group_codes(path, group="site") == ["group_column_constant"]
    assert group_codes(path, group="number") == ["group_column_unique"]
    assert group_codes(path, group="sheet") == ["group_cells_empty"]
    assert notes(read(path, group="sheet"))["group_cells_empty"]["n"] == CROPS
    assert group_codes(path, group="kind") == ["classes_in_one_group"]
    assert notes(read(path, group="kind"))["classes_in_one_group"]["names"] == ["silk"]
    n = SURFACES * CROPS
    assert notes(read(path, group="shop"))["group_of_most_images"].items() >= {"value": "main", "n": n - 1}.items()
    assert group_codes(path, group="photo") == ["groups_rarely_shared"]
    assert notes(read(path, group="photo"))["groups_rarely_shared"]["n"] == 2
    summary = dataset_summary(read(path, group="sheet"))
    assert summary["groups"] == {"n": SURFACES - 1 + CROPS, "fewest": 1, "most": CROPS}


def test_unnamed_rows_of_joined_tables_are_groups_of_their_own(tmp_path: Path) -> None:
    for part in ("train", "test"):
        sheet = {"label": label, "sheet": lambda surface, crop, part=part: "" if surface == 3 else f"{part} {surface}"}
        write_table(tmp_path / part, sheet)
    data = read(tmp_path, group="sheet")
    assert data.groups is not None
    assert len(set(data.groups)) == 2 * (SURFACES - 1 + CROPS)
    assert notes(data)["group_cells_empty"]["n"] == 2 * CROPS
    assert "groups_in_two_parts" not in notes(data)


def test_the_target_cannot_be_the_group(tmp_path: Path) -> None:
    path = write_table(tmp_path, {"label": label, "sku": number})
    with refuses("group_is_target", column="label"):
        read(path, target="label", group="label")
    assert read(path, target="sku").groups is None
